//! Budgets of keys and of agents: what counts, and that it counts over a restart.

use super::*;

/// What is asked for, beyond its address: the request is longer by that, wherever it stands.
async fn ask(scene: &Scene, agent: &str, more: &Value) -> Reply {
    let mut asked = json!({"url": scene.up});
    for (name, value) in more.as_object().unwrap() {
        asked[name] = value.clone();
    }
    let lines = format!("authorization: Bearer {}\r\ndoorward-agent: {agent}\r\n", *scene.key.credential());
    send(scene.address, "POST", "/v1/net", &lines, &asked.to_string()).await
}

/// The code of a refusal, or the status.
fn code(reply: &Reply) -> String {
    let whole: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    whole["code"].as_str().map_or_else(|| reply.status.to_string(), str::to_owned)
}

async fn set(scene: &Scene, name: &'static str, value: &str) {
    let value = value.to_owned();
    let change = move |mut key: Key| {
        key.settings.set(name, &value).unwrap();
        Ok(key)
    };
    scene.door.store.change_key(&scene.key.id, change).await.unwrap();
}

/// To the byte: the line with method and path, every header, and the body.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_all_that_leave() {
    let name = "budget_key_bytes_per_hour";
    let scene =
        Scene::with(&[("rate_agent", "1000"), (name, "1000000")], egress::Settings::default(), OK).await;
    let path = format!("{}/a/rather/long/path/that/could/carry/something?and=a&query=as+well", scene.up);
    for more in [
        json!({}),
        json!({"url": path}),
        json!({"headers": {"X-Note": "words in a header leave as well", "Accept": "*/*"}}),
        json!({"method": "POST", "body": "a body", "headers": {"Content-Type": "text/plain"}}),
        json!({"method": "DELETE"}),
    ] {
        assert_eq!(code(&ask(&scene, "a", &more).await), "200", "{more}");
    }
    let sent: usize = scene.asked.lock().unwrap().iter().map(String::len).sum();
    let next = scene.asked.lock().unwrap()[0].len();
    assert!(scene.asked.lock().unwrap()[1].len() > next + 60);
    set(&scene, name, &(sent + next - 1).to_string()).await;
    let refused = ask(&scene, "a", &json!({})).await;
    assert_eq!(code(&refused), "HOURLY_BUDGET_EXCEEDED", "one byte too many");
    set(&scene, name, &(sent + next).to_string()).await;
    assert_eq!(code(&ask(&scene, "a", &json!({})).await), "200", "the last that has room");
    assert_eq!(code(&ask(&scene, "a", &json!({})).await), "HOURLY_BUDGET_EXCEEDED");
    assert_eq!((scene.requests(), scene.credits()), (6, 994));
    // What is only checked has to have room, and takes none.
    set(&scene, name, &(sent + 2 * next).to_string()).await;
    for _ in 0..3 {
        assert_eq!(code(&ask(&scene, "a", &json!({"preflight": true})).await), "200");
    }
    assert_eq!(code(&ask(&scene, "a", &json!({})).await), "200");
}

/// Every budget, of a key and of one agent under it, goes on where a process that was killed left it.
#[tokio::test(flavor = "multi_thread")]
async fn every_budget_counts_on_when_the_process_was_killed() {
    for (whose, window) in [("key", "hour"), ("agent", "day")] {
        let full = if window == "hour" { "HOURLY_BUDGET_EXCEEDED" } else { "KEY_BUDGET_EXCEEDED" };
        for (unit, allowed) in [("calls", "1"), ("bytes", "200"), ("money", "0.75")] {
            let name = format!("budget_{whose}_{unit}_per_{window}");
            let set = [("rate_agent", "1000"), ("credit_price", "0.5"), (name.as_str(), allowed)];
            let scene = Scene::with(&set, egress::Settings::default(), OK).await;
            let issue = |mut key: Key| {
                key.agents.extend([("a".into(), 0), ("b".into(), 0)]);
                Ok(key)
            };
            scene.door.store.change_key(&scene.key.id, issue).await.unwrap();
            // One has room and two have not.
            let more = json!({"headers": {"X-Note": "n".repeat(60)}});
            assert_eq!(code(&ask(&scene, "a", &more).await), "200", "{name}");
            scene.ended().await;
            let scene = scene.crash().await;
            let mut checked = more.clone();
            checked["preflight"] = json!(true);
            assert_eq!(code(&ask(&scene, "a", &checked).await), full, "{name}, only checked");
            assert_eq!(code(&ask(&scene, "a", &more).await), full, "{name}");
            let other = code(&ask(&scene, "b", &more).await);
            assert_eq!(other, if whose == "agent" { "200" } else { full }, "{name}");
            if whose == "agent" {
                scene.ended().await;
            }
            let scene = scene.crash().await;
            assert_eq!(code(&ask(&scene, "b", &more).await), full, "{name}, killed twice");
            assert_eq!(scene.requests(), 1 + usize::from(whose == "agent"), "{name}");
        }
    }
}
