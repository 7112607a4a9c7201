//! A policy on one action.

pub(super) use super::index::Known;
use super::truth::Truth;
use super::{Default, PathPattern, Policy, Rule, Verb};
use crate::action::{Action, ActionKind, AssetClass, Capability, Effect, Target};
use crate::decision::{Layer, Reason, Verdict};
use crate::url::{self, Url, covers};

impl Policy {
    /// The reasons this policy gives for `action`, whose effects are `effects`. `home` is the user's
    /// home directory, so that `/home/u/x` and `~/x` are the same path.
    #[must_use]
    pub fn evaluate(&self, action: &Action, effects: &[Effect], home: &str) -> Vec<Reason> {
        let answers = self.default == Default::Deny && is_act(action.kind, effects);
        if self.rules.is_empty() {
            return if answers { vec![denied_by_default()] } else { Vec::new() };
        }
        let hosts = Case::hosts(action, effects);
        let urls = if self.index.asks_for_urls() { Case::urls(effects) } else { Vec::new() };
        let case = Case { action, effects, hosts: &hosts, urls: &urls, home };
        let mut reasons = Vec::new();
        let mut allowing = Vec::new();
        for at in self.index.candidates(action, effects, &hosts) {
            let Some(rule) = self.rules.get(at) else { continue };
            if rule.verb == Verb::Allow {
                allowing.push(rule);
            } else {
                reasons.extend(case.restricts(rule));
            }
        }
        if answers && !case.is_allowed(&allowing) {
            reasons.push(denied_by_default());
        }
        reasons
    }
}

/// Whether the default speaks about it: what an agent does or has its provider do, not what is said to it.
const fn is_act(kind: ActionKind, effects: &[Effect]) -> bool {
    match kind {
        ActionKind::ToolCall | ActionKind::Outbound | ActionKind::Url => true,
        ActionKind::ModelRequest => !effects.is_empty(),
        _ => false,
    }
}

fn denied_by_default() -> Reason {
    Reason {
        rule: "policy.default".into(),
        layer: Layer::Policy,
        verdict: Verdict::Block,
        severity: 80,
        message: "no rule of the policy allows this, and its default is deny".into(),
        advice: "use a tool the policy allows, or ask the operator for a rule".into(),
        part: None,
    }
}

/// What is known of the host an effect reaches.
fn reached(kind: ActionKind, effect: &Effect) -> Known {
    match &effect.target {
        Target::Url(text) | Target::Host(text) => match url::authority(text) {
            Some(authority) => Known::Host(authority.host),
            None => Known::Unknown,
        },
        // Where a provider's own search goes is the provider's affair: no host of ours is reached. It can be
        // denied by tool and by capability.
        _ if matches!(kind, ActionKind::ModelRequest) => Known::Nothing,
        _ if reaches_hosts(effect.capability) => Known::Unknown,
        _ => Known::Nothing,
    }
}

/// The URL an effect is about, if it is one that can be read.
fn fetched(effect: &Effect) -> Option<Url> {
    match &effect.target {
        Target::Url(text) => Url::parse(text).ok(),
        _ => None,
    }
}

const fn reaches_hosts(capability: Capability) -> bool {
    use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch, NetworkPost, Unknown};
    matches!(capability, NetworkFetch | NetworkPost | BrowserNavigate | BrowserDownload | Unknown)
}

/// An action with what was derived from it.
pub(super) struct Case<'a> {
    pub(super) action: &'a Action,
    pub(super) effects: &'a [Effect],
    pub(super) hosts: &'a [Known],
    /// Of each effect, if a rule asks for it.
    pub(super) urls: &'a [Option<Url>],
    pub(super) home: &'a str,
}

