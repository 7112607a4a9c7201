//! `POST /mcp`: tools over JSON-RPC. For the SDK a refusal is a result like any other, with status 200: it takes what comes
//! with another status for a gateway that is down.

use doorward_core::account::gcra::Standing;
use doorward_core::session::Millis;
use doorward_core::syntax::{Kind, Node, Object, Span};
use doorward_core::wire::jsonrpc::{self, Message, NoMessage};
use doorward_core::wire::sphyr::call::{self, Call, TOOLS};
use doorward_core::wire::sphyr::code;
use doorward_core::wire::sphyr::reply::{Denied, tool_result};
use doorward_store::accounts::Key;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::calls::Said;
use super::denied::Denial;
use super::{Caller, Egress};
use crate::answer::{Answer, Body, whole};
use crate::doors::body::counted_body;
use crate::incoming::Incoming;

/// The most bytes of a message: a body of 1 MiB, escaped.
const LARGEST: usize = 4 << 20;

/// The versions of the protocol that are spoken, the newest first.
const VERSIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];

/// Names the receipt of an answer, as the documents have it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a message is answered with.
struct Answered {
    status: StatusCode,
    body: Vec<u8>,
    receipt: Option<String>,
    retry_after: Option<u64>,
    left: Option<Left>,
}

impl Answered {
    const fn of(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body, receipt: None, retry_after: None, left: None }
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
    /// Answers a message.
    pub async fn mcp(&self, body: Incoming, caller: Caller) -> Response<Body> {
        let bytes = match counted_body(body, LARGEST, &self.memory).await {
            Ok(bytes) => bytes,
            Err(answer) => return plain(answer),
        };
        match jsonrpc::read(&bytes) {
            Ok(Message::Told) => status(StatusCode::ACCEPTED, Vec::new()),
            Ok(Message::Request(request)) => {
                let answered = self.asked(&request, caller).await;
                let mut response = status(answered.status, answered.body);
                let headers = response.headers_mut();
                if let Some(id) = answered.receipt.and_then(|id| HeaderValue::from_str(&id).ok()) {
                    headers.insert(REQUEST_ID, id);
                }
                if let Some(wait) = answered.retry_after {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
                }
                if let Some(left) = answered.left {
                    left.put(headers, self.now());
                }
                response
            }
            Err(wrong) => refused(&wrong),
        }
    }

    async fn asked(&self, request: &jsonrpc::Request, caller: Caller) -> Answered {
        let result = |result: &[u8]| Answered::of(jsonrpc::result(&request.id, result));
        let error = |code, message: &str| Answered::of(jsonrpc::error(Some(&request.id), code, message));
        match &*request.method {
            "initialize" => result(&initialized(&request.params)),
            "ping" => result(b"{}"),
            "tools/list" => result(&super::tools::list()),
            "tools/call" => {
                let Some(name) = request.params.text("name") else {
                    return error(jsonrpc::INVALID_PARAMS, "`name` of the tool is missing");
                };
                let arguments = request.params.some("arguments");
                let called = self.tool(name, arguments, caller).await;
                let token = arguments.and_then(|arguments| arguments.text("sess_token"));
                let left = token.and_then(|token| self.left(token, caller));
                match called {
                    Some(Ok(said)) => {
                        let receipt = said.receipt;
                        Answered { receipt, left, ..result(&tool_result(&said.json, false)) }
                    }
                    Some(Err(denial)) => Answered {
                        status: self.status_of(&denial),
                        body: jsonrpc::result(&request.id, &tool_result(&self.denied(&denial), true)),
                        receipt: denial.receipt,
                        retry_after: denial.retry_after,
                        left,
                    },
                    None => {
                        let message = format!("no such tool; there are {}", TOOLS.join(", "));
                        error(jsonrpc::INVALID_PARAMS, &message)
                    }
                }
            }
            _ => error(jsonrpc::METHOD_NOT_FOUND, "this server offers tools and nothing else"),
        }
    }

    /// The status of a refusal: 200, since the SDK takes any other for a gateway that is down, unless a setting has 429.
    fn status_of(&self, denial: &Denial) -> StatusCode {
        if self.settings.mcp_429 && denial.code == code::RATE_LIMITED {
            return StatusCode::TOO_MANY_REQUESTS;
        }
        StatusCode::OK
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
    ) -> Option<Result<Said, Denial>> {
        if !TOOLS.contains(&name) {
            return None;
        }
        // Who is known has limits of their own, and is not kept out by a flood of others.
        let answer = match if self.is_known(name, arguments, caller) { Ok(()) } else { self.backstop() } {
            Ok(()) => self.read_and_called(name, arguments, caller).await?,
            Err(denial) => Err(denial),
        };
        if let Err(denial) = &answer
            && denial.receipt.is_none()
        {
            self.unknown.note(denial, self.ticks(), self.gateway.recorder()).await;
        }
        Some(answer)
    }

    /// Whether a call is of a session that is there, or a key has signed it.
    fn is_known(&self, name: &str, arguments: Option<&Node>, caller: Caller) -> bool {
        let Some(arguments) = arguments else { return false };
        match arguments.text("sess_token") {
            Some(token) => self.session(token, caller).is_ok(),
            None => match call::read(name, arguments) {
                Some(Ok(Call::Handshake(asked))) => self.is_signed(&asked),
                _ => false,
            },
        }
    }

    async fn read_and_called(
        &self,
        name: &str,
        arguments: Option<&Node>,
        caller: Caller,
    ) -> Option<Result<Said, Denial>> {
        let nothing = Node { kind: Kind::Object(Vec::new()), span: Span::default() };
        Some(match call::read(name, arguments.unwrap_or(&nothing))? {
            Ok(call) => self.call(call, caller).await,
            Err(wrong) => Err(Denial::new(wrong.code, wrong.message)),
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
            request: denial.receipt.as_deref().unwrap_or_default(),
            docs: &docs,
            retry_after: denial.retry_after,
            redirect: None,
            proof: proof.as_deref(),
        }
        .json()
    }
}

/// The answer to the first message of an ordinary client.
fn initialized(params: &Node) -> Vec<u8> {
    let asked = params.text("protocolVersion").unwrap_or_default();
    let version = VERSIONS.into_iter().find(|version| *version == asked).unwrap_or("2025-06-18");
    let tools = Object::new().raw("tools", b"{}").end();
    let server = Object::new().text("name", "doorward").text("version", env!("CARGO_PKG_VERSION")).end();
    Object::new()
        .text("protocolVersion", version)
        .raw("capabilities", &tools)
        .raw("serverInfo", &server)
        .end()
}

fn refused(wrong: &NoMessage) -> Response<Body> {
    status(StatusCode::BAD_REQUEST, jsonrpc::error(None, wrong.code, &wrong.message))
}

fn plain(answer: Answer) -> Response<Body> {
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
