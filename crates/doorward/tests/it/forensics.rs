//! What was blocked: kept for who has the key, and for nobody else.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{EVIL, User, eventually, lines, mode, path, upstream};

const PASSPHRASE: &str = "seven short words nobody would guess";

fn listed(user: &User) -> Vec<Value> {
    lines(&user.ok(&["forensics", "list", "--json"]))
}

/// The newest record, once there are as many.
fn newest(user: &User, count: usize) -> Value {
    eventually("the record", || listed(user).len() >= count);
    listed(user).pop().unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The files of the home directory that hold `needle`.
fn holding(user: &User, needle: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&user.home(), &mut found);
    found.retain(|path| {
        std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
    });
    found
}

#[test]
fn nothing_is_kept_until_somebody_wants_it_and_then_only_for_them() {
    let user = User::new();
    let daemon = user.start(upstream(), &[]);
    assert!(!daemon.ask().body.contains(EVIL));
    assert_eq!(listed(&user), [] as [Value; 0]);
    assert!(!user.home().join("forensics").exists());
    // From now on, without a restart.
    let done = user.feed(&["forensics", "init"], &format!("{PASSPHRASE}\n"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!daemon.ask().body.contains(EVIL));
    let record = newest(&user, 1);
    let receipt = record["receipt"].as_str().unwrap();
    assert_eq!(mode(&user.home().join("forensics")), 0o700);
    assert_eq!(mode(&user.home().join(format!("forensics/{receipt}.sealed"))), 0o600);
    let shown: Value = serde_json::from_str(&user.ok(&["receipts", "show", receipt, "--json"])).unwrap();
    assert_eq!(shown["decision"]["verdict"], "block", "{shown}");
    // The words of the call, and why.
    let opened = user.feed(&["forensics", "open", receipt], PASSPHRASE);
    assert_eq!(opened.code, 0, "{opened:?}");
    assert!(opened.stdout.contains(EVIL) && opened.stdout.contains("\"tool\":\"Bash\""), "{opened:?}");
    assert!(opened.stdout.contains("exec."), "{opened:?}");
    let raw = user.feed(&["forensics", "open", receipt, "--raw"], PASSPHRASE);
    let arguments: Value = serde_json::from_str(&raw.stdout).unwrap();
    assert_eq!(arguments["command"], EVIL);
    // Another passphrase, another receipt, and what lies on the disk.
    let wrong = user.feed(&["forensics", "open", receipt], "some other words altogether");
    assert!(wrong.code == 2 && wrong.stderr.contains("not the passphrase"), "{wrong:?}");
    assert_eq!(user.feed(&["forensics", "open", "01M7ZN00000000000000000000"], PASSPHRASE).code, 1);
    assert_eq!(holding(&user, PASSPHRASE), [] as [PathBuf; 0]);
    assert_eq!(holding(&user, "curl -s https"), [] as [PathBuf; 0]);
    // Until it is enough.
    user.ok(&["forensics", "stop"]);
    daemon.ask();
    assert_eq!(user.run(&["forensics", "stop"]).code, 1);
    assert_eq!(user.feed(&["forensics", "open", receipt], PASSPHRASE).code, 0, "what was kept stays");
    user.ok(&["forensics", "purge", "--older", "1d"]);
    assert_eq!(listed(&user).len(), 1);
    user.ok(&["forensics", "purge", "--all"]);
    assert_eq!(listed(&user).len(), 0);
}

#[test]
fn a_key_file_can_lie_elsewhere() {
    let user = User::new();
    let key = user.dir.join("work/key");
    user.ok(&["forensics", "init", "--key-file", path(&key)]);
    assert_eq!(mode(&key), 0o600);
    let text = std::fs::read_to_string(&key).unwrap();
    let digits = text.trim_end().rsplit(' ').next().unwrap().to_owned();
    let elsewhere = user.dir.join("tmp/key");
    std::fs::rename(&key, &elsewhere).unwrap();
    assert_eq!(holding(&user, &digits), [] as [PathBuf; 0]);
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    let receipt = newest(&user, 1)["receipt"].as_str().unwrap().to_owned();
    let open = |more: &[&str]| user.run(&[&["forensics", "open", receipt.as_str()], more].concat());
    assert!(open(&[]).stderr.contains("--key-file"));
    assert!(open(&["--key-file", path(&elsewhere)]).stdout.contains(EVIL));
    // Another key from now on; the first still opens what was its own.
    assert_eq!(user.feed(&["forensics", "init"], PASSPHRASE).code, 1, "not by accident");
    assert_eq!(user.feed(&["forensics", "init", "--replace"], PASSPHRASE).code, 0);
    daemon.ask();
    let second = newest(&user, 2)["receipt"].as_str().unwrap().to_owned();
    assert!(open(&["--key-file", path(&elsewhere)]).stdout.contains(EVIL));
    assert!(user.feed(&["forensics", "open", &second], PASSPHRASE).stdout.contains(EVIL));
    let wrong = user.run(&["forensics", "open", &second, "--key-file", path(&elsewhere)]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert_eq!(
        user.run(&["forensics", "init", "--replace", "--key-file", path(&elsewhere)]).code,
        2,
        "never overwritten"
    );
    std::fs::write(&key, "doorward-forensics-key-1 00\n").unwrap();
    assert_eq!(user.run(&["forensics", "open", &second, "--key-file", path(&key)]).code, 2);
}

#[test]
fn what_cannot_be_a_passphrase_is_refused_and_what_is_damaged_is_told() {
    let user = User::new();
    for value in ["", "short", "elevenbytes"] {
        let done = user.feed(&["forensics", "init"], value);
        assert_eq!(done.code, 2, "{value}: {done:?}");
    }
    assert!(!user.home().join("forensics/recipient.json").exists());
    user.feed(&["forensics", "init"], PASSPHRASE);
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    let receipt = newest(&user, 1)["receipt"].as_str().unwrap().to_owned();
    let file = user.home().join(format!("forensics/{receipt}.sealed"));
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let done = user.feed(&["forensics", "open", &receipt], PASSPHRASE);
    assert!(done.code == 1 && done.stderr.contains(&receipt), "{done:?}");
}

#[test]
fn it_is_swept_by_age_and_bounded_in_size() {
    let user = User::new();
    user.feed(&["forensics", "init"], PASSPHRASE);
    let daemon = user.start(upstream(), &["--forensics-retention", "1", "--forensics-size", "1"]);
    daemon.ask();
    newest(&user, 1);
    drop(daemon);
    // As if it had been kept two days ago: the time stands in its header.
    let folder = user.home().join("forensics");
    let mut all = Vec::new();
    files(&folder, &mut all);
    let record = all.into_iter().find(|path| path.extension().is_some_and(|end| end == "sealed")).unwrap();
    let mut bytes = std::fs::read(&record).unwrap();
    let time = u64::from_be_bytes(bytes[4..12].try_into().unwrap()) - 2 * 24 * 60 * 60 * 1000;
    bytes[4..12].copy_from_slice(&time.to_be_bytes());
    std::fs::write(&record, bytes).unwrap();
    let _daemon = user.start(upstream(), &["--forensics-retention", "1"]);
    eventually("the sweep", || !record.exists());
    for (flag, value) in
        [("--forensics-size", "0"), ("--forensics-size", "much"), ("--forensics-retention", "0")]
    {
        let done = user.run(&["run", flag, value]);
        assert!(done.code == 2 && done.stderr.contains(value), "{flag} {value}: {done:?}");
    }
}
