//! What a request that was let in is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use doorward_core::routes::RouteId;
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json};
use doorward_store::{AgentName, KillSet, Scope, SessionName};
use http::header;
use http::{Request, StatusCode, request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::answer::{self, Answer};
use crate::approvals;
use crate::desk::{Act, Approver, Desk, Fault, FaultKind};
use crate::gate::Gate;
use crate::quarantine;
use crate::sessions::{self, session_json, sessions_json};
use crate::taint::{self, artefacts_json, found_json};
use doorward_core::syntax::Object;

/// Most bytes of a request body.
const MAX_BODY: usize = 16 * 1024;

/// Most bytes of a reason.
const MAX_REASON: usize = 1000;

/// Most receipts in one answer, and how many unless the request says so.
const MAX_RECEIPTS: usize = 1000;
const SOME_RECEIPTS: usize = 50;

/// Everything a connection needs.
pub(crate) struct Shared<D> {
    pub(crate) desk: Arc<D>,
    pub(crate) gate: Gate,
    pub(crate) approver: Approver,
    pub(crate) timeout: Duration,
}

/// Answers one request; calls `admitted` once it has shown the operator's token.
pub(crate) async fn handle<D: Desk>(
    shared: Arc<Shared<D>>,
    request: Request<Incoming>,
    admitted: impl FnOnce(),
) -> Answer {
    let (parts, body) = request.into_parts();
    let entry = match shared.gate.admit(&parts) {
        Ok(entry) => entry,
        Err(refusal) => {
            tracing::debug!(status = refusal.status().as_u16(), "control request refused");
            return *refusal;
        }
    };
    if entry.operator {
        admitted();
    }
    let id = entry.matched.id.unwrap_or_default();
    let answered = match entry.matched.route.id {
        RouteId::Health => Ok(answer::ok(Object::new().truth("alive", true))),
        RouteId::Ready => shared.desk.ready().map(|()| answer::ok(Object::new().truth("ready", true))),
        RouteId::Kill => act(&shared, &parts, body, Verb::Kill).await,
        RouteId::Resume => act(&shared, &parts, body, Verb::Resume).await,
        RouteId::Status => status(&*shared.desk).await,
        RouteId::Receipts => receipts(&*shared.desk, &parts).await,
        RouteId::Sessions => sessions(&shared, &parts, body).await,
        RouteId::Taint => taint(&shared, &parts, body).await,
        RouteId::Quarantine => quarantine(&shared, &parts, body).await,
        RouteId::Held => shared.desk.held(id.to_owned()).await.map(|held| answer::ok_raw(&held)),
        RouteId::Keys => keys(&shared, &parts, body).await,
        RouteId::Webhooks => webhooks(&shared, &parts, body).await,
        RouteId::WebhookRotate => rotate(&shared, &parts, id).await,
        RouteId::Upkeep => upkeep(&shared, &parts, body).await,
        RouteId::Receipt => receipt(&*shared.desk, id).await,
        RouteId::Approvals => approvals::list(&*shared.desk, &parts).await,
        RouteId::Approval => approvals::show(&*shared.desk, id).await,
        RouteId::Approve => approvals::settle(&shared, id, (&parts, body), approvals::Verb::Approve).await,
        RouteId::Deny => approvals::settle(&shared, id, (&parts, body), approvals::Verb::Deny).await,
        RouteId::Revoke => approvals::settle(&shared, id, (&parts, body), approvals::Verb::Revoke).await,
        RouteId::Reset => approvals::settle(&shared, id, (&parts, body), approvals::Verb::Reset).await,
        // Of the other listener: the table does not give them here.
        RouteId::Anthropic
        | RouteId::Openai
        | RouteId::Gemini
        | RouteId::Upstream
        | RouteId::Mcp
        | RouteId::Net
        | RouteId::ErrorPage
        | RouteId::DenialKey
        | RouteId::VerifyDenial => Err(no_such_route()),
    };
    answered.unwrap_or_else(|fault| answer::fault(&fault))
}

fn no_such_route() -> Fault {
    Fault {
        kind: FaultKind::NotFound,
        code: "not_found",
        message: "there is nothing at this path".into(),
        advice: "agents' routes are on the data listener".into(),
    }
}

async fn status<D: Desk>(desk: &D) -> Result<Answer, Fault> {
    let status = desk.status().await?;
    Ok(answer::status(&status, &desk.ready()))
}

async fn receipts<D: Desk>(desk: &D, parts: &request::Parts) -> Result<Answer, Fault> {
    let (limit, before) = page(parts.uri.query().unwrap_or_default())?;
    let receipts = desk.receipts(limit, before).await?;
    Ok(answer::ok(Object::new().array("receipts", receipts)))
}

async fn sessions<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Answer, Fault> {
    if parts.method == http::Method::GET {
        return Ok(answer::ok_raw(&sessions_json(&shared.desk.sessions().await?)));
    }
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    let act = sessions::act(&body, &shared.approver, now())?;
    // In a task of its own: an act that has begun is finished, even if the person hangs up.
    let desk = Arc::clone(&shared.desk);
    let done = tokio::spawn(async move { desk.session(act).await }).await.unwrap_or_else(|_| Err(failed()));
    Ok(answer::ok_raw(&session_json(&done?)))
}

async fn taint<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Answer, Fault> {
    if parts.method == http::Method::GET {
        let (agent, limit) = taint::page(parts.uri.query().unwrap_or_default())?;
        return Ok(answer::ok_raw(&artefacts_json(&shared.desk.artefacts(agent, limit).await?)));
    }
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    let (wish, approver) = (taint::wish(&body)?, shared.approver.clone());
    // In a task of its own: an act that has begun is finished, even if the person hangs up.
    let desk = Arc::clone(&shared.desk);
    let done = tokio::spawn(async move { desk.taint(wish, approver).await });
    Ok(answer::ok_raw(&found_json(&done.await.unwrap_or_else(|_| Err(failed()))?)))
}

async fn quarantine<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Answer, Fault> {
    if parts.method == http::Method::GET {
        return Ok(answer::ok_raw(&shared.desk.quarantine().await?));
    }
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    let (wish, approver) = (quarantine::wish(&body)?, shared.approver.clone());
    // In a task of its own: an act that has begun is finished, even if the person hangs up.
    let desk = Arc::clone(&shared.desk);
    let done = tokio::spawn(async move { desk.settle_held(wish, approver).await });
    Ok(answer::ok_raw(&done.await.unwrap_or_else(|_| Err(failed()))?))
}

async fn keys<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Answer, Fault> {
    if parts.method == http::Method::GET {
        return Ok(answer::ok_raw(&shared.desk.keys().await?));
    }
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    // In a task of its own: an act that has begun is finished, even if the person hangs up.
    let (desk, approver) = (Arc::clone(&shared.desk), shared.approver.clone());
    let done = tokio::spawn(async move { desk.key(body, approver).await });
    Ok(answer::ok_raw(&done.await.unwrap_or_else(|_| Err(failed()))?))
}

async fn webhooks<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Answer, Fault> {
    if parts.method == http::Method::GET {
        return Ok(answer::ok_raw(&shared.desk.webhooks().await?));
    }
    match json_body(parts, body, shared.timeout).await {
        Ok(body) => webhook(shared, body).await,
        Err(answer) => Ok(*answer),
    }
}

/// A webhook gets another secret. Documented without a body; `overlap` in the query says how long the old secret signs too.
async fn rotate<D: Desk>(shared: &Arc<Shared<D>>, parts: &request::Parts, id: &str) -> Result<Answer, Fault> {
    let wish = Object::new().text("act", "rotate").text("webhook", id);
    let wish = match parts.uri.query().unwrap_or_default() {
        "" => wish,
        query => match query.strip_prefix("overlap=").filter(|value| plain_word(value)) {
            Some(overlap) => wish.text("overlap", overlap),
            None => {
                let message = "the query has a bad or unknown part".to_owned();
                return Err(bad_request("bad_query", message, "it takes overlap, such as overlap=24h"));
            }
        },
    };
    webhook(shared, wish.end().into()).await
}

fn plain_word(value: &str) -> bool {
    (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

async fn webhook<D: Desk>(shared: &Arc<Shared<D>>, wish: Bytes) -> Result<Answer, Fault> {
    // In a task of its own: an act that has begun is finished, even if the person hangs up.
    let (desk, approver) = (Arc::clone(&shared.desk), shared.approver.clone());
    let done = tokio::spawn(async move { desk.webhook(wish, approver).await });
    Ok(answer::ok_raw(&done.await.unwrap_or_else(|_| Err(failed()))?))
}

async fn upkeep<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Answer, Fault> {
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    let (desk, approver) = (Arc::clone(&shared.desk), shared.approver.clone());
    let done = tokio::spawn(async move { desk.upkeep(body, approver).await });
    Ok(answer::ok_raw(&done.await.unwrap_or_else(|_| Err(failed()))?))
}

async fn receipt<D: Desk>(desk: &D, id: &str) -> Result<Answer, Fault> {
    match desk.receipt(id.to_owned()).await? {
        Some(receipt) => Ok(answer::ok_raw(&receipt)),
        None => Err(Fault {
            kind: FaultKind::NotFound,
            code: "no_such_receipt",
            message: format!("there is no receipt {id}"),
            advice: "GET /v1/receipts lists the latest".into(),
        }),
    }
}

/// `limit` and `before` of the query.
fn page(query: &str) -> Result<(usize, Option<String>), Fault> {
    let (mut limit, mut before) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let taken = match name {
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=MAX_RECEIPTS).contains(number));
                number.is_some() && limit.replace(number).is_none()
            }
            "before" => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
                let id = (1..=128).contains(&value.len()) && value.bytes().all(plain);
                id && before.replace(value.to_owned()).is_none()
            }
            _ => false,
        };
        if !taken {
            return Err(bad_request(
                "bad_query",
                format!("the query has a bad, doubled or unknown part: {name}"),
                "it takes limit (1 to 1000) and before (a receipt's id)",
            ));
        }
    }
    Ok((limit.flatten().unwrap_or(SOME_RECEIPTS), before))
}

