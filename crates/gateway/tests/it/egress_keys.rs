//! The egress door: what settings and keys have it do, and honeytokens.

use std::sync::Arc;

use doorward_core::Engine;
use doorward_core::detect::canary::{Canaries, Domain, Response, domain};
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::detect::secrets::Secrets;
use doorward_core::detect::secrets::registered::Registered;
use doorward_core::session::Mode;
use doorward_gateway::doors::egress::Settings;
use doorward_store::accounts::KeyState;
use serde_json::{Value, json};

use crate::egress::{OK, Scene, Session, now};
use crate::support::{Reply, send};

/// Of more than 4.5 bits per character.
const DENSE: &str = "k3Jx9QbT0vLzW5pRn2Ys8Gd1";

/// A request by the key's credential, as the agent of this id.
async fn net(scene: &Scene, agent: &str, asked: &Value) -> Reply {
    let line = format!("authorization: Bearer {}\r\ndoorward-agent: {agent}\r\n", *scene.key.credential());
    send(scene.address, "POST", "/v1/net", &line, &asked.to_string()).await
}

/// The code of a refusal, or the outcome.
fn code(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    text("code").or(text("outcome")).unwrap_or_else(|| panic!("{answer}"))
}

async fn set(scene: &Scene, pairs: &[(&str, &str)]) {
    let change = |mut key: doorward_store::accounts::Key| {
        pairs.iter().for_each(|(name, value)| key.settings.set(name, value).unwrap());
        Ok(key)
    };
    scene.door.store.change_key(&scene.key.id, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_says_what_entropy_is_too_much() {
    let scene = Scene::with(&[("rate_agent", "1000")], Settings::default(), OK).await;
    let session = scene.session("a-1").await;
    let url = format!("{}/x?q={DENSE}", scene.up);
    let call = async |more: &[(&str, &str)], body: &str| {
        let default = ["entropy_threshold", "entropy_allow", "entropy_action"].map(|name| (name, "default"));
        set(&scene, &default).await;
        set(&scene, more).await;
        // Each another one.
        let trace = format!("t-{}", scene.door.receipt_count());
        let more = match body {
            "" => json!({"trace_id": trace}),
            body => json!({"mthd": "POST", "body": body, "trace_id": trace}),
        };
        let url = if body.is_empty() { url.as_str() } else { scene.up.as_str() };
        scene.tool("sphyr_net", session.call(url, now(), &more)).await
    };
    let refused = call(&[], "").await;
    assert_eq!(code(&refused), "ENTROPY_BLOCKED", "{refused}");
    let told = refused["message"].as_str().unwrap();
    assert!(
        told.starts_with("the query has a text of ") && told.contains("more than 4.50 (`entropy_threshold`)")
    );
    assert!(!told.contains(DENSE), "{told}");
    for (settings, body, expected) in [
        (&[("entropy_threshold", "6.5")][..], "", "ALLOWED"),
        (&[("entropy_allow", "k3Jx*")], "", "ALLOWED"),
        (&[("entropy_allow", "other,k3Jx*8Gd1")], "", "ALLOWED"),
        (&[("entropy_allow", "k3Jx")], "", "ENTROPY_BLOCKED"),
        (&[("entropy_action", "audit")], "", "ALLOWED"),
        (&[], DENSE, "ENTROPY_BLOCKED"),
        (&[("entropy_allow", DENSE)], DENSE, "ALLOWED"),
        (
            &[("entropy_threshold", "6.5")],
            "{\"key\":\"ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7\"}",
            "ENTROPY_BLOCKED",
        ),
    ] {
        let answer = call(settings, body).await;
        assert_eq!(code(&answer), expected, "{settings:?} {body}: {answer}");
    }
    let strict = call(&[("entropy_threshold", "3.50")], "").await;
    let told = strict["message"].as_str().unwrap();
    assert!(told.contains("more than 3.50 (`entropy_threshold` of the key)"), "{told}");
    // What is only noted is noted.
    call(&[("entropy_action", "audit")], "").await;
    let receipts = scene.door.receipts();
    let decided = receipts.iter().rev().find(|receipt| receipt["kind"] == "decision").unwrap();
    let noted = decided["decision"]["reasons"].to_string();
    assert!(decided["decision"]["verdict"] == "audit" && noted.contains("secret.high-entropy"), "{decided}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entropy_is_noted_by_setting_and_a_key_says_otherwise() {
    let settings = Settings { entropy_noted: true, ..Settings::default() };
    let scene = Scene::with(&[], settings, OK).await;
    let asked = json!({"url": format!("{}/x?q={DENSE}", scene.up)});
    assert_eq!(net(&scene, "a", &asked).await.status, 200);
    set(&scene, &[("entropy_action", "block")]).await;
    let refused = net(&scene, "a", &asked).await;
    assert!(refused.status == 403 && refused.body.contains("ENTROPY_BLOCKED"), "{}", refused.body);
}

fn header(reply: &Reply, name: &str) -> Option<u64> {
    let line = reply.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.map(|value| value.trim().parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}

/// Whichever way in, whatever came of it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_say_what_is_left_by_either_way() {
    let scene = Scene::with(&[("rate_agent", "3")], Settings::default(), OK).await;
    let session = scene.session("a-1").await;
    let call = |url: &str, ts: u64| {
        let call = session.call(url, ts, &json!({}));
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "sphyr_net", "arguments": call}})
    };
    let asked = |url: &str| json!({"url": url});
    let sent = scene.post(&call(&scene.up, now())).await;
    let passed = net(&scene, "a-1", &asked(&scene.up)).await;
    let refused = net(&scene, "a-1", &asked("https://10.0.0.1/")).await;
    for (reply, credits, left) in [(&sent, 999, 2), (&passed, 998, 1), (&refused, 998, 0)] {
        assert_eq!(header(reply, "x-credits-remaining"), Some(credits), "{}", reply.head);
        assert_eq!(header(reply, "x-ratelimit-limit"), Some(3), "{}", reply.head);
        assert_eq!(header(reply, "x-quota-remaining"), header(reply, "x-ratelimit-remaining"));
        assert!(header(reply, "x-ratelimit-remaining").unwrap() >= left, "{}", reply.head);
        assert!(header(reply, "x-ratelimit-reset").unwrap().abs_diff(now()) <= 3, "{}", reply.head);
        let id = reply.head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        assert!(
            scene
                .door
                .receipts()
                .iter()
                .any(|receipt| { receipt["id"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(id)) })
        );
    }
    // Too often: how long to wait, to the millisecond and in whole seconds.
    set(&scene, &[("rate_agent", "1")]).await;
    let mut last = refused;
    for _ in 0..30 {
        last = net(&scene, "a-1", &asked("https://10.0.0.1/")).await;
        if last.status == 429 {
            break;
        }
    }
    let told: Value = serde_json::from_str(&last.body).unwrap();
    let wait = told["retry_after_ms"].as_u64().unwrap();
    assert_eq!((last.status, header(&last, "retry-after")), (429, Some(wait.div_ceil(1000))), "{told}");
    assert_eq!(header(&last, "x-quota-remaining"), Some(0));
    // What a site says of its own rate stays.
    let own = "HTTP/1.1 200 OK\r\nx-ratelimit-remaining: 4711\r\nx-credits-remaining: 9\r\ncontent-length: 0\r\n\r\n";
    let scene = Scene::with(&[], Settings::default(), own).await;
    let reply = net(&scene, "a", &asked(&scene.up)).await;
    assert_eq!(header(&reply, "x-ratelimit-remaining"), Some(4711));
    assert_eq!(
        (header(&reply, "x-ratelimit-limit"), header(&reply, "x-credits-remaining")),
        (None, Some(999))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_is_as_it_is_set() {
    let settings = Settings {
        largest_body: 1024,
        agent_rate: 1,
        mcp_429: true,
        session: 120_000,
        agents_per_key: 1,
        docs: "https://docs.example/e/".into(),
        ..Settings::default()
    };
    let scene = Scene::with(&[], settings, OK).await;
    let session = scene.session("a-1").await;
    let again = scene.tool("audit_sess", wish(&scene, "a-1", "n-a")).await;
    assert_eq!(again["expires_in_sec"], 120, "{again}");
    let second = scene.tool("audit_sess", wish(&scene, "a-2", "n-b")).await;
    assert_eq!(code(&second), "SESSION_CREATE_FAILED", "{second}");
    assert_eq!(second["docs_url"], "https://docs.example/e/SESSION_CREATE_FAILED");
    set(&scene, &[("agents", "2")]).await;
    scene.session("a-2").await;
    let large = json!({"mthd": "POST", "body": "a ".repeat(513)});
    let refused = scene.tool("sphyr_net", session.call(&scene.up, now(), &large)).await;
    assert_eq!(code(&refused), "ARGUMENTS_INVALID", "{refused}");
    let mut status = 200;
    for nth in 0..30 {
        let call = session.call("https://never.example/", now() + nth, &json!({}));
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                             "params": {"name": "sphyr_net", "arguments": call}});
        let reply = scene.post(&message).await;
        status = reply.status;
        if status == 429 {
            let whole: Value = serde_json::from_str(&reply.body).unwrap();
            let text = whole["result"]["content"][0]["text"].as_str().unwrap();
            assert!(text.contains("RATE_LIMITED") && header(&reply, "retry-after").is_some(), "{text}");
            break;
        }
    }
    assert_eq!(status, 429);
}

