//! Scrubbing: everything of one agent or one key goes at once, whatever its age, unless a person holds it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::session::{Millis, name};
use rusqlite::params;

use super::sweep::agent_of_memo;
use super::{Hold, Progress, Whose};
use crate::accounts::{Key, NotDone};
use crate::forensics::Archive;
use crate::once;
use crate::record::RecordedAction;
use crate::seal::Column;
use crate::webhooks::Gone;
use crate::worker::Worker;
use crate::{Alert, Grant, Store, StoreError, alert, approvals};

/// How many rows a slice looks at.
const SLICE: i64 = 500;

/// Whose traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An agent's.
    Agent(String),
    /// What came with a key.
    Key(String),
}

impl Subject {
    /// Whether an alert is about it.
    fn tells(&self, alert: &Alert) -> bool {
        match self {
            Self::Agent(name) => alert.agent == *name,
            Self::Key(id) => alert.message.contains(id.as_str()),
        }
    }

    fn is(&self, agent: &str, key: Option<&str>) -> bool {
        match self {
            Self::Agent(name) => name == agent,
            Self::Key(id) => key == Some(id),
        }
    }
}

/// Whose an alert is.
fn told(alert: &Alert) -> Whose<'_> {
    Whose { time: alert.time, agent: Some(&alert.agent), session: Some(&alert.session), key: None }
}

/// What a scrub destroyed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Actions: everything but that there was one, and when.
    pub actions: u64,
    /// What was blocked of them, kept for a person with the key.
    pub forensics: u64,
    /// Memos.
    pub memos: u64,
    /// Alerts.
    pub alerts: u64,
    /// Sessions, with what they remembered.
    pub sessions: u64,
    /// Places of the quarantine; its contents go with their last place.
    pub quarantine: u64,
    /// Records of how keys were compromised.
    pub compromises: u64,
    /// Messages to webhooks that named it.
    pub deliveries: u64,
    /// Answers to requests that had an `Idempotency-Key`.
    pub answers: u64,
    /// What people had allowed in its sessions.
    pub grants: u64,
    /// What stayed because a person holds it.
    pub held: u64,
}

impl Scrubbed {
    /// Adds what another did.
    pub fn add(&mut self, other: &Self) {
        self.actions += other.actions;
        self.forensics += other.forensics;
        self.memos += other.memos;
        self.alerts += other.alerts;
        self.sessions += other.sessions;
        self.quarantine += other.quarantine;
        self.compromises += other.compromises;
        self.deliveries += other.deliveries;
        self.answers += other.answers;
        self.grants += other.grants;
        self.held += other.held;
    }

    /// How much that is.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.actions
            + self.forensics
            + self.memos
            + self.alerts
            + self.sessions
            + self.quarantine
            + self.compromises
            + self.deliveries
            + self.answers
            + self.grants
    }
}

/// What a slice found.
struct Slice {
    /// The rows that go, and their receipts.
    found: Vec<(i64, String)>,
    held: u64,
    next: Option<i64>,
}

/// Which sessions actions were in.
#[derive(Default)]
struct Used {
    own: HashSet<String>,
    others: HashSet<String>,
    next: Option<i64>,
}