#[derive(Clone, Copy)]
enum Verb {
    Kill,
    Resume,
}

async fn act<D: Desk>(
    shared: &Arc<Shared<D>>,
    parts: &request::Parts,
    body: Incoming,
    verb: Verb,
) -> Result<Answer, Fault> {
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    let (scope, reason) = wish(&body)?;
    let approver = shared.approver.clone();
    let act = Act { scope, reason, approver };
    // In a task of its own: an act that has begun is finished, even if the person hangs up.
    let desk = Arc::clone(&shared.desk);
    let done: Result<Arc<KillSet>, Fault> = tokio::spawn(async move {
        match verb {
            Verb::Kill => desk.kill(act).await,
            Verb::Resume => desk.resume(act).await,
        }
    })
    .await
    .unwrap_or_else(|_| Err(failed()));
    let set = done?;
    Ok(answer::acted(&set, &shared.approver))
}

/// What is said of an act that did not come to its end.
pub(crate) fn failed() -> Fault {
    Fault {
        kind: FaultKind::Failed,
        code: "internal",
        message: "doorward failed while doing this; part of it may be done".into(),
        advice: "look at GET /v1/status; to stop everything at once, create the file DOORWARD_HOME/kill"
            .into(),
    }
}

/// The body of an act.
pub(crate) async fn json_body(
    parts: &request::Parts,
    body: Incoming,
    timeout: Duration,
) -> Result<Bytes, Box<Answer>> {
    // A form on a web page cannot send this type without asking first.
    let is_json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        let advice = "send 'Content-Type: application/json'";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Box::new(answer::error(status, "not_json", "the body must be JSON", advice)));
    }
    read(body, timeout).await
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

