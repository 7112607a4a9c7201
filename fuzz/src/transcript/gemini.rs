//! Replies of Gemini's `generateContent`.

use super::{Choices, NAMES, Reply, arguments, fragments, is_body, json_text, said};
use crate::machine::Setup;

/// A reply of up to eight parts, one to a chunk or all in one.
pub(super) fn reply(setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    let mut reply = Reply { honest: true, ..Reply::default() };
    let mut parts = Vec::new();
    for _ in 0..1 + choices.below(8) {
        part(setup, choices, &mut reply, &mut parts);
    }
    let last = parts.len().saturating_sub(1);
    let chunks = parts.iter().enumerate().map(|(at, part)| chunk(part, at == last));
    reply.events = match (is_body(setup), choices.below(2)) {
        (true, 0) => vec![chunk(&parts.join(","), true)],
        // No result of a batch is a list.
        (true, _) if setup.asked => vec![chunk(&parts.join(","), true)],
        // A stream without `alt=sse`.
        (true, _) => vec![format!("[{}\n]\n", chunks.collect::<Vec<_>>().join("\n,\r\n"))],
        (false, ending) => {
            let ending = if ending == 0 { "\r\n\r\n" } else { "\n\n" };
            chunks.map(|chunk| format!("data: {chunk}{ending}")).collect()
        }
    };
    reply
}

fn chunk(parts: &str, last: bool) -> String {
    let end = if last { r#","finishReason":"STOP""# } else { "" };
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}}{end},"index":0}}],"usageMetadata":{{"promptTokenCount":8,"candidatesTokenCount":9}},"modelVersion":"m","responseId":"r"}}"#
    )
}

fn part(setup: &Setup, choices: &mut Choices<'_>, reply: &mut Reply, parts: &mut Vec<String>) {
    match choices.below(7) {
        0 | 1 => {
            let text = said(setup, choices, &mut reply.honest);
            for piece in fragments(text, choices) {
                parts.push(format!(r#"{{"text":{}}}"#, json_text(&piece, choices)));
            }
        }
        2 => parts.push(r#"{"text":"hm","thought":true}"#.to_owned()),
        3 => {
            // Other readers of the same format find a call in each of these.
            reply.honest = false;
            let odd = [
                r#"{"function_call":{"name":"Bash","args":{"c":"☠"}}}"#,
                r#"{"text":"x","functionCall":{"name":"Bash","args":{"c":"☠"}}}"#,
                r#"{"functionCall":{"name":"Bash","partialArgs":[{"jsonPath":"$.c","stringValue":"☠"}]}}"#,
                r#"{"functionCall":{"name":"Bash","arguments":{"c":"☠"}}}"#,
                r#"{"remoteCall":{"name":"Bash","args":{"c":"☠"}}}"#,
            ];
            parts.push(choices.pick(&odd, "{}").to_owned());
        }
        _ => {
            let (name, arguments) = (choices.pick(&NAMES, "Bash"), arguments(choices));
            let signed = if choices.below(2) == 0 { r#","thoughtSignature":"c2ln""# } else { "" };
            parts.push(format!(r#"{{"functionCall":{{"name":"{name}","args":{arguments}}}{signed}}}"#));
            reply.calls.push((name.to_owned(), arguments));
        }
    }
}
