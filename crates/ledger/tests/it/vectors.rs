//! The shared vectors in `spec/vectors/ledger`: published ones, and our own, which `spec/verify.py` runs too.
//!
//! Our own are made here from fixed keys and salts. A test compares them with the files, so a change of format
//! cannot happen unseen; `DOORWARD_WRITE_VECTORS=1` writes them anew.

use crate::support::*;
use doorward_ledger::canonical::{parse_canonical, parse_relaxed};
use doorward_ledger::encoding::{base64, hex, unbase64, unhex};
use doorward_ledger::merkle::*;
use doorward_ledger::receipt::ControlRecord;
use doorward_ledger::{
    Draft, Kind, Leaf, Log, LogOptions, Opened, Receipt, SignedCheckpoint, SigningKey, VerifyingKey, note,
    verify_bundle, verify_log,
};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/ledger")
}

fn read(name: &str) -> Value {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    let items = value[key].as_array().unwrap_or_else(|| panic!("no list {key}"));
    assert!(!items.is_empty(), "{key} is empty");
    items
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    unhex(text(value, key)).unwrap()
}

fn hash(value: &Value) -> Hash {
    unhex(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

#[test]
fn rfc_8032_signatures() {
    for case in list(&read("rfc8032.json"), "cases") {
        let seed: [u8; 32] = bytes(case, "secret").try_into().unwrap();
        let key = SigningKey::from_seed("rfc8032", &seed).unwrap();
        let public = key.public();
        let vkey = public.vkey();
        assert_eq!(unbase64(vkey.splitn(3, '+').nth(2).unwrap()).unwrap()[1..], bytes(case, "public"));
        let (message, signature) = (bytes(case, "message"), bytes(case, "signature"));
        let signature: [u8; 64] = signature.try_into().unwrap();
        assert_eq!(key.sign(&message), signature, "{case}");
        assert!(public.verifies(&message, &signature));
        for at in 0..64 {
            let mut wrong = signature;
            wrong[at] ^= 1;
            assert!(!public.verifies(&message, &wrong));
        }
    }
}

#[test]
fn rfc_8785_canonical_form() {
    let vectors = read("rfc8785.json");
    for case in list(&vectors, "cases") {
        let value = parse_relaxed(text(case, "input").as_bytes()).unwrap();
        assert_eq!(String::from_utf8(value.to_canonical()).unwrap(), text(case, "canonical"));
        assert_eq!(parse_canonical(text(case, "canonical").as_bytes()), Ok(value));
    }
    for number in list(&vectors, "numbers") {
        let read = parse_canonical(text(number, "text").as_bytes());
        match text(number, "is") {
            "integer" => {
                let bits = u64::from_str_radix(text(number, "ieee754"), 16).unwrap();
                let read = read.unwrap();
                assert_eq!(read.as_int().unwrap() as f64, f64::from_bits(bits));
                assert_eq!(read.to_canonical(), text(number, "text").as_bytes());
            }
            "beyond" | "fraction" => assert!(read.is_err(), "{number}"),
            _ => assert!(parse_canonical(b"-0").is_err()),
        }
    }
}

/// A small whole tree.
struct Tree(Vec<Hash>);

impl Tree {
    fn root(&self, size: usize) -> Hash {
        let mut tree = Compact::new();
        self.0[..size].iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    }
}

impl Nodes for Tree {
    type Error = Infallible;
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let start = (index << level) as usize;
        Ok(Tree(self.0[start..start + (1 << level)].to_vec()).root(1 << level))
    }
}

#[test]
fn rfc_6962_trees_and_proofs() {
    let vectors = read("rfc6962.json");
    let leaves =
        list(&vectors, "leaves").iter().map(|leaf| leaf_hash(&unhex(leaf.as_str().unwrap()).unwrap()));
    let mut tree = Tree(leaves.collect());
    assert_eq!(empty_root(), hash(&vectors["empty_root"]));
    let roots: Vec<Hash> = list(&vectors, "roots").iter().map(hash).collect();
    for (size, root) in (1..).zip(&roots) {
        assert_eq!(tree.root(size), *root);
    }
    for case in list(&vectors, "inclusion") {
        let (index, size) = (case["index"].as_u64().unwrap(), case["size"].as_u64().unwrap());
        let proof: Vec<Hash> = case["proof"].as_array().unwrap().iter().map(hash).collect();
        assert_eq!(prove_inclusion(&mut tree, index, size).unwrap().unwrap(), proof);
        assert!(verify_inclusion(&tree.0[index as usize], index, size, &proof, &roots[size as usize - 1]));
    }
    for case in list(&vectors, "consistency") {
        let (old, new) = (case["old"].as_u64().unwrap(), case["new"].as_u64().unwrap());
        let proof: Vec<Hash> = case["proof"].as_array().unwrap().iter().map(hash).collect();
        assert_eq!(prove_consistency(&mut tree, old, new).unwrap().unwrap(), proof);
        assert!(verify_consistency(old, &roots[old as usize - 1], new, &roots[new as usize - 1], &proof));
    }
}

#[test]
fn the_published_signed_note() {
    let vector = read("note.json");
    let key = VerifyingKey::parse(text(&vector, "vkey")).unwrap();
    let body = note::open(text(&vector, "note"), &key).unwrap();
    assert!(body.ends_with("what your problem is.\n"));
    assert!(note::open(&text(&vector, "note").replace("answer", "question"), &key).is_err());
}

/// Compares what the code makes with what is in the file, or writes the file.
pub fn settle(name: &str, made: &Value) {
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    let path = folder().join(name);
    if std::env::var_os("DOORWARD_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{name} is not what the code makes; if that is meant, set DOORWARD_WRITE_VECTORS=1"
    );
}

pub const OURS: &str = "Doorward's own, made by crates/ledger/tests/it/vectors.rs";

fn control(n: u64) -> Leaf {
    let control = ControlRecord {
        event: "kill",
        by: Some("operator"),
        target: Some("all"),
        message: Some("testing “stop” \u{1F6D1}\u{7}"),
        epoch: &[("kill", 1)],
    };
    Draft::new(Kind::Control, &id(n), TIME + n, NODE).control(control).seal().unwrap()
}

#[test]
fn our_receipts_and_digests() {
    let leaves = [
        ("decision", decision(0)),
        ("opened", opened(1)),
        ("outcome", outcome(2, 1)),
        ("control", control(3)),
    ];
    let receipts: Vec<Value> = leaves
        .iter()
        .map(|(kind, leaf)| {
            let canonical = std::str::from_utf8(leaf.bytes()).unwrap();
            json!({"kind": kind, "canonical": canonical, "leaf_hash": hex(leaf.hash())})
        })
        .collect();
    let digest = |n: u64, domain: &str, content: &[u8]| {
        let digest = salt(n).digest(domain, content).to_string();
        json!({"salt": hex(&salt(n).expose()), "domain": domain, "content": base64(content), "digest": digest})
    };
    let digests = [
        digest(0, "arguments", b"{}"),
        digest(0, "target", b"http://evil.example/x"),
        digest(1, "text", b""),
        digest(1, "", b"text\0"),
    ];
    let good = String::from_utf8(decision(0).bytes().to_vec()).unwrap();
    let refused = [
        ("white space", good.replace("\":", "\": ")),
        ("no id", good.replace("\"id\"", "\"if\"")),
        ("a bad id", good.replace("R00000", "R 0000")),
        ("keys out of order", good.replacen("{\"action\"", "{\"z\":0,\"action\"", 1)),
        ("a key twice", good.replacen("{\"action\"", "{\"action\":0,\"action\"", 1)),
        ("a negative time", good.replace("\"time_ms\":", "\"time_ms\":-")),
        ("a fraction", good.replace("\"risk\":95", "\"risk\":95.5")),
        ("an escape too many", good.replace("model", "\\u006dodel")),
        ("an `of` that is no id", good.replacen(",\"session\"", ",\"of\":1,\"session\"", 1)),
        ("a list", format!("[{good}]")),
    ];
    for (why, receipt) in &refused {
        assert_ne!(*receipt, good, "{why}");
        assert!(Receipt::parse(receipt.as_bytes()).is_err(), "{why}");
    }
    for (_, leaf) in &leaves {
        assert_eq!(Receipt::parse(leaf.bytes()).unwrap().to_canonical(), leaf.bytes());
    }
    let refused: Vec<Value> =
        refused.iter().map(|(why, receipt)| json!({"why": why, "receipt": receipt})).collect();
    settle(
        "receipts.json",
        &json!({"source": OURS, "receipts": receipts, "digests": digests, "refused": refused}),
    );
}

#[test]
fn our_checkpoints() {
    let dir = Dir::new();
    let mut log = open(&dir);
    let first = log.append(&[decision(0)]).unwrap().text().to_owned();
    let second = log.append(&[opened(1), outcome(2, 1)]).unwrap().text().to_owned();
    let case = |name: &str, note: String, vkey: String| {
        let code = match SignedCheckpoint::verify(&note, &VerifyingKey::parse(&vkey).unwrap()) {
            Ok(_) => "ok",
            Err(error) => match error {
                doorward_ledger::NoteError::Malformed(_) => "bad_checkpoint",
                doorward_ledger::NoteError::BadSignature { .. } => "bad_signature",
                _ => "foreign_key",
            },
        };
        json!({"name": name, "note": note, "vkey": vkey, "code": code})
    };
    let ours = key().public().vkey();
    let cases = [
        case("one receipt", first, ours.clone()),
        case("three receipts", second.clone(), ours.clone()),
        case("a witness signed too", format!("{second}\u{2014} witness.example AAAAAAAA\n"), ours.clone()),
        case("another size", second.replace("\n3\n", "\n4\n"), ours.clone()),
        case("another key", second.clone(), foreign_key().public().vkey()),
        case("another key of that name", second.clone(), impostor_key().public().vkey()),
        case("a leading zero", second.replace("\n3\n", "\n03\n"), ours.clone()),
        case("no signature", second.split("\u{2014}").next().unwrap().to_owned(), ours.clone()),
        case("cut off", second.trim_end().to_owned(), ours.clone()),
        case("empty", String::new(), ours),
    ];
    let codes: Vec<&str> = cases.iter().map(|case| text(case, "code")).collect();
    let (bad, odd, foreign) = ("bad_checkpoint", "bad_signature", "foreign_key");
    assert_eq!(codes, ["ok", "ok", "ok", odd, foreign, foreign, odd, bad, bad, bad]);
    settle("checkpoints.json", &json!({"source": OURS, "cases": cases}));
}

#[test]
fn our_proofs() {
    let mut tree = Tree((0..13u64).map(|n| leaf_hash(format!("leaf {n}").as_bytes())).collect());
    let strings = |proof: &[Hash]| proof.iter().map(|hash| hex(hash)).collect::<Vec<_>>();
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    for size in [1, 2, 7, 8, 13] {
        let root = tree.root(size as usize);
        for index in 0..size {
            let proof = prove_inclusion(&mut tree, index, size).unwrap().unwrap();
            let leaf = hex(&tree.0[index as usize]);
            let case = |proof: &[Hash], ok: bool| json!({"leaf": leaf, "index": index, "size": size, "proof": strings(proof), "root": hex(&root), "ok": ok});
            inclusion.push(case(&proof, true));
            let longer = [proof.as_slice(), &[root]].concat();
            inclusion.push(case(&longer, false));
            if let Some((_, shorter)) = proof.split_first() {
                inclusion.push(case(shorter, false));
            }
        }
        for old in 1..=size {
            let proof = prove_consistency(&mut tree, old, size).unwrap().unwrap();
            let old_root = tree.root(old as usize);
            let case = |proof: &[Hash], ok: bool| {
                let (old_root, new_root) = (hex(&old_root), hex(&root));
                json!({"old": old, "old_root": old_root, "new": size, "new_root": new_root, "proof": strings(proof), "ok": ok})
            };
            consistency.push(case(&proof, true));
            let longer = [proof.as_slice(), &[root]].concat();
            consistency.push(case(&longer, false));
            if let Some((_, shorter)) = proof.split_last() {
                consistency.push(case(shorter, false));
            }
        }
    }
    for case in &inclusion {
        let proof: Vec<Hash> = case["proof"].as_array().unwrap().iter().map(hash).collect();
        let (index, size) = (case["index"].as_u64().unwrap(), case["size"].as_u64().unwrap());
        let ok = verify_inclusion(&hash(&case["leaf"]), index, size, &proof, &hash(&case["root"]));
        assert_eq!(ok, case["ok"].as_bool().unwrap(), "{case}");
    }
    for case in &consistency {
        let proof: Vec<Hash> = case["proof"].as_array().unwrap().iter().map(hash).collect();
        let (old, new) = (case["old"].as_u64().unwrap(), case["new"].as_u64().unwrap());
        let ok = verify_consistency(old, &hash(&case["old_root"]), new, &hash(&case["new_root"]), &proof);
        assert_eq!(ok, case["ok"].as_bool().unwrap(), "{case}");
    }
    settle("proofs.json", &json!({"source": OURS, "inclusion": inclusion, "consistency": consistency}));
}

#[test]
fn our_bundles() {
    let dir = Dir::new();
    let mut log = open(&dir);
    log.append(&(0..11).map(decision).collect::<Vec<_>>()).unwrap();
    let bundle = log.view().bundle(6).unwrap();
    let plain = bundle.to_json();
    let opened = vec![Opened { domain: "arguments".into(), content: b"{}".to_vec() }];
    let open = bundle.clone().with_opened(salt(6), opened).to_json();
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&open).unwrap()).unwrap();
    let ours = key().public().vkey();
    let case = |name: &str, bundle: String, vkey: &str, codes: &[&str]| {
        let report = verify_bundle(bundle.as_bytes(), &VerifyingKey::parse(vkey).unwrap());
        assert_eq!(report.codes(), codes, "{name}");
        json!({"name": name, "bundle": bundle, "vkey": vkey, "codes": codes})
    };
    let cases = [
        case("plain", plain.clone(), &ours, &[]),
        case("with opened content", open.clone(), &ours, &[]),
        case("reformatted", pretty, &ours, &[]),
        case("another verdict", plain.replace("\"risk\":95", "\"risk\":5"), &ours, &["not_included"]),
        case("another index", plain.replace("\"index\":6", "\"index\":7"), &ours, &["not_included"]),
        case("another size", plain.replace("\\n11\\n", "\\n12\\n"), &ours, &["bad_signature"]),
        case("another content", open.replace("e30=", "e3A="), &ours, &["digest_mismatch"]),
        case("content without salt", open.replace("\"salt\"", "\"sale\""), &ours, &["digest_mismatch"]),
        case("another key", plain.clone(), &foreign_key().public().vkey(), &["foreign_key"]),
        case("no proof", plain.replace("\"proof\"", "\"prof\""), &ours, &["bad_bundle"]),
        case("a key twice", plain.replacen("{", "{\"index\":6,", 1), &ours, &["bad_bundle"]),
        case("not JSON", "{".into(), &ours, &["bad_bundle"]),
    ];
    settle("bundles.json", &json!({"source": OURS, "cases": cases}));
}

