//! Replies of OpenAI Chat Completions.

use super::{Choices, NAMES, Reply, arguments, fragments, is_body, json_text, said};
use crate::machine::Setup;

/// One choice being written.
#[derive(Default)]
struct Choice {
    chunks: Vec<String>,
    calls: Vec<(String, String)>,
    /// The entries of `tool_calls` in a body.
    entries: Vec<String>,
    legacy: Option<String>,
    text: String,
}

/// A reply of one choice, or of two if they were asked for.
pub(super) fn reply(setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    let mut reply = Reply { honest: true, ..Reply::default() };
    let count = if setup.asked && choices.below(2) == 0 { 2 } else { 1 };
    let written: Vec<Choice> = (0..count).map(|_| choice(setup, choices, &mut reply.honest)).collect();
    let reason = |choice: &Choice| match (choice.entries.is_empty(), &choice.legacy) {
        (false, _) => "tool_calls",
        (_, Some(_)) => "function_call",
        _ => "stop",
    };
    if is_body(setup) {
        let bodies: Vec<String> = written.iter().enumerate().map(|(n, c)| body(n, c, reason(c))).collect();
        reply.events = vec![format!(
            r#"{{"id":"c","object":"chat.completion","choices":[{}],"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#,
            bodies.join(",")
        )];
    } else {
        let longest = written.iter().map(|choice| choice.chunks.len()).max().unwrap_or(0);
        for place in 0..longest {
            for (index, choice) in written.iter().enumerate() {
                if let Some(delta) = choice.chunks.get(place) {
                    reply.events.push(chunk(index, delta, "null"));
                }
            }
        }
        for (index, choice) in written.iter().enumerate() {
            reply.events.push(chunk(index, "{}", &format!("\"{}\"", reason(choice))));
        }
        if choices.below(4) != 3 {
            reply.events.push("data: [DONE]\n\n".to_owned());
        }
    }
    reply.calls = written.into_iter().flat_map(|choice| choice.calls).collect();
    reply
}

fn chunk(index: usize, delta: &str, reason: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":{index},\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
    )
}

fn body(index: usize, choice: &Choice, reason: &str) -> String {
    let text = serde_json::Value::from(choice.text.as_str());
    let mut members = format!(r#""role":"assistant","content":{text}"#);
    if !choice.entries.is_empty() {
        members += &format!(r#","tool_calls":[{}]"#, choice.entries.join(","));
    }
    if let Some(call) = &choice.legacy {
        members += &format!(r#","function_call":{call}"#);
    }
    format!(r#"{{"index":{index},"message":{{{members}}},"finish_reason":"{reason}"}}"#)
}

/// One choice: text, calls, at most one of the old form, which no provider sends beside the others.
fn choice(setup: &Setup, choices: &mut Choices<'_>, honest: &mut bool) -> Choice {
    let mut written = Choice::default();
    written.chunks.push(r#"{"role":"assistant","content":""}"#.to_owned());
    for _ in 0..choices.below(6) {
        match choices.below(6) {
            0 | 1 => {
                let text = said(setup, choices, honest);
                for piece in fragments(text, choices) {
                    written.chunks.push(format!(r#"{{"content":{}}}"#, json_text(&piece, choices)));
                }
                written.text += text;
            }
            2 if written.entries.is_empty() && written.legacy.is_none() => legacy(choices, &mut written),
            3 => {
                // Clients look for calls in other places too; here stands one that must be found.
                *honest = false;
                let odd = [
                    r#"{"message":{"tool_calls":[{"id":"x","type":"function","function":{"name":"Bash","arguments":"{\"c\":\"☠\"}"}}]}}"#,
                    r#"{"Tool_Calls":[{"index":0,"function":{"name":"Bash","arguments":"☠"}}]}"#,
                    r#"{"tool_calls":[{"id":"y","type":"function","function":{"name":"Bash","arguments":{"c":"☠"}}}]}"#,
                    r#"{"tool_calls":[{"index":0,"id":"z","type":"odd","function":{"name":"Bash","arguments":"☠"}}]}"#,
                    r#"{"plugins":[{"name":"Bash","arguments":"☠"}]}"#,
                ];
                written.chunks.push(choices.pick(&odd, "{}").to_owned());
            }
            _ if written.legacy.is_none() => call(choices, &mut written),
            _ => {}
        }
    }
    written
}

fn legacy(choices: &mut Choices<'_>, written: &mut Choice) {
    let (name, arguments) = (choices.pick(&NAMES, "Bash"), arguments(choices));
    let mut head = format!(r#""name":"{name}","#);
    for piece in fragments(&arguments, choices) {
        let piece = json_text(&piece, choices);
        written.chunks.push(format!(r#"{{"function_call":{{{head}"arguments":{piece}}}}}"#));
        head.clear();
    }
    let whole = json_text(&arguments, choices);
    written.legacy = Some(format!(r#"{{"name":"{name}","arguments":{whole}}}"#));
    written.calls.push((name.to_owned(), arguments));
}

fn call(choices: &mut Choices<'_>, written: &mut Choice) {
    let index = written.entries.len();
    let (name, arguments) = (choices.pick(&NAMES, "Bash"), arguments(choices));
    let id = format!(r#""id":"call_{index}","type":"function""#);
    let mut head = (format!("{id},"), format!(r#""name":"{name}","#));
    for piece in fragments(&arguments, choices) {
        let piece = json_text(&piece, choices);
        let (id, named) = (&head.0, &head.1);
        written.chunks.push(format!(
            r#"{{"tool_calls":[{{"index":{index},{id}"function":{{{named}"arguments":{piece}}}}}]}}"#
        ));
        head = (String::new(), String::new());
    }
    let whole = json_text(&arguments, choices);
    written.entries.push(format!(r#"{{{id},"function":{{"name":"{name}","arguments":{whole}}}}}"#));
    written.calls.push((name.to_owned(), arguments));
}
