//! A session as the exchanges that it is made of: each request as its agent would send it, and what the provider answers.

use serde_json::{Value, json};

use super::agents_wire::{self as wire, Dialect, Spoken};
use super::told::said;
use crate::sessions::{Call, Session, Turn};
use doorward_core::wire::Protocol;

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The path below the agent's token.
    pub path: &'static str,
    /// The request's body.
    pub body: String,
    /// The body of the answer, a stream of events.
    pub answer: Vec<u8>,
}

/// Whose protocol a session speaks. `None` if its dialect is none.
#[must_use]
pub fn protocol(session: &Session) -> Option<Protocol> {
    Some(match session.dialect.as_str() {
        "messages" => Protocol::Anthropic,
        "chat" | "responses" => Protocol::OpenAi,
        "gemini" => Protocol::Gemini,
        _ => return None,
    })
}

/// The exchanges of a session, in their order; none if its dialect is none.
#[must_use]
pub fn exchanges(session: &Session) -> Vec<Exchange> {
    let (dialect, path) = match session.dialect.as_str() {
        "messages" => (Dialect::Messages, "anthropic/v1/messages"),
        "chat" => (Dialect::Chat, "openai/v1/chat/completions"),
        "responses" => (Dialect::Responses, "openai/v1/responses"),
        "gemini" => (Dialect::GeminiStream, "gemini/v1beta/models/m:streamGenerateContent?alt=sse"),
        _ => return Vec::new(),
    };
    let mut history = Vec::new();
    let one = |(at, turn): (usize, &Turn)| {
        if !turn.typed.is_empty() {
            history.push(typed(dialect, &turn.typed));
        }
        let request = request(dialect, session, &history);
        let parts = said(turn);
        let answer = wire::reply(dialect, &request, &parts, at).pieces.concat();
        let spoken = wire::spoken(dialect, &parts, at);
        history.extend(spoken.items.iter().cloned());
        history.extend(results(dialect, &turn.calls, &spoken));
        Exchange { path, body: request.to_string(), answer }
    };
    session.turns.iter().enumerate().map(one).collect()
}

/// What a person typed, as an item of the conversation.
fn typed(dialect: Dialect, text: &str) -> Value {
    match dialect {
        Dialect::Gemini | Dialect::GeminiStream => json!({"role": "user", "parts": [{"text": text}]}),
        Dialect::Messages => json!({"role": "user", "content": [{"type": "text", "text": text}]}),
        Dialect::Responses => {
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
        }
        Dialect::Chat => json!({"role": "user", "content": text}),
    }
}

/// What the agent gives back, as items of the conversation.
fn results(dialect: Dialect, calls: &[Call], spoken: &Spoken) -> Vec<Value> {
    if calls.is_empty() {
        return Vec::new();
    }
    let each = calls.iter().zip(&spoken.ids);
    match dialect {
        Dialect::Messages => {
            let result = |(call, id): (&Call, &String)| json!({"type": "tool_result", "tool_use_id": id, "content": call.result});
            vec![json!({"role": "user", "content": each.map(result).collect::<Vec<_>>()})]
        }
        Dialect::Gemini | Dialect::GeminiStream => {
            let result = |(call, _): (&Call, &String)| json!({"functionResponse": {"name": call.tool, "response": {"output": call.result}}});
            vec![json!({"role": "user", "parts": each.map(result).collect::<Vec<_>>()})]
        }
        Dialect::Chat => each
            .map(|(call, id)| json!({"role": "tool", "tool_call_id": id, "content": call.result}))
            .collect(),
        Dialect::Responses => each
            .map(|(call, id)| {
                let kind = if call.arguments.is_string() {
                    "custom_tool_call_output"
                } else {
                    "function_call_output"
                };
                json!({"type": kind, "call_id": id, "output": call.result})
            })
            .collect(),
    }
}

fn request(dialect: Dialect, session: &Session, history: &[Value]) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    let calls = || session.turns.iter().flat_map(|turn| &turn.calls);
    let custom = |name: &String| calls().any(|call| call.tool == *name && call.arguments.is_string());
    let tool = |name: &String| match dialect {
        Dialect::Messages => json!({"name": name, "input_schema": schema}),
        Dialect::Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
        Dialect::Responses if custom(name) => json!({"type": "custom", "name": name}),
        Dialect::Responses => json!({"type": "function", "name": name, "parameters": schema}),
        Dialect::Gemini | Dialect::GeminiStream => json!({"name": name}),
    };
    let tools: Vec<Value> = session.tools.iter().map(tool).collect();
    match dialect {
        Dialect::Messages => {
            json!({"model": "m", "max_tokens": 4096, "stream": true, "tools": tools, "messages": history})
        }
        Dialect::Chat => json!({"model": "m", "stream": true, "tools": tools, "messages": history}),
        Dialect::Responses => {
            json!({"model": "m", "stream": true, "store": false, "tools": tools, "input": history})
        }
        Dialect::Gemini | Dialect::GeminiStream => {
            json!({"tools": [{"functionDeclarations": tools}], "contents": history})
        }
    }
}
