//! Doorward's own directory, in every spelling.

use super::Case;
use super::commands::base_name;
use crate::action::asset::{is_relative, normalise_path};
use crate::action::shell::{Word, join_literals};
use crate::action::{Capability, Effect, Target};
use crate::detect::glob::Glob;
use crate::engine::Surroundings;

/// The directory, as it is compared.
#[derive(Debug)]
pub(super) struct Home {
    user_home: String,
    /// The same, as it is compared.
    user: String,
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

/// Programs that take along everything below a directory.
const COPYING: [&str; 9] = ["cp", "rsync", "scp", "zip", "tar", "ditto", "robocopy", "xcopy", "copy-item"];

/// Programs that take along or show elsewhere whatever directory they are given.
const TAKING: [&str; 9] = ["restic", "borg", "duplicity", "rclone", "bindfs", "7z", "7za", "kopia", "croc"];

/// Programs that say what is in a directory and how large it is.
const LISTING: [&str; 5] = ["ls", "du", "stat", "file", "tree"];

/// Programs that give a container directories of this machine.
const CONTAINERS: [&str; 5] = ["docker", "podman", "nerdctl", "docker-compose", "lxc"];

/// Verbs of `find` that run a program.
const EXECUTING: [&str; 4] = ["-exec", "-execdir", "-ok", "-okdir"];

/// Tests of `find` that choose by name.
const NARROWING: [&str; 7] = ["-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex"];

/// Files of ours whose name says by itself whose they are.
const TELLING: [&str; 1] = ["operator.token"];

impl Home {
    pub(super) fn new(around: &Surroundings) -> Self {
        let user = normalise_path(&around.user_home).to_lowercase();
        let normal = from_user(&normalise_path(&around.doorward_home).to_lowercase(), &user);
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
        Self { user_home: around.user_home.clone(), user, variables, names, telling, needles }
    }

    pub(super) fn is_touched(&self, case: &Case<'_>) -> bool {
        case.effects.iter().any(|effect| self.by_effect(effect, case.is_single()))
            || case.readings.iter().any(|reading| {
                let alone = reading.commands.len() == 1;
                reading.commands.iter().any(|command| self.by_words(&command.argv, alone))
            })
            || case.loose_text().any(|text| self.by_code(text))
            || case.arguments.iter().any(|(_, value)| self.is_relative_to_home(value))
    }

    fn by_effect(&self, effect: &Effect, alone: bool) -> bool {
        let Target::Path { path, exact } = &effect.target else { return false };
        let by = effect.by.as_str();
        let taken = match effect.capability {
            Capability::DeleteFile => true,
            Capability::ReadFile => COPYING.contains(&by),
            _ => false,
        };
        taken && self.is_below(path, *exact)
            || self.holds(path, *exact) && !(alone && LISTING.contains(&by) && self.is_vague(path, *exact))
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

    /// `restic backup ~`, `git --work-tree=/home/dev add -A`
    fn is_taken_along(&self, name: &str, words: &[Word]) -> bool {
        let below = |word: &Word| {
            let place = word.text.split_once('=').map_or(word.text.as_str(), |(_, place)| place);
            place.contains(['/', '~', '$']) && self.is_below(place, word.exact)
        };
        let tree = |word: &&Word| name == "git" && word.text.starts_with("--work-tree=");
        TAKING.contains(&name) && words.iter().any(below) || words.iter().filter(tree).any(below)
    }

    fn by_words(&self, argv: &[Word], alone: bool) -> bool {
        let Some((program, words)) = argv.split_first() else { return false };
        let name = base_name(&program.text);
        let printing = alone && (name == "echo" || name == "printf");
        let commits = name == "git" && words.first().is_some_and(|verb| verb.text == "commit");
        if printing || commits {
            return false;
        }
        if self.by_change(&name, words) || self.is_taken_along(&name, words) {
            return true;
        }
        let looking = LOOKING.contains(&name.as_str());
        if CONTAINERS.contains(&name.as_str()) && self.is_mounted(words) {
            return true;
        }
        if matches!(name.as_str(), "find" | "gfind") && self.is_swept(words) {
            return true;
        }
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

    /// `docker run -v ~:/host`: what is above ours is in the container with it.
    fn is_mounted(&self, words: &[Word]) -> bool {
        let mut mounts = false;
        words.iter().any(|word| {
            let text = word.text.as_str();
            let option =
                text.starts_with("-v") || text.starts_with("--volume") || text.starts_with("--mount");
            let value = mounts || option && text.contains(['=', ':', '/', '~']);
            mounts = option;
            let plain = text.trim_start_matches("--volume=").trim_start_matches("--mount=");
            let mut places = plain.trim_start_matches("-v").split([',', ':']).map(|piece| {
                piece.split_once('=').map_or(piece, |(key, value)| if is_source(key) { value } else { "" })
            });
            // The first place of `-v` and `src=` of `--mount` are this machine's.
            value
                && places
                    .find(|place| !place.is_empty())
                    .is_some_and(|place| place.contains(['/', '~', '$']) && self.is_below(place, word.exact))
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
        let normal = self.normal(path);
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
        let normal = self.normal(path);
        if is_relative(&normal) || normal.starts_with("${") {
            return false;
        }
        let names: Vec<&str> = split(&normal).collect();
        // `/home` is above every user's directory, and says so in no spelling with `~`.
        let user = self.user_home.to_lowercase();
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
        from_user(&normalise_path(&without_unknowns(&path)).to_lowercase(), &self.user)
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

/// `path` as it is spelled from the user's home: where users live is not the same everywhere, and normalising knows
/// only the usual places.
fn from_user(path: &str, user: &str) -> String {
    match path.strip_prefix(user) {
        Some(rest) if user.len() > 1 && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
        _ => path.to_owned(),
    }
}

/// The keys of `docker --mount` that name a place of this machine.
fn is_source(key: &str) -> bool {
    matches!(key, "src" | "source")
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
    if is_short_name(name, own) {
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

/// Whether `name` is what Windows calls `own` where names are short: `DOORWA~1` for `.doorward`.
fn is_short_name(name: &str, own: &str) -> bool {
    let Some((start, number)) = name.split_once('~') else { return false };
    let long: String = own.chars().filter(|c| c.is_alphanumeric()).collect();
    !start.is_empty()
        && start.len() <= 6
        && number.bytes().all(|b| b.is_ascii_digit())
        && !number.is_empty()
        && own.len() > 8
        && long.starts_with(start)
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
