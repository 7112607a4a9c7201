//! What the ledger says happened. Receipts name targets by keyed digest only; a target is shown here if the
//! salt, which the side store keeps, proves that it is the one in the receipt.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use doorward_core::action::{ActionKind, ToolUse, tools};
use doorward_core::syntax::{Node, json};
use doorward_core::{Action, Door};
use doorward_ledger::{Report, Salt, SignedCheckpoint, VerifyingKey, View, verify_log};
use doorward_store::Store;

/// How long the closing receipt of a reply may take after the reply's last byte.
const PATIENCE: Duration = Duration::from_secs(2);

/// The ledger of the demonstration.
pub struct Evidence {
    view: View,
    store: Store,
}

/// One receipt.
pub struct Entry {
    /// Its place in the log.
    pub index: u64,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    node: Node,
}

/// The judgement of one call, read from its receipt.
pub struct Judged {
    pub index: u64,
    pub receipt: String,
    pub tool: String,
    pub verdict: String,
    pub risk: u64,
    pub coverage: String,
    /// The strongest first.
    pub reasons: Vec<Reason>,
    pub effects: Vec<Effect>,
    /// The arguments that were judged, from the side store.
    pub arguments: String,
}

pub struct Reason {
    pub rule: String,
    pub layer: String,
    pub severity: u64,
    pub message: String,
}

#[derive(PartialEq, Eq)]
pub struct Effect {
    pub capability: String,
    pub asset: String,
    /// What it is aimed at, if the salt proves it.
    pub target: Option<String>,
}

/// How a reply ended, read from its outcome receipt.
pub struct Outcome {
    pub result: String,
    /// The code of its fault, if it did not end well.
    pub fault: Option<String>,
}

/// A copy of the log with one byte changed, and what verification says about it.
pub struct Tampering {
    /// The receipt that was changed.
    pub index: u64,
    pub receipt: String,
    /// What was changed.
    pub what: String,
    pub report: Report,
}

impl Evidence {
    pub fn open(log: &Path, key: &VerifyingKey, store: Store) -> anyhow::Result<Self> {
        Ok(Self { view: View::open(log, key)?, store })
    }

    /// How many receipts there are.
    pub fn size(&mut self) -> anyhow::Result<u64> {
        self.view.refresh()?;
        Ok(self.view.size())
    }

    /// Receipts by their place.
    pub fn entries(&self, range: Range<u64>) -> anyhow::Result<Vec<Entry>> {
        let entries = self.view.entries(range).map(|entry| {
            let (index, bytes) = entry?;
            Ok(Entry { index, node: json::parse(&bytes)?, bytes })
        });
        entries.collect()
    }

