//! What was decided about an action, and everything that led to it.

use std::sync::Arc;

use bytes::Bytes;

use crate::placeholder::Secret;
use crate::syntax::Span;
use crate::usage::Price;

/// The answer, weakest first: the strongest reason wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Verdict {
    /// Passes.
    #[default]
    Allow,
    /// Passes, noted.
    Audit,
    /// Passes with the parts named by a duty taken out.
    Redact,
    /// Waits for a person; nobody answering is a block.
    Ask,
    /// Does not pass; what it carried is kept for review.
    Quarantine,
    /// Does not pass.
    Block,
}

impl Verdict {
    /// The word in policies, receipts and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Audit => "audit",
            Self::Redact => "redact",
            Self::Ask => "ask",
            Self::Quarantine => "quarantine",
            Self::Block => "block",
        }
    }

    /// Whether an action with this verdict goes on once nothing more is waited for.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Allow | Self::Audit | Self::Redact)
    }
}

/// Which part of the judgement a reason comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Who came, and how: a signature that is wrong, a rate that is exceeded. Holds in every mode: whoever is not known
    /// has no policy.
    Door,
    /// What no policy can lift.
    Floor,
    /// The operator's rules and the profile's own.
    Policy,
    /// What a detector saw.
    Detect,
    /// What the session remembers.
    Session,
    /// What may be spent.
    Budget,
}

impl Layer {
    /// The word in receipts and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Floor => "floor",
            Self::Policy => "policy",
            Self::Detect => "detect",
            Self::Session => "session",
            Self::Budget => "budget",
        }
    }
}

/// One reason for the verdict. A decision keeps all of them, not only the one that won.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule's id, such as `exec.download-and-run` or `floor.kill`.
    pub rule: String,
    /// Where it comes from.
    pub layer: Layer,
    /// What it asks for.
    pub verdict: Verdict,
    /// How bad, 0 to 100.
    pub severity: u8,
    /// What was seen, for a person. Never holds a secret: values are named, not quoted.
    pub message: String,
    /// What to do instead; may be empty.
    pub advice: String,
    /// Which part of the action it is about, by index; `None` for the action as a whole.
    pub part: Option<usize>,
}

impl Reason {
    /// Whether a person can lift it by saying yes.
    fn asks(&self) -> bool {
        self.verdict == Verdict::Ask && !matches!(self.layer, Layer::Floor | Layer::Door)
    }
}

/// What was really looked at. "Scanned" is never claimed otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Coverage {
    /// Everything.
    #[default]
    Full,
    /// A part; the words say what was not.
    Partial(String),
    /// Nothing; the words say why.
    None(String),
}

impl Coverage {
    /// The weaker of the two, with both explanations.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Full, other) => other,
            (this, Self::Full) => this,
            (Self::None(a), Self::None(b)) => Self::None(join(a, &b)),
            (Self::None(a), Self::Partial(_)) | (Self::Partial(_), Self::None(a)) => Self::None(a),
            (Self::Partial(a), Self::Partial(b)) => Self::Partial(join(a, &b)),
        }
    }
}

/// Both explanations, each part once, in an order that does not depend on which came first. What does not
/// fit a receipt is cut.
fn join(a: String, b: &str) -> String {
    const MOST: usize = 8;
    let mut parts: Vec<&str> = a.split(", ").chain(b.split(", ")).collect();
    parts.sort_unstable();
    parts.dedup();
    if parts.len() > MOST {
        parts.truncate(MOST);
        parts.push("…");
    }
    parts.join(", ")
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Partial(why) => write!(f, "partial({why})"),
            Self::None(why) => write!(f, "none({why})"),
        }
    }
}

/// What must be done to an action before it is forwarded. The union over all reasons: a duty
/// survives the verdict, so an approved `ask` still redacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duties(pub Vec<Duty>);

/// One duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Replace the bytes under the span. The result is parsed strictly again before it goes.
    Edit(Span, Bytes),
    /// Keep the payload with this SHA-256 aside instead of passing it.
    Divert([u8; 32]),
    /// Add the credential of this name at the boundary.
    Inject(String),
    /// Dial only addresses that this rule allows.
    Dial(String),
    /// Let no more than this many bytes through.
    Limit(u64),
}

/// A block that spoke to the model and was taken out of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The rule that found it.
    pub rule: Arc<str>,
    /// The severity of that finding, 0 to 100.
    pub severity: u8,
    /// What stands in its place, in this request and every later one.
    pub notice: Arc<str>,
}

