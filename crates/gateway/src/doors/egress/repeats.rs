//! That a request with an `Idempotency-Key` is done once: the same again gets the answer of the first, or is told that it
//! was done; another request under the same key is refused. Kept for some minutes after the answer, in memory and with a copy in
//! the store: before anything is sent it stands there that it may be done, so that no restart does it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::account::gcra::Ticks;
use doorward_core::session::Millis;
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::{code, sign};
use doorward_store::{Came, OnceOnly, Secret32, Store};
use tokio::sync::watch;

use super::denied::Denial;
use super::reply::Given;
use super::sessions::Session;

mod lasting;

/// How long the same key means the same request after its answer, in milliseconds: as long as a signature holds.
const LASTS: Ticks = 300_000;

/// The most keys at once, and the most of one key of ours.
const MOST: usize = 65_536;
const MOST_OF_KEY: usize = 1024;

/// The largest answer that is kept, and all of them.
const LARGEST: usize = 64 << 10;
const ALL: usize = 32 << 20;

/// How long one waits for the answer to the first: less than clients wait for theirs.
const WAITS: Duration = Duration::from_secs(8);

/// The longest key (the draft on `Idempotency-Key` names no bound).
const LONGEST: usize = 256;

/// What requests with keys have come to.
#[derive(Debug)]
pub struct Repeats {
    known: Arc<Mutex<Known>>,
    secret: Secret32,
    store: Store,
}

/// A time: by the clock that nobody sets, and by that which a restart goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub ticks: Ticks,
    pub millis: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    by_key: HashMap<Box<str>, Entry>,
    of_owner: HashMap<Arc<str>, usize>,
    bytes: usize,
    swept: Ticks,
}

#[derive(Debug)]
struct Entry {
    owner: Arc<str>,
    /// A digest of what is to be done.
    request: Box<str>,
    state: State,
    /// Until when it is remembered; it is on its way if nobody knows.
    until: Option<Ticks>,
}

/// How it stands with a request.
#[derive(Clone, Debug)]
enum State {
    /// It is on its way. Whoever waits hears when that ends.
    Running(watch::Receiver<()>),
    /// It was answered, and this is the answer; none where it was too large.
    Answered(Option<Arc<Given>>),
    /// It came to nothing, but may have been seen.
    Refused(Box<Denial>),
}

/// What a request with a key is.
pub(super) enum Claimed {
    /// The first.
    First(Claim),
    /// One that has its answer.
    Again(Arc<Given>),
}

/// The right to do what a key stands for. Dropped, it says that nothing was done, or that nobody knows.
#[derive(Debug)]
pub(super) struct Claim {
    known: Arc<Mutex<Known>>,
    store: Store,
    /// What it is known by, and whose it is.
    tag: Box<str>,
    owner: Arc<str>,
    request: Box<str>,
    /// Whether it may stand in the store.
    written: bool,
    going: bool,
    /// Dropped with it: wakes who waits.
    _running: watch::Sender<()>,
    now: At,
    began: std::time::Instant,
    told: bool,
}

impl Repeats {
    /// What earlier processes have `kept`. Keys are remembered by digests under `secret`.
    pub fn new(secret: Secret32, store: Store, kept: Vec<OnceOnly>, now: At) -> Self {
        let mut known = Known::default();
        for one in kept {
            known.restore(one, &store, now);
        }
        Self { known: Arc::new(Mutex::new(known)), secret, store }
    }

    /// What is remembered, for who forgets of it what a person has scrubbed.
    pub(super) fn known(&self) -> Arc<Mutex<Known>> {
        Arc::clone(&self.known)
    }

    /// What `net` is, if it has a key: waits if the first is on its way.
    ///
    /// # Errors
    /// If the key stands for another request, or for one whose answer cannot be given again.
    pub(super) async fn claim(
        &self,
        net: &Net,
        session: &Session,
        now: impl Fn() -> At,
    ) -> Result<Option<Claimed>, Denial> {
        let Some(key) = key(net)? else { return Ok(None) };
        let key = self.digest(&[session.key.as_bytes(), session.agent.as_bytes(), key.as_bytes()]);
        let request = self.request(net);
        let until = tokio::time::Instant::now() + WAITS;
        loop {
            let state = lock(&self.known).look(&key, &request, now().ticks);
            let mut running = match state {
                Some(State::Running(running)) => running,
                Some(State::Answered(Some(given))) => return Ok(Some(Claimed::Again(given))),
                Some(State::Answered(None)) => return Err(conflict(DONE)),
                Some(State::Refused(denial)) => return Err(*denial),
                None => return self.first(key, request, session, now()).map(Some),
            };
            // Its sender says nothing: it goes.
            if tokio::time::timeout_at(until, running.changed()).await.is_err() {
                let message = "the first request with this `Idempotency-Key` is still on its way";
                return Err(Denial { retry_after: Some(1000), ..Denial::new(code::RATE_LIMITED, message) });
            }
        }
    }

