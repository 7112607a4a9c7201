//! Effects that a rule over text could name as well: what a command does, however it is spelled.
//!
//! Only such that say something by what they are done to: a file that goes to some host is what developers do all day, and
//! a list of ordinary lines is never long enough to show it.

use doorward_core::action::{AssetClass, Capability, Effect, Target};

use super::written::Value;

/// How far back the data of an effect is followed.
const FLOWS: usize = 2;

/// Conditions for single effects of `example` that are effects of the evasion too, what says most first; of each the
/// general form before the one that names its target.
pub(super) fn candidates(example: &[Effect], evasion: &[Effect]) -> Vec<Value> {
    let kept = |effect: &&Effect| evasion.iter().any(|other| is_same(effect, other));
    let mut effects: Vec<&Effect> =
        example.iter().filter(|effect| says_something(effect)).filter(kept).collect();
    // What data flows into is what all the rest is for.
    effects.sort_by_key(|effect| std::cmp::Reverse(effect.from.len().min(1)));
    let mut found: Vec<Value> = Vec::new();
    for with_target in [false, true] {
        for effect in &effects {
            let says = if with_target { is_well_known(effect) } else { is_grave(effect, example) };
            let condition = Value::map([("effect", described(effect, example, FLOWS, with_target))]);
            if says && !found.contains(&condition) {
                found.push(condition);
            }
        }
    }
    found
}

/// Whether it is done to something that is not done to every day, or with the data of such a thing.
fn is_grave(effect: &Effect, all: &[Effect]) -> bool {
    is_telling(effect) || source(effect, all).is_some_and(is_telling)
}

/// The effect that says most among those whose data reach `effect`.
fn source<'a>(effect: &Effect, all: &'a [Effect]) -> Option<&'a Effect> {
    let sources = effect.from.iter().filter_map(|from| all.get(usize::from(*from)));
    sources.filter(|source| says_something(source)).max_by_key(|source| is_telling(source))
}

fn is_same(a: &Effect, b: &Effect) -> bool {
    a.capability == b.capability
        && a.asset == b.asset
        && a.by == b.by
        && a.target.as_str() == b.target.as_str()
}

fn says_something(effect: &Effect) -> bool {
    effect.capability != Capability::Unknown && !effect.by.is_empty()
}

/// Whether what is done to what kind of thing says enough without naming the thing.
const fn is_telling(effect: &Effect) -> bool {
    !matches!(
        effect.asset,
        AssetClass::Unknown
            | AssetClass::Project
            | AssetClass::Temp
            | AssetClass::External
            | AssetClass::Internal
    )
}

/// Whether its target is one that others have as well. Hosts and files of an example are nobody else's.
fn is_well_known(effect: &Effect) -> bool {
    matches!(&effect.target, Target::Path { exact: true, .. }) && is_telling(effect)
        || matches!(&effect.target, Target::Other(_))
}

const fn kind(target: &Target) -> &'static str {
    match target {
        Target::None => "none",
        Target::Path { .. } => "path",
        Target::Url(_) => "url",
        Target::Host(_) => "host",
        Target::Program(_) => "program",
        Target::Process(_) => "process",
        Target::Input => "input",
        Target::Code(_) => "code",
        Target::Other(_) => "other",
    }
}

fn described(effect: &Effect, all: &[Effect], flows: usize, with_target: bool) -> Value {
    let mut members = vec![
        ("capability".to_owned(), Value::text(effect.capability.as_str())),
        ("asset".to_owned(), Value::text(effect.asset.as_str())),
        ("kind".to_owned(), Value::text(kind(&effect.target))),
    ];
    if !effect.by.is_empty() {
        let name = effect.by.rsplit('/').next().unwrap_or(&effect.by);
        members.push(("by".to_owned(), Value::List(vec![Value::text(name)])));
    }
    if with_target {
        members.push(("target".to_owned(), Value::List(vec![Value::text(effect.target.as_str())])));
    }
    if let Some(source) = source(effect, all).filter(|_| flows > 0) {
        members.push(("from".to_owned(), described(source, all, flows - 1, false)));
    }
    Value::Map(members)
}
