//! Who waits, what was answered, what was allowed and how often somebody said no: all of it bounded, under one short
//! lock that is never held across an await.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::Decision;
use doorward_core::session::Millis;
use doorward_store::{Grant, GrantScope, MAX_GRANTS};
use tokio::sync::oneshot;

use super::ask::Ask;

/// Most actions of one agent that wait at once, and of all agents.
pub(super) const WAITING_OF_AGENT: usize = 16;
pub(super) const WAITING: usize = 128;

/// How many questions that have ended are still shown, and for how long. A late yes to one of them lets its next try
/// pass.
const ENDED: usize = 64;
const ENDED_FOR: Duration = Duration::from_secs(600);

/// Most questions of one agent that nobody was there for and that are shown still: no agent drives out another's.
const MISSED_OF_AGENT: usize = 16;

/// How often a person says no to the same action before they are not asked again, and for how long.
pub(super) const DENIALS: u32 = 3;
const DENIED_FOR: Duration = Duration::from_secs(30 * 60);

/// Most actions of which it is known how often they were denied; the one denied longest ago is forgotten.
const DENIED: usize = 1024;

/// How long somebody who looked at the questions counts as being there.
const THERE_FOR: Duration = Duration::from_secs(10);

/// What has become of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being written down; nobody sees it yet.
    Opening,
    /// Nobody has answered.
    Waiting,
    /// An answer is being written down.
    Answering,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody answered in time.
    TimedOut,
    /// Who wanted it has gone.
    Gone,
    /// It was stopped: by the kill switch, or because the process ends.
    Stopped,
    /// Nobody was there to be asked.
    Missed,
}

impl Stage {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Waiting | Self::Answering => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::TimedOut => "timed_out",
            Self::Gone => "gone",
            Self::Stopped => "stopped",
            Self::Missed => "missed",
        }
    }

    const fn has_ended(self) -> bool {
        !matches!(self, Self::Opening | Self::Waiting | Self::Answering)
    }
}

/// What a person said.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Yes(Box<Grant>),
    No { by: String, reason: String },
}

/// A question and what has become of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub ask: Arc<Ask>,
    pub stage: Stage,
    ended: Option<Instant>,
    tell: Option<oneshot::Sender<Said>>,
}

#[derive(Debug)]
struct Denied {
    count: u32,
    last: Instant,
    /// The question that was answered last.
    id: Arc<str>,
    session: Arc<str>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Table {
    asks: BTreeMap<Arc<str>, Entry>,
    grants: Vec<Grant>,
    denied: HashMap<String, Denied>,
    watchers: usize,
    there_until: Option<Instant>,
}

impl Table {
    /// A table that knows these grants already.
    pub fn with(grants: Vec<Grant>) -> Self {
        Self { grants, ..Self::default() }
    }

    /// Forgets what is over.
    pub fn sweep(&mut self, now: Instant, millis: Millis) {
        self.asks.retain(|_, entry| entry.ended.is_none_or(|ended| now < ended + ENDED_FOR));
        let ended = self.asks.values().filter(|entry| entry.stage.has_ended()).count();
        for _ in ENDED..ended {
            let oldest = self.asks.iter().find(|(_, entry)| entry.stage.has_ended());
            let Some(id) = oldest.map(|(id, _)| Arc::clone(id)) else { break };
            self.asks.remove(&id);
        }
        self.denied.retain(|_, denied| now < denied.last + DENIED_FOR);
        self.grants.retain(|grant| millis < grant.until);
    }

    /// Whether somebody looks at the questions.
    pub fn is_watched(&self, now: Instant) -> bool {
        self.watchers > 0 || self.there_until.is_some_and(|until| now < until)
    }

    pub const fn watcher_came(&mut self) {
        self.watchers += 1;
    }

    pub fn watcher_left(&mut self, now: Instant) {
        self.watchers = self.watchers.saturating_sub(1);
        self.there_until = Some(now + THERE_FOR);
    }

    /// The grant that lifts every question of `decision`, which stays.
    pub fn grant_for(&self, digest: &str, decision: &Decision) -> Option<&Grant> {
        self.grants.get(self.covering(digest, decision)?)
    }

    fn covering(&self, digest: &str, decision: &Decision) -> Option<usize> {
        let covers = |grant: &Grant| {
            grant.digest == digest && decision.asking().all(|reason| grant.shown.contains(reason))
        };
        self.grants.iter().position(covers)
    }

    /// The grant that lifts every question of `decision`. One for a single action is used up by this.
    pub fn use_grant(&mut self, digest: &str, decision: &Decision) -> Option<Grant> {
        let at = self.covering(digest, decision)?;
        match self.grants.get(at)?.scope {
            GrantScope::Once => Some(self.grants.swap_remove(at)),
            GrantScope::Session => self.grants.get(at).cloned(),
        }
    }

    /// Adds a grant; `false` if there are as many as may be.
    pub fn grant(&mut self, grant: Grant) -> bool {
        if self.grants.len() >= MAX_GRANTS {
            return false;
        }
        self.denied.remove(&grant.digest);
        self.grants.push(grant);
        true
    }

    pub fn has_room_for_grant(&self) -> bool {
        self.grants.len() < MAX_GRANTS
    }

