//! DeepSeek: `: keep-alive` comments, empty lines before a JSON body, `reasoning_content`, the usage in the
//! chunk that finishes, and `insufficient_system_resource` as the reason of an end that was none.
//!
//! Source: its documentation of rate limits, of the API and of the reasoning model.

use super::super::json::quote;
use super::super::reply::Reply;
use super::{Dialect, Turn, broken_off, data, done};

pub(super) struct DeepSeek;

const USAGE: &str = "{\"prompt_tokens\":82,\"completion_tokens\":17,\"total_tokens\":99,\
    \"prompt_tokens_details\":{\"cached_tokens\":64},\"prompt_cache_hit_tokens\":64,\"prompt_cache_miss_tokens\":18}";

fn chunk(turn: &Turn, delta: &str, finish: &str, rest: &str) -> Vec<u8> {
    data(&format!(
        "{{\"id\":\"3f1e5c0a-7b1d-4c55-9f0e-2d8c6a0b9e11\",\"object\":\"chat.completion.chunk\",\
         \"created\":1764061200,\"model\":{},\"system_fingerprint\":\"fp_ffc7281d48_prod0820_fp8_kvcache\",\
         \"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]{rest}}}",
        quote(&turn.model)
    ))
}

impl Dialect for DeepSeek {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let thinks = !turn.reasoning.is_empty();
        let plain = |delta: &str| chunk(turn, delta, "null", "");
        let mut events = vec![b": keep-alive\n\n".to_vec(), b": keep-alive\n\n".to_vec()];
        events.push(plain(if thinks {
            "\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"\""
        } else {
            "\"role\":\"assistant\",\"content\":\"\""
        }));
        for piece in turn.reasoning_pieces() {
            events.push(plain(&format!("\"content\":null,\"reasoning_content\":{}", quote(&piece))));
        }
        let beside = if thinks { ",\"reasoning_content\":null" } else { "" };
        for piece in turn.text_pieces() {
            events.push(plain(&format!("\"content\":{}{beside}", quote(&piece))));
        }
        for (at, call) in turn.calls.iter().enumerate() {
            events.push(plain(&format!(
                "\"tool_calls\":[{{\"index\":{at},\"id\":\"call_{at}_8d2f\",\"type\":\"function\",\
                 \"function\":{{\"name\":{},\"arguments\":\"\"}}}}]",
                quote(call.name)
            )));
            events.extend(call.pieces().iter().map(|piece| {
                plain(&format!(
                    "\"tool_calls\":[{{\"index\":{at},\"function\":{{\"arguments\":{}}}}}]",
                    quote(piece)
                ))
            }));
        }
        let usage = format!(",\"usage\":{USAGE}");
        events.push(chunk(turn, &format!("\"content\":\"\"{beside}"), &quote(turn.finish()), &usage));
        events.push(done());
        events
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> = turn
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                format!(
                    "{{\"index\":{at},\"id\":\"call_{at}_8d2f\",\"type\":\"function\",{}}}",
                    call.function()
                )
            })
            .collect();
        let mut message = format!("\"role\":\"assistant\",\"content\":{}", quote(turn.text));
        if !turn.reasoning.is_empty() {
            message.push_str(&format!(",\"reasoning_content\":{}", quote(turn.reasoning)));
        }
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        // Empty lines for as long as the request waits.
        format!(
            "\n\n\n\n\n{{\"id\":\"3f1e5c0a-7b1d-4c55-9f0e-2d8c6a0b9e11\",\"object\":\"chat.completion\",\
             \"created\":1764061200,\"model\":{},\"choices\":[{{\"index\":0,\"message\":{{{message}}},\
             \"logprobs\":null,\"finish_reason\":\"{}\"}}],\"usage\":{USAGE},\
             \"system_fingerprint\":\"fp_ffc7281d48_prod0820_fp8_kvcache\"}}",
            quote(&turn.model),
            turn.finish()
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            402,
            "{\"error\":{\"message\":\"Insufficient Balance\",\"type\":\"unknown_error\",\"param\":null,\
             \"code\":\"invalid_request_error\"}}",
        )
    }

    fn breaks(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let usage = format!(",\"usage\":{USAGE}");
        vec![chunk(turn, "\"content\":\"\"", "\"insufficient_system_resource\"", &usage), done()]
    }

    /// The server closes the connection when the time is up.
    fn broken(&self, _: &Turn) -> Reply {
        broken_off(vec![b"\n".to_vec(); 5])
    }
}
