//! Every scenario, the first three dialects, any split: what is not blocked is untouched, what is blocked is not sent,
//! and neither the split nor the time a ruling takes changes a byte.

use doorward_core::stream::Framing;
use doorward_core::wire::Protocol;
use doorward_testkit::playbook::{Close, Judged, Play, Transcript, play};
use doorward_testkit::provider;
use serde_json::Value;

const PROTOCOLS: [Protocol; 3] = [Protocol::Anthropic, Protocol::OpenAi, Protocol::Gemini];
const FRAMINGS: [Framing; 2] = [Framing::Events, Framing::Json];

/// Nothing in them is blocked. The list is shared; a dialect without one of them skips it by yielding none.
const BENIGN: [&str; 21] = [
    "text",
    "tool",
    "weather",
    "text_tool",
    "parallel",
    "interleaved",
    "empty_args",
    "world",
    "huge",
    "huge_tool",
    "bytewise",
    "surrogates",
    "thinking",
    "citations",
    "two_choices",
    "legacy_function_call",
    "no_done",
    "missing_index",
    "repeated_id",
    "stop_beside_calls",
    "refusal",
];
/// Something in them is blocked, and the rest goes on.
const BLOCKED: [&str; 16] = [
    "one_evil",
    "bytewise_evil",
    "one_bad",
    "bad_first",
    "signed_bad_first",
    "all_bad",
    "text_all_bad",
    "interleaved_bad",
    "undeclared",
    "bad_arguments",
    "hidden_in_block_start",
    "thinking_evil",
    "many_in_one",
    "legacy_evil",
    "two_choices_bad",
    "incomplete",
];
/// The upstream is at fault: the stream ends with an error.
const FAULTY: [&str; 6] = ["bare_cr", "bom", "duplicate_key", "invalid_utf8", "out_of_order", "index_reuse"];
/// Whatever is done with them, the poison must not come out.
const UNUSUAL: [&str; 9] = [
    "hidden_in_message_start",
    "hidden_in_message",
    "unknown_block",
    "unknown_event",
    "input_twice",
    "custom_tool",
    "snake_case",
    "partial_args",
    "two_fields",
];
const POISON: [&str; 4] = ["payload.evil", "install.sh", "/dev/tcp", "203.0.113.9/4444"];

fn blocks(call: &Judged) -> bool {
    let arguments = String::from_utf8_lossy(&call.arguments);
    !call.declared || call.fault.is_some() || POISON.iter().any(|poison| arguments.contains(poison))
}

/// A scenario's body with every way to send it that exists.
fn bodies(scenarios: &[&'static str]) -> Vec<(Protocol, Framing, &'static str, Vec<u8>)> {
    let mut found = Vec::new();
    for protocol in PROTOCOLS {
        for framing in FRAMINGS {
            for scenario in scenarios {
                let stream = framing == Framing::Events;
                if overlaps(protocol, framing, scenario) {
                    continue;
                }
                if let Some(body) = provider::body(protocol, scenario, stream) {
                    found.push((protocol, framing, *scenario, body));
                }
            }
        }
    }
    assert!(found.len() > scenarios.len(), "scenarios are missing");
    found
}

/// Anthropic's content blocks come one after the other; what has two open at once is refused, because
/// clients join the pieces in different ways. OpenAI's calls may take turns.
fn overlaps(protocol: Protocol, framing: Framing, scenario: &str) -> bool {
    protocol == Protocol::Anthropic && framing == Framing::Events && scenario.starts_with("interleaved")
}

#[test]
fn blocks_that_overlap_are_refused() {
    for scenario in ["interleaved", "interleaved_bad"] {
        let body = provider::body(Protocol::Anthropic, scenario, true).unwrap();
        let ran = whole(Protocol::Anthropic, Framing::Events, &body);
        let fault = ran.outcome.and_then(|outcome| outcome.fault);
        assert_eq!(fault.map(|fault| fault.code), Some("anthropic.order"));
        assert!(!String::from_utf8_lossy(&ran.sent).contains("tool_use"));
    }
}

fn whole(protocol: Protocol, framing: Framing, body: &[u8]) -> Transcript {
    play(&Play::new(protocol, framing), [body], Close::Complete, blocks)
}

/// The data of each event, parsed; one for a JSON body.
fn parsed(framing: Framing, sent: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(sent).unwrap();
    if framing == Framing::Json {
        return vec![serde_json::from_str(text).unwrap()];
    }
    text.replace("\r\n", "\n")
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        // Half a surrogate pair is no string for this parser; those events are compared as bytes only.
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[test]
fn what_is_not_blocked_is_untouched() {
    for (protocol, framing, scenario, body) in bodies(&BENIGN) {
        let ran = whole(protocol, framing, &body);
        let name = format!("{protocol:?} {framing:?} {scenario}");
        assert_eq!(String::from_utf8_lossy(&ran.sent), String::from_utf8_lossy(&body), "{name}");
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.blocked, outcome.withheld), (0, 0), "{name}");
        assert_eq!(outcome.fault, None, "{name}");
    }
}