    /// Takes a grant back; `None` if there is none of this id.
    pub fn revoke(&mut self, id: &str) -> Option<Grant> {
        let at = self.grants.iter().position(|grant| grant.id == id)?;
        Some(self.grants.swap_remove(at))
    }

    /// Forgets what was allowed and denied in this session; returns the grants' ids.
    pub fn forget_session(&mut self, session: &str) -> Vec<String> {
        let (gone, left) =
            std::mem::take(&mut self.grants).into_iter().partition(|grant| grant.session == session);
        self.grants = left;
        self.denied.retain(|_, denied| *denied.session != *session);
        let gone: Vec<Grant> = gone;
        gone.into_iter().map(|grant| grant.id).collect()
    }

    /// Forgets what is over of those sessions, by name and since when.
    pub fn forget(&mut self, is_its: impl Fn(&str, Millis) -> bool) {
        self.grants.retain(|grant| !is_its(&grant.session, grant.since));
        let asks = &self.asks;
        self.denied.retain(|_, denied| {
            let since = asks.get(&denied.id).map_or(0, |entry| entry.ask.since);
            !is_its(&denied.session, since)
        });
        self.asks.retain(|_, entry| !entry.stage.has_ended() || !is_its(&entry.ask.session, entry.ask.since));
    }

    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The question to which a person has said no so often that they are not asked again.
    pub fn tripped(&self, digest: &str) -> Option<Arc<str>> {
        let denied = self.denied.get(digest).filter(|denied| denied.count >= DENIALS)?;
        Some(Arc::clone(&denied.id))
    }

    /// Counts a no.
    pub fn deny(&mut self, ask: &Ask, now: Instant) {
        if self.denied.len() >= DENIED && !self.denied.contains_key(&ask.digest) {
            let oldest = self.denied.iter().min_by_key(|(_, denied)| denied.last);
            if let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) {
                self.denied.remove(&oldest);
            }
        }
        let count = self.denied.get(&ask.digest).map_or(0, |denied| denied.count).saturating_add(1);
        let (id, session) = (Arc::clone(&ask.id), Arc::clone(&ask.session));
        self.denied.insert(ask.digest.clone(), Denied { count, last: now, id, session });
    }

    /// Forgets how often this was denied; whether anything was known.
    pub fn reset(&mut self, digest: &str) -> bool {
        self.denied.remove(digest).is_some()
    }

    /// How many wait: of this agent, and in all.
    pub fn waiting(&self, agent: &str) -> (usize, usize) {
        let waiting = self.asks.values().filter(|entry| !entry.stage.has_ended());
        waiting.fold((0, 0), |(own, all), entry| (own + usize::from(*entry.ask.agent == *agent), all + 1))
    }

    /// Takes a place for a question; the answer will come here.
    pub fn open(&mut self, ask: Arc<Ask>) -> oneshot::Receiver<Said> {
        let (tell, told) = oneshot::channel();
        let entry = Entry { ask: Arc::clone(&ask), stage: Stage::Opening, ended: None, tell: Some(tell) };
        self.asks.insert(Arc::clone(&ask.id), entry);
        told
    }

    /// The question about the same action that nobody was there for.
    pub fn missed(&self, digest: &str) -> Option<Arc<str>> {
        let same = |entry: &&Entry| entry.stage == Stage::Missed && entry.ask.digest == digest;
        self.asks.values().find(same).map(|entry| Arc::clone(&entry.ask.id))
    }

    /// Makes room for one more question of this agent that nobody is there for.
    pub fn make_room_for_missed(&mut self, agent: &str) {
        let own = |entry: &Entry| entry.stage == Stage::Missed && *entry.ask.agent == *agent;
        let missed = self.asks.values().filter(|entry| own(entry)).count();
        for _ in MISSED_OF_AGENT..=missed {
            let oldest = self.asks.iter().find(|(_, entry)| own(entry)).map(|(id, _)| Arc::clone(id));
            if let Some(id) = oldest {
                self.asks.remove(&id);
            }
        }
    }

    /// Gives the place up: it never was a question.
    pub fn give_up(&mut self, id: &str) {
        self.asks.remove(id);
    }

    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.asks.get(id).filter(|entry| entry.stage != Stage::Opening)
    }

    /// All that people see, oldest first.
    pub fn shown(&self) -> impl Iterator<Item = &Entry> {
        self.asks.values().filter(|entry| entry.stage != Stage::Opening)
    }

    /// Moves a question from one stage to the next; `false` if it is not in that stage.
    pub fn step(&mut self, id: &str, from: Stage, to: Stage, now: Instant) -> bool {
        let Some(entry) = self.asks.get_mut(id).filter(|entry| entry.stage == from) else { return false };
        entry.stage = to;
        if to.has_ended() {
            entry.ended = Some(now);
            entry.tell = None;
        }
        true
    }

    /// Tells who waits what was said; gives it back if nobody does any more.
    pub fn tell(&mut self, id: &str, said: Said, now: Instant) -> Result<(), Said> {
        let Some(entry) = self.asks.get_mut(id) else { return Err(said) };
        entry.stage = if matches!(said, Said::Yes(_)) { Stage::Approved } else { Stage::Denied };
        entry.ended = Some(now);
        match entry.tell.take() {
            Some(tell) => tell.send(said),
            None => Err(said),
        }
    }
}
