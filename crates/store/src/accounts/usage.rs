//! What came of the calls of each key within the last 24 hours, to the quarter of an hour.
//!
//! It is in memory, whole, and read there. What is counted is written with the next batch of records, so that a restart goes on; a
//! process that is killed loses some milliseconds of it. It is told to the key's holder, and decides nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_core::session::Millis;
use rusqlite::{Connection, Transaction, params};

use crate::worker::Failed;

/// How long a slot is, in milliseconds.
const SLOT: Millis = 15 * 60 * 1000;

/// How many slots are told of, the one that runs included.
const TOLD: u64 = 96;

/// The most names of outcomes that are counted of one key: the door has fewer codes.
const MOST_OUTCOMES: usize = 64;

/// Outcomes by name.
type Outcomes = BTreeMap<Arc<str>, u64>;

/// The slots of one key, the oldest first.
type Slots = VecDeque<(u64, Outcomes)>;

/// What came of the calls of all keys.
#[derive(Debug, Default)]
pub struct Usage(Mutex<HashMap<Arc<str>, Slots>>);

/// One more call, on its way to the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UsedOnce {
    key: Arc<str>,
    slot: u64,
    outcome: Arc<str>,
}

impl Usage {
    /// Counts a call of `key`, and returns what is to be written.
    pub(crate) fn count(&self, key: &Arc<str>, outcome: &str, now: Millis) -> Option<UsedOnce> {
        let slot = now / SLOT;
        let mut all = self.lock();
        let slots = all.entry(Arc::clone(key)).or_default();
        slots.retain(|(other, _)| is_told(*other, slot));
        let known = slots.iter().position(|(other, _)| *other == slot);
        if known.is_none() {
            slots.push_back((slot, Outcomes::new()));
        }
        let at = known.unwrap_or(slots.len().saturating_sub(1));
        let (_, outcomes) = slots.get_mut(at)?;
        if outcomes.len() >= MOST_OUTCOMES && !outcomes.contains_key(outcome) {
            return None;
        }
        let outcome =
            outcomes.get_key_value(outcome).map_or_else(|| outcome.into(), |(name, _)| Arc::clone(name));
        *outcomes.entry(Arc::clone(&outcome)).or_default() += 1;
        Some(UsedOnce { key: Arc::clone(key), slot, outcome })
    }

    /// How often each outcome came within the last 24 hours.
    #[must_use]
    pub fn of(&self, key: &str, now: Millis) -> BTreeMap<Arc<str>, u64> {
        let mut sum = Outcomes::new();
        let all = self.lock();
        let slots = all.get(key).into_iter().flatten();
        for (name, count) in slots.filter(|(slot, _)| is_told(*slot, now / SLOT)).flat_map(|(_, all)| all) {
            *sum.entry(Arc::clone(name)).or_default() += count;
        }
        sum
    }

    /// Reads what earlier processes counted, and removes what is not told any more.
    pub(crate) fn read(connection: &Connection, now: Millis) -> Result<Self, rusqlite::Error> {
        let slot = now / SLOT;
        sweep(connection, now)?;
        let mut all: HashMap<Arc<str>, Slots> = HashMap::new();
        let mut statement =
            connection.prepare("SELECT key, slot, outcome, count FROM usage ORDER BY key, slot")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })?;
        for row in rows {
            let (key, at, outcome, count) = row?;
            let (at, count) = (at.unsigned_abs(), count.unsigned_abs());
            if !is_told(at, slot) {
                continue;
            }
            let slots = all.entry(key.into()).or_default();
            if slots.back().is_none_or(|(last, _)| *last != at) {
                slots.push_back((at, Outcomes::new()));
            }
            if let Some((_, outcomes)) = slots.back_mut() {
                outcomes.insert(outcome.into(), count);
            }
        }
        Ok(Self(Mutex::new(all)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Slots>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what was counted in one slot is told in another. A clock that was ahead for a while leaves slots to come; those are
/// told for a day as well.
const fn is_told(slot: u64, now: u64) -> bool {
    slot.abs_diff(now) < TOLD
}

/// Writes that so many calls were counted.
pub(crate) fn write(transaction: &Transaction<'_>, used: &UsedOnce, count: u64) -> Result<(), Failed> {
    let sql = "INSERT INTO usage (key, slot, outcome, count) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (key, slot, outcome) DO UPDATE SET count = count + ?4";
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    transaction.prepare_cached(sql)?.execute(params![
        used.key,
        number(used.slot),
        used.outcome,
        number(count)
    ])?;
    Ok(())
}

/// Removes what is not told any more at `now`.
pub(crate) fn sweep(connection: &Connection, now: Millis) -> Result<(), rusqlite::Error> {
    let slot = i64::try_from(now / SLOT).unwrap_or(i64::MAX);
    let told = i64::try_from(TOLD).unwrap_or(i64::MAX);
    let sql = "DELETE FROM usage WHERE slot <= ?1 - ?2 OR slot >= ?1 + ?2";
    connection.execute(sql, params![slot, told]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MIGRATIONS;

    const DAY: Millis = 96 * SLOT;

    fn counted(usage: &Usage, now: Millis) -> Vec<(String, u64)> {
        usage.of("k", now).iter().map(|(name, count)| (name.to_string(), *count)).collect()
    }

    fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn a_day_is_told_and_a_restart_goes_on() {
        let mut connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let (usage, key) = (Usage::default(), Arc::from("k"));
        let began = 1000 * DAY;
        for (outcome, now) in [
            ("ALLOWED", began),
            ("ALLOWED", began + SLOT - 1),
            ("SSRF_BLOCKED", began + SLOT),
            ("ALLOWED", began + DAY - 1),
        ] {
            let used = usage.count(&key, outcome, now).unwrap();
            let transaction = connection.transaction().unwrap();
            assert!(write(&transaction, &used, 1).is_ok());
            transaction.commit().unwrap();
        }
        usage.count(&"other".into(), "ALLOWED", began);
        let all = pairs(&[("ALLOWED", 3), ("SSRF_BLOCKED", 1)]);
        assert_eq!(counted(&usage, began + DAY - 1), all);
        assert_eq!(counted(&Usage::read(&connection, began + DAY - 1).unwrap(), began + DAY - 1), all);
        let later = began + DAY;
        let rest = pairs(&[("ALLOWED", 1), ("SSRF_BLOCKED", 1)]);
        assert_eq!(counted(&usage, later), rest);
        let read = Usage::read(&connection, later).unwrap();
        assert_eq!(counted(&read, later), rest);
        assert_eq!(counted(&read, began + 2 * DAY), pairs(&[]));
        // What is gone is gone.
        assert_eq!(counted(&Usage::read(&connection, began).unwrap(), began), rest);
        Usage::read(&connection, began + 3 * DAY).unwrap();
        let left: i64 = connection.query_row("SELECT count(*) FROM usage", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (usage, key) = (Usage::default(), Arc::from("k"));
        for nth in 0..1000 {
            usage.count(&key, &format!("O{nth}"), 5);
        }
        for slot in 0..1000 {
            usage.count(&key, "ALLOWED", slot * SLOT);
        }
        let all = usage.lock();
        let slots = all.get("k").unwrap();
        assert!(slots.len() <= 96 && slots.iter().all(|(_, outcomes)| outcomes.len() <= MOST_OUTCOMES));
    }
}
