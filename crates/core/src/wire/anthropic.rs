//! Anthropic Messages, streaming and not.
//!
//! A `tool_use` block is a call wherever an SDK reads one: as `content_block_start` with deltas, with its
//! input already in `content_block_start`, in `message_start.message.content`, or in the body of a reply
//! that is not streamed. A blocked call's place is taken by a text block of the same index, so no index
//! ever changes; `stop_reason` becomes `end_turn` when no call is left.

use bytes::Bytes;

use super::Fault;
use super::frame::{CallId, CallKind, Calls, Frame, Gathered, Observation, Repair, Shape, object, reply};
use super::provider_tools;
use super::request::{Declared, Link, Request};
use super::splice::Edit;
use super::sse::Event;
use super::stray::{check_rest, looks_like_call};
use super::template::{Slot, Varying};
use super::text_tools::{Heard, Lane, TextTools};
use super::usage;
use crate::action::PartKind;
use crate::syntax::{Node, json};

/// The most content blocks one message may have.
const MOST_BLOCKS: u64 = 4096;

/// Reads one reply.
#[derive(Debug)]
pub(crate) struct Reader {
    phase: Phase,
    /// How many blocks there have been.
    blocks: u64,
    /// The one that is open, and its index.
    open: Option<(u64, BlockKind)>,
    /// Whether the request asked for tools that the provider runs itself.
    provider_tools: bool,
    trusted: bool,
    /// What the message says, if calls may stand in it: clients join its text blocks.
    lane: Option<Lane>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Phase {
    Start,
    Content,
    Closing,
    Done,
}

#[derive(Debug)]
enum BlockKind {
    Text(Gathered),
    Thinking,
    /// A call that the provider runs: name and input as far as it came.
    Provider(String, Vec<u8>),
    /// What such a call gave back.
    Result,
    Call(CallId),
}

impl Reader {
    pub fn new(declared: &Declared, trusted: bool, text_tools: TextTools) -> Self {
        Self {
            phase: Phase::Start,
            blocks: 0,
            open: None,
            provider_tools: declared.provider_tools,
            trusted,
            lane: Lane::new(text_tools),
        }
    }

    /// Reads one event of a stream.
    pub fn event(
        &mut self,
        event: &Event,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        let (Some(data), Some(span)) = (event.data(), event.data) else {
            return Ok(Frame::plain(event.raw.clone()));
        };
        // Some gateways end every stream alike, or put this in the place of `message_stop`.
        if matches!(self.phase, Phase::Closing | Phase::Done) && event.name().is_none() && data == b"[DONE]" {
            self.phase = Phase::Done;
            return Ok(Frame::plain(event.raw.clone()));
        }
        let node = reply(data)?;
        let Some(kind) = node.text("type") else {
            return Err(order("an event has no type"));
        };
        // The official SDKs skip an event without a name, others read its type: an event must have both,
        // and they must say the same.
        if event.name() != Some(kind.as_bytes()) {
            return Err(order("an event's name is missing or differs from its data's type"));
        }
        let consumed: &[&str] = match kind {
            "message_start" => &["message"],
            "content_block_start" => &["content_block"],
            "content_block_delta" => &["delta"],
            // Held as a whole if it is unknown.
            "content_block_stop" | "message_delta" | "message_stop" | "ping" | "error" => &[],
            _ => &["message", "content_block", "delta", "content", "error"],
        };
        if consumed.len() < 2 {
            check_rest(&node, consumed)?;
        }
        if self.phase == Phase::Done && kind != "ping" {
            return Err(order("an event after the end of the message"));
        }
        let raw = event.raw.clone();
        match kind {
            "ping" => Ok(Frame::plain(raw)),
            "error" => {
                self.phase = Phase::Done;
                Ok(Frame::error(raw))
            }
            "message_start" => self.message_start(&raw, node, span.start, calls, saw),
            "content_block_start" => self.block_start(raw, node, span.start, calls, saw),
            "content_block_delta" => self.block_delta(raw, &node, span.start, calls, saw),
            "content_block_stop" => self.block_stop(raw, &node, calls, saw),
            "message_delta" => {
                check_rest(node.get("delta").unwrap_or(&node), &[])?;
                self.content_closed()?;
                self.text_ends(calls, saw);
                self.phase = Phase::Closing;
                usage::anthropic(&node, saw);
                Ok(Frame::with_node(raw, node, span.start))
            }
            "message_stop" => {
                self.content_closed()?;
                self.text_ends(calls, saw);
                self.phase = Phase::Done;
                Ok(Frame::plain(raw))
            }
            _ => {
                let name = format!("event {kind}");
                Ok(unknown(raw, &node, &name, calls))
            }
        }
    }

