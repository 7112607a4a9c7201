//! The one place where an action is judged: floor, source, policy and detectors each give their
//! reasons, all are kept, the strongest decides.

use std::borrow::Cow;
use std::sync::Arc;

use crate::action::shell::{self, Reading, join_literals};
use crate::action::{Action, ActionKind, Effect, Flow, PartKind, Source};
use crate::decision::{Charges, Coverage, Decision, Layer, Reason, Verdict};
use crate::detect::Finding;
use crate::detect::canary;
use crate::detect::destination::Crossing;
use crate::detect::native;
use crate::detect::rules::{MOST_AUDITED, RuleSet};
use crate::pace::Pace;
use crate::policy::NOTHING_OUT;
use crate::policy::{Explained, Given, Policy, Profile, SHIPPED};
use crate::session::{Facts, Held, Kill, Remembered, SessionMode};
use crate::syntax::{self, Diagnostic};

pub mod examples;

mod floor;
use floor::{Floor, Planted};

mod cells;

mod egress;
pub use egress::{NAMED, PUBLIC};

mod quarantine;

mod redact;
use redact::Plan;

mod replace;
pub use replace::NOTICE;

mod story;

/// Where the reading of a call stops for good.
const BEYOND_LIMITS: [&str; 6] = [
    "shell: loop over too many places",
    "shell: too long",
    "shell: too deep",
    "shell: too many effects",
    "tool: too many arguments",
    "tool: too many effects",
];

/// The most reasons a decision keeps; the strongest stay.
pub const MOST_REASONS: usize = 64;

/// Rules and policy in force, compiled, and what the floor protects.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    policy: Arc<Policy>,
    home: String,
    floor: Arc<Floor>,
    planted: Arc<Planted>,
}

/// Where this Doorward stands, so that an agent reaching for it is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The user's home directory, absolute; empty if there is none.
    pub user_home: String,
    /// `DOORWARD_HOME`, absolute.
    pub doorward_home: String,
    /// Our process; 0 if there is none.
    pub pid: u32,
    /// The name of our program.
    pub program: String,
    /// The control listener, `host:port`; empty if there is none.
    pub control: String,
    /// All our listeners, `host:port` each, the control listener included.
    pub listeners: Vec<String>,
}

impl Default for Surroundings {
    /// A user without a name, the default listeners, no process.
    fn default() -> Self {
        Self {
            user_home: "/home/user".into(),
            doorward_home: "/home/user/.doorward".into(),
            pid: 0,
            program: "doorward".into(),
            control: "127.0.0.1:7879".into(),
            listeners: vec!["127.0.0.1:7878".into(), "127.0.0.1:7879".into()],
        }
    }
}

