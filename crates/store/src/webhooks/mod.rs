//! Webhooks: whom people want told, of what, and what is still to be told.
//!
//! Who sees something happen calls [`Webhooks::tell`], which never waits and mostly does nothing. One task takes what is to be told
//! ([`Webhooks::take_news`]), writes it to the outbox for each webhook that wants it, and sends it from there.

mod event;
pub use event::{Event, EventKind};

mod forget;
pub(crate) use forget::{Gone, slice};

mod gate;
use gate::Gate;

mod hook;
pub use hook::{Hook, HookState, Signatures};

mod outbox;
pub use outbox::{Delivery, KEPT, LARGEST, MOST_WAITING, Settled, Stage, Tally, Which};

mod told;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use doorward_core::session::Millis;
use rusqlite::{Connection, params};
use tokio::sync::{Notify, mpsc};

use crate::accounts::Key;
use crate::seal::{Column, Sealer};
use crate::{Store, StoreError};

/// The most webhooks.
pub const MOST_HOOKS: usize = 20;

/// How many events may be on their way to the outbox. More than their gates let through unless writing takes long.
const NEWS: usize = 256;

/// All webhooks, and what is to be told.
#[derive(Debug)]
pub struct Webhooks {
    /// In the order in which they were made.
    hooks: ArcSwap<Vec<Arc<Hook>>>,
    gates: Mutex<BTreeMap<EventKind, Gate>>,
    news: mpsc::Sender<Event>,
    taken: Mutex<Option<mpsc::Receiver<Event>>>,
    /// Something is different: a webhook, what waits, or what was counted.
    moved: Notify,
    /// From how many credits on nobody is told of them; 0: nobody ever is.
    low: AtomicU64,
    /// Keys that have less, and of which people know that.
    known_low: Mutex<HashSet<Arc<str>>>,
}

impl Webhooks {
    fn new(hooks: Vec<Arc<Hook>>) -> Self {
        let (news, taken) = mpsc::channel(NEWS);
        Self {
            hooks: ArcSwap::from_pointee(hooks),
            gates: Mutex::default(),
            news,
            taken: Mutex::new(Some(taken)),
            moved: Notify::new(),
            low: AtomicU64::new(0),
            known_low: Mutex::default(),
        }
    }

