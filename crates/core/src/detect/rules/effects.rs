//! Conditions over effects, data flow included.

use std::collections::HashSet;

use super::expression::Expression;
use super::{AssetClass, Capability, Effect, Glob, Target, bit};
use crate::url;

/// What one effect must be. Every list that is not empty must hold one that fits.
#[derive(Debug, Default)]
pub(super) struct EffectCondition {
    pub(super) capability: Vec<Capability>,
    pub(super) asset: Vec<AssetClass>,
    pub(super) kind: Vec<TargetKind>,
    /// Patterns for the target's text.
    pub(super) target: Vec<Glob>,
    /// Hosts, or `*.suffix`, that a URL or host target names.
    pub(super) host: Vec<String>,
    /// Patterns for the program that does it, without its directory.
    pub(super) by: Names,
    pub(super) matches: Option<Expression>,
    /// Whether the whole of a path is known.
    pub(super) exact: Option<bool>,
    /// Some effect whose data flows into this one, directly or through others.
    pub(super) from: Vec<EffectCondition>,
    /// What the same effect must not be.
    pub(super) except: Vec<EffectCondition>,
}

/// Names of programs: most are plain, and found without comparing each.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Lower case.
    plain: HashSet<String>,
    globs: Vec<Glob>,
}

impl Names {
    pub(super) fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut names = Self::default();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            if pattern.is_ascii() && !pattern.contains(['*', '?']) {
                names.plain.insert(pattern.to_ascii_lowercase());
            } else {
                names.globs.push(Glob::any_case(pattern));
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.globs.is_empty()
    }

    fn holds(&self, name: &str) -> bool {
        let plain = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            self.plain.contains(&name.to_ascii_lowercase())
        } else {
            self.plain.contains(name)
        };
        plain || self.globs.iter().any(|glob| glob.matches(name))
    }
}

/// What kind of target an effect has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetKind {
    None,
    Path,
    Url,
    Host,
    Program,
    Process,
    Input,
    Code,
    Other,
}

impl TargetKind {
    pub(super) const WORDS: [(&'static str, Self); 9] = [
        ("none", Self::None),
        ("path", Self::Path),
        ("url", Self::Url),
        ("host", Self::Host),
        ("program", Self::Program),
        ("process", Self::Process),
        ("input", Self::Input),
        ("code", Self::Code),
        ("other", Self::Other),
    ];

    const fn of(target: &Target) -> Self {
        match target {
            Target::None => Self::None,
            Target::Path { .. } => Self::Path,
            Target::Url(_) => Self::Url,
            Target::Host(_) => Self::Host,
            Target::Program(_) => Self::Program,
            Target::Process(_) => Self::Process,
            Target::Input => Self::Input,
            Target::Code(_) => Self::Code,
            Target::Other(_) => Self::Other,
        }
    }
}

/// How often flows are followed that lead backwards in the list; a flow forwards needs one pass.
const PASSES: usize = 8;

impl EffectCondition {
    /// The capabilities it allows, as a set of bits.
    pub(super) fn capabilities(&self) -> u32 {
        if self.capability.is_empty() {
            return u32::MAX;
        }
        self.capability.iter().fold(0, |set, capability| set | bit(*capability))
    }

    /// The first of `effects` that fits.
    pub(super) fn find(&self, effects: &[Effect]) -> Option<usize> {
        if self.from.is_empty() {
            return effects.iter().position(|effect| self.fits(effect));
        }
        if !effects.iter().any(|effect| self.fits(effect)) {
            return None;
        }
        let reached = self.reached(effects);
        effects.iter().zip(reached).position(|(effect, reached)| reached && self.fits(effect))
    }

    /// For each effect, whether data flows into it from one that `from` describes.
    fn reached(&self, effects: &[Effect]) -> Vec<bool> {
        let mut sources = vec![false; effects.len()];
        for condition in &self.from {
            let upstream = if condition.from.is_empty() { None } else { Some(condition.reached(effects)) };
            for (at, (slot, effect)) in sources.iter_mut().zip(effects).enumerate() {
                let fed = upstream.as_ref().is_none_or(|reached| reached.get(at) == Some(&true));
                *slot |= fed && condition.fits(effect);
            }
        }
        if sources.contains(&true) { downstream(effects, &sources) } else { sources }
    }

