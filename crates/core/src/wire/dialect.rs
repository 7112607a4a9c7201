//! The dialects, and the one place that knows which reader belongs to which.

use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, Batch};
use super::frame::{Calls, Frame, Observation, Repair, Shape, object};
use super::openai_responses::restore::{Links, Memory, Restored};
use super::request::{Declared, Request};
use super::sse::Event;
use super::text_tools::{self, TextTools};
use super::{Fault, Protocol, anthropic, completions, gemini, openai_chat, openai_responses, unknown};

/// What the bytes of a reply say. Set by upstream and endpoint, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Gemini `generateContent`.
    Gemini,
    /// OpenAI Completions, from before conversations: text only.
    OpenAiCompletions,
    /// Replies that carry replies.
    Batch(Batch),
    /// An endpoint nobody here knows, of an upstream with this protocol.
    Unknown(Protocol),
}

impl Dialect {
    /// The protocol whose errors clients of this dialect read.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Anthropic => Protocol::Anthropic,
            Self::OpenAiChat | Self::OpenAiResponses | Self::OpenAiCompletions => Protocol::OpenAi,
            Self::Gemini => Protocol::Gemini,
            Self::Batch(batch) => batch.protocol(),
            Self::Unknown(protocol) => protocol,
        }
    }

    /// Reads a request that asks for a reply of this dialect.
    ///
    /// # Errors
    /// A [`Fault`] if it is not strict JSON of the documented shape.
    pub fn read_request(self, body: &[u8]) -> Result<Request, Fault> {
        match self {
            Self::Anthropic => anthropic::read_request(body),
            Self::OpenAiChat => openai_chat::read_request(body),
            Self::OpenAiResponses => openai_responses::read_request(body),
            Self::Gemini => gemini::read_request(body),
            Self::OpenAiCompletions => completions::read_request(body),
            Self::Batch(batch) => batch.read_request(body),
            Self::Unknown(_) => Ok(Request::default()),
        }
    }

    /// What a request says of the history it goes on from.
    #[must_use]
    pub fn links(self, body: &[u8]) -> Links {
        match self {
            Self::OpenAiResponses => {
                object(body).map(|node| openai_responses::restore::links(&node)).unwrap_or_default()
            }
            _ => Links::default(),
        }
    }

    /// Puts calls that were blocked in earlier replies back into a request, where its protocol asks for them;
    /// `None` if there is nothing to put back.
    ///
    /// # Errors
    /// A [`Fault`] if the request is not strict JSON.
    pub fn restore(self, body: &[u8], memory: &dyn Memory) -> Result<Option<Restored>, Fault> {
        match self {
            Self::OpenAiResponses => openai_responses::restore::restore(body, memory),
            _ => Ok(None),
        }
    }

    /// The end of a stream that could not go on, as this dialect says it.
    pub(crate) fn error_event(self, message: &str) -> Bytes {
        match self.protocol() {
            Protocol::Anthropic => anthropic::error_event(message),
            Protocol::OpenAi => openai_chat::error_event(message),
            Protocol::Gemini => gemini::error_event(message),
        }
    }

    /// Whether calls in its text are held: nobody reads them from plain completions.
    pub(crate) const fn holds_text(self) -> bool {
        !matches!(self, Self::OpenAiCompletions | Self::Unknown(_))
    }

    /// What keeps a connection alive and says nothing, between two events.
    pub(crate) const fn keep_alive(self) -> &'static [u8] {
        match self.protocol() {
            // An event of the protocol itself, which may come anywhere.
            Protocol::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            // A comment, which readers of event streams pass over.
            Protocol::OpenAi => b": doorward\n\n",
            // The official Python SDK parses every line that is not `data: ` as JSON; blank ones it skips.
            Protocol::Gemini => b"\n\n",
        }
    }

    /// How a frame is emitted, now that its calls are ruled.
    pub(crate) fn repair(self, frame: &Frame, calls: &Calls) -> Repair {
        let repair = match frame.of.unwrap_or(self) {
            _ if frame.shape == Shape::Text => Repair::Keep,
            Self::Anthropic => anthropic::repair(frame, calls),
            Self::OpenAiChat => openai_chat::repair(frame, calls),
            Self::OpenAiResponses => openai_responses::repair(frame, calls),
            Self::Gemini => gemini::repair(frame, calls),
            // What they carry is repaired by its own dialect.
            Self::OpenAiCompletions | Self::Batch(_) | Self::Unknown(_) => Repair::Keep,
        };
        text_tools::join_edits(repair, frame, calls)
    }
}

/// Reads one reply, frame by frame.
#[derive(Debug)]
pub(crate) enum Reader {
    Anthropic(anthropic::Reader),
    OpenAiChat(openai_chat::Reader),
    OpenAiResponses(Box<openai_responses::Reader>),
    Gemini(gemini::Reader),
    OpenAiCompletions(completions::Reader),
    Batch(batch::Reader),
    Unknown,
}