    /// Whether `net`, which is only checked, was done before, so that it would be answered and not sent. Nothing is claimed, and
    /// nobody is waited for.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub(super) fn check(&self, net: &Net, session: &Session, now: At) -> Result<bool, Denial> {
        let Some(key) = key(net)? else { return Ok(false) };
        let key = self.digest(&[session.key.as_bytes(), session.agent.as_bytes(), key.as_bytes()]);
        let mut known = lock(&self.known);
        match known.look(&key, &self.request(net), now.ticks) {
            Some(State::Running(_) | State::Answered(Some(_))) => Ok(true),
            Some(State::Answered(None)) => Err(conflict(DONE)),
            Some(State::Refused(denial)) => Err(*denial),
            None if known.is_full(&session.key) => Err(again_shortly(FULL)),
            None => Ok(false),
        }
    }

    fn first(&self, tag: Box<str>, request: Box<str>, session: &Session, now: At) -> Result<Claimed, Denial> {
        let mut known = lock(&self.known);
        if known.by_key.contains_key(&tag) {
            return Err(again_shortly("the first request with this `Idempotency-Key` has just begun"));
        }
        if known.is_full(&session.key) {
            return Err(again_shortly(FULL));
        }
        let (running, waits) = watch::channel(());
        let owner = Arc::clone(&session.key);
        let entry = Entry {
            owner: Arc::clone(&owner),
            request: request.clone(),
            state: State::Running(waits),
            until: None,
        };
        known.put(tag.clone(), entry);
        drop(known);
        Ok(Claimed::First(Claim {
            known: Arc::clone(&self.known),
            store: self.store.clone(),
            tag,
            owner,
            request,
            written: false,
            going: false,
            _running: running,
            now,
            began: std::time::Instant::now(),
            told: false,
        }))
    }

    /// What stands for all that is to be done: the lines in any order, names in any case.
    fn request(&self, net: &Net) -> Box<str> {
        let mut lines: Vec<(String, &str)> =
            net.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
        lines.sort_unstable();
        let mut parts = vec![net.method.as_bytes(), net.url.as_bytes(), &net.body];
        parts.extend(lines.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        self.digest(&parts)
    }

    /// A digest under a key that nobody has, each part with its length before it.
    fn digest(&self, parts: &[&[u8]]) -> Box<str> {
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        sign::sign(self.secret.expose(), &text).into()
    }
}

impl Known {
    /// How it stands with `request` under `key`; `None` if nothing is known of the key.
    fn look(&mut self, key: &str, request: &str, now: Ticks) -> Option<State> {
        self.sweep(now);
        let entry = self.by_key.get(key)?;
        if entry.request.as_ref() != request {
            return Some(State::Refused(Box::new(conflict(OTHER))));
        }
        Some(entry.state.clone())
    }

    /// Whether there is no room for one more of this key of ours.
    fn is_full(&self, owner: &str) -> bool {
        let of_owner = self.of_owner.get(owner).copied().unwrap_or_default();
        self.by_key.len() >= MOST || of_owner >= MOST_OF_KEY
    }

    /// Forgets what was answered long ago.
    fn sweep(&mut self, now: Ticks) {
        let Self { by_key, of_owner, bytes, swept } = self;
        if now < swept.saturating_add(1000) {
            return;
        }
        *swept = now;
        by_key.retain(|_, entry| {
            let stays = entry.until.is_none_or(|until| now < until);
            if !stays {
                *bytes = bytes.saturating_sub(entry.size());
                count_off(of_owner, &entry.owner);
            }
            stays
        });
    }

    fn put(&mut self, tag: Box<str>, entry: Entry) {
        *self.of_owner.entry(Arc::clone(&entry.owner)).or_default() += 1;
        self.bytes += entry.size();
        self.by_key.insert(tag, entry);
    }

    /// Notes how it ended, and returns what is kept of that.
    fn end(&mut self, key: &str, state: State, until: Ticks) -> State {
        let state = self.bounded(state);
        if let Some(entry) = self.by_key.get_mut(key) {
            (entry.state, entry.until) = (state.clone(), Some(until));
            self.bytes += entry.size();
        }
        state
    }

    /// What of it there is room for.
    fn bounded(&self, state: State) -> State {
        let room = ALL.saturating_sub(self.bytes);
        match state {
            State::Answered(Some(given)) if given.bytes.len() > LARGEST.min(room) => State::Answered(None),
            state => state,
        }
    }

