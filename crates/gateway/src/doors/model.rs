//! The model door: between an agent and its model.
//!
//! ```text
//! request ─▶ endpoint ─▶ read strictly ─▶ pass ─▶ forward::request ─▶ reply head ─▶ open ─▶ relay
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorward_core::action::ActionKind;
use doorward_core::session::Mode;
use doorward_core::stream::{Context, Dialect, Framing, Limits, Machine};
use doorward_core::wire::request::{Declared, Request};
use doorward_core::wire::{Protocol, anthropic, openai_chat, unknown};
use doorward_core::{Action, Coverage, Door, Source};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::relay;
use crate::answer::{Answer, Body};
use crate::forward::{self, Outgoing, Unsent};
use crate::judge::{Gateway, LARGE, Refusal, Why};
use crate::upstream::{Upstream, forwarded_headers};

/// The largest request: prompts carry images.
const LARGEST: usize = 64 << 20;

/// The unit in which requests share memory.
const UNIT: usize = 1 << 20;

/// The largest error reply.
const LARGEST_ERROR: usize = 1 << 20;

/// How long gathering a body may take.
const GATHER: Duration = Duration::from_secs(60);

/// What an endpoint carries, by protocol, method and path. Decided one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    /// Calls: read and judged.
    Conversation,
    /// No calls: passed on, coverage `none`.
    NoCalls(&'static str),
    /// Not known.
    Unknown,
}

/// One request on its way to one upstream.
pub struct Crossing {
    /// What judges it.
    pub gateway: Arc<Gateway>,
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// Whose it is.
    pub agent: Arc<str>,
    /// Path below the upstream's base, and query.
    pub rest: String,
    /// What all requests together, and those of this agent, may take, in MiB.
    pub memory: [Arc<Semaphore>; 2],
}

/// A request as it was read.
struct Asked {
    endpoint: Endpoint,
    request: Request,
    action: Action,
    /// What the agent is told if it is refused for being wrong.
    wrong: Option<Answer>,
}

fn unread(coverage: Coverage) -> Request {
    Request { coverage, ..Request::default() }
}

impl Crossing {
    /// Takes a request through and gives the client its reply.
    pub async fn handle(self, head: Parts, body: Incoming) -> Response<Body> {
        let protocol = self.upstream.protocol;
        match self.cross(head, body).await {
            Ok(response) => response,
            Err(answer) => answer.into_response(protocol),
        }
    }

