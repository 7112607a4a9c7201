//! Prepaid credits: lots that expire, used in the order in which they do.
//!
//! What is reserved for a call counts as used at once; charging it changes nothing any more, and releasing it gives
//! it back to the lots that it came from. So a balance is never negative, however many calls there are at once, and a
//! lot that expires while something of it is reserved keeps nobody from being charged and gives nothing back.
//!
//! A lot says how much of it was granted and how much is used. Everything else follows from that, so it can be had
//! again from the grants and the charges that receipts tell of.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::session::Millis;

/// How long credits are valid, in months of the calendar (UTC).
pub const MONTHS: u32 = 12;

/// The most lots of one account. More is not granted until some of them have expired.
pub const MOST_LOTS: usize = 1000;

/// From how many lots one call may take at most: its receipt names each.
pub const MOST_PARTS: usize = 8;

/// The most credits in one lot, so that no sum of lots leaves 64 bits.
pub const MOST_IN_LOT: u64 = 1_000_000_000_000;

/// When credits expire that are granted at `granted` for `months` months; `None` beyond the year 9999.
#[must_use]
pub fn expiry(granted: Millis, months: u32) -> Option<Millis> {
    let granted = Timestamp::from_millisecond(i64::try_from(granted).ok()?).ok()?;
    let until = granted.to_zoned(TimeZone::UTC).checked_add(i64::from(months).months()).ok()?;
    u64::try_from(until.timestamp().as_millisecond()).ok()
}

/// Credits that were granted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Its number in its account, from 1.
    pub number: u32,
    /// How many credits were granted.
    pub amount: u64,
    /// How many of them are used or reserved; never more than there are.
    pub used: u64,
    /// When they were granted.
    pub granted: Millis,
    /// From when on they are not valid.
    pub expires: Millis,
}

impl Lot {
    const fn left(&self) -> u64 {
        self.amount.saturating_sub(self.used)
    }
}

/// So many credits of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The lot's number.
    pub lot: u32,
    /// How many.
    pub amount: u64,
}

/// There are not as many credits as are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// How many there are.
    pub remaining: u64,
}

/// The credits of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The one that expires first comes first.
    lots: Vec<Lot>,
    /// The latest time seen. Time that goes backwards stands still: what has expired stays so.
    now: Millis,
}

impl Balance {
    /// Adds a lot. `false` if its number is taken, it holds nothing or too much, or there are too many lots that have
    /// not expired; then nothing is changed. Lots that have expired make room.
    pub fn grant(&mut self, lot: Lot, now: Millis) -> bool {
        self.pass(now);
        if lot.amount == 0
            || lot.amount > MOST_IN_LOT
            || lot.used > lot.amount
            || self.lot(lot.number).is_some()
        {
            return false;
        }
        if self.lots.len() >= MOST_LOTS {
            let Some(gone) = self.lots.iter().position(|lot| lot.expires <= self.now) else { return false };
            self.lots.remove(gone);
        }
        let at = self.lots.partition_point(|it| (it.expires, it.number) < (lot.expires, lot.number));
        self.lots.insert(at, lot);
        true
    }

    /// Whether one more lot can be granted.
    #[must_use]
    pub fn has_room(&self, now: Millis) -> bool {
        let now = self.time(now);
        self.lots.len() < MOST_LOTS || self.lots.iter().any(|lot| lot.expires <= now)
    }

    /// Reserves `amount` credits, or none of them: of the lots that expire first. What is returned belongs to the
    /// call: keep it to [`release`](Self::release) it, or drop it once it is charged.
    ///
    /// # Errors
    /// How many there are, if that is not enough (or they would have to come from more than [`MOST_PARTS`] lots).
    pub fn reserve(&mut self, amount: u64, now: Millis) -> Result<Vec<Part>, Lacking> {
        self.pass(now);
        let (mut missing, mut parts) = (amount, Vec::new());
        for lot in self.valid().filter(|lot| lot.left() > 0).take(MOST_PARTS) {
            let take = lot.left().min(missing);
            if take > 0 {
                parts.push(Part { lot: lot.number, amount: take });
            }
            missing -= take;
        }
        if missing > 0 {
            return Err(Lacking { remaining: self.remaining(now) });
        }
        parts.iter().for_each(|part| self.use_up(*part));
        Ok(parts)
    }

    /// Gives back what was reserved and is not charged. What has expired meanwhile is gone.
    pub fn release(&mut self, parts: &[Part]) {
        for part in parts {
            if let Some(lot) = self.lots.iter_mut().find(|lot| lot.number == part.lot) {
                lot.used = lot.used.saturating_sub(part.amount);
            }
        }
    }

    /// Counts what was used, as a receipt tells it. Never more than the lot holds.
    pub fn use_up(&mut self, part: Part) {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.number == part.lot) {
            lot.used = lot.used.saturating_add(part.amount).min(lot.amount);
        }
    }

    /// How many credits may be used at `now`.
    #[must_use]
    pub fn remaining(&self, now: Millis) -> u64 {
        let now = self.now.max(now);
        self.lots.iter().filter(|lot| lot.expires > now).map(Lot::left).sum()
    }

    /// When the first of them expire; `None` if there are none.
    #[must_use]
    pub fn oldest_expiry(&self, now: Millis) -> Option<Millis> {
        let now = self.now.max(now);
        self.lots.iter().find(|lot| lot.expires > now && lot.left() > 0).map(|lot| lot.expires)
    }

    /// All lots, those that have expired too; the one that expires first comes first.
    #[must_use]
    pub fn lots(&self) -> &[Lot] {
        &self.lots
    }

    /// One lot.
    #[must_use]
    pub fn lot(&self, number: u32) -> Option<&Lot> {
        self.lots.iter().find(|lot| lot.number == number)
    }

    /// The time as this account has it: a grant that is made when the clock was set back is valid as long as any
    /// other.
    #[must_use]
    pub fn time(&self, now: Millis) -> Millis {
        self.now.max(now)
    }

    fn pass(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    fn valid(&self) -> impl Iterator<Item = &Lot> {
        let now = self.now;
        self.lots.iter().filter(move |lot| lot.expires > now)
    }
}

#[cfg(test)]
mod tests;
