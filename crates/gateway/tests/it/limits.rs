//! The policy's limits, as clients meet them.

use std::sync::Arc;

use doorward_core::Engine;
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::wire::Protocol;

use crate::support::{Door, message_end, message_start, sse, text};

fn answer() -> Vec<u8> {
    sse(&[message_start(), text(0, "hello"), message_end()].concat())
}

fn engine(limit: &str) -> Arc<Engine> {
    let text = format!("default: allow\nrules: [{{ name: rate, limit: {limit} }}]\n");
    let policy = Policy::compile(&[Source { name: "policy.yaml", text: &text }]).unwrap();
    let rules = RuleSet::compile(shipped()).unwrap();
    Arc::new(Engine::new(rules.into(), policy.into(), Surroundings::default()))
}

async fn statuses(door: &Door, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(door.ask(Protocol::Anthropic, true, &[]).await.status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_a_limit_does_not_pass_and_a_reload_forgets_nothing() {
    let door = Door::before(Protocol::Anthropic, answer()).await;
    door.gateway.put_in_force(engine("{ calls_per_hour: 2, per: agent }"), Mode::Block);
    let [first, second, third] = statuses(&door, 3).await[..] else { panic!("three") };
    assert_eq!((first, second), (200, 200));
    assert!((400..500).contains(&third), "{third}");
    // What was refused used nothing up: one more fits under a wider limit of the same name, and no second.
    door.gateway.put_in_force(engine("{ calls_per_hour: 3, per: agent }"), Mode::Block);
    assert_eq!(statuses(&door, 1).await, [200]);
    assert_ne!(statuses(&door, 1).await, [200]);
    assert_eq!(door.asked.lock().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_monitor_mode_a_limit_is_counted_and_stops_nothing() {
    let door = Door::before(Protocol::Anthropic, answer()).await;
    door.gateway.put_in_force(engine("{ calls_per_hour: 1 }"), Mode::Monitor);
    assert_eq!(statuses(&door, 3).await, [200, 200, 200]);
}
