//! Conditions over text: one pass for the literals of all rules together, then the few regular
//! expressions whose literal was seen.

use std::sync::Arc;

use super::expression::Expression;
use crate::action::{Action, KeyEntropy, PartKind};
use crate::detect::Finding;
use crate::detect::canary::Canaries;
use crate::detect::injection::{Injection, Sight};
use crate::detect::literals::{self, Literals, Owners};
use crate::detect::normalize::{Hidden, Normalized, normalize, normalize_in_steps};
use crate::detect::secrets::entropy::{Limits, Terms};
use crate::detect::secrets::registered::Registered;
use crate::detect::secrets::{self, Secrets};
use crate::detect::spot::Spot;
use crate::pace::Pace;
use crate::syntax::{Diagnostic, Span, json};

/// One condition.
#[derive(Debug, Default)]
pub(super) struct TextCondition {
    /// In which kinds of parts it is looked for.
    pub(super) within: Vec<PartKind>,
    /// One of these must stand in the text, whatever its case.
    pub(super) literals: Vec<String>,
    /// Then this must match.
    pub(super) regex: Option<Expression>,
    /// And what it matched must not look like this: placeholders, documentation.
    pub(super) unless: Option<Expression>,
    /// Letters that no reader can see; needs no literal.
    pub(super) hidden: Vec<HiddenKind>,
}

/// A way to hide text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HiddenKind {
    Tags,
    Bidi,
    Invisible,
}

impl HiddenKind {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("tags", Self::Tags), ("bidi", Self::Bidi), ("invisible", Self::Invisible)];

    /// A stray mark is an accident of copying; a run of them is meant.
    const fn is_in(self, hidden: Hidden) -> bool {
        match self {
            Self::Tags => hidden.tags >= 4,
            Self::Bidi => hidden.bidi >= 2,
            Self::Invisible => hidden.invisible >= 4,
        }
    }
}

/// All text conditions of a set.
#[derive(Debug)]
pub(super) struct Texts {
    conditions: Vec<TextCondition>,
    literals: Arc<Literals>,
    /// Credentials, if they are looked for.
    secrets: Option<Secrets>,
    /// What text from outside says to the model, if that is looked for.
    injection: Option<Injection>,
    no_limits: Limits,
    /// Conditions that look for hidden letters.
    hidden: Vec<usize>,
}

impl Texts {
    pub(super) fn compile(
        conditions: Vec<TextCondition>,
        secrets: Option<Secrets>,
        mut injection: Option<Injection>,
    ) -> Result<Self, Diagnostic> {
        let mut table = literals::Draft::default();
        for (index, condition) in conditions.iter().enumerate() {
            for literal in &condition.literals {
                let owners = &mut table.anywhere(literal).rules;
                if !owners.contains(&index) {
                    owners.push(index);
                }
            }
        }
        for (literal, owner) in secrets.iter().flat_map(Secrets::literals) {
            let owners = &mut table.anywhere(&literal).secrets;
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        for (wanted, owner) in injection.iter().flat_map(Injection::wanted) {
            table.owners(wanted).injection.push(owner);
        }
        let literals =
            table.compile().map(Arc::new).map_err(|error| Diagnostic::error(Span::default(), error))?;
        if let Some(injection) = &mut injection {
            injection.find_with(Arc::clone(&literals));
        }
        let is_hidden =
            |(index, condition): (usize, &TextCondition)| (!condition.hidden.is_empty()).then_some(index);
        let hidden = conditions.iter().enumerate().filter_map(is_hidden).collect();
        Ok(Self { conditions, literals, secrets, injection, no_limits: Limits::default(), hidden })
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.literals.texts()
    }

    pub(super) const fn injection(&self) -> Option<&Injection> {
        self.injection.as_ref()
    }

    pub(super) const fn injection_mut(&mut self) -> Option<&mut Injection> {
        self.injection.as_mut()
    }

    /// The decoys that are planted, if credentials are looked for at all.
    pub(super) fn canaries(&self) -> Option<&Canaries> {
        self.secrets.as_ref().map(Secrets::canaries)
    }

    pub(super) fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().flat_map(Secrets::names)
    }

    pub(super) fn secrets_registered(&self) -> Option<&Registered> {
        self.secrets.as_ref().map(Secrets::registered)
    }