    /// Reads a reply that is not streamed.
    pub fn body(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        let node = reply(raw)?;
        self.phase = Phase::Done;
        usage::anthropic(&node, saw);
        let Heard { entries, leads, .. } = self.content(&node, raw, calls, saw)?;
        self.text_ends(calls, saw);
        let mut frame = Frame::cut(raw, node, 0, entries, leads, calls)?;
        frame.whole = true;
        Ok(frame)
    }

    /// Whether the message came to its end.
    pub fn complete(&self) -> Result<(), Fault> {
        if self.phase == Phase::Done { Ok(()) } else { Err(truncated()) }
    }

    fn message_start(
        &mut self,
        raw: &Bytes,
        node: Node,
        at: u32,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        if self.phase != Phase::Start {
            return Err(order("a second message_start"));
        }
        self.phase = Phase::Content;
        let Some(message) = node.get("message").filter(|message| message.is_object()) else {
            return Err(order("message_start without a message"));
        };
        usage::anthropic(message, saw);
        let Heard { entries, leads, .. } =
            self.content(message, raw.get(at as usize..).unwrap_or_default(), calls, saw)?;
        if entries.is_empty() {
            return Ok(Frame::plain(raw.clone()));
        }
        Frame::cut(raw, node, at, entries, leads, calls)
    }

