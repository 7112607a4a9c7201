//! Keys, the agents issued under them, and their credits.
//!
//! Both are in memory, whole, and are read there: a key without a lock, a balance under a short one. What a person
//! does to a key is on disk before it is in force; what actions use of credits is written with their records
//! ([`lots`]). A grant is prepared on disk, recorded in the ledger, and counts only then: the ledger says which credits there
//! are.

mod key;
pub use key::{Compromise, Key, KeyState, MOST_ISSUED, is_agent_id, is_key_id, parse_credential};

mod lots;
pub(crate) use lots::CreditChange;
pub(crate) use lots::write;
pub use lots::{CaughtUp, HeldCredits, KeptCredits, LotRecord, Spending};
pub(crate) use lots::{hold, use_lot};

pub mod usage;
use usage::Usage;
pub(crate) use usage::UsedOnce;

pub mod settings;
pub use settings::{BUDGETS, Budget, Drift, MOST_AGENTS, Settings, Signature};

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use doorward_core::account::credits::Lacking;
use doorward_core::account::{Balance, Lot};
use doorward_core::session::Millis;
use rusqlite::{Connection, params};

use self::lots::Standing;
use crate::seal::{Column, Sealer};
use crate::signals::Signal;
use crate::{Store, StoreError};

/// The most keys.
pub const MOST_KEYS: usize = 10_000;

/// Whose an id is that names an agent under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It was issued, and has limits of its own.
    Issued,
    /// Nobody issued it: it shares the limits of all such.
    Unissued,
}

/// What a key has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// How many credits.
    pub credits: u64,
    /// When the first of them expire.
    pub oldest_expiry: Option<Millis>,
}

/// All keys.
#[derive(Debug, Default)]
pub struct Accounts {
    keys: ArcSwap<HashMap<Arc<str>, Arc<Key>>>,
    balances: Mutex<HashMap<Arc<str>, Balance>>,
    /// Ids that came and nobody issued, by key, the one seen last at the end.
    unissued: Mutex<HashMap<Arc<str>, VecDeque<String>>>,
    /// What earlier processes left, until somebody takes it.
    kept: Mutex<KeptCredits>,
    /// What came of their calls.
    usage: Usage,
}

impl Accounts {
    /// Reads what lies in the database.
    pub(crate) fn read(
        connection: &Connection,
        sealer: &Sealer,
    ) -> Result<Result<Self, StoreError>, rusqlite::Error> {
        let mut keys = HashMap::new();
        let mut all = connection.prepare("SELECT id, body, secret FROM keys")?;
        let rows = all.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        for row in rows {
            let (id, body, secret) = row?;
            let opened = sealer.open(Column::Key, &id, &body);
            let opened = opened.and_then(|body| Ok((body, sealer.open(Column::KeySecret, &id, &secret)?)));
            let key = match opened {
                Ok((body, secret)) => Key::decode(&id, &body, &secret),
                Err(error) => return Ok(Err(error)),
            };
            // A key that was paused must not come back as nothing at all.
            let Some(key) = key else {
                return Ok(Err(StoreError::Damaged { what: Column::Key.as_str(), row: id }));
            };
            keys.insert(Arc::clone(&key.id), Arc::new(key));
        }
        let now = crate::kill::millis(std::time::SystemTime::now());
        let usage = Usage::read(connection, now)?;
        let accounts = Self { keys: ArcSwap::from_pointee(keys), usage, ..Self::default() };
        for record in lots::lots(connection, None, Standing::Live)? {
            accounts.add(&record.key, record.lot, now);
        }
        *lock(&accounts.kept) = lots::read(connection)?;
        Ok(Ok(accounts))
    }

