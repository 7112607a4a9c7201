//! What every store promises, whatever database it lies on. A second database gets a second [`Backend`]
//! and the same tests.

use std::time::Duration;

use doorward_core::session::Kill;

use doorward_store::retention::{Hold, Progress, Scrubbed, Subject};
use doorward_store::{AgentName, Options, RecordedAction, Scope, Signal, Stop, Store, StoreError};

use crate::place::{Place, action};

trait Backend {
    fn new() -> Self;
    /// Opens the store, again if it was open before.
    fn open(&self, options: Options) -> Store;
}

struct Sqlite(Place);

impl Backend for Sqlite {
    fn new() -> Self {
        Self(Place::new())
    }
    fn open(&self, options: Options) -> Store {
        self.0.store(options)
    }
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test::<super::Sqlite>().await; })*
        }
    };
}

contract! {
    what_was_recorded_comes_back,
    content_is_kept_only_by_setting,
    the_latest_come_first,
    a_purge_destroys_salts_and_content_and_nothing_else,
    a_receipt_is_recorded_once,
    long_lists_are_cut,
    a_full_queue_makes_callers_wait_and_loses_nothing,
    a_kill_is_in_force_and_survives,
    resuming_takes_back_what_it_names,
    a_kill_does_not_wait_for_an_act_before_it,
    a_long_purge_reaches_everything,
    a_closed_store_says_so,
    a_memo_is_kept_until_it_is_forgotten,
    a_memo_goes_with_the_content_of_its_time,
    an_enormous_memo_is_not_kept,
    signals_move_alone,
    what_is_held_survives_a_sweep_until_it_is_released,
    a_scrub_leaves_nothing_of_whose_it_is_and_all_of_others,
}

const CONTENT: Options =
    Options { content: true, judged: true, urls: true, forensics: None, quarantine: HELD, queue: 16 };

const HELD: doorward_store::quarantine::Limits =
    doorward_store::quarantine::Limits { total: 1 << 20, age: 1000 };

fn stop(reason: &str) -> Stop {
    Stop { by: "operator-token".into(), reason: reason.into(), since: 5 }
}

fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

async fn what_was_recorded_comes_back<B: Backend>() {
    let backend = B::new();
    let store = backend.open(CONTENT);
    store.record(action("r1", 1000)).await.unwrap();
    assert_eq!(store.action("r1").await.unwrap(), Some(action("r1", 1000)));
    assert_eq!(store.action("r2").await.unwrap(), None);
    store.close().await.unwrap();
    assert_eq!(backend.open(CONTENT).action("r1").await.unwrap(), Some(action("r1", 1000)));
}

async fn content_is_kept_only_by_setting<B: Backend>() {
    let store = B::new().open(Options::default());
    store.record(action("r1", 1)).await.unwrap();
    let found = store.action("r1").await.unwrap().unwrap();
    assert_eq!((found.content, found.judged), (None, None));
    assert_eq!(found.salt, action("r1", 1).salt);
}

async fn the_latest_come_first<B: Backend>() {
    let store = B::new().open(CONTENT);
    for n in 0..10 {
        // Clocks step back; the order is that of recording.
        store.record(action(&format!("r{n}"), 1000 - n)).await.unwrap();
    }
    let ids = |found: Vec<doorward_store::RecordedAction>| -> Vec<String> {
        assert!(found.iter().all(|action| action.content.is_none() && action.judged.is_none()));
        found.into_iter().map(|action| action.receipt).collect()
    };
    assert_eq!(ids(store.latest(3, None).await.unwrap()), ["r9", "r8", "r7"]);
    assert_eq!(ids(store.latest(2, Some("r7".into())).await.unwrap()), ["r6", "r5"]);
    assert_eq!(ids(store.latest(usize::MAX, None).await.unwrap()).len(), 10);
    assert_eq!(ids(store.latest(5, Some("r0".into())).await.unwrap()).len(), 0);
}

async fn a_purge_destroys_salts_and_content_and_nothing_else<B: Backend>() {
    let store = B::new().open(CONTENT);
    store.record(action("old", 100)).await.unwrap();
    store.record(action("new", 200)).await.unwrap();
    assert_eq!(store.purge(200).await.unwrap(), 1);
    assert_eq!(store.purge(200).await.unwrap(), 0);
    let old = store.action("old").await.unwrap().unwrap();
    assert_eq!((old.salt, old.content, old.judged), (None, None, None));
    assert_eq!(old.rules, action("old", 100).rules);
    assert_eq!(store.action("new").await.unwrap(), Some(action("new", 200)));
}

