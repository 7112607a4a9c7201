//! Paths of held content: who runs one, makes it runnable, copies or moves it. Who looks, removes it or writes something
//! else there passes; what is written there is not run either until a person has decided.

use super::commands::base_name;
use super::spelling::{fits, split};
use super::{Case, Floor, block};
use crate::action::asset::is_relative;
use crate::action::shell::SimpleCommand;
use crate::action::{Capability, Effect, Target};
use crate::decision::Reason;
use crate::session::held::{Held, Place};

/// The rule.
pub(in crate::engine) const RULE: &str = "floor.held-path";

/// Programs and tools that at most say what is there, or remove it.
const LOOKING: [&str; 53] = [
    "ls",
    "dir",
    "ll",
    "exa",
    "eza",
    "stat",
    "file",
    "test",
    "[",
    "[[",
    "test-path",
    "get-item",
    "du",
    "cat",
    "bat",
    "less",
    "more",
    "head",
    "tail",
    "wc",
    "diff",
    "cmp",
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "strings",
    "xxd",
    "hexdump",
    "od",
    "sha256sum",
    "sha1sum",
    "md5sum",
    "shasum",
    "readelf",
    "objdump",
    "nm",
    "rm",
    "unlink",
    "shred",
    "rmdir",
    "del",
    "remove-item",
    "mkdir",
    "touch",
    "echo",
    "printf",
    "realpath",
    "readlink",
    "basename",
    "dirname",
    "read",
    "view",
];

/// Programs that change who may do what with a file.
const MODES: [&str; 7] = ["chmod", "setfacl", "setcap", "xattr", "icacls", "chattr", "attrib"];

impl Floor {
    /// The reason, if the action uses a path of held content.
    pub(super) fn held(&self, case: &Case<'_>, held: &Held) -> Option<Reason> {
        if held.is_empty() {
            return None;
        }
        let by_effects =
            || case.effects.iter().enumerate().any(|(at, effect)| self.uses(case, at, effect, held));
        let by_words = || {
            let commands = case.readings.iter().flat_map(|reading| &reading.commands);
            commands.into_iter().any(|command| self.names(case, command, held))
        };
        // A command that does nothing has no effects, and is no code.
        let by_code = || !case.effects.is_empty() && case.loose_text().any(|text| spells(text, held));
        // `LD_PRELOAD=…`, `BASH_ENV=…`: what a program is to load.
        let by_variables = || {
            let set =
                case.readings.iter().flat_map(|reading| &reading.assignments).filter(|set| set.exported);
            let mut values = set.filter_map(|set| set.value.as_deref());
            values.any(|value| value.split([':', ';', ' ', '=']).any(|path| self.is_held(path, true, held)))
        };
        if !by_effects() && !by_words() && !by_variables() && !by_code() {
            return None;
        }
        let message = "the call uses a path whose content Doorward holds in quarantine";
        let advice =
            "use a path of your own for your own work; tell the user, who decides with `doorward quarantine`";
        Some(block(RULE, message, advice))
    }

    fn uses(&self, case: &Case<'_>, at: usize, effect: &Effect, held: &Held) -> bool {
        let Target::Path { path, exact } = &effect.target else { return false };
        let by = base_name(&effect.by);
        match effect.capability {
            Capability::DeleteFile => return false,
            Capability::WriteFile if !MODES.contains(&by.as_str()) && !case.moves(effect) => return false,
            _ => {}
        }
        if !self.is_held(path, *exact, held) {
            return false;
        }
        let looks = effect.capability == Capability::ReadFile
            && (LOOKING.contains(&by.as_str()) || case.is_plain_read(effect));
        !looks || case.runs_from(at)
    }

