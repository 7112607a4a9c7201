//! LiteLLM's proxy: members that are null are left out of chunks (`finish_reason` among them), its own are
//! added (`provider_specific_fields`, `thinking_blocks`, `stream_options`), errors in JSON as Python writes it.
//!
//! Its own scenes: `full` (versions that write every member of a delta, null or not), `breaks_off` (the
//! connection ends in the middle: a guardrail).
//!
//! Source: its documentation of the proxy and issues of its users.

use super::super::json::quote;
use super::super::reply::{Ending, Reply};
use super::super::script::Script;
use super::{Dialect, Turn, data, done};

pub(super) struct LiteLlm;

const USAGE: &str = "{\"completion_tokens\":17,\"prompt_tokens\":82,\"total_tokens\":99,\
    \"completion_tokens_details\":{\"reasoning_tokens\":0},\"prompt_tokens_details\":{\"cached_tokens\":0,\
    \"cache_creation_tokens\":0},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}";

fn chunk(turn: &Turn, choice: &str, rest: &str) -> Vec<u8> {
    data(&format!(
        "{{\"id\":\"chatcmpl-5a2f0f6e-3c0b\",\"created\":1764061200,\"model\":{},\
         \"object\":\"chat.completion.chunk\",\"choices\":[{choice}],\"stream_options\":{{\"include_usage\":{}}}{rest}}}",
        quote(&turn.model),
        turn.usage
    ))
}

fn delta(turn: &Turn, delta: &str) -> Vec<u8> {
    chunk(turn, &format!("{{\"index\":0,\"delta\":{{{delta}}}}}"), "")
}

fn begin(turn: &Turn) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for piece in turn.reasoning_pieces() {
        let piece = quote(&piece);
        events.push(delta(
            turn,
            &format!(
                "\"reasoning_content\":{piece},\"thinking_blocks\":[{{\"type\":\"thinking\",\"thinking\":{piece}}}],\
                 \"provider_specific_fields\":{{\"thinking_blocks\":[{{\"type\":\"thinking\",\"thinking\":{piece}}}]}},\
                 \"content\":\"\",\"role\":\"assistant\""
            ),
        ));
    }
    for (number, piece) in turn.text_pieces().iter().enumerate() {
        let role = if number == 0 { ",\"role\":\"assistant\"" } else { "" };
        events.push(delta(turn, &format!("\"content\":{}{role}", quote(piece))));
    }
    for (at, call) in turn.calls.iter().enumerate() {
        events.push(delta(
            turn,
            &format!(
                "\"content\":\"\",\"tool_calls\":[{{\"id\":\"toolu_01B{at}\",\"function\":{{\"arguments\":\"\",\
                 \"name\":{}}},\"type\":\"function\",\"index\":{at},\"caller\":{{\"type\":\"direct\"}}}}]",
                quote(call.name)
            ),
        ));
        events.extend(call.pieces().iter().map(|piece| {
            delta(
                turn,
                &format!(
                    "\"tool_calls\":[{{\"function\":{{\"arguments\":{}}},\"type\":\"function\",\"index\":{at}}}]",
                    quote(piece)
                ),
            )
        }));
    }
    events
}

fn finish(turn: &Turn) -> Vec<u8> {
    chunk(turn, &format!("{{\"finish_reason\":\"{}\",\"index\":0,\"delta\":{{}}}}", turn.finish()), "")
}

