//! Plays that are told to the provider beforehand: `PUT /_plays/NAME` with the turns of a session. Whoever names the play
//! in a task, `(play: NAME)`, gets one turn after the other: which one follows from how many results came since.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::agents::{Said, declares_tools};
use super::agents_wire as wire;
use super::http::Request;
use super::reply::Reply;
use super::text;
use crate::sessions::{Turn, turns};

const PATH: &str = "/_plays/";

/// The plays by name.
#[derive(Debug, Default)]
pub(super) struct Plays(Mutex<HashMap<String, Vec<Turn>>>);

impl Plays {
    /// Takes what `PUT /_plays/NAME` brings; `None` if the request is something else.
    pub(super) fn take(&self, request: &Request) -> Option<Reply> {
        let name = request.path().strip_prefix(PATH).filter(|_| request.method == "PUT")?;
        let told = serde_json::from_slice(&request.body).ok().and_then(|body| turns(&body));
        let Some(told) = told else { return Some(Reply::json(400, "{}")) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), told);
        Some(Reply::json(200, "{}"))
    }

    /// The next turn of the play that the request names; `None` if it names none that was told.
    pub(super) fn answer(&self, request: &Request) -> Option<Reply> {
        let dialect = wire::dialect(request.path())?;
        let message: Value = serde_json::from_slice(&request.body).ok()?;
        let (name, mut come) = named(&message)?;
        let plays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let play = plays.get(name)?;
        if !declares_tools(&message) {
            return None;
        }
        let first = 50 * name.chars().last().and_then(|last| last.to_digit(10)).unwrap_or(0) as usize;
        if !matches!(dialect, wire::Dialect::Gemini | wire::Dialect::GeminiStream) {
            let answered = answered(&message);
            let ids =
                play.iter().enumerate().map(|(at, turn)| wire::spoken(dialect, &said(turn), first + at).ids);
            come = ids.flatten().filter(|id| answered.contains(id)).count();
        }
        let mut before = 0;
        let (at, turn) = play.iter().enumerate().find(|(_, turn)| {
            before += turn.calls.len();
            before > come || turn.calls.is_empty()
        })?;
        Some(wire::reply(dialect, &message, &said(turn), first + at))
    }
}

/// What a turn says, for the writer of a dialect.
pub(super) fn said(turn: &Turn) -> Vec<Said> {
    let text = (!turn.say.is_empty()).then(|| Said::Text(turn.say.clone()));
    let calls = turn.calls.iter().map(|call| match call.arguments.as_str() {
        Some(input) => Said::Custom { name: call.tool.clone(), input: input.to_owned() },
        None => Said::Call { name: call.tool.clone(), arguments: call.written() },
    });
    text.into_iter().chain(calls).collect()
}

/// The calls that have a result somewhere. Some clients put what was typed last behind all results, so that their order
/// says nothing.
fn answered(value: &Value) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(members) => {
                let is_call = text(value, "type").ends_with("_call") || members.contains_key("name");
                let id = ["tool_use_id", "tool_call_id", "call_id"].map(|name| text(value, name));
                found.extend(id.into_iter().filter(|id| !id.is_empty() && !is_call).map(str::to_owned));
                waiting.extend(members.values());
            }
            _ => {}
        }
    }
    found
}

/// The play that a person named last, and how many results of calls came since. What an agent tells another is the
/// other's task.
fn named(message: &Value) -> Option<(&str, usize)> {
    let items = ["messages", "input", "contents"].into_iter().find_map(|name| message.get(name)?.as_array());
    let mut last = None;
    for item in items.map_or(&[][..], Vec::as_slice) {
        let content = item.get("content").or(item.get("parts"));
        let parts = content.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let texts = content.and_then(Value::as_str).into_iter().map(|words| (Some(words), false));
        let parts = parts.iter().map(|part| {
            let is_result = text(part, "type") == "tool_result" || part.get("functionResponse").is_some();
            (part.get("text").and_then(Value::as_str), is_result)
        });
        for (words, is_result) in texts.chain(parts) {
            let play = words.and_then(|words| words.rsplit_once("(play: ")?.1.split_once(')'));
            match play {
                Some((play, _)) if text(item, "role") == "user" => last = Some((play, 0)),
                _ => last = last.map(|(play, come)| (play, come + usize::from(is_result))),
            }
        }
        let whole = text(item, "role") == "tool" || text(item, "type").ends_with("call_output");
        last = last.map(|(play, come)| (play, come + usize::from(whole)));
    }
    last
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(method: &str, target: &str, body: &Value) -> Request {
        Request {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: body.to_string().into(),
        }
    }

    #[test]
    fn a_told_play_goes_on_by_its_results() {
        let plays = Plays::default();
        let told = json!([
            {"say": "One.", "calls": [{"tool": "a", "arguments": {"n": 1}}, {"tool": "b", "arguments": {}}]},
            {"calls": [{"tool": "c", "arguments": {}}]},
            {"say": "Done."},
        ]);
        assert_eq!(plays.take(&request("PUT", "/_plays/p", &told)).unwrap().status, 200);
        assert_eq!(plays.take(&request("PUT", "/_plays/p", &json!([{"calls": [{}]}]))).unwrap().status, 400);
        let played = turns(&told).unwrap();
        let spoken = |(at, turn)| wire::spoken(wire::Dialect::Chat, &said(turn), at).ids;
        let mut ids: Vec<String> = played.iter().enumerate().flat_map(spoken).collect();
        ids.extend((0..6).map(|n| format!("other-{n}")));
        let ask = |results: usize| {
            let result = |id: &String| json!({"role": "tool", "tool_call_id": id, "content": "ok"});
            let mut messages: Vec<Value> = ids.iter().take(results).map(result).collect();
            messages.push(json!({"role": "user", "content": "Go. (play: p)"}));
            let body = json!({"model": "m", "messages": messages, "tools": [{"function": {"name": "a"}}]});
            let reply = plays.answer(&request("POST", "/v1/chat/completions", &body)).unwrap();
            String::from_utf8(reply.pieces.concat()).unwrap()
        };
        assert!(ask(0).contains("One.") && ask(0).contains("\"name\":\"b\""));
        assert!(ask(2).contains("\"name\":\"c\""));
        assert!(ask(3).contains("Done.") && ask(9).contains("Done."));
        let merged = json!({"messages": [
            {"role": "user", "content": [{"type": "text", "text": "(play: other)"}]},
            {"role": "user", "content": [{"type": "tool_result"}, {"type": "text", "text": "(play: p)"}, {"type": "tool_result"}]},
        ]});
        assert_eq!(named(&merged), Some(("p", 1)));
        let other = json!({"messages": [{"role": "user", "content": "(play: q)"}], "tools": [{"name": "a"}]});
        assert!(plays.answer(&request("POST", "/v1/messages", &other)).is_none());
    }
}
