//! That a request with an `Idempotency-Key` is done once: the same again gets the answer of the first, or is told that it
//! was done; another request under the same key is refused. Kept in memory, for some minutes after the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::account::gcra::Ticks;
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::{code, sign};
use doorward_store::Secret32;
use tokio::sync::watch;

use super::denied::Denial;
use super::reply::Given;
use super::sessions::Session;

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
}

#[derive(Debug, Default)]
struct Known {
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
    /// When it was answered; it is on its way until then.
    ended: Option<Ticks>,
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
    key: Box<str>,
    going: bool,
    /// Dropped with it: wakes who waits.
    _running: watch::Sender<()>,
    now: Ticks,
    began: std::time::Instant,
    told: bool,
}

impl Repeats {
    /// None yet. Keys are remembered by digests under `secret`.
    pub fn new(secret: Secret32) -> Self {
        Self { known: Arc::default(), secret }
    }

    /// What `net` is, if it has a key: waits if the first is on its way.
    ///
    /// # Errors
    /// If the key stands for another request, or for one whose answer cannot be given again.
    pub(super) async fn claim(
        &self,
        net: &Net,
        session: &Session,
        now: impl Fn() -> Ticks,
    ) -> Result<Option<Claimed>, Denial> {
        let Some(key) = key(net)? else { return Ok(None) };
        let key = self.digest(&[session.key.as_bytes(), session.agent.as_bytes(), key.as_bytes()]);
        let request = self.request(net);
        let until = tokio::time::Instant::now() + WAITS;
        loop {
            let state = lock(&self.known).look(&key, &request, now());
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

    fn first(
        &self,
        key: Box<str>,
        request: Box<str>,
        session: &Session,
        now: Ticks,
    ) -> Result<Claimed, Denial> {
        let mut known = lock(&self.known);
        let of_owner = known.of_owner.get(&session.key).copied().unwrap_or_default();
        if known.by_key.contains_key(&key) {
            return Err(again_shortly("the first request with this `Idempotency-Key` has just begun"));
        }
        if known.by_key.len() >= MOST || of_owner >= MOST_OF_KEY {
            return Err(again_shortly("more requests with an `Idempotency-Key` came than are remembered"));
        }
        let (running, waits) = watch::channel(());
        let owner = Arc::clone(&session.key);
        *known.of_owner.entry(Arc::clone(&owner)).or_default() += 1;
        known.by_key.insert(key.clone(), Entry { owner, request, state: State::Running(waits), ended: None });
        drop(known);
        let began = std::time::Instant::now();
        let known = Arc::clone(&self.known);
        Ok(Claimed::First(Claim { known, key, going: false, _running: running, now, began, told: false }))
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

    /// Forgets what was answered long ago.
    fn sweep(&mut self, now: Ticks) {
        let Self { by_key, of_owner, bytes, swept } = self;
        if now < swept.saturating_add(1000) {
            return;
        }
        *swept = now;
        by_key.retain(|_, entry| {
            let stays = entry.ended.is_none_or(|ended| now < ended.saturating_add(LASTS));
            if !stays {
                *bytes = bytes.saturating_sub(entry.size());
                count_off(of_owner, &entry.owner);
            }
            stays
        });
    }

    fn end(&mut self, key: &str, state: State, now: Ticks) {
        let room = ALL.saturating_sub(self.bytes);
        let Some(entry) = self.by_key.get_mut(key) else { return };
        entry.state = match state {
            State::Answered(Some(given)) if given.bytes.len() > LARGEST.min(room) => State::Answered(None),
            state => state,
        };
        entry.ended = Some(now);
        self.bytes += entry.size();
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
    /// From here on it may be seen.
    pub(super) const fn going(&mut self) {
        self.going = true;
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
        lock(&self.known).end(&self.key, state, self.ticks());
    }

    fn ticks(&self) -> Ticks {
        self.now.saturating_add(Ticks::try_from(self.began.elapsed().as_millis()).unwrap_or(Ticks::MAX))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut known = lock(&self.known);
        if self.going {
            let denial = Denial { seen: true, ..Denial::new(code::FETCH_ERROR, UNKNOWN) };
            known.end(&self.key, State::Refused(Box::new(denial)), self.ticks());
        } else {
            known.remove(&self.key);
        }
    }
}

const OTHER: &str = "this `Idempotency-Key` came with another request within the last minutes";
const DONE: &str =
    "the request with this `Idempotency-Key` was done, and its answer was too large to be kept";
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
    if matches!(net.method.as_str(), "GET" | "HEAD") || net.preflight {
        return Ok(None);
    }
    if !(1..=LONGEST).contains(&key.len()) {
        let message = format!("`Idempotency-Key` must be 1 to {LONGEST} characters");
        return Err(Denial::new(code::HEADER_INVALID, message));
    }
    Ok(Some(key))
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use bytes::Bytes;
    use doorward_core::wire::sphyr::call::Time;

    use super::*;

    fn session(agent: &str) -> Session {
        Session {
            token: "".into(),
            nonce: "".into(),
            key: "k".into(),
            agent: agent.into(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            issued: 0,
            expires: 0,
        }
    }

    fn net(key: &str, body: &str) -> Net {
        Net {
            session: String::new(),
            url: "https://a.example/".into(),
            method: "POST".into(),
            category: String::new(),
            signature: String::new(),
            time: Time { text: String::new(), seconds: 0 },
            body: body.into(),
            headers: vec![("Idempotency-Key".into(), key.into()), ("X".into(), "1".into())],
            trace: String::new(),
            preflight: false,
            follow: None,
        }
    }

    fn given(length: usize) -> Arc<Given> {
        Arc::new(Given { bytes: Bytes::from(vec![b'x'; length]), ..Given::default() })
    }

    async fn at(repeats: &Repeats, net: &Net, agent: &str, now: Ticks) -> Result<Option<Claimed>, Denial> {
        repeats.claim(net, &session(agent), || now).await
    }

    async fn first(repeats: &Repeats, net: &Net, now: Ticks) -> Claim {
        match at(repeats, net, "a", now).await {
            Ok(Some(Claimed::First(mut claim))) => {
                claim.going();
                claim
            }
            _ => panic!("not the first"),
        }
    }

    #[tokio::test]
    async fn a_key_stands_for_one_request_of_one_agent() {
        let repeats = Repeats::new(Secret32::new([7; 32]));
        let post = net("k1", "x");
        first(&repeats, &post, 0).await.answered(Some(given(3)));
        let mut shuffled = post.clone();
        shuffled.headers.reverse();
        shuffled.headers[0].0 = "x".into();
        for same in [&post, &shuffled] {
            let again = at(&repeats, same, "a", 1000).await;
            assert!(matches!(again, Ok(Some(Claimed::Again(given))) if given.bytes.len() == 3));
        }
        let mut other = post.clone();
        other.url.push('y');
        for other in [net("k1", "y"), other] {
            let refused = at(&repeats, &other, "a", 1000).await.err().unwrap();
            assert_eq!(refused.code, code::IDEMPOTENCY_CONFLICT);
        }
        assert!(matches!(at(&repeats, &post, "b", 1000).await, Ok(Some(Claimed::First(_)))));
        assert!(matches!(at(&repeats, &net("k2", "x"), "a", 1000).await, Ok(Some(Claimed::First(_)))));
        // Some minutes after its answer it may be done again.
        assert!(matches!(at(&repeats, &post, "a", LASTS + 100_000).await, Ok(Some(Claimed::First(_)))));
        let get = Net { method: "GET".into(), ..post };
        assert!(matches!(at(&repeats, &get, "a", 0).await, Ok(None)));
    }

    #[tokio::test]
    async fn what_may_have_been_done_is_not_done_again() {
        let repeats = Repeats::new(Secret32::new([7; 32]));
        let post = net("k1", "x");
        drop(first(&repeats, &post, 0).await);
        let refused = at(&repeats, &post, "a", 1000).await.err().unwrap();
        assert!(refused.code == code::FETCH_ERROR && !refused.retryable());
        let post = net("k2", "x");
        first(&repeats, &post, 0).await.answered(Some(given(LARGEST + 1)));
        let refused = at(&repeats, &post, "a", 1000).await.err().unwrap();
        assert_eq!(refused.code, code::IDEMPOTENCY_CONFLICT);
        // Nothing of these went.
        let post = net("k3", "x");
        drop(at(&repeats, &post, "a", 0).await);
        first(&repeats, &post, 0).await.refused(&Denial::new(code::DNS_FAILED, "no"));
        drop(first(&repeats, &post, 0).await);
    }

    #[tokio::test]
    async fn who_comes_meanwhile_waits() {
        let repeats = Repeats::new(Secret32::new([7; 32]));
        let post = net("k1", "x");
        let claim = first(&repeats, &post, 0).await;
        let waiting = async {
            tokio::task::yield_now().await;
            claim.answered(Some(given(5)));
        };
        let (again, ()) = tokio::join!(at(&repeats, &post, "a", 0), waiting);
        assert!(matches!(again, Ok(Some(Claimed::Again(given))) if given.bytes.len() == 5));
    }

    #[tokio::test]
    async fn one_key_does_not_fill_it() {
        let repeats = Repeats::new(Secret32::new([7; 32]));
        for count in 0..MOST_OF_KEY {
            first(&repeats, &net(&format!("k{count}"), "x"), 0).await.answered(None);
        }
        let refused = at(&repeats, &net("more", "x"), "a", 0).await.err().unwrap();
        assert_eq!(refused.code, code::RATE_LIMITED);
        assert!(matches!(
            at(&repeats, &net("more", "x"), "a", LASTS + 60_000).await,
            Ok(Some(Claimed::First(_)))
        ));
    }
}