impl Dialect for LiteLlm {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let mut events = begin(turn);
        events.push(finish(turn));
        if turn.usage {
            // Its usage stands beside a choice that says nothing.
            events.push(chunk(turn, "{\"index\":0,\"delta\":{}}", &format!(",\"usage\":{USAGE}")));
        }
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
                    "{{\"function\":{{\"arguments\":{},\"name\":{}}},\"id\":\"toolu_01B{at}\",\
                     \"type\":\"function\",\"caller\":{{\"type\":\"direct\"}}}}",
                    quote(&call.arguments),
                    quote(call.name)
                )
            })
            .collect();
        let text = if turn.text.is_empty() { "null".to_owned() } else { quote(turn.text) };
        let mut message = format!("\"content\":{text},\"role\":\"assistant\"");
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        if !turn.reasoning.is_empty() {
            message.push_str(&format!(
                ",\"reasoning_content\":{0},\"thinking_blocks\":[{{\"type\":\"thinking\",\"thinking\":{0},\
                 \"signature\":\"EqQBCgIYAhIM1gbc\"}}]",
                quote(turn.reasoning)
            ));
        }
        message.push_str(",\"provider_specific_fields\":{\"citations\":null,\"thinking_blocks\":null}");
        format!(
            "{{\"id\":\"chatcmpl-5a2f0f6e-3c0b\",\"created\":1764061200,\"model\":{},\"object\":\"chat.completion\",\
             \"choices\":[{{\"finish_reason\":\"{}\",\"index\":0,\"message\":{{{message}}},\
             \"provider_specific_fields\":{{}}}}],\"usage\":{USAGE}}}",
            quote(&turn.model),
            turn.finish()
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            429,
            "{\"error\":{\"message\":\"litellm.RateLimitError: AnthropicException - {\\\"type\\\":\\\"error\\\",\
             \\\"error\\\":{\\\"type\\\":\\\"rate_limit_error\\\",\\\"message\\\":\\\"Number of requests has exceeded \
             your rate limit\\\"}}. Received Model Group=claude\\nAvailable Model Group Fallbacks=None\",\
             \"type\":\"throttling_error\",\"param\":null,\"code\":\"429\"}}",
        )
        .with("retry-after", "17")
    }

    fn breaks(&self, _: &Turn) -> Vec<Vec<u8>> {
        vec![data(
            "{\"error\": {\"message\": \"litellm.MidStreamFallbackError: litellm.InternalServerError: Overloaded\", \
             \"type\": \"None\", \"param\": \"None\", \"code\": \"500\"}}",
        )]
    }

    fn special(&self, scene: &str, script: &Script) -> Option<Reply> {
        if !script.stream {
            return None;
        }
        match scene {
            "full" => {
                let turn = Turn::of("blocked", script)?;
                let full = |delta: &str, finish: &str| {
                    chunk(
                        &turn,
                        &format!(
                            "{{\"finish_reason\":{finish},\"index\":0,\"delta\":{{\"provider_specific_fields\":null,\
                             \"refusal\":null,{delta},\"function_call\":null,\"audio\":null}},\"logprobs\":null}}"
                        ),
                        ",\"system_fingerprint\":null,\"citations\":null",
                    )
                };
                let mut events: Vec<Vec<u8>> = turn
                    .text_pieces()
                    .iter()
                    .map(|piece| {
                        full(
                            &format!(
                                "\"content\":{},\"role\":\"assistant\",\"tool_calls\":null",
                                quote(piece)
                            ),
                            "null",
                        )
                    })
                    .collect();
                for (at, call) in turn.calls.iter().enumerate() {
                    let call = format!(
                        "\"content\":null,\"role\":\"assistant\",\"tool_calls\":[{{\"id\":\"call_{at}\",{},\
                         \"type\":\"function\",\"index\":{at}}}]",
                        call.function()
                    );
                    events.push(full(&call, "null"));
                }
                events
                    .push(full("\"content\":null,\"role\":null,\"tool_calls\":null", &quote(turn.finish())));
                events.push(done());
                Some(Reply::stream(events))
            }
            "breaks_off" => {
                let events = super::first_part(begin(&Turn::of("text", script)?));
                Some(Reply::stream(events).ending(Ending::Truncated))
            }
            _ => None,
        }
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("x-litellm-call-id", "5a2f0f6e-3c0b-4b6e-9d7c-000000000001"),
            ("x-litellm-version", "1.94.0"),
            ("x-litellm-model-region", "None"),
            ("llm_provider-x-ratelimit-remaining-requests", "49"),
        ]
    }
}
