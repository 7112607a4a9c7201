//! Tells webhooks what happened ([why so](../../../../docs/decisions/0015-webhooks.md)).
//!
//! What is told is said to the store ([`news`] says what of it), which never waits; one task ([`Courier`]) writes it to the outbox, for
//! each webhook that wants it, and sends it from there. So nothing that judges ever waits for an endpoint, and what is in the
//! outbox outlives this process. What was sent when it ended is sent again, under the same id.

pub(crate) mod news;

mod post;
pub use post::{Attempt, Post, check_url};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::session::Millis;
use doorward_store::kill::DOORWARD;
use doorward_store::webhooks::{Delivery, Event, EventKind, Hook, HookState, KEPT, Settled, Stage};
use doorward_store::{KillSet, Signal, Store, StoreError, fill_random};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use crate::id::fresh_id;
use crate::judge::now;
use crate::record::Recorder;

/// How many messages are on their way to one webhook at the same time.
const AT_ONCE: usize = 2;

/// The longest nap: a clock that is set, and webhooks that come to be without anybody saying so, are noticed after it.
const NAP: Duration = Duration::from_secs(60);

/// How often old messages are forgotten, in milliseconds.
const SWEEP: Millis = 60 * 60 * 1000;

/// How messages are sent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long is waited after each try but the last, before jitter of up to a fifth more.
    pub schedule: Vec<Duration>,
    /// How long one try may take.
    pub timeout: Duration,
}

impl Default for Settings {
    /// As Standard Webhooks recommends: ten tries over three days, 15 s each.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let seconds =
            [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self { schedule: seconds.map(Duration::from_secs).to_vec(), timeout: Duration::from_secs(15) }
    }
}

/// A fresh message of `event` to `hook`.
///
/// # Errors
/// If the system gives no random bytes.
pub fn message(event: &Event, hook: &Hook, now: Millis) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: format!("msg_{}", fresh_id(now)?),
        hook: hook.id.to_string(),
        stage: Stage::Waiting,
        due: now,
        created: now,
        tries: 0,
        word: event.word.to_owned(),
        payload: news::payload(event),
        told: String::new(),
    })
}

/// The message by which a person sees whether messages arrive.
#[must_use]
pub fn test_event(hook: &Hook, now: Millis) -> Event {
    let data = doorward_core::syntax::Object::new().text("webhook", &hook.id).end();
    Event { kind: EventKind::Test, word: EventKind::Test.as_str(), time: now, data }
}

/// Writes down and sends what is told. One per process.
#[derive(Debug)]
pub struct Courier {
    store: Store,
    recorder: Recorder,
    post: Post,
    schedule: Vec<Duration>,
    /// What is on its way: by its task, which message to which webhook.
    busy: HashMap<Id, (String, Arc<str>)>,
    /// Until when a webhook wants to be left alone.
    put_off: HashMap<Arc<str>, Millis>,
    swept: Millis,
}

/// A try that has ended.
type Tried = (Arc<Hook>, Delivery, Attempt);

impl Courier {
    /// One that sends what `store` has, by `post`.
    #[must_use]
    pub fn new(store: Store, recorder: Recorder, post: Post, schedule: Vec<Duration>) -> Self {
        Self { store, recorder, post, schedule, busy: HashMap::new(), put_off: HashMap::new(), swept: 0 }
    }

