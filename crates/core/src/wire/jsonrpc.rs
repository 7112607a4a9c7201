//! JSON-RPC 2.0 as tool servers speak it: a message a body, or several where the version has that. What asks for an answer keeps
//! its id byte for byte.

use crate::syntax::{Kind, Node, Object, json};

/// Not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON, and no message.
pub const INVALID_REQUEST: i32 = -32600;
/// A message that asks for what nobody offers.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// A message whose parameters are wrong.
pub const INVALID_PARAMS: i32 = -32602;

/// What the headers of a message say is not what it says (Model Context Protocol, 2026-07-28).
pub const HEADER_MISMATCH: i32 = -32020;
/// A version of the Model Context Protocol that is not spoken here.
pub const UNSUPPORTED_VERSION: i32 = -32022;

/// A message that comes too often (of the numbers that JSON-RPC 2.0, section 5.1, leaves to servers).
pub const LIMITED: i32 = -32000;

/// The most messages in one body.
pub const MOST: usize = 16;

/// The longest id that is kept, in bytes as sent.
const LONGEST_ID: usize = 256;

/// What a client sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// It wants an answer.
    Request(Request),
    /// It wants none: a notification, or the answer to something it was asked.
    Told,
}

/// What a body is.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// One message.
    One(Message),
    /// Several, each by itself: the Model Context Protocol has that in version 2025-03-26 and no other.
    Many(Vec<Result<Message, NoMessage>>),
}

/// A message that wants an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its id as it was written: a string or a number.
    pub id: Box<[u8]>,
    /// What is asked for.
    pub method: Box<str>,
    /// With what; always an object, as tool servers have no others.
    pub params: Node,
}

/// Why a body is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoMessage {
    /// The number that JSON-RPC 2.0, section 5.1, has for it.
    pub code: i32,
    /// What is wrong, for a person.
    pub message: String,
}

impl NoMessage {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Reads `body` strictly: one object, each key once, `jsonrpc` as 2.0 has it; or a list of 1 to [`MOST`] of these, of which one that
/// is none does not spoil the others (JSON-RPC 2.0, section 6).
///
/// # Errors
/// [`NoMessage`].
pub fn read(body: &[u8]) -> Result<Said, NoMessage> {
    let tree = json::parse(body)
        .map_err(|fault| NoMessage::new(PARSE_ERROR, format!("the body is not strict JSON: {fault}")))?;
    match tree.kind {
        Kind::Array(messages) if (1..=MOST).contains(&messages.len()) => {
            Ok(Said::Many(messages.into_iter().map(|one| message(one, body)).collect()))
        }
        Kind::Array(_) => Err(NoMessage::new(INVALID_REQUEST, format!("a batch has 1 to {MOST} messages"))),
        _ => message(tree, body).map(Said::One),
    }
}

fn message(tree: Node, body: &[u8]) -> Result<Message, NoMessage> {
    let wrong = |message: &str| NoMessage::new(INVALID_REQUEST, message);
    let Kind::Object(members) = tree.kind else {
        return Err(wrong("a JSON-RPC message is an object"));
    };
    let mut version = None;
    let (mut id, mut method, mut params, mut answers) = (None, None, None, false);
    for member in members {
        match member.key.as_str() {
            "jsonrpc" => version = Some(member.value),
            "id" => id = Some(member.value),
            "method" => method = Some(member.value),
            "params" => params = Some(member.value),
            "result" | "error" => answers = true,
            _ => {}
        }
    }
    if version.as_ref().and_then(Node::as_str) != Some("2.0") {
        return Err(wrong("`jsonrpc` must be \"2.0\""));
    }
    let Some(method) = method else {
        return if answers { Ok(Message::Told) } else { Err(wrong("`method` is missing")) };
    };
    let method: Box<str> = method.as_str().ok_or_else(|| wrong("`method` must be a string"))?.into();
    let Some(id) = id else { return Ok(Message::Told) };
    if !matches!(id.kind, Kind::String(_) | Kind::Number(_)) || id.span.of(body).len() > LONGEST_ID {
        return Err(wrong("`id` must be a short string or a number"));
    }
    let params = params.unwrap_or(Node { kind: Kind::Object(Vec::new()), span: id.span });
    if !params.is_object() {
        return Err(NoMessage::new(INVALID_PARAMS, "`params` must be an object"));
    }
    Ok(Message::Request(Request { id: id.span.of(body).into(), method, params }))
}

/// The answer to the request of this id; `result` is JSON.
#[must_use]
pub fn result(id: &[u8], result: &[u8]) -> Vec<u8> {
    Object::new().text("jsonrpc", "2.0").raw("id", id).raw("result", result).end()
}

/// The refusal of the request of this id; of `null` if nobody knows which it was.
#[must_use]
pub fn error(id: Option<&[u8]>, code: i32, message: &str) -> Vec<u8> {
    failed(id, Object::new().raw("code", code.to_string().as_bytes()).text("message", message))
}

/// The same with what programs read about it; `data` is JSON.
#[must_use]
pub fn error_with(id: Option<&[u8]>, code: i32, message: &str, data: &[u8]) -> Vec<u8> {
    let error = Object::new().raw("code", code.to_string().as_bytes()).text("message", message);
    failed(id, error.raw("data", data))
}

fn failed(id: Option<&[u8]>, error: Object) -> Vec<u8> {
    Object::new().text("jsonrpc", "2.0").raw("id", id.unwrap_or(b"null")).raw("error", &error.end()).end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Request {
        match read(body.as_bytes()).unwrap() {
            Said::One(Message::Request(request)) => request,
            Said::One(Message::Told) | Said::Many(_) => panic!("{body}"),
        }
    }

    #[test]
    fn an_id_is_given_back_as_it_came() {
        for id in ["\"2\"", "7", "-1.50", "\"\\u0041\""] {
            let request = asked(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
            assert_eq!(&*request.id, id.as_bytes());
            let answer = String::from_utf8(result(&request.id, b"{}")).unwrap();
            assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
        }
    }

    #[test]
    fn what_wants_no_answer_gets_none() {
        for body in [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#,
        ] {
            assert_eq!(read(body.as_bytes()), Ok(Said::One(Message::Told)), "{body}");
        }
    }

    #[test]
    fn one_that_is_none_does_not_spoil_the_others() {
        let body = r#"[{"jsonrpc":"2.0","id":"a","method":"ping"},1,[],{"jsonrpc":"2.0","method":"told"}]"#;
        let Ok(Said::Many(messages)) = read(body.as_bytes()) else { panic!() };
        let [Ok(Message::Request(first)), Err(one), Err(two), Ok(Message::Told)] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        assert_eq!((&*first.id, one.code, two.code), (&b"\"a\""[..], INVALID_REQUEST, INVALID_REQUEST));
    }

    #[test]
    fn what_readers_could_take_differently_is_no_message() {
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(LONGEST_ID));
        let many = format!("[{}]", vec!["1"; MOST + 1].join(","));
        for (body, code) in [
            ("{", PARSE_ERROR),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, PARSE_ERROR),
            ("[]", INVALID_REQUEST),
            (&many, INVALID_REQUEST),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, INVALID_REQUEST),
            (r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":2}"#, INVALID_REQUEST),
            (&long, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, INVALID_PARAMS),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err().code, code, "{body}");
        }
    }
}