impl Store {
    /// Destroys everything of `subject` that lies beside the ledger, for as long as `time` says. What is gone is not found
    /// again: done once more, it does nothing, or what is left.
    ///
    /// # Errors
    /// If it cannot be written or a file not be removed: then some of it is left.
    pub async fn scrub(&self, subject: &Subject, time: Duration) -> Result<(Scrubbed, Progress), StoreError> {
        let (begun, mut done, mut cursor) = (Instant::now(), Scrubbed::default(), i64::MIN);
        let archive = Archive::of(self.home());
        // First: what blanked actions belong to nobody knows.
        let sessions = self.sessions_of(subject).await?;
        let (of, holds) = (subject.clone(), self.holds());
        done.add(&self.ask(move |worker| worker.scrub_sessions(&of, &sessions, &holds)).await?);
        if let Subject::Key(id) = subject {
            self.accounts().forget_unissued(id);
        }
        loop {
            let (holds, of, at) = (self.holds(), subject.clone(), cursor);
            let slice = self.ask(move |worker| worker.find_of(&of, &holds, at)).await?;
            done.held += slice.held;
            // Files first: once its row says nothing any more, nobody knows whose a file is.
            for (_, receipt) in &slice.found {
                done.forensics += u64::from(archive.has(receipt));
                archive.remove(receipt)?;
            }
            done.actions += slice.found.len() as u64;
            let rows: Vec<i64> = slice.found.iter().map(|(row, _)| *row).collect();
            if !rows.is_empty() {
                self.ask(move |worker| worker.blank(&rows)).await?;
            }
            let Some(next) = slice.next else { break };
            cursor = next;
            // What was blanked before is looked at again, quickly: whoever calls again must get further.
            if begun.elapsed() >= time && done.actions > 0 {
                return Ok((done, Progress::More));
            }
        }
        let (holds, of) = (self.holds(), subject.clone());
        self.shared_alerts()
            .forget(|alert| of.tells(alert) && !holds.iter().any(|hold| hold.covers(&told(alert))));
        let rest = self.ask(move |worker| worker.scrub_rest(&of, &holds)).await?;
        done.add(&rest);
        if let Subject::Agent(agent) = subject {
            let (gone, held) = self.quarantine().scrub(agent, &self.holds())?;
            done.quarantine += gone;
            done.held += held;
        }
        let (gone, held) = self.scrub_compromises(subject).await?;
        done.compromises += gone;
        done.held += held;
        done.answers += self.scrub_answers(subject).await?;
        if let Subject::Agent(agent) = subject {
            self.webhooks().forget(agent);
        }
        let (gone, held) = self.forget_deliveries(&Gone::Of(subject.clone()), false).await?;
        done.deliveries += gone;
        done.held += held;
        self.ask(|worker| worker.take_over()).await?;
        Ok((done, Progress::Done))
    }

    /// The sessions, by name, that `subject` alone has used: what another key or another door has done in one is not the key's to
    /// take along. An agent's are all that bear its name, and are not listed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn sessions_of(&self, subject: &Subject) -> Result<HashSet<String>, StoreError> {
        let Subject::Key(id) = subject else { return Ok(HashSet::new()) };
        let (mut own, mut others) = (HashSet::new(), HashSet::new());
        if let Some(key) = self.accounts().key(id) {
            let agents = key.agents.keys().cloned().chain(self.accounts().unissued(id));
            own.extend(agents.map(|agent| name::name(key.agent.as_str(), &agent).to_string()));
        }
        let mut cursor = i64::MIN;
        loop {
            let (of, at) = (id.clone(), cursor);
            let found = self.ask(move |worker| worker.find_sessions(&of, at)).await?;
            own.extend(found.own);
            others.extend(found.others);
            let Some(next) = found.next else { break };
            cursor = next;
        }
        own.retain(|name| !others.contains(name));
        Ok(own)
    }

    /// The keys of `subject` whose answers a scrub destroys: not those that are held.
    #[must_use]
    pub fn keys_to_scrub(&self, subject: &Subject) -> Vec<Arc<Key>> {
        let (holds, time) = (self.holds(), crate::kill::millis(std::time::SystemTime::now()));
        let mut keys = self.accounts().keys();
        keys.retain(|key| {
            let (agent, key) = (key.agent.as_str(), Some(&*key.id));
            let whose = Whose { time, agent: Some(agent), session: None, key };
            subject.is(agent, key) && !holds.iter().any(|hold| hold.covers(&whose))
        });
        keys
    }

    /// Answers are kept for minutes: those of a key that is held stay for as long.
    async fn scrub_answers(&self, subject: &Subject) -> Result<u64, StoreError> {
        let keys = self.keys_to_scrub(subject);
        self.ask(move |worker| worker.transact(|transaction, _| Ok(once::scrub(transaction, &keys)?))).await
    }

    async fn scrub_compromises(&self, subject: &Subject) -> Result<(u64, u64), StoreError> {
        let (holds, mut gone, mut kept) = (self.holds(), 0, 0);
        for key in self.accounts().keys() {
            if !subject.is(key.agent.as_str(), Some(&key.id)) || key.compromises.is_empty() {
                continue;
            }
            let is_held = |time: Millis, session: &str| {
                let (agent, key) = (Some(key.agent.as_str()), Some(&*key.id));
                holds.iter().any(|hold| hold.covers(&Whose { time, agent, session: Some(session), key }))
            };
            let held = key.compromises.iter().filter(|it| is_held(it.at, &it.session)).count();
            gone += (key.compromises.len() - held) as u64;
            kept += held as u64;
            let change = |mut key: crate::accounts::Key| {
                key.compromises.retain(|it| is_held(it.at, &it.session));
                Ok(key)
            };
            if let Err(NotDone::Store(error)) = self.change_key(&key.id, change).await {
                return Err(error);
            }
        }
        Ok((gone, kept))
    }
}

