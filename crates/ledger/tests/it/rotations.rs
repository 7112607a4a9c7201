//! A log that goes on under another key: whoever knows its first key can follow it, and nobody else's word counts.

use crate::support::*;
use crate::vectors::{OURS, settle};
use doorward_ledger::encoding::base64;
use doorward_ledger::merkle::Compact;
use doorward_ledger::{
    Durability, Kind, Leaf, Log, LogError, LogOptions, Receipt, SigningKey, VerifyingKey, View, project,
    rotation, verify_bundle, verify_log,
};
use serde_json::{Value, json};

fn numbered(n: u8) -> SigningKey {
    SigningKey::from_seed(NODE, &[n; 32]).unwrap()
}

/// Three receipts, a rotation, two receipts, a rotation, one receipt.
fn rotated(dir: &Dir) -> Vec<String> {
    let options = LogOptions { segment_bytes: 1500, ..LogOptions::default() };
    let mut log = Log::open_with(dir.path(), key(), options).unwrap();
    let mut notes = vec![log.append(&[small(0), opened(1), small(2)]).unwrap()];
    notes.push(log.rotate(numbered(21), &id(3), TIME).unwrap());
    notes.push(log.append(&[outcome(4, 1), small(5)]).unwrap());
    notes.push(log.rotate(numbered(22), &id(6), TIME).unwrap());
    notes.push(log.append(&[small(7)]).unwrap());
    notes.iter().map(|note| note.text().to_owned()).collect()
}

#[test]
fn a_log_goes_on_under_another_key_and_is_followed_from_the_first() {
    let dir = Dir::new();
    let notes = rotated(&dir);
    for (at, note) in notes.iter().enumerate() {
        let report = verify_log(dir.path(), key().public(), Some(note));
        assert!(report.is_ok(), "{at}: {report}");
        assert_eq!(report.entries, 8);
    }
    assert_eq!(notes[1].matches("\u{2014} ").count(), 2, "both keys sign where the key changes");
    // Whoever has a later key cannot vouch for what was before it.
    assert!(!verify_log(dir.path(), numbered(22).public(), None).is_ok());
    // The process goes on with the newest key, and with no other.
    assert!(matches!(Log::open(dir.path(), key(), Durability::Os), Err(LogError::WrongKey { .. })));
    let mut log = Log::open(dir.path(), numbered(22), Durability::Os).unwrap();
    log.append(&[small(8)]).unwrap();
    let again = log.rotate(numbered(22), &id(9), TIME);
    assert!(matches!(again, Err(LogError::Refusing(_))), "the same key");
    let other = log.rotate(foreign_key(), &id(9), TIME);
    assert!(matches!(other, Err(LogError::Refusing(_))), "another name");
    log.append(&[small(9)]).unwrap();
    drop(log);
    assert!(verify_log(dir.path(), key().public(), None).is_ok());
    // Exported, and brought up to date over the change.
    let out = Dir::new();
    let view = View::open(dir.path(), numbered(22).public()).unwrap();
    project(&view, out.path()).unwrap();
    for note in &notes {
        let report = verify_log(out.path(), key().public(), Some(note));
        assert!(report.is_ok(), "{report}");
    }
    assert_eq!(verify_log(out.path(), foreign_key().public(), None).codes()[0], "bad_rotation");
}

#[test]
fn tiles_are_brought_up_to_date_over_a_rotation() {
    let (dir, out) = (Dir::new(), Dir::new());
    let mut log = Log::open(dir.path(), key(), Durability::Os).unwrap();
    log.append(&[small(0)]).unwrap();
    project(log.view(), out.path()).unwrap();
    log.rotate(numbered(21), &id(1), TIME).unwrap();
    log.append(&[small(2)]).unwrap();
    project(log.view(), out.path()).unwrap();
    assert!(verify_log(out.path(), key().public(), None).is_ok());
}

