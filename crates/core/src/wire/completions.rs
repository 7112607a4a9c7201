//! OpenAI's Completions, the interface from before conversations: a prompt, and choices of text.
//!
//! No SDK reads a call here; one that stands here all the same is refused.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Fault;
use super::frame::{Frame, Gathered, Observation, object, reply};
use super::request::Request;
use super::sse::Event;
use super::stray::looks_like_call;
use super::usage;
use crate::action::PartKind;
use crate::syntax::{Kind, Node};

/// Reads one reply.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The text of each choice, and whether it has ended.
    choices: BTreeMap<u64, (Gathered, bool)>,
    /// Whether nothing may follow but `[DONE]`.
    done: bool,
}

/// The most choices one reply may have, as the interface bounds `n` times the prompts.
const MOST_CHOICES: usize = 4096;

impl Reader {
    /// Reads one event of a stream.
    pub fn event(&mut self, event: &Event, saw: &mut Vec<Observation>) -> Result<Frame, Fault> {
        let Some(data) = event.data() else { return Ok(Frame::plain(event.raw.clone())) };
        if data == b"[DONE]" {
            self.end(saw);
            return Ok(Frame::plain(event.raw.clone()));
        }
        if self.done {
            return Err(order("a chunk after the end of the reply"));
        }
        let node = reply(data)?;
        self.chunk(&node, saw)?;
        if node.some("error").is_some() {
            self.done = true;
            return Ok(Frame::error(event.raw.clone()));
        }
        Ok(Frame::plain(event.raw.clone()))
    }

    /// Reads a reply that is not streamed.
    pub fn body(&mut self, raw: &Bytes, saw: &mut Vec<Observation>) -> Result<Frame, Fault> {
        self.chunk(&reply(raw)?, saw)?;
        self.end(saw);
        Ok(Frame::plain(raw.clone()))
    }

    /// Whether the reply came to its end.
    pub fn complete(&self) -> Result<(), Fault> {
        let ended = !self.choices.is_empty() && self.choices.values().all(|(_, ended)| *ended);
        if self.done || ended {
            return Ok(());
        }
        Err(Fault::new("stream.truncated", "the stream ended before the reply did"))
    }

    fn chunk(&mut self, node: &Node, saw: &mut Vec<Observation>) -> Result<(), Fault> {
        if looks_like_call(node) {
            let message = "something that could be a call stands where no SDK looks for one";
            return Err(Fault::new("wire.stray-call", message));
        }
        usage::openai_chat(node, saw);
        for (place, choice) in node.get("choices").map(Node::elements).unwrap_or_default().iter().enumerate()
        {
            let index = choice.get("index").and_then(Node::as_u64).unwrap_or(place as u64);
            if self.choices.len() >= MOST_CHOICES && !self.choices.contains_key(&index) {
                return Err(order("more than 4096 choices"));
            }
            let (text, ended) = self.choices.entry(index).or_default();
            match choice.some("text").map(|text| &text.kind) {
                Some(Kind::String(said)) => text.add(said.as_wtf8(), saw),
                Some(_) => return Err(order("a choice's text is not text")),
                None => {}
            }
            if choice.text("finish_reason").is_some_and(|reason| !reason.is_empty()) {
                *ended = true;
                text.flush(saw);
            }
        }
        Ok(())
    }

    fn end(&mut self, saw: &mut Vec<Observation>) {
        self.done = true;
        self.choices.values_mut().for_each(|(text, _)| text.flush(saw));
    }
}

/// Reads a request to `/v1/completions`. Prompts may also be given as numbers, which nobody reads.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Fault> {
    let node = object(body)?;
    let mut request =
        Request { stream: node.get("stream").and_then(Node::as_bool) == Some(true), ..Request::default() };
    request.model = node.text("model").unwrap_or_default().to_owned();
    request.session = crate::wire::session::id(&node);
    for key in ["prompt", "suffix"] {
        let Some(prompt) = node.some(key) else { continue };
        request.say_all(PartKind::UserText, prompt);
        let numbers = |node: &Node| matches!(node.kind, Kind::Number(_));
        if prompt.elements().iter().any(|one| numbers(one) || one.elements().iter().any(numbers)) {
            request.unseen("tokens");
        }
    }
    Ok(request)
}

fn order(message: &str) -> Fault {
    Fault::new("openai.order", message)
}
