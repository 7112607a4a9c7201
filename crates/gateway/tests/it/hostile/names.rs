//! Names that lead where they should not, or change their mind; and that nobody is asked for a name in vain.

use super::*;

/// What a resolver may say of a place outside, and what comes of it. Of addresses that are public none is dialled here.
fn answers() -> Vec<(&'static str, Says, &'static str)> {
    let many = |last: &str| {
        let all: Vec<String> = (0..300).map(|n| format!("93.184.{}.{}", n / 250, n % 250)).collect();
        let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
        all.push(last);
        Says::these(&all)
    };
    let mut table = vec![
        ("none", Says::these(&[]), "DNS_FAILED"),
        (
            "no such name",
            Says::Fails("failed to lookup address information: Name or service not known"),
            "DNS_FAILED",
        ),
        (
            "a server that fails",
            Says::Fails("failed to lookup address information: Temporary failure"),
            "DNS_FAILED",
        ),
        ("nobody answers", Says::Nothing, "DNS_FAILED"),
        ("hundreds, one of them inside", many("10.0.0.1"), "DNS_FAILED"),
    ];
    for (what, addresses) in [
        ("private", &["10.0.0.1"][..]),
        ("loopback", &["127.0.0.1"]),
        ("another loopback", &["127.53.0.1"]),
        ("unspecified", &["0.0.0.0"]),
        ("this network", &["0.0.0.7"]),
        ("shared", &["100.64.0.1"]),
        ("link-local", &["169.254.7.7"]),
        ("a cloud's", &["169.254.169.254"]),
        ("everybody here", &["255.255.255.255"]),
        ("a group", &["239.255.255.250"]),
        ("documents", &["192.0.2.1"]),
        ("reserved", &["240.0.0.1"]),
        ("measurements", &["198.18.0.1"]),
        ("loopback of IPv6", &["::1"]),
        ("unspecified of IPv6", &["::"]),
        ("unique local", &["fd12:3456::1"]),
        ("link-local of IPv6", &["fe80::1"]),
        ("site-local", &["fec0::1"]),
        ("a group of IPv6", &["ff02::1"]),
        ("a cloud's of IPv6", &["fd00:ec2::254"]),
        ("discarded", &["100::1"]),
        // AAAA records with an IPv4 address in them.
        ("mapped", &["::ffff:10.0.0.1"]),
        ("mapped, a cloud's", &["::ffff:169.254.169.254"]),
        ("compatible", &["::10.0.0.1"]),
        ("translated", &["::ffff:0:10.0.0.1"]),
        // What DNS64 makes of a private address (RFC 6147), by the prefix that is everybody's and by one's own.
        ("DNS64", &["64:ff9b::10.0.0.1"]),
        ("DNS64, a cloud's", &["64:ff9b::169.254.169.254"]),
        ("DNS64 of this network", &["64:ff9b:1::10.0.0.1"]),
        ("DNS64 beside a public one", &["93.184.215.14", "64:ff9b::10.0.0.1"]),
        ("6to4", &["2002:a00:1::1"]),
        ("Teredo", &["2001:0:a00:1::1"]),
        ("Teredo's client", &["2001:0:4136:e378:8000:63bf:f5ff:fffe"]),
        ("ISATAP", &["2606:2800::5efe:10.0.0.1"]),
        // Public ones first, last, and in the middle.
        ("inside last", &["93.184.215.14", "10.0.0.1"]),
        ("inside first", &["10.0.0.1", "93.184.215.14"]),
        ("inside in the middle", &["93.184.215.14", "2606:2800:220:1::1", "127.0.0.1", "1.1.1.1"]),
        ("inside in the other family", &["93.184.215.14", "::1"]),
    ] {
        table.push((what, Says::these(addresses), "SSRF_BLOCKED"));
    }
    table
}

