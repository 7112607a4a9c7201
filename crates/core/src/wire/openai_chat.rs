//! OpenAI Chat Completions, streaming and not.
//!
//! A call stands in `tool_calls` or the older `function_call`, of any of `n` choices, of `delta` or (from
//! some compatible providers) of `message`. In a stream a call is complete when its choice has finished:
//! until then any chunk may still add to any call. A blocked call leaves the list, later ones move up so
//! that SDKs which count on unbroken indices read them right, and the agent is told in `content`.

mod repair;
pub(crate) use repair::repair;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Fault;
use super::frame::{CallId, CallKind, Calls, Frame, Gathered, Observation, Shape, object, reply};
use super::provider_tools;
use super::request::{Declared, Link, Request};
use super::sse::Event;
use super::stray::{check_rest, looks_like_call, member_looks_like_call};
use super::template::{Slot, Varying};
use super::text_tools::{Heard, Lane, TextTools};
use super::usage;
use crate::action::PartKind;
use crate::syntax::{Kind, Member, Node, Span, json};

/// Reads one reply.
#[derive(Debug)]
pub(crate) struct Reader {
    choices: BTreeMap<u64, Choice>,
    declared: Declared,
    text_tools: TextTools,
    /// Whether nothing may follow but `[DONE]`.
    done: bool,
    /// Whether `[DONE]` has been.
    ended: bool,
}

#[derive(Debug, Default)]
struct Choice {
    /// The calls by number, and the id each was given.
    slots: BTreeMap<u64, (CallId, String)>,
    /// Which of them an index on the wire stands for at present.
    places: BTreeMap<u64, u64>,
    legacy: Option<CallId>,
    /// Calls that came whole, outside of the list that deltas add to.
    whole: Vec<CallId>,
    /// Whether its calls are numbered on the wire, once known.
    numbered: Option<bool>,
    finished: bool,
    /// Whether it has said anything.
    said: bool,
    text: Gathered,
    /// The same, if calls may stand in it.
    lane: Option<Lane>,
}

/// The calls found in one frame.
#[derive(Default)]
struct Found {
    entries: Vec<(CallId, Span)>,
    leads: Vec<CallId>,
    /// Whether one of them stands where calls stand, rather than in text.
    calls: bool,
    /// Whether the frame ends a choice.
    finishes: bool,
}

impl Reader {
    pub fn new(declared: &Declared, text_tools: TextTools) -> Self {
        let declared = declared.clone();
        Self { choices: BTreeMap::new(), declared, text_tools, done: false, ended: false }
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
        if data == b"[DONE]" && !self.ended {
            self.ended = true;
            // Behind an error nothing becomes complete.
            if !std::mem::replace(&mut self.done, true) {
                self.choices.values_mut().for_each(|choice| choice.finish(calls, saw));
            }
            return Ok(Frame::plain(event.raw.clone()));
        }
        if self.done {
            return Err(order("a chunk after the end of the reply"));
        }
        let node = reply(data)?;
        usage::openai_chat(&node, saw);
        self.done = node.some("error").is_some();
        let found = self.choices(&node, data, false, calls, saw)?;
        if !found.entries.is_empty() {
            if self.done {
                return Err(order("an error and a call in one chunk"));
            }
            // Clients that listen for unnamed events, or check types, would miss this chunk and read the
            // rest of the call without it.
            if event.name().is_some_and(|name| name != b"message") {
                return Err(order("a chunk with a call has an event name"));
            }
            check_types(&node)?;
        }
        if self.done && found.entries.is_empty() {
            return Ok(Frame::error(event.raw.clone()));
        }
        if found.entries.is_empty() && !found.finishes {
            let varying = if self.text_tools.holds() { None } else { varying(&node, span.start) };
            return Ok(match varying {
                Some(varying) => Frame::text(event.raw.clone(), varying),
                None => Frame::plain(event.raw.clone()),
            });
        }
        if !found.calls && !found.finishes {
            let heard = Heard { entries: found.entries, leads: found.leads, ..Heard::default() };
            return Frame::of_text(&event.raw, span.start, heard, calls);
        }
        let piece = piece_shape(&node, &found, span.start);
        let mut frame = Frame::cut(&event.raw, node, span.start, found.entries, found.leads, calls)?;
        if let Some(shape) = piece {
            frame.node = None;
            frame.shape = shape;
        }
        Ok(frame)
    }

