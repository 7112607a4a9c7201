use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use doorward_core::wire::sphyr::call::Time;

use doorward_store::{Home, HomeLock, Options};

use super::*;

/// A home directory with a store.
struct Place {
    root: PathBuf,
    open: Option<(HomeLock, Store)>,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("doorward-repeats-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&root).unwrap();
        Self { open: Some(Self::open(&root)), root }
    }

    fn open(root: &std::path::Path) -> (HomeLock, Store) {
        let lock = Home::open(root.join("home")).unwrap().lock().unwrap();
        let store = Store::open(&lock, Options::default()).unwrap();
        (lock, store)
    }

    /// What is known in a process that begins at this time.
    fn repeats(&self, millis: Millis) -> Repeats {
        let store = self.open.as_ref().unwrap().1.clone();
        let kept = store.take_once().requests;
        Repeats::new(Secret32::new([7; 32]), store, kept, At { ticks: 0, millis })
    }

    /// Ends and starts again.
    async fn restart(&mut self, millis: Millis) -> Repeats {
        let (lock, store) = self.open.take().unwrap();
        store.close().await.unwrap();
        drop(lock);
        self.open = Some(Self::open(&self.root));
        self.repeats(millis)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Now, by the clock that a restart goes by: the store reads it.
fn millis() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn session(agent: &str) -> Session {
    Session {
        token: "".into(),
        nonce: "".into(),
        key: "k".into(),
        agent: agent.into(),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        issued: 0,
        expires: 0,
    }
}

fn net(key: &str, body: &str) -> Net {
    Net {
        session: String::new(),
        url: "https://a.example/".into(),
        method: "POST".into(),
        category: String::new(),
        signature: String::new(),
        time: Time { text: String::new(), seconds: 0 },
        body: body.into(),
        headers: vec![("Idempotency-Key".into(), key.into()), ("X".into(), "1".into())],
        framing: Vec::new(),
        trace: String::new(),
        preflight: false,
        follow: None,
    }
}

fn given(length: usize) -> Arc<Given> {
    Arc::new(Given { bytes: Bytes::from(vec![b'x'; length]), ..Given::default() })
}

async fn at(repeats: &Repeats, net: &Net, agent: &str, now: Ticks) -> Result<Option<Claimed>, Denial> {
    repeats.claim(net, &session(agent), || At { ticks: now, millis: millis() }).await
}

async fn first(repeats: &Repeats, net: &Net, now: Ticks) -> Claim {
    match at(repeats, net, "a", now).await {
        Ok(Some(Claimed::First(mut claim))) => {
            claim.going().await.unwrap();
            claim
        }
        _ => panic!("not the first"),
    }
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_agent() {
    let place = Place::new();
    let repeats = place.repeats(millis());
    let post = net("k1", "x");
    first(&repeats, &post, 0).await.answered(Some(given(3)));
    let mut shuffled = post.clone();
    shuffled.headers.reverse();
    shuffled.headers[0].0 = "x".into();
    for same in [&post, &shuffled] {
        let again = at(&repeats, same, "a", 1000).await;
        assert!(matches!(again, Ok(Some(Claimed::Again(given))) if given.bytes.len() == 3));
    }
    let mut other = post.clone();
    other.url.push('y');
    for other in [net("k1", "y"), other] {
        let refused = at(&repeats, &other, "a", 1000).await.err().unwrap();
        assert_eq!(refused.code, code::IDEMPOTENCY_CONFLICT);
    }
    assert!(matches!(at(&repeats, &post, "b", 1000).await, Ok(Some(Claimed::First(_)))));
    assert!(matches!(at(&repeats, &net("k2", "x"), "a", 1000).await, Ok(Some(Claimed::First(_)))));
    // Some minutes after its answer it may be done again.
    assert!(matches!(at(&repeats, &post, "a", LASTS + 100_000).await, Ok(Some(Claimed::First(_)))));
    let get = Net { method: "GET".into(), ..post };
    assert!(matches!(at(&repeats, &get, "a", 0).await, Ok(None)));
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let place = Place::new();
    let repeats = place.repeats(millis());
    let post = net("k1", "x");
    drop(first(&repeats, &post, 0).await);
    let refused = at(&repeats, &post, "a", 1000).await.err().unwrap();
    assert!(refused.code == code::FETCH_ERROR && !refused.retryable());
    let post = net("k2", "x");
    first(&repeats, &post, 0).await.answered(Some(given(LARGEST + 1)));
    let refused = at(&repeats, &post, "a", 1000).await.err().unwrap();
    assert_eq!(refused.code, code::IDEMPOTENCY_CONFLICT);
    // Nothing of these went.
    let post = net("k3", "x");
    drop(at(&repeats, &post, "a", 0).await);
    first(&repeats, &post, 0).await.refused(&Denial::new(code::DNS_FAILED, "no"));
    drop(first(&repeats, &post, 0).await);
}

#[tokio::test]
async fn who_comes_meanwhile_waits() {
    let place = Place::new();
    let repeats = place.repeats(millis());
    let post = net("k1", "x");
    let claim = first(&repeats, &post, 0).await;
    let waiting = async {
        tokio::task::yield_now().await;
        claim.answered(Some(given(5)));
    };
    let (again, ()) = tokio::join!(at(&repeats, &post, "a", 0), waiting);
    assert!(matches!(again, Ok(Some(Claimed::Again(given))) if given.bytes.len() == 5));
}

#[tokio::test]
async fn one_key_does_not_fill_it() {
    let place = Place::new();
    let repeats = place.repeats(millis());
    for count in 0..MOST_OF_KEY {
        first(&repeats, &net(&format!("k{count}"), "x"), 0).await.answered(None);
    }
    let refused = at(&repeats, &net("more", "x"), "a", 0).await.err().unwrap();
    assert_eq!(refused.code, code::RATE_LIMITED);
    assert!(matches!(
        at(&repeats, &net("more", "x"), "a", LASTS + 60_000).await,
        Ok(Some(Claimed::First(_)))
    ));
}

#[tokio::test]
async fn a_restart_knows_what_was_done_and_what_may_have_been() {
    let mut place = Place::new();
    let repeats = place.repeats(millis());
    let refused = async |repeats: &Repeats, key: &str| {
        let refused = at(repeats, &net(key, "x"), "a", 1000).await.err().unwrap();
        assert!(refused.code == code::IDEMPOTENCY_CONFLICT && !refused.retryable(), "{refused:?}");
        refused.message
    };
    first(&repeats, &net("answered", "x"), 0).await.answered(Some(given(3)));
    first(&repeats, &net("large", "x"), 0).await.answered(None);
    drop(first(&repeats, &net("broken", "x"), 0).await);
    // What the process is killed in: its end is never told.
    std::mem::forget(first(&repeats, &net("going", "x"), 0).await);
    first(&repeats, &net("nothing", "x"), 0).await.refused(&Denial::new(code::DNS_FAILED, "no"));
    drop(at(&repeats, &net("only claimed", "x"), "a", 0).await);
    for _ in 0..2 {
        let repeats = place.restart(millis()).await;
        let again = at(&repeats, &net("answered", "x"), "a", 1000).await;
        assert!(matches!(again, Ok(Some(Claimed::Again(given))) if given.bytes.len() == 3));
        let other = at(&repeats, &net("answered", "y"), "a", 1000).await.err().unwrap();
        assert_eq!((other.code, other.message.as_str()), (code::IDEMPOTENCY_CONFLICT, OTHER));
        assert_eq!(refused(&repeats, "large").await, DONE);
        assert_eq!(refused(&repeats, "broken").await, STOPPED);
        assert_eq!(refused(&repeats, "going").await, STOPPED);
        for fine in ["nothing", "only claimed"] {
            drop(at(&repeats, &net(fine, "x"), "a", 0).await.unwrap());
        }
    }
    // Some minutes later all of it may be done again; also what was never told to have ended.
    let repeats = place.restart(millis()).await;
    for key in ["answered", "large", "broken", "going"] {
        let again = at(&repeats, &net(key, "x"), "a", LASTS + 60_000).await;
        assert!(matches!(again, Ok(Some(Claimed::First(_)))), "{key}");
    }
    let later = place.restart(millis() + LASTS + 60_000).await;
    assert!(matches!(at(&later, &net("large", "x"), "a", 0).await, Ok(Some(Claimed::First(_)))));
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_sent() {
    let mut place = Place::new();
    let repeats = place.repeats(millis());
    let claimed = at(&repeats, &net("k", "x"), "a", 0).await;
    let Ok(Some(Claimed::First(mut claim))) = claimed else { panic!() };
    let (lock, store) = place.open.take().unwrap();
    store.close().await.unwrap();
    drop(lock);
    let refused = claim.going().await.err().unwrap();
    assert_eq!((refused.code, refused.seen), (code::DB_OVERLOAD, false));
    drop(claim);
    assert!(matches!(at(&repeats, &net("k", "x"), "a", 0).await, Ok(Some(Claimed::First(_)))));
}
