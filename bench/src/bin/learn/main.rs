//! `cargo xtask learn`: learns what injections have in common from `training/injection` and from the documents of the
//! packages that Doorward is built from, and writes `rules/injection/learnt.bin`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use doorward_assess::learn::{self, Taken, Text};
use doorward_core::detect::rules::RuleSet;

const USAGE: &str = "\
Usage: cargo xtask learn [--folds N | --check] [--each] [--texts DIR] [--documents DIR]...

Learns from training/injection/*.jsonl and from what comes with the packages in Cargo.lock; writes rules/injection/learnt.bin.

  --folds N        leaves out every Nth text in turn and says how these are told apart; writes nothing
  --check          says how well what is shipped tells the texts apart; writes nothing
  --each           says so of each text, in JSON lines, instead of in sums
  --texts DIR      takes the texts (*.jsonl) from there
  --documents DIR  takes the documents below it as well (*.md, *.rst, *.txt): nothing in them may be an attack";

/// Documents are cut into pieces of so many bytes: as much as tools give at once.
const PIECE: usize = 4000;

/// The most pieces of one file, of one package and of all: some are books.
const OF_FILE: usize = 3;
const OF_PACKAGE: usize = 24;
const OF_ALL: usize = 60_000;

/// How many lines of a piece are texts of their own.
const LINES: usize = 4;

/// What else comes with packages: data, pages, scripts and sources in other languages.
const DATA: &[&str] =
    &["c", "css", "csv", "h", "html", "js", "json", "lock", "py", "sh", "svg", "txt", "xml", "yaml", "yml"];

/// How many texts of words in no order there are.
const SALADS: usize = 3000;

/// The longest file that is read, in bytes, and how deep folders are gone through.
const LONGEST: u64 = 1 << 20;
const DEEPEST: usize = 12;

struct Options {
    texts: PathBuf,
    documents: Vec<PathBuf>,
    folds: usize,
    check: bool,
    each: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(&format!("learn: {error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("learn: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let texts = root().join("training/injection");
    let mut options = Options { texts, documents: Vec::new(), folds: 0, check: false, each: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" => return Ok(None),
            "--check" => options.check = true,
            "--each" => options.each = true,
            "--documents" => {
                options.documents.push(arguments.next().ok_or("--documents needs a directory")?.into())
            }
            "--texts" => options.texts = arguments.next().ok_or("--texts needs a directory")?.into(),
            "--folds" => {
                let folds = arguments.next().and_then(|folds| folds.parse().ok()).filter(|folds| *folds > 1);
                options.folds = folds.ok_or("--folds needs a number above 1")?;
            }
            _ => return Err(format!("`{argument}` is no option")),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> anyhow::Result<()> {
    let rules = RuleSet::shipped().map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let injection = rules.injection().context("the rules have no signals")?;
    let texts = read(&options.texts)?;
    let attacks = texts.iter().filter(|text| text.attack).count();
    tell(&format!("learn: {} texts, {attacks} of them attacks", texts.len()));
    let mut known = learn::take(injection, &texts, &[]);
    if options.check {
        let margin = |text: &Taken| text.passages.iter().map(|it| it.margin).fold(f32::MIN, f32::max);
        report(options, known.iter().map(|text| (text.attack, margin(text))).enumerate().collect());
        return Ok(());
    }
    let mut documents = documents(&options.documents)?;
    documents.extend(learn::salads(&texts, SALADS));
    tell(&format!("learn: {} pieces of documents", documents.len()));
    let mut ordinary = learn::take(injection, &[], &documents);
    // Beside the documents, so that the numbers of the texts stay theirs.
    ordinary.extend(learn::take(injection, &learn::of_rules(injection), &[]));
    if options.folds > 0 {
        let mut margins = Vec::new();
        for fold in 0..options.folds {
            let both = || {
                known
                    .iter()
                    .enumerate()
                    .chain(ordinary.iter().enumerate().map(|(at, text)| (at + known.len(), text)))
            };
            let is_left_out = |at: usize| at % options.folds == fold;
            let others: Vec<Taken> =
                both().filter(|(at, _)| !is_left_out(*at)).map(|(_, text)| text.clone()).collect();
            let learnt = learn::learn(&others);
            let left_out = both().filter(|(at, _)| is_left_out(*at));
            margins.extend(left_out.map(|(at, text)| (at, (text.attack, learnt.margin(text)))));
            tell(&format!("learn: fold {} of {}", fold + 1, options.folds));
        }
        report(options, margins);
        return Ok(());
    }
    known.extend(ordinary);
    let learnt = learn::learn(&known);
    let file = learnt.file(learn::digest_of(&texts));
    let place = root().join("rules/injection/learnt.bin");
    std::fs::write(&place, &file).with_context(|| format!("cannot write {}", place.display()))?;
    say(&format!("{}: {} bytes", place.display(), file.len()));
    Ok(())
}

/// How many attacks lie above each margin, and how many others; or where each text lies, by its number.
fn report(options: &Options, mut margins: Vec<(usize, (bool, f32))>) {
    margins.sort_by_key(|(at, _)| *at);
    if options.each {
        for (at, (attack, margin)) in &margins {
            say(&serde_json::json!({ "text": at, "attack": attack, "margin": margin }).to_string());
        }
        return;
    }
    let kind = |attack: bool| margins.iter().filter(move |(_, (is, _))| *is == attack);
    say("margin   attacks                 others");
    for step in -10..=24 {
        let line = step as f32 / 10.0;
        let share = |attack: bool| {
            let all = kind(attack).count();
            let above = kind(attack).filter(|(_, (_, margin))| *margin > line).count();
            format!("{above:6} of {all:6} {:5.1} %", 100.0 * above as f32 / all.max(1) as f32)
        };
        say(&format!("{line:6.2} {}  {}", share(true), share(false)));
    }
}

/// The project's directory.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The texts in `folder`, in the order of their files' names.
fn read(folder: &Path) -> anyhow::Result<Vec<Text>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    let mut texts = Vec::new();
    for file in &files {
        let lines =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        texts.extend(learn::read(&name, &lines).map_err(anyhow::Error::msg)?);
    }
    Ok(texts)
}

/// Pieces of what comes with the packages Doorward is built from, and of what lies in `folders`: what agents read all day,
/// and not written for this.
fn documents(folders: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--manifest-path"];
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .arg(root().join("Cargo.toml"))
        .output()
        .context("cannot run cargo metadata")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata
        .get("packages")
        .and_then(|packages| packages.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut places: Vec<&Path> = packages
        .iter()
        .filter(|package| !package.get("source").is_none_or(|source| source.is_null()))
        .filter_map(|package| Path::new(package.get("manifest_path")?.as_str()?).parent())
        .collect();
    places.sort_by_key(|place| place.file_name());
    let mut pieces = Vec::new();
    for place in places {
        pieces.extend(pieces_below(place, &["md", "rs", "toml"], OF_PACKAGE));
        pieces.extend(pieces_below(place, DATA, OF_PACKAGE));
    }
    for folder in folders {
        anyhow::ensure!(folder.is_dir(), "there is no directory {}", folder.display());
        pieces.extend(pieces_below(folder, &["md", "rst", "txt"], OF_ALL));
    }
    pieces.truncate(OF_ALL);
    Ok(pieces)
}

/// At most `most` pieces of the files below `folder` whose names end so.
fn pieces_below(folder: &Path, endings: &[&str], most: usize) -> Vec<String> {
    let mut files = Vec::new();
    files_below(folder, endings, DEEPEST, &mut files);
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let pieces = texts.flat_map(|text| cut(&text).into_iter().take(OF_FILE)).take(most);
    pieces.flat_map(|piece| lines(&piece).chain([piece]).collect::<Vec<_>>()).collect()
}

/// A few lines of `piece`, each for itself: tools often give no more.
fn lines(piece: &str) -> impl Iterator<Item = String> + use<> {
    let lines: Vec<&str> = piece.lines().map(str::trim).filter(|line| line.len() > 1).collect();
    let every = lines.len() / LINES + 1;
    lines.into_iter().step_by(every).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn files_below(folder: &Path, endings: &[&str], depth: usize, files: &mut Vec<PathBuf>) {
    let Some(deeper) = depth.checked_sub(1) else { return };
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    entries.sort();
    for entry in entries {
        let Ok(known) = entry.symlink_metadata() else { continue };
        let ending = entry.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if known.is_dir() {
            files_below(&entry, endings, deeper, files);
        } else if known.is_file() && known.len() < LONGEST && endings.contains(&ending.as_str()) {
            files.push(entry);
        }
    }
}

/// `text` in pieces, cut at the ends of lines.
fn cut(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match pieces.last_mut() {
            Some(last) if last.len() + line.len() <= PIECE => last.push_str(line),
            _ => pieces.push(line.to_owned()),
        }
    }
    pieces.retain(|piece| piece.len() > 200);
    pieces
}

/// Writes to standard output. A closed pipe is the reader's choice, not an error.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
