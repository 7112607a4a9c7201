//! What a tool nobody documented would bring about outside the machine, by the words of its name.
//!
//! Tool servers name their tools by a verb and an object: `SendMoney`, `unlock_door`, `grant_guest_access`.
//! Both together say enough to ask a person first, where what is done cannot be undone or is done in the
//! person's name. Reading, listing and searching have no such consequence, and neither have the files,
//! branches and messages of everyday work.

/// A kind of consequence: verbs, and the objects they must meet; no objects, if the verb says all.
struct Consequence {
    what: &'static str,
    verbs: &'static [&'static str],
    objects: &'static [&'static str],
}

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
        verbs: &[
            "create", "add", "update", "delete", "change", "set", "reset", "share", "disable", "enable",
            "remove", "modify",
        ],
        objects: &[
            "permission",
            "permissions",
            "policy",
            "policies",
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
        what: "speaks or signs in the user's name",
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
        what: "gives away who the user is",
        verbs: &["fill", "autofill", "share", "export", "disclose", "upload", "clone", "generate"],
        objects: &[
            "personal",
            "identity",
            "passport",
            "credentials",
            "genetic",
            "health",
            "medical",
            "address",
            "location",
            "deepfake",
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

/// What a tool of this name, in lower snake case, would bring about; `None` for ordinary work.
pub(super) fn of(plain: &str) -> Option<&'static str> {
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
    use super::of;

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
