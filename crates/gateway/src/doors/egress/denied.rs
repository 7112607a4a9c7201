//! What a client is told that does not get what it asked for.

use doorward_core::decision::{Layer, Verdict};
use doorward_core::detect::canary;
use doorward_core::engine::EVERYBODY;
use doorward_core::wire::sphyr::code::{self, Code};
use doorward_core::{Decision, Reason};

use super::rule_of;
use crate::hold::WOULD_ASK;
use crate::judge::{Refusal, Why};

/// A refusal in the gateway's words.
#[derive(Clone, Debug)]
pub struct Denial {
    /// The code.
    pub code: &'static Code,
    /// What was wrong, for a person.
    pub message: String,
    /// When it may be tried again, in milliseconds.
    pub retry_after: Option<u64>,
    /// The receipt, if it has one.
    pub receipt: Option<Box<str>>,
    /// What is known of it if it has none of its own.
    pub unrecorded: Option<Box<Unrecorded>>,
    /// The token of the session it happened in, if there was one.
    pub session: Option<Box<str>>,
    /// The decoy that it touched.
    pub touched: Option<Box<Touched>>,
    /// Whether somebody may have seen the request, and done what must not be done twice: the same is not to be tried again.
    pub seen: bool,
    /// Where a redirect leads that was not followed.
    pub redirect: Option<Box<str>>,
    /// Whether it was only checked, and a person would be asked about it.
    pub would_ask: bool,
}

/// What is known of a refusal that has no receipt of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unrecorded {
    /// What it is called; empty as long as nobody was told.
    pub id: Box<str>,
    /// Key and session of a call that says whose it is.
    pub whose: Option<Box<str>>,
}

/// A decoy or honeytoken that a request touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Which, for a person.
    pub what: String,
    /// Whether the key is to be suspended.
    pub suspends: bool,
}

impl Touched {
    /// What `decision` says of that. In a session that is stopped already nothing new has happened: an agent may send it again.
    fn of(decision: &Decision) -> Option<Box<Self>> {
        let touches = decision.reasons.iter().filter(|reason| canary::is_content(&reason.rule));
        let touches: Vec<&Reason> = touches.collect();
        let stopped = decision.reasons.iter().any(|reason| reason.rule == "floor.kill");
        let first = touches.first().filter(|_| !stopped)?;
        let strict = touches.iter().find(|reason| reason.rule != canary::FREEZES);
        Some(Box::new(Self { what: strict.unwrap_or(first).message.clone(), suspends: strict.is_some() }))
    }
}

impl Denial {
    /// One without a receipt.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            receipt: None,
            unrecorded: None,
            session: None,
            touched: None,
            seen: false,
            redirect: None,
            would_ask: false,
        }
    }

    /// The same, recorded under `receipt`.
    pub fn under(self, receipt: impl Into<Box<str>>) -> Self {
        Self { receipt: Some(receipt.into()), ..self }
    }

    /// By what whoever asks about this refusal finds it: `request_id`, `X-Request-ID`.
    pub fn request(&self) -> Option<&str> {
        self.receipt.as_deref().or(self.unrecorded.as_ref().map(|of| &*of.id).filter(|id| !id.is_empty()))
    }

    /// The same with a name. The receipt that it shares says it.
    pub fn named(self, id: impl Into<Box<str>>) -> Self {
        let unrecorded =
            Unrecorded { id: id.into(), ..self.unrecorded.as_deref().cloned().unwrap_or_default() };
        Self { unrecorded: Some(unrecorded.into()), ..self }
    }

    /// The same of a call that says it is from this key and session, and has not shown it.
    pub fn said_of(self, whose: impl Into<Box<str>>) -> Self {
        let of = self.unrecorded.as_deref().cloned().unwrap_or_default();
        let whose = of.whose.or_else(|| Some(whose.into()));
        Self { unrecorded: Some(Unrecorded { whose, ..of }.into()), ..self }
    }

    /// Key and session that it says it is from, for a receipt that people read.
    pub fn whose(&self) -> Option<&str> {
        self.unrecorded.as_deref().and_then(|of| of.whose.as_deref())
    }

    /// Whether the same may be tried again.
    pub const fn retryable(&self) -> bool {
        self.code.retryable && !self.seen
    }

    /// As a reason to be judged with.
    pub fn reason(&self) -> Reason {
        Reason {
            rule: rule_of(self.code),
            layer: Layer::Door,
            verdict: Verdict::Block,
            severity: 90,
            message: self.message.clone(),
            advice: self.code.advice.to_owned(),
            part: None,
        }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        let Refusal { decision, receipt, why } = refusal;
        let receipt = receipt.map(Into::into);
        let denial = match why {
            Why::Blocked => {
                let code = code_of(&decision);
                if code == code::HONEYTOKEN {
                    // Which it was, who is after credentials is not told.
                    let touched = Touched::of(&decision);
                    return Self { receipt, touched, ..Self::new(code, NOBODYS) };
                }
                let told = decision.decisive().map_or("it was refused", |reason| &reason.message);
                let would_ask = decision.decisive().is_some_and(|reason| reason.rule == WOULD_ASK);
                let mut denial = Self { would_ask, ..Self::new(code, told) };
                denial.message.push_str(&said_beside(&decision));
                let of_limit = decision.decisive().is_some_and(|reason| reason.layer == Layer::Budget);
                denial.retry_after = decision.room_in.filter(|_| of_limit);
                denial
            }
            Why::Overloaded => Self::new(code::DB_OVERLOAD, "more is waiting to be recorded than may wait"),
            Why::LedgerUnavailable(why) => {
                Self::new(code::DB_OVERLOAD, format!("nothing passes because nothing can be recorded: {why}"))
            }
        };
        Self { receipt, ..denial }
    }
}