impl Worker {
    fn find_of(&mut self, subject: &Subject, holds: &[Hold], from: i64) -> Result<Slice, StoreError> {
        self.transact(|transaction, sealer| {
            let sql = "SELECT seq, receipt, time, action FROM actions WHERE seq > ?1 ORDER BY seq LIMIT ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            let mut rows = statement.query(params![from, SLICE])?;
            let mut slice = Slice { found: Vec::new(), held: 0, next: None };
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let (seq, receipt, time): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let sealed: Vec<u8> = row.get(3)?;
                count += 1;
                slice.next = Some(seq);
                let time = u64::try_from(time).unwrap_or(0);
                let opened = sealer.open(Column::Action, &receipt, &sealed).ok();
                let record = opened.and_then(|opened| RecordedAction::decode(&receipt, time, &opened));
                let Some(record) = record else { continue };
                if !subject.is(&record.agent, record.key.as_deref()) {
                    continue;
                }
                let whose = Whose {
                    time,
                    agent: Some(&record.agent),
                    session: Some(&record.session),
                    key: Some(record.key.as_deref().unwrap_or_default()),
                };
                match holds.iter().any(|hold| hold.covers(&whose)) {
                    true => slice.held += 1,
                    false => slice.found.push((seq, receipt)),
                }
            }
            if count < SLICE {
                slice.next = None;
            }
            Ok(slice)
        })
    }

    /// Takes everything out of these rows. That there was an action stays: credits ask for it after a crash.
    fn blank(&mut self, rows: &[i64]) -> Result<(), StoreError> {
        self.transact(|transaction, _| {
            let sql =
                "UPDATE actions SET action = x'', salt = NULL, content = NULL, judged = NULL, url = NULL
                       WHERE seq = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            for row in rows {
                statement.execute([row])?;
            }
            Ok(())
        })
    }

    /// The sessions of the actions of one slice: those of this key, and those of everybody else.
    fn find_sessions(&mut self, key: &str, from: i64) -> Result<Used, StoreError> {
        self.transact(|transaction, sealer| {
            let sql = "SELECT seq, receipt, time, action FROM actions WHERE seq > ?1 ORDER BY seq LIMIT ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            let mut rows = statement.query(params![from, SLICE])?;
            let mut used = Used::default();
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let (seq, receipt, time): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let sealed: Vec<u8> = row.get(3)?;
                count += 1;
                used.next = Some(seq);
                let opened = sealer.open(Column::Action, &receipt, &sealed).ok();
                let time = u64::try_from(time).unwrap_or(0);
                let record = opened.and_then(|opened| RecordedAction::decode(&receipt, time, &opened));
                let Some(record) = record else { continue };
                let of = if record.key.as_deref() == Some(key) { &mut used.own } else { &mut used.others };
                of.insert(record.session.to_string());
            }
            if count < SLICE {
                used.next = None;
            }
            Ok(used)
        })
    }

    /// Removes the sessions of `subject`, what they remembered, and what people had allowed in them. A key's are those of these `names`.
    fn scrub_sessions(
        &mut self,
        subject: &Subject,
        names: &HashSet<String>,
        holds: &[Hold],
    ) -> Result<Scrubbed, StoreError> {
        let is_its = |agent: &str, session: &str| match subject {
            Subject::Agent(of) => of == agent,
            Subject::Key(_) => names.contains(session),
        };
        let is_held = |time, agent: &str, session: &str| {
            let key = match subject {
                Subject::Agent(_) => None,
                Subject::Key(id) => Some(id.as_str()),
            };
            let whose = Whose { time, agent: Some(agent), session: Some(session), key };
            holds.iter().any(|hold| hold.covers(&whose))
        };
        self.transact(|transaction, sealer| {
            let mut done = Scrubbed::default();
            for session in crate::sessions::read(transaction, sealer)?? {
                let (agent, name) = (session.name.agent(), session.name.as_str());
                if !is_its(agent, name) {
                    continue;
                }
                if is_held(session.used, agent, name) {
                    done.held += 1;
                    continue;
                }
                let row = i64::try_from(session.id).unwrap_or(i64::MAX);
                transaction.execute("DELETE FROM sessions WHERE id = ?1", [row])?;
                let story = format!("session/{}", session.id);
                transaction.execute("DELETE FROM stories WHERE owner = ?1", [story])?;
                done.sessions += 1;
            }
            for Grant { id, agent, session, since, .. } in approvals::read(transaction, sealer, 0)? {
                if !is_its(&agent, &session) {
                    continue;
                }
                if is_held(since, &agent, &session) {
                    done.held += 1;
                    continue;
                }
                transaction.execute("DELETE FROM grants WHERE id = ?1", [id])?;
                done.grants += 1;
            }
            Ok(done)
        })
    }

    fn scrub_rest(&mut self, subject: &Subject, holds: &[Hold]) -> Result<Scrubbed, StoreError> {
        self.transact(|transaction, sealer| {
            let mut done = Scrubbed::default();
            let is_held = |time, agent: &str, session: Option<&str>, key: Option<&str>| {
                holds.iter().any(|hold| hold.covers(&Whose { time, agent: Some(agent), session, key }))
            };
            for alert in alert::read(transaction, sealer)? {
                if !subject.tells(&alert) {
                    continue;
                }
                if holds.iter().any(|hold| hold.covers(&told(&alert))) {
                    done.held += 1;
                    continue;
                }
                transaction.execute("DELETE FROM alerts WHERE receipt = ?1", [&alert.receipt])?;
                done.alerts += 1;
            }
            let Subject::Agent(agent) = subject else { return Ok(done) };
            let memos: Vec<(i64, i64, Vec<u8>)> = transaction
                .prepare_cached("SELECT id, time, body FROM memos")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<_, _>>()?;
            for (id, time, sealed) in memos {
                let body = sealer.open(Column::Memo, &id.to_string(), &sealed).ok();
                if body.and_then(|body| agent_of_memo(&body)).as_ref() != Some(agent) {
                    continue;
                }
                if is_held(u64::try_from(time).unwrap_or(0), agent, None, None) {
                    done.held += 1;
                    continue;
                }
                transaction.execute("DELETE FROM memos WHERE id = ?1", [id])?;
                done.memos += 1;
            }
            if !holds.iter().any(|hold| hold.agent.as_ref().is_none_or(|held| held == agent)) {
                transaction.execute("DELETE FROM stories WHERE owner = ?1", [format!("agent/{agent}")])?;
            }
            Ok(done)
        })
    }
}
