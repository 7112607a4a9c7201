//! Calls in the texts of a reply, for agents that read some there.
//!
//! Clients join texts in different ways: the pieces as they come, the parts of a message, all messages
//! (`output_text`), from deltas or from any copy. So all texts are one, in the order in which they stand, with
//! seams between; who interleaves them, or leaves one out where others are repeated, is refused. Refusals are a
//! text of their own, because most readers join them with nothing.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::Step;
use super::copies::{Digest, Said, Sum, differ, digest_of};
use super::items::{self, Saying};
use crate::syntax::Node;
use crate::wire::Fault;
use crate::wire::frame::{Calls, Observation};
use crate::wire::text_tools::{Heard, Lane, List, TextTools, Told};

/// What is held of the texts of a reply.
#[derive(Debug)]
pub(super) struct Lanes {
    text_tools: TextTools,
    texts: Lane,
    refusals: Lane,
    /// Where the newest text stands: its item, its number there; and whether it is a refusal.
    newest: Option<((u64, u64), bool)>,
    /// Whether it was repeated whole, so that nothing may be added.
    closed: bool,
    /// How many texts there are so far, and how many messages with text.
    places: u64,
    messages: u64,
    /// How many of the texts were repeated by events of either kind, and how many of the messages.
    copied: [u64; 3],
    /// Whether some text came in no delta: those who read deltas only do not have it.
    silent: bool,
    /// What the newest message is called in the events that bring its text.
    name: Option<(u64, String)>,
    /// What messages were called so far.
    names: HashSet<String>,
    /// All texts but refusals as one, for those who repeat them so.
    joined: (Sum, Told),
    /// The texts of messages that are done, by item and number.
    spoken: BTreeMap<(u64, u64), Spoken>,
    /// At the end of the reply: those not repeated yet, and whether some were.
    expected: VecDeque<Spoken>,
    repeated: bool,
}

/// A text of which only copies may follow.
#[derive(Debug)]
struct Spoken {
    digest: Digest,
    refusal: bool,
    told: Told,
}

impl Lanes {
    /// Lanes for agents that read text so; `None` if no text is to be held.
    pub fn new(text_tools: TextTools) -> Option<Self> {
        Some(Self {
            text_tools,
            texts: Lane::new(text_tools)?,
            refusals: Lane::new(text_tools)?,
            newest: None,
            closed: false,
            places: 0,
            messages: 0,
            copied: [0; 3],
            silent: false,
            name: None,
            names: HashSet::new(),
            joined: Default::default(),
            spoken: BTreeMap::new(),
            expected: VecDeque::new(),
            repeated: false,
        })
    }

    fn hear(
        &mut self,
        saying: Saying<'_>,
        place: (u64, u64),
        how: How,
        source: &[u8],
        calls: &mut Calls,
    ) -> Result<Heard, Fault> {
        let refusal = saying.refusal;
        if how == How::Begun || how == How::Delta && self.silent {
            return Err(Fault::new(
                "text.order",
                "text stands where only some readers of a stream look for it",
            ));
        }
        self.silent |= how != How::Delta;
        if let Some((newest, was_refusal)) = self.newest {
            let more = place == newest && (self.closed || refusal != was_refusal);
            if place < newest || more {
                return Err(Fault::new("text.order", "texts of a reply do not come one behind the other"));
            }
            if place > newest {
                self.texts.seam();
                self.refusals.seam();
            }
            let other = if refusal { &self.texts } else { &self.refusals };
            if refusal != was_refusal && other.holds() {
                return Err(Fault::new("text.order", "a refusal cuts what may be a call"));
            }
        }
        self.closed = false;
        let before = self.newest.replace((place, refusal)).map(|(before, _)| before);
        self.places += u64::from(before != Some(place));
        self.messages += u64::from(before.map(|(item, _)| item) != Some(place.0));
        let lane = if refusal { &mut self.refusals } else { &mut self.texts };
        let heard = lane.hear_node(saying.node, source, calls)?;
        if !refusal {
            let text = saying.text.as_wtf8();
            self.joined.0.add(text);
            self.joined.1.add(text, &heard.stretches, calls);
        }
        Ok(heard)
    }

    /// More text of the message `item` comes, which the event calls `name`: who goes by names must read the same.
    /// Some servers use another name than at its beginning, or one for all messages.
    pub fn named(&mut self, item: u64, name: Option<&str>) -> Result<(), Fault> {
        let name = name.unwrap_or_default();
        let newest = self.name.as_ref().filter(|(newest, _)| *newest == item);
        let fits = match newest {
            Some((_, known)) => known == name,
            None => self.names.len() < 2 || !self.names.contains(name),
        };
        if !fits {
            return Err(Fault::new("text.order", "pieces of one text name different items"));
        }
        if newest.is_none() {
            self.names.insert(name.to_owned());
            self.name = Some((item, name.to_owned()));
        }
        Ok(())
    }

    /// An event repeats the text at `place`. Who reads these events only must have all texts, in their order.
    fn repeated_by(&mut self, how: How, place: (u64, u64)) -> Result<(), Fault> {
        let newest = self.newest.map(|(newest, _)| newest);
        let (same, most, kind) = match how {
            How::Text => (newest == Some(place), self.places, 0),
            How::Part => (newest == Some(place), self.places, 1),
            How::Item => (newest.map(|(item, _)| item) == Some(place.0), self.messages, 2),
            How::Begun | How::Delta | How::Whole => return Ok(()),
        };
        let Some(copied) = self.copied.get_mut(kind) else { return Ok(()) };
        *copied += 1;
        self.closed = true;
        match same && *copied == most {
            true => Ok(()),
            false => Err(Fault::new(
                "text.order",
                "a copy of a text does not follow it, or that of another is missing",
            )),
        }
    }

