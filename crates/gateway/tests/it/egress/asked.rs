//! Requests that a person is asked about: what they are shown, and what a yes is for.

use doorward_gateway::hold::{Answer, Ask};
use doorward_store::GrantScope;

use super::*;
use crate::approvals::{ONCE, waiting};

/// Asks about everything that goes to the one place that is allowed.
const ASKS: &str = "default: allow\nrules: [{ name: care, ask: { host: up.example } }]\ndestinations: { allow: [up.example] }\n";

/// The ways in. All of them as the same agent, so that they share a session, and what was allowed in it.
const WAYS: [&str; 3] = ["/v1/net", "sphyr_net", "fetch"];

async fn scene() -> Arc<Scene> {
    let set = [("rate_agent", "1000")];
    Arc::new(Scene::under(ASKS, &set, egress::Settings::default(), OK).await)
}

/// Sends a request one of those ways; the code of the refusal, or `sent`, or what a check says.
async fn by(scene: &Scene, way: &str, session: &Session, asked: &Value) -> String {
    let told = told(scene, way, session, asked).await;
    let said = told["code"].as_str().or(told["outcome"].as_str().filter(|said| *said != "ALLOWED"));
    said.unwrap_or("sent").to_owned()
}

/// What is answered to a request, as `/v1/net` takes them, that comes in one of those ways.
async fn told(scene: &Scene, way: &str, session: &Session, asked: &Value) -> Value {
    let lines = format!("authorization: Bearer {}\r\ndoorward-agent: a-1\r\n", *scene.key.credential());
    match way {
        "/v1/net" => {
            let reply = send(scene.address, "POST", "/v1/net", &lines, &asked.to_string()).await;
            serde_json::from_str(&reply.body).unwrap()
        }
        "fetch" => {
            let params = json!({"name": "fetch", "arguments": asked});
            let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
            let reply = send(scene.address, "POST", "/mcp", &lines, &call.to_string()).await;
            let whole: Value = serde_json::from_str(&reply.body).unwrap();
            serde_json::from_str(whole["result"]["content"][0]["text"].as_str().unwrap()).unwrap()
        }
        _ => {
            let mut more = asked.clone();
            more["mthd"] = asked["method"].as_str().unwrap_or("GET").into();
            let own = more.as_object_mut().unwrap();
            own.remove("url");
            own.remove("method");
            // Signed in a second of its own: it is no replay of another.
            let second = now() + scene.next.fetch_add(1, Ordering::Relaxed) % 200;
            scene.tool("sphyr_net", session.call(asked["url"].as_str().unwrap(), second, &more)).await
        }
    }
}

fn request(scene: &Scene) -> Value {
    json!({"url": format!("{}/pay?to=b", scene.up), "method": "POST", "body": "{\"amount\":1}",
           "headers": {"X-B": "2", "Authorization": "Bearer t0ken"}})
}

/// The question that nobody was there for.
fn missed(scene: &Scene) -> Arc<Ask> {
    scene.door.gateway.hold().overview().asks.pop().unwrap().0
}

