//! Where settings come from, and what is said about wrong ones.

use crate::support::{User, done, nobody, upstream_calling};

fn written(user: &User, name: &str, text: &str) {
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join(name), text).unwrap();
}

#[test]
fn all_faults_are_told_at_once_with_their_place() {
    let user = User::new();
    let yaml = "version: 1\nlisten: nowhere\nmode: lenient\nlitsen: 127.0.0.1:1\nupstreams:\n  lab:\n    protocol: gopher\n    url: http://lab.example\n";
    written(&user, "doorward.yaml", yaml);
    let mut command = user.command(&["run", "--durability", "rock"]);
    command.env("DOORWARD_CONTENT", "maybe").env("DOORWARD_LISTN", "127.0.0.1:1");
    let done = done(command);
    assert_eq!(done.code, 2, "{done:?}");
    for place in ["doorward.yaml:2:9", "doorward.yaml:3:7", "doorward.yaml:4:1", "doorward.yaml:7:15"] {
        assert!(done.stderr.contains(place), "{place} is missing:\n{}", done.stderr);
    }
    for words in
        ["nowhere", "lenient", "litsen", "gopher", "--durability", "DOORWARD_CONTENT", "DOORWARD_LISTN"]
    {
        assert!(done.stderr.contains(words), "{words} is missing:\n{}", done.stderr);
    }
    assert!(done.stdout.is_empty());
}

#[test]
fn a_policy_with_faults_does_not_start() {
    let user = User::new();
    written(&user, "policy.yaml", "version: 1\ndefault: perhaps\nruels: []\n");
    let done = user.run(&["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("policy.yaml:2:10") && done.stderr.contains("policy.yaml:3:1"), "{done:?}");
}

#[test]
fn an_unknown_variable_is_a_fault_alone() {
    let user = User::new();
    let mut command = user.command(&["run"]);
    command.env("DOORWARD_MOED", "monitor");
    let done = done(command);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("DOORWARD_MOED"), "{done:?}");
}

#[test]
fn what_is_typed_wins_over_the_environment_and_that_over_the_file() {
    let user = User::new();
    written(&user, "doorward.yaml", "version: 1\nmode: monitor\nagent: filed\n");
    let free = ["run", "--json", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let mode = |variable: Option<&str>, typed: &[&str]| {
        let mut command = user.command(&[&free[..], typed].concat());
        command.envs(variable.map(|mode| ("DOORWARD_MODE", mode)));
        crate::support::Daemon::spawn(command).text("mode").to_owned()
    };
    assert_eq!(mode(None, &[]), "monitor");
    assert_eq!(mode(Some("block"), &[]), "block");
    assert_eq!(mode(Some("block"), &["--mode", "monitor"]), "monitor");
}

#[test]
fn nothing_is_loaded_from_the_working_directory() {
    let user = User::new();
    let hostile = "version: 1\nmode: monitor\nlisten: 127.0.0.1:1\n";
    for name in ["doorward.yaml", ".doorward.yaml"] {
        std::fs::write(user.work().join(name), hostile).unwrap();
    }
    std::fs::write(user.work().join("policy.yaml"), "this is: [no policy").unwrap();
    std::fs::create_dir(user.work().join(".doorward")).unwrap();
    std::fs::write(user.work().join(".doorward/doorward.yaml"), hostile).unwrap();
    std::fs::write(user.work().join(".doorward/kill"), "").unwrap();
    let daemon = user.start(nobody(), &[]);
    assert_eq!(daemon.text("mode"), "block");
    assert_eq!(daemon.ask().status, 502, "neither killed nor answered: the upstream is dead");
}

#[test]
fn mistakes_on_the_command_line_are_exit_status_2() {
    let user = User::new();
    for typed in [
        &["rnu"][..],
        &["run", "--protocl", "anthropic"],
        &["run", "--upstream", "http://127.0.0.1:9"],
        &["run", "--mode", "lenient"],
        &["receipts", "show"],
        &["kill"],
        &["kill", "--all", "--agent", "x"],
    ] {
        let done = user.run(typed);
        assert_eq!(done.code, 2, "{typed:?}: {done:?}");
        assert!(!done.stderr.is_empty());
    }
}

#[test]
fn a_key_is_never_typed_and_never_shown() {
    let user = User::new();
    let secret = "sk-test-0123456789-never-shown";
    let mut command = user.command(&[
        "run",
        "-vvv",
        "--key-env",
        "LAB_KEY",
        "--upstream",
        "ftp://lab.example",
        "--protocol",
        "openai",
    ]);
    command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]).env("LAB_KEY", secret);
    let done = done(command);
    assert_ne!(done.code, 0);
    assert!(!format!("{done:?}").contains(secret));
    let missing = user.run(&[
        "run",
        "--key-env",
        "LAB_KEY",
        "--upstream",
        "http://127.0.0.1:9",
        "--protocol",
        "openai",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
    ]);
    assert_ne!(missing.code, 0);
    assert!(missing.stderr.contains("LAB_KEY"), "{missing:?}");
}

