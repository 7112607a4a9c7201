//! The gate, walked along the route table.

use doorward_core::routes::{Listener, Principal, ROUTES, Route};
use doorward_store::{Token, TokenKind};

use crate::served::{Reply, Served, served};

fn control_routes() -> impl Iterator<Item = (&'static Route, &'static str, String)> {
    ROUTES.iter().filter(|route| route.listener == Listener::Control).flat_map(|route| {
        let path = route.pattern.replace("{id}", "r1");
        route.methods.iter().map(move |method| (route, *method, path.clone()))
    })
}

async fn with_body(served: &Served, method: &str, path: &str, headers: &str) -> Reply {
    let headers = format!("{headers}Content-Type: application/json\r\n");
    let body = match (method, path) {
        ("POST", "/v1/sessions") => r#"{"session":"alice/x","act":"clear"}"#,
        ("POST", "/v1/quarantine") => r#"{"act":"purge","item":"0123456789abcdef"}"#,
        ("POST", "/v1/taint") => r#"{"act":"clear","artefact":"a.test"}"#,
        ("POST", path) if path.ends_with("/approve") => r#"{"scope":"once"}"#,
        ("POST", _) => "{}",
        _ => "",
    };
    served.send(method, path, &headers, body).await
}

#[tokio::test]
async fn without_the_operators_token_only_health_is_told() {
    let served = served().await;
    let agent = Token::random(TokenKind::Agent).unwrap();
    let other = Token::random(TokenKind::Operator).unwrap();
    let token = served.token.expose().to_owned();
    let wrong = [
        String::new(),
        "Authorization: \r\n".into(),
        "Authorization: Bearer\r\n".into(),
        "Authorization: Bearer \r\n".into(),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: Bearer  {token}\r\n"),
        format!("Authorization: Bearer {token}x\r\n"),
        format!("Authorization: Bearer {}\r\n", token.get(..token.len() - 1).unwrap()),
        format!("Authorization: Bearer {}\r\n", agent.expose()),
        format!("Authorization: Bearer {}\r\n", other.expose()),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        format!("X-Api-Key: {token}\r\nCookie: token={token}\r\n"),
    ];
    let mut walked = 0;
    for (route, method, path) in control_routes() {
        for headers in &wrong {
            let reply = with_body(&served, method, &path, headers).await;
            if route.principal == Principal::Nobody {
                assert_eq!(reply.status, 200, "{method} {path}");
            } else {
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (401, "unauthorized"),
                    "{method} {path} {headers}"
                );
                assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
            }
            walked += 1;
        }
        let reply = with_body(&served, method, &path, &served.bearer()).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
    }
    assert!(walked >= 7 * wrong.len(), "{walked}");
    let acts = served.desk.acts.lock().unwrap().len();
    assert_eq!(acts, 2, "an act was done for somebody without the token");
    assert_eq!(
        served.desk.settled.lock().unwrap().len(),
        4,
        "an answer of somebody without the token counted"
    );
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_turned_away_everywhere() {
    let served = served().await;
    let port = served.address.port();
    let ours = served.host();
    let foreign = [
        String::new(),
        "Host: \r\n".into(),
        "Host: evil.example\r\n".into(),
        format!("Host: evil.example:{port}\r\n"),
        "Host: localhost\r\n".into(),
        "Host: door.example:1\r\n".into(),
        format!("{ours}Host: evil.example\r\n"),
        format!("{ours}{ours}"),
        format!("{ours}Origin: http://evil.example\r\n"),
        format!("{ours}Origin: null\r\n"),
        format!("{ours}Origin: localhost:{port}\r\n"),
        format!("{ours}Origin: http://localhost:{port}/\r\n"),
        format!("{ours}Origin: http://localhost:{port}\r\nOrigin: http://evil.example\r\n"),
        format!("{ours}Origin: http://localhost:{port}@evil.example\r\n"),
    ];
    for (_, method, path) in control_routes() {
        for headers in &foreign {
            let request = format!("{method} {path} HTTP/1.1\r\n{headers}{}\r\n", served.bearer());
            let reply = served.raw(request.as_bytes()).await;
            assert_eq!(reply.status, 403, "{method} {path} {headers:?} {reply:?}");
            assert!(reply.code().starts_with("foreign_"));
        }
    }
    for headers in [
        format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"),
        format!("Host: [::1]:{port}\r\n"),
        "Host: door.example\r\nOrigin: https://door.example\r\n".into(),
    ] {
        let request = format!("GET /v1/status HTTP/1.1\r\n{headers}{}\r\n", served.bearer());
        assert_eq!(served.raw(request.as_bytes()).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_target_that_names_a_host_is_refused() {
    let served = served().await;
    let (host, bearer) = (served.host(), served.bearer());
    for target in
        ["GET http://evil.example/v1/status", "CONNECT evil.example:443", "GET http://localhost/healthz"]
    {
        let reply = served.raw(format!("{target} HTTP/1.1\r\n{host}{bearer}\r\n").as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "not_a_proxy"), "{target}");
    }
}

#[tokio::test]
async fn wrong_methods_and_unknown_paths() {
    let served = served().await;
    for (route, _, path) in control_routes() {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "get", "BREW"] {
            if route.methods.contains(&method) {
                continue;
            }
            let reply = served.send(method, &path, &served.bearer(), "").await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some(route.methods.join(", ").as_str()));
        }
    }
    let agents = ROUTES.iter().filter(|route| route.listener == Listener::Data);
    let data = agents
        .map(|route| route.pattern.replace("{token}", "t").replace("{name}", "n").replace("{rest}", "x"));
    let odd = [
        "/",
        "/v1",
        "/v1/kill/",
        "//v1/kill",
        "/v1/./kill",
        "/v1/%6bill",
        "/V1/kill",
        "/v1/receipts/..",
        "*",
    ];
    for path in data.chain(odd.map(String::from)) {
        for method in ["GET", "POST", "OPTIONS"] {
            let reply = served.send(method, &path, &served.bearer(), "").await;
            // `*` is only legal for OPTIONS; hyper refuses the others itself.
            assert!(reply.status == 404 || path == "*", "{method} {path} {reply:?}");
        }
    }
    assert!(served.desk.acts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn answers_are_json_and_not_kept() {
    let served = served().await;
    for reply in [
        served.operator("GET", "/v1/status", "").await,
        served.send("GET", "/v1/status", "", "").await,
        served.send("GET", "/nowhere", "", "").await,
    ] {
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("connection"), Some("close"));
        let answer = reply.json();
        if reply.status != 200 {
            for member in ["code", "message", "advice"] {
                assert!(answer["error"][member].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
            }
        }
    }
}
