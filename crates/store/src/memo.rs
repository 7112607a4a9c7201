//! Memos: what a door has to know again after a restart, for as long as somebody may come back to it.
//!
//! The gateway has them in memory and works from there; here lie copies, read once when the store is opened.
//! What a memo says is content of requests and replies: it is sealed, and it goes when content is purged. Behind its first
//! byte stands whose it is: the length of the agent's name (four bytes, the smallest first), and the name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use doorward_core::session::Millis;
use rusqlite::{Connection, Row, Transaction, params};

use crate::StoreError;
use crate::accounts::{self, CreditChange, UsedOnce};
use crate::batch::Batch;
use crate::counted::{self, Recount};
use crate::once::{self, Once};
use crate::seal::{Column, Sealer};
use crate::sessions::{self, SessionRecord};
use crate::stories::{self, MAX_WHOLE, Tale};
use crate::worker::Failed;

/// Most bytes of one memo; a longer one is not kept.
pub const MAX_MEMO: usize = 8 * 1024 * 1024;

/// Most memos that are read when the store is opened, and their bytes; the rest, used longest ago, is
/// destroyed.
const MAX_MEMOS: usize = 64 * 1024;
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Most bytes of changes that wait to be written. They wait for milliseconds, or for a disk that is full; then
/// nothing is recorded either, and so hardly anything is worth a memo.
const MAX_WAITING: usize = 64 * 1024 * 1024;

/// One memo, as an earlier process left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    /// Names it; never used twice while it exists.
    pub id: u64,
    /// When it was made.
    pub time: Millis,
    /// When it was last of use, as far as that was written.
    pub used: Millis,
    /// What it says.
    pub body: Vec<u8>,
}

/// A change that is to be written.
#[derive(Debug)]
pub(crate) enum Change {
    Keep(Memo),
    /// Another body for a memo that exists still.
    Rewrite(u64, Vec<u8>),
    Used(u64, Millis),
    Forget(u64),
    /// What limits counted.
    Recount(Recount),
    /// What became of credits.
    Credits(CreditChange),
    /// What came of a call of a key.
    Usage(UsedOnce),
    /// What is known of a session.
    Session(Box<SessionRecord>),
    ForgetSession(u64),
    /// What sessions remember.
    Tale(Tale),
    /// What must not happen twice.
    Once(Once),
}

impl Change {
    fn size(&self) -> usize {
        64 + match self {
            Self::Keep(memo) => memo.body.len(),
            Self::Rewrite(_, body) => body.len(),
            Self::Used(..) | Self::Forget(_) | Self::ForgetSession(_) | Self::Usage(_) => 0,
            Self::Session(session) => session.task.len() + 512,
            Self::Recount(recount) => recount.size(),
            Self::Credits(_) => 256,
            Self::Tale(tale) => tale.size(),
            Self::Once(once) => once.size(),
        }
    }
}

/// Changes on their way to the store's thread, in the order they were made. A queue of its own: giving
/// something to it never waits, so it can be done under the lock that orders the changes.
#[derive(Debug)]
pub(crate) struct Outbox {
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: Vec<Change>,
    bytes: usize,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Nothing was there before: somebody should be told.
    First,
    /// It waits with others.
    Behind,
    /// Too many wait, or it is too long: it is lost.
    Refused,
}

impl Outbox {
    /// An outbox whose first memo is number `next`.
    pub(crate) fn new(next: u64) -> Self {
        Self { next: AtomicU64::new(next), waiting: Mutex::default() }
    }

    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts a change in.
    pub(crate) fn put(&self, change: Change) -> Put {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if matches!(change, Change::Tale(_)) { MAX_WHOLE } else { MAX_MEMO };
        if change.size() > most || waiting.bytes.saturating_add(change.size()) > MAX_WAITING {
            tracing::warn!(
                "a memo is too long, or too many wait for the disk: a restart would forget this one, or what it counted"
            );
            return Put::Refused;
        }
        waiting.bytes += change.size();
        waiting.changes.push(change);
        if waiting.changes.len() == 1 { Put::First } else { Put::Behind }
    }

    /// Takes everything out.
    pub(crate) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)).changes
    }
}

/// Writes the changes of a batch, as part of a transaction.
pub(crate) fn write(
    transaction: &Transaction<'_>,
    sealer: &Sealer,
    changes: &[Change],
    batch: &Batch<'_>,
) -> Result<(), Failed> {
    for change in changes.iter().enumerate().filter(|(at, _)| !batch.contains(*at)).map(|(_, change)| change)
    {
        match change {
            Change::Keep(Memo { id, time, used, body }) => {
                let sealed = sealer.seal(Column::Memo, &id.to_string(), body)?;
                let sql = "INSERT OR REPLACE INTO memos (id, time, used, body) VALUES (?1, ?2, ?3, ?4)";
                let row = params![number(*id), number(*time), number(*used), sealed];
                transaction.prepare_cached(sql)?.execute(row)?;
            }
            // These change what is there: what was purged stays away.
            Change::Rewrite(id, body) => {
                let sealed = sealer.seal(Column::Memo, &id.to_string(), body)?;
                let sql = "UPDATE memos SET body = ?2 WHERE id = ?1";
                transaction.prepare_cached(sql)?.execute(params![number(*id), sealed])?;
            }
            Change::Used(id, used) => {
                let sql = "UPDATE memos SET used = ?2 WHERE id = ?1";
                transaction.prepare_cached(sql)?.execute(params![number(*id), number(*used)])?;
            }
            Change::Forget(id) => {
                transaction.prepare_cached("DELETE FROM memos WHERE id = ?1")?.execute([number(*id)])?;
            }
            Change::Session(session) => sessions::write(transaction, sealer, session)?,
            Change::ForgetSession(id) => sessions::forget(transaction, *id)?,
            Change::Tale(tale) => stories::write(transaction, sealer, tale)?,
            Change::Once(once) => once::write(transaction, sealer, once)?,
            Change::Credits(change) => accounts::write(transaction, change)?,
            Change::Usage(used) => accounts::usage::write(transaction, used, 1)?,
            Change::Recount(recount) => counted::write(transaction, sealer, std::slice::from_ref(recount))?,
        }
    }
    Ok(())
}