/// A segment made by hand: groups of entries, each with the keys that sign its checkpoint.
fn segment(groups: &[(Vec<Vec<u8>>, Vec<&SigningKey>)]) -> Vec<u8> {
    let mut out = [b"doorward-segment v1\n".as_slice(), &0u64.to_be_bytes()].concat();
    let mut tree = Compact::new();
    for (entries, keys) in groups {
        for entry in entries {
            let hash = doorward_ledger::merkle::leaf_hash(entry);
            out.push(b'E');
            out.extend_from_slice(&u16::try_from(entry.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&tree.size().to_be_bytes());
            out.extend_from_slice(&hash[..8]);
            out.extend_from_slice(entry);
            tree.push(hash);
        }
        let body = format!("{NODE}\n{}\n{}\n", tree.size(), base64(&tree.root()));
        let mut note = format!("{body}\n");
        for key in keys {
            let line = [key.public().id().as_slice(), &key.sign(body.as_bytes())].concat();
            note.push_str(&format!("\u{2014} {NODE} {}\n", base64(&line)));
        }
        out.push(b'C');
        out.extend_from_slice(&u16::try_from(note.len()).unwrap().to_be_bytes());
        out.extend_from_slice(note.as_bytes());
    }
    out
}

fn plain(leaf: Leaf) -> Vec<u8> {
    leaf.bytes().to_vec()
}

/// The receipt of a rotation at index 1, behind `small(0)`, changed as text.
fn said(old: &SigningKey, new: &SigningKey, index: u64, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut tree = Compact::new();
    tree.push(*small(0).hash());
    let member = rotation::signed(old, new, index, &tree.root());
    let leaf =
        doorward_ledger::Draft::new(Kind::KeyRotation, &id(1), TIME, NODE).member(rotation::MEMBER, member);
    change(std::str::from_utf8(leaf.seal().unwrap().bytes()).unwrap()).into_bytes()
}

fn log_case(name: &str, segment: Vec<u8>) -> Value {
    let dir = Dir::new();
    std::fs::create_dir_all(dir.path().join("segments")).unwrap();
    let file = format!("{:020}.seg", 0);
    std::fs::write(dir.path().join("segments").join(&file), &segment).unwrap();
    let vkey = key().public().vkey();
    let report = verify_log(dir.path(), &VerifyingKey::parse(&vkey).unwrap(), None);
    json!({
        "name": name, "vkey": vkey, "since": null, "segments": {file: base64(&segment)},
        "codes": report.codes(), "open": report.open, "entries": report.entries,
    })
}

#[test]
fn a_rotation_that_not_both_keys_say_is_refused_by_both_verifiers() {
    let (a, b) = (&key(), &numbered(21));
    let same = str::to_owned;
    let whole = |rotation: Vec<u8>, signers: Vec<&'static SigningKey>, after: &'static SigningKey| {
        segment(&[
            (vec![plain(small(0))], vec![static_key(7)]),
            (vec![rotation], signers),
            (vec![plain(small(2))], vec![after]),
        ])
    };
    let (old, new, third) = (static_key(7), static_key(21), static_key(22));
    // By neither of the two, as the other would have signed it: a signature of somebody else in its place.
    let of_other = |member: &'static str, text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        let wrong = base64(&third.sign(b"something else"));
        text.replace(value["rotation"][member].as_str().unwrap(), &wrong)
    };
    let good = said(a, b, 1, same);
    let cases = vec![
        ("whole", whole(good.clone(), vec![new, old], new), vec![]),
        ("in another order", whole(good.clone(), vec![old, new], new), vec![]),
        (
            "the old key alone",
            whole(said(a, b, 1, |t| of_other("by_new", t)), vec![new, old], new),
            vec!["bad_rotation", "foreign_key"],
        ),
        (
            "the new key alone",
            whole(said(a, b, 1, |t| of_other("by_old", t)), vec![new, old], new),
            vec!["bad_rotation", "foreign_key"],
        ),
        (
            "by a key that never signed here",
            whole(said(third, b, 1, same), vec![new], new),
            vec!["bad_rotation", "foreign_key", "foreign_key"],
        ),
        (
            "signed for another place",
            whole(said(a, b, 2, same), vec![new, old], new),
            vec!["bad_rotation", "foreign_key"],
        ),
        (
            "its checkpoint is the old key's only",
            whole(good.clone(), vec![old], new),
            vec!["foreign_key", "foreign_key"],
        ),
        (
            "its checkpoint is the new key's only",
            whole(good.clone(), vec![new], new),
            vec!["foreign_key", "foreign_key"],
        ),
        ("the old key signs on", whole(good.clone(), vec![new, old], old), vec!["foreign_key"]),
        (
            "twice under one checkpoint",
            segment(&[
                (vec![plain(small(0))], vec![old]),
                (vec![good.clone(), good.clone()], vec![new, old]),
            ]),
            vec!["bad_rotation", "duplicate_id"],
        ),
    ];
    let mut logs = Vec::new();
    for (name, bytes, codes) in cases {
        let case = log_case(name, bytes);
        assert_eq!(case["codes"], json!(codes), "{name}");
        logs.push(case);
    }
    settle("rotations.json", &json!({"source": OURS, "logs": logs, "bundles": bundles()}));
}

