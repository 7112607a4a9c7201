//! Puts everything together: home, store, ledger, engine, gateway, both listeners.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use doorward_control::Approver;
use doorward_core::engine::Surroundings;
use doorward_gateway::doors::egress::{self, Egress};
use doorward_gateway::upstream::{Reacher, System};
use doorward_gateway::webhooks::{Courier, Post};
use doorward_gateway::{Gateway, Recorder, SecondOpinion, Server, Upstream};
use doorward_ledger::receipt::{ControlRecord, Kind};
use doorward_ledger::{Draft, Log, LogOptions};
use doorward_store::{AgentName, Home, HomeLock, KillWatch, Options, Store, Token, write_atomic};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{self, Config};
use crate::desk::Desk;
use crate::ledger_key::{self, signing_key};
use crate::policies::{Ground, Loaded, PolicyFiles};
use crate::sphyr;
use crate::terminal::config_error;
use crate::upkeep::Upkeep;

/// How long running replies are given when the process ends.
const GRACE: Duration = Duration::from_secs(5);

/// A running Doorward.
pub struct Running {
    /// Where agents come.
    pub data: SocketAddr,
    /// Where people come.
    pub control: SocketAddr,
    /// The token of the agent that was asked for.
    pub token: Token,
    /// What judges.
    pub gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    steering: std::thread::JoinHandle<()>,
    /// Ends last: others have something to tell until they end.
    courier: (watch::Sender<bool>, JoinHandle<()>),
    store: Store,
    _watch: KillWatch,
    _lock: HomeLock,
}

impl Running {
    /// Starts. When this returns, both listeners are up.
    ///
    /// # Errors
    /// Whatever is in the way, in the user's words.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        // First, because it is what goes wrong most often and changes nothing on disk.
        let data = bind(config.listen, "listen").await?;
        let control = bind(config.control, "control").await?.into_std()?;
        let (data_at, control_at) = (data.local_addr()?, control.local_addr()?);

        let mut upstreams = Vec::new();
        for (name, upstream) in &config.upstreams {
            let settings = upstream.settle(name, &config.home).map_err(config_error)?;
            upstreams.push(Upstream::new(settings).map_err(config_error)?);
        }

        let home = Home::open(&config.home)?;
        let lock = home.lock()?;
        for warning in home.warnings() {
            tracing::warn!("{warning}");
        }
        let store = Store::open(
            &lock,
            Options {
                content: config.content,
                judged: config.replay,
                urls: config.urls,
                forensics: Some(config.forensics),
                quarantine: config.quarantine,
                ..Options::default()
            },
        )?;
        let watch = KillWatch::start(&home, Arc::clone(store.signals()))?;
        let token = store.agents().token(&AgentName::new(&config.agent)?)?;

        write_atomic(&control_address_file(&home), format!("{control_at}\n").as_bytes())?;
        write_atomic(&data_address_file(&home), format!("{data_at}\n").as_bytes())?;

        let listeners = [data_at, control_at];
        let around = Surroundings {
            user_home: config::user_home_text(),
            doorward_home: home.root().display().to_string(),
            pid: std::process::id(),
            program: "doorward".to_owned(),
            control: control_at.to_string(),
            listeners: listeners.iter().map(ToString::to_string).collect(),
        };
        let files = PolicyFiles::new(home.root(), &config.policy).with_tools(&config.tools);
        config.of_others.iter().for_each(|notice| tracing::warn!("{notice}"));
        if std::env::var_os(sphyr::CREDENTIAL).is_some() {
            tracing::warn!(
                "{} is for clients and is not read here; give it to the agent's process alone",
                sphyr::CREDENTIAL
            );
        }
        let ground = Ground::new(home.root(), config.detection.clone(), around)?;
        let loaded = Loaded::read(files, ground, config.mode)?;
        let recorder = recorder(&home, config, &store)?;
        let text_tools = config.text_tools.iter().map(|(agent, how)| (agent.clone(), *how)).collect();
        let mut gateway = Gateway::new(Arc::clone(&loaded.engine), recorder, store.clone(), loaded.mode)
            .with_text_tools(text_tools)
            .with_approvals(config.approvals);
        if let Some(opinion) = &config.second_opinion {
            gateway = gateway.with_second_opinion(SecondOpinion::new(opinion.settle(home.root())?)?);
        }
        let gateway = Arc::new(gateway);
        let follower = Arc::new(loaded.follow(Arc::clone(&gateway))?);

