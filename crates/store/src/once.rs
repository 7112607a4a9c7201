//! What must not happen twice, and would after a restart that has forgotten it: handshakes that opened a session, and requests
//! with an `Idempotency-Key`.
//!
//! The egress door has both in memory and decides there; here lie copies, read once when the store is opened. A handshake is here
//! for as long as its signature holds, as a digest. A request is written as *on its way* before anything of it is sent, so that a
//! process that is killed in between leaves behind that it may have been done. What it was answered is sealed.

use std::sync::Arc;

use doorward_core::session::Millis;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::accounts::Key;
use crate::memo::Change;
use crate::seal::{Column, Sealer};
use crate::worker::Failed;
use crate::{Store, StoreError};

/// The most handshakes, requests and bytes of answers that are read when the store is opened. The door keeps fewer.
const MOST_HANDSHAKES: u64 = 2_000_000;
const MOST_REQUESTS: u64 = 65_536;
const MOST_BYTES: usize = 64 << 20;

/// Until when what is on its way is kept: until somebody says how it ended.
const OPEN: Millis = Millis::MAX;

/// Under which name it lies what seconds are forgotten.
const FORGOTTEN: &str = "handshakes_forgotten";

/// A handshake that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// A digest of all of it.
    pub digest: [u8; 16],
    /// The id of the key that signed it.
    pub key: Arc<str>,
    /// When it says that it was signed, in seconds since 1970.
    pub second: u64,
}

/// How it stands with a request that has an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was to be sent, and nobody knows what came of it.
    Unknown,
    /// It was done, and what it was answered is not kept.
    Done,
    /// It was done, and this is what it was answered, in the words of the door.
    Answered(Vec<u8>),
}

/// A request with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceOnly {
    /// A keyed digest of the `Idempotency-Key` and whose it is.
    pub tag: Box<str>,
    /// The id of the key it came with.
    pub key: Arc<str>,
    /// A keyed digest of what is to be done.
    pub request: Box<str>,
    /// What came of it.
    pub came: Came,
    /// Until when it is remembered; `None`: it is on its way.
    pub until: Option<Millis>,
}

/// What earlier processes left.
#[derive(Clone, Debug, Default)]
pub struct OnceKept {
    /// Handshakes that were taken.
    pub handshakes: Vec<Handshake>,
    /// From which second to which there were more, which are forgotten.
    pub forgotten: Vec<(u64, u64)>,
    /// Requests.
    pub requests: Vec<OnceOnly>,
}

/// A change that is to be written.
#[derive(Debug)]
pub(crate) enum Once {
    Handshake(Handshake),
    /// Handshakes of seconds outside of these are forgotten, and these spans are what was.
    Forgotten((u64, u64), Vec<(u64, u64)>),
    Request(Box<OnceOnly>),
    Forget(Box<str>),
}

impl Once {
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Handshake(_) | Self::Forget(_) => 128,
            Self::Forgotten(_, spans) => spans.len() * 16,
            Self::Request(request) => match &request.came {
                Came::Answered(answer) => 512 + answer.len(),
                Came::Done | Came::Unknown => 512,
            },
        }
    }
}

impl Store {
    /// What earlier processes left of what may happen once. Whoever asks first gets it.
    #[must_use]
    pub fn take_once(&self) -> OnceKept {
        std::mem::take(&mut *self.shared_once())
    }

    /// Keeps that a handshake was taken, and returns once it is written.
    ///
    /// # Errors
    /// If it is not written: then it must not be answered, or it could be shown again after a restart.
    pub async fn keep_handshake(&self, handshake: Handshake) -> Result<(), StoreError> {
        self.written(Once::Handshake(handshake)).await
    }

    /// Forgets handshakes of seconds before or after `within`; `spans` are the seconds of which any were ever forgotten. Never
    /// waits.
    pub fn forget_handshakes(&self, within: (u64, u64), spans: Vec<(u64, u64)>) {
        let _ = self.change(Change::Once(Once::Forgotten(within, spans)));
    }

