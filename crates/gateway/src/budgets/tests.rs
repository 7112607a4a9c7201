//! Reservations and permits, without a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use doorward_core::action::ActionKind;
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::usage::{Asked, Usage};
use doorward_core::{Action, Door, Engine};
use doorward_ledger::{Durability, Log, SigningKey};
use doorward_store::{Home, HomeLock, Options, Store};

use crate::hold::Waits;
use crate::record::{Closing, Nothing};
use crate::{Gateway, Recorder};

struct Scene {
    gateway: Gateway,
    path: std::path::PathBuf,
    _lock: HomeLock,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn engine(policy: &str) -> Arc<Engine> {
    let policy = Policy::compile(&[Source { name: "policy.yaml", text: policy }]).unwrap();
    let rules = RuleSet::compile(shipped()).unwrap();
    Arc::new(Engine::new(rules.into(), policy.into(), Surroundings::default()))
}

fn limited(limit: &str) -> String {
    format!(
        "default: allow\nprices: [{{ model: m, input: 2, output: 10 }}]\nrules: [{{ name: l, limit: {limit} }}]\n"
    )
}

impl Scene {
    fn new(limit: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("doorward-budgets-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let home = Home::open(&path).unwrap();
        let lock = home.lock().unwrap();
        let store = Store::open(&lock, Options::default()).unwrap();
        let key = SigningKey::from_seed("doorward/test", home.ledger_seed().unwrap().expose()).unwrap();
        let log = Log::open(&home.log_dir(), key, Durability::Os).unwrap();
        let recorder = Recorder::start(log, store.clone(), "doorward/test").unwrap();
        let gateway = Gateway::new(engine(&limited(limit)), recorder, store, Mode::Block);
        Self { gateway, path, _lock: lock }
    }

    fn ask(&self) -> Action {
        let mut action =
            Action::new(Door::Model, ActionKind::ModelRequest, "tester".into(), "tester/-".into());
        action.asked = Asked::Model("m".into());
        action
    }

    async fn has_room(&self) -> bool {
        // The permit is dropped, and so gives back what it took.
        self.gateway.pass(self.ask(), Nothing, &Waits::default()).await.is_ok()
    }

    /// Asks, gets a reply, and lets it end so.
    async fn reply(&self, closing: Closing) {
        let permit = self.gateway.pass(self.ask(), Nothing, &Waits::default()).await.unwrap();
        let (Nothing, used) = permit.open(crate::forward::key_of_tests());
        let reply = Action::new(Door::Model, ActionKind::ModelResponse, "tester".into(), "tester/-".into());
        let permit = self.gateway.open(reply, used).await.unwrap();
        self.gateway.recorder().close(permit, closing).await;
    }
}

fn told(input: u64, output: u64) -> Closing {
    let mut closing = Closing { result: "completed", ..Closing::default() };
    closing.outcome.whole = true;
    closing.outcome.usage = Usage { input: Some(input), output: Some(output), ..Usage::default() };
    closing
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_judged_again_counts_once() {
    let scene = Scene::new("{ calls_per_hour: 1 }");
    let permit = scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap();
    assert!(!scene.has_room().await, "it is reserved");
    scene.gateway.put_in_force(engine(&limited("{ calls_per_hour: 1, direction: out }")), Mode::Block);
    let permit = scene.gateway.renew(permit).await.expect("its own reservation is not in its way");
    assert!(!scene.has_room().await);
    let (Nothing, used) = permit.open(crate::forward::key_of_tests());
    drop(used);
    assert!(!scene.has_room().await, "it went, and so counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_gives_back_what_it_took() {
    let scene = Scene::new("{ calls_per_hour: 1 }");
    drop(scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap());
    let permit = scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap();
    let (Nothing, used) = permit.open(crate::forward::key_of_tests());
    used.unwrap().give_back();
    assert!(scene.has_room().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_count_when_the_reply_ends() {
    let scene = Scene::new("{ tokens_per_hour: 100 }");
    scene.reply(told(50, 49)).await;
    // One is left: as many as there are may begin at once.
    let permits = [
        scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap(),
        scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap(),
    ];
    drop(permits);
    scene.reply(told(0, 1)).await;
    assert!(!scene.has_room().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_counts_exactly() {
    // 3 tokens in, 1 out: 16 millionths.
    let scene = Scene::new("{ money_per_hour: 0.000032 }");
    scene.reply(told(3, 1)).await;
    assert!(scene.has_room().await);
    scene.reply(told(3, 1)).await;
    assert!(!scene.has_room().await);
    let scene = Scene::new("{ money_per_hour: 0.000032001 }");
    scene.reply(told(3, 1)).await;
    scene.reply(told(3, 1)).await;
    assert!(scene.has_room().await, "a billionth is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_says_nothing_is_estimated() {
    let scene = Scene::new("{ tokens_per_hour: 100 }");
    let mut silent = Closing { result: "completed", ..Closing::default() };
    silent.outcome.text = 3 * 98;
    scene.reply(silent).await;
    assert!(scene.has_room().await, "98 and one for the request");
    scene.reply(Closing { result: "aborted", ..Closing::default() }).await;
    assert!(!scene.has_room().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_which_nobody_saw_the_end_counts() {
    let scene = Scene::new("{ tokens_per_hour: 4096 }");
    let permit = scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap();
    let (Nothing, used) = permit.open(crate::forward::key_of_tests());
    drop(used);
    assert!(!scene.has_room().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_provider_uses_no_tokens() {
    let scene = Scene::new("{ tokens_per_hour: 1 }");
    let permit = scene.gateway.pass(scene.ask(), Nothing, &Waits::default()).await.unwrap();
    let (Nothing, used) = permit.open(crate::forward::key_of_tests());
    used.unwrap().no_reply();
    assert!(scene.has_room().await);
}