    async fn cross(self, head: Parts, body: Incoming) -> Result<Response<Body>, Answer> {
        let memory = self.memory.clone();
        let Gathered { bytes: body, shares } =
            whole_body(&head, body, memory.each_ref().map(|share| &**share)).await?;
        let Asked { endpoint, request, action, wrong } = if body.len() > LARGE {
            tokio::task::block_in_place(|| self.read(&head, &body))
        } else {
            self.read(&head, &body)
        };
        let method = head.method.clone();
        let onward = self.upstream.head(&head, &self.rest).map_err(|why| bad_request("path", why))?;
        let outgoing = Outgoing { upstream: Arc::clone(&self.upstream), head: onward, body };
        let permit = match self.gateway.pass(action, outgoing).await {
            Ok(permit) => permit,
            Err(Refusal { receipt, why: Why::Blocked, decision }) => {
                let answer = Answer::from(Refusal { receipt: receipt.clone(), why: Why::Blocked, decision });
                // The block stands in the ledger; the agent is told what is wrong with its request.
                return Err(wrong.map_or(answer, |wrong| wrong.under(receipt.unwrap_or_default())));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let receipt = permit.receipt().to_owned();
        // Monitor lets pass what is wrong, but an odd path could leave the upstream's base and take the
        // configured key along.
        if let Some(wrong) = wrong.filter(|wrong| wrong.code == "path") {
            return Err(wrong.under(receipt));
        }
        let reply = tokio::select! {
            reply = forward::request(&self.gateway, permit) => reply,
            () = relay::killed(&self.gateway, &self.agent) => return Err(relay::stopped().under(receipt.as_str())),
        };
        drop(shares);
        let reply = reply.map_err(|unsent| match unsent {
            Unsent::Refused(refusal) => Answer::from(refusal),
            Unsent::Upstream(answer) => answer,
        })?;
        let answered = self.reply(endpoint, &method, request, reply).await;
        answered.map_err(|answer| if answer.receipt.is_some() { answer } else { answer.under(receipt) })
    }

    /// What the agent asks for, as an action. What is wrong with it is a fault of the action, so that it is
    /// judged and recorded like anything else (in monitor mode it passes, unread).
    fn read(&self, head: &Parts, body: &[u8]) -> Asked {
        let path = self.rest.split('?').next().unwrap_or_default();
        let endpoint = endpoint(self.upstream.protocol, &head.method, path);
        let kind =
            if endpoint == Endpoint::Conversation { ActionKind::ModelRequest } else { ActionKind::Opaque };
        let mut action = Action::new(Door::Model, kind, self.agent.clone(), self.agent.clone());
        action.peer = self.upstream.name.clone();
        action.peer_trusted = self.upstream.trusted;
        action.source = Source::User;
        let read = self.routable(endpoint, path).and_then(|()| match endpoint {
            Endpoint::Conversation => {
                let read = match self.upstream.protocol {
                    Protocol::Anthropic => anthropic::read_request(body),
                    Protocol::OpenAi => openai_chat::read_request(body),
                };
                read.map_err(|fault| bad_request(fault.code, fault.message))
            }
            Endpoint::NoCalls(what) => Ok(unread(Coverage::None(what.to_owned()))),
            Endpoint::Unknown => Ok(unread(Coverage::Partial("unknown endpoint".to_owned()))),
        });
        let (request, wrong) = match read {
            Ok(request) => (request, None),
            Err(answer) => (unread(Coverage::None(answer.code.to_owned())), Some(answer)),
        };
        action.fault = wrong.as_ref().map(|answer| answer.message.clone());
        action.coverage = request.coverage.clone();
        action.parts.clone_from(&request.parts);
        Asked { endpoint, request, action, wrong }
    }

    /// Refuses what no strict reader would route, and unknown endpoints of who is not trusted with them.
    fn routable(&self, endpoint: Endpoint, path: &str) -> Result<(), Answer> {
        let odd = path.split('/').any(|part| matches!(part, "" | "." | "..")) && !path.is_empty()
            || path.bytes().any(|byte| matches!(byte, b'\\' | b'%' | b';') || !byte.is_ascii_graphic());
        if odd {
            let why = "the path has empty, dot or escaped segments, which servers read in different ways";
            return Err(bad_request("path", why.to_owned()));
        }
        if endpoint == Endpoint::Unknown && !(self.upstream.trusted && self.upstream.unknown_passes) {
            let message = format!(
                "Doorward does not know the endpoint `{path}` and the upstream `{}` is not trusted with unknown \
                 ones; use /v1/messages or /v1/chat/completions, or set `trusted: yes` and `unknown: pass` for it",
                self.upstream.name
            );
            return Err(Answer::agent(StatusCode::FORBIDDEN, "unknown_endpoint", message));
        }
        Ok(())
    }

    /// What the upstream answered, opened by a receipt and relayed.
    async fn reply(
        self,
        endpoint: Endpoint,
        method: &Method,
        request: Request,
        reply: Response<Incoming>,
    ) -> Result<Response<Body>, Answer> {
        let (mut head, body) = reply.into_parts();
        let monitor = self.gateway.mode() == Mode::Monitor;
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
            Action::new(Door::Model, ActionKind::ModelResponse, self.agent.clone(), self.agent.clone());
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
                tokio::select! {
                    biased;
                    () = relay::killed(&self.gateway, &self.agent) => return Err(relay::stopped()),
                    body = error_body(&mut head, body, protocol) => Either::Right(body?),
                }
            }
            _ => Either::Left(body),
        };
        let permit = self.gateway.open(action).await?;
        head.headers = forwarded_headers(&head.headers);
        match reading {
            Reading::Opaque(_) | Reading::Error => Ok(relay::opaque(self.gateway, permit, head, body)),
            Reading::Judged(framing) => {
                let Either::Left(body) = body else {
                    return Err(Answer::upstream("broken", "no reply to read"));
                };
                let machine = self.machine(endpoint, framing, request.declared, monitor);
                let relay = relay::Relay { gateway: self.gateway, agent: self.agent, machine, framing };
                relay.start(permit, head, body).await
            }
        }
    }