        let settings = doorward_gateway::Settings {
            hosts: config.hosts.clone(),
            connections: connections(),
            patience: config.patience,
        };
        let reacher = Reacher::new(Arc::new(System), &listeners).map_err(config_error)?;
        let (post, courier) = courier(&gateway, config, reacher.clone()).await?;
        let egress = egress(&gateway, config, (reacher, data_at));
        let remembered = egress.remembered();
        let server = Server::new(Arc::clone(&gateway), upstreams, settings, data_at).with_egress(egress);

        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(server.serve(data, stopped.clone(), GRACE))];
        let settings = doorward_control::Settings {
            operator: home.operator_token()?,
            approver: Approver { principal: "operator-token".into(), authenticated: false },
            hosts: Vec::new(),
            timeout: doorward_control::Settings::TIMEOUT,
        };
        let upkeep = Arc::new(Upkeep::of(&home, config));
        let (files, keeper) = (Arc::clone(&follower), Arc::clone(&upkeep));
        let desk = Desk::new(Arc::clone(&gateway), home.clone(), files, post, keeper, remembered);
        let desk = Arc::new(desk);
        let steering = steer(control, desk, settings, stopped.clone())?;
        tasks.push(tokio::spawn(sweep(upkeep, Arc::clone(&gateway), stopped.clone())));
        tasks.push(tokio::spawn(remember_checkpoints(Arc::clone(&gateway), home, stopped)));
        Ok(Self {
            data: data_at,
            control: control_at,
            token,
            gateway,
            stop,
            tasks,
            steering,
            courier,
            store,
            _watch: watch,
            _lock: lock,
        })
    }

    /// Ends: no new connections, running replies get a little time, everything is written.
    ///
    /// # Errors
    /// If something could not be written.
    pub async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await;
        }
        let _ = tokio::task::spawn_blocking(move || self.steering.join()).await;
        let (stop, courier) = self.courier;
        stop.send_replace(true);
        let _ = courier.await;
        self.gateway.recorder().flush();
        self.store.close().await?;
        Ok(())
    }

    /// The values of `ANTHROPIC_BASE_URL`, `OPENAI_BASE_URL` and `GOOGLE_GEMINI_BASE_URL` for the agent.
    pub fn base_urls(&self) -> [String; 3] {
        let base = format!("http://{}/t/{}", self.data, self.token.expose());
        [format!("{base}/anthropic"), format!("{base}/openai/v1"), format!("{base}/gemini")]
    }
}

/// Serves the control listener on a thread of its own: the kill switch has to answer while agents keep
/// every other thread busy.
fn steer(
    listener: std::net::TcpListener,
    desk: Arc<Desk>,
    settings: doorward_control::Settings,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        let ended = runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
            doorward_control::serve(listener, desk, settings, stopped).await
        });
        if let Err(error) = ended {
            tracing::error!(%error, "the control listener ended");
        }
    };
    Ok(std::thread::Builder::new().name("doorward-control".into()).spawn(serve)?)
}

/// The door through which agents' requests go out. It is always there: without a key nobody comes in.
fn egress(gateway: &Arc<Gateway>, config: &Config, (reacher, data): (Reacher, SocketAddr)) -> Egress {
    let settings = egress::Settings { patience: config.patience, ..config.egress.settle(data) };
    Egress::new(Arc::clone(gateway), reacher, settings)
}

