//! Header lines that `requests` and `httpx` write into every request, signed and sent by the SDK's `auto_instrument`.

use serde_json::json;

use super::{Scene, now};

#[tokio::test(flavor = "multi_thread")]
async fn what_libraries_write_of_the_connection_is_left_out() {
    let scene = Scene::new().await;
    let session = scene.session("a-1").await;
    let host = scene.up.trim_start_matches("http://").to_owned();
    let lines = json!({"Host": host, "Connection": "keep-alive", "Content-Length": "5", "Accept": "*/*",
                       "Accept-Encoding": "gzip, deflate", "User-Agent": "python-requests/2.34.2"});
    let call = json!({"mthd": "POST", "body": "hello", "headers": lines});
    let url = format!("{}/data", scene.up);
    let answer = scene.tool("sphyr_net", session.call(&url, now(), &call)).await;
    assert_eq!(answer["outcome"], "ALLOWED", "{answer}");
    let asked = scene.asked.lock().unwrap()[0].to_ascii_lowercase();
    for line in
        [&*format!("host: {host}\r\n"), "content-length: 5\r\n", "user-agent: python-requests/2.34.2\r\n"]
    {
        assert_eq!(asked.matches(line).count(), 1, "{line} {asked}");
    }
    assert!(!asked.contains("connection: keep-alive") && asked.ends_with("\r\n\r\nhello"), "{asked}");
}

/// What they say otherwise is refused, and what they say at all is signed.
#[tokio::test(flavor = "multi_thread")]
async fn what_says_something_else_of_it_is_refused() {
    let scene = Scene::new().await;
    let session = scene.session("a-1").await;
    let host = scene.up.trim_start_matches("http://").to_owned();
    let at = now();
    for (lines, code) in [
        (json!({"Host": "evil.example"}), "HEADER_COLLISION"),
        (json!({"Host": "up.example"}), "HEADER_COLLISION"),
        (json!({"Host": host, "host": host}), "HEADER_COLLISION"),
        (json!({"Content-Length": "4"}), "HEADER_COLLISION"),
        (json!({"Content-Length": "5", "content-length": "5"}), "HEADER_COLLISION"),
        (json!({"Content_Length": "5"}), "HEADER_COLLISION"),
        (json!({"Connection": "x-forwarded-for"}), "HEADER_COLLISION"),
        (json!({"Connection": "keep-alive, upgrade"}), "HEADER_COLLISION"),
        (json!({"Keep-Alive": "timeout=5"}), "HEADER_COLLISION"),
        (json!({"Transfer-Encoding": "chunked"}), "HEADER_COLLISION"),
    ] {
        let call = json!({"mthd": "POST", "body": "hello", "headers": lines});
        let answer = scene.tool("sphyr_net", session.call(&scene.up, at, &call)).await;
        assert_eq!(answer["code"], code, "{lines}");
    }
    // Left out is not unsigned.
    let mut call = session.call(&scene.up, at, &json!({"headers": {"Connection": "keep-alive"}}));
    for lines in [json!({}), json!({"Connection": "close"})] {
        call["headers"] = lines;
        assert_eq!(scene.tool("sphyr_net", call.clone()).await["code"], "SIG_INVALID", "{call}");
    }
    assert_eq!((scene.lookups(), scene.requests()), (0, 0));
}
