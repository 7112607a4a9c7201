//! Compatible providers on real sockets: their habits of HTTP beside those of their bytes.

use doorward_core::session::Mode;
use doorward_core::wire::Protocol;
use doorward_gateway::{KeyHeader, UpstreamSettings};
use doorward_testkit::Provider;
use doorward_testkit::provider::{Seen, dialects};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::{Door, Reply, send};

const CHAT: &str = "v1/chat/completions";

async fn provider() -> Provider {
    Provider::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn untrusted(provider: &Provider) -> UpstreamSettings {
    Door::untrusted(Protocol::OpenAi, provider.url())
}

fn request(scenario: &str, stream: bool) -> String {
    let tools: Vec<Value> = ["Bash", "get_weather"]
        .iter()
        .map(|name| json!({"type": "function", "function": {"name": name}}))
        .collect();
    let messages = json!([{"role": "user", "content": "List the files, please."}]);
    json!({"model": format!("scripted:{scenario}"), "stream": stream, "stream_options": {"include_usage": true},
        "tools": tools, "messages": messages})
    .to_string()
}

/// The same request through the door and to the provider itself.
async fn both(door: &Door, provider: &Provider, scenario: &str, stream: bool) -> (Reply, Reply) {
    let body = request(scenario, stream);
    let through = door.send("POST", &format!("/t/{}/openai/{CHAT}", door.token), &body).await;
    (through, send(provider.address(), "POST", &format!("/{CHAT}"), "", &body).await)
}

/// The value of a header of a logged request.
fn header<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    let those = seen.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    those.map(|(_, value)| value.as_str()).collect()
}

