//! A gateway for tests of sessions: the real pipeline and a real store.

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

pub struct Scene {
    pub gateway: Gateway,
    store: Store,
    path: PathBuf,
    lock: HomeLock,
}

impl Scene {
    pub fn fresh() -> Self {
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

    pub async fn again(self) -> Self {
        let Self { gateway, store, path, lock } = self;
        drop(gateway);
        store.close().await.unwrap();
        drop(lock);
        Self::at(path)
    }

    /// One call in `session`, forwarded.
    pub async fn call(&self, session: &str, command: &str) {
        drop(self.gateway.pass(bash(session, command), Nothing, &Waits::default()).await.unwrap());
    }

    pub fn session(&self, name: &str) -> Arc<Session> {
        self.gateway.sessions().enter(name, Said::Header, 1).unwrap()
    }

    /// What it has done, as it is kept.
    pub fn remembers(&self, name: &str) -> Vec<u8> {
        lock(&self.session(name).state).value.journal().encode()
    }
}

/// A call of `Bash`.
pub fn bash(session: &str, command: &str) -> Action {
    let mut action = Action::new(Door::Model, ActionKind::ToolCall, "alice".into(), session.into());
    let arguments = format!("{{\"command\":\"{command}\"}}");
    let tool = ToolUse { name: "Bash".into(), declared: true, call_id: "".into() };
    action.tool = Some(tool);
    tools::fill_call(&mut action, &arguments, json::parse(arguments.as_bytes()).ok().as_ref());
    action
}
