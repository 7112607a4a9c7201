//! Calls that a person is asked about, on real connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::wire::Protocol;
use doorward_gateway::Approvals;
use doorward_gateway::hold::{Answer, Ask, Stage, Unanswered};
use doorward_store::{GrantScope, Scope, Stop};
use serde_json::{Value, json};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Door, Reply, message_end, message_start, sse, text, tool};

/// Asks about every call of `Bash`.
pub const CARE: &str = "default: allow\nrules: [{ name: care, ask: { tool: Bash } }]\n";

pub const ONCE: Answer = Answer::Approve(GrantScope::Once);

fn watched(seconds: u64) -> Approvals {
    Approvals { always: false, timeout: Duration::from_secs(seconds) }
}

/// A sentence and a call.
pub fn proposing(command: &str) -> String {
    let arguments = json!({"command": command}).to_string();
    [message_start(), text(0, "I will."), tool(1, "Bash", &arguments), message_end()].concat()
}

/// A door whose provider proposes `said`, and how often it was asked.
async fn door(said: String, approvals: Approvals) -> Arc<Door> {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", upstream.local_addr().unwrap());
    let mut door = Door::asking(CARE, Door::untrusted(Protocol::Anthropic, base), approvals).await;
    let asked = Arc::clone(&door.asked);
    door.asked = Arc::clone(&asked);
    tokio::spawn(crate::support::answer_all(upstream, sse(&said), asked));
    Arc::new(door)
}

/// Asks the door in the background.
pub fn ask(door: &Arc<Door>) -> tokio::task::JoinHandle<Reply> {
    let door = Arc::clone(door);
    tokio::spawn(async move { door.ask(Protocol::Anthropic, true, &["Bash"]).await })
}

