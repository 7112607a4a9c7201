//! The capability matrix: what a profile says of doing something to a kind of thing because of somebody.
//!
//! One table, `matrix.tbl`, read when it is first needed. `spec/matrix.md` is made from it.

use std::sync::OnceLock;

use super::Profile;
use crate::action::{AssetClass, Capability, Effect, Source};
use crate::decision::Verdict;
use crate::session::{Grant, Grants};

/// The table as it is written.
pub const TABLE: &str = include_str!("matrix.tbl");

/// Because of whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Because {
    /// A person typed it, or Doorward does it.
    Person,
    /// The model proposed it, or nobody knows.
    Model,
    /// Content from elsewhere: a provider, a page, a tool server, a file that came from there.
    Stranger,
}

impl Because {
    /// Every one, for tables and messages.
    pub const ALL: [Self; 3] = [Self::Person, Self::Model, Self::Stranger];

    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Model => "model",
            Self::Stranger => "stranger",
        }
    }

    /// Whose it is that `source` stands for.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        match source {
            Source::User | Source::Internal => Self::Person,
            Source::Model | Source::Unknown => Self::Model,
            Source::Provider | Source::Web | Source::Mcp | Source::LocalFile => Self::Stranger,
        }
    }
}

/// One cell: what the profiles say, and what lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Under `balanced`.
    pub balanced: Verdict,
    /// Under `strict`.
    pub strict: Verdict,
    /// What, granted to the session, makes it a note at most.
    pub grant: Option<Grant>,
    /// The line of the table, from 1.
    pub line: usize,
}

impl Cell {
    /// What it says under `profile` in a session with these grants.
    #[must_use]
    pub fn verdict(&self, profile: Profile, grants: Grants) -> Verdict {
        let said = match profile {
            Profile::Balanced => self.balanced,
            Profile::Strict => self.strict,
        };
        if self.grant.is_some_and(|grant| grants.has(grant)) { said.min(Verdict::Allow) } else { said }
    }
}

const CAPABILITIES: usize = Capability::ALL.len();
const ASSETS: usize = AssetClass::ALL.len();

/// The matrix, every cell filled.
#[derive(Debug)]
pub struct Matrix {
    cells: Vec<Cell>,
}

impl Matrix {
    /// The shipped matrix. A test keeps the table free of faults and every cell filled.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static MATRIX: OnceLock<Matrix> = OnceLock::new();
        MATRIX.get_or_init(|| Self::read(TABLE).unwrap_or_else(|_| Self { cells: Vec::new() }))
    }

    /// The matrix that `table` says.
    ///
    /// # Errors
    /// In words, with the line: a word that is none, a line that decides nothing, a cell that no line fits.
    pub fn read(table: &str) -> Result<Self, String> {
        let mut cells: Vec<Option<Cell>> = vec![None; CAPABILITIES * ASSETS * Because::ALL.len()];
        for (number, text) in table.lines().enumerate().filter(|(_, text)| is_row(text)) {
            let row = Row::read(text, number + 1).map_err(|why| format!("line {}: {why}", number + 1))?;
            let mut decides = false;
            for slot in row.slots() {
                if let Some(empty @ None) = cells.get_mut(slot) {
                    *empty = Some(row.cell);
                    decides = true;
                }
            }
            if !decides {
                return Err(format!("line {}: other lines come first for all it is about", number + 1));
            }
        }
        let cells: Option<Vec<Cell>> = cells.into_iter().collect();
        cells.map(|cells| Self { cells }).ok_or_else(|| "not every cell is filled".to_owned())
    }

    /// The cell of an effect. Whatever cannot be found, which a test excludes, is asked about.
    #[must_use]
    pub fn cell(&self, effect: &Effect, because: Because) -> Cell {
        self.at(effect.capability, effect.asset, because)
    }

    fn at(&self, capability: Capability, asset: AssetClass, because: Because) -> Cell {
        let unfilled = Cell { balanced: Verdict::Ask, strict: Verdict::Block, grant: None, line: 0 };
        self.cells.get(slot(capability, asset, because)).copied().unwrap_or(unfilled)
    }
}