async fn answer(scene: &Scene, id: &str, answer: Answer) {
    scene.door.gateway.hold().answer(id, answer, "unauthenticated", "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_shown_the_whole_request_and_a_yes_sends_it() {
    let scene = scene().await;
    let session = Arc::new(scene.session("a-1").await);
    let _person = scene.door.gateway.hold().watching();
    for (turn, way) in WAYS.into_iter().enumerate() {
        let (own, of) = (Arc::clone(&scene), Arc::clone(&session));
        let asking = tokio::spawn(async move { by(&own, way, &of, &request(&own)).await });
        let [asked] = &waiting(&scene.door, 1).await[..] else { panic!() };
        let shown = asked.request.as_ref().unwrap();
        let url = format!("{}/pay?to=b", scene.up);
        assert_eq!((shown.method.as_str(), shown.url.as_str()), ("POST", url.as_str()), "{way}");
        let mut lines = shown.headers.clone();
        lines.sort();
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(lines, [line("Authorization", "Bearer (5)"), line("X-B", "2")], "{way}");
        assert_eq!((asked.content.as_str(), asked.whole, asked.door), ("{\"amount\":1}", true, "egress"));
        assert_eq!(asked.duties, 0, "nothing of it is altered: it only has to be dialled where that may be");
        assert_eq!((scene.lookups(), scene.requests()), (turn, turn), "before the yes nothing happens");
        answer(&scene, &asked.id, ONCE).await;
        assert_eq!(asking.await.unwrap(), "sent", "{way}");
        let sent = scene.asked.lock().unwrap()[turn].clone();
        assert!(sent.starts_with("POST /pay?to=b HTTP/1.1\r\n"), "{sent}");
        assert!(
            sent.contains("authorization: Bearer t0ken\r\n") && sent.ends_with("{\"amount\":1}"),
            "{sent}"
        );
    }
}

/// What is packed, said so or not, is shown as what it says; the yes is for the bytes that go.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_shown_what_a_packed_body_says() {
    let scene = scene().await;
    let session = scene.session("a-1").await;
    let words = format!("{{\"amount\":1,\"note\":\"{}\"}}", "for Ünal ".repeat(9000));
    let packed = |words: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(words.as_bytes()).unwrap();
        base64::engine::general_purpose::STANDARD.encode(packed.finish().unwrap())
    };
    let headers = [json!({"Content-Encoding": "gzip"}), json!({})];
    for (turn, (headers, words)) in headers.iter().zip(["{\"amount\":1}", &words]).enumerate() {
        let asked =
            json!({"url": scene.up, "method": "POST", "body_base64": packed(words), "headers": headers});
        assert_eq!(by(&scene, "/v1/net", &session, &asked).await, "APPROVAL_DENIED");
        let ask = missed(&scene);
        let shown = ask.decoded.as_ref().unwrap();
        assert_eq!(shown.whole, shown.text == words, "{headers}");
        assert!(words.starts_with(&shown.text) && shown.text.len() >= words.len().min(65_533), "{headers}");
        assert!(shown.text.len() <= 65_536 && ask.whole && ask.content.contains('\u{fffd}'));
        answer(&scene, &ask.id, ONCE).await;
        assert_eq!(by(&scene, "/v1/net", &session, &asked).await, "sent", "{turn}");
    }
    assert_eq!(by(&scene, "/v1/net", &session, &request(&scene)).await, "APPROVAL_DENIED");
    assert!(missed(&scene).decoded.is_none());
}

/// Whatever differs, the yes is for another request, whichever way that comes in.
#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_for_one_method_url_head_and_body() {
    let scene = scene().await;
    let session = scene.session("a-1").await;
    let base = request(&scene);
    assert_eq!(by(&scene, "/v1/net", &session, &base).await, "APPROVAL_DENIED");
    answer(&scene, &missed(&scene).id, Answer::Approve(GrantScope::Session)).await;
    assert_eq!(scene.door.gateway.hold().overview().grants[0].what, "POST up.example");
    let told = scene
        .door
        .receipts()
        .into_iter()
        .filter_map(|one| Some(one["control"]["message"].as_str()?.to_owned()));
    assert!(told.collect::<Vec<_>>().contains(&"POST up.example: nobody was there".to_owned()));
    let changes: [(&str, Value); 9] = [
        ("method", json!("DELETE")),
        ("method", json!("PUT")),
        ("url", json!(format!("{}/pay?to=c", scene.up))),
        ("url", json!(format!("{}/pay", scene.up))),
        ("headers", json!({"X-B": "2", "Authorization": "Bearer other"})),
        ("headers", json!({"X-B": "2"})),
        ("headers", json!({"X-B": "2", "Authorization": "Bearer t0ken", "X-C": ""})),
        ("body", json!("{\"amount\":2}")),
        ("body", json!("{\"amount\":1} ")),
    ];
    for way in WAYS {
        let before = scene.requests();
        for (name, value) in &changes {
            let mut other = base.clone();
            other[*name] = value.clone();
            assert_eq!(by(&scene, way, &session, &other).await, "APPROVAL_DENIED", "{way} {name}: {value}");
        }
        assert_eq!(scene.requests(), before, "{way}");
        // What servers cannot tell apart is the same.
        let mut same = base.clone();
        same["headers"] = json!({"authorization": "Bearer t0ken", "x-b": "2"});
        for request in [&base, &same] {
            assert_eq!(by(&scene, way, &session, request).await, "sent", "{way}");
        }
        assert_eq!(scene.requests(), before + 2);
    }
}

