//! OpenAI Responses, streaming and not.
//!
//! A reply is a list of items; an item that asks the client to do something is a call. In a stream it comes
//! up to four times: begun (`output_item.added`), in deltas, whole (`output_item.done`), and once more in the
//! event that ends the reply. Clients run it from any of these, so all must say the same: it is held from its
//! beginning, judged when it is whole, and its later copies are held to what was judged. A blocked call's
//! place is taken by a message with the same index, so no index ever changes.
//!
//! Numbers of events stay as they came: clients resume a broken stream behind the number they saw last, and
//! that number must mean to the server what it meant to them. A message in a call's place uses that call's
//! numbers.

mod copies;
mod end;
mod held;
mod items;
mod lanes;
mod message;
mod partial;
mod repair;
mod request;
pub mod restore;
pub(crate) use repair::repair;
pub(crate) use request::read_request;

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::Fault;
use super::frame::{CallKind, Calls, Frame, Observation, Origin, Shape, object};
use super::request::Declared;
use super::sse::Event;
use super::stray::{check_keys_of, check_rest, looks_like_call};
use super::template::{Slot, Varying};
use super::text_tools::{Heard, TextTools};
use super::usage;
use crate::syntax::{Kind, Node, Span, json};
use copies::Digest;
use held::Held;
use items::{Item, ItemKind, Sort};
use lanes::{How, Lanes};
use message::{frame_of, hearing, text_frame};

/// The most items one reply may have.
const MOST_ITEMS: usize = 4096;

/// The most parts all messages of one reply may have: each is kept as a digest.
const MOST_PARTS: usize = 16 * 1024;

/// Members of a reply that repeat what was asked for; tool definitions look like calls.
const ECHO: &[&str] = &["tools", "tool_choice", "text", "instructions", "prompt", "metadata", "moderation"];

/// Keys that decide how a reply is read.
const STRUCTURE: &[&str] = &[
    "action",
    "actions",
    "arguments",
    "call_id",
    "command",
    "commands",
    "content",
    "content_index",
    "data",
    "delta",
    "diff",
    "error",
    "id",
    "input",
    "item",
    "item_id",
    "name",
    "namespace",
    "operation",
    "output",
    "output_index",
    "output_text",
    "part",
    "path",
    "refusal",
    "response",
    "role",
    "server_label",
    "status",
    "text",
    "type",
];

/// Members whose keys are somebody's own: names of tools' parameters, of variables, of metadata.
const FOREIGN: &[&str] = &[
    "tools",
    "tool_choice",
    "instructions",
    "metadata",
    "prompt",
    "moderation",
    "env",
    "input_schema",
    "parameters",
    "schema",
    "attributes",
];

/// Reads one reply.
#[derive(Debug)]
pub(crate) struct Reader {
    phase: Phase,
    items: BTreeMap<u64, Item>,
    declared: Declared,
    trusted: bool,
    /// The reply's id, once told.
    response: String,
    /// Whether events have names, once known.
    named: Option<bool>,
    /// The number of the newest event.
    number: Option<Box<str>>,
    /// What has been said in full, for comparing later copies.
    texts: HashSet<Digest>,
    /// The same and more, if calls may stand in it.
    lanes: Option<Lanes>,
    /// How many parts messages have had so far.
    parts: usize,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Phase {
    Start,
    Output,
    Done,
    /// `[DONE]` has been.
    Closed,
}

/// What a reading step works with.
struct Step<'a> {
    calls: &'a mut Calls,
    saw: &'a mut Vec<Observation>,
}

impl Reader {
    pub fn new(declared: &Declared, trusted: bool, text_tools: TextTools) -> Self {
        Self {
            phase: Phase::Start,
            items: BTreeMap::new(),
            declared: declared.clone(),
            trusted,
            response: String::new(),
            named: None,
            number: None,
            texts: HashSet::new(),
            lanes: Lanes::new(text_tools),
            parts: 0,
        }
    }

    /// The number behind that of the newest event.
    pub fn next_number(&self) -> u64 {
        self.number.as_deref().and_then(|digits| digits.parse::<u64>().ok()).map_or(0, |number| number + 1)
    }

