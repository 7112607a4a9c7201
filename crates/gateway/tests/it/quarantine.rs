//! What is held instead of written: through the real server, over sessions, restarts and the end of a killed process.

use std::sync::{Arc, Mutex};

use doorward_core::session::Mode;
use doorward_core::wire::Protocol;
use doorward_gateway::UpstreamSettings;
use doorward_store::quarantine::{Done, MAX_ITEM, State};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Door, Reply, message_end, message_start, send, sse, tool};

/// `\x7fELF…` as the base64 of a file tool and of a shell.
const ENCODED: &str = "f0VMRgIBAQAAAAAAAAAAAAIAPgAB8P+A";

/// An upstream whose answer can be changed.
struct Model {
    answer: Arc<Mutex<Vec<u8>>>,
    base: String,
}

impl Model {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let own = Arc::clone(&own);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
                    let answer = own.lock().unwrap().clone();
                    let _ = stream.write_all(&answer).await;
                });
            }
        });
        Self { answer, base }
    }

    fn upstream(&self) -> UpstreamSettings {
        UpstreamSettings { trusted: true, ..Door::untrusted(Protocol::Anthropic, self.base.clone()) }
    }

    /// From now on it asks for this call.
    fn calls(&self, name: &str, arguments: &Value) {
        let body = message_start() + &tool(0, name, &arguments.to_string()) + &message_end();
        *self.answer.lock().unwrap() = sse(&body);
    }
}

async fn turn(door: &Door, session: &str) -> Reply {
    let tools =
        ["Bash", "Write", "write_file"].map(|name| json!({"name": name, "input_schema": {"type": "object"}}));
    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "tools": tools,
        "messages": [{"role": "user", "content": "please"}]});
    let target = format!("/t/{}/anthropic/v1/messages", door.token);
    let header = format!("doorward-session: {session}\r\n");
    send(door.address, "POST", &target, &header, &body.to_string()).await
}

async fn bash(door: &Door, model: &Model, session: &str, line: &str) -> Reply {
    model.calls("Bash", &json!({ "command": line }));
    turn(door, session).await
}

/// What the agent is told in the place of a call; `None` if it got the call.
fn notice(reply: &Reply) -> Option<String> {
    let events = reply.events();
    let calls = events.iter().filter(|event| event["content_block"]["type"] == "tool_use").count();
    let said: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(calls == 0, said.contains("[doorward]"), "{}", reply.body);
    (calls == 0).then_some(said)
}

