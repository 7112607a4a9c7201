//! What the user reads: headings, the closing summary, and the counts of passed and failed tests.

use std::io::{self, Write};
use std::time::Duration;

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in it passed. The text adds what a reader should know, or is empty.
    Passed(String),
    /// Something in it failed, and what.
    Failed(String),
    /// It did not run, and why. Not a failure.
    NotChecked(String),
}

/// Tests that passed and failed, as told by the runners' own closing lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed or could not run.
    pub failed: u64,
}

impl Counts {
    /// Adds what a line says if it closes a run of `cargo test` or `pytest`; other lines add nothing.
    pub fn read(&mut self, line: &str) {
        let line = without_escapes(line);
        let line = line.trim();
        let cargo = line.strip_prefix("test result: ");
        let pytest = || line.trim_matches('=').trim().split_once(" in ").map(|(counts, _)| counts);
        let Some(counts) = cargo.or_else(|| pytest().filter(|counts| is_pytest_closing(counts))) else {
            return;
        };
        let words: Vec<&str> = counts.split([' ', ',', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            if let [number, word] = pair
                && let Ok(number) = number.parse::<u64>()
            {
                match *word {
                    "passed" => self.passed += number,
                    "failed" | "error" | "errors" => self.failed += number,
                    _ => {}
                }
            }
        }
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// `3 passed, 1 skipped` and nothing else: numbers each followed by one of pytest's words.
fn is_pytest_closing(counts: &str) -> bool {
    const WORDS: [&str; 9] =
        ["passed", "failed", "error", "errors", "skipped", "deselected", "xfailed", "xpassed", "warnings"];
    counts.split(", ").all(|part| match part.split_once(' ') {
        Some((number, word)) => {
            number.parse::<u64>().is_ok() && (WORDS.contains(&word) || word == "warning" || word == "rerun")
        }
        None => false,
    })
}

/// The line without terminal colours (`ESC [ … letter`).
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Prints the heading of a step.
pub fn heading(name: &str, what: &str) {
    say(&format!("\n=== {name}: {what}"));
}

/// One line of the closing summary.
pub fn summary_line(name: &str, outcome: &Outcome, took: Duration) -> String {
    let (word, note) = match outcome {
        Outcome::Passed(note) => ("passed", note),
        Outcome::Failed(note) => ("FAILED", note),
        Outcome::NotChecked(note) => ("not checked", note),
    };
    let line = format!("  {name:<8} {word:<12} {:>7.1} s  {note}", took.as_secs_f64());
    line.trim_end().to_owned()
}

/// Writes a line to standard output. A closed pipe is the reader's choice, not an error.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(line: &str) -> (u64, u64) {
        let mut counts = Counts::default();
        counts.read(line);
        (counts.passed, counts.failed)
    }

    #[test]
    fn closing_lines_are_read() {
        let cargo =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s";
        assert_eq!(counts(cargo), (12, 0));
        assert_eq!(counts("test result: FAILED. 1 passed; 2 failed; 0 ignored; finished in 0.10s"), (1, 2));
        assert_eq!(counts("\u{1b}[31m===== 2 failed, 9 passed, 1 error in 3.50s =====\u{1b}[0m"), (9, 3));
        assert_eq!(counts("5 passed in 0.12s"), (5, 0));
        assert_eq!(counts("test result: \u{1b}[32mok\u{1b}[m. 4 passed; 0 failed; 0 ignored"), (4, 0));
    }

    #[test]
    fn other_lines_add_nothing() {
        for line in
            ["3 passed the gate in time", "running 12 tests", "200 rounds, 4 passed in all in 9 s", ""]
        {
            assert_eq!(counts(line), (0, 0), "{line}");
        }
    }

    #[test]
    fn the_summary_names_what_failed() {
        let line = summary_line("e2e", &Outcome::Failed("2 failed".into()), Duration::from_millis(1500));
        assert_eq!(line, "  e2e      FAILED           1.5 s  2 failed");
    }
}
