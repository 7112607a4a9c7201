//! Rules as data: what is known to be dangerous, each with examples that must match and near misses
//! that must not. `docs/rules.md` teaches writing one.
//!
//! A set compiles whole or not at all. Matching costs one pass over the text for all literals of all
//! rules together, a regular expression only where one of its literals was seen, and for effects a
//! comparison of words.

use std::sync::Arc;

use crate::action::{Action, AssetClass, Capability, Door, Effect, PartKind, Target};
use crate::detect::Finding;
use crate::detect::canary::Canaries;
use crate::detect::destination::{Deed, Lists, Registry};
use crate::detect::glob::Glob;
use crate::detect::injection::classifier::Classifier;
use crate::detect::injection::{Builder, Injection, learnt};
use crate::detect::secrets::registered::Registered;
use crate::detect::secrets::{self, Secrets};
use crate::pace::Pace;
use crate::syntax::{Diagnostic, Source, Span, digest};

mod decode;
pub(in crate::detect) use decode::{example, is_technique};

mod effects;
use effects::EffectCondition;

mod expression;

#[cfg(test)]
mod reached;

mod shipped;
pub use shipped::shipped;

mod tables;
use tables::TABLES;

mod text;
use text::{Seen, Texts};

/// The highest severity that is only audited.
pub const MOST_AUDITED: u8 = 59;

/// The most a finding's message quotes of a target, in characters.
const SHOWN: usize = 96;

/// A compiled set of rules.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Which of them are tried on each part that has something, and which on an action as a whole, with the capabilities of
    /// which one must be there: rules are large, and most decisions need none of them.
    by_text: Vec<usize>,
    by_effect: Vec<(u32, usize)>,
    texts: Texts,
    revision: String,
    lists: Lists,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its id, such as `exec.download-and-run`.
    pub id: String,
    /// Its category, such as `download-exec`.
    pub category: String,
    /// How bad, 0 to 100: 30 and more is audited, 60 asked, 80 blocked.
    pub severity: u8,
    /// What was seen, for a person.
    pub description: String,
    /// What to do instead.
    pub advice: String,
    /// MITRE ATT&CK techniques, such as `T1059.004`.
    pub attack: Vec<String>,
    /// What it must match.
    pub examples: Vec<Example>,
    /// What it must not match.
    pub near_misses: Vec<Example>,
    /// The file it stands in, as the set's source is named.
    pub origin: Arc<str>,
    when: When,
    /// Kinds of parts in which the rule is worth a note and no more.
    audit_in: Vec<PartKind>,
    /// Whether it needs a text condition to hold, so that it can be tried part by part.
    by_text: bool,
    /// Capabilities of which one must be among the effects, as a set of bits; 0 if none must.
    capabilities: u32,
}

/// A sample beside a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// `command`, `tool_call`, `tool_result`, `outbound` or `url`.
    pub kind: &'static str,
    /// What is judged.
    pub text: String,
    /// `sh`, `powershell`, `cmd`; `None` for the strongest plausible reading.
    pub shell: Option<&'static str>,
    /// Where it stands in its file.
    pub span: Span,
}

/// When a rule holds.
#[derive(Debug)]
enum When {
    /// One of these describes an effect.
    Effect(Vec<EffectCondition>),
    /// An index into the set's text conditions.
    Text(usize),
    All(Vec<When>),
    Any(Vec<When>),
    Not(Box<When>),
}