/// The signed wish for a session.
fn wish(scene: &Scene, agent: &str, nonce: &str) -> Value {
    use doorward_core::wire::sphyr::sign;
    let (ts, key) = (now().to_string(), &*scene.key.id);
    let secret = scene.key.secrets(0).next().unwrap();
    let sig = sign::sign(secret.as_bytes(), &sign::handshake(key, agent, &ts, nonce));
    json!({"key_id": key, "agent_id": agent, "ts": ts, "client_nonce": nonce, "sig": sig})
}

const VALUE: &str = "bait-value-0123456789";

/// Rules that know bait.
fn bait(response: Response) -> Arc<RuleSet> {
    let mut canaries = Canaries::new(&[7; 32]);
    canaries.add_domain(Domain { name: "wiki".into(), domain: domain("trap.example").unwrap(), response });
    canaries.add_value("old-key", Registered::new(&[7; 32]).registration(VALUE).unwrap(), response);
    let secrets = Secrets::shipped().with_canaries(canaries);
    Arc::new(RuleSet::with(shipped(), Some(secrets)).unwrap())
}

/// Puts `rules` in force.
fn judge_by(scene: &Scene, rules: &Arc<RuleSet>) {
    let engine: Engine = scene.door.gateway.in_force().engine.with_rules(Arc::clone(rules));
    scene.door.gateway.put_in_force(Arc::new(engine), Mode::Block);
}