/// Every answer to one question is looked at, and one that leads inside refuses them all: the question is asked once, nothing is
/// connected to, nothing is paid, and the outcome says so. Of a request that is only checked as well.
#[tokio::test(flavor = "multi_thread")]
async fn one_answer_that_leads_inside_refuses_them_all() {
    // All at once: more than one agent may have under way by default.
    let settings = egress::Settings { streams_per_key: 256, ..egress::Settings::default() };
    let rig = Arc::new(Rig::with(Wish { settings, ..Wish::default() }).await);
    let mut tasks = Vec::new();
    let twice = answers()
        .into_iter()
        .flat_map(|(what, says, code)| [false, true].map(|checked| (what, says.clone(), code, checked)));
    for (number, (what, says, code, checked)) in twice.enumerate() {
        let rig = Arc::clone(&rig);
        tasks.push(tokio::spawn(async move {
            let name = format!("n{number}.example");
            rig.names.says(&name, &[says]);
            let asked = json!({"url": format!("https://{name}/"), "preflight": checked});
            assert_eq!(rig.code(&asked).await, code, "{what}, only checked: {checked}");
            let asked = rig.names.asked().iter().filter(|asked| **asked == name).count();
            assert_eq!(asked, 1, "{what}");
        }));
    }
    let count = tasks.len();
    for task in tasks {
        task.await.unwrap();
    }
    let receipts = rig.door.receipts_since(0);
    let failed = receipts.iter().filter(|receipt| receipt["outcome"]["result"] == "failed").count();
    assert_eq!((failed, rig.credits()), (count, 1000), "nobody answered, nobody pays");
}

/// A rule that allows a place by name allows what is private there, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_rule_allows_leads_to_no_clouds_credentials_and_not_to_us() {
    let rig = Rig::new().await;
    let own = rig.address;
    for (what, address, port) in [
        ("metadata", "169.254.169.254", 80),
        ("metadata, mapped", "::ffff:169.254.169.254", 80),
        ("metadata by DNS64", "64:ff9b::a9fe:a9fe", 80),
        ("metadata beside what is allowed", "127.0.0.1", 80),
        ("ourselves", "127.0.0.1", own.port()),
        ("ourselves by another name", "127.9.9.9", own.port()),
        ("ourselves by none", "0.0.0.0", own.port()),
        ("ourselves, mapped", "::ffff:127.0.0.1", own.port()),
        ("ourselves, of IPv6", "::1", own.port()),
        ("the model door", "127.0.0.1", rig.door.address.port()),
    ] {
        let mut all = vec![address];
        if what.contains("beside") {
            all.push("169.254.169.254");
        }
        rig.names.says("up.example", &[Says::these(&all)]);
        for checked in [false, true] {
            let asked = json!({"url": format!("http://up.example:{port}/"), "preflight": checked});
            assert_eq!(rig.code(&asked).await, "SSRF_BLOCKED", "{what}, only checked: {checked}");
        }
    }
}

/// A request that is only checked asks for its name once, looks at what that says, and ends there, whichever way it comes in.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_checked_is_looked_up_and_connected_to_nobody() {
    let rig = Rig::new().await;
    let upstream = Raw::answering().await;
    // Outside nobody answers: whoever tried would be told so.
    rig.names.says("outside.example", &[Says::these(&["93.184.215.14", "2606:2800:220:1::1"])]);
    let session = rig.session().await;
    for url in [upstream.url(), "https://outside.example/".to_owned()] {
        rig.names.asked.lock().unwrap().clear();
        assert_eq!(rig.code(&json!({"url": url, "preflight": true})).await, "200");
        let answer = rig.tool("sphyr_net", session.call(&url, now(), &json!({"preflight": true}))).await;
        assert_eq!(answer["outcome"], "PREFLIGHT_OK", "{answer}");
        assert_eq!(rig.names.asked().len(), 2, "each asks once");
    }
    let results: Vec<Value> =
        rig.door.receipts_since(0).iter().map(|one| one["outcome"]["result"].clone()).collect();
    assert_eq!(results.iter().filter(|result| **result == json!("preflight")).count(), 4, "{results:?}");
    assert_eq!((upstream.heard().len(), rig.credits()), (0, 1000));
    let rig = Rig::with(Wish { set: &[("dry_run", "true")], ..Wish::default() }).await;
    assert_eq!(rig.code(&json!({"url": upstream.url()})).await, "200");
    rig.names.says("up.example", &[Says::these(&["169.254.169.254"])]);
    assert_eq!(rig.code(&json!({"url": upstream.url()})).await, "SSRF_BLOCKED");
    assert_eq!((rig.names.asked().len(), upstream.heard().len(), rig.credits()), (2, 0, 1000));
}

