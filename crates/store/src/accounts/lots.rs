//! Credits on disk: lots, and what actions hold of them.
//!
//! An action's use of a lot is written in the transaction of its record, as every limit's is (`counted`). Beside it
//! stands that the action holds it, until its outcome is known: a process that is killed in between leaves the
//! question to the next one, which finds the answer in the ledger.

use std::sync::Arc;

use doorward_core::account::{Lot, Part};
use doorward_core::session::Millis;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::batch::Uses;
use crate::worker::Failed;

/// The name, among what is kept of the store itself, of how long the ledger was when credits were last compared with
/// it.
const CAUGHT: &str = "credits_caught";

/// Credits of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The key.
    pub key: Arc<str>,
    /// Which lots, and how much of each.
    pub parts: Vec<Part>,
}

impl Spending {
    /// How many credits.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.parts.iter().map(|part| part.amount).sum()
    }

    /// As it lies in the database: `KEY LOT:AMOUNT …`.
    fn encode(&self) -> String {
        let parts = self.parts.iter().map(|part| format!(" {}:{}", part.lot, part.amount));
        format!("{}{}", self.key, parts.collect::<String>())
    }

    fn decode(text: &str) -> Option<Self> {
        let (key, parts) = text.split_once(' ')?;
        let part = |text: &str| {
            let (lot, amount) = text.split_once(':')?;
            Some(Part { lot: lot.parse().ok()?, amount: amount.parse().ok()? })
        };
        Some(Self { key: key.into(), parts: parts.split(' ').map(part).collect::<Option<_>>()? })
    }
}

/// A lot, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotRecord {
    /// Whose.
    pub key: Arc<str>,
    /// The lot.
    pub lot: Lot,
    /// The receipt of its grant.
    pub receipt: String,
    /// Who granted it.
    pub by: String,
}

/// What an action holds whose outcome was not known when a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCredits {
    /// The receipt of its decision.
    pub receipt: String,
    /// How many receipts the ledger had at least before that one.
    pub since: u64,
    /// What it holds.
    pub spending: Spending,
}

/// What earlier processes left of credits.
#[derive(Clone, Debug, Default)]
pub struct KeptCredits {
    /// What actions hold.
    pub held: Vec<HeldCredits>,
    /// Actions that were settled before they were recorded, and what is given back of what they held.
    pub early: Vec<(String, Option<Spending>)>,
    /// Lots of which nobody knows whether their grant was recorded.
    pub unsure: Vec<LotRecord>,
    /// How long the ledger was when the store last had all of it.
    pub caught: u64,
}

/// What was found out at the start.
#[derive(Debug, Default)]
pub struct CaughtUp {
    /// What was used and not recorded.
    pub used: Vec<Spending>,
    /// What was given back and not recorded.
    pub back: Vec<Spending>,
    /// Actions that hold nothing any more.
    pub settled: Vec<String>,
    /// Lots whose grant is in the ledger, by key and number.
    pub granted: Vec<(Arc<str>, u32)>,
    /// Lots whose grant is not.
    pub void: Vec<(Arc<str>, u32)>,
    /// How long the ledger is.
    pub ledger_size: u64,
}

/// A change that is no part of a record.
#[derive(Debug)]
pub(crate) enum CreditChange {
    /// The outcome of an action is known; these are given back.
    Settle { receipt: String, back: Option<Spending> },
    /// What was found out at the start.
    Caught(Box<CaughtUp>),
}

/// Writes that a recorded action holds `spending`, which `uses` has.
pub(crate) fn hold(
    transaction: &Transaction<'_>,
    receipt: &str,
    spending: &Spending,
    since: u64,
    uses: &mut Uses,
) -> Result<(), Failed> {
    let sql = "INSERT INTO held (receipt, since, spending, settled) VALUES (?1, ?2, ?3, 0)
               ON CONFLICT (receipt) DO NOTHING";
    let row = params![receipt, number(since), spending.encode()];
    if transaction.prepare_cached(sql)?.execute(row)? == 0 {
        // It is settled already: that went by another way, and was quicker.
        let sql = "SELECT spending FROM held WHERE receipt = ?1";
        let back: String = transaction.prepare_cached(sql)?.query_row([receipt], |row| row.get(0))?;
        if let Some(back) = Spending::decode(&back) {
            uses.add(&back, -1);
        }
        remove(transaction, receipt)?;
    }
    Ok(())
}

/// Writes that so much more of a lot is used.
pub(crate) fn use_lot(transaction: &Transaction<'_>, key: &str, lot: u32, amount: i64) -> Result<(), Failed> {
    let sql = "UPDATE lots SET used = used + ?3 WHERE key = ?1 AND number = ?2";
    transaction.prepare_cached(sql)?.execute(params![key, lot, amount])?;
    Ok(())
}

