//! Hold and release: a reply streams through, its calls wait until they are judged.
//!
//! The machine does no I/O, never blocks and reads no clock. Bytes go in; what may be sent, what is to be
//! judged and how it ended come out. Text passes at once. A call is cut out of its frames and handed out
//! as [`Held`]: the machine cannot send a call it no longer has, and gets it back only with
//! [`Ruling::Release`]. Frames after a held call queue behind it, so the order of bytes never changes.
//!
//! **Chunking invariance**: any split of the same bytes gives the same calls to judge and the same bytes
//! to send. Even a fault waits its turn behind the calls that were complete before it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::action::shell::State;
use crate::action::{Action, ActionKind, Door, Source, ToolUse, tools};
use crate::decision::Coverage;
use crate::placeholder::Placeholders;
use crate::syntax::json;
use crate::usage::Usage;
use crate::wire::dialect::Reader;
use crate::wire::frame::{Call, CallKind, CallState, Calls, Frame, Repair};
use crate::wire::lines::{self, Piece};
use crate::wire::request::Declared;
use crate::wire::restored::Restoring;
use crate::wire::template::Template;
use crate::wire::text_tools::TextTools;
use crate::wire::{Fault, Protocol, sse, unknown};

pub use crate::wire::batch::Batch;
pub use crate::wire::dialect::Dialect;
pub use crate::wire::frame::{CallId, Observation, Origin};

/// Milliseconds on the caller's clock.
pub type Millis = u64;

/// How long a client may hear nothing while something is held, before it is sent a keep-alive: 5 s, less what the
/// caller's clock may be early or late.
const QUIET: Millis = 4_500;

/// What goes into the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The next bytes from upstream.
    Bytes(&'a [u8]),
    /// The upstream's body ended as HTTP says.
    End,
    /// The upstream broke off.
    Aborted,
    /// The ruling on a call handed out by [`Output::Judge`].
    Ruled(CallId, Ruling),
    /// A person or a limit stopped the stream; the words tell the agent why.
    Revoked(Fault),
    /// The time.
    Tick(Millis),
}

/// What comes out of the machine.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes to the client.
    Send(Bytes),
    /// Something was seen that needs no ruling.
    Saw(Observation),
    /// Judge this call; until its ruling nothing behind it is sent.
    Judge(CallId, Box<Action>, Held),
    /// Send this to keep the connection alive; it says nothing.
    KeepAlive(Bytes),
    /// Stop reading upstream.
    Cancel,
    /// Nothing more will come.
    Finish(Outcome),
}

/// A call's bytes, cut out of the stream. Not `Clone`: who has it is the only one who can give it back.
#[derive(Debug)]
pub struct Held {
    call: CallId,
    pieces: VecDeque<Bytes>,
    arguments: Bytes,
    origin: Option<Origin>,
    restored: Vec<Arc<str>>,
}

impl Held {
    /// Which call it is.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// The arguments that were judged, for their digest; empty if they could not be read.
    #[must_use]
    pub const fn arguments(&self) -> &Bytes {
        &self.arguments
    }

    /// The registered secrets that placeholders in its arguments were given back, by their names. It was judged with them.
    #[must_use]
    pub fn restored(&self) -> &[Arc<str>] {
        &self.restored
    }

    /// The call as upstream sent it, where its protocol may ask for it again in a later request.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

/// What was ruled on a call.
#[derive(Debug)]
pub enum Ruling {
    /// Send it, byte for byte as it came.
    Release(Held),
    /// Send this text to the agent in its place.
    Replace(String),
}

/// How a stream ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Calls sent.
    pub released: u32,
    /// Calls replaced.
    pub blocked: u32,
    /// Calls never complete, and so never sent.
    pub withheld: u32,
    /// Tokens, as the provider counts them.
    pub usage: Usage,
    /// Bytes of text and arguments, or about as many: what tokens are estimated from where the provider says nothing.
    pub text: u64,
    /// Whether it was read to where its protocol ends it, so that what it says of usage is all: a client may go as soon as
    /// it has that.
    pub whole: bool,
    /// What was looked at.
    pub coverage: Coverage,
    /// Why it did not end well, if it did not.
    pub fault: Option<Fault>,
}

