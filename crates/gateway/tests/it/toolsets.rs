//! Calls of toolsets that a request declares by type alone, on their whole way.

use doorward_core::wire::Protocol;
use serde_json::{Value, json};

use crate::support::{Door, Reply, event, message_end, message_start, sse};

fn call(family: &str, name: &str, input: &Value) -> String {
    let block = json!({"type": "tool_use", "id": "t0", "name": name, "toolset_name": family, "input": {}});
    let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
    event("content_block_start", json!({"index": 0, "content_block": block}))
        + &event("content_block_delta", json!({"index": 0, "delta": delta}))
        + &event("content_block_stop", json!({"index": 0}))
}

/// What comes of this call behind a request with these tools.
async fn through(call: &str, tools: Value) -> (String, Reply) {
    let said = message_start() + call + &message_end();
    let door = Door::before(Protocol::Anthropic, sse(&said)).await;
    let request = json!({"model": "m", "max_tokens": 9, "stream": true, "tools": tools,
        "messages": [{"role": "user", "content": "please"}]});
    let target = format!("/t/{}/anthropic/v1/messages", door.token);
    (said, door.send("POST", &target, &request.to_string()).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_declared_toolset_passes_byte_for_byte() {
    for (family, name, input) in [
        ("browser", "navigate", json!({"url": "https://example.com/docs"})),
        ("browser", "read_page", json!({"filter": "interactive"})),
        ("computer", "left_click", json!({"coordinate": [7, 9]})),
        ("computer", "screenshot", json!({})),
    ] {
        let tools = json!([{"type": format!("{family}_toolset_20260801")}]);
        let (said, reply) = through(&call(family, name, &input), tools).await;
        assert_eq!(reply.body, said, "{family} {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_does_is_judged() {
    for (path, blocked) in [("/home/u/.ssh/id_rsa", true), ("/home/u/work/report.pdf", false)] {
        let tools =
            json!([{"type": "browser_toolset_20260801", "configs": {"file_upload": {"enabled": true}}}]);
        let input = json!({"target": {"type": "ref", "ref": "ref_2"}, "paths": [path]});
        let (_, reply) = through(&call("browser", "file_upload", &input), tools).await;
        let notice = reply.body.contains("Blocked the call to `browser.file_upload`");
        assert_eq!(notice, blocked, "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_toolset_is_named_in_the_place_of_its_call() {
    let tools = json!([{"type": "browser_toolset_20270101"}]);
    let (_, reply) =
        through(&call("browser", "navigate", &json!({"url": "https://example.com/"})), tools).await;
    assert!(reply.body.contains("`browser_toolset_20270101`"), "{}", reply.body);
    assert!(reply.body.contains("source.unknown-toolset"), "{}", reply.body);
    assert!(!reply.body.contains("example.com"));
}
