//! Appending, reopening, reading.

use crate::support::*;
use doorward_ledger::{Log, LogError, LogOptions, Receipt, TileDir, View, project, verify_log};
use std::collections::HashSet;

#[test]
fn what_is_appended_is_read_back_proved_and_verified() {
    let dir = Dir::new();
    let mut log = open_small_segments(&dir);
    let leaves: Vec<_> = (0..1000).map(decision).collect();
    let mut dice = Dice(5);
    let mut at = 0;
    while at < leaves.len() {
        let end = (at + 1 + dice.below(40) as usize).min(leaves.len());
        let checkpoint = log.append(&leaves[at..end]).unwrap();
        assert_eq!(checkpoint.size(), end as u64);
        at = end;
    }
    assert!(dir.segments().len() > 5);
    let check = |view: &View| {
        assert_eq!(view.size(), 1000);
        for index in [0, 1, 255, 256, 257, 511, 512, 700, 999] {
            assert_eq!(view.entry(index).unwrap(), leaves[index as usize].bytes());
            let bundle = view.bundle(index).unwrap();
            assert_eq!(bundle.verify(key().public()), []);
            assert_eq!(view.find(&id(index)).unwrap().unwrap().0, index);
        }
        assert!(matches!(view.entry(1000), Err(LogError::NoSuchEntry { index: 1000, size: 1000 })));
        assert_eq!(view.find("nobody").unwrap(), None);
        let all: Vec<_> = view.entries(0..u64::MAX).map(|entry| entry.unwrap().1).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().zip(&leaves).all(|(bytes, leaf)| bytes == leaf.bytes()));
        let latest = view.latest(3).unwrap();
        assert_eq!(latest.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [999, 998, 997]);
    };
    check(log.view());
    drop(log);
    let log = open_small_segments(&dir);
    assert_eq!(log.recovery(), None);
    check(log.view());
    let report = verify_log(dir.path(), key().public(), None);
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.entries, 1000);
}

#[test]
fn a_second_process_is_told_whose_directory_it_is() {
    let dir = Dir::new();
    let _log = open(&dir);
    let error = Log::open_with(dir.path(), key(), LogOptions::default()).unwrap_err();
    assert!(matches!(error, LogError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
}

#[test]
fn a_reader_beside_the_writer_follows_it() {
    let dir = Dir::new();
    let mut log = open_small_segments(&dir);
    log.append(&[small(0)]).unwrap();
    let mut view = View::open(dir.path(), key().public()).unwrap();
    for n in 1..100 {
        log.append(&[small(n)]).unwrap();
        view.refresh().unwrap();
        assert_eq!(view.size(), n + 1);
        assert_eq!(view.checkpoint(), log.checkpoint());
    }
    assert!(dir.segments().len() > 3);
    assert_eq!(view.entry(50).unwrap(), small(50).bytes());
}

#[test]
fn another_key_does_not_open_it() {
    let dir = Dir::new();
    open(&dir).append(&[small(0)]).unwrap();
    for stranger in [foreign_key(), impostor_key()] {
        let error = Log::open_with(dir.path(), stranger, LogOptions::default()).unwrap_err();
        assert!(matches!(error, LogError::WrongKey { .. }), "{error}");
    }
}

#[test]
fn a_remembered_checkpoint_finds_a_rollback_when_opening() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&[small(0)]).unwrap();
    let len = std::fs::metadata(&dir.segments()[0]).unwrap().len();
    let remembered = log.append(&[small(1)]).unwrap();
    drop(log);
    let options = || LogOptions { remembered: Some(remembered.clone()), ..LogOptions::default() };
    drop(Log::open_with(dir.path(), key(), options()).unwrap());
    // Back to an older, genuine state.
    std::fs::OpenOptions::new().write(true).open(&dir.segments()[0]).unwrap().set_len(len).unwrap();
    let error = Log::open_with(dir.path(), key(), options()).unwrap_err();
    assert!(matches!(error, LogError::RolledBack { .. }), "{error}");
    // And a different history of the same length.
    open(&dir).append(&[small(2)]).unwrap();
    let error = Log::open_with(dir.path(), key(), options()).unwrap_err();
    assert!(error.to_string().contains("not those of then"), "{error}");
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&[small(0), small(1)]).unwrap();
    let segment = dir.segments()[0].clone();
    let good = std::fs::read(&segment).unwrap();
    let before = log.checkpoint().unwrap().clone();
    log.append(&[opened(2), small(3)]).unwrap();
    drop(log);
    let whole = std::fs::read(&segment).unwrap();
    for cut in good.len()..whole.len() {
        std::fs::write(&segment, &whole[..cut]).unwrap();
        let report = verify_log(dir.path(), key().public(), Some(before.text()));
        assert!(report.is_ok(), "{cut}: {report}");
        assert_eq!((report.entries, report.notes.is_empty()), (2, cut == good.len()));
        let mut log = open(&dir);
        assert_eq!(log.checkpoint(), Some(&before), "cut at {cut}");
        assert_eq!(
            log.recovery().map(|cut| cut.bytes),
            (cut > good.len()).then(|| (cut - good.len()) as u64)
        );
        assert_eq!(std::fs::read(&segment).unwrap(), good);
        log.append(&[small(9)]).unwrap();
        drop(log);
        assert_eq!(open(&dir).size(), 3);
    }
}

