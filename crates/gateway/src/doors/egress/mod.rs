//! The egress door: between an agent and the network. Agents send signed calls, and requests go out on their behalf.
//!
//! ```text
//! call ─▶ session ─▶ rate of its address (of strangers: backstop) ─▶ signature ─▶ freshness ─▶ replay ─▶ rates ─▶ pass ─▶ forward::elsewhere ─▶ reply
//! ```
//!
//! What stands before `pass` yields reasons and denies nothing; where a request leads and what it carries, the engine
//! judges. Nobody is asked for an address before there is a permit.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use doorward_core::account::gcra::{Limiter, Limits, Standing, Ticks};
use doorward_core::account::replay::{Bounds, Replays};
use doorward_core::action::request::JUDGED_WHOLE;
use doorward_core::session::Millis;
use doorward_core::wire::sphyr::code::{self, Code};

use doorward_store::Secret32;
use doorward_store::accounts::{Accounts, MOST_AGENTS};
use tokio::sync::Semaphore;

use crate::forward::Patience;
use crate::judge::Gateway;
use crate::memory;
use crate::upstream::Reacher;

mod calls;

mod denied;
use denied::Denial;

mod errand;

mod fetch;

mod first;

mod handshake;

mod keys;

mod mcp;
use mcp::Conversations;

mod net;

mod plain;

mod proofs;
use proofs::Proofs;

mod redirects;

mod remembered;
pub use remembered::Remembered;

mod repeats;
use repeats::{At, Repeats};

mod reply;

mod running;
use running::{Bounds as Places, Running};

mod screen;

mod sessions;
use sessions::Sessions;

mod stages;

mod tools;

mod unknown;
use unknown::Unknown;

mod unpacked;

/// What all bodies together may take while they are read, in bytes.
const MEMORY: usize = 256 << 20;

/// What may be gathered of answers that are passed on, in bytes.
const LOOKING: usize = 128 << 20;

/// How many keys, agents or addresses have a rate of their own at a time.
const RATED: usize = 65_536;

/// The most bytes that a request carries: what is judged whole.
pub const LARGEST_BODY: usize = JUDGED_WHOLE;

/// How the door behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls a second before anybody is known.
    pub backstop: u32,
    /// Calls a second of one agent.
    pub agent_rate: u32,
    /// Calls a second of one key.
    pub key_rate: u32,
    /// Calls a second from one address.
    pub ip_rate: u32,
    /// The most bytes of a request's body; never more than [`LARGEST_BODY`].
    pub largest_body: usize,
    /// The most bytes of a reply that are given back.
    pub largest_reply: usize,
    /// How long a session lasts, in milliseconds.
    pub session: Millis,
    /// Whether a session holds for the address only that began it, where its key says nothing of that.
    pub bind_ip: bool,
    /// How many answers that are passed on as they come one key may have at once; one agent of it half of that.
    pub streams_per_key: usize,
    /// How many agents of one key may have a session at once, where the key says nothing of that.
    pub agents_per_key: u32,
    /// Whether text of high entropy is noted and goes on, where its key says nothing of that.
    pub entropy_noted: bool,
    /// Whether the record of who touched a decoy has the address itself, and not what stands for it.
    pub plain_ip: bool,
    /// Whether `/mcp` answers 429 to what comes too often. The SDK takes that for a gateway that is down.
    pub mcp_429: bool,
    /// How long upstreams are waited for.
    pub patience: Patience,
    /// Where a page about a code is found, without the code.
    pub docs: String,
    /// Where the key is found that proofs of refusals are checked by.
    pub signing_key: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backstop: 500,
            agent_rate: 10,
            key_rate: 100,
            ip_rate: 300,
            largest_body: LARGEST_BODY,
            largest_reply: 1 << 20,
            session: 30 * 60 * 1000,
            bind_ip: true,
            streams_per_key: 64,
            agents_per_key: MOST_AGENTS,
            entropy_noted: false,
            plain_ip: false,
            mcp_429: false,
            patience: Patience::default(),
            docs: "http://127.0.0.1:7878/docs/errors/".to_owned(),
            signing_key: "http://127.0.0.1:7878/.well-known/sphyr-signing-key.json".to_owned(),
        }
    }
}

