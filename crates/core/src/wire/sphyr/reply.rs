//! What is answered: the members that the SDK reads, and no others where its model forbids them.

use super::code::Code;
use crate::syntax::{Object, json};

/// A session that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// The session's token, a UUID.
    pub token: &'a str,
    /// What its calls are signed with beside the secret.
    pub nonce: &'a str,
    /// How long it lasts, in seconds.
    pub seconds: u64,
    /// When it began, ISO 8601.
    pub issued: &'a str,
    /// When it ends, ISO 8601.
    pub expires: &'a str,
    /// The key.
    pub key: &'a str,
    /// The agent, as it called itself.
    pub agent: &'a str,
    /// How many credits are left; `None` if it cannot be told now.
    pub balance: Option<u64>,
    /// What the SDK does about tools that have changed: `LOG` or `BLOCK`.
    pub drift: &'a str,
}

impl Opened<'_> {
    /// As JSON. The SDK's model takes these members and no others.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let balance = self.balance.map_or_else(|| "null".to_owned(), |balance| balance.to_string());
        Object::new()
            .text("sess_token", self.token)
            .text("nonce", self.nonce)
            .number("expires_in_sec", self.seconds)
            .text("expires_at", self.expires)
            .text("issued_at", self.issued)
            .text("key_id", self.key)
            .raw("balance", balance.as_bytes())
            .text("agent_id", self.agent)
            .text("tool_drift_mode", self.drift)
            .end()
    }
}

/// Why a call was refused.
#[derive(Clone, Debug)]
pub struct Denied<'a> {
    /// The code.
    pub code: &'static Code,
    /// What was wrong, for a person.
    pub message: &'a str,
    /// The receipt.
    pub request: &'a str,
    /// Where the page about the code is.
    pub docs: &'a str,
    /// Whether the same call may pass later, and be done twice by that.
    pub retryable: bool,
    /// How long to wait, in milliseconds.
    pub retry_after: Option<u64>,
    /// Where a redirect would have led.
    pub redirect: Option<&'a str>,
    /// Whether it was only checked, and a person would be asked about it.
    pub would_ask: bool,
    /// The signed proof, as JSON.
    pub proof: Option<&'a [u8]>,
}

impl Denied<'_> {
    /// As JSON. The SDK reads the text from `error`, documents from `message`.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let mut parameters = Object::new();
        let mut object = Object::new()
            .text("error", self.message)
            .text("message", self.message)
            .text("code", self.code.name)
            .truth("retryable", self.retryable)
            .text("request_id", self.request)
            .text("docs_url", self.docs);
        if let Some(wait) = self.retry_after {
            parameters = parameters.number("retry_after_ms", wait);
            object = object.number("retry_after_ms", wait);
        }
        if let Some(place) = self.redirect {
            parameters = parameters.text("redirect_location", place);
        }
        // Not among the parameters: there the SDK's model takes what it knows and nothing else.
        if self.would_ask {
            object = object.truth("would_ask", true);
        }
        let remediation = Object::new()
            .text("action", self.code.action)
            .text("description", self.code.advice)
            .raw("parameters", &parameters.end())
            .end();
        object = object.raw("remediation", &remediation);
        if let Some(proof) = self.proof {
            object = object.raw("denial_proof", proof);
        }
        object.end()
    }
}

/// What was seen in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Safety {
    /// It is a page for browsers.
    pub html_body: bool,
    /// Something in it speaks to the model.
    pub injection: bool,
    /// Something in it looks like a secret.
    pub secret: bool,
}

impl Safety {
    /// As an object.
    #[must_use]
    pub fn object(self) -> Object {
        Object::new()
            .truth("html_body", self.html_body)
            .truth("injection_patterns_found", self.injection)
            .truth("possible_secret", self.secret)
    }

    /// What is signed of it, with a salt.
    #[must_use]
    pub fn signed(self, salt: &str) -> Vec<u8> {
        self.object().text("_salt", salt).end()
    }
}