/// Reads all memos, the one used longest ago first. What is beyond the bounds or does not decrypt is
/// destroyed: without it a conversation may break, but nothing passes that would not otherwise.
pub(crate) fn read(connection: &Connection, sealer: &Sealer) -> Result<Vec<Memo>, rusqlite::Error> {
    read_within(connection, sealer, (MAX_MEMOS, MAX_BYTES))
}

fn read_within(
    connection: &Connection,
    sealer: &Sealer,
    (most, most_bytes): (usize, usize),
) -> Result<Vec<Memo>, rusqlite::Error> {
    // Without their bodies: sorting would carry them along.
    let sql = "SELECT id, length(body) FROM memos ORDER BY used DESC, id DESC";
    let sizes = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let all: Vec<(i64, i64)> = connection.prepare(sql)?.query_map([], sizes)?.collect::<Result<_, _>>()?;
    let (mut memos, mut bytes) = (Vec::new(), 0_usize);
    let mut lost = connection.prepare("DELETE FROM memos WHERE id = ?1")?;
    let mut found = connection.prepare("SELECT time, used, body FROM memos WHERE id = ?1")?;
    for (id, size) in all {
        bytes = bytes.saturating_add(usize::try_from(size).unwrap_or(0));
        if memos.len() >= most || bytes > most_bytes {
            lost.execute([id])?;
            continue;
        }
        match found.query_row([id], |row| open(row, id, sealer))? {
            Ok(memo) => memos.push(memo),
            Err(error) => {
                tracing::warn!(%error, "a memo is lost; a conversation with a blocked call may break");
                lost.execute([id])?;
            }
        }
    }
    memos.reverse();
    Ok(memos)
}

fn open(row: &Row<'_>, id: i64, sealer: &Sealer) -> Result<Result<Memo, StoreError>, rusqlite::Error> {
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let (time, used) = (unsigned(row.get(0)?), unsigned(row.get(1)?));
    let stored: Vec<u8> = row.get(2)?;
    let body = sealer.open(Column::Memo, &id.to_string(), &stored);
    Ok(body.map(|body| Memo { id: unsigned(id), time, used, body: body.to_vec() }))
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;

    fn keep(id: u64, length: usize) -> Change {
        Change::Keep(Memo { id, time: 1, used: 1, body: vec![0; length] })
    }

    #[test]
    fn an_outbox_keeps_order_and_calls_once() {
        let outbox = Outbox::new(7);
        assert_eq!((outbox.number(), outbox.number()), (7, 8));
        assert_eq!(outbox.put(keep(7, 1)), Put::First);
        assert_eq!(outbox.put(Change::Forget(7)), Put::Behind);
        assert!(matches!(outbox.take().as_slice(), [Change::Keep(_), Change::Forget(7)]));
        assert!(outbox.take().is_empty());
        assert_eq!(outbox.put(Change::Forget(8)), Put::First);
    }

    #[test]
    fn an_outbox_is_bounded() {
        let outbox = Outbox::new(1);
        assert_eq!(outbox.put(keep(1, MAX_MEMO)), Put::Refused, "longer than one may be");
        let fits = MAX_MEMO / 2;
        for id in 0..100 {
            outbox.put(keep(id, fits));
        }
        assert_eq!(outbox.take().len(), MAX_WAITING / (fits + 64));
        assert_eq!(outbox.put(keep(1, fits)), Put::First, "room again");
    }

    #[test]
    fn reading_is_bounded_and_what_is_beyond_goes() {
        let sealer = Sealer::new(&Secret32::new([7; 32]));
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let transaction = connection.transaction().unwrap();
        let memo = |id: u64| Memo { id, time: 1, used: 100 - id, body: vec![0; 10] };
        let changes: Vec<Change> = (0..10).map(|id| Change::Keep(memo(id))).collect();
        assert!(write(&transaction, &sealer, &changes, &Batch::default()).is_ok());
        transaction.commit().unwrap();
        let ids = |within| -> Vec<u64> {
            let memos = read_within(&connection, &sealer, within).unwrap();
            memos.into_iter().map(|memo| memo.id).collect()
        };
        assert_eq!(ids((100, 1000)), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], "used longest ago first");
        assert_eq!(ids((6, 1000)), [5, 4, 3, 2, 1, 0]);
        // Sealed they have 40 bytes more.
        assert_eq!(ids((100, 3 * 50)), [2, 1, 0]);
        assert_eq!(ids((100, 1000)), [2, 1, 0], "the others are destroyed");
    }
}
