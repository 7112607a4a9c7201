//! `doorward policy`.

use serde_json::{Value, json};

use crate::support::User;

const POLICY: &str = r#"version: 1
default: deny
rules:
  - name: the-api
    allow: { url: "https://api.example.com/v1/{charges,refunds}/**" }
  - name: no-refunds
    deny: { url: "api.example.com/v1/refunds/**" }
  - name: shell
    allow: { tool: Bash }
  - name: payroll
    deny: { path: "/srv/payroll/**" }
tests:
  - { name: charges are read, url: "https://api.example.com/v1/charges/1", expect: allow, rules: [] }
  - { name: refunds are not, url: "https://api.example.com/v1/refunds/1", expect: block, rules: [no-refunds] }
  - { name: nor anything else, url: "https://other.example.com/", expect: block, rules: [default] }
  - { name: payroll, call: { tool: Bash, arguments: { command: "cat /srv/payroll/2026.csv" } }, expect: block, rules: [payroll] }
  - { name: other files, command: "cat README.md", expect: block }
"#;

fn user(policy: &str) -> User {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("policy.yaml"), policy).unwrap();
    user
}

#[test]
fn a_sound_policy_is_said_to_be_so() {
    let user = user(POLICY);
    let said = user.ok(&["policy", "check"]);
    assert!(said.starts_with("ok: 4 rules, 5 tests; revision "), "{said}");
    let said: Value = serde_json::from_str(&user.ok(&["policy", "check", "--json", "--strict"])).unwrap();
    assert_eq!((&said["ok"], &said["rules"], &said["found"]), (&json!(true), &json!(4), &json!([])));
}

#[test]
fn all_faults_of_all_files_are_told_at_once() {
    let user = user(POLICY);
    let other = user.work().join("team.yaml");
    let text = "version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: { url: example.com }\n  - name: payroll\n    deny: { tols: Bash }\n";
    std::fs::write(&other, text).unwrap();
    let own = user.home().join("policy.yaml");
    let files = [own.to_str().unwrap(), other.to_str().unwrap()];
    let done = user.run(&["policy", "check", files[0], files[1]]);
    assert_eq!(done.code, 1, "{done:?}");
    for said in [
        "team.yaml:5:",
        "without a path",
        "team.yaml:7:",
        "unknown key `tols`",
        "a second rule of this name",
        "3 faults",
    ] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    let done = user.run(&["policy", "check", files[0], files[1], "--json"]);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    let lines: Vec<&Value> = said["found"].as_array().unwrap().iter().map(|found| &found["line"]).collect();
    assert_eq!((done.code, &said["ok"], json!(lines)), (1, &json!(false), json!([5, 6, 7])));
    let missing = user.run(&["policy", "check", "nowhere.yaml"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("cannot read nowhere.yaml"), "{missing:?}");
}

#[test]
fn a_finding_that_does_not_exist_is_a_fault() {
    let user = user("default: allow\nrules:\n  - { name: a, deny: { finding: cred.file-raed } }\n");
    let done = user.run(&["policy", "check"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("did you mean `cred.file-read`?"), "{}", done.stderr);
    assert!(done.stderr.contains("policy.yaml:3:"), "{}", done.stderr);
    assert_eq!(user.run(&["policy", "show"]).code, 2);
}

#[test]
fn limits_and_prices_are_shown() {
    let user = user(
        "default: allow\nprices:\n  - { model: 'gpt-*', input: 2.50, output: 10, cached_input: 1.25 }\nrules:\n  - { name: spend, limit: { money_per_day: 12.5, per: agent } }\n  - { name: rate, limit: { calls_per_minute: 60 } }\n",
    );
    let said = user.ok(&["policy", "show"]);
    assert!(said.contains("(12.5 money per day, per agent)"), "{said}");
    assert!(said.contains("(a million tokens: input 2.5, output 10, cached input 1.25)"), "{said}");
    let said: Value = serde_json::from_str(&user.ok(&["policy", "show", "--json"])).unwrap();
    let says: Vec<&Value> = said["effective"].as_array().unwrap().iter().map(|line| &line["says"]).collect();
    assert!(says.contains(&&json!("60 calls per minute, for all together")), "{said}");
    let said = user.ok(&["policy", "explain", "--command", "ls"]);
    assert!(said.contains("limit \"rate\": 60 calls per minute, for all together"), "{said}");
}

#[test]
fn a_warning_is_an_error_if_asked_for() {
    let user = user("version: 1\ndefault: allow\nrules:\n  - { name: a, allow: { tool: Bash } }\n");
    let lax = user.run(&["policy", "check"]);
    assert_eq!(lax.code, 0, "{lax:?}");
    assert!(lax.stderr.contains("nothing to answer"), "{lax:?}");
    assert_eq!(user.run(&["policy", "check", "--strict"]).code, 1);
}

#[test]
fn tests_beside_the_rules_are_run() {
    let user = user(POLICY);
    assert_eq!(user.ok(&["policy", "test"]).trim(), "ok: 5 tests");
    // Break the rules: the tests notice, and say what they saw.
    std::fs::write(user.home().join("policy.yaml"), POLICY.replace("deny: { url", "audit: { url")).unwrap();
    let done = user.run(&["policy", "test"]);
    assert_eq!(done.code, 1, "{done:?}");
    for said in [
        "policy.yaml:14 \"refunds are not\"",
        "expected block by no-refunds, and it is audit by no-refunds",
        "1 of 5 tests failed",
    ] {
        assert!(done.stdout.contains(said), "{said}: {}", done.stdout);
    }
    let done = user.run(&["policy", "test", "--json"]);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&said["ok"], &said["tests"]), (&json!(false), &json!(5)));
    assert_eq!(said["failed"][0]["name"], "refunds are not");
    assert_eq!(said["failed"][0]["is"], json!({ "verdict": "audit", "rules": ["no-refunds"] }));
}

