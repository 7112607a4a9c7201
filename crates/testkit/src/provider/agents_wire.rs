//! A turn of a play, written down in each dialect as the official APIs write it: whole or as a stream.

use serde_json::{Value, json};

use super::agents::Said;
use super::json::{pieces, quote};
use super::reply::Reply;
use super::{responses, text};

/// What a request is written in, and so its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Anthropic Messages.
    Messages,
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Gemini `generateContent`.
    Gemini,
    /// The same as a stream; the path says so, not the body.
    GeminiStream,
}

/// The dialect of an endpoint that speaks.
pub(super) fn dialect(path: &str) -> Option<Dialect> {
    match path {
        _ if path.ends_with("/messages") => Some(Dialect::Messages),
        _ if path.ends_with("/chat/completions") => Some(Dialect::Chat),
        _ if path.ends_with("/responses") => Some(Dialect::Responses),
        _ if path.ends_with(":generateContent") => Some(Dialect::Gemini),
        _ if path.ends_with(":streamGenerateContent") => Some(Dialect::GeminiStream),
        _ => None,
    }
}

/// The answer that says `said`. What says the same in another turn says so, for its ids not to come twice.
pub(super) fn reply(dialect: Dialect, request: &Value, said: &[Said], turn: usize) -> Reply {
    let said = Turn { said, turn };
    let model = text(request, "model");
    if dialect == Dialect::Responses
        && let Some(complaint) = complaint(request)
    {
        let error =
            json!({"message": complaint, "type": "invalid_request_error", "param": "input", "code": null});
        return Reply::json(400, &json!({"error": error}).to_string());
    }
    let stream = request.get("stream").and_then(Value::as_bool).unwrap_or_default();
    match (dialect, stream) {
        (Dialect::Messages, true) => Reply::stream(messages_events(model, said)),
        (Dialect::Messages, false) => Reply::json(200, &messages(model, said).to_string()),
        (Dialect::Chat, true) => {
            let usage = request.get("stream_options").and_then(|options| options.get("include_usage"));
            Reply::stream(chat_events(model, said, usage.and_then(Value::as_bool).unwrap_or_default()))
        }
        (Dialect::Chat, false) => Reply::json(200, &chat(model, said).to_string()),
        (Dialect::Responses, true) => Reply::stream(responses_events(model, said)),
        (Dialect::Responses, false) => {
            Reply::json(200, &response(model, "completed", &items(said)).to_string())
        }
        (Dialect::Gemini, _) => Reply::json(200, &gemini(&gemini_parts(said.said), true).to_string()),
        (Dialect::GeminiStream, _) => Reply::stream(gemini_events(said.said)),
    }
}

/// A turn as it stands in the conversation afterwards.
#[derive(Debug)]
pub(super) struct Spoken {
    /// The items of the conversation.
    pub(super) items: Vec<Value>,
    /// The ids of its calls.
    pub(super) ids: Vec<String>,
}

/// What a client keeps of the answer that says `said`.
pub(super) fn spoken(dialect: Dialect, said: &[Said], turn: usize) -> Spoken {
    let turn = Turn { said, turn };
    let prefix = if dialect == Dialect::Messages { "toolu" } else { "call" };
    let calls = turn.numbered().filter(|(_, part)| !matches!(part, Said::Text(_)));
    let ids = calls.map(|(at, part)| id(prefix, at, part)).collect();
    let items = match dialect {
        Dialect::Messages => {
            vec![json!({"role": "assistant", "content": messages("m", turn).get("content")})]
        }
        Dialect::Chat => chat("m", turn).pointer("/choices/0/message").cloned().into_iter().collect(),
        Dialect::Responses => items(turn),
        Dialect::Gemini | Dialect::GeminiStream => {
            vec![json!({"role": "model", "parts": gemini_parts(said)})]
        }
    };
    Spoken { items, ids }
}

/// What is said in which turn.
#[derive(Clone, Copy)]
struct Turn<'a> {
    said: &'a [Said],
    turn: usize,
}

impl<'a> Turn<'a> {
    /// The parts, with numbers that no other turn of the conversation has.
    fn numbered(self) -> impl Iterator<Item = (usize, &'a Said)> {
        self.said.iter().enumerate().map(move |(at, part)| (at + 100 * self.turn, part))
    }
}

