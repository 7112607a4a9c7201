//! What the upstream answered: how it is to be read, and its way to the client.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::action::ActionKind;
use doorward_core::action::shell::State;
use doorward_core::session::Mode;
use doorward_core::stream::{Context, Dialect, Framing, Limits, Machine};
use doorward_core::wire::request::{Declared, Request};
use doorward_core::wire::{Protocol, unknown};
use doorward_core::{Action, Coverage, Door, Source};
use http::{HeaderValue, Method, Response, Version, header};
use http_body_util::{Either, Full};

use super::Crossing;
use super::endpoint::Endpoint;
use super::request::History;
use crate::answer::{Answer, Body};
use crate::budgets::Used;
use crate::doors::body::small_body;
use crate::doors::relay;
use crate::encoding::{Coding, Decoder, Decoding, Meter};
use crate::kept::{RequestKey, Tape};
use crate::record::Closing;
use crate::replies::Remembering;
use crate::turns::LARGE;
use crate::upstream::{UpstreamBody, forwarded_headers};

/// The largest error reply.
const LARGEST_ERROR: usize = 1 << 20;

impl Crossing {
    /// What the upstream answered, opened by a receipt and relayed.
    pub(super) async fn reply(
        self,
        endpoint: Endpoint,
        method: &Method,
        (request, history, key): (Request, History, Option<RequestKey>),
        (reply, mut used): (Response<UpstreamBody>, Option<Used>),
    ) -> Result<Response<Body>, Answer> {
        let (mut head, body) = reply.into_parts();
        if !head.status.is_success() {
            used.take().into_iter().for_each(Used::no_reply);
        }
        let before = self.left_before(&request, &history);
        let monitor = self.mode() == Mode::Monitor;
        if head.status.is_redirection() {
            let message = format!(
                "the upstream `{}` answered {} to send the client elsewhere; redirects are never relayed",
                self.upstream.name, head.status
            );
            return Err(Answer::upstream("redirect", message));
        }
        let reading = match self.reading(endpoint, method, &head) {
            Ok(reading) => reading,
            Err(answer) if monitor => Reading::Opaque(answer.code),
            Err(answer) => return Err(answer),
        };
        let mut action =
            Action::new(Door::Model, ActionKind::ModelResponse, self.agent.clone(), self.session_name());
        action.peer = self.upstream.name.clone();
        action.peer_trusted = self.upstream.trusted;
        action.source = Source::Provider;
        match reading {
            Reading::Opaque(why) => action.coverage = Coverage::None(why.to_owned()),
            Reading::Error if monitor => action.coverage = Coverage::None("error reply".to_owned()),
            Reading::Error => action.coverage = Coverage::Partial("error reply".to_owned()),
            Reading::Judged(_) => {}
        }
        let body = match reading {
            Reading::Error if !monitor => {
                let protocol = self.upstream.protocol;
                let session = self.session_name();
                tokio::select! {
                    biased;
                    () = relay::killed(&self.gateway, &session) => return Err(relay::stopped()),
                    body = error_body(&mut head, body, protocol) => Either::Right(body?),
                }
            }
            _ => Either::Left(body),
        };
        let permit = self.gateway.open(action, used).await?;
        if (permit.mode() == Mode::Monitor) != monitor {
            // Read in one mode and opened in another: a person changed the policy between these lines.
            let answer = Answer::moved().under(&**permit.receipt());
            self.gateway.recorder().close(permit, Closing { result: "failed", ..Closing::default() }).await;
            return Err(answer);
        }
        if let Some(conversation) = history.answered.filter(|_| head.status.is_success()) {
            self.remembered().answered(&conversation);
        }
        let coding = Coding::of(&head.headers).ok().flatten();
        head.headers = forwarded_headers(&head.headers);
        head.version = Version::HTTP_11;
        match reading {
            Reading::Opaque(_) | Reading::Error => {
                Ok(relay::opaque(self.gateway, permit, head, body, (self.patience, relay::Unseen)))
            }
            Reading::Judged(framing) => {
                let Either::Left(body) = body else {
                    return Err(Answer::upstream("broken", "no reply to read"));
                };
                let remembering = self.remembering(endpoint, &request, history.conversation, history.stored);
                let machine = self.machine(endpoint, framing, (request.declared, before), monitor);
                let decoder = coding.map(Decoder::new).transpose();
                let decoder = decoder.map_err(|fault| Answer::upstream(fault.code, fault.message))?;
                let session = self.session_name();
                let meter = Meter::new(self.memory);
                let (gateway, agent, patience) = (self.gateway, self.agent, self.patience);
                let mut relay = relay::Relay {
                    gateway,
                    agent,
                    session,
                    machine,
                    framing,
                    remembering,
                    patience,
                    keeping: None,
                };
                if monitor {
                    let copy = decoder.map(|decoder| relay::Copy::new(decoder, meter));
                    return relay.start(permit, head, Decoding::new(body, None), copy).await;
                }
                head.headers.remove(header::CONTENT_ENCODING);
                let whose = (relay.agent.clone(), permit.receipt().clone());
                let keep_alive = relay.machine.keep_alive();
                relay.keeping = key.map(|key| {
                    let tape = Tape::new(whose, (head.status, head.headers.clone()), keep_alive);
                    relay::Keeping { key, tape }
                });
                relay.start(permit, head, Decoding::new(body, decoder).metered(meter), None).await
            }
        }
    }

