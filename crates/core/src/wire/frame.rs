//! A frame is what a stream forwards in one go: a server-sent event, or a whole JSON body. The calls in
//! it are cut out until they are judged.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::Fault;
use super::dialect::Dialect;
use super::restored::Restoring;
use super::splice::{Edit, Piece, splice};
use super::sse::Splitter;
use super::stray::check_keys;
use super::template::Varying;
use super::text_tools::{Heard, List, Reading};
use crate::decision::Coverage;
use crate::syntax::{Kind, Node, Span, json};
use crate::usage::Usage;

/// A call within one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

/// What a stream shows that needs no ruling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Text that has streamed on: it can only be audited.
    Text(String),
    /// A call the provider runs itself.
    ProviderCall {
        /// The tool's name.
        name: String,
        /// Its input as JSON text, as far as it was given.
        input: String,
    },
    /// Tokens used so far, as the provider counts them.
    Usage(Usage),
    /// Something that was not looked into.
    Coverage(Coverage),
    /// What the upstream calls this reply: a later request may go on from it.
    Reply {
        /// The reply's id.
        id: String,
    },
}

/// What a held thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// A call of a tool, with a JSON object as arguments.
    Tool,
    /// A call of a tool that takes free text.
    FreeText,
    /// Something unknown that could be a call.
    Unknown,
    /// A stretch of text that some client reads a call from.
    Text,
}

/// How far a call has come.
#[derive(Debug)]
pub(crate) enum CallState {
    /// Its bytes are still coming.
    Open,
    /// Complete, waiting for a ruling.
    Ended,
    /// Judged and given back: the pieces that were cut out, in order.
    Released(VecDeque<Bytes>),
    /// Judged and withheld; the text says so to the agent.
    Blocked(String),
}

/// A call as it is being read.
#[derive(Debug)]
pub(crate) struct Call {
    pub kind: CallKind,
    /// Calls of one group are ruled before any of them is sent, because a block renumbers the others.
    pub group: u32,
    /// Which of the choices it belongs to, where the protocol knows choices.
    pub choice: u32,
    /// Which of the replies that one reply carries.
    pub part: u32,
    /// Its number within the group, where the protocol numbers calls.
    pub slot: u64,
    /// The number it goes by on the wire: another one, if the provider uses a number again.
    pub index: u64,
    pub name: String,
    pub wire_id: String,
    /// The arguments as they came in fragments (WTF-8).
    pub fragments: Vec<u8>,
    /// The arguments as they came whole, as JSON text.
    pub whole: Option<String>,
    /// Whether text of the same message stands before it.
    pub after_text: bool,
    /// Why readers would disagree on it.
    pub fault: Option<String>,
    /// For unknown things: whether some part of it looks like a call.
    pub call_like: bool,
    /// For another reading of a stretch of text: the call that has its bytes.
    pub part_of: Option<CallId>,
    /// For a stretch of text: what the agent is told, if one of its readings was blocked.
    pub refused: Option<String>,
    /// For a stretch of text: whether it turned out to be no call.
    pub waived: bool,
    /// For a stretch of text: how often its number was used before, for what turned out to be no call.
    pub life: u32,
    /// The name it is declared by, if that is not its own.
    pub declared_as: Option<String>,
    /// The toolset it says it is of.
    pub toolset: Option<String>,
    /// Its bytes as upstream sent them, where a later request may have to repeat them.
    pub origin: Option<Origin>,
    /// What a message in its place has to say of where it stands.
    pub place: Option<Box<Place>>,
    /// What the provider wants back with it, if it gave something: Gemini's thought signature.
    pub signature: Option<String>,
    /// The values that its frames have to be given, if some have.
    pub restoring: Option<Box<Restoring>>,
    /// Cut out of the frames, in order.
    pub pieces: VecDeque<Bytes>,
    pub state: CallState,
}

/// A call as upstream sent it, and in which reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The reply's id; empty if it has none.
    pub response: std::sync::Arc<str>,
    /// The call as one JSON object, byte for byte.
    pub item: Bytes,
}

