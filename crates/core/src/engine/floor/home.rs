//! Doorward's own directory, in every spelling.

use super::Case;
use super::commands::base_name;
use crate::action::asset::{is_relative, normalise_path};
use crate::action::shell::Word;
use crate::action::{Effect, Target};
use crate::detect::glob::Glob;
use crate::engine::Surroundings;

/// The directory, as it is compared.
#[derive(Debug)]
pub(super) struct Home {
    user_home: String,
    /// What stands for a directory we know: the variable in each spelling, and its value.
    variables: Vec<(String, String)>,
    /// Its names from the root, in lower case.
    names: Vec<String>,
    /// Its last name, if it says by itself whose directory it is.
    telling: Option<String>,
    /// How code would spell it, in lower case.
    needles: Vec<String>,
}

/// Programs whose first word is what they look for.
const LOOKING: [&str; 9] = ["grep", "egrep", "fgrep", "rg", "ag", "ack", "sed", "awk", "jq"];

/// Programs after which a directory below the one named is no longer what it was.
const CHANGING: [&str; 10] =
    ["rm", "mv", "srm", "del", "rd", "rmdir", "remove-item", "move-item", "chmod", "chown"];

impl Home {
    pub(super) fn new(around: &Surroundings) -> Self {
        let normal = normalise_path(&around.doorward_home).to_lowercase();
        let names: Vec<String> = split(&normal).map(str::to_owned).collect();
        let telling = names.last().filter(|name| name.contains("doorward")).cloned();
        let mut needles = vec!["doorward_home".to_owned(), around.doorward_home.to_lowercase()];
        if let Some(name) = &telling {
            needles.extend(["/", "\\", "'", "\""].map(|before| format!("{before}{name}")));
        }
        needles.retain(|needle| needle.len() > 1);
        let known = [("DOORWARD_HOME", &around.doorward_home), ("HOME", &around.user_home)];
        let spelled = |(name, value): (&str, &String)| {
            [format!("${{{name}}}"), format!("${name}"), format!("%{name}%"), format!("$env:{name}")]
                .map(|spelling| (spelling, value.clone()))
        };
        let variables = known.into_iter().flat_map(spelled).collect();
        Self { user_home: around.user_home.clone(), variables, names, telling, needles }
    }

    pub(super) fn is_touched(&self, case: &Case<'_>) -> bool {
        case.effects.iter().any(|effect| self.by_effect(effect))
            || case.readings.iter().any(|reading| {
                let alone = reading.commands.len() == 1;
                reading.commands.iter().any(|command| self.by_words(&command.argv, alone))
            })
            || case.loose_text().any(|text| self.by_code(text))
    }

    fn by_effect(&self, effect: &Effect) -> bool {
        matches!(&effect.target, Target::Path { path, exact } if self.holds(path, *exact))
    }

    /// A directory above ours that a command takes away or opens up.
    fn by_change(&self, name: &str, words: &[Word]) -> bool {
        let recursive = words.iter().any(|word| {
            let letters = word.text.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
            word.text == "--recursive"
                || word.text.eq_ignore_ascii_case("-recurse")
                || word.text.eq_ignore_ascii_case("/s")
                || letters.is_some_and(|letters| letters.contains(['r', 'R']))
        });
        let whole = ["mv", "rd", "move-item"].contains(&name);
        CHANGING.contains(&name)
            && (recursive || whole)
            && words.iter().any(|word| self.is_below(&word.text, word.exact))
    }

    fn by_words(&self, argv: &[Word], alone: bool) -> bool {
        let Some((program, words)) = argv.split_first() else { return false };
        let name = base_name(&program.text);
        let printing = alone && (name == "echo" || name == "printf");
        let commits = name == "git" && words.first().is_some_and(|verb| verb.text == "commit");
        if printing || commits {
            return false;
        }
        if self.by_change(&name, words) {
            return true;
        }
        let looking = LOOKING.contains(&name.as_str());
        let words = words.iter().filter(|word| !(looking && word.text.starts_with('-')));
        std::iter::once(program).chain(words.skip(usize::from(looking))).any(|word| {
            let pieces = word.text.split(['=', '@', ':', ',']).chain([word.text.as_str()]);
            let mut paths = pieces.filter(|piece| piece.contains(['/', '~', '$', '\\', '%']));
            paths.any(|piece| self.holds(piece, word.exact))
        })
    }

    fn by_code(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// Whether `path` is the directory or in it, or could be.
    fn holds(&self, path: &str, exact: bool) -> bool {
        let normal = self.normal(path);
        let names: Vec<&str> = split(&normal).collect();
        if is_relative(&normal) || normal.starts_with("${") {
            // Relative to a directory that is not known: its own name has to tell.
            let tells = |name: &&str| name.chars().filter(|c| c.is_alphanumeric()).count() >= 4;
            let mut names = names.iter().filter(|name| tells(name));
            return self.telling.as_ref().is_some_and(|own| names.any(|name| fits(name, own, exact)));
        }
        names.len() >= self.names.len()
            && names.iter().zip(&self.names).all(|(name, own)| fits(name, own, exact))
    }

    /// Whether the directory lies below `path`.
    fn is_below(&self, path: &str, exact: bool) -> bool {
        let normal = self.normal(path);
        if is_relative(&normal) || normal.starts_with("${") {
            return false;
        }
        let names: Vec<&str> = split(&normal).collect();
        names.len() < self.names.len()
            && names.iter().zip(&self.names).all(|(name, own)| fits(name, own, exact))
    }

    fn normal(&self, path: &str) -> String {
        let mut path = path.to_owned();
        if path.contains(['$', '%']) {
            for (spelling, value) in &self.variables {
                path = path.replace(spelling, value);
            }
        }
        if self.is_anothers(&path) {
            return path.to_lowercase();
        }
        normalise_path(&without_unknowns(&path)).to_lowercase()
    }

    /// Whether `path` lies in another user's home, which normalising would take for ours.
    fn is_anothers(&self, path: &str) -> bool {
        let plain = path.starts_with(['/']) && !path.contains(['*', '?', '[', '$']) && !path.contains("..");
        let Some((homes, own)) = self.user_home.trim_end_matches('/').rsplit_once('/').filter(|_| plain)
        else {
            return false;
        };
        let rest = path.strip_prefix(homes).and_then(|rest| rest.strip_prefix('/'));
        rest.and_then(|rest| rest.split('/').next()).is_some_and(|user| !user.is_empty() && user != own)
    }
}

/// `${…}` stands for what is not known; what it says inside is no part of the path.
fn without_unknowns(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, tail)) = rest.split_once("${") {
        out.push_str(before);
        out.push_str("${}");
        rest = tail.split_once('}').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".")
}

/// Whether a name on the way could be `own`.
fn fits(name: &str, own: &str, exact: bool) -> bool {
    if name == own {
        return true;
    }
    if exact || !name.contains(['*', '?', '[', '$']) {
        return false;
    }
    // A name of which nothing is known could be any; most are not ours.
    let unknown = name == "${}";
    // A glob does not match a leading dot unless it spells one.
    let hidden = own.starts_with('.') && name.starts_with(['*', '?', '[']);
    !unknown && !hidden && Glob::any_case(&loosened(name)).matches(own)
}

/// Brackets and unknown pieces as `*`.
fn loosened(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, tail)) = rest.find(['[', '$']).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        out.push('*');
        let close = if tail.starts_with('[') { ']' } else { '}' };
        rest = tail.split_once(close).map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}