    /// The receipts since `from`, once the reply under `opened` has its outcome among them: it is written
    /// when the reply's last byte has gone.
    pub async fn since(&mut self, from: u64, opened: Option<&str>) -> anyhow::Result<Vec<Entry>> {
        let began = Instant::now();
        loop {
            let size = self.size()?;
            let entries = self.entries(from..size)?;
            let closed = entries.iter().any(|entry| entry.closes(opened));
            if closed || opened.is_none() || began.elapsed() > PATIENCE {
                return Ok(entries);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The judgement of a call, if this is its receipt.
    pub async fn judged(&self, entry: &Entry) -> anyhow::Result<Option<Judged>> {
        let (Some(action), Some(decision)) = (entry.node.get("action"), entry.node.get("decision")) else {
            return Ok(None);
        };
        if action.text("kind") != Some(ActionKind::ToolCall.as_str()) {
            return Ok(None);
        }
        let receipt = entry.id().to_owned();
        let tool = words(action, "tool");
        let kept = self.store.action(receipt.as_str()).await?;
        let arguments = kept.as_ref().and_then(|kept| kept.content.clone()).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        let salt = kept.and_then(|kept| kept.salt).map(|salt| Salt::new(salt.expose()));
        let targets = targets(&tool, &arguments);
        let prove = |digest: &str| {
            let salt = salt.as_ref()?;
            targets
                .iter()
                .find(|target| salt.digest("target", target.as_bytes()).to_string() == digest)
                .cloned()
        };
        let mut effects: Vec<Effect> = Vec::new();
        for effect in list(action, "effects") {
            let target = effect.text("target_digest").and_then(prove);
            let effect =
                Effect { capability: words(effect, "capability"), asset: words(effect, "asset"), target };
            if !effects.contains(&effect) {
                effects.push(effect);
            }
        }
        let reasons = list(decision, "reasons").iter().map(|reason| Reason {
            rule: words(reason, "rule"),
            layer: words(reason, "layer"),
            severity: reason.get("severity").and_then(Node::as_u64).unwrap_or_default(),
            message: words(reason, "message"),
        });
        Ok(Some(Judged {
            index: entry.index,
            receipt,
            tool,
            verdict: words(decision, "verdict"),
            risk: decision.get("risk").and_then(Node::as_u64).unwrap_or_default(),
            coverage: words(decision, "coverage"),
            reasons: reasons.collect(),
            effects,
            arguments,
        }))
    }

    /// Verifies the log as it is on disk, as an auditor would.
    pub fn verify(&self) -> Report {
        verify_log(self.view.dir(), self.view.trusted(), None)
    }

    /// The newest checkpoint of a report, its signature checked once more.
    pub fn checkpoint(&self, report: &Report) -> Option<SignedCheckpoint> {
        SignedCheckpoint::verify(report.newest.as_deref()?, self.view.trusted()).ok()
    }

    /// Changes one digit of the risk in receipt `index`, in a copy of the log, and verifies that.
    pub fn tamper(&self, index: u64, copy: &Path) -> anyhow::Result<Tampering> {
        const KEY: &[u8] = b"\"risk\":";
        let entry = self.entries(index..index + 1)?.pop().context("the receipt to tamper with is gone")?;
        let risk = find(&entry.bytes, KEY).context("the receipt to tamper with has no risk")? + KEY.len();
        copy_folder(self.view.dir(), copy)?;
        for file in files(copy)? {
            let mut bytes = fs::read(&file)?;
            let Some(at) = find(&bytes, &entry.bytes) else { continue };
            let Some(digit) = bytes.get_mut(at + risk) else { continue };
            let old = std::mem::replace(digit, if *digit == b'1' { b'2' } else { b'1' });
            let (old, new) = (char::from(old), char::from(*digit));
            fs::write(&file, &bytes)?;
            return Ok(Tampering {
                index,
                receipt: entry.id().to_owned(),
                what: format!("its risk begins with {new} where it began with {old}"),
                report: verify_log(copy, self.view.trusted(), None),
            });
        }
        anyhow::bail!("receipt {index} is not found in the copy of the log")
    }
}

impl Entry {
    /// Its id.
    pub fn id(&self) -> &str {
        self.node.text("id").unwrap_or_default()
    }

    /// What kind of receipt it is; for decisions, of what.
    pub fn kind(&self) -> String {
        let kind = words(&self.node, "kind");
        match (kind.as_str(), self.node.get("action"), self.node.get("control")) {
            ("decision", Some(action), _) => format!("{} judged", words(action, "kind")),
            ("opened", ..) => "reply opened".to_owned(),
            ("outcome", ..) => "reply ended".to_owned(),
            ("control", _, Some(control)) => format!("{} by a person", words(control, "event")),
            _ => kind,
        }
    }

    /// How the reply ended, if this is the outcome of one.
    pub fn outcome(&self) -> Option<Outcome> {
        let outcome = self.node.get("outcome")?;
        let fault = outcome.get("fault").map(|fault| words(fault, "code"));
        Some(Outcome { result: words(outcome, "result"), fault })
    }

    fn closes(&self, opened: Option<&str>) -> bool {
        self.node.get("outcome").is_some() && self.node.text("of") == opened
    }
}

/// What a call is aimed at, as the firewall reads it.
fn targets(tool: &str, arguments: &str) -> Vec<String> {
    let mut action = Action::new(Door::Model, ActionKind::ToolCall, "".into(), "".into());
    action.tool = Some(ToolUse { name: tool.into(), declared: true, call_id: "".into() });
    tools::fill_call(&mut action, arguments, json::parse(arguments.as_bytes()).ok().as_ref());
    action.effects.iter().map(|effect| effect.target.as_str().to_owned()).collect()
}

fn words(node: &Node, key: &str) -> String {
    node.text(key).unwrap_or_default().to_owned()
}

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::elements).unwrap_or_default()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Every file below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}