    /// Whether the reply came to its end.
    pub fn complete(&self) -> Result<(), Fault> {
        // Nothing is left of a stream that is resumed at its end.
        let nothing = self.declared.resumed && self.named.is_none();
        if matches!(self.phase, Phase::Done | Phase::Closed) || nothing {
            return Ok(());
        }
        Err(Fault::new("stream.truncated", "the stream ended before the reply did"))
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
        if data == b"[DONE]" && event.name().is_none() && self.phase == Phase::Done {
            self.phase = Phase::Closed;
            return Ok(Frame::plain(event.raw.clone()));
        }
        let node = object(data)?;
        check_keys_of(&node, STRUCTURE, FOREIGN)?;
        let Some(kind) = node.text("type") else { return Err(order("an event has no type")) };
        self.check_name(event, kind)?;
        if self.phase == Phase::Closed || self.phase == Phase::Done && kind != "keepalive" {
            return Err(order("an event after the end of the reply"));
        }
        // Some SDKs take any event with an error for the end of the stream, others read on.
        if kind != "error" && node.some("error").is_some_and(|error| error.as_bool() != Some(false)) {
            return Err(order("an event has an error beside its type"));
        }
        if let Some(Kind::Number(digits)) = node.get("sequence_number").map(|number| &number.kind) {
            self.number = Some(digits.clone());
        }
        let raw = event.raw.clone();
        let mut step = Step { calls, saw };
        match kind {
            "keepalive" => {
                check_rest(&node, &[])?;
                Ok(Frame::plain(raw))
            }
            "error" => {
                check_rest(&node, &[])?;
                self.phase = Phase::Done;
                Ok(Frame::error(raw))
            }
            "response.created" | "response.queued" | "response.in_progress" => {
                self.head(&node, step.saw)?;
                Ok(Frame::plain(raw))
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.last(raw, node, span.start, &mut step)
            }
            "response.output_item.added" => self.added(raw, &node, span.start, &mut step),
            "response.output_item.done" => self.done(raw, &node, span.start, &mut step),
            _ => self.within(raw, &node, span.start, kind, &mut step),
        }
    }

    /// Clients read the type in the data; a few listen for the name. All events have one, or none.
    fn check_name(&mut self, event: &Event, kind: &str) -> Result<(), Fault> {
        let named = event.name().is_some();
        if event.name().is_some_and(|name| name != kind.as_bytes()) {
            return Err(order("an event's name differs from its data's type"));
        }
        if *self.named.get_or_insert(named) != named {
            return Err(order("events come with and without a name"));
        }
        Ok(())
    }

    /// Reads a reply that is not streamed: a response, a list of items, or something without either.
    pub fn body(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        let node = object(raw)?;
        check_keys_of(&node, STRUCTURE, FOREIGN)?;
        self.phase = Phase::Done;
        node.text("id").unwrap_or_default().clone_into(&mut self.response);
        saw.extend(replied(&self.response));
        let consumed: Vec<&str> = ECHO.iter().copied().chain(["output", "data"]).collect();
        check_rest(&node, &consumed)?;
        usage::openai_responses(&node, saw);
        let mut step = Step { calls, saw };
        let mut heard = Heard::default();
        for key in ["output", "data"] {
            for item in list(&node, key)? {
                heard.add(self.whole_item(item, raw, 0, &mut step)?);
                if let Some(lanes) = self.lanes.as_mut().filter(|_| key == "data") {
                    lanes.next(step.calls, step.saw);
                }
            }
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.end(&node, raw, &mut heard, &mut step)?;
        }
        let mut frame = frame_of(raw, node, 0, heard, step.calls)?;
        frame.whole = true;
        Ok(frame)
    }

