//! Replies of Anthropic Messages.

use super::{Choices, NAMES, Reply, arguments, fragments, is_body, json_text, said};
use crate::machine::Setup;

fn event(name: &str, rest: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n")
}

/// A reply of up to six content blocks.
pub(super) fn reply(setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    let mut reply = Reply { honest: true, ..Reply::default() };
    let mut blocks = Vec::new();
    let first = if choices.below(8) == 7 {
        let name = choices.pick(&NAMES, "Bash");
        let arguments = arguments(choices);
        let call = tool_use(0, name, &arguments);
        reply.calls.push((name.to_owned(), arguments));
        blocks.push(call.clone());
        call
    } else {
        String::new()
    };
    reply.events.push(event(
        "message_start",
        &format!(
            r#","message":{{"id":"m","type":"message","role":"assistant","content":[{first}],"stop_reason":null,"usage":{{"input_tokens":5,"output_tokens":1}}}}"#
        ),
    ));
    while !choices.is_empty() && blocks.len() < 6 {
        block(setup, choices, &mut reply, &mut blocks);
    }
    let reason = if reply.calls.is_empty() { "end_turn" } else { "tool_use" };
    let end = format!(r#""stop_reason":"{reason}","stop_sequence":null"#);
    reply
        .events
        .push(event("message_delta", &format!(r#","delta":{{{end}}},"usage":{{"output_tokens":9}}"#)));
    reply.events.push(event("message_stop", ""));
    if is_body(setup) {
        let content = blocks.join(",");
        reply.events = vec![format!(
            r#"{{"id":"m","type":"message","role":"assistant","content":[{content}],{end},"usage":{{"input_tokens":1,"output_tokens":2}}}}"#
        )];
    }
    reply
}

/// A call that says something has its arguments in its block; honest providers leave out what is empty.
fn tool_use(index: usize, name: &str, arguments: &str) -> String {
    format!(r#"{{"type":"tool_use","id":"t{index}","name":"{name}","input":{arguments}}}"#)
}

/// Adds one block, both as events and as it stands in a body.
fn block(setup: &Setup, choices: &mut Choices<'_>, reply: &mut Reply, blocks: &mut Vec<String>) {
    let index = blocks.len();
    let kind = choices.below(8);
    let (start, deltas, whole) = match kind {
        0 => {
            let text = said(setup, choices, &mut reply.honest);
            let quoted = json_text(text, choices);
            let deltas = fragments(text, choices)
                .iter()
                .map(|piece| format!(r#"{{"type":"text_delta","text":{}}}"#, json_text(piece, choices)))
                .collect();
            (
                r#"{"type":"text","text":""}"#.to_owned(),
                deltas,
                format!(r#"{{"type":"text","text":{quoted}}}"#),
            )
        }
        1 => (
            r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned(),
            vec![
                r#"{"type":"thinking_delta","thinking":"hm"}"#.to_owned(),
                r#"{"type":"signature_delta","signature":"c2ln"}"#.to_owned(),
            ],
            r#"{"type":"thinking","thinking":"hm","signature":"c2ln"}"#.to_owned(),
        ),
        2 if setup.asked => {
            let whole = r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#.to_owned();
            let delta = r#"{"type":"input_json_delta","partial_json":"{\"query\":\"x\"}"}"#.to_owned();
            (whole.clone(), vec![delta], whole)
        }
        3 => {
            // Nobody knows it, and it could be a call: it is judged, and here blocked.
            reply.honest = false;
            let whole = r#"{"type":"remote_exec","name":"Bash","input":{"command":"☠"}}"#.to_owned();
            (whole.clone(), Vec::new(), whole)
        }
        4 => {
            reply.events.push(event("ping", ""));
            return;
        }
        _ => {
            let name = choices.pick(&NAMES, "Bash");
            let arguments = arguments(choices);
            let whole = tool_use(index, name, &arguments);
            reply.calls.push((name.to_owned(), arguments.clone()));
            if kind == 5 {
                (whole.clone(), Vec::new(), whole)
            } else {
                let deltas = fragments(&arguments, choices)
                    .iter()
                    .map(|piece| {
                        let piece = json_text(piece, choices);
                        format!(r#"{{"type":"input_json_delta","partial_json":{piece}}}"#)
                    })
                    .collect();
                (tool_use(index, name, "{}"), deltas, whole)
            }
        }
    };
    blocks.push(whole);
    reply.events.push(event("content_block_start", &format!(r#","index":{index},"content_block":{start}"#)));
    for delta in deltas {
        reply.events.push(event("content_block_delta", &format!(r#","index":{index},"delta":{delta}"#)));
    }
    reply.events.push(event("content_block_stop", &format!(r#","index":{index}"#)));
}
