//! Putting blocked calls back into what a client sends next.
//!
//! The agent never saw a blocked call: in its place stands a message. The model's side did make the call, and
//! the API holds the conversation to it: a call wants an output, and reasoning wants the item it led to. So a
//! later request gets the call back, with an output that says it was blocked. Three cases:
//!
//! - the client sends its history: the message stands in it, word for word, and gives way to the call;
//! - the client sends references to what it takes for stored (`item_reference`): so does the message's, which
//!   the upstream has never seen and would refuse;
//! - the upstream keeps the history (`previous_response_id`, `conversation`): the outputs are added.
//!
//! What was blocked goes back to where it came from and nowhere else, and it goes through the judging of the
//! request like anything the client wrote.

use bytes::Bytes;

use crate::syntax::{Node, Span, json};
use crate::wire::Fault;
use crate::wire::frame::object;
use crate::wire::splice::{Edit, Piece, splice};

/// A call that was blocked in an earlier reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// The call as the upstream sent it: one JSON object.
    pub item: Bytes,
    /// What the agent was told in its place.
    pub notice: String,
}

impl Suppressed {
    /// The id of the message in its place, by which a client may refer to it.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        super::repair::id_for(object(&self.item).ok()?.text("id")?)
    }
}

/// What is remembered of blocked calls, of one agent and one upstream.
pub trait Memory {
    /// The call in whose place the agent was told this, word for word.
    fn told(&self, notice: &str) -> Option<Suppressed>;

    /// The call in whose place stands the message with this id.
    fn referred(&self, id: &str) -> Option<Suppressed>;

    /// The blocked calls of the reply with this id.
    fn of_reply(&self, id: &str) -> Vec<Suppressed>;

    /// The blocked calls of this conversation that the upstream was given no output for yet.
    fn of_conversation(&self, id: &str) -> Vec<Suppressed>;
}

/// A request with blocked calls put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The request's body.
    pub body: Bytes,
    /// How many calls were put back, or given an output.
    pub calls: usize,
    /// The conversation that was given outputs, if one was.
    pub conversation: Option<String>,
}

/// What a request says of the history it goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The reply it follows.
    pub previous: Option<String>,
    /// The conversation it belongs to.
    pub conversation: Option<String>,
    /// Whether it asks for a reply that the upstream keeps (`store`, true unless said otherwise).
    pub stored: bool,
}

/// What the request `node` says of the history it goes on from.
pub(crate) fn links(node: &Node) -> Links {
    let conversation = node.some("conversation");
    let id = |node: &Node| node.as_str().or_else(|| node.text("id")).map(str::to_owned);
    Links {
        previous: node.text("previous_response_id").map(str::to_owned),
        conversation: conversation.and_then(id),
        stored: node.get("store").and_then(Node::as_bool) != Some(false),
    }
}