    /// An item that comes once and whole; a call is opened and complete. Gives what of it is held.
    fn whole_item(&mut self, node: &Node, raw: &Bytes, at: u32, step: &mut Step<'_>) -> Result<Heard, Fault> {
        let index = self.next_index()?;
        let source = raw.get(at as usize..).unwrap_or_default();
        let mut item = self.begin(node, step)?;
        item.open = false;
        let heard = match &mut item.kind {
            ItemKind::Call(held) => {
                held.finish(node, source, step.calls);
                step.calls.set_origin(held.call, self.origin(node, raw, at));
                step.calls.set_place(held.call, held.place(&item.id, false));
                step.calls.end(held.call);
                Heard::call(held.call, node.span, true)
            }
            ItemKind::Message(_) => self.whole_message(index, node, source, step)?,
            ItemKind::Provider(name) => {
                let (name, input) = (name.clone(), items::provider_input(node, source));
                step.saw.push(Observation::ProviderCall { name, input });
                Heard::default()
            }
            ItemKind::Reasoning | ItemKind::Result => Heard::default(),
        };
        self.items.insert(index, item);
        Ok(heard)
    }

    /// The bytes of a call as they came, and whose they are.
    fn origin(&self, node: &Node, raw: &Bytes, at: u32) -> Origin {
        let span = Span::new(node.span.start + at, node.span.end + at);
        let item = if span.end as usize <= raw.len() { raw.slice(span.range()) } else { Bytes::new() };
        Origin { response: self.response.as_str().into(), item }
    }

    fn next_index(&self) -> Result<u64, Fault> {
        if self.items.len() >= MOST_ITEMS {
            return Err(order("more than 4096 items"));
        }
        Ok(self.items.keys().next_back().map_or(0, |last| last + 1))
    }

    /// What is told of the reply before its items.
    fn head(&mut self, node: &Node, saw: &mut Vec<Observation>) -> Result<(), Fault> {
        check_rest(node, &["response"])?;
        let response = self.identify(node, saw)?;
        self.phase = Phase::Output;
        let consumed: Vec<&str> = ECHO.iter().copied().chain(["output"]).collect();
        check_rest(response, &consumed)?;
        if self.lanes.is_some() && response.some("output_text").is_some_and(|text| text.as_str() != Some(""))
        {
            return Err(order("text before the items begin"));
        }
        for item in list(response, "output")? {
            if looks_like_call(item) {
                return Err(order("a call before the items begin"));
            }
            if self.lanes.is_some() {
                items::check_plain(item)?;
                if items::texts(item).any(|saying| !saying.is_empty()) {
                    return Err(order("text before the items begin"));
                }
            }
            item.each_string(&mut |text, _| saw.push(Observation::Text(text.to_owned())));
        }
        Ok(())
    }