/// The questions that wait, once there are `count`.
pub async fn waiting(door: &Door, count: usize) -> Vec<Arc<Ask>> {
    let begin = Instant::now();
    loop {
        let all = door.gateway.hold().overview().asks;
        let waiting: Vec<_> =
            all.into_iter().filter(|(_, stage)| *stage == Stage::Waiting).map(|(ask, _)| ask).collect();
        if waiting.len() == count {
            return waiting;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{} wait instead of {count}", waiting.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn answer(door: &Door, id: &str, answer: Answer) {
    door.gateway.hold().answer(id, answer, "unauthenticated", "").await.unwrap();
}

fn events(door: &Door) -> Vec<String> {
    let receipts = door.receipts();
    receipts.iter().filter_map(|receipt| Some(receipt["control"]["event"].as_str()?.to_owned())).collect()
}

/// The decision about the newest call.
fn decided(door: &Door) -> Value {
    let receipts = door.receipts();
    let mut calls = receipts.into_iter().rev().filter(|receipt| receipt["action"]["kind"] == "tool_call");
    calls.find(|receipt| receipt["kind"] == "decision").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_releases_the_call_byte_for_byte() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let asking = ask(&door);
    let [asked] = &waiting(&door, 1).await[..] else { panic!() };
    assert_eq!(asked.content, r#"{"command":"make deploy"}"#);
    assert_eq!((asked.tool.as_deref(), &*asked.agent, asked.whole), (Some("Bash"), "tester", true));
    assert_eq!(&*asked.commands[0], "make deploy");
    assert!(asked.reasons.iter().any(|reason| reason.rule == "policy.care"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asking.is_finished(), "it was not held");
    answer(&door, &asked.id, ONCE).await;
    assert_eq!(asking.await.unwrap().body, said);

    assert_eq!(events(&door), ["approval_requested", "approval_granted"]);
    let decision = decided(&door);
    assert_eq!((&decision["of"], &decision["decision"]["verdict"]), (&json!(&*asked.id), &json!("audit")));
    assert!(decision["decision"]["reasons"].to_string().contains("approved once by unauthenticated"));
    // Once is once.
    let again = ask(&door);
    waiting(&door, 1).await;
    again.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_a_block_with_the_persons_words() {
    let door = door(proposing("make deploy"), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let asking = ask(&door);
    let asked = waiting(&door, 1).await;
    let hold = door.gateway.hold();
    hold.answer(&asked[0].id, Answer::Deny, "operator-token", "not on a Friday").await.unwrap();
    let reply = asking.await.unwrap();
    assert!(reply.body.contains("said no: not on a Friday"), "{}", reply.body);
    assert!(!reply.body.contains("tool_use\""), "{}", reply.body);
    assert_eq!(events(&door), ["approval_requested", "approval_denied"]);
    let second = hold.answer(&asked[0].id, Answer::Deny, "operator-token", "").await;
    assert!(matches!(second, Err(Unanswered::Already(..))), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_a_block_at_once() {
    let door = door(proposing("make deploy"), watched(60)).await;
    let begin = Instant::now();
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert!(reply.body.contains("nobody is there to be asked"), "{}", reply.body);
    assert_eq!(events(&door), ["approval_missed"], "nobody was asked");
    assert_eq!(decided(&door)["decision"]["reasons"][0]["rule"], "hold.nobody-to-ask");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_was_there_for_can_be_allowed_afterwards() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        assert!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body.contains("approvals list"));
        let asks = door.gateway.hold().overview().asks;
        ids.extend(asks.iter().map(|(ask, _)| ask.id.to_string()));
        assert_eq!(asks.last().unwrap().1, Stage::Missed);
    }
    assert_eq!(ids.len(), 1, "the same action is one question");
    assert_eq!(events(&door), ["approval_missed"]);
    let id = ids.pop_first().unwrap();
    assert_eq!(decided(&door)["of"], json!(id));
    let late = door.gateway.hold().answer(&id, Answer::Deny, "x", "").await;
    assert!(matches!(late, Err(Unanswered::Already(..))), "a late no changes nothing: {late:?}");
    answer(&door, &id, ONCE).await;
    assert_eq!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body, said, "the next try passes");
    let again = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(again.body.contains("nobody is there to be asked"), "once is once: {}", again.body);
}

/// What one agent is not asked about does not drive out what others wait for.
#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_missed_questions_of_an_agent_are_kept() {
    let provider: Arc<std::sync::Mutex<Vec<u8>>> = Arc::default();
    let base = crate::benign::provider(Arc::clone(&provider)).await;
    let door = Door::asking(CARE, Door::untrusted(Protocol::Anthropic, base), watched(60)).await;
    for n in 0..20 {
        *provider.lock().unwrap() = sse(&proposing(&format!("make deploy-{n}")));
        door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    }
    assert_eq!(door.gateway.hold().overview().asks.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_is_a_block_and_a_late_yes_lets_the_next_try_pass() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(1)).await;
    let _person = door.gateway.hold().watching();
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(reply.body.contains("nobody answered within 1 s"), "{}", reply.body);
    assert_eq!(events(&door), ["approval_requested", "approval_ended"]);
    let (asked, stage) = door.gateway.hold().overview().asks.pop().unwrap();
    assert_eq!(stage, Stage::TimedOut);
    answer(&door, &asked.id, ONCE).await;
    assert_eq!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body, said);
    assert_eq!(decided(&door)["of"], json!(&*asked.id));
}

/// A yes for one action, which two identical ones find at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn two_calls_that_race_for_one_grant_do_not_both_get_it() {
    let said = proposing("make deploy");
    for round in 0..8 {
        let door = door(said.clone(), watched(1)).await;
        let person = door.gateway.hold().watching();
        door.ask(Protocol::Anthropic, true, &["Bash"]).await;
        let (asked, _) = door.gateway.hold().overview().asks.pop().unwrap();
        answer(&door, &asked.id, ONCE).await;
        let (one, other) = (ask(&door), ask(&door));
        let (one, other) = (one.await.unwrap().body, other.await.unwrap().body);
        let released = usize::from(one == said) + usize::from(other == said);
        assert_eq!(released, 1, "round {round}: {one}\n{other}");
        drop(person);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_for_a_session_outlives_a_restart_until_it_is_taken_back() {
    let said = proposing("make deploy");
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", upstream.local_addr().unwrap());
    tokio::spawn(crate::support::answer_all(upstream, sse(&said), Arc::default()));
    let settings = || Door::untrusted(Protocol::Anthropic, base.clone());
    let door = Arc::new(Door::asking(CARE, settings(), watched(60)).await);
    let person = door.gateway.hold().watching();
    let asking = ask(&door);
    let asked = waiting(&door, 1).await;
    answer(&door, &asked[0].id, Answer::Approve(GrantScope::Session)).await;
    assert_eq!(asking.await.unwrap().body, said);
    assert_eq!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body, said);
    drop(person);

    let door = Arc::into_inner(door).unwrap().restart(settings(), Mode::Block).await;
    // Nobody is there, and nobody needs to be.
    assert_eq!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body, said);
    let grants = door.gateway.hold().overview().grants;
    assert_eq!((grants.len(), grants[0].agent.as_str()), (1, "tester"));
    door.gateway.hold().revoke(&grants[0].id, "unauthenticated", "enough").await.unwrap();
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(reply.body.contains("nobody is there to be asked"), "{}", reply.body);
    let door = door.restart(settings(), Mode::Block).await;
    assert!(door.gateway.hold().overview().grants.is_empty(), "the restart brought it back");
    assert!(events(&door).contains(&"approval_revoked".to_owned()));
}

/// What a person has scrubbed, this process knows no more: neither what was allowed nor what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_and_asked_is_forgotten_with_its_agent() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let asking = ask(&door);
    let asked = waiting(&door, 1).await;
    door.gateway.forget("tester");
    assert_eq!(door.gateway.hold().overview().asks.len(), 1, "what waits goes on");
    answer(&door, &asked[0].id, Answer::Approve(GrantScope::Session)).await;
    assert_eq!(asking.await.unwrap().body, said);
    let known = || {
        (door.gateway.hold().overview().grants.len(), door.gateway.hold().question(&asked[0].id).is_some())
    };
    assert_eq!(known(), (1, true));
    door.gateway.forget("other");
    assert_eq!(known(), (1, true));
    door.gateway.forget("tester");
    assert_eq!(known(), (0, false));
    let again = ask(&door);
    assert_eq!(waiting(&door, 1).await.len(), 1, "a person is asked again");
    again.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_denied_three_times_does_not_ask_again_until_a_person_wants_it() {
    let door = door(proposing("make deploy"), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let mut last = None;
    for _ in 0..3 {
        let asking = ask(&door);
        let asked = waiting(&door, 1).await;
        answer(&door, &asked[0].id, Answer::Deny).await;
        assert!(asking.await.unwrap().body.contains("said no"));
        last = Some(asked[0].id.to_string());
    }
    let begin = Instant::now();
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert!(reply.body.contains("hold.denied-repeatedly"), "{}", reply.body);
    assert!(reply.body.contains("Stop asking for it"), "{}", reply.body);
    door.gateway.hold().reset(&last.unwrap(), "unauthenticated", "").await.unwrap();
    let asking = ask(&door);
    waiting(&door, 1).await;
    asking.abort();
    assert!(events(&door).contains(&"approval_reset".to_owned()));
}

/// What is in force when the person answers decides, not what was when they were asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_yes_lifts_nothing_that_came_up_meanwhile() {
    let said = proposing("make deploy");
    for (then, rule) in [
        (
            "rules: [{ name: care, ask: { tool: Bash } }, { name: never, deny: { tool: Bash } }]",
            "policy.never",
        ),
        ("rules: [{ name: other, ask: { tool: Bash } }]", "hold.denied"),
        ("rules: [{ name: care, ask: { tool: Bash } }]", ""),
        ("rules: []", ""),
    ] {
        let door = door(said.clone(), watched(60)).await;
        let _person = door.gateway.hold().watching();
        let asking = ask(&door);
        let asked = waiting(&door, 1).await;
        door.judge_by(engine(&format!("default: allow\n{then}\n")), Mode::Block);
        answer(&door, &asked[0].id, ONCE).await;
        if rule == "hold.denied" {
            // Another question has come up, and is put.
            let asked = waiting(&door, 1).await;
            assert!(asked[0].reasons.iter().any(|reason| reason.rule == "policy.other"));
            answer(&door, &asked[0].id, Answer::Deny).await;
        }
        let reply = asking.await.unwrap();
        match rule {
            "" => assert_eq!(reply.body, said, "{then}"),
            rule => assert!(reply.body.contains(rule), "{then}: {}", reply.body),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_waiting() {
    let door = door(proposing("make deploy"), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let asking = ask(&door);
    let asked = waiting(&door, 1).await;
    let stop = Stop { by: "test".into(), reason: String::new(), since: 1 };
    door.store.kill(Scope::All, stop).await.unwrap();
    let reply = asking.await.unwrap();
    assert!(reply.body.contains("stopped by its operator"), "{}", reply.body);
    let begin = Instant::now();
    loop {
        let (_, stage) = door.gateway.hold().question(&asked[0].id).unwrap();
        if stage != Stage::Waiting {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late = door.gateway.hold().answer(&asked[0].id, Answer::Deny, "x", "").await;
    assert!(matches!(late, Err(Unanswered::Already(..))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_wait() {
    let door = door(proposing("make deploy"), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let asking: Vec<_> = (0..16).map(|_| ask(&door)).collect();
    waiting(&door, 16).await;
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(reply.body.contains("16 actions of this agent wait"), "{}", reply.body);
    asking.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_review_is_not_asked() {
    let door = door(proposing(&format!("echo {}", "x".repeat(300_000))), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(reply.body.contains("more than a person can review"));
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_mode_holds_nothing() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    door.judge_by(engine(CARE), Mode::Monitor);
    let _person = door.gateway.hold().watching();
    assert_eq!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body, said);
    assert_eq!(decided(&door)["decision"]["verdict"], "ask");
    assert!(door.gateway.hold().overview().asks.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_the_process_ends_is_told_so() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    let person = door.gateway.hold().watching();
    let asking = ask(&door);
    let asked = waiting(&door, 1).await;
    door.gateway.hold().stop();
    let reply = asking.await.unwrap();
    assert!(reply.body.contains("Doorward is stopping"), "{}", reply.body);
    assert_eq!(events(&door), ["approval_requested", "approval_ended"]);
    drop(person);
    let settings = Door::untrusted(Protocol::Anthropic, "http://127.0.0.1:1".into());
    let door = Arc::into_inner(door).unwrap().restart(settings, Mode::Block).await;
    let gone = door.gateway.hold().answer(&asked[0].id, ONCE, "x", "").await;
    assert!(matches!(gone, Err(Unanswered::Unknown(_))), "{gone:?}");
}

/// A request on a connection that the test holds.
async fn begin(door: &Door) -> TcpStream {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let body = json!({"model": "m", "max_tokens": 9, "stream": true,
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "please"}]})
    .to_string();
    let head = format!(
        "POST /t/{}/anthropic/v1/messages HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nconnection: \
         close\r\ncontent-length: {}\r\n\r\n{body}",
        door.token,
        door.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The client gives up while the person thinks, and asks the same again: before the answer, or after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gave_up_gets_the_one_reply_when_it_asks_again() {
    let said = proposing("make deploy");
    for before in [true, false] {
        let door = door(said.clone(), watched(60)).await;
        let _person = door.gateway.hold().watching();
        let impatient = begin(&door).await;
        let asked = waiting(&door, 1).await;
        drop(impatient);
        // It is noticed, and nothing is cancelled.
        tokio::time::sleep(Duration::from_millis(300)).await;
        waiting(&door, 1).await;
        let again = if before {
            let again = ask(&door);
            tokio::time::sleep(Duration::from_millis(300)).await;
            waiting(&door, 1).await;
            answer(&door, &asked[0].id, ONCE).await;
            again.await.unwrap()
        } else {
            answer(&door, &asked[0].id, ONCE).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            door.ask(Protocol::Anthropic, true, &["Bash"]).await
        };
        assert_eq!(again.body, said, "{before}");
        assert!(again.head.contains("content-type: text/event-stream"), "{}", again.head);
        assert_eq!(door.asked.lock().unwrap().len(), 1, "the provider was asked twice");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let receipts = door.receipts();
        let results: Vec<&str> =
            receipts.iter().filter_map(|receipt| receipt["outcome"]["result"].as_str()).collect();
        assert!(results.contains(&"kept") && results.contains(&"completed"), "{results:?}");
        let opened: Vec<&Value> = receipts.iter().filter(|receipt| receipt["kind"] == "opened").collect();
        assert_eq!((opened.len(), &opened[1]["of"]), (2, &opened[0]["id"]));
        // It is given once: who asks after that asks the provider.
        let third = ask(&door);
        waiting(&door, 1).await;
        assert_eq!(door.asked.lock().unwrap().len(), 2);
        third.abort();
    }
}

/// Whoever asks something else, or is somebody else, does not get it; nor does anybody under another policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_reply_is_for_the_same_request_under_the_same_policy() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let impatient = begin(&door).await;
    let asked = waiting(&door, 1).await;
    drop(impatient);
    tokio::time::sleep(Duration::from_millis(300)).await;
    answer(&door, &asked[0].id, ONCE).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let other = Arc::clone(&door);
    let other = tokio::spawn(async move { other.ask(Protocol::Anthropic, true, &["Bash", "Read"]).await });
    waiting(&door, 1).await;
    assert_eq!(door.asked.lock().unwrap().len(), 2);
    other.abort();
    door.judge_by(engine("default: allow\nrules: [{ name: never, deny: { tool: Bash } }]\n"), Mode::Block);
    let reply = door.ask(Protocol::Anthropic, true, &["Bash"]).await;
    assert!(reply.body.contains("policy.never"), "{}", reply.body);
}

/// Ten seconds of thinking, on a stream, on a JSON reply, and in OpenAI's protocol.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_that_its_connection_lives() {
    let events = proposing("make deploy");
    let input = json!({"command": "make deploy"});
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "x",
        "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": input}],
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
    .to_string();
    let function = json!({"name": "Bash", "arguments": input.to_string()});
    let call = json!([{"index": 0, "id": "c1", "type": "function", "function": function}]);
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]})
        )
    };
    let chat = chunk(json!({"role": "assistant", "content": null, "tool_calls": call}), Value::Null)
        + &chunk(json!({}), json!("tool_calls"))
        + "data: [DONE]\n\n";
    let json_reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{message}",
        message.len()
    );
    let cases = [
        (
            Protocol::Anthropic,
            true,
            sse(&events),
            events.clone(),
            "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        ),
        (Protocol::Anthropic, false, json_reply.into_bytes(), message, " "),
        (Protocol::OpenAi, true, sse(&chat), chat, ": doorward\n\n"),
    ];
    let cases = cases.map(|(protocol, stream, answer_bytes, said, ping)| async move {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", upstream.local_addr().unwrap());
        tokio::spawn(crate::support::answer_all(upstream, answer_bytes, Arc::default()));
        let door = Arc::new(Door::asking(CARE, Door::untrusted(protocol, base), watched(60)).await);
        let _person = door.gateway.hold().watching();
        let own = Arc::clone(&door);
        let asking = tokio::spawn(async move { own.ask(protocol, stream, &["Bash"]).await });
        let asked = waiting(&door, 1).await;
        tokio::time::sleep(Duration::from_millis(11_000)).await;
        answer(&door, &asked[0].id, ONCE).await;
        let reply = asking.await.unwrap();
        assert_eq!(
            reply.body.matches(ping).count().min(3),
            if ping == " " { 3 } else { 2 },
            "{}",
            reply.body
        );
        let rest =
            if ping == " " { reply.body.trim_start().to_owned() } else { reply.body.replace(ping, "") };
        assert_eq!(rest, said);
        if ping == " " {
            assert_eq!(reply.body.len() - rest.len(), 2);
        }
    });
    for case in cases.map(|case| tokio::spawn(case)) {
        case.await.unwrap();
    }
}

/// A request itself can be asked about, before it goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_before_it_goes() {
    let said = [message_start(), text(0, "Hello."), message_end()].concat();
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", upstream.local_addr().unwrap());
    let policy = "default: allow\nrules: [{ name: large, ask: { body: { jsonpath: $.model, exact: m } } }]\n";
    let mut door = Door::asking(policy, Door::untrusted(Protocol::Anthropic, base), watched(60)).await;
    let counted = Arc::default();
    door.asked = Arc::clone(&counted);
    tokio::spawn(crate::support::answer_all(upstream, sse(&said), counted));
    let door = Arc::new(door);
    let _person = door.gateway.hold().watching();
    let gone = begin(&door).await;
    let first = waiting(&door, 1).await;
    assert_eq!((first[0].kind, door.asked.lock().unwrap().len()), ("model_request", 0));
    // Who gives up before it went has asked nobody; the yes is for the next try.
    drop(gone);
    waiting(&door, 0).await;
    answer(&door, &first[0].id, ONCE).await;
    assert_eq!(door.ask(Protocol::Anthropic, true, &["Bash"]).await.body, said);
    assert_eq!(door.asked.lock().unwrap().len(), 1);
}

/// Who has said yes to two questions, one after the other, is not asked the first again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_stays_so_while_another_question_is_answered() {
    let said = proposing("make deploy");
    let door = door(said.clone(), watched(60)).await;
    let _person = door.gateway.hold().watching();
    let asking = ask(&door);
    let both = "rules: [{ name: care, ask: { tool: Bash } }, { name: other, ask: { tool: Bash } }]";
    for (count, rule) in [(1, "policy.care"), (2, "policy.other")] {
        let asked = waiting(&door, 1).await;
        assert!(asked[0].reasons.iter().any(|reason| reason.rule == rule), "{count}");
        door.judge_by(engine(&format!("default: allow\n{both}\n")), Mode::Block);
        answer(&door, &asked[0].id, ONCE).await;
    }
    let reply = tokio::time::timeout(Duration::from_secs(10), asking).await.expect("asked again").unwrap();
    assert_eq!(reply.body, said);
}

fn engine(policy: &str) -> Engine {
    let policy = Policy::compile(&[Source { name: "policy.yaml", text: policy }]).unwrap();
    Engine::new(RuleSet::shipped().unwrap().into(), policy.into(), Surroundings::default())
}