/// Puts what `memory` holds back into the request `body`; `None` if it holds nothing for it.
///
/// # Errors
/// A [`Fault`] if the request is not strict JSON.
pub(crate) fn restore(body: &[u8], memory: &dyn Memory) -> Result<Option<Restored>, Fault> {
    let node = object(body)?;
    let mut edits = Vec::new();
    let mut calls = 0;
    let mut seen: Vec<Bytes> = Vec::new();
    let input = node.some("input");
    for item in input.map(Node::elements).unwrap_or_default() {
        let told = own_message(item).and_then(|notice| memory.told(notice));
        let Some(suppressed) = told.or_else(|| memory.referred(reference(item)?)) else { continue };
        // One call twice is none of the API's conversations.
        if seen.contains(&suppressed.item) {
            continue;
        }
        let Some(output) = output(&suppressed) else { continue };
        let mut with = suppressed.item.to_vec();
        with.push(b',');
        with.extend_from_slice(&output);
        edits.push(Edit::replace(item.span, with));
        seen.push(suppressed.item);
        calls += 1;
    }
    let links = links(&node);
    let mut kept = links.previous.as_deref().map(|id| memory.of_reply(id)).unwrap_or_default();
    let spoken = links.conversation.as_deref().map(|id| memory.of_conversation(id)).unwrap_or_default();
    let conversation = links.conversation.filter(|_| !spoken.is_empty());
    kept.extend(spoken);
    let outputs: Vec<Vec<u8>> = kept
        .iter()
        .filter(|suppressed| !seen.contains(&suppressed.item) && !answered(input, suppressed))
        .filter_map(output)
        .collect();
    if !outputs.is_empty() {
        calls += outputs.len();
        edits.extend(prepend(&node, input, &outputs));
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let end = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let body = splice(&[Piece { span: Span::new(0, end), bytes: Some(body) }], edits)?;
    object(&body)?;
    Ok(Some(Restored { body, calls, conversation }))
}

/// The text of an assistant's message with one text and nothing else.
fn own_message(item: &Node) -> Option<&str> {
    if item.text("type").is_some_and(|kind| kind != "message") || item.text("role") != Some("assistant") {
        return None;
    }
    let content = item.get("content")?;
    if let Some(text) = content.as_str() {
        return Some(text);
    }
    let [part] = content.elements() else { return None };
    (part.text("type") == Some("output_text")).then(|| part.text("text")).flatten()
}

/// The id of a stored item that stands here by reference.
fn reference(item: &Node) -> Option<&str> {
    (item.text("type") == Some("item_reference")).then(|| item.text("id")).flatten()
}

/// Whether the client itself answers the call.
fn answered(input: Option<&Node>, suppressed: &Suppressed) -> bool {
    let Ok(item) = object(&suppressed.item) else { return true };
    let id = item.text("call_id").or_else(|| item.text("id"));
    input.map(Node::elements).unwrap_or_default().iter().any(|given| {
        let answers = given.text("type").is_some_and(|kind| kind.ends_with("_output"))
            || given.text("type") == Some("mcp_approval_response");
        answers && id.is_some() && (given.text("call_id") == id || given.text("approval_request_id") == id)
    })
}

/// The edits that put `outputs` before the rest of the input.
fn prepend(node: &Node, input: Option<&Node>, outputs: &[Vec<u8>]) -> Vec<Edit> {
    let joined = outputs.join(&b","[..]);
    match input {
        Some(input) if input.as_str().is_some() => {
            let mut before = b"[".to_vec();
            before.extend_from_slice(&joined);
            before.extend_from_slice(br#",{"type":"message","role":"user","content":"#);
            let (start, end) = (input.span.start, input.span.end);
            vec![
                Edit::replace(Span::new(start, start), before),
                Edit::replace(Span::new(end, end), &b"}]"[..]),
            ]
        }
        Some(input) => {
            let at = input.span.start + 1;
            let mut with = joined;
            if !input.elements().is_empty() {
                with.push(b',');
            }
            vec![Edit::replace(Span::new(at, at), with)]
        }
        None => match node.get("input") {
            Some(null) => vec![Edit::replace(null.span, [b"[", joined.as_slice(), b"]"].concat())],
            None => {
                let at = node.span.start + 1;
                vec![Edit::replace(
                    Span::new(at, at),
                    [&b"\"input\":["[..], joined.as_slice(), b"],"].concat(),
                )]
            }
        },
    }
}

/// What answers a call that was blocked; `None` if nothing can.
fn output(suppressed: &Suppressed) -> Option<Vec<u8>> {
    let item = object(&suppressed.item).ok()?;
    let kind = item.text("type")?;
    let call_id = json::quoted(item.text("call_id").or_else(|| item.text("id"))?);
    let notice = json::quoted(&suppressed.notice);
    let mut out = Vec::new();
    let mut write = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    match kind {
        "function_call" | "custom_tool_call" | "local_shell_call" => {
            write(&[b"{\"type\":\"", kind.as_bytes(), b"_output\",\"call_id\":", &call_id]);
            write(&[b",\"output\":", &notice, b"}"]);
        }
        "apply_patch_call" => {
            write(&[br#"{"type":"apply_patch_call_output","call_id":"#, &call_id]);
            write(&[br#","status":"failed","output":"#, &notice, b"}"]);
        }
        "shell_call" => {
            write(&[br#"{"type":"shell_call_output","call_id":"#, &call_id]);
            // The same limit as in the call, where it has one.
            if let Some(most) = item.some("action").and_then(|action| action.get("max_output_length"))
                && most.as_u64().is_some()
            {
                write(&[br#","max_output_length":"#, most.span.of(&suppressed.item)]);
            }
            write(&[br#","output":[{"stdout":"","stderr":"#, &notice]);
            write(&[br#","outcome":{"type":"exit","exit_code":126}}]}"#]);
        }
        "mcp_approval_request" => {
            write(&[br#"{"type":"mcp_approval_response","approval_request_id":"#, &call_id]);
            write(&[br#","approve":false,"reason":"#, &notice, b"}"]);
        }
        "tool_search_call" => {
            write(&[br#"{"type":"tool_search_output","call_id":"#, &call_id]);
            write(&[br#","execution":"client","status":"completed","tools":[]}"#]);
        }
        // A screen is all that such a call can be answered with: an empty one, and the words beside it.
        "computer_call" => {
            write(&[br#"{"type":"computer_call_output","call_id":"#, &call_id]);
            write(&[br#","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,"#]);
            write(&[EMPTY_SCREEN, br#""}},{"type":"message","role":"assistant","content":"#, &notice, b"}"]);
        }
        _ => return None,
    }
    Some(out)
}

/// A PNG of one pixel.
const EMPTY_SCREEN: &[u8] =
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    struct One {
        response: &'static str,
        suppressed: Suppressed,
    }

    impl Memory for One {
        fn told(&self, notice: &str) -> Option<Suppressed> {
            (notice == self.suppressed.notice).then(|| self.suppressed.clone())
        }
        fn referred(&self, id: &str) -> Option<Suppressed> {
            (self.suppressed.place().as_deref() == Some(id)).then(|| self.suppressed.clone())
        }
        fn of_reply(&self, id: &str) -> Vec<Suppressed> {
            if id == self.response { vec![self.suppressed.clone()] } else { Vec::new() }
        }
        fn of_conversation(&self, id: &str) -> Vec<Suppressed> {
            if id == "conv_1" { vec![self.suppressed.clone()] } else { Vec::new() }
        }
    }

    const NOTICE: &str = "[doorward] Blocked \"it\" (receipt r1)";

    fn memory(item: &Value) -> One {
        let suppressed = Suppressed { item: item.to_string().into(), notice: NOTICE.into() };
        One { response: "resp_1", suppressed }
    }

    fn function_call() -> Value {
        json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "Bash", "arguments": "{}" })
    }

    fn restored(request: &Value, item: &Value) -> Option<Value> {
        let restored = restore(request.to_string().as_bytes(), &memory(item)).unwrap()?;
        Some(serde_json::from_slice(&restored.body).unwrap())
    }

    fn blocked() -> Value {
        json!({ "type": "function_call_output", "call_id": "call_1", "output": NOTICE })
    }

    #[test]
    fn a_message_of_ours_gives_way_to_the_call() {
        let reasoning = json!({ "type": "reasoning", "encrypted_content": "x" });
        for message in [
            json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": NOTICE, "annotations": [] }] }),
            json!({ "id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{ "type": "output_text", "text": NOTICE }] }),
            json!({ "role": "assistant", "content": NOTICE }),
        ] {
            let request = json!({ "model": "m", "input": [reasoning, message, { "role": "user", "content": "go on" }] });
            let after = restored(&request, &function_call()).unwrap();
            assert_eq!(
                after["input"],
                json!([reasoning, function_call(), blocked(), { "role": "user", "content": "go on" }])
            );
        }
    }

    /// As the Vercel AI SDK sends it: its own calls whole, everything else that was stored by reference.
    #[test]
    fn a_reference_to_our_message_gives_way_to_the_call() {
        let reasoning = json!({ "type": "item_reference", "id": "rs_1" });
        let ours = json!({ "type": "item_reference", "id": "msg_1" });
        let request = json!({ "model": "m", "input": [reasoning, ours, ours] });
        let after = restored(&request, &function_call()).unwrap();
        assert_eq!(after["input"], json!([reasoning, function_call(), blocked(), ours]));
        for item in [
            json!({ "type": "item_reference", "id": "msg_2" }),
            json!({ "type": "item_reference", "id": "fc_1" }),
            json!({ "type": "message", "role": "user", "id": "msg_1", "content": "hello" }),
        ] {
            assert!(
                restored(&json!({ "model": "m", "input": [item] }), &function_call()).is_none(),
                "{item}"
            );
        }
    }

    #[test]
    fn a_reply_is_stored_unless_it_is_said_not_to_be() {
        let stored = |request: Value| links(&object(request.to_string().as_bytes()).unwrap()).stored;
        assert!(stored(json!({})) && stored(json!({ "store": null })) && stored(json!({ "store": true })));
        assert!(!stored(json!({ "store": false })));
    }

    #[test]
    fn nothing_else_restores_anything() {
        let output = json!([{ "type": "output_text", "text": NOTICE }]);
        for item in [
            json!({ "type": "message", "role": "user", "content": NOTICE }),
            json!({ "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": NOTICE }] }),
            json!({ "type": "function_call_output", "call_id": "x", "output": NOTICE }),
            json!({ "type": "function_call_output", "role": "assistant", "content": output }),
            json!({ "type": "message", "role": "assistant", "content": format!("{NOTICE} and more") }),
            json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": NOTICE }, { "type": "output_text", "text": "x" }] }),
            json!({ "type": "message", "role": "assistant", "content": [{ "type": "input_text", "text": NOTICE }] }),
            json!({ "type": "reasoning", "role": "assistant", "content": output }),
        ] {
            assert_eq!(restored(&json!({ "input": [item] }), &function_call()), None, "{item}");
        }
        assert_eq!(
            restored(&json!({ "input": NOTICE, "previous_response_id": "resp_2" }), &function_call()),
            None
        );
        // Once is enough.
        let message = json!({ "role": "assistant", "content": NOTICE });
        let after = restored(&json!({ "input": [message, message] }), &function_call()).unwrap();
        assert_eq!(after["input"], json!([function_call(), blocked(), message]));
    }

    #[test]
    fn what_the_upstream_keeps_gets_its_outputs() {
        let user = json!({ "type": "message", "role": "user", "content": "go \"on\"" });
        let before = |request: Value| restored(&request, &function_call()).unwrap()["input"].clone();
        assert_eq!(
            before(json!({ "previous_response_id": "resp_1", "input": "go \"on\"" })),
            json!([blocked(), user])
        );
        assert_eq!(
            before(json!({ "previous_response_id": "resp_1", "input": [user] })),
            json!([blocked(), user])
        );
        for input in [json!([]), json!(null)] {
            assert_eq!(
                before(json!({ "input": input, "previous_response_id": "resp_1" })),
                json!([blocked()])
            );
        }
        assert_eq!(before(json!({ "previous_response_id": "resp_1" })), json!([blocked()]));
        for conversation in [json!("conv_1"), json!({ "id": "conv_1" })] {
            assert_eq!(
                before(json!({ "conversation": conversation, "input": [user] })),
                json!([blocked(), user])
            );
        }
        let own = json!({ "type": "function_call_output", "call_id": "call_1", "output": "mine" });
        assert_eq!(
            restored(&json!({ "previous_response_id": "resp_1", "input": [own] }), &function_call()),
            None
        );
    }

    #[test]
    fn every_kind_of_call_has_its_output() {
        for (kind, want) in [
            (
                "custom_tool_call",
                json!({ "type": "custom_tool_call_output", "call_id": "c", "output": NOTICE }),
            ),
            (
                "local_shell_call",
                json!({ "type": "local_shell_call_output", "call_id": "c", "output": NOTICE }),
            ),
            (
                "apply_patch_call",
                json!({ "type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": NOTICE }),
            ),
            (
                "shell_call",
                json!({ "type": "shell_call_output", "call_id": "c", "max_output_length": 7, "output": [{ "stdout": "", "stderr": NOTICE, "outcome": { "type": "exit", "exit_code": 126 } }] }),
            ),
            (
                "tool_search_call",
                json!({ "type": "tool_search_output", "call_id": "c", "execution": "client", "status": "completed", "tools": [] }),
            ),
        ] {
            let item = json!({ "type": kind, "id": "i", "call_id": "c", "action": { "commands": [], "max_output_length": 7 } });
            let after = restored(&json!({ "input": "x", "previous_response_id": "resp_1" }), &item).unwrap();
            assert_eq!(after["input"][0], want);
        }
        let approval =
            json!({ "type": "mcp_approval_request", "id": "mcpr_1", "name": "x", "arguments": "{}" });
        let after = restored(&json!({ "input": "x", "previous_response_id": "resp_1" }), &approval).unwrap();
        assert_eq!(
            after["input"][0],
            json!({ "type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": false, "reason": NOTICE })
        );
        let computer = json!({ "type": "computer_call", "id": "cu_1", "call_id": "c" });
        let after =
            restored(&json!({ "input": [{ "role": "assistant", "content": NOTICE }] }), &computer).unwrap();
        assert_eq!(after["input"][0], computer);
        assert_eq!(after["input"][1]["type"], "computer_call_output");
        assert_eq!(after["input"][2]["content"], NOTICE);
        let unknown = json!({ "type": "hologram_call", "id": "h", "call_id": "c" });
        assert_eq!(restored(&json!({ "input": "x", "previous_response_id": "resp_1" }), &unknown), None);
    }
}
