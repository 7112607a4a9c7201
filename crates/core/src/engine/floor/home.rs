//! Doorward's own directory, in every spelling.

use super::Case;
use super::along::{self, COPYING};
use super::commands::base_name;
use super::spelling::{Spelling, fits, loosened, split};
use crate::action::asset::is_relative;
use crate::action::shell::{Word, join_literals};
use crate::action::{Capability, Effect, Target};
use crate::engine::Surroundings;

/// The directory, as it is compared.
#[derive(Debug)]
pub(super) struct Home {
    spelling: Spelling,
    /// Its names from the root, in lower case.
    names: Vec<String>,
    /// Its last name, if it says by itself whose directory it is.
    telling: Option<String>,
    /// How code would spell it, in lower case.
    needles: Vec<String>,
}

/// Programs whose first word is what they look for.
pub(super) const LOOKING: [&str; 9] = ["grep", "egrep", "fgrep", "rg", "ag", "ack", "sed", "awk", "jq"];

/// Programs after which a directory below the one named is no longer what it was.
const CHANGING: [&str; 10] =
    ["rm", "mv", "srm", "del", "rd", "rmdir", "remove-item", "move-item", "chmod", "chown"];

/// Programs that say what is in a directory and how large it is.
const LISTING: [&str; 5] = ["ls", "du", "stat", "file", "tree"];

/// Verbs of `find` that run a program.
const EXECUTING: [&str; 4] = ["-exec", "-execdir", "-ok", "-okdir"];

/// Tests of `find` that choose by name.
const NARROWING: [&str; 7] = ["-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex"];

/// Files of ours whose name says by itself whose they are.
const TELLING: [&str; 1] = ["operator.token"];

/// How a call touches the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// It names it, or something in it.
    Itself,
    /// It takes all of a directory that it lies in.
    Along,
}

/// Whether a command prints its words, or keeps them as a message, and does nothing with what they name.
fn only_says(name: &str, words: &[Word], alone: bool) -> bool {
    alone && matches!(name, "echo" | "printf")
        || name == "git" && words.first().is_some_and(|verb| verb.text == "commit")
}

impl Home {
    pub(super) fn new(around: &Surroundings) -> Self {
        let spelling = Spelling::new(around);
        let normal = spelling.of_own(&around.doorward_home);
        let names: Vec<String> = split(&normal).map(str::to_owned).collect();
        let telling = names.last().filter(|name| name.contains("doorward")).cloned();
        let mut needles = vec!["doorward_home".to_owned(), around.doorward_home.to_lowercase()];
        if let Some(name) = &telling {
            needles.extend(["/", "\\", "'", "\""].map(|before| format!("{before}{name}")));
        }
        needles.retain(|needle| needle.len() > 1);
        Self { spelling, names, telling, needles }
    }

    /// How a call touches the directory; `None` if it does not.
    pub(super) fn touched(&self, case: &Case<'_>) -> Option<Touch> {
        let commands = |by: &dyn Fn(&[Word], bool) -> bool| {
            case.readings.iter().any(|reading| {
                let alone = reading.commands.len() == 1;
                reading.commands.iter().any(|command| by(&command.argv, alone))
            })
        };
        let reaches = case.effects.iter().any(|effect| self.is_reached_by(effect, case.is_single()))
            || commands(&|argv, alone| self.is_named(argv, alone))
            || case.loose_text().any(|text| self.by_code(text))
            || case.arguments.iter().any(|(_, value)| self.is_relative_to_home(value));
        if reaches {
            return Some(Touch::Itself);
        }
        let taken = case.effects.iter().any(|effect| self.is_taken_by(effect))
            || commands(&|argv, alone| self.is_taken_along(argv, alone));
        taken.then_some(Touch::Along)
    }

    fn is_reached_by(&self, effect: &Effect, alone: bool) -> bool {
        let Target::Path { path, exact } = &effect.target else { return false };
        let lists = alone && LISTING.contains(&effect.by.as_str()) && self.is_vague(path, *exact);
        self.holds(path, *exact) && !lists
    }

