//! Clients of databases, which hand lines to a shell when told to.

use super::super::eval::Eval;
use super::super::stream::{Stream, add_flows};
use super::super::{Shell, Word};

/// Clients whose language has such lines.
const CLIENTS: [&str; 10] =
    ["sqlite3", "sqlite", "duckdb", "psql", "mysql", "mariadb", "mongo", "mongosh", "ftp", "sqlcmd"];

/// What such a line begins with, in lower case.
const BEGINNINGS: [&str; 6] = [".shell ", ".system ", "\\!", "system ", ":!!", "!"];

/// What a line begins with that names a file to read.
const READING: [&str; 4] = [".import ", ".read ", "\\i ", "\\ir "];

/// Most lines of one text that are looked at.
const MOST: usize = 64;

impl Eval {
    /// Runs what `code`, given to the client `by`, hands to a shell: `.shell`, `\!`, `COPY … TO PROGRAM`.
    pub(in super::super) fn client_commands(&mut self, code: &Word, by: &str, stdin: &Stream) -> Stream {
        let mut out = Stream::silent();
        if !CLIENTS.contains(&by) || !self.budget.spend(code.text.len()) {
            return out;
        }
        for line in code.text.lines().take(MOST) {
            let line = line.trim_start();
            let lower = line.to_ascii_lowercase();
            let named = READING.iter().find(|start| lower.starts_with(*start));
            let rest = named.and_then(|start| line.get(start.len()..)).unwrap_or_default();
            if let Some(file) = rest.split_whitespace().find(|word| !word.starts_with(['-', '|'])) {
                let word = Word { text: file.trim_matches(['"', '\'']).to_owned(), ..code.clone() };
                add_flows(&mut out.from, &self.read_file(&word, by).from);
            }
            let handed = BEGINNINGS
                .iter()
                .find(|start| lower.starts_with(*start))
                .and_then(|start| line.get(start.len()..))
                .or_else(|| program_of(line, &lower));
            if let Some(command) = handed {
                let word = Word { text: command.to_owned(), ..code.clone() };
                let ran = self.execute_text(&word, Shell::Sh, by, stdin);
                add_flows(&mut out.from, &ran.from);
            }
        }
        out
    }
}

/// `COPY t FROM PROGRAM 'command'`.
fn program_of<'l>(line: &'l str, lower: &str) -> Option<&'l str> {
    let at = lower.find(" program '").filter(|_| lower.contains("copy "))? + " program '".len();
    let rest = line.get(at..)?;
    Some(rest.split('\'').next().unwrap_or(rest))
}
