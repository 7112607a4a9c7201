//! Tampering: every single altered byte is found, and each way of tampering has its name.

use crate::support::*;
use doorward_ledger::{LogError, Report, View, project, verify_bundle, verify_log};
use proptest::prelude::*;
use std::path::PathBuf;

/// One record of a segment: its kind and bytes.
#[derive(Clone)]
struct Record {
    tag: u8,
    bytes: Vec<u8>,
}

fn read_records(segment: &[u8]) -> Vec<Record> {
    let mut rest = &segment[28..];
    let mut records = Vec::new();
    while let Some(&tag) = rest.first() {
        let length = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
        let (record, tail) = rest.split_at(length + if tag == b'E' { 19 } else { 3 });
        records.push(Record { tag, bytes: record.to_vec() });
        rest = tail;
    }
    records
}

/// A log with three groups of receipts in one segment, and its records.
fn three_groups() -> (Dir, PathBuf, Vec<Record>) {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&[small(0), small(1), opened(2)]).unwrap();
    log.append(&[outcome(3, 2), small(4), small(5), small(6)]).unwrap();
    log.append(&[small(7)]).unwrap();
    drop(log);
    let segment = dir.segments()[0].clone();
    let records = read_records(&std::fs::read(&segment).unwrap());
    assert_eq!(records.len(), 11);
    (dir, segment, records)
}

fn rewrite(segment: &PathBuf, records: &[Record]) {
    let mut bytes = std::fs::read(segment).unwrap()[..28].to_vec();
    records.iter().for_each(|record| bytes.extend_from_slice(&record.bytes));
    std::fs::write(segment, bytes).unwrap();
}

fn check(dir: &Dir) -> Report {
    let report = verify_log(dir.path(), key().public(), None);
    // What verification finds, opening refuses.
    assert_eq!(View::open(dir.path(), key().public()).is_err(), !report.is_ok(), "{report}");
    report
}

#[test]
fn a_flipped_byte_names_the_receipt_segment_and_offset() {
    let (dir, segment, mut records) = three_groups();
    records[5].bytes[40] ^= 1;
    rewrite(&segment, &records);
    let report = check(&dir);
    assert_eq!(report.codes(), ["entry_altered"]);
    let problem = &report.problems[0];
    assert_eq!(problem.index, Some(4));
    let place = problem.place.as_ref().unwrap();
    assert_eq!(place.file, "segments/00000000000000000000.seg");
    assert_eq!(place.offset, 28 + records[..5].iter().map(|r| r.bytes.len() as u64).sum::<u64>());
    let error = View::open(dir.path(), key().public()).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { index: 4, .. }), "{error}");
    assert!(report.to_string().contains("entry_altered at receipt 4"), "{report}");
}

#[test]
fn a_dropped_receipt_is_missing() {
    let (dir, segment, mut records) = three_groups();
    records.remove(5);
    rewrite(&segment, &records);
    let report = check(&dir);
    assert_eq!(report.codes(), ["entry_missing"]);
    assert_eq!(report.problems[0].index, Some(4));
}

#[test]
fn a_dropped_group_is_missing() {
    let (dir, segment, mut records) = three_groups();
    records.drain(4..9);
    rewrite(&segment, &records);
    let report = check(&dir);
    assert_eq!(report.codes(), ["entry_missing"]);
    assert!(report.problems[0].message.contains("3 to 6"), "{report}");
    assert_eq!(report.open, [id(2)], "its outcome is gone");
}

#[test]
fn exchanged_receipts_are_reordered() {
    let (dir, segment, mut records) = three_groups();
    records.swap(5, 6);
    rewrite(&segment, &records);
    let report = check(&dir);
    assert_eq!(report.codes(), ["entry_reordered"]);
    assert_eq!(report.problems[0].index, Some(4));
}