    /// The calls among the whole blocks of `message.content`; every block counts as closed.
    fn content(
        &mut self,
        message: &Node,
        source: &[u8],
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Heard, Fault> {
        check_rest(message, &["content"])?;
        if !message
            .get("content")
            .is_none_or(|content| content.is_array() || content.is_null() || content.as_str().is_some())
        {
            // Some readers take a mapping for a list.
            return Err(order("content is not a list"));
        }
        let mut heard = Heard::default();
        for block in message.get("content").map(Node::elements).unwrap_or_default() {
            let mut kind = self.classify(block, source, calls)?;
            match &mut kind {
                BlockKind::Call(call) => {
                    calls.end(*call);
                    heard.entries.push((*call, block.span));
                    heard.leads.push(*call);
                }
                BlockKind::Text(gathered) => {
                    gathered.add(block.text("text").unwrap_or_default().as_bytes(), saw);
                    gathered.flush(saw);
                    heard.add(self.hear_block(block, source, calls)?);
                }
                BlockKind::Provider(name, _) => {
                    let input = block.get("input").map(|input| text_of(input, source)).unwrap_or_default();
                    saw.push(Observation::ProviderCall { name: name.clone(), input });
                }
                BlockKind::Thinking | BlockKind::Result => {}
            }
            self.blocks += 1;
        }
        Ok(heard)
    }

    /// What a block says at its beginning, or altogether.
    fn hear_block(&mut self, block: &Node, source: &[u8], calls: &mut Calls) -> Result<Heard, Fault> {
        let Some(lane) = &mut self.lane else { return Ok(Heard::default()) };
        lane.seam();
        match block.get("text") {
            Some(text) => lane.hear_node(text, source, calls),
            None => Ok(Heard::default()),
        }
    }

    fn text_ends(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) {
        if let Some(lane) = &mut self.lane {
            lane.end(calls, saw);
        }
    }

    /// What a block is; a call is opened.
    fn classify(&self, block: &Node, source: &[u8], calls: &mut Calls) -> Result<BlockKind, Fault> {
        if self.blocks >= MOST_BLOCKS {
            return Err(order("more than 4096 content blocks"));
        }
        let kind = block.text("type").unwrap_or_default();
        let name = block.text("name").unwrap_or_default();
        let wire_id = block.text("id").unwrap_or_default();
        Ok(match kind {
            "text" | "thinking" | "redacted_thinking"
                if block.members().iter().any(|m| looks_like_call(&m.value)) =>
            {
                return Err(order("a text block holds what could be a call"));
            }
            "text" => BlockKind::Text(Gathered::default()),
            "thinking" | "redacted_thinking" => BlockKind::Thinking,
            "server_tool_use" | "mcp_tool_use" if self.provider_tools || self.trusted => {
                BlockKind::Provider(name.to_owned(), Vec::new())
            }
            "container_upload" | "compaction" | "fallback" | "mcp_tool_listing" if !holds_call(block) => {
                BlockKind::Result
            }
            kind if kind.ends_with("_tool_result") && !holds_call(block) => BlockKind::Result,
            "tool_use" => {
                let id = calls.open(CallKind::Tool, None, name, wire_id);
                if let (Some(call), Some(toolset)) = (calls.get_mut(id), block.some("toolset_name")) {
                    match toolset.as_str() {
                        Some(family) => call.toolset = Some(family.to_owned()),
                        None => call.spoil("its toolset_name is not text"),
                    }
                }
                if let (Some(call), Some(input)) = (calls.get_mut(id), block.some("input")) {
                    if !input.is_object() {
                        call.spoil("its input is not an object");
                    } else if !input.members().is_empty() {
                        call.whole = Some(text_of(input, source));
                    }
                }
                BlockKind::Call(id)
            }
            kind => {
                let id = calls.open(CallKind::Unknown, None, &format!("block {kind}"), wire_id);
                if let Some(call) = calls.get_mut(id) {
                    call.call_like = looks_like_call(block);
                    call.whole = Some(text_of(block, source));
                }
                BlockKind::Call(id)
            }
        })
    }

    fn block_start(
        &mut self,
        raw: Bytes,
        node: Node,
        at: u32,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        if self.phase != Phase::Content {
            return Err(order("a content block outside of the message"));
        }
        // Some clients add every delta to the block that began last, whatever its index says.
        if self.open.is_some() {
            return Err(order("a content block begins inside another"));
        }
        if node.get("index").and_then(Node::as_u64) != Some(self.blocks) {
            return Err(order("a content block's index is not the next one"));
        }
        let Some(block) = node.get("content_block").filter(|block| block.is_object()) else {
            return Err(order("content_block_start without a block"));
        };
        let source = raw.get(at as usize..).unwrap_or_default();
        let mut kind = self.classify(block, source, calls)?;
        let mut heard = Heard::default();
        if let BlockKind::Text(gathered) = &mut kind {
            gathered.add(block.text("text").unwrap_or_default().as_bytes(), saw);
            heard = self.hear_block(block, source, calls)?;
        }
        let call = if let BlockKind::Call(call) = &kind { Some(*call) } else { None };
        let index = self.blocks;
        self.open = Some((index, kind));
        self.blocks += 1;
        Ok(match call {
            Some(call) => Frame::of_call(raw, Shape::Begins(index), call, calls),
            None if heard.entries.is_empty() => Frame::plain(raw),
            None => Frame::of_text(&raw, at, heard, calls)?,
        })
    }

    fn block_delta(
        &mut self,
        raw: Bytes,
        node: &Node,
        at: u32,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        let Some(delta) = node.get("delta").filter(|delta| delta.is_object()) else {
            return Err(order("content_block_delta without a delta"));
        };
        let block = open_block(&mut self.open, node)?;
        let kind = delta.text("type").unwrap_or_default();
        let fragment = |key: &str| match delta.get(key).and_then(Node::as_string) {
            Some(text) => Ok(text.as_wtf8()),
            None => Err(order("a delta without its text")),
        };
        let mut varies = None;
        match (&mut *block, kind) {
            (BlockKind::Text(gathered), "text_delta") => {
                gathered.add(fragment("text")?, saw);
                if let (Some(lane), Some(text)) = (&mut self.lane, delta.get("text")) {
                    let source = raw.get(at as usize..).unwrap_or_default();
                    let heard = lane.hear_node(text, source, calls)?;
                    check_rest(delta, &[])?;
                    return match heard.entries.is_empty() {
                        true => Ok(Frame::plain(raw)),
                        false => Frame::of_text(&raw, at, heard, calls),
                    };
                }
                varies = delta.get("text").map(|text| (text.span, Slot::Text));
            }
            (BlockKind::Thinking, "thinking_delta") => {
                varies = delta
                    .get("thinking")
                    .filter(|text| text.as_str().is_some())
                    .map(|text| (text.span, Slot::Ignored));
            }
            (BlockKind::Result, "compaction_delta")
            | (BlockKind::Text(_), "citations_delta")
            | (BlockKind::Thinking, "signature_delta") => {}
            (BlockKind::Provider(_, input), "input_json_delta") => {
                if input.len() < 64 * 1024 {
                    json::push_wtf8(fragment("partial_json")?, input);
                }
            }
            (BlockKind::Call(id), kind) => {
                let id = *id;
                if let Some(call) = calls.get_mut(id) {
                    match (call.kind, kind) {
                        (CallKind::Unknown, _) => {
                            call.call_like |= looks_like_call(delta) || kind == "input_json_delta";
                        }
                        (_, "input_json_delta") => {
                            json::push_wtf8(fragment("partial_json")?, &mut call.fragments)
                        }
                        _ => call.spoil("it holds a delta that no reader expects in a call"),
                    }
                }
                return Ok(Frame::of_call(raw, Shape::Belongs, id, calls));
            }
            (
                _,
                "text_delta" | "input_json_delta" | "thinking_delta" | "signature_delta" | "citations_delta",
            ) => {
                return Err(order("a delta in a block of another kind"));
            }
            (_, kind) => {
                let name = format!("delta {kind}");
                return Ok(unknown(raw, node, &name, calls));
            }
        }
        check_rest(delta, &[])?;
        Ok(match varies {
            Some(slot) => Frame::text(raw, Varying { lane: 0, at, slots: vec![slot] }),
            None => Frame::plain(raw),
        })
    }

    /// Text of the block that is open.
    pub fn text(&mut self, text: &[u8], saw: &mut Vec<Observation>) {
        if let Some((_, BlockKind::Text(gathered))) = &mut self.open {
            gathered.add(text, saw);
        }
    }

    fn block_stop(
        &mut self,
        raw: Bytes,
        node: &Node,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        open_block(&mut self.open, node)?;
        match self.open.take().map(|(_, kind)| kind) {
            Some(BlockKind::Text(mut gathered)) => gathered.flush(saw),
            Some(BlockKind::Provider(name, input)) => {
                let input = String::from_utf8_lossy(&input).into_owned();
                saw.push(Observation::ProviderCall { name, input });
            }
            Some(BlockKind::Call(call)) => {
                let frame = Frame::of_call(raw, Shape::Belongs, call, calls);
                calls.end(call);
                return Ok(frame);
            }
            Some(BlockKind::Thinking | BlockKind::Result) | None => {}
        }
        Ok(Frame::plain(raw))
    }

    fn content_closed(&self) -> Result<(), Fault> {
        if self.phase == Phase::Start {
            return Err(order("the message ends before it starts"));
        }
        if self.open.is_some() {
            return Err(order("the message ends inside a content block"));
        }
        Ok(())
    }
}

/// The open block, if an event's index names it.
fn open_block<'a>(open: &'a mut Option<(u64, BlockKind)>, node: &Node) -> Result<&'a mut BlockKind, Fault> {
    let index = node.get("index").and_then(Node::as_u64);
    match open {
        Some((at, kind)) if index == Some(*at) => Ok(kind),
        _ => Err(order("an event for a content block that is not open")),
    }
}