/// What is told of a decoy.
const NOBODYS: &str = "the request has to do with what nobody here has a reason to touch; a person is told";

/// The rule, so that a person finds it.
fn said_beside(decision: &Decision) -> String {
    let rule = decision.decisive().map(|reason| reason.rule.as_str()).unwrap_or_default();
    if rule.starts_with("egress.") { String::new() } else { format!(" (rule {rule})") }
}

/// The code of what decided.
fn code_of(decision: &Decision) -> &'static Code {
    let Some(reason) = decision.decisive() else { return code::DOMAIN_BANNED };
    let rule = reason.rule.as_str();
    let own = rule.strip_prefix("egress.").map(|name| name.to_ascii_uppercase().replace('-', "_"));
    if let Some(code) = own.as_deref().and_then(code::named) {
        return code;
    }
    // Charges of accounts are named by their code; budgets by their setting, with the time they are for at its end.
    if let Some(budget) = rule.strip_prefix("budget.") {
        let hourly = if budget.ends_with("_per_hour") {
            code::HOURLY_BUDGET_EXCEEDED
        } else {
            code::KEY_BUDGET_EXCEEDED
        };
        return code::named(budget).unwrap_or(hourly);
    }
    match (rule.split('.').next().unwrap_or_default(), rule, reason.layer) {
        // The session, the agent, or all of them: its words say which.
        (_, "floor.kill", _) if reason.message == EVERYBODY => code::GLOBAL_PAUSE,
        (_, "floor.kill" | "floor.KEY_PAUSED" | "floor.KEY_SUSPENDED" | "floor.KEY_REVOKED", _) => {
            code::KEY_PAUSED
        }
        (_, "egress.ssrf", _) => code::SSRF_BLOCKED,
        (_, rule, _) if canary::is_content(rule) || rule == canary::PATH => code::HONEYTOKEN,
        ("secret", ..) | (_, "destination.high-entropy", _) => code::ENTROPY_BLOCKED,
        (_, "net.internal-url" | "cred.metadata-service" | "destination.sensitive-path", _) => {
            code::SSRF_BLOCKED
        }
        (_, "net.ambiguous-url", _) => code::INVALID_URL,
        ("hold", ..) => code::APPROVAL_DENIED,
        (_, _, Layer::Budget) => code::KEY_BUDGET_EXCEEDED,
        _ => code::DOMAIN_BANNED,
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::Coverage;
    use doorward_core::decision::Epoch;

    use super::*;

    #[test]
    fn what_decided_has_a_code() {
        for (rule, layer, name) in [
            ("egress.sig-invalid", Layer::Door, "SIG_INVALID"),
            ("egress.https-required", Layer::Floor, "HTTPS_REQUIRED"),
            ("egress.ssrf", Layer::Floor, "SSRF_BLOCKED"),
            ("budget.INSUFFICIENT_CREDITS", Layer::Budget, "INSUFFICIENT_CREDITS"),
            ("budget.budget_key_calls_per_day", Layer::Budget, "KEY_BUDGET_EXCEEDED"),
            ("budget.budget_key_calls_per_hour", Layer::Budget, "HOURLY_BUDGET_EXCEEDED"),
            ("floor.KEY_SUSPENDED", Layer::Floor, "KEY_PAUSED"),
            ("secret.github-token", Layer::Detect, "ENTROPY_BLOCKED"),
            ("floor.canary-content", Layer::Floor, "HONEYTOKEN"),
            ("floor.canary-domain", Layer::Floor, "HONEYTOKEN"),
            ("floor.canary-freezes", Layer::Floor, "HONEYTOKEN"),
            ("floor.kill", Layer::Floor, "KEY_PAUSED"),
            ("hold.nobody-to-ask", Layer::Policy, "APPROVAL_DENIED"),
            ("policy.no-paste", Layer::Policy, "DOMAIN_BANNED"),
        ] {
            let reason = Reason {
                rule: rule.into(),
                layer,
                verdict: Verdict::Block,
                severity: 80,
                message: "m".into(),
                advice: String::new(),
                part: None,
            };
            let decision = Decision::from_reasons(vec![reason], Coverage::Full, Epoch::default());
            assert_eq!(code_of(&decision).name, name, "{rule}");
        }
    }

    #[test]
    fn each_code_is_found_by_its_rule() {
        for code in code::ALL {
            let reason = Denial::new(code, "m").reason();
            let decision = Decision::from_reasons(vec![reason], Coverage::Full, Epoch::default());
            // `SSRF_BLOCKED` is `egress.ssrf` where the engine says it.
            assert_eq!(code_of(&decision).name, code.name);
            assert!(decision.is_turned_away());
        }
    }
}
