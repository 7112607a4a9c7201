//! From YAML to classes of things.

use super::super::assets::{Assets, FIXED, Set, bit, spelled};
use super::super::layers::Setting;
use super::super::parse::destinations::compile;
use super::Reading;
use super::matcher::LONGEST_PATTERN;
use crate::action::AssetClass;
use crate::action::asset::stronger;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Span};

/// The most entries in one file, and the most patterns in each list of one.
pub(in super::super) const MOST_ENTRIES: usize = 1_000;
const MOST_PATTERNS: usize = 10_000;

/// The classes that an operator may name.
pub(in super::super) fn classes() -> Vec<(&'static str, AssetClass)> {
    let own = AssetClass::ALL.into_iter().filter(|class| *class != AssetClass::Doorward);
    own.map(|class| (class.as_str(), class)).collect()
}

/// The classes whose place another may take.
pub(in super::super) fn replaceable() -> Vec<(&'static str, AssetClass)> {
    classes().into_iter().filter(|(_, class)| !FIXED.contains(class)).collect()
}

/// Reads one entry; `settings` keep it for whoever asks. Returns where it takes the place of other classes, if it does.
pub(super) fn read(
    node: &Node,
    text: &Reading,
    all: &mut Assets,
    settings: &mut Vec<Setting>,
    faults: &mut Vec<Diagnostic>,
) -> Option<Span> {
    let mut fields = Fields::of(node, "an entry of `assets`", faults);
    let class = fields.choice("class", &classes());
    let replaced = fields.choices("instead_of", &replaceable());
    let (paths, places) = (fields.texts("paths"), fields.texts("places"));
    let span = fields.span();
    if node.is_object() && paths.is_empty() && places.is_empty() {
        fields.fault(span, "an entry that is about nothing", "give it `paths` or `places`");
    }
    let instead_of = replaced.iter().fold(0, |set: Set, class| set | bit(*class));
    let place = fields.place("instead_of");
    if let Some(class) = class {
        if replaced.contains(&class) {
            fields.fault(
                place.unwrap_or(span),
                "a class in the place of itself",
                "remove it from `instead_of`",
            );
        }
        // Nothing becomes more sensitive by it.
        if place.is_none() && stronger(AssetClass::Unknown, class) == AssetClass::Unknown {
            let at = fields.place("class").unwrap_or(span);
            let advice = "say what it is to replace: `instead_of: [external]`, `instead_of: [credential]`";
            fields.fault(at, format!("`{}` makes nothing more sensitive", class.as_str()), advice);
        }
        let mut say = |pattern: &str, at: Span| {
            let words = replaced.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
            let instead = if words.is_empty() { words } else { format!(" instead of {words}") };
            let value = format!("{}{instead}: {pattern}", class.as_str()).into();
            settings.push(Setting { level: text.level, place: text.place(at), key: "assets", value });
        };
        for (pattern, at) in paths.iter().take(MOST_PATTERNS) {
            let spelled = if pattern.len() > LONGEST_PATTERN {
                Err(("a path pattern that is too long", "at most 4096 bytes"))
            } else {
                spelled(pattern)
            };
            match spelled {
                Ok(spelled) => {
                    all.add_path(class, instead_of, &spelled);
                    say(pattern, *at);
                }
                Err((message, advice)) => fields.fault(*at, message, advice),
            }
        }
        for (pattern, at) in places.iter().take(MOST_PATTERNS) {
            match compile(pattern, instead_of != 0) {
                Ok(patterns) => {
                    patterns.into_iter().for_each(|pattern| all.add_place(class, instead_of, pattern));
                    say(pattern, *at);
                }
                Err((message, advice)) => fields.fault(*at, message, advice),
            }
        }
    }
    if let Some((_, at)) = paths.get(MOST_PATTERNS).or_else(|| places.get(MOST_PATTERNS)) {
        fields.fault(*at, format!("more than {MOST_PATTERNS} patterns"), "make several entries");
    }
    fields.finish();
    place
}