/// Lets webhooks be told, by the same way to places as the egress door.
async fn courier(
    gateway: &Arc<Gateway>,
    config: &Config,
    reacher: Reacher,
) -> anyhow::Result<(Post, (watch::Sender<bool>, JoinHandle<()>))> {
    let store = gateway.store();
    store.tell_of_credits_below(config.credits_low, now());
    let alert = config.alert_webhook.as_deref();
    crate::webhooks::follow_environment(store, alert, now()).await.map_err(config_error)?;
    let settings = doorward_gateway::webhooks::Settings::default();
    let post = Post::new(reacher, settings.timeout);
    let courier = Courier::new(store.clone(), gateway.recorder().clone(), post.clone(), settings.schedule);
    let (stop, stopped) = watch::channel(false);
    Ok((post, (stop, tokio::spawn(courier.run(stopped)))))
}

/// How many connections of agents there may be: each takes two descriptors, and some are kept for the
/// control listener and our own files. The soft limit, often 1,024, is raised to the hard one first.
fn connections() -> usize {
    const MOST: u64 = 10_000;
    const KEPT: u64 = 160;
    #[cfg(unix)]
    let files = {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.unwrap_or(1 << 16).min(1 << 16);
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => wanted,
            Err(_) => limit.current.unwrap_or(1 << 16),
        }
    };
    #[cfg(not(unix))]
    let files = 2 * MOST + KEPT;
    usize::try_from((files.saturating_sub(KEPT) / 2).clamp(16, MOST)).unwrap_or(16)
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(anyhow::anyhow!(
            "{address} is taken by another program (another Doorward?); stop it or choose another with --{setting}"
        )),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address} (setting `{setting}`)")),
    }
}

fn recorder(home: &Home, config: &Config, store: &Store) -> anyhow::Result<Recorder> {
    // A rotation that was cut off is finished, or never was, before anything is appended.
    ledger_key::settle(home)?;
    let key = signing_key(home)?;
    let node = key.public().name().to_owned();
    let remembered = ledger_key::remembered(home)?;
    let options = LogOptions { durability: config.durability, remembered, ..LogOptions::default() };
    let mut log = Log::open_with(&home.log_dir(), key, options)?;
    if let Some(recovery) = log.recovery() {
        let message = format!("{} bytes of an unfinished write were removed", recovery.bytes);
        tracing::warn!("the last shutdown was unclean: {message}");
        let record =
            ControlRecord { event: "unclean_shutdown", message: Some(&message), ..ControlRecord::default() };
        let time = now();
        let id = doorward_gateway::fresh_id(time)?;
        log.append_reserved(&[Draft::new(Kind::Control, &id, time, &node).control(record).seal()?])?;
    }
    Ok(Recorder::start(log, store.clone(), &node)?)
}

/// Destroys, now and every hour, what is too old and not held.
async fn sweep(upkeep: Arc<Upkeep>, gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let sweep = async {
        loop {
            upkeep.sweep_all(gateway.recorder(), gateway.store()).await;
            tokio::time::sleep(Duration::from_secs(60 * 60)).await;
        }
    };
    tokio::select! {
        () = sweep => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Keeps the newest checkpoint outside of the log, so that going back to an older log is found.
async fn remember_checkpoints(gateway: Arc<Gateway>, home: Home, mut stop: watch::Receiver<bool>) {
    let mut newest = gateway.recorder().checkpoints();
    loop {
        let ending = tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => false,
            _ = stop.changed() => true,
        };
        if newest.has_changed().unwrap_or(false) {
            let checkpoint = newest.borrow_and_update().clone();
            let home = home.clone();
            if let Some(checkpoint) = checkpoint {
                let written =
                    tokio::task::spawn_blocking(move || home.remember_checkpoint(checkpoint.text())).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, "the newest checkpoint could not be remembered");
                }
            }
        }
        if ending {
            return;
        }
    }
}

/// Where the running process says its control listener is.
pub fn control_address_file(home: &Home) -> PathBuf {
    home.root().join("control.address")
}

/// Where the running process says its data listener is.
pub fn data_address_file(home: &Home) -> PathBuf {
    home.root().join("data.address")
}

/// Milliseconds since the Unix epoch.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
