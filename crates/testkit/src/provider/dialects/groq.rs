//! Groq: `x_groq` in the first and the last chunk, each call whole in a chunk of its own, an error in the
//! middle as an event with a name, what the model wrote instead of a call in the error.
//!
//! Source: its documentation of errors and of tool use.

use super::super::json::quote;
use super::super::reply::Reply;
use super::{Dialect, Turn, data, done};

pub(super) struct Groq;

const USAGE: &str = "{\"queue_time\":0.05,\"prompt_tokens\":82,\"prompt_time\":0.01,\"completion_tokens\":17,\
    \"completion_time\":0.02,\"total_tokens\":99,\"total_time\":0.03}";

fn chunk(turn: &Turn, delta: &str, finish: &str, rest: &str) -> Vec<u8> {
    data(&format!(
        "{{\"id\":\"chatcmpl-f51b2cd2\",\"object\":\"chat.completion.chunk\",\"created\":1764061200,\"model\":{},\
         \"system_fingerprint\":\"fp_179b0f92c9\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\
         \"logprobs\":null,\"finish_reason\":{finish}}}]{rest}}}",
        quote(&turn.model)
    ))
}

impl Dialect for Groq {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let first = ",\"x_groq\":{\"id\":\"req_01jbd6g2qdfw2adyrt2az8hz4w\"}";
        let mut events = vec![chunk(turn, "\"role\":\"assistant\",\"content\":null", "null", first)];
        for piece in turn.reasoning_pieces() {
            let delta = format!("\"reasoning\":{},\"channel\":\"analysis\"", quote(&piece));
            events.push(chunk(turn, &delta, "null", ""));
        }
        for piece in turn.text_pieces() {
            events.push(chunk(turn, &format!("\"content\":{}", quote(&piece)), "null", ""));
        }
        for (at, call) in turn.calls.iter().enumerate() {
            let delta = format!(
                "\"tool_calls\":[{{\"id\":\"fc_{at}-a8e2\",\"type\":\"function\",{},\"index\":{at}}}]",
                call.function()
            );
            events.push(chunk(turn, &delta, "null", ""));
        }
        let last = format!(
            ",\"x_groq\":{{\"id\":\"req_01jbd6g2qdfw2adyrt2az8hz4w\",\"usage\":{USAGE}}},\"usage\":{USAGE}"
        );
        events.push(chunk(turn, "", &quote(turn.finish()), &last));
        events.push(done());
        events
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> = turn
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                format!("{{\"id\":\"fc_{at}-a8e2\",\"type\":\"function\",{}}}", call.function())
            })
            .collect();
        let mut message = String::from("\"role\":\"assistant\"");
        if !turn.text.is_empty() {
            message.push_str(&format!(",\"content\":{}", quote(turn.text)));
        }
        if !turn.reasoning.is_empty() {
            message.push_str(&format!(",\"reasoning\":{}", quote(turn.reasoning)));
        }
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        format!(
            "{{\"id\":\"chatcmpl-f51b2cd2\",\"object\":\"chat.completion\",\"created\":1764061200,\"model\":{},\
             \"choices\":[{{\"index\":0,\"message\":{{{message}}},\"logprobs\":null,\"finish_reason\":\"{}\"}}],\
             \"usage\":{USAGE},\"usage_breakdown\":null,\"system_fingerprint\":\"fp_179b0f92c9\",\
             \"x_groq\":{{\"id\":\"req_01jbd6g2qdfw2adyrt2az8hz4w\"}},\"service_tier\":\"on_demand\"}}\n",
            quote(&turn.model),
            turn.finish()
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            400,
            "{\"error\":{\"message\":\"Failed to call a function. Please adjust your prompt. See 'failed_generation' \
             for more details.\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\
             \"failed_generation\":\"<function=Bash>{\\\"command\\\": \\\"ls\\\"}</function>\"}}\n",
        )
    }

    fn breaks(&self, _: &Turn) -> Vec<Vec<u8>> {
        vec![
            b"event: error\ndata: {\"error\":{\"message\":\"Tool call validation failed\",\
              \"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"failed_generation\":\"\",\
              \"status_code\":400}}\n\n"
                .to_vec(),
        ]
    }
}