    fn machine(&self, endpoint: Endpoint, framing: Framing, declared: Declared, monitor: bool) -> Machine {
        let dialect = match (endpoint, self.upstream.protocol) {
            (Endpoint::Conversation, Protocol::Anthropic) => Dialect::Anthropic,
            (Endpoint::Conversation, Protocol::OpenAi) => Dialect::OpenAiChat,
            (_, protocol) => Dialect::Unknown(protocol),
        };
        let context = Context {
            agent: self.agent.clone(),
            session: self.agent.clone(),
            peer: self.upstream.name.clone(),
            trusted: self.upstream.trusted && self.upstream.unknown_passes,
            declared,
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
        if let Endpoint::NoCalls(what) = endpoint {
            return Ok(Reading::Opaque(what));
        }
        if method == Method::HEAD {
            return Ok(Reading::Opaque("no body"));
        }
        if !head.status.is_success() {
            return Ok(Reading::Error);
        }
        if !is_plain(&head.headers) {
            return wrong(
                "content_encoding",
                "encoded its reply although none was asked for; it cannot be read".into(),
            );
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

/// Whether a reply is as it says, in no encoding.
fn is_plain(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.next().is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
        && encodings.next().is_none()
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

/// Which endpoint this is. What carries calls that cannot be read yet (`responses`, `batches`, threads) is
/// unknown.
fn endpoint(protocol: Protocol, method: &Method, path: &str) -> Endpoint {
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').collect();
    let (post, get) = (method == Method::POST, method == Method::GET);
    match (protocol, parts.as_slice()) {
        (Protocol::Anthropic, ["messages"]) if post => Endpoint::Conversation,
        (Protocol::OpenAi, ["chat", "completions"]) if post => Endpoint::Conversation,
        (Protocol::Anthropic, ["messages", "count_tokens"]) if post => Endpoint::NoCalls("token count"),
        (_, ["models"] | ["models", _] | ["models", _, _]) if get => Endpoint::NoCalls("models"),
        (_, ["files"]) if post || get => Endpoint::NoCalls("files"),
        (_, ["files", _]) if get || method == Method::DELETE => Endpoint::NoCalls("files"),
        (_, ["files", _, "content"]) if get => Endpoint::NoCalls("files"),
        (Protocol::OpenAi, ["embeddings" | "moderations"]) if post => Endpoint::NoCalls("embeddings"),
        (Protocol::OpenAi, ["audio", "speech" | "transcriptions" | "translations"]) if post => {
            Endpoint::NoCalls("media")
        }
        (Protocol::OpenAi, ["images", "generations" | "edits" | "variations"]) if post => {
            Endpoint::NoCalls("media")
        }
        _ => Endpoint::Unknown,
    }
}

/// The whole body, bounded, as it is: an encoded one cannot be judged. All bodies together are bounded too:
/// a few hundred half-sent ones must not take the machine's memory.
async fn whole_body<'a>(
    head: &Parts,
    body: Incoming,
    memory: [&'a Semaphore; 2],
) -> Result<Gathered<'a>, Answer> {
    let mut encodings = head.headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| encoding != "identity") {
        let why = "the request is encoded; send it without Content-Encoding so that it can be read";
        return Err(Answer::agent(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", why));
    }
    match tokio::time::timeout(GATHER, gather(body, LARGEST, memory)).await {
        Ok(gathered) => gathered,
        Err(_) => {
            let why = "the request's body took longer than 60 s";
            Err(Answer::agent(StatusCode::REQUEST_TIMEOUT, "timeout", why))
        }
    }
}

/// A body and its share of what all, and what this agent, may take: to be held until it has gone on.
struct Gathered<'a> {
    bytes: Bytes,
    shares: Vec<SemaphorePermit<'a>>,
}

/// Shares are taken as bytes arrive, so that what is only announced takes none. Nobody waits for a share
/// while holding one: large requests would wait for each other.
async fn gather<'a>(
    mut body: Incoming,
    most: usize,
    memory: [&'a Semaphore; 2],
) -> Result<Gathered<'a>, Answer> {
    let mut bytes = BytesMut::new();
    let mut shares = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| bad_request("body", format!("the body cannot be read: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > most {
            let why = format!("the request is larger than {most} bytes");
            return Err(Answer::agent(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why));
        }
        bytes.extend_from_slice(data);
        while bytes.len() / UNIT > shares.len() / memory.len() {
            for share in memory {
                shares.push(share.try_acquire().map_err(|_| busy())?);
            }
        }
    }
    Ok(Gathered { bytes: bytes.freeze(), shares })
}

fn busy() -> Answer {
    let why = "large requests take all the memory they may at present; try again shortly";
    Answer::agent(StatusCode::SERVICE_UNAVAILABLE, "overloaded", why)
}

/// An error's body. Where it carries what could be a call, or cannot be read, an error of our own stands in
/// its place, under the upstream's status and headers.
async fn error_body(
    head: &mut http::response::Parts,
    body: Incoming,
    protocol: Protocol,
) -> Result<Full<Bytes>, Answer> {
    let own = Semaphore::new(LARGEST_ERROR / UNIT + 1);
    let gathered = tokio::time::timeout(GATHER, gather(body, LARGEST_ERROR, [&own, &own])).await;
    let Ok(Ok(Gathered { bytes, .. })) = gathered else {
        let why = format!(
            "the upstream's error reply broke off, took longer than 60 s or has more than {LARGEST_ERROR} bytes"
        );
        return Err(Answer::upstream("error_reply", why));
    };
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let readable = is_plain(&head.headers)
        && is_utf8(content_type)
        && types.next().is_none()
        && !content_type.to_ascii_lowercase().contains("event-stream");
    if readable && unknown::error_reply(&bytes).is_ok() {
        return Ok(Full::new(bytes));
    }
    let message = "doorward: the provider answered with this status; its words are withheld, because they carry \
                   what could be a tool call or cannot be read";
    let own = match protocol {
        Protocol::Anthropic => anthropic::error_body("api_error", message),
        Protocol::OpenAi => openai_chat::error_body("error_withheld", message),
    };
    head.headers.remove(header::CONTENT_ENCODING);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Full::new(own.into()))
}

fn bad_request(code: &'static str, message: String) -> Answer {
    Answer::agent(StatusCode::BAD_REQUEST, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_decided_one_by_one() {
        let post = |protocol, path| endpoint(protocol, &Method::POST, path);
        assert_eq!(post(Protocol::Anthropic, "v1/messages"), Endpoint::Conversation);
        assert_eq!(post(Protocol::OpenAi, "chat/completions"), Endpoint::Conversation);
        assert_eq!(post(Protocol::Anthropic, "v1/messages/count_tokens"), Endpoint::NoCalls("token count"));
        assert_eq!(endpoint(Protocol::OpenAi, &Method::GET, "v1/models/x"), Endpoint::NoCalls("models"));
        for path in [
            "v1/responses",
            "v1/messages/batches",
            "v1/threads",
            "v1/completions",
            "v1/files/chat/completions",
            "v1/audio/chat/completions",
            "v1/models/chat",
            "messagesx",
            "",
        ] {
            assert_eq!(post(Protocol::OpenAi, path), Endpoint::Unknown, "{path}");
        }
        assert_eq!(post(Protocol::OpenAi, "v1/messages"), Endpoint::Unknown);
    }
}
