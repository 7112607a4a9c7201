//! Who is measured: nobody in between, Doorward, and the proxies it is compared with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::client::Connection;
use crate::proc::Tree;
use crate::process::{Folder, Running};
use crate::question::{Question, Target};
use crate::spec::{Delivery, Dialect, Kind, Spec};

mod doorward;
mod nginx;
mod python;

/// A kind of peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// The client speaks to the upstream itself.
    Direct,
    /// nginx, `proxy_pass`, unbuffered, its other settings left alone.
    Nginx,
    /// The same with reads of 64 KiB instead of one memory page.
    Nginx64k,
    /// Doorward as it is shipped: inspection and receipts on.
    Doorward,
    /// Its egress door by `POST /v1/net`, for which the key is shown.
    Net,
    /// Its egress door by `POST /mcp`, each call signed.
    Mcp,
    /// mitmproxy as a reverse proxy that streams.
    Mitmproxy,
    /// The LiteLLM proxy.
    LiteLlm,
}

impl PeerKind {
    /// All those that can stand before a model's provider.
    pub const ALL: [Self; 6] =
        [Self::Direct, Self::Nginx, Self::Nginx64k, Self::Doorward, Self::Mitmproxy, Self::LiteLlm];

    /// Its name in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Nginx64k => "nginx-64k",
            Self::Doorward => "doorward",
            Self::Net => "doorward /v1/net",
            Self::Mcp => "doorward /mcp",
            Self::Mitmproxy => "mitmproxy",
            Self::LiteLlm => "litellm",
        }
    }

    /// Written in Python: orders of magnitude slower, so it is given fewer streams to hold.
    pub const fn is_python(self) -> bool {
        matches!(self, Self::Mitmproxy | Self::LiteLlm)
    }

    /// Whether it is Doorward's egress door.
    pub const fn is_egress(self) -> bool {
        matches!(self, Self::Net | Self::Mcp)
    }
}

/// Where things are.
#[derive(Debug)]
pub struct Places {
    /// The binary to measure.
    pub doorward: PathBuf,
    /// Where the Python environments are, or will be made.
    pub python: PathBuf,
    /// The interpreter to make them with, if it was named.
    pub interpreter: Option<PathBuf>,
    /// The folder of this run.
    pub folder: Folder,
    /// The upstream.
    pub upstream: SocketAddr,
}

/// A peer that serves.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub kind: PeerKind,
    /// Where it is reached.
    pub target: Target,
    /// What it says it is.
    pub version: String,
    running: Option<Running>,
}

impl Peer {
    /// Starts a peer and waits until it answers.
    ///
    /// # Errors
    /// In words, with what to do: it is not installed, or does not start.
    pub async fn start(kind: PeerKind, places: &Places) -> anyhow::Result<Self> {
        let folder = places.folder.sub(&kind.name().replace(['/', ' '], "-"))?;
        let direct = |address, key: Option<String>| Target {
            address,
            anthropic: String::new(),
            openai: String::new(),
            exact: kind != PeerKind::LiteLlm,
            key,
            asked_for: None,
        };
        let mut peer = match kind {
            PeerKind::Direct => Self {
                kind,
                target: direct(places.upstream, None),
                version: "no proxy".to_owned(),
                running: None,
            },
            PeerKind::Nginx | PeerKind::Nginx64k => {
                let (running, address, version) = nginx::start(&folder, places, kind == PeerKind::Nginx64k)?;
                Self { kind, target: direct(address, None), version, running: Some(running) }
            }
            PeerKind::Doorward => {
                let (running, target, version) = doorward::start(&folder, places)?;
                Self { kind, target, version, running: Some(running) }
            }
            PeerKind::Net | PeerKind::Mcp => {
                let (running, target, version) = doorward::egress(&folder, places, kind == PeerKind::Mcp)?;
                Self { kind, target, version, running: Some(running) }
            }
            PeerKind::Mitmproxy => {
                let (running, address, version) = python::mitmproxy(&folder, places)?;
                Self { kind, target: direct(address, None), version, running: Some(running) }
            }
            PeerKind::LiteLlm => {
                let (running, address, key, version) = python::litellm(&folder, places)?;
                Self { kind, target: direct(address, Some(key)), version, running: Some(running) }
            }
        };
        peer.wait(Duration::from_secs(if kind.is_python() { 300 } else { 15 })).await?;
        Ok(peer)
    }

    /// Its processes; `None` without a proxy.
    pub fn tree(&self) -> Option<Tree> {
        self.running.as_ref().map(Running::tree)
    }

    /// Asks for a small reply until it comes.
    async fn wait(&mut self, patience: Duration) -> anyhow::Result<()> {
        let spec = Spec { dialect: Dialect::OpenAi, kind: Kind::Json(600), delivery: Delivery::Whole };
        let mut question = Question::new(&self.target, &spec, 0)?;
        let begin = Instant::now();
        loop {
            let asked = Connection::new(64 << 10).ask(&mut question, |_| {}).await;
            let Err(error) = asked else { return Ok(()) };
            let words = self.running.as_ref().map(Running::words).unwrap_or_default();
            if self.running.as_mut().is_some_and(Running::ended) {
                bail!("it ended while it started: {words}");
            }
            if begin.elapsed() > patience {
                bail!("no answer in {} s: {error:#}; {words}", patience.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
