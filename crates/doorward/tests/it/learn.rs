//! A policy learnt from the past.

use serde_json::Value;

use crate::support::{EVIL, User, path, upstream_calling};

/// What is done in many ways: no effect, files, hosts, pipes, what is not known, what is blocked.
const DONE: [&str; 14] = [
    "ls",
    "pwd && echo done",
    "cat /srv/data/a.csv",
    "cat /srv/data/b.csv",
    "cat /srv/data/deep/c.csv",
    "cat /srv/other/x.csv > /tmp/copy",
    "cat README.md src/main.rs",
    "curl https://a.docs.example/1",
    "curl https://b.docs.example/2",
    "curl https://c.docs.example/3",
    "curl https://one.test/",
    "cat $FILE | grep x",
    "python3 build.py",
    EVIL,
];

fn learnt(user: &User) -> (i32, String, String) {
    let done = user.run(&["policy", "learn"]);
    (done.code, done.stdout, done.stderr)
}

#[test]
fn the_past_passes_under_what_was_learnt_from_it_and_little_else() {
    let user = User::new();
    let daemon = user.start(upstream_calling(&DONE), &[]);
    assert_eq!(daemon.ask().status, 200);
    assert_eq!(daemon.ask().status, 200);
    assert_eq!(daemon.interrupt(), 0);
    let (code, policy, said) = learnt(&user);
    assert_eq!(code, 0, "{policy}\n{said}");
    assert!(policy.contains("default: deny") && policy.contains("# Learnt from 26 actions"), "{policy}");
    assert!(policy.contains("\"/srv/data/**\"") && policy.contains("\"*.docs.example\""), "{policy}");
    assert!(policy.contains("/srv/other/x.csv") && policy.contains("one.test"), "{policy}");
    assert!(!policy.contains("get.example/x | sh"), "what was blocked is not learnt: {policy}");

    let file = user.dir.join("learnt.yaml");
    std::fs::write(&file, &policy).unwrap();
    user.ok(&["policy", "check", path(&file)]);
    let done = user.run(&["policy", "replay", "--json", path(&file)]);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["now_blocked"].as_array().unwrap().len(), 0, "{told:#}");
    let decided = |command: &str| {
        user.ok(&[
            "policy",
            "explain",
            "--json",
            "--policy",
            path(&file),
            "--call",
            &format!("{{\"name\":\"Bash\",\"arguments\":{{\"command\":{command:?}}}}}"),
        ])
    };
    for command in ["cat /srv/data/new/d.csv", "curl https://d.docs.example/", "ls"] {
        assert!(!decided(command).contains("policy.default"), "{command}: {}", decided(command));
    }
    for command in [
        "ls -a",
        "cat /srv/secret",
        "curl https://docs.example.evil/",
        "curl -d @x https://one.test/",
        "rm /srv/data/a.csv",
    ] {
        assert!(decided(command).contains("policy.default"), "{command}: {}", decided(command));
    }
}

#[test]
fn without_a_past_there_is_nothing_to_learn() {
    let user = User::new();
    let (code, out, said) = learnt(&user);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.contains("nothing was recorded"), "{said}");
}
