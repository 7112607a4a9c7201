//! Why a call is refused: codes, each with its status for clients that read statuses, whether trying again can help, and
//! what to do. One table; `docs/errors` is made from it.

/// A code.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name on the wire.
    pub name: &'static str,
    /// The status of HTTP, where the answer is not one of `/mcp`.
    pub status: u16,
    /// Whether the same call may pass later, unchanged.
    pub retryable: bool,
    /// What the client should do, in a word that its SDK knows.
    pub action: &'static str,
    /// What has happened, for a person.
    pub meaning: &'static str,
    /// What to do about it, for a person.
    pub advice: &'static str,
}

macro_rules! codes {
    ($($name:ident $status:literal $retryable:ident $action:literal $meaning:literal $advice:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $name: &Code = &Code {
                name: stringify!($name),
                status: $status,
                retryable: codes!(@ $retryable),
                action: $action,
                meaning: $meaning,
                advice: $advice,
            };
        )*

        /// Every code, for tables and pages.
        pub const ALL: &[&Code] = &[$($name),*];
    };
    (@ later) => { true };
    (@ never) => { false };
}

codes! {
    SESS_INVALID 401 never "REAUTHENTICATE"
        "The session token is unknown or has ended: sessions last 30 minutes if nothing else is set, and end with the process."
        "Call `audit_sess` again and repeat the call with the new token. The SDK does so once by itself.";
    SESS_IP_MISMATCH 403 never "REAUTHENTICATE"
        "The session was opened from another address than the call came from."
        "Call `audit_sess` from where the calls are made. If your address changes often, let the operator set `doorward key set KEY bind_ip=false`.";
    AUTH_FAILED 401 never "REAUTHENTICATE"
        "The handshake was not signed by a key that is known here."
        "Check the credential (`SPHYR_CREDENTIAL` or the configuration file); `doorward key list` shows which keys there are.";
    KEY_PAUSED 403 never "ABORT"
        "The key, its agent or its session is paused, suspended or stopped."
        "Ask the operator: `doorward key show KEY` says why, `doorward key resume KEY` lets it go on.";
    RATE_LIMITED 429 later "BACKOFF"
        "More calls came within a second than may, or the very same call came twice."
        "Wait for `retry_after_ms`, then repeat the call.";
    GLOBAL_PAUSE 503 later "BACKOFF"
        "A person has stopped all traffic."
        "Wait until a person runs `doorward resume`.";
    HOURLY_BUDGET_EXCEEDED 429 never "BACKOFF"
        "The key or the agent has used what it may within an hour."
        "Wait for `retry_after_ms`, or ask the operator for a larger budget.";
    SSRF_BLOCKED 403 never "ABORT"
        "The address belongs to this machine, its network, a cloud's metadata service or Doorward itself, by its spelling or by what its name led to."
        "Use a public address. If the place is one of your own, the operator can allow it by a rule.";
    DOMAIN_BANNED 403 never "ABORT"
        "A rule or a list says that requests do not go there."
        "Use another place, or ask the operator; `doorward receipts show ID` names the rule.";
    ENTROPY_BLOCKED 403 never "CLEAN_BODY"
        "Something in the request looks like a secret: a credential, or text as random as one."
        "Take the value out; the message names the field, and of random text the score and the setting that it is above. If it is none, the operator can allow it: for one key with `doorward key set KEY entropy_allow=VALUE`, for all in the setting `entropy_allowlist`.";
    HONEYTOKEN 403 never "ABORT_TASK"
        "The request carries or reaches a decoy or honeytoken, which nobody has a reason to touch."
        "Stop the task. The session is frozen, and mostly the key is suspended, until a person has looked at it.";
    INBOUND_SAFETY_BLOCKED 403 never "ABORT"
        "The answer of the upstream holds what may not be passed on."
        "Do not repeat it; `doorward receipts show ID` says what was found.";
    REDIRECT_BLOCKED 403 never "RETRY_WITH_URL"
        "The upstream answered with a redirect, and following it was refused or failed. What was sent before stays sent."
        "The message says why. To go on, call `redirect_location` yourself; it is judged as any other address.";
    TOOL_SCHEMA_DRIFT 409 never "ABORT"
        "A tool's definition is not the one that was seen first. The SDK says so for a key with `tool_drift_mode=BLOCK`; Doorward never says so itself."
        "Look at what changed before you go on.";
    FETCH_ERROR 502 later "BACKOFF"
        "The upstream could not be reached, or broke off."
        "Repeat the call if `retryable` says so: it does not where the upstream may have seen what must not be done twice (POST, PATCH, or an `Idempotency-Key`).";
    DB_OVERLOAD 503 later "BACKOFF"
        "More is waiting to be recorded than may wait, or nothing can be recorded at all."
        "Wait, then repeat the call. If it stays so, `doorward status` says what is wrong.";
    DNS_FAILED 502 never "FIX_URL"
        "The name leads to no address."
        "Check the host in the URL.";
    SESSION_CREATE_FAILED 503 later "BACKOFF"
        "No session could be opened: too many are open, or as many agents of the key are at work as may (`agents`)."
        "Wait until others have ended (30 minutes after their last call), or come as one that is there.";
    FAIL_SAFE_EXHAUSTED 503 never "ABORT"
        "A gateway gave up on a call that it could not judge. Doorward never says so itself: what cannot be judged is refused with the code of what is wrong."
        "Ask the operator; `doorward status` says what is wrong.";
    GATEWAY_UNREACHABLE 503 never "ABORT"
        "The client could not reach Doorward. Doorward never says so itself."
        "Start it with `doorward run`, and check `SPHYR_MCP_URL`.";
    INSUFFICIENT_CREDITS 402 never "TOPUP"
        "The key has no credits left."
        "Ask the operator: `doorward credits grant KEY AMOUNT`.";
    KEY_BUDGET_EXCEEDED 402 never "TOPUP"
        "The key has used what its budget allows."
        "Ask the operator: `doorward key show KEY` shows the budget.";
    SIG_INVALID 401 never "RESIGN"
        "The signature is not that of the call."
        "Sign exactly what is sent, with the key's secret and the session's nonce, in the form that the key is set to.";
    SIG_EXPIRED 401 never "RESIGN"
        "The call was signed more than 300 seconds before or after now."
        "Set the clock, and sign the call again.";
    SIG_PROCESSING_ERROR 400 never "RESIGN"
        "The signature or its time cannot be read."
        "Send `sig` as 64 lower-case hexadecimal digits and `ts` as whole seconds.";
    CONFIG_MISSING 500 never "ABORT"
        "A gateway lacks a setting that the call needs. Doorward never says so itself: it does not start without one."
        "Ask the operator: `doorward status` names it.";
    CONFIG_ERROR 500 never "ABORT"
        "A credential or a setting cannot be used. The SDK says so of what it was given; Doorward never says so itself."
        "Check the credential: `sphyr_v1_<key>.<secret>`.";
    INVALID_URL 400 never "FIX_URL"
        "The URL cannot be read, or readers could take it differently."
        "Write `https://host/path`: no user information, no spaces, no backslashes.";
    HTTPS_REQUIRED 400 never "FIX_URL"
        "The URL does not begin with https://."
        "Use https, or let the operator allow this place in the clear by a rule.";
    HEADER_COLLISION 400 never "FIX_HEADERS"
        "A header is given twice, in different case perhaps, or is one that Doorward sets itself."
        "Give each header once, and leave out `Host`, `Content-Length` and those of the connection. In signed calls they may stand if they say what is so: the host of the URL, the length of the body, `Connection: keep-alive` or `close`.";
    HEADER_INVALID 400 never "FIX_HEADERS"
        "The name or the value of a header cannot stand in a request."
        "Names are of letters, digits and `-`; values have no line ends and no control characters.";
    IDEMPOTENCY_CONFLICT 409 never "RESIGN"
        "The same `Idempotency-Key` came with another request, or with one that was answered before and whose answer is not kept, or that may have been done when Doorward was stopped."
        "Use a new key for another request, or to do the same once more. If it may have been done, look there first.";
    PROXY_NOT_READY 503 later "BACKOFF"
        "The local proxy of the SDK is starting. Doorward never says so itself."
        "Wait a moment, then repeat the call.";
    MCP_HTTP_ERROR 502 never "ABORT"
        "The SDK got an answer that is no tool result. Doorward never says so itself."
        "Check that `SPHYR_MCP_URL` ends in `/mcp`.";
    APPROVAL_DENIED 403 never "ABORT"
        "A person had to allow this call and did not. Of a call that is only checked: a person would have to; `would_ask` says that somebody is there to be asked."
        "Do the work without it, or ask your user.";
    METHOD_INVALID 400 never "FIX_URL"
        "The method is none of GET, POST, PUT, PATCH, DELETE and HEAD."
        "Use one of them, in capitals.";
    ARGUMENTS_INVALID 400 never "ABORT"
        "An argument of the call is missing or is not what it should be."
        "The message names it; `tools/list` shows what the tool takes.";
}

