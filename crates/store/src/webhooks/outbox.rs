//! What is still to be told, and what became of what was: bounded, on disk, encrypted.
//!
//! A message is written before it is sent for the first time and stays until somebody has said that it arrived: a process
//! that is killed in between sends it again, under the same id. What was tried for the last time in vain is kept for a while, for
//! a person to look at and to send again.

use doorward_core::session::Millis;
use doorward_core::syntax::{Object, json};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::StoreError;
use crate::seal::{Column, Sealer};

/// The most messages of one webhook that wait, and the most bytes of them; the same for those that failed.
pub const MOST_WAITING: u64 = 1000;
const MOST_BYTES: u64 = 2 << 20;

/// How many that arrived are kept of one webhook, to be looked at and to be sent again.
const MOST_ARRIVED: i64 = 100;

/// How long failed and arrived ones are kept, in milliseconds.
pub const KEPT: Millis = 30 * 24 * 60 * 60 * 1000;

/// Longer than any message is put off, in milliseconds.
const LONGEST_WAIT: Millis = 3 * 24 * 60 * 60 * 1000;

/// The largest message, in bytes.
pub const LARGEST: usize = 16 * 1024;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// Nobody took it, and it is not tried any more.
    Failed,
    /// It arrived.
    Arrived,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Waiting, Self::Failed, Self::Arrived];

    /// The word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Arrived => "arrived",
        }
    }

    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Waiting => 0,
            Self::Failed => 1,
            Self::Arrived => 2,
        }
    }
}

/// A message to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `webhook-id`: the same however often it is sent.
    pub id: String,
    /// To which webhook.
    pub hook: String,
    /// What became of it.
    pub stage: Stage,
    /// When it is to be sent next; or when it was last, if it waits no more.
    pub due: Millis,
    /// Since when it is there.
    pub created: Millis,
    /// How often it was sent.
    pub tries: u32,
    /// Its `type`.
    pub word: String,
    /// The bytes that are sent and signed.
    pub payload: Vec<u8>,
    /// What came of the last try, in words; empty before the first.
    pub told: String,
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Of which message.
    pub id: String,
    /// What is to become of it.
    pub stage: Stage,
    /// When it is to be sent next, or when it was.
    pub due: Millis,
    /// How often it was sent.
    pub tries: u32,
    /// What came of it, in words.
    pub told: String,
}

/// How many messages a webhook has, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many wait.
    pub waiting: u64,
    /// How many failed and are kept.
    pub failed: u64,
    /// How many were lost: they found no room, or failed and had to make room.
    pub lost: u64,
}

/// Which messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(String),
    /// Those that failed; of one webhook, or of all.
    Failed(Option<String>),
    /// All; of one webhook, or of all.
    All(Option<String>),
}

/// Puts a message at the end of those that wait. `false` if there is no room for it; that is counted.
pub(super) fn put(connection: &Connection, sealer: &Sealer, one: &Delivery) -> Result<bool, StoreError> {
    let size = one.payload.len() as u64;
    let (count, bytes) = sums(connection, &one.hook, Stage::Waiting).map_err(failed)?;
    if count >= MOST_WAITING || bytes + size > MOST_BYTES || one.payload.len() > LARGEST {
        lose(connection, &one.hook, 1).map_err(failed)?;
        return Ok(false);
    }
    let payload = String::from_utf8_lossy(&one.payload);
    let body = Object::new().text("type", &one.word).text("payload", &payload).end();
    let body = sealer.seal(Column::Delivery, &one.id, &body)?;
    let told = sealer.seal(Column::DeliveryTold, &one.id, one.told.as_bytes())?;
    let sql = "INSERT OR IGNORE INTO deliveries (id, hook, stage, due, created, tries, size, body, told)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let row = params![
        one.id,
        one.hook,
        one.stage.number(),
        signed(one.due),
        signed(one.created),
        one.tries,
        signed(size),
        body,
        told
    ];
    connection.execute(sql, row).map_err(failed)?;
    Ok(true)
}

