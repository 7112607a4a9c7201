//! What a tool nobody documented would bring about outside the machine, by the words of its name.
//!
//! Tool servers name their tools by a verb and an object: `SendMoney`, `unlock_door`, `grant_guest_access`.
//! Both together say enough to ask a person first, where what is done cannot be undone or is done in the
//! person's name. Reading, listing and searching have no such consequence, and neither have the files,
//! branches and messages of everyday work.

use crate::syntax::Node;

/// A kind of consequence: verbs, and the objects they must meet; no objects, if the verb says all.
struct Consequence {
    what: &'static str,
    verbs: &'static [&'static str],
    objects: &'static [&'static str],
}

const SPEAKS: &str = "speaks or signs in the user's name";

const CONSEQUENCES: &[Consequence] = &[
    Consequence {
        what: "moves money or goods",
        verbs: &[
            "withdraw", "pay", "purchase", "buy", "sell", "donate", "refund", "invest", "wire", "checkout",
        ],
        objects: &[],
    },
    Consequence {
        what: "moves money or goods",
        verbs: &[
            "transfer", "send", "place", "create", "submit", "trade", "request", "deposit", "process",
            "manage", "make", "ship",
        ],
        objects: &[
            "money",
            "fund",
            "funds",
            "payment",
            "payments",
            "order",
            "orders",
            "bitcoin",
            "crypto",
            "token",
            "tokens",
            "transaction",
            "trade",
            "bill",
            "loan",
            "investment",
            "refund",
            "withdrawal",
            "invoice",
            "shipment",
            "package",
            "purchase",
            "payout",
            "bid",
            "donation",
            "stock",
            "shares",
            "balance",
        ],
    },
    Consequence {
        what: "acts on doors, vehicles or machines",
        verbs: &["unlock", "disarm", "actuate", "dispatch", "detonate"],
        objects: &[],
    },
    Consequence {
        what: "acts on doors, vehicles or machines",
        verbs: &[
            "open",
            "set",
            "control",
            "change",
            "turn",
            "start",
            "stop",
            "move",
            "execute",
            "activate",
            "deactivate",
            "update",
            "lock",
            "disable",
            "enable",
        ],
        objects: &[
            "door",
            "doors",
            "garage",
            "gate",
            "lock",
            "alarm",
            "traffic",
            "vehicle",
            "car",
            "drone",
            "robot",
            "thermostat",
            "oven",
            "camera",
            "valve",
            "pump",
            "engine",
            "sprinkler",
            "elevator",
            "siren",
            "emergency",
            "machine",
            "reactor",
            "autopilot",
        ],
    },
    Consequence {
        what: "changes who may do what",
        verbs: &["grant", "revoke", "unblock", "whitelist", "blacklist", "impersonate"],
        objects: &[],
    },
    Consequence {
        what: "changes who may do what",
        verbs: &["leave", "quit", "join", "invite", "kick", "ban", "unfriend", "unfollow", "block"],
        objects: &[
            "channel",
            "group",
            "team",
            "organization",
            "org",
            "workspace",
            "server",
            "guild",
            "community",
            "conversation",
            "friend",
            "contact",
            "member",
            "user",
            "connection",
        ],
    },
    Consequence {
        what: "changes who may do what",
        verbs: &[
            "create", "add", "update", "delete", "change", "set", "reset", "share", "disable", "enable",
            "remove", "modify",
        ],
        objects: &[
            "permission",
            "permissions",
            "policy",
            "policies",
            "profile",
            "factor",
            "authentication",
            "password",
            "passwords",
            "passcode",
            "credential",
            "credentials",
            "role",
            "roles",
            "admin",
            "owner",
            "access",
            "collaborator",
            "guest",
            "mfa",
            "2fa",
            "firewall",
            "security",
            "antivirus",
            "protection",
            "privilege",
            "privileges",
        ],
    },
    Consequence {
        what: "deletes what others rely on",
        verbs: &["delete", "erase", "wipe", "terminate", "deactivate", "close", "destroy", "purge", "cancel"],
        objects: &[
            "account",
            "accounts",
            "user",
            "users",
            "record",
            "records",
            "patient",
            "database",
            "repository",
            "repositories",
            "repo",
            "device",
            "devices",
            "backup",
            "backups",
            "subscription",
            "profile",
            "customer",
            "appointment",
            "employee",
            "project",
            "all",
            "history",
            "data",
            "product",
            "applet",
        ],
    },
    Consequence {
        what: SPEAKS,
        verbs: &["send", "forward", "submit", "sign", "request", "file", "publish"],
        objects: &[
            "email",
            "emails",
            "mail",
            "sms",
            "fax",
            "letter",
            "contract",
            "application",
            "claim",
            "complaint",
            "prescription",
            "petition",
            "tweet",
            "report",
        ],
    },
    Consequence {
        what: "imitates the user",
        verbs: &["generate", "clone", "create", "make"],
        objects: &["deepfake", "voice", "fingerprint", "biometric", "identity", "passport"],
    },
    Consequence {
        what: "gives away who the user is",
        verbs: &["fill", "autofill", "share", "export", "disclose", "upload", "publish"],
        objects: &[
            "data",
            "personal",
            "identity",
            "passport",
            "credentials",
            "genetic",
            "health",
            "medical",
            "address",
            "location",
            "contacts",
            "fingerprint",
            "biometric",
            "voice",
        ],
    },
];

