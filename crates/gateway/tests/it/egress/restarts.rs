//! What was here before a restart counts once after it.

use serde_json::{Value, json};

use super::redirects::Site;
use super::*;

fn outcome(answer: &Value) -> String {
    let said = answer["code"].as_str().or(answer["outcome"].as_str());
    said.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Whoever has seen a handshake go by opens no session with it, and is not told the balance.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_counts_once_over_restarts() {
    let mut scene = Scene::new().await;
    let (wish, unseen) = (scene.wish("a-1"), scene.wish("a-1"));
    assert!(scene.tool("audit_sess", wish.clone()).await["sess_token"].is_string());
    // One that was refused for want of a key that may be used is spent as well.
    scene.door.store.change_key(&scene.key.id, |key| Ok(key.in_state(KeyState::Paused, 0))).await.unwrap();
    let paused = scene.wish("a-2");
    assert_eq!(outcome(&scene.tool("audit_sess", paused.clone()).await), "KEY_PAUSED");
    scene.door.store.change_key(&scene.key.id, |key| Ok(key.in_state(KeyState::Active, 0))).await.unwrap();
    for killed in [true, false] {
        scene = if killed { scene.crash().await } else { scene.restart().await };
        for spent in [&wish, &paused] {
            let answer = scene.tool("audit_sess", spent.clone()).await;
            assert_eq!(outcome(&answer), "AUTH_FAILED", "{answer}");
            assert!(answer.get("balance").is_none() && answer.get("sess_token").is_none(), "{answer}");
        }
    }
    // What nobody has shown yet still opens one.
    assert!(scene.tool("audit_sess", unseen).await["sess_token"].is_string());
    assert!(!scene.session("a-1").await.token.is_empty());
}

/// A clock that runs ahead for a while forgets handshakes; their seconds stay forgotten once it is right again.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_makes_no_handshake_count_twice_over_a_restart() {
    let scene = Scene::new().await;
    let wish = scene.wish("a-1");
    assert!(scene.tool("audit_sess", wish.clone()).await["sess_token"].is_string());
    let store = &scene.door.store;
    let second: u64 = wish["ts"].as_str().unwrap().parse().unwrap();
    // As the door tells the store to when it sees that the second is long gone.
    store.forget_handshakes((second + 1, second + 1000), vec![(second, second)]);
    store.flush().await.unwrap();
    let scene = scene.restart().await;
    assert_eq!(outcome(&scene.tool("audit_sess", wish).await), "AUTH_FAILED");
}

/// Signatures that were made in a session end with it, in either form, and so do those of what is only checked.
#[tokio::test(flavor = "multi_thread")]
async fn no_signature_outlives_its_session() {
    for (set, colons) in [("length-prefixed", false), ("eight-part", true)] {
        let scene = Scene::with(&[("signature", set)], egress::Settings::default(), OK).await;
        let session = scene.session("a-1").await;
        let at = now();
        let sent = session.call(&scene.up, at, &json!({"colons": colons}));
        let checked =
            session.call(&format!("{}/x", scene.up), at, &json!({"colons": colons, "preflight": true}));
        let unseen = session.call(&format!("{}/y", scene.up), at, &json!({"colons": colons}));
        assert_eq!(outcome(&scene.tool("sphyr_net", sent.clone()).await), "ALLOWED", "{set}");
        assert_eq!(outcome(&scene.tool("sphyr_net", checked.clone()).await), "PREFLIGHT_OK");
        let usage = json!({"sess_token": &session.token, "ts": at.to_string(), "sig":
            sign::sign(session.secret.as_bytes(), &sign::usage(&session.token, &at.to_string()))});
        assert!(scene.tool("usage_summary", usage.clone()).await["credit_balance"].is_number());
        let (requests, credits) = (scene.requests(), scene.credits());
        let scene = scene.restart().await;
        // Another session of the same agent gives them no right either.
        let other = scene.session("a-1").await;
        for call in [&sent, &checked, &unseen] {
            assert_eq!(outcome(&scene.tool("sphyr_net", call.clone()).await), "SESS_INVALID", "{set} {call}");
            let mut moved = call.clone();
            moved["sess_token"] = json!(other.token);
            assert_eq!(outcome(&scene.tool("sphyr_net", moved).await), "SIG_INVALID", "{set} {call}");
        }
        assert_eq!(outcome(&scene.tool("usage_summary", usage).await), "SESS_INVALID");
        assert_eq!((scene.requests(), scene.credits()), (requests, credits));
    }
}

/// What was done before a restart is not done again after it: the same gets its answer, or is told that it may have been done.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_once_is_done_once_over_a_restart() {
    let scene = Scene::new().await;
    let site = Site::new(|request| match request.contains("/hangs") {
        true => String::new(),
        false => "HTTP/1.1 201 Created\r\nx-more: 1\r\ncontent-length: 8\r\n\r\norder 00".to_owned(),
    })
    .await;
    let post = |path: &str, key: &str, body: &str| {
        json!({"url": format!("{}/{path}", site.url), "method": "POST", "body": body,
               "headers": {"Idempotency-Key": key}})
    };
    let first = scene.net(&post("orders", "k-1", "a")).await;
    assert_eq!((first.status, first.body.as_str()), (201, "order 00"));
    scene.ended().await;
    assert_eq!(scene.net(&post("hangs", "k-2", "a")).await.status, 502);
    let (requests, credits) = (site.requests().len(), scene.credits());
    let mut scene = scene;
    for _ in 0..2 {
        scene = scene.restart().await;
        let again = scene.net(&post("orders", "k-1", "a")).await;
        assert_eq!((again.status, again.body.as_str()), (201, "order 00"));
        assert!(again.head.contains("x-more: 1"), "{}", again.head);
        for (asked, why) in
            [(post("orders", "k-1", "b"), "another request"), (post("hangs", "k-2", "a"), "look")]
        {
            let refused = scene.net(&asked).await;
            let said: Value = serde_json::from_str(&refused.body).unwrap();
            assert_eq!((refused.status, outcome(&said).as_str()), (409, "IDEMPOTENCY_CONFLICT"), "{said}");
            assert_eq!(said["retryable"], false);
            assert!(said["message"].as_str().unwrap().contains(why), "{said}");
        }
    }
    assert_eq!((site.requests().len(), scene.credits()), (requests, credits));
    assert_eq!(scene.net(&post("orders", "k-3", "a")).await.status, 201);
}

/// A process that is killed with a request on its way leaves behind that it may have been done.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_its_way_when_the_process_was_killed_is_not_done_again() {
    let scene = Scene::new().await;
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://up.example:{}/", slow.local_addr().unwrap().port());
    let asked = json!({"url": url, "method": "POST", "body": "x", "headers": {"Idempotency-Key": "k-1"}});
    let line = format!("authorization: Bearer {}\r\n", *scene.key.credential());
    let (address, body) = (scene.address, asked.to_string());
    let sent = tokio::spawn(async move { send(address, "POST", "/v1/net", &line, &body).await });
    // It has reached the other side, who says nothing.
    let (reached, _) = slow.accept().await.unwrap();
    let mut scene = scene.crash().await;
    for _ in 0..2 {
        let refused = scene.net(&asked).await;
        let said: Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!((refused.status, outcome(&said).as_str()), (409, "IDEMPOTENCY_CONFLICT"), "{said}");
        assert_eq!(said["retryable"], false);
        assert!(said["message"].as_str().unwrap().contains("may have been done"), "{said}");
        scene = scene.restart().await;
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(50), slow.accept()).await.is_err(),
        "it was sent again"
    );
    drop(reached);
    sent.abort();
}
