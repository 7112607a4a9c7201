//! The slices of a sweep, on the store's thread.

use doorward_core::session::Millis;
use rusqlite::{Connection, params};

use super::{Hold, Whose};
use crate::record::RecordedAction;
use crate::seal::{Column, Sealer};
use crate::worker::Worker;
use crate::{SessionRecord, StoreError, alert};

/// How many rows a slice looks at: some milliseconds.
const SLICE: i64 = 500;

/// What a sweep destroyed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Actions whose salt, content, URL and what was judged went.
    pub actions: u64,
    /// Memos.
    pub memos: u64,
    /// Alerts.
    pub alerts: u64,
    /// Sessions, with what they remembered.
    pub sessions: u64,
    /// Lots of credits that had expired.
    pub lots: u64,
    /// Records of how keys were compromised.
    pub compromises: u64,
    /// Messages to webhooks.
    pub deliveries: u64,
    /// What was old enough and stayed because a person holds it.
    pub held: u64,
}

impl Swept {
    /// Adds what another sweep did.
    pub fn add(&mut self, other: &Self) {
        self.actions += other.actions;
        self.memos += other.memos;
        self.alerts += other.alerts;
        self.sessions += other.sessions;
        self.lots += other.lots;
        self.compromises += other.compromises;
        self.deliveries += other.deliveries;
        self.held += other.held;
    }

    /// How much that is.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.actions
            + self.memos
            + self.alerts
            + self.sessions
            + self.lots
            + self.compromises
            + self.deliveries
    }
}

/// Behind what a sweep has looked at: time, then row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor(i64, i64);

impl Default for Cursor {
    fn default() -> Self {
        Self(i64::MIN, i64::MIN)
    }
}

/// One slice.
pub(crate) struct Slice {
    pub gone: u64,
    pub held: u64,
    /// Where the next one begins; `None`: that was all.
    pub next: Option<Cursor>,
}

/// What a row says of whose it is, as far as it can be read.
struct Owner {
    agent: Option<String>,
    session: Option<String>,
    key: Option<String>,
}

impl Owner {
    const UNKNOWN: Self = Self { agent: None, session: None, key: None };

    fn held(&self, time: i64, holds: &[Hold]) -> bool {
        let time = u64::try_from(time).unwrap_or(0);
        let (agent, session, key) = (self.agent.as_deref(), self.session.as_deref(), self.key.as_deref());
        holds.iter().any(|hold| hold.covers(&Whose { time, agent, session, key }))
    }
}

/// Whose a recorded action is.
fn owner(sealer: &Sealer, receipt: &str, action: &[u8]) -> Owner {
    let opened = sealer.open(Column::Action, receipt, action).ok();
    let record = opened.and_then(|opened| RecordedAction::decode(receipt, 0, &opened));
    record.map_or(Owner::UNKNOWN, |record| Owner {
        agent: Some(record.agent),
        session: Some(record.session),
        key: Some(record.key.unwrap_or_default()),
    })
}

/// Whose a memo is: its first field is its agent.
pub(super) fn agent_of_memo(body: &[u8]) -> Option<String> {
    let (length, rest) = body.get(1..)?.split_first_chunk::<4>()?;
    let agent = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some(String::from_utf8_lossy(agent).into_owned())
}

impl Worker {
    /// Destroys salts, content, URLs and what was judged of a slice of actions.
    pub(crate) fn sweep_actions(
        &mut self,
        before: Millis,
        holds: &[Hold],
        from: Cursor,
        dry: bool,
    ) -> Result<Slice, StoreError> {
        let sql = "SELECT seq, time, receipt, action FROM actions
                   WHERE time < ?1 AND (salt IS NOT NULL OR content IS NOT NULL) AND (time, seq) > (?2, ?3)
                   ORDER BY time, seq LIMIT ?4";
        let gone = "UPDATE actions SET salt = NULL, content = NULL, judged = NULL, url = NULL WHERE seq = ?1";
        self.slice(before, from, dry, (sql, gone), |sealer, _, time, receipt, sealed| {
            !holds.is_empty() && owner(sealer, receipt, sealed).held(time, holds)
        })
    }

