//! `cargo xtask fuzz`: builds the libFuzzer binaries and runs them one after the other, each until it finds
//! nothing new.
//!
//! It works with a stable toolchain: the coverage instrumentation is a pass of LLVM that `rustc` has on
//! board, and no sanitizer is needed where there is no `unsafe`. A C++ compiler builds libFuzzer itself.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use doorward_fuzz::mutate::hash;
use doorward_fuzz::{TARGETS, Target, find, pack};

const USAGE: &str = "\
cargo xtask fuzz all|TARGET,… [--minutes N] [--patience N] [--keep]

Runs the fuzz targets, one after the other. A target stops when it has found nothing new for a while.

  --minutes N    at most so long for each target (default 60)
  --patience N   stop after N minutes without new coverage (default 10)
  --keep         afterwards minimise the corpus and write it to fuzz/corpus, to be committed

What fails is written to a file, which is named; the same file runs again with
`cargo xtask fuzz TARGET FILE`.";

/// The passes of LLVM that libFuzzer needs, as `cargo fuzz` sets them, without a sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

struct Options {
    targets: Vec<&'static Target>,
    minutes: u64,
    patience: u64,
    keep: bool,
    /// Inputs to run again instead of fuzzing.
    again: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = read(&arguments).and_then(|options| campaign(&options));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error}\n\n{USAGE}"));
            ExitCode::from(2)
        }
    }
}

fn read(arguments: &[String]) -> Result<Options, String> {
    let mut options =
        Options { targets: Vec::new(), minutes: 60, patience: 10, keep: false, again: Vec::new() };
    let mut rest = arguments.iter();
    match rest.next().map(String::as_str) {
        None | Some("--help" | "-h") => return Err("which target?".to_owned()),
        Some("all") => options.targets.extend(TARGETS.iter()),
        Some(names) => {
            for name in names.split(',') {
                let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                let target = find(name);
                let unknown = || format!("no target `{name}`; there are {}", known.join(", "));
                options.targets.push(target.ok_or_else(unknown)?);
            }
        }
    }
    while let Some(argument) = rest.next() {
        let mut number = || {
            let value = rest.next().and_then(|value| value.parse().ok()).filter(|value| *value > 0);
            value.ok_or_else(|| format!("{argument} takes a number of minutes"))
        };
        match argument.as_str() {
            "--minutes" => options.minutes = number()?,
            "--patience" => options.patience = number()?,
            "--keep" => options.keep = true,
            option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
            file => options.again.push(file.into()),
        }
    }
    Ok(options)
}

/// Where things are.
struct Places {
    /// The `fuzz` folder.
    home: PathBuf,
    /// Cargo's target directory for the instrumented binaries; corpora and finds go there, too.
    work: PathBuf,
}

fn campaign(options: &Options) -> Result<bool, String> {
    if !options.again.is_empty() {
        return again(options);
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| home.parent().unwrap_or(&home).join("target"));
    let places = Places { work: target.join("fuzz"), home };
    let triple = build(&places)?;
    let mut fine = true;
    let mut table = vec![format!(
        "{:<12}{:>9}{:>13}{:>10}{:>10}{:>10}{:>12}",
        "target", "minutes", "executions", "coverage", "features", "corpus", "last new"
    )];
    for target in &options.targets {
        let program = places.work.join(&triple).join("release").join(target.name);
        let (row, passed) = fuzz(&places, target, &program, options)?;
        say(&row);
        table.push(row);
        fine &= passed;
    }
    say(&format!("\n{}", table.join("\n")));
    Ok(fine)
}

/// Runs single inputs, here and without libFuzzer: the panic says what does not hold.
fn again(options: &Options) -> Result<bool, String> {
    for path in &options.again {
        let input = fs::read(path).map_err(|error| cannot(path, &error))?;
        for target in &options.targets {
            (target.run)(&input);
            say(&format!("{}: nothing wrong with {}", target.name, path.display()));
        }
    }
    Ok(true)
}

/// Builds every binary; returns the target triple. Instrumentation must not reach build scripts, hence
/// `--target`.
fn build(places: &Places) -> Result<String, String> {
    let version = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple.ok_or("rustc does not name its host")?.to_owned();
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--bins", "--target", &triple])
        .current_dir(places.home.join("libfuzzer"))
        .env("CARGO_TARGET_DIR", &places.work)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if built.success() { Ok(triple) } else { Err("the libFuzzer binaries do not compile".to_owned()) }
}

/// What libFuzzer has said so far.
#[derive(Default)]
struct Progress {
    executions: u64,
    coverage: u64,
    features: u64,
    corpus: u64,
}