    fn is_taken_by(&self, effect: &Effect) -> bool {
        let Target::Path { path, exact } = &effect.target else { return false };
        let taken = match effect.capability {
            Capability::DeleteFile => true,
            Capability::ReadFile => COPYING.contains(&effect.by.as_str()),
            _ => false,
        };
        taken && self.is_below(path, *exact)
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

    /// Whether a command takes a directory above ours along, away or into a container.
    fn is_taken_along(&self, argv: &[Word], alone: bool) -> bool {
        let Some((program, words)) = argv.split_first() else { return false };
        let name = base_name(&program.text);
        let below = |place: &str, exact: bool| self.is_below(place, exact);
        !only_says(&name, words, alone)
            && (self.by_change(&name, words)
                || along::takes(&name, words, &below)
                || along::mounts(&name, words, &below)
                || matches!(name.as_str(), "find" | "gfind") && self.is_swept(words))
    }

    /// Whether a word of a command is our directory, or in it.
    fn is_named(&self, argv: &[Word], alone: bool) -> bool {
        let Some((program, words)) = argv.split_first() else { return false };
        let name = base_name(&program.text);
        if only_says(&name, words, alone) {
            return false;
        }
        let looking = LOOKING.contains(&name.as_str());
        let listing = alone && LISTING.contains(&name.as_str());
        let words = words.iter().filter(|word| {
            !(looking && word.text.starts_with('-') || listing && self.is_vague(&word.text, word.exact))
        });
        std::iter::once(program).chain(words.skip(usize::from(looking))).any(|word| {
            let pieces = word.text.split(['=', '@', ':', ',']).chain([word.text.as_str()]);
            let hidden = |piece: &&str| {
                let own = self.telling.as_ref().is_some_and(|own| own.starts_with('.') && own == *piece);
                own || TELLING.contains(piece)
            };
            let mut paths =
                pieces.filter(|piece| piece.contains(['/', '~', '$', '\\', '%']) || hidden(piece));
            paths.any(|piece| self.holds(piece, word.exact))
        })
    }

    /// `.doorward/**` under a directory that another argument names.
    fn is_relative_to_home(&self, value: &str) -> bool {
        let plain = value.len() < 512 && value.contains(['/', '\\']) && !value.contains(char::is_whitespace);
        let hidden = self.telling.as_ref().filter(|own| own.starts_with('.') && plain);
        hidden.is_some_and(|own| value.to_lowercase().split(['/', '\\']).next() == Some(own))
    }

    fn by_code(&self, text: &str) -> bool {
        let text = join_literals(text).to_lowercase();
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// Whether `path` is the directory or in it, or could be.
    fn holds(&self, path: &str, exact: bool) -> bool {
        let normal = self.spelling.normal(path);
        let names: Vec<&str> = split(&normal).collect();
        if is_relative(&normal) || normal.starts_with("${") {
            // Relative to a directory that is not known: its own name has to tell.
            let tells = |name: &&str| name.chars().filter(|c| c.is_alphanumeric()).count() >= 4;
            let mut names = names.iter().filter(|name| tells(name));
            if names.clone().next_back().is_some_and(|name| TELLING.contains(name)) {
                return true;
            }
            return self.telling.as_ref().is_some_and(|own| names.any(|name| fits(name, own, exact)));
        }
        names.len() >= self.names.len()
            && names.iter().zip(&self.names).all(|(name, own)| fits(name, own, exact))
    }

    /// `~/.[a-z]*`: a pattern that says nothing of what it is after.
    fn is_vague(&self, path: &str, exact: bool) -> bool {
        let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        let literal = loosened(name).chars().filter(|c| c.is_alphanumeric()).count();
        !exact && name.contains(['*', '?', '[']) && literal < 2 && !self.holds(above, exact)
    }

    /// `find ~ -delete`, `find ~ -path '*doorward*' -exec rm {} +`
    fn is_swept(&self, words: &[Word]) -> bool {
        let tests = |word: &&Word| !word.text.starts_with(['-', '(', '!']);
        let roots = words.iter().take_while(tests).any(|word| self.is_below(&word.text, word.exact));
        let texts = || words.iter().map(|word| word.text.as_str());
        let pairs = || texts().zip(texts().skip(1));
        let harms = |program: &str| {
            let name = base_name(program);
            [CHANGING.as_slice(), &COPYING, &["cat", "shred", "truncate", "unlink"]]
                .concat()
                .contains(&&*name)
        };
        let acts = texts().any(|word| word == "-delete")
            || pairs().any(|(verb, program)| EXECUTING.contains(&verb) && harms(program));
        let named: Vec<&str> =
            pairs().filter(|(key, _)| NARROWING.contains(key)).map(|(_, value)| value).collect();
        let shallow =
            pairs().any(|pair| pair == ("-maxdepth", "1")) && pairs().any(|pair| pair == ("-type", "f"));
        let telling = self.telling.as_ref().map(|own| own.trim_start_matches('.'));
        let ours = || named.iter().any(|name| telling.is_some_and(|own| name.to_lowercase().contains(own)));
        roots && acts && !shallow && (named.is_empty() || ours())
    }

    /// Whether the directory lies below `path`.
    pub(super) fn is_below(&self, path: &str, exact: bool) -> bool {
        let normal = self.spelling.normal(path);
        if is_relative(&normal) || normal.starts_with("${") {
            return false;
        }
        let names: Vec<&str> = split(&normal).collect();
        // `/home` is above every user's directory, and says so in no spelling with `~`.
        let user = self.spelling.user_home.to_lowercase();
        let above_user = || {
            let users: Vec<&str> = split(&user).collect();
            names.len() < users.len() && names.iter().zip(&users).all(|(name, own)| fits(name, own, exact))
        };
        if self.names.first().is_some_and(|first| first == "~") && above_user() {
            return true;
        }
        names.len() < self.names.len()
            && names.iter().zip(&self.names).all(|(name, own)| fits(name, own, exact))
    }
}
