//! What may be spent: the limits of the policy.
//!
//! What an action costs is reserved when it is judged and belongs to its permit: a permit that is dropped or withdrawn
//! gives it back, one that is opened has used it. Tokens and money are known only when the reply ends; until then
//! [`Used`] goes along with it, and whichever way it ends, they are counted.
//!
//! Counters are in memory. The store has their uses, each written with the record of its action, so that a restart
//! goes on from them ([`restore`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_core::Action;
use doorward_core::decision::{Charge, Later};
use doorward_core::policy::{Counters, Exceeded, Policy, Reservation, Use, exceeded};
use doorward_core::usage::{Asked, Size, Tokens, UNSEEN_OUTPUT, Usage};
use doorward_store::{Counted, Owed, Store};

use crate::judge::{Judged, now};
use crate::record::{Content, Recorder};

mod credits;
pub use credits::INSUFFICIENT;
pub use credits::count::{Audit, Differs, audit};
pub use credits::snapshot::{Drawn, draw, record as record_snapshot};
pub(crate) use credits::{Holding, UNIT as CREDITS, catch_up};

mod keys;

mod restore;

#[cfg(test)]
mod tests;

/// Reserves what actions cost.
#[derive(Clone, Debug)]
pub struct Budgets {
    counters: Arc<Mutex<Counters>>,
    store: Store,
    recorder: Recorder,
}

impl Budgets {
    /// Goes on from what an earlier process `left`, as far as `policy` has its limits.
    pub(crate) fn new(store: Store, recorder: Recorder, policy: &Policy) -> Self {
        let counters = restore::counters(&store, recorder.take_left(), policy);
        Self { counters: Arc::new(Mutex::new(counters)), store, recorder }
    }

    /// What was decided, with its charges reserved: all of them, or it is a block. What does not pass costs nothing. Of what is only
    /// checked nothing is reserved; there has to be room for it all the same. `content` is what goes on.
    pub(crate) fn reserve(&self, mut judged: Judged, content: &impl Content) -> (Judged, Reserved) {
        let body = content.content().len();
        judged = keys::may(judged, self.store.accounts());
        if !judged.decision.passes() {
            judged.decision.charges.0.clear();
        } else if let Some(bill) = &judged.action.bill {
            let of_key = keys::charges(bill, self.store.accounts(), || content.leaves());
            judged.decision.charges.0.extend(of_key);
        }
        let now = judged.seen.facts.now;
        let held = credits::reserve(&judged, self.store.accounts(), now);
        let takes = !judged.action.only_checked;
        if let Some(bill) = judged.action.bill.as_ref().filter(|bill| takes && bill.credits > 0) {
            self.store.credits_used(&bill.key, now);
        }
        let held = match held {
            Ok(held) => held,
            Err(lacking) => {
                judged.decision.charges.0.clear();
                return (judged.and(lacking), Reserved::default());
            }
        };
        let charges = &mut judged.decision.charges.0;
        if charges.is_empty() && held.is_none() {
            return (judged, Reserved::default());
        }
        let reserved = self.reserved(charges, takes, now);
        match reserved {
            Ok(_) if !takes => {
                charges.clear();
                (judged, Reserved::default())
            }
            Ok(reservation) => {
                let later = charges.iter().filter(|charge| charge.later.is_some());
                let later = Outstanding {
                    charges: later.cloned().collect(),
                    size: size(&judged.action, body),
                    deferred: judged.action.asked == Asked::Deferred,
                };
                // First: a receipt has room for so many.
                charges.splice(0..0, held.iter().flat_map(Holding::charges));
                let used = Used { budgets: self.clone(), reservation, later, held, receipt: None };
                (judged, Reserved(Some(used)))
            }
            Err(full) => {
                held.iter().for_each(|held| self.store.accounts().release(&held.spending));
                charges.clear();
                // All of them have to have room.
                let room = full.iter().map(|limit| limit.again).max_by_key(|again| again.unwrap_or(u64::MAX));
                judged.decision.room_in = room.flatten().map(|again| again.saturating_sub(now));
                let judged = full.iter().fold(judged, |judged, limit| judged.and(exceeded(limit, now)));
                (judged, Reserved::default())
            }
        }
    }

    /// Counts `charges`, or says which have no room; what only looks gives them back before anybody else can look.
    fn reserved(&self, charges: &[Charge], takes: bool, now: u64) -> Result<Reservation, Vec<Exceeded>> {
        let mut counters = self.counters();
        let reserved = counters.reserve(charges, now)?;
        if takes {
            return Ok(reserved);
        }
        counters.release(reserved);
        Ok(Reservation::default())
    }