impl Code {
    /// What there is to know about it, in Markdown.
    #[must_use]
    pub fn page(&self) -> String {
        let Self { name, status, retryable, action, meaning, advice } = self;
        let again = match (*retryable, *action) {
            (true, _) => "The same call may pass later.",
            // The SDK repeats what is retryable by itself, three times within half a minute.
            (false, "BACKOFF") => {
                "No client is to repeat it by itself; the same call may pass after `retry_after_ms`, which can be an hour away."
            }
            (false, _) => "The same call will not pass.",
        };
        let mcp = if self == RATE_LIMITED { "200, unless the operator set `mcp_429`" } else { "always 200" };
        format!(
            "# {name}\n\n{meaning}\n\n{advice}\n\n| | |\n|---|---|\n| HTTP status | {status} (on `/mcp` {mcp}) |\n\
             | `retryable` | `{retryable}`: {again} |\n| `remediation.action` | `{action}` |\n"
        )
    }
}

/// The code of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Code> {
    ALL.iter().find(|code| code.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that the published SDK knows, and what it does when it reads them.
    #[test]
    fn the_codes_of_the_sdk_are_there() {
        for name in "SESS_INVALID SESS_IP_MISMATCH AUTH_FAILED KEY_PAUSED RATE_LIMITED GLOBAL_PAUSE \
                     HOURLY_BUDGET_EXCEEDED SSRF_BLOCKED DOMAIN_BANNED ENTROPY_BLOCKED HONEYTOKEN \
                     INBOUND_SAFETY_BLOCKED REDIRECT_BLOCKED TOOL_SCHEMA_DRIFT FETCH_ERROR DB_OVERLOAD DNS_FAILED \
                     SESSION_CREATE_FAILED FAIL_SAFE_EXHAUSTED GATEWAY_UNREACHABLE INSUFFICIENT_CREDITS \
                     KEY_BUDGET_EXCEEDED SIG_INVALID SIG_EXPIRED SIG_PROCESSING_ERROR CONFIG_MISSING CONFIG_ERROR \
                     INVALID_URL HTTPS_REQUIRED HEADER_COLLISION HEADER_INVALID IDEMPOTENCY_CONFLICT \
                     PROXY_NOT_READY MCP_HTTP_ERROR"
            .split_whitespace()
        {
            assert!(named(name).is_some(), "{name}");
        }
        for name in ["RATE_LIMITED", "GLOBAL_PAUSE", "FETCH_ERROR", "DB_OVERLOAD"] {
            assert!(named(name).unwrap().retryable, "{name}");
        }
        // Retried, it would spend what is not there, or reach the trap again.
        for name in ["INSUFFICIENT_CREDITS", "HONEYTOKEN", "SSRF_BLOCKED", "SIG_INVALID"] {
            assert!(!named(name).unwrap().retryable, "{name}");
        }
    }

    /// `docs/errors` is made from the table: `DOORWARD_WRITE=1` writes it.
    #[test]
    fn there_is_a_page_for_each_code() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        if std::env::var_os("DOORWARD_WRITE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            ALL.iter().for_each(|code| {
                std::fs::write(folder.join(format!("{}.md", code.name)), code.page()).unwrap();
            });
        }
        for code in ALL {
            let page = std::fs::read_to_string(folder.join(format!("{}.md", code.name))).unwrap_or_default();
            assert!(page == code.page(), "docs/errors/{}.md is not what the table says", code.name);
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), ALL.len());
    }

    #[test]
    fn each_code_stands_once_and_says_what_to_do() {
        const ACTIONS: &str = "REAUTHENTICATE RESIGN CLEAN_BODY BACKOFF TOPUP RETRY_WITH_URL FIX_URL FIX_HEADERS ABORT ABORT_TASK";
        let mut names: Vec<&str> = ALL.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for code in ALL {
            assert!(ACTIONS.split(' ').any(|action| action == code.action), "{}", code.name);
            assert!((400..600).contains(&code.status), "{}", code.name);
            assert!(code.meaning.ends_with('.') && code.advice.ends_with('.'), "{}", code.name);
        }
    }
}
