//! What an agent asks for, read.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::action::ActionKind;
use doorward_core::action::request::{self as http_request, Header, Unread};
use doorward_core::session::{Mode, Said};
use doorward_core::stream::Dialect;
use doorward_core::usage::Asked as Reply;
use doorward_core::wire::request::{Declared, Request};
use doorward_core::wire::{Fault, Protocol};
use doorward_core::{Action, Coverage, Door, Source};
use http::request::Parts;
use http::{Method, StatusCode, header};

use super::endpoint::{Endpoint, endpoint, model_of};
use super::{Crossing, bad_request, session};
use crate::answer::Answer;
use crate::judge::now;
use crate::replies::Remembered;
use crate::sessions::Session;

/// A request as it was read.
pub(super) struct Asked {
    pub endpoint: Endpoint,
    pub request: Request,
    pub action: Action,
    /// What the agent is told if it is refused for being wrong.
    pub wrong: Option<Answer>,
    /// The decoded body as it is to be sent, if it could be decoded.
    pub body: Option<Bytes>,
    pub history: History,
    /// The session it belongs to.
    pub session: Arc<Session>,
    /// The mode of the whole crossing. Taken once: what is sent must have the shape that was judged, whatever becomes
    /// of the policy meanwhile.
    pub mode: Mode,
}

/// The conversation a request goes on from.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The conversation that the upstream keeps, if it does.
    pub conversation: Option<Arc<str>>,
    /// Whether the upstream keeps the reply.
    pub stored: bool,
    /// The reply that the request goes on from, if the upstream keeps it.
    pub previous: Option<Arc<str>>,
    /// How many calls that were blocked have been put back.
    pub restored: usize,
    /// The conversation whose calls have been given their outputs.
    pub answered: Option<String>,
}

/// The request that goes to the upstream with `head`, for conditions on requests; `body` is its decoded body, if it
/// could be decoded. A key that Doorward puts in is not among its headers: it is not the agent's.
pub(super) fn as_sent(head: &Parts, body: Option<Bytes>) -> http_request::Request {
    let brought = head.headers.iter().filter(|(_, value)| !value.is_sensitive());
    let line = |name: &str, value: &[u8]| Header { name: name.into(), value: value.trim_ascii().into() };
    let host = head.uri.authority().map(|authority| line("host", authority.as_str().as_bytes()));
    let headers = brought.map(|(name, value)| line(name.as_str(), value.as_bytes())).chain(host).collect();
    let body = body.map_or(http_request::Body::Unknown(Unread::Encoded), http_request::Body::Whole);
    http_request::Request::new(head.method.as_str(), &head.uri.to_string(), headers, body)
}

fn unread(coverage: Coverage) -> Request {
    Request { coverage, ..Request::default() }
}