/// An event or delta that nobody knows: held, judged, passed on or dropped.
fn unknown(raw: Bytes, node: &Node, name: &str, calls: &mut Calls) -> Frame {
    let id = calls.open(CallKind::Unknown, None, name, "");
    if let Some(call) = calls.get_mut(id) {
        call.call_like = looks_like_call(node);
    }
    let frame = Frame::of_whole_call(raw, id, calls);
    calls.end(id);
    frame
}

/// Whether what a provider's tool gave back holds something an agent could take for a call of its own.
fn holds_call(block: &Node) -> bool {
    block.members().iter().any(|member| looks_like_call(&member.value))
}

/// How a frame is emitted, now that its calls are ruled.
pub(crate) fn repair(frame: &Frame, calls: &Calls) -> Repair {
    let gone = || frame.entries.iter().find_map(|(call, _)| calls.blocked(*call));
    match (frame.shape, gone()) {
        // Where a blocked block began stands a text block; the rest of it is gone.
        (Shape::Begins(index), Some(notice)) => return Repair::Replace(text_events(index, notice)),
        (Shape::Belongs, Some(_)) => return Repair::Drop,
        (Shape::Other, _) => {}
        _ => return Repair::Keep,
    }
    let Some((node, _)) = &frame.node else { return Repair::Keep };
    let message = match node.text("type").unwrap_or_default() {
        _ if frame.whole => Some(&**node),
        "message_start" => node.get("message"),
        "message_delta" => node.get("delta"),
        _ => None,
    };
    let mut edits: Vec<Edit> = frame
        .entries
        .iter()
        .filter(|(call, _)| calls.get(*call).is_some_and(|call| call.kind != CallKind::Text))
        .filter_map(|(call, span)| Some(Edit::replace(*span, text_block(calls.blocked(*call)?))))
        .collect();
    let reason = message.and_then(|message| message.get("stop_reason"));
    if let Some(reason) = reason.filter(|reason| reason.as_str() == Some("tool_use"))
        && frame.all_gone(calls, |_| true)
    {
        edits.push(Edit::replace(reason.span, &b"\"end_turn\""[..]));
    }
    if edits.is_empty() {
        Repair::Keep
    } else {
        Repair::Edit { edits, keep: true, before: Bytes::new(), then: Bytes::new() }
    }
}