    /// The reply to the same request, if it was kept.
    pub(super) fn kept(&self, key: &RequestKey) -> Option<(RequestKey, Arc<Tape>)> {
        let tape = self.gateway.kept().take(key, self.gateway.in_force().number)?;
        Some((key.clone(), tape))
    }

    /// A reply that was kept, opened by a receipt of its own.
    pub(super) async fn again(self, key: RequestKey, tape: Arc<Tape>) -> Result<Response<Body>, Answer> {
        let session = self.session_name();
        let mut action =
            Action::new(Door::Model, ActionKind::ModelResponse, self.agent.clone(), session.clone());
        action.peer = self.upstream.name.clone();
        action.peer_trusted = self.upstream.trusted;
        action.source = Source::Provider;
        let first = Some(Arc::clone(&tape.receipt));
        let permit = self.gateway.open_after(action, None, first).await?;
        Ok(relay::again(self.gateway, permit, session, (key, tape), self.patience))
    }

    /// What is to be remembered of a reply that later requests may go on from.
    fn remembering(
        &self,
        endpoint: Endpoint,
        request: &Request,
        conversation: Option<Arc<str>>,
        stored: bool,
    ) -> Option<Remembering> {
        let declared = match endpoint {
            Endpoint::Conversation(Dialect::OpenAiResponses) => Some(Arc::new(request.declared.clone())),
            Endpoint::Stored(Dialect::OpenAiResponses) => None,
            _ => return None,
        };
        Some(Remembering { memory: self.remembered(), conversation, declared, stored })
    }

    /// What the calls of earlier replies have left behind.
    fn left_before(&self, request: &Request, history: &History) -> State {
        let conversations = self.gateway.conversations();
        let kept = history.previous.as_ref().or(history.conversation.as_ref());
        let from = kept.map(|id| {
            let known = conversations.of(&self.agent, &self.upstream.name, id);
            // A conversation begins with nothing; a reply that is gone on from is not known any more.
            known.unwrap_or_else(|| match history.previous {
                Some(_) => State::unknown(),
                None => State::default(),
            })
        });
        let after = || conversations.after(from.unwrap_or_default(), &request.earlier);
        let size: usize = request.earlier.iter().map(|call| call.arguments.len()).sum();
        if size > LARGE { tokio::task::block_in_place(after) } else { after() }
    }

    fn machine(
        &self,
        endpoint: Endpoint,
        framing: Framing,
        (declared, before): (Declared, State),
        monitor: bool,
    ) -> Machine {
        let dialect = match endpoint {
            Endpoint::Conversation(dialect) | Endpoint::Stored(dialect) => dialect,
            Endpoint::Asked(..) | Endpoint::NoCalls(_) | Endpoint::Refused(_) | Endpoint::Unknown => {
                Dialect::Unknown(self.upstream.protocol)
            }
        };
        let context = Context {
            agent: self.agent.clone(),
            session: self.session_name(),
            peer: self.upstream.name.clone(),
            trusted: self.upstream.trusted && self.upstream.unknown_passes,
            declared,
            before,
            text_tools: self.gateway.text_tools(&self.agent),
            door: self.door.clone(),
            placeholders: self.gateway.issued().of(&self.agent, &self.session_name()),
            monitor,
        };
        Machine::new(dialect, framing, context, Limits::default())
    }