fn call(session: &Session, url: &str, more: &Value) -> Value {
    session.call(url, now(), more)
}

/// Whoever goes there, or names it, or sends what was laid out: nobody is asked for an address, and the key does not work any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_honeytoken_suspends_the_key_and_asks_nobody() {
    let post = |body: &str| json!({"mthd": "POST", "body": body});
    let rules = bait(Response::Suspend);
    for (url, more, what) in [
        ("https://trap.example/login", json!({}), "wiki"),
        ("https://a.b.TRAP.example./", json!({}), "wiki"),
        ("http://trap.example/", json!({}), "wiki"),
        ("https://site.example/?next=https%3A%2F%2Ftrap.example", json!({}), "wiki"),
        ("https://site.example/", post("go to trap.example"), "wiki"),
        ("https://site.example/", post("dXNlcjpwYXNzQHRyYXAuZXhhbXBsZS9hYg=="), "wiki"),
        ("https://site.example/", json!({"headers": {"Referer": "https://x.trap.example/"}}), "wiki"),
        ("https://site.example/", post(VALUE), "old-key"),
        (
            "https://site.example/",
            json!({"headers": {"Authorization": format!("Bearer {VALUE}")}}),
            "old-key",
        ),
        ("https://site.example/?k=62616974-2d76616c75652d30313233343536373839", json!({}), "old-key"),
    ] {
        let scene = Scene::with(&[], Settings::default(), OK).await;
        judge_by(&scene, &rules);
        let session = scene.session("a-1").await;
        let answer = scene.tool("sphyr_net", call(&session, url, &more)).await;
        assert_eq!(code(&answer), "HONEYTOKEN", "{url} {more} {answer}");
        let told = answer.to_string();
        assert!(!told.contains("wiki") && !told.contains("old-key") && !told.contains("canary"), "{told}");
        assert_eq!((scene.lookups(), scene.requests(), scene.credits()), (0, 0, 1000), "{url}");
        let key = scene.door.store.accounts().key(&scene.key.id).unwrap();
        assert_eq!(key.state, KeyState::Suspended);
        let [record] = key.compromises.as_slice() else { panic!("{:?}", key.compromises) };
        assert!(record.what.contains(&format!("`{what}`")) && record.session == "tester/a-1", "{record:?}");
        assert!(record.from.len() == 16 && record.from.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(answer["request_id"], record.receipt.as_str());
        let again = scene.tool("sphyr_net", call(&session, "https://site.example/2", &json!({}))).await;
        assert_eq!(code(&again), "KEY_PAUSED");
        let alerts = scene.door.store.alerts(0);
        let events: Vec<&str> = alerts.iter().map(|alert| alert.event.as_str()).collect();
        assert_eq!(events, ["canary_content", "key_suspended"]);
        assert!(!format!("{:?}", scene.door.receipts()).contains(VALUE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_honeytoken_may_only_freeze_the_session() {
    let settings = Settings { plain_ip: true, ..Settings::default() };
    let scene = Scene::with(&[], settings, OK).await;
    judge_by(&scene, &bait(Response::Freeze));
    let (session, other) = (scene.session("a-1").await, scene.session("a-2").await);
    // A session that was known before goes on.
    assert_eq!(code(&scene.tool("sphyr_net", call(&other, &scene.up, &json!({}))).await), "ALLOWED");
    let answer = scene.tool("sphyr_net", call(&session, "https://x.trap.example/", &json!({}))).await;
    assert_eq!(code(&answer), "HONEYTOKEN");
    let key = scene.door.store.accounts().key(&scene.key.id).unwrap();
    assert_eq!((key.state, key.compromises.len()), (KeyState::Active, 1));
    assert_eq!(key.compromises[0].from, "127.0.0.1");
    for url in ["https://site.example/", "https://trap.example/"] {
        let frozen = scene.tool("sphyr_net", call(&session, url, &json!({}))).await;
        assert_ne!(code(&frozen), "ALLOWED", "{frozen}");
    }
    let key = scene.door.store.accounts().key(&scene.key.id).unwrap();
    assert_eq!(key.compromises.len(), 1, "once is enough");
    let url = format!("{}/2", scene.up);
    assert_eq!(code(&scene.tool("sphyr_net", call(&other, &url, &json!({}))).await), "ALLOWED");
    assert_eq!((scene.lookups(), scene.requests()), (2, 2));
}

/// What looks like it and is something else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_honeytoken_passes() {
    let scene = Scene::with(&[("rate_agent", "1000")], Settings::default(), OK).await;
    judge_by(&scene, &bait(Response::Suspend));
    let session = scene.session("a-1").await;
    for body in ["nottrap.example", "trap.example.org", "the trap, example", "bait-value-012345678"] {
        let more = json!({"mthd": "POST", "body": body});
        let answer = scene.tool("sphyr_net", call(&session, &scene.up, &more)).await;
        assert_eq!(code(&answer), "ALLOWED", "{body} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_is_told_of_a_day_and_kept() {
    let scene = Scene::with(&[("rate_agent", "1000")], Settings::default(), OK).await;
    for _ in 0..2 {
        assert_eq!(net(&scene, "a", &json!({"url": scene.up})).await.status, 200);
    }
    net(&scene, "a", &json!({"url": scene.up, "preflight": true})).await;
    net(&scene, "a", &json!({"url": "https://10.0.0.1/"})).await;
    let session = scene.session("a-1").await;
    let ts = now();
    let sig = {
        use doorward_core::wire::sphyr::sign;
        let secret = scene.key.secrets(0).next().unwrap();
        sign::sign(secret.as_bytes(), &sign::usage(&session.token, &ts.to_string()))
    };
    let used = scene.tool("usage_summary", json!({"sess_token": session.token, "ts": ts, "sig": sig})).await;
    assert_eq!((&used["period"], &used["total_requests"]), (&json!("last_24h"), &json!(4)), "{used}");
    assert_eq!((&used["success_count"], &used["block_count"]), (&json!(3), &json!(1)));
    assert_eq!(used["outcomes"], json!({"ALLOWED": 3, "SSRF_BLOCKED": 1}));
    assert_eq!((&used["credit_balance"], &used["currency"]), (&json!(998), &json!("credits")));
}
