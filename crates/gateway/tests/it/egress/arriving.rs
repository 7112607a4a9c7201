//! What a call meets before it is believed: where it comes from, how often, and what its refusal is called.

use std::collections::BTreeSet;
use std::time::Instant;

use super::*;
use crate::support::send_from;

/// Nobody's rates but those that a test sets.
fn rates(ip: u32, key: u32, agent: u32) -> egress::Settings {
    egress::Settings { ip_rate: ip, key_rate: key, agent_rate: agent, ..egress::Settings::default() }
}

const MANY: u32 = 100_000;

impl Scene {
    /// What a tool answers to who calls from this address, and the head of the answer.
    async fn tool_from(&self, from: [u8; 4], name: &str, arguments: Value) -> (String, Value) {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                             "params": {"name": name, "arguments": arguments}});
        let reply = send_from(from, self.address, ("POST", "/mcp"), "", &message.to_string()).await;
        let whole: Value = serde_json::from_str(&reply.body).unwrap();
        let text = whole["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{whole}"));
        (reply.head, serde_json::from_str(text).unwrap())
    }

    /// A key beside the scene's own, with as many credits.
    pub(super) async fn another(&self, set: &[(&str, &str)], credits: u64) -> Arc<Key> {
        let mut own = doorward_store::accounts::Settings::default();
        set.iter().for_each(|(name, value)| own.set(name, value).unwrap());
        let key = Key::new(AgentName::new("tester").unwrap(), own, now() * 1000).unwrap();
        let key = self.door.store.add_key(key).await.unwrap();
        let recorder = self.door.gateway.recorder();
        accounts::grant(recorder, &self.door.store, &key.id, (credits, 12), "test", now() * 1000)
            .await
            .unwrap();
        key
    }

    async fn issue(&self, agents: &[&str]) {
        let change = |mut key: Key| {
            key.agents.extend(agents.iter().map(|agent| ((*agent).into(), 0)));
            Ok(key)
        };
        self.door.store.change_key(&self.key.id, change).await.unwrap();
    }

    /// Asks with a key's credential until it is too often, and says what is told then.
    async fn exhausted(&self, agent: &str) -> String {
        for _ in 0..200 {
            let (_, answer) = self.shown(&self.key, agent).await;
            if answer["code"] == "RATE_LIMITED" {
                return answer["message"].as_str().unwrap().to_owned();
            }
        }
        panic!("never too often")
    }

    /// What is answered to a request that a rule refuses, if it comes so far.
    async fn shown(&self, key: &Key, agent: &str) -> (Reply, Value) {
        let lines = format!("authorization: Bearer {}\r\ndoorward-agent: {agent}\r\n", *key.credential());
        let asked = json!({"url": "https://never.example/"}).to_string();
        let reply = send(self.address, "POST", "/v1/net", &lines, &asked).await;
        let answer = serde_json::from_str(&reply.body).unwrap();
        (reply, answer)
    }

    fn shared_receipts(&self) -> Vec<Value> {
        let shared = |receipt: &Value| receipt["control"]["event"] == "egress_refused";
        self.door.receipts().into_iter().filter(shared).collect()
    }
}

/// Each level is set by its own setting, of all and of a key, counts what it says, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn each_rate_is_its_own() {
    for (setting, rate) in [
        ("rate_ip", "calls from one address"),
        ("rate_key", "calls of one key"),
        ("rate_agent", "calls of one agent"),
    ] {
        for of_key in [false, true] {
            let few = |name: &str| if name == setting && !of_key { 3 } else { MANY };
            let settings = rates(few("rate_ip"), few("rate_key"), few("rate_agent"));
            let set = [(setting, "3")];
            let scene = Scene::with(if of_key { &set } else { &[] }, settings, OK).await;
            scene.issue(&["one", "two"]).await;
            let told = scene.exhausted("one").await;
            assert_eq!(told, format!("more than 3 {rate} a second"), "{setting} {of_key}");
            let other = scene.another(&[("rate_key", "100000"), ("rate_agent", "100000")], 1).await;
            // Another agent of the key, and a key that may come as often as it likes from an address that may not.
            for (key, agent, too) in [
                (&scene.key, "two", setting != "rate_agent"),
                (&other, "one", setting == "rate_ip" && !of_key),
            ] {
                // As often as its own rate lets it, or until a moment has no room.
                let mut limited = false;
                for _ in 0..if too { 50 } else { 2 } {
                    scene.exhausted("one").await;
                    limited |= scene.shown(key, agent).await.1["code"] == "RATE_LIMITED";
                    if limited {
                        break;
                    }
                }
                assert_eq!(limited, too, "{setting} {of_key} {agent}");
            }
        }
    }
}