async fn read(body: Incoming, timeout: Duration) -> Result<Bytes, Box<Answer>> {
    let refuse = |status, code, message| Err(Box::new(answer::error(status, code, message, "")));
    match tokio::time::timeout(timeout, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 16 KiB")
        }
        Ok(Err(_)) => refuse(StatusCode::BAD_REQUEST, "broken_body", "the body did not arrive whole"),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time"),
    }
}

/// `{"agent": NAME or null, "session": NAME or null, "reason": TEXT}`, all optional. Nothing unknown: a misspelt `agent` would
/// otherwise act on everything.
fn wish(body: &[u8]) -> Result<(Scope, String), Fault> {
    let example = r#"send {"agent": "NAME", "reason": "WHY"}, or "session" in the place of "agent"; without both it is about all"#;
    let bad = |message: String| bad_request("bad_body", message, example);
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    if !node.is_object() {
        return Err(bad(format!("the body must be an object, not {}", node.kind_name())));
    }
    if let Some(unknown) =
        node.members().iter().find(|member| !matches!(&*member.key, "agent" | "session" | "reason"))
    {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has an unknown member {key:?}")));
    }
    let scope = match (node.some("agent"), node.some("session")) {
        (None, None) => Scope::All,
        (Some(agent), None) => {
            let name = agent.as_str().ok_or_else(|| bad("agent must be text or null".into()))?;
            Scope::Agent(AgentName::new(name).map_err(|error| bad(error.to_string()))?)
        }
        (None, Some(session)) => {
            let name = session.as_str().ok_or_else(|| bad("session must be text or null".into()))?;
            Scope::Session(SessionName::new(name).map_err(|error| bad(error.to_string()))?)
        }
        (Some(_), Some(_)) => return Err(bad("it is about an agent or about a session, not both".into())),
    };
    let reason = node.some("reason").map_or(Ok(""), |reason| {
        words(reason)
            .ok_or_else(|| bad("reason must be text of at most 1000 bytes without control characters".into()))
    })?;
    Ok((scope, reason.to_owned()))
}