    /// Forgets what requests of this owner were answered; that they were done stays, for its minutes.
    pub(super) fn forget_answers(&mut self, owner: &str) {
        let Self { by_key, bytes, .. } = self;
        for entry in by_key.values_mut().filter(|entry| *entry.owner == *owner) {
            *bytes = bytes.saturating_sub(entry.size());
            if matches!(entry.state, State::Answered(_)) {
                entry.state = State::Answered(None);
            }
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            count_off(&mut self.of_owner, &entry.owner);
        }
    }
}

fn count_off(of_owner: &mut HashMap<Arc<str>, usize>, owner: &Arc<str>) {
    if let Some(count) = of_owner.get_mut(owner) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            of_owner.remove(owner);
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        match &self.state {
            State::Answered(Some(given)) => given.bytes.len(),
            State::Answered(None) | State::Running(_) | State::Refused(_) => 0,
        }
    }
}

impl Claim {
    /// From here on it may be seen. It stands in the store before.
    ///
    /// # Errors
    /// If it does not: then nothing may be sent.
    pub(super) async fn going(&mut self) -> Result<(), Denial> {
        self.written = true;
        self.store.begin_once(self.once(Came::Unknown, None)).await.map_err(|error| {
            let message = format!("nothing was sent: it cannot be kept that it must be sent once: {error}");
            Denial { retry_after: Some(1000), ..Denial::new(code::DB_OVERLOAD, message) }
        })?;
        self.going = true;
        Ok(())
    }

    /// It was answered; with `None` by something that is not kept.
    pub(super) fn answered(self, given: Option<Arc<Given>>) {
        self.end(State::Answered(given));
    }

    /// It came to nothing.
    pub(super) fn refused(mut self, denial: &Denial) {
        if denial.seen {
            self.end(State::Refused(Box::new(denial.clone())));
        } else {
            self.going = false;
        }
    }

    fn end(mut self, state: State) {
        self.told = true;
        self.ended(state);
    }

    fn ended(&self, state: State) {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let after = |begin: u64| begin.saturating_add(passed).saturating_add(LASTS);
        let state = lock(&self.known).end(&self.tag, state, after(self.now.ticks));
        let came = match state {
            State::Answered(Some(given)) => Came::Answered(given.written()),
            State::Answered(None) => Came::Done,
            State::Refused(_) | State::Running(_) => Came::Unknown,
        };
        self.store.end_once(self.once(came, Some(after(self.now.millis))));
    }

    fn once(&self, came: Came, until: Option<Millis>) -> OnceOnly {
        let (tag, key, request) = (self.tag.clone(), Arc::clone(&self.owner), self.request.clone());
        OnceOnly { tag, key, request, came, until }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        if self.going {
            let denial = Denial { seen: true, ..Denial::new(code::FETCH_ERROR, UNKNOWN) };
            return self.ended(State::Refused(Box::new(denial)));
        }
        lock(&self.known).remove(&self.tag);
        if self.written {
            self.store.forget_once(self.tag.clone());
        }
    }
}

const OTHER: &str = "this `Idempotency-Key` came with another request within the last minutes";
const DONE: &str =
    "the request with this `Idempotency-Key` was done, and its answer is not kept (too large, or scrubbed)";
const STOPPED: &str = "the request with this `Idempotency-Key` was on its way when Doorward was stopped, and may have been done: look \
                       there first; if it was not, send it with another key";
const FULL: &str = "more requests with an `Idempotency-Key` came than are remembered";
const UNKNOWN: &str = "the request with this `Idempotency-Key` was sent before and broke off: nobody here knows whether it was done";

fn conflict(message: &str) -> Denial {
    Denial::new(code::IDEMPOTENCY_CONFLICT, message)
}

fn again_shortly(message: &str) -> Denial {
    Denial { retry_after: Some(1000), ..Denial::new(code::RATE_LIMITED, message) }
}

/// The key of a request that changes something; those that change nothing may be done as often as one likes.
fn key(net: &Net) -> Result<Option<&str>, Denial> {
    let named = |line: &&(String, String)| line.0.eq_ignore_ascii_case("idempotency-key");
    let Some((_, key)) = net.headers.iter().find(named) else { return Ok(None) };
    if matches!(net.method.as_str(), "GET" | "HEAD") {
        return Ok(None);
    }
    if !(1..=LONGEST).contains(&key.len()) {
        let message = format!("`Idempotency-Key` must be 1 to {LONGEST} characters");
        return Err(Denial::new(code::HEADER_INVALID, message));
    }
    Ok(Some(key))
}

pub(super) fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