/// The registered secrets that are taken out of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// The reasons that ask for it and are content with it, by their rules.
    pub rules: Vec<String>,
    /// In which fields, in their order; what they say stays out of it.
    pub fields: Vec<Field>,
    /// How many places of others there are, beyond those that are named.
    pub more: u32,
    /// How many of the duties that is.
    pub edits: usize,
    /// What stands in their places.
    pub issued: Vec<(String, Secret)>,
}

/// A field of which something was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it stands, such as `messages[2].content[0].text`.
    pub place: String,
    /// The name of the secret.
    pub name: Arc<str>,
    /// How often it stood there.
    pub count: u32,
}

/// What the action costs, reserved before it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges(pub Vec<Charge>);

/// One amount that a limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The limit's name.
    pub account: String,
    /// The unit: `calls`, `bytes`, `tokens`, `money`.
    pub unit: &'static str,
    /// How many, in the unit's smallest step (of money: a billionth); 0 if it is known only later.
    pub amount: u64,
    /// What is known only later, if that is so.
    pub later: Option<Later>,
    /// What it counts on.
    pub counter: CounterId,
    /// How many there may be within the window.
    pub most: u64,
    /// How long the window is, in milliseconds.
    pub window: u64,
}

/// What an action uses that is known only when its reply has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Tokens.
    Tokens,
    /// What its tokens cost.
    Money(Price),
}

/// The name of a counter. It tells nothing of whom it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId {
    /// Whose counters: of one limit, or of those that share theirs.
    pub group: [u8; 16],
    /// Which of them: an agent, an endpoint.
    pub key: [u8; 16],
}

/// Revision of kill state, policy and key. If it moved between judging and sending, the action is
/// judged again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Revision of the kill state.
    pub kill: u64,
    /// Revision of the policy.
    pub policy: u64,
    /// Revision of the signing key.
    pub key: u64,
}

/// The judgement of one action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The strongest verdict among the reasons.
    pub verdict: Verdict,
    /// 0 to 100: the severity of the worst reason, raised a little by each further one.
    pub risk: u8,
    /// All reasons, strongest first.
    pub reasons: Vec<Reason>,
    /// What was looked at.
    pub coverage: Coverage,
    /// What must be done to it on the way.
    pub duties: Duties,
    /// The parts whose text is replaced by one of those duties, by index, and why.
    pub replaced: Vec<(usize, Replaced)>,
    /// The registered secrets that are replaced by others of those duties.
    pub redacted: Redacted,
    /// What it costs.
    pub charges: Charges,
    /// The highest entropy of a token in what was looked at, in hundredths of bits per character; 0 if none has a
    /// score.
    pub entropy: u16,
    /// In how many milliseconds there is room again for what a limit refused, as far as is known now.
    pub room_in: Option<u64>,
    /// What was in force when it was judged.
    pub epoch: Epoch,
}

impl Decision {
    /// Puts `reasons` in order and derives verdict and risk from them.
    #[must_use]
    pub fn from_reasons(mut reasons: Vec<Reason>, coverage: Coverage, epoch: Epoch) -> Self {
        reasons.sort_by(|a, b| {
            (b.verdict, b.severity, a.layer)
                .cmp(&(a.verdict, a.severity, b.layer))
                .then_with(|| a.rule.cmp(&b.rule))
        });
        let verdict = reasons.first().map_or(Verdict::Allow, |reason| reason.verdict);
        let worst = reasons.iter().map(|reason| reason.severity).max().unwrap_or(0);
        let more = reasons.iter().filter(|reason| reason.severity >= 30).count().saturating_sub(1);
        let risk = worst.saturating_add(u8::try_from(more * 2).unwrap_or(10).min(10)).min(100);
        Self { verdict, risk, reasons, coverage, epoch, ..Self::default() }
    }

    /// Whether the action goes on as it is. One that must be redacted does not, unless its duties say what is taken
    /// out: a rule is never weaker than it reads. What is taken out of single parts is not what a reason about the
    /// whole asks for.
    #[must_use]
    pub fn passes(&self) -> bool {
        // What registered secrets were to be taken out for is done: of them it was said where each stood.
        let done = |reason: &&Reason| self.redacted.rules.contains(&reason.rule);
        let redacts = |reason: &&Reason| reason.verdict == Verdict::Redact && !done(reason);
        let of_a_part = || self.reasons.iter().filter(redacts).any(|reason| reason.part.is_some());
        let of_all = || self.reasons.iter().filter(redacts).any(|reason| reason.part.is_none());
        let edits = self.duties.0.iter().filter(|duty| matches!(duty, Duty::Edit(..))).count();
        let edits = edits > self.redacted.edits;
        let lacking = match (of_all(), of_a_part()) {
            (false, false) => false,
            (true, true) => true,
            (true, false) | (false, true) => !edits,
        };
        self.verdict.passes() && !lacking
    }