/// Calls get ids that no other turn uses: clients keep them apart by these.
fn id(prefix: &str, at: usize, said: &Said) -> String {
    let seed = match said {
        Said::Text(text) => text,
        Said::Call { arguments, .. } => arguments,
        Said::Custom { input, .. } => input,
    };
    let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{prefix}_{hash:016x}{at:02}")
}

fn named(event: &str, data: &Value) -> Vec<u8> {
    format!("event: {event}\ndata: {data}\n\n").into_bytes()
}

// --- Anthropic Messages

/// A call's input as an object; a custom call does not exist here.
fn messages(model: &str, said: Turn<'_>) -> Value {
    let content: Vec<Value> = said.numbered().map(|(at, part)| messages_block(at, part)).collect();
    let calls = said.said.iter().any(|part| !matches!(part, Said::Text(_)));
    json!({
        "id": "msg_01ScriptedPlay", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": if calls { "tool_use" } else { "end_turn" }, "stop_sequence": null,
        "usage": {"input_tokens": 120, "output_tokens": 21},
    })
}

fn messages_block(at: usize, part: &Said) -> Value {
    match part {
        Said::Text(text) => json!({"type": "text", "text": text}),
        Said::Call { name, arguments: input } | Said::Custom { name, input } => json!({
            "type": "tool_use", "id": id("toolu", at, part), "name": name,
            "input": serde_json::from_str::<Value>(input).unwrap_or_else(|_| json!({"input": input})),
        }),
    }
}

fn messages_events(model: &str, said: Turn<'_>) -> Vec<Vec<u8>> {
    let whole = messages(model, said);
    let mut start = whole.clone();
    set(&mut start, "content", json!([]));
    set(&mut start, "stop_reason", Value::Null);
    let mut events = vec![named("message_start", &json!({"type": "message_start", "message": start}))];
    for (index, (at, part)) in said.numbered().enumerate() {
        let mut block = messages_block(at, part);
        let (member, empty, kind, name, content) = match part {
            Said::Text(text) => ("text", json!(""), "text_delta", "text", text),
            Said::Call { arguments: input, .. } | Said::Custom { input, .. } => {
                ("input", json!({}), "input_json_delta", "partial_json", input)
            }
        };
        set(&mut block, member, empty);
        let begin = json!({"type": "content_block_start", "index": index, "content_block": block});
        events.push(named("content_block_start", &begin));
        for piece in pieces(content, 12) {
            let delta = json!({"type": kind, name: piece});
            let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
            events.push(named("content_block_delta", &event));
        }
        events.push(named("content_block_stop", &json!({"type": "content_block_stop", "index": index})));
    }
    let end = json!({
        "type": "message_delta", "usage": {"output_tokens": 21},
        "delta": {"stop_reason": whole.get("stop_reason"), "stop_sequence": null},
    });
    events.push(named("message_delta", &end));
    events.push(named("message_stop", &json!({"type": "message_stop"})));
    events
}

// --- OpenAI Chat Completions

fn chat_call(at: usize, part: &Said) -> Option<Value> {
    let (Said::Call { name, arguments: input } | Said::Custom { name, input }) = part else { return None };
    let function = json!({"name": name, "arguments": input});
    Some(json!({"id": id("call", at, part), "type": "function", "function": function}))
}

fn chat_text(said: &[Said]) -> Option<String> {
    let texts: Vec<&str> = said
        .iter()
        .filter_map(|part| if let Said::Text(text) = part { Some(text.as_str()) } else { None })
        .collect();
    (!texts.is_empty()).then(|| texts.concat())
}

fn chat_finish(calls: &[Value]) -> &'static str {
    if calls.is_empty() { "stop" } else { "tool_calls" }
}

fn chat_calls(said: Turn<'_>) -> Vec<Value> {
    said.numbered().filter_map(|(at, part)| chat_call(at, part)).collect()
}

fn chat(model: &str, said: Turn<'_>) -> Value {
    let calls = chat_calls(said);
    let finish = chat_finish(&calls);
    let mut message = json!({"role": "assistant", "content": chat_text(said.said), "refusal": null});
    if !calls.is_empty() {
        set(&mut message, "tool_calls", Value::from(calls));
    }
    json!({
        "id": "chatcmpl-play", "object": "chat.completion", "created": 1_763_600_000, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 21, "total_tokens": 141},
    })
}

