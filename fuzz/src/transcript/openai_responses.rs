//! Replies of OpenAI Responses.

use super::{Choices, NAMES, Reply, arguments, fragments, is_body, json_text, said};
use crate::machine::Setup;

/// Events, with the number each has, and the items that the last one repeats.
struct Written {
    events: Vec<String>,
    numbered: bool,
    items: Vec<String>,
}

impl Written {
    fn push(&mut self, kind: &str, rest: &str) {
        let number = self.events.len();
        let number = if self.numbered { format!(",\"sequence_number\":{number}") } else { String::new() };
        self.events.push(format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{number},{rest}}}\n\n"));
    }
}

/// A reply of up to five items.
pub(super) fn reply(setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    let mut reply = Reply { honest: true, ..Reply::default() };
    let numbered = choices.below(4) == 0;
    let mut written = Written { events: Vec::new(), numbered, items: Vec::new() };
    written.push("response.created", &format!(r#""response":{}"#, response("in_progress", "")));
    for _ in 0..choices.below(6) {
        item(setup, choices, &mut reply, &mut written);
    }
    let whole = response("completed", &written.items.join(","));
    written.push("response.completed", &format!(r#""response":{whole}"#));
    reply.events = if is_body(setup) { vec![whole] } else { written.events };
    reply
}

fn response(status: &str, items: &str) -> String {
    format!(
        r#"{{"id":"resp_1","object":"response","status":"{status}","error":null,"output":[{items}],"tools":[{{"type":"function","name":"Bash","parameters":{{}}}}],"usage":null}}"#
    )
}

fn item(setup: &Setup, choices: &mut Choices<'_>, reply: &mut Reply, written: &mut Written) {
    let index = written.items.len();
    match choices.below(8) {
        0 | 1 => message(setup, choices, reply, written),
        2 => {
            let whole =
                format!(r#"{{"id":"rs_{index}","type":"reasoning","summary":[],"encrypted_content":"e"}}"#);
            plain(written, whole);
        }
        3 => {
            // Calls of other kinds: what the judge gets of them is not spelt as it came.
            reply.honest = false;
            let odd = [
                r#""type":"local_shell_call","status":"completed","action":{"type":"exec","command":["bash","-c","☠"],"env":{}}"#,
                r#""type":"shell_call","status":"completed","action":{"commands":["ls","☠"]}"#,
                r#""type":"apply_patch_call","status":"completed","operation":{"type":"create_file","path":"a","diff":"+☠\n"}"#,
                r#""type":"mcp_approval_request","server_label":"s","name":"n","arguments":"{\"c\":\"☠\"}""#,
                r#""type":"computer_call","status":"completed","pending_safety_checks":[],"action":{"type":"type","text":"☠"}"#,
                r#""type":"remote_call","name":"Bash","arguments":"{\"c\":\"☠\"}""#,
            ];
            let rest = choices.pick(&odd, "");
            plain(written, format!(r#"{{"id":"o_{index}","call_id":"call_{index}",{rest}}}"#));
        }
        4 if setup.asked => {
            let rest =
                r#""type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}"#;
            plain(written, format!(r#"{{"id":"ws_{index}",{rest}}}"#));
        }
        5 => {
            let text = choices.pick(&["☠", "echo hi"], "");
            let call = ("custom_tool_call", "custom_tool_call_input", "input");
            called(choices, reply, written, call, text.to_owned());
        }
        _ => {
            let arguments = arguments(choices);
            let call = ("function_call", "function_call_arguments", "arguments");
            called(choices, reply, written, call, arguments);
        }
    }
}

/// An item that comes begun and whole, with nothing between.
fn plain(written: &mut Written, whole: String) {
    let index = written.items.len();
    written.push("response.output_item.added", &format!(r#""output_index":{index},"item":{whole}"#));
    written.push("response.output_item.done", &format!(r#""output_index":{index},"item":{whole}"#));
    written.items.push(whole);
}

fn message(setup: &Setup, choices: &mut Choices<'_>, reply: &mut Reply, written: &mut Written) {
    let index = written.items.len();
    let text = said(setup, choices, &mut reply.honest);
    let spelt = json_text(text, choices);
    let part = |text: &str| format!(r#"{{"type":"output_text","annotations":[],"text":{text}}}"#);
    let item = |status: &str, content: &str| {
        format!(
            r#"{{"id":"msg_{index}","type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
        )
    };
    let at = format!(r#""output_index":{index},"item_id":"msg_{index}","content_index":0"#);
    let begun = item("in_progress", "");
    written.push("response.output_item.added", &format!(r#""output_index":{index},"item":{begun}"#));
    written.push("response.content_part.added", &format!(r#"{at},"part":{}"#, part("\"\"")));
    for piece in fragments(text, choices) {
        let piece = json_text(&piece, choices);
        written.push("response.output_text.delta", &format!(r#"{at},"delta":{piece}"#));
    }
    written.push("response.output_text.done", &format!(r#"{at},"text":{spelt}"#));
    written.push("response.content_part.done", &format!(r#"{at},"part":{}"#, part(&spelt)));
    let whole = item("completed", &part(&spelt));
    written.push("response.output_item.done", &format!(r#""output_index":{index},"item":{whole}"#));
    written.items.push(whole);
}

/// A call whose arguments come in deltas: the type of the item, the prefix of its events, the member.
fn called(
    choices: &mut Choices<'_>,
    reply: &mut Reply,
    written: &mut Written,
    (kind, prefix, member): (&str, &str, &str),
    arguments: String,
) {
    let index = written.items.len();
    let name = choices.pick(&NAMES, "Bash");
    let item = |status: &str, arguments: &str| {
        format!(
            r#"{{"id":"fc_{index}","type":"{kind}","status":"{status}","call_id":"call_{index}","name":"{name}","{member}":{arguments}}}"#
        )
    };
    let spelt = json_text(&arguments, choices);
    let at = format!(r#""output_index":{index},"item_id":"fc_{index}""#);
    let begun = item("in_progress", "\"\"");
    written.push("response.output_item.added", &format!(r#""output_index":{index},"item":{begun}"#));
    for piece in fragments(&arguments, choices) {
        let piece = json_text(&piece, choices);
        written.push(&format!("response.{prefix}.delta"), &format!(r#"{at},"delta":{piece}"#));
    }
    written.push(&format!("response.{prefix}.done"), &format!(r#"{at},"{member}":{spelt}"#));
    let whole = item("completed", &spelt);
    written.push("response.output_item.done", &format!(r#""output_index":{index},"item":{whole}"#));
    written.items.push(whole);
    reply.calls.push((name.to_owned(), arguments));
}