    /// Whether whoever came may not come in, in whatever mode.
    #[must_use]
    pub fn is_turned_away(&self) -> bool {
        self.reasons.iter().any(|reason| reason.layer == Layer::Door && !reason.verdict.passes())
    }

    /// The reason that decided, if there is any.
    #[must_use]
    pub fn decisive(&self) -> Option<&Reason> {
        self.reasons.first()
    }

    /// What the agent is told in the place of what was blocked: what, why, what to do instead.
    ///
    /// An agent that is told nothing tries again: one peer's users report 754 retries of one call.
    #[must_use]
    pub fn notice(&self, what: &str) -> String {
        let Some(reason) = self.decisive() else { return format!("[doorward] Blocked {what}.") };
        let (rule, message, advice) = told(reason);
        let held: Vec<&[u8; 32]> = self.diverted().collect();
        let verb = if held.is_empty() { "Blocked" } else { "Held" };
        let mut text = format!("[doorward] {verb} {what}: {message} (rule {rule}).");
        if !held.is_empty() {
            let ids: Vec<String> = held.iter().take(TOLD).map(|digest| short(digest)).collect();
            text.push_str(&format!(
                " Nothing was written; what it would have written is kept in quarantine ({}), and nothing may be run at \
                 that path. A person can look at it and release it: `doorward quarantine show {}`.",
                ids.join(", "),
                ids.first().map_or("", String::as_str),
            ));
        }
        if !advice.is_empty() {
            text.push_str(" Instead: ");
            text.push_str(advice.trim_end_matches('.'));
            text.push('.');
        }
        text.push_str(" Do not retry it in this or another form.");
        text
    }

    /// The digests of what is kept aside.
    pub fn diverted(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.duties.0.iter().filter_map(|duty| match duty {
            Duty::Divert(digest) => Some(digest),
            _ => None,
        })
    }

    /// The same with one more reason: the verdict can only become stronger.
    #[must_use]
    pub fn and(mut self, reason: Reason) -> Self {
        self.reasons.push(reason);
        self.anew()
    }

    /// The reasons that wait for a person; none of the floor, which no person lifts either.
    pub fn asking(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().filter(|reason| reason.asks())
    }

    /// The same after a person has said yes to `shown`: each reason that asks and was shown is noted from now on,
    /// `with` words that say who said so. Everything else stays: a block, the floor, duties, and a question that the
    /// person was not shown.
    #[must_use]
    pub fn approved(mut self, shown: &[Reason], with: &str) -> Self {
        for reason in self.reasons.iter_mut().filter(|reason| reason.asks() && shown.contains(reason)) {
            reason.verdict = Verdict::Audit;
            reason.message = format!("{}; {with}", reason.message);
        }
        self.anew()
    }

    /// The same with those reasons of detectors only noted that ask and that `which` holds for, `with` words that say why.
    #[must_use]
    pub fn noting(mut self, which: impl Fn(&Reason) -> bool, with: &str) -> Self {
        let detected = |reason: &&mut Reason| reason.asks() && reason.layer == Layer::Detect;
        for reason in self.reasons.iter_mut().filter(detected).filter(|reason| which(reason)) {
            reason.verdict = Verdict::Audit;
            reason.message = format!("{}; {with}", reason.message);
        }
        self.anew()
    }

    /// The same decision, its order and verdict derived anew from its reasons.
    fn anew(self) -> Self {
        let (duties, charges, replaced, entropy) = (self.duties, self.charges, self.replaced, self.entropy);
        let (redacted, room_in) = (self.redacted, self.room_in);
        let decision = Self::from_reasons(self.reasons, self.coverage, self.epoch);
        Self { duties, charges, replaced, redacted, entropy, room_in, ..decision }
    }
}

/// How many digests the agent is told.
const TOLD: usize = 4;

/// As much of a digest as a person needs to find it.
fn short(digest: &[u8; 32]) -> String {
    crate::syntax::hex(digest.get(..8).unwrap_or_default())
}

/// What rules begin with that speak of decoys.
const UNTOLD: &str = "floor.canary-";