    /// How a reply is to be read.
    fn reading(
        &self,
        endpoint: Endpoint,
        method: &Method,
        head: &http::response::Parts,
    ) -> Result<Reading, Answer> {
        let name = &self.upstream.name;
        let wrong = |code, what: String| Err(Answer::upstream(code, format!("the upstream `{name}` {what}")));
        if head.status.is_informational() {
            return wrong("status", format!("answered {} to an ordinary request", head.status));
        }
        if let Endpoint::NoCalls(what) | Endpoint::Asked(_, what) = endpoint {
            return Ok(Reading::Opaque(what));
        }
        if method == Method::HEAD {
            return Ok(Reading::Opaque("no body"));
        }
        if !head.status.is_success() {
            return Ok(Reading::Error);
        }
        if let Err(fault) = Coding::of(&head.headers) {
            return wrong("content_encoding", format!("sent a reply that cannot be read: {}", fault.message));
        }
        let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
        let content_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if types.next().is_some() {
            return wrong("content_type", "named two content types".into());
        }
        if !is_utf8(content_type) {
            return wrong(
                "content_type",
                "named a content type with a charset other than UTF-8, or more".into(),
            );
        }
        let essence = content_type.split(';').next().unwrap_or_default();
        if let Endpoint::Stored(Dialect::Batch(batch)) = endpoint
            && batch.is_lines()
        {
            let essence = essence.trim().to_ascii_lowercase();
            let media = ["audio/", "image/", "video/"].iter().any(|kind| essence.starts_with(kind));
            return Ok(if batch.is_file() && media {
                Reading::Opaque("media")
            } else {
                Reading::Judged(Framing::Lines)
            });
        }
        match essence.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Ok(Reading::Judged(Framing::Events)),
            "application/json" => Ok(Reading::Judged(Framing::Json)),
            other if endpoint == Endpoint::Unknown && is_media(other) => Ok(Reading::Opaque("media")),
            other => {
                let what = format!(
                    "answered with content type `{}` where JSON or an event stream is documented",
                    other.escape_debug()
                );
                wrong("content_type", what)
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Reading {
    Judged(Framing),
    /// An error where a conversation was asked for: passed as it is, unless it carries a call.
    Error,
    Opaque(&'static str),
}

/// Whether a content type names no charset but UTF-8. Some clients decode by it: UTF-7 spells another JSON
/// than the one we read.
fn is_utf8(content_type: &str) -> bool {
    let mut parameters =
        content_type.split(';').skip(1).map(str::trim).filter(|parameter| !parameter.is_empty());
    let fine = |parameter: &str| {
        matches!(
            parameter.to_ascii_lowercase().as_str(),
            "charset=utf-8" | "charset=utf8" | "charset=\"utf-8\""
        )
    };
    parameters.next().is_none_or(fine) && parameters.next().is_none()
}

/// Whether nobody reads this type as text.
fn is_media(essence: &str) -> bool {
    let binary = ["application/octet-stream", "application/pdf", "application/zip"];
    ["audio/", "image/", "video/"].iter().any(|kind| essence.starts_with(kind)) || binary.contains(&essence)
}

/// An error's body. Where it carries what could be a call, or cannot be read, an error of our own stands in
/// its place, under the upstream's status and headers.
async fn error_body(
    head: &mut http::response::Parts,
    body: UpstreamBody,
    protocol: Protocol,
) -> Result<Full<Bytes>, Answer> {
    // What cannot be decoded is withheld; what does not come whole is no reply.
    let coding = Coding::of(&head.headers);
    let known = coding.is_ok();
    let decoder = coding.and_then(|coding| coding.map(Decoder::new).transpose()).ok().flatten();
    let Ok(bytes) = small_body(decoder, body, LARGEST_ERROR).await else {
        let why = format!(
            "the upstream's error reply broke off, took longer than 60 s or has more than {LARGEST_ERROR} bytes"
        );
        return Err(Answer::upstream("error_reply", why));
    };
    head.headers.remove(header::CONTENT_ENCODING);
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let readable = known
        && is_utf8(content_type)
        && types.next().is_none()
        && !content_type.to_ascii_lowercase().contains("event-stream");
    if let Ok(bytes) = bytes
        && readable
        && unknown::error_reply(&bytes).is_ok()
    {
        return Ok(Full::new(bytes));
    }
    let message = "doorward: the provider answered with this status; its words are withheld, because they carry \
                   what could be a tool call or cannot be read";
    let own = protocol.error_body(head.status.as_u16(), "error_withheld", message);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Full::new(own.into()))
}
