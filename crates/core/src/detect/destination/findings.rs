//! What is found in where an action leads and in what it carries there.

use super::entropy::{is_media, is_random};
use super::packed::holds_random;
use super::{Action, At, Class, Classes, Deed, Group, Lead, Lists, Sensitive, is_judged, lead};
use crate::action::request::Body;
use crate::action::{AssetClass, Effect, PartKind};
use crate::detect::Finding;
use crate::syntax::Span;
use crate::url::{Host, Url};

/// What the strict profile asks about, if it is worth a note otherwise.
const ASKED: u8 = 60;

/// From here on a finding is noted.
const NOTED: u8 = 30;

/// How bad a payload is that nobody can look into.
const RANDOM: u8 = 35;

/// The longest name of a host in a message, in characters.
const SHOWN: usize = 96;

/// An action on its way.
pub struct Crossing<'a> {
    /// The action.
    pub action: &'a Action,
    /// Its effects, resolved.
    pub effects: &'a [Effect],
    /// What its command lines send, as far as they hold it themselves: the effect, and the text.
    pub sent: &'a [(&'a Effect, &'a str)],
    /// Whether the operator surely allows a place.
    pub allowed: &'a dyn Fn(At<'_>, Option<&Url<'_>>) -> bool,
    /// Whether the profile is `strict`.
    pub strict: bool,
}

/// One effect that leads to a host that is known.
struct Step<'a> {
    effect: &'a Effect,
    deed: Deed,
    url: Option<Url<'a>>,
    host: Host<'a>,
    port: Option<u16>,
}

impl Step<'_> {
    fn at(&self) -> At<'_> {
        match &self.url {
            Some(url) => At::url(url),
            None => At { host: &self.host, port: self.port, path: None },
        }
    }

    /// Who does it where, for a message.
    fn shown(&self) -> String {
        let host: String = self.host.to_string().chars().take(SHOWN).collect();
        match self.effect.by.as_str() {
            "" | "url" | "request" => host,
            by => format!("{host}, by {by}"),
        }
    }
}

impl Lists {
    /// What is found. A place that the operator allows is found as well, with severity 0: rules that ask what was found see it,
    /// and it stops nothing.
    #[must_use]
    pub fn findings(&self, crossing: &Crossing<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.groups.is_empty() && self.sensitive.is_empty() || !is_judged(crossing.action) {
            return found;
        }
        let steps = crossing.effects.iter().filter_map(|effect| step(crossing.action, effect));
        let mut opaque = None;
        for step in steps {
            let allowed = (crossing.allowed)(step.at(), step.url.as_ref());
            let severity = |severity: u8| match severity {
                _ if allowed => 0,
                NOTED.. if crossing.strict => severity.max(ASKED),
                severity => severity,
            };
            let listed = self.look_up(step.at(), step.deed);
            // Of a host alone nobody knows whether it is for the path that is meant.
            let sure = step.url.is_some() || listed.classes == Classes::of(Class::Blocked);
            if let Some(group) = listed.group.filter(|group| sure && group.class == Class::Blocked) {
                keep(&mut found, blocked(group, &step, severity(group.severity(step.deed))));
            }
            let known = [Class::Allowed, Class::Registry, Class::Internal].map(Classes::of);
            let known = known.into_iter().fold(Classes::NONE, Classes::or);
            if self.classify_at(step.at(), step.effect).within(known) {
                continue;
            }
            // What a metadata service may be asked has a rule of its own, which knows the harmless questions.
            let service = step.effect.asset == AssetClass::CloudMetadata;
            for kind in self.sensitive.iter().filter(|_| !service) {
                if step.url.as_ref().is_some_and(|url| kind.is_in(url)) {
                    keep(&mut found, sensitive(kind, &step, severity(kind.severity)));
                }
            }
            if step.deed != Deed::Fetch && crossing.carries_random(step.effect, &mut opaque) {
                keep(&mut found, random(&step, severity(RANDOM)));
            }
        }
        found
    }
}

/// One finding of each kind: the worst.
fn keep(found: &mut Vec<Finding>, finding: Finding) {
    match found.iter_mut().find(|own| own.rule == finding.rule && own.category == finding.category) {
        Some(own) if own.severity >= finding.severity => {}
        Some(own) => *own = finding,
        None => found.push(finding),
    }
}

fn step<'a>(action: &Action, effect: &'a Effect) -> Option<Step<'a>> {
    let deed = Deed::of(effect)?;
    match lead(action.kind, effect) {
        Lead::Url(url) => Some(Step { effect, deed, host: url.host.clone(), port: url.port, url: Some(url) }),
        Lead::Host(host, port) => Some(Step { effect, deed, host, port, url: None }),
        Lead::Nothing | Lead::Named(_) | Lead::Anywhere => None,
    }
}

impl Sensitive {
    fn is_in(&self, url: &Url<'_>) -> bool {
        url.path.readings().any(|reading| self.paths.iter().any(|pattern| pattern.fits(reading)))
    }
}

impl Crossing<'_> {
    /// Whether what `effect` sends is random, as far as it can be seen. What the action itself carries is looked at once:
    /// `opaque` keeps the answer.
    fn carries_random(&self, effect: &Effect, opaque: &mut Option<bool>) -> bool {
        let sent = self.sent.iter().filter(|(own, _)| *own == effect);
        sent.into_iter().any(|(_, text)| holds_random(text))
            || *opaque.get_or_insert_with(|| self.is_opaque())
    }

    fn is_opaque(&self) -> bool {
        if let Some(request) = &self.action.request {
            return match request.body() {
                Body::Whole(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => holds_random(text),
                    Err(_) => !is_media(bytes) && is_random(bytes),
                },
                Body::Absent | Body::Unknown(_) => false,
            };
        }
        let parts = &self.action.parts;
        // A command line was read: what it sends is known by effect.
        let read = parts.iter().any(|part| part.kind == PartKind::Command);
        let mut carried = parts.iter().filter(|part| part.kind == PartKind::Arguments);
        !read && carried.any(|part| holds_random(&part.text))
    }
}

fn blocked(group: &Group, step: &Step<'_>, severity: u8) -> Finding {
    let what = group.id.replace('-', " ");
    finding(
        "destination.blocked",
        &group.id,
        severity,
        format!("this leads to a known place ({what}: {}): {}", step.shown(), group.reason),
        &group.advice,
    )
}

fn sensitive(kind: &Sensitive, step: &Step<'_>, severity: u8) -> Finding {
    finding(
        "destination.sensitive-path",
        &kind.id,
        severity,
        format!("{} ({})", kind.reason, step.shown()),
        &kind.advice,
    )
}

fn random(step: &Step<'_>, severity: u8) -> Finding {
    let message = format!(
        "what is sent cannot be looked into: its bytes are as random as encrypted ones ({})",
        step.shown()
    );
    let advice =
        "send it as it is, to a host the user named, or allow the host in the policy's `destinations`";
    finding("destination.high-entropy", "payload-entropy", severity, message, advice)
}

fn finding(rule: &str, category: &str, severity: u8, message: String, advice: &str) -> Finding {
    Finding {
        rule: rule.to_owned(),
        category: category.to_owned(),
        severity,
        part: None,
        span: Span::default(),
        message,
        advice: advice.to_owned(),
    }
}