/// A name that says something else each time it is asked (DNS rebinding): each call goes where that call has looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_its_mind_is_judged_each_time() {
    let rig = Rig::new().await;
    let upstream = Raw::answering().await;
    let inside = Says::these(&["127.0.0.1"]);
    let cloud = Says::these(&["169.254.169.254"]);
    let both = Says::these(&["127.0.0.1", "169.254.169.254"]);
    rig.names.says(
        "up.example",
        &[inside.clone(), cloud.clone(), inside.clone(), both, Says::these(&[]), inside.clone(), cloud],
    );
    let asked = json!({"url": upstream.url()});
    let expected = ["200", "SSRF_BLOCKED", "200", "SSRF_BLOCKED", "DNS_FAILED", "200", "SSRF_BLOCKED"];
    for (turn, code) in expected.into_iter().enumerate() {
        assert_eq!(rig.code(&asked).await, code, "turn {turn}");
        assert_eq!(rig.names.asked().len(), turn + 1, "each call asks once");
    }
    assert_eq!((upstream.heard().len(), rig.credits()), (3, 997));
    // Many at once, while the name flips: what goes out goes where it may.
    let flips: Vec<Says> =
        (0..32).map(|n| Says::these(&[if n % 2 == 0 { "127.0.0.1" } else { "10.0.0.1" }])).collect();
    rig.names.says("flips.example", &flips);
    let rig = Arc::new(rig);
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { rig.code(&json!({"url": "https://flips.example/"})).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "SSRF_BLOCKED");
    }
    assert_eq!(upstream.heard().len(), 3);
}

/// Names come to the resolver in one spelling, whatever they were written in.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_for_in_one_spelling() {
    let rig = Rig::new().await;
    for url in [
        "https://Outside.Example/",
        "https://outside.example./",
        "https://ＯＵＴＳＩＤＥ.example/",
        "https://outside。example:8443/",
        "https://OUTSIDE.EXAMPLE?x",
    ] {
        assert_eq!(rig.code(&json!({"url": url})).await, "DNS_FAILED", "{url}");
    }
    assert_eq!(rig.names.asked(), ["outside.example"; 5]);
}