    /// Reads what lies in the database.
    pub(crate) fn read(
        connection: &Connection,
        sealer: &Sealer,
    ) -> Result<Result<Self, StoreError>, rusqlite::Error> {
        let mut all = connection.prepare("SELECT id, body, secret FROM webhooks")?;
        let rows = all.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        let mut hooks = Vec::new();
        for row in rows {
            let (id, body, secret) = row?;
            let opened = sealer.open(Column::Webhook, &id, &body);
            let opened =
                opened.and_then(|body| Ok((body, sealer.open(Column::WebhookSecret, &id, &secret)?)));
            match opened.map(|(body, secret)| Hook::decode(&id, &body, &secret)) {
                Ok(Some(hook)) => hooks.push(Arc::new(hook)),
                Ok(None) => {
                    return Ok(Err(StoreError::Damaged { what: Column::Webhook.as_str(), row: id }));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        hooks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(Ok(Self::new(hooks)))
    }

    /// All of them, in the order in which they were made.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Arc<Hook>>> {
        self.hooks.load_full()
    }

    /// The one with this id.
    #[must_use]
    pub fn hook(&self, id: &str) -> Option<Arc<Hook>> {
        self.hooks.load().iter().find(|hook| &*hook.id == id).cloned()
    }

    /// Whether anybody wants to be told of such events.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.hooks.load().iter().any(|hook| hook.state != HookState::Gone && hook.events.contains(&kind))
    }

    /// Tells of something that `agent` did, or that happened to it: `data` says what, as a JSON object. Never waits, and does not
    /// even ask for `data` unless somebody wants it. What comes too fast, or finds no room, is counted, and the number is told.
    pub fn tell(&self, kind: EventKind, agent: &str, now: Millis, data: impl FnOnce() -> Vec<u8>) {
        if !self.wants(kind) {
            return;
        }
        let passes = lock(&self.gates).entry(kind).or_default().pass(now);
        let told = passes && {
            let event = Event { kind, word: kind.as_str(), time: now, data: data() };
            self.news.try_send(event).is_ok()
        };
        // In a flood nobody is woken but by the first.
        if !told && lock(&self.gates).entry(kind).or_default().count(agent, now) {
            self.moved.notify_one();
        }
    }

    /// What is told, for the one who writes it down. Whoever asks first gets it.
    #[must_use]
    pub fn take_news(&self) -> Option<mpsc::Receiver<Event>> {
        lock(&self.taken).take()
    }

    /// The numbers of what was counted and is to be told by `now`; all of them with `u64::MAX`.
    #[must_use]
    pub fn summaries(&self, now: Millis) -> Vec<Event> {
        let mut gates = lock(&self.gates);
        let due = gates.iter_mut().filter(|(_, gate)| gate.due().is_some_and(|due| due <= now));
        due.filter_map(|(kind, gate)| gate.summary(*kind)).collect()
    }

    /// When the next number is to be told.
    #[must_use]
    pub fn next_summary(&self) -> Option<Millis> {
        lock(&self.gates).values().filter_map(Gate::due).min()
    }

    /// Counts what was not told of `agent` as that of nobody in particular.
    pub(crate) fn forget(&self, agent: &str) {
        lock(&self.gates).values_mut().for_each(|gate| gate.forget(agent));
    }

    /// Returns when a webhook, what waits, or what was counted is different.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    fn put(&self, hook: Arc<Hook>) {
        self.hooks.rcu(|hooks| {
            let mut hooks: Vec<Arc<Hook>> = hooks.iter().filter(|old| old.id != hook.id).cloned().collect();
            hooks.push(Arc::clone(&hook));
            hooks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
            hooks
        });
        self.moved.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(connection: &Connection, sealer: &Sealer, hook: &Hook) -> Result<(), StoreError> {
    let body = sealer.seal(Column::Webhook, &hook.id, &hook.encode())?;
    let secret = sealer.seal(Column::WebhookSecret, &hook.id, &hook.encode_secrets())?;
    let sql = "INSERT INTO webhooks (id, body, secret, lost) VALUES (?1, ?2, ?3, 0)
               ON CONFLICT (id) DO UPDATE SET body = ?2, secret = ?3";
    connection.execute(sql, params![hook.id, body, secret]).map(drop).map_err(outbox::failed)
}

/// Why an act on a webhook was not done.
#[derive(Debug, thiserror::Error)]
pub enum HookNotDone {
    /// There is no such webhook.
    #[error("there is no webhook {0}; `doorward webhook list` shows those there are")]
    Unknown(String),
    /// It is not as the act wants it.
    #[error("{0}")]
    Refused(String),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Webhooks, and what is to be told.
    #[must_use]
    pub fn webhooks(&self) -> &Webhooks {
        self.shared_webhooks()
    }

    /// Keeps a fresh webhook, and puts it in force.
    ///
    /// # Errors
    /// If it cannot be written, or there are too many.
    pub async fn add_webhook(&self, hook: Hook) -> Result<Arc<Hook>, HookNotDone> {
        let _acting = self.acting().await;
        if self.webhooks().all().len() >= MOST_HOOKS {
            return Err(HookNotDone::Refused(format!(
                "there are {MOST_HOOKS} webhooks already, and no more are kept"
            )));
        }
        self.keep_webhook(Arc::new(hook)).await
    }

    /// Changes a webhook, on disk and then in force.
    ///
    /// # Errors
    /// If there is no such webhook, `change` refuses, or it cannot be written; then it is as it was.
    pub async fn change_webhook(
        &self,
        id: &str,
        change: impl FnOnce(Hook) -> Result<Hook, HookNotDone>,
    ) -> Result<Arc<Hook>, HookNotDone> {
        let _acting = self.acting().await;
        let hook = self.webhooks().hook(id).ok_or_else(|| unknown(id))?;
        let changed = change(Hook::clone(&hook))?;
        self.keep_webhook(Arc::new(changed)).await
    }

    async fn keep_webhook(&self, hook: Arc<Hook>) -> Result<Arc<Hook>, HookNotDone> {
        let written = Arc::clone(&hook);
        self.ask(move |worker| worker.durable(|connection, sealer| keep(connection, sealer, &written)))
            .await?;
        self.webhooks().put(Arc::clone(&hook));
        Ok(hook)
    }

    /// Forgets a webhook and all its messages. Returns it as it was.
    ///
    /// # Errors
    /// If there is no such webhook, or it cannot be written; then it is as it was.
    pub async fn remove_webhook(&self, id: &str) -> Result<Arc<Hook>, HookNotDone> {
        let _acting = self.acting().await;
        let hook = self.webhooks().hook(id).ok_or_else(|| unknown(id))?;
        let of = hook.id.to_string();
        self.ask(move |worker| worker.durable(|connection, _| outbox::remove(connection, &of))).await?;
        let others = |hooks: &Arc<Vec<Arc<Hook>>>| -> Vec<Arc<Hook>> {
            hooks.iter().filter(|other| other.id != hook.id).cloned().collect()
        };
        self.webhooks().hooks.rcu(others);
        self.webhooks().moved.notify_one();
        Ok(hook)
    }

    /// A webhook wants no more messages: it is marked so, and what waits for it has failed.
    ///
    /// # Errors
    /// If there is no such webhook, or it cannot be written.
    pub async fn webhook_gone(&self, id: &str, now: Millis) -> Result<Arc<Hook>, HookNotDone> {
        let hook = self.change_webhook(id, |hook| Ok(hook.in_state(HookState::Gone, now))).await?;
        let of = hook.id.to_string();
        self.ask(move |worker| {
            worker.in_one(|connection, sealer| outbox::give_up(connection, sealer, &of, now))
        })
        .await?;
        Ok(hook)
    }

    /// Writes messages down, all or none. Returns of how many webhooks the messages found no room, each with its number.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn put_deliveries(&self, all: Vec<Delivery>) -> Result<BTreeMap<String, u64>, StoreError> {
        self.ask(move |worker| {
            worker.in_one(|connection, sealer| {
                let mut refused = BTreeMap::new();
                for one in &all {
                    if !outbox::put(connection, sealer, one)? {
                        *refused.entry(one.hook.clone()).or_default() += 1;
                    }
                }
                Ok(refused)
            })
        })
        .await
    }

    /// What is to be sent by `now`, of each of these webhooks at most so many; and when the next after that is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn due_deliveries(
        &self,
        of: Vec<(String, usize)>,
        now: Millis,
    ) -> Result<(Vec<Delivery>, Option<Millis>), StoreError> {
        self.ask(move |worker| {
            worker.in_one(|connection, sealer| {
                let (mut due, mut next) = (Vec::new(), None::<Millis>);
                for (hook, most) in &of {
                    due.extend(outbox::due(connection, sealer, hook, now, *most)?);
                    let of_hook = outbox::next(connection, hook, now)?;
                    next = [next, of_hook].into_iter().flatten().min();
                }
                Ok((due, next))
            })
        })
        .await
    }