fn bundles() -> Vec<Value> {
    let dir = Dir::new();
    rotated(&dir);
    let view = View::open(dir.path(), numbered(22).public()).unwrap();
    let with = view.bundle_with(5, &[3, 6]).unwrap().to_json();
    let without = view.bundle(5).unwrap().to_json();
    assert!(view.bundle_with(5, &[4]).is_err(), "there is none");
    let first = key().public().vkey();
    let backward = view.bundle_with(5, &[6, 3]).unwrap().to_json();
    let half = view.bundle_with(5, &[3]).unwrap().to_json();
    let forged = {
        let receipt = Receipt::parse(&view.entry(3).unwrap()).unwrap();
        let text = String::from_utf8(receipt.to_canonical()).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let by_old = value["rotation"]["by_old"].as_str().unwrap().to_owned();
        with.replace(&by_old, &base64(&numbered(22).sign(b"x")))
    };
    [
        ("followed from the first key", with.clone(), &first, vec![]),
        ("from the second", with.clone(), &numbered(21).public().vkey(), vec![]),
        ("by the newest, without a way", without.clone(), &numbered(22).public().vkey(), vec![]),
        ("from the first, without a way", without, &first, vec!["foreign_key"]),
        ("only half the way", half, &first, vec!["foreign_key"]),
        ("a way that does not begin there", backward, &first, vec!["foreign_key"]),
        ("a forged step", forged, &first, vec!["bad_rotation"]),
        ("another log", with, &foreign_key().public().vkey(), vec!["foreign_key"]),
    ]
    .into_iter()
    .map(|(name, bundle, vkey, codes)| {
        let report = verify_bundle(bundle.as_bytes(), &VerifyingKey::parse(vkey).unwrap());
        assert_eq!(report.codes(), codes, "{name}");
        json!({"name": name, "vkey": vkey, "bundle": bundle, "codes": codes})
    })
    .collect()
}

/// A key that lives as long as the test.
fn static_key(n: u8) -> &'static SigningKey {
    Box::leak(Box::new(numbered(n)))
}

#[test]
fn a_rotation_that_was_cut_off_never_was() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&[small(0)]).unwrap();
    let before = std::fs::metadata(&dir.segments()[0]).unwrap().len();
    log.rotate(numbered(21), &id(1), TIME).unwrap();
    drop(log);
    let whole = std::fs::read(&dir.segments()[0]).unwrap();
    for length in (before..whole.len() as u64).rev() {
        std::fs::write(&dir.segments()[0], &whole[..length as usize]).unwrap();
        assert!(verify_log(dir.path(), key().public(), None).is_ok(), "{length}");
        let log = Log::open(dir.path(), key(), Durability::Os).unwrap_or_else(|e| panic!("{length}: {e}"));
        assert_eq!(log.size(), 1, "{length}");
    }
}