/// Where a call stands in a reply whose items are numbered and named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Its index, if the reply tells indices.
    pub index: Option<u64>,
    /// Numbers of its events: the first and the last ones.
    pub numbers: Vec<Box<str>>,
    /// Whether events have names.
    pub named: bool,
    /// Its id.
    pub id: String,
}

impl Call {
    /// Whether it was judged and withheld.
    pub const fn is_blocked(&self) -> bool {
        matches!(self.state, CallState::Blocked(_))
    }

    /// Whether it is a call of the reply's own kind: nothing unknown, nothing in its text.
    const fn is_call(&self) -> bool {
        !matches!(self.kind, CallKind::Unknown | CallKind::Text)
    }

    /// Notes why readers would disagree on this call; the first reason stays.
    pub fn spoil(&mut self, why: &str) {
        self.fault.get_or_insert_with(|| why.to_owned());
    }

    /// The text of the arguments, or what is wrong with them.
    pub fn arguments(&self) -> Result<String, String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let text = std::str::from_utf8(&self.fragments)
            .map_err(|_| "its arguments hold half a surrogate pair".to_owned())?;
        match &self.whole {
            Some(whole) if text.is_empty() => Ok(whole.clone()),
            Some(_) => Err("its arguments are given twice".to_owned()),
            // Honest providers send no arguments at all for a tool without parameters.
            None if text.is_empty() && self.kind == CallKind::Tool => Ok("{}".to_owned()),
            None => Ok(text.to_owned()),
        }
    }
}

/// Every call of one stream.
#[derive(Debug)]
pub(crate) struct Calls {
    list: Vec<Call>,
    /// Calls complete since the machine last asked.
    ended: Vec<CallId>,
    /// How many calls of each group are not ruled yet.
    unruled: HashMap<u32, u32>,
    /// Whether nothing that is open can become complete any more.
    abandoned: bool,
    limit: usize,
    /// How many of the list turned out to be no calls, and how many are other readings of one.
    waived: usize,
    parts: usize,
    /// Of a reply that carries replies: which of them is being read, and how much there was before it.
    part: u32,
    before: usize,
    waived_before: usize,
}

/// The most calls in all the replies that one reply carries; what is kept of each is small.
const MOST_IN_ALL: usize = 1 << 18;

impl Calls {
    /// No calls yet, and at most `limit` to come.
    pub fn new(limit: usize) -> Self {
        Self {
            list: Vec::new(),
            ended: Vec::new(),
            unruled: HashMap::new(),
            abandoned: false,
            limit,
            waived: 0,
            parts: 0,
            part: 0,
            before: 0,
            waived_before: 0,
        }
    }

    /// Whether there are more calls than there may be.
    pub fn too_many(&self) -> bool {
        let (calls, waived) = (self.list.len() - self.before, self.waived - self.waived_before);
        calls.saturating_sub(waived) > self.limit || self.list.len() > MOST_IN_ALL.max(self.limit)
    }

    /// What follows is a reply of its own: its calls are counted, grouped and numbered apart.
    pub fn begin_part(&mut self) {
        self.part = self.part.wrapping_add(1);
        self.before = self.list.len();
        self.waived_before = self.waived;
    }

    /// The calls of the same group before `id` in the same reply, the latest first.
    pub fn earlier(&self, id: CallId) -> impl Iterator<Item = &Call> {
        let own = self.get(id).map(|call| (call.part, call.group));
        let before = self.list.get(..id.0 as usize).unwrap_or_default().iter().rev();
        before
            .take_while(move |call| own.is_some_and(|(part, _)| part == call.part))
            .filter(move |call| own.is_some_and(|(_, group)| group == call.group))
    }

    /// How many calls have become complete and were not asked for yet.
    pub fn ended(&self) -> usize {
        self.ended.len()
    }

    /// Takes back that calls became complete: the frame that completed them was refused.
    pub fn reopen_since(&mut self, mark: usize) {
        for id in self.ended.split_off(mark.min(self.ended.len())) {
            if let Some(call) = self.get_mut(id) {
                call.state = CallState::Open;
            }
        }
    }

