//! The store's own thread: the only one that touches SQLite.
//!
//! Records come through a bounded queue and are written in batches, one transaction each. If a batch
//! cannot be written it is kept and tried again, and meanwhile no new record is accepted: a record holds
//! the salt of a receipt that already stands in the ledger, and nobody could ever open that receipt's
//! digests without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use doorward_core::session::Millis;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;

use crate::StoreError;
use crate::accounts;
use crate::alert::{self, Alert};
use crate::approvals::{self, Grant};
use crate::batch::{Batch, Uses};
use crate::counted::{self, Counted};
use crate::home::Home;
use crate::judged::Judged;
use crate::kill::{Stop, Stops};
use crate::memo::{self, Change, Outbox};
use crate::once;
use crate::record::{MAX_CONTENT, RecordedAction};
use crate::seal::{Column, Sealer};
use crate::secret::Secret32;
use crate::stories::{self, Owner, Written};
use crate::{AgentName, Scope, SessionName};

/// Most records in one transaction.
const BATCH: usize = 512;

/// How long records gather before they are written. Nobody waits for them, and a transaction for each costs more
/// than everything else a decision takes: 100 µs of a core, against 20.
const GATHER: Duration = Duration::from_millis(5);

/// How long a failed batch waits for its next try.
const RETRY: Duration = Duration::from_millis(100);

/// How often counters that count no more are removed, in milliseconds.
const SWEEP: Millis = 60_000;

/// What the thread is asked for.
pub(crate) enum Command {
    Record(Box<RecordedAction>, Counted),
    /// Memos have changed: there is something in the outbox.
    Memos,
    /// Runs after everything that was recorded before it has been tried.
    Run(Box<dyn FnOnce(&mut Worker) + Send>),
    /// Writes what came before, closes the database, answers and ends.
    End(oneshot::Sender<Result<(), StoreError>>),
}

/// Why records cannot be written at present; `None` if they can.
pub(crate) type Trouble = ArcSwapOption<String>;

pub(crate) struct Worker {
    home: Home,
    connection: Connection,
    sealer: Sealer,
    pending: Vec<(RecordedAction, Counted)>,
    /// When counters that count no more were last removed, by the time of what was counted.
    swept: Millis,
    /// Changes of memos, taken out of the outbox.
    changes: Vec<Change>,
    outbox: Arc<Outbox>,
    /// When the first of them came.
    first: Option<Instant>,
    trouble: Arc<Trouble>,
}

impl Worker {
    pub(crate) const fn new(
        home: Home,
        connection: Connection,
        sealer: Sealer,
        outbox: Arc<Outbox>,
        trouble: Arc<Trouble>,
    ) -> Self {
        Self {
            home,
            connection,
            sealer,
            pending: Vec::new(),
            swept: 0,
            changes: Vec::new(),
            outbox,
            first: None,
            trouble,
        }
    }

    /// Serves until it is told to end or all senders are gone; what is left is tried once more.
    pub(crate) fn run(mut self, mut commands: Receiver<Command>) {
        let answer = self.serve(&mut commands);
        self.write_pending();
        let result = self.flushed();
        if result.is_err() {
            let (records, memos) = (self.pending.len(), self.changes.len());
            tracing::error!(lost = records, memos, "the store closed with records it could not write");
        }
        // Leaves one file instead of three; the database is complete without it.
        let _ = checkpoint(&self.connection);
        drop(self.connection);
        if let Some(answer) = answer {
            let _ = answer.send(result);
        }
    }

