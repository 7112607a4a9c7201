//! Which session a request's body says it belongs to, where clients are known to say so.
//!
//! | who | where |
//! |---|---|
//! | Claude Code | `metadata.user_id`: `…_session_<uuid>`, or JSON text with `session_id` |
//! | Codex, opencode and others over OpenAI's protocols | `prompt_cache_key`; `conversation` of the Responses API |
//! | routers (OpenRouter, LiteLLM) | `session_id`, `litellm_session_id`, `metadata.session_id` |
//! | Gemini CLI | `session_id`, in the body or its `request` |
//!
//! A hint, no more: it leads to a session of the same agent or to another one of it.

use crate::syntax::{Node, json};

/// The longest text that is taken for an id; a longer one is content.
const LONGEST: usize = 1024;

/// The id that the body `node` gives.
pub(crate) fn id(node: &Node) -> Option<String> {
    let text = |key| node.text(key);
    let metadata = node.some("metadata");
    let of_user = metadata.and_then(|metadata| metadata.text("user_id")).and_then(of_user);
    let conversation = || match node.some("conversation") {
        Some(conversation) => conversation.as_str().or_else(|| conversation.text("id")),
        None => None,
    };
    let id = of_user
        .or_else(|| text("session_id").map(str::to_owned))
        .or_else(|| text("litellm_session_id").map(str::to_owned))
        .or_else(|| metadata?.text("session_id").map(str::to_owned))
        .or_else(|| node.some("request")?.text("session_id").map(str::to_owned))
        .or_else(|| conversation().map(str::to_owned))
        .or_else(|| text("prompt_cache_key").map(str::to_owned));
    id.filter(|id| !id.is_empty() && id.len() <= LONGEST)
}

/// The session in what Claude Code sends as the user's id.
fn of_user(id: &str) -> Option<String> {
    if id.len() > LONGEST {
        return None;
    }
    if id.starts_with('{') {
        return json::parse(id.as_bytes()).ok()?.text("session_id").map(str::to_owned);
    }
    let (_, session) = id.rsplit_once("_session_")?;
    Some(session.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Option<String> {
        id(&json::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn every_client_says_it_in_its_way() {
        for body in [
            r#"{"metadata":{"user_id":"user_0f_account__session_S-1"}}"#,
            r#"{"metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"S-1\"}"}}"#,
            r#"{"prompt_cache_key":"S-1"}"#,
            r#"{"prompt_cache_key":"bucket","session_id":"S-1"}"#,
            r#"{"prompt_cache_key":"bucket","conversation":{"id":"S-1"}}"#,
            r#"{"conversation":"S-1"}"#,
            r#"{"litellm_session_id":"S-1"}"#,
            r#"{"metadata":{"session_id":"S-1"}}"#,
            r#"{"model":"m","request":{"session_id":"S-1"}}"#,
        ] {
            assert_eq!(of(body).as_deref(), Some("S-1"), "{body}");
        }
        let long = format!(r#"{{"session_id":"{}"}}"#, "x".repeat(LONGEST + 1));
        for body in [
            "{}",
            r#"{"metadata":{"user_id":"u-1"}}"#,
            r#"{"metadata":{"user_id":"{broken"}}"#,
            r#"{"metadata":null}"#,
            r#"{"session_id":7}"#,
            r#"{"session_id":""}"#,
            r#"{"conversation":null}"#,
            &long,
        ] {
            assert_eq!(of(body), None, "{body}");
        }
    }
}