/// Whatever is asked for counts on its address, before its signature is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn everything_counts_on_its_address_before_it_is_believed() {
    for tool in [
        "sphyr_net",
        "user_bal",
        "agent_guard_up",
        "usage_summary",
        "audit_sess",
        "malformed",
        "initialize",
        "ping",
    ] {
        let scene = Scene::with(&[], rates(5, MANY, MANY), OK).await;
        let session = scene.session("a-1").await;
        let (mut limited, mut others) = (0, 0);
        let bearer = format!("authorization: Bearer {}\r\n", *scene.key.credential());
        for _ in 0..40 {
            let token = json!({"sess_token": session.token});
            let told = match tool {
                "initialize" | "ping" => {
                    let message =
                        json!({"jsonrpc": "2.0", "id": 1, "method": tool, "params": {}}).to_string();
                    let reply = send(scene.address, "POST", "/mcp", &bearer, &message).await;
                    assert_eq!(reply.status == 429, reply.head.contains("retry-after: "), "{}", reply.head);
                    reply.body
                }
                "sphyr_net" => {
                    let mut call = session.call("https://never.example/", now(), &json!({}));
                    call["cat"] = json!("not what was signed");
                    scene.tool(tool, call).await.to_string()
                }
                "usage_summary" => {
                    let asked = json!({"sess_token": session.token, "ts": now(), "sig": "0".repeat(64)});
                    scene.tool(tool, asked).await.to_string()
                }
                "audit_sess" => scene.tool(tool, scene.wish("a-2")).await.to_string(),
                "malformed" => {
                    scene.tool("sphyr_net", json!({"sess_token": session.token, "url": 1})).await.to_string()
                }
                _ => scene.tool(tool, token).await.to_string(),
            };
            match told.contains("more than 5 calls from one address a second") {
                true => limited += 1,
                false => others += 1,
            }
        }
        assert!(limited >= 5 && others >= 4, "{tool}: {limited} {others}");
    }
}

/// Strangers of one address are kept out for themselves: neither those of another one nor who is known.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_one_address_keep_nobody_else_out() {
    let scene = Scene::with(&[], rates(5, MANY, MANY), OK).await;
    let mut codes = BTreeSet::new();
    for _ in 0..60 {
        let (head, answer) =
            scene.tool_from([127, 0, 0, 2], "user_bal", json!({"sess_token": "nobody"})).await;
        codes.insert(answer["code"].as_str().unwrap().to_owned());
        assert_eq!(answer["code"] == "RATE_LIMITED", head.contains("retry-after: "), "{head}");
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["RATE_LIMITED", "SESS_INVALID"]);
    let (_, other) = scene.tool_from([127, 0, 0, 3], "user_bal", json!({"sess_token": "nobody"})).await;
    assert_eq!(other["code"], "SESS_INVALID");
    let (_, opened) = scene.tool_from([127, 0, 0, 2], "audit_sess", scene.wish("a-1")).await;
    assert!(opened["sess_token"].is_string(), "{opened}");
}

/// An agent that is refused because of its own rate takes nothing from the others of its machine.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_too_often_keeps_nobody_else_out() {
    let scene = Scene::with(&[("rate_agent", "2")], rates(20, MANY, MANY), OK).await;
    scene.issue(&["loud", "quiet"]).await;
    let (loud, quiet) = (scene.session("loud").await, scene.session("quiet").await);
    let (at, mut limited) = (now(), 0);
    for round in 0..120 {
        let call = loud.call("https://never.example/", at, &json!({"trace_id": format!("t-{round}")}));
        limited += usize::from(scene.tool("sphyr_net", call).await["code"] == "RATE_LIMITED");
    }
    assert!(limited > 20, "{limited}");
    let call = quiet.call("https://never.example/", now(), &json!({}));
    assert_eq!(scene.tool("sphyr_net", call).await["code"], "DOMAIN_BANNED");
}

