//! Gemini `generateContent`, streaming and not.
//!
//! A reply is a `GenerateContentResponse`; a stream is a sequence of them whose parts add up, as events
//! (`alt=sse`) or as one JSON array, which is read when it is whole. A call is a part with `functionCall`: it
//! comes in one piece, its arguments a JSON object. A blocked one's part becomes a text part in its place, so
//! no other part moves; `finishReason` says `STOP` with calls and without, and stays.
//!
//! Clients read parts with one field each, written as documented. Protobuf's readers and some SDKs also take
//! `function_call` for `functionCall`: a known field in another spelling is a fault.

mod repair;
pub(crate) use repair::{error_body, error_event, repair};

mod request;
pub(crate) use request::{read_batch, read_request};

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Fault;
use super::frame::{CallId, CallKind, Calls, Frame, Gathered, Observation};
use super::request::Declared;
use super::sse::Event;
use super::stray::looks_like_call;
use super::template::{Slot, Varying};
use super::text_tools::{Heard, Lane, TextTools};
use super::usage;
use crate::syntax::{Node, Span, json};

/// The most parts one reply may have, in all its chunks.
const MOST_PARTS: u64 = 1 << 20;

/// Fields of a reply that decide how it is read.
const REPLY: &[&str] = &["candidates", "error", "promptFeedback", "usageMetadata"];

/// Those of a candidate.
const CANDIDATE: &[&str] = &["content", "finishReason", "index"];

/// Those of its content.
const CONTENT: &[&str] = &["parts", "role"];

/// What a part holds: one of these. The rest of its fields is about it.
const DATA: &[&str] = &[
    "text",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "inlineData",
    "fileData",
];

/// What stands beside it.
const ABOUT: &[&str] = &[
    "thought",
    "thoughtSignature",
    "mediaResolution",
    "videoMetadata",
    "partMetadata",
    "audioTranscription",
    "mediaProcessing",
    "speechMetadata",
    "documentMetadata",
    "spreadsheetMetadata",
    "audioMetadata",
];

/// The fields of a call.
const CALL: &[&str] = &["id", "name", "args", "partialArgs", "willContinue"];

/// Reads one reply.
#[derive(Debug)]
pub(crate) struct Reader {
    candidates: BTreeMap<u64, Candidate>,
    /// How many candidates the request asks for.
    asked: u64,
    /// Whether the request asked for tools that the provider runs itself.
    provider_tools: bool,
    trusted: bool,
    text_tools: TextTools,
    parts: u64,
    /// Whether nothing may follow.
    done: bool,
}

/// One of the replies that were asked for.
#[derive(Debug, Default)]
struct Candidate {
    text: Gathered,
    /// The same, if calls may stand in it.
    lane: Option<Lane>,
    /// Whether it has said anything.
    said: bool,
    /// How many calls it has made.
    calls: u64,
}

/// The calls found in one frame.
#[derive(Default)]
struct Found {
    entries: Vec<(CallId, Span)>,
    /// What is held of its texts.
    texts: Heard,
}