    /// The key with this id. For the hot path: no lock, no file.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<Arc<Key>> {
        self.keys.load().get(id).cloned()
    }

    /// All keys, in the order in which they were made.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Key>> {
        let mut all: Vec<Arc<Key>> = self.keys.load().values().cloned().collect();
        all.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        all
    }

    /// Whether this id was issued under `key`. Of the others the latest are remembered, so that they can be listed.
    pub fn identify(&self, key: &Key, agent: &str) -> Identity {
        if key.agents.contains_key(agent) {
            return Identity::Issued;
        }
        let most = usize::from(key.settings.unissued);
        let mut all = lock(&self.unissued);
        let seen = all.entry(Arc::clone(&key.id)).or_default();
        if seen.back().is_none_or(|last| last != agent) {
            seen.retain(|known| known != agent);
            seen.push_back(agent.to_owned());
            while seen.len() > most {
                seen.pop_front();
            }
        }
        Identity::Unissued
    }

    /// Ids that came under this key since the process started and that nobody issued, the latest ones.
    #[must_use]
    pub fn unissued(&self, key: &str) -> BTreeSet<String> {
        lock(&self.unissued).get(key).into_iter().flatten().cloned().collect()
    }

    /// Forgets the ids that came under a key and that nobody issued.
    pub fn forget_unissued(&self, key: &str) {
        lock(&self.unissued).remove(key);
    }

    /// What a key has left at `now`.
    #[must_use]
    pub fn remaining(&self, key: &str, now: Millis) -> Remaining {
        let balances = lock(&self.balances);
        let of = |balance: &Balance| Remaining {
            credits: balance.remaining(now),
            oldest_expiry: balance.oldest_expiry(now),
        };
        balances.get(key).map(of).unwrap_or_default()
    }

    /// The time as the account of this key has it: it never goes back.
    #[must_use]
    pub fn time(&self, key: &str, now: Millis) -> Millis {
        lock(&self.balances).get(key).map_or(now, |balance| balance.time(now))
    }

    /// Whether the account of this key can take one more lot.
    #[must_use]
    pub fn has_room(&self, key: &str, now: Millis) -> bool {
        lock(&self.balances).get(key).is_none_or(|balance| balance.has_room(now))
    }

    /// Reserves credits of a key: all of them, or none.
    ///
    /// # Errors
    /// How many there are, if they are not enough.
    pub fn reserve(&self, key: &Arc<str>, amount: u64, now: Millis) -> Result<Spending, Lacking> {
        let mut balances = lock(&self.balances);
        let balance = balances.get_mut(key).ok_or(Lacking { remaining: 0 })?;
        Ok(Spending { key: Arc::clone(key), parts: balance.reserve(amount, now)? })
    }

    /// Gives back what was reserved.
    pub fn release(&self, spending: &Spending) {
        if let Some(balance) = lock(&self.balances).get_mut(&spending.key) {
            balance.release(&spending.parts);
        }
    }

    /// Counts what a receipt says was used.
    pub fn use_up(&self, spending: &Spending) {
        if let Some(balance) = lock(&self.balances).get_mut(&spending.key) {
            spending.parts.iter().for_each(|part| balance.use_up(*part));
        }
    }

    /// What came of the calls of each key.
    #[must_use]
    pub const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// All balances, to be compared with the ledger.
    #[must_use]
    pub fn balances(&self) -> HashMap<Arc<str>, Balance> {
        lock(&self.balances).clone()
    }

    /// What earlier processes left. Whoever asks first gets it.
    #[must_use]
    pub fn take_kept(&self) -> KeptCredits {
        std::mem::take(&mut *lock(&self.kept))
    }

    /// Puts a lot in force, and says whether there was room for it.
    fn add(&self, key: &Arc<str>, lot: Lot, now: Millis) -> bool {
        lock(&self.balances).entry(Arc::clone(key)).or_default().grant(lot, now)
    }

    fn put(&self, key: Arc<Key>) {
        self.keys.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.insert(Arc::clone(&key.id), Arc::clone(&key));
            keys
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a key.
pub(crate) fn keep(connection: &Connection, sealer: &Sealer, key: &Key) -> Result<(), StoreError> {
    let body = sealer.seal(Column::Key, &key.id, &key.encode())?;
    let secret = sealer.seal(Column::KeySecret, &key.id, &key.encode_secrets())?;
    let sql = "INSERT OR REPLACE INTO keys (id, body, secret) VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![key.id, body, secret]).map(drop).map_err(unwritten)
}

fn unwritten(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("a key or its credits cannot be written: {error}"))
}