/// What the agent is told of `reason`: rule, message, advice. That something is a decoy it is not told: who is after
/// credentials would know from then on which are real. The receipt says it.
fn told(reason: &Reason) -> (&str, &str, &str) {
    if reason.rule.starts_with(UNTOLD) {
        let message = "it has to do with credentials that are none of this task's business";
        return ("floor.credential", message, "tell the user, who finds the reason under this receipt");
    }
    (&reason.rule, &reason.message, &reason.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_not_told_what_is_a_decoy() {
        let mut reason = reason("floor.canary-path", Verdict::Block, 100);
        reason.message = "the call reaches for the decoy `ssh-rsa`".into();
        let decision = Decision::from_reasons(vec![reason], Coverage::Full, Epoch::default());
        let notice = decision.notice("the call to `Bash`");
        assert!(notice.contains("floor.credential") && notice.contains("tell the user"), "{notice}");
        assert!(!["canary", "decoy", "ssh-rsa"].iter().any(|word| notice.contains(word)), "{notice}");
    }

    fn reason(rule: &str, verdict: Verdict, severity: u8) -> Reason {
        Reason {
            rule: rule.into(),
            layer: Layer::Detect,
            verdict,
            severity,
            message: String::new(),
            advice: String::new(),
            part: None,
        }
    }

    #[test]
    fn the_strongest_reason_wins_and_none_is_lost() {
        let decision = Decision::from_reasons(
            vec![
                reason("a", Verdict::Audit, 90),
                reason("b", Verdict::Block, 80),
                reason("c", Verdict::Ask, 60),
            ],
            Coverage::Full,
            Epoch::default(),
        );
        assert_eq!(decision.verdict, Verdict::Block);
        assert_eq!(decision.decisive().unwrap().rule, "b");
        assert_eq!(decision.reasons.len(), 3);
        assert_eq!(decision.risk, 94);
        assert_eq!(Decision::default().and(reason("x", Verdict::Ask, 61)).verdict, Verdict::Ask);
    }

    #[test]
    fn what_must_be_redacted_passes_only_with_something_taken_out() {
        let redact = vec![reason("a", Verdict::Redact, 50), reason("b", Verdict::Audit, 30)];
        let mut decision = Decision::from_reasons(redact, Coverage::Full, Epoch::default());
        assert!(decision.verdict.passes() && !decision.passes());
        decision.duties.0.push(Duty::Limit(1));
        assert!(!decision.passes());
        decision.duties.0.push(Duty::Edit(Span::new(0, 1), Bytes::from_static(b"x")));
        assert!(decision.passes());
        // What is taken out of one part is not what another rule asks for of the whole.
        let of_a_part = Reason { part: Some(1), ..reason("d", Verdict::Redact, 50) };
        assert!(!decision.clone().and(of_a_part.clone()).passes());
        let mut one = Decision::from_reasons(vec![of_a_part], Coverage::Full, Epoch::default());
        assert!(!one.passes());
        one.duties.0.push(Duty::Edit(Span::new(0, 1), Bytes::from_static(b"x")));
        assert!(one.passes());
        assert!(!decision.and(reason("c", Verdict::Ask, 60)).passes());
        assert!(Decision::default().passes());
    }

    #[test]
    fn a_yes_lifts_what_was_shown_and_nothing_else() {
        let decision = |reasons| Decision::from_reasons(reasons, Coverage::Full, Epoch::default());
        let asks = reason("a", Verdict::Ask, 60);
        let mut asked = decision(vec![asks.clone(), reason("b", Verdict::Audit, 30)]);
        asked.duties.0.push(Duty::Limit(7));
        let shown = [asks.clone()];
        let yes = asked.clone().approved(&shown, "approved by a person");
        assert_eq!((yes.verdict, yes.duties.clone()), (Verdict::Audit, asked.duties.clone()));
        assert!(yes.reasons.iter().any(|reason| reason.message.ends_with("; approved by a person")));
        // Another question, the same rule with other words, a block, the floor: all of them stay.
        let other = Reason { message: "another host".into(), ..asks.clone() };
        for more in [
            reason("c", Verdict::Ask, 60),
            other,
            reason("d", Verdict::Block, 80),
            reason("e", Verdict::Quarantine, 80),
            Reason { layer: Layer::Floor, ..asks.clone() },
        ] {
            let verdict = more.verdict;
            let left = asked.clone().and(more).approved(&shown, "approved");
            assert_eq!(left.verdict, verdict);
        }
        let of_the_floor = Reason { layer: Layer::Floor, ..asks };
        let floor = decision(vec![of_the_floor.clone()]);
        assert_eq!(floor.asking().count(), 0);
        assert_eq!(floor.approved(&[of_the_floor], "approved").verdict, Verdict::Ask);
    }

    #[test]
    fn coverage_only_gets_weaker() {
        let partial = Coverage::Partial("depth".into());
        assert_eq!(Coverage::Full.and(partial.clone()), partial);
        assert_eq!(partial.clone().and(Coverage::Partial("depth".into())), partial);
        assert_eq!(partial.and(Coverage::None("opaque".into())).to_string(), "none(opaque)");
    }
}
