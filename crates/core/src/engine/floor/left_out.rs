//! Programs that take everything below a directory along and are told to leave ours out: `tar --exclude=.doorward -czf b.tgz ~`.
//!
//! Each program reads such a pattern in its own way, and options can undo it (`rsync --include`, `tar --anchored`,
//! links followed). Only what is sure
//! counts: whoever writes it differently is told how.

use std::ops::Range;

use super::commands::base_name;
use crate::action::shell::Word;

/// One program.
struct Program {
    name: &'static str,
    /// Before the name of what is left out, so that it is left out wherever it lies.
    anywhere: &'static [&'static str],
    /// Whether the whole path of what is left out says it as well.
    whole: bool,
    /// Options that take a pattern.
    options: &'static [&'static str],
    /// Beginnings of options that can bring back what a pattern leaves out, or bring more than is named.
    undo: &'static [&'static str],
    /// Letters of short options that do the same.
    letters: &'static [char],
    /// Whether a pattern counts only for what is named after it.
    in_order: bool,
}

const PROGRAMS: [Program; 4] = [
    // GNU tar 1.35, 6.4 and 6.5: patterns are not anchored unless told so; they count for what follows.
    Program {
        name: "tar",
        anywhere: &["", "*/"],
        whole: false,
        options: &["--exclude"],
        undo: &["--anch", "--no-w", "--files", "--add", "--inc", "--recursion", "--to-c", "--der"],
        letters: &['T', 'h'],
        in_order: true,
    },
    // rsync(1), filter rules: the first that matches counts, and a pattern without a slash matches names anywhere.
    Program {
        name: "rsync",
        anywhere: &[""],
        whole: false,
        options: &["--exclude"],
        undo: &["--inc", "--fil", "--cvs", "--no-", "--copy-"],
        letters: &['f', 'F', 'C', 'L', 'k'],
        in_order: false,
    },
    // restic, "Excluding files": a name matches anywhere, a path from the root.
    Program {
        name: "restic",
        anywhere: &[""],
        whole: true,
        options: &["--exclude", "-e"],
        undo: &["--files", "--stdin"],
        letters: &[],
        in_order: false,
    },
    // borg help patterns: the whole path has to match.
    Program {
        name: "borg",
        anywhere: &["*/"],
        whole: true,
        options: &["--exclude", "-e"],
        undo: &["--pattern", "--paths", "--content"],
        letters: &[],
        in_order: false,
    },
];

/// Programs that run what stands behind them.
const BEFORE: [&str; 8] = ["sudo", "doas", "nice", "ionice", "timeout", "time", "env", "nohup"];

/// The words by which a command leaves out the directory called `own`: the pattern, and its option before it if that is a word of its
/// own. `is_own` knows its path, `is_above` what it lies below.
pub(super) fn left_out(
    name: &str,
    words: &[Word],
    own: &str,
    is_own: &dyn Fn(&str) -> bool,
    is_above: &dyn Fn(&Word) -> bool,
) -> Option<Range<usize>> {
    if BEFORE.contains(&name) {
        let named = |word: &Word| PROGRAMS.iter().any(|program| base_name(&word.text) == program.name);
        let (at, inner) = words.iter().enumerate().find(|(_, word)| named(word))?;
        let found = left_out(&base_name(&inner.text), words.get(at + 1..)?, own, is_own, is_above)?;
        return Some(found.start + at + 1..found.end + at + 1);
    }
    let program = PROGRAMS.iter().find(|program| program.name == name)?;
    let undoes = |word: &Word| {
        let text = word.text.as_str();
        let short = text.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        program.undo.iter().any(|undo| text.starts_with(undo))
            || short.is_some_and(|letters| letters.contains(program.letters))
    };
    // The first word of `tar` may be letters without a dash.
    let bundled = name == "tar" && words.first().is_some_and(|word| word.text.contains(program.letters));
    if bundled || words.iter().any(undoes) {
        return None;
    }
    let names = |pattern: &str| {
        let whole = program.whole && pattern.starts_with(['/', '~']) && is_own(pattern);
        whole || program.anywhere.iter().any(|before| pattern.strip_prefix(before) == Some(own))
    };
    let found = words.iter().enumerate().find_map(|(at, word)| {
        let option = program.options.iter().find_map(|option| word.text.strip_prefix(option))?;
        let (pattern, exact, end) = match option.strip_prefix('=') {
            Some(pattern) => (pattern, word.exact, at + 1),
            None if option.is_empty() => words.get(at + 1).map(|next| (&*next.text, next.exact, at + 2))?,
            None => return None,
        };
        (exact && names(pattern)).then_some(at..end)
    })?;
    let late = program.in_order && words.iter().take(found.start).any(is_above);
    (!late).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::shell;

    fn is_left_out(line: &str) -> bool {
        let reading = shell::read(line, None);
        let argv = &reading.commands.first().unwrap().argv;
        let (program, words) = argv.split_first().unwrap();
        let own = |path: &str| path == "/home/dev/.doorward";
        let above = |word: &Word| word.text == "/home/dev";
        left_out(&program.text, words, ".doorward", &own, &above).is_some()
    }

    #[test]
    fn only_what_is_sure_counts() {
        for line in [
            "tar --exclude=.doorward -czf /mnt/b.tgz /home/dev",
            "tar czf /mnt/b.tgz --exclude '*/.doorward' /home/dev",
            "rsync -a --exclude=.doorward /home/dev/ host:/b/",
            "restic backup /home/dev --exclude /home/dev/.doorward",
            "restic -e .doorward backup /home/dev",
            "borg create /mnt/r::a /home/dev --exclude '*/.doorward'",
            "borg create -e /home/dev/.doorward /mnt/r::a /home/dev",
        ] {
            assert!(is_left_out(line), "{line}");
        }
        for line in [
            "tar czf /mnt/b.tgz /home/dev",
            "tar czf /mnt/b.tgz /home/dev --exclude=.doorward",
            "tar --anchored --exclude=.doorward -czf /mnt/b.tgz /home/dev",
            "tar --exclude=.doorward/ledger -czf /mnt/b.tgz /home/dev",
            "tar --exclude=.DOORWARD -czf /mnt/b.tgz /home/dev",
            "tar --exclude=$X -czf /mnt/b.tgz /home/dev",
            "tar --exclude=.doorward* -czf /mnt/b.tgz /home/dev",
            "tar cTf list --exclude=.doorward /home/dev",
            "tar -chf /mnt/b.tar --exclude=.doorward /home/dev",
            "rsync -a --include=.doorward --exclude=.doorward /home/dev/ host:/b/",
            "rsync -a -f '+ .doorward' --exclude=.doorward /home/dev/ host:/b/",
            "rsync -aL --exclude=.doorward /home/dev/ host:/b/",
            "rsync -a --exclude=/home/dev/.doorward /home/dev/ host:/b/",
            "borg create --exclude .doorward /mnt/r::a /home/dev",
            "borg create --patterns-from p --exclude '*/.doorward' /mnt/r::a /home/dev",
            "restic backup /home/dev --excludes .doorward",
            "cp -a --exclude=.doorward /home/dev /mnt",
        ] {
            assert!(!is_left_out(line), "{line}");
        }
    }
}
