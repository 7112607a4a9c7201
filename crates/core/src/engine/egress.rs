//! Where a request through the egress door leads, as far as its URL says so: before anybody is asked for an address.

use super::reason;
use crate::action::{Action, ActionKind, Door};
use crate::decision::{Duty, Layer, Reason, Verdict};
use crate::detect::destination::At;
use crate::policy::Policy;
use crate::url::{Host, Reach, Url, reach_of};

/// The duty to dial public addresses alone, whatever a name leads to.
pub const PUBLIC: &str = "public";

/// The duty to dial what the name leads to: the operator allows the place by name.
pub const NAMED: &str = "named";

/// Why a request cannot go where it leads.
pub(super) fn target(action: &Action, policy: &Policy) -> Option<Reason> {
    let text = requested(action)?;
    let refuse = |rule: &str, message: String, advice: &str| {
        Some(reason(rule, Layer::Floor, Verdict::Block, 80, message, advice))
    };
    let advice = "write it as https://host/path";
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(fault) => {
            return refuse("egress.invalid-url", format!("the URL cannot be read: {fault}"), advice);
        }
    };
    let named = policy.allows_place(At::url(&url), Some(&url));
    match url.scheme.as_deref() {
        Some("https") => {}
        Some("http") if named => {}
        Some("http") => {
            let advice = "use https, or ask the operator to name the place in the policy's `destinations`";
            return refuse(
                "egress.https-required",
                "the URL is of http, which anybody on the way reads".into(),
                advice,
            );
        }
        _ => return refuse("egress.invalid-url", "the URL is of neither https nor http".into(), advice),
    }
    let Some(reach) = reach(&url, text) else {
        let message = "the URL's host ends in a number as no name does, and is no address that all readers take for the same";
        return refuse("egress.invalid-url", message.into(), advice);
    };
    if reach == Reach::Public || named && reach != Reach::Metadata {
        return None;
    }
    let message = format!("the URL leads to no public place: its host is {}", reach.as_str());
    refuse(
        "egress.ssrf",
        message,
        "use a public address; the operator can name the place in the policy's `destinations`",
    )
}

/// What an address has to be that is dialled for it.
pub(super) fn dial(action: &Action, policy: &Policy) -> Option<Duty> {
    let url = Url::parse(requested(action)?).ok()?;
    let named = policy.allows_place(At::url(&url), Some(&url));
    Some(Duty::Dial(if named { NAMED } else { PUBLIC }.to_owned()))
}

/// The URL, if it is a request of this door.
fn requested(action: &Action) -> Option<&str> {
    let of_door = action.door == Door::Egress && action.kind == ActionKind::Url;
    action.request.as_deref().filter(|_| of_door).map(|request| request.url())
}

/// Whose the host is, by every reading that readers are known for; `None` if it is neither a name nor an address.
fn reach(url: &Url<'_>, text: &str) -> Option<Reach> {
    let spelled = text.split_once("://").map_or(text, |(_, rest)| rest);
    let spelled = spelled.split(['/', '?', '#']).next().unwrap_or_default();
    let host = spelled.rsplit_once(':').map_or(spelled, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { spelled }
    });
    let other = reach_of(host.trim_matches(['[', ']']));
    match url.host {
        Host::Ip(ip) => Some(other.map_or(Reach::of(ip), |other| other.max(Reach::of(ip)))),
        Host::Name(_) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::alone;
    use crate::action::request::{Body, Request};
    use crate::syntax::Source;

    fn policy(text: &str) -> Policy {
        Policy::compile(&[Source { name: "p", text }]).unwrap()
    }

    fn rule(url: &str, policy: &Policy) -> Option<String> {
        let action =
            Action { door: Door::Egress, ..alone::request(Request::new("GET", url, vec![], Body::Absent)) };
        target(&action, policy).map(|reason| reason.rule)
    }

    #[test]
    fn a_url_says_where_it_leads_before_anybody_is_asked() {
        let open = policy("default: allow\nrules: []\n");
        for url in ["https://example.com/", "https://8.8.8.8/x?y", "https://[2606:4700::1111]:8443/"] {
            assert_eq!(rule(url, &open), None, "{url}");
        }
        for (url, expected) in [
            ("http://example.com/", "egress.https-required"),
            ("ftp://example.com/", "egress.invalid-url"),
            ("example.com", "egress.invalid-url"),
            ("https://a@example.com/", "egress.invalid-url"),
            ("https://example.com\\@evil.example/", "egress.invalid-url"),
            ("https://10.0.0.1/", "egress.ssrf"),
            ("https://2130706433/", "egress.ssrf"),
            ("https://0x7f.1/", "egress.ssrf"),
            ("https://0177.0.0.1/", "egress.ssrf"),
            ("https://010.8.8.8/", "egress.ssrf"),
            ("https://[::ffff:169.254.169.254]/", "egress.ssrf"),
            ("https://[64:ff9b::7f00:1]/", "egress.ssrf"),
            ("https://localhost/", "egress.ssrf"),
            ("https://127.0.0.1.nip.io/", "egress.ssrf"),
            ("https://metadata.google.internal/", "egress.ssrf"),
            ("https://intranet/", "egress.ssrf"),
            ("https://１２７.０.０.１/", "egress.ssrf"),
            // No name ends in a number; what some readers make of it leads inside, or nobody knows where.
            ("https://0o177.0.0.1/", "egress.ssrf"),
            ("https://o12.0.0.1/", "egress.ssrf"),
            ("https://383.256.256.257/", "egress.ssrf"),
            ("https://0192.168.089.1:8443/", "egress.ssrf"),
            ("https://264.264.264.264/", "egress.invalid-url"),
            ("https://host.7/", "egress.invalid-url"),
        ] {
            assert_eq!(rule(url, &open).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn the_operator_can_name_a_place_but_no_clouds_credentials() {
        let named = policy(
            "default: allow\nrules: []\ndestinations:\n  allow: [localhost, 10.0.0.1, 169.254.169.254]\n",
        );
        for url in ["http://localhost:3000/", "https://10.0.0.1/"] {
            assert_eq!(rule(url, &named), None, "{url}");
        }
        assert_eq!(rule("http://10.0.0.2/", &named).as_deref(), Some("egress.https-required"));
        assert_eq!(rule("https://169.254.169.254/", &named).as_deref(), Some("egress.ssrf"));
    }
}