/// A token that looks like a key, and no more.
const LOUD: &str = "k3Jx9QbT0vLzW5pRn2Ys8Gd1";

#[test]
fn entropy_is_set_for_all_and_for_single_agents() {
    let user = User::new();
    let noted = || {
        let line = format!("{{\"kind\":\"outbound\",\"text\":\"see {LOUD} there\"}}\n");
        user.feed(&["inspect"], &line).stdout.contains("secret.high-entropy")
    };
    assert!(noted());
    written(&user, "doorward.yaml", "version: 1\nentropy_threshold: 7\n");
    assert!(!noted());
    written(&user, "doorward.yaml", "version: 1\nentropy_allowlist: [\"^k3Jx[0-9A-Za-z]{20}$\", other]\n");
    assert!(!noted());
    let yaml = "version: 1\nentropy_allowlist: [\"k3Jx.*\"]\nagents:\n  careful: { entropy_allowlist: [] }\n  lax: { entropy_threshold: 6 }\n";
    written(&user, "doorward.yaml", yaml);
    // The score of each request stands in its receipt.
    let scored = |agent: &str| {
        let daemon = user.start(nobody(), &["--agent", agent]);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"see {LOUD} there"}}]}}"#);
        crate::support::post(&format!("{}/v1/messages", daemon.text("anthropic_base_url")), &body);
        drop(daemon);
        let receipts = crate::support::lines(&user.ok(&["receipts", "export", "--json"]));
        let last = receipts.into_iter().rev().find(|receipt| receipt["agent"] == agent).unwrap();
        last["decision"]["entropy"].as_u64()
    };
    assert_eq!(scored("default"), None);
    assert!(scored("careful") > Some(450));
    assert_eq!(scored("lax"), None, "what is not set for an agent is as for all");
}

#[test]
fn wrong_words_about_entropy_are_told_with_their_place() {
    let user = User::new();
    let yaml = "version: 1\nentropy_threshold: loud\nentropy_allowlist: [\"[a-\", fine, \".*\"]\nagents:\n  x:\n    entropy_threshold: 9\n    entropy_allowlist: 7\n";
    written(&user, "doorward.yaml", yaml);
    for typed in [&["run"][..], &["inspect"]] {
        let done = user.run(typed);
        assert_eq!(done.code, 2, "{done:?}");
        for place in ["yaml:2:20", "yaml:3:21", "yaml:3:34", "yaml:6:24", "yaml:7:24"] {
            assert!(done.stderr.contains(place), "{place}: {}", done.stderr);
        }
    }
    let user = User::new();
    let mut command = user.command(&["run"]);
    command.env("DOORWARD_ENTROPY_THRESHOLD", "-1");
    let done = done(command);
    assert!(done.code == 2 && done.stderr.contains("DOORWARD_ENTROPY_THRESHOLD"), "{done:?}");
}

#[test]
fn another_judge_is_asked_where_the_settings_name_one() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 64];
            let read = std::io::Read::read(&mut stream, &mut request).unwrap();
            told.send(String::from_utf8_lossy(&request[..read]).into_owned()).unwrap();
            let _ = std::io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
            );
        }
    });
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let file = user.home().join("doorward.yaml");
    let settings =
        |url: &str| format!("version: 1\nsecond_opinion:\n  url: {url}\n  model: judge-1\n  from: 40\n");
    std::fs::write(&file, settings("http://judge.example/v1")).unwrap();
    let refused = user.run(&["run"]);
    assert!(refused.code == 2 && refused.stderr.contains("without TLS"), "{refused:?}");
    assert!(refused.stderr.contains("doorward.yaml:3:3"), "{refused:?}");
    std::fs::write(&file, settings(&format!("http://{address}/v1"))).unwrap();
    let daemon = user.start(upstream_calling(&["git push --force origin main"]), &[]);
    assert!(daemon.ask().body.contains("git push"), "no opinion changes nothing");
    assert!(heard.recv().unwrap().starts_with("POST /v1/chat/completions HTTP/1.1"));
    let receipts = user.ok(&["receipts", "export", "--json"]);
    assert!(
        receipts.contains("opinion.none") && receipts.contains("it answered with an error"),
        "{receipts}"
    );
}

