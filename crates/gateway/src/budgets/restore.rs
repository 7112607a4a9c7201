//! Counters after a restart: what the store has of them, and what it has not.
//!
//! The ledger says what happened. Behind the last recorded action there may be a few receipts that a killed process
//! did not come to record: they are counted from what they say themselves. They do not say on which counter of a limit
//! (that would be content): where agent and session do not tell either, it is every one of that limit's. A reply whose
//! end nobody saw counts by the estimate that was recorded with its request.

use std::collections::BTreeMap;

use doorward_core::decision::CounterId;
use doorward_core::policy::{Counters, Policy, Use};
use doorward_core::usage::{Size, Tokens, UNSEEN_OUTPUT};
use doorward_ledger::Receipt;
use doorward_ledger::canonical::{Object, Value};
use doorward_ledger::receipt::Kind;
use doorward_store::accounts::Accounts;
use doorward_store::{Owed, Reader, Store};

use super::keys;
use crate::judge::now;
use crate::record::Left;

/// The counters as they are to go on, and the store told what was found.
pub(super) fn counters(store: &Store, left: Left, policy: &Policy) -> Counters {
    let Left { kept, receipts, size } = left;
    let mut catching = Catching {
        counters: Counters::default(),
        policy,
        accounts: store.accounts(),
        owed: kept.owed.into_iter().map(|(receipt, owed)| (receipt, Debt::known(owed))).collect(),
        uses: Vec::new(),
        settled: Vec::new(),
    };
    kept.uses.iter().for_each(|kept| catching.counters.restore(*kept));
    catching.counters.restored();
    catching.counters.retain(|group| policy.counts_on(group) || keys::is_budget(group));
    if !receipts.is_empty() {
        let reader = Reader::open(store.home()).ok().flatten();
        // One that cannot be looked up counts.
        let is_recorded = |id: &str| {
            reader.as_ref().is_some_and(|reader| reader.action(id).is_ok_and(|action| action.is_some()))
        };
        for receipt in &receipts {
            match receipt.kind() {
                Kind::Outcome => catching.outcome(receipt),
                _ if is_recorded(receipt.id()) => {}
                _ => catching.decision(receipt),
            }
        }
    }
    catching.unseen();
    let Catching { counters, uses, settled, .. } = catching;
    if !uses.is_empty() || !settled.is_empty() {
        tracing::info!(uses = uses.len(), replies = settled.len(), "limits: counted what was cut off");
    }
    store.retain_counters(policy.counter_groups().iter().copied().chain(keys::groups()).collect());
    store.caught_up(uses, settled, size);
    counters
}

/// What is to be counted of a reply.
struct Debt {
    owed: Owed,
    /// Whether nobody knows on which counter of the limit.
    anywhere: bool,
}

impl Debt {
    fn known(owed: Vec<Owed>) -> Vec<Self> {
        owed.into_iter().map(|owed| Self { owed, anywhere: false }).collect()
    }
}

struct Catching<'p> {
    counters: Counters,
    policy: &'p Policy,
    accounts: &'p Accounts,
    /// By the receipt of its request, what is still to be counted.
    owed: BTreeMap<String, Vec<Debt>>,
    uses: Vec<Use>,
    settled: Vec<String>,
}

impl Catching<'_> {
    /// Counts what an action that went on was charged.
    fn decision(&mut self, receipt: &Receipt) {
        let (agent, session) = (receipt.agent().unwrap_or_default(), receipt.session().unwrap_or_default());
        let time = u64::try_from(receipt.time_ms()).unwrap_or_default();
        let tokens = expected(receipt);
        let mut debts = Vec::new();
        let all = charges(receipt, "decision");
        for charge in &all {
            let of_key = || keys::budget_named(charge.account, &all, session, self.accounts);
            let limit = self.policy.limit_named(charge.account, charge.unit, agent, session).or_else(of_key);
            let Some(limit) = limit else { continue };
            let counter = CounterId { group: limit.group, key: limit.key.unwrap_or_default() };
            let owed = |estimate| Owed {
                account: charge.account.to_owned(),
                unit: charge.unit.to_owned(),
                counter,
                window: limit.window,
                estimate,
            };
            let debt = |estimate| Debt { owed: owed(estimate), anywhere: limit.key.is_none() };
            match charge.unit {
                // Money of a key's budget is known beforehand.
                _ if charge.amount > 0 => self.spend(&debt(charge.amount), charge.amount, time),
                "tokens" => debts.push(debt(tokens.all())),
                "money" => debts.push(debt(self.policy.dearest().of(&tokens))),
                _ => {}
            }
        }
        if !debts.is_empty() {
            self.owed.insert(receipt.id().to_owned(), debts);
        }
    }

    /// Counts what a reply used that ended.
    fn outcome(&mut self, receipt: &Receipt) {
        let Some(request) = receipt.body().text("settles") else { return };
        let Some(debts) = self.owed.remove(request) else { return };
        let time = u64::try_from(receipt.time_ms()).unwrap_or_default();
        let said = charges(receipt, "outcome");
        for debt in debts {
            let of_limit =
                |charge: &&Charged<'_>| charge.unit == debt.owed.unit && charge.account == debt.owed.account;
            let amount = said.iter().find(of_limit).map_or(debt.owed.estimate, |charge| charge.amount);
            self.spend(&debt, amount, time);
        }
        self.settled.push(request.to_owned());
    }

    /// Counts replies of which nobody saw the end.
    fn unseen(&mut self) {
        let now = now();
        for (request, debts) in std::mem::take(&mut self.owed) {
            for debt in debts {
                self.spend(&debt, debt.owed.estimate, now);
            }
            self.settled.push(request);
        }
    }

    fn spend(&mut self, debt: &Debt, amount: u64, time: u64) {
        let Owed { counter, window, .. } = debt.owed;
        if !self.policy.counts_on(&counter.group) && !keys::is_budget(&counter.group) {
            return;
        }
        if debt.anywhere {
            self.uses.extend(self.counters.spend_all(counter.group, window, amount, time));
        } else {
            self.uses.push(self.counters.spend(counter, window, amount, time));
        }
    }
}

/// One charge as a receipt has it.
pub(super) struct Charged<'r> {
    pub account: &'r str,
    pub unit: &'r str,
    pub amount: u64,
}

pub(super) fn charges<'r>(receipt: &'r Receipt, of: &str) -> Vec<Charged<'r>> {
    let list = receipt.body().get(of).and_then(Value::as_object).and_then(|body| body.get("charges"));
    let charge = |charge: &'r Object| {
        let amount = charge.get("amount").and_then(Value::as_int)?;
        let amount = u64::try_from(amount).ok()?;
        Some(Charged { account: charge.text("account")?, unit: charge.text("unit")?, amount })
    };
    let list = list.and_then(Value::as_array).unwrap_or_default().iter();
    list.filter_map(|value| charge(value.as_object()?)).collect()
}

/// What the reply to a request will have used of which there is only a receipt.
fn expected(receipt: &Receipt) -> Tokens {
    let parts = receipt.body().get("action").and_then(Value::as_object).and_then(|body| body.get("parts"));
    let parts = parts.and_then(Value::as_array).unwrap_or_default().iter();
    let bytes = parts.filter_map(|part| part.as_object()?.get("bytes")?.as_int());
    let bytes = bytes.filter_map(|bytes| u64::try_from(bytes).ok()).sum();
    let size = Size { content: bytes, body: bytes, reply: 0 };
    Tokens { output: UNSEEN_OUTPUT, ..Tokens::estimated(size) }
}
