//! What two policies decide differently.

use serde_json::Value;

use crate::support::{User, path, upstream_calling};

const RULES: &str = "version: 1\ndefault: allow\nrules:\n";

fn diff(user: &User, old: &str, new: &str) -> (i32, Value, String) {
    let files = ["old.yaml", "new.yaml"].map(|name| user.dir.join(name));
    std::fs::write(&files[0], old).unwrap();
    std::fs::write(&files[1], new).unwrap();
    let [old, new] = files.each_ref().map(|file| path(file));
    let done = user.run(&["policy", "diff", old, new, "--json"]);
    let told = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    (done.code, told, user.run(&["policy", "diff", old, new]).stdout)
}

fn witnesses(told: &Value) -> Vec<String> {
    let differences = told["differences"].as_array().unwrap().iter();
    let witnesses = differences.flat_map(|difference| difference["witnesses"].as_array().unwrap());
    witnesses
        .map(|witness| format!("{} {}", witness["from"].as_str().unwrap(), witness["says"].as_str().unwrap()))
        .collect()
}

#[test]
fn the_same_said_in_another_way_is_no_difference() {
    let user = User::new();
    let one = format!("{RULES}  - {{ name: a, deny: {{ path: [\"/srv/a/**\", \"/srv/b/**\"] }} }}\n");
    let other = format!(
        "{RULES}  # in two\n  - {{ name: b, deny: {{ path: \"/srv/b/**\" }} }}\n  - name: a\n    deny:\n      path: /srv/a/**\n"
    );
    let (code, told, said) = diff(&user, &one, &other);
    assert_eq!((code, told["differences"].as_array().unwrap().len()), (0, 0), "{told}");
    assert!(said.starts_with("nothing is decided differently of 0 past actions"), "{said}");
}

/// Each of these pairs differs in one place that its own patterns lead to.
#[test]
fn a_difference_has_a_witness() {
    let user = User::new();
    let rule = |matcher: &str| format!("{RULES}  - {{ name: r, deny: {{ {matcher} }} }}\n");
    for (old, new, witness) in [
        ("path: /srv/x/**", "path: /srv/x/*", "made up read:file /srv/x/x/y/z"),
        ("tool: [a, b]", "tool: a", "made up execute:shell"),
        ("host: \"*.prod.example\"", "host: prod.example", "made up network:fetch https://x.prod.example/"),
        ("url: \"h.example/v1/{a,b}/**\"", "url: \"h.example/v1/a/**\"", "https://h.example/v1/b/x"),
        ("host: 10.0.0.0/8", "host: 10.1.0.0/16", "https://10.0.0.0/"),
        ("capability: network:post", "capability: network:listen", "made up network:listen"),
        ("source: web", "source: mcp", "made up execute:shell"),
        ("principal: ci", "principal: dev", "made up execute:shell"),
    ] {
        let (code, told, _) = diff(&user, &rule(old), &rule(new));
        assert_eq!(code, 1, "{old} / {new}");
        assert!(witnesses(&told).iter().any(|said| said.contains(witness)), "{old} / {new}: {told:#}");
    }
}

#[test]
fn tests_settings_and_the_past_are_witnesses() {
    let user = User::new();
    let daemon = user.start(upstream_calling(&["cat /srv/ledger"]), &[]);
    daemon.ask();
    assert_eq!(daemon.interrupt(), 0);
    let old =
        format!("{RULES}  []\ntests:\n  - {{ name: the vault, command: cat /srv/vault/x, expect: allow }}\n");
    let new =
        "version: 1\ndefault: allow\nmode: dry_run\nrules:\n  - { name: srv, ask: { path: \"/srv/**\" } }\n";
    let (code, told, said) = diff(&user, &old, new);
    assert_eq!((code, &told["settings"]["mode"]), (1, &serde_json::json!(["enforce", "dry_run"])));
    let found = witnesses(&told);
    assert!(found.contains(&"test cat /srv/vault/x".to_owned()), "{found:?}");
    assert!(found.contains(&"past cat /srv/ledger".to_owned()), "{found:?}");
    assert!(said.contains("mode: enforce → dry_run") && said.contains("allow → ask (policy.srv)"), "{said}");
}
