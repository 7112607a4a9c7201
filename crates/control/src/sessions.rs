//! Sessions: what they are answered as, and what a person may do to one.

use std::sync::Arc;

use doorward_core::session::{Grant, Granted, Millis, SessionMode, Terms};
use doorward_core::syntax::{Node, json};
use doorward_store::{MAX_TASK, SessionName, SessionRecord, Stop};

use crate::answer::stop;
use crate::desk::{Approver, Fault, FaultKind};
use doorward_core::syntax::Object;

/// A session as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// Name, task and terms.
    pub record: SessionRecord,
    /// How many actions it has had in this process, how many of them were blocked, how many are under way.
    pub actions: (u64, u64, usize),
    /// Why it is stopped, if it is.
    pub stopped: Option<Stop>,
}

/// All sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// The one used last first.
    pub sessions: Vec<SessionStatus>,
    /// How many were dropped since the process started, to keep within bounds.
    pub dropped: u64,
}

/// What is wanted of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionWish {
    /// Begin it, on these terms.
    Init(String, Terms),
    /// Grant it something.
    Grant(Granted),
    /// Take a grant back.
    Revoke(Grant),
    /// Enforce more or less of what is decided.
    Mode(SessionMode),
    /// Forget what it has done so far.
    Clear,
}

/// An act of a person on a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAct {
    /// Which.
    pub name: SessionName,
    /// What.
    pub wish: SessionWish,
    /// Who.
    pub approver: Approver,
}

/// `{"sessions": […], "dropped": N}`.
#[must_use]
pub fn sessions_json(all: &Sessions) -> Vec<u8> {
    let sessions = all.sessions.iter().map(session_json);
    Object::new().array("sessions", sessions).number("dropped", all.dropped).end()
}

/// One session. Public so that one looked at without a running process is told alike.
#[must_use]
pub fn session_json(status: &SessionStatus) -> Vec<u8> {
    let SessionStatus { record, actions: (actions, blocked, pending), stopped } = status;
    let grants = record.terms.grants.iter().map(|granted| {
        let until = granted.until.map_or_else(|| b"null".to_vec(), |until| until.to_string().into_bytes());
        let of = Object::new().text("grant", granted.grant.as_str()).raw("until", &until);
        of.text("by", &granted.by).end()
    });
    let stopped = stopped.as_ref().map_or_else(|| b"null".to_vec(), stop);
    Object::new()
        .text("session", record.name.as_str())
        .text("agent", record.name.agent())
        .text("task", &record.task)
        .text("said_by", record.said.as_str())
        .text("mode", record.terms.mode.as_str())
        .array("grants", grants)
        .number("began", record.began)
        .number("used", record.used)
        .number("actions", *actions)
        .number("blocked", *blocked)
        .number("pending", *pending as u64)
        .raw("stopped", &stopped)
        .end()
}

/// What `POST /v1/sessions` asks for: `{"session": NAME, "act": ACT, …}`, nothing unknown.
pub(crate) fn act(body: &[u8], approver: &Approver, now: Millis) -> Result<SessionAct, Fault> {
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    let text = |key: &str| node.some(key).map_or(Ok(None), |member| of_words(member, key).map(Some));
    let name = text("session")?.ok_or_else(|| bad("the body names no session".into()))?;
    let name = SessionName::new(name).map_err(|error| bad(error.to_string()))?;
    let who = Arc::<str>::from(approver.as_str());
    let (known, wish): (&[&str], SessionWish) = match text("act")? {
        Some("init") => {
            let mode = text("mode")?.map_or(Ok(SessionMode::Enforce), mode)?;
            let mut terms = Terms { mode, ..Terms::default() };
            for one in node.some("grants").map(Node::elements).unwrap_or_default() {
                terms.grant(granted(one, &who, now)?);
            }
            (
                &["task", "mode", "grants"],
                SessionWish::Init(text("task")?.unwrap_or_default().to_owned(), terms),
            )
        }
        Some("grant") => (&["grant", "until"], SessionWish::Grant(granted(&node, &who, now)?)),
        Some("revoke") => (&["grant"], SessionWish::Revoke(grant(&node)?)),
        Some("mode") => {
            let word = text("mode")?.ok_or_else(|| bad("the body says no mode".into()))?;
            (&["mode"], SessionWish::Mode(mode(word)?))
        }
        Some("clear") => (&[], SessionWish::Clear),
        _ => return Err(bad("act must be init, grant, revoke, mode or clear".into())),
    };
    let fits = |key: &str| matches!(key, "session" | "act") || known.contains(&key);
    if let Some(unknown) = node.members().iter().find(|member| !fits(&member.key)) {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has a member {key:?} that this act does not take")));
    }
    Ok(SessionAct { name, wish, approver: approver.clone() })
}