impl Engine {
    /// An engine over `rules` and `policy`, for a Doorward that stands in `around`.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, policy: Arc<Policy>, around: Surroundings) -> Self {
        let (home, floor) = (around.user_home.clone(), Arc::new(Floor::new(around)));
        let planted = Arc::new(floor.planted(places(&rules)));
        Self { rules, policy, home, floor, planted }
    }

    /// An engine over the shipped rules and the shipped policy.
    ///
    /// # Errors
    /// The faults of what is shipped; a test keeps it from having any.
    pub fn shipped(around: Surroundings) -> Result<Self, Vec<Diagnostic>> {
        let rules = RuleSet::shipped()?;
        let policy = Policy::compile(&[syntax::Source { name: "shipped policy", text: SHIPPED }])?;
        Ok(Self::new(Arc::new(rules), Arc::new(policy), around))
    }

    /// The same with other rules.
    #[must_use]
    pub fn with_rules(&self, rules: Arc<RuleSet>) -> Self {
        let (policy, home, floor) = (Arc::clone(&self.policy), self.home.clone(), Arc::clone(&self.floor));
        let planted = Arc::new(floor.planted(places(&rules)));
        Self { rules, policy, home, floor, planted }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Judges `action` with what is known. Pure: the same arguments give the same decision.
    #[must_use]
    pub fn decide(&self, action: &Action, facts: &Facts) -> Decision {
        self.decide_in_steps(action, facts, &Pace::whole())
    }

    /// The same, in steps, between which others have their turns.
    #[must_use]
    pub fn decide_in_steps(&self, action: &Action, facts: &Facts, pace: &Pace<'_>) -> Decision {
        if facts.standing.mode == SessionMode::Off {
            return unjudged(action, facts);
        }
        let effects = &*self.effects(action, facts);
        let mut reasons = action.at_door.clone();
        reasons.extend(egress::target(action, &self.policy));
        reasons.extend(fault(action));
        reasons.extend(source(action));
        let readings = if acts(action.kind) { readings(action) } else { Vec::new() };
        if acts(action.kind) {
            self.floor.judge(action, effects, &readings, (&self.planted, &facts.held), &mut reasons);
            reasons.extend(floor::led_to_bait(effects, self.rules.canaries()));
        }
        let (mut findings, entropy) = self.findings(action, effects, &readings, facts, pace);
        replace::recall(action, facts, &mut findings);
        findings.extend(self.told(effects, facts));
        let (held, to_hold): (Vec<usize>, Vec<Finding>) =
            self.to_hold(action, &readings, effects, facts).into_iter().unzip();
        let others = findings.len();
        findings.extend(to_hold);
        let known = self.looked_again(facts);
        let (plan, rules) = self.redaction(action, (effects, &known), &mut findings, &mut reasons);
        let given = Given {
            effects,
            home: &self.home,
            findings: &findings,
            facts: &known,
            lists: self.rules.lists(),
        };
        let lifted = self.policy.suppressions(action, &given);
        reasons.extend(findings.iter().filter_map(|finding| {
            // What a decoy said is of the floor, and no policy lifts it.
            let own = floor::content(finding);
            own.or_else(|| Some(lifted.lift(self.reason(finding)?, finding)))
        }));
        let verdict_of = |finding: &Finding| {
            self.reason(finding).map_or(Verdict::Allow, |reason| lifted.lift(reason, finding).verdict)
        };
        let held = held.into_iter().zip(findings.iter().skip(others).map(verdict_of));
        let held: Vec<(usize, Verdict)> = held.collect();
        reasons.extend(recalled(facts));
        reasons.extend(self.cells(action, effects, facts, &reasons));
        reasons.extend(self.unread(action));
        reasons.extend(self.policy.unpriced(action, &given));
        soften(action.kind, &mut reasons);
        reasons.extend(corrected(&reasons, facts));
        let (mut duties, replaced) = match self.policy.profile() {
            Profile::Strict => replace::duties(action, facts, &findings, &mut reasons),
            Profile::Balanced => Default::default(),
        };
        duties.0.extend(quarantine::duties(action, &held, &reasons));
        let redacted = plan.carried(rules, &mut duties);
        // Last, because nothing softens it.
        reasons.extend(killed(facts.kill));
        let mut decision = Decision::from_reasons(reasons, action.coverage.clone(), facts.epoch);
        decision.entropy = hundredths(entropy);
        (decision.duties, decision.replaced, decision.redacted) = (duties, replaced, redacted);
        decision.duties.0.extend(egress::dial(action, &self.policy));
        decision.reasons.truncate(MOST_REASONS);
        if decision.verdict < Verdict::Quarantine {
            decision.charges = Charges(self.policy.charges(action, &given));
        }
        decision
    }

    /// What `action` would do, as far as that is known, with the classes that the operator gives what it is about.
    #[must_use]
    pub fn effects<'a>(&self, action: &'a Action, facts: &'a Facts) -> Cow<'a, [Effect]> {
        if !facts.resolved.is_empty() {
            return Cow::Borrowed(&facts.resolved);
        }
        self.policy.own_effects(action).map_or(Cow::Borrowed(&action.effects), Cow::Owned)
    }

    /// Where held content was to be written, as [`Facts::held`] has it.
    #[must_use]
    pub fn held<'p>(&self, paths: impl Iterator<Item = &'p str>) -> Held {
        self.floor.holding(paths)
    }

    /// What each rule of the policy says about `action`.
    #[must_use]
    pub fn explain(&self, action: &Action, facts: &Facts) -> Vec<Explained> {
        let effects = &*self.effects(action, facts);
        let readings = if acts(action.kind) { readings(action) } else { Vec::new() };
        let (mut findings, _) = self.findings(action, effects, &readings, facts, &Pace::whole());
        findings.extend(self.told(effects, facts));
        findings
            .extend(self.to_hold(action, &readings, effects, facts).into_iter().map(|(_, finding)| finding));
        let given =
            Given { effects, home: &self.home, findings: &findings, facts, lists: self.rules.lists() };
        self.policy.explain(action, &given)
    }

    /// What is seen in text that is already on its way and can only be audited.
    #[must_use]
    pub fn audit_text(&self, kind: PartKind, text: &str) -> Vec<Reason> {
        self.audit_text_in_steps(kind, text, &Pace::whole())
    }

    /// The same, in steps, between which others have their turns.
    #[must_use]
    pub fn audit_text_in_steps(&self, kind: PartKind, text: &str, pace: &Pace<'_>) -> Vec<Reason> {
        let findings = self.rules.text_findings_in_steps(kind, text, pace);
        let reasons =
            findings.iter().filter_map(|finding| floor::content(finding).or_else(|| self.reason(finding)));
        reasons.map(|reason| Reason { verdict: reason.verdict.min(Verdict::Audit), ..reason }).collect()
    }

    /// For each part that was judged now, what was found: what [`crate::session::end`] remembers.
    #[must_use]
    pub fn found(action: &Action, facts: &Facts, decision: &Decision) -> Vec<(usize, Remembered)> {
        // Of a decision that lost reasons to the bound, only what is named is known.
        let cut = decision.reasons.len() >= MOST_REASONS;
        let named = |part: usize| decision.reasons.iter().any(|reason| reason.part == Some(part));
        // What a decoy said is no business of anybody's, however often it comes again.
        let planted = |part: usize| {
            decision
                .reasons
                .iter()
                .any(|reason| reason.part == Some(part) && canary::is_content(&reason.rule))
        };
        let fresh = |part: &usize| {
            facts.remembered.get(*part).is_none_or(Option::is_none)
                && (!cut || named(*part))
                && !planted(*part)
        };
        let parts = (0..action.parts.len()).filter(fresh);
        let about = |part: usize| {
            let reasons = decision.reasons.iter().filter(move |reason| reason.part == Some(part));
            let (verdicts, risks) =
                (reasons.clone().map(|reason| reason.verdict), reasons.map(|reason| reason.severity));
            Remembered { verdict: verdicts.max().unwrap_or_default(), risk: risks.max().unwrap_or(0) }
        };
        parts.map(|part| (part, about(part))).collect()
    }

    /// What detectors find in the parts that were not judged before, and in the effects.
    fn findings(
        &self,
        action: &Action,
        effects: &[Effect],
        readings: &[(usize, Reading)],
        facts: &Facts,
        pace: &Pace<'_>,
    ) -> (Vec<Finding>, f32) {
        // Under `strict` what was found to speak to the model is looked at each time: it is replaced each time. And where
        // something is taken out, whatever had a finding.
        let strict = self.policy.profile() == Profile::Strict;
        let most = match (self.policy.redacts(), strict) {
            (true, _) => 0,
            (false, true) => MOST_AUDITED,
            (false, false) => u8::MAX,
        };
        let remembered = |part: usize| {
            let known = facts.remembered.get(part).and_then(Option::as_ref);
            known.is_some_and(|known| known.risk <= most)
        };
        let spoken: Vec<(usize, String)> = readings
            .iter()
            .map(|(part, reading)| (*part, plainly(reading, text_of(action, *part))))
            .collect();
        let talks = |part: usize| readings.iter().any(|(of, reading)| *of == part && reading.only_talks());
        let (mut findings, entropy) =
            self.rules.findings(action, effects, &spoken, (&remembered, &talks), pace);
        let (of_request, dense) = self.rules.request_findings(action);
        findings.extend(of_request);
        findings.extend(self.destinations(action, effects, readings));
        (findings, entropy.max(dense))
    }

    /// The facts for the policy. Where something is taken out, what was found in earlier turns is looked for each time: then
    /// it is known what it was.
    fn looked_again<'f>(&self, facts: &'f Facts) -> Cow<'f, Facts> {
        let earlier = || facts.remembered.iter().flatten().any(|block| block.risk > 0);
        if self.policy.redacts() && earlier() {
            return Cow::Owned(Facts { remembered: Vec::new(), ..facts.clone() });
        }
        Cow::Borrowed(facts)
    }

    /// Lets the policy speak. Where a rule of it asks for `redact` because of registered secrets and of nothing else, gives
    /// what is to be taken out, and the rules that are content with it; what cannot be taken out is one finding more.
    fn redaction(
        &self,
        action: &Action,
        (effects, facts): (&[Effect], &Facts),
        findings: &mut Vec<Finding>,
        reasons: &mut Vec<Reason>,
    ) -> (Plan, Vec<String>) {
        let plan = if self.policy.redacts() { redact::plan(action, &self.rules) } else { Plan::default() };
        findings.extend(plan.seen(findings));
        let evaluate = |findings: &[Finding]| {
            let given = Given { effects, home: &self.home, findings, facts, lists: self.rules.lists() };
            self.policy.evaluate(action, &given)
        };
        let mut of_policy = evaluate(findings);
        let asks = of_policy.iter().any(|reason| reason.verdict == Verdict::Redact);
        let mut rules = Vec::new();
        if asks && plan.has_looked() {
            let others: Vec<Finding> =
                findings.iter().filter(|finding| finding.rule != redact::SEEN).cloned().collect();
            let others = evaluate(&others);
            let content = |reason: &&mut Reason| {
                reason.verdict == Verdict::Redact && others.iter().all(|other| other.rule != reason.rule)
            };
            for reason in of_policy.iter_mut().filter(content) {
                reason.message = reason.message.replace(NOTHING_OUT, "; placeholders stand for them");
                reason.advice.clear();
                rules.push(reason.rule.clone());
            }
        }
        reasons.extend(of_policy);
        if rules.is_empty() {
            return (Plan::default(), rules);
        }
        findings.extend(plan.left(action, findings, &self.rules));
        (plan, rules)
    }

    /// What detectors find in where it leads.
    fn destinations(
        &self,
        action: &Action,
        effects: &[Effect],
        readings: &[(usize, Reading)],
    ) -> Vec<Finding> {
        let sent = readings.iter().flat_map(|(_, reading)| {
            let effect = |flow: &Flow| reading.effects.get(usize::from(*flow));
            reading.writes.iter().filter_map(move |(flow, text)| Some((effect(flow)?, text.as_str())))
        });
        self.rules.lists().findings(&Crossing {
            action,
            effects,
            sent: &sent.collect::<Vec<_>>(),
            allowed: &|at, url| self.policy.allows_place(at, url),
            strict: self.policy.profile() == Profile::Strict,
        })
    }

    fn reason(&self, finding: &Finding) -> Option<Reason> {
        let verdict = match finding.severity {
            80.. if finding.category == native::CATEGORY => Verdict::Quarantine,
            80.. => Verdict::Block,
            60.. => Verdict::Ask,
            30.. => Verdict::Audit,
            _ => return None,
        };
        Some(Reason {
            rule: finding.rule.clone(),
            layer: story::layer_of(finding),
            verdict,
            severity: finding.severity,
            message: finding.message.clone(),
            advice: finding.advice.clone(),
            part: finding.part,
        })
    }

    /// A call that was not read to the end.
    fn unread(&self, action: &Action) -> Option<Reason> {
        if action.kind != ActionKind::ToolCall {
            return None;
        }
        let why = match &action.coverage {
            Coverage::Full => return None,
            Coverage::Partial(why) | Coverage::None(why) => why,
        };
        let message = format!("not all of this call could be read ({why})");
        // Beyond the limits nothing is read any more: whoever pads a command that far hides its end. No
        // ordinary work comes near them.
        if why.split(", ").any(|gap| BEYOND_LIMITS.contains(&gap)) {
            let advice = "split the command into shorter, flatter ones; write long files with a file tool";
            return Some(reason("coverage.beyond-limits", Layer::Detect, Verdict::Ask, 60, message, advice));
        }
        let (verdict, severity) = match self.policy.profile() {
            Profile::Balanced => (Verdict::Audit, 30),
            Profile::Strict => (Verdict::Ask, 60),
        };
        let advice = "write it plainly: spelled-out commands, no encoded or generated code";
        Some(reason("coverage.partial", Layer::Detect, verdict, severity, message, advice))
    }
}

