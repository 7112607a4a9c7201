//! Azure OpenAI: a first chunk without choices that tells what the filter thought of the prompt, members in
//! alphabetical order, `content_filter_results` beside every delta, an end by `content_filter`.
//!
//! Its own scene: `async_filter` (the filter's opinion comes in choices without a delta, one of them behind
//! the choice that finishes).
//!
//! Source: its documentation of content filtering and content streaming.

use super::super::json::quote;
use super::super::reply::Reply;
use super::super::script::Script;
use super::{Dialect, Turn, data, done};

pub(super) struct Azure;

const SAFE: &str = "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},\"self_harm\":{\"filtered\":false,\
    \"severity\":\"safe\"},\"sexual\":{\"filtered\":false,\"severity\":\"safe\"},\"violence\":{\"filtered\":false,\
    \"severity\":\"safe\"}}";

const PROMPT: &str = "{\"prompt_index\":0,\"content_filter_results\":{\"hate\":{\"filtered\":false,\
    \"severity\":\"safe\"},\"jailbreak\":{\"filtered\":false,\"detected\":false},\"self_harm\":{\"filtered\":false,\
    \"severity\":\"safe\"},\"sexual\":{\"filtered\":false,\"severity\":\"safe\"},\"violence\":{\"filtered\":false,\
    \"severity\":\"safe\"}}}";

const USAGE: &str = "{\"completion_tokens\":17,\"completion_tokens_details\":{\"accepted_prediction_tokens\":0,\
    \"audio_tokens\":0,\"reasoning_tokens\":0,\"rejected_prediction_tokens\":0},\"latency_checkpoint\":{},\
    \"prompt_tokens\":82,\"prompt_tokens_details\":{\"audio_tokens\":0,\"cached_tokens\":0},\"total_tokens\":99}";

fn chunk(turn: &Turn, choices: &str, usage: &str) -> Vec<u8> {
    data(&format!(
        "{{\"choices\":[{choices}],\"created\":1764061200,\"id\":\"chatcmpl-CfM1xk3vQz\",\"model\":{},\
         \"obfuscation\":\"pKbDd3Vm\",\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"fp_b54fe76834\"{usage}}}",
        quote(&turn.model)
    ))
}

fn choice(turn: &Turn, filter: &str, delta: &str, finish: &str) -> Vec<u8> {
    let usage = if turn.usage { ",\"usage\":null" } else { "" };
    let choice = format!(
        "{{\"content_filter_results\":{filter},\"delta\":{{{delta}}},\"finish_reason\":{finish},\"index\":0,\
         \"logprobs\":null}}"
    );
    chunk(turn, &choice, usage)
}

fn prompt() -> Vec<u8> {
    data(&format!(
        "{{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{PROMPT}]}}"
    ))
}

fn begin(turn: &Turn, filter: &str) -> Vec<Vec<u8>> {
    let content = if turn.text.is_empty() { "null" } else { "\"\"" };
    let first = format!("\"content\":{content},\"refusal\":null,\"role\":\"assistant\"");
    let mut events = vec![prompt(), choice(turn, "{}", &first, "null")];
    for piece in turn.text_pieces() {
        events.push(choice(turn, filter, &format!("\"content\":{}", quote(&piece)), "null"));
    }
    for (at, call) in turn.calls.iter().enumerate() {
        let first = format!(
            "\"tool_calls\":[{{\"function\":{{\"arguments\":\"\",\"name\":{}}},\"id\":\"call_Az{at}\",\"index\":{at},\
             \"type\":\"function\"}}]",
            quote(call.name)
        );
        events.push(choice(turn, "{}", &first, "null"));
        events.extend(call.pieces().iter().map(|piece| {
            let piece = format!(
                "\"tool_calls\":[{{\"function\":{{\"arguments\":{}}},\"index\":{at}}}]",
                quote(piece)
            );
            choice(turn, "{}", &piece, "null")
        }));
    }
    events
}

fn end(turn: &Turn, mut events: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if turn.usage {
        events.push(chunk(turn, "", &format!(",\"usage\":{USAGE}")));
    }
    events.push(done());
    events
}

