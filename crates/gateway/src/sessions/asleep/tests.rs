//! Sessions that are put away and used again, through the real pipeline and a real store.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use doorward_core::action::{ActionKind, ToolUse, tools};
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::{Mode, Said};
use doorward_core::syntax::json;
use doorward_core::{Action, Door, Engine};
use doorward_ledger::storage::Log;
use doorward_ledger::{Durability, SigningKey};
use doorward_store::{Home, HomeLock, Options, Store};

use super::*;
use crate::Gateway;
use crate::hold::Waits;
use crate::record::{Nothing, Recorder};

struct Scene {
    gateway: Gateway,
    store: Store,
    path: PathBuf,
    lock: HomeLock,
}

impl Scene {
    fn fresh() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(std::env::temp_dir().join(format!("doorward-asleep-{}-{number}", std::process::id())))
    }

    fn at(path: PathBuf) -> Self {
        let home = Home::open(&path).unwrap();
        let lock = home.lock().unwrap();
        let store = Store::open(&lock, Options::default()).unwrap();
        let seed = home.ledger_seed().unwrap();
        // The writer of the process before may still be about to let go of it.
        let log = (0..500).find_map(|_| {
            let key = SigningKey::from_seed("doorward/test", seed.expose()).unwrap();
            Log::open(&home.log_dir(), key, Durability::Os).ok().or_else(|| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                None
            })
        });
        let recorder = Recorder::start(log.unwrap(), store.clone(), "doorward/test").unwrap();
        let policy = Policy::compile(&[doorward_core::syntax::Source {
            name: "p",
            text: "default: allow\nrules: []\n",
        }]);
        let rules = RuleSet::compile(&[]).unwrap();
        let engine = Arc::new(Engine::new(rules.into(), policy.unwrap().into(), Surroundings::default()));
        let gateway = Gateway::new(engine, recorder, store.clone(), Mode::Block);
        Self { gateway, store, path, lock }
    }

    async fn again(self) -> Self {
        let Self { gateway, store, path, lock } = self;
        drop(gateway);
        store.close().await.unwrap();
        drop(lock);
        Self::at(path)
    }

    /// One call in `session`, forwarded.
    async fn call(&self, session: &str, command: &str) {
        let mut action = Action::new(Door::Model, ActionKind::ToolCall, "alice".into(), session.into());
        let arguments = format!("{{\"command\":\"{command}\"}}");
        let tool = ToolUse { name: "Bash".into(), declared: true, call_id: "".into() };
        action.tool = Some(tool);
        tools::fill_call(&mut action, &arguments, json::parse(arguments.as_bytes()).ok().as_ref());
        drop(self.gateway.pass(action, Nothing, &Waits::default()).await.unwrap());
    }

    fn session(&self, name: &str) -> Arc<Session> {
        self.gateway.sessions().enter(name, Said::Header, 1).unwrap()
    }

    fn remembers(&self, name: &str) -> Vec<u8> {
        lock(&self.session(name).state).value.journal().encode()
    }

    fn put_away(&self, name: &str) {
        let sessions = self.gateway.sessions();
        let known = lock(&sessions.known);
        sessions.put_away(&known.by_name[name]);
    }

    fn total(&self) -> usize {
        self.gateway.sessions().asleep.total.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_away_is_there_when_the_session_is_used_again() {
    let mut scene = Scene::fresh();
    scene.call("alice/a", "cat notes.txt").await;
    let before = scene.remembers("alice/a");
    assert!(!before.is_empty());
    // Who holds it keeps it awake.
    let held = scene.session("alice/a");
    scene.put_away("alice/a");
    assert!(!held.is_asleep());
    drop(held);
    scene.put_away("alice/a");
    assert!(
        scene.session("alice/a").is_asleep() && scene.remembers("alice/a").is_empty() && scene.total() == 0
    );
    scene.gateway.sessions().wake(&scene.session("alice/a")).await.unwrap();
    assert_eq!(scene.remembers("alice/a"), before);
    // Asleep again and used, and so often that the whole is written in between.
    for _ in 0..READ_OFTEN {
        scene.put_away("alice/a");
        scene.call("alice/a", "cat notes.txt").await;
    }
    let events = lock(&scene.session("alice/a").state).value.journal().events().len();
    assert_eq!(events, 1 + READ_OFTEN);
    let after = scene.remembers("alice/a");
    // And another process reads it when it is used, not before.
    scene = scene.again().await;
    assert!(scene.session("alice/a").is_asleep());
    scene.gateway.sessions().wake(&scene.session("alice/a")).await.unwrap();
    assert_eq!(scene.remembers("alice/a"), after);
}

/// More than are read when a session wakes.
const READ_OFTEN: usize = 70;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_put_away_the_session_used_longest_ago_first() {
    let scene = Scene::fresh();
    for name in ["alice/a", "alice/b", "alice/c"] {
        scene.call(name, "cat notes.txt").await;
    }
    let sessions = scene.gateway.sessions();
    for (used, name) in ["alice/b", "alice/a", "alice/c"].into_iter().enumerate() {
        scene.session(name).used.store(used as u64 + 10, Ordering::Relaxed);
    }
    sessions.rest();
    assert!(!scene.session("alice/b").is_asleep(), "there is room");
    // As if all the room but for two had been taken.
    let one = scene.session("alice/b").weight.load(Ordering::Relaxed);
    let taken = AWAKE / 4 * 3 - 2 * one;
    sessions.asleep.total.fetch_add(taken, Ordering::Relaxed);
    sessions.asleep.limit.store(AWAKE / 4 * 3, Ordering::Relaxed);
    sessions.rest();
    assert!(scene.session("alice/b").is_asleep() && !scene.session("alice/a").is_asleep());
    sessions.asleep.total.fetch_sub(taken, Ordering::Relaxed);
    assert_eq!(scene.total(), 2 * one);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_clears_is_cleared_asleep_or_not() {
    use crate::sessions::Act;
    let scene = Scene::fresh();
    scene.call("alice/a", "cat notes.txt").await;
    scene.put_away("alice/a");
    let name = doorward_store::SessionName::new("alice/a").unwrap();
    scene.gateway.sessions().act(&name, Act::Clear, 5).await.unwrap();
    let events = |scene: &Scene| lock(&scene.session("alice/a").state).value.journal().events().len();
    assert_eq!(events(&scene), 0);
    scene.put_away("alice/a");
    scene.gateway.sessions().wake(&scene.session("alice/a")).await.unwrap();
    assert_eq!(events(&scene), 0);
}
