//! Requests with an `Idempotency-Key` are done once.

use serde_json::{Value, json};

use super::redirects::Site;
use super::*;

fn code(reply: &Reply) -> String {
    let refused: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    refused["code"].as_str().unwrap_or("none").to_owned()
}

fn post(site: &Site, key: &str, body: &str) -> Value {
    json!({"url": format!("{}/orders", site.url), "method": "POST", "body": body, "headers": {"Idempotency-Key": key}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_gets_the_answer_of_the_first() {
    let scene = Scene::new().await;
    let count = AtomicU64::new(0);
    let site = Site::new(move |_| {
        let body = format!("order {}", count.fetch_add(1, Ordering::Relaxed));
        format!("HTTP/1.1 201 Created\r\nx-more: 1\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    let first = scene.net(&post(&site, "k-1", "a")).await;
    assert_eq!((first.status, first.body.as_str()), (201, "order 0"));
    scene.ended().await;
    let again = scene.net(&post(&site, "k-1", "a")).await;
    assert_eq!((again.status, again.body.as_str()), (201, "order 0"));
    assert!(again.head.contains("x-more: 1"), "{}", again.head);
    let receipts = scene.ended().await;
    assert_eq!(receipts.last().unwrap()["outcome"]["result"], "answered_before");
    let other = scene.net(&post(&site, "k-1", "b")).await;
    assert_eq!((other.status, code(&other).as_str()), (409, "IDEMPOTENCY_CONFLICT"));
    assert_eq!((site.requests().len(), scene.credits()), (1, 999));
    assert_eq!(scene.net(&post(&site, "k-2", "a")).await.body, "order 1");
    // The signed calls of another agent of the same key have keys of their own, and sign each answer anew.
    let session = scene.session("a-1").await;
    let call = |at: u64| {
        let more = json!({"mthd": "POST", "body": "a", "headers": {"Idempotency-Key": "k-1"}});
        session.call(&format!("{}/orders", site.url), at, &more)
    };
    for at in [now(), now() + 1] {
        let answer = scene.tool("sphyr_net", call(at)).await;
        assert_eq!(
            (&answer["status"], &answer["upstream_response_body"]),
            (&json!(201), &json!("order 2")),
            "{answer}"
        );
    }
    assert_eq!(site.requests().len(), 3);
    // Eight at once are one.
    let asked = post(&site, "k-3", "a");
    let sent: Vec<_> = (0..8).map(|_| scene.net(&asked)).collect();
    let answers: Vec<String> = futures_of(sent).await.into_iter().map(|reply| reply.body).collect();
    assert!(answers.iter().all(|answer| answer == "order 3"), "{answers:?}");
}

/// What is only checked is told what the request would be told, and takes no key.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_checked_knows_of_keys_and_takes_none() {
    let scene = Scene::new().await;
    let checked = |key: &str, body: &str| {
        let mut checked = request(&scene, key, body);
        checked["preflight"] = json!(true);
        checked
    };
    assert_eq!(scene.net(&request(&scene, "k-1", "a")).await.status, 200);
    scene.ended().await;
    let looked = scene.lookups();
    let other = scene.net(&checked("k-1", "b")).await;
    assert_eq!((other.status, code(&other).as_str()), (409, "IDEMPOTENCY_CONFLICT"));
    assert!(other.head.contains("x-request-id: "), "it has a receipt: {}", other.head);
    let same = scene.net(&checked("k-1", "a")).await;
    assert!(same.status == 200 && same.body.contains("PREFLIGHT_OK"), "{}", same.body);
    assert_eq!(scene.lookups(), looked, "it would be answered from memory");
    let long = scene.net(&checked(&"k".repeat(257), "a")).await;
    assert_eq!(code(&long), "HEADER_INVALID");
    // Whoever comes first with a key that was only checked has it.
    for _ in 0..2 {
        assert_eq!(scene.net(&checked("k-2", "a")).await.status, 200);
    }
    assert_eq!(scene.net(&request(&scene, "k-2", "b")).await.status, 200);
    assert_eq!(code(&scene.net(&checked("k-2", "a")).await), "IDEMPOTENCY_CONFLICT");
    assert_eq!((scene.requests(), scene.credits()), (2, 998));
}

fn request(scene: &Scene, key: &str, body: &str) -> Value {
    json!({"url": format!("{}/orders", scene.up), "method": "POST", "body": body, "headers": {"Idempotency-Key": key}})
}

/// All of them, at once.
async fn futures_of<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (slot, out) in pending.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                (*out, *slot) = (Some(output), None);
            }
        }
        match pending.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

/// What may have been done is not done again, and nobody is told to try.
#[tokio::test(flavor = "multi_thread")]
async fn what_broke_off_is_not_repeated() {
    let scene = Scene::new().await;
    // Takes the request and says nothing.
    let site = Site::new(|_| String::new()).await;
    for (asked, retryable) in [
        (json!({"url": &site.url}), true),
        (json!({"url": &site.url, "method": "PUT", "body": "x"}), true),
        (json!({"url": &site.url, "method": "POST", "body": "x"}), false),
        (json!({"url": &site.url, "method": "PATCH", "body": "x"}), false),
        (post(&site, "k-1", "a"), false),
    ] {
        let reply = scene.net(&asked).await;
        let refused: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(
            (&refused["code"], &refused["retryable"]),
            (&json!("FETCH_ERROR"), &json!(retryable)),
            "{asked}"
        );
    }
    let before = site.requests().len();
    let again = scene.net(&post(&site, "k-1", "a")).await;
    assert_eq!(code(&again), "FETCH_ERROR");
    assert_eq!(site.requests().len(), before);
    // What was never sent may be tried again.
    let closed = json!({"url": "http://up.example:1/", "method": "POST", "body": "x", "headers": {"Idempotency-Key": "k-9"}});
    for _ in 0..2 {
        let refused: Value = serde_json::from_str(&scene.net(&closed).await.body).unwrap();
        assert_eq!(
            (&refused["code"], &refused["retryable"]),
            (&json!("FETCH_ERROR"), &json!(true)),
            "{refused}"
        );
    }
}
