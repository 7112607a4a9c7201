//! Credits as people give them: granted on disk and in the ledger, and counted anew from it.

use std::sync::Arc;

use doorward_core::account::Lot;
use doorward_core::account::credits::{MOST_IN_LOT, MOST_LOTS, expiry};
use doorward_core::session::Millis;
use doorward_store::Store;
use doorward_store::accounts::{LotRecord, NotDone};

use crate::id::fresh_id;
use crate::record::Recorder;

pub use crate::budgets::{Audit, Differs, Drawn, INSUFFICIENT, audit, draw};

pub use crate::budgets::record_snapshot;

/// Gives a key so many credits for so many months. They count once the ledger has it.
///
/// # Errors
/// If there is no such key, it cannot have so many, or it could not be written.
pub async fn grant(
    recorder: &Recorder,
    store: &Store,
    key: &str,
    (amount, months): (u64, u32),
    by: &str,
    now: Millis,
) -> Result<LotRecord, NotDone> {
    let accounts = store.accounts();
    let refused = |why: String| Err(NotDone::Refused(why));
    let Some(key) = accounts.key(key) else { return Err(NotDone::Unknown(key.chars().take(80).collect())) };
    if !(1..=MOST_IN_LOT).contains(&amount) {
        return refused(format!("credits are granted 1 to {MOST_IN_LOT} at a time"));
    }
    let granted = accounts.time(&key.id, now);
    let Some(expires) = expiry(granted, months).filter(|expires| *expires > granted) else {
        return refused(format!("credits cannot be valid for {months} months"));
    };
    if !accounts.has_room(&key.id, now) {
        return refused(format!(
            "the key has {MOST_LOTS} lots of credits already; wait until one has expired"
        ));
    }
    let receipt = fresh_id(now)?;
    let lot = Lot { number: 0, amount, used: 0, granted, expires };
    let record = LotRecord { key: Arc::clone(&key.id), lot, receipt, by: by.to_owned() };
    let lot = store.prepare_lot(record.clone()).await?;
    let record = LotRecord { lot, ..record };
    if let Err(why) = recorder.granted(&record).await {
        // Nobody knows whether it is in the ledger: the next start finds out.
        return refused(format!("the grant could not be recorded, and does not count: {why}"));
    }
    store.confirm_lot(&record.key, lot).await?;
    Ok(record)
}