/// Wrong signatures in a session that is known share a receipt a second, as strangers' calls do.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures_share_their_receipts() {
    let scene = Scene::with(&[], rates(MANY, MANY, MANY), OK).await;
    let (session, other) = (scene.session("a-1").await, scene.session("a-2").await);
    let began = Instant::now();
    let mut ids = BTreeSet::new();
    let wrong = |session: &Session| {
        let mut call = session.call("https://never.example/", now(), &json!({}));
        call["cat"] = json!("not what was signed");
        call
    };
    for _ in 0..100 {
        let answer = scene.tool("sphyr_net", wrong(&session)).await;
        assert_eq!(answer["code"], "SIG_INVALID");
        ids.insert(answer["request_id"].as_str().unwrap().to_owned());
    }
    assert!(ids.len() == 100 && !ids.contains(""), "each has a name of its own");
    let told = |receipts: &[Value]| -> Vec<String> {
        let wrong = |one: &&Value| one["decision"]["reasons"].to_string().contains("egress.sig-invalid");
        receipts.iter().filter(wrong).map(ToString::to_string).collect()
    };
    let receipts = told(&scene.door.receipts());
    let most = 1 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((1..=most).contains(&receipts.len()), "{} of {most}", receipts.len());
    // Another session's are its own, with a proof.
    let answer = scene.tool("sphyr_net", wrong(&other)).await;
    assert_eq!(answer["denial_proof"]["payload"]["request_id"], answer["request_id"]);
    assert_eq!(told(&scene.door.receipts()).len(), receipts.len() + 1);
    // What was not told is told by itself, with whose it was said to be.
    let last = shared(&scene).await;
    assert!(
        last.contains("SIG_INVALID") && last.contains("more since the last such receipt, first "),
        "{last}"
    );
    assert!(last.contains("(session tester/a-1)"), "{last}");
}

/// A session is of the address that opened it, unless a setting says otherwise; whose it was is on record.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_holds_for_the_address_that_opened_it() {
    let elsewhere = [127, 0, 0, 2];
    for (of_all, of_key, bound) in
        [(true, None, true), (false, None, false), (true, Some("false"), false), (false, Some("true"), true)]
    {
        let settings = egress::Settings { bind_ip: of_all, ..egress::Settings::default() };
        let set = of_key.map(|value| ("bind_ip", value));
        let scene = Scene::with(set.as_slice(), settings, OK).await;
        let session = scene.session("a-1").await;
        let token = json!({"sess_token": session.token});
        let call = session.call(&scene.up, now(), &json!({}));
        for (tool, arguments) in [("sphyr_net", call), ("user_bal", token.clone()), ("agent_guard_up", token)]
        {
            let (head, answer) = scene.tool_from(elsewhere, tool, arguments.clone()).await;
            assert_eq!(answer["code"] == "SESS_IP_MISMATCH", bound, "{tool} {answer}");
            assert!(!bound || !head.contains("x-credits-remaining"), "{head}");
        }
        assert_eq!(scene.requests(), usize::from(!bound));
        let receipts = scene.shared_receipts();
        assert_eq!(receipts.is_empty(), !bound);
        for receipt in receipts {
            let told = receipt["control"]["message"].as_str().unwrap();
            assert!(told.contains(&format!("(key {}, session tester/a-1)", scene.key.id)), "{told}");
            assert!(!receipt.to_string().contains(&session.token));
        }
        // Where it was opened it goes on.
        let call = session.call(&scene.up, now() + 1, &json!({}));
        assert_eq!(scene.tool("sphyr_net", call).await["outcome"], "ALLOWED");
    }
}