/// How the bytes are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON body.
    Json,
    /// JSON, one value a line.
    Lines,
}

/// Bounds on what a stream may make us keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one event.
    pub event: usize,
    /// Bytes of a reply that is not streamed.
    pub body: usize,
    /// What may queue behind a held call, the call included: bytes, and what we keep beside them (512 bytes
    /// an event). 96 MiB hold a call of 100,000 tokens at one event each.
    pub held: usize,
    /// Calls in one reply.
    pub calls: usize,
    /// Bytes of all arguments in one reply: reading a hostile command line costs microseconds a byte.
    pub arguments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event: 16 << 20, body: 64 << 20, held: 96 << 20, calls: 1024, arguments: 4 << 20 }
    }
}

/// Whose reply it is and what the request said.
#[derive(Clone, Debug)]
pub struct Context {
    /// The agent.
    pub agent: Arc<str>,
    /// Its session.
    pub session: Arc<str>,
    /// The upstream's name.
    pub peer: Arc<str>,
    /// Whether the operator trusts the upstream, and lets through what Doorward does not know.
    pub trusted: bool,
    /// The tools the request declared.
    pub declared: Declared,
    /// What the calls of earlier replies have left behind.
    pub before: State,
    /// How the agent reads calls from text.
    pub text_tools: TextTools,
    /// Where the client reached this upstream, such as `http://127.0.0.1:7878/t/<token>/anthropic`: links in a
    /// reply that would lead it past us are made to lead here. Empty: links are left alone.
    pub door: Arc<str>,
    /// The placeholders that this session was issued: in the arguments of calls their values stand in for them.
    pub placeholders: Arc<Placeholders>,
    /// Leave every byte alone: calls are still handed out to be judged, but all come back, and a fault
    /// ends the inspection instead of the stream.
    pub monitor: bool,
}

/// One reply on its way.
#[derive(Debug)]
pub struct Machine {
    context: Context,
    limits: Limits,
    dialect: Dialect,
    source: SourceOfFrames,
    reader: Reader,
    calls: Calls,
    queue: VecDeque<Frame>,
    queued: usize,
    /// What every frame read so far would cost to keep, and what it was when each call that may still be
    /// open began.
    cost: usize,
    begun: VecDeque<(CallId, usize)>,
    calls_begun: u32,
    /// Bytes of arguments read so far.
    arguments: usize,
    /// The call handed out last, and what had been left before it.
    last: Option<(CallId, State)>,
    /// What had been left before the last call, if that was blocked.
    undone: Option<State>,
    phase: Phase,
    outcome: Outcome,
    saw: Vec<Observation>,
    /// The shape of the event before, if it was text.
    template: Option<Template>,
    /// For decoding its text.
    scratch: Vec<u8>,
    sent: bool,
    now: Millis,
    last_sent: Millis,
}

#[derive(Debug)]
enum SourceOfFrames {
    Events(sse::Splitter),
    Json(BytesMut),
    Lines(lines::Splitter),
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Reading upstream.
    Reading,
    /// Upstream has nothing more to say; the queue is still being sent.
    Draining,
    /// In monitor mode after a fault: bytes pass unread.
    Unread,
    Finished,
}

