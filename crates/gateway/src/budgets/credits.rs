//! Credits: reserved with the decision, paid when the upstream has answered, given back otherwise.
//!
//! The ledger is the truth. A decision's receipt names the lots that its action holds; so much is used from then on.
//! An outcome's receipt says that they are paid, or that they are given back (charges of 0); it is appended before
//! anything is given back, so that a process that is killed in between has only forgotten to do it. A decision without an
//! outcome is paid.

pub(super) mod count;

pub(super) mod snapshot;

use std::collections::HashMap;
use std::sync::Arc;

use doorward_core::account::Part;
use doorward_core::action::Bill;
use doorward_core::decision::{Charge, CounterId};
use doorward_core::session::Millis;
use doorward_core::{Layer, Reason, Verdict};
use doorward_ledger::receipt::Kind;
use doorward_ledger::{Log, LogError, Receipt};
use doorward_store::accounts::{Accounts, CaughtUp, HeldCredits, KeptCredits, Spending, is_key_id};
use doorward_store::{Reader, Store};

use super::Spent;
use super::restore::{Charged, charges};
use crate::judge::Judged;
use crate::record::{Recorder, Whose};

/// The rule of what a key cannot pay.
pub const INSUFFICIENT: &str = "budget.INSUFFICIENT_CREDITS";

/// The unit of credits in receipts.
pub(crate) const UNIT: &str = "credits";

/// How it stands in the canonical form of a receipt: most have none, and reading takes longer than looking for it.
const NEEDLE: &[u8] = b"\"unit\":\"credits\"";

/// How many receipts are looked at where nothing says how many there are: more than can be on their way at once.
const MOST_ON_THEIR_WAY: u64 = 20_000;

/// What an action holds of credits.
#[derive(Debug)]
pub(crate) struct Holding {
    /// Which lots, and how much of each.
    pub spending: Spending,
    /// Whose action it is.
    pub whose: Whose,
    /// Whether its receipt is in the ledger; `None`: nobody knows.
    pub appended: Option<bool>,
}

/// Reserves what the key of an action pays, if the action passes so far. For one that is only checked there has to be as much.
pub(super) fn reserve(judged: &Judged, accounts: &Accounts, now: Millis) -> Result<Option<Holding>, Reason> {
    let action = &judged.action;
    let Some(bill) = action.bill.as_ref().filter(|bill| bill.credits > 0) else { return Ok(None) };
    if !judged.decision.passes() {
        return Ok(None);
    }
    if action.only_checked {
        let remaining = accounts.remaining(&bill.key, now).credits;
        return if remaining < bill.credits { Err(lacking(bill, remaining)) } else { Ok(None) };
    }
    let reserved = accounts.reserve(&bill.key, bill.credits, now);
    let spending = reserved.map_err(|short| lacking(bill, short.remaining))?;
    Ok(Some(Holding { spending, whose: Whose::of(action), appended: Some(false) }))
}

/// A key cannot pay.
fn lacking(bill: &Bill, remaining: u64) -> Reason {
    Reason {
        rule: INSUFFICIENT.into(),
        layer: Layer::Budget,
        verdict: Verdict::Block,
        severity: 70,
        message: format!(
            "the key {} has {remaining} credits left, and this takes {}",
            bill.key, bill.credits
        ),
        advice: "ask the operator for credits (`doorward credits grant`)".into(),
        part: None,
    }
}

impl Holding {
    /// What the decision's receipt says of it: `KEY/LOT`, and how many.
    pub(super) fn charges(&self) -> impl Iterator<Item = Charge> {
        self.paid().into_iter().map(|paid| Charge {
            account: paid.account,
            unit: UNIT,
            amount: paid.amount,
            later: None,
            counter: CounterId::default(),
            most: 0,
            window: 0,
        })
    }

    /// What the outcome's receipt says of it once it is paid.
    pub(crate) fn paid(&self) -> Vec<Spent> {
        let Spending { key, parts } = &self.spending;
        let paid =
            |part: &Part| Spent { account: format!("{key}/{}", part.lot), unit: UNIT, amount: part.amount };
        parts.iter().map(paid).collect()
    }

    /// Gives it back where nobody can wait: first the receipt that says so.
    pub(super) fn give_back(self, recorder: &Recorder, store: &Store, receipt: Option<String>) {
        let Some(receipt) = receipt else { return store.accounts().release(&self.spending) };
        match self.appended {
            // The ledger knows nothing of it.
            Some(false) => store.settle_credits(receipt, Some(self.spending)),
            Some(true) => {
                let recorder = recorder.clone();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        let whose = self.whose.clone();
                        recorder.unanswered(&whose, &receipt, "withdrawn", None, Some(self)).await;
                    });
                }
            }
            None => {}
        }
    }
}