/// What is refused before anybody is known has a name as well: in the answer, in its head, and in the receipt that it shares.
#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_a_name() {
    let scene = Scene::new().await;
    let session = scene.session("a-1").await;
    let mut forged = scene.wish("a-1");
    forged["sig"] = json!("0".repeat(64));
    let mut names = BTreeSet::new();
    let mut check = |head: &str, answer: &Value, code: &str| {
        assert_eq!(answer["code"], code, "{answer}");
        let id = answer["request_id"].as_str().unwrap().to_owned();
        assert!(
            id.len() == 26 && head.contains(&format!("x-request-id: {}", id.to_lowercase())),
            "{head} {answer}"
        );
        let receipts = scene.shared_receipts();
        let told = receipts.iter().any(|one| one["control"]["message"].as_str().unwrap().starts_with(&id));
        assert!(told, "{code} {id} {receipts:?}");
        assert!(names.insert(id));
    };
    let own = [127, 0, 0, 1];
    for (from, tool, arguments, code) in [
        (own, "audit_sess", forged, "AUTH_FAILED"),
        (own, "user_bal", json!({"sess_token": "nobody"}), "SESS_INVALID"),
        ([127, 0, 0, 2], "user_bal", json!({"sess_token": session.token}), "SESS_IP_MISMATCH"),
        (
            own,
            "sphyr_net",
            json!({"sess_token": session.token, "url": "https://a.example/", "mthd": "BREW"}),
            "METHOD_INVALID",
        ),
        (own, "fetch", json!({"url": "https://a.example/"}), "AUTH_FAILED"),
    ] {
        if tool == "fetch" {
            // Those of one code share a receipt within a second.
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        let (head, answer) = scene.tool_from(from, tool, arguments).await;
        check(&head, &answer, code);
    }
    for (target, lines, body, code) in [
        ("/v1/net", "authorization: Bearer sphyr_v1_key_x.y\r\n".to_owned(), "{}", "AUTH_FAILED"),
        (
            "/v1/net",
            format!("authorization: Bearer {}\r\n", *scene.key.credential()),
            "{",
            "ARGUMENTS_INVALID",
        ),
        ("/v1/verify-denial", String::new(), "{", "ARGUMENTS_INVALID"),
    ] {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let reply = send(scene.address, "POST", target, &lines, body).await;
        check(&reply.head, &serde_json::from_str(&reply.body).unwrap(), code);
    }
    // An error of the protocol has it in its head.
    let reply = send(scene.address, "POST", "/mcp", "authorization: Bearer x\r\n", "{}").await;
    assert!(reply.status == 401 && reply.head.contains("x-request-id: "), "{}", reply.head);
}

/// Agents that show the key in each call are capped like those that sign a handshake, and together with them.
#[tokio::test(flavor = "multi_thread")]
async fn agents_are_capped_whichever_way_they_come() {
    let scene =
        Scene::with(&[("agents", "2"), ("rate_agent", "1000")], egress::Settings::default(), OK).await;
    assert_eq!(scene.shown(&scene.key, "a").await.1["code"], "DOMAIN_BANNED");
    scene.session("b").await;
    let (reply, refused) = scene.shown(&scene.key, "c").await;
    assert_eq!((reply.status, &refused["code"]), (503, &json!("SESSION_CREATE_FAILED")), "{refused}");
    assert!(refused["message"].as_str().unwrap().starts_with("2 agents of this key"), "{refused}");
    assert_eq!(scene.tool("audit_sess", scene.wish("c")).await["code"], "SESSION_CREATE_FAILED");
    let lines = format!("authorization: Bearer {}\r\ndoorward-agent: c\r\n", *scene.key.credential());
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                         "params": {"name": "fetch", "arguments": {"url": "https://never.example/"}}});
    let fetched = send(scene.address, "POST", "/mcp", &lines, &message.to_string()).await;
    assert!(fetched.body.contains("SESSION_CREATE_FAILED"), "{}", fetched.body);
    // Who is there already stays, by either way.
    assert_eq!(scene.shown(&scene.key, "b").await.1["code"], "DOMAIN_BANNED");
    assert!(scene.tool("audit_sess", scene.wish("a")).await["sess_token"].is_string());
    // Those that do not say who they are are one.
    let refused = scene.net(&json!({"url": "https://never.example/"})).await;
    assert!(refused.body.contains("SESSION_CREATE_FAILED"), "{}", refused.body);
    let scene = Scene::with(&[("agents", "1")], egress::Settings::default(), OK).await;
    for _ in 0..2 {
        assert!(scene.net(&json!({"url": "https://never.example/"})).await.body.contains("DOMAIN_BANNED"));
    }
}

/// The receipt that tells of those that shared one.
async fn shared(scene: &Scene) -> String {
    for _ in 0..500 {
        let receipts = scene.door.receipts();
        if let Some(last) = receipts.iter().rfind(|one| one["control"]["event"] == "egress_refused") {
            return last.to_string();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody told of them")
}