async fn a_receipt_is_recorded_once<B: Backend>() {
    let store = B::new().open(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.record(action("r1", 2)).await.unwrap();
    store.record(action("r2", 3)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.action("r1").await.unwrap().unwrap().time, 1);
    assert!(store.action("r2").await.unwrap().is_some(), "one bad record held up the others");
}

async fn long_lists_are_cut<B: Backend>() {
    let store = B::new().open(CONTENT);
    let mut long = action("r1", 1);
    long.rules = vec!["a.rule".into(); 1000];
    long.effects = vec![long.effects[0].clone(); 1000];
    store.record(long).await.unwrap();
    let found = store.action("r1").await.unwrap().unwrap();
    assert_eq!((found.rules.len(), found.effects.len()), (64, 64));
}

async fn a_full_queue_makes_callers_wait_and_loses_nothing<B: Backend>() {
    let store = B::new().open(Options { queue: 1, ..CONTENT });
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..250 {
                    store.record(action(&format!("{writer}-{n}"), n)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.latest(usize::MAX, None).await.unwrap().len(), 2000);
}

async fn a_kill_is_in_force_and_survives<B: Backend>() {
    let backend = B::new();
    let store = backend.open(CONTENT);
    let signals = store.signals().clone();
    let mut moved = signals.subscribe(Signal::Kill);
    let before = signals.epoch();
    let set = store.kill(Scope::Agent(agent("alice")), stop("why")).await.unwrap();
    assert!(moved.has_changed().unwrap());
    assert_eq!(*moved.borrow_and_update(), set.revision);
    assert_eq!(signals.epoch().kill, set.revision);
    assert!(set.revision > before.kill);
    assert_eq!(signals.kill_state().for_agent("alice"), Kill::Agent);
    assert!(!signals.is_killed("bob"));

    store.kill(Scope::All, stop("all of it")).await.unwrap();
    assert!(signals.is_killed("bob"));
    store.close().await.unwrap();

    let signals = backend.open(CONTENT).signals().clone();
    assert_eq!(signals.kill_state().for_agent("bob"), Kill::All);
    assert_eq!(signals.kill_set().acts.all, Some(stop("all of it")));
    assert_eq!(signals.kill_set().acts.agents[&agent("alice")], stop("why"));
}

async fn resuming_takes_back_what_it_names<B: Backend>() {
    let backend = B::new();
    let store = backend.open(CONTENT);
    store.kill(Scope::Agent(agent("alice")), stop("a")).await.unwrap();
    store.kill(Scope::Agent(agent("bob")), stop("b")).await.unwrap();
    store.kill(Scope::All, stop("c")).await.unwrap();
    let set = store.resume(Scope::Agent(agent("alice"))).await.unwrap();
    assert!(set.is_killed("alice"), "resuming one agent lifted the stop of everything");
    assert!(set.acts.agents.keys().eq([&agent("bob")]));
    let revision = set.revision;
    let set = store.resume(Scope::Agent(agent("nobody"))).await.unwrap();
    assert_eq!(set.revision, revision, "nothing changed, so nothing may move");
    let set = store.resume(Scope::All).await.unwrap();
    assert!(!set.is_killed("alice") && !set.is_killed("bob"));
    store.close().await.unwrap();
    assert!(backend.open(CONTENT).signals().kill_set().all().is_none());
}

async fn a_kill_does_not_wait_for_an_act_before_it<B: Backend>() {
    let store = B::new().open(CONTENT);
    let resume = store.resume(Scope::All);
    let kill = store.kill(Scope::All, stop("now"));
    let (mut resume, mut kill) = (std::pin::pin!(resume), std::pin::pin!(kill));
    // The resume has its turn and waits for the disk; the kill comes behind it.
    assert!(poll(resume.as_mut()).await.is_pending());
    assert!(poll(kill.as_mut()).await.is_pending());
    assert!(store.signals().is_killed("anyone"), "the kill waits for the resume");
    let (resumed, killed) = tokio::join!(resume, kill);
    resumed.unwrap();
    killed.unwrap();
    assert!(store.signals().is_killed("anyone"), "the resume undid the later kill");
}

async fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(future.take().map_or(std::task::Poll::Pending, |future| future.poll(context)))
    })
    .await
}

async fn a_long_purge_reaches_everything<B: Backend>() {
    let store = B::new().open(CONTENT);
    for n in 0..2500 {
        store.record(action(&format!("r{n}"), 1)).await.unwrap();
    }
    assert_eq!(store.purge(2).await.unwrap(), 2500);
    assert!(store.latest(usize::MAX, None).await.unwrap().iter().all(|action| action.salt.is_none()));
}