/// Where decoys lie.
fn places(rules: &RuleSet) -> &[canary::Place] {
    rules.canaries().map(canary::Canaries::places).unwrap_or_default()
}

/// Bits per character in hundredths; no text has more than eight bits.
fn hundredths(bits: f32) -> u16 {
    (bits.clamp(0.0, 8.0) * 100.0).round() as u16
}

/// A reason about the action as a whole.
fn reason(
    rule: &str,
    layer: Layer,
    verdict: Verdict,
    severity: u8,
    message: impl Into<String>,
    advice: &str,
) -> Reason {
    Reason {
        rule: rule.into(),
        layer,
        verdict,
        severity,
        message: message.into(),
        advice: advice.into(),
        part: None,
    }
}

/// Whether the agent does something by it, as opposed to being told something.
const fn acts(kind: ActionKind) -> bool {
    matches!(kind, ActionKind::ToolCall | ActionKind::ProviderCall | ActionKind::Outbound | ActionKind::Url)
}

/// Every command line of `action`, read, with the part it stands in.
fn readings(action: &Action) -> Vec<(usize, Reading)> {
    let parts = action.parts.iter().enumerate();
    let commands = parts.filter(|(_, part)| part.kind == PartKind::Command);
    let read = |text| shell::read_after(&action.before, text, None).0;
    commands.map(|(index, part)| (index, read(&part.text))).collect()
}