    /// Works until `stop` says so. Then what was told is written down, and what is on its way is left to the next process.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let Some(mut news) = self.store.webhooks().take_news() else { return };
        let store = self.store.clone();
        let mut moved = store.signals().subscribe(Signal::Kill);
        let mut stops = self.told_before().await;
        self.tell_killed(&mut stops, &mut news).await;
        let mut work = JoinSet::new();
        loop {
            let nap = self.start_due(&mut work).await;
            tokio::select! {
                Some(event) = news.recv() => self.write(gathered(event, &mut news)).await,
                Some(done) = work.join_next_with_id() => self.ended(done).await,
                Ok(()) = moved.changed() => self.tell_killed(&mut stops, &mut news).await,
                () = store.webhooks().moved() => {}
                () = tokio::time::sleep(nap) => {}
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            }
            self.write(store.webhooks().summaries(now())).await;
            self.sweep().await;
        }
        self.tell_killed(&mut stops, &mut news).await;
        while let Ok(event) = news.try_recv() {
            self.write(gathered(event, &mut news)).await;
        }
        self.write(store.webhooks().summaries(Millis::MAX)).await;
    }

    /// The kill switch as people were last told of it: what was done while no process ran is still to be told. At the very first
    /// start it is as it is.
    async fn told_before(&self) -> Arc<KillSet> {
        match self.store.kill_told().await {
            Ok(Some(told)) => return Arc::new(told),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "it cannot be read what webhooks were told of the kill switch");
            }
        }
        let set = self.store.signals().kill_set();
        self.note_told(&set).await;
        set
    }

    /// Tells what of the kill switch is different. That it was told is noted once it is in the outbox.
    async fn tell_killed(&self, stops: &mut Arc<KillSet>, news: &mut mpsc::Receiver<Event>) {
        let set = self.store.signals().kill_set();
        if set.acts != stops.acts || set.file != stops.file {
            news::killed(&self.store, stops, &set, now());
            while let Ok(event) = news.try_recv() {
                self.write(gathered(event, news)).await;
            }
            self.note_told(&set).await;
        }
        *stops = set;
    }

    async fn note_told(&self, set: &KillSet) {
        if let Err(error) = self.store.note_kill_told(set).await {
            tracing::warn!(%error, "webhooks will be told of the kill switch again after a restart");
        }
    }

    /// Writes events to the outbox of everybody who wants them.
    async fn write(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let (hooks, now) = (self.store.webhooks().all(), now());
        let wants = |event: &Event| {
            let wanted = hooks
                .iter()
                .filter(|hook| hook.state != HookState::Gone && hook.events.contains(&event.kind));
            wanted.map(|hook| message(event, hook, now)).collect::<Vec<_>>()
        };
        let all: Result<Vec<Delivery>, StoreError> = events.iter().flat_map(wants).collect();
        let written = match all {
            Ok(all) => self.store.put_deliveries(all).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(refused) => {
                for (hook, count) in refused {
                    tracing::warn!(
                        hook,
                        count,
                        "messages to a webhook found no room: too many wait for it already"
                    );
                }
            }
            Err(error) => {
                let events = events.len();
                tracing::error!(%error, events, "what was to be told could not be written; the ledger has it");
            }
        }
    }

    /// Starts what is due and has a place. Returns how long nothing else is.
    async fn start_due(&mut self, work: &mut JoinSet<Tried>) -> Duration {
        let (hooks, now) = (self.store.webhooks().all(), now());
        let mut wake: Option<Millis> = self.store.webhooks().next_summary();
        self.put_off.retain(|_, until| *until > now);
        let mut of = Vec::new();
        for hook in hooks.iter().filter(|hook| hook.state == HookState::Active) {
            let busy = self.busy_with(&hook.id);
            match self.put_off.get(&hook.id) {
                Some(until) => wake = wake.into_iter().chain([*until]).min(),
                None if busy < AT_ONCE => of.push((hook.id.to_string(), AT_ONCE + busy)),
                None => {}
            }
        }
        if !of.is_empty() {
            match self.store.due_deliveries(of, now).await {
                Ok((due, next)) => {
                    wake = wake.into_iter().chain(next).min();
                    due.into_iter().for_each(|one| self.start(one, &hooks, work));
                }
                Err(error) => {
                    tracing::warn!(%error, "it cannot be read what webhooks are to be told");
                    wake = Some(now.saturating_add(5000));
                }
            }
        }
        wake.map_or(NAP, |wake| Duration::from_millis(wake.saturating_sub(now).max(1)).min(NAP))
    }

    fn busy_with(&self, hook: &Arc<str>) -> usize {
        self.busy.values().filter(|(_, of)| of == hook).count()
    }

    fn start(&mut self, one: Delivery, hooks: &[Arc<Hook>], work: &mut JoinSet<Tried>) {
        let Some(hook) = hooks.iter().find(|hook| *hook.id == *one.hook).cloned() else { return };
        if self.busy.values().any(|(id, _)| *id == one.id) || self.busy_with(&hook.id) >= AT_ONCE {
            return;
        }
        let (post, id, of) = (self.post.clone(), one.id.clone(), Arc::clone(&hook.id));
        let task = work.spawn(async move {
            let attempt = post.send(&hook, &one.id, &one.payload, now()).await;
            (hook, one, attempt)
        });
        self.busy.insert(task.id(), (id, of));
    }

    async fn ended(&mut self, done: Result<(Id, Tried), tokio::task::JoinError>) {
        match done {
            Ok((id, tried)) => {
                self.settle(tried).await;
                self.busy.remove(&id);
            }
            // It is still due, and is tried again.
            Err(error) => {
                tracing::error!(%error, "a message to a webhook was not sent");
                self.busy.remove(&error.id());
            }
        }
    }

    /// Writes down what came of a try, and what is to be done next.
    async fn settle(&mut self, (hook, one, attempt): Tried) {
        let (now, tries) = (now(), one.tries.saturating_add(1));
        let (hook_id, place, id) = (&*hook.id, hook.place(), one.id.clone());
        let settled = |stage, due, told| Settled { id: one.id.clone(), stage, due, tries, told };
        let settled = match attempt {
            Attempt::Arrived(status) => settled(Stage::Arrived, now, format!("it answered {status}")),
            Attempt::Gone => return self.gone(&hook, now).await,
            Attempt::Failed { why, after } => {
                if let Some(after) = after.filter(|after| !after.is_zero()) {
                    self.put_off.insert(Arc::clone(&hook.id), now.saturating_add(millis(after)));
                }
                let wait = usize::try_from(one.tries).ok().and_then(|tries| self.schedule.get(tries));
                match wait {
                    Some(wait) => {
                        tracing::info!(hook = hook_id, place, id, tries, "a message did not arrive: {why}");
                        let wait = jittered(millis(*wait)).max(after.map(millis).unwrap_or_default());
                        settled(Stage::Waiting, now.saturating_add(wait), why)
                    }
                    None => {
                        tracing::warn!(
                            hook = hook_id,
                            place,
                            id,
                            tries,
                            "a message did not arrive and is not tried again, but by `doorward webhook redeliver {id}`: {why}"
                        );
                        settled(Stage::Failed, now, why)
                    }
                }
            }
        };
        if let Err(error) = self.store.settle_delivery(settled).await {
            tracing::warn!(%error, hook = hook_id, "it could not be written what came of a message; it may go again");
            // Not at once, and not for ever.
            self.put_off.insert(Arc::clone(&hook.id), now.saturating_add(millis(NAP)));
        }
    }

    /// A webhook wants no more.
    async fn gone(&self, hook: &Hook, now: Millis) {
        let (id, place) = (&*hook.id, hook.place());
        tracing::warn!(
            hook = id,
            place,
            "a webhook answered 410 and gets no more messages; `doorward webhook resume {id}` undoes that"
        );
        if let Err(error) = self.store.webhook_gone(id, now).await {
            tracing::warn!(%error, hook = id, "it could not be written that a webhook wants no more messages");
        }
        let recorded =
            self.recorder.control("webhook_gone", DOORWARD, id, &format!("{place} answered 410")).await;
        if let Err(error) = recorded {
            tracing::error!(%error, hook = id, "that a webhook wants no more messages could not be recorded");
        }
    }

    async fn sweep(&mut self) {
        let now = now();
        if now < self.swept.saturating_add(SWEEP) {
            return;
        }
        self.swept = now;
        if let Err(error) = self.store.sweep_deliveries(now.saturating_sub(KEPT)).await {
            tracing::warn!(%error, "old messages to webhooks could not be forgotten");
        }
    }
}

/// This event, and those that are there already.
fn gathered(first: Event, news: &mut mpsc::Receiver<Event>) -> Vec<Event> {
    let mut events = vec![first];
    while let Ok(event) = news.try_recv() {
        events.push(event);
    }
    events
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Up to a fifth longer: endpoints that came back do not get everything at the same moment.
fn jittered(wait: Millis) -> Millis {
    let mut random = [0; 8];
    // Without random bytes it is only less even.
    let _ = fill_random(&mut random);
    let most = wait / 5 + 1;
    wait.saturating_add(u64::from_le_bytes(random) % most)
}