#[test]
fn an_error_inside_the_stream_passes() {
    for protocol in PROTOCOLS {
        let body = provider::body(protocol, "overloaded_stream", true).unwrap();
        let ran = whole(protocol, Framing::Events, &body);
        let error = parsed(Framing::Events, &body).pop().unwrap();
        assert!(error.get("error").is_some());
        assert_eq!(parsed(Framing::Events, &ran.sent).pop(), Some(error), "{protocol:?}");
    }
}

#[test]
fn a_blocked_call_is_replaced_and_no_byte_of_it_sent() {
    for (protocol, framing, scenario, body) in bodies(&BLOCKED) {
        if (protocol, framing, scenario) == (Protocol::Anthropic, Framing::Json, "incomplete") {
            // There a call cut off by the token limit is a call with an empty object.
            continue;
        }
        let in_the_body =
            framing == Framing::Json && protocol == Protocol::Anthropic || protocol == Protocol::Gemini;
        if in_the_body && scenario == "bad_arguments" {
            // There the arguments are no text in the body but a part of it: the body itself is ambiguous.
            assert!(whole(protocol, framing, &body).outcome.unwrap().fault.is_some());
            continue;
        }
        let ran = whole(protocol, framing, &body);
        let name = format!("{protocol:?} {framing:?} {scenario}");
        let sent = String::from_utf8(ran.sent.clone()).unwrap();
        for poison in POISON {
            assert!(!sent.contains(poison), "{name}: {sent}");
        }
        let outcome = ran.outcome.unwrap();
        assert_eq!(outcome.fault, None, "{name}");
        assert!(outcome.blocked + outcome.withheld > 0, "{name}");
        let stops = stops(protocol, framing, &sent);
        let calls = ran.judged.iter().filter(|call| !blocks(call)).count();
        let per_call =
            if scenario == "two_choices_bad" || scenario == "incomplete" { None } else { Some(calls > 0) };
        if let Some(left) = per_call {
            let expected = match (protocol, left) {
                (Protocol::Anthropic, true) => "tool_use",
                (Protocol::Anthropic, false) => "end_turn",
                (Protocol::OpenAi, true) => "tool_calls",
                (Protocol::OpenAi, false) => "stop",
                (Protocol::Gemini, _) => "STOP",
            };
            assert_eq!(stops, [expected], "{name}: {sent}");
        }
        indices_are_whole(protocol, framing, &sent, &name);
    }
}

/// Every stop reason that was sent.
fn stops(protocol: Protocol, framing: Framing, sent: &str) -> Vec<String> {
    let mut found = Vec::new();
    for event in parsed(framing, sent.as_bytes()) {
        match protocol {
            Protocol::Anthropic => {
                let at = if framing == Framing::Events {
                    &event["delta"]["stop_reason"]
                } else {
                    &event["stop_reason"]
                };
                found.extend(at.as_str().map(str::to_owned));
            }
            Protocol::Gemini => {
                found.extend(event["candidates"][0]["finishReason"].as_str().map(str::to_owned));
            }
            Protocol::OpenAi => {
                let choices = event["choices"].as_array().cloned().unwrap_or_default();
                found.extend(
                    choices.iter().filter_map(|choice| choice["finish_reason"].as_str().map(str::to_owned)),
                );
            }
        }
    }
    found
}

/// Block indices count up from 0 without a gap, for the SDKs use them as places in a list.
fn indices_are_whole(protocol: Protocol, framing: Framing, sent: &str, name: &str) {
    if framing == Framing::Json {
        return;
    }
    let events = parsed(framing, sent.as_bytes());
    let starts: Vec<u64> = match protocol {
        Protocol::Anthropic => events
            .iter()
            .filter(|event| event["type"] == "content_block_start")
            .filter_map(|event| event["index"].as_u64())
            .collect(),
        Protocol::OpenAi => {
            let mut places: Vec<u64> = events
                .iter()
                .filter_map(|event| event["choices"].as_array())
                .flatten()
                .filter_map(|choice| choice["delta"]["tool_calls"].as_array())
                .flatten()
                .filter_map(|call| call["index"].as_u64())
                .collect();
            places.sort_unstable();
            places.dedup();
            places
        }
        // Parts are not numbered.
        Protocol::Gemini => Vec::new(),
    };
    let expected: Vec<u64> = (0..starts.len() as u64).collect();
    assert_eq!(starts, expected, "{name}: {sent}");
}

