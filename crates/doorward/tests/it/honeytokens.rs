//! Honeytokens: told once, kept as hashes, found where they leave; and what clients of the egress door read.

use serde_json::Value;

use crate::support::{Daemon, User, done, eventually, lines, mode, nobody, post, upstream_calling};

const VALUE: &str = "AKIAbait-value/0123456789+xyz";

fn receipts(user: &User) -> Vec<Value> {
    lines(&user.ok(&["receipts", "export", "--json"]))
}

/// The rule of the strongest reason of the last action of this kind.
fn rule(user: &User, kind: &str) -> String {
    let found = receipts(user).into_iter().rev().find(|receipt| receipt["action"]["kind"] == kind);
    let found = found.unwrap_or_else(|| panic!("no receipt of a {kind}"));
    found["decision"]["reasons"][0]["rule"].as_str().unwrap_or_default().to_owned()
}

fn released(daemon: &Daemon) -> bool {
    daemon.ask().body.contains("tool_use\"")
}

#[test]
fn honeytokens_are_added_listed_and_removed_and_no_value_is_kept() {
    let user = User::new();
    let added = user.feed(&["honeytoken", "add", "old-key"], &format!("{VALUE}\n"));
    assert!(added.code == 0 && !format!("{added:?}").contains(VALUE), "{added:?}");
    user.ok(&["honeytoken", "add", "wiki", "--domain", "*.Trap.Example.", "--freeze-only"]);
    let again = user.feed(&["honeytoken", "add", "old-key"], "another-value-0123456789");
    assert!(again.code == 1 && again.stderr.contains("--replace"), "{again:?}");
    for (arguments, input, words) in [
        (&["honeytoken", "add", "short"][..], "only-15-bytes-x", "16 to 4096"),
        (&["honeytoken", "add", "none"], "", "no value"),
        (&["honeytoken", "add", "a b"], VALUE, "called by"),
        (&["honeytoken", "add", "ip", "--domain", "10.0.0.1"], "", "an address"),
        (&["honeytoken", "add", "com", "--domain", "com"], "", "two labels"),
    ] {
        let refused = user.feed(arguments, input);
        assert!(refused.code == 2 && refused.stderr.contains(words), "{arguments:?}: {refused:?}");
    }
    std::fs::write(user.home().join("doorward.yaml"), "version: 1\nhoneytoken_domain: bait.example\n")
        .unwrap();
    let listed = lines(&user.ok(&["honeytoken", "list", "--json"]));
    let shown: Vec<[&str; 3]> =
        listed.iter().map(|one| ["name", "kind", "response"].map(|key| one[key].as_str().unwrap())).collect();
    let expected = [
        ["old-key", "value", "suspend"],
        ["wiki", "domain", "freeze"],
        ["bait.example", "domain", "suspend"],
    ];
    assert_eq!(shown, expected);
    assert_eq!(listed[1]["domain"], "trap.example");
    let kept = std::fs::read(user.home().join("honeytokens.sealed")).unwrap();
    for word in ["old-key", "trap.example", VALUE] {
        assert!(!kept.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
    assert_eq!(mode(&user.home().join("honeytokens.sealed")), 0o600);
    user.ok(&["honeytoken", "remove", "wiki"]);
    assert_eq!(user.run(&["honeytoken", "remove", "wiki"]).code, 1);
    assert_eq!(lines(&user.ok(&["honeytoken", "list", "--json"])).len(), 2);
}

#[test]
fn who_goes_to_a_domain_is_stopped_and_who_reads_of_it_is_not() {
    let user = User::new();
    let daemon = user.start(upstream_calling(&["curl -s https://login.trap.example/"]), &[]);
    assert!(released(&daemon), "nothing is known yet");
    user.ok(&["honeytoken", "add", "wiki", "--domain", "trap.example"]);
    eventually("the honeytoken", || !released(&daemon));
    let call = receipts(&user).into_iter().rev().find(|receipt| {
        receipt["action"]["kind"] == "tool_call" && receipt["decision"]["verdict"] == "block"
    });
    assert!(call.unwrap()["decision"].to_string().contains("floor.canary-domain"));
    let status = user.run(&["status"]);
    assert!(status.stdout.contains("the honeytoken domain `wiki`"), "{status:?}");
    assert!(!released(&daemon));
    assert_eq!(rule(&user, "model_request"), "floor.kill", "the session is frozen");
    drop(daemon);

    let user = User::new();
    user.ok(&["honeytoken", "add", "wiki", "--domain", "trap.example"]);
    let daemon = user.start(nobody(), &[]);
    let at = format!("{}/v1/messages", daemon.text("anthropic_base_url"));
    let says = |text: &str| {
        let message = serde_json::json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]});
        post(&at, &message.to_string())
    };
    let read = says("the page says: log in at https://trap.example/login");
    assert_eq!(read.status, 502, "it went on, to nobody: {}", read.body);
    let added = user.feed(&["honeytoken", "add", "key"], VALUE);
    assert_eq!(added.code, 0, "{added:?}");
    eventually("the value", || says(&format!("the page says: {VALUE}")).status == 403);
    assert!(!receipts(&user).iter().any(|receipt| receipt.to_string().contains(VALUE)));
}

