//! What operators say of kinds of things: every entry is looked at for every effect.

use doorward_core::AssetClass;
use doorward_core::action::asset::{is_relative, normalise_path, stronger};
use doorward_core::action::{Effect, Target};
use doorward_core::syntax::Node;

use super::matcher::Situation;
use super::rule::texts;
use super::truth::Truth;
use super::{destination, glob};

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    class: AssetClass,
    instead_of: Vec<AssetClass>,
    paths: Vec<String>,
    places: Vec<String>,
}

impl Entry {
    pub fn of(node: &Node) -> Option<Self> {
        let list = |key: &str| node.get(key).map(texts).unwrap_or_default();
        Some(Self {
            class: AssetClass::parse(node.text("class")?)?,
            instead_of: list("instead_of").into_iter().filter_map(AssetClass::parse).collect(),
            paths: list("paths").into_iter().map(normalise_path).collect(),
            places: list("places").into_iter().map(str::to_owned).collect(),
        })
    }

    /// Whether it is about an effect.
    fn is_about(&self, here: &Situation<'_>, effect: &Effect) -> Truth {
        match &effect.target {
            Target::Path { path, exact } => {
                let path = normalise_path(path);
                let minds_case = !self.instead_of.is_empty();
                Truth::any(self.paths.iter().map(|pattern| covers(pattern, &path, *exact, minds_case)))
            }
            Target::Url(_) | Target::Host(_) => destination::place(here.action.kind, effect)
                .map_or(Truth::False, |at| destination::listed(&self.places, &effect.target, &at)),
            _ => Truth::False,
        }
    }
}

/// The effects with the classes that operators give.
pub fn own(here: &Situation<'_>, entries: &[Entry]) -> Vec<Effect> {
    let class = |effect: &Effect| {
        if matches!(effect.asset, AssetClass::Doorward | AssetClass::CloudMetadata) {
            return effect.asset;
        }
        let (mut base, mut raised) = (None, None);
        for entry in entries {
            let truth = entry.is_about(here, effect);
            let so_far = if entry.instead_of.is_empty() {
                if truth == Truth::False { None } else { Some(&mut raised) }
            } else {
                let holds = truth == Truth::True && entry.instead_of.contains(&effect.asset);
                if holds { Some(&mut base) } else { None }
            };
            if let Some(so_far) = so_far {
                *so_far = Some(so_far.map_or(entry.class, |so_far| stronger(so_far, entry.class)));
            }
        }
        let base = base.unwrap_or(effect.asset);
        raised.map_or(base, |raised| stronger(base, raised))
    };
    here.effects.iter().map(|effect| Effect { asset: class(effect), ..effect.clone() }).collect()
}

fn covers(pattern: &str, path: &str, exact: bool, minds_case: bool) -> Truth {
    let fold = |text: &str| if minds_case { text.to_owned() } else { text.to_lowercase() };
    let (given, text) = (fold(pattern), fold(path));
    let fits = |pattern: &str, text: &str| {
        let (pattern, text): (Vec<&str>, Vec<&str>) =
            (pattern.split('/').collect(), text.split('/').collect());
        glob::segments(&pattern, &text, &glob::fits)
    };
    let from_here = is_relative(path)
        && given.strip_prefix("**/").is_some_and(|below| {
            let mut text = text.as_str();
            while let Some(rest) = text.strip_prefix("../") {
                text = rest;
            }
            fits(below, text) || fits(&given, text)
        });
    if fits(&given, &text) || from_here {
        return if exact { Truth::True } else { Truth::Unknown };
    }
    let itself = given.strip_suffix("/**").is_some_and(|directory| fits(directory, &text));
    Truth::known(false, itself || !exact && hinted(&pattern.to_lowercase(), &path.to_lowercase()))
}

/// Whether what is known of a path says enough of what stands before the pattern's first wildcard.
fn hinted(pattern: &str, path: &str) -> bool {
    let literal = pattern.split(['*', '?']).next().unwrap_or_default();
    let known = path.split(['*', '?', '[', '$', '{', '`']).next().unwrap_or_default();
    let root = |name: &str| name.is_empty() || name == "~" || name.len() == 2 && name.ends_with(':');
    let Some(last) = literal.split('/').rfind(|name| !root(name)) else { return false };
    if known.starts_with(literal) {
        return true;
    }
    let front = literal.trim_end_matches('/').strip_suffix(last).unwrap_or_default();
    let enough: String = front.chars().chain(last.chars().take(2)).collect();
    literal.starts_with(known) && known.starts_with(&enough)
}
