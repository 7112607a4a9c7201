//! `/mcp`: tools over JSON-RPC, for the SDK that signs its calls and for ordinary clients (streamable HTTP, versions 2024-11-05
//! to 2026-07-28). For the SDK a refusal is a result like any other, with status 200: it takes what comes with another status
//! for a gateway that is down.

use std::net::IpAddr;

use doorward_core::account::gcra::Standing;
use doorward_core::session::Millis;
use doorward_core::syntax::{Kind, Node, Object, Span};
use doorward_core::wire::jsonrpc::{self, Message, NoMessage, Said};
use doorward_core::wire::sphyr::call::{self, Call, TOOLS};
use doorward_core::wire::sphyr::code;
use doorward_core::wire::sphyr::reply::{Denied, tool_result};
use doorward_store::accounts::Key;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::calls;
use super::denied::Denial;
use super::fetch::FETCH;
use super::net::whose;
use super::{Caller, Egress};
use crate::answer::{Answer, Body, whole};
use crate::doors::body::counted_body;
use crate::incoming::Incoming;

mod batch;

mod client;
use client::{Client, Era};

mod conversations;
pub(super) use conversations::Conversations;

/// The most bytes of a message: a body of 1 MiB, escaped.
const LARGEST: usize = 4 << 20;

/// Names the receipt of an answer, as the documents have it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a message is answered with.
struct Answered {
    status: StatusCode,
    body: Vec<u8>,
    session: Option<HeaderValue>,
    receipt: Option<String>,
    retry_after: Option<u64>,
    left: Option<Left>,
}

impl Answered {
    const fn of(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body, session: None, receipt: None, retry_after: None, left: None }
    }
}

/// What the key of a call has left after it.
pub(super) struct Left {
    credits: u64,
    rate: Option<Standing>,
}

/// The headers of a rate.
const RATE: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

impl Left {
    /// Puts it into the headers of an answer: those of either of the documents. What a site says of its own rate, in an answer that
    /// is passed on, stays: clients go by it.
    pub(super) fn put(&self, headers: &mut HeaderMap, now: Millis) {
        headers.insert(HeaderName::from_static("x-credits-remaining"), HeaderValue::from(self.credits));
        let Some(rate) = self.rate else { return };
        headers.insert(HeaderName::from_static("x-quota-remaining"), HeaderValue::from(rate.remaining));
        if RATE.iter().any(|name| headers.contains_key(name)) {
            return;
        }
        let reset = now.saturating_add(rate.reset_ms).div_ceil(1000);
        let values = [u64::from(rate.limit), u64::from(rate.remaining), reset];
        for (name, value) in RATE.into_iter().zip(values) {
            headers.insert(name, HeaderValue::from(value));
        }
    }
}

impl Egress {
    /// Answers a message, or ends a session.
    pub async fn mcp(&self, head: &Parts, body: Incoming, caller: Caller) -> Response<Body> {
        let client = match self.client(head, caller.ip).await {
            Ok(client) => client,
            Err(response) => return *response,
        };
        if head.method == Method::DELETE {
            return match self.flooded(client.key.as_deref(), caller.ip).await {
                Ok(()) => self.ended(client),
                Err(denial) => limited(None, &denial).response(client.wants_events, self.now()),
            };
        }
        let bytes = match counted_body(body, LARGEST, &self.memory).await {
            Ok(bytes) => bytes,
            Err(answer) => return plain_answer(answer),
        };
        let said = match jsonrpc::read(&bytes) {
            Ok(Said::Many(messages)) => return self.batch(messages, head, &client, caller).await,
            Ok(Said::One(message)) => Ok(message),
            Err(wrong) => Err(wrong),
        };
        let Ok(Message::Request(request)) = said else {
            if let Err(denial) = self.flooded(client.key.as_deref(), caller.ip).await {
                return limited(None, &denial).response(client.wants_events, self.now());
            }
            return match said {
                Ok(_) => status(StatusCode::ACCEPTED, Vec::new()),
                Err(wrong) => refused(&wrong),
            };
        };
        match client::era(&head.headers, &request) {
            Ok(era) => {
                let asked = Asked { request: &request, head, client: &client, era, caller };
                self.asked(&asked).await.response(client.wants_events, self.now())
            }
            Err(wrong) => match self.flooded(client.key.as_deref(), caller.ip).await {
                Ok(()) => status(wrong.status, wrong.body),
                Err(denial) => limited(None, &denial).response(client.wants_events, self.now()),
            },
        }
    }