fn text_of(action: &Action, part: usize) -> &str {
    action.parts.get(part).map_or("", |part| part.text.as_ref())
}

/// A command line as its programs see it, one command a line: quotes, variables and substitutions that
/// only hide a word are gone. With it what the `line` only holds encoded and writes to a file or sends, and, where
/// it puts literals together (`'amsi' + 'Utils'`), the line with those in one piece.
fn plainly(reading: &Reading, line: &str) -> String {
    let mut out = String::new();
    for command in &reading.commands {
        for (index, word) in command.argv.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { " " });
            out.push_str(&word.text);
        }
        out.push('\n');
    }
    let decoded = reading.writes.iter().map(|(_, text)| text.trim_end());
    for text in decoded.filter(|text| !text.is_empty() && !line.contains(text)) {
        out.push_str(text);
        out.push('\n');
    }
    if ["'+", "' +", "\"+", "\" +"].iter().any(|seam| line.contains(seam)) {
        out.push_str(&join_literals(line));
    }
    out
}

/// What is said of an action whose session a person has switched off: that nothing was looked at.
fn unjudged(action: &Action, facts: &Facts) -> Decision {
    let coverage = Coverage::None("the session's mode is off".to_owned());
    let reasons = action.at_door.iter().cloned().chain(killed(facts.kill));
    Decision::from_reasons(reasons.collect(), coverage, facts.epoch)
}