    /// What is known by its hashes and lies over several parts of a request.
    pub(super) fn over_parts(&self, action: &Action) -> Vec<secrets::Seen> {
        self.secrets.as_ref().map(|secrets| secrets.over_parts(action)).unwrap_or_default()
    }

    /// What tells the registered secrets and the decoys from others.
    pub(super) fn registered(&self) -> Option<String> {
        self.secrets.as_ref().and_then(Secrets::fingerprint)
    }

    pub(super) fn nothing_seen(&self) -> Seen {
        Seen {
            spans: vec![None; self.conditions.len()],
            any: false,
            secrets: Vec::new(),
            injected: None,
            entropy: 0.0,
            loudest: Span::default(),
        }
    }

    /// Which conditions hold in `text`.
    pub(super) fn look(&self, kind: PartKind, text: &str, terms: Terms<'_>, pace: &Pace<'_>) -> Seen {
        let mut seen = self.nothing_seen();
        self.look_into((kind, text), terms, true, &mut seen, pace);
        // JSON escapes hide letters from a literal (`\u007e/.ssh`); what the tool will see is decoded.
        if kind == PartKind::Arguments
            && text.contains('\\')
            && let Ok(node) = json::parse(text.as_bytes())
        {
            let mut decoded = String::with_capacity(text.len());
            node.each_string(&mut |string, _| {
                decoded.push_str(string);
                decoded.push('\n');
            });
            self.look_into((kind, &decoded), terms, false, &mut seen, pace);
        }
        seen
    }

    /// Adds what holds in another reading of the same text; its places say nothing of the original.
    pub(super) fn look_again(&self, kind: PartKind, text: &str, seen: &mut Seen, pace: &Pace<'_>) {
        self.look_into((kind, text), self.terms("", None), false, seen, pace);
    }

    /// What is set about entropy for `agent`, and for the key that its action came with.
    pub(super) fn terms<'a>(&'a self, agent: &str, key: Option<&'a KeyEntropy>) -> Terms<'a> {
        let of_agent = self.secrets.as_ref().map_or(&self.no_limits, |secrets| secrets.limits(agent));
        Terms::new(of_agent, key)
    }

    fn look_into(
        &self,
        (kind, original): (PartKind, &str),
        terms: Terms<'_>,
        spans: bool,
        seen: &mut Seen,
        pace: &Pace<'_>,
    ) {
        let text = normalize_in_steps(original, pace);
        for index in &self.hidden {
            let Some(condition) = self.conditions.get(*index) else { continue };
            let found = condition.hidden.iter().any(|hidden| hidden.is_in(text.hidden));
            if found && condition.within.contains(&kind) {
                seen.put(*index, Span::default());
            }
        }
        // One candidate for each condition, at the first place where one of its literals stands.
        let mut tried = vec![false; self.conditions.len()];
        let mut candidates: Vec<(usize, usize, usize)> = Vec::new();
        let all = self.secrets.as_ref().filter(|_| secrets::is_looked_into(kind));
        let mut scan = all.map(|all| all.scan(&text.text, terms));
        if let Some(scan) = &mut scan {
            scan.look_for_marked(kind == PartKind::Label);
        }
        let injection = self.injection.as_ref().filter(|_| spans && Injection::is_looked_into(kind));
        let mut sight = injection.map(|_| Sight::default());
        let mut found = |owners: &Owners, spot: Spot| {
            for owner in &owners.rules {
                if let Some(slot) = tried.get_mut(*owner)
                    && !*slot
                {
                    *slot = true;
                    candidates.push((*owner, spot.start, spot.end));
                }
            }
            if let Some(scan) = &mut scan {
                owners.secrets.iter().for_each(|owner| scan.hit(*owner, spot.start, spot.end));
            }
            if let Some(sight) = &mut sight {
                owners.injection.iter().for_each(|owner| sight.add(*owner, spot));
            }
        };
        match injection {
            Some(_) => self.literals.each(&text.text, pace, &mut found),
            None => self.literals.each_shared(&text.text, pace, &mut found),
        }
        if let (Some(injection), Some(sight)) = (injection, sight) {
            seen.injected = injection.judge((kind, original), &text, sight, pace);
        }
        // What the operator registered is looked for wherever it may stand.
        let elsewhere = self.secrets.iter().filter(|_| all.is_none());
        for secret in elsewhere.flat_map(|all| all.known(&text.text)) {
            let span = if spans { text.original(secret.start, secret.end) } else { Span::default() };
            seen.put_secret(secret, span);
        }
        if let (Some(all), Some(scan)) = (all, scan) {
            let mut found = scan.finish(pace);
            all.look_deeper(&mut found, text.text.len(), &|scan| self.feed(scan, pace), pace);
            let span = |start, end| if spans { text.original(start, end) } else { Span::default() };
            if found.entropy > seen.entropy {
                seen.entropy = found.entropy;
                seen.loudest = span(found.loudest.0, found.loudest.1);
            }
            for secret in found.seen {
                let span = span(secret.start, secret.end);
                seen.put_secret(secret, span);
            }
        }
        for (index, start, end) in candidates {
            let Some(condition) = self.conditions.get(index).filter(|one| one.within.contains(&kind)) else {
                continue;
            };
            pace.went(text.text.len());
            if let Some((start, end)) = condition.verify(&text, start, end) {
                seen.put(index, if spans { text.original(start, end) } else { Span::default() });
            }
        }
    }
}

