//! `doorward key`, `agents`, `credits`: with a running process and without one, the same.

use serde_json::Value;

use crate::support::{User, lines, upstream_calling};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn create(user: &User, more: &[&str]) -> (String, String) {
    let created = json(&user.ok(&[&["key", "create", "--json"], more].concat()));
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    (text("key_id"), text("credential"))
}

#[test]
fn keys_are_made_and_changed_while_it_runs_and_while_it_does_not() {
    let user = User::new();
    let (first, credential) = create(&user, &["--agent", "alice", "--set", "rate_key=50"]);
    let prefix = format!("sphyr_v1_{first}.");
    let secret = credential.strip_prefix(&prefix).unwrap();
    let daemon = user.start(upstream_calling(&[]), &[]);
    let (second, other) = create(&user, &["--credits", "7"]);
    for (key, agent, credits, rate) in [(&first, "alice", 1000, "50"), (&second, "default", 7, "default")] {
        let shown = json(&user.ok(&["key", "show", key, "--json"]));
        assert_eq!((&shown["agent"], &shown["state"]), (&agent.into(), &"active".into()));
        assert_eq!(
            (&shown["credits_remaining"], &shown["settings"]["rate_key"]),
            (&credits.into(), &rate.into())
        );
        assert!(shown.get("credential").is_none());
    }
    user.ok(&["key", "pause", &first]);
    let paused = user.ok(&["key", "list"]);
    assert!(paused.contains("PAUSED") && paused.contains("ACTIVE"), "{paused}");
    user.ok(&["key", "set", &first, "dry_run=true", "budget_key_calls_per_hour=5", "rate_key=default"]);
    let wrong = user.run(&["key", "set", &first, "dry_run=false", "speed=7"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("no setting \"speed\""), "{wrong:?}");
    user.ok(&["agents", "issue", &first, "bot-1"]);
    assert_eq!(user.run(&["agents", "issue", &first, "bot 1"]).code, 1);
    assert_eq!(user.run(&["agents", "issue", &first, "bot-1"]).code, 1, "there is one");
    let rotated = json(&user.ok(&["key", "rotate", &first, "--overlap", "2h", "--json"]));
    assert_ne!(rotated["credential"].as_str().unwrap(), credential);
    assert!(rotated["old_secret_until"].is_string());
    assert_eq!(daemon.interrupt(), 0);

    let shown = json(&user.ok(&["key", "show", &first, "--json"]));
    assert_eq!((&shown["state"], &shown["settings"]["dry_run"]), (&"paused".into(), &"true".into()));
    assert_eq!(shown["settings"]["rate_key"], "default");
    assert_eq!(shown["agents"][0]["id"], "bot-1");
    user.ok(&["key", "resume", &first]);
    user.ok(&["agents", "revoke", &first, "bot-1"]);
    assert!(!user.ok(&["agents", "list", &first]).contains("bot-1"));
    user.ok(&["key", "revoke", &second]);
    let gone = user.run(&["key", "resume", &second]);
    assert!(gone.code == 1 && gone.stderr.contains("never comes back"), "{gone:?}");
    let unknown = user.run(&["key", "show", "key_none"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("no key"), "{unknown:?}");
    assert_eq!(user.ok(&["key", "list", "--compromised"]), "");

    let receipts = user.ok(&["receipts", "export", "--json"]);
    for event in [
        "key_create",
        "key_pause",
        "key_resume",
        "key_revoke",
        "key_rotate",
        "key_set",
        "agent_issue",
        "agent_revoke",
    ] {
        assert!(receipts.contains(&format!("\"event\":\"{event}\"")), "{event}");
    }
    // Nowhere but in the answer that showed it.
    let kept = std::fs::read_dir(user.home().join("store")).unwrap();
    let kept = kept.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let other = other.split_once('.').unwrap().1.to_owned();
    for bytes in kept.chain([receipts.into_bytes()]) {
        for secret in [secret, &other] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
    user.ok(&["receipts", "verify"]);
}

#[test]
fn credits_are_granted_and_told() {
    let user = User::new();
    let (key, _) = create(&user, &["--credits", "0"]);
    user.ok(&["credits", "grant", &key, "10", "--months", "1"]);
    let daemon = user.start(upstream_calling(&[]), &[]);
    user.ok(&["credits", "grant", &key, "5"]);
    let busy = user.run(&["credits", "verify"]);
    assert!(busy.code == 1 && busy.stderr.contains("stop it first"), "{busy:?}");
    let balance = json(&user.ok(&["credits", "show", &key, "--json"]));
    assert_eq!((&balance["key_id"], &balance["credits_remaining"]), (&key.as_str().into(), &15.into()));
    assert!(
        balance["oldest_expiry"].as_str().unwrap().ends_with('Z') && balance.as_object().unwrap().len() == 3
    );
    assert_eq!(daemon.interrupt(), 0);
    let history = json(&user.ok(&["credits", "history", &key, "--json"]));
    let amounts: Vec<u64> =
        history["lots"].as_array().unwrap().iter().map(|lot| lot["amount"].as_u64().unwrap()).collect();
    assert_eq!(amounts, [10, 5]);
    assert_eq!(user.run(&["credits", "grant", &key, "0"]).code, 1);
    assert_eq!(user.run(&["credits", "grant", "key_none", "1"]).code, 1);
    assert!(user.ok(&["credits", "verify"]).contains("agree"));
    let receipts = lines(&user.ok(&["receipts", "export", "--json"]));
    let lots: Vec<&Value> = receipts.iter().filter(|it| it["control"]["event"] == "credits_grant").collect();
    assert_eq!((lots.len(), &lots[1]["credits"]["lot"]), (2, &2.into()));
}

#[test]
fn what_a_new_key_begins_with_is_a_setting() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("doorward.yaml"), "version: 1\nnew_key_credits: 25\n").unwrap();
    let (key, _) = create(&user, &[]);
    assert_eq!(json(&user.ok(&["credits", "show", &key, "--json"]))["credits_remaining"], 25);
    std::fs::write(user.home().join("doorward.yaml"), "version: 1\nnew_key_credits: many\n").unwrap();
    assert_eq!(user.run(&["key", "create"]).code, 2);
}
