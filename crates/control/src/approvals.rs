//! What people do about questions: look, say yes or no, take a yes back.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::syntax::json;
use doorward_store::GrantScope;
use http::request;
use hyper::body::Incoming;

use crate::answer::{self, Answer};
use crate::desk::{Desk, Fault, FaultKind, Settlement};
use crate::handle::{Shared, bad_request, failed, json_body, words};

/// The longest that somebody waits for news, in seconds. A connection lives a little longer.
const LONGEST: u64 = 30;

/// What is done.
#[derive(Clone, Copy)]
pub(crate) enum Verb {
    Approve,
    Deny,
    Revoke,
    Reset,
}

pub(crate) async fn list<D: Desk>(desk: &D, parts: &request::Parts) -> Result<Answer, Fault> {
    let watch = watch(parts.uri.query().unwrap_or_default())?;
    Ok(answer::ok_raw(&desk.approvals(watch).await?))
}

pub(crate) async fn show<D: Desk>(desk: &D, id: &str) -> Result<Answer, Fault> {
    match desk.approval(id.to_owned()).await? {
        Some(approval) => Ok(answer::ok_raw(&approval)),
        None => Err(Fault {
            kind: FaultKind::NotFound,
            code: "no_such_approval",
            message: format!("there is no question {id}, or no longer"),
            advice: "GET /v1/approvals lists what waits".into(),
        }),
    }
}

pub(crate) async fn settle<D: Desk>(
    shared: &Arc<Shared<D>>,
    id: &str,
    (parts, body): (&request::Parts, Incoming),
    verb: Verb,
) -> Result<Answer, Fault> {
    let body = match json_body(parts, body, shared.timeout).await {
        Ok(body) => body,
        Err(answer) => return Ok(*answer),
    };
    let (settlement, reason) = wish(&body, verb)?;
    let (desk, approver, id) = (Arc::clone(&shared.desk), shared.approver.clone(), id.to_owned());
    // In a task of its own: an answer that has begun to count counts, even if the person hangs up.
    let settled = tokio::spawn(async move { desk.settle(id, settlement, reason, approver).await }).await;
    Ok(answer::ok_raw(&settled.unwrap_or_else(|_| Err(failed()))?))
}

/// `after` and `wait` of the query: both or none.
fn watch(query: &str) -> Result<Option<(u64, Duration)>, Fault> {
    let (mut after, mut wait) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number = value.parse::<u64>().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
        let taken = match (name, number) {
            ("after", Some(number)) => after.replace(number).is_none(),
            ("wait", Some(number @ 1..=LONGEST)) => wait.replace(number).is_none(),
            _ => false,
        };
        if !taken {
            return Err(bad_query(name));
        }
    }
    match (after, wait) {
        (None, None) => Ok(None),
        (after, Some(wait)) => Ok(Some((after.unwrap_or_default(), Duration::from_secs(wait)))),
        (Some(_), None) => Err(bad_query("after")),
    }
}

fn bad_query(name: &str) -> Fault {
    bad_request(
        "bad_query",
        format!("the query has a bad, doubled or unknown part: {name}"),
        "it takes wait (1 to 30 seconds) and with it after (the revision of the answer before)",
    )
}

/// `{"scope": "once" or "session", "reason": TEXT}`; only a yes has a scope, and must have one.
fn wish(body: &[u8], verb: Verb) -> Result<(Settlement, String), Fault> {
    let example = match verb {
        Verb::Approve => r#"send {"scope": "once", "reason": "WHY"}; the scope is once or session"#,
        Verb::Deny | Verb::Revoke | Verb::Reset => r#"send {"reason": "WHY"}"#,
    };
    let bad = |message: String| bad_request("bad_body", message, example);
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    if !node.is_object() {
        return Err(bad(format!("the body must be an object, not {}", node.kind_name())));
    }
    let known = |key: &str| key == "reason" || key == "scope" && matches!(verb, Verb::Approve);
    if let Some(unknown) = node.members().iter().find(|member| !known(&member.key)) {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has an unknown member {key:?}")));
    }
    let settlement = match verb {
        Verb::Approve => match node.text("scope") {
            Some("once") => Settlement::Approve(GrantScope::Once),
            Some("session") => Settlement::Approve(GrantScope::Session),
            _ => return Err(bad("scope must be once or session".into())),
        },
        Verb::Deny => Settlement::Deny,
        Verb::Revoke => Settlement::Revoke,
        Verb::Reset => Settlement::Reset,
    };
    let reason = node.some("reason").map_or(Ok(""), |reason| {
        words(reason)
            .ok_or_else(|| bad("reason must be text of at most 1000 bytes without control characters".into()))
    })?;
    Ok((settlement, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_strictly() {
        let once = Settlement::Approve(GrantScope::Once);
        assert_eq!(wish(br#"{"scope":"once"}"#, Verb::Approve), Ok((once, String::new())));
        let session = Settlement::Approve(GrantScope::Session);
        let body = br#"{"reason":"go on","scope":"session"}"#;
        assert_eq!(wish(body, Verb::Approve), Ok((session, "go on".into())));
        assert_eq!(wish(b"{}", Verb::Deny), Ok((Settlement::Deny, String::new())));
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"scope":"always"}"#,
            r#"{"scope":null}"#,
            r#"{"scope":"once","scope":"once"}"#,
            r#"{"scope":"once","reason":"a\nb"}"#,
            r#"{"scope":"once","for":"ever"}"#,
        ] {
            assert!(wish(bad.as_bytes(), Verb::Approve).is_err(), "{bad}");
        }
        assert!(wish(br#"{"scope":"once"}"#, Verb::Deny).is_err());
    }

    #[test]
    fn a_watch_is_read_strictly() {
        assert_eq!(watch(""), Ok(None));
        assert_eq!(watch("wait=30&after=7"), Ok(Some((7, Duration::from_secs(30)))));
        assert_eq!(watch("wait=1"), Ok(Some((0, Duration::from_secs(1)))));
        for bad in [
            "wait",
            "wait=0",
            "wait=31",
            "after=7",
            "wait=1&wait=1",
            "wait=+1",
            "wait=1&x=1",
            "after=-1&wait=1",
        ] {
            assert!(watch(bad).is_err(), "{bad}");
        }
    }
}
