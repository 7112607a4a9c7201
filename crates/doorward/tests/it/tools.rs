//! Tools allowed and denied by settings.

use serde_json::Value;

use crate::support::{Daemon, User, done, lines, upstream_calling};

/// Starts with these variables before an upstream that calls `Bash`, and says whether the call was released.
fn released(user: &User, variables: &[(&str, &str)]) -> bool {
    let upstream = format!("http://{}", upstream_calling(&["ls -l"]));
    let mut arguments = vec!["run", "--json", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    arguments.extend(["--upstream", &upstream, "--protocol", "anthropic"]);
    let mut command = user.command(&arguments);
    command.envs(variables.iter().copied());
    let daemon = Daemon::spawn(command);
    let reply = daemon.ask();
    assert_eq!(reply.status, 200, "{}", reply.body);
    daemon.interrupt();
    reply.body.contains("tool_use\"")
}

fn last_rule(user: &User) -> String {
    let receipts = lines(&user.ok(&["receipts", "export", "--json"]));
    let call = receipts.iter().rev().find(|receipt| receipt["action"]["kind"] == "tool_call").unwrap();
    call["decision"]["reasons"][0]["rule"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn lists_are_enforced_and_stricter_than_they_are_typed() {
    let user = User::new();
    assert!(released(&user, &[]));
    for (variables, passes) in [
        (&[("DOORWARD_TOOL_DENY", "Bash")][..], false),
        (&[("DOORWARD_TOOL_DENY", "bash")], false),
        (&[("DOORWARD_TOOL_DENY", "Read, Write")], true),
        (&[("DOORWARD_TOOL_ALLOW", "Read, Bash")], true),
        // Names are their owner's, letter by letter.
        (&[("DOORWARD_TOOL_ALLOW", "bash")], false),
        (&[("DOORWARD_TOOL_ALLOW", "Read")], false),
        (&[("DOORWARD_TOOL_ALLOW", "Read"), ("DOORWARD_TOOL_POLICY", "permissive")], true),
        (&[("DOORWARD_TOOL_POLICY", "strict")], false),
        (&[("DOORWARD_TOOL_ALLOW", "Ba*"), ("DOORWARD_TOOL_DENY", "B*h")], false),
        (&[("SR_TOOL_DENY", "Bash")], false),
        (&[("SR_MCP_ALLOW", "Read"), ("SR_MCP_POLICY", "strict")], false),
        (&[("SR_MCP_DENY", "Bash"), ("SR_TOOL_DENY", "Read")], true),
        (&[("SR_TOOL_ALLOW", "Read"), ("DOORWARD_TOOL_ALLOW", "Bash")], true),
    ] {
        assert_eq!(released(&user, variables), passes, "{variables:?}");
    }
}

#[test]
fn no_policy_of_the_home_allows_what_they_deny_and_a_file_says_the_same() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let policy = "version: 1\ndefault: deny\nrules:\n  - { name: mine, allow: { tool: Bash } }\n";
    std::fs::write(user.home().join("policy.yaml"), policy).unwrap();
    assert!(released(&user, &[]));
    assert!(!released(&user, &[("DOORWARD_TOOL_DENY", "Bash")]));
    assert_eq!(last_rule(&user), "policy.tool-denied");
    assert!(!released(&user, &[("DOORWARD_TOOL_ALLOW", "Read")]));
    std::fs::write(user.home().join("tools.yaml"), "deny: [Write]\nallow: [Bash]\npolicy: strict\n").unwrap();
    assert!(released(&user, &[("DOORWARD_TOOL_POLICY_FILE", "tools.yaml")]));
    std::fs::write(user.home().join("tools.yaml"), "{\"allow\": [\"Read\"]}").unwrap();
    assert!(!released(&user, &[("SR_TOOL_POLICY_FILE", "tools.yaml")]));
    // In the file of settings as well; what is denied adds up.
    std::fs::write(user.home().join("doorward.yaml"), "version: 1\ntool_deny: [Read, Bash]\n").unwrap();
    assert!(!released(&user, &[("DOORWARD_TOOL_DENY", "Write")]));
    let explained: Value = serde_json::from_str(&user.ok(&[
        "policy",
        "explain",
        "--json",
        "--call",
        r#"{"name":"Bash","arguments":{"command":"ls"}}"#,
    ]))
    .unwrap();
    assert_eq!(explained["decision"]["verdict"], "block", "{explained}");
}

#[test]
fn what_is_wrong_with_them_is_told_and_nothing_starts() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("tools.yaml"), "allow: [Read]\ndeni: [Bash]\n").unwrap();
    for (name, value, words) in [
        ("DOORWARD_TOOL_ALLOW", "Read,,Bash", "without a name"),
        ("DOORWARD_TOOL_POLICY", "Strict", "strict or permissive"),
        ("SR_TOOL_POLICY", "lenient", "SR_TOOL_POLICY"),
        ("DOORWARD_TOOL_POLICY_FILE", "none.yaml", "cannot be read"),
        ("DOORWARD_TOOL_POLICY_FILE", "tools.yaml", "deni"),
    ] {
        let mut command = user.command(&["run"]);
        command.env(name, value);
        let done = done(command);
        assert!(done.code == 2 && done.stderr.contains(words), "{name}={value}: {done:?}");
    }
}