impl Crossing {
    /// What the agent asks for, as an action. What is wrong with it is a fault of the action, so that it is
    /// judged and recorded like anything else (in monitor mode it passes, unread).
    /// `body_of` is what the body says, or why that cannot be known.
    ///
    /// # Errors
    /// An answer, if a session cannot be begun.
    pub(super) fn read(&self, head: &Parts, body_of: Result<&Bytes, &Fault>) -> Result<Asked, Answer> {
        let path = self.rest.split('?').next().unwrap_or_default();
        let endpoint = endpoint(self.upstream.protocol, &head.method, path);
        let kind = match endpoint {
            Endpoint::Conversation(_) | Endpoint::Asked(..) => ActionKind::ModelRequest,
            Endpoint::Stored(_) | Endpoint::NoCalls(_) | Endpoint::Refused(_) | Endpoint::Unknown => {
                ActionKind::Opaque
            }
        };
        let mut action = Action::new(Door::Model, kind, self.agent.clone(), self.session_name());
        action.peer = self.upstream.name.clone();
        action.peer_trusted = self.upstream.trusted;
        action.source = Source::User;
        let (mut sent, mut history) = (body_of.ok().cloned(), History::default());
        let (mut said, bad_session) = match session::of_head(&head.headers) {
            Ok(said) => (said, None),
            Err(why) => (None, Some(bad_request("session", why))),
        };
        let (mut session, mut mode) = (None, Mode::Block);
        let body = bad_session.map_or(Ok(()), Err).and_then(|()| self.routable(head, endpoint, path));
        let body = body.and_then(|()| body_of.map_err(undecodable));
        let read = body.and_then(|body| match endpoint {
            Endpoint::Conversation(dialect) | Endpoint::Asked(dialect, _) => {
                let read = |body: &[u8]| {
                    dialect.read_request(body).map_err(|fault| bad_request(fault.code, fault.message))
                };
                let mut request = read(body)?;
                if said.is_none() {
                    said = request.session.take().map(|id| (id, Said::Body));
                }
                let entered = self.enter(said.take())?;
                mode = entered.standing(now()).mode.weaken(self.gateway.mode());
                session = Some(entered);
                let body = self.restored(dialect, body, &mut history, mode);
                if history.restored > 0 {
                    // What was put back was never made.
                    let earlier = request.earlier;
                    request = Request { earlier, ..read(&body)? };
                }
                self.inherit(dialect, &body, &mut request, &mut history);
                sent = Some(body);
                Ok(request)
            }
            Endpoint::Stored(_) => Ok(self.stored(path)),
            Endpoint::NoCalls(what) => Ok(unread(Coverage::None(what.to_owned()))),
            Endpoint::Refused(_) | Endpoint::Unknown => {
                Ok(unread(Coverage::Partial("unknown endpoint".to_owned())))
            }
        });
        let (request, wrong) = match read {
            Ok(request) => (request, None),
            Err(answer) => (unread(Coverage::None(answer.code.to_owned())), Some(answer)),
        };
        let session = match session {
            Some(session) => session,
            None => {
                let entered = self.enter(said)?;
                mode = entered.standing(now()).mode.weaken(self.gateway.mode());
                entered
            }
        };
        action.session = session.name();
        action.fault = wrong.as_ref().map(|answer| answer.message.clone());
        action.coverage = request.coverage.clone();
        action.parts.clone_from(&request.parts);
        action.places.clone_from(&request.places);
        action.returned.clone_from(&request.returned);
        action.effects.clone_from(&request.effects);
        action.asked = asked(endpoint, &head.method, model_of(path), &request);
        Ok(Asked { endpoint, request, action, wrong, body: sent, history, session, mode })
    }

    /// The session that was said, or the one of those of whom nothing is said.
    fn enter(&self, said: Option<(String, Said)>) -> Result<Arc<Session>, Answer> {
        let (name, said) = session::named(&self.agent, said);
        self.gateway.sessions().enter(&name, said, now()).map_err(|why| {
            tracing::error!(%why, "a session cannot be begun");
            Answer::agent(
                StatusCode::SERVICE_UNAVAILABLE,
                "session",
                format!("a session cannot be begun: {why}"),
            )
        })
    }

    /// What is remembered of this agent's earlier replies from this upstream.
    pub(super) fn remembered(&self) -> Remembered {
        self.gateway.replies().of(&self.agent, &self.upstream.name)
    }

    /// The request with calls that were blocked put back where its protocol asks for them. In monitor mode
    /// nothing was blocked, and nothing is altered.
    fn restored(&self, dialect: Dialect, body: &Bytes, history: &mut History, mode: Mode) -> Bytes {
        let memory = self.remembered();
        if memory.is_empty() || mode == Mode::Monitor {
            return body.clone();
        }
        // What is not strict JSON is refused when it is read.
        match dialect.restore(body, &memory) {
            Ok(Some(restored)) => {
                history.restored = restored.calls;
                history.answered = restored.conversation;
                restored.body
            }
            Ok(None) | Err(_) => body.clone(),
        }
    }

    /// What a request takes over from the history that its upstream keeps: tools that were found by searching
    /// stay declared.
    fn inherit(&self, dialect: Dialect, body: &[u8], request: &mut Request, history: &mut History) {
        let links = dialect.links(body);
        history.conversation = links.conversation.map(Arc::from);
        history.stored = links.stored;
        history.previous = links.previous.as_deref().map(Arc::from);
        let searches =
            ["tool_search", "tool_search (hosted)"].iter().any(|name| request.declared.tools.contains(*name));
        if let Some(before) =
            links.previous.filter(|_| searches).and_then(|id| self.remembered().declared_for(&id))
        {
            request.declared.tools.extend(before.tools.iter().cloned());
        }
    }

