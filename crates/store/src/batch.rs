//! What a batch says several times over is written once.
//!
//! A request of the egress door is recorded with the credits that it holds and settled a millisecond later; its session and its
//! agent remember something of it. Statement by statement that took more of the store's thread than the records did. All of a
//! batch is one transaction, so whoever reads sees only what it comes to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::Transaction;

use crate::accounts::{self, CreditChange, Spending, UsedOnce};
use crate::counted::Counted;
use crate::memo::Change;
use crate::record::RecordedAction;
use crate::stories::{Owner, Tale};
use crate::worker::Failed;

/// How much of which lots is used, and given back.
#[derive(Debug, Default)]
pub(crate) struct Uses(BTreeMap<(Arc<str>, u32), i64>);

impl Uses {
    /// Adds what `spending` uses, or gives back if `sign` is -1.
    pub(crate) fn add(&mut self, spending: &Spending, sign: i64) {
        for part in &spending.parts {
            let sum = self.0.entry((Arc::clone(&spending.key), part.lot)).or_default();
            *sum = sum.saturating_add(i64::try_from(part.amount).unwrap_or(i64::MAX).saturating_mul(sign));
        }
    }
}

/// What is to be written of a batch.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    /// Changes that are contained in others, by their places.
    contained: Vec<bool>,
    /// Actions that are recorded and settled in it: they hold nothing when it is written.
    settled: HashMap<&'a str, Option<&'a Spending>>,
    calls: HashMap<&'a UsedOnce, u64>,
}

impl<'a> Batch<'a> {
    /// What these come to.
    pub(crate) fn of(records: &'a [(RecordedAction, Counted)], changes: &'a [Change]) -> Self {
        let mut batch = Self { contained: vec![false; changes.len()], ..Self::default() };
        batch.settle(records, changes);
        // What the last one says holds.
        let mut whole: HashMap<&Owner, u64> = HashMap::new();
        for (change, contained) in changes.iter().zip(&mut batch.contained).rev() {
            match change {
                Change::Tale(tale) => *contained = is_contained(tale, &mut whole),
                Change::Usage(used) => {
                    *batch.calls.entry(used).or_default() += 1;
                    *contained = true;
                }
                _ => {}
            }
        }
        batch
    }

    /// Finds the actions that are recorded and settled in it, each once.
    fn settle(&mut self, records: &'a [(RecordedAction, Counted)], changes: &'a [Change]) {
        let mut times: HashMap<&str, u32> = HashMap::new();
        let holding = records.iter().filter(|(_, counted)| counted.credits.is_some());
        holding.for_each(|(record, _)| *times.entry(&record.receipt).or_default() += 1);
        let settles = |change: &'a Change| match change {
            Change::Credits(CreditChange::Settle { receipt, back }) => {
                Some((receipt.as_str(), back.as_ref()))
            }
            _ => None,
        };
        changes.iter().filter_map(settles).for_each(|(receipt, _)| {
            // Twice recorded or twice settled is odd: then each is written as it came.
            times.entry(receipt).and_modify(|times| *times += 10);
        });
        for (change, contained) in changes.iter().zip(&mut self.contained) {
            if let Some((receipt, back)) = settles(change)
                && times.get(receipt) == Some(&11)
            {
                self.settled.insert(receipt, back);
                *contained = true;
            }
        }
    }

    /// Whether the change at this place need not be written.
    pub(crate) fn contains(&self, at: usize) -> bool {
        self.contained.get(at).copied().unwrap_or(false)
    }

    /// Writes that the action of `receipt` holds `spending`, if it still does, and adds to `uses` what it has used.
    pub(crate) fn hold(
        &self,
        transaction: &Transaction<'_>,
        (receipt, spending): (&str, &Spending),
        since: u64,
        uses: &mut Uses,
    ) -> Result<(), Failed> {
        uses.add(spending, 1);
        match self.settled.get(receipt) {
            Some(back) => {
                back.iter().for_each(|back| uses.add(back, -1));
                Ok(())
            }
            None => accounts::hold(transaction, receipt, spending, since, uses),
        }
    }

    /// Writes what was added up.
    pub(crate) fn write(&self, transaction: &Transaction<'_>, uses: &Uses) -> Result<(), Failed> {
        for ((key, lot), amount) in uses.0.iter().filter(|(_, amount)| **amount != 0) {
            accounts::use_lot(transaction, key, *lot, *amount)?;
        }
        self.calls.iter().try_for_each(|(used, count)| accounts::usage::write(transaction, used, *count))
    }
}

