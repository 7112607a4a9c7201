//! Replies that carry replies: the results of batches, as lines or in one body.
//!
//! Every inner reply is read, judged and repaired as it would be if it came alone; what stands around it passes
//! as it is, and must not hold what could be a call. The requests were sent elsewhere and earlier, so which
//! tools were declared is not known ([`Declared::unseen`]).

use std::sync::Arc;

use bytes::Bytes;

use super::dialect::{self, Dialect};
use super::frame::{Calls, Frame, Observation, object};
use super::request::{Declared, Request};
use super::stray::looks_like_call_outside;
use super::text_tools::TextTools;
use super::{Fault, Protocol, anthropic, gemini};
use crate::action::PartKind;
use crate::decision::Coverage;
use crate::syntax::{Kind, Node, Span, json};

/// Where in a reply other replies stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Anthropic's results: every line is one.
    MessageResults,
    /// A file of OpenAI's: any file, or the results of a batch.
    OpenAiFile,
    /// A file of Gemini's: any file, or the results of a batch.
    GeminiFile,
    /// Gemini's batches, with results in them.
    GeminiBatches,
    /// Anthropic's batches: no results, only where they are.
    MessageBatches,
    /// OpenAI's batches: the same.
    OpenAiBatches,
}

impl Batch {
    /// The protocol it belongs to.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::MessageResults | Self::MessageBatches => Protocol::Anthropic,
            Self::OpenAiFile | Self::OpenAiBatches => Protocol::OpenAi,
            Self::GeminiFile | Self::GeminiBatches => Protocol::Gemini,
        }
    }

    /// Whether it comes in lines.
    #[must_use]
    pub const fn is_lines(self) -> bool {
        matches!(self, Self::MessageResults) || self.is_file()
    }

    /// Whether it may be any file.
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::OpenAiFile | Self::GeminiFile)
    }

    /// Reads a request to make a batch, each of its requests like one that comes alone.
    pub(crate) fn read_request(self, body: &[u8]) -> Result<Request, Fault> {
        let mut request = Request::default();
        // Nothing to read in a `GET`.
        if body.is_empty() {
            return Ok(request);
        }
        request.deferred = true;
        let node = object(body)?;
        match self {
            Self::MessageBatches => {
                for one in node.get("requests").map(Node::elements).unwrap_or_default() {
                    if let Some(params) = one.some("params") {
                        request.append(anthropic::read(params, body));
                    }
                }
            }
            Self::GeminiBatches => gemini::read_batch(&node, body, &mut request),
            _ => {
                request.say_all(PartKind::UserText, &node);
            }
        }
        Ok(request)
    }

    /// The replies in `node`.
    fn inner(self, node: &Node) -> Result<Vec<(Dialect, Span)>, Fault> {
        let mut found = Vec::new();
        match self {
            Self::MessageResults => {
                if let Some(message) = node.get("result").and_then(|result| result.some("message")) {
                    found.push((Dialect::Anthropic, message.span));
                }
            }
            Self::OpenAiFile => {
                if let Some(body) = node.get("response").and_then(|response| response.some("body")) {
                    found.extend(openai_dialect(body).map(|dialect| (dialect, body.span)));
                }
            }
            Self::GeminiFile => {
                found.extend(node.some("response").map(|response| (Dialect::Gemini, response.span)));
            }
            Self::GeminiBatches => inlined(node, &mut found),
            Self::MessageBatches | Self::OpenAiBatches => {}
        }
        if looks_like_call_outside(node, &found) {
            let message = "something that could be a call stands beside the results of a batch";
            return Err(Fault::new("wire.stray-call", message));
        }
        Ok(found)
    }
}

/// Which dialect a result of OpenAI's is in; `None` for one without calls, such as an embedding.
fn openai_dialect(body: &Node) -> Option<Dialect> {
    if !body.is_object() {
        return None;
    }
    match (body.some("choices"), body.text("object")) {
        (Some(_), Some("text_completion")) => Some(Dialect::OpenAiCompletions),
        (Some(_), _) => Some(Dialect::OpenAiChat),
        (None, Some("response")) => Some(Dialect::OpenAiResponses),
        _ => None,
    }
}