fn chat_events(model: &str, said: Turn<'_>, usage: bool) -> Vec<Vec<u8>> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-play", "object": "chat.completion.chunk", "created": 1_763_600_000, "model": model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            set(&mut chunk, "usage", usage);
        }
        format!("data: {chunk}\n\n").into_bytes()
    };
    let delta = |delta: Value, finish: Option<&str>| {
        let choice = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        chunk(choice, None)
    };
    let calls = chat_calls(said);
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), None)];
    for piece in pieces(&chat_text(said.said).unwrap_or_default(), 12) {
        events.push(delta(json!({"content": piece}), None));
    }
    for (index, call) in calls.iter().enumerate() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let mut begin = call.clone();
        set(&mut begin, "index", json!(index));
        set(&mut begin, "function", json!({"name": text(function, "name"), "arguments": ""}));
        events.push(delta(json!({"tool_calls": [begin]}), None));
        for piece in pieces(text(function, "arguments"), 12) {
            let more = json!([{"index": index, "function": {"arguments": piece}}]);
            events.push(delta(json!({"tool_calls": more}), None));
        }
    }
    events.push(delta(json!({}), Some(chat_finish(&calls))));
    if usage {
        let spent = json!({"prompt_tokens": 120, "completion_tokens": 21, "total_tokens": 141});
        events.push(chunk(json!([]), Some(spent)));
    }
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

// --- OpenAI Responses

/// The output items. The first call is preceded by the reasoning that led to it, as reasoning models do. The
/// letter after an id's prefix says what was made with it, so that an id made up by someone else shows.
fn items(said: Turn<'_>) -> Vec<Value> {
    let mut items = Vec::new();
    let mut reasoned = false;
    for (at, part) in said.numbered() {
        let call_id = id("call", at, part);
        if !matches!(part, Said::Text(_)) && !reasoned {
            reasoned = true;
            items.push(json!({
                "id": id("rs_r", at, part), "type": "reasoning", "summary": [],
                "encrypted_content": format!("gAAA:{call_id}"),
            }));
        }
        items.push(match part {
            Said::Text(text) => json!({
                "id": id("msg_m", at, part), "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
            }),
            Said::Call { name, arguments } => json!({
                "id": id("fc_f", at, part), "type": "function_call", "status": "completed",
                "call_id": call_id, "name": name, "arguments": arguments,
            }),
            Said::Custom { name, input } => json!({
                "id": id("ctc_c", at, part), "type": "custom_tool_call", "status": "completed",
                "call_id": call_id, "name": name, "input": input,
            }),
        });
    }
    items
}

/// What the API says to a request that does not go on from what it said before; `None` if it does.
fn complaint(request: &Value) -> Option<String> {
    let made_here = |id: &str| ["rs_r_", "msg_m_", "fc_f_", "ctc_c_"].iter().any(|made| id.starts_with(made));
    let input = request.get("input").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let referred = input.iter().filter(|item| text(item, "type") == "item_reference");
    let unknown = referred.map(|item| text(item, "id")).find(|id| !made_here(id));
    if let Some(id) = unknown {
        return Some(format!("Item with id '{id}' not found."));
    }
    responses::check(request, &[]).err()
}

fn response(model: &str, status: &str, output: &[Value]) -> Value {
    let usage = (status == "completed").then(|| {
        json!({
            "input_tokens": 120, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 21, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 141,
        })
    });
    let seed = Said::Text(quote(&Value::from(output).to_string()));
    json!({
        "id": if output.is_empty() { "resp_play".to_owned() } else { id("resp", 0, &seed) },
        "object": "response", "created_at": 1_763_600_000, "status": status,
        "error": null, "incomplete_details": null, "instructions": null, "model": model, "output": output,
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "usage": usage,
    })
}

