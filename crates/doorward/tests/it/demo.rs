//! `doorward demo`.

use serde_json::{Value, json};

use crate::support::{Daemon, User, post};

#[test]
fn the_document_tells_what_happened() {
    let user = User::new();
    let shown: Value = serde_json::from_str(&user.ok(&["demo", "--json"])).unwrap();
    assert_eq!(shown["ok"], true, "{shown:#}");
    let steps = shown["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["unmet"] == json!([])));
    let decisions: Vec<&Value> =
        steps.iter().flat_map(|step| step["decisions"].as_array().unwrap()).collect();
    let verdicts = |verdict: &str| decisions.iter().filter(|decision| decision["verdict"] == verdict).count();
    assert!(verdicts("block") >= 5 && verdicts("allow") >= 2, "{decisions:#?}");
    for decision in &decisions {
        let blocked = decision["verdict"] == "block";
        assert_eq!(blocked, !decision["reasons"].as_array().unwrap().is_empty(), "{decision:#}");
    }
    let outcomes: Vec<&str> = steps.iter().map(|step| step["outcome"].as_str().unwrap()).collect();
    assert!(
        outcomes.contains(&"completed") && outcomes.contains(&"refused") && outcomes.contains(&"revoked")
    );
    assert!(steps.iter().any(|step| step["dialect"].as_str().unwrap().starts_with("OpenAI")));
    // The target of an effect is shown only if the receipt's digest proves it.
    let posts = |effect: &Value| effect["capability"] == "network:post" && effect["target"].is_string();
    assert!(decisions.iter().any(|decision| decision["effects"].as_array().unwrap().iter().any(posts)));
}

#[test]
fn every_id_shown_is_in_the_receipts_and_they_verify() {
    let user = User::new();
    let shown: Value = serde_json::from_str(&user.ok(&["demo", "--json"])).unwrap();
    let receipts = shown["receipts"].as_array().unwrap();
    for step in shown["steps"].as_array().unwrap() {
        for decision in step["decisions"].as_array().unwrap() {
            let index = usize::try_from(decision["index"].as_u64().unwrap()).unwrap();
            assert_eq!(receipts[index]["id"], decision["receipt"]);
            assert_eq!(receipts[index]["decision"]["verdict"], decision["verdict"]);
        }
        assert!(receipts.iter().any(|receipt| receipt["id"] == step["receipt"]));
    }
    assert_eq!(shown["verification"]["ok"], true);
    assert_eq!(shown["verification"]["entries"], receipts.len());
    let tampering = &shown["tampering"];
    assert_eq!(tampering["verification"]["ok"], false);
    assert_eq!(tampering["verification"]["problems"][0]["index"], tampering["index"]);
}

#[test]
fn the_show_is_plain_text_of_80_columns_and_ends_with_what_to_do() {
    let user = User::new();
    let text = user.ok(&["demo"]);
    assert!(!text.contains('\x1b'), "colours on a pipe");
    assert_eq!(text.lines().find(|line| line.chars().count() > 80), None);
    for word in
        ["BLOCK", "ALLOW", "exec.download-and-run", "exfil.secret-to-network", "verified", "entry_altered"]
    {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
    assert!(!text.contains("UNEXPECTED"), "{text}");
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(
        last[1].trim().ends_with("doorward run") && last[0].contains("export ANTHROPIC_BASE_URL="),
        "{last:?}"
    );
    assert_eq!(std::fs::read_dir(user.dir.join("tmp")).unwrap().count(), 0, "its home is left behind");
    assert!(!user.home().exists(), "it touched the user's own home");
}

#[test]
fn it_stays_up_if_asked_and_leaves_nothing_behind() {
    let user = User::new();
    let staying = Daemon::spawn(user.command(&["demo", "--stay", "--json"]));
    assert_eq!(staying.told["ok"], true);
    let line = staying.told["next"][0].as_str().unwrap();
    let base = line.strip_prefix("export ANTHROPIC_BASE_URL=").unwrap();
    let question = r#"{"model":"m","stream":true,"max_tokens":9,"tools":[{"name":"Bash","input_schema":{}}],
        "messages":[{"role":"user","content":"Run the tests, please."}]}"#;
    let reply = post(&format!("{base}/v1/messages"), question);
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("[doorward] Blocked"), "{}", reply.body);
    staying.interrupt();
    assert_eq!(std::fs::read_dir(user.dir.join("tmp")).unwrap().count(), 0);
}