impl Machine {
    /// A machine for one reply.
    #[must_use]
    pub fn new(dialect: Dialect, framing: Framing, context: Context, limits: Limits) -> Self {
        let mut reader = Reader::new(dialect, &context.declared, context.trusted, context.text_tools);
        if !context.monitor {
            reader.at(&context.door);
        }
        // An agent that declares no tools may read calls from text: nobody has said.
        let unsaid = match context.text_tools {
            TextTools::Unset => {
                let Declared { tools, toolsets, unseen, .. } = &context.declared;
                tools.is_empty() && toolsets.is_empty() && !unseen
            }
            TextTools::None => false,
            TextTools::Xml | TextTools::EditBlocks => !dialect.holds_text(),
        };
        let conversation = !matches!(dialect, Dialect::Unknown(_));
        let coverage = match unsaid && conversation {
            true => Coverage::Partial("text-tools".to_owned()),
            false => Coverage::default(),
        };
        let source = match framing {
            Framing::Events => SourceOfFrames::Events(sse::Splitter::new(limits.event)),
            Framing::Json => SourceOfFrames::Json(BytesMut::new()),
            Framing::Lines => {
                let loose = matches!(dialect, Dialect::Batch(batch) if batch.is_file());
                SourceOfFrames::Lines(lines::Splitter::new(limits.event, loose))
            }
        };
        Self {
            context,
            limits,
            dialect,
            source,
            reader,
            calls: Calls::new(limits.calls),
            queue: VecDeque::new(),
            queued: 0,
            cost: 0,
            begun: VecDeque::new(),
            calls_begun: 0,
            arguments: 0,
            last: None,
            undone: None,
            phase: Phase::Reading,
            outcome: Outcome { coverage, ..Outcome::default() },
            saw: Vec::new(),
            template: None,
            scratch: Vec::new(),
            sent: false,
            now: 0,
            last_sent: 0,
        }
    }

    /// What is left behind when the calls so far have been made.
    #[must_use]
    pub const fn left(&self) -> &State {
        match &self.undone {
            Some(before) => before,
            None => &self.context.before,
        }
    }