#[test]
fn a_repeated_receipt_is_added() {
    let (dir, segment, mut records) = three_groups();
    records.insert(6, records[5].clone());
    rewrite(&segment, &records);
    let report = check(&dir);
    assert_eq!(report.codes(), ["duplicate_id", "entry_added"]);
}

/// Gives the records of a group the indices and checks that an untouched log would have.
fn renumber(records: &mut [Record], mut index: u64) {
    for record in records.iter_mut().filter(|record| record.tag == b'E') {
        let check = doorward_ledger::merkle::leaf_hash(&record.bytes[19..]);
        record.bytes[3..11].copy_from_slice(&index.to_be_bytes());
        record.bytes[11..19].copy_from_slice(&check[..8]);
        index += 1;
    }
}

#[test]
fn a_careful_forger_is_found_by_the_root() {
    let (dir, segment, records) = three_groups();
    let mut altered = records.clone();
    let at = altered[5].bytes.len() - 8;
    altered[5].bytes[at] ^= 1;
    let mut swapped = records.clone();
    swapped.swap(5, 6);
    let mut dropped = records.clone();
    dropped.remove(5);
    for (mut forged, code) in
        [(altered, "root_mismatch"), (swapped, "root_mismatch"), (dropped, "entry_missing")]
    {
        renumber(&mut forged, 0);
        rewrite(&segment, &forged);
        let report = check(&dir);
        let codes = report.codes();
        assert!(codes.contains(&code), "{report}");
        assert_eq!(
            report.problems.iter().filter(|p| p.code.as_str() == code).count(),
            1,
            "said once: {report}"
        );
    }
}

#[test]
fn another_key_and_a_touched_signature_are_told_apart() {
    let (dir, segment, mut records) = three_groups();
    let good = records.clone();
    let last = records.len() - 1;
    let at = records[last].bytes.len() - 20;
    records[last].bytes[at] = if records[last].bytes[at] == b'A' { b'B' } else { b'A' };
    rewrite(&segment, &records);
    assert_eq!(check(&dir).codes(), ["bad_signature"]);
    rewrite(&segment, &good);
    for stranger in [foreign_key(), impostor_key()] {
        let report = verify_log(dir.path(), stranger.public(), None);
        assert_eq!(report.codes(), ["foreign_key"; 3]);
    }
}

#[test]
fn header_bytes_of_a_right_receipt_are_a_bad_record_only() {
    let (dir, segment, mut records) = three_groups();
    records[5].bytes[10] ^= 4;
    rewrite(&segment, &records);
    let report = check(&dir);
    assert_eq!(report.codes(), ["bad_record"]);
    assert_eq!(report.problems[0].index, Some(4));
}

#[test]
fn a_remembered_checkpoint_finds_truncation_rollback_and_rewriting() {
    let dir = Dir::new();
    let mut log = open(&dir);
    let first = log.append(&[small(0), small(1)]).unwrap();
    let segment = dir.segments()[0].clone();
    let short = std::fs::read(&segment).unwrap();
    let second = log.append(&[small(2)]).unwrap();
    drop(log);
    let whole = std::fs::read(&segment).unwrap();
    let since = |text: &str| verify_log(dir.path(), key().public(), Some(text));
    assert!(since(first.text()).is_ok());
    assert!(since(second.text()).is_ok());
    std::fs::write(&segment, &short).unwrap();
    assert!(since(first.text()).is_ok());
    assert_eq!(since(second.text()).codes(), ["rolled_back"]);
    std::fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(since(second.text()).codes(), ["truncated"]);
    std::fs::remove_file(&segment).unwrap();
    let _ = std::fs::remove_file(segment.with_extension("idx"));
    assert_eq!(since(second.text()).codes(), ["truncated"]);
    open(&dir).append(&[small(5), small(6), small(7)]).unwrap();
    assert_eq!(since(second.text()).codes(), ["rewritten"]);
    assert_eq!(since(first.text()).codes(), ["rewritten"]);
    assert_eq!(since("nonsense").codes(), ["bad_checkpoint"]);
}

