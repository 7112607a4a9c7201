//! What has to be known again after a restart: calls that were blocked, and tools that were declared. The
//! provider refuses a conversation that leaves a call without its output, as the API does.

use doorward_core::session::Mode;
use doorward_core::wire::Protocol;
use doorward_gateway::UpstreamSettings;
use doorward_store::AgentName;
use doorward_testkit::Provider;
use serde_json::{Value, json};

use crate::support::{Door, Reply};

async fn provider() -> Provider {
    Provider::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn upstream(provider: &Provider) -> UpstreamSettings {
    Door::untrusted(Protocol::OpenAi, provider.url())
}

async fn ask_as(door: &Door, token: &str, scenario: &str, mut more: Value) -> Reply {
    more["model"] = format!("scripted:{scenario}").into();
    more["tools"] = json!([{ "type": "function", "name": "Bash" }, { "type": "web_search" }]);
    door.send("POST", &format!("/t/{token}/openai/v1/responses"), &more.to_string()).await
}

async fn ask(door: &Door, scenario: &str, more: Value) -> Reply {
    ask_as(door, &door.token, scenario, more).await
}

async fn fetch(door: &Door, id: &str) -> Value {
    let reply = door.send("GET", &format!("/t/{}/openai/v1/responses/{id}", door.token), "").await;
    serde_json::from_str(&reply.body).unwrap()
}

fn output(reply: &Reply) -> Vec<Value> {
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(reply.status, 200, "{body}");
    body["output"].as_array().unwrap().clone()
}

/// The last input that the provider was sent.
fn sent(provider: &Provider) -> String {
    let body: Value = serde_json::from_slice(&provider.seen().last().unwrap().body).unwrap();
    body["input"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_a_blocked_call_outlives_a_restart() {
    let provider = provider().await;
    let mut door = Door::toward(upstream(&provider), Mode::Block).await;
    let user = json!({ "role": "user", "content": "List the files, please." });
    let first = output(&ask(&door, "reasoning_evil", json!({ "input": [user] })).await);
    assert_eq!(first[1]["type"], "message", "blocked");
    for _ in 0..2 {
        door = door.restart(upstream(&provider), Mode::Block).await;
        // The provider keeps the history.
        let more = json!({ "input": "go on", "previous_response_id": "resp_reasoning_evil" });
        output(&ask(&door, "text", more).await);
        assert!(sent(&provider).contains("function_call_output"));
        // The client keeps the history.
        let again = json!([user, first[0], first[1], { "role": "user", "content": "go on" }]);
        output(&ask(&door, "text", json!({ "input": again, "store": false })).await);
        // The client sends references to what it takes for stored.
        let reference = json!({ "type": "item_reference", "id": first[1]["id"] });
        output(&ask(&door, "text", json!({ "input": [user, first[0], reference, user] })).await);
        assert!(sent(&provider).contains("function_call_output"));
        assert!(!sent(&provider).contains("item_reference"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_answered_once_also_over_a_restart() {
    let provider = provider().await;
    let door = Door::toward(upstream(&provider), Mode::Block).await;
    let turn =
        |turn: &str| json!({ "input": "go on", "conversation": "conv_1", "metadata": { "turn": turn } });
    ask(&door, "one_evil", turn("1")).await;
    let door = door.restart(upstream(&provider), Mode::Block).await;
    output(&ask(&door, "one_evil", turn("2")).await);
    assert!(sent(&provider).contains("function_call_output"));
    let door = door.restart(upstream(&provider), Mode::Block).await;
    output(&ask(&door, "text", turn("3")).await);
    assert!(!sent(&provider).contains("function_call_output"), "it was answered before the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_knows_nothing_of_it() {
    let provider = provider().await;
    let door = Door::toward(upstream(&provider), Mode::Block).await;
    ask(&door, "one_evil", json!({ "input": "please" })).await;
    let door = door.restart(upstream(&provider), Mode::Block).await;
    let other = door.store.agents().token(&AgentName::new("other").unwrap()).unwrap().expose().to_owned();
    let more = json!({ "input": "go on", "previous_response_id": "resp_one_evil" });
    let refused = ask_as(&door, &other, "text", more.clone()).await;
    assert!(refused.body.contains("No tool output found"), "{}", refused.body);
    output(&ask(&door, "text", more).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_tools_of_a_stored_reply_outlive_a_restart() {
    let provider = provider().await;
    let door = Door::toward(upstream(&provider), Mode::Block).await;
    output(&ask(&door, "tool", json!({ "input": "please" })).await);
    ask(&door, "reasoning_tool", json!({ "input": "please", "store": false })).await;
    let door = door.restart(upstream(&provider), Mode::Block).await;
    assert_eq!(fetch(&door, "resp_tool").await["output"][0]["type"], "function_call");
    // Nobody asked for that one here, or for it to be kept.
    for (id, at) in [("resp_parallel", 0), ("resp_reasoning_tool", 1)] {
        let item = &fetch(&door, id).await["output"][at];
        assert!(item.to_string().contains("[doorward]"), "{id}: {item}");
    }
}