impl RuleSet {
    /// Compiles rules from `sources`.
    ///
    /// # Errors
    /// All faults in all sources; nothing is loaded if there is one.
    pub fn compile(sources: &[Source<'_>]) -> Result<Self, Vec<Diagnostic>> {
        Self::with(sources, None)
    }

    /// The shipped rules and the shipped table of credentials.
    ///
    /// # Errors
    /// The faults of what is shipped; a test keeps it from having any.
    pub fn shipped() -> Result<Self, Vec<Diagnostic>> {
        Self::with(shipped(), Some(Secrets::shipped()))
    }

    /// Compiles rules from `sources`, to look for credentials too if `secrets` are given.
    ///
    /// # Errors
    /// All faults in all sources; nothing is loaded if there is one.
    pub fn with(sources: &[Source<'_>], secrets: Option<Secrets>) -> Result<Self, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let mut conditions = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut rules: Vec<Rule> = Vec::new();
        let mut lists = Lists::default();
        let mut injection = Builder::default();
        for source in sources {
            let mut found = Vec::new();
            rules.extend(decode::rules(
                source,
                &mut conditions,
                &mut lists,
                &mut known,
                &mut injection,
                &mut found,
            ));
            found.sort_by_key(|fault| fault.span);
            faults.extend(found.into_iter().map(|fault| fault.in_origin(source.name)));
        }
        let injection = injection.compile(&mut known, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let texts = Texts::compile(conditions, secrets, injection).map_err(|fault| vec![fault])?;
        let registered = texts.registered();
        let texts_of_all = sources.iter().map(|source| source.text).chain(TABLES.iter().copied());
        let all = texts_of_all.chain(registered.as_deref()).map(str::as_bytes);
        let revision = digest(all.chain([learnt::SHIPPED]));
        let all = || rules.iter().enumerate();
        let by_text = all().filter(|(_, rule)| rule.by_text).map(|(at, _)| at).collect();
        let by_effect =
            all().filter(|(_, rule)| !rule.by_text).map(|(at, rule)| (rule.capabilities, at)).collect();
        Ok(Self { by_text, by_effect, rules, texts, lists, revision })
    }

    /// The SHA-256 digest over the texts and the tables that are compiled in (credentials, programs, names of hosts), each
    /// preceded by its length (eight bytes, big endian), in hexadecimal; where secrets are registered, what is kept of
    /// them is the last of these texts.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The same, with the package registries that the user's own clients are configured with.
    #[must_use]
    pub fn with_registries(mut self, registries: impl IntoIterator<Item = Registry>) -> Self {
        self.lists.learn(registries);
        self
    }

    /// The same, with a classifier of the operator's own that is asked about what may be an injection.
    #[must_use]
    pub fn with_classifier(mut self, classifier: Arc<dyn Classifier>) -> Self {
        if let Some(injection) = self.texts.injection_mut() {
            injection.ask(classifier);
        }
        self
    }

    /// What is known of places.
    #[must_use]
    pub const fn lists(&self) -> &Lists {
        &self.lists
    }

    /// The decoys and honeytokens there are; `None` if credentials are not looked for.
    #[must_use]
    pub fn canaries(&self) -> Option<&Canaries> {
        self.texts.canaries()
    }

    /// The rules, in the order of their sources.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Every literal that text is searched for, in lower case, each once.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.texts.words()
    }

    /// The ids and categories of all rules and signals: what a policy may name under `finding`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let signals = self.injection().into_iter().flat_map(Injection::names);
        let secrets = self.texts.secret_names();
        self.rules
            .iter()
            .flat_map(|rule| [rule.id.as_str(), rule.category.as_str()])
            .chain(signals)
            .chain(secrets)
    }

    /// What looks for text that speaks to the model, if the sources have signals for it.
    #[must_use]
    pub const fn injection(&self) -> Option<&Injection> {
        self.texts.injection()
    }

    /// Everything the rules see in `action`, whose effects are `effects`. `spoken` are further readings
    /// of parts, such as a command line without the quotes that hide its words. Parts for which `skip`
    /// says so are not looked at; of those for which `talks` says that their words are only spoken
    /// ([`crate::action::shell::Reading::only_talks`]) rules look at the effects alone. With it the highest entropy of a token in the parts that were looked at, in bits per
    /// character ([`secrets::entropy`]).
    #[must_use]
    pub fn findings(
        &self,
        action: &Action,
        effects: &[Effect],
        spoken: &[(usize, String)],
        (skip, talks): (&dyn Fn(usize) -> bool, &dyn Fn(usize) -> bool),
        pace: &Pace<'_>,
    ) -> (Vec<Finding>, f32) {
        let mut findings = Vec::new();
        let mut entropy = 0.0f32;
        let mut anywhere = self.texts.nothing_seen();
        let terms = self.texts.terms(&action.agent, action.entropy.as_deref());
        for (index, part) in action.parts.iter().enumerate() {
            if skip(index) {
                continue;
            }
            let mut seen = self.texts.look(part.kind, &part.text, terms, pace);
            let (score, span) = seen.entropy();
            entropy = score.max(entropy);
            findings.extend(secrets::high_entropy(score, terms, part.kind, index, span));
            for (_, text) in spoken.iter().filter(|(of, _)| *of == index) {
                self.texts.look_again(part.kind, text, &mut seen, pace);
            }
            let only_spoken = talks(index);
            self.judge_part(part.kind, index, &seen, effects, only_spoken, &mut findings);
            findings.extend(seen.injected(index));
            if !only_spoken {
                anywhere.add(&seen);
            }
        }
        let capabilities = effects.iter().fold(0, |set, effect| set | bit(effect.capability));
        let may = |(needed, _): &&(u32, usize)| *needed == 0 || needed & capabilities != 0;
        for rule in self.by_effect.iter().filter(may).filter_map(|(_, at)| self.rules.get(*at)) {
            let mut context = Context { effects, seen: &anywhere, witness: None };
            if context.holds(&rule.when) {
                let about = context.witness.and_then(|at| effects.get(at)).map(shown).unwrap_or_default();
                findings.push(rule.finding(None, Span::default(), &about));
            }
        }
        (findings, entropy)
    }

    /// The credentials that the HTTP request of `action` has outside of its parts: in its URL, its headers, and a body that
    /// is no conversation. To a model they are noted.
    #[must_use]
    pub fn request_findings(&self, action: &Action) -> (Vec<Finding>, f32) {
        let mut findings: Vec<Finding> = Vec::new();
        let leaves = action.door != Door::Model;
        let terms = self.texts.terms(&action.agent, action.entropy.as_deref());
        let mut highest = 0f32;
        for field in secrets::fields::of(action) {
            let (mut seen, mut score) = self.texts.credentials(&field.text, field.marked_only, terms);
            if field.place == secrets::fields::PATH && score < secrets::CERTAIN {
                // Two names with a slash between them (`o-wner/html5lib`) are no token; base64 with one is denser.
                score = self.texts.credentials(&field.text.replace('/', "\n"), field.marked_only, terms).1;
            }
            if !leaves {
                seen.retain(|seen| seen.counts_in(PartKind::UserText));
            }
            if field.known_only {
                seen.retain(|seen| seen.is_planted() || leaves && seen.is_known());
            }
            highest = if field.known_only { highest } else { highest.max(score) };
            // A credential that is known is dense as well; that is no second finding.
            let unexplained = action.door == Door::Egress && seen.is_empty() && !field.known_only;
            let dense = unexplained.then(|| secrets::dense_field(score, terms, field.place)).flatten();
            let seen = seen.iter().map(|seen| secrets::field_finding(seen, field.place, leaves));
            for finding in seen.chain(dense) {
                if !findings.iter().any(|known| known.rule == finding.rule) {
                    findings.push(finding);
                }
            }
        }
        for seen in self.texts.over_parts(action) {
            findings.push(secrets::field_finding(
                &seen,
                "several parts of the conversation, in pieces",
                leaves,
            ));
        }
        (findings, highest)
    }

    /// The registered secret that `text` holds however it is encoded, if it holds one.
    #[must_use]
    pub fn holds_registered(&self, text: &str, agent: &str) -> bool {
        let (seen, _) = self.texts.credentials(text, true, self.texts.terms(agent, None));
        seen.iter().any(|seen| seen.id == secrets::REGISTERED)
    }

    /// The secrets that the operator registered; `None` if there is none.
    #[must_use]
    pub fn registered(&self) -> Option<&Registered> {
        self.texts.secrets_registered().filter(|registered| !registered.is_empty())
    }

    /// What the rules see in one piece of text.
    #[must_use]
    pub fn text_findings(&self, kind: PartKind, text: &str) -> Vec<Finding> {
        self.text_findings_in_steps(kind, text, &Pace::whole())
    }

    pub(crate) fn text_findings_in_steps(&self, kind: PartKind, text: &str, pace: &Pace<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut seen = self.texts.look(kind, text, self.texts.terms("", None), pace);
        self.judge_part(kind, 0, &seen, &[], false, &mut findings);
        findings.extend(seen.injected(0));
        findings
    }

    fn judge_part(
        &self,
        kind: PartKind,
        index: usize,
        seen: &Seen,
        effects: &[Effect],
        only_spoken: bool,
        out: &mut Vec<Finding>,
    ) {
        if seen.is_empty() {
            return;
        }
        let sent = matches!(kind, PartKind::Command | PartKind::Arguments)
            && effects.iter().any(|effect| Deed::of(effect).is_some());
        let secrets = seen.secrets().iter().filter(|(secret, _)| secret.counts_in(kind));
        out.extend(secrets.map(|(secret, span)| secrets::finding(secret, (kind, sent), index, *span)));
        for rule in self.by_text.iter().filter(|_| !only_spoken).filter_map(|at| self.rules.get(*at)) {
            let mut context = Context { effects, seen, witness: None };
            if !context.holds(&rule.when) {
                continue;
            }
            let mut finding = rule.finding(Some(index), rule.when.text_span(seen).unwrap_or_default(), "");
            if rule.audit_in.contains(&kind) {
                finding.severity = finding.severity.min(MOST_AUDITED);
            }
            out.push(finding);
        }
    }
}

const fn bit(capability: Capability) -> u32 {
    1 << capability as u32
}

/// What an effect is aimed at, for a message: paths and hosts, never code, queries or values.
fn shown(effect: &Effect) -> String {
    let target = match &effect.target {
        Target::Path { path, .. } => path.clone(),
        Target::Url(url) => crate::url::authority(url).map(|at| at.host.to_string()).unwrap_or_default(),
        Target::Host(host) | Target::Program(host) => host.clone(),
        Target::None | Target::Input | Target::Process(_) | Target::Code(_) | Target::Other(_) => {
            String::new()
        }
    };
    let words = [effect.by.as_str(), target.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let about: String = words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if about.is_empty() { about } else { format!(" ({about})") }
}

impl Rule {
    fn finding(&self, part: Option<usize>, span: Span, about: &str) -> Finding {
        Finding {
            rule: self.id.clone(),
            category: self.category.clone(),
            severity: self.severity,
            part,
            span,
            message: format!("{}{about}", self.description),
            advice: self.advice.clone(),
        }
    }
}

impl When {
    /// Whether it can only hold where a text condition holds.
    fn needs_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Effect(_) | Self::Not(_) => false,
            Self::All(inner) => inner.iter().any(Self::needs_text),
            Self::Any(inner) => inner.iter().all(Self::needs_text),
        }
    }