fn slot(capability: Capability, asset: AssetClass, because: Because) -> usize {
    (capability as usize * ASSETS + asset as usize) * Because::ALL.len() + because as usize
}

fn is_row(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

struct Row {
    capabilities: Vec<Capability>,
    assets: Vec<AssetClass>,
    because: Vec<Because>,
    cell: Cell,
}

impl Row {
    fn read(text: &str, line: usize) -> Result<Self, String> {
        let columns: Vec<&str> = text.split('|').map(str::trim).collect();
        let [capabilities, assets, because, balanced, strict, grant] = columns.as_slice() else {
            return Err("six columns are wanted".to_owned());
        };
        let whose = |word: &str| Because::ALL.into_iter().find(|one| one.as_str() == word);
        let verdict = |word: &str| {
            let known = [Verdict::Allow, Verdict::Audit, Verdict::Ask, Verdict::Quarantine, Verdict::Block];
            known
                .into_iter()
                .find(|one| one.as_str() == word)
                .ok_or_else(|| format!("`{word}` is no verdict"))
        };
        let grant = match *grant {
            "" => None,
            word => Some(Grant::parse(word).ok_or_else(|| format!("`{word}` is no grant"))?),
        };
        Ok(Self {
            capabilities: words(capabilities, &Capability::ALL, Capability::parse)?,
            assets: words(assets, &AssetClass::ALL, AssetClass::parse)?,
            because: words(because, &Because::ALL, whose)?,
            cell: Cell { balanced: verdict(balanced)?, strict: verdict(strict)?, grant, line },
        })
    }

    fn slots(&self) -> impl Iterator<Item = usize> {
        self.capabilities.iter().flat_map(move |capability| {
            self.assets.iter().flat_map(move |asset| {
                self.because.iter().map(move |because| slot(*capability, *asset, *because))
            })
        })
    }
}

fn words<T: Copy>(column: &str, all: &[T], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    if column == "*" {
        return Ok(all.to_vec());
    }
    let words = column.split_ascii_whitespace();
    let read = |word| parse(word).ok_or_else(|| format!("`{word}` is no word of this column"));
    let read: Vec<T> = words.map(read).collect::<Result<_, _>>()?;
    if read.is_empty() { Err("a column is empty".to_owned()) } else { Ok(read) }
}

/// The matrix as a page: `spec/matrix.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(INTRODUCTION);
    for line in TABLE.lines().skip_while(|line| line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix("# ") {
            out.push_str(&format!("\n{heading}\n\n{HEAD}"));
        } else if is_row(line) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let codes = |column: &str| match column {
                "*" => "anything".to_owned(),
                words => words
                    .split_ascii_whitespace()
                    .map(|word| format!("`{word}`"))
                    .collect::<Vec<_>>()
                    .join(" "),
            };
            out.push('|');
            for (at, column) in columns.iter().enumerate() {
                let column = match at {
                    0..=2 => codes(column),
                    5 if !column.is_empty() => format!("`{column}`"),
                    _ => (*column).to_owned(),
                };
                out.push_str(&format!(" {column} |"));
            }
            out.push('\n');
        }
    }
    out
}

const HEAD: &str =
    "| what is done | to what | because of | balanced | strict | lifted by |\n|---|---|---|---|---|---|\n";

const INTRODUCTION: &str = "# The capability matrix

What a profile says of each effect of an action where no other reason is stronger. Made from
`crates/core/src/policy/matrix.tbl`; a test keeps the two alike.

An effect is a capability, a kind of thing it is done to, and who caused it: a `person` (it was typed, or Doorward does it), the
`model` (it proposed it, or nobody knows), or a `stranger` (a provider unasked, a page, a tool server, a file that came from there). The
first line that fits counts, headings included in their order. Rules of detection, the session's story and the policy add their own reasons; the
strongest decides. What a line says is noted as `matrix.<capability>` with the kind of thing in its words; `doorward policy explain`
shows the cell of each effect. A grant of the session (`doorward session grant`) makes what it lifts pass without a note.
What is `quarantine` does not pass: what it would write is kept for a person.
";

#[cfg(test)]
mod tests;