    /// Keeps that a request is about to be sent, and returns once it is written.
    ///
    /// # Errors
    /// If it is not written: then it must not be sent, or it could be done again after a restart.
    pub async fn begin_once(&self, request: OnceOnly) -> Result<(), StoreError> {
        let tag = request.tag.clone();
        let written = self.written(Once::Request(Box::new(request))).await;
        if written.is_err() {
            self.forget_once(tag);
        }
        written
    }

    /// Keeps what came of a request. Never waits: who is killed before it is written has left that nobody knows.
    pub fn end_once(&self, request: OnceOnly) {
        let _ = self.change(Change::Once(Once::Request(Box::new(request))));
    }

    /// Forgets a request: nothing of it was sent. Never waits.
    pub fn forget_once(&self, tag: Box<str>) {
        let _ = self.change(Change::Once(Once::Forget(tag)));
    }

    async fn written(&self, change: Once) -> Result<(), StoreError> {
        if !self.change(Change::Once(change)) {
            return Err(StoreError::Unavailable("too much waits for the disk".to_owned()));
        }
        self.flush().await
    }
}

/// Writes a change.
pub(crate) fn write(transaction: &Transaction<'_>, sealer: &Sealer, change: &Once) -> Result<(), Failed> {
    match change {
        Once::Handshake(Handshake { digest, key, second }) => {
            let sql = "INSERT OR IGNORE INTO handshakes (digest, key, second) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![digest, &**key, number(*second)])?;
        }
        Once::Forgotten((first, last), spans) => {
            let sql = "DELETE FROM handshakes WHERE second < ?1 OR second > ?2";
            transaction.prepare_cached(sql)?.execute([number(*first), number(*last)])?;
            let bytes: Vec<u8> =
                spans.iter().flat_map(|(first, last)| [*first, *last]).flat_map(u64::to_be_bytes).collect();
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
            transaction.prepare_cached(sql)?.execute(params![FORGOTTEN, bytes])?;
        }
        Once::Request(request) => {
            let OnceOnly { tag, key, request, came, until } = &**request;
            let (done, answer) = match came {
                Came::Unknown => (false, None),
                Came::Done => (true, None),
                Came::Answered(answer) => (true, Some(sealer.seal(Column::OnceAnswer, tag, answer)?)),
            };
            let sql = "INSERT OR REPLACE INTO once (tag, key, request, until, done, answer)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let row = params![&**tag, &**key, &**request, number(until.unwrap_or(OPEN)), done, answer];
            transaction.prepare_cached(sql)?.execute(row)?;
        }
        Once::Forget(tag) => {
            transaction.prepare_cached("DELETE FROM once WHERE tag = ?1")?.execute([&**tag])?;
        }
    }
    Ok(())
}

/// Removes what is not remembered any more at `now`.
pub(crate) fn sweep(connection: &Connection, now: Millis) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("DELETE FROM once WHERE until < ?1")?.execute([number(now)]).map(drop)
}

/// Destroys what requests of these keys were answered; that they were done stays, for its minutes.
pub(crate) fn scrub(connection: &Connection, keys: &[Arc<Key>]) -> Result<u64, rusqlite::Error> {
    let sql = "UPDATE once SET answer = NULL WHERE key = ?1 AND answer IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    keys.iter().try_fold(0, |gone, key| Ok(gone + statement.execute([&*key.id])? as u64))
}

/// Reads what earlier processes left.
pub(crate) fn read(
    connection: &Connection,
    sealer: &Sealer,
    now: Millis,
) -> Result<OnceKept, rusqlite::Error> {
    sweep(connection, now)?;
    let spans: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [FORGOTTEN], |row| row.get(0))
        .optional()?;
    let mut kept = OnceKept { forgotten: spans_of(&spans.unwrap_or_default()), ..OnceKept::default() };
    let mut statement =
        connection.prepare("SELECT digest, key, second FROM handshakes ORDER BY second DESC LIMIT ?1")?;
    let rows = statement.query_map([number(MOST_HANDSHAKES)], |row| {
        let second = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
        Ok(Handshake { digest: row.get(0)?, key: row.get::<_, String>(1)?.into(), second })
    })?;
    kept.handshakes = rows.collect::<Result<_, _>>()?;
    let sql = "SELECT tag, key, request, until, done, answer FROM once ORDER BY until DESC LIMIT ?1";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([number(MOST_REQUESTS)])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let mut request = request_of(row, sealer)?;
        if let Came::Answered(answer) = &request.came {
            bytes += answer.len();
            if bytes > MOST_BYTES {
                request.came = Came::Done;
            }
        }
        kept.requests.push(request);
    }
    Ok(kept)
}