    /// The `response` of an event, which must be the same one throughout.
    fn identify<'a>(&mut self, node: &'a Node, saw: &mut Vec<Observation>) -> Result<&'a Node, Fault> {
        let Some(response) = node.get("response").filter(|response| response.is_object()) else {
            return Err(order("an event without its response"));
        };
        let id = response.text("id").unwrap_or_default();
        if self.response.is_empty() {
            id.clone_into(&mut self.response);
            saw.extend(replied(id));
        } else if self.response != id {
            return Err(order("the reply's id changes"));
        }
        Ok(response)
    }

    /// What an item is; a call is opened.
    fn begin(&self, node: &Node, step: &mut Step<'_>) -> Result<Item, Fault> {
        if !node.is_object() {
            return Err(order("an item is not an object"));
        }
        let sort = Sort::of(node, &self.declared, self.trusted);
        let id = node.text("id").unwrap_or_default().to_owned();
        let stray = |consumed: &[&str]| check_rest(node, consumed);
        let kind = match sort {
            Sort::Message => {
                stray(&[])?;
                ItemKind::Message(BTreeMap::new())
            }
            Sort::Reasoning => {
                stray(&[])?;
                ItemKind::Reasoning
            }
            Sort::Result => {
                stray(&["tools"])?;
                ItemKind::Result
            }
            Sort::Provider => {
                stray(&["tools", "arguments", "action"])?;
                ItemKind::Provider(items::provider_name(node))
            }
            Sort::Call(what) => ItemKind::Call(Box::new(Held::open(what, node, step.calls))),
        };
        Ok(Item { id, kind, open: true })
    }

    fn added(&mut self, raw: Bytes, node: &Node, at: u32, step: &mut Step<'_>) -> Result<Frame, Fault> {
        check_rest(node, &["item"])?;
        let Some(begun) = node.some("item") else {
            // Some servers announce an item without saying which; it cannot be one to act on.
            return Ok(Frame::plain(raw));
        };
        let next = self.next_index()?;
        let index = match node.some("output_index").map(Node::as_u64) {
            None => next,
            Some(Some(index)) if index == next || self.items.is_empty() && self.declared.resumed => index,
            Some(_) => return Err(order("an item's index is not the next one")),
        };
        let mut item = self.begin(begun, step)?;
        let frame = match &mut item.kind {
            ItemKind::Call(held) => {
                // Some clients add every delta to the call that began last, whatever its index says.
                if self.items.values().any(|item| item.open && matches!(item.kind, ItemKind::Call(_))) {
                    return Err(order("a call begins inside another"));
                }
                held.index = node.some("output_index").and_then(Node::as_u64);
                held.numbers.extend(self.number.clone());
                Frame::of_call(raw, Shape::Begins(index), held.call, step.calls)
            }
            ItemKind::Message(parts) => {
                self.count_parts(items::texts(begun).count())?;
                let source = raw.get(at as usize..).unwrap_or_default();
                let mut hearing = hearing(&mut self.lanes, source, self.declared.resumed, How::Begun);
                if hearing.holds() {
                    items::check_plain(begun)?;
                }
                for (place, saying) in items::texts(begun).enumerate() {
                    let place = place as u64;
                    parts.entry(place).or_default().say(saying, (index, place), &mut hearing, step)?;
                }
                let heard = hearing.heard;
                text_frame(raw, at, heard, step.calls)?
            }
            ItemKind::Reasoning | ItemKind::Result | ItemKind::Provider(_) => Frame::plain(raw),
        };
        self.items.insert(index, item);
        Ok(frame)
    }

    /// The item that an event is about: by index, by id, or the only one that is open.
    fn locate(&self, node: &Node) -> Result<Option<u64>, Fault> {
        if let Some(index) = node.some("output_index") {
            let index = index.as_u64().ok_or_else(|| order("an item's index is not a number"))?;
            return Ok(self.items.contains_key(&index).then_some(index));
        }
        let mut open = self.items.iter().filter(|(_, item)| item.open);
        match node.text("item_id") {
            Some(id) => Ok(open.find(|(_, item)| item.id == id).map(|(index, _)| *index)),
            None => match (open.next(), open.next()) {
                (Some((index, _)), None) => Ok(Some(*index)),
                _ => Ok(None),
            },
        }
    }

    fn done(&mut self, raw: Bytes, node: &Node, at: u32, step: &mut Step<'_>) -> Result<Frame, Fault> {
        check_rest(node, &["item"])?;
        let Some(copy) = node.get("item").filter(|item| item.is_object()) else {
            return Err(order("output_item.done without an item"));
        };
        let Some(index) = self.locate(node)? else {
            return self.never_added(raw, node, copy, at, step);
        };
        let origin = self.origin(copy, &raw, at);
        let sort = Sort::of(copy, &self.declared, self.trusted);
        let number = self.number.clone();
        let Some(item) = self.items.get_mut(&index) else { return Err(order("no such item")) };
        if !item.open {
            return Err(order("an item is done twice"));
        }
        item.open = false;
        let source = raw.get(at as usize..).unwrap_or_default();
        let mut heard = Heard::default();
        match &mut item.kind {
            ItemKind::Call(held) => {
                held.number(number);
                held.check_sort(&sort, step.calls);
                held.finish(copy, source, step.calls);
                step.calls.set_origin(held.call, origin);
                let call = held.call;
                let frame = Frame::of_call(raw, Shape::Belongs, call, step.calls);
                step.calls.set_place(call, held.place(&item.id, self.named == Some(true)));
                step.calls.end(call);
                return Ok(frame);
            }
            _ if matches!(sort, Sort::Call(_)) => return Err(order("an item turns into a call")),
            ItemKind::Message(parts) => {
                check_rest(copy, &[])?;
                for said in parts.values_mut() {
                    said.flush(step.saw);
                }
                let mut parts = std::mem::take(parts);
                self.count_parts(items::texts(copy).count().saturating_sub(parts.len()))?;
                let mut hearing = hearing(&mut self.lanes, source, self.declared.resumed, How::Item);
                copies::check_message(copy, index, &mut parts, &mut hearing, step)?;
                heard = hearing.heard;
                self.message_done(index, parts);
            }
            ItemKind::Result => {
                check_rest(copy, &["tools"])?;
                // Of a message that was resumed only this copy says what it is.
                if sort == Sort::Message {
                    heard = self.whole_message(index, copy, source, step)?;
                }
            }
            _ if sort == Sort::Message => return Err(order("an item turns into a message")),
            ItemKind::Provider(name) => {
                check_rest(copy, &["tools", "arguments", "action"])?;
                let (name, input) = (name.clone(), items::provider_input(copy, source));
                step.saw.push(Observation::ProviderCall { name, input });
            }
            ItemKind::Reasoning => check_rest(copy, &[])?,
        }
        text_frame(raw, at, heard, step.calls)
    }

    /// An event within an item.
    fn within(
        &mut self,
        raw: Bytes,
        node: &Node,
        at: u32,
        kind: &str,
        step: &mut Step<'_>,
    ) -> Result<Frame, Fault> {
        let located = match self.locate(node)? {
            // Some servers say text without announcing whose it is.
            None if items::is_text(kind) && !self.declared.resumed => Some(self.unannounced(node)?),
            located => located,
        };
        let Some(index) = located else {
            if items::belongs_to_item(kind) {
                if self.declared.resumed {
                    return self.resumed(raw, node, kind, step);
                }
                return Err(order("an event for an item that is not open"));
            }
            return Ok(unknown(raw, node, kind, step.calls));
        };
        let number = self.number.clone();
        let Some(item) = self.items.get_mut(&index) else { return Err(order("no such item")) };
        let id = node.text("item_id");
        if let ItemKind::Call(held) = &mut item.kind {
            if !item.open {
                return Err(order("more of a call that is done"));
            }
            if id.is_some_and(|id| !item.id.is_empty() && id != item.id) {
                held.spoil("its events name different items", step.calls);
            }
            held.number(number);
            held.event(kind, node, step.calls)?;
            let call = held.call;
            return Ok(Frame::of_call(raw, Shape::Belongs, call, step.calls));
        }
        if items::adds_to_call(kind) {
            return Err(order("a piece of a call in an item of another kind"));
        }
        if !items::belongs_to_item(kind) {
            return Ok(unknown(raw, node, kind, step.calls));
        }
        check_rest(node, &[])?;
        let holds = self.lanes.is_some();
        match &mut item.kind {
            ItemKind::Message(parts) => {
                let before = parts.len();
                let source = raw.get(at as usize..).unwrap_or_default();
                let how = match kind.rsplit('.').next() {
                    Some("delta") => How::Delta,
                    Some("added") => How::Begun,
                    _ if kind.starts_with("response.content_part.") => How::Part,
                    _ => How::Text,
                };
                if let Some(lanes) = self.lanes.as_mut().filter(|_| how == How::Delta) {
                    lanes.named(index, id)?;
                }
                let mut hearing = hearing(&mut self.lanes, source, self.declared.resumed, how);
                copies::message_event(kind, node, (index, item.open), parts, &mut hearing, step)?;
                let (heard, more) = (hearing.heard, parts.len().saturating_sub(before));
                self.count_parts(more)?;
                if holds && items::is_text(kind) || !heard.is_empty() {
                    return text_frame(raw, at, heard, step.calls);
                }
            }
            ItemKind::Result if holds && self.declared.resumed && items::is_said(kind, node) => {
                return Err(lanes::resumed());
            }
            // Of a message that was resumed only its whole copy says what it is.
            ItemKind::Result if self.declared.resumed => {}
            _ if items::is_text(kind) => return Err(order("text in an item of another kind")),
            _ => {}
        }
        Ok(match varying(kind, node, index, at) {
            Some(varying) => Frame::text(raw, varying),
            None => Frame::plain(raw),
        })
    }

    /// Text of a content: `lane` is the item's index, and its own in the lower 16 bits.
    pub fn text(&mut self, lane: u64, text: &[u8], saw: &mut Vec<Observation>) {
        if let Some(Item { kind: ItemKind::Message(parts), .. }) = self.items.get_mut(&(lane >> 16)) {
            parts.entry(lane & 0xffff).or_default().add(text, saw);
        }
    }

    /// The number of an event.
    pub fn count(&mut self, digits: &[u8]) {
        if let Some(digits) = std::str::from_utf8(digits).ok().filter(|digits| !digits.is_empty()) {
            self.number = Some(digits.into());
        }
    }
}

