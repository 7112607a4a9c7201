//! Redirects that are followed: each hop is judged, paid and recorded like the first.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::support::whole;

/// A site that answers by what it is asked, and what it was asked.
pub(super) struct Site {
    pub(super) url: String,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub(super) async fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://up.example:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !whole(&request) {
                        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    seen.lock().unwrap().push(text.clone());
                    let _ = stream.write_all(answer(&text).as_bytes()).await;
                });
            }
        });
        Self { url, asked }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn moved(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{}", reply.body))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hop_is_judged_paid_and_recorded() {
    let scene = Scene::new().await;
    let other = Site::new(|_| OK.to_owned()).await;
    let to = other.url.clone();
    let site = Site::new(move |asked| match asked {
        asked if asked.starts_with("POST /a/first ") => moved(303, "../second?x=1"),
        asked if asked.starts_with("GET /second?x=1 ") => moved(302, &format!("{to}/third")),
        _ => "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
    })
    .await;
    let headers = json!({"Authorization": "Bearer abc", "X-Own": "1", "Accept": "application/json", "Content-Type": "text/plain"});
    let asked = json!({"url": format!("{}/a/first", site.url), "method": "POST", "body": "b", "headers": headers, "follow_redirects": 5});
    let reply = scene.net(&asked).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"ok\":true}"));
    let [first, second] = &site.requests()[..] else { panic!() };
    assert!(first.contains("authorization: Bearer abc") && first.ends_with("\r\n\r\nb"), "{first}");
    // The same origin: who asks stays, what was said of the body does not.
    assert!(second.contains("authorization: Bearer abc") && !second.contains("content-type"), "{second}");
    let [third] = &other.requests()[..] else { panic!() };
    assert!(
        third.starts_with("GET /third HTTP/1.1\r\n") && third.contains("accept: application/json"),
        "{third}"
    );
    assert!(!third.contains("authorization") && !third.contains("x-own"), "{third}");
    let receipts = scene.ended().await;
    let of = |kind: &str| receipts.iter().filter(|receipt| receipt["kind"] == kind).collect::<Vec<_>>();
    let requests: Vec<_> = of("decision");
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert_eq!(
        requests.iter().map(|one| one["action"]["source"].clone()).collect::<Vec<_>>(),
        ["model", "web", "web"]
    );
    let results: Vec<_> = of("outcome").iter().map(|one| one["outcome"]["result"].clone()).collect();
    assert_eq!(results, ["redirected", "redirected", "completed"]);
    assert_eq!(scene.credits(), 997);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_is_refused_ends_it() {
    let scene = Scene::new().await;
    for (to, why) in [
        ("http://169.254.169.254/latest/", "SSRF_BLOCKED"),
        ("https://never.example/", "DOMAIN_BANNED"),
        ("http://example.com/", "HTTPS_REQUIRED"),
        ("https://user@example.com/", "INVALID_URL"),
        ("ftp://example.com/", "INVALID_URL"),
        ("https://example.com/?k=ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7", "ENTROPY_BLOCKED"),
        ("https://inside.example/", "SSRF_BLOCKED"),
        ("https://nowhere.example/", "DNS_FAILED"),
    ] {
        let site = Site::new(move |_| moved(307, to)).await;
        let before = scene.lookups();
        let asked = json!({"url": &site.url, "method": "POST", "body": "x", "follow_redirects": 3});
        let reply = scene.net(&asked).await;
        let refused = json_of(&reply);
        assert_eq!(
            (reply.status, refused["code"].as_str().unwrap()),
            (403, "REDIRECT_BLOCKED"),
            "{to} {refused}"
        );
        assert!(refused["message"].as_str().unwrap().contains(why), "{refused}");
        assert_eq!(refused["remediation"]["parameters"]["redirect_location"], to);
        assert_eq!(refused["retryable"], false, "the first was sent");
        let asks = usize::from(["https://inside.example/", "https://nowhere.example/"].contains(&to));
        assert_eq!((site.requests().len(), scene.lookups() - before), (1, 1 + asks), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_followed_than_are_asked_for() {
    let scene =
        Scene::with(&[("rate_agent", "1000"), ("follow_redirects", "2")], egress::Settings::default(), OK)
            .await;
    let site = Site::new(|asked| {
        let at: u32 =
            asked.split("/").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
        moved(302, &format!("/{}", at + 1))
    })
    .await;
    for (follow, last) in [(json!(0), 1), (json!(3), 4), (json!(10), 11)] {
        let reply = scene.net(&json!({"url": format!("{}/0", site.url), "follow_redirects": follow})).await;
        assert_eq!(reply.status, 302);
        assert!(reply.head.contains(&format!("location: /{last}\r\n")), "{}", reply.head);
    }
    // As the key says, where the request does not: what is signed has no word for it.
    let session = scene.session("a-1").await;
    let answer = scene.tool("sphyr_net", session.call(&format!("{}/0", site.url), now(), &json!({}))).await;
    assert_eq!((&answer["status"], &answer["credits_used"]), (&json!(302), &json!(3)));
    let parameters = &answer["remediation"]["parameters"];
    assert_eq!(parameters["redirect_location"], format!("{}/3", site.url));
    for wrong in [json!(11), json!(-1), json!("3"), json!(true)] {
        let reply = scene.net(&json!({"url": &site.url, "follow_redirects": wrong})).await;
        assert_eq!(json_of(&reply)["code"], "ARGUMENTS_INVALID");
    }
}
