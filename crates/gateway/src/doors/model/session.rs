//! Which session a request belongs to: what somebody put there on purpose, what the client calls its own, what the
//! body says, and where nobody says anything one for the agent.

use std::sync::Arc;

use doorward_core::session::{Said, name};
use http::HeaderMap;

/// The header that says it on purpose. Like all of this prefix it does not go on to the upstream.
pub(super) const HEADER: &str = "doorward-session";

/// Headers in which clients name their sessions: Claude Code; Codex of today and before; opencode with its own provider
/// and with others; and what several SDKs and agents use. The first that is there counts.
const OF_CLIENTS: [&str; 7] = [
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "conversation_id",
    "x-opencode-session",
    "x-session-affinity",
    "x-session-id",
];

/// The longest value of a client's header that is taken for an id.
const LONGEST: usize = 1024;

/// The id in the head of a request, if it has one, and who said it.
///
/// # Errors
/// In words, if the header that is there on purpose is not one id: guessing would put the action in another session.
pub(super) fn of_head(headers: &HeaderMap) -> Result<Option<(String, Said)>, String> {
    let mut given = headers.get_all(HEADER).iter();
    if let Some(value) = given.next() {
        let id = value.to_str().ok().filter(|id| name::is_id(id));
        let (Some(id), None) = (id, given.next()) else {
            return Err(format!(
                "the header {HEADER} is not one id: send it once, with 1 to {} letters, digits, `.`, `_`, `:` or `-`, \
                 the first a letter or digit",
                name::LONGEST
            ));
        };
        return Ok(Some((id.to_owned(), Said::Header)));
    }
    let of_client = OF_CLIENTS.into_iter().find_map(|name| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty() && value.len() <= LONGEST).then(|| value.to_owned())
    });
    Ok(of_client.map(|id| (id, Said::Client)))
}

/// The name of the session of `agent`, by what was said.
pub(super) fn named(agent: &str, said: Option<(String, Said)>) -> (Arc<str>, Said) {
    match said {
        Some((id, said)) => (name::name(agent, &id), said),
        None => (name::nobodys(agent), Said::Nobody),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    fn of(lines: &[(&'static str, &'static str)]) -> Option<(String, Said)> {
        of_head(&head(lines)).unwrap()
    }

    #[test]
    fn what_is_on_purpose_comes_first_and_must_be_right() {
        let id = |id: &str, said| Some((id.to_owned(), said));
        assert_eq!(of(&[]), None);
        for client in OF_CLIENTS {
            assert_eq!(of(&[(client, "S-1")]), id("S-1", Said::Client), "{client}");
        }
        assert_eq!(of(&[("session_id", "c"), ("doorward-session", "p")]), id("p", Said::Header));
        assert_eq!(of(&[("x-session-id", "b"), ("x-claude-code-session-id", "a")]), id("a", Said::Client));
        // A client's own may look as it likes; where it is nothing, it says nothing.
        assert_eq!(of(&[("session_id", "a b/c")]), id("a b/c", Said::Client));
        assert_eq!(of(&[("session_id", " ")]), None);
        for wrong in ["", "a/b", "-", "a b", "a,b"] {
            assert!(of_head(&head(&[("doorward-session", wrong)])).is_err(), "{wrong:?}");
        }
        assert!(of_head(&head(&[("doorward-session", "a"), ("doorward-session", "a")])).is_err());
    }

    #[test]
    fn a_session_is_its_agents() {
        assert_eq!(&*named("alice", Some(("x".into(), Said::Client))).0, "alice/x");
        assert_eq!(named("alice", None), ("alice/-".into(), Said::Nobody));
        assert!(named("alice", Some(("bob/x".into(), Said::Client))).0.starts_with("alice/x"));
    }
}