/// Writes other changes.
pub(crate) fn write(transaction: &Transaction<'_>, change: &CreditChange) -> Result<(), Failed> {
    match change {
        CreditChange::Settle { receipt, back } => {
            if remove(transaction, receipt)? > 0 {
                back.iter().try_for_each(|back| add(transaction, back, -1))?;
            } else {
                // Its record is still on its way: what is given back was not taken yet.
                let back = back.as_ref().map(Spending::encode).unwrap_or_default();
                let sql =
                    "INSERT OR REPLACE INTO held (receipt, since, spending, settled) VALUES (?1, 0, ?2, 1)";
                transaction.prepare_cached(sql)?.execute(params![receipt, back])?;
            }
        }
        CreditChange::Caught(caught) => {
            caught.used.iter().try_for_each(|used| add(transaction, used, 1))?;
            caught.back.iter().try_for_each(|back| add(transaction, back, -1))?;
            caught.settled.iter().try_for_each(|receipt| remove(transaction, receipt).map(drop))?;
            for (key, lot) in &caught.granted {
                standing(transaction, key, *lot, Standing::Live)?;
            }
            for (key, lot) in &caught.void {
                standing(transaction, key, *lot, Standing::Void)?;
            }
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
            transaction.execute(sql, params![CAUGHT, caught.ledger_size.to_be_bytes()])?;
        }
    }
    Ok(())
}

fn remove(transaction: &Transaction<'_>, receipt: &str) -> Result<usize, Failed> {
    Ok(transaction.prepare_cached("DELETE FROM held WHERE receipt = ?1")?.execute([receipt])?)
}

fn add(transaction: &Transaction<'_>, spending: &Spending, sign: i64) -> Result<(), Failed> {
    let used = |part: &Part| use_lot(transaction, &spending.key, part.lot, number(part.amount) * sign);
    spending.parts.iter().try_for_each(used)
}

/// Whether a lot counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its grant is on its way into the ledger.
    Unsure = 0,
    /// It does.
    Live = 1,
    /// Its grant was not recorded. Its number is not given again.
    Void = 2,
}

/// Writes a lot that does not count yet, under the next number of its key.
pub(crate) fn prepare(connection: &Connection, record: &LotRecord) -> Result<u32, rusqlite::Error> {
    let sql = "INSERT INTO lots (key, number, amount, used, granted, expires, receipt, by, standing)
               VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM lots WHERE key = ?1), ?2, 0, ?3, ?4, ?5, ?6, 0)
               RETURNING number";
    let LotRecord { key, lot, receipt, by } = record;
    let row = params![key, number(lot.amount), number(lot.granted), number(lot.expires), receipt, by];
    connection.query_row(sql, row, |row| row.get(0))
}

/// Says whether a lot counts.
pub(crate) fn standing(
    connection: &Connection,
    key: &str,
    lot: u32,
    standing: Standing,
) -> Result<usize, rusqlite::Error> {
    let sql = "UPDATE lots SET standing = ?3 WHERE key = ?1 AND number = ?2";
    connection.execute(sql, params![key, lot, standing as i64])
}

/// The lots of a key, or of all keys, that stand so.
pub(crate) fn lots(
    connection: &Connection,
    key: Option<&str>,
    standing: Standing,
) -> Result<Vec<LotRecord>, rusqlite::Error> {
    let sql = "SELECT key, number, amount, used, granted, expires, receipt, by FROM lots
               WHERE standing = ?1 AND (?2 IS NULL OR key = ?2) ORDER BY key, number";
    let read = |row: &Row<'_>| {
        let amount = unsigned(row.get(2)?);
        let lot = Lot {
            number: row.get(1)?,
            amount,
            used: unsigned(row.get(3)?).min(amount),
            granted: unsigned(row.get(4)?),
            expires: unsigned(row.get(5)?),
        };
        Ok(LotRecord { key: row.get::<_, String>(0)?.into(), lot, receipt: row.get(6)?, by: row.get(7)? })
    };
    connection.prepare_cached(sql)?.query_map(params![standing as i64, key], read)?.collect()
}

/// Reads what was left.
pub(crate) fn read(connection: &Connection) -> Result<KeptCredits, rusqlite::Error> {
    let sql = "SELECT receipt, since, spending, settled FROM held ORDER BY receipt";
    let mut all = connection.prepare(sql)?;
    let rows = all.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, bool>(3)?))
    })?;
    let (mut held, mut early) = (Vec::new(), Vec::new());
    for row in rows {
        let (receipt, since, text, settled) = row?;
        let spending = Spending::decode(&text);
        if spending.is_none() && !(settled && text.is_empty()) {
            tracing::error!(receipt, "what an action holds of credits cannot be read: it stays used");
        } else if settled {
            early.push((receipt, spending));
        } else if let Some(spending) = spending {
            held.push(HeldCredits { receipt, since: unsigned(since), spending });
        }
    }
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let caught: Option<[u8; 8]> = connection.query_row(sql, [CAUGHT], |row| row.get(0)).optional()?;
    let unsure = lots(connection, None, Standing::Unsure)?;
    Ok(KeptCredits { held, early, unsure, caught: caught.map_or(0, u64::from_be_bytes) })
}

/// When the time of a lot is told as one.
pub(crate) fn number(value: Millis) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
