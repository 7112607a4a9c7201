//! Ollama's `/v1`: the role in every delta, each call whole in a chunk of its own, arguments as Go writes
//! JSON (`&`, `<` and `>` escaped), an error in the middle that shows as an empty chunk and an early end.
//!
//! Its own scenes: `index_zero` (every call has index 0: models without a parser of their own), `one_chunk` (all
//! calls in one chunk, numbered), `no_index` (before 0.4.7), `done_with_call` (the chunk with the call finishes).
//!
//! Source: its source of the compatible API, and issues of its users.

use super::super::json::quote;
use super::super::reply::Reply;
use super::super::script::Script;
use super::{Call, Dialect, Turn, data, done};

pub(super) struct Ollama;

const USAGE: &str = "{\"prompt_tokens\":82,\"completion_tokens\":17,\"total_tokens\":99}";

fn head(turn: &Turn, object: &str) -> String {
    format!(
        "\"id\":\"chatcmpl-417\",\"object\":\"{object}\",\"created\":1764061200,\"model\":{},\
         \"system_fingerprint\":\"fp_ollama\"",
        quote(&turn.model)
    )
}

fn chunk(turn: &Turn, delta: &str, finish: &str) -> Vec<u8> {
    data(&format!(
        "{{{},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",{delta}}},\"finish_reason\":{finish}}}]}}",
        head(turn, "chat.completion.chunk")
    ))
}

/// Arguments as Go marshals a map: no white space, and nothing that could matter to HTML.
fn arguments(call: &Call) -> String {
    let compact = call.arguments.replace("\": ", "\":").replace(", \"", ",\"");
    quote(&compact.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e"))
}

fn call(at: usize, index: &str, call: &Call) -> String {
    format!(
        "{{\"id\":\"call_xk3v{at}\",{index}\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":{}}}}}",
        quote(call.name),
        arguments(call)
    )
}

/// A stream whose calls stand in chunks of their own, or all in one.
fn stream(turn: &Turn, index: impl Fn(usize) -> String, together: bool, finish: bool) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for piece in turn.reasoning_pieces() {
        events.push(chunk(turn, &format!("\"content\":\"\",\"reasoning\":{}", quote(&piece)), "null"));
    }
    for piece in turn.text_pieces() {
        events.push(chunk(turn, &format!("\"content\":{}", quote(&piece)), "null"));
    }
    let calls: Vec<String> =
        turn.calls.iter().enumerate().map(|(at, whole)| call(at, &index(at), whole)).collect();
    let lists = if together && !calls.is_empty() { vec![calls.join(",")] } else { calls };
    let last = lists.len();
    for (at, list) in lists.iter().enumerate() {
        let reason = if finish && at + 1 == last { "\"tool_calls\"" } else { "null" };
        events.push(chunk(turn, &format!("\"content\":\"\",\"tool_calls\":[{list}]"), reason));
    }
    if !finish || last == 0 {
        events.push(chunk(turn, "\"content\":\"\"", &quote(turn.finish())));
    }
    if turn.usage {
        events.push(data(&format!(
            "{{{},\"choices\":[],\"usage\":{USAGE}}}",
            head(turn, "chat.completion.chunk")
        )));
    }
    events.push(done());
    events
}

fn numbered(at: usize) -> String {
    format!("\"index\":{at},")
}

impl Dialect for Ollama {
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>> {
        stream(turn, numbered, false, false)
    }

    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let calls: Vec<String> =
            turn.calls.iter().enumerate().map(|(at, whole)| call(at, &numbered(at), whole)).collect();
        let mut message = format!("\"role\":\"assistant\",\"content\":{}", quote(turn.text));
        if !turn.reasoning.is_empty() {
            message.push_str(&format!(",\"reasoning\":{}", quote(turn.reasoning)));
        }
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        format!(
            "{{{},\"choices\":[{{\"index\":0,\"message\":{{{message}}},\"finish_reason\":\"{}\"}}],\
             \"usage\":{USAGE}}}\n",
            head(turn, "chat.completion"),
            turn.finish()
        )
        .into_bytes()
    }

    fn refused(&self) -> Reply {
        Reply::json(
            404,
            "{\"error\":{\"message\":\"model \\\"qwen3-coder\\\" not found, try pulling it first\",\
             \"type\":\"not_found_error\",\"param\":null,\"code\":null}}\n",
        )
    }

    fn breaks(&self, turn: &Turn) -> Vec<Vec<u8>> {
        vec![chunk(turn, "\"content\":\"\"", "null")]
    }

    fn special(&self, scene: &str, script: &Script) -> Option<Reply> {
        let zero = |_| "\"index\":0,".to_owned();
        let (scene, kind) = scene.split_once('.').unwrap_or(("parallel", scene));
        if !script.stream {
            return None;
        }
        Some(Reply::stream(match kind {
            "index_zero" => stream(&Turn::of(scene, script)?, zero, false, false),
            "index_zero_together" => stream(&Turn::of(scene, script)?, zero, true, false),
            "one_chunk" => stream(&Turn::of(scene, script)?, numbered, true, false),
            "no_index" => stream(&Turn::of(scene, script)?, |_| String::new(), false, false),
            "done_with_call" => stream(&Turn::of(scene, script)?, numbered, false, true),
            _ => return None,
        }))
    }
}
