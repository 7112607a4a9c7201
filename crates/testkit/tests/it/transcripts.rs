//! Compatible providers as they speak, played through the stream machine: what is honest passes byte for
//! byte, a blocked call leaves a reply that every client can read, and no split changes anything.

use std::collections::BTreeSet;

use doorward_core::stream::Framing;
use doorward_core::wire::Protocol;
use doorward_testkit::playbook::{Close, Judged, Play, Transcript, play};
use doorward_testkit::provider::{self, dialects};
use serde_json::Value;

const FRAMINGS: [Framing; 2] = [Framing::Events, Framing::Json];
const BENIGN: [&str; 3] = ["text", "reasoning", "parallel"];
const BLOCKED: [&str; 3] = ["blocked", "blocked_first", "all_blocked"];
/// Scenarios of Anthropic's that its compatible providers tell too.
const MESSAGES: [&str; 6] = ["text", "parallel", "thinking", "one_bad", "all_bad", "bad_first"];
/// Pieces of the calls that every test here blocks.
const POISON: [&str; 4] = ["payload.evil", "install.sh", "/dev/tcp", "203.0.113.9/4444"];

/// What becomes of a scene that only one dialect has.
#[derive(Debug, PartialEq)]
enum Fate {
    /// Every byte as it came.
    Same,
    /// Released, with numbers of its own.
    Numbered,
    /// The malicious call is replaced, and nothing else.
    Blocked,
    /// The stream ends with an error of ours.
    Fault(&'static str),
}

const SPECIAL: [(&str, Fate); 20] = [
    ("vllm/named_tool", Fate::Blocked),
    ("vllm/no_finish", Fate::Same),
    ("vllm/finish_in_call", Fate::Blocked),
    ("vllm/old_error", Fate::Same),
    ("vllm/index_reused", Fate::Numbered),
    ("ollama/index_zero", Fate::Numbered),
    ("ollama/index_zero_together", Fate::Numbered),
    ("ollama/blocked.index_zero", Fate::Blocked),
    ("ollama/blocked_first.index_zero", Fate::Blocked),
    ("ollama/one_chunk", Fate::Same),
    ("ollama/blocked.one_chunk", Fate::Blocked),
    ("ollama/no_index", Fate::Same),
    ("ollama/blocked.no_index", Fate::Blocked),
    ("ollama/done_with_call", Fate::Same),
    ("ollama/blocked.done_with_call", Fate::Blocked),
    // Not a field of the format: some clients skip it, some fail. The client hears of an error either way.
    ("llama_cpp/old_error", Fate::Fault("sse.field")),
    ("litellm/full", Fate::Blocked),
    ("litellm/breaks_off", Fate::Fault("stream.truncated")),
    ("azure/async_filter", Fate::Blocked),
    ("gemini/index_zero", Fate::Numbered),
];

fn blocks(call: &Judged) -> bool {
    let arguments = String::from_utf8_lossy(&call.arguments);
    !call.declared || call.fault.is_some() || POISON.iter().any(|poison| arguments.contains(poison))
}

fn whole(protocol: Protocol, framing: Framing, body: &[u8]) -> Transcript {
    play(&Play::new(protocol, framing), [body], Close::Complete, blocks)
}

fn body(protocol: Protocol, framing: Framing, name: &str) -> Vec<u8> {
    let found = provider::body(protocol, name, framing == Framing::Events);
    found.unwrap_or_else(|| panic!("{name} {framing:?} does not exist"))
}

/// The JSON of every event, or the one body.
fn parsed(framing: Framing, sent: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(sent).unwrap();
    if framing == Framing::Json {
        return vec![serde_json::from_str(text).unwrap()];
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn each<'a>(values: &'a [Value], path: &str) -> Vec<&'a Value> {
    values.iter().filter_map(|value| value.pointer(path)).filter(|value| !value.is_null()).collect()
}

#[test]
fn honest_chat_replies_pass_byte_for_byte() {
    for dialect in dialects::CHAT {
        for (scene, framing) in BENIGN.iter().flat_map(|scene| FRAMINGS.map(|framing| (*scene, framing))) {
            let name = format!("{dialect}/{scene}");
            let body = body(Protocol::OpenAi, framing, &name);
            let ran = whole(Protocol::OpenAi, framing, &body);
            assert_eq!(
                String::from_utf8_lossy(&ran.sent),
                String::from_utf8_lossy(&body),
                "{name} {framing:?}"
            );
            let outcome = ran.outcome.unwrap();
            let calls = if scene == "parallel" { 2 } else { 0 };
            assert_eq!((outcome.released, outcome.fault), (calls, None), "{name} {framing:?}");
        }
    }
}

#[test]
fn a_blocked_call_leaves_a_reply_that_can_be_read() {
    for dialect in dialects::CHAT {
        for (scene, framing) in BLOCKED.iter().flat_map(|scene| FRAMINGS.map(|framing| (*scene, framing))) {
            let name = format!("{dialect}/{scene}");
            let ran = whole(Protocol::OpenAi, framing, &body(Protocol::OpenAi, framing, &name));
            let outcome = ran.outcome.as_ref().unwrap();
            assert_eq!((outcome.blocked, &outcome.fault), (1, &None), "{name} {framing:?}");
            readable(&name, framing, &ran.sent, scene != "all_blocked");
        }
    }
}

/// The poison is gone, the notice is there, what finishes says the right reason, and calls count from 0.
fn readable(name: &str, framing: Framing, sent: &[u8], calls_left: bool) {
    let text = String::from_utf8_lossy(sent);
    assert!(!POISON.iter().any(|poison| text.contains(poison)), "{name}: {text}");
    assert!(text.contains("[blocked: Bash]"), "{name}: {text}");
    assert!(!text.contains("\"name\":\"Bash\""), "{name}: {text}");
    let events = parsed(framing, sent);
    let reasons: BTreeSet<&str> =
        each(&events, "/choices/0/finish_reason").into_iter().filter_map(Value::as_str).collect();
    let expected = if calls_left && name != "vllm/named_tool" { "tool_calls" } else { "stop" };
    assert_eq!(reasons, BTreeSet::from([expected]), "{name} {framing:?}: {text}");
    if framing == Framing::Events {
        let indices: BTreeSet<u64> = each(&events, "/choices/0/delta/tool_calls")
            .into_iter()
            .flat_map(|list| list.as_array().unwrap())
            .filter_map(|call| call["index"].as_u64())
            .collect();
        assert!(indices.iter().copied().eq(0..indices.len() as u64), "{name}: {indices:?}");
    }
}

#[test]
fn a_stream_that_breaks_says_so_and_gives_out_no_half_of_a_call() {
    for dialect in dialects::CHAT {
        let name = format!("{dialect}/broken");
        let told = body(Protocol::OpenAi, Framing::Events, &name);
        let ran = whole(Protocol::OpenAi, Framing::Events, &told);
        let fault = ran.outcome.unwrap().fault.map(|fault| fault.code);
        if dialect == "ollama" {
            // It ends as if nothing had been; we say what it does not.
            assert_eq!(fault, Some("stream.truncated"));
            let text = String::from_utf8(ran.sent).unwrap();
            assert!(
                text.lines().rfind(|line| !line.is_empty()).unwrap().contains("doorward_error"),
                "{text}"
            );
        } else {
            assert_eq!((fault, ran.sent == told), (None, true), "{name}");
        }

        let name = format!("{dialect}/broken_call");
        let told = body(Protocol::OpenAi, Framing::Events, &name);
        let ran = whole(Protocol::OpenAi, Framing::Events, &told);
        let text = String::from_utf8_lossy(&ran.sent).into_owned();
        if dialect == "mistral" {
            // Its calls come whole in the chunk that finishes; what breaks comes behind them.
            assert!(ran.sent == told, "{name}");
            continue;
        }
        assert!(!text.contains("\"name\":\"Bash\"") && !text.contains("ls -la"), "{name}: {text}");
        let error = |events: Vec<Value>| events.into_iter().rfind(|event| event.get("error").is_some());
        let theirs = error(parsed(Framing::Events, &told));
        assert_eq!(
            error(parsed(Framing::Events, &ran.sent)),
            theirs.clone().or(
                // What only shows as an early end is named by us.
                (dialect == "ollama").then(|| error(parsed(Framing::Events, &ran.sent))).flatten()
            ),
            "{name}: {text}"
        );
        // An end that is called an error leaves no notice of a block that was none.
        assert!(theirs.is_none() || !text.contains("[blocked"), "{name}: {text}");
    }
}

#[test]
fn habits_of_one_provider() {
    for (name, fate) in &SPECIAL {
        let told = body(Protocol::OpenAi, Framing::Events, name);
        let ran = whole(Protocol::OpenAi, Framing::Events, &told);
        let outcome = ran.outcome.clone().unwrap();
        let text = String::from_utf8_lossy(&ran.sent).into_owned();
        match fate {
            Fate::Same => {
                assert_eq!((outcome.fault, text.as_bytes() == told), (None, true), "{name}: {text}")
            }
            Fate::Numbered => {
                assert_eq!((outcome.fault, outcome.released, outcome.blocked), (None, 2, 0), "{name}");
                assert_eq!(
                    text.replace("\"index\":1", "\"index\":0").as_bytes(),
                    told,
                    "{name}: only numbers"
                );
                assert!(text.contains("\"index\":1") && text.contains("\"index\":0"), "{name}: {text}");
            }
            Fate::Blocked => {
                assert_eq!((outcome.fault, outcome.blocked), (None, 1), "{name}: {text}");
                readable(name, Framing::Events, &ran.sent, *name != "vllm/named_tool");
            }
            Fate::Fault(code) => {
                assert_eq!(outcome.fault.map(|fault| fault.code), Some(*code), "{name}");
                assert!(text.contains("doorward_error"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn messages_of_compatible_providers() {
    for provider in dialects::messages::MESSAGES {
        for scenario in MESSAGES {
            let name = format!("{provider}/{scenario}");
            let told = body(Protocol::Anthropic, Framing::Events, &name);
            let ran = whole(Protocol::Anthropic, Framing::Events, &told);
            let outcome = ran.outcome.unwrap();
            assert_eq!(outcome.fault, None, "{name}");
            let text = String::from_utf8_lossy(&ran.sent).into_owned();
            if scenario.contains("bad") {
                assert!(outcome.blocked > 0 && text.contains("[blocked: Bash]"), "{name}: {text}");
                assert!(!POISON.iter().any(|poison| text.contains(poison)), "{name}: {text}");
                assert!(scenario != "all_bad" || text.contains("end_turn"), "{name}: {text}");
            } else {
                assert_eq!(text.as_bytes(), told, "{name}");
            }
        }
    }
}

#[test]
fn neither_split_nor_monitor_mode_changes_a_transcript() {
    let scenes = dialects::SCENES.iter().filter(|scene| **scene != "refused");
    let chat = dialects::CHAT
        .iter()
        .flat_map(|dialect| scenes.clone().map(move |scene| format!("{dialect}/{scene}")))
        .chain(SPECIAL.iter().map(|(name, _)| (*name).to_owned()))
        .map(|name| (Protocol::OpenAi, name));
    let messages = dialects::messages::MESSAGES
        .iter()
        .flat_map(|provider| MESSAGES.map(|scenario| format!("{provider}/{scenario}")))
        .map(|name| (Protocol::Anthropic, name));
    for (protocol, name) in chat.chain(messages) {
        let told = body(protocol, Framing::Events, &name);
        let expected = whole(protocol, Framing::Events, &told);
        for size in [1, 7, 64, 1000] {
            let ran = play(&Play::new(protocol, Framing::Events), told.chunks(size), Close::Complete, blocks);
            assert_eq!(ran, expected, "{name} in pieces of {size}");
            let monitor = Play { monitor: true, ..Play::new(protocol, Framing::Events) };
            let ran = play(&monitor, told.chunks(size), Close::Complete, blocks);
            assert!(ran.sent == told, "{name} in monitor mode, in pieces of {size}");
        }
    }
}