    /// Whether one more message may be answered, whatever it asks for: of who shows a key by the rate of its address, of all others
    /// by what strangers may.
    async fn flooded(&self, key: Option<&Key>, ip: IpAddr) -> Result<(), Denial> {
        match key.map_or_else(|| self.stranger(ip), |key| self.arrived(key, ip)) {
            Ok(()) => Ok(()),
            Err(denial) => Err(self.unrecorded(denial).await),
        }
    }

    /// Ends a session that its client has done with.
    fn ended(&self, client: Client) -> Response<Body> {
        match client.conversation {
            Some(conversation) => {
                self.conversations.end(conversation);
                let mut response = status(StatusCode::NO_CONTENT, Vec::new());
                response.headers_mut().remove(header::CONTENT_TYPE);
                response
            }
            None => {
                let message = "`Mcp-Session-Id` is missing: there is no session to end";
                status(StatusCode::BAD_REQUEST, jsonrpc::error(None, jsonrpc::INVALID_REQUEST, message))
            }
        }
    }

    /// The status of a refusal: 200, since the SDK takes any other for a gateway that is down, unless a setting has 429.
    fn status_of(&self, denial: &Denial) -> StatusCode {
        if self.settings.mcp_429 && denial.code == code::RATE_LIMITED {
            return StatusCode::TOO_MANY_REQUESTS;
        }
        StatusCode::OK
    }

    async fn asked(&self, asked: &Asked<'_>) -> Answered {
        // Calls are counted where it is known whose they are.
        if &*asked.request.method != "tools/call"
            && let Err(denial) = self.flooded(asked.client.key.as_deref(), asked.caller.ip).await
        {
            return limited(Some(&asked.request.id), &denial);
        }
        match (&*asked.request.method, asked.era) {
            ("initialize", Era::Greeted) => self.greeted(asked),
            ("server/discover", Era::Alone) => asked.lasting(described()),
            ("ping", Era::Greeted) => asked.result(Object::new()),
            ("tools/list", _) => asked.lasting(super::tools::list(asked.client.key.is_some())),
            ("tools/call", _) => self.called(asked).await,
            _ => asked.error(jsonrpc::METHOD_NOT_FOUND, "this server offers tools and nothing else"),
        }
    }

    /// The answer to the first message of an ordinary client. One that shows a key is given a session.
    fn greeted(&self, asked: &Asked<'_>) -> Answered {
        let version = client::agreed(asked.request.params.text("protocolVersion").unwrap_or_default());
        let greeting = Object::new()
            .text("protocolVersion", version)
            .raw("capabilities", &capabilities())
            .raw("serverInfo", &server())
            .text("instructions", INSTRUCTIONS);
        let begun = asked.client.key.as_ref().and_then(|key| self.conversations.begin(&key.id, version).ok());
        let session = begun.and_then(|begun| HeaderValue::from_str(begun.id()).ok());
        Answered { session, ..asked.result(greeting) }
    }

    /// Calls a tool.
    async fn called(&self, asked: &Asked<'_>) -> Answered {
        let params = &asked.request.params;
        let Some(name) = params.text("name") else {
            if let Err(denial) = self.flooded(asked.client.key.as_deref(), asked.caller.ip).await {
                return limited(Some(&asked.request.id), &denial);
            }
            return asked.error(jsonrpc::INVALID_PARAMS, "`name` of the tool is missing");
        };
        let arguments = params.some("arguments");
        if name == FETCH {
            return self.fetched(asked, arguments).await;
        }
        let called = self.tool(name, arguments, asked.caller).await;
        let token = arguments.and_then(|arguments| arguments.text("sess_token"));
        let left = token.and_then(|token| self.left(token, asked.caller));
        match called {
            Some(Ok(said)) => {
                let receipt = said.receipt;
                Answered { receipt, left, ..asked.result(tool_result(&[&said.json], false)) }
            }
            Some(Err(denial)) => Answered { left, ..self.denied_call(asked, denial) },
            None => {
                if let Err(denial) = self.flooded(asked.client.key.as_deref(), asked.caller.ip).await {
                    return limited(Some(&asked.request.id), &denial);
                }
                let message = format!("no such tool; there are {FETCH}, {}", TOOLS.join(", "));
                asked.error(jsonrpc::INVALID_PARAMS, &message)
            }
        }
    }