    /// Writes what became of a try.
    ///
    /// # Errors
    /// If it cannot be written: a restart may send the message again.
    pub async fn settle_delivery(&self, settled: Settled) -> Result<(), StoreError> {
        self.ask(move |worker| {
            worker.in_one(|connection, sealer| outbox::settle(connection, sealer, &settled))
        })
        .await
    }

    /// Messages, the newest first, at most `most`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn deliveries(&self, which: Which, most: usize) -> Result<Vec<Delivery>, StoreError> {
        self.ask(move |worker| {
            worker.in_one(|connection, sealer| outbox::list(connection, sealer, &which, most))
        })
        .await
    }

    /// Lets messages be sent again from the beginning, under their own ids; returns how many.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn redeliver(&self, which: Which, now: Millis) -> Result<usize, StoreError> {
        let done =
            self.ask(move |worker| worker.in_one(|connection, _| outbox::again(connection, &which, now)));
        let done = done.await?;
        self.webhooks().moved.notify_one();
        Ok(done)
    }

    /// How many messages these webhooks have.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn delivery_tallies(&self, hooks: Vec<String>) -> Result<Vec<Tally>, StoreError> {
        self.ask(move |worker| {
            worker.in_one(|connection, _| hooks.iter().map(|hook| outbox::tally(connection, hook)).collect())
        })
        .await
    }

    /// Forgets messages that wait no more and were last sent before then; returns how many.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn sweep_deliveries(&self, before: Millis) -> Result<usize, StoreError> {
        self.ask(move |worker| worker.in_one(|connection, _| outbox::sweep(connection, before))).await
    }

    /// From now on people are told of a key with less than `most` credits. What has less already is not told.
    pub fn tell_of_credits_below(&self, most: u64, now: Millis) {
        self.webhooks().low.store(most, Ordering::Relaxed);
        let keys = self.accounts().keys();
        let is_low = |key: &&Arc<Key>| self.accounts().remaining(&key.id, now).credits < most;
        let low = keys.iter().filter(is_low).map(|key| Arc::clone(&key.id));
        *lock(&self.webhooks().known_low) = low.collect();
    }

    /// Credits of a key were used: people are told once when few are left, and again only after there were more.
    pub fn credits_used(&self, key: &Arc<str>, now: Millis) {
        let webhooks = self.webhooks();
        let most = webhooks.low.load(Ordering::Relaxed);
        if most == 0 || !webhooks.wants(EventKind::Credits) {
            return;
        }
        let left = self.accounts().remaining(key, now);
        {
            let mut known = lock(&webhooks.known_low);
            // What is reserved and given back goes up and down around the mark, and is no news each time.
            if left.credits >= most.saturating_add(most / 10) {
                known.remove(key);
            }
            if left.credits >= most || !known.insert(Arc::clone(key)) {
                return;
            }
        }
        let agent = self.accounts().key(key).map(|key| key.agent.to_string()).unwrap_or_default();
        webhooks.tell(EventKind::Credits, &agent, now, || {
            let object = doorward_core::syntax::Object::new().text("key", key).text("agent", &agent);
            object.number("credits_remaining", left.credits).number("threshold", most).end()
        });
    }
}

fn unknown(id: &str) -> HookNotDone {
    HookNotDone::Unknown(id.chars().take(80).collect())
}
