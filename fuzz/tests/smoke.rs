//! Replays what fuzzing has found worth keeping, and some mutations of it, the same ones each time: the
//! smoke test of the targets, for any toolchain.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: a panic there is the failure report"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doorward_fuzz::mutate::{Numbers, hash, mutate};
use doorward_fuzz::{TARGETS, Target, find, pack};

/// How many mutations each target is given, unless time runs out first.
const MUTATIONS: u64 = 20_000;

/// How long a target may take over them: the test command must stay quick on a slow machine.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long one input may take, unoptimised: hostile input must not stop the firewall.
const LONGEST: Duration = Duration::from_secs(20);

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Files of a folder, sorted by name; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What is committed for a target: its packed corpus and the regressions, which are files of their own.
fn committed(target: &Target) -> Vec<Vec<u8>> {
    let packed = fs::read(home().join("corpus").join(format!("{}.pack", target.name)))
        .unwrap_or_else(|error| panic!("the corpus of {} cannot be read: {error}", target.name));
    let mut inputs = pack::unpack(&packed).expect("a packed corpus");
    inputs.extend(files(&home().join("regressions").join(target.name)).iter().map(|p| fs::read(p).unwrap()));
    inputs
}

/// Runs one input; a failure names the file that repeats it.
fn one(target: &Target, input: &[u8]) {
    let begin = Instant::now();
    let fine = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    let took = begin.elapsed();
    if fine && took < LONGEST {
        return;
    }
    let name = format!("doorward-fuzz-{}-{:016x}", target.name, hash(0, input));
    let path = std::env::temp_dir().join(name);
    fs::write(&path, input).unwrap();
    panic!("{}: failed after {took:?} on the input in {}", target.name, path.display());
}

fn smoke(name: &str) {
    let target = find(name).expect("a target");
    let inputs = committed(target);
    assert!(!inputs.is_empty(), "an empty corpus");
    inputs.iter().for_each(|input| one(target, input));
    let begin = Instant::now();
    let mut numbers = Numbers::new(hash(0, name.as_bytes()));
    for _ in 0..MUTATIONS {
        if begin.elapsed() > PATIENCE {
            break;
        }
        let (input, other) = (&inputs[numbers.below(inputs.len())], &inputs[numbers.below(inputs.len())]);
        one(target, &mutate(input, other, target.longest, &mut numbers));
    }
}

macro_rules! smoke {
    ($($name:ident)*) => {
        $(#[test] fn $name() { smoke(stringify!($name)); })*

        #[test]
        fn every_target_is_here() {
            let here = [$(stringify!($name)),*];
            let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(all, here);
            for name in all {
                let binary = home().join("libfuzzer/src/bin").join(format!("{name}.rs"));
                assert!(binary.exists(), "{name} has no libFuzzer binary");
            }
        }
    };
}

smoke!(sse stream transcript requests shell json yaml policy receipt bundle proof jsonpath body);

#[test]
fn a_corpus_survives_packing() {
    let inputs = vec![b"".to_vec(), vec![0, 255, b'\n'], b"3\nabc\n".to_vec()];
    assert_eq!(pack::unpack(&pack::pack(inputs.clone())), Some(inputs));
    for broken in ["", "doorward corpus 1\n5\nab\n", "doorward corpus 1\n1\nab", "doorward corpus 1\n-1\n\n"]
    {
        assert_eq!(pack::unpack(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn the_committed_corpora_stay_small() {
    let size: u64 = files(&home().join("corpus")).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(size < 600 << 10, "{size} bytes");
}
