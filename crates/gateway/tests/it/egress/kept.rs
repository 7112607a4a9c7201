//! Connections to sites are kept, and nothing that is judged for each request is.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::whole;

/// A site that keeps its connections open: where it is, how many came, and how many requests.
async fn site() -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts = <[Arc<AtomicUsize>; 2]>::default();
    let [connections, requests] = counts.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    request.extend_from_slice(&buffer[..read]);
                    if whole(&request) {
                        request.clear();
                        requests.fetch_add(1, Ordering::Relaxed);
                        stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    let [connections, requests] = counts;
    (port, connections, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_keeps_no_permission() {
    let scene = Scene::new().await;
    let (port, connections, requests) = site().await;
    let came = || (connections.load(Ordering::Relaxed), requests.load(Ordering::Relaxed));
    let asked = json!({"url": format!("http://up.example:{port}/a"), "method": "POST", "body": "{}"});
    for _ in 0..3 {
        assert_eq!(scene.net(&asked).await.status, 200);
        scene.ended().await;
    }
    assert_eq!((came(), scene.lookups(), scene.credits()), ((1, 3), 3, 997));
    // The name leads elsewhere now, to where no rule of the operator helps.
    scene.names.0.lock().unwrap().retain(|(name, _)| *name != "up.example");
    scene.names.0.lock().unwrap().push(("up.example", "169.254.169.254"));
    let refused = scene.net(&asked).await;
    assert!(refused.body.contains("SSRF_BLOCKED"), "{}", refused.body);
    scene.names.0.lock().unwrap().retain(|(name, _)| *name != "up.example");
    scene.names.0.lock().unwrap().push(("up.example", "127.0.0.1"));
    // A key that is paused, and an agent that is stopped, have no use of what lies ready.
    let set = |state| {
        let (store, id) = (&scene.door.store, &scene.key.id);
        async move { store.change_key(id, |key| Ok(key.in_state(state, 0))).await.unwrap() }
    };
    set(KeyState::Paused).await;
    assert!(scene.net(&asked).await.body.contains("KEY_PAUSED"));
    set(KeyState::Active).await;
    let agent = doorward_store::Scope::Agent(AgentName::new("tester").unwrap());
    let stop = doorward_store::Stop { by: "test".into(), reason: String::new(), since: now() * 1000 };
    scene.door.store.kill(agent, stop).await.unwrap();
    assert_ne!(scene.net(&asked).await.status, 200);
    assert_eq!((came(), scene.credits()), ((1, 3), 997));
}

/// Another agent of the same key is another who asks.
#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_key_do_not_share_connections() {
    let scene = Scene::new().await;
    let (port, connections, requests) = site().await;
    for agent in ["a-1", "a-2", "a-1", "a-2"] {
        let session = scene.session(agent).await;
        let url = format!("http://up.example:{port}/{agent}");
        let answer = scene.tool("sphyr_net", session.call(&url, now(), &json!({}))).await;
        assert_eq!(answer["status"], 200, "{answer}");
    }
    assert_eq!((connections.load(Ordering::Relaxed), requests.load(Ordering::Relaxed)), (2, 4));
}
