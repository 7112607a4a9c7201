//! vLLM: usage in every chunk (`continuous_usage_stats`), a call's name without arguments first, extra
//! members (`stop_reason`, `token_ids`, `prompt_logprobs`), `[DONE]` after an error.
//!
//! Its own scenes: `named_tool` (a forced tool: name in every piece, no id, finish `stop`), `no_finish`
//! (no chunk finishes, `[DONE]` comes), `finish_in_call` (the last piece of a call finishes), `old_error` (the
//! error is the chunk), `index_reused` (each call counts from 0 again, in pieces: parsers of its relatives).
//!
//! Source: its protocol's classes and issues of its users.

use super::super::json::quote;
use super::super::reply::Reply;
use super::super::script::Script;
use super::{Dialect, Turn, data, done};

pub(super) struct Vllm;

const USAGE: &str = "{\"prompt_tokens\":82,\"total_tokens\":99,\"completion_tokens\":17}";

const ERROR: &str = "\"message\":\"EngineCore encountered an issue. See stack trace (above) for the root cause.\",\
    \"type\":\"InternalServerError\",\"param\":null,\"code\":500";

fn chunk(turn: &Turn, choices: &str) -> Vec<u8> {
    let usage = if turn.usage { format!(",\"usage\":{USAGE}") } else { String::new() };
    data(&format!(
        "{{\"id\":\"chatcmpl-97319e51c49a6410\",\"object\":\"chat.completion.chunk\",\"created\":1764061200,\
         \"model\":{},\"choices\":[{choices}]{usage}}}",
        quote(&turn.model)
    ))
}

fn delta(turn: &Turn, delta: &str) -> Vec<u8> {
    let choice = format!(
        "{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}}"
    );
    chunk(turn, &choice)
}

fn finish(turn: &Turn, delta: &str, reason: &str) -> Vec<u8> {
    let choice = format!(
        "{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{reason},\"stop_reason\":128008,\
         \"token_ids\":null}}"
    );
    chunk(turn, &choice)
}

fn piece(at: usize, arguments: &str) -> String {
    format!("\"tool_calls\":[{{\"index\":{at},\"function\":{{\"arguments\":{}}}}}]", quote(arguments))
}

/// Everything up to the finish.
fn begin(turn: &Turn) -> Vec<Vec<u8>> {
    let mut events = vec![delta(turn, "\"role\":\"assistant\",\"content\":\"\"")];
    for piece in turn.reasoning_pieces() {
        let piece = quote(&piece);
        events.push(delta(turn, &format!("\"reasoning\":{piece},\"reasoning_content\":{piece}")));
    }
    for piece in turn.text_pieces() {
        events.push(delta(turn, &format!("\"content\":{}", quote(&piece))));
    }
    for (at, call) in turn.calls.iter().enumerate() {
        events.push(delta(
            turn,
            &format!(
                "\"tool_calls\":[{{\"id\":\"chatcmpl-tool-c9ZCzB9b9N{at}\",\"type\":\"function\",\"index\":{at},\
                 \"function\":{{\"name\":{}}}}}]",
                quote(call.name)
            ),
        ));
        events.extend(call.pieces().iter().map(|arguments| delta(turn, &piece(at, arguments))));
    }
    events
}

fn end(turn: &Turn, mut events: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if turn.usage {
        events.push(chunk(turn, ""));
    }
    events.push(done());
    events
}

impl Dialect for Vllm {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let mut events = begin(turn);
        events.push(finish(turn, "\"content\":\"\"", &quote(turn.finish())));
        end(turn, events)
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> = turn
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                format!(
                    "{{\"id\":\"chatcmpl-tool-c9ZCzB9b9N{at}\",\"type\":\"function\",{}}}",
                    call.function()
                )
            })
            .collect();
        let text = if turn.text.is_empty() { "null".to_owned() } else { quote(turn.text) };
        let thoughts = if turn.reasoning.is_empty() { "null".to_owned() } else { quote(turn.reasoning) };
        format!(
            "{{\"id\":\"chatcmpl-97319e51c49a6410\",\"object\":\"chat.completion\",\"created\":1764061200,\
             \"model\":{},\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{text},\
             \"refusal\":null,\"annotations\":null,\"audio\":null,\"function_call\":null,\"tool_calls\":[{}],\
             \"reasoning\":{thoughts},\"reasoning_content\":{thoughts}}},\"logprobs\":null,\
             \"finish_reason\":\"{}\",\"stop_reason\":null,\"token_ids\":null}}],\"service_tier\":null,\
             \"system_fingerprint\":null,\"usage\":{{\"prompt_tokens\":82,\"total_tokens\":99,\
             \"completion_tokens\":17,\"prompt_tokens_details\":null}},\"prompt_logprobs\":null,\
             \"prompt_token_ids\":null,\"kv_transfer_params\":null}}",
            quote(&turn.model),
            calls.join(","),
            turn.finish()
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            400,
            "{\"error\":{\"message\":\"This model's maximum context length is 4096 tokens. However, your request \
             has 5120 input tokens.\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}",
        )
    }

    fn breaks(&self, _: &Turn) -> Vec<Vec<u8>> {
        vec![data(&format!("{{\"error\":{{{ERROR}}}}}")), done()]
    }

    fn special(&self, scene: &str, script: &Script) -> Option<Reply> {
        if !script.stream {
            return None;
        }
        Some(Reply::stream(match scene {
            "named_tool" => {
                let turn = Turn::of("all_blocked", script)?;
                let mut events = vec![delta(&turn, "\"role\":\"assistant\",\"content\":\"\"")];
                events.extend(turn.calls.iter().flat_map(|call| call.pieces()).map(|arguments| {
                    let call = format!(
                        "\"tool_calls\":[{{\"index\":0,\"function\":{{\"name\":\"Bash\",\"arguments\":{}}}}}]",
                        quote(&arguments)
                    );
                    delta(&turn, &call)
                }));
                events.push(finish(&turn, "\"content\":\"\"", "\"stop\""));
                end(&turn, events)
            }
            "no_finish" => {
                let turn = Turn::of("parallel", script)?;
                end(&turn, begin(&turn))
            }
            "finish_in_call" => {
                let turn = Turn::of("blocked", script)?;
                let mut events = begin(&turn);
                events.pop();
                let last = turn.calls.last().map(super::Call::pieces).unwrap_or_default();
                let last = last.last().cloned().unwrap_or_default();
                events.push(finish(&turn, &piece(1, &last), "\"tool_calls\""));
                end(&turn, events)
            }
            "old_error" => {
                let turn = Turn::of("text", script)?;
                let mut events = super::first_part(begin(&turn));
                events.push(data(&format!("{{\"object\":\"error\",{ERROR}}}")));
                events.push(done());
                events
            }
            "index_reused" => {
                let turn = Turn::of("parallel", script)?;
                let mut events = vec![delta(&turn, "\"role\":\"assistant\",\"content\":\"\"")];
                for (at, call) in turn.calls.iter().enumerate() {
                    events.push(delta(
                        &turn,
                        &format!(
                            "\"tool_calls\":[{{\"id\":\"chatcmpl-tool-c9ZCzB9b9N{at}\",\"type\":\"function\",\
                             \"index\":0,\"function\":{{\"name\":{},\"arguments\":\"\"}}}}]",
                            quote(call.name)
                        ),
                    ));
                    events.extend(call.pieces().iter().map(|arguments| delta(&turn, &piece(0, arguments))));
                }
                events.push(finish(&turn, "\"content\":\"\"", "\"tool_calls\""));
                end(&turn, events)
            }
            _ => return None,
        }))
    }
}
