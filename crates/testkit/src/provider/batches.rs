//! Batches and what they come to, and text completions.
//!
//! A batch or file is called after the scenario it holds: `msgbatch_one_evil`, `files/one_evil/content`,
//! `batches/one_evil`. Each holds that scenario's reply between two harmless ones.

use serde_json::{Value, json};

use super::http::Request;
use super::reply::Reply;
use super::script::{HELLO, Script};
use super::{anthropic, gemini, openai};

/// The answer to a request for a batch, a file or a completion; `None` if it is none of these.
pub(super) fn answer(request: &Request, script: &Script) -> Option<Reply> {
    let path = request.path();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", [.., "messages", "batches"]) => Some(batch(request, &made(request))),
        ("GET", [.., "messages", "batches"]) => {
            let batches = [described(request, "text"), described(request, "one_evil")];
            Some(Reply::json(200, &json!({"data": batches, "has_more": false}).to_string()))
        }
        ("GET", [.., "messages", "batches", id]) => Some(batch(request, id.trim_start_matches("msgbatch_"))),
        ("GET", [.., "messages", "batches", id, "results"]) => {
            let scenario = id.trim_start_matches("msgbatch_");
            Some(lines("application/x-jsonl", ["text", scenario, "tool"].map(result)))
        }
        ("GET", [.., "files", "report", "content"]) => {
            Some(Reply::bytes(200, "application/octet-stream", b"name,days\n{x},3\n".to_vec()))
        }
        // A line that two parsers read differently, and one after it.
        ("GET", [.., "files", "bad_result", "content"]) => {
            let twice = completed("one_evil").replacen("\"id\"", "\"response\":{},\"id\"", 1);
            let after = "{\"custom_id\":\"after\"}".to_owned();
            Some(lines("application/octet-stream", [completed("text"), twice, after]))
        }
        ("GET", [.., "files", scenario, "content"]) => {
            Some(lines("application/octet-stream", ["text", scenario, "tool"].map(completed)))
        }
        ("GET", [.., "v1beta", "batches", scenario]) => Some(Reply::json(200, &inlined(scenario))),
        ("POST", [.., "completions"]) if !path.ends_with("/chat/completions") => Some(completion(script)),
        _ => None,
    }
}

/// The scenario that the first request of a new batch asks for.
fn made(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let model = body.pointer("/requests/0/params/model").and_then(Value::as_str).unwrap_or_default();
    model.trim_start_matches("scripted:").to_owned()
}

fn batch(request: &Request, scenario: &str) -> Reply {
    Reply::json(200, &described(request, scenario).to_string())
}

/// A batch that has ended; its results stand here, at this provider's own address.
fn described(request: &Request, scenario: &str) -> Value {
    let id = format!("msgbatch_{scenario}");
    let host = request.header("host").unwrap_or_default();
    json!({
        "id": id, "type": "message_batch", "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": 3, "errored": 0, "canceled": 0, "expired": 0},
        "ended_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z", "archived_at": null, "cancel_initiated_at": null,
        "results_url": format!("http://{host}/v1/messages/batches/{id}/results"),
    })
}

fn lines(content_type: &str, lines: [String; 3]) -> Reply {
    Reply::bytes(200, content_type, (lines.join("\n") + "\n").into_bytes())
}

/// What a scenario's reply says in one piece.
fn whole(scenario: &str, answer: impl Fn(&Script) -> Reply) -> String {
    String::from_utf8_lossy(&answer(&Script::named(scenario, false)).pieces.concat()).trim_end().to_owned()
}

fn result(scenario: &str) -> String {
    let message = whole(scenario, anthropic::answer);
    format!("{{\"custom_id\":\"{scenario}\",\"result\":{{\"type\":\"succeeded\",\"message\":{message}}}}}")
}

fn completed(scenario: &str) -> String {
    let body = whole(scenario, openai::answer);
    format!(
        "{{\"id\":\"batch_req_1\",\"custom_id\":\"{scenario}\",\"response\":{{\"status_code\":200,\
         \"request_id\":\"r\",\"body\":{body}}},\"error\":null}}"
    )
}

fn inlined(scenario: &str) -> String {
    let response = |name: &str| {
        let body = whole(name, |script| gemini::answer(script, false));
        format!("{{\"response\":{body},\"metadata\":{{\"key\":\"{name}\"}}}}")
    };
    format!(
        "{{\"name\":\"batches/{scenario}\",\"metadata\":{{\"state\":\"BATCH_STATE_SUCCEEDED\"}},\"done\":true,\
         \"response\":{{\"inlinedResponses\":{{\"inlinedResponses\":[{},{}]}}}}}}",
        response("text"),
        response(scenario)
    )
}

/// A text completion, streamed in two pieces or whole.
fn completion(script: &Script) -> Reply {
    let choice = |text: &str, finish: Value| {
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1_763_600_000, "model": script.model,
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]})
    };
    if !script.stream {
        return Reply::json(200, &choice(HELLO, json!("stop")).to_string());
    }
    let (begin, end) = HELLO.split_at(9);
    let event = |data: String| format!("data: {data}\n\n").into_bytes();
    let chunks =
        [choice(begin, Value::Null).to_string(), choice(end, json!("stop")).to_string(), "[DONE]".into()];
    Reply::stream(chunks.map(event).to_vec())
}