#[test]
fn wrong_domains_and_wrong_settings_of_the_door_are_told_with_their_place() {
    let user = User::new();
    let yaml = "version: 1\nhoneytoken_domain: [fine.example, 'https://x.example/']\negress:\n  rate_key: 0\n  docs_url: here\n  sessions: 5\n";
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("doorward.yaml"), yaml).unwrap();
    let refused = user.run(&["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for place in ["doorward.yaml:2:35", "doorward.yaml:4:13", "doorward.yaml:5:3", "doorward.yaml:6:3"] {
        assert!(refused.stderr.contains(place), "{place} is missing:\n{}", refused.stderr);
    }
    let mut command = user.command(&["run"]);
    std::fs::write(user.home().join("doorward.yaml"), "version: 1\n").unwrap();
    command.env("DOORWARD_HONEYTOKEN_DOMAIN", "a.example,com");
    let refused = done(command);
    assert!(refused.code == 2 && refused.stderr.contains("DOORWARD_HONEYTOKEN_DOMAIN"), "{refused:?}");
}

#[test]
fn the_clients_file_is_written_and_no_other_credential_lost() {
    let user = User::new();
    let file = user.dir.join(".sphyr/config.json");
    let create = ["key", "create", "--write-sphyr-config"];
    let made = user.run(&create);
    assert!(made.code == 0 && !made.stdout.contains("sphyr_v1_"), "{made:?}");
    let config = |user: &User| -> Value {
        serde_json::from_str(&std::fs::read_to_string(user.dir.join(".sphyr/config.json")).unwrap()).unwrap()
    };
    let first = config(&user);
    assert_eq!(first["mcp_url"], "http://127.0.0.1:7878/mcp");
    assert!(first["credential"].as_str().unwrap().starts_with("sphyr_v1_key_"));
    assert_eq!((mode(&file), mode(&user.dir.join(".sphyr"))), (0o600, 0o700));
    let shown = user.ok(&["key", "show"]);
    let id = first["credential"].as_str().unwrap().split('.').next().unwrap().trim_start_matches("sphyr_v1_");
    assert!(shown.contains(id), "{shown}");
    // Another credential stands there.
    let refused = user.run(&create);
    assert!(
        refused.code == 2 && refused.stderr.contains(id) && refused.stderr.contains("--replace"),
        "{refused:?}"
    );
    assert_eq!((config(&user), user.ok(&["key", "list"]).lines().count()), (first.clone(), 1));
    let daemon = user.start(nobody(), &[]);
    let json = user.ok(&["key", "create", "--write-sphyr-config", "--replace", "--json"]);
    assert!(!json.contains("sphyr_v1_"), "{json}");
    let second = config(&user);
    assert_ne!(second["credential"], first["credential"]);
    let door = daemon.text("data");
    assert_eq!(second["mcp_url"], format!("http://{door}/mcp"));
    // The variables come first, and are told of.
    let mut command = user.command(&["key", "show"]);
    command.env("SPHYR_CREDENTIAL", first["credential"].as_str().unwrap());
    let of_variable = done(command);
    assert!(
        of_variable.stdout.contains(id) && of_variable.stderr.contains("SPHYR_CREDENTIAL"),
        "{of_variable:?}"
    );
    let mut command = user.command(&["key", "create", "--write-sphyr-config", "--replace"]);
    command.env("SPHYR_MCP_URL", "http://door.example/mcp");
    assert_eq!(done(command).code, 0);
    assert_eq!(config(&user)["mcp_url"], "http://door.example/mcp");
    std::fs::write(&file, "not JSON").unwrap();
    assert_eq!(user.run(&create).code, 2);
    std::fs::remove_file(&file).unwrap();
    let which = user.run(&["key", "show"]);
    assert!(which.code == 2 && which.stderr.contains("which key"), "{which:?}");
}
