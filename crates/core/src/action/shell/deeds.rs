//! What a call of a tool does to things that others share, as data: one line a deed.
//!
//! ```text
//! programs | words | what is done
//! ```
//!
//! Of the words, those without a dash must follow one another among the arguments, others may stand between; those
//! with a dash may stand anywhere. `a,b` is either, `*` any letters, case is ignored. `-x` is also met within `-axe`;
//! `--key=value` also as two arguments, and `--key=*` with any value. After `!` comes what must not be there.
//! `@rehearsal` is an argument that says of itself that it is for trying (`dev`, `staging`, `localhost`),
//! `@production` one that says the contrary.
//!
//! A deed leaves one effect, `system:administer` of kind `other` on something external, whose target is what is
//! done, in the table's words. Rules speak of those.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::builtins::feeding;
use super::eval::Eval;
use super::stream::Stream;
use super::{Word, table};
use crate::action::asset::glob_matches;
use crate::action::{AssetClass, Capability, Target};

const TABLE: &str = include_str!("deeds.tbl");

/// Arguments that are looked at; a longer call is no command that somebody wrote.
const MOST: usize = 48;

/// One line of the table, for one of its programs.
struct Deed {
    words: Vec<Pattern>,
    done: &'static str,
}

/// One word of a line.
struct Pattern {
    absent: bool,
    kind: Kind,
}

enum Kind {
    /// One of these stands where the words have come to.
    Word(Vec<&'static str>),
    /// One of these stands anywhere.
    Flag(Vec<&'static str>),
    Rehearsal,
    Production,
}

static DEEDS: LazyLock<HashMap<&'static str, Vec<Deed>>> = LazyLock::new(|| {
    let mut deeds: HashMap<&'static str, Vec<Deed>> = HashMap::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut columns = line.split('|').map(str::trim);
        let (Some(names), Some(words), Some(done)) = (columns.next(), columns.next(), columns.next()) else {
            continue;
        };
        for name in names.split_whitespace() {
            let words = words.split_whitespace().map(pattern).collect();
            deeds.entry(name).or_default().push(Deed { words, done });
        }
    }
    deeds
});

fn pattern(word: &'static str) -> Pattern {
    let (absent, word) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
    let kind = match word {
        "@rehearsal" => Kind::Rehearsal,
        "@production" => Kind::Production,
        _ if word.starts_with('-') || absent => Kind::Flag(word.split(',').collect()),
        _ => Kind::Word(word.split(',').collect()),
    };
    Pattern { absent, kind }
}

impl Eval {
    /// Notes what a call does to what others share.
    pub(super) fn deeds(&mut self, argv: &[Word], stdin: &Stream) {
        let Some((program, args)) = argv.split_first() else { return };
        let lower = table::base_name(&program.text).to_ascii_lowercase();
        let name = lower.strip_suffix(".exe").unwrap_or(&lower);
        if matches!(name, "npx" | "bunx" | "pnpx" | "uvx") {
            // Whose deeds they are stands behind the starter's own options.
            let at = argv.iter().skip(1).position(|word| !word.text.starts_with('-'));
            let inner = at.and_then(|at| argv.get(at + 1..)).unwrap_or_default();
            if self.budget.enter() {
                self.deeds(inner, stdin);
                self.budget.leave();
            }
        }
        let Some(deeds) = DEEDS.get(name) else { return };
        let args: Vec<String> = args.iter().take(MOST).map(|word| word.text.to_ascii_lowercase()).collect();
        if !self.budget.spend(args.iter().map(String::len).sum::<usize>() + deeds.len()) {
            return;
        }
        let mut told: Vec<&'static str> = Vec::new();
        for deed in deeds.iter().filter(|deed| holds(&deed.words, &args)) {
            if !told.contains(&deed.done) {
                told.push(deed.done);
            }
        }
        let from = feeding(argv, stdin);
        for done in told {
            let target = Target::Other(done.to_owned());
            self.effect(Capability::Administer, target, AssetClass::External, &from, name);
        }
    }
}

