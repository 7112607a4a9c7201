//! Tables for people (Markdown, aligned, so that they read well in a terminal too) and JSON for programs.

use std::io::{self, Write as _};

use serde_json::{Map, Value, json};

/// Writes a line to standard output. A closed pipe is the reader's choice, not an error.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes a line about what is going on to standard error.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// What must be known to read it; below the title.
    pub note: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let width = |column: usize| {
            let cells = std::iter::once(&self.head).chain(&self.rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                if column == 0 { format!(" {cell}{space} ") } else { format!(" {space}{cell} ") }
            });
            format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
        };
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(
                |(column, width)| {
                    if column == 0 { "-".repeat(width + 2) } else { "-".repeat(width + 1) + ":" }
                },
            )
            .collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let note = if self.note.is_empty() { String::new() } else { format!("{}\n\n", self.note) };
        format!("### {}\n\n{note}{}|{}|\n{rows}", self.title, line(&self.head), rule.join("|"))
    }
}

/// Everything a run has found.
#[derive(Debug, Default)]
pub struct Report {
    tables: Vec<String>,
    json: Map<String, Value>,
}

impl Report {
    /// Adds a part: prints its tables, keeps its JSON under `name`.
    pub fn add(&mut self, name: &str, tables: &[Table], json: Value) {
        for table in tables {
            let text = table.markdown();
            say(&format!("\n{text}"));
            self.tables.push(text);
        }
        self.json.insert(name.to_owned(), json);
    }

    /// Adds words that belong to the report.
    pub fn remark(&mut self, words: &str) {
        say(words);
        self.tables.push(format!("{words}\n"));
        if let Value::Array(list) = self.json.entry("remarks").or_insert_with(|| json!([])) {
            list.push(words.into());
        }
    }

    /// The figures so far.
    pub const fn found(&self) -> &Map<String, Value> {
        &self.json
    }

    /// All tables.
    pub fn markdown(&self) -> String {
        self.tables.join("\n")
    }

    /// All figures.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&self.json).unwrap_or_default() + "\n"
    }
}

/// A number with as many digits as it deserves, thousands apart.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        let all = [1_234_567.8, 123.4, 12.34, 1.234, 0.1234, -1_234.0, f64::NAN].map(number);
        assert_eq!(all, ["1,234,568", "123", "12.3", "1.23", "0.123", "-1,234", "-"]);
    }

    #[test]
    fn tables_are_aligned() {
        let table = Table {
            title: "t".into(),
            note: String::new(),
            head: vec!["a".into(), "long".into()],
            rows: vec![vec!["xyz".into(), "1".into()]],
        };
        assert_eq!(table.markdown(), "### t\n\n| a   | long |\n|-----|-----:|\n| xyz |    1 |\n");
    }
}