/// Bytes of a log's segments after `change`, and what verification says to them.
fn log_case(name: &str, since: Option<&str>, vkey: &str, change: impl Fn(&mut Vec<Vec<u8>>)) -> Value {
    let dir = Dir::new();
    let options = LogOptions { segment_bytes: 1500, ..LogOptions::default() };
    let mut log = Log::open_with(dir.path(), key(), options).unwrap();
    log.append(&[small(0), opened(1), small(2)]).unwrap();
    log.append(&[outcome(3, 1), small(4), small(5), opened(6)]).unwrap();
    log.append(&[small(7)]).unwrap();
    log.append(&[small(8), small(9)]).unwrap();
    drop(log);
    let names: Vec<PathBuf> = dir.segments();
    assert_eq!(names.len(), 2);
    let mut segments: Vec<Vec<u8>> = names.iter().map(|path| std::fs::read(path).unwrap()).collect();
    change(&mut segments);
    let mut files = serde_json::Map::new();
    for (path, segment) in names.iter().zip(&segments) {
        std::fs::write(path, segment).unwrap();
        if segment.is_empty() {
            std::fs::remove_file(path).unwrap();
            continue;
        }
        files.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), base64(segment).into());
    }
    let report = verify_log(dir.path(), &VerifyingKey::parse(vkey).unwrap(), since);
    json!({
        "name": name, "vkey": vkey, "since": since, "segments": files,
        "codes": report.codes(), "open": report.open, "entries": report.entries,
    })
}