    /// Calls our own tool: the connection shows the key, in each message.
    async fn fetched(&self, asked: &Asked<'_>, arguments: Option<&Node>) -> Answered {
        let Some(key) = &asked.client.key else {
            let denial = Denial::new(code::AUTH_FAILED, NO_KEY);
            let denial = self.stranger(asked.caller.ip).err().unwrap_or(denial);
            return self.noted(asked, denial).await;
        };
        if let Err(denial) = self.arrived(key, asked.caller.ip) {
            let left = Some(self.left_of(key, "", asked.caller));
            return Answered { left, ..self.noted(asked, denial).await };
        }
        let unnamed = asked.client.conversation.as_ref().map_or_else(|| "mcp".to_owned(), |one| one.agent());
        let session = match self.plain_session(key, asked.head, &unnamed, asked.caller) {
            Ok(session) => session,
            Err(denial) => return self.noted(asked, denial).await,
        };
        let nothing = nothing();
        let fetched = self.fetch(arguments.unwrap_or(&nothing), key, &session, asked.caller).await;
        let left = Some(self.left_of(key, &session.agent, asked.caller));
        match fetched {
            Ok(texts) => {
                let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
                Answered { left, ..asked.result(tool_result(&texts, false)) }
            }
            Err(denial) => Answered { left, ..self.noted(asked, denial).await },
        }
    }

    /// A refusal, put on record if it is not.
    async fn noted(&self, asked: &Asked<'_>, denial: Denial) -> Answered {
        let denial = self.unrecorded(denial).await;
        self.denied_call(asked, denial)
    }

    fn denied_call(&self, asked: &Asked<'_>, denial: Denial) -> Answered {
        let result = asked.result(tool_result(&[&self.denied(&denial)], true));
        Answered {
            status: self.status_of(&denial),
            receipt: denial.request().map(Into::into),
            retry_after: denial.retry_after,
            ..result
        }
    }

    /// What the key of this session has left, if it may be told.
    fn left(&self, token: &str, caller: Caller) -> Option<Left> {
        let (session, key) = self.session(token, caller).ok()?;
        Some(self.left_of(&key, &session.agent, caller))
    }

    /// What a key has left, for calls of this agent.
    pub(super) fn left_of(&self, key: &Key, agent: &str, caller: Caller) -> Left {
        let credits = self.accounts().remaining(&key.id, self.now()).credits;
        Left { credits, rate: self.standing(key, agent, caller.ip) }
    }

    /// Calls a tool; `None` if there is none of that name.
    async fn tool(
        &self,
        name: &str,
        arguments: Option<&Node>,
        caller: Caller,
    ) -> Option<Result<calls::Said, Denial>> {
        let read = call::read(name, arguments.unwrap_or(&nothing()))?;
        let token = arguments.and_then(|arguments| arguments.text("sess_token"));
        let signer = match &read {
            Ok(Call::Handshake(asked)) => self.signer(asked),
            _ => None,
        };
        let signed = signer.is_some();
        // Who is known has limits of their own, and is not kept out by a flood of others.
        let known = token.and_then(|token| self.session(token, caller).ok());
        let counted = match known.as_ref().map(|(_, key)| key).or(signer.as_ref()) {
            Some(key) => self.arrived(key, caller.ip),
            None => self.stranger(caller.ip),
        };
        let answer = match (counted, read) {
            (Ok(()), Ok(call)) => self.call(call, signed, caller).await,
            (Ok(()), Err(wrong)) => Err(Denial::new(wrong.code, wrong.message)),
            (Err(denial), _) => Err(denial),
        };
        Some(match answer {
            Ok(said) => Ok(said),
            Err(denial) => {
                let denial = match known.as_ref() {
                    Some((session, key)) => denial.said_of(whose(session, key)),
                    None => denial,
                };
                Err(self.unrecorded(denial).await)
            }
        })
    }