/// Why an act on a key was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// There is no such key.
    #[error("there is no key {0}; `doorward key list` shows those there are")]
    Unknown(String),
    /// It is not as the act wants it.
    #[error("{0}")]
    Refused(String),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Keys and credits.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        self.shared_accounts()
    }

    /// Keeps a fresh key, and puts it in force.
    ///
    /// # Errors
    /// If it cannot be written, or there are too many.
    pub async fn add_key(&self, key: Key) -> Result<Arc<Key>, NotDone> {
        let _acting = self.acting().await;
        if self.accounts().keys.load().len() >= MOST_KEYS {
            return Err(NotDone::Refused(format!(
                "there are {MOST_KEYS} keys already, and no more are kept"
            )));
        }
        self.keep_key(Arc::new(key)).await
    }

    /// Changes a key, on disk and then in force, and lets what has a permit be judged again.
    ///
    /// # Errors
    /// If there is no such key, `change` refuses, or it cannot be written; then it is as it was.
    pub async fn change_key(
        &self,
        id: &str,
        change: impl FnOnce(Key) -> Result<Key, NotDone>,
    ) -> Result<Arc<Key>, NotDone> {
        let _acting = self.acting().await;
        let key = self.accounts().key(id).ok_or_else(|| NotDone::Unknown(id.chars().take(80).collect()))?;
        let changed = change(Key::clone(&key))?;
        self.keep_key(Arc::new(changed)).await
    }

    /// Suspends a key, at once in this process and then on disk.
    ///
    /// # Errors
    /// If there is no such key. If it could not be written: it is in force, but a restart would forget it.
    pub async fn suspend_key(&self, id: &str, compromise: Compromise) -> Result<Arc<Key>, NotDone> {
        let unknown = || NotDone::Unknown(id.chars().take(80).collect());
        let suspend = |key: Arc<Key>| Arc::new(Key::clone(&key).compromised(compromise.clone()));
        // Before its turn, since an earlier act may be waiting for a slow disk; and again in its turn, since that act may
        // have written the key as it was before.
        let now = self.accounts().key(id).ok_or_else(unknown)?;
        if now.state == KeyState::Active {
            self.accounts().put(Arc::new(Key::clone(&now).in_state(KeyState::Suspended, compromise.at)));
            self.signals().bump(Signal::Key);
        }
        let _acting = self.acting().await;
        let key = suspend(self.accounts().key(id).ok_or_else(unknown)?);
        self.accounts().put(Arc::clone(&key));
        self.signals().bump(Signal::Key);
        self.keep_key(key).await
    }

    /// Keeps with a key how somebody with it touched a decoy, and lets it be used on.
    ///
    /// # Errors
    /// If there is no such key, or it cannot be written.
    pub async fn note_compromise(&self, id: &str, compromise: Compromise) -> Result<Arc<Key>, NotDone> {
        self.change_key(id, |key| Ok(key.noted(compromise))).await
    }

    /// Counts what came of a call of `key`. Never waits: it is written with the next batch of records.
    pub fn count_usage(&self, key: &Arc<str>, outcome: &str, now: Millis) {
        if let Some(used) = self.accounts().usage.count(key, outcome, now) {
            self.change_usage(used);
        }
    }

    async fn keep_key(&self, key: Arc<Key>) -> Result<Arc<Key>, NotDone> {
        let written = Arc::clone(&key);
        self.ask(move |worker| worker.durable(|connection, sealer| keep(connection, sealer, &written)))
            .await?;
        self.accounts().put(Arc::clone(&key));
        self.signals().bump(Signal::Key);
        Ok(key)
    }

    /// Prepares a lot: it lies on disk under a number of its own, and does not count before
    /// [`confirm_lot`](Self::confirm_lot). `record.lot.number` is not looked at.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn prepare_lot(&self, record: LotRecord) -> Result<Lot, StoreError> {
        let lot = record.lot;
        let prepare =
            move |connection: &Connection, _: &Sealer| lots::prepare(connection, &record).map_err(unwritten);
        let number = self.ask(move |worker| worker.durable(prepare)).await?;
        Ok(Lot { number, used: 0, ..lot })
    }

    /// The grant of a prepared lot stands in the ledger: it counts from now on.
    ///
    /// # Errors
    /// If it cannot be written; a restart then finds out by itself.
    pub async fn confirm_lot(&self, key: &Arc<str>, lot: Lot) -> Result<(), StoreError> {
        let of = Arc::clone(key);
        let confirm = move |connection: &Connection, _: &Sealer| {
            lots::standing(connection, &of, lot.number, Standing::Live).map(drop).map_err(unwritten)
        };
        // It counts whether or not that is written: the ledger says so.
        if !self.accounts().add(key, lot, lot.granted) {
            tracing::error!(key = &**key, lot = lot.number, "a lot is beyond the bounds, and does not count");
        }
        self.ask(move |worker| worker.durable(confirm)).await
    }

    /// The lots of a key that were ever granted, the latest last.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn lots(&self, key: &str) -> Result<Vec<LotRecord>, StoreError> {
        let key = key.to_owned();
        let read = move |connection: &Connection, _: &Sealer| {
            lots::lots(connection, Some(&key), Standing::Live).map_err(unwritten)
        };
        self.ask(move |worker| worker.durable(read)).await
    }

    /// The outcome of the action with this receipt is known; `back` is given back of what it held. Call it when that
    /// outcome stands in the ledger. Never waits: it is written with the next batch of records.
    pub fn settle_credits(&self, receipt: String, back: Option<Spending>) {
        if let Some(back) = &back {
            self.accounts().release(back);
        }
        self.change_credits(CreditChange::Settle { receipt, back });
    }

    /// What was found in the ledger at the start; memory is told too. Never waits.
    pub fn credits_caught_up(&self, caught: CaughtUp, lots: &[LotRecord]) {
        let accounts = self.accounts();
        for LotRecord { key, lot, .. } in lots {
            if caught.granted.iter().any(|(of, number)| of == key && *number == lot.number) {
                accounts.add(key, *lot, lot.granted);
            }
        }
        caught.back.iter().for_each(|back| accounts.release(back));
        caught.used.iter().for_each(|used| accounts.use_up(used));
        self.change_credits(CreditChange::Caught(Box::new(caught)));
    }
}