    fn fits(&self, effect: &Effect) -> bool {
        (self.capability.is_empty() || self.capability.contains(&effect.capability))
            && (self.asset.is_empty() || self.asset.contains(&effect.asset))
            && (self.kind.is_empty() || self.kind.contains(&TargetKind::of(&effect.target)))
            && (self.by.is_empty() || self.by.holds(base_name(&effect.by)))
            && self.exact.is_none_or(|wanted| is_exact(&effect.target) == wanted)
            && (self.target.is_empty() || self.fits_target(effect.target.as_str()))
            && (self.host.is_empty() || self.fits_host(&effect.target))
            && self.matches.as_ref().is_none_or(|expression| expression.holds(effect.target.as_str()))
            && !self.except.iter().any(|condition| condition.fits(effect))
    }

    fn fits_target(&self, target: &str) -> bool {
        self.target.iter().any(|glob| glob.matches(target))
    }

    fn fits_host(&self, target: &Target) -> bool {
        let (Target::Url(text) | Target::Host(text)) = target else { return false };
        let Some(authority) = url::authority(text) else { return false };
        self.host.iter().any(|pattern| url::covers(pattern, &authority.host))
    }
}

const fn is_exact(target: &Target) -> bool {
    !matches!(target, Target::Path { exact: false, .. })
}

/// `/usr/bin/curl` and `curl.exe` are `curl`.
fn base_name(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let stem = name.len().checked_sub(4).and_then(|at| name.split_at_checked(at));
    stem.filter(|(_, end)| end.eq_ignore_ascii_case(".exe")).map_or(name, |(stem, _)| stem)
}

/// Which effects data from one of `sources` flows into.
fn downstream(effects: &[Effect], sources: &[bool]) -> Vec<bool> {
    let mut reached = vec![false; effects.len()];
    for _ in 0..PASSES {
        let mut changed = false;
        for (at, effect) in effects.iter().enumerate() {
            let flows = effect.from.iter().any(|from| {
                let from = usize::from(*from);
                from != at && (sources.get(from) == Some(&true) || reached.get(from) == Some(&true))
            });
            if let Some(slot) = reached.get_mut(at)
                && flows
                && !*slot
            {
                *slot = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(capability: Capability, from: &[u16]) -> Effect {
        let (target, asset) = (Target::None, AssetClass::Unknown);
        Effect { capability, target, asset, from: from.to_vec(), by: "/usr/bin/Curl.EXE".into() }
    }

    fn condition(capability: Capability, from: Vec<EffectCondition>) -> EffectCondition {
        EffectCondition { capability: vec![capability], from, ..EffectCondition::default() }
    }

    #[test]
    fn data_is_followed_through_others_in_any_order_and_round_loops() {
        use Capability::{Execute, NetworkFetch, ReadFile, WriteFile};
        let run = condition(Execute, vec![condition(NetworkFetch, Vec::new())]);
        let through = [effect(NetworkFetch, &[]), effect(WriteFile, &[0]), effect(Execute, &[1])];
        assert_eq!(run.find(&through), Some(2));
        let backwards = [effect(Execute, &[1]), effect(WriteFile, &[2]), effect(NetworkFetch, &[])];
        assert_eq!(run.find(&backwards), Some(0));
        let looping = [effect(Execute, &[1]), effect(WriteFile, &[0, 1]), effect(NetworkFetch, &[])];
        assert_eq!(run.find(&looping), None);
        let elsewhere = [effect(NetworkFetch, &[]), effect(Execute, &[9, 1])];
        assert_eq!(run.find(&elsewhere), None);
        let nested = condition(Execute, vec![condition(WriteFile, vec![condition(ReadFile, Vec::new())])]);
        assert_eq!(nested.find(&through), None);
        let read = [effect(ReadFile, &[]), effect(WriteFile, &[0]), effect(Execute, &[1])];
        assert_eq!(nested.find(&read), Some(2));
    }

    #[test]
    fn programs_are_compared_by_name() {
        let by = EffectCondition { by: Names::new(["curl"]), ..EffectCondition::default() };
        assert_eq!(by.find(&[effect(Capability::NetworkFetch, &[])]), Some(0));
    }
}
