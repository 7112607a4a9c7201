//! The model door: between an agent and its model.
//!
//! ```text
//! request ─▶ endpoint ─▶ read strictly ─▶ pass ─▶ forward::request ─▶ reply head ─▶ open ─▶ relay
//! ```

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::action::ActionKind;
use doorward_core::session::Mode;
use doorward_core::stream::{Context, Dialect, Framing, Limits, Machine};
use doorward_core::wire::request::{Declared, Request};
use doorward_core::wire::{Protocol, anthropic, openai_chat};
use doorward_core::{Action, Coverage, Door, Source};
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::relay;
use crate::answer::{Answer, Body};
use crate::forward::{self, Outgoing, Unsent};
use crate::judge::{Gateway, Refusal, Why};
use crate::upstream::{Upstream, forwarded_headers};

/// The largest request: prompts carry images.
const LARGEST: usize = 64 << 20;

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
        let body = whole_body(&head, body).await?;
        let Asked { endpoint, request, action, wrong } = self.read(&head, &body);
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
        let reply = tokio::select! {
            reply = forward::request(&self.gateway, permit) => reply,
            () = relay::killed(&self.gateway, &self.agent) => return Err(relay::stopped().under(receipt.as_str())),
        };
        let reply = reply.map_err(|unsent| match unsent {
            Unsent::Refused(refusal) => Answer::from(refusal),
            Unsent::Upstream(answer) => answer,
        })?;
        let answered = self.reply(endpoint, request, reply).await;
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
        let reading = match self.reading(endpoint, &head) {
            Ok(reading) => reading,
            Err(answer) if monitor => Reading::Opaque(answer.code),
            Err(answer) => return Err(answer),
        };
        let mut action =
            Action::new(Door::Model, ActionKind::ModelResponse, self.agent.clone(), self.agent.clone());
        action.peer = self.upstream.name.clone();
        action.peer_trusted = self.upstream.trusted;
        action.source = Source::Provider;
        if let Reading::Opaque(why) = reading {
            action.coverage = Coverage::None(why.to_owned());
        }
        let permit = self.gateway.open(action).await?;
        head.headers = forwarded_headers(&head.headers);
        match reading {
            Reading::Opaque(_) => Ok(relay::opaque(self.gateway, permit, head, body)),
            Reading::Judged(framing) => {
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
    fn reading(&self, endpoint: Endpoint, head: &http::response::Parts) -> Result<Reading, Answer> {
        if !head.status.is_success() {
            return Ok(Reading::Opaque("error reply"));
        }
        if let Endpoint::NoCalls(what) = endpoint {
            return Ok(Reading::Opaque(what));
        }
        let name = &self.upstream.name;
        if let Some(encoding) = head.headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            let message = format!(
                "the upstream `{name}` encoded its reply although none was asked for; it cannot be read"
            );
            return Err(Answer::upstream("content_encoding", message));
        }
        let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
        let content_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if types.next().is_some() {
            return Err(Answer::upstream(
                "content_type",
                format!("the upstream `{name}` named two content types"),
            ));
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/event-stream" => Ok(Reading::Judged(Framing::Events)),
            "application/json" => Ok(Reading::Judged(Framing::Json)),
            _ if endpoint == Endpoint::Unknown => Ok(Reading::Opaque("unknown endpoint")),
            _ => {
                let message = format!(
                    "the upstream `{name}` answered with content type `{}` where JSON or an event stream is documented",
                    essence.escape_debug()
                );
                Err(Answer::upstream("content_type", message))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Reading {
    Judged(Framing),
    Opaque(&'static str),
}

/// Which endpoint this is. What carries calls that cannot be read yet (`responses`, `batches`, threads) is
/// unknown.
fn endpoint(protocol: Protocol, method: &Method, path: &str) -> Endpoint {
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let first = path.split('/').next().unwrap_or_default();
    let post = method == Method::POST;
    match (protocol, path) {
        (Protocol::Anthropic, "messages") if post => Endpoint::Conversation,
        (Protocol::OpenAi, "chat/completions") if post => Endpoint::Conversation,
        (Protocol::Anthropic, "messages/count_tokens") if post => Endpoint::NoCalls("token count"),
        (_, _) if first == "models" && method == Method::GET => Endpoint::NoCalls("models"),
        (_, _) if first == "files" => Endpoint::NoCalls("files"),
        (Protocol::OpenAi, "embeddings" | "moderations") if post => Endpoint::NoCalls("embeddings"),
        (Protocol::OpenAi, _) if matches!(first, "audio" | "images") && post => Endpoint::NoCalls("media"),
        _ => Endpoint::Unknown,
    }
}

/// The whole body, bounded, as it is: an encoded one cannot be judged.
async fn whole_body(head: &Parts, body: Incoming) -> Result<Bytes, Answer> {
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let why = "the request is encoded; send it without Content-Encoding so that it can be read";
        return Err(Answer::agent(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", why));
    }
    let gathering = Limited::new(body, LARGEST).collect();
    match tokio::time::timeout(std::time::Duration::from_secs(120), gathering).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Answer::agent(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the request is larger than {LARGEST} bytes"),
        )),
        Ok(Err(error)) => Err(bad_request("body", format!("the request's body cannot be read: {error}"))),
        Err(_) => Err(Answer::agent(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the request's body took longer than 120 s",
        )),
    }
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
        for path in ["v1/responses", "v1/messages/batches", "v1/threads", "v1/completions", "messagesx", ""] {
            assert_eq!(post(Protocol::OpenAi, path), Endpoint::Unknown, "{path}");
        }
        assert_eq!(post(Protocol::OpenAi, "v1/messages"), Endpoint::Unknown);
    }
}