    /// Capabilities of which one must be among the effects for this to hold; 0 if none must.
    fn capabilities(&self) -> u32 {
        match self {
            Self::Effect(conditions) => {
                conditions.iter().map(EffectCondition::capabilities).fold(0, |a, b| a | b)
            }
            Self::Text(_) | Self::Not(_) => 0,
            Self::All(inner) => inner.iter().map(Self::capabilities).find(|set| *set != 0).unwrap_or(0),
            Self::Any(inner) => {
                let sets: Vec<u32> = inner.iter().map(Self::capabilities).collect();
                if sets.contains(&0) { 0 } else { sets.into_iter().fold(0, |all, set| all | set) }
            }
        }
    }

    fn text_span(&self, seen: &Seen) -> Option<Span> {
        match self {
            Self::Text(index) => seen.span(*index),
            Self::Effect(_) | Self::Not(_) => None,
            Self::All(inner) | Self::Any(inner) => inner.iter().find_map(|when| when.text_span(seen)),
        }
    }
}

/// What a rule is tried on.
struct Context<'a> {
    effects: &'a [Effect],
    seen: &'a Seen,
    /// The effect that made the rule hold.
    witness: Option<usize>,
}

impl Context<'_> {
    fn holds(&mut self, when: &When) -> bool {
        match when {
            When::Text(index) => self.seen.has(*index),
            When::Effect(conditions) => {
                let found = conditions.iter().find_map(|condition| condition.find(self.effects));
                self.witness = self.witness.or(found);
                found.is_some()
            }
            When::All(inner) => inner.iter().all(|when| self.holds(when)),
            When::Any(inner) => inner.iter().any(|when| self.holds(when)),
            When::Not(inner) => {
                let witness = self.witness;
                let holds = self.holds(inner);
                self.witness = witness;
                !holds
            }
        }
    }
}
