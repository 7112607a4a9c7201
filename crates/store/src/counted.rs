//! What limits have counted, so that a restart does not forget it.
//!
//! The gateway has the counters in memory and works from there. Here lie their uses, written with the records of the
//! actions that they are of, in one transaction: an action that is recorded is counted. What was recorded last tells
//! how long the ledger was when it was queued; every receipt before that was queued earlier still, and so is recorded
//! as well. The few behind it are for whoever starts to look at.
//!
//! A counter's name is a digest of what it counts by (an endpoint, a value in a body) that could be guessed from its
//! digest: it is sealed, and found again by a keyed digest of its own.

use doorward_core::syntax::hex;
use std::collections::HashSet;

use doorward_core::decision::CounterId;
use doorward_core::policy::Use;
use doorward_core::session::Millis;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::accounts::Spending;
use crate::batch::{Batch, Uses};
use crate::seal::{Column, Sealer};
use crate::worker::Failed;

/// No more stands in one slot, in either direction, and no more is ever added: what SQLite adds fits 64 bits.
const MOST: i64 = 4_000_000_000_000_000_000;

/// The name of the ledger's length among what is kept of the store itself.
const LEDGER_SIZE: &str = "ledger_size";

/// What limits counted of one action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many receipts the ledger had before the action's own was given to it.
    pub ledger_size: u64,
    /// When it was.
    pub now: Millis,
    /// On which counters it stands.
    pub uses: Vec<Use>,
    /// What is to be counted once its reply has ended.
    pub owed: Vec<Owed>,
    /// What it holds of credits.
    pub credits: Option<Spending>,
}

/// What is to be counted once a reply has ended, if this process does not live to see that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The limit.
    pub account: String,
    /// Its unit.
    pub unit: String,
    /// Its counter.
    pub counter: CounterId,
    /// Its window.
    pub window: Millis,
    /// How much it will be, as far as can be told before.
    pub estimate: u64,
}

/// What earlier processes counted.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Uses, those of one counter in the order of their slots.
    pub uses: Vec<Use>,
    /// Of each request whose reply had not ended, its receipt and what is to be counted.
    pub owed: Vec<(String, Vec<Owed>)>,
    /// How many receipts the ledger had when the last action was recorded; `None` if none was.
    pub ledger_size: Option<u64>,
}

/// A change that is no part of a record.
#[derive(Debug)]
pub(crate) enum Recount {
    /// A reply has ended, or its request never went: these uses more and those less, and nothing more to come.
    Settle { receipt: Option<String>, more: Vec<Use>, less: Vec<Use> },
    /// What was found out at the start: uses, requests that are settled by them, and the ledger's length.
    Caught { uses: Vec<Use>, settled: Vec<String>, ledger_size: u64 },
    /// Only these limits are left.
    Retain(HashSet<[u8; 16]>),
}

impl Recount {
    pub(crate) fn size(&self) -> usize {
        let uses = match self {
            Self::Settle { more, less, .. } => more.len() + less.len(),
            Self::Caught { uses, settled, .. } => uses.len() + settled.len(),
            Self::Retain(groups) => groups.len(),
        };
        128 + uses * size_of::<Use>()
    }
}

