//! An operator's own detection rules: read at the start, followed while Doorward runs, checked by hand.

use std::path::Path;

use serde_json::Value;

use crate::support::{User, eventually, lines, path, upstream_calling};

/// A rule about the word `frobnicate` in commands.
fn rule(severity: u8, example: &str) -> String {
    format!(
        "rules:
  - id: own.frobnicate
    category: own
    severity: {severity}
    description: a thing we do not do here
    advice: ask before you frobnicate
    attack: [T1059]
    when: {{ text: {{ in: [command], literals: [frobnicate] }} }}
    examples: [{{ command: {example} }}]
    near_misses: [{{ command: ls }}]
"
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let new = folder.join(".new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

fn status(user: &User) -> Value {
    let done = user.run(&["status", "--json"]);
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

/// What became of a call of `frobnicate all`.
fn is_blocked(daemon: &crate::support::Daemon) -> bool {
    let reply = daemon.ask();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body.contains("own.frobnicate")
}

#[test]
fn rules_of_the_home_are_in_force_and_followed() {
    let user = User::new();
    let folder = user.home().join("rules");
    write(&folder, "mine.yaml", &rule(90, "frobnicate"));
    let daemon = user.start(upstream_calling(&["frobnicate all"]), &[]);
    assert!(is_blocked(&daemon));
    let own = status(&user)["rules"]["rules"].as_u64().unwrap();

    // A faulty file is refused, loudly, and what was in force stays.
    write(&folder, "mine.yaml", &rule(90, "defrag"));
    eventually("the refusal", || !status(&user)["rules"]["refused"].is_null());
    let refused = status(&user)["rules"]["refused"].clone();
    assert!(refused["faults"][0].as_str().unwrap().contains("does not match this example"), "{refused}");
    assert_eq!(user.run(&["status"]).code, 1);
    assert!(is_blocked(&daemon));

    // Corrected it is in force, whatever else the folder holds.
    write(&folder, "notes.txt", "no rules: [");
    write(&folder, "mine.yaml", &rule(30, "frobnicate"));
    eventually("the milder rule", || !is_blocked(&daemon));
    assert!(status(&user)["rules"]["refused"].is_null());
    // A new file is found.
    write(&folder, "other.yaml", &rule(90, "frobnicate").replace("own.frobnicate", "own.frobnicate2"));
    eventually("the new file", || is_blocked(&daemon));
    assert_eq!(status(&user)["rules"]["rules"].as_u64(), Some(own + 1));
    std::fs::remove_file(folder.join("other.yaml")).unwrap();
    std::fs::remove_file(folder.join("mine.yaml")).unwrap();
    eventually("their removal", || !is_blocked(&daemon));
    assert_eq!(status(&user)["rules"]["rules"].as_u64(), Some(own - 1));

    assert_eq!(daemon.interrupt(), 0);
    let receipts = lines(&user.ok(&["receipts", "export", "--json"]));
    let events = receipts.iter().filter_map(|receipt| receipt["control"]["event"].as_str());
    let refusals = events.clone().filter(|event| *event == "rules_refused").count();
    assert_eq!(refusals, 1);
    assert!(events.filter(|event| *event == "rules_changed").count() >= 3);
}

#[test]
fn doorward_does_not_start_with_a_faulty_rule() {
    let user = User::new();
    write(&user.home().join("rules"), "mine.yaml", &rule(90, "defrag"));
    let done = user.run(&["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("`own.frobnicate` does not match this example"), "{done:?}");
    assert!(done.stderr.contains("mine.yaml:9:16"), "{done:?}");
}

#[test]
fn rules_are_checked_and_listed() {
    let user = User::new();
    std::fs::create_dir_all(user.work()).unwrap();
    let (good, bad) = (user.work().join("good.yaml"), user.work().join("bad.yaml"));
    std::fs::write(&good, rule(90, "frobnicate")).unwrap();
    std::fs::write(&bad, rule(90, "defrag").replace("severity", "severty")).unwrap();
    assert!(user.ok(&["rules", "check", path(&good)]).starts_with("ok: 1 rule in 1 file"));
    let done = user.run(&["rules", "check", path(&bad), "--json"]);
    assert_eq!(done.code, 1);
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&found["ok"], &found["rules"]), (&Value::Bool(false), &Value::from(0)));
    assert!(found["found"].as_array().unwrap().iter().any(|fault| fault["line"] == 4), "{found}");
    assert_eq!(user.run(&["rules", "check", path(&user.work().join("none.yaml"))]).code, 2);

    // Of the home: nothing, and then what is there, in `policy explain` as well.
    assert!(user.ok(&["rules", "check"]).starts_with("ok: 0 rules in 0 files"));
    let shipped = user.ok(&["rules", "list"]).lines().count();
    assert!(shipped > 60, "{shipped}");
    write(&user.home().join("rules"), "mine.yaml", &rule(90, "frobnicate"));
    let listed = lines(&user.ok(&["rules", "list", "--json"]));
    assert_eq!(listed.len(), shipped + 1);
    let own = listed.iter().find(|rule| rule["id"] == "own.frobnicate").unwrap();
    assert!(own["file"].as_str().unwrap().ends_with("mine.yaml"), "{own}");
    let judged = user.feed(&["inspect"], "{\"id\":\"1\",\"kind\":\"command\",\"text\":\"frobnicate all\"}\n");
    assert!(judged.stdout.contains("own.frobnicate"), "{judged:?}");
}
