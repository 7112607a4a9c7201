//! Credits through the real pipeline: decisions, receipts, restarts, and processes that are killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use doorward_core::account::Lot;
use doorward_core::action::{ActionKind, Bill};
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::{Action, Door, Engine};
use doorward_ledger::{Durability, SigningKey, View};
use doorward_store::accounts::{Compromise, Key, KeyState, LotRecord, Settings};
use doorward_store::{AgentName, Home, HomeLock, Options};

use super::count::{Count, Counted, Differs, audit};
use super::snapshot::{Drawn, Found, MEMBER, Page, Pages, draw, pages, record as record_snapshot};
use super::*;
use crate::accounts::grant;
use crate::budgets::Used;
use crate::forward::key_of_tests;
use crate::hold::Waits;
use crate::record::{Closing, Nothing, Permit};
use crate::{Gateway, Refusal};

mod killed;

const NOW: Millis = 1_795_000_000_000;
const DAY: Millis = 86_400_000;
const POLICY: &str = "default: allow\nrules: []\ndestinations: { allow: [up.example] }\n";

struct Scene {
    gateway: Arc<Gateway>,
    store: Store,
    path: PathBuf,
    lock: HomeLock,
}

/// Whoever had it a moment ago may still be about to give it up.
fn patiently<T>(get: impl Fn() -> Option<T>) -> T {
    let wait = || std::thread::sleep(Duration::from_millis(10));
    (0..500)
        .find_map(|_| {
            get().or_else(|| {
                wait();
                None
            })
        })
        .unwrap()
}

impl Scene {
    fn fresh() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(&std::env::temp_dir().join(format!("doorward-credits-{}-{number}", std::process::id())))
    }

    fn at(path: &Path) -> Self {
        let home = Home::open(path).unwrap();
        let lock = patiently(|| home.lock().ok());
        let store = Store::open(&lock, Options::default()).unwrap();
        let seed = home.ledger_seed().unwrap();
        let key = || SigningKey::from_seed("doorward/test", seed.expose()).unwrap();
        let log = patiently(|| Log::open(&home.log_dir(), key(), Durability::Os).ok());
        let recorder = Recorder::start(log, store.clone(), "doorward/test").unwrap();
        let policy = Policy::compile(&[Source { name: "p.yaml", text: POLICY }]).unwrap();
        // None: compiling them takes longer than everything else here.
        let rules = RuleSet::compile(&[]).unwrap();
        let engine = Arc::new(Engine::new(rules.into(), policy.into(), Surroundings::default()));
        let gateway = Arc::new(Gateway::new(engine, recorder, store.clone(), Mode::Block));
        Self { gateway, store, path: path.to_owned(), lock }
    }

    /// The same home after the process ended in an orderly way.
    async fn again(self) -> Self {
        let Self { gateway, store, path, lock } = self;
        drop(gateway);
        store.close().await.unwrap();
        drop(lock);
        Self::at(&path)
    }

    async fn key(&self, credits: u64) -> Arc<str> {
        let key = Key::new(AgentName::new("alice").unwrap(), Settings::default(), NOW).unwrap();
        let id = Arc::clone(&self.store.add_key(key).await.unwrap().id);
        if credits > 0 {
            self.grant(&id, credits, 12).await;
        }
        id
    }

    async fn grant(&self, key: &str, credits: u64, months: u32) {
        let now = crate::judge::now();
        grant(self.gateway.recorder(), &self.store, key, (credits, months), "tester", now).await.unwrap();
    }

    async fn ask(&self, key: &Arc<str>, credits: u64) -> Result<Permit<Nothing>, Refusal> {
        let mut action = Action::new(Door::Egress, ActionKind::Outbound, "alice".into(), "alice/-".into());
        action.bill = Some(Bill { key: Arc::clone(key), agent: "".into(), credits });
        self.gateway.pass(action, Nothing, &Waits::default()).await
    }

    async fn send(&self, key: &Arc<str>, credits: u64) -> Used {
        let permit = self.ask(key, credits).await.unwrap();
        permit.open(key_of_tests()).1.unwrap()
    }

    async fn answered(&self, used: Used) {
        let reply = Action::new(Door::Egress, ActionKind::ModelResponse, "alice".into(), "alice/-".into());
        let permit = self.gateway.open(reply, Some(used)).await.unwrap();
        self.gateway.recorder().close(permit, Closing { result: "completed", ..Closing::default() }).await;
    }

    async fn unanswered(&self, mut used: Used) {
        let action = Action::new(Door::Egress, ActionKind::Outbound, "alice".into(), "alice/-".into());
        let receipt = used.outstanding().unwrap().to_owned();
        let held = used.take_held();
        assert!(held.is_some());
        self.gateway.recorder().unanswered(&Whose::of(&action), &receipt, "failed", None, held).await;
    }

    fn left(&self, key: &str) -> u64 {
        self.store.accounts().remaining(key, crate::judge::now()).credits
    }

    fn audit(&self) -> Vec<Differs> {
        let home = self.store.home();
        let key = SigningKey::from_seed("doorward/test", home.ledger_seed().unwrap().expose()).unwrap();
        let view = View::open(&home.log_dir(), key.public()).unwrap();
        let audit = |whole| audit(&view, self.store.accounts(), whole, NOW).unwrap();
        assert_eq!((audit(true).wrong, audit(false).differs), (vec![], audit(true).differs));
        audit(false).differs
    }
}