impl Dialect for Azure {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let mut events = begin(turn, SAFE);
        events.push(choice(turn, "{}", "", &quote(turn.finish())));
        end(turn, events)
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> = turn
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                format!(
                    "{{\"function\":{{\"arguments\":{},\"name\":{}}},\"id\":\"call_Az{at}\",\"type\":\"function\"}}",
                    quote(&call.arguments),
                    quote(call.name)
                )
            })
            .collect();
        let calls =
            if calls.is_empty() { String::new() } else { format!(",\"tool_calls\":[{}]", calls.join(",")) };
        let text = if turn.text.is_empty() { "null".to_owned() } else { quote(turn.text) };
        format!(
            "{{\"choices\":[{{\"content_filter_results\":{SAFE},\"finish_reason\":\"{}\",\"index\":0,\
             \"logprobs\":null,\"message\":{{\"annotations\":[],\"content\":{text},\"refusal\":null,\
             \"role\":\"assistant\"{calls}}}}}],\"created\":1764061200,\"id\":\"chatcmpl-CfM1xk3vQz\",\"model\":{},\
             \"object\":\"chat.completion\",\"prompt_filter_results\":[{PROMPT}],\
             \"system_fingerprint\":\"fp_b54fe76834\",\"usage\":{USAGE}}}\n",
            turn.finish(),
            quote(&turn.model)
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            400,
            "{\"error\":{\"message\":\"The response was filtered due to the prompt triggering Azure OpenAI's content \
             management policy. Please modify your prompt and retry.\",\"type\":null,\"param\":\"prompt\",\
             \"code\":\"content_filter\",\"status\":400,\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\",\
             \"content_filter_result\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},\"jailbreak\":{\
             \"filtered\":true,\"detected\":true},\"violence\":{\"filtered\":false,\"severity\":\"safe\"}}}}}",
        )
    }

    fn breaks(&self, turn: &Turn) -> Vec<Vec<u8>> {
        let filter = "{\"violence\":{\"filtered\":true,\"severity\":\"high\"}}";
        vec![choice(turn, filter, "", "\"content_filter\""), done()]
    }

    fn broken(&self, turn: &Turn) -> Reply {
        Reply::json(
            200,
            &format!(
                "{{\"choices\":[{{\"content_filter_results\":{{\"error\":{{\"code\":\"content_filter_error\",\
                 \"message\":\"The contents are not filtered\"}},\"protected_material_code\":{{\"filtered\":true,\
                 \"detected\":true,\"citation\":{{\"URL\":\"https://example.com/x\",\"license\":\"NOASSERTION\"}}}}}},\
                 \"finish_reason\":\"content_filter\",\"index\":0,\"logprobs\":null,\
                 \"message\":{{\"role\":\"assistant\"}}}}],\"created\":1764061200,\"id\":\"chatcmpl-CfM1xk3vQz\",\
                 \"model\":{},\"object\":\"chat.completion\",\"prompt_filter_results\":[{PROMPT}],\"usage\":{USAGE}}}\n",
                quote(&turn.model)
            ),
        )
    }

    fn special(&self, scene: &str, script: &Script) -> Option<Reply> {
        if scene != "async_filter" || !script.stream {
            return None;
        }
        let turn = Turn::of("blocked", script)?;
        let opinion = |from: usize, to: usize| {
            data(&format!(
                "{{\"choices\":[{{\"content_filter_offsets\":{{\"check_offset\":{from},\"start_offset\":{from},\
                 \"end_offset\":{to}}},\"content_filter_results\":{SAFE},\"finish_reason\":null,\"index\":0}}],\
                 \"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\"}}"
            ))
        };
        let mut events = begin(&turn, "{}");
        events.insert(5, opinion(44, 64));
        events.push(opinion(64, 128));
        events.push(choice(&turn, "{}", "", "\"tool_calls\""));
        events.push(opinion(128, 160));
        Some(Reply::stream(end(&turn, events)))
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("apim-request-id", "8b1f0f6e-3c0b-4b6e-9d7c-000000000001"),
            ("x-ms-region", "Sweden Central"),
            ("x-ms-deployment-name", "gpt-scripted"),
            ("x-ratelimit-remaining-tokens", "149000"),
        ]
    }
}