/// What is asked of a daemon that runs with these variables, and what it says on its standard error.
fn run_with(user: &User, variables: &[(&str, &str)], more: &[&str]) -> (Vec<String>, String, u16) {
    let mut command = user.command(&[&["run", "--json", "--control", "127.0.0.1:0"][..], more].concat());
    let log = std::fs::File::create(user.work().join("log")).unwrap();
    command.envs(variables.iter().copied()).stderr(log);
    let daemon = crate::support::Daemon::started(command);
    let told = ["mode", "data"].map(|name| daemon.text(name).to_owned()).to_vec();
    let status = daemon.ask().status;
    daemon.interrupt();
    (told, std::fs::read_to_string(user.work().join("log")).unwrap(), status)
}

#[test]
fn variables_of_the_other_firewall_mean_what_they_meant_there() {
    let user = User::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (heard, upstream) = crate::support::listening_upstream();
    let listen = listener.local_addr().unwrap().to_string();
    drop(listener);
    let key = "sk-test-of-the-other-firewall";
    let variables = [
        ("SR_MODE", "monitor"),
        ("SR_LISTEN", listen.as_str()),
        ("SR_UPSTREAM", upstream.as_str()),
        ("SR_UPSTREAM_KEY", key),
        ("DOORWARD_PROTOCOL", "anthropic"),
        ("CHECKRD_API_KEY", "ck_live_0123456789"),
        ("CHECKRD_DISABLED", "1"),
    ];
    let (told, log, status) = run_with(&user, &variables, &[]);
    assert_eq!((told, status), (vec!["monitor".to_owned(), listen.clone()], 200), "{log}");
    let request = heard.recv().unwrap().to_ascii_lowercase();
    assert!(request.contains(&format!("x-api-key: {key}\r\n")), "{request}");
    // One notice of those that are read, one warning of those that are not; no value in either.
    assert_eq!(log.matches("SR_MODE as DOORWARD_MODE").count(), 1, "{log}");
    assert!(log.contains("SR_UPSTREAM_KEY as DOORWARD_KEY_ENV=SR_UPSTREAM_KEY"), "{log}");
    assert_eq!(log.matches("CHECKRD_API_KEY, CHECKRD_DISABLED: ").count(), 1, "{log}");
    assert!(!log.contains(key) && !log.contains("ck_live"), "{log}");
    // Ours come first, and what was typed; a key goes to no other upstream than its own.
    let typed = ["--listen", "127.0.0.1:0", "--upstream", upstream.as_str(), "--protocol", "anthropic"];
    let own = [("DOORWARD_MODE", "block"), ("DOORWARD_UPSTREAM", upstream.as_str())];
    let without = variables.iter().copied().filter(|(name, _)| *name != "DOORWARD_PROTOCOL");
    let ours: Vec<(&str, &str)> = variables.iter().copied().chain(own).collect();
    let bare: Vec<(&str, &str)> = without.chain([own[0]]).collect();
    for (variables, typed) in [(ours, &typed[..2]), (bare, &typed[..])] {
        let (told, log, status) = run_with(&user, &variables, typed);
        assert!(told[0] == "block" && told[1] != listen && status == 200, "{told:?} {log}");
        assert!(!heard.recv().unwrap().contains(key));
        assert!(log.contains("SR_UPSTREAM_KEY: not read") && !log.contains("SR_MODE as"), "{log}");
    }
}

#[test]
fn an_upstream_of_the_other_firewall_needs_its_protocol_and_wrong_values_are_told() {
    let user = User::new();
    for (name, value, words) in [
        ("SR_UPSTREAM", "http://127.0.0.1:9", "DOORWARD_PROTOCOL"),
        ("SR_MODE", "log-only", "SR_MODE"),
        ("SR_LISTEN", "everywhere", "SR_LISTEN"),
    ] {
        let mut command = user.command(&["run"]);
        command.env(name, value);
        let done = done(command);
        assert!(done.code == 2 && done.stderr.contains(words), "{name}={value}: {done:?}");
    }
}
