//! Keys: whether one may be used, and the budgets that a person has set for it.

use doorward_core::action::Bill;
use doorward_core::decision::{Charge, CounterId};
use doorward_core::policy::{LimitNamed, OF_KEYS};
use doorward_core::session::name;
use doorward_core::{Layer, Reason, Verdict};
use doorward_store::accounts::settings::{Budget, Unit, Whose};
use doorward_store::accounts::{Accounts, BUDGETS, KeyState};
use sha2::{Digest as _, Sha256};

use super::restore::Charged;
use crate::judge::Judged;

/// A reason more if the key that the action came with may not be used now: it may have been paused since the action
/// was let in.
pub(super) fn may(judged: Judged, accounts: &Accounts) -> Judged {
    let Some(bill) = &judged.action.bill else { return judged };
    let (rule, what, advice) = match accounts.key(&bill.key).map(|key| key.state) {
        Some(KeyState::Active) => return judged,
        Some(KeyState::Paused) => ("floor.KEY_PAUSED", "is paused", "wait until the operator resumes it"),
        Some(KeyState::Suspended) => ("floor.KEY_SUSPENDED", "is suspended", "tell the operator"),
        Some(KeyState::Revoked) => ("floor.KEY_REVOKED", "is revoked", "ask the operator for another one"),
        None => ("floor.KEY_REVOKED", "is not there any more", "ask the operator for another one"),
    };
    let message = format!("the key {} {what}", bill.key);
    judged.and(Reason {
        rule: rule.into(),
        layer: Layer::Floor,
        verdict: Verdict::Block,
        severity: 100,
        message,
        advice: advice.into(),
        part: None,
    })
}

/// What an action with which so many `bytes` leave costs the budgets of its key.
pub(super) fn charges(bill: &Bill, accounts: &Accounts, bytes: impl Fn() -> usize) -> Vec<Charge> {
    let Some(key) = accounts.key(&bill.key) else { return Vec::new() };
    let budgets = BUDGETS.iter().zip(&key.settings.budgets);
    let charge = |(budget, most): (&'static Budget, &Option<u64>)| {
        let most = (*most)?;
        let amount = match budget.unit {
            Unit::Calls => 1,
            Unit::Bytes => bytes() as u64,
            Unit::Money => bill.credits.saturating_mul(key.settings.credit_price),
        };
        let agent = if budget.whose == Whose::Agent { &*bill.agent } else { "" };
        Some(Charge {
            account: format!("{OF_KEYS}{}", budget.name),
            unit: unit(budget.unit),
            amount,
            later: None,
            counter: CounterId { group: group(budget), key: digest(&[&bill.key, agent]) },
            most,
            window: budget.window,
        })
    };
    budgets.filter_map(charge).filter(|charge| charge.amount > 0).collect()
}

/// The budget that a receipt of this session names, and its counter as far as its charges tell.
pub(super) fn budget_named(
    account: &str,
    charges: &[Charged<'_>],
    session: &str,
    accounts: &Accounts,
) -> Option<LimitNamed> {
    let setting = account.strip_prefix(OF_KEYS)?;
    let budget = BUDGETS.iter().find(|budget| budget.name == setting)?;
    // Lots tell of which key they are; the session, of which of the agents that were issued under it.
    let key = charges.iter().find(|charge| charge.unit == super::credits::UNIT);
    let key = key.and_then(|charge| charge.account.split_once('/')).map(|(key, _)| key);
    let of_key = |id: &str| match budget.whose {
        Whose::Key => Some(digest(&[id, ""])),
        Whose::Agent => {
            let key = accounts.key(id)?;
            let is_its = |agent: &&String| *name::name(key.agent.as_str(), agent) == *session;
            Some(digest(&[id, key.agents.keys().find(is_its).map_or("", String::as_str)]))
        }
    };
    Some(LimitNamed { group: group(budget), key: key.and_then(of_key), window: budget.window })
}

/// Whether these are the counters of a budget.
pub(super) fn is_budget(of: &[u8; 16]) -> bool {
    groups().any(|group| group == *of)
}

/// The counters of all budgets, by name.
pub(super) fn groups() -> impl Iterator<Item = [u8; 16]> {
    BUDGETS.iter().map(group)
}

fn group(budget: &Budget) -> [u8; 16] {
    digest(&["a key's budget", budget.name])
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Calls => "calls",
        Unit::Bytes => "bytes",
        Unit::Money => "money",
    }
}

/// Each piece is preceded by its length, so that no two lists of pieces read the same.
fn digest(pieces: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update((piece.len() as u64).to_be_bytes());
        hash.update(piece);
    }
    hash.finalize().first_chunk().copied().unwrap_or_default()
}