/// A whole text block in the place of another.
fn text_events(index: u64, notice: &str) -> Bytes {
    let mut out = Vec::new();
    let mut event = |name: &str, rest: &[&[u8]]| {
        out.extend_from_slice(
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"index\":{index}").as_bytes(),
        );
        rest.iter().for_each(|bytes| out.extend_from_slice(bytes));
        out.extend_from_slice(b"}\n\n");
    };
    event("content_block_start", &[br#","content_block":{"type":"text","text":""}"#]);
    let text = json::quoted(notice);
    event("content_block_delta", &[br#","delta":{"type":"text_delta","text":"#, &text, b"}"]);
    event("content_block_stop", &[]);
    out.into()
}

fn text_block(notice: &str) -> Vec<u8> {
    let mut out = br#"{"type":"text","text":"#.to_vec();
    out.extend_from_slice(&json::quoted(notice));
    out.push(b'}');
    out
}

/// The end of a stream that could not go on, as this protocol says it.
pub(crate) fn error_event(message: &str) -> Bytes {
    let mut out = b"event: error\ndata: ".to_vec();
    out.extend_from_slice(&error_body("api_error", message));
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// An error in this protocol's shape.
pub(super) fn error_body(kind: &str, message: &str) -> Vec<u8> {
    let mut out = br#"{"type":"error","error":{"type":"#.to_vec();
    out.extend_from_slice(&json::quoted(kind));
    out.extend_from_slice(br#","message":"#);
    out.extend_from_slice(&json::quoted(message));
    out.extend_from_slice(b"}}");
    out
}

/// The error type that stands with `status` in this protocol.
pub(super) const fn error_kind(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        413 => "request_too_large",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

/// Reads a request to `/v1/messages`.
pub(super) fn read_request(body: &[u8]) -> Result<Request, Fault> {
    Ok(read(&object(body)?, body))
}

/// Reads the request `node`, which stands in `body`.
pub(super) fn read(node: &Node, body: &[u8]) -> Request {
    let mut request =
        Request { stream: node.get("stream").and_then(Node::as_bool) == Some(true), ..Request::default() };
    request.model = node.text("model").unwrap_or_default().to_owned();
    request.session = super::session::id(node);
    request.effects = provider_tools::anthropic(node);
    let tools = node.get("tools").map(Node::elements).unwrap_or_default();
    for tool in tools.iter().chain(inline_tools(node)) {
        request.declare(tool.text("name").unwrap_or_default(), tool, body);
        let kind = tool.text("type").unwrap_or_default();
        let run_by_provider =
            ["web_search", "web_fetch", "code_execution", "tool_search", "mcp_toolset", "advisor"];
        if run_by_provider.iter().any(|tool| kind.starts_with(tool)) {
            request.declared.provider_tools = true;
        } else {
            request.declared.toolsets.declare(tool);
        }
    }
    request.declared.provider_tools |=
        node.get("mcp_servers").is_some_and(|servers| !servers.elements().is_empty());
    if let Some(system) = node.some("system") {
        blocks(system, PartKind::SystemText, &mut request);
    }
    request.say_members(PartKind::Label, node, &["metadata", "stop_sequences"]);
    let messages = node.get("messages").map(Node::elements).unwrap_or_default();
    for message in messages {
        let kind = match message.text("role") {
            Some("assistant") => PartKind::AssistantText,
            Some("system") => PartKind::SystemText,
            _ => PartKind::UserText,
        };
        if let Some(content) = message.some("content") {
            blocks(content, kind, &mut request);
            earlier_calls(content, body, &mut request);
        }
    }
    request.link()
}

/// The calls among a message's blocks.
fn earlier_calls(content: &Node, body: &[u8], request: &mut Request) {
    for block in content.elements() {
        let name = block.text("name").unwrap_or_default();
        let id = block.text("id").unwrap_or_default();
        let input = || block.get("input").map(|input| text_of(input, body)).unwrap_or_default();
        match (block.text("type").unwrap_or_default(), block.text("toolset_name")) {
            ("tool_use", Some(family)) => request.repeat(id, &format!("{family}.{name}"), &input(), false),
            ("tool_use", None) => request.repeat(id, name, &input(), false),
            ("server_tool_use", _) => drop(request.called(id, name, &input(), false)),
            ("mcp_tool_use", _) => {
                let server = block.text("server_name").unwrap_or_default();
                request.called(id, &format!("mcp__{server}__{name}"), &input(), false);
            }
            _ => {}
        }
    }
}

/// The tools that system messages define in the middle of the conversation: `tool_addition` blocks that carry
/// a definition rather than a reference (Anthropic's page "Mid-conversation system messages and tool changes").
///
/// In system messages only, which are the agent's own. What the provider says comes back in an assistant's: it
/// could declare what the agent never did.
pub(super) fn inline_tools(request: &Node) -> impl Iterator<Item = &Node> {
    let messages = request.get("messages").map(Node::elements).unwrap_or_default();
    let system = messages.iter().filter(|message| message.text("role") == Some("system"));
    let blocks = system.filter_map(|message| message.get("content")).flat_map(Node::elements);
    blocks
        .filter(|block| block.text("type") == Some("tool_addition"))
        .filter_map(|block| block.get("tool"))
        .filter(|tool| tool.text("type") == Some("tool_definition"))
        .filter_map(|tool| tool.get("definition"))
}

/// The text of a message's content, block by block.
fn blocks(content: &Node, kind: PartKind, request: &mut Request) {
    if content.as_str().is_some() {
        request.say_node(kind, content);
    }
    for block in content.elements() {
        match block.text("type").unwrap_or_default() {
            "text" => {
                if let Some(text) = block.get("text").filter(|text| text.as_str().is_some()) {
                    request.say_node(kind, text);
                }
            }
            "tool_result" | "mcp_tool_result" => {
                if let Some(content) = block.some("content") {
                    let call = Link::new(block.text("tool_use_id").unwrap_or_default(), "");
                    request.answer(call, |request| blocks(content, PartKind::ToolResult, request));
                }
            }
            "image" => request.unseen("image"),
            "document" if block.get("source").and_then(|s| s.text("type")) == Some("base64") => {
                request.unseen("document");
            }
            // Signed or encrypted: nothing in them is the agent's to say.
            "thinking" | "redacted_thinking" => {}
            other => {
                let kind =
                    if other.ends_with("_tool_result") || other == "document" || other == "search_result" {
                        PartKind::ToolResult
                    } else {
                        kind
                    };
                let call = Link::new(block.text("tool_use_id").unwrap_or_default(), "");
                request.answer(call, |request| request.say_all(kind, block));
            }
        }
    }
}

fn text_of(node: &Node, source: &[u8]) -> String {
    String::from_utf8_lossy(node.span.of(source)).into_owned()
}

fn order(message: &str) -> Fault {
    Fault::new("anthropic.order", message)
}

fn truncated() -> Fault {
    Fault::new("stream.truncated", "the stream ended before the message did")
}