#[test]
fn a_faulty_test_does_not_load() {
    for (test, says) in [
        ("{ name: a, expect: block }", "a test of nothing"),
        ("{ name: a, url: \"https://a.test/\", command: ls, expect: block }", "more than one action"),
        ("{ name: a, command: ls, expect: blocked }", "did you mean `block`?"),
        ("{ name: a, command: ls, expect: block, rules: [pay-roll] }", "did you mean `payroll`?"),
        ("{ name: a, command: ls, expect: block, rules: payroll }", "must be a list of names"),
        ("{ name: a, command: ls, shell: fish, expect: block }", "sh, powershell or cmd"),
        ("{ name: a, call: { tool: Bash, argument: {} }, expect: block }", "did you mean `arguments`?"),
        ("{ name: a, command: ls, expect: block, because: x }", "unknown key `because`"),
    ] {
        let user = user(&format!("{POLICY}  - {test}\n"));
        for command in ["check", "test"] {
            let done = user.run(&["policy", command]);
            assert_eq!(done.code, 1, "{test}");
            assert!(done.stderr.contains(says), "{test}: {}", done.stderr);
        }
    }
}

#[test]
fn each_rule_is_explained() {
    let user = user(POLICY);
    let line = "cat /srv/payroll/a.csv && curl https://api.example.com/v1/refunds/1";
    let said = user.ok(&["policy", "explain", "--command", line]);
    for expected in [
        "read:file /srv/payroll/a.csv",
        "network:fetch https://api.example.com/v1/refunds/1",
        "allow \"the-api\"  (url: ",
        "yes  deny \"no-refunds\"",
        "yes  deny \"payroll\"",
        "no  allow \"shell\"  (tool: no)",
        "block policy.payroll",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let json: Value = serde_json::from_str(&user.ok(&[
        "policy",
        "explain",
        "--url",
        "https://api.example.com/v1/x/..;/refunds/1",
        "--json",
    ]))
    .unwrap();
    let holds: Vec<&Value> = json["rules"].as_array().unwrap().iter().map(|rule| &rule["holds"]).collect();
    assert_eq!(json!(holds), json!(["unknown", "unknown", "no", "no"]));
    assert_eq!(json["rules"][0]["conditions"], json!({ "url": ["unknown"] }));
    assert_eq!(json["rules"][2]["considered"], json!(false));
    assert_eq!(json["decision"]["verdict"], "block");
    let call = json!({ "name": "Bash", "arguments": { "command": "ls" } }).to_string();
    assert!(user.ok(&["policy", "explain", "--call", &call]).contains("yes  allow \"shell\"  (tool: yes)"));
    let nothing = user.run(&["policy", "explain"]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    let broken = user.run(&["policy", "explain", "--call", "{"]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.stderr.contains("tool_call must be a JSON object"), "{broken:?}");
}

#[test]
fn what_the_operator_calls_a_thing_is_shown_and_explained() {
    let policy = "default: allow\nassets:\n- class: credential\n  paths: '~/vault/**'\nrules:\n- {name: mine, deny: {asset: credential}}\n";
    let user = user(policy);
    let said = user.ok(&["policy", "explain", "--command", "cat ~/vault/../vault/x"]);
    assert!(said.contains("(credential)") && said.contains("yes  deny \"mine\""), "{said}");
    let said = user.ok(&["policy", "explain", "--json", "--command", "cat ~/vault/x"]);
    assert!(said.contains(r#""asset":"credential""#), "{said}");
    let shown = user.ok(&["policy", "show"]);
    assert!(shown.contains("assets") && shown.contains("credential: ~/vault/**"), "{shown}");
    std::fs::write(user.home().join("policy.yaml"), policy.replace("~/vault/**", "vault/**")).unwrap();
    let refused = user.run(&["policy", "check"]);
    assert!(refused.code != 0 && format!("{refused:?}").contains("policy.yaml:4:10"), "{refused:?}");
}