/// Lets the store know what the ledger knows: an earlier process may have been killed before it came to write it.
///
/// # Errors
/// If the ledger cannot be read.
pub(crate) fn catch_up(log: &Log, store: &Store, recorded: Option<u64>) -> Result<(), LogError> {
    let KeptCredits { held, early, unsure, caught } = store.accounts().take_kept();
    let size = log.size();
    if store.accounts().keys().is_empty() {
        return Ok(());
    }
    // From here on, decisions may not have been recorded.
    let decisions = recorded.unwrap_or_else(|| size.saturating_sub(MOST_ON_THEIR_WAY)).max(caught).min(size);
    let from = held.iter().map(|held| held.since).chain([decisions]).min().unwrap_or(decisions);
    let view = log.view();
    let reader = Reader::open(store.home()).ok().flatten();
    let is_recorded = |id: &str| {
        reader.as_ref().is_some_and(|reader| reader.action(id).is_ok_and(|action| action.is_some()))
    };
    let mut open: HashMap<String, Open> = HashMap::new();
    for HeldCredits { receipt, spending, .. } in held {
        open.insert(receipt, Open { spending, recorded: true, decided: false });
    }
    let mut early: HashMap<String, Option<Spending>> = early.into_iter().collect();
    let mut found = CaughtUp { ledger_size: size, ..CaughtUp::default() };
    for entry in view.entries(from..size) {
        let (index, bytes) = entry?;
        let Some(receipt) = told(&bytes) else { continue };
        match receipt {
            Told::Decision(id, spending) => match open.get_mut(&id) {
                Some(known) => known.decided = true,
                None if index >= decisions && !is_recorded(&id) => match early.remove(&id) {
                    Some(back) => {
                        found.used.extend(less(spending, back.as_ref()));
                        found.settled.push(id);
                    }
                    None => drop(open.insert(id, Open { spending, recorded: false, decided: true })),
                },
                None => {}
            },
            Told::Outcome(id, paid) => {
                let Some(Open { spending, recorded, .. }) = open.remove(&id) else { continue };
                // What was taken and given back meanwhile was never more than there is; taken all at once it could be.
                let change = if recorded { less(spending, paid.as_ref()) } else { paid };
                let list = if recorded { &mut found.back } else { &mut found.used };
                list.extend(change);
                found.settled.push(id);
            }
            Told::Grant(..) => {}
        }
    }
    for (id, Open { spending, recorded, decided }) in open {
        match (recorded, decided) {
            // Nobody saw how it ended: it is paid.
            (true, true) => {}
            (false, _) => found.used.push(spending),
            // Recorded, and never decided: the process was killed between the two.
            (true, false) => found.back.push(spending),
        }
        found.settled.push(id);
    }
    // Neither recorded nor decided: nothing was taken.
    found.settled.extend(early.into_keys());
    for record in &unsure {
        let lot = (Arc::clone(&record.key), record.lot.number);
        let list = if view.find(&record.receipt)?.is_some() { &mut found.granted } else { &mut found.void };
        list.push(lot);
    }
    if !(found.used.is_empty() && found.settled.is_empty() && unsure.is_empty()) {
        let (used, settled) = (found.used.len(), found.settled.len());
        tracing::info!(used, settled, lots = unsure.len(), "credits: counted what was cut off");
    }
    store.credits_caught_up(found, &unsure);
    Ok(())
}

/// What an action holds whose outcome was not found yet.
struct Open {
    spending: Spending,
    /// Whether the store has it.
    recorded: bool,
    /// Whether the receipt of its decision was seen.
    decided: bool,
}

/// What a receipt tells of credits.
enum Told {
    /// A decision that holds some.
    Decision(String, Spending),
    /// The outcome of that decision, and what was paid.
    Outcome(String, Option<Spending>),
    /// A lot was granted: key, number, how many, until when.
    Grant(Arc<str>, u32, u64, Millis),
}

fn told(bytes: &[u8]) -> Option<Told> {
    if !bytes.windows(NEEDLE.len()).any(|window| window == NEEDLE) {
        return None;
    }
    let receipt = Receipt::parse(bytes).ok()?;
    match receipt.kind() {
        Kind::Decision | Kind::Opened => {
            Some(Told::Decision(receipt.id().to_owned(), spending(&charges(&receipt, "decision"))?))
        }
        Kind::Outcome => {
            let settles = receipt.body().text("settles")?.to_owned();
            Some(Told::Outcome(settles, spending(&charges(&receipt, "outcome"))))
        }
        Kind::Control => {
            let lot = receipt.body().get("credits")?.as_object()?;
            let number = |key: &str| lot.get(key).and_then(|value| value.as_int());
            let of = u32::try_from(number("lot")?).ok()?;
            let amount = u64::try_from(number("amount")?).ok()?;
            let expires = u64::try_from(number("expires")?).ok()?;
            Some(Told::Grant(lot.text("key")?.into(), of, amount, expires))
        }
        _ => None,
    }
}

/// The credits among charges; `None` if there are none.
fn spending(charges: &[Charged<'_>]) -> Option<Spending> {
    let mut key: Option<Arc<str>> = None;
    let mut parts = Vec::new();
    for charge in charges.iter().filter(|charge| charge.unit == UNIT) {
        let (of, lot) = charge.account.split_once('/').filter(|(of, _)| is_key_id(of))?;
        key.get_or_insert_with(|| of.into());
        parts.push(Part { lot: lot.parse().ok()?, amount: charge.amount });
    }
    Some(Spending { key: key?, parts })
}

/// What is left of `held` when `paid` is paid.
fn less(held: Spending, paid: Option<&Spending>) -> Option<Spending> {
    let of_lot = |lot: u32| paid.iter().flat_map(|paid| &paid.parts).filter(move |part| part.lot == lot);
    let left = held.parts.iter().map(|part| {
        let paid: u64 = of_lot(part.lot).map(|part| part.amount).sum();
        Part { amount: part.amount.saturating_sub(paid), ..*part }
    });
    let parts: Vec<Part> = left.filter(|part| part.amount > 0).collect();
    (!parts.is_empty()).then_some(Spending { parts, ..held })
}

#[cfg(test)]
mod tests;