fn responses_events(model: &str, said: Turn<'_>) -> Vec<Vec<u8>> {
    let items = items(said);
    let done = response(model, "completed", &items);
    let mut begun = response(model, "in_progress", &[]);
    set(&mut begun, "id", json!(text(&done, "id")));
    let mut events = vec![
        ("response.created", json!({"response": begun})),
        ("response.in_progress", json!({"response": begun})),
    ];
    for (at, item) in items.iter().enumerate() {
        events.push(("response.output_item.added", json!({"output_index": at, "item": unfilled(item)})));
        let place = json!({"output_index": at, "item_id": text(item, "id")});
        events.extend(filling(item).into_iter().map(|(kind, more)| (kind, merge(&place, &more))));
        events.push(("response.output_item.done", json!({"output_index": at, "item": item})));
    }
    events.push(("response.completed", json!({"response": done})));
    let number = |(at, (kind, mut members)): (usize, (&str, Value))| {
        set(&mut members, "type", json!(kind));
        set(&mut members, "sequence_number", json!(at));
        named(kind, &members)
    };
    events.into_iter().enumerate().map(number).collect()
}

/// An item as it is announced: with nothing in it yet.
fn unfilled(item: &Value) -> Value {
    let mut empty = item.clone();
    let nothing = [
        ("content", json!([])),
        ("arguments", json!("")),
        ("input", json!("")),
        ("status", json!("in_progress")),
    ];
    for (member, nothing) in nothing {
        if item.get(member).is_some() {
            set(&mut empty, member, nothing);
        }
    }
    empty
}

/// The events between an item's announcement and its end, without their place.
fn filling(item: &Value) -> Vec<(&'static str, Value)> {
    let (delta, done, member) = match text(item, "type") {
        "function_call" => {
            ("response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments")
        }
        "custom_tool_call" => {
            ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done", "input")
        }
        "message" => return item.pointer("/content/0").map(text_events).unwrap_or_default(),
        _ => return Vec::new(),
    };
    let whole = text(item, member);
    let deltas = pieces(whole, 12).into_iter().map(|piece| (delta, json!({"delta": piece})));
    deltas.chain([(done, json!({member: whole}))]).collect()
}

fn text_events(part: &Value) -> Vec<(&'static str, Value)> {
    let nothing = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    let mut events = vec![("response.content_part.added", json!({"content_index": 0, "part": nothing}))];
    for piece in pieces(text(part, "text"), 12) {
        let delta = json!({"content_index": 0, "delta": piece, "logprobs": []});
        events.push(("response.output_text.delta", delta));
    }
    let whole = json!({"content_index": 0, "text": text(part, "text"), "logprobs": []});
    events.push(("response.output_text.done", whole));
    events.push(("response.content_part.done", json!({"content_index": 0, "part": part})));
    events
}

// --- Gemini

/// Calls come whole here, in streams too.
fn gemini_parts(said: &[Said]) -> Vec<Value> {
    let part = |part: &Said| match part {
        Said::Text(text) => json!({"text": text}),
        Said::Call { name, arguments: input } | Said::Custom { name, input } => json!({
            "functionCall": {"name": name, "args": serde_json::from_str::<Value>(input).unwrap_or_default()},
            "thoughtSignature": "c2NyaXB0ZWQ=",
        }),
    };
    said.iter().map(part).collect()
}

fn gemini(parts: &[Value], last: bool) -> Value {
    let finish = last.then_some("STOP");
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0,
        }],
        "usageMetadata": {"promptTokenCount": 120, "candidatesTokenCount": 21, "totalTokenCount": 141},
        "modelVersion": "gemini-scripted", "responseId": "play",
    })
}

fn gemini_events(said: &[Said]) -> Vec<Vec<u8>> {
    let parts = gemini_parts(said);
    let event = |(at, part): (usize, &Value)| {
        let mut event = gemini(std::slice::from_ref(part), at + 1 == parts.len());
        if at + 1 < parts.len()
            && let Some(candidate) = event.pointer_mut("/candidates/0").and_then(Value::as_object_mut)
        {
            candidate.remove("finishReason");
        }
        format!("data: {event}\r\n\r\n").into_bytes()
    };
    parts.iter().enumerate().map(event).collect()
}

/// The members of both objects.
fn merge(one: &Value, other: &Value) -> Value {
    let members = [one, other].into_iter().filter_map(Value::as_object).flatten();
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn set(object: &mut Value, member: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}