    /// How many bytes wait here: what one more step may have to read at once.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let body = if let SourceOfFrames::Json(buffer) = &self.source { buffer.len() } else { 0 };
        self.queued + body
    }

    /// One step. What is to be done is appended to `out`, in order.
    pub fn step(&mut self, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            _ if self.phase == Phase::Finished => return,
            Input::Tick(now) => return self.tick(now, out),
            Input::Ruled(id, ruling) => self.ruled(id, ruling, out),
            Input::Revoked(fault) => return self.cut_off(fault, out),
            Input::Bytes(bytes) => self.bytes(bytes, out),
            Input::End => self.end(out),
            // Unread after an earlier fault, which stays the outcome's: it still has to end.
            Input::Aborted if self.phase == Phase::Unread => self.phase = Phase::Draining,
            Input::Aborted => {
                self.fail(Fault::new("upstream.aborted", "the upstream broke off its reply"), out);
            }
        }
        for saw in self.saw.drain(..) {
            self.outcome.note(&saw);
            out.push(Output::Saw(saw));
        }
        self.judge(out);
        self.pump(out);
    }

    fn bytes(&mut self, bytes: &[u8], out: &mut Vec<Output>) {
        match self.phase {
            Phase::Reading => {}
            Phase::Unread => return self.queue_raw(Bytes::copy_from_slice(bytes)),
            Phase::Draining | Phase::Finished => return,
        }
        match &mut self.source {
            SourceOfFrames::Events(splitter) => splitter.push(bytes),
            SourceOfFrames::Lines(splitter) => {
                splitter.push(bytes);
                return self.lines(out);
            }
            SourceOfFrames::Json(buffer) => {
                buffer.extend_from_slice(bytes);
                if buffer.len() > self.limits.body {
                    let message = format!("the reply is larger than {} bytes", self.limits.body);
                    self.fail(Fault::new("body.oversize", message), out);
                }
                return;
            }
        }
        while self.phase == Phase::Reading {
            self.text(out);
            match self.next_frame() {
                Ok(Some(frame)) => self.enqueue(frame, out),
                Ok(None) => return,
                Err(fault) => return self.fail(fault, out),
            }
        }
    }

    /// Reads the lines that have come.
    fn lines(&mut self, out: &mut Vec<Output>) {
        while self.phase == Phase::Reading {
            let SourceOfFrames::Lines(splitter) = &mut self.source else { return };
            let read = splitter.next_piece();
            match read.and_then(|piece| piece.map(|piece| self.piece(piece, out)).transpose()) {
                Ok(Some(())) => {}
                Ok(None) => return,
                Err(fault) => return self.fail(fault, out),
            }
        }
    }

    /// Reads one line.
    fn piece(&mut self, piece: Piece, out: &mut Vec<Output>) -> Result<(), Fault> {
        match piece {
            Piece::Raw(raw) => self.enqueue(Frame::plain(raw), out),
            Piece::Line(raw) => {
                let mark = self.calls.ended();
                let read = self.reader.frames(&raw, &mut self.calls, &mut self.saw);
                let frames = self.accept(read, mark, raw)?;
                frames.into_iter().for_each(|frame| self.enqueue(frame, out));
            }
        }
        Ok(())
    }

    /// Sends on the events that say more text in the shape of the one before, in one piece.
    fn text(&mut self, out: &mut Vec<Output>) {
        let SourceOfFrames::Events(splitter) = &mut self.source else { return };
        let Some(template) = self.template.as_ref().filter(|_| self.queue.is_empty()) else { return };
        let (mut passed, mut text, mut count) = (0, std::mem::take(&mut self.scratch), Vec::new());
        while let Some(bytes) = splitter.unread().get(passed..).filter(|bytes| !bytes.is_empty()) {
            text.clear();
            count.clear();
            let taken = template.take(bytes, &mut text, &mut count);
            let Some(length) = taken.filter(|length| splitter.fits(*length)) else { break };
            self.reader.text(template.lane, &text, &mut self.saw);
            self.reader.count(&count);
            self.outcome.text += length.saturating_sub(template.around()) as u64;
            passed += length;
        }
        self.scratch = text;
        if passed > 0 {
            let passed = splitter.pass(passed);
            self.send(passed, out);
        }
    }

    /// The next frame of an event stream, read. Its raw bytes go back in front of the rest if it cannot
    /// be read, so that monitor mode loses nothing.
    fn next_frame(&mut self) -> Result<Option<Frame>, Fault> {
        let SourceOfFrames::Events(splitter) = &mut self.source else { return Ok(None) };
        let Some(event) = splitter.next_event()? else { return Ok(None) };
        let mark = self.calls.ended();
        let read = self.reader.event(&event, &mut self.calls, &mut self.saw);
        let varying = read.as_ref().ok().and_then(|frame| frame.varying.as_ref());
        self.template = varying.and_then(|varying| Template::new(&event.raw, varying));
        if let Some(template) = &self.template {
            self.outcome.text += event.raw.len().saturating_sub(template.around()) as u64;
        }
        self.accept(read, mark, event.raw).map(Some)
    }

    /// The frame, unless it could not be read or holds too many calls. What a refused frame completed is
    /// not complete; in monitor mode its bytes stay.
    fn accept<T>(&mut self, read: Result<T, Fault>, mark: usize, raw: Bytes) -> Result<T, Fault> {
        let too_many = || {
            let message = format!("more than {} calls in one reply", self.limits.calls);
            Err(Fault::new("hold.calls", message))
        };
        let read = if read.is_ok() && self.calls.too_many() { too_many() } else { read };
        if read.is_err() {
            self.calls.reopen_since(mark);
            if self.context.monitor {
                self.queue_raw(raw);
            }
        }
        read
    }

    fn queue_raw(&mut self, raw: Bytes) {
        let frame = Frame::plain(raw);
        self.queued += frame.cost();
        self.queue.push_back(frame);
    }

    fn enqueue(&mut self, frame: Frame, out: &mut Vec<Output>) {
        if frame.is_plain() && self.queue.is_empty() {
            // The usual case: text, nothing held.
            if let Ok(raw) = frame.assemble(Vec::new(), &mut self.calls) {
                self.send(raw, out);
            }
            return;
        }
        let before = self.cost;
        if !frame.whole {
            self.queued += frame.cost();
            self.cost = self.cost.saturating_add(frame.cost());
        }
        self.queue.push_back(frame);
        self.pump(out);
        if self.longest_open(before) > self.limits.held {
            let message = format!("more than {} bytes wait behind a call", self.limits.held);
            self.fail(Fault::new("hold.oversize", message), out);
        }
    }

    /// What it costs to keep all that has come since the first call that is still open began. Not what is in
    /// the queue: that depends on rulings and on how the bytes were cut, and so would the fault. What waits
    /// for a ruling is bounded by who rules: nothing is read meanwhile.
    fn longest_open(&mut self, before: usize) -> usize {
        for call in self.calls_begun..u32::try_from(self.calls.len()).unwrap_or(u32::MAX) {
            self.begun.push_back((CallId(call), before));
            self.calls_begun = call + 1;
        }
        let is_open =
            |id: CallId| self.calls.get(id).is_some_and(|call| matches!(call.state, CallState::Open));
        while self.begun.front().is_some_and(|(id, _)| !is_open(*id)) {
            self.begun.pop_front();
        }
        self.begun.front().map_or(0, |(_, since)| self.cost - since)
    }

    fn end(&mut self, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Reading => {}
            Phase::Unread => {
                self.phase = Phase::Draining;
                return;
            }
            Phase::Draining | Phase::Finished => return,
        }
        let complete =
            self.last_frame(out).and_then(|()| self.reader.complete(&mut self.calls, &mut self.saw));
        match complete {
            Ok(()) if self.context.monitor => self.calls.release_open(),
            Ok(()) => {}
            Err(fault) => self.fail(fault, out),
        }
        self.phase = Phase::Draining;
    }

    /// What the end of the body completes: a JSON body, or an event without its blank line.
    fn last_frame(&mut self, out: &mut Vec<Output>) -> Result<(), Fault> {
        let frame = match &mut self.source {
            SourceOfFrames::Json(buffer) => {
                let raw = buffer.split().freeze();
                self.outcome.text += raw.len() as u64;
                return self.piece(Piece::Line(raw), out);
            }
            SourceOfFrames::Lines(splitter) => {
                let last = splitter.last()?;
                return last.map_or(Ok(()), |piece| self.piece(piece, out));
            }
            SourceOfFrames::Events(splitter) => {
                let rest = splitter.rest();
                // Some honest providers end right behind `[DONE]`.
                let done = matches!(rest.trim_ascii(), b"data: [DONE]" | b"data:[DONE]");
                if rest.iter().all(u8::is_ascii_whitespace)
                    || done && self.dialect.protocol() == Protocol::OpenAi
                {
                    Frame::plain(rest)
                } else {
                    if self.context.monitor {
                        self.queue_raw(rest);
                    }
                    return Err(Fault::new("stream.truncated", "the stream ended inside an event"));
                }
            }
        };
        self.enqueue(frame, out);
        Ok(())
    }

    /// Nothing more can be read. What was complete before is still ruled and sent; then the stream ends
    /// with an error as its protocol has it.
    fn fail(&mut self, fault: Fault, out: &mut Vec<Output>) {
        if self.outcome.fault.is_some() || self.phase == Phase::Finished {
            return;
        }
        let coverage = Coverage::Partial(fault.code.to_owned());
        self.outcome.coverage = std::mem::take(&mut self.outcome.coverage).and(coverage);
        let aborted = fault.code == "upstream.aborted";
        self.outcome.fault = Some(fault);
        if self.context.monitor {
            self.calls.release_open();
            let rest = match &mut self.source {
                SourceOfFrames::Events(splitter) => splitter.rest(),
                SourceOfFrames::Lines(splitter) => splitter.rest(),
                SourceOfFrames::Json(buffer) => buffer.split().freeze(),
            };
            self.queue_raw(rest);
            self.phase = if aborted { Phase::Draining } else { Phase::Unread };
            return;
        }
        self.phase = Phase::Draining;
        out.push(Output::Cancel);
    }

    /// Whether what waits at the head of the queue waits for bytes rather than for a ruling.
    fn waits_for_bytes(&self) -> bool {
        let open = |(id, _): &(CallId, _)| {
            self.calls.get(*id).is_none_or(|call| matches!(call.state, CallState::Open))
        };
        self.queue.front().is_some_and(|frame| frame.entries.iter().any(open))
    }

    /// Stops at once: nothing that still waits is sent.
    fn cut_off(&mut self, fault: Fault, out: &mut Vec<Output>) {
        out.push(Output::Cancel);
        self.outcome.fault = Some(fault);
        self.queue.clear();
        self.finish(out);
    }

    /// Hands out the calls that have become complete.
    fn judge(&mut self, out: &mut Vec<Output>) {
        for id in self.calls.take_ended() {
            let Some((action, held)) = self.hand_out(id) else { continue };
            out.push(Output::Judge(id, Box::new(action), held));
        }
    }

    fn hand_out(&mut self, id: CallId) -> Option<(Action, Held)> {
        let context = &self.context;
        let call = self.calls.get_mut(id)?;
        let mut action =
            Action::new(Door::Model, ActionKind::ToolCall, context.agent.clone(), context.session.clone());
        action.peer = context.peer.clone();
        action.peer_trusted = context.trusted;
        // Tools that are described in prose are declared there, out of our sight.
        let toolset = call.toolset.as_deref();
        let declared = call.kind == CallKind::Text
            || context.declared.admits(toolset, call.declared_as.as_ref().unwrap_or(&call.name));
        if !declared {
            action.unknown_toolset = context.declared.toolsets.unknown(toolset).map(Arc::from);
        }
        let name = match toolset {
            // Another tool may have the member's name.
            Some(family) => format!("{family}.{}", call.name).into(),
            None => Arc::from(call.name.as_str()),
        };
        action.source = match declared {
            true => Source::Model,
            false if context.declared.unseen => Source::Unknown,
            false => Source::Provider,
        };
        if action.source == Source::Unknown {
            action.coverage = Coverage::Partial("declared tools unknown".to_owned());
        }
        action.tool = Some(ToolUse { name, declared, call_id: call.wire_id.as_str().into() });
        action.before.clone_from(&context.before);
        let (arguments, restored) = given_back(call, context);
        let length = arguments.as_ref().map_or(0, String::len);
        self.outcome.text += length as u64;
        let apart = matches!(self.dialect, Dialect::Batch(_));
        self.arguments = if apart { length } else { self.arguments.saturating_add(length) };
        if apart {
            // Nothing asks for them again, and there may be very many.
            (call.whole, call.fragments) = (None, Vec::new());
        }
        let mut after = context.before.clone();
        match (call.kind, &arguments) {
            _ if self.arguments > self.limits.arguments => {
                let most = self.limits.arguments;
                action.fault = Some(format!("the arguments of one reply are larger than {most} bytes"));
            }
            (CallKind::Unknown, _) => {
                action.kind = ActionKind::Unknown;
                // What could be a call is nothing to wave through, whoever sends it.
                action.peer_trusted &= !call.call_like;
                action.coverage = unknown::coverage(&call.name);
            }
            (_, Err(why)) => action.fault = Some(why.clone()),
            (CallKind::FreeText, Ok(text)) => after = tools::fill_call(&mut action, text, None),
            (CallKind::Tool | CallKind::Text, Ok(text)) => match json::parse(text.as_bytes()) {
                Ok(node) if node.is_object() && well_formed(&node) => {
                    after = tools::fill_call(&mut action, text, Some(&node));
                }
                Ok(node) if node.is_object() => {
                    action.fault = Some("its arguments hold half a surrogate pair".to_owned());
                }
                Ok(node) => {
                    action.fault =
                        Some(format!("its arguments are {} instead of an object", node.kind_name()));
                }
                Err(fault) => {
                    action.fault = Some(format!("its arguments are not complete, strict JSON: {fault}"))
                }
            },
        }
        let pieces = std::mem::take(&mut call.pieces);
        let arguments = Bytes::from(arguments.unwrap_or_default());
        // Calls of one reply come after one another, whatever is ruled on them: a ruling may come before the next
        // call or behind it, and must not change how that is judged. What another reply of a batch does is another
        // matter.
        if !apart {
            self.undone = None;
            self.last = Some((id, std::mem::replace(&mut self.context.before, after)));
        }
        Some((action, Held { call: id, pieces, arguments, origin: call.origin.take(), restored }))
    }

    fn ruled(&mut self, id: CallId, ruling: Ruling, out: &mut Vec<Output>) {
        let state = match ruling {
            Ruling::Release(held) if held.call == id => CallState::Released(held.pieces),
            Ruling::Release(_) => CallState::Blocked("[doorward] This call was withheld.".to_owned()),
            // Nothing is altered in monitor mode. If a call cannot go on even so, the stream cannot.
            Ruling::Replace(notice) if self.context.monitor => {
                return self.cut_off(Fault::new("monitor.stopped", notice), out);
            }
            Ruling::Replace(notice) => {
                // What was blocked leaves nothing to the next reply.
                self.undone = self
                    .last
                    .take_if(|(last, _)| *last == id)
                    .map(|(_, before)| before)
                    .or(self.undone.take());
                CallState::Blocked(notice)
            }
        };
        self.calls.rule(id, state);
    }

    /// Sends what is ruled, in order, up to the first call that is not.
    fn pump(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Draining {
            self.calls.abandon_open();
        }
        while let Some(frame) = self.queue.front() {
            if !frame.settled(&self.calls) {
                if self.phase != Phase::Draining || !self.waits_for_bytes() {
                    return;
                }
                // Withheld for good, and everything behind it: the stream ends here, with an error.
                self.queue.retain(|frame| frame.error);
                continue;
            }
            let Some(frame) = self.queue.pop_front() else { break };
            self.queued = self.queued.saturating_sub(frame.cost());
            if let Err(fault) = self.emit(&frame, out) {
                return self.cut_off(fault, out);
            }
        }
        if self.phase == Phase::Draining && self.queue.is_empty() {
            self.finish(out);
        }
    }

    fn emit(&mut self, frame: &Frame, out: &mut Vec<Output>) -> Result<(), Fault> {
        let repair =
            if self.context.monitor { Repair::Keep } else { self.dialect.repair(frame, &self.calls) };
        match repair {
            Repair::Keep => {
                let raw = frame.assemble(Vec::new(), &mut self.calls)?;
                self.send(raw, out);
            }
            Repair::Drop => {}
            Repair::Replace(bytes) => self.send(bytes, out),
            Repair::Edit { edits, keep, before, then } => {
                let edited = frame.assemble(edits, &mut self.calls)?;
                self.send(before, out);
                if keep {
                    check_edited(&edited, frame)?;
                    self.send(edited, out);
                }
                self.send(then, out);
            }
        }
        // Counted where it is sent: what was ruled and never came to its turn is withheld.
        for lead in &frame.leads {
            let Some(call) = self.calls.get(*lead).filter(|call| !call.waived) else { continue };
            if self.calls.blocked(*lead).is_some() {
                self.outcome.blocked += 1;
                continue;
            }
            self.outcome.released += 1;
            if call.kind == CallKind::Unknown {
                let seen = unknown::coverage(&call.name);
                self.outcome.coverage = std::mem::take(&mut self.outcome.coverage).and(seen);
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: Bytes, out: &mut Vec<Output>) {
        if !bytes.is_empty() {
            self.sent = true;
            self.last_sent = self.now;
            out.push(Output::Send(bytes));
        }
    }

    fn finish(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Finished {
            return;
        }
        self.phase = Phase::Finished;
        self.outcome.whole = self.reader.has_ended();
        let counted = self.outcome.released + self.outcome.blocked;
        self.outcome.withheld = u32::try_from(self.calls.len()).unwrap_or(u32::MAX).saturating_sub(counted);
        let events = matches!(self.source, SourceOfFrames::Events(_));
        // Monitor mode adds nothing to what upstream said, but a stop stops there too.
        let stopped = |fault: &Fault| matches!(fault.code, "kill" | "monitor.stopped");
        if let Some(fault) = &self.outcome.fault
            && self.sent
            && events
            && (!self.context.monitor || stopped(fault))
        {
            let message = match fault.code {
                "kill" | "monitor.stopped" | "upstream.aborted" | "upstream.silent" => {
                    format!("doorward: {fault}")
                }
                code => format!("doorward: the provider's reply was refused: {fault} ({code})"),
            };
            out.push(Output::Send(self.reader.error_event(self.dialect, &message)));
        }
        out.push(Output::Finish(std::mem::take(&mut self.outcome)));
    }

    fn tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        if self.now == 0 {
            self.last_sent = now;
        }
        self.now = now;
        if self.context.monitor || now < self.last_sent + QUIET {
            return;
        }
        // Before the first byte a reply can still become an error with its own status; while a person is asked, the
        // client has to hear something all the same.
        let waits = self.sent && !self.queue.is_empty();
        let held = self.calls.awaits_ruling();
        match self.source {
            SourceOfFrames::Events(_) if waits || held => {}
            // The whole of a JSON reply has been read by now.
            SourceOfFrames::Json(_) | SourceOfFrames::Lines(_) if held => {}
            _ => return,
        }
        self.last_sent = now;
        out.push(Output::KeepAlive(Bytes::from_static(self.keep_alive())));
    }

    /// What keeps a client waiting that reads this reply, and says nothing.
    #[must_use]
    pub const fn keep_alive(&self) -> &'static [u8] {
        match self.source {
            SourceOfFrames::Events(_) => self.dialect.keep_alive(),
            // White space before a value says nothing (RFC 8259, 2).
            SourceOfFrames::Json(_) | SourceOfFrames::Lines(_) => b" ",
        }
    }
}

