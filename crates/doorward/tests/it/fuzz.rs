//! Ways around rules, looked for by the command.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{User, path};

/// A rule that only the exact words match.
const WEAK: &str = "rules:
  - id: own.weak
    category: own
    severity: 80
    description: d
    advice: a
    attack: [T1059]
    when: { text: { in: [tool_result], literals: [frobnicate everything] } }
    examples: [{ tool_result: please frobnicate everything at once }]
    near_misses: [{ command: ls }]
";

fn with_rule() -> User {
    let user = User::new();
    let folder = user.home().join("rules");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("weak.yaml"), WEAK).unwrap();
    user
}

#[test]
fn what_is_missed_is_counted_told_and_proposed() {
    let user = with_rule();
    std::fs::create_dir_all(user.work()).unwrap();
    let file = user.work().join("proposals.yaml");
    let arguments = ["fuzz", "--rule", "own.*", "--json", "--apply", path(&file)];
    let done = user.run(&arguments);
    assert_eq!(done.code, 1, "{done:?}");
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    let (tried, missed) = (found["tried"].as_u64().unwrap(), found["missed"].as_u64().unwrap());
    assert!(tried >= 30 && missed >= 6 && missed < tried, "{found}");
    assert_eq!(found["rules"].as_array().unwrap().len(), 1);
    let first = &found["rules"][0]["evasions"][0];
    // What is told as missed is missed.
    let line = serde_json::json!({"id": 1, "kind": first["kind"], "text": first["text"]}).to_string();
    let judged = user.feed(&["inspect"], &(line + "\n"));
    assert!(!judged.stdout.contains("own.weak"), "{judged:?}");

    assert_eq!(user.run(&arguments).code, 1, "a file that is there is not written over");
    let told = user.run(&["fuzz", "--rule", "own.weak"]);
    assert!(told.stdout.contains(&format!("{missed} of {tried} are missed, of 1 rule")), "{told:?}");
    assert_eq!(user.run(&["fuzz", "--rule", "own.none"]).code, 2);
}

/// The change of the one rule, and what its file holds.
fn change_in(found: &Value) -> &Value {
    let proposals = &found["proposals"];
    assert_eq!(
        proposals["caught"].as_u64().unwrap() + proposals["left"].as_u64().unwrap(),
        proposals["of"].as_u64().unwrap()
    );
    &proposals["changes"][0]
}

#[test]
fn changed_rules_are_proposed_that_see_what_was_missed_once_a_person_puts_them_in_force() {
    let user = with_rule();
    std::fs::create_dir_all(user.work()).unwrap();
    let file = user.work().join("proposals.yaml");
    let done = user.run(&["fuzz", "--rule", "own.weak", "--times", "8", "--json", "--apply", path(&file)]);
    assert_eq!(done.code, 1, "{done:?}");
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    let change = change_in(&found);
    assert_eq!(
        (&change["rule"], &change["id"]),
        (&"own.weak".into(), &"own.weak-widened".into()),
        "{change}"
    );
    let caught = change["caught"].as_u64().unwrap();
    assert!(caught >= 5 && change["ordinary"].as_u64().unwrap() > 1000, "{change}");
    assert!(caught <= found["missed"].as_u64().unwrap());

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("Sees {caught} of ")), "{text}");
    // It loads as it is, and nothing has read it yet.
    assert_eq!(user.run(&["rules", "check", path(&file)]).code, 0);
    let evasions = found["rules"][0]["evasions"].as_array().unwrap();
    let lines: String = evasions
        .iter()
        .map(|one| serde_json::json!({"id": 1, "kind": one["kind"], "text": one["text"]}).to_string() + "\n")
        .collect();
    let widened = |user: &User| {
        let judged = user.feed(&["inspect"], &lines);
        judged.stdout.lines().filter(|line| line.contains("own.weak-widened")).count()
    };
    assert_eq!(widened(&user), 0);
    std::fs::copy(&file, user.home().join("rules/proposals.yaml")).unwrap();
    let seen = widened(&user);
    assert!(seen > 0 && seen <= evasions.len(), "{seen} of {lines}");

    // Next to the files that are in force it would be one of them.
    let inside = user.home().join("rules/more.yaml");
    let refused = user.run(&["fuzz", "--rule", "own.weak", "--apply", path(&inside)]);
    assert!(refused.code == 2 && refused.stderr.contains("in force"), "{refused:?}");
    assert!(!inside.exists());
}

#[test]
fn a_watch_keeps_its_file_of_proposals_up_to_date() {
    let user = with_rule();
    std::fs::create_dir_all(user.work()).unwrap();
    let file = user.work().join("proposals.yaml");
    let arguments = ["fuzz", "--rule", "own.weak", "--watch", "--json", "--apply", path(&file)];
    let mut child = user.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut written = 0;
    for line in lines.map(Result::unwrap) {
        let said: Value = serde_json::from_str(&line).unwrap();
        if said.get("proposals").is_none() {
            continue;
        }
        // Whenever it is looked at it is whole.
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("rules:") && text.ends_with('\n'), "{text}");
        written += 1;
        if change_in(&said)["caught"].as_u64().is_some_and(|caught| caught > 0) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(written > 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("id: own.weak-widened"));
    assert_eq!(user.run(&["rules", "check", path(&file)]).code, 0);
}

#[test]
fn a_watch_says_each_way_once() {
    let user = with_rule();
    let mut command = user.command(&["fuzz", "--rule", "own.weak", "--watch", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Vec<String> = lines.take(3).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let ways: std::collections::BTreeSet<String> = first
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["operator"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ways.len(), 3, "{first:?}");
}