    /// Rules on a call that is waiting for it; `false` if it is not.
    pub fn rule(&mut self, id: CallId, ruled: CallState) -> bool {
        let Some(call) = self.get_mut(id).filter(|call| matches!(call.state, CallState::Ended)) else {
            return false;
        };
        let (group, part_of) = (call.group, call.part_of);
        call.state = match (&call.refused, ruled) {
            (Some(notice), CallState::Released(_)) => CallState::Blocked(notice.clone()),
            (_, ruled) => ruled,
        };
        if let CallState::Released(pieces) = &mut call.state {
            // Copies that came while it was being judged.
            pieces.append(&mut call.pieces);
        }
        call.pieces.clear();
        // One reading that is blocked blocks the text they are readings of.
        if let (CallState::Blocked(notice), Some(whole)) = (&call.state, part_of) {
            let notice = notice.clone();
            if let Some(whole) = self.get_mut(whole) {
                if matches!(whole.state, CallState::Released(_)) {
                    whole.state = CallState::Blocked(notice.clone());
                }
                whole.refused.get_or_insert(notice);
            }
        }
        if let Some(left) = self.unruled.get_mut(&group) {
            *left = left.saturating_sub(1);
        }
        true
    }

    /// Gives every call that is still open back unread.
    pub fn release_open(&mut self) {
        for call in &mut self.list {
            if matches!(call.state, CallState::Open) {
                call.state = CallState::Released(std::mem::take(&mut call.pieces));
                if let Some(left) = self.unruled.get_mut(&call.group) {
                    *left = left.saturating_sub(1);
                }
            }
        }
    }

    /// Opens a call; without a `group`, one of its own.
    pub fn open(&mut self, kind: CallKind, group: Option<u32>, name: &str, wire_id: &str) -> CallId {
        let index = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let choice = group.unwrap_or_default();
        // Away from the groups of one call, and from those of text, which count down.
        let apart = |group: u32| 0x4000_0000 | (self.part & 0x3f_ffff) << 8 | group & 0xff;
        let group = group.map(|group| if self.part == 0 || group > 0xff { group } else { apart(group) });
        self.list.push(Call {
            kind,
            part: self.part,
            choice,
            group: group.unwrap_or(index),
            slot: 0,
            index: 0,
            name: name.to_owned(),
            wire_id: wire_id.to_owned(),
            fragments: Vec::new(),
            whole: None,
            after_text: false,
            fault: None,
            call_like: false,
            part_of: None,
            refused: None,
            waived: false,
            life: 0,
            declared_as: None,
            toolset: None,
            origin: None,
            place: None,
            signature: None,
            restoring: None,
            pieces: VecDeque::new(),
            state: CallState::Open,
        });
        *self.unruled.entry(group.unwrap_or(index)).or_default() += 1;
        CallId(index)
    }

    /// Opens what may be a call in text. Its group is its own, numbered from the other end.
    pub fn suspect(&mut self) -> CallId {
        let group = u32::MAX - u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.open(CallKind::Text, Some(group), "", "")
    }

    /// What was held is no call: it goes on unjudged.
    pub fn waive(&mut self, id: CallId) {
        let Some(call) = self.get_mut(id).filter(|call| matches!(call.state, CallState::Open)) else {
            return;
        };
        call.state = CallState::Released(std::mem::take(&mut call.pieces));
        call.waived = true;
        let group = call.group;
        self.waived += 1;
        if let Some(left) = self.unruled.get_mut(&group) {
            *left = left.saturating_sub(1);
        }
    }

    /// Opens a waived call again for other text, if nothing of it is left to send: else a reply full of `<`
    /// would fill the list.
    pub fn reuse(&mut self, id: CallId) -> bool {
        let gone = |call: &&mut Call| {
            call.waived && matches!(&call.state, CallState::Released(pieces) if pieces.is_empty())
        };
        let Some(call) = self.get_mut(id).filter(gone) else { return false };
        call.state = CallState::Open;
        call.waived = false;
        call.life = call.life.wrapping_add(1);
        let group = call.group;
        self.waived = self.waived.saturating_sub(1);
        *self.unruled.entry(group).or_default() += 1;
        true
    }

