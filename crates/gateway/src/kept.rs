//! Replies whose client gave up while a person was asked.
//!
//! The client's patience ends before the person's: it closes its connection and sends the same request again. To ask
//! the provider again would be another reply with another call, and the person would be asked about that one. So the
//! reply goes on without its client, and the same request of the same agent gets it: from its beginning, and what
//! is still to come. It is given once.
//!
//! In memory only, bounded, and for some minutes. It was judged by the policy of its time: under another one it is
//! forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_core::{Action, Coverage};
use doorward_ledger::Salt;
use doorward_store::Secret32;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::watch;

/// Most bytes of one reply.
const MOST_BYTES: usize = 4 << 20;

/// Most replies, and most of one agent.
const MOST: usize = 32;
const MOST_OF_AGENT: usize = 8;

/// How long a reply waits for its client once it has ended.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// What a request is known by: who asks what of whom, to the byte. Keyed, because requests hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey(String);

impl RequestKey {
    /// The key of the request that becomes `action`; `rest` is path and query, `body` its decoded body.
    pub fn new(key: &Secret32, action: &Action, (method, rest): (&Method, &str), body: &[u8]) -> Self {
        let mut all = Vec::with_capacity(body.len() + 256);
        for field in [&*action.agent, &*action.session, &*action.peer, method.as_str(), rest] {
            all.extend_from_slice(&(field.len() as u64).to_be_bytes());
            all.extend_from_slice(field.as_bytes());
        }
        all.extend_from_slice(body);
        Self(Salt::new(key.expose()).digest("request", &all).to_string())
    }
}