impl Reader {
    pub fn new(declared: &Declared, trusted: bool, text_tools: TextTools) -> Self {
        Self {
            candidates: BTreeMap::new(),
            asked: declared.choices.max(1),
            provider_tools: declared.provider_tools,
            trusted,
            text_tools,
            parts: 0,
            done: false,
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
        if self.done {
            return Err(order("a chunk after the end of the reply"));
        }
        let node = json::parse(data)?;
        let mut found = Found::default();
        self.chunk(&node, data, calls, saw, &mut found)?;
        if found.is_empty() {
            let varying = if self.text_tools.holds() { None } else { varying(&node, span.start) };
            return Ok(match varying {
                _ if self.done => Frame::error(event.raw.clone()),
                Some(varying) => Frame::text(event.raw.clone(), varying),
                None => Frame::plain(event.raw.clone()),
            });
        }
        // Who skips events with a name, or with a comment before the data, would miss the call: harmless. Who
        // takes each name for another kind of event would not read what we read.
        if event.name().is_some() {
            return Err(order("a chunk with a call has an event name"));
        }
        found.frame(&event.raw, node, span.start, calls)
    }

    /// Reads a reply that is not streamed, or the JSON array that a stream without `alt=sse` is.
    pub fn body(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        let node = json::parse(raw)?;
        let mut found = Found::default();
        if node.is_array() {
            for chunk in node.elements() {
                if self.done {
                    return Err(order("a chunk after the end of the reply"));
                }
                self.chunk(chunk, raw, calls, saw, &mut found)?;
            }
        } else {
            self.chunk(&node, raw, calls, saw, &mut found)?;
        }
        self.end(calls, saw);
        let mut frame = found.frame(raw, node, 0, calls)?;
        frame.whole = true;
        Ok(frame)
    }

    /// Text of a candidate, taken by template.
    pub fn text(&mut self, lane: u64, text: &[u8], saw: &mut Vec<Observation>) {
        if let Some(candidate) = self.candidates.get_mut(&lane) {
            candidate.said |= !text.is_empty();
            candidate.text.add(text, saw);
        }
    }

    /// What the end of a stream shows. Nothing marks it: honest streams do end without a `finishReason`, and a
    /// call is never in pieces.
    pub fn end(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) {
        for candidate in self.candidates.values_mut() {
            candidate.text.flush(saw);
            if let Some(lane) = &mut candidate.lane {
                lane.end(calls, saw);
            }
        }
    }

    /// Reads one `GenerateContentResponse`.
    fn chunk(
        &mut self,
        node: &Node,
        source: &[u8],
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        if !node.is_object() {
            return Err(Fault::new("json.shape", "a reply is not a JSON object"));
        }
        spelled(node, REPLY)?;
        rest_is_no_call(node, &["candidates"])?;
        usage::gemini(node, saw);
        let list = match node.some("candidates") {
            Some(candidates) if candidates.is_array() => candidates.elements(),
            Some(_) => return Err(order("candidates is not a list")),
            None => &[],
        };
        let before = found.len();
        let mut seen = Vec::with_capacity(list.len());
        for (place, candidate) in list.iter().enumerate() {
            if !candidate.is_object() {
                return Err(order("a candidate is not an object"));
            }
            let index = match candidate.some("index") {
                Some(index) => index.as_u64().ok_or_else(|| order("a candidate's index is not a number"))?,
                None => place as u64,
            };
            // Many clients read the first candidate only, or the parts of all.
            if index >= self.asked || seen.contains(&index) {
                return Err(order("more candidates than were asked for, or one twice in a chunk"));
            }
            seen.push(index);
            self.candidate(index, candidate, source, calls, saw, found)?;
        }
        if node.some("error").is_some() {
            self.done = true;
            if found.len() > before {
                return Err(order("an error and a call in one chunk"));
            }
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        index: u64,
        node: &Node,
        source: &[u8],
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        spelled(node, CANDIDATE)?;
        rest_is_no_call(node, &["content"])?;
        if let Some(content) = node.some("content") {
            if !content.is_object() {
                return Err(order("a candidate's content is not an object"));
            }
            spelled(content, CONTENT)?;
            rest_is_no_call(content, &["parts"])?;
            let parts = match content.some("parts") {
                Some(parts) if parts.is_array() => parts.elements(),
                Some(_) => return Err(order("parts is not a list")),
                None => &[],
            };
            for part in parts {
                self.parts += 1;
                if self.parts > MOST_PARTS {
                    return Err(order("more than 1048576 parts"));
                }
                if let Some(call) = self.part(index, part, source, calls, saw, &mut found.texts)? {
                    found.entries.push((call, part.span));
                }
            }
        }
        if node.some("finishReason").is_some()
            && let Some(candidate) = self.candidates.get_mut(&index)
        {
            candidate.text.flush(saw);
        }
        Ok(())
    }

    /// Reads one part; what could be a call is held.
    fn part(
        &mut self,
        index: u64,
        part: &Node,
        source: &[u8],
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
        texts: &mut Heard,
    ) -> Result<Option<CallId>, Fault> {
        if !part.is_object() {
            return Err(order("a part is not an object"));
        }
        spelled(part, DATA)?;
        spelled(part, ABOUT)?;
        let text_tools = self.text_tools;
        let new = || Candidate { lane: Lane::new(text_tools), ..Candidate::default() };
        let candidate = self.candidates.entry(index).or_insert_with(new);
        if part.some("functionCall").is_some() {
            return candidate.call(index, part, source, calls).map(Some);
        }
        let data: Vec<&str> = DATA.iter().copied().filter(|key| part.some(key).is_some()).collect();
        let unknown = part
            .members()
            .iter()
            .find(|member| !DATA.contains(&&*member.key) && !ABOUT.contains(&&*member.key));
        let asked = self.provider_tools || self.trusted;
        let known = match data.as_slice() {
            // Nothing but a signature, or nothing at all: some streams end so.
            [] => unknown.is_none(),
            ["text"] => true,
            ["inlineData" | "fileData"] => true,
            ["executableCode" | "codeExecutionResult" | "toolCall" | "toolResponse"] => asked,
            _ => false,
        };
        let call_like = part.members().iter().any(|member| looks_like_call(&member.value))
            || data.contains(&"functionResponse");
        if !known || call_like {
            let name = data.first().copied().or(unknown.map(|member| &*member.key)).unwrap_or("part");
            return Ok(Some(candidate.unknown(
                index,
                &format!("part {name}"),
                call_like,
                part,
                source,
                calls,
            )));
        }
        match data.first().and_then(|key| Some((*key, part.some(key)?))) {
            Some(("text", node)) => {
                let Some(text) = node.as_string() else { return Err(order("a part's text is not text")) };
                // A thought is the model's own, as elsewhere.
                if part.get("thought").and_then(Node::as_bool) != Some(true) {
                    candidate.said |= !text.is_empty();
                    candidate.text.add(text.as_wtf8(), saw);
                    if let Some(lane) = &mut candidate.lane {
                        texts.add(lane.hear_node(node, source, calls)?);
                    }
                }
            }
            Some(("executableCode", code)) => {
                saw.push(Observation::ProviderCall {
                    name: "code_execution".into(),
                    input: text_of(code, source),
                });
            }
            Some(("toolCall", call)) => {
                let name = call.text("toolType").unwrap_or("tool").to_ascii_lowercase();
                let input = call.some("args").map(|args| text_of(args, source)).unwrap_or_default();
                saw.push(Observation::ProviderCall { name, input });
            }
            _ => {}
        }
        Ok(None)
    }
}

impl Candidate {
    /// Holds the call of `part`.
    fn call(&mut self, index: u64, part: &Node, source: &[u8], calls: &mut Calls) -> Result<CallId, Fault> {
        let Some(function) = part.get("functionCall").filter(|function| function.is_object()) else {
            return Err(order("a functionCall is not an object"));
        };
        spelled(function, CALL)?;
        // Some clients run a call as soon as they see it, others put its pieces together.
        if function.some("partialArgs").is_some()
            || function.get("willContinue").and_then(Node::as_bool) == Some(true)
        {
            let message = "a call comes in pieces, which clients join in different ways; ask for replies \
                           without streamFunctionCallArguments";
            return Err(Fault::new("gemini.partial-call", message));
        }
        let id = self.open(CallKind::Tool, index, function.text("name").unwrap_or_default(), calls);
        let Some(call) = calls.get_mut(id) else { return Ok(id) };
        function.text("id").unwrap_or_default().clone_into(&mut call.wire_id);
        let signature = part.get("thoughtSignature");
        call.signature = signature.map(|signature| signature.as_str().unwrap_or_default().to_owned());
        match function.some("args") {
            Some(args) if args.is_object() => call.whole = Some(text_of(args, source)),
            Some(_) => call.spoil("its args are not an object"),
            None => {}
        }
        if call.name.is_empty() {
            call.spoil("it has no name");
        }
        if function.members().iter().any(|member| {
            !CALL.contains(&&*member.key) && (member.value.is_object() || member.value.is_array())
        }) {
            call.spoil("it carries more than a name and args");
        }
        let shares = |member: &crate::syntax::Member| {
            !member.value.is_null()
                && &*member.key != "functionCall"
                && (DATA.contains(&&*member.key) || looks_like_call(&member.value))
        };
        if part.members().iter().any(shares) {
            call.spoil("its part holds something else beside it");
        }
        Ok(id)
    }

    /// Holds something nobody knows.
    fn unknown(
        &mut self,
        index: u64,
        name: &str,
        call_like: bool,
        part: &Node,
        source: &[u8],
        calls: &mut Calls,
    ) -> CallId {
        let id = self.open(CallKind::Unknown, index, name, calls);
        if let Some(call) = calls.get_mut(id) {
            call.call_like = call_like;
            call.whole = Some(text_of(part, source));
        }
        id
    }

    fn open(&mut self, kind: CallKind, index: u64, name: &str, calls: &mut Calls) -> CallId {
        let group = u32::try_from(index).unwrap_or(u32::MAX);
        let id = calls.open(kind, Some(group), name, "");
        if let Some(call) = calls.get_mut(id) {
            call.slot = self.calls;
            call.after_text = self.said;
        }
        self.calls += 1;
        id
    }
}

impl Found {
    fn len(&self) -> usize {
        self.entries.len() + self.texts.entries.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame with what was found in it cut out; each is complete. Its tree is not kept: all that a repair
    /// needs is where the parts stand.
    fn frame(self, raw: &Bytes, node: Node, at: u32, calls: &mut Calls) -> Result<Frame, Fault> {
        if self.entries.is_empty() && !self.texts.entries.is_empty() {
            return Frame::of_text(raw, at, self.texts, calls);
        }
        let shifted = |(call, span): (CallId, Span)| (call, Span::new(span.start + at, span.end + at));
        let complete: Vec<CallId> = self.entries.iter().map(|(call, _)| *call).collect();
        let mut entries: Vec<(CallId, Span)> =
            self.entries.into_iter().chain(self.texts.entries).map(shifted).collect();
        entries.sort_by_key(|(_, span)| span.start);
        let leads = complete.iter().copied().chain(self.texts.leads).collect();
        let mut frame = Frame::cut(raw, node, 0, entries, leads, calls)?;
        frame.node = None;
        complete.into_iter().for_each(|call| calls.end(call));
        Ok(frame)
    }
}

/// What may differ from this chunk of text to the next: the text of its one part.
fn varying(node: &Node, at: u32) -> Option<Varying> {
    let [candidate] = node.get("candidates")?.elements() else { return None };
    let [part] = candidate.get("content")?.get("parts")?.elements() else { return None };
    // Counts change from chunk to chunk, and are read.
    if node.some("usageMetadata").is_some() || candidate.some("finishReason").is_some() {
        return None;
    }
    let text = part.get("text").filter(|text| text.as_str().is_some())?;
    let thought = part.get("thought").and_then(Node::as_bool) == Some(true);
    let slot = if thought { Slot::Ignored } else { Slot::Text };
    let lane = candidate.get("index").and_then(Node::as_u64).unwrap_or(0);
    Some(Varying { lane, at, slots: vec![(text.span, slot)] })
}

/// Refuses members that are a known field but for their spelling.
fn spelled(node: &Node, known: &[&str]) -> Result<(), Fault> {
    let odd = |key: &str| !known.contains(&key) && known.iter().any(|known| same_field(key, known));
    if node.members().iter().any(|member| odd(&member.key)) {
        let message = "a key is a known one in another spelling; readers disagree on whether it counts";
        return Err(Fault::new("json.key-case", message));
    }
    Ok(())
}

/// Whether some reader could take `key` for the field `known`: `function_call`, `FunctionCall`, `functionCall`.
fn same_field(key: &str, known: &str) -> bool {
    let folded = |text: &str| -> String {
        let fold = |c: char| match c {
            '_' | '-' => None,
            // Go's readers fold these two as well.
            '\u{17f}' => Some('s'),
            '\u{212a}' => Some('k'),
            c => Some(c.to_ascii_lowercase()),
        };
        text.chars().filter_map(fold).collect()
    };
    // No field is longer than this by more than a few underscores.
    key.len() <= 64 && folded(key) == folded(known)
}

/// Refuses what could be a call among the members that are not read.
fn rest_is_no_call(node: &Node, consumed: &[&str]) -> Result<(), Fault> {
    let stray = |key: &str, value: &Node| !consumed.contains(&key) && looks_like_call(value);
    if node.members().iter().any(|member| stray(&member.key, &member.value)) {
        let message = "something that could be a call stands where no SDK looks for one";
        return Err(Fault::new("wire.stray-call", message));
    }
    Ok(())
}

fn text_of(node: &Node, source: &[u8]) -> String {
    String::from_utf8_lossy(node.span.of(source)).into_owned()
}

fn order(message: &str) -> Fault {
    Fault::new("gemini.order", message)
}