    /// A stretch of text is complete, and these are its readings: all are judged.
    pub fn settle(&mut self, id: CallId, readings: Vec<Reading>) {
        let mut readings = readings.into_iter();
        let Some(first) = readings.next() else { return self.waive(id) };
        let Some(group) = self.get(id).map(|call| call.group) else { return };
        self.read_as(id, first);
        self.end(id);
        for reading in readings {
            let part = self.open(CallKind::Text, Some(group), "", "");
            self.parts += 1;
            self.read_as(part, reading);
            self.get_mut(part).into_iter().for_each(|call| call.part_of = Some(id));
            self.end(part);
        }
    }

    fn read_as(&mut self, id: CallId, reading: Reading) {
        let Some(call) = self.get_mut(id) else { return };
        call.name = reading.name;
        match reading.arguments {
            Ok(arguments) => call.whole = Some(arguments),
            Err(why) => call.spoil(&why),
        }
    }

    pub fn get(&self, id: CallId) -> Option<&Call> {
        self.list.get(id.0 as usize)
    }

    pub fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.list.get_mut(id.0 as usize)
    }

    /// Keeps a piece that was cut out for a call; what is ruled already is given back or gone.
    fn keep(&mut self, id: CallId, piece: Bytes) {
        let Some(call) = self.get_mut(id) else { return };
        match &mut call.state {
            CallState::Released(pieces) => pieces.push_back(piece),
            CallState::Blocked(_) => {}
            CallState::Open | CallState::Ended => call.pieces.push_back(piece),
        }
    }

    /// Notes a call's own bytes.
    pub fn set_origin(&mut self, id: CallId, origin: Origin) {
        if let Some(call) = self.get_mut(id) {
            call.origin = Some(origin);
        }
    }

    /// Notes where a call stands.
    pub fn set_place(&mut self, id: CallId, place: Place) {
        if let Some(call) = self.get_mut(id) {
            call.place = Some(Box::new(place));
        }
    }

    /// Where a call stands, if it was noted.
    pub fn place(&self, id: CallId) -> Option<&Place> {
        self.get(id)?.place.as_deref()
    }

    /// Marks a call complete.
    pub fn end(&mut self, id: CallId) {
        if let Some(call) = self.get_mut(id)
            && matches!(call.state, CallState::Open)
        {
            call.state = CallState::Ended;
            self.ended.push(id);
        }
    }

    /// The calls completed since this was last asked.
    pub fn take_ended(&mut self) -> Vec<CallId> {
        std::mem::take(&mut self.ended)
    }

    /// Whether a call is complete and nobody has ruled on it.
    pub fn awaits_ruling(&self) -> bool {
        self.list.iter().rev().any(|call| matches!(call.state, CallState::Ended))
    }

    pub fn len(&self) -> usize {
        self.list.len().saturating_sub(self.waived + self.parts)
    }

    /// What the agent is told instead of the call, if it was blocked.
    pub fn blocked(&self, id: CallId) -> Option<&str> {
        match &self.get(id)?.state {
            CallState::Blocked(notice) => Some(notice),
            _ => None,
        }
    }

    /// Whether this call and all of its group are ruled, or never will be because nothing more comes.
    pub fn settled(&self, id: CallId) -> bool {
        let Some(call) = self.get(id).filter(|call| !matches!(call.state, CallState::Open)) else {
            return false;
        };
        self.unruled.get(&call.group).is_some_and(|left| *left == 0)
    }

    /// Nothing more comes: what is still open stays so, and its siblings need not wait for it.
    pub fn abandon_open(&mut self) {
        if std::mem::replace(&mut self.abandoned, true) {
            return;
        }
        for call in self.list.iter().filter(|call| matches!(call.state, CallState::Open)) {
            if let Some(left) = self.unruled.get_mut(&call.group) {
                *left = left.saturating_sub(1);
            }
        }
    }

    /// How many calls of `group` that were numbered below `slot` have been blocked.
    pub fn blocked_before(&self, group: u32, slot: u64) -> u64 {
        let before = |call: &&Call| {
            call.group == group && call.slot < slot && matches!(call.state, CallState::Blocked(_))
        };
        self.list.iter().filter(before).count() as u64
    }

    /// The signature that blocked calls took with them, if all calls before `id` in its group are blocked.
    pub fn orphaned_signature(&self, id: CallId) -> Option<&str> {
        let mut found = None;
        for call in self.earlier(id).filter(|call| call.kind == CallKind::Tool) {
            if !matches!(call.state, CallState::Blocked(_)) {
                return None;
            }
            found = call.signature.as_deref().filter(|signature| !signature.is_empty()).or(found);
        }
        found
    }

    /// Whether some call for which `of` holds was blocked and none was left.
    pub fn all_gone(&self, of: impl Fn(&Call) -> bool) -> bool {
        all_blocked(self.list.iter().filter(|call| call.is_call() && of(call)))
    }
}

