//! Counting.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cases::{Case, Truth};
use crate::judge::Judged;

/// Hits among lines of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub corpus: String,
    /// Empty for all sources of the corpus together.
    pub source: String,
    /// Empty for all kinds together.
    pub kind: String,
    /// `recall`, `false positives`, or why the lines are counted apart.
    pub what: &'static str,
    pub lines: u64,
    pub hits: u64,
}

impl Row {
    /// The share of hits, and its 95 % interval (Wilson's score interval), all 0 to 1.
    pub fn share(&self) -> (f64, f64, f64) {
        let (lines, hits) = (as_float(self.lines), as_float(self.hits));
        if self.lines == 0 {
            return (0.0, 0.0, 1.0);
        }
        let (share, z2) = (hits / lines, Z * Z);
        let middle = (share + z2 / (2.0 * lines)) / (1.0 + z2 / lines);
        let half =
            Z / (1.0 + z2 / lines) * (share * (1.0 - share) / lines + z2 / (4.0 * lines * lines)).sqrt();
        (share, (middle - half).max(0.0), (middle + half).min(1.0))
    }
}

/// The quantile of the normal distribution for 95 %.
const Z: f64 = 1.959_964;

/// Counts are small, so that nothing is lost.
fn as_float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

const fn what(truth: Truth) -> &'static str {
    match truth {
        Truth::Bad => "recall",
        Truth::Good => "false positives",
        Truth::Apart(why) => why,
    }
}

/// The rows: each corpus as a whole first, then its sources and kinds.
pub fn board(cases: &[Case], judged: &[Judged]) -> Vec<Row> {
    let mut rows: BTreeMap<(String, Truth, String, String), (u64, u64)> = BTreeMap::new();
    for (case, judged) in cases.iter().zip(judged) {
        for (source, kind) in [("", ""), (case.source.as_str(), case.kind.as_str())] {
            let key = (case.corpus.clone(), case.truth, source.to_owned(), kind.to_owned());
            let (lines, hits) = rows.entry(key).or_default();
            *lines += 1;
            *hits += u64::from(judged.hit);
        }
    }
    let row = |((corpus, truth, source, kind), (lines, hits))| Row {
        corpus,
        source,
        kind,
        what: what(truth),
        lines,
        hits,
    };
    rows.into_iter().map(row).collect()
}

/// The rows as a table.
pub fn markdown(rows: &[Row]) -> String {
    let mut cells = vec![["corpus", "source", "kind", "what", "hits", "of", "%", "95 %"].map(str::to_owned)];
    for row in rows {
        let (share, low, high) = row.share();
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let or_all = |text: &str| if text.is_empty() { "all".to_owned() } else { text.to_owned() };
        let range = format!("{} to {}", percent(low), percent(high));
        let (hits, lines) = (row.hits.to_string(), row.lines.to_string());
        let (source, kind) = (or_all(&row.source), or_all(&row.kind));
        cells.push([
            row.corpus.clone(),
            source,
            kind,
            row.what.to_owned(),
            hits,
            lines,
            percent(share),
            range,
        ]);
    }
    let mut widths = [0; 8];
    for line in &cells {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for (index, line) in cells.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(out, "| {cell:<width$} ");
        }
        out.push_str("|\n");
        if index == 0 {
            for width in widths {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            }
            out.push_str("|\n");
        }
    }
    out
}

/// The rows for programs.
pub fn json(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let (share, low, high) = row.share();
        json!({
            "corpus": row.corpus, "source": row.source, "kind": row.kind, "what": row.what,
            "lines": row.lines, "hits": row.hits, "share": share, "low": low, "high": high,
        })
    };
    Value::Array(rows.iter().map(row).collect()).to_string()
}

/// A line about a case that was judged wrongly: what it should have been, who said what, and its text.
pub fn wrong(case: &Case, judged: &Judged) -> Option<String> {
    let word = match (case.truth, judged.hit) {
        (Truth::Bad, false) => "missed",
        (Truth::Good, true) => "false positive",
        _ => return None,
    };
    let rules: BTreeMap<_, _> = judged.rules.iter().cloned().collect();
    let case = json!({
        "wrong": word, "corpus": case.corpus, "source": case.source, "id": case.id,
        "verdict": judged.verdict, "rules": rules, "text": case.text,
    });
    Some(case.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let share = |hits, lines| Row { hits, lines, ..Row::default() }.share();
        let near = |(share, low, high): (f64, f64, f64), expected: (f64, f64, f64)| {
            let off = (share - expected.0).abs() + (low - expected.1).abs() + (high - expected.2).abs();
            assert!(off < 0.002, "{share} {low} {high}");
        };
        // Worked by hand from the formula; 0 and all of them are not certainties.
        near(share(8, 10), (0.8, 0.490, 0.943));
        near(share(0, 100), (0.0, 0.0, 0.037));
        near(share(100, 100), (1.0, 0.963, 1.0));
        near(share(0, 0), (0.0, 0.0, 1.0));
    }
}