impl Reader {
    /// A reader for a reply to a request that declared these tools. `trusted`: what is not known may pass.
    pub fn new(dialect: Dialect, declared: &Declared, trusted: bool, text_tools: TextTools) -> Self {
        match dialect {
            Dialect::Anthropic => Self::Anthropic(anthropic::Reader::new(declared, trusted, text_tools)),
            Dialect::OpenAiChat => Self::OpenAiChat(openai_chat::Reader::new(declared, text_tools)),
            Dialect::OpenAiResponses => {
                Self::OpenAiResponses(Box::new(openai_responses::Reader::new(declared, trusted, text_tools)))
            }
            Dialect::Gemini => Self::Gemini(gemini::Reader::new(declared, trusted, text_tools)),
            Dialect::OpenAiCompletions => Self::OpenAiCompletions(completions::Reader::default()),
            Dialect::Batch(batch) => Self::Batch(batch::Reader::new(batch, trusted, text_tools)),
            Dialect::Unknown(_) => Self::Unknown,
        }
    }

    /// Names where the client reached us, for links that lead elsewhere.
    pub fn at(&mut self, door: &Arc<str>) {
        if let Self::Batch(reader) = self {
            reader.at(door);
        }
    }

    /// Reads one event of a stream.
    pub fn event(
        &mut self,
        event: &Event,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        match self {
            Self::Anthropic(reader) => reader.event(event, calls, saw),
            Self::OpenAiChat(reader) => reader.event(event, calls, saw),
            Self::OpenAiResponses(reader) => reader.event(event, calls, saw),
            Self::Gemini(reader) => reader.event(event, calls, saw),
            Self::OpenAiCompletions(reader) => reader.event(event, saw),
            Self::Batch(_) | Self::Unknown => unknown::event(event),
        }
    }

    /// Takes the text of an event that was taken by template: what reading it in full would have done.
    pub fn text(&mut self, lane: u64, text: &[u8], saw: &mut Vec<Observation>) {
        match self {
            Self::Anthropic(reader) => reader.text(text, saw),
            Self::OpenAiChat(reader) => reader.text(lane, text, saw),
            Self::Gemini(reader) => reader.text(lane, text, saw),
            Self::OpenAiResponses(reader) => reader.text(lane, text, saw),
            Self::OpenAiCompletions(_) | Self::Batch(_) | Self::Unknown => {}
        }
    }

    /// Takes the number of an event that was taken by template; empty if it had none.
    pub fn count(&mut self, count: &[u8]) {
        if let Self::OpenAiResponses(reader) = self {
            reader.count(count);
        }
    }

    /// Reads a reply that is not streamed.
    pub fn body(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Frame, Fault> {
        match self {
            Self::Anthropic(reader) => reader.body(raw, calls, saw),
            Self::OpenAiChat(reader) => reader.body(raw, calls, saw),
            Self::OpenAiResponses(reader) => reader.body(raw, calls, saw),
            Self::Gemini(reader) => reader.body(raw, calls, saw),
            Self::OpenAiCompletions(reader) => reader.body(raw, saw),
            Self::Batch(_) | Self::Unknown => unknown::body(raw, saw),
        }
    }

    /// Reads a body, or a line of one, into the frames it is sent on in.
    pub fn frames(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Vec<Frame>, Fault> {
        match self {
            Self::Batch(reader) => reader.frames(raw, calls, saw),
            other => other.body(raw, calls, saw).map(|frame| vec![frame]),
        }
    }

    /// Whether the reply came to its end, and what that end shows.
    pub fn complete(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) -> Result<(), Fault> {
        match self {
            Self::Anthropic(reader) => reader.complete(),
            Self::OpenAiChat(reader) => reader.complete(),
            Self::OpenAiResponses(reader) => reader.complete(),
            Self::Gemini(reader) => {
                reader.end(calls, saw);
                Ok(())
            }
            Self::OpenAiCompletions(reader) => reader.complete(),
            Self::Batch(_) | Self::Unknown => Ok(()),
        }
    }

    /// Whether what has been read is all that the provider says of usage.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Anthropic(reader) => reader.complete().is_ok(),
            Self::OpenAiChat(reader) => reader.complete().is_ok(),
            Self::OpenAiResponses(reader) => reader.complete().is_ok(),
            Self::OpenAiCompletions(reader) => reader.complete().is_ok(),
            // Each piece says what it is up to there.
            Self::Gemini(_) => true,
            Self::Batch(_) | Self::Unknown => false,
        }
    }

    /// The end of a stream that could not go on.
    pub fn error_event(&self, dialect: Dialect, message: &str) -> Bytes {
        match self {
            Self::OpenAiResponses(reader) => openai_responses::error_event(message, reader.next_number()),
            _ => dialect.error_event(message),
        }
    }
}