    /// What is known of a reply that was asked for earlier.
    fn stored(&self, path: &str) -> Request {
        let query = self.rest.split_once('?').map_or("", |(_, query)| query);
        // Escaped, it would be another parameter to some servers; then the stream has to begin at its beginning.
        let resumed = query.split('&').any(|parameter| parameter.starts_with("starting_after="));
        let id = path.split('/').skip_while(|part| *part != "responses").nth(1).unwrap_or_default();
        let declared = self.remembered().declared_for(id);
        let declared = declared.map_or_else(Declared::unseen, |declared| (*declared).clone());
        let declared = Declared { resumed, ..declared };
        Request { declared, ..unread(Coverage::None("stored reply".to_owned())) }
    }

    /// Refuses what no strict reader would route, and unknown endpoints of who is not trusted with them.
    fn routable(&self, head: &Parts, endpoint: Endpoint, path: &str) -> Result<(), Answer> {
        let odd = path.split('/').any(|part| matches!(part, "" | "." | "..")) && !path.is_empty()
            || path.bytes().any(|byte| matches!(byte, b'\\' | b'%' | b';') || !byte.is_ascii_graphic());
        if odd {
            let why = "the path has empty, dot or escaped segments, which servers read in different ways";
            return Err(bad_request("path", why.to_owned()));
        }
        if wants_websocket(head) {
            return Err(Answer::agent(StatusCode::UPGRADE_REQUIRED, "websocket", WEBSOCKET));
        }
        if let Endpoint::Refused(why) = endpoint {
            let message = format!("Doorward does not pass `{path}` on: {why}");
            return Err(Answer::agent(StatusCode::FORBIDDEN, "refused_endpoint", message));
        }
        if endpoint == Endpoint::Unknown && !(self.upstream.trusted && self.upstream.unknown_passes) {
            let message = format!(
                "Doorward does not know the endpoint `{path}` and the upstream `{}` is not trusted with unknown \
                 ones; use {}, or set `trusted: yes` and `unknown: pass` for it",
                self.upstream.name,
                instead(self.upstream.protocol, path)
            );
            return Err(Answer::agent(StatusCode::FORBIDDEN, "unknown_endpoint", message));
        }
        Ok(())
    }
}

/// Which model a request asks for a reply. What the path names is what answers, whatever the body says.
fn asked(endpoint: Endpoint, method: &Method, of_path: Option<&str>, request: &Request) -> Reply {
    let writes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE);
    match endpoint {
        Endpoint::Asked(_, "token count") | Endpoint::Stored(_) | Endpoint::Refused(_) => Reply::Nothing,
        Endpoint::Conversation(_) | Endpoint::Asked(..) if request.deferred => Reply::Deferred,
        Endpoint::Conversation(_) | Endpoint::Asked(..) => match of_path.unwrap_or(&request.model) {
            "" => Reply::Unknown,
            model => Reply::Model(model.into()),
        },
        Endpoint::NoCalls("embeddings" | "media") | Endpoint::Unknown if writes => Reply::Unknown,
        Endpoint::NoCalls(_) | Endpoint::Unknown => Reply::Nothing,
    }
}

/// What to do instead of a WebSocket.
const WEBSOCKET: &str = "Doorward cannot read WebSocket frames yet, so none pass. Use the same endpoint over plain HTTP \
    with server-sent events: agents fall back to it, or have a setting (Codex: `supports_websockets = false` in the \
    provider's section of config.toml). What exists as a WebSocket only, such as the Realtime API, is not served";

/// Whether the client asks for a WebSocket in the place of an answer. Other upgrades are ignored, as RFC 9110,
/// 7.8 allows.
fn wants_websocket(head: &Parts) -> bool {
    let upgrades = head.headers.get_all(header::UPGRADE).iter();
    upgrades.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"websocket")
    })
}

fn undecodable(fault: &Fault) -> Answer {
    let status = if fault.code == "content_encoding" {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        StatusCode::BAD_REQUEST
    };
    Answer::agent(status, fault.code, format!("the request cannot be read: {}", fault.message))
}

/// What to use in the place of an endpoint that is not known.
fn instead(protocol: Protocol, path: &str) -> &'static str {
    match (protocol, path) {
        (Protocol::Anthropic, _) => "/v1/messages",
        (Protocol::OpenAi, "api/chat" | "api/generate") => {
            "/v1/chat/completions, which Ollama has beside this interface of its own"
        }
        (Protocol::OpenAi, _) => "/v1/chat/completions or /v1/responses",
        (Protocol::Gemini, _) => "models/<model>:generateContent",
    }
}