    /// The message `item` is done: keeps what later copies are held to.
    pub fn done(&mut self, item: u64, parts: BTreeMap<u64, Said>) {
        for (place, said) in parts.into_iter().filter(|(_, said)| !said.sum.is_empty()) {
            let spoken = Spoken { digest: said.sum.digest(), refusal: said.refusal, told: said.told };
            self.spoken.insert((item, place), spoken);
        }
    }

    /// The end of the reply, which may repeat all texts.
    pub fn last(&mut self) {
        self.expected = std::mem::take(&mut self.spoken).into_values().collect();
    }

    /// A message there.
    pub fn repeat(
        &mut self,
        message: &Node,
        source: &[u8],
        calls: &Calls,
        heard: &mut Heard,
    ) -> Result<(), Fault> {
        items::check_plain(message)?;
        for saying in items::texts(message).filter(|saying| !saying.is_empty()) {
            let same = |spoken: &Spoken| {
                spoken.refusal == saying.refusal && spoken.digest == digest_of(saying.text.as_wtf8())
            };
            let Some(spoken) = self.expected.pop_front().filter(same) else {
                return Err(differ("a message at the end of the reply"));
            };
            self.repeated = true;
            spoken.told.repeat(saying.part, saying.node, source, calls, heard);
        }
        Ok(())
    }

    /// The texts have ended. `response` has been read but for its `output_text`, which some servers add and some
    /// clients read.
    pub fn end(
        &mut self,
        response: &Node,
        source: &[u8],
        heard: &mut Heard,
        step: &mut Step<'_>,
    ) -> Result<(), Fault> {
        if self.repeated && !self.expected.is_empty() {
            return Err(differ("the list of messages at the end of the reply"));
        }
        let joined = response.some("output_text");
        if joined.is_some_and(|joined| joined.as_string().is_none()) {
            return Err(super::order("a reply's text is not text"));
        }
        let saying = Saying::under(response, "output_text", false);
        if let Some(saying) = saying.filter(|saying| !saying.is_empty()) {
            if digest_of(saying.text.as_wtf8()) != self.joined.0.digest() {
                return Err(differ("the text of the reply"));
            }
            self.joined.1.repeat(saying.part, saying.node, source, step.calls, heard);
        }
        self.settle(step.calls, step.saw);
        Ok(())
    }

    /// What is open counts as far as it came.
    fn settle(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) {
        self.texts.end(calls, saw);
        self.refusals.end(calls, saw);
    }

    /// An item that stands for itself, in a list that is no reply, is read.
    pub fn next(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) {
        self.settle(calls, saw);
        if let Some(new) = Self::new(self.text_tools) {
            *self = new;
        }
    }
}

/// How a text is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// At the beginning of its message or part.
    Begun,
    Delta,
    /// Whole, by an event of its own (`output_text.done`, `refusal.done`).
    Text,
    /// Whole, with its part (`content_part.done`).
    Part,
    /// Whole, with its message (`output_item.done`).
    Item,
    /// Whole, with the reply.
    Whole,
}

/// What the texts of one event or body are heard with.
pub(super) struct Hearing<'a> {
    pub how: How,
    pub lanes: Option<&'a mut Lanes>,
    /// The JSON they stand in.
    pub source: &'a [u8],
    /// Whether the beginning of the reply was not seen.
    pub resumed: bool,
    pub heard: Heard,
}

impl Hearing<'_> {
    /// Whether this agent's texts are held.
    pub const fn holds(&self) -> bool {
        self.lanes.is_some()
    }

    /// Hears new text; `None` if no text is held.
    pub fn hear(
        &mut self,
        saying: Saying<'_>,
        place: (u64, u64),
        step: &mut Step<'_>,
    ) -> Result<Option<Heard>, Fault> {
        let Some(lanes) = self.lanes.as_deref_mut() else { return Ok(None) };
        if self.resumed {
            return Err(resumed());
        }
        lanes.hear(saying, place, self.how, self.source, step.calls).map(Some)
    }

    /// An event repeats the text at `place`, or says it first; of a message, any of its texts.
    pub fn repeated(&mut self, place: (u64, u64)) -> Result<(), Fault> {
        self.lanes.as_deref_mut().map_or(Ok(()), |lanes| lanes.repeated_by(self.how, place))
    }

    /// Hears a copy of `told`.
    pub fn repeat(
        &mut self,
        copy: Saying<'_>,
        refusal: bool,
        told: &Told,
        step: &Step<'_>,
    ) -> Result<(), Fault> {
        if self.lanes.is_none() {
            return Ok(());
        }
        if copy.refusal != refusal {
            return Err(differ("a text"));
        }
        told.repeat(copy.part, copy.node, self.source, step.calls, &mut self.heard);
        Ok(())
    }

    /// Takes note of an annotation of `told`.
    pub fn annotation(&mut self, annotation: &Node, told: &Told, step: &Step<'_>) {
        self.heard.lists.extend(List::annotation(annotation, told.before(step.calls)));
    }
}

/// The client has the beginning of the text from an earlier stream, and nobody here knows what it was.
pub(super) fn resumed() -> Fault {
    Fault::new("text.resumed", "a stream that was resumed in its middle goes on with text")
}