pub(crate) fn words(node: &Node) -> Option<&str> {
    let text = node.as_string().filter(|text| text.is_well_formed())?;
    (text.len() <= MAX_REASON && !text.chars().any(char::is_control)).then_some(text)
}

pub(crate) fn bad_request(code: &'static str, message: String, advice: &str) -> Fault {
    Fault { kind: FaultKind::Request, code, message, advice: advice.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_strictly() {
        let agent = Scope::Agent(AgentName::new("alice").unwrap());
        let session = Scope::Session(SessionName::new("alice/x").unwrap());
        assert_eq!(wish(br#"{"session":"alice/x"}"#), Ok((session, String::new())));
        assert_eq!(wish(br#"{}"#), Ok((Scope::All, String::new())));
        assert_eq!(wish(br#"{"agent":null,"reason":null}"#), Ok((Scope::All, String::new())));
        assert_eq!(wish(br#"{"reason":"loops","agent":"alice"}"#), Ok((agent, "loops".into())));
        for bad in [
            "",
            "null",
            "[]",
            "\"alice\"",
            "{\"agent\":1}",
            "{\"agent\":\"\"}",
            "{\"agent\":\"*\"}",
            "{\"agnet\":\"alice\"}",
            "{\"agent\":\"alice\",\"agent\":null}",
            "{\"agent\":\"../x\"}",
            "{\"session\":\"alice\"}",
            "{\"session\":\"alice/x\",\"agent\":\"alice\"}",
            "{\"reason\":7}",
            "{\"reason\":\"a\\nb\"}",
            "{\"reason\":\"\\ud800\"}",
            "{} {}",
            "{\"agent\":\"alice\"",
            "\u{feff}{}",
        ] {
            assert!(wish(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = |n: usize| format!(r#"{{"reason":"{}"}}"#, "x".repeat(n));
        assert!(wish(long(1000).as_bytes()).is_ok());
        assert!(wish(long(1001).as_bytes()).is_err());
    }

    #[test]
    fn a_page_is_read_strictly() {
        assert_eq!(page(""), Ok((50, None)));
        assert_eq!(page("limit=7&before=r_1"), Ok((7, Some("r_1".into()))));
        for bad in [
            "limit",
            "limit=",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=1&limit=1",
            "before=",
            "before=a%2fb",
            "after=x",
            "limit=99999999999999999999",
        ] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
