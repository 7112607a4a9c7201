//! Who is at the other end of a message to `/mcp`: in which version of the protocol it speaks, which key it shows, which
//! session it was given. What the headers say and what the message says must be one.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::syntax::{Node, Object, json};
use doorward_core::wire::jsonrpc::{self, Request};
use doorward_store::accounts::Key;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};

use super::super::Egress;
use super::super::plain::name_receipt;
use super::conversations::Conversation;
use super::status;
use crate::answer::Body;

/// The versions of the protocol that begin with `initialize`, the newest first.
pub(super) const GREETED: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The version in which each message says all of itself.
const ALONE: &str = "2026-07-28";

pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Names the session of an ordinary client.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// The member of `_meta` that says the version, and the one that must stand beside it.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CLIENT: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// Who sent a message, as far as its headers say.
#[derive(Debug)]
pub(super) struct Client {
    /// The key whose credential is shown.
    pub key: Option<Arc<Key>>,
    /// The session it was given.
    pub conversation: Option<Conversation>,
    /// The answer is to be one event of a stream.
    pub wants_events: bool,
}

/// In which way a message is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// As those are that begin with `initialize`.
    Greeted,
    /// As those are that stand alone.
    Alone,
}

impl Egress {
    /// Who sends this, or what it is told instead of an answer.
    pub(super) async fn client(&self, head: &Parts, ip: IpAddr) -> Result<Client, Box<Response<Body>>> {
        let key = match head.headers.contains_key(header::AUTHORIZATION) {
            false => None,
            // A key that is shown and wrong is a fault of the configuration: told when the client begins, not when it calls.
            true => match self.shown(head) {
                Ok(key) => Some(key),
                Err(unknown) => {
                    let denial = self.unrecorded(self.stranger(ip).err().unwrap_or(unknown)).await;
                    let code = StatusCode::from_u16(denial.code.status).unwrap_or(StatusCode::UNAUTHORIZED);
                    let mut response = refused(code, jsonrpc::INVALID_REQUEST, &denial.message);
                    let challenge = header::HeaderValue::from_static("Bearer realm=\"doorward\"");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                    name_receipt(response.headers_mut(), denial.request());
                    return Err(response);
                }
            },
        };
        let conversation = match one(&head.headers, &SESSION) {
            Ok(None) => None,
            Ok(Some(id)) => {
                let known = key.as_ref().and_then(|key| self.conversations.find(id, &key.id));
                Some(known.ok_or_else(|| refused(StatusCode::NOT_FOUND, jsonrpc::INVALID_REQUEST, ENDED))?)
            }
            Err(()) => return Err(refused(StatusCode::BAD_REQUEST, jsonrpc::INVALID_REQUEST, TWICE)),
        };
        Ok(Client { key, conversation, wants_events: wants_events(&head.headers) })
    }
}

/// What is answered instead.
#[derive(Debug)]
pub(super) struct Wrong {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

/// How a request is to be answered.
///
/// # Errors
/// The answer, if it is in no version that is spoken here, or its headers say something else than it does.
pub(super) fn era(headers: &HeaderMap, request: &Request) -> Result<Era, Box<Wrong>> {
    let mismatch = |what: &HeaderName| {
        let message = format!("the header `{what}` is not what the message says, or stands there twice");
        error(StatusCode::BAD_REQUEST, Some(&request.id), jsonrpc::HEADER_MISMATCH, &message)
    };
    let said = |name: &HeaderName| one(headers, name).map_err(|()| mismatch(name));
    let (version, method, name) = (said(&VERSION)?, said(&METHOD)?, said(&NAME)?);
    let meta = request.params.some("_meta");
    let within = meta.and_then(|meta| meta.get(META_VERSION));
    let alone = within.is_some() || version == Some(ALONE);
    if !alone && version.is_some_and(|version| !GREETED.contains(&version)) {
        return Err(unsupported(request, version.unwrap_or_default()));
    }
    if method.is_some_and(|method| method != &*request.method) || alone && method.is_none() {
        return Err(mismatch(&METHOD));
    }
    let called = request.params.text("name").filter(|_| &*request.method == "tools/call");
    let named = name.map(decoded);
    if called.is_some() && (alone || named.is_some()) && named.as_deref() != called {
        return Err(mismatch(&NAME));
    }
    if !alone {
        return Ok(Era::Greeted);
    }
    let Some(within) =
        within.and_then(Node::as_str).filter(|_| meta.is_some_and(|meta| meta.get(META_CLIENT).is_some()))
    else {
        let message = format!("`params._meta` must have `{META_VERSION}` and `{META_CLIENT}`");
        return Err(error(StatusCode::BAD_REQUEST, Some(&request.id), jsonrpc::INVALID_PARAMS, &message));
    };
    if version != Some(within) {
        return Err(mismatch(&VERSION));
    }
    if within == ALONE { Ok(Era::Alone) } else { Err(unsupported(request, within)) }
}

/// Every version that is spoken, the newest first, as JSON.
pub(super) fn versions() -> impl Iterator<Item = Vec<u8>> {
    std::iter::once(ALONE).chain(GREETED).map(json::quoted)
}

/// The version in which to go on with a client that begins with `asked`.
pub(super) fn agreed(asked: &str) -> &'static str {
    GREETED.into_iter().find(|version| *version == asked).unwrap_or(GREETED[0])
}

/// The one line of this name; `Err` if there are several.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// A name as it stands in a header: in base64 if it could not stand there as it is.
fn decoded(name: &str) -> String {
    let coded = name.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let plain =
        coded.and_then(|coded| STANDARD.decode(coded).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    plain.unwrap_or_else(|| name.to_owned())
}

/// Whether a client takes events and not JSON. One that takes both gets JSON: the SDK that signs its calls says both and
/// reads only that.
fn wants_events(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let types: Vec<String> = lines
        .flat_map(|line| line.split(','))
        .map(|one| one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let takes = |wanted: &[&str]| types.iter().any(|one| wanted.contains(&one.as_str()));
    takes(&["text/event-stream"]) && !takes(&["application/json", "application/*", "*/*"])
}

fn unsupported(request: &Request, asked: &str) -> Box<Wrong> {
    let asked: String = asked.chars().take(40).collect();
    let data = Object::new().array("supported", versions()).text("requested", &asked).end();
    let message = "this version of the protocol is not spoken here";
    let body = jsonrpc::error_with(Some(&request.id), jsonrpc::UNSUPPORTED_VERSION, message, &data);
    Box::new(Wrong { status: StatusCode::BAD_REQUEST, body })
}

fn refused(code: StatusCode, number: i32, message: &str) -> Box<Response<Body>> {
    Box::new(status(code, jsonrpc::error(None, number, message)))
}

fn error(status: StatusCode, id: Option<&[u8]>, number: i32, message: &str) -> Box<Wrong> {
    Box::new(Wrong { status, body: jsonrpc::error(id, number, message) })
}

const ENDED: &str = "this session is unknown or has ended; begin another with `initialize`";
const TWICE: &str = "a header is given twice, or cannot be read";