/// Where record `number` of a segment begins.
fn record(segment: &[u8], number: usize) -> usize {
    let mut at = 28;
    for _ in 0..number {
        let length = usize::from(u16::from_be_bytes([segment[at + 1], segment[at + 2]]));
        at += length + if segment[at] == b'E' { 19 } else { 3 };
    }
    at
}

fn cut(segment: &mut Vec<u8>, from: usize, to: usize) {
    let (from, to) = (record(segment, from), record(segment, to));
    segment.drain(from..to);
}

#[test]
fn our_logs_whole_and_tampered() {
    let ours = key().public().vkey();
    let whole = |_: &mut Vec<Vec<u8>>| {};
    // The checkpoints over 8 and over 10, as somebody remembered them.
    let remembered: Vec<String> = {
        let dir = Dir::new();
        let mut log = open(&dir);
        log.append(&[small(0), opened(1), small(2)]).unwrap();
        log.append(&[outcome(3, 1), small(4), small(5), opened(6)]).unwrap();
        let eight = log.append(&[small(7)]).unwrap();
        let ten = log.append(&[small(8), small(9)]).unwrap();
        [eight, ten].iter().map(|checkpoint| checkpoint.text().to_owned()).collect()
    };
    let other = {
        let dir = Dir::new();
        let mut log = open(&dir);
        log.append(&[small(1), small(2)]).unwrap().text().to_owned()
    };
    let (eight, ten) = (remembered[0].as_str(), remembered[1].as_str());
    let swap = |segment: &mut Vec<u8>| {
        let (a, b, c) = (record(segment, 5), record(segment, 6), record(segment, 7));
        segment[a..c].rotate_left(b - a);
    };
    let cases = vec![
        (log_case("whole", None, &ours, whole), vec![]),
        (log_case("whole, remembered", Some(eight), &ours, whole), vec![]),
        (
            log_case("a byte flipped", None, &ours, |s| {
                let at = record(&s[0], 5) + 60;
                s[0][at] ^= 1
            }),
            vec!["entry_altered"],
        ),
        (log_case("a receipt dropped", None, &ours, |s| cut(&mut s[0], 5, 6)), vec!["entry_missing"]),
        (log_case("a group dropped", None, &ours, |s| cut(&mut s[0], 4, 9)), vec!["entry_missing"]),
        (log_case("receipts exchanged", None, &ours, |s| swap(&mut s[0])), vec!["entry_reordered"]),
        (
            log_case("a stored index changed", None, &ours, |s| {
                let at = record(&s[0], 5) + 10;
                s[0][at] ^= 64
            }),
            vec!["bad_record"],
        ),
        (
            log_case("a signature changed", None, &ours, |s| {
                let at = record(&s[0], 4) - 20;
                s[0][at] = if s[0][at] == b'A' { b'B' } else { b'A' }
            }),
            vec!["bad_signature"],
        ),
        (
            log_case("a length changed", None, &ours, |s| {
                let at = record(&s[1], 1) + 1;
                s[1][at] ^= 128
            }),
            vec!["bad_record"],
        ),
        (log_case("another key", None, &foreign_key().public().vkey(), whole), vec!["foreign_key"; 4]),
        (log_case("a segment removed", None, &ours, |s| s[0].clear()), vec!["segment_missing"]),
        (
            log_case("cut off within the last group", None, &ours, |s| {
                let len = s[1].len();
                s[1].truncate(len - 7)
            }),
            vec![],
        ),
        (
            log_case("the same, remembered", Some(ten), &ours, |s| {
                let len = s[1].len();
                s[1].truncate(len - 7)
            }),
            vec!["truncated"],
        ),
        (
            log_case("the last group gone, remembered", Some(ten), &ours, |s| {
                let at = record(&s[1], 0);
                s[1].truncate(at);
                s[1].clear()
            }),
            vec!["rolled_back"],
        ),
        (log_case("another history, remembered", Some(&other), &ours, whole), vec!["rewritten"]),
    ];
    let mut values = Vec::new();
    for (case, codes) in cases {
        assert_eq!(case["codes"], json!(codes), "{}", case["name"]);
        values.push(case);
    }
    settle("logs.json", &json!({"source": OURS, "cases": values}));
}

