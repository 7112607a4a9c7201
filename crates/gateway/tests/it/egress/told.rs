//! What clients are told and charged, at the door itself.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_says_the_key_what_is_left_and_when_it_expires() {
    let scene = Scene::new().await;
    let session = scene.session("a-1").await;
    let call = session.call(&scene.up, now(), &json!({}));
    assert_eq!(scene.tool("sphyr_net", call).await["outcome"], "ALLOWED");
    let told = scene.tool("user_bal", json!({"sess_token": session.token})).await;
    assert_eq!((&told["key_id"], &told["credits_remaining"]), (&json!(&*scene.key.id), &json!(999)));
    assert_eq!((&told["balance"], &told["low_balance_warning"]), (&json!(999), &json!(false)));
    let expiry: jiff::Timestamp = told["oldest_expiry"].as_str().unwrap().parse().unwrap();
    let left = scene.door.store.accounts().remaining(&scene.key.id, now() * 1000);
    assert_eq!(u64::try_from(expiry.as_millisecond()).unwrap(), left.oldest_expiry.unwrap());
    let days = (left.oldest_expiry.unwrap() / 1000 - now()) / 86_400;
    assert!((364..=366).contains(&days), "{days}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_an_answer_is_flagged() {
    for (body, secret) in
        [("your key: ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7", true), ("nothing to see", false)]
    {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let scene = Scene::with(&[], egress::Settings::default(), &answer).await;
        let session = scene.session("a-1").await;
        let given = scene.tool("sphyr_net", session.call(&scene.up, now(), &json!({}))).await;
        let flags = json!({"html_body": false, "injection_patterns_found": false, "possible_secret": secret});
        assert_eq!(given["safety"], flags, "{given}");
    }
}

/// What was refused before it was sent may come again under the same signature.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_gives_its_place_back() {
    let scene = Scene::with(&[("rate_agent", "1")], egress::Settings::default(), OK).await;
    let session = scene.session("a-1").await;
    let at = now();
    let call = |name: &str| session.call(&format!("{}/{name}", scene.up), at, &json!({}));
    // By what stands before judging.
    let limited = loop {
        let call = call(&format!("limited-{}", scene.requests()));
        if scene.tool("sphyr_net", call.clone()).await["code"] == "RATE_LIMITED" {
            break call;
        }
    };
    let change = |mut key: Key| {
        key.settings.set("rate_agent", "1000").unwrap();
        Ok(key)
    };
    scene.door.store.change_key(&scene.key.id, change).await.unwrap();
    assert_eq!(scene.tool("sphyr_net", limited.clone()).await["outcome"], "ALLOWED");
    assert_eq!(scene.tool("sphyr_net", limited).await["code"], "RATE_LIMITED", "it has been sent");
    // By the judge.
    let stop = doorward_store::Stop { by: "t".into(), reason: "r".into(), since: 0 };
    scene.door.store.kill(doorward_store::Scope::All, stop).await.unwrap();
    assert_eq!(scene.tool("sphyr_net", call("stopped")).await["code"], "GLOBAL_PAUSE");
    scene.door.store.resume(doorward_store::Scope::All).await.unwrap();
    assert_eq!(scene.tool("sphyr_net", call("stopped")).await["outcome"], "ALLOWED");
}

/// However many ask at once for what is left, as many get it as there is.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_share_the_last_ten_credits() {
    let settings = egress::Settings { streams_per_key: 256, ..egress::Settings::default() };
    let scene = Scene::with(&[], settings, OK).await;
    let set = [("rate_agent", "1000"), ("rate_key", "1000"), ("rate_ip", "1000")];
    let key = scene.another(&set, 10).await;
    let lines = format!("authorization: Bearer {}\r\n", *key.credential());
    let (address, url) = (scene.address, scene.up.clone());
    let callers: Vec<_> = (0..64)
        .map(|number| {
            let (lines, asked) = (lines.clone(), json!({"url": format!("{url}/{number}")}).to_string());
            tokio::spawn(async move { send(address, "POST", "/v1/net", &lines, &asked).await.status })
        })
        .collect();
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for caller in callers {
        *statuses.entry(caller.await.unwrap()).or_default() += 1;
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [(200, 10), (402, 54)]);
    assert_eq!(scene.requests(), 10);
    assert_eq!(scene.door.store.accounts().remaining(&key.id, now() * 1000).credits, 0);
}