fn done(act: &str) -> Done {
    Done { act: act.into(), time: 1, by: "operator-token".into(), to: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_binary_is_kept_and_its_path_is_not_run_in_any_session_ever_after() {
    let model = Model::start().await;
    let mut door = Door::toward(model.upstream(), Mode::Block).await;
    assert_eq!(notice(&bash(&door, &model, "a", "/tmp/tool --help").await), None);
    model.calls("write_file", &json!({"path": "/tmp/tool", "content": ENCODED, "encoding": "base64"}));
    let told = notice(&turn(&door, "a").await).expect("held");
    let item = door.store.quarantine().list().pop().expect("kept");
    assert!(told.contains("Held the call") && told.contains(item.name().get(..16).unwrap()), "{told}");
    assert!(item.kind.contains("Executable and Linkable"), "{}", item.kind);
    let content = door.store.quarantine().content(&item).unwrap();
    assert!(content.starts_with(b"\x7fELF\x02\x01\x01\x00") && content.len() == 24);
    let [place] = item.places.as_slice() else { panic!("{:?}", item.places) };
    assert_eq!((place.path.as_str(), place.tool.as_str()), ("/tmp/tool", "write_file"));
    assert_eq!((place.agent.as_str(), place.session.as_str()), ("tester", "tester/a"));
    assert_eq!(place.rule, "quarantine.native-binary");
    // The receipt says that it was diverted, and is the one that the record names.
    let receipt =
        door.receipts().into_iter().find(|receipt| receipt["id"] == place.receipt.as_str()).unwrap();
    assert_eq!(receipt["decision"]["verdict"], "quarantine");
    assert_eq!(receipt["decision"]["duties"], json!(["divert"]));
    for crash in [false, true] {
        for (session, line) in
            [("a", "/tmp/tool"), ("b", "sh /tmp/tool"), ("c", "chmod +x /tmp/./tool && ls")]
        {
            let told = notice(&bash(&door, &model, session, line).await);
            assert!(told.is_some_and(|told| told.contains("floor.held-path")), "{line}, crash {crash}");
        }
        assert_eq!(notice(&bash(&door, &model, "b", "ls -l /tmp/tool && cat /tmp/other").await), None);
        door = match crash {
            false => door.restart(model.upstream(), Mode::Block).await,
            true => door.crash(model.upstream()).await,
        };
    }
    assert!(notice(&bash(&door, &model, "d", "/tmp/tool").await).is_some());
    // Released, it may be run; at once, and after a restart.
    let item = door.store.quarantine().find(&item.name()).unwrap();
    door.store.quarantine().release(&item, done("release")).unwrap();
    assert_eq!(notice(&bash(&door, &model, "d", "/tmp/tool").await), None);
    let door = door.restart(model.upstream(), Mode::Block).await;
    assert_eq!(notice(&bash(&door, &model, "d", "/tmp/tool").await), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_before_the_agent_is_told_also_for_a_killed_process() {
    let model = Model::start().await;
    let door = Door::toward(model.upstream(), Mode::Block).await;
    let line = format!("cd /tmp && echo {ENCODED} | base64 -d > ./x && chmod +x x && ./x");
    assert!(notice(&bash(&door, &model, "a", &line).await).is_some());
    let door = door.crash(model.upstream()).await;
    let item = door.store.quarantine().list().pop().expect("kept");
    assert_eq!((item.state, item.places[0].path.as_str()), (State::Held, "/tmp/x"));
    assert!(!item.places[0].receipt.is_empty());
    assert_eq!(door.store.quarantine().content(&item).unwrap().len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_monitor_mode_nothing_is_held() {
    let model = Model::start().await;
    let door = Door::toward(model.upstream(), Mode::Monitor).await;
    let line = format!("echo {ENCODED} | base64 -d > /tmp/x");
    assert_eq!(notice(&bash(&door, &model, "a", &line).await), None);
    assert!(door.store.quarantine().list().is_empty());
    let receipts = door.receipts();
    assert!(receipts.iter().any(|receipt| receipt["decision"]["verdict"] == "quarantine"), "{receipts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_the_operator_holds_what_it_says() {
    let model = Model::start().await;
    let policy = "version: 1\nagent: tester\ndefault: allow\nrules:\n  \
        - { name: notes, quarantine: { capability: 'write:file', path: '/srv/notes/**' } }\n  \
        - { name: deploys, quarantine: { tool: deploy } }\n";
    let door = Door::judging(policy, model.upstream()).await;
    model.calls("Write", &json!({"file_path": "/srv/notes/a.md", "content": "what it says"}));
    let told = notice(&turn(&door, "a").await).expect("held");
    assert!(told.contains("notes"), "{told}");
    let item = door.store.quarantine().list().pop().expect("kept");
    assert_eq!(door.store.quarantine().content(&item).unwrap().as_slice(), b"what it says");
    assert_eq!(item.places[0].path, "/srv/notes/a.md");
    assert!(notice(&bash(&door, &model, "b", "sh /srv/notes/a.md").await).is_some());
    // Of a call of which nobody knows what it writes, the arguments are kept.
    model.calls("Write", &json!({"file_path": "/srv/notes/b.md"}));
    assert!(notice(&turn(&door, "a").await).is_some());
    let item = door.store.quarantine().list().into_iter().find(|item| item.kind == "JSON").expect("kept");
    assert_eq!(item.places[0].path, "");
    let content = door.store.quarantine().content(&item).unwrap();
    assert_eq!(content.as_slice(), br#"{"file_path":"/srv/notes/b.md"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_blocked_and_its_path_held() {
    let model = Model::start().await;
    let door = Door::toward(model.upstream(), Mode::Block).await;
    let long = format!("\u{7f}ELF\u{2}{}", "a".repeat(MAX_ITEM));
    model.calls("Write", &json!({"file_path": "/tmp/large", "content": long}));
    let reply = turn(&door, "a").await;
    // Arguments of that length are a fault of their own; whatever stops them, nothing of them goes on.
    assert!(!reply.body.contains("tool_use"), "{}", reply.body.len());
    // A quarantine whose folder cannot be written.
    let folder = door.store.home().root().join("quarantine");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::write(&folder, "in the way").unwrap();
    let line = format!("echo {ENCODED} | base64 -d > /tmp/x");
    let told = notice(&bash(&door, &model, "a", &line).await).expect("blocked");
    assert!(told.contains("floor.quarantine-unkept") && told.contains("Blocked"), "{told}");
    assert!(
        notice(&bash(&door, &model, "b", "/tmp/x").await)
            .is_some_and(|told| told.contains("floor.held-path"))
    );
}