/// What a place has answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// The body as text; what is no UTF-8 is replaced in it.
    pub body: &'a str,
    /// The body in base64, if it is not UTF-8.
    pub base64: Option<&'a str>,
    /// Its header lines.
    pub headers: &'a [(&'a str, String)],
    /// The receipt of the request.
    pub request: &'a str,
    /// What it cost.
    pub credits: u64,
    /// What was seen in it.
    pub safety: Safety,
    /// What the signature of those flags has beside them.
    pub salt: &'a str,
    /// The signature of those flags.
    pub signature: &'a str,
    /// Where it redirects to, whole.
    pub redirect: Option<&'a str>,
}

impl Answered<'_> {
    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let lines = self.headers.iter().map(|(name, value)| {
            let pair = [json::quoted(name), json::quoted(value)].join(&b","[..]);
            [b"[", pair.as_slice(), b"]"].concat()
        });
        let mut object = Object::new()
            .number("status", u64::from(self.status))
            .truth("ok", (200..300).contains(&self.status))
            .text("outcome", "ALLOWED")
            .text("request_id", self.request)
            .number("credits_used", self.credits)
            .text("upstream_response_body", self.body);
        if let Some(base64) = self.base64 {
            object = object.text("upstream_response_body_base64", base64);
        }
        let mut object = object
            .array("upstream_response_headers", lines)
            .raw("safety", &self.safety.object().end())
            .text("safety_salt", self.salt)
            .text("safety_sig", self.signature);
        if let Some(place) = self.redirect {
            let parameters = Object::new().text("redirect_location", place).end();
            let remediation = Object::new()
                .text("action", "RETRY_WITH_URL")
                .text("description", REDIRECTED)
                .raw("parameters", &parameters)
                .end();
            object = object.raw("remediation", &remediation);
        }
        object.end()
    }
}

/// What to do about an answer that leads elsewhere.
const REDIRECTED: &str =
    "If you want to follow it, call redirect_location yourself; it is judged as any other address.";

/// The answer to a call that was only checked.
#[must_use]
pub fn preflight(request: &str) -> Vec<u8> {
    Object::new()
        .number("status", 200)
        .truth("ok", true)
        .text("outcome", "PREFLIGHT_OK")
        .text("request_id", request)
        .number("credits_used", 0)
        .text("upstream_response_body", "")
        .end()
}

/// The result of a tool: texts, as tools have them. To be ended.
#[must_use]
pub fn tool_result(texts: &[&[u8]], is_error: bool) -> Object {
    let parts = texts
        .iter()
        .map(|text| Object::new().text("type", "text").text("text", &String::from_utf8_lossy(text)).end());
    let result = Object::new().array("content", parts);
    if is_error { result.truth("isError", true) } else { result }
}

#[cfg(test)]
mod tests {
    use super::super::code;
    use super::*;

    #[test]
    fn a_refusal_says_it_in_both_shapes() {
        let denied = Denied {
            code: code::RATE_LIMITED,
            message: "10 calls a second",
            request: "01J",
            docs: "http://127.0.0.1:7878/docs/errors/RATE_LIMITED",
            retryable: true,
            retry_after: Some(8400),
            redirect: None,
            would_ask: true,
            proof: None,
        };
        let tree = json::parse(&denied.json()).unwrap();
        assert_eq!(tree.text("error"), tree.text("message"));
        assert_eq!(tree.get("retryable").and_then(|value| value.as_bool()), Some(true));
        let remediation = tree.get("remediation").unwrap();
        assert_eq!(remediation.text("action"), Some("BACKOFF"));
        for object in [&tree, remediation.get("parameters").unwrap()] {
            assert_eq!(object.get("retry_after_ms").unwrap().as_u64(), Some(8400));
        }
    }

    #[test]
    fn a_result_is_text_in_text() {
        let result = tool_result(&[br#"{"ok":true}"#], false).end();
        let tree = json::parse(&result).unwrap();
        let text = tree.get("content").unwrap().elements()[0].text("text").unwrap();
        assert!(json::parse(text.as_bytes()).unwrap().get("ok").is_some());
        assert!(tree.get("isError").is_none());
    }
}