/// What may differ from this piece of text to the next; `None` if it is no piece of text.
fn varying(kind: &str, node: &Node, index: u64, at: u32) -> Option<Varying> {
    let said = match kind {
        "response.output_text.delta" | "response.refusal.delta" => Slot::Text,
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => Slot::Ignored,
        _ => return None,
    };
    let content = node.get("content_index").and_then(Node::as_u64).unwrap_or(0);
    let lane = (index << 16) | u64::from(u16::try_from(content).ok()?);
    let slot = |key: &str, value: &Node| match (key, &value.kind) {
        ("delta", Kind::String(_)) => Some(said),
        ("obfuscation", Kind::String(_)) => Some(Slot::Ignored),
        ("sequence_number", Kind::Number(_)) => Some(Slot::Count),
        _ => None,
    };
    let slots = node.members().iter();
    let slots = slots.filter_map(|member| Some((member.value.span, slot(&member.key, &member.value)?)));
    Some(Varying { lane, at, slots: slots.collect() })
}

/// An event that nobody knows: held, judged, passed on or dropped.
fn unknown(raw: Bytes, node: &Node, name: &str, calls: &mut Calls) -> Frame {
    let id = calls.open(CallKind::Unknown, None, &format!("event {name}"), "");
    if let Some(call) = calls.get_mut(id) {
        call.call_like = node.members().iter().any(|member| looks_like_call(&member.value));
    }
    let frame = Frame::of_whole_call(raw, id, calls);
    calls.end(id);
    frame
}

