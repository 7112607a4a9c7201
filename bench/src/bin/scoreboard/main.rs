//! How much detection finds, and how often it is wrong: labelled text goes through `doorward inspect`, the answers
//! are counted. Nothing of the data stays in the project.

mod arguments;
mod cases;
mod judge;
mod score;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use arguments::Options;

fn main() -> ExitCode {
    let options = match arguments::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            say(arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(&format!("scoreboard: {error}\n\n{}", arguments::USAGE));
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("scoreboard: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if !options.corpora.is_dir() {
        tell(&format!(
            "scoreboard: skipped, there is no {}; name a directory of corpora with --corpora",
            options.corpora.display()
        ));
        return Ok(());
    }
    let cases = cases::read(options)?;
    let hits = judge::judge(&options.program, &cases).context("cannot judge with `doorward inspect`")?;
    if options.wrong {
        for (case, hit) in cases.iter().zip(&hits) {
            if let Some(line) = score::wrong(case, hit) {
                say(&line);
            }
        }
        return Ok(());
    }
    let board = score::board(&cases, &hits);
    say(&if options.json { score::json(&board) } else { score::markdown(&board) });
    Ok(())
}

/// Writes to standard output. A closed pipe is the reader's choice, not an error.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