/// Whether a later one, of which `whole` knows, has all that this one says; and notes what this one has.
fn is_contained<'a>(tale: &'a Tale, whole: &mut HashMap<&'a Owner, u64>) -> bool {
    let known = |owner: &Owner| whole.get(owner).copied().unwrap_or(0);
    match tale {
        Tale::Add(owner, number, _) => *number < known(owner),
        Tale::Whole(owner, before, _) => {
            let contained = whole.contains_key(owner) && *before <= known(owner);
            let most = known(owner).max(*before);
            whole.insert(owner, most);
            contained
        }
        Tale::Forget(owner) => {
            whole.insert(owner, u64::MAX);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::account::Part;
    use rusqlite::Connection;

    use super::*;
    use crate::accounts::usage::Usage;
    use crate::schema::MIGRATIONS;
    use crate::seal::Sealer;
    use crate::worker::write;

    fn spending(amount: u64) -> Spending {
        Spending { key: "k".into(), parts: vec![Part { lot: 1, amount }] }
    }

    fn record(receipt: &str, amount: u64) -> (RecordedAction, Counted) {
        let counted = Counted { credits: Some(spending(amount)), ..Counted::default() };
        (RecordedAction::scrubbed(receipt, 7), counted)
    }

    fn settle(receipt: &str, back: Option<u64>) -> Change {
        Change::Credits(CreditChange::Settle { receipt: receipt.to_owned(), back: back.map(spending) })
    }

    /// Records and changes.
    type Pieces<'a> = (&'a [(RecordedAction, Counted)], &'a [Change]);

    /// How much is used, what is held, and how many calls were counted, after these batches.
    fn after(batches: &[Pieces<'_>]) -> (i64, Vec<(String, bool)>, i64) {
        let sealer = Sealer::new(&crate::Secret32::new([7; 32]));
        let mut connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let lot = "INSERT INTO lots VALUES ('k', 1, 100, 0, 0, 9, 'g', 'me', 1)";
        connection.execute(lot, []).unwrap();
        for (records, changes) in batches {
            assert!(write(&mut connection, &sealer, records, changes).is_ok());
        }
        let used = connection.query_row("SELECT used FROM lots", [], |row| row.get(0)).unwrap();
        let calls = connection.query_row("SELECT coalesce(sum(count), 0) FROM usage", [], |row| row.get(0));
        let mut held = connection.prepare("SELECT receipt, settled FROM held ORDER BY receipt").unwrap();
        let held = held.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        (used, held.map(Result::unwrap).collect(), calls.unwrap())
    }

    #[test]
    fn a_batch_comes_to_the_same_as_its_pieces() {
        let records = [record("r1", 1), record("r2", 2), record("r3", 4)];
        let usage = Usage::default();
        let call = |outcome: &str| Change::Usage(usage.count(&"k".into(), outcome, 5).unwrap());
        let changes = [
            settle("r1", None),
            call("ALLOWED"),
            settle("r2", Some(2)),
            // Recorded in another batch.
            settle("r9", Some(1)),
            call("ALLOWED"),
            call("SSRF_BLOCKED"),
        ];
        let pieces: Vec<Pieces<'_>> =
            records.iter().map(|one| (std::slice::from_ref(one), &[][..])).collect();
        let others: Vec<Pieces<'_>> =
            changes.iter().map(|one| (&[][..], std::slice::from_ref(one))).collect();
        let held = vec![("r3".to_owned(), false), ("r9".to_owned(), true)];
        let of_pieces = after(&[pieces.clone(), others.clone()].concat());
        assert_eq!(of_pieces, (5, held, 3));
        assert_eq!(after(&[(&records, &changes)]), of_pieces);
        // And in the other order: settled before it is recorded.
        assert_eq!(after(&[others, pieces].concat()), of_pieces);
    }

    #[test]
    fn what_a_later_whole_has_is_not_written() {
        let (one, other) = (Owner::Session(1), Owner::Agent("a".into()));
        let add = |owner: &Owner, number| Change::Tale(Tale::Add(owner.clone(), number, vec![1]));
        let all = |owner: &Owner, before| Change::Tale(Tale::Whole(owner.clone(), before, vec![2]));
        let changes = [
            add(&one, 1),
            all(&other, u64::MAX),
            add(&one, 2),
            all(&one, 3),
            all(&other, u64::MAX),
            add(&one, 3),
            Change::Tale(Tale::Forget(Owner::Session(9))),
            add(&Owner::Session(9), 1),
        ];
        let batch = Batch::of(&[], &changes);
        assert_eq!(batch.contained, [true, true, true, false, false, false, false, false]);
    }
}