/// The lines of a reply's head that are the upstream's own.
fn own(head: &str) -> Vec<&str> {
    let hop = ["connection:", "transfer-encoding:", "content-length:", "date:", "doorward-", "http/1.1"];
    let mut lines: Vec<&str> =
        head.split("\r\n").filter(|line| !hop.iter().any(|hop| line.starts_with(hop))).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_replies_pass_with_their_headers() {
    let provider = provider().await;
    let door = Door::toward(untrusted(&provider), Mode::Block).await;
    for dialect in dialects::CHAT {
        for scene in ["text", "reasoning", "parallel"] {
            for (stream, delivery) in [(true, ""), (true, ";split=5"), (true, ";every=1"), (false, "")] {
                let scenario = format!("{dialect}/{scene}{delivery}");
                let (through, directly) = both(&door, &provider, &scenario, stream).await;
                assert_eq!(through.status, 200, "{scenario}: {through:?}");
                assert_eq!(through.body, directly.body, "{scenario}");
                assert_eq!(own(&through.head), own(&directly.head), "{scenario}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_call_never_leaves() {
    let provider = provider().await;
    let door = Door::toward(untrusted(&provider), Mode::Block).await;
    for dialect in dialects::CHAT {
        for scene in ["blocked", "blocked_first", "all_blocked"] {
            for (stream, delivery) in [(true, ""), (true, ";split=9"), (true, ";every=1"), (false, "")] {
                let scenario = format!("{dialect}/{scene}{delivery}");
                let (through, directly) = both(&door, &provider, &scenario, stream).await;
                assert!(directly.body.contains("payload") || stream, "{scenario}");
                assert_eq!(through.status, 200, "{scenario}: {through:?}");
                assert!(
                    !through.body.contains("payload") && !through.body.contains("install.sh"),
                    "{scenario}"
                );
                assert!(through.body.contains("[doorward] Blocked the call to `Bash`"), "{scenario}");
                assert_eq!(through.body.contains("get_weather"), scene != "all_blocked", "{scenario}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_before_a_reply_pass_as_they_are() {
    let provider = provider().await;
    let door = Door::toward(untrusted(&provider), Mode::Block).await;
    for dialect in dialects::CHAT {
        for stream in [true, false] {
            let scenario = format!("{dialect}/refused");
            let (through, directly) = both(&door, &provider, &scenario, stream).await;
            assert!(directly.status >= 400, "{scenario}");
            assert_eq!((through.status, &through.body), (directly.status, &directly.body), "{scenario}");
            assert_eq!(own(&through.head), own(&directly.head), "{scenario}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_the_middle_of_a_reply_are_told() {
    let provider = provider().await;
    let door = Door::toward(untrusted(&provider), Mode::Block).await;
    for dialect in dialects::CHAT {
        for scene in ["broken", "broken_call"] {
            let scenario = format!("{dialect}/{scene}");
            let (through, directly) = both(&door, &provider, &scenario, true).await;
            assert_eq!(through.status, 200, "{scenario}");
            let last = |reply: &Reply| {
                reply.events().into_iter().rfind(|event| {
                    let reason = event["choices"][0]["finish_reason"].as_str();
                    event.get("error").is_some() || reason.is_some()
                })
            };
            match last(&directly) {
                Some(theirs) => assert_eq!(last(&through), Some(theirs), "{scenario}"),
                None => assert!(through.body.contains("stream.truncated"), "{scenario}: {}", through.body),
            }
            assert!(!through.body.contains("ls -la") || dialect == "mistral", "{scenario}: {}", through.body);

            // In one piece: the provider's own words where it has some, else an answer that says what happened.
            let (through, directly) = both(&door, &provider, &scenario, false).await;
            match serde_json::from_str::<Value>(&directly.body) {
                Ok(_) => assert_eq!((through.status, through.body), (200, directly.body), "{scenario}"),
                Err(_) => {
                    assert_eq!(through.status, 502, "{scenario}: {through:?}");
                    assert!(
                        through.head.contains("doorward-code: upstream.aborted"),
                        "{scenario}: {through:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_is_reached_in_every_form_of_its_paths() {
    let provider = provider().await;
    let classic = "openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    let newer = "openai/v1/chat/completions?api-version=preview";
    for (base, rest) in [
        ("", classic),
        ("", newer),
        ("", "openai/v1/chat/completions"),
        ("/openai", "deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        ("/openai", "v1/chat/completions"),
        ("/openai/v1", "chat/completions"),
        ("/openai/deployments/gpt-4o", "chat/completions?api-version=2024-10-21"),
    ] {
        let upstream = Door::untrusted(Protocol::OpenAi, format!("{}{base}", provider.url()));
        let door = Door::toward(upstream, Mode::Block).await;
        let target = format!("/t/{}/openai/{rest}", door.token);
        let key = "api-key: client-key\r\n";
        let reply = send(door.address, "POST", &target, key, &request("azure/blocked", true)).await;
        assert_eq!(reply.status, 200, "{base} {rest}: {reply:?}");
        assert!(reply.body.contains("[doorward] Blocked") && !reply.body.contains("payload"), "{rest}");
        let seen = provider.seen().pop().unwrap();
        assert_eq!(seen.target, format!("{base}/{rest}"));
        assert_eq!((header(&seen, "api-key"), header(&seen, "authorization").len()), (vec!["client-key"], 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_where_the_provider_wants_it_and_nowhere_else() {
    let provider = provider().await;
    for (key_header, name, value) in [
        (None, "authorization", "Bearer configured"),
        (Some(KeyHeader::Bearer), "authorization", "Bearer configured"),
        (Some(KeyHeader::ApiKey), "api-key", "configured"),
        (Some(KeyHeader::XApiKey), "x-api-key", "configured"),
    ] {
        let key = Some(Zeroizing::new("configured".to_owned()));
        let door =
            Door::toward(UpstreamSettings { key, key_header, ..untrusted(&provider) }, Mode::Block).await;
        let target = format!("/t/{}/openai/{CHAT}", door.token);
        let brought = "authorization: Bearer mine\r\napi-key: mine\r\nx-api-key: mine\r\n";
        assert_eq!(send(door.address, "POST", &target, brought, &request("text", true)).await.status, 200);
        let seen = provider.seen().pop().unwrap();
        for known in ["authorization", "api-key", "x-api-key"] {
            let expected = if known == name { vec![value] } else { vec![] };
            assert_eq!(header(&seen, known), expected, "{key_header:?}");
        }
    }
}

/// Ollama's own endpoints answer in lines of JSON that no dialect here reads.
#[tokio::test(flavor = "multi_thread")]
async fn ollamas_own_endpoints_are_refused_with_advice() {
    let provider = provider().await;
    let door = Door::toward(untrusted(&provider), Mode::Block).await;
    for path in ["api/chat", "api/generate"] {
        let reply = door.send("POST", &format!("/t/{}/openai/{path}", door.token), "{\"model\":\"x\"}").await;
        assert_eq!(reply.status, 403, "{reply:?}");
        assert!(reply.head.contains("doorward-code: unknown_endpoint"), "{reply:?}");
        assert!(
            reply.body.contains(path) && reply.body.contains("/v1/chat/completions, which Ollama has"),
            "{reply:?}"
        );
    }
    assert!(provider.seen().is_empty(), "nothing was sent on");
}