    /// Forgets what limits counted that `policy` does not have.
    pub fn keep_those_of(&self, policy: &Policy) {
        self.counters().retain(|group| policy.counts_on(group) || keys::is_budget(group));
        self.store.retain_counters(policy.counter_groups().iter().copied().chain(keys::groups()).collect());
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How large a request is that has `body` bytes.
fn size(action: &Action, body: usize) -> Size {
    let content: usize = action.parts.iter().map(|part| part.text.len()).sum();
    // Of what is not read, all is taken for text, but for uploads.
    let is_upload = || {
        let mut types = action.request.iter().flat_map(|request| request.header("content-type"));
        types.any(|value| value.to_ascii_lowercase().starts_with(b"multipart/"))
    };
    let content = if action.parts.is_empty() && !is_upload() { body } else { content };
    Size { content: content as u64, body: body as u64, reply: 0 }
}

/// What was reserved for an action that has not gone on. Dropped, it is given back.
#[derive(Debug, Default)]
#[must_use = "what goes on has used it"]
pub struct Reserved(Option<Used>);

impl Reserved {
    /// What is to be recorded with the action.
    pub fn counted(&self, ledger_size: u64, now: u64) -> Counted {
        let Some(used) = &self.0 else { return Counted { ledger_size, now, ..Counted::default() } };
        let expected = used.later.expected();
        let owed = used.later.charges.iter().map(|charge| Owed {
            account: charge.account.clone(),
            unit: charge.unit.to_owned(),
            counter: charge.counter,
            window: charge.window,
            estimate: amount(charge, &expected),
        });
        let credits = used.held.as_ref().map(|held| held.spending.clone());
        Counted { ledger_size, now, uses: used.reservation.uses().to_vec(), owed: owed.collect(), credits }
    }

    /// It is recorded under this receipt: from now on the store is told what becomes of it.
    pub fn recorded(&mut self, receipt: &str) {
        if let Some(used) = &mut self.0 {
            used.receipt = Some(receipt.to_owned());
        }
    }

    /// Its receipt stands in the ledger, or nobody knows whether it does (`None`): then credits stay used until the next
    /// start, which finds out.
    pub fn appended(&mut self, surely: Option<bool>) {
        if let Some(held) = self.0.as_mut().and_then(|used| used.held.as_mut()) {
            held.appended = surely;
        }
    }

    /// The action goes on.
    pub fn into_used(mut self) -> Option<Used> {
        self.0.take()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(used) = self.0.take() {
            used.give_back();
        }
    }
}

/// What an action that went on has used, and what is still to be known of it. Dropped before that is known, it
/// counts by an estimate.
#[derive(Debug)]
pub struct Used {
    budgets: Budgets,
    reservation: Reservation,
    later: Outstanding,
    held: Option<Holding>,
    receipt: Option<String>,
}

/// What is known only when the reply ends.
#[derive(Debug, Default)]
struct Outstanding {
    charges: Vec<Charge>,
    size: Size,
    /// Whether the reply does not say: it only promises one.
    deferred: bool,
}

impl Outstanding {
    /// What a reply will have used of which nothing is known.
    fn expected(&self) -> Tokens {
        Tokens { output: UNSEEN_OUTPUT, ..Tokens::estimated(self.size) }
    }
}

/// What a limit counted in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The limit.
    pub account: String,
    /// `tokens`, `money` or `credits`.
    pub unit: &'static str,
    /// How many; of money billionths.
    pub amount: u64,
}

impl Used {
    /// The receipt of the request, if something of it is still to be counted.
    pub fn outstanding(&self) -> Option<&str> {
        self.receipt.as_deref().filter(|_| !self.later.charges.is_empty() || self.held.is_some())
    }

    /// What it holds of credits, for the record that gives them back.
    pub(crate) fn take_held(&mut self) -> Option<Holding> {
        self.held.take()
    }

    /// Nothing of it has gone on after all.
    pub fn give_back(mut self) {
        let is_owed = !std::mem::take(&mut self.later.charges).is_empty();
        let reservation = std::mem::take(&mut self.reservation);
        let uses = reservation.uses().to_vec();
        self.budgets.counters().release(reservation);
        if let Some(held) = self.held.take() {
            held.give_back(&self.budgets.recorder, &self.budgets.store, self.receipt.clone());
        }
        if let Some(receipt) = self.receipt.take() {
            self.budgets.store.settle(Some(receipt).filter(|_| is_owed), Vec::new(), uses);
        }
    }

    /// The provider refused to answer, which uses no tokens.
    pub fn no_reply(mut self) {
        if !self.later.charges.is_empty() {
            self.later.charges.clear();
            self.budgets.store.settle(self.receipt.clone(), Vec::new(), Vec::new());
        }
    }

    /// The reply has ended. `text` are the bytes of its text; `whole` says that it came to its end.
    pub fn ended(mut self, usage: &Usage, text: u64, whole: bool) -> Vec<Spent> {
        let size = Size { reply: text, ..self.later.size };
        let mut tokens = Tokens::of(usage, size, whole && !self.later.deferred);
        if self.later.deferred {
            tokens.output = tokens.output.max(UNSEEN_OUTPUT);
        }
        self.spend(&tokens)
    }

    fn spend(&mut self, tokens: &Tokens) -> Vec<Spent> {
        let mut paid = Vec::new();
        if let Some(held) = self.held.take() {
            // Sent is paid, whatever came of it: nothing is to be done but to forget that it was open.
            paid = held.paid();
            self.receipt.iter().for_each(|receipt| self.budgets.store.settle_credits(receipt.clone(), None));
        }
        let charges = std::mem::take(&mut self.later.charges);
        if charges.is_empty() {
            return paid;
        }
        let now = now();
        let uses: Vec<Use> = {
            let mut counters = self.budgets.counters();
            let spend =
                |charge: &Charge| counters.spend(charge.counter, charge.window, amount(charge, tokens), now);
            charges.iter().map(spend).collect()
        };
        self.budgets.store.settle(self.receipt.take(), uses, Vec::new());
        let spent = charges.into_iter().map(|charge| {
            let amount = amount(&charge, tokens);
            Spent { account: charge.account, unit: charge.unit, amount }
        });
        paid.extend(spent);
        paid
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let expected = self.later.expected();
        self.spend(&expected);
    }
}

/// How much a charge that was not known before comes to.
fn amount(charge: &Charge, tokens: &Tokens) -> u64 {
    match charge.later {
        Some(Later::Money(price)) => price.of(tokens),
        Some(Later::Tokens) | None => tokens.all(),
    }
}