/// Writes what was counted of a recorded action.
pub(crate) fn record(
    transaction: &Transaction<'_>,
    sealer: &Sealer,
    receipt: &str,
    counted: &Counted,
    (batch, uses): (&Batch<'_>, &mut Uses),
) -> Result<(), Failed> {
    add(transaction, sealer, &counted.uses, 1)?;
    if let Some(credits) = &counted.credits {
        batch.hold(transaction, (receipt, credits), counted.ledger_size, uses)?;
    }
    if !counted.owed.is_empty() {
        let sealed = sealer.seal(Column::Owed, receipt, &encode(&counted.owed))?;
        let sql = "INSERT INTO owed (receipt, body) VALUES (?1, ?2) ON CONFLICT (receipt) DO NOTHING";
        if transaction.prepare_cached(sql)?.execute(params![receipt, sealed])? == 0 {
            // It is settled already: that went by another way, and was quicker.
            remove(transaction, receipt)?;
        }
    }
    Ok(())
}

/// Writes how long the ledger was.
pub(crate) fn reached(transaction: &Transaction<'_>, ledger_size: u64) -> Result<(), Failed> {
    let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
    transaction.prepare_cached(sql)?.execute(params![LEDGER_SIZE, ledger_size.to_be_bytes()])?;
    Ok(())
}

/// Writes other changes.
pub(crate) fn write(
    transaction: &Transaction<'_>,
    sealer: &Sealer,
    changes: &[Recount],
) -> Result<(), Failed> {
    let settle = |receipt: &str| -> Result<(), Failed> {
        if remove(transaction, receipt)? == 0 {
            // Its record is still on its way, and is not to be owed when it comes.
            let sql = "INSERT OR REPLACE INTO owed (receipt, body) VALUES (?1, x'')";
            transaction.prepare_cached(sql)?.execute([receipt])?;
        }
        Ok(())
    };
    for change in changes {
        match change {
            Recount::Settle { receipt, more, less } => {
                add(transaction, sealer, more, 1)?;
                add(transaction, sealer, less, -1)?;
                receipt.as_deref().map_or(Ok(()), settle)?;
            }
            Recount::Caught { uses, settled, ledger_size } => {
                add(transaction, sealer, uses, 1)?;
                settled.iter().try_for_each(|receipt| remove(transaction, receipt).map(drop))?;
                reached(transaction, *ledger_size)?;
            }
            Recount::Retain(groups) => retain(transaction, sealer, groups)?,
        }
    }
    Ok(())
}

fn remove(transaction: &Transaction<'_>, receipt: &str) -> Result<usize, Failed> {
    Ok(transaction.prepare_cached("DELETE FROM owed WHERE receipt = ?1")?.execute([receipt])?)
}

fn add(transaction: &Transaction<'_>, sealer: &Sealer, uses: &[Use], sign: i64) -> Result<(), Failed> {
    for used in uses.iter().filter(|used| used.amount > 0) {
        let tag = tag(sealer, used);
        let slot = number(used.slot);
        let amount = number(used.amount) * sign;
        // Given back before it is written it stands below zero for a moment: the order does not matter.
        let sql =
            "UPDATE counter_uses SET amount = max(?4, min(?5, amount + ?3)) WHERE tag = ?1 AND slot = ?2";
        let known = transaction.prepare_cached(sql)?.execute(params![tag, slot, amount, -MOST, MOST])?;
        if known > 0 {
            continue;
        }
        let sealed = sealer.seal(Column::Counter, &hex(&tag), &name(used))?;
        let sql = "INSERT INTO counters (tag, body) VALUES (?1, ?2) ON CONFLICT (tag) DO NOTHING";
        transaction.prepare_cached(sql)?.execute(params![tag, sealed])?;
        let sql = "INSERT INTO counter_uses (tag, slot, amount, until) VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(sql)?.execute(params![tag, slot, amount, number(used.until())])?;
    }
    Ok(())
}

/// Removes what does not count any more at `now`.
pub(crate) fn sweep(connection: &Connection, now: Millis) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM counter_uses WHERE until <= ?1", [number(now)])?;
    let sql = "DELETE FROM counters WHERE NOT EXISTS (SELECT 1 FROM counter_uses WHERE counter_uses.tag = counters.tag)";
    connection.execute(sql, [])?;
    Ok(())
}

fn retain(transaction: &Transaction<'_>, sealer: &Sealer, groups: &HashSet<[u8; 16]>) -> Result<(), Failed> {
    let mut all = transaction.prepare("SELECT tag, body FROM counters")?;
    let rows = all.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    for row in rows {
        let (tag, sealed) = row?;
        let body = sealer.open(Column::Counter, &hex(&tag), &sealed);
        let counter = body.ok().and_then(|body| named(&body));
        if counter.is_some_and(|(counter, ..)| groups.contains(&counter.group)) {
            continue;
        }
        transaction.prepare_cached("DELETE FROM counter_uses WHERE tag = ?1")?.execute([tag])?;
        transaction.prepare_cached("DELETE FROM counters WHERE tag = ?1")?.execute([tag])?;
    }
    Ok(())
}

