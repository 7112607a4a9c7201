//! `doorward receipts`, on the home of a short run.

use std::path::PathBuf;

use crate::support::{EVIL, User, copy, lines, path, upstream};

/// A user after a run with one question, and the receipt that its answer named.
fn ran() -> (User, String) {
    let user = User::new();
    let receipt = ask_once(&user);
    (user, receipt)
}

fn ask_once(user: &User) -> String {
    let daemon = user.start(upstream(), &[]);
    let receipt = daemon.ask().header("doorward-receipt").unwrap().to_owned();
    assert_eq!(daemon.interrupt(), 0);
    receipt
}

fn log(user: &User) -> PathBuf {
    user.home().join("log")
}

#[test]
fn they_are_listed_shown_and_exported_line_by_line() {
    let (user, receipt) = ran();
    let all = lines(&user.ok(&["receipts", "export", "--json"]));
    let kinds: Vec<&str> = all.iter().map(|receipt| receipt["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["decision", "opened", "decision", "outcome"]);
    assert_eq!(all[1]["id"], receipt);
    assert_eq!(all[3]["of"], receipt);
    assert_eq!(all[2]["decision"]["verdict"], "block");
    assert!(all[2]["decision"]["reasons"][0]["rule"].is_string());
    assert!(!format!("{all:?}").contains(EVIL), "content is in no receipt");

    let listed = user.ok(&["receipts", "list"]);
    assert_eq!(listed.lines().count(), 4);
    assert!(listed.contains("block") && listed.contains("`Bash`") && listed.contains(&receipt), "{listed}");
    assert_eq!(lines(&user.ok(&["receipts", "list", "--json", "-n", "2"])).len(), 2);
    let shown: serde_json::Value =
        serde_json::from_str(&user.ok(&["receipts", "show", &receipt, "--json"])).unwrap();
    assert_eq!(shown, all[1]);
    assert!(user.ok(&["receipts", "show", &receipt]).contains("verdict: allow"));
    let missing = user.run(&["receipts", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("receipts list"), "{missing:?}");
}

#[test]
fn the_log_and_what_is_exported_of_it_verify_elsewhere() {
    let (user, receipt) = ran();
    let report: serde_json::Value =
        serde_json::from_str(&user.ok(&["receipts", "verify", "--json"])).unwrap();
    assert_eq!((&report["ok"], &report["entries"]), (&true.into(), &4.into()));
    assert!(user.ok(&["receipts", "verify"]).starts_with("verified: log with 4 receipts"));
    let key = user.ok(&["receipts", "key"]).trim().to_owned();
    let (bundle, folder) = (user.work().join("one.json"), user.work().join("all"));
    user.ok(&["receipts", "export", &receipt, "--out", path(&bundle)]);
    user.ok(&["receipts", "export", "--out", path(&folder)]);
    let stranger = User::new();
    for exported in [&bundle, &folder] {
        let verified = stranger.run(&["receipts", "verify", path(exported), "--key", &key]);
        assert_eq!(verified.code, 0, "{verified:?}");
        let foreign = stranger.run(&["receipts", "verify", path(exported)]);
        assert_eq!(foreign.code, 1, "a stranger's own key did not sign it: {foreign:?}");
    }
}

#[test]
fn one_altered_byte_is_found_and_named() {
    let (user, _) = ran();
    let segment = std::fs::read_dir(log(&user).join("segments"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|file| file.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let genuine = std::fs::read(&segment).unwrap();
    let verdict = b"\"verdict\":\"block\"";
    let at = genuine.windows(verdict.len()).position(|part| part == verdict).unwrap();
    let mut altered = genuine.clone();
    altered[at + verdict.len() - 2] = b'c';
    std::fs::write(&segment, &altered).unwrap();
    let done = user.run(&["receipts", "verify"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stdout.contains("NOT VERIFIED") && done.stdout.contains("entry_altered at receipt 2"),
        "{done:?}"
    );
    let told: serde_json::Value =
        serde_json::from_str(&user.run(&["receipts", "verify", "--json"]).stdout).unwrap();
    assert_eq!((&told["ok"], &told["problems"][0]["index"]), (&false.into(), &2.into()));
    std::fs::write(&segment, &genuine).unwrap();
    assert_eq!(user.run(&["receipts", "verify"]).code, 0);
}

#[test]
fn an_older_log_is_found_by_who_remembers_a_checkpoint() {
    let (user, _) = ran();
    let older = user.work().join("older");
    copy(&log(&user), &older);
    ask_once(&user);
    let exported = user.work().join("exported");
    user.ok(&["receipts", "export", "--out", path(&exported)]);
    let seen = exported.join("checkpoint");
    assert_eq!(user.run(&["receipts", "verify", "--since", path(&seen)]).code, 0);
    let older = path(&older);
    assert_eq!(user.run(&["receipts", "verify", older]).code, 0, "alone, it is a genuine log");
    let done = user.run(&["receipts", "verify", older, "--since", path(&seen)]);
    assert_eq!(done.code, 1, "{done:?}");
    // And Doorward itself does not go on with it: the newest checkpoint is remembered outside of the log.
    std::fs::remove_dir_all(log(&user)).unwrap();
    copy(std::path::Path::new(older), &log(&user));
    let done = user.run(&["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(done.code, 1, "{done:?}");
}

#[test]
fn reading_works_beside_a_running_process() {
    let user = User::new();
    let daemon = user.start(upstream(), &[]);
    let receipt = daemon.ask().header("doorward-receipt").unwrap().to_owned();
    assert!(user.ok(&["receipts", "list"]).contains(&receipt));
    assert_eq!(user.run(&["receipts", "verify"]).code, 0);
}
