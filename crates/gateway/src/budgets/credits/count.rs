//! Credits counted anew from receipts, and held against what the store has.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use doorward_core::session::Millis;
use doorward_ledger::{LogError, Receipt, View};
use doorward_store::accounts::{Accounts, Spending};

use super::snapshot::{self, Found};
use super::{Told, less, told};

/// How long after it has expired, or began, something is still counted, in milliseconds: an action takes a day at most.
pub(super) const LINGERS: Millis = 7 * 24 * 60 * 60 * 1000;

/// A lot, as the receipts have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub amount: u64,
    pub used: u64,
    pub expires: Millis,
}

/// What receipts say of credits, up to one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub lots: BTreeMap<(Arc<str>, u32), Counted>,
    /// What is held by actions whose outcome was not seen: since when, and what.
    pub open: BTreeMap<String, (Millis, Spending)>,
}

impl Count {
    /// Counts these receipts. Returns how many told of credits.
    pub fn take_in(&mut self, ledger: &View, range: Range<u64>) -> Result<u64, LogError> {
        let mut count = 0;
        for entry in ledger.entries(range) {
            let (_, bytes) = entry?;
            let Some(told) = told(&bytes) else { continue };
            count += 1;
            let time = Receipt::parse(&bytes).ok().and_then(|receipt| u64::try_from(receipt.time_ms()).ok());
            self.one(told, time.unwrap_or(0));
        }
        Ok(count)
    }

    fn one(&mut self, told: Told, time: Millis) {
        match told {
            Told::Grant(key, lot, amount, expires) => {
                self.lots.insert((key, lot), Counted { amount, used: 0, expires });
            }
            Told::Decision(id, spending) => {
                for part in &spending.parts {
                    let lot = self.lots.entry((Arc::clone(&spending.key), part.lot)).or_default();
                    lot.used = lot.used.saturating_add(part.amount);
                }
                self.open.insert(id, (time, spending));
            }
            Told::Outcome(id, paid) => {
                let Some((_, held)) = self.open.remove(&id) else { return };
                for part in less(held.clone(), paid.as_ref()).iter().flat_map(|back| &back.parts) {
                    let lot = self.lots.entry((Arc::clone(&held.key), part.lot)).or_default();
                    lot.used = lot.used.saturating_sub(part.amount);
                }
            }
        }
    }

    /// Leaves out what nothing can change any more at `time`.
    pub fn trim(&mut self, time: Millis) {
        self.lots.retain(|_, lot| lot.expires.saturating_add(LINGERS) > time);
        self.open.retain(|_, (since, _)| since.saturating_add(LINGERS) > time);
    }
}

/// A lot of which ledger and store say different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// The key.
    pub key: Arc<str>,
    /// The lot's number.
    pub lot: u32,
    /// How many were granted and used, as the ledger has it; `None` if it has no such grant.
    pub ledger: Option<(u64, u64)>,
    /// The same, as the store has it.
    pub store: Option<(u64, u64)>,
}

/// What counting anew has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Where store and ledger differ.
    pub differs: Vec<Differs>,
    /// The snapshot that was counted on from: up to which receipt it counts.
    pub from: u64,
    /// How many snapshots were held against the receipts before them.
    pub checked: u64,
    /// What is wrong with snapshots, in words.
    pub wrong: Vec<String>,
}

impl Audit {
    /// Whether all is well.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.differs.is_empty() && self.wrong.is_empty()
    }
}

/// Counts credits anew from the receipts since the newest snapshot, or with `whole` from all of them, each snapshot held
/// against its own count, and compares them with the store. While a process runs, what is under way may differ.
///
/// # Errors
/// If the ledger cannot be read.
pub fn audit(ledger: &View, accounts: &Accounts, whole: bool, now: Millis) -> Result<Audit, LogError> {
    let mut audit = Audit::default();
    let mut count = Count::default();
    let mut trimmed = 0;
    if whole {
        let mut at = 0;
        for found in snapshot::all(ledger)? {
            let page = match found {
                Found::Good(snapshot) => snapshot,
                Found::Wrong(what) => {
                    audit.wrong.push(what);
                    continue;
                }
            };
            count.take_in(ledger, at..page.counted)?;
            at = at.max(page.counted);
            let mut then = count.clone();
            then.trim(page.time);
            audit.checked += 1;
            trimmed = trimmed.max(page.time);
            if then != page.count {
                audit.wrong.push(format!(
                    "the snapshot over the first {} receipts does not say what they say",
                    page.counted
                ));
            }
        }
        count.take_in(ledger, at..ledger.size())?;
    } else {
        match snapshot::newest(ledger)? {
            Some(Found::Good(found)) => {
                audit.from = found.counted;
                trimmed = found.time;
                count = found.count;
            }
            Some(Found::Wrong(what)) => audit.wrong.push(what),
            None => {}
        }
        count.take_in(ledger, audit.from..ledger.size())?;
    }
    audit.differs = differs(&count, accounts, trimmed, now);
    Ok(audit)
}

fn differs(count: &Count, accounts: &Accounts, trimmed: Millis, now: Millis) -> Vec<Differs> {
    let mut stored = HashMap::new();
    for (key, balance) in accounts.balances() {
        for lot in balance.lots() {
            stored.insert((Arc::clone(&key), lot.number), (lot.amount, lot.used, lot.expires));
        }
    }
    // What is under way, and what has ended without an outcome, is used either way.
    let mut all: Vec<(Arc<str>, u32)> = count.lots.keys().chain(stored.keys()).cloned().collect();
    all.sort();
    all.dedup();
    let differs = all.into_iter().filter_map(|(key, lot)| {
        let at = (Arc::clone(&key), lot);
        let (counted, kept) = (count.lots.get(&at), stored.get(&at));
        let expires = kept.map(|(_, _, expires)| *expires).or(counted.map(|lot| lot.expires)).unwrap_or(0);
        // What has expired may be forgotten, here or there.
        let forgotten = match (counted, kept) {
            (Some(_), None) => expires <= now,
            (None, Some(_)) => expires.saturating_add(LINGERS) <= trimmed,
            _ => false,
        };
        let ledger = counted.map(|lot| (lot.amount, lot.used));
        let store = kept.map(|(amount, used, _)| (*amount, *used));
        (!forgotten && ledger != store).then_some(Differs { key, lot, ledger, store })
    });
    differs.collect()
}
