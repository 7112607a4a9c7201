//! The handle: cheap to clone, never waits on SQLite but for what asks it a question.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward_core::policy::Use;
use doorward_core::session::Millis;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::accounts::{Accounts, CreditChange, UsedOnce};
use crate::agents::Agents;
use crate::alert::{self, Alert, Alerts};
use crate::approvals::{self, Grant};
use crate::counted::{self, Counted, Kept, Recount};
use crate::error::{StoreError, at};
use crate::forensics::{self, Archive, Forensics};
use crate::home::{Home, HomeLock};
use crate::kill::{KillSet, Scope, Stop};
use crate::memo::{self, Change, Memo, Outbox, Put};
use crate::once::{self, OnceKept};
use crate::quarantine::{self, Quarantine};
use crate::record::RecordedAction;
use crate::retention::{self, Hold};
use crate::schema;
use crate::secret::Secret32;
use crate::sessions::{self, SessionRecord};
use crate::signals::Signals;
use crate::stories::{self, Lying, MAX_WHOLE, Owner, Tale, Written};
use crate::webhooks::Webhooks;
use crate::worker::{Command, Trouble, Worker};

/// How the store behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the judged bytes are kept. Off: only what kind of action it was.
    pub content: bool,
    /// Whether what was judged is kept, so that another policy can be tried on it.
    pub judged: bool,
    /// Whether it is kept, masked, where requests of the egress door lead. Off: only its keyed digest, in the ledger.
    pub urls: bool,
    /// How much of what was blocked is kept, encrypted to a key that is not here; `None`: nothing, whoever wants it.
    pub forensics: Option<forensics::Limits>,
    /// How much is kept of what was held instead of written.
    pub quarantine: quarantine::Limits,
    /// How many records may wait for the disk before their callers do. At least 1.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            content: false,
            judged: false,
            urls: true,
            forensics: None,
            quarantine: quarantine::Limits::default(),
            queue: 4096,
        }
    }
}