/// Reads all that was kept. What does not decrypt is left out, and said.
pub(crate) fn read(connection: &Connection, sealer: &Sealer) -> Result<Kept, rusqlite::Error> {
    let mut kept = Kept::default();
    let mut counters = connection.prepare("SELECT tag, body FROM counters")?;
    let rows = counters.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let sql = "SELECT slot, amount FROM counter_uses WHERE tag = ?1 AND amount > 0 ORDER BY slot";
    let mut of_counter = connection.prepare(sql)?;
    for row in rows {
        let (tag, sealed) = row?;
        let body = sealer.open(Column::Counter, &hex(&tag), &sealed);
        let Some((counter, common, window)) = body.ok().and_then(|body| named(&body)) else {
            tracing::error!("what a limit counted cannot be read, and is forgotten");
            continue;
        };
        let uses = of_counter.query_map([tag], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        for used in uses {
            let (slot, amount) = used?;
            let (slot, amount) = (slot.unsigned_abs(), amount.unsigned_abs());
            kept.uses.push(Use { counter, common, window, slot, amount });
        }
    }
    // What was settled and never recorded.
    connection.execute("DELETE FROM owed WHERE length(body) = 0", [])?;
    let mut owed = connection.prepare("SELECT receipt, body FROM owed ORDER BY receipt")?;
    let rows = owed.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    for row in rows {
        let (receipt, sealed) = row?;
        match sealer.open(Column::Owed, &receipt, &sealed).ok().and_then(|body| decode(&body)) {
            Some(owed) => kept.owed.push((receipt, owed)),
            None => tracing::error!(receipt, "what a reply used cannot be read, and is forgotten"),
        }
    }
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let size: Option<[u8; 8]> = connection.query_row(sql, [LEDGER_SIZE], |row| row.get(0)).optional()?;
    kept.ledger_size = size.map(u64::from_be_bytes);
    Ok(kept)
}

fn tag(sealer: &Sealer, used: &Use) -> [u8; 16] {
    sealer.tag(&name(used))
}

/// Group, key, whether it is the common one, window.
fn name(used: &Use) -> [u8; 41] {
    let mut name = [0; 41];
    let common = [u8::from(used.common)];
    // The common counter is one, whoever counts on it.
    let key = if used.common { [0; 16] } else { used.counter.key };
    let window = used.window.to_be_bytes();
    let pieces = used.counter.group.iter().chain(&key).chain(&common).chain(&window);
    name.iter_mut().zip(pieces).for_each(|(to, from)| *to = *from);
    name
}

fn named(name: &[u8]) -> Option<(CounterId, bool, Millis)> {
    let (group, rest) = name.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let ([common], rest) = rest.split_first_chunk()?;
    let (window, []) = rest.split_first_chunk()? else { return None };
    Some((CounterId { group: *group, key: *key }, *common == 1, u64::from_be_bytes(*window)))
}

fn encode(owed: &[Owed]) -> Vec<u8> {
    let mut out = Vec::with_capacity(owed.len() * 96);
    for one in owed {
        out.extend_from_slice(&one.counter.group);
        out.extend_from_slice(&one.counter.key);
        out.extend_from_slice(&one.window.to_be_bytes());
        out.extend_from_slice(&one.estimate.to_be_bytes());
        for text in [&one.account, &one.unit] {
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn decode(mut body: &[u8]) -> Option<Vec<Owed>> {
    fn chunk<const N: usize>(body: &mut &[u8]) -> Option<[u8; N]> {
        let (chunk, rest) = body.split_first_chunk()?;
        *body = rest;
        Some(*chunk)
    }
    fn text(body: &mut &[u8]) -> Option<String> {
        let length = usize::try_from(u64::from_be_bytes(chunk(body)?)).ok()?;
        let (text, rest) = body.split_at_checked(length)?;
        *body = rest;
        String::from_utf8(text.to_vec()).ok()
    }
    let mut all = Vec::new();
    while !body.is_empty() {
        let counter = CounterId { group: chunk(&mut body)?, key: chunk(&mut body)? };
        let [window, estimate] = [chunk(&mut body)?, chunk(&mut body)?].map(u64::from_be_bytes);
        let (account, unit) = (text(&mut body)?, text(&mut body)?);
        all.push(Owed { account, unit, counter, window, estimate });
    }
    Some(all)
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MIGRATIONS;
    use crate::secret::Secret32;

    const MINUTE: Millis = 60_000;

    fn open() -> (Connection, Sealer) {
        let connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        (connection, Sealer::new(&Secret32::new([7; 32])))
    }

    fn used(key: u8, slot: u64, amount: u64) -> Use {
        Use {
            counter: CounterId { group: [1; 16], key: [key; 16] },
            common: false,
            window: MINUTE,
            slot,
            amount,
        }
    }

    fn change((connection, sealer): &mut (Connection, Sealer), change: Recount) {
        let transaction = connection.transaction().unwrap();
        assert!(write(&transaction, sealer, &[change]).is_ok());
        transaction.commit().unwrap();
    }

    fn settle(more: Vec<Use>, less: Vec<Use>) -> Recount {
        Recount::Settle { receipt: None, more, less }
    }

    #[test]
    fn uses_add_up_in_any_order() {
        let mut db = open();
        change(&mut db, settle(vec![], vec![used(1, 5, 3)]));
        change(&mut db, settle(vec![used(2, 9, 1), used(1, 6, 1)], vec![]));
        assert_eq!(read(&db.0, &db.1).unwrap().uses.len(), 2, "below zero is nothing");
        change(&mut db, settle(vec![used(1, 5, 10), used(2, 8, 4)], vec![]));
        let mut uses = read(&db.0, &db.1).unwrap().uses;
        uses.sort_by_key(|used| (used.counter, used.slot));
        assert_eq!(uses, [used(1, 5, 7), used(1, 6, 1), used(2, 8, 4), used(2, 9, 1)]);
    }

    #[test]
    fn no_amount_is_too_large() {
        let mut db = open();
        for _ in 0..4 {
            change(&mut db, settle(vec![used(1, 5, u64::MAX), used(2, u64::MAX, 1)], vec![]));
        }
        let uses = read(&db.0, &db.1).unwrap().uses;
        assert!(uses.contains(&used(1, 5, MOST.unsigned_abs())), "{uses:?}");
    }

    #[test]
    fn what_is_old_goes_and_what_is_left_of_limits_too() {
        let mut db = open();
        let other =
            Use { counter: CounterId { group: [2; 16], key: [0; 16] }, common: true, ..used(0, 7, 1) };
        change(&mut db, settle(vec![used(1, 5, 1), used(1, 500, 1), other], vec![]));
        sweep(&db.0, used(1, 5, 1).until() - 1).unwrap();
        assert_eq!(read(&db.0, &db.1).unwrap().uses.len(), 3);
        change(&mut db, Recount::Retain([[1; 16]].into()));
        sweep(&db.0, used(1, 5, 1).until()).unwrap();
        assert_eq!(read(&db.0, &db.1).unwrap().uses, [used(1, 500, 1)]);
        let count = |table: &str| -> i64 {
            db.0.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("counters"), count("counter_uses")), (1, 1));
    }

    #[test]
    fn what_is_owed_is_kept_until_it_is_settled() {
        let mut db = open();
        let owed = |account: &str| Owed {
            account: account.into(),
            unit: "tokens".into(),
            counter: used(3, 0, 0).counter,
            window: MINUTE,
            estimate: 77,
        };
        let counted =
            Counted { owed: vec![owed("a"), owed("ä b")], uses: vec![used(1, 1, 1)], ..Counted::default() };
        let transaction = db.0.transaction().unwrap();
        assert!(
            record(&transaction, &db.1, "r1", &counted, (&Batch::default(), &mut Uses::default())).is_ok()
                && record(&transaction, &db.1, "r2", &counted, (&Batch::default(), &mut Uses::default()))
                    .is_ok()
        );
        assert!(reached(&transaction, 41).is_ok());
        transaction.commit().unwrap();
        change(
            &mut db,
            Recount::Settle { receipt: Some("r2".into()), more: vec![used(3, 2, 50)], less: vec![] },
        );
        let kept = read(&db.0, &db.1).unwrap();
        assert_eq!(kept.owed, [("r1".to_owned(), counted.owed)]);
        assert_eq!((kept.uses.len(), kept.ledger_size), (2, Some(41)));
        let caught = Recount::Caught { uses: vec![], settled: vec!["r1".into()], ledger_size: 50 };
        change(&mut db, caught);
        let kept = read(&db.0, &db.1).unwrap();
        assert_eq!((kept.owed.len(), kept.ledger_size), (0, Some(50)));
    }

    #[test]
    fn what_is_settled_before_it_is_recorded_is_not_owed() {
        let mut db = open();
        let used_up = Recount::Settle { receipt: Some("r1".into()), more: vec![used(1, 2, 5)], less: vec![] };
        change(&mut db, used_up);
        let owed = Owed {
            account: "a".into(),
            unit: "tokens".into(),
            counter: used(1, 0, 0).counter,
            window: MINUTE,
            estimate: 77,
        };
        let counted = Counted { owed: vec![owed], ..Counted::default() };
        let write = |db: &mut (Connection, Sealer)| {
            let transaction = db.0.transaction().unwrap();
            assert!(
                record(&transaction, &db.1, "r1", &counted, (&Batch::default(), &mut Uses::default()))
                    .is_ok()
            );
            transaction.commit().unwrap();
        };
        write(&mut db);
        let count = |db: &Connection| {
            db.query_row("SELECT count(*) FROM owed", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count(&db.0), 0);
        // The other way round, and for one that never comes.
        change(&mut db, Recount::Settle { receipt: Some("r2".into()), more: vec![], less: vec![] });
        write(&mut db);
        change(&mut db, Recount::Settle { receipt: Some("r1".into()), more: vec![], less: vec![] });
        assert_eq!((read(&db.0, &db.1).unwrap().owed.len(), count(&db.0)), (0, 0));
    }

    #[test]
    fn names_are_not_there_in_the_clear() {
        let mut db = open();
        change(&mut db, settle(vec![used(0xAB, 5, 3)], vec![]));
        let (tag, body): (Vec<u8>, Vec<u8>) =
            db.0.query_row("SELECT tag, body FROM counters", [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
        let holds = |bytes: &[u8]| bytes.windows(4).any(|four| four == [0xAB; 4]);
        assert!(!holds(&tag) && !holds(&body));
        assert_ne!(tag, Sealer::new(&Secret32::new([8; 32])).tag(&name(&used(0xAB, 5, 3))));
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_not_decoded_to_more_than_it_holds(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Some(owed) = decode(&bytes) {
                proptest::prop_assert_eq!(encode(&owed), bytes);
            }
        }
    }
}
