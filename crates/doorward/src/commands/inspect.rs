//! `doorward inspect`: judge JSON Lines, one line at a time, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use doorward_core::inspect::{self, LineError};

use crate::cli::{Cli, InspectArgs};
use crate::config;

/// The longest line that is judged; a longer one is answered as an error.
const LONGEST: usize = 16 << 20;

/// Runs the command.
///
/// # Errors
/// If the input cannot be read or the policy not be used. A bad line is no error: it is answered, and
/// the exit status is 1 at the end.
pub fn run(cli: &Cli, args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let engine = config::inspecting_engine(&config::home(cli.home.as_deref())?)?;
    let mut input: Box<dyn BufRead> = if args.file.as_os_str() == "-" {
        Box::new(BufReader::with_capacity(1 << 16, io::stdin()))
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut line = Vec::new();
    let mut number = 0u64;
    let mut bad = false;
    let mut answer = Vec::new();
    loop {
        line.clear();
        let whole = read_line(&mut input, &mut line).context("cannot read the input")?;
        let Some(whole) = whole else { break };
        number += 1;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        answer.clear();
        let started = Instant::now();
        if whole {
            match inspect::judge_line(&engine, text) {
                Ok((id, decision)) => {
                    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                    inspect::write_answer(&id, &decision, micros, &mut answer);
                }
                Err(error) => {
                    bad = true;
                    inspect::write_error(number, &error, &mut answer);
                }
            }
        } else {
            bad = true;
            inspect::write_error(number, &LineError::TooLong(LONGEST), &mut answer);
        }
        if output.write_all(&answer).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let _ = output.flush();
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reads a line; `None` at the end, `false` if it was too long to keep (it is skipped to its end).
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let mut whole = true;
    let mut any = false;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if line.len() + taken > LONGEST {
            whole = false;
        } else {
            line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        }
        input.consume(taken);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}
