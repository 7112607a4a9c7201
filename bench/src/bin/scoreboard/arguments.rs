//! The command line.

use std::path::PathBuf;

/// What `--help` says.
pub const USAGE: &str = "\
cargo xtask scoreboard [--corpora DIR] [--only CORPUS,…] [--half 0|1] [--json] [--wrong]

Judges labelled text with `doorward inspect` (release build) and counts: recall and false positives with 95 %
intervals (Wilson), per corpus, source and kind. Lines labelled `ambiguous`, attacks that a user types, and
addresses that a string alone cannot decide are counted apart.

  --corpora DIR     a directory of *.jsonl (default: ../shared/corpora beside the checkout; skipped if absent)
  --only CORPUS,…   only files whose names begin with one of these, such as `secrets`
  --half 0|1        only one half, split by a hash of each line's group: tune on one, report the other
  --json            as JSON
  --wrong           instead of counts: every line that was judged wrongly, with the rules that spoke";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the corpora are.
    pub corpora: PathBuf,
    /// The `doorward` that judges.
    pub program: PathBuf,
    /// Beginnings of the names of files to read; all if empty.
    pub only: Vec<String>,
    /// Which half to read; both if `None`.
    pub half: Option<u64>,
    /// JSON instead of tables.
    pub json: bool,
    /// Lines instead of counts.
    pub wrong: bool,
}

/// Reads the arguments; `None` asks for the usage. The error is a sentence for the user.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join("..");
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(PathBuf::from));
    let mut options = Options {
        corpora: root.join("shared").join("corpora"),
        program: beside.unwrap_or_default().join(format!("doorward{}", std::env::consts::EXE_SUFFIX)),
        only: Vec::new(),
        half: None,
        json: false,
        wrong: false,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value after it"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => options.json = true,
            "--wrong" => options.wrong = true,
            "--corpora" => options.corpora = value()?.into(),
            "--program" => options.program = value()?.into(),
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--half" => {
                options.half = Some(match value()?.as_str() {
                    "0" => 0,
                    "1" => 1,
                    other => return Err(format!("--half takes 0 or 1, not `{other}`")),
                });
            }
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let options = read("--only secrets,ssrf --half 1 --json --corpora x").unwrap().unwrap();
        assert_eq!((options.only, options.half), (vec!["secrets".into(), "ssrf".into()], Some(1)));
        assert_eq!((options.json, options.wrong, options.corpora), (true, false, PathBuf::from("x")));
        assert_eq!(read("--half 2"), Err("--half takes 0 or 1, not `2`".into()));
        assert_eq!(read("--half"), Err("--half needs a value after it".into()));
        assert_eq!(read("--halves 1"), Err("unknown option `--halves`".into()));
        assert_eq!(read("--help"), Ok(None));
    }
}