    /// A word that is such a path, whatever the program does with it, unless that only writes there.
    fn names(&self, case: &Case<'_>, command: &SimpleCommand, held: &Held) -> bool {
        let Some((program, words)) = command.argv.split_first() else { return false };
        if self.is_held(&program.text, program.exact, held) {
            return true;
        }
        let name = base_name(&program.text);
        if LOOKING.contains(&name.as_str()) {
            return false;
        }
        let writes = |path: &str| {
            case.effects.iter().any(|effect| {
                let same = matches!(&effect.target, Target::Path { path: own, .. } if own == path);
                same && effect.capability == Capability::WriteFile && !MODES.contains(&name.as_str())
            })
        };
        words.iter().any(|word| {
            let pieces = word.text.split(['=', '@', ':', ',', '<', '>']).chain([word.text.as_str()]);
            let mut paths = pieces.filter(|piece| piece.contains(['/', '\\', '~', '$', '%']));
            paths.any(|piece| self.is_held(piece, word.exact, held) && !writes(piece))
        })
    }

    fn is_held(&self, path: &str, exact: bool, held: &Held) -> bool {
        let normal = self.spelling.normal(path);
        let names: Vec<&str> = split(&normal).collect();
        let rooted = is_rooted(&normal);
        let Some(last) = names.last() else { return false };
        if exact || !path.contains(['*', '?', '[', '$']) {
            held.named(last).iter().any(|place| is_at(&names, rooted, place, true))
        } else {
            held.all().any(|place| is_at(&names, rooted, place, false))
        }
    }

    /// `paths`, as they are compared.
    pub(in crate::engine) fn holding<'p>(&self, paths: impl Iterator<Item = &'p str>) -> Held {
        Held::of(paths.map(|path| {
            let normal = self.spelling.of_own(path);
            Place { rooted: is_rooted(&normal), names: split(&normal).map(Box::from).collect() }
        }))
    }
}

fn is_rooted(normal: &str) -> bool {
    !is_relative(normal) && !normal.starts_with("${")
}

/// Whether these names are `place`. Of what is spelled from a directory that is not known, two names have to agree: one
/// could be anything's.
fn is_at(names: &[&str], rooted: bool, place: &Place, exact: bool) -> bool {
    let same = |names: &[&str], own: &[Box<str>]| {
        names.len() == own.len() && names.iter().zip(own).all(|(name, own)| fits(name, own, exact))
    };
    let (mine, own) = (names, place.names.as_slice());
    if rooted == place.rooted {
        return same(mine, own);
    }
    let count = if rooted { own.len() } else { mine.len() };
    let end = |length: usize| length.saturating_sub(count);
    let (mine, own) = (mine.get(end(mine.len())..), own.get(end(own.len())..));
    count >= 2 && mine.zip(own).is_some_and(|(mine, own)| same(mine, own))
}

/// Whether code spells one of them whole.
fn spells(text: &str, held: &Held) -> bool {
    let text = text.to_lowercase();
    held.all().filter(|place| place.rooted && place.names.len() > 1).any(|place| {
        let home = place.names.first().is_some_and(|first| &**first == "~");
        let path = format!("{}{}", if home { "" } else { "/" }, place.names.join("/"));
        text.match_indices(&path).any(|(at, _)| {
            let after = text.get(at + path.len()..).and_then(|rest| rest.chars().next());
            !after.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        })
    })
}

impl Case<'_> {
    /// Whether a tool that reads files reads it.
    fn is_plain_read(&self, effect: &Effect) -> bool {
        self.action.tool.as_ref().is_some_and(|tool| *tool.name == effect.by) && !self.moves(effect)
    }

    /// Whether it is of a tool that makes one file another.
    fn moves(&self, effect: &Effect) -> bool {
        let tool = self.action.tool.as_ref().filter(|tool| *tool.name == effect.by);
        let name = tool.map(|tool| tool.name.to_lowercase());
        name.is_some_and(|name| ["move", "copy", "rename", "link"].iter().any(|verb| name.contains(verb)))
    }

    /// Whether what effect `at` reads is run by a later one.
    fn runs_from(&self, at: usize) -> bool {
        let mut reached = vec![false; self.effects.len()];
        for (index, effect) in self.effects.iter().enumerate() {
            let fed = effect.from.iter().any(|flow| {
                let flow = usize::from(*flow);
                flow == at || reached.get(flow).copied().unwrap_or(false)
            });
            if fed && effect.capability == Capability::Execute {
                return true;
            }
            if let Some(own) = reached.get_mut(index) {
                *own = fed;
            }
        }
        false
    }
}
