//! Judging: what the session knows, what is decided, what a person would be asked, what it costs.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{anyhow, bail};
use doorward_core::account::credits::MOST_IN_LOT;
use doorward_core::account::{Balance, Lot};
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::baseline::Learning;
use doorward_core::session::chains::Chains;
use doorward_core::session::taint::Key;
use doorward_core::session::{self, Baseline, Ending, Now, State, Workspace, World};
use doorward_core::syntax::Source;
use doorward_core::wire::sphyr::call::Net;
use doorward_core::{Action, Effect, Engine, Facts, Verdict};

use super::call::{self, TIME};
use super::{Stage, each};

const POLICY: &str = "default: allow\nrules: [{ name: never, deny: { host: never.example } }]\n";

/// An engine with the shipped rules and the policy of this part.
fn engine() -> anyhow::Result<Engine> {
    let policy =
        Policy::compile(&[Source { name: "bench", text: POLICY }]).map_err(|faults| anyhow!("{faults:?}"))?;
    let rules = RuleSet::shipped().map_err(|faults| anyhow!("{faults:?}"))?;
    Ok(Engine::new(rules.into(), policy.into(), Surroundings::default()))
}

/// From an action to one that may be recorded and sent.
pub fn run(net: &Net, own: Duration) -> anyhow::Result<Vec<Stage>> {
    let engine = engine()?;
    let (action, facts) = (call::action(net), Facts::default());
    let decision = engine.decide(&action, &facts);
    if decision.verdict > Verdict::Audit {
        bail!(
            "the request is refused ({}): another path than the one that is measured",
            decision.verdict.as_str()
        );
    }
    let asks = || black_box(&decision).verdict == Verdict::Ask && decision.asking().next().is_some();
    Ok(vec![
        ("session's story", story(&engine, &action, own)),
        ("decided", each(own, || engine.decide(black_box(&action), &facts))),
        ("hold", each(own, asks)),
        ("credits reserved, settled", credits(own)?),
    ])
}

/// What the session knows about an action that begins, and what it remembers of it once it has gone on.
fn story(engine: &Engine, action: &Action, own: Duration) -> f64 {
    let mut state = State::new([7; 32]);
    let (mut workspace, mut baseline) = (Workspace::new(Key::new([7; 32])), Baseline::default());
    let chains = Chains::shipped();
    let classify = |action: &Action, effect: &Effect| engine.classify(action, effect);
    let own_effects = |action: &Action| engine.policy().own_effects(action);
    let mut millis = TIME * 1000;
    each(own, || {
        millis += 1;
        let world = World {
            workspace: &workspace,
            baseline: &baseline,
            learning: Learning::default(),
            chains: &chains,
            classify: &classify,
            own: &own_effects,
        };
        let now = Now { millis, ..Now::default() };
        let (seq, facts) = session::begin(&mut state, black_box(action), now, &world);
        let common = (&mut workspace, &mut baseline);
        session::end(&mut state, seq, Ending::Forwarded, (action, &facts), &[], common)
    })
}

/// One credit is reserved in memory, among the balances of some keys, behind a lock as in the store. That it is paid changes nothing
/// any more: what belongs to the call is dropped.
fn credits(own: Duration) -> anyhow::Result<f64> {
    let (mut balances, now) = (HashMap::new(), TIME * 1000);
    for number in 0..64 {
        let lot = Lot { number: 1, amount: MOST_IN_LOT, used: 0, granted: now, expires: 2 * now };
        let mut balance = Balance::default();
        if !balance.grant(lot, now) {
            bail!("no credits");
        }
        balances.insert(Arc::<str>::from(format!("key_{number:08}")), balance);
    }
    let balances = Mutex::new(balances);
    Ok(each(own, || {
        let mut balances = balances.lock().unwrap_or_else(PoisonError::into_inner);
        balances.get_mut(black_box("key_00000007")).map(|balance| balance.reserve(1, now))
    }))
}