/// A reply as it is given to a client: what has come of it so far.
#[derive(Debug)]
pub struct Tape {
    /// Whose it is.
    pub agent: Arc<str>,
    /// The receipt that opened it.
    pub receipt: Arc<str>,
    /// Its status.
    pub status: StatusCode,
    /// Its headers, as a client gets them.
    pub headers: HeaderMap,
    /// What keeps its client waiting.
    pub keep_alive: &'static [u8],
    said: Mutex<Said>,
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Said {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// The number of the policy that judged it last.
    policy: u64,
    ended: Option<(Instant, End)>,
}

/// How a reply ended.
#[derive(Clone, Debug)]
pub enum End {
    /// As it should; this was looked at.
    Whole(Coverage),
    /// What came is not all.
    Broken,
}

/// What there is of a reply at some place.
#[derive(Debug)]
pub enum Piece {
    /// This.
    Bytes(Bytes),
    /// Nothing yet.
    Later,
    /// The end.
    End(End),
}

impl Tape {
    /// A reply of which nothing has come.
    pub fn new(
        (agent, receipt): (Arc<str>, Arc<str>),
        (status, headers): (StatusCode, HeaderMap),
        keep_alive: &'static [u8],
    ) -> Arc<Self> {
        let (said, moved) = (Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { agent, receipt, status, headers, keep_alive, said, moved })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what came; `false` if that is more than is kept.
    #[must_use]
    pub fn push(&self, bytes: Bytes) -> bool {
        let mut said = self.said();
        said.bytes = said.bytes.saturating_add(bytes.len());
        if said.bytes > MOST_BYTES {
            said.pieces = Vec::new();
            return false;
        }
        said.pieces.push(bytes);
        drop(said);
        self.tell();
        true
    }

    /// Notes by which policy it was judged last.
    pub fn judged_by(&self, policy: u64) {
        self.said().policy = policy;
    }

    /// Nothing more comes.
    pub fn end(&self, end: End) {
        self.said().ended = Some((Instant::now(), end));
        self.tell();
    }

    fn tell(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    /// What stands at `place`, counted in pieces.
    pub fn at(&self, place: usize) -> Piece {
        let said = self.said();
        match (said.pieces.get(place), &said.ended) {
            (_, Some((_, End::Broken))) => Piece::End(End::Broken),
            (Some(bytes), _) => Piece::Bytes(bytes.clone()),
            (None, Some((_, end))) => Piece::End(end.clone()),
            (None, None) => Piece::Later,
        }
    }

    /// A receiver that wakes when there is more.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// All that is kept.
#[derive(Debug, Default)]
pub struct Kept(Mutex<VecDeque<(RequestKey, Arc<Tape>)>>);

impl Kept {
    fn table(&self) -> MutexGuard<'_, VecDeque<(RequestKey, Arc<Tape>)>> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        table.retain(|(_, tape)| tape.said().ended.as_ref().is_none_or(|(ended, _)| now < *ended + KEPT_FOR));
        table
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Keeps a reply for who asks the same; `false` if there is no room for it.
    #[must_use]
    pub fn keep(&self, key: RequestKey, tape: Arc<Tape>) -> bool {
        let mut table = self.table();
        let own = table.iter().filter(|(_, other)| other.agent == tape.agent).count();
        if own >= MOST_OF_AGENT || table.len() >= MOST {
            return false;
        }
        table.push_back((key, tape));
        true
    }

    /// The oldest reply to this request that was judged by policy number `policy`. Others are forgotten.
    pub fn take(&self, key: &RequestKey, policy: u64) -> Option<Arc<Tape>> {
        let mut table = self.table();
        table.retain(|(kept, tape)| kept != key || tape.said().policy == policy);
        let at = table.iter().position(|(kept, _)| kept == key)?;
        table.remove(at).map(|(_, tape)| tape)
    }

    /// Forgets the replies to an agent.
    pub fn forget_agent(&self, agent: &str) {
        self.table().retain(|(_, kept)| &*kept.agent != agent);
    }

    /// Forgets a reply.
    pub fn forget(&self, tape: &Arc<Tape>) {
        self.table().retain(|(_, kept)| !Arc::ptr_eq(kept, tape));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(agent: &str) -> Arc<Tape> {
        Tape::new((agent.into(), "r".into()), (StatusCode::OK, HeaderMap::new()), b" ")
    }

    fn key(name: &str) -> RequestKey {
        RequestKey(name.to_owned())
    }

    #[test]
    fn a_reply_is_given_once_and_only_under_its_policy() {
        let kept = Kept::default();
        let first = tape("alice");
        first.judged_by(7);
        assert!(kept.keep(key("a"), Arc::clone(&first)));
        assert!(kept.take(&key("b"), 7).is_none());
        assert!(Arc::ptr_eq(&kept.take(&key("a"), 7).unwrap(), &first));
        assert!(kept.take(&key("a"), 7).is_none(), "given twice");
        assert!(kept.keep(key("a"), Arc::clone(&first)));
        assert!(kept.take(&key("a"), 8).is_none());
        assert!(kept.is_empty(), "judged by another policy, it is of no use");
    }

    #[test]
    fn a_tape_is_bounded_and_tells_its_end() {
        let long = tape("alice");
        assert!(long.push(Bytes::from(vec![0; MOST_BYTES])));
        assert!(!long.push(Bytes::from_static(b"x")));
        let short = tape("alice");
        assert!(matches!(short.at(0), Piece::Later));
        assert!(short.push(Bytes::from_static(b"x")));
        short.end(End::Whole(Coverage::Full));
        assert!(matches!(short.at(0), Piece::Bytes(_)));
        assert!(matches!(short.at(1), Piece::End(End::Whole(_))));
        short.end(End::Broken);
        assert!(matches!(short.at(0), Piece::End(End::Broken)), "a part must not pass for the whole");
    }

    #[test]
    fn there_is_room_for_some() {
        let kept = Kept::default();
        for _ in 0..MOST_OF_AGENT {
            assert!(kept.keep(key("a"), tape("alice")));
        }
        assert!(!kept.keep(key("a"), tape("alice")));
        let others = (0..MOST).filter(|n| kept.keep(key("a"), tape(&format!("other{n}")))).count();
        assert_eq!(others, MOST - MOST_OF_AGENT);
    }
}
