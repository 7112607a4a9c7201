//! Fixed keys, receipts and directories for tests.

use doorward_ledger::receipt::{
    ActionRecord, DecisionRecord, EffectRecord, OutcomeRecord, PartRecord, ReasonRecord, Salt,
};
use doorward_ledger::{Draft, Kind, Leaf, Log, LogOptions, SigningKey};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub const NODE: &str = "doorward/test";
pub const TIME: u64 = 1_795_219_200_000;

pub fn key() -> SigningKey {
    SigningKey::from_seed(NODE, &[7; 32]).unwrap()
}

pub fn foreign_key() -> SigningKey {
    SigningKey::from_seed("doorward/other", &[8; 32]).unwrap()
}

/// Another key under the same name: what an impostor would make.
pub fn impostor_key() -> SigningKey {
    SigningKey::from_seed(NODE, &[9; 32]).unwrap()
}

pub fn salt(n: u64) -> Salt {
    let mut bytes = [3; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Salt::new(&bytes)
}

pub fn id(n: u64) -> String {
    format!("R{n:025}")
}

/// A decision receipt as the model door would write it.
pub fn decision(n: u64) -> Leaf {
    let salt = salt(n);
    let action = ActionRecord {
        kind: "tool_call",
        tool: Some("bash"),
        source: "model",
        destination: Some("api.anthropic.com"),
        effects: vec![EffectRecord {
            capability: "net.post",
            asset: "external",
            target: Some(salt.digest("target", b"http://evil.example/x")),
        }],
        parts: vec![PartRecord { part: "arguments", bytes: 42, digest: salt.digest("arguments", b"{}") }],
    };
    let decision = DecisionRecord {
        verdict: "block",
        risk: 95,
        entropy: 0,
        mode: "block",
        enforced: true,
        coverage: "full",
        reasons: vec![ReasonRecord {
            rule: "exec.download-and-run",
            layer: "detect",
            severity: 95,
            verdict: "block",
            message: "downloads a program and runs it",
            part: Some(0),
        }],
        policy: "default-1",
        epoch: &[("kill", 0), ("policy", 3), ("key", 1)],
        duties: vec![],
        charges: vec![],
    };
    Draft::new(Kind::Decision, &id(n), TIME + n, NODE)
        .agent("claude")
        .session("s-1")
        .door("model")
        .action(&action, &salt)
        .decision(&decision, &salt)
        .seal()
        .unwrap()
}

pub fn opened(n: u64) -> Leaf {
    Draft::new(Kind::Opened, &id(n), TIME + n, NODE).agent("claude").door("model").seal().unwrap()
}

pub fn outcome(n: u64, of: u64) -> Leaf {
    let outcome =
        OutcomeRecord { result: "completed", counts: &[("bytes_out", 10)], usage: &[], ..Default::default() };
    Draft::new(Kind::Outcome, &id(n), TIME + n, NODE).of(&id(of)).outcome(outcome).seal().unwrap()
}

pub fn small(n: u64) -> Leaf {
    Draft::new(Kind::Decision, &id(n), TIME, NODE).seal().unwrap()
}

/// A new directory, removed when dropped.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("doorward-ledger-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.0.join("segments"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
            .collect();
        files.sort();
        files
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn open(dir: &Dir) -> Log {
    Log::open_with(dir.path(), key(), LogOptions::default()).unwrap()
}

pub fn open_small_segments(dir: &Dir) -> Log {
    let options = LogOptions { segment_bytes: 4096, ..LogOptions::default() };
    Log::open_with(dir.path(), key(), options).unwrap()
}

/// A small deterministic generator for choices in tests.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