#[test]
fn a_faulty_stream_ends_with_an_error_and_without_a_call() {
    for (protocol, framing, scenario, body) in bodies(&FAULTY) {
        if framing == Framing::Json && matches!(scenario, "bare_cr" | "out_of_order" | "index_reuse") {
            continue;
        }
        let ran = whole(protocol, framing, &body);
        let name = format!("{protocol:?} {framing:?} {scenario}");
        let outcome = ran.outcome.unwrap();
        assert!(outcome.fault.is_some(), "{name}");
        assert_eq!(outcome.released, 0, "{name}");
        assert!(ran.cancelled || framing == Framing::Json, "{name}: upstream must be let go");
        let sent = String::from_utf8_lossy(&ran.sent).into_owned();
        assert!(!sent.contains("\"tool_use\"") && !sent.contains("\"tool_calls\""), "{name}: {sent}");
        assert!(!sent.contains("\"functionCall\""), "{name}: {sent}");
    }
}

#[test]
fn a_call_in_an_unusual_place_does_not_come_through() {
    for (protocol, framing, scenario, body) in bodies(&UNUSUAL) {
        let ran = whole(protocol, framing, &body);
        let sent = String::from_utf8_lossy(&ran.sent).into_owned();
        for poison in POISON {
            assert!(!sent.contains(poison), "{protocol:?} {framing:?} {scenario}: {sent}");
        }
    }
}

#[test]
fn a_stream_broken_off_anywhere_sends_no_unjudged_call() {
    for (protocol, framing, scenario, body) in bodies(&["text_tool", "parallel", "one_bad"]) {
        for cut in (0..body.len()).step_by(7) {
            let (head, _) = body.split_at(cut);
            let ran = play(&Play::new(protocol, framing), [head], Close::BrokenOff, blocks);
            let name = format!("{protocol:?} {framing:?} {scenario} cut at {cut}");
            let outcome = ran.outcome.unwrap_or_else(|| panic!("{name}: no end"));
            // OpenAI's last frame may be complete before the body is.
            assert!(outcome.fault.is_some(), "{name}");
            assert!(outcome.released as usize <= ran.judged.len(), "{name}");
            let sent = String::from_utf8_lossy(&ran.sent).into_owned();
            for poison in POISON {
                assert!(!sent.contains(poison), "{name}: {sent}");
            }
        }
    }
}

#[test]
fn no_split_changes_anything() {
    let scenarios: Vec<&str> =
        BENIGN.iter().chain(&BLOCKED).chain(&FAULTY).chain(&UNUSUAL).copied().collect();
    for (protocol, framing, scenario, body) in bodies(&scenarios) {
        let expected = whole(protocol, framing, &body);
        let play_it = Play::new(protocol, framing);
        let name = format!("{protocol:?} {framing:?} {scenario}");
        let sizes: &[usize] = if body.len() > 20_000 { &[977] } else { &[1, 2, 3, 7, 64, 977] };
        for size in sizes {
            let ran = play(&play_it, body.chunks(*size), Close::Complete, blocks);
            assert_eq!(ran, expected, "{name} in pieces of {size}");
        }
        if body.len() < 4_000 {
            for cut in (0..body.len()).step_by(5) {
                let (a, b) = body.split_at(cut);
                let ran = play(&play_it, [a, b], Close::Complete, blocks);
                assert_eq!(ran, expected, "{name} split at {cut}");
            }
        }
    }
}

#[test]
fn a_slow_ruling_changes_no_byte() {
    let scenarios: Vec<&str> =
        BENIGN.iter().chain(&BLOCKED).copied().filter(|name| !name.starts_with("huge")).collect();
    for (protocol, framing, scenario, body) in bodies(&scenarios) {
        let expected = whole(protocol, framing, &body);
        for patience in [1, 5, 1_000_000] {
            let slow = Play { patience, ..Play::new(protocol, framing) };
            let ran = play(&slow, body.chunks(90), Close::Complete, blocks);
            assert_eq!(
                ran.sent, expected.sent,
                "{protocol:?} {framing:?} {scenario} after {patience} inputs"
            );
            assert_eq!(ran.outcome, expected.outcome);
        }
    }
}

#[test]
fn monitor_mode_touches_nothing() {
    let scenarios: Vec<&str> =
        BENIGN.iter().chain(&BLOCKED).chain(&FAULTY).chain(&UNUSUAL).copied().collect();
    for (protocol, framing, scenario, body) in bodies(&scenarios) {
        let monitor = Play { monitor: true, ..Play::new(protocol, framing) };
        for size in [body.len(), 13] {
            let ran = play(&monitor, body.chunks(size), Close::Complete, blocks);
            assert!(ran.sent == body, "{protocol:?} {framing:?} {scenario} in pieces of {size}");
        }
    }
}
