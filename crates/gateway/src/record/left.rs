//! What an earlier process left to be counted: what its store knows, and the receipts that it did not live to record.

use doorward_ledger::receipt::Kind;
use doorward_ledger::{Log, LogError, Receipt};
use doorward_store::{Kept, Store};

/// How many receipts are looked at where nothing says how many there are: more than can be on their way at once.
const MOST_ON_THEIR_WAY: u64 = 20_000;

/// What an earlier process left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// What it counted and its store has.
    pub kept: Kept,
    /// Receipts with charges that may not have been recorded.
    pub receipts: Vec<Receipt>,
    /// How many receipts the ledger has.
    pub size: u64,
}

impl Left {
    /// Reads it, from the end of `log`.
    ///
    /// # Errors
    /// If a receipt cannot be read.
    pub fn read(log: &Log, store: &Store) -> Result<Self, LogError> {
        let kept = store.take_counted();
        let size = log.size();
        let from = kept.ledger_size.unwrap_or_else(|| size.saturating_sub(MOST_ON_THEIR_WAY)).min(size);
        let mut receipts = Vec::new();
        for entry in log.view().entries(from..size) {
            let (_, bytes) = entry?;
            // Most have none, and reading takes longer than looking for the word.
            if !bytes.windows(CHARGED.len()).any(|window| window == CHARGED) {
                continue;
            }
            let receipt = Receipt::parse(&bytes).ok();
            receipts.extend(
                receipt.filter(|receipt| {
                    matches!(receipt.kind(), Kind::Decision | Kind::Opened | Kind::Outcome)
                }),
            );
        }
        Ok(Self { kept, receipts, size })
    }
}

/// How a list of charges begins that is not empty.
const CHARGED: &[u8] = b"\"charges\":[{";