    fn serve(&mut self, commands: &mut Receiver<Command>) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        while let Some(first) = self.next(commands) {
            let mut next = Some(first);
            while let Some(command) = next.take() {
                match command {
                    Command::Record(record, counted) => {
                        if self.is_idle() {
                            self.first = Some(Instant::now());
                        }
                        self.pending.push((*record, counted));
                    }
                    Command::Memos => {
                        if self.is_idle() {
                            self.first = Some(Instant::now());
                        }
                        self.collect();
                    }
                    Command::Run(job) => {
                        self.write_pending();
                        job(self);
                    }
                    Command::End(answer) => return Some(answer),
                }
                if self.pending.len() < BATCH {
                    next = self.gathered(commands);
                }
            }
            self.write_pending();
        }
        None
    }

    /// Takes what lies in the outbox; not while it cannot be written, since only there it is bounded.
    fn collect(&mut self) {
        if self.changes.is_empty() || self.trouble.load().is_none() {
            self.changes.append(&mut self.outbox.take());
        }
    }

    /// Whether nothing waits to be written.
    const fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.changes.is_empty()
    }

    /// The next command of a batch: what is there, and what comes within [`GATHER`] of the first record.
    fn gathered(&self, commands: &mut Receiver<Command>) -> Option<Command> {
        let until = self.first.map(|first| first + GATHER);
        loop {
            match commands.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if self.is_idle() || left.is_zero() {
                return None;
            }
            // Who does wait for an answer ends the nap.
            std::thread::park_timeout(left);
        }
    }

    /// The next command, or `None` at the end. While a batch is failing it is tried again in between.
    fn next(&mut self, commands: &mut Receiver<Command>) -> Option<Command> {
        while !self.is_idle() {
            match commands.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            std::thread::sleep(RETRY);
            self.write_pending();
        }
        commands.blocking_recv()
    }

    /// Removes counters that count no more, now and then.
    fn sweep(&mut self, now: Millis) {
        if now >= self.swept.saturating_add(SWEEP) {
            self.swept = now;
            if let Err(error) = counted::sweep(&self.connection, now) {
                tracing::warn!(%error, "counters that count no more could not be removed");
            }
            if let Err(error) = accounts::usage::sweep(&self.connection, now) {
                tracing::warn!(%error, "what came of calls long ago could not be forgotten");
            }
            if let Err(error) = once::sweep(&self.connection, now) {
                tracing::warn!(%error, "requests that were done long ago could not be forgotten");
            }
        }
    }

    fn write_pending(&mut self) {
        loop {
            self.collect();
            if self.is_idle() {
                return;
            }
            if let Err(error) = write(&mut self.connection, &self.sealer, &self.pending, &self.changes) {
                let error = match error {
                    Failed::Sql(error) => self.failed(error),
                    Failed::Other(error) => error,
                };
                if self.trouble.swap(Some(Arc::new(error.to_string()))).is_none() {
                    tracing::error!(%error, "the store cannot write");
                }
                return;
            }
            let latest = self.pending.iter().map(|(_, counted)| counted.now).max().unwrap_or_default();
            self.pending.clear();
            self.changes.clear();
            self.sweep(latest);
            if self.trouble.swap(None).is_none() {
                return;
            }
            tracing::info!("the store writes again");
            // And now what was left in the outbox meanwhile.
        }
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::Database { db: self.home.store_db(), error }
    }

    /// `Ok` if everything recorded before has been written.
    pub(crate) fn flushed(&self) -> Result<(), StoreError> {
        match self.trouble.load_full() {
            Some(why) if !self.is_idle() => Err(StoreError::Unavailable(why.as_str().to_owned())),
            _ => Ok(()),
        }
    }

    pub(crate) fn story(&self, owner: &Owner) -> Result<Written, StoreError> {
        self.flushed()?;
        stories::read_one(&self.connection, &self.sealer, owner).map_err(|error| self.failed(error))?
    }

    pub(crate) fn action(&self, receipt: &str) -> Result<Option<RecordedAction>, StoreError> {
        let sql = "SELECT receipt, time, action, salt, content, judged, url FROM actions WHERE receipt = ?1";
        let row = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([receipt], Stored::read).optional())
            .map_err(|error| self.failed(error))?;
        row.map(|row| row.open(&self.sealer)).transpose()
    }

    pub(crate) fn latest(
        &self,
        count: usize,
        before: Option<&str>,
    ) -> Result<Vec<RecordedAction>, StoreError> {
        // Without their content: a list of them could be gigabytes.
        let sql = "SELECT receipt, time, action, salt, NULL, NULL, NULL FROM actions
                   WHERE seq < coalesce((SELECT seq FROM actions WHERE receipt = ?1), 9223372036854775807)
                   ORDER BY seq DESC LIMIT ?2";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows: Vec<Stored> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(params![before, count], Stored::read)?.collect())
            .map_err(|error| self.failed(error))?;
        rows.into_iter().map(|row| row.open(&self.sealer)).collect()
    }

    /// Does `act` in one transaction.
    pub(crate) fn transact<T>(
        &mut self,
        act: impl FnOnce(&Connection, &Sealer) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        let act = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let done = act(&transaction, &self.sealer)?;
            transaction.commit()?;
            Ok(done)
        };
        let done: Result<T, Failed> = act(&mut self.connection);
        done.map_err(|error| match error {
            Failed::Sql(error) => self.failed(error),
            Failed::Other(error) => error,
        })
    }

    /// Takes the write-ahead log over into the database and empties it: old pages lie on in it until then.
    pub(crate) fn take_over(&self) -> Result<(), StoreError> {
        if checkpoint(&self.connection).map_err(|error| self.failed(error))? {
            return Ok(());
        }
        let why = "another process reads the database, so purged values are still in its write-ahead log";
        Err(StoreError::Unavailable(why.into()))
    }

    pub(crate) fn keep_grant(&mut self, grant: &Grant) -> Result<(), StoreError> {
        approvals::keep(&self.connection, &self.sealer, grant)
    }

    pub(crate) fn forget_grants(&mut self, ids: &[String]) -> Result<(), StoreError> {
        approvals::forget(&self.connection, ids)
    }

    pub(crate) fn keep_alert(&self, alert: &Alert) -> Result<(), StoreError> {
        alert::write(&self.connection, &self.sealer, alert)
    }

    pub(crate) fn kill(&mut self, scope: &Scope, stop: &Stop) -> Result<(), StoreError> {
        let sql = "INSERT INTO kill (agent, by, reason, since) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (agent) DO UPDATE SET by = ?2, reason = ?3, since = ?4";
        let since = i64::try_from(stop.since).unwrap_or(i64::MAX);
        let agent = key(scope);
        self.durably(|connection| connection.execute(sql, params![agent, stop.by, stop.reason, since]))
    }

    pub(crate) fn resume(&mut self, scope: &Scope) -> Result<(), StoreError> {
        match scope {
            Scope::All => self.durably(|connection| connection.execute("DELETE FROM kill", [])),
            Scope::Agent(agent) => self.durably(|connection| {
                let sql = "DELETE FROM kill WHERE agent = ?1 OR substr(agent, 1, length(?1) + 1) = ?1 || '/'";
                connection.execute(sql, [agent.as_str()])
            }),
            Scope::Session(session) => self.durably(|connection| {
                connection.execute("DELETE FROM kill WHERE agent = ?1", [session.as_str()])
            }),
        }
    }

    /// Runs `act` so that what it writes also survives a power cut.
    pub(crate) fn durable<T>(
        &self,
        act: impl FnOnce(&Connection, &Sealer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let full = self.connection.pragma_update(None, "synchronous", "full");
        let done =
            full.map_err(|error| self.failed(error)).and_then(|()| act(&self.connection, &self.sealer));
        let restored = self.connection.pragma_update(None, "synchronous", "normal");
        restored.map_err(|error| self.failed(error)).and(done)
    }

    /// Runs `act` in one transaction.
    pub(crate) fn in_one<T>(
        &mut self,
        act: impl FnOnce(&Connection, &Sealer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = |error| StoreError::Database { db: self.home.store_db(), error };
        let transaction = self.connection.transaction().map_err(failed)?;
        let done = act(&transaction, &self.sealer)?;
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    /// Runs one statement so that it also survives a power cut.
    fn durably(
        &self,
        act: impl FnOnce(&Connection) -> Result<usize, rusqlite::Error>,
    ) -> Result<(), StoreError> {
        let result = self
            .connection
            .pragma_update(None, "synchronous", "full")
            .and_then(|()| act(&self.connection))
            .map(drop);
        let restored = self.connection.pragma_update(None, "synchronous", "normal");
        result.and(restored).map_err(|error| self.failed(error))
    }

    pub(crate) fn kill_acts(&self) -> Result<Stops, StoreError> {
        let mut stops = Stops::default();
        let read = |row: &Row<'_>| {
            let since: i64 = row.get(3)?;
            let stop =
                Stop { by: row.get(1)?, reason: row.get(2)?, since: u64::try_from(since).unwrap_or(0) };
            Ok((row.get::<_, String>(0)?, stop))
        };
        let rows: Vec<(String, Stop)> = self
            .connection
            .prepare("SELECT agent, by, reason, since FROM kill")
            .and_then(|mut statement| statement.query_map([], read)?.collect())
            .map_err(|error| self.failed(error))?;
        for (who, stop) in rows {
            let scope = match (AgentName::new(&who), SessionName::new(&who)) {
                (Ok(agent), _) => Scope::Agent(agent),
                (_, Ok(session)) => Scope::Session(session),
                // `*`, and whatever else stands there that we cannot read.
                _ => Scope::All,
            };
            stops.stop_it(&scope, stop);
        }
        Ok(stops)
    }
}

/// Empties the write-ahead log; `false` if a reader kept it from being emptied.
fn checkpoint(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}

fn key(scope: &Scope) -> &str {
    match scope {
        Scope::All => "*",
        Scope::Agent(agent) => agent.as_str(),
        Scope::Session(session) => session.as_str(),
    }
}

/// Why a batch could not be written.
pub(crate) enum Failed {
    Sql(rusqlite::Error),
    Other(StoreError),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

pub(crate) fn write(
    connection: &mut Connection,
    sealer: &Sealer,
    records: &[(RecordedAction, Counted)],
    changes: &[Change],
) -> Result<(), Failed> {
    let batch = Batch::of(records, changes);
    let mut uses = Uses::default();
    let transaction = connection.transaction()?;
    memo::write(&transaction, sealer, changes, &batch)?;
    {
        // The same id twice is a fault of the caller; failing would keep the batch from ever being
        // written, and the first record is the one its receipt speaks of.
        let sql = "INSERT INTO actions (receipt, time, action, salt, content, judged, url)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT (receipt) DO NOTHING";
        let mut statement = transaction.prepare_cached(sql)?;
        for (record, counted) in records {
            let row = record.receipt.as_str();
            let action = sealer.seal(Column::Action, row, &record.encode())?;
            let salt = match &record.salt {
                Some(salt) => Some(sealer.seal(Column::Salt, row, salt.expose())?),
                None => None,
            };
            let content = match &record.content {
                Some(content) => {
                    let kept = content.get(..MAX_CONTENT).unwrap_or(content);
                    Some(sealer.seal(Column::Content, row, kept)?)
                }
                None => None,
            };
            // Purged with the salt: without one it would never be found.
            let judged = match record.judged.as_ref().filter(|_| salt.is_some()) {
                Some(judged) => Some(sealer.seal(Column::Judged, row, &judged.encode())?),
                None => None,
            };
            let url = match record.url.as_ref().filter(|_| salt.is_some()) {
                Some(url) => Some(sealer.seal(Column::Url, row, url.as_bytes())?),
                None => None,
            };
            let time = i64::try_from(record.time).unwrap_or(i64::MAX);
            if statement.execute(params![row, time, action, salt, content, judged, url])? == 0 {
                tracing::error!(receipt = row, "recorded twice; the first record stays");
            }
            counted::record(&transaction, sealer, row, counted, (&batch, &mut uses))?;
        }
    }
    batch.write(&transaction, &uses)?;
    if let Some(reached) = records.iter().map(|(_, counted)| counted.ledger_size).max() {
        counted::reached(&transaction, reached)?;
    }
    Ok(transaction.commit()?)
}

/// A row as it lies in the database.
pub(crate) struct Stored {
    receipt: String,
    time: i64,
    action: Vec<u8>,
    salt: Option<Vec<u8>>,
    content: Option<Vec<u8>>,
    judged: Option<Vec<u8>>,
    url: Option<Vec<u8>>,
}

impl Stored {
    /// The first seven columns of `row`: receipt, time, action, salt, content, judged, url.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            receipt: row.get(0)?,
            time: row.get(1)?,
            action: row.get(2)?,
            salt: row.get(3)?,
            content: row.get(4)?,
            judged: row.get(5)?,
            url: row.get(6)?,
        })
    }

    pub(crate) fn open(self, sealer: &Sealer) -> Result<RecordedAction, StoreError> {
        let row = self.receipt.as_str();
        let damaged = |column: Column| StoreError::Damaged { what: column.as_str(), row: row.to_owned() };
        let time = u64::try_from(self.time).unwrap_or(0);
        if self.action.is_empty() {
            return Ok(RecordedAction::scrubbed(row, time));
        }
        let action = sealer.open(Column::Action, row, &self.action)?;
        let mut record = RecordedAction::decode(row, time, &action).ok_or_else(|| damaged(Column::Action))?;
        if let Some(salt) = &self.salt {
            let salt = sealer.open(Column::Salt, row, salt)?;
            record.salt = Some(Secret32::from_slice(&salt).ok_or_else(|| damaged(Column::Salt))?);
        }
        if let Some(content) = &self.content {
            record.content = Some(sealer.open(Column::Content, row, content)?.to_vec());
        }
        if let Some(url) = &self.url {
            let url = sealer.open(Column::Url, row, url)?;
            record.url = Some(String::from_utf8_lossy(&url).into_owned());
        }
        if let Some(judged) = &self.judged {
            // What another version wrote may not be understood: then it cannot be judged again.
            record.judged = Judged::decode(&sealer.open(Column::Judged, row, judged)?).map(Box::new);
        }
        Ok(record)
    }
}