/// Whether there are some, and all of them are blocked.
fn all_blocked<'a>(calls: impl Iterator<Item = &'a Call>) -> bool {
    let mut calls = calls.peekable();
    calls.peek().is_some() && calls.all(|call| matches!(call.state, CallState::Blocked(_)))
}

/// A stretch of a frame.
#[derive(Debug)]
enum Stretch {
    Fixed(Bytes),
    Hole(CallId),
}

/// What a repair has to know of a frame whose JSON is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing: it needs no repair, or has its JSON.
    Other,
    /// All of it belongs to one held block, which it begins at this index.
    Begins(u64),
    /// All of it belongs to one held block or event.
    Belongs,
    /// It carries a piece of one call and nothing else; where the call's index stands, in the
    /// coordinates of the frame.
    Piece(Option<Span>),
    /// Text of which a part is held; entries are in the coordinates of the frame.
    Text,
}

/// What a frame carries, and how it is put together again.
#[derive(Debug)]
pub(crate) struct Frame {
    stretches: Vec<(Span, Stretch)>,
    /// The frame's length in bytes, holes included.
    pub len: usize,
    /// The JSON it holds and where in the frame that begins; kept only where a repair may need it, because
    /// a tree is many times larger than its bytes.
    pub node: Option<(Box<Node>, u32)>,
    /// What is known of it without its JSON.
    pub shape: Shape,
    /// The calls in it: which, and where (in the coordinates of the JSON).
    pub entries: Vec<(CallId, Span)>,
    /// The calls that begin in it.
    pub leads: Vec<CallId>,
    /// Where entries stand at which the text of a call begins, in order; none: those of `leads`.
    pub heads: Vec<u32>,
    /// What stands beside its texts.
    pub lists: Vec<List>,
    /// Whether it is a whole reply rather than an event of a stream.
    pub whole: bool,
    /// Whether it is the upstream's own error: it ends the stream and passes whatever was withheld.
    pub error: bool,
    /// Whose frame it is, if not the reply's own dialect's.
    pub of: Option<Dialect>,
    /// For an event that is text and nothing else: what of it the next one may say differently.
    pub varying: Option<Varying>,
}

impl Frame {
    /// A frame without calls.
    pub fn plain(raw: Bytes) -> Self {
        let len = raw.len();
        let span = Span::new(0, u32::try_from(len).unwrap_or(u32::MAX));
        let stretches = vec![(span, Stretch::Fixed(raw))];
        Self {
            stretches,
            len,
            node: None,
            shape: Shape::Other,
            entries: Vec::new(),
            leads: Vec::new(),
            heads: Vec::new(),
            lists: Vec::new(),
            whole: false,
            error: false,
            of: None,
            varying: None,
        }
    }

    /// A frame of text, read at this place of its event.
    pub fn text(raw: Bytes, varying: Varying) -> Self {
        Self { varying: Some(varying), ..Self::plain(raw) }
    }

    /// The upstream's own error, which ends its stream.
    pub fn error(raw: Bytes) -> Self {
        Self { error: true, ..Self::plain(raw) }
    }

    /// A frame that may need a repair although it carries no call.
    pub fn with_node(raw: Bytes, node: Node, at: u32) -> Self {
        Self { node: Some((Box::new(node), at)), ..Self::plain(raw) }
    }

    /// A frame that belongs to one call altogether.
    pub fn of_call(raw: Bytes, shape: Shape, call: CallId, calls: &mut Calls) -> Self {
        let span = Span::new(0, u32::try_from(raw.len()).unwrap_or(u32::MAX));
        let len = raw.len();
        calls.keep(call, raw);
        Self {
            stretches: vec![(span, Stretch::Hole(call))],
            len,
            node: None,
            shape,
            entries: vec![(call, span)],
            leads: if matches!(shape, Shape::Begins(_)) { vec![call] } else { Vec::new() },
            heads: Vec::new(),
            lists: Vec::new(),
            whole: false,
            error: false,
            of: None,
            varying: None,
        }
    }