/// Takes note of usage and coverage for the outcome; the caller passes on what it sees.
impl Outcome {
    /// Adds what was seen to the outcome.
    pub fn note(&mut self, saw: &Observation) {
        match saw {
            Observation::Usage(usage) => self.usage.note(usage),
            Observation::Coverage(coverage) => {
                self.coverage = std::mem::take(&mut self.coverage).and(coverage.clone());
            }
            Observation::Text(_) | Observation::ProviderCall { .. } | Observation::Reply { .. } => {}
        }
    }
}

/// The arguments of `call` with the values of this session's placeholders in their places, and the names of those. Its frames
/// will say the same.
fn given_back(call: &mut Call, context: &Context) -> (Result<String, String>, Vec<Arc<str>>) {
    let arguments = call.arguments();
    let Ok(text) = &arguments else { return (arguments, Vec::new()) };
    let restored = match call.kind {
        _ if context.monitor => Ok(None),
        CallKind::Tool => context.placeholders.restore_json(text),
        CallKind::FreeText => context.placeholders.restore_text(text),
        // Its text may be cut over events, and read in more than one way: no value is put into it. With the placeholder the
        // call would do something else than was meant, and say nothing.
        CallKind::Text => match context.placeholders.restore_json(text) {
            Ok(None) => Ok(None),
            Ok(Some(restored)) => return (Err(not_given_back(&restored.names)), Vec::new()),
            Err(fault) => Err(fault),
        },
        CallKind::Unknown => Ok(None),
    };
    let restored = match restored {
        Ok(Some(restored)) => restored,
        Ok(None) => return (arguments, Vec::new()),
        Err(fault) => return (Err(fault.to_string()), Vec::new()),
    };
    call.restoring = Some(Box::new(Restoring::new(&restored.text, &context.placeholders)));
    (Ok(restored.text), restored.names)
}