/// Those of a webhook that are to be sent by `now`, first those that have waited longest.
pub(super) fn due(
    connection: &Connection,
    sealer: &Sealer,
    hook: &str,
    now: Millis,
    most: usize,
) -> Result<Vec<Delivery>, StoreError> {
    // Nothing is put off for so long: that was a clock that was ahead.
    let sql = format!(
        "{SELECT} WHERE hook = ?1 AND stage = 0 AND (due <= ?2 OR due > ?4) ORDER BY due, id LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let ahead = signed(now.saturating_add(LONGEST_WAIT));
    let rows = statement.query_map(params![hook, signed(now), most, ahead], Raw::read).map_err(failed)?;
    let rows: Vec<Raw> = rows.collect::<Result<_, _>>().map_err(failed)?;
    rows.into_iter().map(|raw| raw.open(sealer)).collect()
}

/// When the next one of a webhook after `now` is to be sent.
pub(super) fn next(connection: &Connection, hook: &str, now: Millis) -> Result<Option<Millis>, StoreError> {
    let sql = "SELECT min(due) FROM deliveries WHERE hook = ?1 AND stage = 0 AND due > ?2";
    let next: Option<i64> =
        connection.query_row(sql, params![hook, signed(now)], |row| row.get(0)).map_err(failed)?;
    Ok(next.map(unsigned))
}

/// Writes what became of a try. One that was removed meanwhile stays removed.
pub(super) fn settle(connection: &Connection, sealer: &Sealer, settled: &Settled) -> Result<(), StoreError> {
    let Settled { id, stage, due, tries, told } = settled;
    let told = sealer.seal(Column::DeliveryTold, id, told.as_bytes())?;
    let sql =
        "UPDATE deliveries SET stage = ?2, due = ?3, tries = ?4, told = ?5 WHERE id = ?1 RETURNING hook";
    let hook: Option<String> = connection
        .query_row(sql, params![id, stage.number(), signed(*due), tries, told], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    match (hook, stage) {
        (Some(hook), Stage::Failed) => make_room(connection, &hook).map_err(failed),
        (Some(hook), Stage::Arrived) => {
            let sql = "DELETE FROM deliveries WHERE hook = ?1 AND stage = 2 AND id NOT IN
                       (SELECT id FROM deliveries WHERE hook = ?1 AND stage = 2 ORDER BY due DESC LIMIT ?2)";
            connection.execute(sql, params![hook, MOST_ARRIVED]).map(drop).map_err(failed)
        }
        _ => Ok(()),
    }
}

/// The oldest failed ones make room for the newest, and are counted.
fn make_room(connection: &Connection, hook: &str) -> Result<(), rusqlite::Error> {
    loop {
        let (count, bytes) = sums(connection, hook, Stage::Failed)?;
        if count <= MOST_WAITING && bytes <= MOST_BYTES {
            return Ok(());
        }
        let sql = "DELETE FROM deliveries WHERE id =
                   (SELECT id FROM deliveries WHERE hook = ?1 AND stage = 1 ORDER BY due, id LIMIT 1)";
        if connection.execute(sql, [hook])? == 0 {
            return Ok(());
        }
        lose(connection, hook, 1)?;
    }
}

/// A webhook takes no more: what waits for it has failed.
pub(super) fn give_up(
    connection: &Connection,
    sealer: &Sealer,
    hook: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let sql = "SELECT id, tries FROM deliveries WHERE hook = ?1 AND stage = 0";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map([hook], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    let rows: Vec<(String, u32)> = rows.collect::<Result<_, _>>().map_err(failed)?;
    for (id, tries) in rows {
        let told = "the webhook wants no more messages (410)".to_owned();
        settle(connection, sealer, &Settled { id, stage: Stage::Failed, due: now, tries, told })?;
    }
    Ok(())
}

/// Lets messages be sent again from the beginning, under their own ids; returns how many.
pub(super) fn again(connection: &Connection, which: &Which, now: Millis) -> Result<usize, StoreError> {
    let set = "UPDATE deliveries SET stage = 0, tries = 0, due = ?1 WHERE";
    let now = signed(now);
    // What waits already only waits no longer.
    let done = match which {
        Which::One(id) => connection.execute(&format!("{set} id = ?2"), params![now, id]),
        Which::Failed(Some(hook)) | Which::All(Some(hook)) => {
            connection.execute(&format!("{set} stage = 1 AND hook = ?2"), params![now, hook])
        }
        Which::Failed(None) | Which::All(None) => connection.execute(&format!("{set} stage = 1"), [now]),
    };
    done.map_err(failed)
}

/// Messages, the newest first, at most `most`.
pub(super) fn list(
    connection: &Connection,
    sealer: &Sealer,
    which: &Which,
    most: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (condition, of) = match which {
        Which::One(id) => ("id = ?1", Some(id)),
        Which::Failed(hook) => ("stage = 1 AND (?1 IS NULL OR hook = ?1)", hook.as_ref()),
        Which::All(hook) => ("(?1 IS NULL OR hook = ?1)", hook.as_ref()),
    };
    let sql = format!("{SELECT} WHERE {condition} ORDER BY created DESC, id DESC LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let rows = statement.query_map(params![of, most], Raw::read).map_err(failed)?;
    let rows: Vec<Raw> = rows.collect::<Result<_, _>>().map_err(failed)?;
    rows.into_iter().map(|raw| raw.open(sealer)).collect()
}

/// How many messages a webhook has.
pub(super) fn tally(connection: &Connection, hook: &str) -> Result<Tally, StoreError> {
    let lost = connection.query_row("SELECT lost FROM webhooks WHERE id = ?1", [hook], |row| row.get(0));
    let lost: Option<i64> = lost.optional().map_err(failed)?;
    Ok(Tally {
        waiting: sums(connection, hook, Stage::Waiting).map_err(failed)?.0,
        failed: sums(connection, hook, Stage::Failed).map_err(failed)?.0,
        lost: lost.map(unsigned).unwrap_or_default(),
    })
}

/// Forgets what has waited for nobody since `before`; returns how many.
pub(super) fn sweep(connection: &Connection, before: Millis) -> Result<usize, StoreError> {
    let sql = "DELETE FROM deliveries WHERE stage <> 0 AND due < ?1";
    connection.execute(sql, [signed(before)]).map_err(failed)
}

/// Forgets a webhook and its messages.
pub(super) fn remove(connection: &Connection, hook: &str) -> Result<(), StoreError> {
    let all = connection.execute("DELETE FROM deliveries WHERE hook = ?1", [hook]);
    all.and_then(|_| connection.execute("DELETE FROM webhooks WHERE id = ?1", [hook]))
        .map(drop)
        .map_err(failed)
}

/// Counts messages that a webhook will not get.
pub(super) fn lose(connection: &Connection, hook: &str, count: u64) -> Result<(), rusqlite::Error> {
    let sql = "UPDATE webhooks SET lost = lost + ?2 WHERE id = ?1";
    connection.execute(sql, params![hook, signed(count)]).map(drop)
}

/// How many there are at a stage, and how many bytes.
fn sums(connection: &Connection, hook: &str, stage: Stage) -> Result<(u64, u64), rusqlite::Error> {
    let sql = "SELECT count(*), coalesce(sum(size), 0) FROM deliveries WHERE hook = ?1 AND stage = ?2";
    connection
        .prepare_cached(sql)?
        .query_row(params![hook, stage.number()], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))
}

pub(super) const SELECT: &str = "SELECT id, hook, stage, due, created, tries, body, told FROM deliveries";

/// A row as it lies there.
pub(super) struct Raw {
    pub(super) id: String,
    pub(super) hook: String,
    pub(super) stage: i64,
    due: i64,
    pub(super) created: i64,
    tries: u32,
    body: Vec<u8>,
    told: Vec<u8>,
}

impl Raw {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            hook: row.get(1)?,
            stage: row.get(2)?,
            due: row.get(3)?,
            created: row.get(4)?,
            tries: row.get(5)?,
            body: row.get(6)?,
            told: row.get(7)?,
        })
    }

    pub(super) fn open(self, sealer: &Sealer) -> Result<Delivery, StoreError> {
        let body = sealer.open(Column::Delivery, &self.id, &self.body)?;
        let told = sealer.open(Column::DeliveryTold, &self.id, &self.told)?;
        let damaged = || StoreError::Damaged { what: Column::Delivery.as_str(), row: self.id.clone() };
        let node = json::parse(&body).map_err(|_| damaged())?;
        let text = |key: &str| node.text(key).map(str::to_owned).ok_or_else(damaged);
        Ok(Delivery {
            stage: Stage::ALL.into_iter().find(|stage| stage.number() == self.stage).ok_or_else(damaged)?,
            due: unsigned(self.due),
            created: unsigned(self.created),
            tries: self.tries,
            word: text("type")?,
            payload: text("payload")?.into_bytes(),
            told: String::from_utf8_lossy(&told).into_owned(),
            id: self.id,
            hook: self.hook,
        })
    }
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("a webhook or its messages cannot be written or read: {error}"))
}