/// In a session that corrects nobody is asked: the agent is told at once what to do instead.
fn corrected(reasons: &[Reason], facts: &Facts) -> Option<Reason> {
    let strongest = reasons.iter().max_by_key(|reason| (reason.verdict, reason.severity))?;
    if facts.standing.mode != SessionMode::Correct || strongest.verdict != Verdict::Ask {
        return None;
    }
    let advice = match strongest.advice.as_str() {
        "" => "leave it out, or do it in a way that needs nobody's consent",
        advice => advice,
    };
    let message = format!("{}; in this session nobody is asked", strongest.message);
    Some(reason("session.correct", Layer::Session, Verdict::Block, strongest.severity, message, advice))
}

/// What is said when all traffic is stopped.
pub const EVERYBODY: &str = "a person has stopped all traffic";

fn killed(kill: Kill) -> Option<Reason> {
    let (message, advice) = match kill {
        Kill::Running => return None,
        Kill::Session => ("a person has stopped this session", "wait until a person resumes it"),
        Kill::Frozen => (
            "Doorward has frozen a session of this agent, and those that began later",
            "wait until a person has looked at it and resumes it",
        ),
        Kill::Agent => ("a person has stopped this agent", "wait until a person resumes it"),
        Kill::All => (EVERYBODY, "wait until a person resumes it"),
    };
    Some(reason("floor.kill", Layer::Floor, Verdict::Block, 100, message, advice))
}

