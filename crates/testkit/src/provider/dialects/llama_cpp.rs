//! llama.cpp's server: members in an order of its own, `content: null` first, `delta: {}` at the end, `timings`,
//! pings as empty comments, no blank line behind `[DONE]`.
//!
//! Its own scene: `old_error` (until late in 2025 an error in the middle is a field `error:`, which is none
//! of the format's).
//!
//! Source: its server's README and source, and issues of its users.

use super::super::json::quote;
use super::super::reply::Reply;
use super::super::script::Script;
use super::{Dialect, Turn, data};

pub(super) struct LlamaCpp;

const USAGE: &str = "\"usage\":{\"completion_tokens\":17,\"prompt_tokens\":82,\"total_tokens\":99,\
    \"prompt_tokens_details\":{\"cached_tokens\":0}},\"timings\":{\"cache_n\":0,\"prompt_n\":82,\
    \"prompt_ms\":131.5,\"prompt_per_token_ms\":1.6036585365853658,\"prompt_per_second\":623.574144486692,\
    \"predicted_n\":17,\"predicted_ms\":402.1,\"predicted_per_token_ms\":23.652941176470588,\
    \"predicted_per_second\":42.27804028848545}";

fn tail(turn: &Turn, object: &str) -> String {
    format!(
        "\"created\":1764061200,\"model\":{},\"system_fingerprint\":\"b9038-a414a44\",\"object\":\"{object}\"",
        quote(&turn.model)
    )
}

const ID: &str = "\"id\":\"chatcmpl-PZ5ZD8fqMnhPYSsPlrOieSvbLMKUCe69\"";

fn chunk(turn: &Turn, choices: &str, rest: &str) -> Vec<u8> {
    data(&format!("{{\"choices\":[{choices}],{},{ID}{rest}}}", tail(turn, "chat.completion.chunk")))
}

fn delta(turn: &Turn, delta: &str) -> Vec<u8> {
    chunk(turn, &format!("{{\"finish_reason\":null,\"index\":0,\"delta\":{{{delta}}}}}"), "")
}

fn begin(turn: &Turn) -> Vec<Vec<u8>> {
    let mut events = vec![b":\n\n".to_vec(), delta(turn, "\"role\":\"assistant\",\"content\":null")];
    for piece in turn.reasoning_pieces() {
        events.push(delta(turn, &format!("\"reasoning_content\":{}", quote(&piece))));
    }
    for piece in turn.text_pieces() {
        events.push(delta(turn, &format!("\"content\":{}", quote(&piece))));
    }
    for (at, call) in turn.calls.iter().enumerate() {
        for (number, piece) in call.pieces().iter().enumerate() {
            let piece = quote(piece);
            // The first piece of the arguments stands beside the name.
            events.push(delta(turn, &match number {
                0 => format!(
                    "\"tool_calls\":[{{\"index\":{at},\"id\":\"h7nRVLLqZ6gUbhzJ{at}\",\"type\":\"function\",\
                     \"function\":{{\"name\":{},\"arguments\":{piece}}}}}]",
                    quote(call.name)
                ),
                _ => format!("\"tool_calls\":[{{\"index\":{at},\"function\":{{\"arguments\":{piece}}}}}]"),
            }));
        }
    }
    events
}

impl Dialect for LlamaCpp {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let mut events = begin(turn);
        let finish = format!("{{\"finish_reason\":\"{}\",\"index\":0,\"delta\":{{}}}}", turn.finish());
        let timings = format!(",{USAGE}");
        if turn.usage {
            events.push(chunk(turn, &finish, ""));
            events.push(chunk(turn, "", &timings));
        } else {
            events.push(chunk(turn, &finish, &timings));
        }
        events.push(b"data: [DONE]\n".to_vec());
        events
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> = turn
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                format!("{{\"type\":\"function\",{},\"id\":\"h7nRVLLqZ6gUbhzJ{at}\"}}", call.function())
            })
            .collect();
        let text = if turn.text.is_empty() { "null".to_owned() } else { quote(turn.text) };
        let mut message = String::from("\"role\":\"assistant\"");
        if !turn.reasoning.is_empty() {
            message.push_str(&format!(",\"reasoning_content\":{}", quote(turn.reasoning)));
        }
        message.push_str(&format!(",\"content\":{text}"));
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        format!(
            "{{\"choices\":[{{\"finish_reason\":\"{}\",\"index\":0,\"message\":{{{message}}}}}],{},{ID},{USAGE}}}",
            turn.finish(),
            tail(turn, "chat.completion")
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            400,
            "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size, try increasing \
             it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":12034,\"n_ctx\":4096}}",
        )
    }

    fn breaks(&self, _: &Turn) -> Vec<Vec<u8>> {
        vec![data(
            "{\"error\":{\"code\":500,\"message\":\"Context size has been exceeded.\",\"type\":\"server_error\"}}",
        )]
    }

    fn special(&self, scene: &str, script: &Script) -> Option<Reply> {
        if scene != "old_error" || !script.stream {
            return None;
        }
        let mut events = super::first_part(begin(&Turn::of("text", script)?));
        events.push(
            b"error: {\"code\":500,\"message\":\"Context size has been exceeded.\",\"type\":\"server_error\"}\n\n"
                .to_vec(),
        );
        events.push(super::done());
        Some(Reply::stream(events))
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("server", "llama.cpp")]
    }
}