#[test]
fn the_python_verifier_agrees_on_every_vector() {
    let script = folder().join("../../verify.py");
    let output = Command::new("python3").arg(script).arg("--vectors").arg(folder()).output();
    let output = output.expect("python3 is needed to run the second verifier");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(said.contains(&name), "{name} was not run:\n{said}");
    }
}

/// A random change to a log, of the kinds an attacker or a failing disk makes.
fn disturb(dice: &mut Dice, segments: &mut [Vec<u8>]) {
    let which = dice.below(segments.len() as u64) as usize;
    let segment = &mut segments[which];
    let mut count = 0;
    while record(segment, count) < segment.len() {
        count += 1;
    }
    let (a, b) = (dice.below(count as u64) as usize, dice.below(count as u64) as usize);
    let (from, to) = (a.min(b), a.max(b));
    let at = dice.below(segment.len() as u64) as usize;
    match dice.below(6) {
        0 => segment[at] ^= 1 << dice.below(8),
        1 => cut(segment, from, from + 1),
        2 => cut(segment, from, to + 1),
        3 => {
            let (start, middle, end) =
                (record(segment, from), record(segment, from + 1), record(segment, to + 1));
            segment[start..end].rotate_left(middle - start);
        }
        4 => {
            let copy = segment[record(segment, from)..record(segment, from + 1)].to_vec();
            let place = record(segment, to);
            segment.splice(place..place, copy);
        }
        _ => segment.truncate(at.max(1)),
    }
}

#[test]
fn both_verifiers_say_the_same_of_random_tampering() {
    let ours = key().public().vkey();
    let mut cases = Vec::new();
    let mut found = std::collections::BTreeSet::new();
    for seed in 1..=200 {
        let dice = std::cell::RefCell::new(Dice(seed * 0x9e37_79b9));
        let case = log_case(&format!("seed {seed}"), None, &ours, |segments| {
            disturb(&mut dice.borrow_mut(), segments)
        });
        found.extend(case["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()));
        cases.push(case);
    }
    assert!(found.len() >= 7, "{found:?}");
    let dir = Dir::new();
    std::fs::write(dir.path().join("logs.json"), json!({"cases": cases}).to_string()).unwrap();
    let script = folder().join("../../verify.py");
    let output = Command::new("python3").arg(script).arg("--vectors").arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