/// Whatever a call is refused for, nobody hears its name.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_asks_for_no_name() {
    let rig = Rig::new().await;
    let mut codes = Vec::new();
    let token = "ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7";
    let outside = "https://outside.example/";
    for (more, code) in [
        (json!({"url": "https://10.0.0.1/"}), "SSRF_BLOCKED"),
        (json!({"url": "http://outside.example/"}), "HTTPS_REQUIRED"),
        (json!({"url": "https://a@outside.example/"}), "INVALID_URL"),
        (json!({"url": "https://never.example/"}), "DOMAIN_BANNED"),
        (json!({"url": "https://asks.example/"}), "APPROVAL_DENIED"),
        (json!({"url": format!("{outside}?k={token}")}), "ENTROPY_BLOCKED"),
        (json!({"url": format!("https://{token}.outside.example/")}), "ENTROPY_BLOCKED"),
        (json!({"url": outside, "method": "POST", "body": token}), "ENTROPY_BLOCKED"),
        (json!({"url": outside, "headers": {"X-Data": token}}), "ENTROPY_BLOCKED"),
        (json!({"url": outside, "headers": {"X": &*rig.key.credential()}}), "ENTROPY_BLOCKED"),
        (json!({"url": outside, "headers": {"Host": "a"}}), "HEADER_COLLISION"),
        (json!({"url": outside, "headers": {"X": "a\nb"}}), "HEADER_INVALID"),
        (json!({"url": outside, "method": "TRACE"}), "METHOD_INVALID"),
        (json!({"url": outside, "methd": "GET"}), "ARGUMENTS_INVALID"),
        (json!({"url": outside, "body": "x".repeat(2 << 20)}), "ARGUMENTS_INVALID"),
    ] {
        assert_eq!(rig.code(&more).await, code, "{more}");
        let mut checked = more.clone();
        checked["preflight"] = json!(true);
        assert_eq!(rig.code(&checked).await, code, "{checked}");
        codes.push(code);
    }
    let session = rig.session().await;
    let call = |second: u64| session.call(outside, second, &json!({"preflight": true}));
    let changed = |name: &str, value: Value| {
        let mut call = call(now());
        call[name] = value;
        call
    };
    for (call, code) in [
        (changed("sess_token", json!("5f4dcc3b-5aa7-4c1d-9f6f-8b1e2c3d4e5f")), "SESS_INVALID"),
        (changed("url", json!("https://other.example/")), "SIG_INVALID"),
        (changed("sig", json!("x")), "SIG_PROCESSING_ERROR"),
        (session.call(outside, now() - 1000, &json!({})), "SIG_EXPIRED"),
        (session.call(outside, now() + 1000, &json!({})), "SIG_EXPIRED"),
    ] {
        assert_eq!(rig.tool("sphyr_net", call.clone()).await["code"], code, "{call}");
        codes.push(code);
    }
    let mut lied = rig.wish(now());
    lied["sig"] = json!("0".repeat(64));
    assert_eq!(rig.tool("audit_sess", lied).await["code"], "AUTH_FAILED");
    codes.push("AUTH_FAILED");
    let stop = doorward_store::Stop { by: "t".into(), reason: "r".into(), since: 0 };
    rig.door.store.kill(doorward_store::Scope::All, stop).await.unwrap();
    assert_eq!(rig.code(&json!({"url": outside})).await, "GLOBAL_PAUSE");
    codes.push("GLOBAL_PAUSE");
    assert!(rig.names.asked().is_empty(), "{:?}", rig.names.asked());
    for (set, credits, code) in [
        (&[][..], 0, "INSUFFICIENT_CREDITS"),
        (&[("budget_key_calls_per_hour", "1")], 10, "HOURLY_BUDGET_EXCEEDED"),
        (&[("budget_key_calls_per_day", "1")], 10, "KEY_BUDGET_EXCEEDED"),
    ] {
        let rig = Rig::with(Wish { set, credits, ..Wish::default() }).await;
        if code.ends_with("BUDGET_EXCEEDED") {
            let upstream = Raw::answering().await;
            assert_eq!(rig.code(&json!({"url": upstream.url()})).await, "200");
            rig.names.asked.lock().unwrap().clear();
        }
        assert_eq!(rig.code(&json!({"url": outside})).await, code, "{set:?}");
        assert_eq!(rig.code(&json!({"url": outside, "preflight": true})).await, code, "{set:?}");
        assert!(rig.names.asked().is_empty(), "{code}: {:?}", rig.names.asked());
        codes.push(code);
    }
    // The first goes, the second comes too soon.
    let rig = Rig::with(Wish { set: &[("rate_agent", "1")], ..Wish::default() }).await;
    assert_eq!(rig.code(&json!({"url": "https://never.example/"})).await, "DOMAIN_BANNED");
    assert_eq!(rig.code(&json!({"url": outside})).await, "RATE_LIMITED");
    codes.push("RATE_LIMITED");
    let paused = doorward_store::accounts::KeyState::Paused;
    rig.door.store.change_key(&rig.key.id, |key| Ok(key.in_state(paused, 0))).await.unwrap();
    assert_eq!(rig.code(&json!({"url": outside})).await, "KEY_PAUSED");
    codes.push("KEY_PAUSED");
    assert!(rig.names.asked().is_empty());
    // Those that are left are said after a name was asked for, by another way in, or by clients.
    let elsewhere = [
        "SESS_IP_MISMATCH",
        "HONEYTOKEN",
        "INBOUND_SAFETY_BLOCKED",
        "REDIRECT_BLOCKED",
        "TOOL_SCHEMA_DRIFT",
        "FETCH_ERROR",
        "DB_OVERLOAD",
        "DNS_FAILED",
        "SESSION_CREATE_FAILED",
        "FAIL_SAFE_EXHAUSTED",
        "GATEWAY_UNREACHABLE",
        "CONFIG_MISSING",
        "CONFIG_ERROR",
        "IDEMPOTENCY_CONFLICT",
        "PROXY_NOT_READY",
        "MCP_HTTP_ERROR",
    ];
    for code in doorward_core::wire::sphyr::code::ALL {
        assert!(codes.contains(&code.name) || elsewhere.contains(&code.name), "{} is not tried", code.name);
    }
}