fn request_of(row: &Row<'_>, sealer: &Sealer) -> Result<OnceOnly, rusqlite::Error> {
    let (tag, key): (String, String) = (row.get(0)?, row.get(1)?);
    let (until, done): (i64, bool) = (row.get(3)?, row.get(4)?);
    // One that is damaged is as good as none: it was done all the same.
    let answer = row.get::<_, Option<Vec<u8>>>(5)?;
    let answer = answer.and_then(|sealed| sealer.open(Column::OnceAnswer, &tag, &sealed).ok());
    let came = match (done, answer) {
        (false, _) => Came::Unknown,
        (true, None) => Came::Done,
        (true, Some(answer)) => Came::Answered(answer.to_vec()),
    };
    let until = (until != i64::MAX).then(|| u64::try_from(until).unwrap_or(0));
    Ok(OnceOnly { tag: tag.into(), key: key.into(), request: row.get::<_, String>(2)?.into(), came, until })
}

fn spans_of(bytes: &[u8]) -> Vec<(u64, u64)> {
    let (spans, _) = bytes.as_chunks::<16>();
    let half = |half: &[u8]| half.try_into().map_or(0, u64::from_be_bytes);
    spans.iter().map(|span| span.split_at(8)).map(|(first, last)| (half(first), half(last))).collect()
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;

    fn request(tag: &str, came: Came, until: Option<Millis>) -> Once {
        let (tag, key, request) = (tag.into(), "key_1".into(), "digest".into());
        Once::Request(Box::new(OnceOnly { tag, key, request, came, until }))
    }

    #[test]
    fn what_is_written_is_there_until_its_time() {
        let sealer = Sealer::new(&Secret32::new([7; 32]));
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let mut write_all = |changes: &[Once]| {
            let transaction = connection.transaction().unwrap();
            assert!(changes.iter().all(|change| write(&transaction, &sealer, change).is_ok()));
            transaction.commit().unwrap();
            read(&connection, &sealer, 1000).unwrap()
        };
        let shake = |byte: u8, second| Handshake { digest: [byte; 16], key: "key_1".into(), second };
        let answer = Came::Answered(b"an answer".to_vec());
        let kept = write_all(&[
            Once::Handshake(shake(1, 10)),
            Once::Handshake(shake(1, 10)),
            Once::Handshake(shake(2, 20)),
            request("gone", Came::Done, Some(999)),
            request("on its way", Came::Unknown, None),
            request("answered", Came::Unknown, None),
            request("answered", answer.clone(), Some(1001)),
            request("forgotten", Came::Unknown, None),
            Once::Forget("forgotten".into()),
        ]);
        assert_eq!(kept.handshakes, [shake(2, 20), shake(1, 10)]);
        let came: Vec<_> = kept.requests.iter().map(|it| (&*it.tag, &it.came, it.until)).collect();
        assert_eq!(came, [("on its way", &Came::Unknown, None), ("answered", &answer, Some(1001))]);
        let kept = write_all(&[Once::Forgotten((11, 30), vec![(1, 10), (40, 50)])]);
        assert_eq!((kept.handshakes, kept.forgotten), (vec![shake(2, 20)], vec![(1, 10), (40, 50)]));
        // An answer put behind another request is none.
        connection.execute("UPDATE once SET tag = 'moved' WHERE tag = 'answered'", []).unwrap();
        let moved = read(&connection, &sealer, 1000).unwrap().requests.pop().unwrap();
        assert_eq!((&*moved.tag, moved.came), ("moved", Came::Done));
    }
}