    /// Reads a reply that is not streamed.
    pub fn body(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        let node = reply(raw)?;
        usage::openai_chat(&node, saw);
        let found = self.choices(&node, raw, true, calls, saw)?;
        self.choices.values_mut().for_each(|choice| choice.finish(calls, saw));
        self.done = true;
        let mut frame = Frame::cut(raw, node, 0, found.entries, found.leads, calls)?;
        frame.whole = true;
        Ok(frame)
    }

    /// Text of the choice `lane`.
    pub fn text(&mut self, lane: u64, text: &[u8], saw: &mut Vec<Observation>) {
        if let Some(choice) = self.choices.get_mut(&lane) {
            choice.said |= !text.is_empty();
            choice.text.add(text, saw);
        }
    }

    /// Whether the reply came to its end. Some honest providers leave `[DONE]` out, none leaves a choice
    /// unfinished.
    pub fn complete(&self) -> Result<(), Fault> {
        let finished = !self.choices.is_empty() && self.choices.values().all(|choice| choice.finished);
        if self.done || finished {
            return Ok(());
        }
        Err(Fault::new("stream.truncated", "the stream ended before the reply did"))
    }

    /// Reads every choice of `node`. `whole`: a body, whose choices are known by their place.
    fn choices(
        &mut self,
        node: &Node,
        source: &[u8],
        whole: bool,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Found, Fault> {
        let mut found = Found::default();
        check_rest(node, &["choices"])?;
        let list = match node.some("choices") {
            Some(choices) if choices.is_array() => choices.elements(),
            Some(_) => return Err(order("choices is not a list")),
            None => &[],
        };
        let mut seen = Vec::with_capacity(list.len());
        for (place, choice) in list.iter().enumerate() {
            if !choice.is_object() {
                return Err(order("a choice is not an object"));
            }
            let index = match choice.some("index") {
                _ if whole => place as u64,
                Some(index) => index.as_u64().ok_or_else(|| order("a choice's index is not a number"))?,
                // One choice without an index can only be the first.
                None if list.len() == 1 => 0,
                None => return Err(order("several choices without an index")),
            };
            // Many clients read the first choice only, or add all of them up.
            if index >= self.declared.choices.max(1) {
                return Err(order("more choices than were asked for"));
            }
            if seen.contains(&index) {
                return Err(order("a choice twice in one chunk"));
            }
            seen.push(index);
            self.choice(index, choice, source, whole, calls, saw, &mut found)?;
        }
        Ok(found)
    }

    #[expect(clippy::too_many_arguments, reason = "one reading step over the reader's parts")]
    fn choice(
        &mut self,
        index: u64,
        node: &Node,
        source: &[u8],
        whole: bool,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        let group = u32::try_from(index).unwrap_or(u32::MAX);
        let text_tools = self.text_tools;
        let new = || Choice { lane: Lane::new(text_tools), ..Choice::default() };
        let choice = self.choices.entry(index).or_insert_with(new);
        let mut in_chunk = Vec::new();
        for member in node.members() {
            match &*member.key {
                "delta" | "message" if !member.value.is_object() && !member.value.is_null() => {
                    return Err(order("a delta or message is not an object"));
                }
                "delta" | "message" => {
                    let streamed = !whole && &*member.key == "delta";
                    let among_chunks = !whole;
                    let mut part = Container {
                        choice,
                        group,
                        streamed,
                        declared: &self.declared,
                        among_chunks,
                        source,
                        in_chunk: &mut in_chunk,
                    };
                    part.read(&member.value, calls, saw, found)?;
                }
                "finish_reason" if !member.value.is_null() && member.value.as_str().is_none() => {
                    return Err(order("a finish_reason is not text"));
                }
                _ if member_looks_like_call(member) => return Err(stray()),
                _ => {}
            }
        }
        // OpenRouter finishes the choice in the chunk that brings an error.
        if !self.done && node.text("finish_reason").is_some_and(|reason| !reason.is_empty()) {
            found.finishes = true;
            choice.finish(calls, saw);
        }
        Ok(())
    }
}

impl Choice {
    fn finish(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) {
        self.finished = true;
        self.text.flush(saw);
        if let Some(lane) = &mut self.lane {
            lane.end(calls, saw);
        }
        self.slots.values().for_each(|(call, _)| calls.end(*call));
        self.legacy.iter().chain(&self.whole).for_each(|call| calls.end(*call));
    }
}

/// The `delta` or `message` of a choice.
struct Container<'a> {
    choice: &'a mut Choice,
    group: u32,
    streamed: bool,
    /// Whether it is part of a stream at all.
    among_chunks: bool,
    declared: &'a Declared,
    source: &'a [u8],
    /// The indices of this chunk's entries.
    in_chunk: &'a mut Vec<u64>,
}

