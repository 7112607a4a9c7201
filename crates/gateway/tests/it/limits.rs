//! The policy's limits, as clients meet them.

use std::sync::Arc;

use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
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
    let rules = RuleSet::shipped().unwrap();
    Arc::new(Engine::new(rules.into(), policy.into(), Surroundings::default()))
}

async fn statuses(door: &Door, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(door.ask(Protocol::Anthropic, true, &[]).await.status);
    }
    statuses
}

/// A client has its reply before it is known that it has: only then what it used is counted.
async fn ended() {
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}

async fn replies(door: &Door, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(door.ask(Protocol::Anthropic, true, &[]).await.status);
        ended().await;
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

fn refuses(status: u16) -> bool {
    (400..500).contains(&status)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_those_the_provider_reports() {
    // One in, nine out.
    let door = Door::before(Protocol::Anthropic, answer()).await;
    door.gateway.put_in_force(engine("{ tokens_per_hour: 20 }"), Mode::Block);
    let [first, second, third] = replies(&door, 3).await[..] else { panic!("three") };
    assert_eq!((first, second), (200, 200));
    assert!(refuses(third), "{third}");
    door.gateway.put_in_force(engine("{ tokens_per_hour: 21 }"), Mode::Block);
    assert_eq!(replies(&door, 1).await, [200]);
    let refused = door.ask(Protocol::Anthropic, true, &[]).await;
    assert!(refused.body.contains("used up: 21 tokens in 3600 s"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_usage_is_estimated() {
    let chunk = |delta: serde_json::Value, finish: serde_json::Value| {
        format!(
            "data: {}\n\n",
            serde_json::json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    let said: String =
        (0..100).map(|_| chunk(serde_json::json!({"content": "abcdef"}), serde_json::Value::Null)).collect();
    let body = format!("{said}{}data: [DONE]\n\n", chunk(serde_json::json!({}), "stop".into()));
    let door = Door::before(Protocol::OpenAi, sse(&body)).await;
    // 600 bytes of text are 200 tokens; the request has "please" and little more.
    for (limit, expected) in [(200, false), (260, true)] {
        let policy = engine(&format!("{{ tokens_per_hour: {limit} }}"));
        door.gateway.put_in_force(engine("{ calls_per_hour: 9 }"), Mode::Block);
        door.gateway.put_in_force(policy, Mode::Block);
        assert_eq!(door.ask(Protocol::OpenAi, true, &[]).await.status, 200);
        ended().await;
        assert_eq!(door.ask(Protocol::OpenAi, true, &[]).await.status == 200, expected, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_price_is_blocked_with_what_to_add() {
    let door = Door::before(Protocol::Anthropic, answer()).await;
    door.gateway.put_in_force(engine("{ money_per_hour: 5 }"), Mode::Block);
    let refused = door.ask(Protocol::Anthropic, true, &[]).await;
    assert!(refuses(refused.status));
    assert!(refused.body.contains("the model `m` has no price"), "{}", refused.body);
    assert!(refused.body.contains("add `- model: m`"), "{}", refused.body);
    // What asks no model is none of its business.
    let path = format!("/t/{}/anthropic/v1/models", door.token);
    assert_eq!(door.send("GET", &path, "").await.status, 200);
    let path = format!("/t/{}/anthropic/v1/messages/count_tokens", door.token);
    let count = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(door.send("POST", &path, &count.to_string()).await.status, 200);
    // In monitor mode nothing is stopped.
    door.gateway.put_in_force(engine("{ money_per_hour: 5 }"), Mode::Monitor);
    assert_eq!(statuses(&door, 1).await, [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_provider_uses_calls_and_no_tokens() {
    let error = b"HTTP/1.1 529 Overloaded\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let door = Door::before(Protocol::Anthropic, error.to_vec()).await;
    door.gateway.put_in_force(engine("{ tokens_per_hour: 1 }"), Mode::Block);
    assert_eq!(statuses(&door, 3).await, [529, 529, 529]);
    door.gateway.put_in_force(engine("{ calls_per_hour: 1 }"), Mode::Block);
    let [first, second] = statuses(&door, 2).await[..] else { panic!("two") };
    assert!(first == 529 && second != 529);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_be_reached_uses_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Door::untrusted(Protocol::Anthropic, format!("http://{closed}"));
    let door = Door::toward(upstream, Mode::Block).await;
    door.gateway.put_in_force(engine("{ calls_per_hour: 1 }"), Mode::Block);
    assert_eq!(statuses(&door, 3).await, [502, 502, 502]);
}