/// A late yes for one action is for the next try of that request, one try.
#[tokio::test(flavor = "multi_thread")]
async fn once_is_once_and_for_nothing_else() {
    let scene = scene().await;
    let session = scene.session("a-1").await;
    let base = request(&scene);
    assert_eq!(by(&scene, "sphyr_net", &session, &base).await, "APPROVAL_DENIED");
    answer(&scene, &missed(&scene).id, ONCE).await;
    let mut other = base.clone();
    other["method"] = json!("DELETE");
    for (asked, came) in [(&other, "APPROVAL_DENIED"), (&base, "sent"), (&base, "APPROVAL_DENIED")] {
        assert_eq!(by(&scene, "sphyr_net", &session, asked).await, came, "{asked}");
    }
    assert_eq!(scene.requests(), 1);
}

/// What would be asked about and is only checked: nobody is asked, nobody is shown it, no yes is used up, and nobody is asked for an
/// address.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_checked_asks_nobody_and_uses_up_no_yes() {
    let scene = scene().await;
    let session = scene.session("a-1").await;
    let base = request(&scene);
    let mut checked = base.clone();
    checked["preflight"] = json!(true);
    let hold = scene.door.gateway.hold();
    for (turn, way) in WAYS.into_iter().enumerate() {
        // Nobody is there.
        let refused = told(&scene, way, &session, &checked).await;
        assert_eq!(
            (&refused["code"], &refused["would_ask"]),
            (&json!("APPROVAL_DENIED"), &Value::Null),
            "{way}"
        );
        assert!(refused["message"].as_str().unwrap().contains("nobody is there"), "{refused}");
        assert_eq!((hold.overview().asks.len(), scene.lookups()), (turn, 4 * turn), "{way}");
        assert_eq!(by(&scene, way, &session, &base).await, "APPROVAL_DENIED");
        answer(&scene, &missed(&scene).id, ONCE).await;
        for _ in 0..3 {
            assert_eq!(by(&scene, way, &session, &checked).await, "PREFLIGHT_OK", "{way}");
        }
        assert_eq!(hold.overview().grants.len(), 1, "it is there still");
        assert_eq!((scene.requests(), scene.lookups()), (turn, 4 * turn + 3));
        assert_eq!(by(&scene, way, &session, &base).await, "sent", "{way}");
        assert_eq!(by(&scene, way, &session, &checked).await, "APPROVAL_DENIED", "{way}");
    }
}

/// While somebody is there it is not held either, and says that it would be.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_checked_is_not_held() {
    let scene = scene().await;
    let session = scene.session("a-1").await;
    let _person = scene.door.gateway.hold().watching();
    let mut checked = request(&scene);
    checked["preflight"] = json!(true);
    for way in WAYS {
        let refused = told(&scene, way, &session, &checked).await;
        assert_eq!(
            (&refused["code"], &refused["would_ask"]),
            (&json!("APPROVAL_DENIED"), &json!(true)),
            "{way}"
        );
    }
    assert_eq!((scene.door.gateway.hold().overview().asks.len(), scene.lookups()), (0, 0));
    let receipts = scene.door.receipts();
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt["kind"] != "control" || !receipt.to_string().contains("approval"))
    );
    let rules = receipts.last().unwrap()["decision"]["reasons"].to_string();
    assert!(rules.contains("hold.would-ask"), "{rules}");
}
