//! Acts of a person while no process runs: they are written where the next process finds them, and recorded.

use doorward_ledger::receipt::{ControlRecord, Kind};
use doorward_ledger::{Draft, Durability, Log};
use doorward_store::{Home, HomeLock, Options, Store};

use crate::{ledger_key, serve};

/// Who acts on the files themselves: nobody can tell.
pub const BY: &str = "unauthenticated";

/// The receipt of an act.
pub struct Event<'a> {
    /// What was done: `kill`.
    pub event: &'static str,
    /// To what.
    pub target: &'a str,
    /// Why, or on which terms; may be empty.
    pub message: &'a str,
}

/// Does `act` on the store, then records `event`.
///
/// # Errors
/// If either could not be done.
pub fn act<T, E: Into<anyhow::Error>>(
    lock: &HomeLock,
    home: &Home,
    event: &Event<'_>,
    act: impl AsyncFnOnce(&Store) -> Result<T, E>,
) -> anyhow::Result<T> {
    ledger_key::settle(home)?;
    let key = ledger_key::signing_key(home)?;
    let node = key.public().name().to_owned();
    let time = serve::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let done = runtime.block_on(async {
        let store = Store::open(lock, Options::default())?;
        let done = act(&store).await.map_err(Into::into)?;
        store.close().await?;
        Ok::<_, anyhow::Error>(done)
    })?;
    let Event { event, target, message } = *event;
    let message = (!message.is_empty()).then_some(message);
    let record = ControlRecord { event, by: Some(BY), target: Some(target), message, epoch: &[] };
    let id = doorward_gateway::fresh_id(time)?;
    let leaf = Draft::new(Kind::Control, &id, time, &node).control(record).seal()?;
    let mut log = Log::open(&home.log_dir(), key, Durability::Disk)?;
    let checkpoint = log.append_reserved(&[leaf])?;
    home.remember_checkpoint(checkpoint.text())?;
    Ok(done)
}