fn fuzz(
    places: &Places,
    target: &Target,
    program: &Path,
    options: &Options,
) -> Result<(String, bool), String> {
    let folder = |kind: &str| places.work.join(kind).join(target.name);
    let (corpus, finds) = (folder("corpus"), folder("finds"));
    for folder in [&corpus, &finds] {
        fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    }
    unpack(places, target, &corpus)?;
    let mut child = Command::new(program)
        .arg(&corpus)
        .args(flags(places, target))
        .arg(format!("-artifact_prefix={}/", finds.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot(program, &error))?;
    let log = places.work.join(format!("{}.log", target.name));
    let lines = lines(&mut child, &log)?;
    let begin = Instant::now();
    let (progress, last, stopped) = watch(&lines, begin, options);
    let failed = !stopped && !child.wait().map_err(|error| cannot(program, &error))?.success();
    let _ = child.kill();
    let _ = child.wait();
    let row = format!(
        "{:<12}{:>9.1}{:>13}{:>10}{:>10}{:>10}{:>10.1} m{}",
        target.name,
        begin.elapsed().as_secs_f64() / 60.0,
        progress.executions,
        progress.coverage,
        progress.features,
        progress.corpus,
        last.as_secs_f64() / 60.0,
        if failed {
            format!("  FAILED, see {} and {}", log.display(), finds.display())
        } else {
            String::new()
        }
    );
    if options.keep && !failed {
        keep(places, target, program, &corpus)?;
    }
    Ok((row, !failed))
}

fn flags(places: &Places, target: &Target) -> Vec<String> {
    let mut flags = vec![
        format!("-max_len={}", target.longest),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
    ];
    let dictionary = places.home.join("dictionaries").join(format!("{}.dict", target.name));
    if dictionary.exists() {
        flags.push(format!("-dict={}", dictionary.display()));
    }
    flags
}

/// The lines a child writes to its standard error, kept in a log as well.
fn lines(child: &mut Child, log: &Path) -> Result<Receiver<String>, String> {
    let errors = child.stderr.take().ok_or("libFuzzer has no standard error")?;
    let mut kept = fs::File::create(log).map_err(|error| cannot(log, &error))?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let _ = writeln!(kept, "{line}");
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Follows a run. Returns how far it came, when it found something new for the last time, and whether it is
/// to be stopped (or has ended by itself).
fn watch(lines: &Receiver<String>, begin: Instant, options: &Options) -> (Progress, Duration, bool) {
    let (most, patience) = (minutes(options.minutes), minutes(options.patience));
    let (mut progress, mut last) = (Progress::default(), Duration::ZERO);
    loop {
        let line = match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => String::new(),
            Err(RecvTimeoutError::Disconnected) => return (progress, last, false),
        };
        let before = progress.coverage;
        note(&line, &mut progress);
        if progress.coverage > before {
            last = begin.elapsed();
        }
        if begin.elapsed() >= most || begin.elapsed() >= last + patience {
            return (progress, last, true);
        }
    }
}

const fn minutes(number: u64) -> Duration {
    Duration::from_secs(number.saturating_mul(60))
}

/// Reads a line such as `#2097152 pulse  cov: 702 ft: 1890 corp: 389/21Kb lim: 2048 exec/s: 5 rss: 40Mb`.
fn note(line: &str, progress: &mut Progress) {
    let Some(numbers) = line.strip_prefix('#') else { return };
    let mut words = numbers.split_whitespace();
    progress.executions =
        words.next().and_then(|word| word.parse().ok()).unwrap_or(0).max(progress.executions);
    while let Some(word) = words.next() {
        let slot = match word {
            "cov:" => &mut progress.coverage,
            "ft:" => &mut progress.features,
            "corp:" => &mut progress.corpus,
            _ => continue,
        };
        let number = words.next().and_then(|word| word.split('/').next()?.parse().ok());
        *slot = number.unwrap_or(*slot);
    }
}

/// Puts what is committed for a target into a folder of files.
fn unpack(places: &Places, target: &Target, corpus: &Path) -> Result<(), String> {
    let packed = packed(places, target);
    let inputs = match fs::read(&packed) {
        Ok(bytes) => pack::unpack(&bytes).ok_or_else(|| format!("{} is broken", packed.display()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(cannot(&packed, &error)),
    };
    let regressions = files(&places.home.join("regressions").join(target.name));
    for input in inputs.into_iter().chain(regressions.iter().filter_map(|path| fs::read(path).ok())) {
        let path = corpus.join(format!("{:016x}", hash(0, &input)));
        fs::write(&path, input).map_err(|error| cannot(&path, &error))?;
    }
    Ok(())
}

/// Writes the smallest set of inputs with the same coverage back to the repository.
fn keep(places: &Places, target: &Target, program: &Path, corpus: &Path) -> Result<(), String> {
    let smallest = places.work.join("smallest").join(target.name);
    let _ = fs::remove_dir_all(&smallest);
    fs::create_dir_all(&smallest).map_err(|error| cannot(&smallest, &error))?;
    let merged = Command::new(program)
        // Edges, not features: how often an edge was taken would keep ten times as many inputs.
        .args(["-set_cover_merge=1", "-use_value_profile=0", "-use_counters=0"])
        .args(flags(places, target))
        .args([&smallest, corpus])
        .stderr(Stdio::null())
        .status()
        .map_err(|error| cannot(program, &error))?;
    if !merged.success() {
        return Err(format!("the corpus of {} cannot be minimised", target.name));
    }
    let inputs = files(&smallest).iter().filter_map(|path| fs::read(path).ok()).collect();
    let path = packed(places, target);
    fs::write(&path, pack::pack(inputs)).map_err(|error| cannot(&path, &error))
}

fn packed(places: &Places, target: &Target) -> PathBuf {
    places.home.join("corpus").join(format!("{}.pack", target.name))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