/// The door. One per process.
#[derive(Debug)]
pub struct Egress {
    gateway: Arc<Gateway>,
    reacher: Reacher,
    settings: Settings,
    sessions: Arc<Sessions>,
    conversations: Conversations,
    repeats: Repeats,
    rates: Mutex<Rates>,
    replays: Mutex<Replays>,
    unknown: Arc<Unknown>,
    /// What all bodies together may take while they are read.
    memory: Semaphore,
    running: Running,
    /// Answers that are passed on as they come.
    passed_on: Running,
    /// What is gathered of answers that are passed on, to be looked at.
    looking: Arc<Semaphore>,
    proofs: Option<Proofs>,
    /// The key by which credentials that are shown are compared.
    shown: Secret32,
    began: Instant,
    hasher: RandomState,
    /// When handshakes that hold no more were last forgotten on the disk, in ticks.
    swept: AtomicU64,
}

/// What is limited, each level by itself.
#[derive(Debug)]
struct Rates {
    backstop: Limiter<u64>,
    /// Of addresses, those of whom nobody knows who they are: apart, so that they take nothing from who is known.
    strangers: Limiter<u64>,
    /// Of addresses, keys, agents.
    levels: Limits<u64, 3>,
}

impl Egress {
    /// A door for `gateway` and the keys of its store, that reaches places by `reacher`.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, reacher: Reacher, settings: Settings) -> Self {
        let rates = Rates {
            backstop: Limiter::new(1),
            strangers: Limiter::new(RATED),
            levels: Limits::new([RATED; 3]),
        };
        let seed = gateway.store().key_for("denial proofs");
        let proofs = Proofs::new(&seed, settings.signing_key.clone());
        let conversations = Conversations::new(gateway.store().key_for("sessions of tool clients"));
        let kept = gateway.store().take_once();
        let now = At { ticks: 0, millis: gateway.now() };
        let secret = gateway.store().key_for("idempotency keys");
        let repeats = Repeats::new(secret, gateway.store().clone(), kept.requests, now);
        let egress = Self {
            shown: gateway.store().key_for("credentials shown"),
            conversations,
            repeats,
            gateway,
            reacher,
            sessions: Arc::new(Sessions::lasting(settings.session)),
            unknown: Arc::default(),
            memory: memory::of(MEMORY),
            running: Running::new(Places::REQUESTS),
            passed_on: Running::new(Places::answers(settings.streams_per_key)),
            looking: Arc::new(memory::of(LOOKING)),
            proofs,
            rates: Mutex::new(rates),
            replays: Mutex::new(Replays::new(Bounds::default())),
            began: Instant::now(),
            hasher: RandomState::new(),
            swept: AtomicU64::new(0),
            settings,
        };
        egress.remember(kept.handshakes, &kept.forgotten);
        egress
    }

    /// The keys, and what they have left.
    fn accounts(&self) -> &Accounts {
        self.gateway.store().accounts()
    }

    /// The page about a code, for who follows the link in a refusal.
    #[must_use]
    pub fn page(name: &str) -> Option<String> {
        code::named(name).map(Code::page)
    }

    /// The key that proofs of refusals are checked by, as JSON.
    #[must_use]
    pub fn signing_key(&self) -> Option<Vec<u8>> {
        self.proofs.as_ref().map(Proofs::published)
    }

    /// The time by which calls are judged. Whoever sets the clock sets it.
    fn now(&self) -> Millis {
        self.gateway.now()
    }

    /// Milliseconds since the door was opened: nobody sets this clock.
    fn ticks(&self) -> Ticks {
        ticks(self.began)
    }

    /// What stands for `text` in limits. Nobody outside can find two that are alike.
    fn digest(&self, text: &[&str]) -> u64 {
        self.hasher.hash_one(text)
    }

    /// Both clocks.
    fn at(&self) -> At {
        At { ticks: self.ticks(), millis: self.now() }
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replays(&self) -> MutexGuard<'_, Replays> {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since then.
fn ticks(began: Instant) -> Ticks {
    Ticks::try_from(began.elapsed().as_millis()).unwrap_or(Ticks::MAX)
}

/// Too often, and when it may be tried again.
fn limited(what: &str, rate: u32, standing: Standing) -> Denial {
    let message = format!("more than {rate} {what} a second");
    Denial { retry_after: Some(standing.retry_after_ms.max(1)), ..Denial::new(code::RATE_LIMITED, message) }
}

/// Who calls, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The address of the connection.
    pub ip: IpAddr,
}

/// A code in the words of a rule: `SIG_INVALID` as `egress.sig-invalid`.
fn rule_of(code: &Code) -> String {
    format!("egress.{}", code.name.to_ascii_lowercase().replace('_', "-"))
}