/// The side store.
///
/// All methods but [`Store::open`] may be called from async code. Records are written in the order they
/// were given, and every question is answered after all records before it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    home: Home,
    content: bool,
    judged: bool,
    urls: bool,
    commands: mpsc::Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The same, to be woken while it gathers records.
    gathering: Thread,
    trouble: Arc<Trouble>,
    outbox: Arc<Outbox>,
    /// What replaced blocks are known by.
    blocks_key: Secret32,
    /// What actions that people have allowed are known by.
    approvals_key: Secret32,
    /// What earlier processes left, until somebody takes it.
    memos: Mutex<Vec<Memo>>,
    /// What earlier processes counted, until somebody takes it.
    kept: Mutex<Kept>,
    /// The sessions they knew, until somebody takes them.
    sessions: Mutex<Vec<SessionRecord>>,
    /// What they remembered of what was done in all of them, until somebody takes it.
    stories: Mutex<HashMap<Owner, Written>>,
    /// What lies in the database of each session, until somebody asks.
    lying: Mutex<HashMap<u64, Lying>>,
    /// What further keys are made of.
    purposes: Secret32,
    /// What must not happen twice, until somebody takes it.
    once: Mutex<OnceKept>,
    /// What people have allowed earlier processes, until somebody takes it.
    grants: Mutex<Vec<Grant>>,
    agents: Agents,
    accounts: Accounts,
    webhooks: Webhooks,
    forensics: Option<Forensics>,
    quarantine: Arc<Quarantine>,
    alerts: Alerts,
    /// What people keep from being destroyed.
    holds: Arc<ArcSwap<Vec<Hold>>>,
    signals: Arc<Signals>,
    /// Acts of people come one after the other, so that memory and disk agree on the last.
    acting: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("home", &self.shared.home.root()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store of the locked home directory, creating or migrating it. Blocks; takes some
    /// milliseconds.
    ///
    /// # Errors
    /// If the database cannot be opened, is from a newer version, or was written with another key; if a
    /// token file is damaged; if the kill state cannot be read.
    pub fn open(lock: &HomeLock, options: Options) -> Result<Self, StoreError> {
        let home = lock.home().clone();
        let agents = Agents::open(&home)?;
        let (connection, sealer) = schema::open(&home)?;
        let trouble = Arc::new(Trouble::default());
        let memos = memo::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })?;
        let kept = counted::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })?;
        let sessions = sessions::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })??;
        let now = crate::kill::millis(std::time::SystemTime::now());
        let grants = approvals::read(&connection, &sealer, now)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })?;
        let once = once::read(&connection, &sealer, now)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })?;
        let alerts = alert::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })?;
        let newest = memos.iter().map(|memo| memo.id).max().unwrap_or(0);
        let outbox = Arc::new(Outbox::new(newest + 1));
        let stories = stories::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })??;
        let lying = stories::lying(&connection)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })?;
        let accounts = Accounts::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })??;
        let webhooks = Webhooks::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })??;
        let holds = retention::read(&connection, &sealer)
            .map_err(|error| StoreError::Database { db: home.store_db(), error })??;
        let holds = Arc::new(ArcSwap::from_pointee(holds));
        let purposes = sealer.derived("purposes");
        let blocks_key = sealer.derived("replaced blocks");
        let approvals_key = sealer.derived("approvals");
        let worker = Worker::new(home.clone(), connection, sealer, Arc::clone(&outbox), Arc::clone(&trouble));
        let signals = Arc::new(Signals::default());
        let acts = worker.kill_acts()?;
        signals.set_kill_acts(|now| *now = acts);
        let archive = Archive::of(&home);
        let forensics = options
            .forensics
            .map(|limits| Forensics::start(archive, limits, Arc::clone(&holds)))
            .transpose()?;
        let quarantine = Arc::new(Quarantine::open(&home, options.quarantine)?);
        let (commands, queue) = mpsc::channel(options.queue.max(1));
        let thread = std::thread::Builder::new()
            .name("doorward-store".into())
            .spawn(move || worker.run(queue))
            .map_err(at("start the thread for", &home.store_db()))?;
        let shared = Shared {
            home,
            content: options.content,
            judged: options.judged,
            urls: options.urls,
            commands,
            gathering: thread.thread().clone(),
            thread: Mutex::new(Some(thread)),
            trouble,
            outbox,
            blocks_key,
            approvals_key,
            memos: Mutex::new(memos),
            kept: Mutex::new(kept),
            sessions: Mutex::new(sessions),
            stories: Mutex::new(stories),
            lying: Mutex::new(lying),
            purposes,
            once: Mutex::new(once),
            grants: Mutex::new(grants),
            agents,
            accounts,
            webhooks,
            forensics,
            quarantine,
            alerts: Alerts::new(alerts),
            holds,
            signals,
            acting: tokio::sync::Mutex::new(()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The home directory it lies in.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.shared.home
    }

    /// Whether the judged bytes are kept, so that callers do not copy what is thrown away.
    #[must_use]
    pub fn keeps_content(&self) -> bool {
        self.shared.content
    }

    /// Whether what was judged is kept, so that callers do not copy what is thrown away.
    #[must_use]
    pub fn keeps_judged(&self) -> bool {
        self.shared.judged
    }

    /// Whether it is kept where requests of the egress door lead.
    #[must_use]
    pub fn keeps_urls(&self) -> bool {
        self.shared.urls
    }

    /// Keeps what was blocked, if somebody wants it.
    #[must_use]
    pub fn forensics(&self) -> Option<&Forensics> {
        self.shared.forensics.as_ref().filter(|forensics| forensics.is_wanted())
    }

    /// What was held instead of written.
    #[must_use]
    pub fn quarantine(&self) -> &Arc<Quarantine> {
        &self.shared.quarantine
    }

    /// Agents and their tokens.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.shared.agents
    }

    /// Revisions and the kill state.
    #[must_use]
    pub fn signals(&self) -> &Arc<Signals> {
        &self.shared.signals
    }

    /// The key under which the gateway knows blocks that it has replaced: the same after a restart, and in no file.
    #[must_use]
    pub fn blocks_key(&self) -> &Secret32 {
        &self.shared.blocks_key
    }

    /// The key under which actions are known that a person was asked about: the same after a restart, and in no file.
    #[must_use]
    pub fn approvals_key(&self) -> &Secret32 {
        &self.shared.approvals_key
    }

    /// What people have allowed that outlived earlier processes. Whoever asks first gets it.
    #[must_use]
    pub fn take_grants(&self) -> Vec<Grant> {
        std::mem::take(&mut *self.shared.grants.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a grant over restarts.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be given.
    pub async fn keep_grant(&self, grant: Grant) -> Result<(), StoreError> {
        self.ask(move |worker| worker.keep_grant(&grant)).await
    }

    /// Takes grants back, so that no later process knows them.
    ///
    /// # Errors
    /// If it cannot be written: a restart would bring them back.
    pub async fn forget_grants(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.ask(move |worker| worker.forget_grants(&ids)).await
    }

    /// Tells people of something. Never waits: it stands in the status at once, and is kept soon.
    pub fn alert(&self, alert: Alert) {
        self.shared.alerts.add(alert.clone());
        let keep = Command::Run(Box::new(move |worker| {
            if let Err(error) = worker.keep_alert(&alert) {
                tracing::warn!(%error, "a restart will forget an alert; the ledger has it");
            }
        }));
        if self.shared.commands.try_send(keep).is_err() {
            tracing::warn!("a restart will forget an alert; the ledger has it");
        }
    }

    /// The alerts since `time`, oldest first; at most 100.
    #[must_use]
    pub fn alerts(&self, time: Millis) -> Vec<Alert> {
        self.shared.alerts.since(time)
    }

    /// Why records cannot be written at present; `None` if they can.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.shared.trouble.load_full()
    }

    /// Queues `record`. Waits only while the queue is full.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while earlier records cannot be written: block the action.
    pub async fn record(&self, record: RecordedAction) -> Result<(), StoreError> {
        self.record_counted(record, Counted::default()).await
    }

    /// The same with what limits counted of it: both are written, or neither is.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_counted(
        &self,
        mut record: RecordedAction,
        counted: Counted,
    ) -> Result<(), StoreError> {
        if let Some(why) = self.trouble() {
            return Err(StoreError::Unavailable(why.as_str().to_owned()));
        }
        if !self.shared.content {
            record.content = None;
        }
        if !self.shared.judged {
            record.judged = None;
        }
        if !self.shared.urls {
            record.url = None;
        }
        let command = Command::Record(Box::new(record), counted);
        self.shared.commands.send(command).await.map_err(|_| StoreError::Closed)
    }

    /// What earlier processes counted. Whoever asks first gets it.
    #[must_use]
    pub fn take_counted(&self) -> Kept {
        std::mem::take(&mut *self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The reply to the request of this receipt has ended, or it never went: what it used `more` and `less` than was
    /// recorded with it. Never waits: it is written with the next batch of records.
    pub fn settle(&self, receipt: Option<String>, more: Vec<Use>, less: Vec<Use>) {
        let _ = self.change(Change::Recount(Recount::Settle { receipt, more, less }));
    }

    /// What was found at the start behind what had been recorded: these uses, all of the requests that are `settled`
    /// by them, and how long the ledger is. Never waits.
    pub fn caught_up(&self, uses: Vec<Use>, settled: Vec<String>, ledger_size: u64) {
        let _ = self.change(Change::Recount(Recount::Caught { uses, settled, ledger_size }));
    }

    /// Forgets what limits counted that are not among these groups. Never waits.
    pub fn retain_counters(&self, groups: HashSet<[u8; 16]>) {
        let _ = self.change(Change::Recount(Recount::Retain(groups)));
    }

    /// What earlier processes left to be remembered, used longest ago first. Whoever asks first gets it.
    #[must_use]
    pub fn take_memos(&self) -> Vec<Memo> {
        std::mem::take(&mut *self.shared.memos.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a memo that says `body` until it is forgotten or purged; returns its number. Never waits: it is
    /// written with the next batch of records. While nothing can be written, or if it is longer than
    /// [`MAX_MEMO`](crate::MAX_MEMO), a restart may forget it.
    pub fn remember(&self, time: Millis, body: Vec<u8>) -> u64 {
        let id = self.shared.outbox.number();
        let _ = self.change(Change::Keep(Memo { id, time, used: time, body }));
        id
    }

    /// Lets a memo say something else, if it is still kept. Never waits.
    pub fn rewrite_memo(&self, id: u64, body: Vec<u8>) {
        let _ = self.change(Change::Rewrite(id, body));
    }

    /// Notes that a memo was of use. Never waits.
    pub fn memo_used(&self, id: u64, time: Millis) {
        let _ = self.change(Change::Used(id, time));
    }

    /// The sessions that earlier processes knew, the one used last first. Whoever asks first gets them.
    #[must_use]
    pub fn take_sessions(&self) -> Vec<SessionRecord> {
        std::mem::take(&mut *self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what is known of a session. Never waits: it is written with the next batch of records.
    pub fn keep_session(&self, session: SessionRecord) {
        let _ = self.change(Change::Session(Box::new(session)));
    }

    /// Forgets a session. Never waits.
    pub fn forget_session(&self, id: u64) {
        let _ = self.change(Change::ForgetSession(id));
    }

    /// What earlier processes remembered of what was done in all sessions. Whoever asks first gets it.
    #[must_use]
    pub fn take_stories(&self) -> HashMap<Owner, Written> {
        std::mem::take(&mut *self.shared.stories.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What lies here of each session that earlier processes knew, by row. Whoever asks first gets it.
    #[must_use]
    pub fn take_lying(&self) -> HashMap<u64, Lying> {
        std::mem::take(&mut *self.shared.lying.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `owner` remembers, with everything that was given to be kept before.
    ///
    /// # Errors
    /// If it cannot be read or is damaged, or if something before it could not be written.
    pub async fn story(&self, owner: Owner) -> Result<Written, StoreError> {
        self.ask(move |worker| worker.story(&owner)).await
    }

    /// Keeps an addition to what `owner` remembers, under a number that grows from 1. Never waits. `false` if too much waits
    /// for the disk and this is lost.
    pub fn add_to_story(&self, owner: Owner, number: u64, body: Vec<u8>) -> bool {
        self.change(Change::Tale(Tale::Add(owner, number, body)))
    }

    /// Keeps all that `owner` remembers, in the place of what has a number before this one; not if it is longer than
    /// [`MAX_WHOLE`]. Never waits. `false` if it is not kept.
    pub fn keep_story(&self, owner: Owner, before: u64, whole: Vec<u8>) -> bool {
        whole.len() <= MAX_WHOLE && self.change(Change::Tale(Tale::Whole(owner, before, whole)))
    }

    /// Forgets what `owner` remembers. Never waits.
    pub fn forget_story(&self, owner: Owner) {
        let _ = self.change(Change::Tale(Tale::Forget(owner)));
    }

    /// A key for this purpose: the same after a restart, in no file, and of no help with any other.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> Secret32 {
        let mut key = Sha256::new();
        key.update(self.shared.purposes.expose());
        key.update(purpose);
        Secret32::new(key.finalize().into())
    }

    /// Keeps what a person said of a session, and returns when it is on disk.
    ///
    /// # Errors
    /// If it could not be written.
    pub async fn set_session(&self, session: SessionRecord) -> Result<(), StoreError> {
        self.keep_session(session);
        self.ask(|worker| worker.flushed()).await
    }

    /// Destroys a memo. Never waits.
    pub fn forget(&self, id: u64) {
        let _ = self.change(Change::Forget(id));
    }

    pub(crate) fn shared_accounts(&self) -> &Accounts {
        &self.shared.accounts
    }

    pub(crate) fn shared_webhooks(&self) -> &Webhooks {
        &self.shared.webhooks
    }

    pub(crate) fn shared_once(&self) -> MutexGuard<'_, OnceKept> {
        self.shared.once.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shared_alerts(&self) -> &Alerts {
        &self.shared.alerts
    }

    pub(crate) fn shared_holds(&self) -> &ArcSwap<Vec<Hold>> {
        &self.shared.holds
    }

    pub(crate) fn change_credits(&self, change: CreditChange) {
        let _ = self.change(Change::Credits(change));
    }

    pub(crate) fn change_usage(&self, used: UsedOnce) {
        let _ = self.change(Change::Usage(used));
    }

    /// The turn of an act of a person.
    pub(crate) async fn acting(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.acting.lock().await
    }

    /// Gives a change to the store's thread; `false` if too many wait.
    pub(crate) fn change(&self, change: Change) -> bool {
        let put = self.shared.outbox.put(change);
        if put == Put::First {
            // If the queue is full, the thread has a batch to end, and looks into the outbox then.
            let _ = self.shared.commands.try_send(Command::Memos);
        }
        put != Put::Refused
    }

    /// Returns once everything recorded before is written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|worker| worker.flushed()).await
    }

    /// What was recorded for a receipt; `None` if nothing was.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub async fn action(&self, receipt: impl Into<String>) -> Result<Option<RecordedAction>, StoreError> {
        let receipt = receipt.into();
        self.ask(move |worker| worker.action(&receipt)).await
    }

    /// The latest `count` recorded actions, newest first, without their content; with `before`, those
    /// recorded before that receipt.
    ///
    /// # Errors
    /// If they cannot be read or one is damaged.
    pub async fn latest(
        &self,
        count: usize,
        before: Option<String>,
    ) -> Result<Vec<RecordedAction>, StoreError> {
        self.ask(move |worker| worker.latest(count, before.as_deref())).await
    }

    /// Destroys what is older than `before` and not held (see [`retention`](crate::retention)); returns of how many actions.
    /// Their receipts stay valid, what their digests are of can no longer be shown or guessed.
    ///
    /// # Errors
    /// If it cannot be written, or another process is reading the database: then old values may still
    /// lie in its write-ahead log.
    pub async fn purge(&self, before: Millis) -> Result<usize, StoreError> {
        let (swept, _) = self.sweep(before, false, Duration::MAX).await?;
        Ok(usize::try_from(swept.actions).unwrap_or(usize::MAX))
    }

    /// Stops `scope`, at once in this process and then on disk.
    ///
    /// # Errors
    /// If it could not be written: it is in force, but a restart would forget it.
    pub async fn kill(&self, scope: Scope, stop: Stop) -> Result<Arc<KillSet>, StoreError> {
        let stop_it = || self.shared.signals.set_kill_acts(|acts| acts.stop_it(&scope, stop.clone()));
        // Before its turn, since an earlier act may be waiting for a slow disk; and again in its turn,
        // since that act may have been a resume.
        stop_it();
        let _acting = self.shared.acting.lock().await;
        let set = stop_it();
        self.ask(move |worker| worker.kill(&scope, &stop)).await?;
        Ok(set)
    }

    /// Lets `scope` run again, on disk and then in this process. Returns what is stopped still: the
    /// file `kill` is not touched.
    ///
    /// # Errors
    /// If it could not be written: everything stays as it was.
    pub async fn resume(&self, scope: Scope) -> Result<Arc<KillSet>, StoreError> {
        let _acting = self.shared.acting.lock().await;
        let done = scope.clone();
        self.ask(move |worker| worker.resume(&done)).await?;
        Ok(self.shared.signals.set_kill_acts(|acts| acts.resume(&scope)))
    }

    /// Writes what is queued and ends the store's thread. Other handles get [`StoreError::Closed`].
    ///
    /// # Errors
    /// If something could not be written.
    pub async fn close(self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let job = Command::End(answer);
        self.shared.commands.send(job).await.map_err(|_| StoreError::Closed)?;
        self.shared.gathering.unpark();
        let result = answered.await.map_err(|_| StoreError::Closed)?;
        // It has nothing left to do but return.
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        result
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Worker) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Command::Run(Box::new(move |worker| {
            // Whoever asked may have gone; an act is done all the same.
            let _ = answer.send(question(worker));
        }));
        self.shared.commands.send(job).await.map_err(|_| StoreError::Closed)?;
        self.shared.gathering.unpark();
        answered.await.map_err(|_| StoreError::Closed)?
    }
}
