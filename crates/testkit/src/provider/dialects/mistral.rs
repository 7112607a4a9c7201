//! Mistral: calls whole and all in the chunk that finishes, without a type; padding (`p`); thoughts as parts
//! of `content`; errors that are no object under `error`.
//!
//! Source: its API's specification and issues of its users.

use super::super::json::quote;
use super::super::reply::Reply;
use super::{Dialect, Turn, data, done};

pub(super) struct Mistral;

const USAGE: &str = "{\"prompt_tokens\":82,\"total_tokens\":99,\"completion_tokens\":17}";

fn chunk(turn: &Turn, delta: &str, finish: &str, rest: &str) -> Vec<u8> {
    data(&format!(
        "{{\"id\":\"53ec9b7a1f2c4f0e\",\"object\":\"chat.completion.chunk\",\"created\":1764061200,\"model\":{},\
         \"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]{rest},\"p\":\"abcdefghijk\"}}",
        quote(&turn.model)
    ))
}

fn calls(turn: &Turn) -> String {
    let each: Vec<String> = turn
        .calls
        .iter()
        .enumerate()
        .map(|(at, call)| format!("{{\"id\":\"VvvODy9m{at}\",{},\"index\":{at}}}", call.function()))
        .collect();
    each.join(",")
}

impl Dialect for Mistral {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let mut events = vec![chunk(turn, "\"role\":\"assistant\",\"content\":\"\"", "null", "")];
        for piece in turn.reasoning_pieces() {
            let delta = format!(
                "\"content\":[{{\"type\":\"thinking\",\"thinking\":[{{\"type\":\"text\",\"text\":{}}}]}}]",
                quote(&piece)
            );
            events.push(chunk(turn, &delta, "null", ""));
        }
        for piece in turn.text_pieces() {
            events.push(chunk(turn, &format!("\"content\":{}", quote(&piece)), "null", ""));
        }
        let usage = format!(",\"usage\":{USAGE}");
        let last = if turn.calls.is_empty() {
            "\"content\":\"\"".to_owned()
        } else {
            format!("\"content\":\"\",\"tool_calls\":[{}]", calls(turn))
        };
        events.push(chunk(turn, &last, &quote(turn.finish()), &usage));
        events.push(done());
        events
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let content = if turn.reasoning.is_empty() {
            quote(turn.text)
        } else {
            format!(
                "[{{\"type\":\"thinking\",\"thinking\":[{{\"type\":\"text\",\"text\":{}}}]}},\
                 {{\"type\":\"text\",\"text\":{}}}]",
                quote(turn.reasoning),
                quote(turn.text)
            )
        };
        let calls = if turn.calls.is_empty() { "null".to_owned() } else { format!("[{}]", calls(turn)) };
        format!(
            "{{\"id\":\"53ec9b7a1f2c4f0e\",\"created\":1764061200,\"model\":{},\"usage\":{USAGE},\
             \"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"finish_reason\":\"{}\",\
             \"message\":{{\"role\":\"assistant\",\"tool_calls\":{calls},\"content\":{content}}}}}]}}",
            quote(&turn.model),
            turn.finish()
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            422,
            "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"store\"],\
             \"msg\":\"Extra inputs are not permitted\",\"input\":true}]},\"type\":\"invalid_request_error\",\
             \"param\":null,\"code\":null,\"raw_status_code\":422}",
        )
    }

    fn breaks(&self, _: &Turn) -> Vec<Vec<u8>> {
        vec![data(
            "{\"error\":{\"object\":\"error\",\"message\":\"Service unavailable.\",\"type\":\"internal_server_error\",\
             \"param\":null,\"code\":\"1000\"}}",
        )]
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("mistral-correlation-id", "0199c0de-0000-7000-8000-000000000001")]
    }
}
