//! The outbox on a real database.

use std::path::PathBuf;

use super::*;
use crate::{Home, HomeLock, Options};

struct Scene {
    store: Store,
    root: PathBuf,
    lock: HomeLock,
}

impl Scene {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("doorward-webhooks-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let lock = Home::open(&root).unwrap().lock().unwrap();
        Self { store: Store::open(&lock, Options::default()).unwrap(), root, lock }
    }

    async fn reopened(self) -> Self {
        let Self { store, root, lock } = self;
        store.close().await.unwrap();
        Self { store: Store::open(&lock, Options::default()).unwrap(), root, lock }
    }

    async fn hook(&self) -> Arc<Hook> {
        let url = "https://hooks.example/secret-path".to_owned();
        let hook = Hook::new(url, EventKind::WISHED.to_vec(), false, 5).unwrap();
        self.store.add_webhook(hook).await.unwrap()
    }

    async fn end(self) {
        self.store.close().await.unwrap();
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

fn message(hook: &Hook, number: u64, size: usize) -> Delivery {
    Delivery {
        id: format!("msg_{number:08}"),
        hook: hook.id.to_string(),
        stage: Stage::Waiting,
        due: number,
        created: number,
        tries: 0,
        word: "action.blocked".into(),
        payload: format!("\"{}\"", "x".repeat(size)).into_bytes(),
        told: String::new(),
    }
}

async fn due(store: &Store, hook: &Hook, now: Millis) -> (Vec<String>, Option<Millis>) {
    let (due, next) = store.due_deliveries(vec![(hook.id.to_string(), 10)], now).await.unwrap();
    (due.into_iter().map(|one| one.id).collect(), next)
}

#[tokio::test]
async fn what_waits_survives_and_nothing_can_be_read_without_the_key() {
    let scene = Scene::new("kept");
    let hook = scene.hook().await;
    let all = vec![message(&hook, 1, 3), message(&hook, 2, 3), message(&hook, 50, 3)];
    assert!(scene.store.put_deliveries(all).await.unwrap().is_empty());
    let scene = scene.reopened().await;
    let again = scene.store.webhooks().hook(&hook.id).unwrap();
    assert!(*again == *hook, "with its secret");
    assert_eq!(
        due(&scene.store, &hook, 10).await,
        (vec!["msg_00000001".into(), "msg_00000002".into()], Some(50))
    );
    let settled =
        |stage, due| Settled { id: "msg_00000001".into(), stage, due, tries: 1, told: "500".into() };
    scene.store.settle_delivery(settled(Stage::Waiting, 30)).await.unwrap();
    assert_eq!(due(&scene.store, &hook, 10).await, (vec!["msg_00000002".into()], Some(30)));
    scene.store.settle_delivery(settled(Stage::Failed, 30)).await.unwrap();
    let failed = scene.store.deliveries(Which::Failed(None), 10).await.unwrap();
    assert_eq!((failed.len(), failed[0].tries, &*failed[0].told), (1, 1, "500"));
    assert_eq!(scene.store.redeliver(Which::Failed(Some(hook.id.to_string())), 9).await.unwrap(), 1);
    assert_eq!(due(&scene.store, &hook, 10).await.0, ["msg_00000002", "msg_00000001"]);
    // A clock that was ahead put off what was tried then.
    scene.store.settle_delivery(settled(Stage::Waiting, 1 << 40)).await.unwrap();
    assert_eq!(due(&scene.store, &hook, 10).await.0, ["msg_00000002", "msg_00000001"]);
    let tally = scene.store.delivery_tallies(vec![hook.id.to_string()]).await.unwrap();
    assert_eq!(tally, [Tally { waiting: 3, failed: 0, lost: 0 }]);
    let scene = scene.reopened().await;
    let raw = std::fs::read(scene.store.home().store_db()).unwrap();
    for secret in [hook.secret().as_bytes(), b"hooks.example", b"action.blocked"] {
        assert!(!raw.windows(secret.len()).any(|window| window == secret));
    }
    scene.store.remove_webhook(&hook.id).await.unwrap();
    assert!(scene.store.deliveries(Which::All(None), 10).await.unwrap().is_empty());
    scene.end().await;
}

#[tokio::test]
async fn what_finds_no_room_is_counted() {
    let scene = Scene::new("room");
    let hook = scene.hook().await;
    let all: Vec<Delivery> = (0..MOST_WAITING + 7).map(|n| message(&hook, n, 1)).collect();
    let refused = scene.store.put_deliveries(all).await.unwrap();
    assert_eq!(refused, BTreeMap::from([(hook.id.to_string(), 7)]));
    let of = || vec![hook.id.to_string()];
    assert_eq!(scene.store.delivery_tallies(of()).await.unwrap()[0].lost, 7);
    // By bytes as well.
    let other = scene.hook().await;
    let all: Vec<Delivery> = (0..200).map(|n| message(&other, 10_000 + n, 15_000)).collect();
    let refused = scene.store.put_deliveries(all).await.unwrap()[&*other.id];
    assert_eq!(refused, 200 - (2 << 20) / 15_002);
    // A webhook that wants no more: what waited has failed, and can be looked at.
    scene.store.webhook_gone(&hook.id, 9).await.unwrap();
    let tally = scene.store.delivery_tallies(of()).await.unwrap()[0];
    assert_eq!((tally.waiting, tally.failed), (0, MOST_WAITING));
    assert!(scene.store.webhooks().wants(EventKind::Kill), "the other one does");
    scene.end().await;
}

#[tokio::test]
async fn nothing_is_asked_for_that_nobody_wants_and_floods_are_counted() {
    let scene = Scene::new("told");
    let webhooks = scene.store.webhooks();
    webhooks.tell(EventKind::Blocked, "a", 1, || panic!("nobody wants it"));
    scene.hook().await;
    let mut news = webhooks.take_news().unwrap();
    assert!(webhooks.take_news().is_none());
    for n in 0..500 {
        webhooks.tell(EventKind::Blocked, "a", 100 + n, || b"{}".to_vec());
    }
    webhooks.tell(EventKind::Kill, "", 700, || b"{}".to_vec());
    let mut told = Vec::new();
    while let Ok(event) = news.try_recv() {
        told.push(event.word);
    }
    assert_eq!(told.len(), 11, "one kind leaves room for another");
    assert!(webhooks.summaries(1000).is_empty(), "it gathers");
    assert_eq!(webhooks.next_summary(), Some(110 + gate::GATHERED));
    let summaries = webhooks.summaries(Millis::MAX);
    assert_eq!((summaries.len(), summaries[0].word), (1, "events.summary"));
    assert!(String::from_utf8_lossy(&summaries[0].data).contains("\"count\":490"));
    scene.end().await;
}

#[tokio::test]
async fn what_is_too_old_or_about_who_is_scrubbed_goes_whether_it_waits_or_not() {
    use crate::retention::{Hold, Subject};
    use std::time::Duration;

    let scene = Scene::new("forgotten");
    let (store, hook) = (&scene.store, scene.hook().await);
    let about = |number: u64, data: &str| {
        let payload = format!("{{\"type\":\"x\",\"data\":{data}}}").into_bytes();
        Delivery { payload, ..message(&hook, number, 1) }
    };
    let all = vec![
        about(1, r#"{"agent":"alice","session":"alice/s","key":"key_a"}"#),
        about(2, r#"{"agent":"bob","session":"bob/s","key":null}"#),
        about(3, r#"{"stopped":[{"scope":"session","name":"alice/s"}],"resumed":[]}"#),
        about(4, r#"{"agents":[{"agent":"alicent","count":1}]}"#),
        about(5, r#"{"key":"key_a"}"#),
        message(&hook, 6, 10),
    ];
    assert!(store.put_deliveries(all).await.unwrap().is_empty());
    let left = async || -> Vec<u64> {
        let all = store.deliveries(Which::All(None), 100).await.unwrap();
        let mut numbers: Vec<u64> = all.iter().map(|one| one.created).collect();
        numbers.sort_unstable();
        numbers
    };
    let alice = Subject::Agent("alice".into());
    let held = Hold { id: "hold-1".into(), session: Some("alice/s".into()), ..Hold::default() };
    store.hold(held).await.unwrap();
    let (done, _) = store.scrub(&alice, Duration::MAX).await.unwrap();
    assert_eq!((done.deliveries, done.held, left().await), (0, 2, vec![1, 2, 3, 4, 5, 6]));
    store.release_hold("hold-1").await.unwrap();
    let (done, _) = store.scrub(&alice, Duration::MAX).await.unwrap();
    assert_eq!((done.deliveries, left().await), (2, vec![2, 4, 5, 6]));
    let (done, _) = store.scrub(&Subject::Key("key_a".into()), Duration::MAX).await.unwrap();
    assert_eq!((done.deliveries, left().await), (1, vec![2, 4, 6]));
    for dry in [true, false] {
        let (swept, _) = store.sweep(5, dry, Duration::MAX).await.unwrap();
        assert_eq!(swept.deliveries, 2);
    }
    assert_eq!(left().await, [6]);
    let tally = store.delivery_tallies(vec![hook.id.to_string()]).await.unwrap();
    assert_eq!((tally[0].waiting, tally[0].lost), (1, 5));
    // Beyond one slice.
    let many: Vec<Delivery> = (100..600).map(|number| about(number, r#"{"agent":"alice"}"#)).collect();
    assert!(store.put_deliveries(many).await.unwrap().is_empty());
    let (done, _) = store.scrub(&alice, Duration::MAX).await.unwrap();
    assert_eq!((done.deliveries, left().await), (500, vec![6]));
    scene.end().await;
}

#[test]
fn an_agent_that_is_forgotten_stays_counted() {
    let mut gate = gate::Gate::default();
    for agent in ["alice", "bob", "alice"] {
        gate.count(agent, 1);
    }
    gate.forget("alice");
    let told = String::from_utf8(gate.summary(EventKind::Blocked).unwrap().data).unwrap();
    assert!(told.contains("\"count\":3") && told.contains("\"others\":2"), "{told}");
    assert!(!told.contains("alice") && told.contains("bob"), "{told}");
}