async fn a_closed_store_says_so<B: Backend>() {
    let store = B::new().open(CONTENT);
    store.clone().close().await.unwrap();
    assert!(matches!(store.record(action("r", 1)).await, Err(StoreError::Closed)));
    assert!(matches!(store.flush().await, Err(StoreError::Closed)));
    assert!(matches!(store.kill(Scope::All, stop("x")).await, Err(StoreError::Closed)));
    assert!(store.signals().is_killed("anyone"), "a kill that could not be written must still stop");
    assert!(matches!(store.resume(Scope::All).await, Err(StoreError::Closed)));
    assert!(store.signals().is_killed("anyone"), "a resume that could not be written must not resume");
}

async fn signals_move_alone<B: Backend>() {
    let store = B::new().open(CONTENT);
    let signals = store.signals();
    let all = [Signal::Kill, Signal::Policy, Signal::Key, Signal::Approval, Signal::Pin];
    for moved in all {
        let mut receivers = all.map(|signal| signals.subscribe(signal));
        let before = all.map(|signal| signals.revision(signal));
        assert_eq!(signals.bump(moved), signals.revision(moved));
        for ((signal, receiver), before) in all.into_iter().zip(&mut receivers).zip(before) {
            assert_eq!(receiver.has_changed().unwrap(), signal == moved, "{signal:?}");
            assert_eq!(signals.revision(signal), before + u64::from(signal == moved), "{signal:?}");
        }
    }
}

async fn a_memo_is_kept_until_it_is_forgotten<B: Backend>() {
    let backend = B::new();
    let store = backend.open(Options::default());
    assert!(store.take_memos().is_empty());
    let ids: Vec<u64> = (1..=5).map(|n| store.remember(n * 10, vec![n as u8; 3])).collect();
    store.rewrite_memo(ids[1], b"another".to_vec());
    store.memo_used(ids[0], 45);
    store.forget(ids[2]);
    // What is not there is not made.
    store.rewrite_memo(999, b"nobody".to_vec());
    store.memo_used(999, 1);
    store.forget(999);
    store.close().await.unwrap();

    let store = backend.open(Options::default());
    let memo = |at: usize, used: u64, body: &[u8]| doorward_store::Memo {
        id: ids[at],
        time: (at as u64 + 1) * 10,
        used,
        body: body.to_vec(),
    };
    let (two, one) = (memo(1, 20, b"another"), memo(0, 45, &[1; 3]));
    let expected = [two, memo(3, 40, &[4; 3]), one, memo(4, 50, &[5; 3])];
    assert_eq!(store.take_memos(), expected);
    assert!(store.take_memos().is_empty(), "they were given away");
    assert!(!ids.contains(&store.remember(60, vec![6])), "a number is not used twice");
    store.close().await.unwrap();
    assert_eq!(backend.open(Options::default()).take_memos().len(), 5);
}

async fn a_memo_goes_with_the_content_of_its_time<B: Backend>() {
    let backend = B::new();
    let store = backend.open(CONTENT);
    let old = store.remember(100, b"old".to_vec());
    let new = store.remember(200, b"new".to_vec());
    // Used later, but said then.
    store.memo_used(old, 300);
    store.record(action("old", 100)).await.unwrap();
    assert_eq!(store.purge(200).await.unwrap(), 1, "actions are counted");
    store.memo_used(old, 400);
    store.rewrite_memo(old, b"again".to_vec());
    store.close().await.unwrap();
    let left = backend.open(CONTENT).take_memos();
    assert_eq!(left.iter().map(|memo| memo.id).collect::<Vec<_>>(), [new]);
}

async fn an_enormous_memo_is_not_kept<B: Backend>() {
    let backend = B::new();
    let store = backend.open(Options::default());
    store.remember(1, vec![0; doorward_store::MAX_MEMO]);
    store.remember(2, vec![0; doorward_store::MAX_MEMO / 2]);
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let left = backend.open(Options::default()).take_memos();
    assert_eq!(left.iter().map(|memo| memo.time).collect::<Vec<_>>(), [2]);
}

