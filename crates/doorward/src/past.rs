//! What was judged in the past, and what another policy says of it.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use doorward_core::action::{Part, PartKind};
use doorward_core::session::story::{self, Story};
use doorward_core::session::{Facts, Millis};
use doorward_core::{Action, Engine, Layer, Verdict};
use doorward_store::{Home, Judged, JudgedReason, Reader, RecordedAction};

use crate::terminal;

/// From which severity on a finding is a question.
const ASKS: u8 = 60;

/// Most characters of what a call says in a list.
const FIRST_WORDS: usize = 72;

/// An action of the past.
pub struct Past {
    /// Its receipt.
    pub receipt: String,
    /// When it was judged, in milliseconds since the Unix epoch.
    pub time: Millis,
    /// What was judged and found.
    pub judged: Judged,
}

/// How many there were, and how many of them could not be judged again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// All that were looked at.
    pub judged: u64,
    /// Of those, how many are kept in part: what detectors found in them is taken over.
    pub in_part: u64,
    /// Nothing to judge is kept: from an older version, with `replay: no`, or older than the retention.
    pub not_kept: u64,
    /// They do not decrypt.
    pub damaged: u64,
}

/// What is said of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// The strongest verdict.
    pub verdict: Verdict,
    /// The rules that asked for it.
    pub rules: Vec<String>,
}

impl Past {
    /// What was recorded, if it can be judged again.
    pub fn of(record: RecordedAction) -> Option<Self> {
        Some(Self { receipt: record.receipt, time: record.time, judged: *record.judged? })
    }

    /// What was said of it then, the kill switch left aside, and a person who was to be asked, whatever they answered.
    pub fn before(&self) -> Saying {
        let approved = self.judged.reasons.iter().any(|reason| reason.rule == "hold.approved");
        let reasons = self.judged.reasons.iter().filter(|reason| !of_the_moment(reason));
        let asked = reasons.cloned().map(|reason| match reason.verdict {
            // What a person lifted is noted only; by its severity it was a question.
            Verdict::Audit if approved && reason.severity >= ASKS => {
                JudgedReason { verdict: Verdict::Ask, ..reason }
            }
            _ => reason,
        });
        Saying::of(asked.collect::<Vec<_>>().iter())
    }

    /// What is said of it by `engine`, at the time it was judged.
    pub fn now(&self, engine: &Engine) -> Saying {
        let decision = engine.decide(&self.judged.action, &self.facts(self.time));
        let again: Vec<JudgedReason> = decision
            .reasons
            .into_iter()
            .map(|reason| JudgedReason {
                rule: reason.rule,
                verdict: reason.verdict,
                severity: reason.severity,
                layer: reason.layer,
            })
            .collect();
        Saying::of(again.iter().chain(self.carried()))
    }

    /// What is known of it at `now`: what its session found then, since the session is not there any more.
    pub fn facts(&self, now: Millis) -> Facts {
        let found = self.judged.reasons.iter().filter(|reason| story::is_finding(&reason.rule));
        let recalled = found.map(|reason| (reason.rule.clone(), reason.severity)).collect();
        Facts { now, story: Story { recalled, ..Story::default() }, ..Facts::default() }
    }

    /// What was found then and is taken over.
    pub fn carried(&self) -> impl Iterator<Item = &JudgedReason> + Clone {
        self.judged.reasons.iter().filter(|reason| self.is_carried(reason))
    }

    /// Whether a finding of then holds still. The floor knew listeners and processes that this one does not; and
    /// what is not kept cannot be looked at again.
    fn is_carried(&self, reason: &JudgedReason) -> bool {
        let floor = reason.rule.starts_with("floor.");
        let of_policy = reason.rule.starts_with("policy.");
        let of_session = story::is_finding(&reason.rule);
        !of_the_moment(reason) && (floor || !self.judged.whole && !of_policy && !of_session)
    }

    /// The tool, or what kind of thing it is.
    pub fn what(&self) -> &str {
        let action = &self.judged.action;
        action.tool.as_ref().map_or(action.kind.as_str(), |tool| &tool.name)
    }

    /// What it says, in some words.
    pub fn first_words(&self) -> String {
        first_words(&self.judged.action)
    }
}

