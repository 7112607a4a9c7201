//! A door for tests of stages: with a store, without names.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::{Millis, Mode};
use doorward_core::syntax::Source;
use doorward_core::wire::sphyr::call::{Net, Time};
use doorward_ledger::storage::Log;
use doorward_ledger::{Durability, SigningKey};
use doorward_store::accounts::{Key, Settings as Own};
use doorward_store::{AgentName, Home, HomeLock, Options, Store};

use super::super::sessions::Session;
use super::super::{Egress, Settings};
use crate::upstream::{Addresses, Lookup, Reacher};
use crate::{Gateway, Recorder};

pub const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Nobody is to be asked.
#[derive(Debug)]
struct Nobody;

impl Lookup for Nobody {
    fn lookup<'a>(&'a self, _: &'a str) -> Addresses<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

pub struct Scene {
    pub door: Egress,
    pub key: Key,
    path: PathBuf,
    _lock: HomeLock,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Scene {
    /// A door with these settings and a key with those.
    pub fn with(settings: Settings, set: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("doorward-stages-{}-{number}", std::process::id()));
        let home = Home::open(&path).unwrap();
        let lock = home.lock().unwrap();
        let store = Store::open(&lock, Options::default()).unwrap();
        let seed = SigningKey::from_seed("doorward/test", home.ledger_seed().unwrap().expose()).unwrap();
        let log = Log::open(&home.log_dir(), seed, Durability::Os).unwrap();
        let recorder = Recorder::start(log, store.clone(), "doorward/test").unwrap();
        let policy =
            Policy::compile(&[Source { name: "p.yaml", text: "default: allow\nrules: []\n" }]).unwrap();
        let rules = RuleSet::compile(&[]).unwrap();
        let engine = Arc::new(Engine::new(rules.into(), policy.into(), Surroundings::default()));
        let gateway = Arc::new(Gateway::new(engine, recorder, store, Mode::Block));
        let door = Egress::new(gateway, Reacher::new(Arc::new(Nobody), &[]).unwrap(), settings);
        Self { door, key: key(set), path, _lock: lock }
    }
}

pub fn key(set: &[(&str, &str)]) -> Key {
    let mut own = Own::default();
    set.iter().for_each(|(name, value)| own.set(name, value).unwrap());
    Key::new(AgentName::new("alice").unwrap(), own, 1).unwrap()
}

pub fn session(key: &Key, token: &str) -> Session {
    Session {
        token: token.into(),
        nonce: "nonce".into(),
        key: Arc::clone(&key.id),
        agent: "a".into(),
        ip: IP,
        issued: 0,
        expires: Millis::MAX,
    }
}

/// A call that was signed in this second.
pub fn net(second: u64) -> Net {
    Net {
        session: "token".into(),
        url: "https://a.example/".into(),
        method: "GET".into(),
        category: "c".into(),
        signature: "0".repeat(64),
        time: Time { text: second.to_string(), seconds: second },
        body: b"body".to_vec(),
        headers: vec![("Accept".into(), "*/*".into())],
        framing: Vec::new(),
        trace: String::new(),
        preflight: false,
        follow: None,
    }
}