impl Texts {
    /// The credentials in a text that belongs to no part of an action, and the highest score of a token in it.
    pub(super) fn credentials(
        &self,
        text: &str,
        marked_only: bool,
        terms: Terms<'_>,
    ) -> (Vec<secrets::Seen>, f32) {
        let Some(all) = &self.secrets else { return (Vec::new(), 0.0) };
        let text = normalize(text);
        let mut scan = all.scan(&text.text, terms);
        scan.look_for_marked(marked_only);
        let pace = &Pace::whole();
        self.feed(&mut scan, pace);
        let mut found = scan.finish(pace);
        all.look_deeper(&mut found, text.text.len(), &|scan| self.feed(scan, pace), pace);
        (found.seen, found.entropy)
    }

    /// Gives `scan` the literals of its text that stand for something among credentials.
    fn feed(&self, scan: &mut secrets::Scan<'_>, pace: &Pace<'_>) {
        let text = scan.text();
        self.literals.each_shared(text, pace, |owners, spot| {
            owners.secrets.iter().for_each(|owner| scan.hit(*owner, spot.start, spot.end));
        });
    }
}

impl TextCondition {
    /// Where it holds, given that a literal stands at `start..end`.
    fn verify(&self, text: &Normalized<'_>, start: usize, end: usize) -> Option<(usize, usize)> {
        let Some(expression) = &self.regex else { return Some((start, end)) };
        let placeholder = |found: &str| self.unless.as_ref().is_some_and(|unless| unless.holds(found));
        expression.find(&text.text, &|found| !placeholder(found))
    }
}

/// Which conditions hold, and where.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    spans: Vec<Option<Span>>,
    any: bool,
    /// Credentials, each id once, and where.
    secrets: Vec<(secrets::Seen, Span)>,
    /// What it says to the model.
    injected: Option<Finding>,
    /// The highest score of a token, in bits per character, and where it stands.
    entropy: f32,
    loudest: Span,
}

impl Seen {
    fn put(&mut self, index: usize, span: Span) {
        self.any = true;
        if let Some(slot) = self.spans.get_mut(index) {
            *slot = slot.or(Some(span));
        }
    }

    fn put_secret(&mut self, secret: secrets::Seen, span: Span) {
        if !self.secrets.iter().any(|(known, _)| known.id == secret.id) {
            self.secrets.push((secret, span));
        }
    }

    pub(super) fn secrets(&self) -> &[(secrets::Seen, Span)] {
        &self.secrets
    }

    /// What it says to the model, as a finding in the part `index`.
    pub(super) fn injected(&mut self, index: usize) -> Option<Finding> {
        self.injected.take().map(|finding| Finding { part: Some(index), ..finding })
    }

    pub(super) const fn entropy(&self) -> (f32, Span) {
        (self.entropy, self.loudest)
    }

    pub(super) const fn is_empty(&self) -> bool {
        !self.any && self.secrets.is_empty()
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.span(index).is_some()
    }

    pub(super) fn span(&self, index: usize) -> Option<Span> {
        self.spans.get(index).copied().flatten()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.any |= other.any;
        for (mine, theirs) in self.spans.iter_mut().zip(&other.spans) {
            *mine = mine.or(*theirs);
        }
    }
}
