use super::book::{MOST_CALLS, MOST_NAMES, MOST_REPLIES};
use super::*;

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use doorward_store::{Home, HomeLock, Options};

/// A home directory, its store, and what is remembered there.
struct Place {
    root: PathBuf,
    open: Option<(HomeLock, Store)>,
    replies: Replies,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("doorward-replies-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&root).unwrap();
        let (lock, store) = open(&root);
        let replies = Replies::open(store.clone());
        Self { root, open: Some((lock, store)), replies }
    }

    /// Ends and starts again.
    async fn restart(&mut self) {
        let (lock, store) = self.open.take().unwrap();
        store.close().await.unwrap();
        drop(lock);
        let (lock, store) = open(&self.root);
        self.replies = Replies::open(store.clone());
        self.open = Some((lock, store));
    }

    fn store(&self) -> &Store {
        &self.open.as_ref().unwrap().1
    }

    fn remembered(&self) -> Remembered {
        self.replies.of(&"agent".into(), &"openai".into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn open(root: &std::path::Path) -> (HomeLock, Store) {
    let lock = Home::open(root.join("home")).unwrap().lock().unwrap();
    let store = Store::open(&lock, Options::default()).unwrap();
    (lock, store)
}

fn origin(response: &str, item: &str) -> Origin {
    Origin { response: response.into(), item: Bytes::copy_from_slice(item.as_bytes()) }
}

fn tools(name: &str) -> Arc<Declared> {
    Arc::new(Declared { tools: [name.to_owned()].into(), ..Declared::default() })
}

#[test]
fn calls_are_found_by_notice_reply_and_conversation() {
    let place = Place::new();
    let memory = place.remembered();
    memory.blocked(origin("resp_1", "{1}"), Some("conv".into()), "one".into());
    memory.blocked(origin("resp_1", "{2}"), None, "two".into());
    assert_eq!(memory.told("one").unwrap().item, "{1}");
    assert!(memory.told("on").is_none() && memory.told("").is_none());
    assert_eq!(memory.of_reply("resp_1").len(), 2);
    assert!(memory.of_reply("").is_empty() && memory.of_reply("resp_2").is_empty());
    assert_eq!(memory.of_conversation("conv").len(), 1);
    memory.answered("conv");
    assert!(memory.of_conversation("conv").is_empty());
    assert_eq!(memory.of_reply("resp_1").len(), 2);
    // Fetched again, under another receipt.
    memory.blocked(origin("resp_1", "{1}"), Some("conv".into()), "three".into());
    assert_eq!(memory.of_reply("resp_1").len(), 2);
    assert!(memory.of_conversation("conv").is_empty(), "it was answered");
    assert_eq!(memory.told("three").unwrap().item, "{1}");
}

#[test]
fn a_call_is_found_by_the_id_of_its_message() {
    let place = Place::new();
    let memory = place.remembered();
    memory.blocked(origin("resp_1", r#"{"id":"fc_1"}"#), None, "one".into());
    memory.blocked(origin("resp_1", "{}"), None, "two".into());
    assert_eq!(memory.referred("msg_1").unwrap().notice, "one");
    assert!(memory.referred("fc_1").is_none() && memory.referred("").is_none());
}

#[test]
fn memory_is_bounded_and_keeps_what_is_used() {
    let place = Place::new();
    let memory = place.remembered();
    memory.blocked(origin("resp_first", "{}"), None, "first".into());
    for n in 0..MOST_CALLS * 2 {
        assert!(memory.told("first").is_some(), "{n}");
        memory.blocked(origin(&format!("resp_{n}"), &n.to_string()), None, n.to_string());
    }
    assert_eq!(memory.book().calls.len(), MOST_CALLS);
    assert!(memory.told("0").is_none());
    memory.blocked(origin("resp_huge", &"x".repeat(MOST_BYTES)), None, "huge".into());
    assert!(memory.told("huge").is_none() && memory.told("first").is_some());
    for n in 0..8 {
        memory.blocked(origin(&format!("big_{n}"), &"x".repeat(MOST_BYTES / 4)), None, format!("big{n}"));
    }
    let book = memory.book();
    assert!(book.bytes <= MOST_BYTES && book.calls.len() < 8);
    assert_eq!(book.bytes, book.calls.iter().map(|blocked| blocked.call.size()).sum::<usize>());
}

#[test]
fn declared_tools_are_remembered_by_reply() {
    let place = Place::new();
    let memory = place.remembered();
    for n in 0..MOST_REPLIES + 1 {
        memory.declared(&format!("resp_{n}"), &tools("Bash"), true);
    }
    memory.declared("resp_9", &tools("Read"), true);
    assert!(memory.declared_for("resp_9").unwrap().tools.contains("Read"));
    assert!(memory.declared_for("resp_0").is_none(), "the oldest is forgotten");
    memory.declared(&"x".repeat(LONGEST_ID + 1), &tools("Bash"), true);
    memory.declared("", &tools("Bash"), true);
    {
        let book = memory.book();
        assert_eq!(book.replies.len(), MOST_REPLIES);
        let declared = |at: usize| &book.replies[at].tools.declared;
        assert!(Arc::ptr_eq(declared(0), declared(1)), "shared where equal");
    }
    for n in 0..9 {
        memory.declared(&format!("big_{n}"), &tools(&"x".repeat(MOST_NAMES / 4)), true);
    }
    let book = memory.book();
    assert!(book.names <= MOST_NAMES && book.replies.len() < 5);
    assert_eq!(book.names, book.replies.iter().map(|answered| answered.tools.size()).sum::<usize>());
}

/// Everything there is to know after a restart, told by two agents at two upstreams.
#[tokio::test]
async fn a_restart_forgets_nothing() {
    let mut place = Place::new();
    {
        let memory = place.remembered();
        memory.blocked(origin("resp_1", r#"{"id":"fc_1"}"#), None, "one".into());
        memory.blocked(origin("resp_1", "{2}"), Some("conv".into()), "two".into());
        memory.blocked(origin("resp_2", "{3}"), Some("told".into()), "three".into());
        memory.answered("told");
        // Fetched again: the older notice is not kept.
        memory.blocked(origin("resp_3", "{4}"), None, "four".into());
        memory.blocked(origin("resp_3", "{4}"), None, "five".into());
        memory.declared("resp_1", &tools("Bash"), true);
        memory.declared("resp_2", &tools("Read"), true);
        memory.declared("resp_2", &tools("Write"), true);
        memory.declared("resp_4", &tools("Bash"), false);
    }
    for _ in 0..2 {
        place.restart().await;
        let memory = place.remembered();
        assert_eq!(memory.told("one").unwrap().item, r#"{"id":"fc_1"}"#);
        assert_eq!(memory.referred("msg_1").unwrap().notice, "one");
        assert_eq!(memory.of_reply("resp_1").len(), 2);
        assert_eq!(memory.of_conversation("conv").len(), 1);
        assert!(memory.of_conversation("told").is_empty(), "it was answered before the restart");
        assert_eq!(memory.of_reply("resp_2").len(), 1);
        assert!(memory.told("four").is_none() && memory.told("five").is_some());
        assert_eq!(memory.declared_for("resp_1").as_ref(), Some(&tools("Bash")));
        assert_eq!(memory.declared_for("resp_2").as_ref(), Some(&tools("Write")));
        assert!(memory.declared_for("resp_4").is_none(), "its upstream did not keep it");
    }
}

#[tokio::test]
async fn agents_and_upstreams_are_apart() {
    let mut place = Place::new();
    place.replies.of(&"a".into(), &"x".into()).blocked(origin("r", "{}"), None, "n".into());
    place.replies.of(&"a".into(), &"x".into()).declared("r", &tools("Bash"), true);
    for restarted in [false, true] {
        for (agent, upstream) in [("a", "x"), ("b", "x"), ("a", "y")] {
            let memory = place.replies.of(&agent.into(), &upstream.into());
            let own = (agent, upstream) == ("a", "x");
            assert_eq!(memory.told("n").is_some(), own, "{agent} {upstream}, restarted: {restarted}");
            assert_eq!(memory.of_reply("r").len(), usize::from(own));
            assert_eq!(memory.declared_for("r").is_some(), own);
        }
        place.restart().await;
    }
}

#[tokio::test]
async fn what_fell_out_of_memory_is_gone_from_the_store() {
    let mut place = Place::new();
    {
        let memory = place.remembered();
        memory.blocked(origin("resp_used", "{}"), None, "used".into());
        for n in 0..MOST_CALLS * 2 {
            memory.told("used").unwrap();
            memory.blocked(origin(&format!("resp_{n}"), &n.to_string()), None, n.to_string());
            memory.declared(&format!("resp_{n}"), &tools("Bash"), true);
        }
    }
    place.restart().await;
    {
        let memory = place.remembered();
        assert_eq!(memory.book().calls.len(), MOST_CALLS);
        assert_eq!(memory.book().replies.len(), MOST_REPLIES);
        assert!(memory.told("used").is_some());
        assert!(memory.told("0").is_none() && memory.told(&(MOST_CALLS * 2 - 1).to_string()).is_some());
    }
    // Nothing lies there that is not remembered.
    let (lock, store) = place.open.take().unwrap();
    store.close().await.unwrap();
    drop(lock);
    let (lock, store) = open(&place.root);
    assert_eq!(store.take_memos().len(), MOST_CALLS + MOST_REPLIES);
    place.open = Some((lock, store));
}

#[tokio::test]
async fn what_is_too_old_is_forgotten() {
    let mut place = Place::new();
    let whose: Whose = ("agent".into(), "openai".into());
    let store = place.store().clone();
    let keep = |notice: &str, used: Millis| {
        let suppressed = Suppressed { item: Bytes::from_static(b"{}"), notice: notice.to_owned() };
        let call = Call { response: notice.into(), conversation: None, suppressed };
        store.remember(used, call.write(&whose))
    };
    keep("old", now() - AGE - HOUR);
    keep("older, and used", now() - AGE * 2);
    keep("young", now() - AGE + 2 * HOUR);
    store.memo_used(2, now() - HOUR * 2);
    store.remember(now(), b"not a memo of ours".to_vec());
    place.restart().await;
    let there = |place: &Place| {
        let memory = place.remembered();
        ["old", "older, and used", "young"].map(|notice| !memory.of_reply(notice).is_empty())
    };
    assert_eq!(there(&place), [false, true, true]);
    // Time goes by; only one of them is used.
    place.remembered().told("older, and used").unwrap();
    place.replies.sweep(now() + 3 * HOUR);
    assert_eq!(there(&place), [false, true, false]);
    place.restart().await;
    assert_eq!(there(&place), [false, true, false]);
    let used = place.remembered().book().calls[0].memo.used;
    assert!(used + HOUR > now(), "its use was noted");
}

/// What was purged stays away, also when it is used or changed afterwards.
#[tokio::test]
async fn a_purge_reaches_it() {
    let mut place = Place::new();
    {
        let memory = place.remembered();
        memory.blocked(origin("resp_1", "{}"), Some("conv".into()), "one".into());
        memory.declared("resp_1", &tools("Bash"), true);
    }
    place.store().purge(now() + 1).await.unwrap();
    place.remembered().answered("conv");
    place.restart().await;
    assert!(place.remembered().is_empty());
    assert!(place.remembered().declared_for("resp_1").is_none());
}