async fn what_is_held_survives_a_sweep_until_it_is_released<B: Backend>() {
    let backend = B::new();
    let store = backend.open(CONTENT);
    let of = |receipt: &str, agent: &str, session: &str, key: Option<&str>| RecordedAction {
        agent: agent.into(),
        session: session.into(),
        key: key.map(str::to_owned),
        ..action(receipt, 100)
    };
    for record in [
        of("of-agent", "alice", "alice/x", None),
        of("of-session", "bob", "bob/y", None),
        of("of-key", "carol", "carol/z", Some("key_a")),
        of("of-nobody", "carol", "carol/z", None),
    ] {
        store.record(record).await.unwrap();
    }
    for n in 0..1200 {
        store
            .record(RecordedAction { time: 50, ..of(&format!("more{n}"), "alice", "alice/w", None) })
            .await
            .unwrap();
    }
    store.record(RecordedAction { time: 7, ..of("of-then", "dora", "dora/-", None) }).await.unwrap();
    let hold =
        |id: &str| Hold { id: id.into(), reason: "case 7".into(), by: "operator".into(), ..Hold::default() };
    for hold in [
        Hold { agent: Some("alice".into()), from: Some(100), ..hold("h1") },
        Hold { session: Some("bob/y".into()), ..hold("h2") },
        Hold { key: Some("key_a".into()), ..hold("h3") },
        Hold { from: Some(7), until: Some(8), ..hold("h4") },
    ] {
        store.hold(hold).await.unwrap();
    }
    let (would, _) = store.sweep(1000, true, Duration::MAX).await.unwrap();
    assert_eq!((would.actions, would.held), (1201, 4), "a dry run only counts");
    assert_eq!(store.purge(1000).await.unwrap(), 1201);
    store.close().await.unwrap();
    let store = backend.open(CONTENT);
    let salts = async |receipt: &str| store.action(receipt).await.unwrap().unwrap().salt.is_some();
    for receipt in ["of-agent", "of-session", "of-key", "of-then"] {
        assert!(salts(receipt).await, "{receipt}");
    }
    assert!(!salts("of-nobody").await && !salts("more7").await);
    assert_eq!(store.purge(1000).await.unwrap(), 0);
    assert_eq!(store.release_hold("h9").await.unwrap(), None);
    assert!(store.release_hold("h3").await.unwrap().is_some());
    assert_eq!(store.purge(1000).await.unwrap(), 1);
    assert!(!salts("of-key").await && salts("of-agent").await);
}

async fn a_scrub_leaves_nothing_of_whose_it_is_and_all_of_others<B: Backend>() {
    let store = B::new().open(CONTENT);
    for n in 0..1100 {
        let agent = if n % 2 == 0 { "alice" } else { "bob" };
        let key = (n % 4 == 1).then(|| "key_a".to_owned());
        store
            .record(RecordedAction { agent: agent.into(), key, ..action(&format!("r{n}"), n) })
            .await
            .unwrap();
    }
    let memo = |agent: &str| {
        let length = u32::try_from(agent.len()).unwrap().to_le_bytes();
        [b"\x01".as_slice(), &length, agent.as_bytes(), b"content"].concat()
    };
    store.remember(1, memo("alice"));
    store.remember(2, memo("bob"));
    let held = Hold { id: "h1".into(), agent: Some("alice".into()), until: Some(10), ..Hold::default() };
    store.hold(held).await.unwrap();
    let alice = Subject::Agent("alice".into());
    // However short the time: what is gone is not found again.
    let mut all = Scrubbed::default();
    loop {
        let (done, progress) = store.scrub(&alice, Duration::ZERO).await.unwrap();
        all.actions += done.actions;
        all.memos += done.memos;
        if progress == Progress::Done {
            break;
        }
        assert!(done.actions > 0, "no progress");
    }
    assert_eq!((all.actions, all.memos), (545, 0), "the first five are held, and a memo of that time");
    let gone = store.action("r12").await.unwrap().unwrap();
    assert_eq!((gone.agent.as_str(), gone.salt, gone.content, gone.url), ("", None, None, None));
    assert_eq!(store.action("r8").await.unwrap().unwrap().agent, "alice");
    assert_eq!(store.action("r13").await.unwrap().unwrap().agent, "bob");
    let (done, _) = store.scrub(&Subject::Key("key_a".into()), Duration::MAX).await.unwrap();
    assert_eq!(done.actions, 275);
    assert_eq!(store.action("r15").await.unwrap().unwrap().agent, "bob", "it came with no key");
    store.release_hold("h1").await.unwrap();
    let (done, _) = store.scrub(&alice, Duration::MAX).await.unwrap();
    assert_eq!((done.actions, done.memos, done.held), (5, 1, 0));
    assert_eq!(store.scrub(&alice, Duration::MAX).await.unwrap().0, Scrubbed::default());
}
