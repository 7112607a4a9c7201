//! `doorward demo`: the real firewall between a malicious provider and a small agent, over real sockets.
//!
//! [`scenes`] is the conversation, as data. [`provider`] speaks its part of it and [`agent`] hears what comes
//! through; [`evidence`] reads the receipts. The player below takes scene after scene and compares what
//! happened with what has to happen; [`show`] only prints what was found. Nothing is ever run.

use doorward_core::syntax::hex;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use doorward_core::session::Mode;
use doorward_core::syntax::json::quoted;
use doorward_core::wire::Protocol;
use doorward_ledger::{Durability, Report};
use doorward_store::{Home, fill_random};
use tokio::sync::oneshot;

use super::run::interrupted;
use crate::cli::{Cli, DemoArgs};
use crate::config::{Config, FORENSICS, UpstreamConfig};
use crate::ledger_key::signing_key;
use crate::serve::Running;
use crate::tool_policy::ToolPolicy;

mod scenes;

mod provider;

mod agent;

mod evidence;

mod show;

use agent::{Agent, Heard, post};
use evidence::{Entry, Evidence, Judged, Outcome, Tampering};
use provider::Provider;
use scenes::{Call, Ending, SCENES, Scene, Trick};
use show::Show;

/// How soon a reply has to end once the kill switch is thrown. Generous, because the request that throws it
/// and a busy machine are in it; what was measured is shown.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// The name of the agent.
const AGENT: &str = "demo";