impl Case<'_> {
    pub(super) fn hosts(action: &Action, effects: &[Effect]) -> Vec<Known> {
        effects.iter().map(|effect| reached(action.kind, effect)).collect()
    }

    pub(super) fn urls(effects: &[Effect]) -> Vec<Option<Url>> {
        effects.iter().map(fetched).collect()
    }

    /// The reason a restricting rule gives, if it speaks about this action.
    fn restricts(&self, rule: &Rule) -> Option<Reason> {
        let truth = self.tool(rule).min(self.any_effect(rule));
        if truth == Truth::No {
            return None;
        }
        let because =
            if truth == Truth::Unknown { " (not everything it asks about is known here)" } else { "" };
        let (severity, advice) = match rule.verb {
            Verb::Deny => (80, "do this another way, or ask the operator to change the rule"),
            Verb::Ask => (60, "wait for a person to decide"),
            Verb::Audit | Verb::Allow => (30, ""),
        };
        Some(Reason {
            rule: format!("policy.{}", rule.name),
            layer: Layer::Policy,
            verdict: rule.verb.verdict(),
            severity,
            message: format!("the policy's rule \"{}\" applies{because}", rule.name),
            advice: advice.into(),
            part: None,
        })
    }

    /// Whether every effect is surely covered by one of `rules`: allowing a download is not allowing
    /// what else the same line does.
    fn is_allowed(&self, rules: &[&Rule]) -> bool {
        let by_tool = |rule: &&&Rule| self.tool(rule) == Truth::Yes;
        let rules: Vec<&Rule> = rules.iter().filter(by_tool).copied().collect();
        // Of a request each effect has a tool of its own, and is to be allowed by itself.
        let one_tool = self.action.kind != ActionKind::ModelRequest;
        if one_tool && rules.iter().any(|rule| !rule.asks_about_effects()) {
            return true;
        }
        !self.effects.is_empty()
            && (0..self.effects.len()).all(|at| rules.iter().any(|rule| self.effect(rule, at) == Truth::Yes))
    }

    pub(super) fn tool(&self, rule: &Rule) -> Truth {
        if rule.tool.is_empty() {
            return Truth::Yes;
        }
        match &self.action.tool {
            Some(tool) => rule.tool.iter().any(|glob| glob.matches(&tool.name)).into(),
            None if self.action.kind == ActionKind::ModelRequest => {
                self.effects.iter().any(|effect| by(rule, effect)).into()
            }
            None => Truth::No,
        }
    }

    pub(super) fn every_effect(&self, rule: &Rule) -> Truth {
        if !rule.asks_about_effects() {
            return Truth::Yes;
        }
        (0..self.effects.len()).map(|at| self.effect(rule, at)).min().unwrap_or(Truth::No)
    }

    pub(super) fn any_effect(&self, rule: &Rule) -> Truth {
        if !rule.asks_about_effects() {
            return Truth::Yes;
        }
        (0..self.effects.len()).map(|at| self.effect(rule, at)).max().unwrap_or(Truth::No)
    }

    fn effect(&self, rule: &Rule, at: usize) -> Truth {
        let (Some(effect), Some(host)) = (self.effects.get(at), self.hosts.get(at)) else { return Truth::No };
        // Of a request's effects each has a tool of its own.
        let tool = self.action.tool.is_some() || rule.tool.is_empty() || by(rule, effect);
        capability(rule, effect)
            .min(tool.into())
            .min(asset(rule, effect))
            .min(reaches(rule, host))
            .min_with(|| self.url(rule, at, host))
            .min(self.path(&rule.path, effect))
    }

    pub(super) fn url(&self, rule: &Rule, at: usize, host: &Known) -> Truth {
        if rule.url.is_empty() {
            return Truth::Yes;
        }
        match (host, self.urls.get(at)) {
            (Known::Nothing, _) => Truth::No,
            (Known::Unknown, _) => Truth::Unknown,
            (_, Some(Some(url))) => {
                rule.url.iter().map(|pattern| pattern.matches(url)).max().unwrap_or(Truth::No)
            }
            // A host is reached and nobody knows what for.
            (Known::Host(host), _) => {
                Truth::from(rule.url.iter().any(|pattern| pattern.is_at(host))).min(Truth::Unknown)
            }
        }
    }

    pub(super) fn path(&self, patterns: &[PathPattern], effect: &Effect) -> Truth {
        if patterns.is_empty() {
            return Truth::Yes;
        }
        let (path, exact) = match &effect.target {
            Target::Path { path, exact } => (path.as_str(), *exact),
            _ => return Truth::from(effect.capability == Capability::Unknown).min(Truth::Unknown),
        };
        // Both spellings of a path below the home directory.
        let other = match path.strip_prefix('~') {
            Some(rest) => format!("{}{rest}", self.home),
            None => match path.strip_prefix(self.home).filter(|_| !self.home.is_empty()) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
                _ => path.to_owned(),
            },
        };
        let each = patterns.iter().flat_map(|pattern| [(pattern, path), (pattern, other.as_str())]);
        each.map(|(pattern, path)| pattern.covers(path, exact)).max().unwrap_or(Truth::No)
    }
}

/// Whether a rule that names tools names the one that `effect` comes from.
fn by(rule: &Rule, effect: &Effect) -> bool {
    rule.tool.iter().any(|glob| glob.matches(&effect.by))
}

impl Rule {
    const fn asks_about_effects(&self) -> bool {
        !(self.capability.is_empty()
            && self.host.is_empty()
            && self.url.is_empty()
            && self.asset.is_empty()
            && self.path.is_empty())
    }
}

impl PathPattern {
    fn covers(&self, path: &str, exact: bool) -> Truth {
        if exact && !path.starts_with("..") {
            return self.glob.matches(path).into();
        }
        // Up to the first unknown piece the two must agree; behind it anything is possible.
        let known: String = if exact { String::new() } else { known_prefix(path).to_lowercase() };
        let agree = known.starts_with(&self.literal) || self.literal.starts_with(&known);
        Truth::from(agree).min(Truth::Unknown)
    }
}

fn known_prefix(path: &str) -> &str {
    path.split(['*', '?', '[', '$', '{', '`']).next().unwrap_or_default()
}

pub(super) fn capability(rule: &Rule, effect: &Effect) -> Truth {
    if rule.capability.is_empty() || rule.capability.contains(&effect.capability) {
        return Truth::Yes;
    }
    Truth::from(effect.capability == Capability::Unknown).min(Truth::Unknown)
}

pub(super) fn asset(rule: &Rule, effect: &Effect) -> Truth {
    if rule.asset.is_empty() || rule.asset.contains(&effect.asset) {
        return Truth::Yes;
    }
    // A path that is known and of no class is not a credential; one that is not known may be.
    let unknown = effect.asset == AssetClass::Unknown
        && match &effect.target {
            Target::Path { exact, .. } => !exact,
            Target::None | Target::Input | Target::Other(_) => effect.capability != Capability::Execute,
            Target::Url(text) | Target::Host(text) => url::authority(text).is_none(),
            Target::Program(_) | Target::Process(_) | Target::Code(_) => false,
        };
    Truth::from(unknown).min(Truth::Unknown)
}

pub(super) fn reaches(rule: &Rule, host: &Known) -> Truth {
    if rule.host.is_empty() {
        return Truth::Yes;
    }
    match host {
        Known::Nothing => Truth::No,
        Known::Unknown => Truth::Unknown,
        Known::Host(host) => rule.host.iter().any(|pattern| covers(pattern, host)).into(),
    }
}
