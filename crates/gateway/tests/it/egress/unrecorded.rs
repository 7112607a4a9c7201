//! When nothing can be recorded: nothing goes, whichever way it comes in, and whoever asks is told so.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_not_sent_and_who_asks_is_told_so() {
    let scene = Scene::new().await;
    let session = scene.session("a-1").await;
    // What lies beside the ledger shares the fate of the disk: it is closed under the gateway.
    scene.door.store.clone().close().await.unwrap();
    let asked = json!({"url": scene.up, "method": "POST", "body": "x"});
    let lines = format!("authorization: Bearer {}\r\n", *scene.key.credential());
    let plain = send(scene.address, "POST", "/v1/net", &lines, &asked.to_string()).await;
    assert_eq!(plain.status, 503, "{}", plain.body);
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "fetch", "arguments": asked}});
    let fetched = send(scene.address, "POST", "/mcp", &lines, &call.to_string()).await;
    let whole: Value = serde_json::from_str(&fetched.body).unwrap();
    let more = json!({"mthd": "POST", "body": "x"});
    let refusals = [
        serde_json::from_str(&plain.body).unwrap(),
        serde_json::from_str(whole["result"]["content"][0]["text"].as_str().unwrap()).unwrap(),
        scene.tool("sphyr_net", session.call(&scene.up, now(), &more)).await,
        scene.tool("sphyr_net", session.call(&scene.up, now() + 1, &json!({"preflight": true}))).await,
    ];
    for refused in refusals {
        assert_eq!(
            (&refused["code"], &refused["retryable"]),
            (&json!("DB_OVERLOAD"), &json!(true)),
            "{refused}"
        );
        assert_eq!(refused["remediation"]["action"], "BACKOFF");
        assert!(refused["message"].as_str().unwrap().contains("nothing can be recorded"), "{refused}");
    }
    assert_eq!((scene.lookups(), scene.requests(), scene.credits()), (0, 0, 1000));
}
