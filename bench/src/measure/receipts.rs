//! What is recorded of one request: three receipts, and the log that signs them.

use std::path::PathBuf;

use doorward_core::wire::sphyr::call::Net;
use doorward_ledger::receipt::{
    ActionRecord, DecisionRecord, Draft, EffectRecord, Kind, Leaf, OutcomeRecord, PartRecord, Salt,
};
use doorward_ledger::{Durability, Log, LogError, SigningKey};

const SESSION: &str = "3f0c2c1e-6a4b-4c64-9d0e-2f6b6a1c9e11";

const DECISION: &str = "01KAH7Q9ZC0000000000000001";

/// The three receipts of one request: what was decided with what it was about, the opening of its answer, and its outcome.
pub fn of(net: &Net) -> anyhow::Result<Vec<Leaf>> {
    Ok(vec![decision(net)?, opening("opened")?, outcome("completed")?])
}

/// What was decided, and what it was about.
pub fn decision(net: &Net) -> anyhow::Result<Leaf> {
    let salt = Salt::new(&[9; 32]);
    let part =
        |part, bytes: &[u8]| PartRecord { part, bytes: bytes.len() as u64, digest: salt.digest(part, bytes) };
    let headers: String = net.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let action = ActionRecord {
        kind: "http_request",
        tool: None,
        source: "agent",
        destination: Some("api.example.com"),
        effects: vec![EffectRecord {
            capability: "network:post",
            asset: "external",
            target: Some(salt.digest("target", net.url.as_bytes())),
        }],
        parts: vec![
            part("url", net.url.as_bytes()),
            part("headers", headers.as_bytes()),
            part("body", &net.body),
        ],
    };
    let decision = DecisionRecord {
        verdict: "allow",
        mode: "enforce",
        enforced: true,
        coverage: "full",
        policy: "0123456789abcdef0123456789abcdef",
        ..DecisionRecord::default()
    };
    Ok(draft(Kind::Decision, DECISION).action(&action, &salt).decision(&decision, &salt).seal()?)
}

/// That the answer began.
pub fn opening(result: &'static str) -> anyhow::Result<Leaf> {
    ended("01KAH7Q9ZC0000000000000002", result)
}

/// How it ended.
pub fn outcome(result: &'static str) -> anyhow::Result<Leaf> {
    ended("01KAH7Q9ZC0000000000000003", result)
}

fn ended(id: &'static str, result: &'static str) -> anyhow::Result<Leaf> {
    let record = OutcomeRecord { result, ..OutcomeRecord::default() };
    Ok(draft(Kind::Outcome, id).of(DECISION).outcome(record).seal()?)
}

fn draft(kind: Kind, id: &'static str) -> Draft {
    Draft::new(kind, id, 1_800_000_000_000, "bench").agent("a").session(SESSION).door("egress")
}

/// A log in a directory that is gone afterwards.
pub struct Ledger {
    log: Log,
    place: PathBuf,
}

impl Ledger {
    /// An empty one, which survives what `kill -9` leaves.
    pub fn new() -> anyhow::Result<Self> {
        let place = std::env::temp_dir().join(format!("doorward-stages-{}", std::process::id()));
        std::fs::create_dir_all(&place)?;
        let log = Log::open(&place, SigningKey::from_seed("bench", &[7; 32])?, Durability::Os)?;
        Ok(Self { log, place })
    }

    /// Appends `leaves` under one signature.
    pub fn append(&mut self, leaves: &[Leaf]) -> Result<(), LogError> {
        self.log.append(leaves).map(drop)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // What is left lies among other temporary files.
        let _gone = std::fs::remove_dir_all(&self.place);
    }
}
