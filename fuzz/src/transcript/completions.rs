//! Replies of OpenAI Completions: text, in which some agents find calls.

use super::{Choices, Reply, fragments, is_body, json_text, said};
use crate::machine::Setup;

/// A reply of one choice, or of two if they were asked for.
pub(super) fn reply(setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    let mut reply = Reply { honest: true, ..Reply::default() };
    let count = if setup.asked && choices.below(2) == 0 { 2 } else { 1 };
    let mut whole = Vec::new();
    for index in 0..count {
        let text = said(setup, choices, &mut reply.honest);
        for piece in fragments(text, choices) {
            let choice = choice(index, &json_text(&piece, choices), "null");
            reply.events.push(format!("data: {}\n\n", body(&choice)));
        }
        reply.events.push(format!("data: {}\n\n", body(&choice(index, "\"\"", "\"stop\""))));
        whole.push(choice(index, &json_text(text, choices), "\"stop\""));
    }
    reply.events.push("data: [DONE]\n\n".to_owned());
    if is_body(setup) {
        reply.events = vec![body(&whole.join(","))];
    }
    reply
}

fn choice(index: usize, text: &str, reason: &str) -> String {
    format!(r#"{{"index":{index},"text":{text},"logprobs":null,"finish_reason":{reason}}}"#)
}

fn body(choices: &str) -> String {
    format!(r#"{{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{choices}]}}"#)
}