impl Container<'_> {
    fn read(
        &mut self,
        node: &Node,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        for member in node.members() {
            match (&*member.key, &member.value.kind) {
                // Groq's record of what it ran itself.
                (_, Kind::Null) | ("executed_tools", _) => {}
                ("content", Kind::Array(_)) if !looks_like_call(&member.value) => {
                    self.choice.said = true;
                    let text = &mut self.choice.text;
                    member.value.each_string(&mut |said, _| text.add(said.as_bytes(), saw));
                    self.hear(&member.value, calls, found)?;
                }
                ("content", Kind::String(text)) => {
                    self.choice.said |= !text.is_empty();
                    self.choice.text.add(text.as_wtf8(), saw);
                    self.hear(&member.value, calls, found)?;
                }
                ("tool_calls", Kind::Array(list)) => {
                    list.iter().try_for_each(|entry| self.tool_call(entry, calls, found))?;
                }
                ("function_call", Kind::Object(_)) => self.function_call(&member.value, calls, found)?,
                ("tool_calls" | "function_call", _) => {
                    return Err(order("calls are not in the documented shape"));
                }
                (_, Kind::Array(_) | Kind::Object(_)) if member_looks_like_call(member) => {
                    return Err(stray());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Holds what may be a call in the text of `content`.
    fn hear(&mut self, content: &Node, calls: &mut Calls, found: &mut Found) -> Result<(), Fault> {
        let Some(lane) = &mut self.choice.lane else { return Ok(()) };
        let heard = lane.hear_all(content, self.source, calls)?;
        for (call, span) in heard.entries {
            found.insert(call, span);
        }
        found.leads.extend(heard.leads);
        Ok(())
    }

    fn tool_call(&mut self, entry: &Node, calls: &mut Calls, found: &mut Found) -> Result<(), Fault> {
        if !entry.is_object() {
            return Err(order("a tool call is not an object"));
        }
        let wire_id = entry.text("id").unwrap_or_default();
        let (function, custom) = (entry.some("function"), entry.some("custom"));
        let (body, kind, odd) = match (entry.text("type").unwrap_or_default(), function, custom) {
            ("" | "function", _, None) => (function, CallKind::Tool, false),
            ("" | "custom", None, _) => (custom, CallKind::FreeText, false),
            _ => (function.or(custom), CallKind::Tool, true),
        };
        let place = if self.streamed { self.place(entry, body, kind)? } else { None };
        let slot = place.map(|(_, slot)| slot);
        // Free text can be cut anywhere: pieces judged apart must not be joined by who goes by id, or
        // takes what has no index, or stands in `message`, for a piece of the same call.
        let loose = kind == CallKind::FreeText
            && (slot.is_none() && self.among_chunks || self.id_taken(wire_id, slot));
        let known = slot.and_then(|slot| self.choice.slots.get_mut(&slot));
        let (call, new) = if let Some((call, known)) = known {
            if known.is_empty() {
                wire_id.clone_into(known);
            } else if !wire_id.is_empty() && known != wire_id {
                return Err(Fault::new("openai.merged-index", "two calls with different ids share an index"));
            }
            (*call, false)
        } else {
            let call = self.open(kind, wire_id, calls)?;
            match place {
                Some(place) => {
                    calls.get_mut(call).into_iter().for_each(|call| (call.index, call.slot) = place);
                    self.choice.slots.insert(place.1, (call, wire_id.to_owned()));
                }
                None => self.choice.whole.push(call),
            }
            (call, true)
        };
        self.add(call, new, body, kind, calls)?;
        if let Some(call) = calls.get_mut(call).filter(|_| odd || loose) {
            call.spoil("it is of no known type, or is joined in different ways");
        }
        found.push(call, entry.span, new);
        Ok(())
    }

    fn function_call(&mut self, node: &Node, calls: &mut Calls, found: &mut Found) -> Result<(), Fault> {
        let known = self.choice.legacy.filter(|_| self.streamed);
        let call = match known {
            Some(call) => call,
            None => {
                let call = self.open(CallKind::Tool, "", calls)?;
                if self.streamed {
                    self.choice.legacy = Some(call);
                } else {
                    self.choice.whole.push(call);
                }
                call
            }
        };
        self.add(call, known.is_none(), Some(node), CallKind::Tool, calls)?;
        found.push(call, node.span, known.is_none());
        Ok(())
    }

    /// Whether another call of the choice has this id.
    fn id_taken(&self, wire_id: &str, slot: Option<u64>) -> bool {
        let taken = |(at, (_, known)): (&u64, &(CallId, String))| Some(*at) != slot && known == wire_id;
        !wire_id.is_empty() && self.choice.slots.iter().any(taken)
    }

    fn open(&self, kind: CallKind, wire_id: &str, calls: &mut Calls) -> Result<CallId, Fault> {
        if self.choice.finished {
            return Err(order("a call after the end of its choice"));
        }
        let call = calls.open(kind, Some(self.group), "", wire_id);
        calls.get_mut(call).into_iter().for_each(|call| call.after_text = self.choice.said);
        Ok(call)
    }

    /// The index on the wire and the number of the call that an entry of a stream belongs to; `None` for a
    /// call that comes whole.
    fn place(
        &mut self,
        entry: &Node,
        body: Option<&Node>,
        kind: CallKind,
    ) -> Result<Option<(u64, u64)>, Fault> {
        let index = entry.some("index");
        if *self.choice.numbered.get_or_insert(index.is_some()) != index.is_some() {
            return Err(order("calls with and without an index"));
        }
        let named = body.and_then(|body| body.text("name")).is_some_and(|name| !name.is_empty());
        let Some(index) = index else {
            // Some honest providers leave the index out. Then clients disagree on where a piece belongs:
            // each entry has to be a call of its own, with its name.
            return if named { Ok(None) } else { Err(order("a piece of a call without an index")) };
        };
        let index = index.as_u64().ok_or_else(|| order("a call's index is not a number"))?;
        // SDKs put calls into a list by index; a gap lands them in another place than they name. Twice in
        // one chunk, some keep the first, some the last.
        let next = self.choice.places.keys().next_back().map_or(0, |last| last + 1);
        if index > next {
            return Err(order("a call's index skips one"));
        }
        let known = self.choice.places.get(&index).copied();
        let anew = known.is_some_and(|slot| named && kind == CallKind::Tool && self.begins_anew(entry, slot));
        if self.in_chunk.contains(&index) && !anew {
            return Err(Fault::new("openai.merged-index", "one index twice in one chunk"));
        }
        self.in_chunk.push(index);
        let slot = known.filter(|_| !anew).unwrap_or(self.choice.slots.len() as u64);
        self.choice.places.insert(index, slot);
        Ok(Some((index, slot)))
    }

    /// Whether an entry with the index of call `slot` begins another one: Ollama and others count every call
    /// from 0. It has an id that none had before; it is sent on under a number of its own, so that clients
    /// which go by index read it like those that go by id.
    fn begins_anew(&self, entry: &Node, slot: u64) -> bool {
        let id = entry.text("id").unwrap_or_default();
        let named = self.choice.slots.get(&slot).is_some_and(|(_, known)| !known.is_empty());
        named && !id.is_empty() && self.choice.slots.values().all(|(_, known)| known != id)
    }

    /// Adds what an entry says to its call.
    fn add(
        &self,
        id: CallId,
        new: bool,
        function: Option<&Node>,
        kind: CallKind,
        calls: &mut Calls,
    ) -> Result<(), Fault> {
        let Some(call) = calls.get_mut(id) else { return Ok(()) };
        if !matches!(call.state, super::frame::CallState::Open) {
            return Err(order("more of a call after the end of its choice"));
        }
        if !new && function.is_some() && call.kind != kind {
            call.spoil("its type changes");
        }
        let Some(function) = function else {
            // Continuations may carry nothing; a first entry without a function is of no known type.
            if new {
                call.spoil("it has no function");
            }
            return Ok(());
        };
        if let Some(name) = function.text("name").filter(|name| !name.is_empty()) {
            if call.name.is_empty() {
                name.clone_into(&mut call.name);
            } else if call.name != name {
                call.spoil("its name changes");
            } else if self.declared.tools.iter().any(|tool| is_repeated(name, tool)) {
                // Some SDKs join repeated names: "rm" twice would be the declared tool "rmrm".
                call.spoil("its name is given twice and joins to another tool's");
            }
        }
        let own = if kind == CallKind::FreeText { "input" } else { "arguments" };
        // Clients that do not look at the type, or that were written for others, may take these.
        let elsewhere = |key: &&str| *key != own && function.some(key).is_some();
        if ["arguments", "input", "args", "parameters"].iter().any(elsewhere) {
            call.spoil("it has arguments where another kind of call has them");
        }
        let arguments = function.get(own);
        match arguments.map(|node| (&node.kind, node)) {
            None | Some((Kind::Null, _)) => {}
            Some((Kind::String(text), _)) => json::push_wtf8(text.as_wtf8(), &mut call.fragments),
            Some((Kind::Object(_), node)) if call.whole.is_none() => {
                call.whole = Some(String::from_utf8_lossy(node.span.of(self.source)).into_owned());
            }
            Some(_) => call.spoil("its arguments are neither text nor one object"),
        }
        Ok(())
    }
}

/// What may differ from this chunk of text to the next: the strings of its one delta, and padding.
fn varying(node: &Node, at: u32) -> Option<Varying> {
    let [choice] = node.get("choices")?.elements() else { return None };
    let delta = choice.get("delta")?;
    if node.some("usage").is_some() || choice.some("message").is_some() {
        return None;
    }
    let strings = |node: &Node, named: fn(&str) -> Option<Slot>| {
        let text = |member: &Member| member.value.as_str().and(named(&member.key));
        let slot = |member: &Member| text(member).map(|slot| (member.value.span, slot));
        node.members().iter().filter_map(slot).collect::<Vec<_>>()
    };
    let mut slots = strings(delta, |key| match key {
        "content" => Some(Slot::Text),
        "reasoning_content" | "reasoning" => Some(Slot::Ignored),
        _ => None,
    });
    // OpenAI pads its chunks, so that their length says nothing of the text.
    slots.extend(strings(node, |key| (key == "obfuscation").then_some(Slot::Ignored)));
    slots.sort_by_key(|(span, _)| span.start);
    let lane = choice.get("index").and_then(Node::as_u64).unwrap_or(0);
    (!slots.is_empty()).then_some(Varying { lane, at, slots })
}

/// The shape of the usual chunk of a call: one choice, a delta with one entry that continues a call, and
/// nothing else that would be worth sending without it.
fn piece_shape(node: &Node, found: &Found, at: u32) -> Option<Shape> {
    let [choice] = node.get("choices")?.elements() else { return None };
    let delta = choice.get("delta")?;
    let [entry] = delta.get("tool_calls")?.elements() else { return None };
    let alone = delta.members().iter().all(|member| &*member.key == "tool_calls" || member.value.is_null());
    let only = alone
        && found.leads.is_empty()
        && found.entries.len() == 1
        && !found.finishes
        && choice.some("message").is_none()
        && node.some("usage").is_none();
    let index = entry.some("index").map(|index| Span::new(index.span.start + at, index.span.end + at));
    only.then_some(Shape::Piece(index))
}

/// Whether `tool` is `name` two times or more.
fn is_repeated(name: &str, tool: &str) -> bool {
    tool.len() > name.len() && tool.as_bytes().chunks(name.len().max(1)).all(|part| part == name.as_bytes())
}

/// Refuses a chunk with a call whose documented members are of other types: clients that check types drop
/// it and go on without it.
fn check_types(node: &Node) -> Result<(), Fault> {
    let text = |node: &Node, keys: &[&str]| {
        keys.iter().all(|key| node.some(key).is_none_or(|v| v.as_str().is_some()))
    };
    let number = |node: &Node, key: &str| node.some(key).is_none_or(|v| matches!(v.kind, Kind::Number(_)));
    let mapping =
        |node: &Node, keys: &[&str]| keys.iter().all(|key| node.some(key).is_none_or(Node::is_object));
    let choices = node.get("choices").map(Node::elements).unwrap_or_default();
    let sound = text(node, &["id", "object", "model", "system_fingerprint", "service_tier"])
        && number(node, "created")
        && mapping(node, &["usage"])
        && choices.iter().all(|choice| {
            let delta = choice.some("delta");
            text(choice, &["finish_reason"])
                && mapping(choice, &["delta", "message", "logprobs"])
                && delta.is_none_or(|delta| {
                    let role =
                        delta.some("role").is_none_or(|role| matches!(role.as_str(), Some("assistant" | "")));
                    let pieces = delta.get("tool_calls").map(Node::elements).unwrap_or_default();
                    role && delta
                        .some("content")
                        .is_none_or(|said| said.as_str().is_some() || said.is_array())
                        && text(delta, &["refusal", "reasoning", "reasoning_content"])
                        && pieces.iter().all(|piece| {
                            let typed =
                                |key: &str| piece.some(key).is_none_or(|v| text(v, &["name", "input"]));
                            text(piece, &["id", "type"]) && typed("function") && typed("custom")
                        })
                })
        });
    if sound {
        Ok(())
    } else {
        Err(order("a chunk with a call has a member of another type than documented"))
    }
}

impl Found {
    /// Members may stand in any order; holes must not.
    fn insert(&mut self, call: CallId, span: Span) {
        let at = self.entries.partition_point(|(_, other)| other.start < span.start);
        self.entries.insert(at, (call, span));
    }

    fn push(&mut self, call: CallId, span: Span, lead: bool) {
        self.insert(call, span);
        self.calls = true;
        if lead {
            self.leads.push(call);
        }
    }
}

/// The end of a stream that could not go on, as this protocol says it.
pub(crate) fn error_event(message: &str) -> Bytes {
    let mut out = b"data: ".to_vec();
    out.extend_from_slice(&error_body("doorward_error", message));
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// An error in this protocol's shape.
pub(super) fn error_body(kind: &str, message: &str) -> Vec<u8> {
    let mut out = br#"{"error":{"message":"#.to_vec();
    out.extend_from_slice(&json::quoted(message));
    out.extend_from_slice(br#","type":"#);
    out.extend_from_slice(&json::quoted(kind));
    out.extend_from_slice(br#","param":null,"code":"#);
    out.extend_from_slice(&json::quoted(kind));
    out.extend_from_slice(b"}}");
    out
}

/// Reads a request to `/v1/chat/completions`.
pub(super) fn read_request(body: &[u8]) -> Result<Request, Fault> {
    let node = object(body)?;
    let mut request =
        Request { stream: node.get("stream").and_then(Node::as_bool) == Some(true), ..Request::default() };
    request.model = node.text("model").unwrap_or_default().to_owned();
    request.session = crate::wire::session::id(&node);
    request.effects = provider_tools::openai_chat(&node);
    request.declared.choices = node.get("n").and_then(Node::as_u64).unwrap_or(1).clamp(1, 128);
    for tool in node.get("tools").map(Node::elements).unwrap_or_default() {
        let named = tool.some("function").or_else(|| tool.some("custom")).unwrap_or(tool);
        request.declare(named.text("name").unwrap_or_default(), tool, body);
    }
    for function in node.get("functions").map(Node::elements).unwrap_or_default() {
        request.declare(function.text("name").unwrap_or_default(), function, body);
    }
    request.say_members(PartKind::Label, &node, &["metadata", "user", "safety_identifier", "stop"]);
    request.say_members(PartKind::UserText, &node, &["prediction"]);
    for message in node.get("messages").map(Node::elements).unwrap_or_default() {
        let kind = match message.text("role") {
            Some("assistant") => PartKind::AssistantText,
            Some("system" | "developer") => PartKind::SystemText,
            Some("tool" | "function") => PartKind::ToolResult,
            _ => PartKind::UserText,
        };
        let link = |of: &Node| {
            Link::new(of.text("tool_call_id").unwrap_or_default(), of.text("name").unwrap_or_default())
        };
        let link = if kind == PartKind::ToolResult { link(message) } else { Link::None };
        request.answer(link, |request| {
            match message.some("content").map(|content| (&content.kind, content)) {
                Some((Kind::String(text), content)) => request.say(kind, text, content.span),
                Some((_, content)) => {
                    for part in content.elements() {
                        match part.text("type").unwrap_or_default() {
                            "image_url" => request.unseen("image"),
                            "input_audio" => request.unseen("audio"),
                            "file" => request.unseen("document"),
                            _ => request.say_all(kind, part),
                        }
                    }
                }
                None => {}
            }
        });
        let calls = message.get("tool_calls").map(Node::elements).unwrap_or_default();
        for call in calls.iter().chain(Some(message)) {
            for (key, arguments) in
                [("function", "arguments"), ("custom", "input"), ("function_call", "arguments")]
            {
                let id = call.text("id").filter(|_| key != "function_call").unwrap_or_default();
                let Some(call) = call.some(key) else { continue };
                let (name, said) = (call.text("name"), call.text(arguments));
                request.repeat(id, name.unwrap_or_default(), said.unwrap_or_default(), key == "custom");
            }
        }
        for key in ["tool_calls", "function_call"] {
            if let Some(calls) = message.some(key) {
                request.say_all(PartKind::AssistantText, calls);
            }
        }
    }
    Ok(request.link())
}

fn order(message: &str) -> Fault {
    Fault::new("openai.order", message)
}

fn stray() -> Fault {
    Fault::new("openai.stray-call", "something that could be a call stands where no SDK looks for one")
}