#[test]
fn whole_segments_are_missed() {
    let dir = Dir::new();
    let mut log = open_small_segments(&dir);
    for n in 0..60 {
        log.append(&[small(n)]).unwrap();
    }
    drop(log);
    let segments = dir.segments();
    assert!(segments.len() > 3);
    for gone in &segments[..segments.len() - 1] {
        let bytes = std::fs::read(gone).unwrap();
        std::fs::remove_file(gone).unwrap();
        assert_eq!(check(&dir).codes(), ["segment_missing"]);
        // Cut short is found too, though the rest could be read.
        std::fs::write(gone, &bytes[..bytes.len() - 30]).unwrap();
        assert_eq!(verify_log(dir.path(), key().public(), None).codes()[0], "bad_record");
        std::fs::write(gone, &bytes).unwrap();
    }
    assert!(check(&dir).is_ok());
}

#[test]
fn the_story_of_the_receipts_is_checked() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&[opened(0), outcome(1, 0), outcome(2, 0), outcome(3, 99), opened(4), small(0)]).unwrap();
    let report = verify_log(dir.path(), key().public(), None);
    assert_eq!(report.codes(), ["outcome_twice", "outcome_without_opened", "duplicate_id"]);
    assert_eq!(report.open, [id(4)]);
    let indices: Vec<_> = report.problems.iter().map(|problem| problem.index.unwrap()).collect();
    assert_eq!(indices, [2, 3, 5]);
}

#[test]
fn kinds_of_tomorrow_are_reported_and_not_refused() {
    use doorward_ledger::{Draft, Kind};
    let dir = Dir::new();
    let strange =
        Draft::new(Kind::Other("tea_break".into()), "X1", 1, NODE).member("cups", 2u32).seal().unwrap();
    open(&dir).append(&[strange]).unwrap();
    let report = verify_log(dir.path(), key().public(), None);
    assert!(report.is_ok());
    assert_eq!(report.unknown_kinds.get("tea_break"), Some(&1));
}