/// The responses under every `inlinedResponses`.
fn inlined(node: &Node, found: &mut Vec<(Dialect, Span)>) {
    match &node.kind {
        Kind::Array(elements) => elements.iter().for_each(|element| inlined(element, found)),
        Kind::Object(members) => {
            for member in members {
                let list = if &*member.key == "inlinedResponses" { member.value.elements() } else { &[] };
                for response in list.iter().filter_map(|one| one.get("response")) {
                    if response.is_object() {
                        found.push((Dialect::Gemini, response.span));
                    }
                }
                if list.is_empty() {
                    inlined(&member.value, found);
                }
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => {}
    }
}

/// Reads one reply that carries others.
#[derive(Debug)]
pub(crate) struct Reader {
    batch: Batch,
    declared: Declared,
    trusted: bool,
    text_tools: TextTools,
    /// Where the client reached us; empty if links are to be left alone.
    door: Arc<str>,
    /// Whether what cannot be read to the end has been noted.
    noted: bool,
}

impl Reader {
    pub fn new(batch: Batch, trusted: bool, text_tools: TextTools) -> Self {
        // As many choices as there are were asked for: nobody here knows how many.
        let declared = Declared { choices: 128, provider_tools: true, ..Declared::unseen() };
        Self { batch, declared, trusted, text_tools, door: Arc::from(""), noted: false }
    }

    /// Names where the client reached us, for links that lead elsewhere.
    pub fn at(&mut self, door: &Arc<str>) {
        self.door = Arc::clone(door);
    }

    /// Reads one line, or a whole body, into frames whose bytes together are `raw`.
    pub fn frames(
        &mut self,
        raw: &Bytes,
        calls: &mut Calls,
        saw: &mut Vec<Observation>,
    ) -> Result<Vec<Frame>, Fault> {
        if self.batch.is_lines() && raw.iter().all(u8::is_ascii_whitespace) {
            return Ok(vec![Frame::plain(raw.clone())]);
        }
        let node = match json::parse(raw) {
            Ok(node) if node.is_object() => node,
            Ok(_) => return Err(Fault::new("json.shape", "the JSON is not an object")),
            // The first line of JSON over several: no line to anybody.
            Err(fault) if self.batch.is_file() && fault.kind == json::FaultKind::Truncated => {
                if !std::mem::replace(&mut self.noted, true) {
                    saw.push(Observation::Coverage(Coverage::Partial("file".to_owned())));
                }
                return Ok(vec![Frame::plain(raw.clone())]);
            }
            Err(fault) => return Err(fault.into()),
        };
        if self.batch == Batch::MessageBatches && !self.door.is_empty() {
            self.batch.inner(&node)?;
            return self.linked(&node, raw);
        }
        let mut frames = Vec::new();
        let mut from = 0;
        for (dialect, span) in self.batch.inner(&node)? {
            let range = span.range();
            let fixed = raw.slice(from..range.start);
            from = range.end;
            calls.begin_part();
            let mut reader = dialect::Reader::new(dialect, &self.declared, self.trusted, self.text_tools);
            let mut frame = reader.body(&raw.slice(range), calls, saw)?;
            frame.of = Some(dialect);
            frames.extend([Frame::plain(fixed), frame]);
        }
        frames.push(Frame::plain(raw.slice(from..)));
        Ok(frames)
    }

    /// The body with the links to results leading through this door: the official SDKs follow them as they
    /// stand, past whoever they reached the batch through.
    fn linked(&self, node: &Node, raw: &Bytes) -> Result<Vec<Frame>, Fault> {
        let batches = std::iter::once(node).chain(node.get("data").map(Node::elements).unwrap_or_default());
        let mut frames = Vec::new();
        let mut from = 0;
        for link in batches.filter_map(|batch| batch.some("results_url")) {
            let results = link.as_str().and_then(results_of).ok_or_else(|| {
                Fault::new(
                    "batch.results-url",
                    "a batch's results_url is not where its results are documented to be",
                )
            })?;
            let range = link.span.range();
            let fixed = raw.slice(from..range.start);
            from = range.end;
            let ours = json::quoted(&format!("{}/v1/messages/batches/{results}/results", self.door));
            frames.extend([Frame::plain(fixed), Frame::plain(ours.into())]);
        }
        frames.push(Frame::plain(raw.slice(from..)));
        Ok(frames)
    }
}

/// The batch whose results stand at `url`.
fn results_of(url: &str) -> Option<&str> {
    let (_, id) = url.strip_suffix("/results")?.rsplit_once("/v1/messages/batches/")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!id.is_empty() && id.bytes().all(plain)).then_some(id)
}
