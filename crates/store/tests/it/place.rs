//! A home directory of a test's own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use doorward_core::action::alone;
use doorward_core::decision::{Layer, Verdict};
use doorward_store::{Home, Judged, JudgedReason, Options, RecordedAction, RecordedEffect, Secret32, Store};

pub struct Place {
    dir: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("doorward-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        Self { dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("home")
    }

    pub fn home(&self) -> Home {
        Home::open(self.root()).unwrap()
    }

    /// Opens the store; the lock is released at once, so that a test can open it again.
    pub fn store(&self, options: Options) -> Store {
        Store::open(&self.home().lock().unwrap(), options).unwrap()
    }

    /// Every byte below the home directory.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut dirs = vec![self.root()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    all.extend(std::fs::read(path).unwrap());
                }
            }
        }
        all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn judged() -> Judged {
    let mut action = alone::read("command", "cat plaintext-file", None).unwrap();
    action.agent = "plaintext-agent".into();
    let reasons = vec![JudgedReason {
        rule: "plaintext.rule".into(),
        layer: Layer::Detect,
        verdict: Verdict::Block,
        severity: 80,
    }];
    Judged { action, whole: true, reasons }
}

pub fn action(receipt: &str, time: u64) -> RecordedAction {
    RecordedAction {
        receipt: receipt.into(),
        time,
        agent: "plaintext-agent".into(),
        session: "plaintext-session".into(),
        door: "model".into(),
        kind: "tool_call".into(),
        tool: Some("plaintext-\"tool\"\u{1}é".into()),
        effects: vec![
            RecordedEffect { capability: "read".into(), asset: "plaintext-asset".into() },
            RecordedEffect { capability: "send".into(), asset: "host".into() },
        ],
        verdict: "block".into(),
        rules: vec!["plaintext.rule".into(), "floor.kill".into()],
        key: Some("plaintext-key".into()),
        url: Some("https://plaintext.example/".into()),
        salt: Some(Secret32::new([0x5a; 32])),
        judged: Some(Box::new(judged())),
        content: Some(b"plaintext-content".to_vec()),
    }
}