    /// A frame that is all there is of a call: it belongs to it altogether, and the outcome counts it here.
    pub fn of_whole_call(raw: Bytes, call: CallId, calls: &mut Calls) -> Self {
        Self { leads: vec![call], ..Self::of_call(raw, Shape::Belongs, call, calls) }
    }

    /// A frame with calls cut out: `entries` are in order and do not overlap, in the JSON's coordinates.
    pub fn cut(
        raw: &Bytes,
        node: Node,
        at: u32,
        entries: Vec<(CallId, Span)>,
        leads: Vec<CallId>,
        calls: &mut Calls,
    ) -> Result<Self, Fault> {
        let end = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let mut stretches = Vec::with_capacity(entries.len() * 2 + 1);
        let mut from = 0;
        let fixed = |from: u32, to: u32, stretches: &mut Vec<(Span, Stretch)>| {
            if from < to {
                let span = Span::new(from, to);
                stretches.push((span, Stretch::Fixed(raw.slice(span.range()))));
            }
        };
        for (call, span) in &entries {
            let hole = Span::new(span.start + at, span.end + at);
            if hole.start < from || hole.end > end {
                return Err(Fault::new("frame.overlap", "two calls share the same bytes"));
            }
            fixed(from, hole.start, &mut stretches);
            stretches.push((hole, Stretch::Hole(*call)));
            calls.keep(*call, raw.slice(hole.range()));
            from = hole.end;
        }
        fixed(from, end, &mut stretches);
        Ok(Self {
            stretches,
            len: raw.len(),
            node: Some((Box::new(node), at)),
            shape: Shape::Other,
            entries,
            leads,
            heads: Vec::new(),
            lists: Vec::new(),
            whole: false,
            error: false,
            of: None,
            varying: None,
        })
    }

    /// A frame of text of which a part is held. `at`: where its JSON begins.
    pub fn of_text(raw: &Bytes, at: u32, heard: Heard, calls: &mut Calls) -> Result<Self, Fault> {
        let entries = heard.entries.into_iter().map(|(call, span)| {
            (call, Span::new(span.start.saturating_add(at), span.end.saturating_add(at)))
        });
        let none = Node { kind: Kind::Null, span: Span::default() };
        let mut frame = Self::cut(raw, none, 0, entries.collect(), heard.leads, calls)?;
        // The places are all a repair needs.
        frame.node = None;
        frame.shape = Shape::Text;
        frame.heads = heard.heads.into_iter().map(|head| head.saturating_add(at)).collect();
        frame.lists = heard.lists.into_iter().map(|list| list.shifted(at)).collect();
        Ok(frame)
    }

    /// Whether some call for which `of` holds was blocked and none was left: of this frame's calls if it is a
    /// whole reply, of all otherwise.
    pub fn all_gone(&self, calls: &Calls, of: impl Fn(&Call) -> bool) -> bool {
        if !self.whole {
            return calls.all_gone(of);
        }
        let own = self.entries.iter().filter_map(|(id, _)| calls.get(*id));
        all_blocked(own.filter(|call| call.is_call() && of(call)))
    }

    /// Whether every call in it is ruled.
    pub fn settled(&self, calls: &Calls) -> bool {
        self.entries.iter().all(|(call, _)| calls.settled(*call))
    }

    /// Whether it carries no call and needs no repair.
    pub fn is_plain(&self) -> bool {
        self.node.is_none() && self.entries.is_empty() && self.lists.is_empty()
    }

    /// What keeping it costs, in bytes: its own, and what we keep beside them.
    pub fn cost(&self) -> usize {
        let tree = if self.node.is_some() { self.len.saturating_mul(16) } else { 0 };
        self.len + tree + 512
    }