/// What an action says, in some words on one line.
pub fn first_words(action: &Action) -> String {
    let find = |kind| action.parts.iter().find(|part| part.kind == kind);
    let part = [PartKind::Command, PartKind::Url, PartKind::Arguments].into_iter().find_map(find);
    let effect = || action.effects.first().map(|effect| effect.target.as_str());
    let text = part.or(action.parts.first()).map(|part: &Part| &*part.text).or_else(effect);
    let words: Vec<&str> = text.unwrap_or_default().split_whitespace().take(FIRST_WORDS).collect();
    let line = terminal::clean(&words.join(" "));
    match line.char_indices().nth(FIRST_WORDS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// What has nothing to do with what was judged, but with when: a kill, a person who was to be asked, a limit.
fn of_the_moment(reason: &JudgedReason) -> bool {
    reason.rule == "floor.kill" || reason.rule.starts_with("hold.") || reason.layer == Layer::Budget
}

impl Saying {
    fn of<'a>(reasons: impl Iterator<Item = &'a JudgedReason> + Clone) -> Self {
        let verdict = reasons.clone().map(|reason| reason.verdict).max().unwrap_or_default();
        let mut rules: Vec<String> =
            reasons.filter(|reason| reason.verdict == verdict).map(|reason| reason.rule.clone()).collect();
        rules.sort_unstable();
        rules.dedup();
        Self { verdict, rules }
    }

    /// Whether the action goes on by itself. What a person decides does not.
    pub const fn passes(&self) -> bool {
        self.verdict.passes()
    }

    /// The rules in one line.
    pub fn by(&self) -> String {
        self.rules.join(", ")
    }
}

/// The side store of `home`.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn reader(home: &std::path::Path) -> anyhow::Result<Reader> {
    let none = || format!("nothing was recorded in {} yet", home.display());
    anyhow::ensure!(home.is_dir(), none());
    Reader::open(&Home::open(home)?)?.with_context(none)
}

/// Hands every action since `since` to `each`, oldest first, with progress on a terminal.
///
/// # Errors
/// If the store cannot be read, or `each` fails.
pub fn each(
    reader: &Reader,
    since: Millis,
    mut each: impl FnMut(Past) -> anyhow::Result<()>,
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut progress = Progress::new(reader.count(since)?);
    let mut failed = None;
    reader.each(since, |record| {
        progress.step();
        match record.map(Past::of) {
            Ok(Some(past)) => {
                counts.judged += 1;
                counts.in_part += u64::from(!past.judged.whole);
                if let Err(error) = each(past) {
                    failed = Some(error);
                    return false;
                }
            }
            Ok(None) => counts.not_kept += 1,
            Err(error) => {
                tracing::debug!(%error, "an action cannot be read");
                counts.damaged += 1;
            }
        }
        true
    })?;
    progress.end();
    failed.map_or(Ok(counts), Err)
}

/// A line on the terminal that counts, if it takes long enough to be read.
struct Progress {
    all: u64,
    done: u64,
    told: Instant,
    any: bool,
}

impl Progress {
    fn new(all: u64) -> Self {
        Self { all, done: 0, told: Instant::now(), any: false }
    }

    fn step(&mut self) {
        self.done += 1;
        if self.told.elapsed() < Duration::from_millis(500) || !std::io::stderr().is_terminal() {
            return;
        }
        self.told = Instant::now();
        self.any = true;
        terminal::overwrite(&format!("{} of {}", number(self.done), number(self.all)));
    }

    fn end(self) {
        if self.any {
            terminal::overwrite("");
        }
    }
}

/// A number with commas.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use doorward_core::action::alone;

    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (14_310, "14,310"), (1_234_567, "1,234,567")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn first_words_are_one_line_that_a_terminal_does_not_obey() {
        let action = alone::read("command", "echo \u{1b}[2J\n\n  rm -rf /x", None).unwrap();
        assert_eq!(first_words(&action), "echo \\u{1b}[2J rm -rf /x");
        let action = alone::read("command", &"ü ".repeat(1000), None).unwrap();
        assert_eq!(first_words(&action).chars().count(), FIRST_WORDS + 1);
    }
}