fn mode(word: &str) -> Result<SessionMode, Fault> {
    SessionMode::parse(word).ok_or_else(|| bad("mode must be enforce, correct, observe or off".into()))
}

fn grant(node: &Node) -> Result<Grant, Fault> {
    node.text("grant").and_then(Grant::parse).ok_or_else(|| {
        let words = Grant::ALL.map(Grant::as_str).join(", ");
        bad(format!("grant must be one of {words}"))
    })
}

fn granted(node: &Node, by: &Arc<str>, now: Millis) -> Result<Granted, Fault> {
    let until = match node.some("until") {
        None => None,
        Some(until) => Some(until.as_u64().filter(|until| *until > now).ok_or_else(|| {
            bad("until must be a time to come, in milliseconds since the Unix epoch, or null".into())
        })?),
    };
    Ok(Granted { grant: grant(node)?, until, by: Arc::clone(by) })
}

fn of_words<'n>(member: &'n Node, key: &str) -> Result<&'n str, Fault> {
    let text = member.as_string().filter(|text| text.is_well_formed()).map(|text| &**text);
    text.filter(|text| text.len() <= MAX_TASK && !text.chars().any(char::is_control)).ok_or_else(|| {
        bad(format!("{key} must be text of at most {MAX_TASK} bytes without control characters"))
    })
}

fn bad(message: String) -> Fault {
    let advice = r#"send {"session": "AGENT/ID", "act": "init|grant|revoke|mode|clear", …} as docs/how-to/let-a-session-do-more-or-less.md says"#;
    Fault { kind: FaultKind::Request, code: "bad_body", message, advice: advice.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approver() -> Approver {
        Approver { principal: "operator-token".into(), authenticated: true }
    }

    fn read(body: &str) -> Result<SessionWish, Fault> {
        act(body.as_bytes(), &approver(), 100).map(|act| act.wish)
    }

    #[test]
    fn an_act_is_read_strictly() {
        let granted = |until| Granted { grant: Grant::EnvRead, until, by: "operator-token".into() };
        let of = |rest: &str| read(&format!(r#"{{"session":"a/x",{rest}}}"#));
        assert_eq!(of(r#""act":"clear""#), Ok(SessionWish::Clear));
        assert_eq!(of(r#""act":"mode","mode":"observe""#), Ok(SessionWish::Mode(SessionMode::Observe)));
        assert_eq!(
            of(r#""act":"grant","grant":"env_read","until":101"#),
            Ok(SessionWish::Grant(granted(Some(101))))
        );
        assert_eq!(of(r#""act":"revoke","grant":"env_read""#), Ok(SessionWish::Revoke(Grant::EnvRead)));
        let terms = Terms { mode: SessionMode::Correct, grants: vec![granted(None)] };
        assert_eq!(
            of(r#""act":"init","task":"t","mode":"correct","grants":[{"grant":"env_read"}]"#),
            Ok(SessionWish::Init("t".into(), terms))
        );
        for bad in [
            r#""act":"grant""#,
            r#""act":"grant","grant":"root""#,
            r#""act":"grant","grant":"env_read","until":100"#,
            r#""act":"grant","grant":"env_read","until":"soon""#,
            r#""act":"grant","grant":"env_read","mode":"off""#,
            r#""act":"mode""#,
            r#""act":"mode","mode":"Observe""#,
            r#""act":"clear","task":"x""#,
            r#""act":"init","task":"a\nb""#,
            r#""act":"kill""#,
            r#""task":"x""#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        for bad in ["", "[]", "{}", r#"{"act":"clear"}"#, r#"{"session":"a","act":"clear"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