#[test]
fn a_torn_first_group_leaves_an_empty_log() {
    let dir = Dir::new();
    open(&dir).append(&[small(0)]).unwrap();
    let segment = dir.segments()[0].clone();
    let whole = std::fs::read(&segment).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&segment, &whole[..cut]).unwrap();
        let mut log = open(&dir);
        assert_eq!(log.size(), 0);
        log.append(&[small(1)]).unwrap();
        drop(log);
        assert_eq!(open(&dir).size(), 1, "cut at {cut}");
    }
}

#[test]
fn a_torn_new_segment_falls_back_to_the_one_before() {
    let dir = Dir::new();
    let mut log = open_small_segments(&dir);
    let mut n = 0;
    while dir.segments().len() < 3 {
        log.append(&[small(n)]).unwrap();
        n += 1;
    }
    drop(log);
    let last = dir.segments()[2].clone();
    let whole = std::fs::read(&last).unwrap();
    for cut in [0, 5, 27, 28, 29, 60, whole.len() - 1] {
        std::fs::write(&last, &whole[..cut]).unwrap();
        let mut log = open_small_segments(&dir);
        assert_eq!(log.size(), n - 1, "cut at {cut}");
        log.append(&[small(n - 1)]).unwrap();
        drop(log);
        assert_eq!(std::fs::read(&last).unwrap(), whole);
    }
}

#[test]
fn zeros_after_a_power_failure_are_a_torn_tail() {
    let dir = Dir::new();
    open(&dir).append(&[small(0)]).unwrap();
    let segment = dir.segments()[0].clone();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(&[0; 5000]);
    std::fs::write(&segment, &bytes).unwrap();
    assert!(verify_log(dir.path(), key().public(), None).is_ok());
    assert_eq!(open(&dir).recovery().unwrap().bytes, 5000);
}

#[test]
fn index_files_are_never_trusted() {
    let dir = Dir::new();
    let mut log = open_small_segments(&dir);
    for n in 0..700 {
        log.append(&[small(n)]).unwrap();
    }
    let root = log.checkpoint().unwrap().root();
    drop(log);
    let indexes: Vec<_> = dir.segments().iter().map(|path| path.with_extension("idx")).collect();
    let good: Vec<_> = indexes.iter().map(std::fs::read).collect();
    assert!(good.iter().rev().skip(1).all(Result::is_ok), "every closed segment has one");
    // Removed, cut, swapped for another segment's: the log opens all the same and the index is made anew.
    for (number, path) in indexes.iter().enumerate().take(indexes.len() - 1) {
        match number % 3 {
            0 => std::fs::remove_file(path).unwrap(),
            1 => std::fs::write(path, b"nonsense").unwrap(),
            _ => std::fs::write(path, good[number - 1].as_ref().unwrap()).unwrap(),
        }
    }
    let log = open_small_segments(&dir);
    assert_eq!((log.size(), log.checkpoint().unwrap().root()), (700, root));
    assert_eq!(log.view().bundle(300).unwrap().verify(key().public()), []);
    for (path, good) in indexes.iter().zip(&good).take(indexes.len() - 1) {
        assert_eq!(&std::fs::read(path).unwrap(), good.as_ref().unwrap());
    }
}

#[test]
fn tiles_are_projected_step_by_step_and_verify() {
    let (dir, out) = (Dir::new(), Dir::new());
    let mut log = open_small_segments(&dir);
    let mut n = 0;
    for target in [1, 200, 256, 257, 600, 1024, 1030] {
        let leaves: Vec<_> = (n..target).map(small).collect();
        log.append(&leaves).unwrap();
        n = target;
        project(log.view(), out.path()).unwrap();
        let report = verify_log(out.path(), key().public(), None);
        assert!(report.is_ok(), "{target}: {report}");
        assert_eq!((report.entries, report.subject), (target, "tiles"));
    }
    let tiles = TileDir::new(out.path());
    assert_eq!(tiles.checkpoint().unwrap(), log.checkpoint().unwrap().text());
    assert_eq!(tiles.hashes(1, 0, 4).unwrap().len(), 4);
    assert_eq!(tiles.entries(4, 6).unwrap()[5], small(1029).bytes());
    assert!(!out.path().join("tile/0/000.p").exists(), "partial tiles of the past are removed");
    let once = Dir::new();
    project(log.view(), once.path()).unwrap();
    assert_eq!(files(once.path()), files(out.path()), "step by step or at once: the same files");
    let other = Dir::new();
    let mut stranger = open(&other);
    stranger.append(&[small(77)]).unwrap();
    assert!(project(stranger.view(), out.path()).is_err(), "another log is not written over");
}

fn files(dir: &std::path::Path) -> HashSet<(String, Vec<u8>)> {
    let mut found = HashSet::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.insert((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[cfg(unix)]
#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Dir::new();
    let home = dir.path().join("ledger");
    let mut log = Log::open_with(&home, key(), LogOptions::default()).unwrap();
    log.append(&[small(0)]).unwrap();
    let mode = |path: &str| std::fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("segments")), (0o700, 0o700));
    for file in ["lock", "reserve", "segments/00000000000000000000.seg"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[test]
fn receipts_come_back_typed() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&[decision(0), opened(1), outcome(2, 1)]).unwrap();
    let receipts: Vec<_> = log.view().entries(0..3).map(|e| Receipt::parse(&e.unwrap().1).unwrap()).collect();
    assert_eq!(receipts[0].verdict(), Some("block"));
    assert_eq!(receipts[0].agent(), Some("claude"));
    assert_eq!(receipts[2].of(), Some(id(1).as_str()));
    assert_eq!(receipts[2].time_ms() as u64, TIME + 2);
}