fn holds(words: &[Pattern], args: &[String]) -> bool {
    let mut rest = args.iter();
    words.iter().all(|word| match &word.kind {
        Kind::Word(either) => rest.any(|arg| either.iter().any(|one| glob_matches(one, arg))),
        Kind::Flag(either) => either.iter().any(|one| anywhere(one, args)) != word.absent,
        // `prod-test` is no place to try things in.
        Kind::Rehearsal => {
            let tried =
                |arg: &&String| names_one_of(arg, &REHEARSAL) && !names_one_of(arg, &["prod", "production"]);
            args.iter().any(|arg| tried(&arg)) != word.absent
        }
        Kind::Production => args.iter().any(|arg| names_one_of(arg, &PRODUCTION)) != word.absent,
    })
}

/// `--key=value` in one argument or two, `-x` among others, anything else as it stands.
fn anywhere(one: &str, args: &[String]) -> bool {
    if args.iter().any(|arg| glob_matches(one, arg)) {
        return true;
    }
    if let Some((key, value)) = one.split_once('=').filter(|_| one.starts_with('-')) {
        return args.windows(2).any(|pair| match pair {
            [first, second] => first == key && glob_matches(value, second),
            _ => false,
        });
    }
    let Some(letter) = one.strip_prefix('-').filter(|letter| letter.len() == 1) else { return false };
    args.iter().any(|arg| {
        let cluster = arg.strip_prefix('-').unwrap_or_default();
        cluster.len() < 6 && cluster.bytes().all(|b| b.is_ascii_alphabetic()) && cluster.contains(letter)
    })
}

/// Words in names of what is there to be tried out.
const REHEARSAL: [&str; 38] = [
    "dev",
    "test",
    "tests",
    "testing",
    "staging",
    "stage",
    "stg",
    "sandbox",
    "scratch",
    "tmp",
    "temp",
    "demo",
    "local",
    "localhost",
    "ci",
    "preview",
    "qa",
    "example",
    "playground",
    "e2e",
    "minikube",
    "kind",
    "127",
    "feature",
    "pr",
    "review",
    "loadtest",
    "perftest",
    "smoketest",
    "load",
    "perf",
    "bench",
    "benchmark",
    "ephemeral",
    "throwaway",
    "experiment",
    "trial",
    "poc",
];

/// Words in names of what others depend on.
const PRODUCTION: [&str; 9] =
    ["prod", "production", "prd", "live", "main", "master", "release", "backup", "backups"];

/// Whether a word of `text`, as letters and digits delimit it, is one of these.
fn names_one_of(text: &str, words: &[&str]) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| {
        words.contains(&part) || words.contains(&part.trim_end_matches(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, TABLE, holds, pattern};

    #[test]
    fn every_line_has_three_columns_and_says_what_to_look_for() {
        for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            assert_eq!(columns.len(), 3, "{line}");
            assert!(columns.iter().all(|column| !column.is_empty()), "{line}");
            let seen = columns[1]
                .split_whitespace()
                .map(pattern)
                .any(|word| !word.absent && matches!(word.kind, Kind::Word(_) | Kind::Flag(_)));
            assert!(seen, "{line}");
            assert_eq!(line.to_ascii_lowercase(), line, "{line}");
        }
    }

    #[test]
    fn words_follow_one_another_and_flags_stand_anywhere() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let words: Vec<_> = ["s3", "rb", "--force", "!@rehearsal"].into_iter().map(pattern).collect();
        assert!(holds(&words, &args("--force s3 rb s3://prod-backups")));
        assert!(!holds(&words, &args("s3 rb s3://prod-backups")));
        assert!(!holds(&words, &args("rb s3 --force s3://x")));
        assert!(!holds(&words, &args("s3 rb --force s3://ann-scratch-1")));
        let keyed: Vec<_> = ["push", "-d", "--to=9*"].into_iter().map(pattern).collect();
        assert!(holds(&keyed, &args("push -fd --to 99")));
        assert!(holds(&keyed, &args("push -d --to=99")));
        assert!(!holds(&keyed, &args("push -d --to 8")));
    }
}
