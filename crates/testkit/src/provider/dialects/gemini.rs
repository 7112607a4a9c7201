//! Google's compatible endpoint: calls whole with `extra_content` (the thought's signature), usage in every
//! chunk, an error that is a list.
//!
//! Its own scene: `index_zero` (parallel calls share index 0).
//!
//! Source: its documentation of OpenAI compatibility and issues of its users.

use super::super::json::quote;
use super::super::reply::Reply;
use super::super::script::Script;
use super::{Dialect, Turn, data, done};

pub(super) struct Gemini;

const USAGE: &str = "{\"completion_tokens\":17,\"prompt_tokens\":82,\"total_tokens\":99}";

fn chunk(turn: &Turn, choice: &str) -> Vec<u8> {
    data(&format!(
        "{{\"choices\":[{choice}],\"created\":1764061200,\"id\":\"kC0laY7wGv\",\"model\":{},\
         \"object\":\"chat.completion.chunk\",\"usage\":{USAGE}}}",
        quote(&turn.model)
    ))
}

fn call(at: usize, index: Option<usize>, call: &super::Call) -> String {
    let index = index.map(|index| format!("\"index\":{index},")).unwrap_or_default();
    format!(
        "{{\"extra_content\":{{\"google\":{{\"thought_signature\":\"CvcBAdHtim9h{at}\"}}}},{},\
         \"id\":\"function-call-1532{at}\",{index}\"type\":\"function\"}}",
        call.function()
    )
}

fn stream(turn: &Turn, index: impl Fn(usize) -> usize) -> Vec<Vec<u8>> {
    let choice = |delta: &str| format!("{{\"delta\":{{{delta},\"role\":\"assistant\"}},\"index\":0}}");
    let mut events: Vec<Vec<u8>> = turn
        .reasoning_pieces()
        .iter()
        .map(|piece| {
            let marked = "\"extra_content\":{\"google\":{\"thought\":true}}";
            chunk(turn, &choice(&format!("\"content\":{},{marked}", quote(&format!("<thought>{piece}")))))
        })
        .collect();
    let pieces = turn.text_pieces();
    events.extend(pieces.iter().map(|piece| chunk(turn, &choice(&format!("\"content\":{}", quote(piece))))));
    for (at, whole) in turn.calls.iter().enumerate() {
        let delta = format!("\"tool_calls\":[{}]", call(at, Some(index(at)), whole));
        events.push(chunk(turn, &choice(&delta)));
    }
    events.push(chunk(
        turn,
        &format!(
            "{{\"delta\":{{\"role\":\"assistant\"}},\"finish_reason\":\"{}\",\"index\":0}}",
            turn.finish()
        ),
    ));
    events.push(done());
    events
}

impl Dialect for Gemini {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        stream(turn, |at| at)
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> =
            turn.calls.iter().enumerate().map(|(at, whole)| call(at, None, whole)).collect();
        let mut message = String::from("\"role\":\"assistant\"");
        if !turn.text.is_empty() {
            message.push_str(&format!(",\"content\":{}", quote(turn.text)));
        }
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        format!(
            "{{\"choices\":[{{\"finish_reason\":\"{}\",\"index\":0,\"message\":{{{message}}}}}],\
             \"created\":1764061200,\"id\":\"kC0laY7wGv\",\"model\":{},\"object\":\"chat.completion\",\
             \"usage\":{USAGE}}}\n",
            turn.finish(),
            quote(&turn.model)
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            400,
            "[{\n  \"error\": {\n    \"code\": 400,\n    \"message\": \"API key not valid. Please pass a valid API \
             key.\",\n    \"status\": \"INVALID_ARGUMENT\",\n    \"details\": [\n      {\n        \"@type\": \
             \"type.googleapis.com/google.rpc.ErrorInfo\",\n        \"reason\": \"API_KEY_INVALID\",\n        \
             \"domain\": \"googleapis.com\",\n        \"metadata\": {\n          \"service\": \
             \"generativelanguage.googleapis.com\"\n        }\n      }\n    ]\n  }\n}\n]",
        )
    }

    fn breaks(&self, _: &Turn) -> Vec<Vec<u8>> {
        vec![data(
            "{\"error\":{\"code\":503,\"message\":\"The model is overloaded. Please try again later.\",\
             \"status\":\"UNAVAILABLE\"}}",
        )]
    }

    fn special(&self, scene: &str, script: &Script) -> Option<Reply> {
        (scene == "index_zero" && script.stream)
            .then(|| Turn::of("parallel", script).map(|turn| Reply::stream(stream(&turn, |_| 0))))?
    }
}