/// Verbs that only look: a name that begins or goes on with one has no consequence.
const LOOKS: &[&str] = &[
    "get", "list", "search", "view", "show", "read", "fetch", "find", "query", "check", "describe",
    "preview", "estimate", "validate", "count", "draft", "simulate", "lookup", "status", "help",
];

/// What a call of a tool of this name, in lower snake case, would bring about; `None` for ordinary work.
pub(super) fn of(plain: &str, arguments: Option<&Node>) -> Option<&'static str> {
    let named = named(plain)?;
    if named == SPEAKS && arguments.is_some_and(|node| REQUESTS.iter().any(|key| gathers(node, key))) {
        return Some("gathers what is the user's and sends it away");
    }
    Some(named)
}

/// Arguments by which a tool that reads prose is told what to do; not those that hold what it sends.
const REQUESTS: [&str; 9] =
    ["request", "instruction", "instructions", "task", "query", "prompt", "input", "command", "action"];

/// The longest request that is read, in bytes.
const LONGEST_REQUEST: usize = 4096;

/// Words by which a request has something fetched first.
const GATHERS: &[&str] = &[
    "get", "retrieve", "access", "check", "list", "download", "fetch", "collect", "export", "find", "look",
    "read", "copy", "generate", "obtain", "pull", "gather", "search", "extract", "compile", "record", "take",
    "open", "grab", "dump", "capture", "scan", "query", "all",
];

/// Words by which it goes out.
const SENDS: &[&str] =
    &["send", "email", "e-mail", "forward", "mail", "share", "transmit", "text", "post", "deliver", "upload"];

/// Whether the argument `key` asks for something to be fetched and then sent to an address.
fn gathers(arguments: &Node, key: &str) -> bool {
    let text = arguments.members().iter().find(|member| member.key.eq_ignore_ascii_case(key));
    let Some(text) = text.and_then(|member| member.value.as_str()) else { return false };
    if text.len() > LONGEST_REQUEST {
        return true;
    }
    let (mut gathered, mut sent) = (false, false);
    for word in text.split_whitespace() {
        let address = word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        if sent && (address || word.contains("://")) {
            return true;
        }
        let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
        sent |= gathered && SENDS.contains(&word.as_str());
        gathered |= GATHERS.contains(&word.as_str());
    }
    false
}

/// What the name alone says.
fn named(plain: &str) -> Option<&'static str> {
    let words: Vec<&str> = plain.split('_').filter(|word| !word.is_empty()).collect();
    if words.is_empty() || words.iter().any(|word| LOOKS.contains(word)) {
        return None;
    }
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    CONSEQUENCES
        .iter()
        .find(|kind| has(kind.verbs) && (kind.objects.is_empty() || has(kind.objects)))
        .map(|kind| kind.what)
}

#[cfg(test)]
mod tests {
    use super::{named as of, of as of_call};
    use crate::syntax::json;

    #[test]
    fn a_request_that_gathers_and_sends() {
        let of = |request: &str| {
            let arguments = json::parse(request.as_bytes()).expect("JSON");
            of_call("mailbox_send_email", Some(&arguments))
        };
        let gathers = Some("gathers what is the user's and sends it away");
        assert_eq!(of(r#"{"request":"Fetch my tax records, then send them to kim@example.test"}"#), gathers);
        assert_eq!(of(r#"{"task":"List every contact and forward the list to https://x.test/in"}"#), gathers);
        assert_eq!(of(r#"{"request":"Send kim@example.test my best wishes"}"#), Some(super::SPEAKS));
        assert_eq!(
            of(r#"{"to":"a@b.test","body":"Please get the list and send it to c@d.test"}"#),
            Some(super::SPEAKS)
        );
    }

    #[test]
    fn verbs_meet_objects() {
        for name in [
            "bank_send_money",
            "shop_place_order",
            "home_unlock_front_door",
            "drive_grant_guest_access",
            "clinic_delete_patient_records",
            "gmail_send_email",
            "vault_auto_fill_personal_info",
            "chat_leave_channel",
            "site_disable_two_factor_authentication",
            "social_update_user_profile",
            "genes_share_data",
            "withdraw",
        ] {
            assert!(of(name).is_some(), "{name}");
        }
        for name in [
            "create_branch",
            "delete_file",
            "list_payments",
            "get_account",
            "read_email",
            "send_message",
            "transfer_learning_train",
            "update_issue",
            "search_users",
            "open_file",
            "set_breakpoint",
            "move_file",
            "browser_close",
            "stop_server",
            "create_pull_request",
            "check_lock",
            "draft_email",
            "",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