    /// A refusal as JSON.
    pub(super) fn denied(&self, denial: &Denial) -> Vec<u8> {
        let docs = format!("{}{}", self.settings.docs, denial.code.name);
        let proofs = self.proofs.as_ref().zip(denial.receipt.as_deref());
        let proof = proofs.and_then(|(proofs, receipt)| proofs.prove(denial, receipt, self.now()));
        Denied {
            code: denial.code,
            message: &denial.message,
            request: denial.request().unwrap_or_default(),
            docs: &docs,
            retryable: denial.retryable(),
            retry_after: denial.retry_after,
            redirect: denial.redirect.as_deref(),
            would_ask: denial.would_ask,
            proof: proof.as_deref(),
        }
        .json()
    }
}

/// A message that wants an answer, and what came with it.
struct Asked<'a> {
    request: &'a jsonrpc::Request,
    head: &'a Parts,
    client: &'a Client,
    era: Era,
    caller: Caller,
}

impl Asked<'_> {
    fn result(&self, result: Object) -> Answered {
        let result = match self.era {
            Era::Greeted => result,
            Era::Alone => result.text("resultType", "complete"),
        };
        Answered::of(jsonrpc::result(&self.request.id, &result.end()))
    }

    /// A result that clients may keep. Not here: what is listed depends on the key.
    fn lasting(&self, result: Object) -> Answered {
        self.result(match self.era {
            Era::Greeted => result,
            Era::Alone => result.number("ttlMs", 0).text("cacheScope", "private"),
        })
    }

    fn error(&self, code: i32, message: &str) -> Answered {
        let status = match (self.era, code) {
            (Era::Greeted, _) => StatusCode::OK,
            (Era::Alone, jsonrpc::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
            (Era::Alone, _) => StatusCode::BAD_REQUEST,
        };
        Answered { status, ..Answered::of(jsonrpc::error(Some(&self.request.id), code, message)) }
    }
}

impl Answered {
    fn response(self, as_event: bool, now: Millis) -> Response<Body> {
        let Self { status: code, body, session, receipt, retry_after, left } = self;
        let mut response = match as_event {
            false => status(code, body),
            true => {
                let mut response =
                    status(code, [b"event: message\ndata: ", body.as_slice(), b"\n\n"].concat());
                let events = HeaderValue::from_static("text/event-stream");
                response.headers_mut().insert(header::CONTENT_TYPE, events);
                response
            }
        };
        let headers = response.headers_mut();
        if let Some(id) = receipt.and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(session) = session {
            headers.insert(client::SESSION, session);
        }
        if let Some(wait) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
        }
        if let Some(left) = left {
            left.put(headers, now);
        }
        response
    }
}

/// What is offered, for clients that do not begin with `initialize`.
fn described() -> Object {
    let meta = Object::new().raw(client::META_SERVER, &server()).end();
    Object::new()
        .array("supportedVersions", client::versions())
        .raw("capabilities", &capabilities())
        .text("instructions", INSTRUCTIONS)
        .raw("_meta", &meta)
}

fn capabilities() -> Vec<u8> {
    Object::new().raw("tools", b"{}").end()
}

fn server() -> Vec<u8> {
    Object::new().text("name", "doorward").text("version", env!("CARGO_PKG_VERSION")).end()
}

/// Arguments that were left out.
fn nothing() -> Node {
    Node { kind: Kind::Object(Vec::new()), span: Span::default() }
}

/// For the model.
const INSTRUCTIONS: &str = "Requests to the network go through the tool fetch, which a policy judges. A refusal says why; what \
                            it says to do is for you or your user, never a reason to try another way around it.";

/// For who calls the tool without a key.
const NO_KEY: &str = "show the credential of a key in every message: the header `Authorization: Bearer sphyr_v1_…`, in the \
                      configuration of your client";

/// Too often, to who shows no key: an error of the protocol, since nobody called a tool.
fn limited(id: Option<&[u8]>, denial: &Denial) -> Answered {
    Answered {
        status: StatusCode::TOO_MANY_REQUESTS,
        receipt: denial.request().map(Into::into),
        retry_after: denial.retry_after,
        ..Answered::of(jsonrpc::error(id, jsonrpc::LIMITED, &denial.message))
    }
}

fn refused(wrong: &NoMessage) -> Response<Body> {
    status(StatusCode::BAD_REQUEST, jsonrpc::error(None, wrong.code, &wrong.message))
}

fn plain_answer(answer: Answer) -> Response<Body> {
    let body = jsonrpc::error(None, jsonrpc::INVALID_REQUEST, &answer.message);
    status(answer.status, body)
}

pub(super) fn status(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(whole(body.into()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