/// The items under `key`; none if it is absent.
fn list<'a>(node: &'a Node, key: &str) -> Result<&'a [Node], Fault> {
    match node.some(key) {
        None => Ok(&[]),
        Some(list) if list.is_array() => Ok(list.elements()),
        // Some readers take a mapping for a list.
        Some(_) => Err(order("the items are not a list")),
    }
}

/// The reply's id, to be remembered.
fn replied(id: &str) -> Option<Observation> {
    (!id.is_empty()).then(|| Observation::Reply { id: id.to_owned() })
}

fn order(message: &str) -> Fault {
    Fault::new("responses.order", message)
}

/// The end of a stream that could not go on, as this protocol says it: in the documented shape, and in the
/// one that makes the official SDKs raise.
pub(crate) fn error_event(message: &str, number: u64) -> Bytes {
    let quoted = json::quoted(message);
    let mut out = br#"event: error
data: {"type":"error","code":"doorward_error","message":"#
        .to_vec();
    out.extend_from_slice(&quoted);
    out.extend_from_slice(format!(r#","param":null,"sequence_number":{number},"error":"#).as_bytes());
    out.extend_from_slice(br#"{"type":"doorward_error","code":"doorward_error","message":"#);
    out.extend_from_slice(&quoted);
    out.extend_from_slice(br#","param":null}}"#);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The text of a node as it stands in the source.
fn text_of(node: &Node, source: &[u8]) -> String {
    String::from_utf8_lossy(node.span.of(source)).into_owned()
}