/// Why a call that stands in text does not go on with the placeholders of these secrets in it.
fn not_given_back(names: &[Arc<str>]) -> String {
    let named: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "it says a placeholder of the registered secret {}, and where calls are read from text no value is put in its place; \
         let the tool read the value from where it is kept",
        named.join(", ")
    )
}

/// Whether no string in `node` holds half a surrogate pair.
fn well_formed(node: &crate::syntax::Node) -> bool {
    use crate::syntax::Kind;
    match &node.kind {
        Kind::String(text) => text.is_well_formed(),
        Kind::Array(elements) => elements.iter().all(well_formed),
        Kind::Object(members) => {
            members.iter().all(|member| member.key.is_well_formed() && well_formed(&member.value))
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => true,
    }
}

/// An edited frame is parsed again before it goes: an edit that broke it must not be sent.
fn check_edited(edited: &[u8], frame: &Frame) -> Result<(), Fault> {
    let data = if frame.whole {
        Some(edited)
    } else {
        edited.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:"))
    };
    let broken = |what: String| Fault::new("splice.broken", format!("an edited frame: {what}"));
    match data.map(json::parse) {
        Some(Ok(_)) => Ok(()),
        Some(Err(fault)) => Err(broken(fault.to_string())),
        None => Err(broken("no data".to_owned())),
    }
}

#[cfg(test)]
mod tests;