    /// Destroys a slice of memos.
    pub(crate) fn sweep_memos(
        &mut self,
        before: Millis,
        holds: &[Hold],
        from: Cursor,
        dry: bool,
    ) -> Result<Slice, StoreError> {
        let sql = "SELECT id, time, '', body FROM memos WHERE time < ?1 AND (time, id) > (?2, ?3)
                   ORDER BY time, id LIMIT ?4";
        let gone = "DELETE FROM memos WHERE id = ?1";
        self.slice(before, from, dry, (sql, gone), |sealer, row, time, _, sealed| {
            let body = || sealer.open(Column::Memo, &row.to_string(), sealed).ok();
            let whose = || Owner { agent: body().and_then(|body| agent_of_memo(&body)), ..Owner::UNKNOWN };
            !holds.is_empty() && whose().held(time, holds)
        })
    }

    fn slice(
        &mut self,
        before: Millis,
        from: Cursor,
        dry: bool,
        (found, gone): (&str, &str),
        is_held: impl Fn(&Sealer, i64, i64, &str, &[u8]) -> bool,
    ) -> Result<Slice, StoreError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.transact(|transaction, sealer| {
            let mut slice = Slice { gone: 0, held: 0, next: None };
            let mut statement = transaction.prepare_cached(found)?;
            let mut destroy = transaction.prepare_cached(gone)?;
            let mut rows = statement.query(params![before, from.0, from.1, SLICE])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let (id, time): (i64, i64) = (row.get(0)?, row.get(1)?);
                let (name, sealed): (String, Vec<u8>) = (row.get(2)?, row.get(3)?);
                count += 1;
                slice.next = Some(Cursor(time, id));
                if is_held(sealer, id, time, &name, &sealed) {
                    slice.held += 1;
                    continue;
                }
                slice.gone += 1;
                if !dry {
                    destroy.execute([id])?;
                }
            }
            if count < SLICE {
                slice.next = None;
            }
            Ok(slice)
        })
    }

    /// Destroys what there is little of: alerts, sessions that nobody used, lots that have expired.
    pub(crate) fn sweep_rest(
        &mut self,
        before: Millis,
        holds: &[Hold],
        dry: bool,
    ) -> Result<Swept, StoreError> {
        self.transact(|transaction, sealer| {
            let mut swept = Swept::default();
            for old in alert::read(transaction, sealer)?.into_iter().filter(|old| old.time < before) {
                let whose =
                    Whose { time: old.time, agent: Some(&old.agent), session: Some(&old.session), key: None };
                if holds.iter().any(|hold| hold.covers(&whose)) {
                    swept.held += 1;
                    continue;
                }
                swept.alerts += 1;
                if !dry {
                    transaction.execute("DELETE FROM alerts WHERE receipt = ?1", [&old.receipt])?;
                }
            }
            sessions(transaction, sealer, before, holds, dry, &mut swept)?;
            // The number of a lot is never given again: the last one of each key stays.
            let old = "FROM lots WHERE expires < ?1 AND number < (SELECT max(number) FROM lots other WHERE other.key = lots.key)
                       AND NOT EXISTS (SELECT 1 FROM held WHERE held.spending LIKE lots.key || ' %')";
            let at = i64::try_from(before).unwrap_or(i64::MAX);
            swept.lots = match dry {
                true => {
                    let count: i64 = transaction.query_row(&format!("SELECT count(*) {old}"), [at], |row| row.get(0))?;
                    u64::try_from(count).unwrap_or(0)
                }
                false => transaction.execute(&format!("DELETE {old}"), [at])? as u64,
            };
            Ok(swept)
        })
    }
}

/// Sessions that were last used long ago, with what they remembered. One that is stopped stays stopped: that stands elsewhere.
fn sessions(
    connection: &Connection,
    sealer: &Sealer,
    before: Millis,
    holds: &[Hold],
    dry: bool,
    swept: &mut Swept,
) -> Result<(), crate::worker::Failed> {
    for session in crate::sessions::read(connection, sealer)?? {
        let SessionRecord { id, name, used, .. } = &session;
        if *used >= before {
            continue;
        }
        let whose = Whose { time: *used, agent: Some(name.agent()), session: Some(name.as_str()), key: None };
        if holds.iter().any(|hold| hold.covers(&whose)) {
            swept.held += 1;
            continue;
        }
        swept.sessions += 1;
        if !dry {
            let row = i64::try_from(*id).unwrap_or(i64::MAX);
            connection.execute("DELETE FROM sessions WHERE id = ?1", [row])?;
            connection.execute("DELETE FROM stories WHERE owner = ?1", [format!("session/{id}")])?;
        }
    }
    Ok(())
}