/// What readers would disagree about is not passed on.
fn fault(action: &Action) -> Option<Reason> {
    let fault = action.fault.as_ref()?;
    let (message, advice) = match action.kind {
        ActionKind::ToolCall => (
            format!("the call is malformed: {fault}"),
            "send the arguments as one JSON object, each key once",
        ),
        _ => (format!("the request is refused: {fault}"), ""),
    };
    Some(reason("floor.malformed", Layer::Floor, Verdict::Block, 100, message, advice))
}

fn undeclared(action: &Action) -> bool {
    action.tool.as_ref().is_some_and(|tool| !tool.declared)
}

/// Who proposed it.
fn source(action: &Action) -> Option<Reason> {
    match action.kind {
        // The reply is fetched later than it was asked for, past us. Who is trusted is judged by what the call
        // does; that its tool may be none is a gap in what could be read.
        ActionKind::ToolCall if action.source == Source::Unknown && undeclared(action) => (!action.peer_trusted).then(|| {
            reason(
                "source.unseen-request",
                Layer::Policy,
                Verdict::Block,
                90,
                "which tools the agent declared is not known: the request for this reply was not seen here",
                "ask for the reply through Doorward, or mark the upstream as trusted",
            )
        }),
        ActionKind::ToolCall if undeclared(action) => Some(match &action.unknown_toolset {
            Some(kind) => reason(
                "source.unknown-toolset",
                Layer::Policy,
                Verdict::Block,
                90,
                format!("the agent declared the toolset `{kind}` by its type alone, and this version of Doorward does \
                         not know which calls that admits"),
                "declare the tools by name in the request, or leave the toolset out; a newer Doorward may know it",
            ),
            None => reason(
                "source.undeclared-tool",
                Layer::Policy,
                Verdict::Block,
                90,
                "the provider sent a call of a tool that the agent never declared",
                "use only the tools declared in the request",
            ),
        }),
        ActionKind::ToolCall if action.source == Source::Provider => Some(reason(
            "source.unasked-call",
            Layer::Policy,
            Verdict::Block,
            90,
            "the provider sent this call unasked",
            "use only the tools declared in the request",
        )),
        ActionKind::Unknown => {
            let (verdict, severity) =
                if action.peer_trusted { (Verdict::Audit, 30) } else { (Verdict::Block, 80) };
            let message = "the answer holds a block of a kind that is not known and could be a call";
            let advice = "answer with text or with calls of declared tools";
            Some(reason("source.unknown-block", Layer::Policy, verdict, severity, message, advice))
        }
        _ => None,
    }
}

/// One note for all parts that were judged in an earlier turn: the client resends them each time.
fn recalled(facts: &Facts) -> Option<Reason> {
    let known = facts.remembered.iter().flatten().filter(|known| known.verdict >= Verdict::Audit);
    let (count, risk) = known.fold((0u32, 0u8), |(count, risk), known| (count + 1, risk.max(known.risk)));
    if count == 0 {
        return None;
    }
    let message = format!("{count} earlier blocks of this conversation had findings; they were judged then");
    let severity = risk.min(MOST_AUDITED);
    Some(reason("session.remembered", Layer::Session, Verdict::Audit, severity, message, ""))
}

/// What can only be noted: findings in a request (but for those whose block is [replaced](replace)), and calls the
/// provider has already run.
fn soften(kind: ActionKind, reasons: &mut [Reason]) {
    for reason in reasons {
        let softened = match kind {
            // What was to be taken out and is not is no note: the policy asked for it.
            ActionKind::ModelRequest => reason.layer == Layer::Detect && reason.rule != redact::LEFT,
            ActionKind::ProviderCall => true,
            _ => false,
        };
        if softened {
            reason.verdict = reason.verdict.min(Verdict::Audit);
        }
    }
}