/// Runs the command. Exit status 1 if anything came otherwise than it has to.
///
/// # Errors
/// If the firewall cannot be started or its ledger not be read.
pub fn run(_: &Cli, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Dropped last, and at Ctrl-C too: nothing of the demonstration stays behind.
        let folder = Temporary::new()?;
        let mut interrupted = std::pin::pin!(interrupted()?);
        let (stage, running, passed) = tokio::select! {
            performed = perform(&folder.0, args) => performed?,
            () = &mut interrupted => return Ok(ExitCode::FAILURE),
        };
        if args.stay {
            interrupted.await;
        }
        drop(stage);
        running.end().await?;
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// The whole conversation, then the ledger. Returns who is still up, and whether all came as it has to.
async fn perform(folder: &Path, args: &DemoArgs) -> anyhow::Result<(Stage, Running, bool)> {
    let mut show = Show::new(args.json);
    let provider = Provider::start().await.context("cannot start the provider")?;
    let config = config(folder.join("home"), provider.address);
    let running = Running::start(&config).await?;
    let home = Home::open(&config.home)?;
    let key = signing_key(&home)?;
    let mut stage = Stage {
        agent: Agent::new(running.data, running.token.expose()),
        evidence: Evidence::open(&home.log_dir(), key.public(), running.gateway.store().clone())?,
        operator: Operator { control: running.control, token: home.operator_token()? },
        provider,
    };
    show.opening(&running, stage.provider.address);
    for scene in SCENES {
        show.step(stage.play(scene).await?);
    }
    let books = stage.check_books(&folder.join("copy"), show.first_block())?;
    let passed = show.books(books);
    if args.stay {
        show.staying(&running);
    } else {
        show.farewell();
    }
    show.finish();
    Ok((stage, running, passed))
}

/// Everything on free ports, in a home of its own; the provider is the only upstream and not trusted.
fn config(home: PathBuf, provider: SocketAddr) -> Config {
    let upstream = |protocol, path| UpstreamConfig {
        protocol,
        url: format!("http://{provider}{path}"),
        trusted: false,
        unknown_passes: false,
        key: None,
        key_header: None,
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let upstreams =
        [("anthropic", upstream(Protocol::Anthropic, "")), ("openai", upstream(Protocol::OpenAi, ""))];
    Config {
        policy: Vec::new(),
        tools: ToolPolicy::default(),
        of_others: Vec::new(),
        replay: true,
        urls: true,
        retention: None,
        new_key_credits: 0,
        credits_low: 0,
        alert_webhook: None,
        forensics: FORENSICS,
        quarantine: doorward_store::quarantine::Limits::default(),
        home,
        listen: any,
        control: any,
        mode: Mode::Block,
        hosts: Vec::new(),
        patience: doorward_gateway::Patience::default(),
        approvals: Default::default(),
        durability: Durability::Os,
        // So that what was judged can be shown, not what was meant to be.
        content: true,
        agent: AGENT.to_owned(),
        text_tools: std::collections::BTreeMap::new(),
        detection: crate::detection::Detection::default(),
        egress: crate::egress::EgressConfig::default(),
        second_opinion: None,
        upstreams: upstreams.map(|(name, upstream)| (name.to_owned(), upstream)).into(),
    }
}

/// Everyone who takes part.
struct Stage {
    agent: Agent,
    provider: Provider,
    evidence: Evidence,
    operator: Operator,
}

/// The person with the operator's token.
struct Operator {
    control: SocketAddr,
    token: doorward_store::Token,
}

/// What happened in one scene.
struct Step {
    scene: &'static Scene,
    heard: Heard,
    judged: Vec<Judged>,
    outcome: Option<Outcome>,
    /// Whether every byte of the reply reached the agent unchanged.
    identical: bool,
    /// How long the reply went on after the kill switch was thrown.
    stopped_after: Option<Duration>,
    /// What came otherwise than it has to.
    unmet: Vec<String>,
}

/// What the ledger holds at the end.
struct Books {
    receipts: Vec<Entry>,
    report: Report,
    /// Key name and tree root of the signed checkpoint.
    signed: Option<(String, String)>,
    tampering: Option<Tampering>,
    unmet: Vec<String>,
}

impl Stage {
    async fn play(&mut self, scene: &'static Scene) -> anyhow::Result<Step> {
        let from = self.evidence.size()?;
        let (running, runs) = oneshot::channel();
        let operator = &self.operator;
        let (heard, thrown) = tokio::join!(self.agent.ask(scene, running), async {
            let stop = scene.trick == Trick::Endless && runs.await.is_ok();
            if stop { Some((Instant::now(), operator.act("kill").await)) } else { None }
        });
        let heard = heard?;
        let stopped_after = match thrown {
            None => None,
            Some((at, acted)) => {
                acted?;
                self.operator.act("resume").await?;
                heard.ended.map(|ended| ended.saturating_duration_since(at))
            }
        };
        let receipts = self.evidence.since(from, heard.receipt.as_deref()).await?;
        let mut judged = Vec::new();
        for entry in &receipts {
            judged.extend(self.evidence.judged(entry).await?);
        }
        let outcome = receipts.iter().find_map(Entry::outcome);
        let identical = heard.raw == self.provider.said();
        let mut step = Step { scene, heard, judged, outcome, identical, stopped_after, unmet: Vec::new() };
        step.unmet = step.differences();
        Ok(step)
    }

    /// Verifies the log, and a copy of it with one byte changed in receipt `target`.
    fn check_books(&mut self, copy: &Path, target: Option<u64>) -> anyhow::Result<Books> {
        let size = self.evidence.size()?;
        let receipts = self.evidence.entries(0..size)?;
        let report = self.evidence.verify();
        let checkpoint = self.evidence.checkpoint(&report);
        let mut unmet = Vec::new();
        if !report.is_ok() || report.entries != size {
            unmet.push(format!("the log does not verify: {report}"));
        }
        if checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.size() != size) {
            unmet.push("the newest checkpoint does not cover every receipt".to_owned());
        }
        let signed = checkpoint.map(|checkpoint| {
            let root = hex(&checkpoint.root());
            (checkpoint.checkpoint().origin.clone(), root)
        });
        let tampering = target.map(|target| self.evidence.tamper(target, copy)).transpose()?;
        match &tampering {
            None => unmet.push("no call was blocked, so there is no receipt to tamper with".to_owned()),
            Some(tampering) => {
                let named =
                    tampering.report.problems.iter().any(|problem| problem.index == Some(tampering.index));
                if !named {
                    unmet.push(format!(
                        "verification did not name receipt {}, which was altered",
                        tampering.index
                    ));
                }
            }
        }
        Ok(Books { receipts, report, signed, tampering, unmet })
    }
}

impl Operator {
    /// `kill` or `resume`, as `doorward kill` does it: through the control listener.
    async fn act(&self, verb: &str) -> anyhow::Result<()> {
        let bearer = format!("Bearer {}", self.token.expose());
        let body = format!(r#"{{"agent":"{AGENT}","reason":"the demonstration"}}"#);
        let reply = post(self.control, &format!("/v1/{verb}"), &[("authorization", &bearer)], body).await?;
        anyhow::ensure!(
            reply.status().is_success(),
            "the control listener refused to {verb}: {}",
            reply.status()
        );
        Ok(())
    }
}

impl Step {
    /// What came otherwise than the scene says it has to.
    fn differences(&self) -> Vec<String> {
        let mut unmet = Vec::new();
        let ended = self.outcome.as_ref().map_or("without a receipt", |outcome| &*outcome.result);
        if ended != self.scene.ends.as_str() {
            unmet.push(format!("the reply ended `{ended}` where `{}` is due", self.scene.ends.as_str()));
        }
        if (self.scene.ends == Ending::Completed) != self.heard.error.is_none() {
            let error = self.heard.error.as_deref().unwrap_or("none");
            unmet.push(format!(
                "the agent was told an error it should not, or none where one is due: {error}"
            ));
        }
        if !self.heard.texts().any(|text| text.starts_with(self.scene.says)) {
            unmet.push("the text before the calls did not reach the agent".to_owned());
        }
        let mut judged = self.judged.iter();
        for call in self.scene.calls {
            // A refused reply ends before its calls are judged.
            let judged = if self.scene.ends == Ending::Refused { None } else { judged.next() };
            unmet.extend(self.call_differences(call, judged));
        }
        if self.scene.ends == Ending::Completed
            && self.scene.calls.iter().all(|call| call.passes)
            && !self.identical
        {
            unmet.push("the reply was altered on its way to the agent".to_owned());
        }
        if self.scene.ends == Ending::Revoked {
            match self.stopped_after {
                Some(after) if after <= STOPS_WITHIN => {}
                Some(after) => {
                    unmet.push(format!("the reply went on for {} ms after the kill", after.as_millis()))
                }
                None => unmet.push("the reply ended before it could be stopped".to_owned()),
            }
        }
        unmet
    }

    fn call_differences(&self, call: &Call, judged: Option<&Judged>) -> Vec<String> {
        let mut unmet = Vec::new();
        let arrived = self.heard.calls().any(|heard| heard == (call.tool, call.arguments));
        let of_tool = self.heard.calls().any(|(tool, _)| tool == call.tool);
        let tool = call.tool;
        if call.passes && !arrived {
            unmet.push(format!("the call to `{tool}` should have reached the agent byte for byte"));
        }
        if !call.passes && of_tool {
            unmet.push(format!("the call to `{tool}` reached the agent"));
        }
        let Some(judged) = judged else {
            if self.scene.ends != Ending::Refused {
                unmet.push(format!("there is no receipt for the call to `{tool}`"));
            }
            return unmet;
        };
        if judged.tool != tool || judged.arguments != call.arguments {
            unmet.push(format!("what was judged is not the call to `{tool}` that was sent"));
        }
        let blocked = judged.verdict == "block";
        if blocked == call.passes {
            unmet.push(format!("the verdict on `{tool}` is `{}`", judged.verdict));
        }
        let told = self.heard.texts().any(|text| text.contains(&judged.receipt));
        if blocked && !told {
            unmet.push(format!("the agent was not told why `{tool}` was blocked"));
        }
        unmet
    }
}

/// A private directory that goes when this does.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> anyhow::Result<Self> {
        let mut random = [0; 8];
        fill_random(&mut random)?;
        let name = hex(&random);
        let path = std::env::temp_dir().join(format!("doorward-demo-{name}"));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `value` as JSON text.
fn text(value: &str) -> String {
    String::from_utf8_lossy(&quoted(value)).into_owned()
}
