//! What redaction and quarantine cost a request: reported, never asserted. `cargo xtask soak costs` runs it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_core::Engine;
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::detect::secrets::Secrets;
use doorward_core::detect::secrets::registered::Registered;
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Policy, SHIPPED};
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::wire::Protocol;
use serde_json::json;

use crate::benign::provider;
use crate::support::{Door, Judging, message_end, message_start, send, sse, text, tool};

const REDACT: &str = "version: 1\ndefault: allow\nrules:\n  - { name: hide, redact: { finding: secret.registered, direction: out } }\n";
const ALLOW: &str = "version: 1\ndefault: allow\nrules: []\n";

/// How often each is asked.
const ROUNDS: usize = 200;

fn engine(policy: &str, secrets: usize) -> Arc<Engine> {
    let mut registered = Registered::new(&[7; 32]);
    for nth in 0..secrets {
        let kept = registered.registration(&secret(nth)).unwrap();
        registered.add(&format!("name-{nth}"), kept);
    }
    let rules = RuleSet::with(shipped(), Some(Secrets::shipped().with_registered(registered))).unwrap();
    let policy = Policy::compile(&[Source { name: "policy.yaml", text: policy }]).unwrap();
    Arc::new(Engine::new(rules.into(), policy.into(), Surroundings::default()))
}

fn secret(nth: usize) -> String {
    format!("winter-{nth}-Kayak+42~loom")
}

/// A conversation of 64 KiB in 40 blocks; every fourth says a secret if `with` says so.
fn conversation(with: bool) -> String {
    let block = |nth: usize| {
        let words =
            "The build of the second stage writes its result where the first one looks for it. ".repeat(20);
        let said = if with && nth.is_multiple_of(4) { secret(0) } else { "nothing".to_owned() };
        json!({"role": if nth.is_multiple_of(2) { "user" } else { "assistant" }, "content": format!("{nth}: {words} {said}")})
    };
    let messages: Vec<_> = (0..40).map(block).collect();
    json!({"model": "m", "max_tokens": 9, "stream": true, "messages": messages,
        "tools": [{"name": "write_file", "input_schema": {"type": "object"}}]})
    .to_string()
}

async fn door(engine: Arc<Engine>, answer: &Arc<Mutex<Vec<u8>>>) -> Door {
    let base = provider(Arc::clone(answer)).await;
    let judging = Judging { engine: Some(engine), ..Judging::default() };
    Door::with(judging, Door::untrusted(Protocol::Anthropic, base), Mode::Block).await
}

async fn ask(door: &Door, session: &str, body: &str) -> Duration {
    let target = format!("/t/{}/anthropic/v1/messages", door.token);
    let started = Instant::now();
    let reply = send(door.address, "POST", &target, &format!("doorward-session: {session}\r\n"), body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    started.elapsed()
}

fn line(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_micros();
    eprintln!("{name:<56} p50 {:>6} us, p99 {:>6} us", at(50), at(99));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement; cargo xtask soak costs"]
async fn of_redaction() {
    let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
    *answer.lock().unwrap() = sse(&(message_start() + &text(0, "yes") + &message_end()));
    let (none, said) = (conversation(false), conversation(true));
    let cases = [
        ("no secrets registered", door(engine(ALLOW, 0), &answer).await, &none),
        ("20 registered, none said, no rule", door(engine(ALLOW, 20), &answer).await, &none),
        ("20 registered, none said, a redact rule", door(engine(REDACT, 20), &answer).await, &none),
        ("20 registered, one said ten times, a redact rule", door(engine(REDACT, 20), &answer).await, &said),
    ];
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..ROUNDS {
        for ((_, door, body), times) in cases.iter().zip(&mut times) {
            // A conversation that goes on: but for the first time all its blocks are known.
            times.push(ask(door, &format!("s{}", round / 50), body).await);
        }
    }
    for ((name, ..), times) in cases.iter().zip(times) {
        line(name, times);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement; cargo xtask soak costs"]
async fn of_quarantine() {
    let engine = engine(SHIPPED, 0);
    for size in [1 << 10, 64 << 10, 1 << 20] {
        let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
        let door = door(Arc::clone(&engine), &answer).await;
        let body = conversation(false);
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS / 4 {
            for (place, times) in ["/home/u/w/notes.txt", "/tmp/tool"].into_iter().zip(&mut times) {
                // What is held is another file each time.
                let begins =
                    if place.starts_with("/tmp") { "f0VMRgIBAQAAAAAAAAAAAAIAPgAB8P+A" } else { "QUFBQUFB" };
                let content = format!("{begins}{round:08}{}", "QUFB".repeat(size / 3));
                let arguments = json!({"path": place, "content": content, "encoding": "base64"});
                let call = tool(0, "write_file", &arguments.to_string());
                *answer.lock().unwrap() = sse(&(message_start() + &call + &message_end()));
                times.push(ask(&door, "s", &body).await);
            }
        }
        let [through, held] = times;
        line(&format!("{} KiB written, goes on", size >> 10), through);
        line(&format!("{} KiB written, held", size >> 10), held);
        assert!(!door.store.quarantine().list().is_empty());
    }
}