    /// The frame's bytes with `edits` (in the JSON's coordinates) applied. Pieces of released calls are
    /// taken back from them; those of blocked calls are not there.
    pub fn assemble(&self, edits: Vec<Edit>, calls: &mut Calls) -> Result<Bytes, Fault> {
        if let [(_, Stretch::Fixed(raw))] = self.stretches.as_slice()
            && edits.is_empty()
        {
            return Ok(raw.clone());
        }
        let mut filled: Vec<(Span, Option<Bytes>)> = Vec::with_capacity(self.stretches.len());
        let mut values: Vec<Edit> = Vec::new();
        for (span, stretch) in &self.stretches {
            let bytes = match stretch {
                Stretch::Fixed(bytes) => Some(bytes.clone()),
                Stretch::Hole(id) => match calls.get_mut(*id) {
                    Some(Call { state: CallState::Released(pieces), restoring, .. }) => {
                        let piece = pieces.pop_front();
                        if let (Some(restoring), Some(piece)) = (restoring, &piece) {
                            let edits = restoring.edits(piece)?.into_iter();
                            values.extend(edits.map(|edit| edit.shifted(span.start)));
                        }
                        piece
                    }
                    _ => None,
                },
            };
            filled.push((*span, bytes));
        }
        if let [(_, Some(raw))] = filled.as_slice()
            && edits.is_empty()
            && values.is_empty()
        {
            return Ok(raw.clone());
        }
        let at = self.node.as_ref().map_or(0, |(_, at)| *at);
        let pieces: Vec<Piece<'_>> =
            filled.iter().map(|(span, bytes)| Piece { span: *span, bytes: bytes.as_deref() }).collect();
        let valued = !values.is_empty();
        values.extend(edits.into_iter().map(|edit| edit.shifted(at)));
        let whole = splice(&pieces, values)?;
        if valued {
            still_read(&whole)?;
        }
        Ok(whole)
    }
}

/// Refuses a frame that values were put into, unless it is what it was: an event with strict JSON, or that alone.
fn still_read(frame: &[u8]) -> Result<(), Fault> {
    let mut events = Splitter::new(frame.len().saturating_add(1));
    if matches!(frame.trim_ascii_start().first(), Some(b'{' | b'[')) {
        json::parse(frame)?;
        return Ok(());
    }
    events.push(frame);
    let Some(event) = events.next_event()? else {
        return Err(Fault::new("splice.broken", "an event with values put in does not end"));
    };
    event.data().map_or(Ok(()), |data| json::parse(data).map(drop).map_err(Fault::from))
}

/// How a frame is emitted once its calls are ruled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// As it came.
    Keep,
    /// Not at all.
    Drop,
    /// With other bytes in its place.
    Replace(Bytes),
    /// With these edits (in the coordinates of its JSON, or of the frame if that is not kept), `before` and
    /// `then` around it. `keep: false` drops the frame itself.
    Edit {
        /// The edits.
        edits: Vec<Edit>,
        /// Whether the edited frame is worth sending.
        keep: bool,
        /// What precedes it.
        before: Bytes,
        /// What follows it.
        then: Bytes,
    },
}

/// The strict tree of a reply or event, which must be an object with no key that readers disagree on.
pub(crate) fn reply(data: &[u8]) -> Result<Node, Fault> {
    let node = object(data)?;
    check_keys(&node)?;
    Ok(node)
}

/// The strict tree of a JSON text that must be an object.
pub(crate) fn object(data: &[u8]) -> Result<Node, Fault> {
    let node = json::parse(data)?;
    if node.is_object() { Ok(node) } else { Err(Fault::new("json.shape", "the JSON is not an object")) }
}

/// Text of a stream, gathered for an audit in bounded slices.
#[derive(Debug, Default)]
pub(crate) struct Gathered(Vec<u8>);

/// How much text is audited at once.
const SLICE: usize = 64 * 1024;

impl Gathered {
    /// Adds a fragment (WTF-8); full slices go out as observations.
    pub fn add(&mut self, fragment: &[u8], saw: &mut Vec<Observation>) {
        json::push_wtf8(fragment, &mut self.0);
        if self.0.len() >= SLICE {
            self.flush(saw);
        }
    }

    /// Gives out what has been gathered.
    pub fn flush(&mut self, saw: &mut Vec<Observation>) {
        if !self.0.is_empty() {
            let text = String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned();
            saw.push(Observation::Text(text));
        }
    }
}