impl Scene {
    fn view(&self) -> View {
        let home = self.store.home();
        let key = SigningKey::from_seed("doorward/test", home.ledger_seed().unwrap().expose()).unwrap();
        View::open(&home.log_dir(), key.public()).unwrap()
    }

    /// Says in the ledger what credits there are; whether there was anything new.
    async fn snapshot(&self) -> bool {
        match draw(&self.view(), crate::judge::now()).unwrap() {
            Some(drawn) => record_snapshot(self.gateway.recorder(), drawn).await.map(|()| true).unwrap(),
            None => false,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_goes_on_from_a_snapshot_and_says_the_same() {
    let scene = Scene::fresh();
    let key = scene.key(10).await;
    scene.answered(scene.send(&key, 2).await).await;
    let across = scene.send(&key, 3).await;
    assert!(scene.snapshot().await);
    assert!(!scene.snapshot().await, "nothing has happened since");
    // What was held then is given back now.
    scene.unanswered(across).await;
    scene.answered(scene.send(&key, 1).await).await;
    assert!(scene.snapshot().await);
    scene.answered(scene.send(&key, 1).await).await;
    let scene = scene.again().await;
    assert_eq!((scene.left(&key), scene.audit()), (6, vec![]));
    let counted = |whole| audit(&scene.view(), scene.store.accounts(), whole, NOW).unwrap();
    assert!(counted(false).from > 0, "it does not begin at the first receipt");
    assert_eq!(counted(true).checked, 2);
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_lies_is_found() {
    let scene = Scene::fresh();
    let key = scene.key(10).await;
    scene.answered(scene.send(&key, 4).await).await;
    let (counted, time) = (scene.view().size(), crate::judge::now());
    // Somebody who can write to the ledger says that less was used, and knows how to make the digest.
    let mut count = Count::default();
    count.take_in(&scene.view(), 0..counted).unwrap();
    for lot in count.lots.values_mut() {
        lot.used = 0;
    }
    let lie = |digest: Option<&str>| {
        let pages = pages(counted, time, &count).into_iter();
        pages.map(|page| digest.map_or(page.clone(), |digest| page.with("digest", digest))).collect()
    };
    record_snapshot(scene.gateway.recorder(), Drawn { pages: lie(None) }).await.unwrap();
    let told = |whole| audit(&scene.view(), scene.store.accounts(), whole, NOW).unwrap();
    assert_eq!((told(false).differs.len(), told(true).wrong.len()), (1, 1), "{:?}", told(false));
    // One whose digest is another is no snapshot, and nothing goes on from it.
    record_snapshot(scene.gateway.recorder(), Drawn { pages: lie(Some("00")) }).await.unwrap();
    assert_eq!(told(false).wrong.len(), 1);
    assert!(draw(&scene.view(), time).is_err(), "what rests on it must not go");
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[test]
fn a_long_snapshot_has_pages_and_counts_only_whole() {
    let mut count = Count::default();
    for number in 0..2000_u32 {
        let lot = Counted { amount: u64::from(number), used: 1, expires: NOW };
        count.lots.insert((format!("key_{:020}", number % 7).into(), number), lot);
        let spending = Spending { key: "key_a".into(), parts: vec![Part { lot: 1, amount: 1 }; 8] };
        count.open.insert(format!("R{number:025}"), (NOW, spending));
    }
    let drawn = pages(7, NOW, &count);
    assert!(drawn.len() > 10);
    let read: Vec<Page> = (0..)
        .zip(&drawn)
        .map(|(at, page)| {
            let draft = doorward_ledger::Draft::new(Kind::Control, &format!("P{at}"), NOW, "n");
            let draft = if at == 0 { draft } else { draft.of("P0") };
            let leaf = draft.member(MEMBER, page.clone()).seal().unwrap();
            Page::read(&Receipt::parse(leaf.bytes()).unwrap()).unwrap()
        })
        .collect();
    let together = |pages: Vec<Page>| {
        let mut all = Pages::default();
        pages.into_iter().filter_map(|page| all.add(page, 100)).next_back()
    };
    let Some(Found::Good(snapshot)) = together(read.clone()) else { panic!("not whole") };
    assert_eq!(snapshot.count, count);
    assert!(matches!(together(read.iter().rev().cloned().collect()), Some(Found::Good(_))));
    assert!(together(read[1..].to_vec()).is_none(), "one is missing");
    let twice = [&read[1..], &read[1..2]].concat();
    assert!(!matches!(together(twice), Some(Found::Good(_))));
}

fn rule(refusal: &Refusal) -> &str {
    &refusal.decision.reasons[0].rule
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_when_answered_and_given_back_otherwise() {
    let scene = Scene::fresh();
    let key = scene.key(3).await;
    let used = scene.send(&key, 2).await;
    assert_eq!(scene.left(&key), 1, "reserved");
    scene.answered(used).await;
    assert_eq!(scene.left(&key), 1, "paid");
    scene.unanswered(scene.send(&key, 1).await).await;
    assert_eq!(scene.left(&key), 1, "given back");
    let refusal = scene.ask(&key, 2).await.unwrap_err();
    assert_eq!(rule(&refusal), INSUFFICIENT);
    assert!(refusal.receipt.is_some() && refusal.decision.charges.0.is_empty());
    // Sent, and nobody knows what came of it.
    drop(scene.send(&key, 1).await);
    assert_eq!(scene.left(&key), 0);
    let scene = scene.again().await;
    assert_eq!((scene.left(&key), scene.audit()), (0, vec![]));
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_is_not_used_costs_nothing() {
    let scene = Scene::fresh();
    let key = scene.key(2).await;
    drop(scene.ask(&key, 2).await.unwrap());
    for _ in 0..500 {
        if scene.left(&key) == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(scene.left(&key), 2);
    let scene = scene.again().await;
    assert_eq!((scene.left(&key), scene.audit()), (2, vec![]));
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_stopped_stops_what_has_a_permit() {
    let scene = Scene::fresh();
    let key = scene.key(10).await;
    let permit = scene.ask(&key, 1).await.unwrap();
    scene.store.change_key(&key, |key| Ok(key.in_state(KeyState::Paused, NOW))).await.unwrap();
    let refusal = scene.gateway.renew(permit).await.unwrap_err();
    assert_eq!(rule(&refusal), "floor.KEY_PAUSED");
    scene.store.change_key(&key, |key| Ok(key.in_state(KeyState::Active, NOW))).await.unwrap();
    assert!(scene.ask(&key, 1).await.is_ok());
    let compromise = Compromise {
        at: NOW,
        receipt: "r1".into(),
        what: "floor.honeytoken".into(),
        session: "alice/-".into(),
        from: "00".into(),
    };
    scene.store.suspend_key(&key, compromise.clone()).await.unwrap();
    assert_eq!(rule(&scene.ask(&key, 1).await.unwrap_err()), "floor.KEY_SUSPENDED");
    let scene = scene.again().await;
    let kept = scene.store.accounts().key(&key).unwrap();
    assert_eq!((kept.state, &kept.compromises[..]), (KeyState::Suspended, &[compromise][..]));
    let other: Arc<str> = "key_unknown".into();
    assert_eq!(rule(&scene.ask(&other, 1).await.unwrap_err()), "floor.KEY_REVOKED");
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_of_a_key_and_of_its_agents() {
    let scene = Scene::fresh();
    let key = scene.key(100).await;
    let set = |name: &'static str, value: &'static str| {
        scene.store.change_key(&key, move |mut key| {
            key.settings.set(name, value).unwrap();
            Ok(key)
        })
    };
    set("budget_agent_calls_per_hour", "2").await.unwrap();
    set("budget_key_calls_per_day", "3").await.unwrap();
    let ask = async |agent: &str| {
        let mut action = Action::new(Door::Egress, ActionKind::Outbound, "alice".into(), "alice/-".into());
        action.bill = Some(Bill { key: Arc::clone(&key), agent: agent.into(), credits: 1 });
        match scene.gateway.pass(action, Nothing, &Waits::default()).await {
            Ok(permit) => {
                drop(permit.open(key_of_tests()));
                "passes".to_owned()
            }
            Err(refusal) => rule(&refusal).to_owned(),
        }
    };
    assert_eq!(ask("a").await, "passes");
    assert_eq!(ask("a").await, "passes");
    assert_eq!(ask("a").await, "budget.budget_agent_calls_per_hour");
    assert_eq!(ask("b").await, "passes");
    assert_eq!(ask("b").await, "budget.budget_key_calls_per_day");
    assert_eq!(scene.left(&key), 97, "what a budget refuses is not paid");
    set("budget_key_calls_per_day", "none").await.unwrap();
    set("credit_price", "0.5").await.unwrap();
    set("budget_key_money_per_day", "1").await.unwrap();
    assert_eq!((ask("b").await, ask("c").await), ("passes".into(), "passes".into()));
    assert_eq!(ask("c").await, "budget.budget_key_money_per_day");
    // A policy that is changed forgets none of it.
    let engine = Arc::clone(&scene.gateway.in_force().engine);
    drop(scene.gateway.put_in_force(engine, Mode::Block));
    assert_eq!(ask("c").await, "budget.budget_key_money_per_day");
    std::fs::remove_dir_all(&scene.path).unwrap();
}

/// Whoever is killed between an action's receipt and its record has left it in the ledger alone.
#[tokio::test(flavor = "multi_thread")]
async fn budgets_count_what_only_the_ledger_has() {
    let scene = Scene::fresh();
    let key = scene.key(100).await;
    let set = |mut key: Key| {
        let money = [("credit_price", "0.5"), ("budget_agent_money_per_day", "1")];
        for (name, value) in money.into_iter().chain([("budget_key_calls_per_hour", "3")]) {
            key.settings.set(name, value).unwrap();
        }
        key.agents.extend([("a".to_owned(), 0), ("b".to_owned(), 0)]);
        Ok(key)
    };
    scene.store.change_key(&key, set).await.unwrap();
    let ask = async |scene: &Scene, agent: &str, credits: u64| {
        let session = doorward_core::session::name::name("alice", agent);
        let mut action = Action::new(Door::Egress, ActionKind::Outbound, "alice".into(), session);
        action.bill = Some(Bill { key: Arc::clone(&key), agent: agent.into(), credits });
        match scene.gateway.pass(action, Nothing, &Waits::default()).await {
            Ok(permit) => {
                drop(permit.open(key_of_tests()));
                "passes".to_owned()
            }
            Err(refusal) => rule(&refusal).to_owned(),
        }
    };
    let Scene { gateway, store, path, lock } = scene;
    let before = path.with_extension("before");
    drop(gateway);
    store.close().await.unwrap();
    drop(lock);
    copy(&path.join("store"), &before);
    let scene = Scene::at(&path);
    assert_eq!(ask(&scene, "a", 1).await, "passes");
    let Scene { gateway, store, path, lock } = scene;
    drop(gateway);
    store.close().await.unwrap();
    drop(lock);
    std::fs::remove_dir_all(path.join("store")).unwrap();
    copy(&before, &path.join("store"));
    let scene = Scene::at(&path);
    assert_eq!(scene.left(&key), 99);
    assert_eq!(ask(&scene, "a", 2).await, "budget.budget_agent_money_per_day");
    // Another agent has not spent that; the key has made one call.
    assert_eq!(ask(&scene, "b", 2).await, "passes");
    assert_eq!(ask(&scene, "a", 1).await, "passes");
    assert_eq!(ask(&scene, "c", 1).await, "budget.budget_key_calls_per_hour");
    std::fs::remove_dir_all(&scene.path).unwrap();
    std::fs::remove_dir_all(&before).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        assert!(entry.path().is_file());
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lots_expire_first_come_first_used() {
    let scene = Scene::fresh();
    let key = scene.key(0).await;
    scene.grant(&key, 5, 12).await;
    scene.grant(&key, 2, 1).await;
    drop(scene.send(&key, 3).await);
    let lots = scene.store.lots(&key).await.unwrap();
    assert_eq!(lots.iter().map(|it| (it.lot.number, it.lot.used)).collect::<Vec<_>>(), [(1, 1), (2, 2)]);
    let months = |lot: &Lot| (lot.expires - lot.granted) / DAY;
    assert!((364..=366).contains(&months(&lots[0].lot)) && (28..=31).contains(&months(&lots[1].lot)));
    assert_eq!(scene.audit(), []);
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_counts_if_the_ledger_has_it() {
    let scene = Scene::fresh();
    let key = scene.key(0).await;
    let now = crate::judge::now();
    for (n, receipt) in ["r-lost", "r-there"].into_iter().enumerate() {
        let lot = Lot { number: 0, amount: 10 + n as u64, used: 0, granted: now, expires: now + DAY };
        let record = LotRecord { key: Arc::clone(&key), lot, receipt: receipt.into(), by: "tester".into() };
        let lot = scene.store.prepare_lot(record.clone()).await.unwrap();
        // The process is killed before it has recorded the one, and before it has confirmed the other.
        if n == 1 {
            scene.gateway.recorder().granted(&LotRecord { lot, ..record }).await.unwrap();
        }
    }
    assert_eq!(scene.left(&key), 0);
    let scene = scene.again().await;
    assert_eq!((scene.left(&key), scene.audit()), (11, vec![]));
    // The number of what was lost is not given again.
    scene.grant(&key, 1, 12).await;
    let lots = scene.store.lots(&key).await.unwrap();
    assert_eq!(lots.iter().map(|it| it.lot.number).collect::<Vec<_>>(), [2, 3]);
    let refused = grant(scene.gateway.recorder(), &scene.store, &key, (1, 0), "tester", now).await;
    assert!(refused.is_err(), "no time is not a time");
    std::fs::remove_dir_all(&scene.path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_otherwise_is_found() {
    let scene = Scene::fresh();
    let key = scene.key(5).await;
    scene
        .store
        .accounts()
        .use_up(&Spending { key: Arc::clone(&key), parts: vec![Part { lot: 1, amount: 2 }] });
    let found = Differs { key, lot: 1, ledger: Some((5, 0)), store: Some((5, 2)) };
    assert_eq!(scene.audit(), [found]);
    std::fs::remove_dir_all(&scene.path).unwrap();
}

/// How many groups the log has: each ends with one signed checkpoint.
fn groups(scene: &Scene) -> usize {
    let segments = Home::open(&scene.path).unwrap().log_dir().join("segments");
    let files = std::fs::read_dir(segments).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let signed = "\u{2014} doorward/test ".as_bytes();
    files.map(|bytes| bytes.windows(signed.len()).filter(|window| *window == signed).count()).sum()
}

/// Polls `work` once; it has to wait.
async fn begun<T>(work: &mut std::pin::Pin<Box<impl Future<Output = T>>>) {
    let ended = tokio::select! {
        biased;
        _ = work => true,
        () = std::future::ready(()) => false,
    };
    assert!(!ended);
}

#[tokio::test]
async fn decisions_that_come_at_once_are_one_group_and_whoever_goes_takes_its_own_back() {
    let scene = Scene::fresh();
    let key = scene.key(10).await;
    let left = || scene.store.accounts().remaining(&key, crate::judge::now()).credits;
    let size = || scene.gateway.recorder().checkpoints().borrow().as_ref().unwrap().size();
    let _under_way = [scene.gateway.recorder().under_way(), scene.gateway.recorder().under_way()];
    let (before, receipts) = (groups(&scene), size());
    let permits = tokio::join!(scene.ask(&key, 1), scene.ask(&key, 1), scene.ask(&key, 1));
    assert!(permits.0.is_ok() && permits.1.is_ok() && permits.2.is_ok());
    assert_eq!((groups(&scene) - before, size() - receipts, left()), (1, 3, 7));
    // Who has not begun to be written is not, and holds nothing.
    let ask = || Box::pin(scene.ask(&key, 1));
    let (mut first, mut second, mut third) = (ask(), ask(), ask());
    begun(&mut first).await;
    begun(&mut second).await;
    begun(&mut third).await;
    drop(second);
    assert_eq!((size() - receipts, left()), (3, 5));
    // Who goes first writes what others rely on.
    drop(first);
    let third = third.await.unwrap();
    assert_eq!((groups(&scene) - before, size() - receipts, left()), (2, 4, 6));
    drop(third);
    drop(permits);
}
