//! What the routes do.

use std::time::Duration;

use doorward_control::Settlement;
use doorward_store::{AgentName, GrantScope, Scope};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::served::{Paper, no_ledger, served, served_with};

#[tokio::test]
async fn health_and_readiness() {
    let served = served().await;
    assert_eq!(served.send("GET", "/healthz", "", "").await.status, 200);
    assert_eq!(served.send("GET", "/readyz", "", "").await.json()["ready"], true);
    *served.desk.trouble.lock().unwrap() = Some(no_ledger());
    assert_eq!(served.send("GET", "/healthz", "", "").await.status, 200);
    let reply = served.send("GET", "/readyz", "", "").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "ledger_unavailable"));
    let status = served.operator("GET", "/v1/status", "").await.json();
    assert_eq!((&status["ready"], &status["not_ready"]), (&false.into(), &"the ledger cannot append".into()));
}

#[tokio::test]
async fn kill_and_resume_carry_who_what_and_why() {
    let served = served().await;
    let reply = served.operator("POST", "/v1/kill", r#"{"agent":"alice","reason":"loops \"again\""}"#).await;
    let answer = reply.json();
    assert_eq!(answer["approver"], "operator-token");
    assert_eq!(answer["kill"]["revision"], 7);
    assert_eq!(answer["kill"]["all"], false);
    assert_eq!(answer["kill"]["acts"]["agents"]["alice"]["reason"], "loops \"again\"");
    let answer = served.operator("POST", "/v1/kill", "{}").await.json();
    assert_eq!(answer["kill"]["all"], true);
    assert_eq!(answer["kill"]["acts"]["all"]["by"], "operator-token");
    served.operator("POST", "/v1/resume", r#"{"agent":null}"#).await.json();

    let acts = served.desk.acts.lock().unwrap();
    let seen: Vec<_> =
        acts.iter().map(|(verb, act)| (*verb, act.scope.clone(), act.reason.as_str())).collect();
    let alice = Scope::Agent(AgentName::new("alice").unwrap());
    assert_eq!(
        seen,
        [("kill", alice, "loops \"again\""), ("kill", Scope::All, ""), ("resume", Scope::All, "")]
    );
    assert!(acts.iter().all(|(_, act)| act.approver.authenticated));
}

#[tokio::test]
async fn an_unprotected_token_makes_an_unauthenticated_approver() {
    let served = served_with(Paper::default(), false).await;
    let answer = served.operator("POST", "/v1/kill", "{}").await.json();
    assert_eq!(answer["approver"], "unauthenticated");
    assert_eq!(answer["kill"]["acts"]["all"]["by"], "unauthenticated");
}

#[tokio::test]
async fn a_body_that_is_not_meant_does_nothing() {
    let served = served().await;
    for body in
        ["", "x", "[]", r#"{"agnet":"alice"}"#, r#"{"agent":"Alice"}"#, r#"{"agent":"a","agent":null}"#]
    {
        for path in ["/v1/kill", "/v1/resume"] {
            let reply = served.operator("POST", path, body).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "bad_body"), "{body:?}");
        }
    }
    for content_type in
        ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"]
    {
        let headers = format!("{}{content_type}", served.bearer());
        let reply = served.send("POST", "/v1/kill", &headers, "{}").await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "not_json"), "{content_type:?}");
    }
    assert!(served.desk.acts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn receipts_and_status() {
    let served = served().await;
    let list = served.operator("GET", "/v1/receipts?limit=7&before=r9", "").await.json();
    assert_eq!(list["receipts"][0]["limit"], 7);
    assert_eq!(list["receipts"][0]["before"], "r9");
    assert_eq!(list["receipts"][1]["id"], "r1");
    assert_eq!(served.operator("GET", "/v1/receipts", "").await.json()["receipts"][0]["limit"], 50);
    assert_eq!(served.operator("GET", "/v1/receipts?limit=0", "").await.code(), "bad_query");
    assert_eq!(served.operator("GET", "/v1/receipts/r1", "").await.json()["id"], "r1");
    let missing = served.operator("GET", "/v1/receipts/r2", "").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "no_such_receipt"));

    let status = served.operator("GET", "/v1/status", "").await.json();
    assert_eq!(status["mode"], "block");
    assert_eq!(status["agents"][0], "alice");
    assert_eq!((&status["ready"], &status["not_ready"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(status["kill"]["acts"]["all"], serde_json::Value::Null);
}

/// A person who presses the switch and loses the connection has pressed it.
#[tokio::test]
async fn an_act_is_finished_though_the_person_hangs_up() {
    let served = served_with(Paper { delay: Duration::from_millis(300), ..Paper::default() }, true).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let (host, bearer) = (served.host(), served.bearer());
    let head = format!("POST /v1/kill HTTP/1.1\r\n{host}{bearer}Content-Type: application/json\r\n");
    stream.write_all(format!("{head}Content-Length: 2\r\n\r\n{{}}").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(served.desk.acts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn sessions_are_listed_and_changed_with_the_operators_token_alone() {
    let served = served().await;
    let all = served.operator("GET", "/v1/sessions", "").await.json();
    assert_eq!(all["dropped"], 4);
    let first = &all["sessions"][0];
    assert_eq!((&first["session"], &first["agent"]), (&"alice/x".into(), &"alice".into()));
    assert_eq!((&first["actions"], &first["blocked"], &first["stopped"]), (&3.into(), &2.into(), &().into()));
    let body = r#"{"session":"alice/y","act":"mode","mode":"observe"}"#;
    let changed = served.operator("POST", "/v1/sessions", body).await.json();
    assert_eq!((&changed["session"], &changed["mode"]), (&"alice/y".into(), &"observe".into()));
    let bad = served.operator("POST", "/v1/sessions", r#"{"session":"alice/y","act":"off"}"#).await;
    assert_eq!((bad.status, bad.code().as_str()), (400, "bad_body"));
    assert_eq!(served.send("GET", "/v1/sessions", "", "").await.status, 401);
    let json = "Content-Type: application/json\r\n";
    assert_eq!(served.send("POST", "/v1/sessions", json, body).await.status, 401);
    let stop = served.operator("POST", "/v1/kill", r#"{"session":"alice/x","reason":"r"}"#).await.json();
    assert_eq!(stop["kill"]["acts"]["sessions"]["alice/x"]["reason"], "r");
}

#[tokio::test]
async fn questions_are_answered_by_who_has_the_token() {
    let served = served_with(Paper::default(), false).await;
    for path in ["/v1/approvals", "/v1/approvals?wait=1", "/v1/approvals/r1"] {
        assert_eq!(served.send("GET", path, "", "").await.status, 401, "{path}");
    }
    let json = "Content-Type: application/json\r\n";
    for verb in ["approve", "deny", "revoke", "reset"] {
        let path = format!("/v1/approvals/r1/{verb}");
        assert_eq!(served.send("POST", &path, json, r#"{"scope":"once"}"#).await.status, 401, "{path}");
    }
    assert!(served.desk.settled.lock().unwrap().is_empty());

    assert_eq!(served.operator("GET", "/v1/approvals", "").await.json()["watch"], "None");
    let watched = served.operator("GET", "/v1/approvals?wait=2&after=9", "").await.json();
    assert_eq!(watched["watch"], "Some((9, 2s))");
    assert_eq!(served.operator("GET", "/v1/approvals?wait=31", "").await.code(), "bad_query");
    assert_eq!(served.operator("GET", "/v1/approvals/r1", "").await.json()["id"], "r1");
    assert_eq!(served.operator("GET", "/v1/approvals/r2", "").await.code(), "no_such_approval");
    let path = "/v1/approvals/r1/approve";
    assert_eq!(served.operator("POST", path, r#"{"scope":"ever"}"#).await.code(), "bad_body");
    served.operator("POST", path, r#"{"scope":"session","reason":"ok"}"#).await.json();
    for verb in ["deny", "revoke", "reset"] {
        served.operator("POST", &format!("/v1/approvals/r1/{verb}"), "{}").await.json();
    }
    let settled = served.desk.settled.lock().unwrap();
    let (id, settlement, reason, by) = &settled[0];
    assert_eq!((id.as_str(), reason.as_str(), by.as_str()), ("r1", "ok", "unauthenticated"));
    assert_eq!(*settlement, Settlement::Approve(GrantScope::Session));
    let rest: Vec<_> = settled.iter().skip(1).map(|(_, settlement, ..)| *settlement).collect();
    assert_eq!(rest, [Settlement::Deny, Settlement::Revoke, Settlement::Reset]);
}

#[tokio::test]
async fn a_webhooks_secret_is_rotated_by_the_documented_route() {
    let served = served().await;
    let wish = |answer: serde_json::Value| answer["wish"].clone();
    let path = "/v1/console/webhooks/whk_1/rotate";
    let at_once = served.send("POST", path, &served.bearer(), "").await;
    assert_eq!(wish(at_once.json()), serde_json::json!({"act": "rotate", "webhook": "whk_1"}));
    let overlapping = served.operator("POST", &format!("{path}?overlap=24h"), "").await;
    assert_eq!(wish(overlapping.json())["overlap"], "24h");
    for bad in [
        "?overlap=",
        "?overlap=24h&overlap=1h",
        "?overlap=%3Cx",
        "?until=1",
        "?overlap=aaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        assert_eq!(served.operator("POST", &format!("{path}{bad}"), "").await.status, 400, "{bad}");
    }
    assert_eq!(served.send("POST", path, "", "").await.status, 401);
    assert_eq!(served.operator("GET", "/v1/webhooks", "").await.json()["webhooks"], serde_json::json!([]));
    let acted = served.operator("POST", "/v1/webhooks", r#"{"act":"pause","webhook":"whk_1"}"#).await;
    assert_eq!(wish(acted.json())["act"], "pause");
}
