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

    let proposals = std::fs::read_to_string(&file).unwrap();
    assert!(proposals.contains("rule: \"own.weak\"") && proposals.contains("- tool_result: "), "{proposals}");
    assert_eq!(user.run(&arguments).code, 1, "a file that is there is not written over");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), proposals);

    let told = user.run(&["fuzz", "--rule", "own.weak"]);
    assert!(told.stdout.contains(&format!("{missed} of {tried} are missed, of 1 rule")), "{told:?}");
    assert_eq!(user.run(&["fuzz", "--rule", "own.none"]).code, 2);
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