#[test]
fn tampered_tiles_say_which_entry() {
    let (dir, _, _) = three_groups();
    let out = Dir::new();
    project(View::open(dir.path(), key().public()).as_ref().unwrap(), out.path()).unwrap();
    let entries = out.path().join("tile/entries/000.p/8");
    let hashes = out.path().join("tile/0/000.p/8");
    let (good_entries, good_hashes) = (std::fs::read(&entries).unwrap(), std::fs::read(&hashes).unwrap());
    let mut list: Vec<Vec<u8>> = Vec::new();
    let mut rest = good_entries.as_slice();
    while !rest.is_empty() {
        let length = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        list.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    let verify = || verify_log(out.path(), key().public(), None);
    let mut altered = list.clone();
    let at = altered[3].len() - 10;
    altered[3][at] ^= 1;
    let mut dropped = list.clone();
    dropped.remove(3);
    let mut swapped = list.clone();
    swapped.swap(4, 5);
    for (forged, code, index) in
        [(altered, "entry_altered", 3), (dropped, "entry_missing", 3), (swapped, "entry_reordered", 4)]
    {
        std::fs::write(&entries, forged.concat()).unwrap();
        let report = verify();
        let problem = report.problems.iter().find(|p| p.code.as_str() == code);
        assert_eq!(problem.unwrap_or_else(|| panic!("{code}: {report}")).index, Some(index));
    }
    std::fs::write(&entries, &good_entries).unwrap();
    let mut forged = good_hashes.clone();
    forged[40] ^= 1;
    std::fs::write(&hashes, &forged).unwrap();
    assert_eq!(verify().codes(), ["bad_tile"]);
    std::fs::remove_file(&hashes).unwrap();
    assert_eq!(verify().codes(), ["bad_tile"]);
}

#[test]
fn tampered_upper_tiles_are_found() {
    let (dir, out) = (Dir::new(), Dir::new());
    let mut log = open(&dir);
    log.append(&(0..600).map(small).collect::<Vec<_>>()).unwrap();
    project(log.view(), out.path()).unwrap();
    let path = out.path().join("tile/1/000.p/2");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[33] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let report = verify_log(out.path(), key().public(), None);
    assert_eq!(report.codes(), ["bad_tile"]);
    assert_eq!(report.problems[0].place.as_ref().unwrap().file, "tile/1/000.p/2");
}

#[test]
fn a_bundle_survives_reformatting_and_nothing_else() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&(0..50).map(decision).collect::<Vec<_>>()).unwrap();
    let bundle = log.view().bundle(17).unwrap();
    let opened = vec![doorward_ledger::Opened { domain: "arguments".into(), content: b"{}".to_vec() }];
    let text = bundle.clone().with_opened(salt(17), opened).to_json();
    let ok = |text: &str| verify_bundle(text.as_bytes(), key().public()).is_ok();
    assert!(ok(&text));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(ok(&serde_json::to_string_pretty(&value).unwrap()));
    let codes = |text: &str| verify_bundle(text.as_bytes(), key().public()).codes();
    assert_eq!(codes(&text.replace("\"risk\":95", "\"risk\":5")), ["not_included"]);
    assert_eq!(codes(&text.replace("\"index\":17", "\"index\":18")), ["not_included"]);
    assert_eq!(codes(&text.replace("\"content\":\"e30=\"", "\"content\":\"e3A=\"")), ["digest_mismatch"]);
    assert_eq!(codes(&text.replace("\\n50\\n", "\\n51\\n")), ["bad_signature"]);
    assert_eq!(codes(&text.replace("doorward.bundle/1", "x")), ["bad_bundle"]);
    let report = verify_bundle(text.as_bytes(), foreign_key().public());
    assert_eq!(report.codes()[0], "foreign_key");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_altered_byte_is_found(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let (dir, segment, records) = three_groups();
        let mut bytes = std::fs::read(&segment).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mut rest = at.saturating_sub(28);
        let hit = records.iter().take(10).find(|record| {
            let inside = rest < record.bytes.len();
            rest = rest.wrapping_sub(if inside { 0 } else { record.bytes.len() });
            inside
        });
        // Opening leaves the signatures of superseded checkpoints to verification.
        let superseded = at >= 28 && hit.is_some_and(|record| record.tag == b'C');
        std::fs::write(&segment, &bytes).unwrap();
        let report = verify_log(dir.path(), key().public(), None);
        prop_assert!(!report.is_ok(), "byte {} of {}: {}", at, bytes.len(), report);
        let opens = View::open(dir.path(), key().public()).is_ok();
        prop_assert!(!opens || superseded, "byte {} of {}", at, bytes.len());
    }

    #[test]
    fn any_altered_byte_of_a_tile_directory_is_found(pick in any::<u64>(), flip in 1u8..=255) {
        let (dir, _, _) = three_groups();
        let out = Dir::new();
        project(View::open(dir.path(), key().public()).as_ref().unwrap(), out.path()).unwrap();
        let names = ["checkpoint", "tile/entries/000.p/8", "tile/0/000.p/8"];
        let path = out.path().join(names[pick as usize % 3]);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = (pick / 3) as usize % bytes.len();
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        let report = verify_log(out.path(), key().public(), None);
        prop_assert!(!report.is_ok(), "byte {} of {:?}: {}", at, path, report);
    }

    #[test]
    fn any_altered_character_of_a_bundle_is_found(at in any::<prop::sample::Index>(), flip in 1u8..128) {
        let (dir, _, _) = three_groups();
        let bundle = View::open(dir.path(), key().public()).unwrap().bundle(4).unwrap();
        let mut bytes = bundle.to_json().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(!verify_bundle(&bytes, key().public()).is_ok(), "byte {}", at);
    }
}
