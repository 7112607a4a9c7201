//! That no signed request counts twice.
//!
//! A signature says when it was made, in whole seconds, and holds for a few minutes around that. Within this time
//! every request that passed is remembered. What is forgotten leaves its second behind: a request of that second is
//! refused from then on, whatever the clock says. So a clock that jumps, forward and back again, makes no request pass
//! twice; and as only those seconds are refused, it keeps nobody out once it is right again.
//!
//! Two honest requests that are alike and fall into the same second have the same signature. The second one is told
//! to come again in a second that nobody else has been given.

use std::collections::{BTreeMap, HashMap};

use crate::session::Millis;

/// Seconds since the Unix epoch.
pub type Seconds = u64;

/// For how many seconds a signature holds, before and after the second it names.
pub const WINDOW: Seconds = 300;

/// The most seconds ahead that one is told to wait: clients give up after 30.
const LONGEST_WAIT: Seconds = 25;

/// How far into its second one is told to come, so that clocks that differ a little mean the same second.
const INTO_SECOND: Millis = 250;

/// The most requests of which somebody has been told to come again.
const MOST_WAITING: usize = 10_000;

/// For how many seconds to come something is remembered: who set the clock right must not have to keep what passed while
/// it was years ahead.
pub const AHEAD: Seconds = 86_400;

/// Seconds that are forgotten belong to one span if they are no further apart.
const APART: Seconds = 10;

/// The most spans of forgotten seconds. Those nearest to each other become one, so that what lies between them is refused
/// too: while the clock runs as it should, that is long ago.
const MOST_SPANS: usize = 64;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests of everybody.
    pub all: usize,
    /// Requests of one owner, so that nobody uses up what is there for others.
    pub each: usize,
}

impl Default for Bounds {
    /// A million (about 80 MB when full), and 100,000 for each owner: 300 a second.
    fn default() -> Self {
        Self { all: 1_000_000, each: 100_000 }
    }
}

/// A signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// A digest of all that makes it this request: session, signature (and with it the second) and what is not signed.
    pub digest: [u8; 16],
    /// A digest of the same without signature and second: what a repetition has in common with it.
    pub alike: [u8; 16],
    /// Whose it is: requests of one owner are bounded together.
    pub owner: u64,
    /// The second it names.
    pub second: Seconds,
}

/// One that passed, as it has to be kept so that it is known after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// [`Call::digest`].
    pub digest: [u8; 16],
    /// [`Call::owner`].
    pub owner: u64,
    /// [`Call::second`].
    pub second: Seconds,
}

/// A request has its place. Given back if it is refused before anything of it went on; otherwise it stays taken.
#[derive(Debug)]
#[must_use = "what is refused later is to be released"]
pub struct Reserved(Kept);

impl Reserved {
    /// What has to be kept of it.
    #[must_use]
    pub const fn kept(&self) -> Kept {
        self.0
    }
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The second it names is too long ago, or so long that it may have been forgotten.
    Stale,
    /// The second it names has not come yet.
    Early,
    /// It was here before. Made anew after so many milliseconds, it has a second of its own, unless so many wait
    /// that there is none.
    Seen {
        /// How long to wait.
        retry_after_ms: Millis,
    },
    /// There is no room to remember it.
    Full {
        /// When there will be, at the latest.
        retry_after_ms: Millis,
    },
}

/// What passed within the window.
#[derive(Debug)]
pub struct Replays {
    bounds: Bounds,
    /// By the second named, what passed. Counted in `all` and in `owners`.
    seconds: BTreeMap<Seconds, HashMap<[u8; 16], u64>>,
    all: usize,
    owners: HashMap<u64, usize>,
    /// From when to when there is something that was forgotten; in order.
    forgotten: Vec<(Seconds, Seconds)>,
    /// The last second that somebody was told to come in.
    told: HashMap<[u8; 16], Seconds>,
    swept: Seconds,
}

impl Replays {
    /// Nothing has passed.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            seconds: BTreeMap::new(),
            all: 0,
            owners: HashMap::new(),
            forgotten: Vec::new(),
            told: HashMap::new(),
            swept: 0,
        }
    }

    /// Takes the place of a request, if it is its own.
    ///
    /// # Errors
    /// Why it does not pass.
    pub fn reserve(&mut self, call: &Call, now: Millis) -> Result<Reserved, Refused> {
        let second = now / 1000;
        self.forget(second);
        let gone = |(first, last): &(Seconds, Seconds)| (*first..=*last).contains(&call.second);
        if call.second.saturating_add(WINDOW) < second || self.forgotten.iter().any(gone) {
            return Err(Refused::Stale);
        }
        if call.second > second.saturating_add(WINDOW) {
            return Err(Refused::Early);
        }
        if self.seconds.get(&call.second).is_some_and(|of| of.contains_key(&call.digest)) {
            return Err(Refused::Seen { retry_after_ms: self.next(call, now) });
        }
        let of_owner = self.owners.get(&call.owner).copied().unwrap_or_default();
        if self.all >= self.bounds.all || of_owner >= self.bounds.each {
            return Err(Refused::Full { retry_after_ms: self.room(now) });
        }
        let kept = Kept { digest: call.digest, owner: call.owner, second: call.second };
        self.put(kept);
        Ok(Reserved(kept))
    }

    /// Gives the place back: nothing of the request went on.
    pub fn release(&mut self, reserved: Reserved) {
        let Kept { digest, second, .. } = reserved.0;
        let Some(of) = self.seconds.get_mut(&second) else { return };
        let Some(owner) = of.remove(&digest) else { return };
        if of.is_empty() {
            self.seconds.remove(&second);
        }
        self.count_off(owner);
    }

    /// Everything that has to be kept over a restart.
    pub fn kept(&self) -> impl Iterator<Item = Kept> {
        self.seconds.iter().flat_map(|(second, of)| {
            of.iter().map(|(digest, owner)| Kept { digest: *digest, owner: *owner, second: *second })
        })
    }

    /// Puts back what was kept. What is more than there is room for is as good as forgotten.
    pub fn restore(&mut self, kept: Kept) {
        if self.all >= self.bounds.all {
            self.forget_between(kept.second, kept.second);
        } else {
            self.put(kept);
        }
    }

    /// From when to when there is something that was forgotten, to be kept over a restart.
    #[must_use]
    pub fn forgotten(&self) -> &[(Seconds, Seconds)] {
        &self.forgotten
    }

    /// Refuses everything that names a second from `first` to `last`.
    pub fn forget_between(&mut self, first: Seconds, last: Seconds) {
        let near = |span: &&mut (Seconds, Seconds)| {
            first <= span.1.saturating_add(APART) && last.saturating_add(APART) >= span.0
        };
        match self.forgotten.iter_mut().find(near) {
            Some(span) => *span = (span.0.min(first), span.1.max(last)),
            None => {
                let at = self.forgotten.partition_point(|span| span.0 < first);
                self.forgotten.insert(at, (first, last));
            }
        }
        if self.forgotten.len() > MOST_SPANS {
            self.join();
        }
    }

    /// Makes one of the two spans that are nearest to each other.
    fn join(&mut self) {
        let between = |pair: &[(Seconds, Seconds)]| match pair {
            [(_, last), (first, _)] => first.saturating_sub(*last),
            _ => Seconds::MAX,
        };
        let gaps = self.forgotten.windows(2).map(between).enumerate();
        let Some(at) = gaps.min_by_key(|(_, gap)| *gap).map(|(at, _)| at) else { return };
        let (_, last) = self.forgotten.remove(at + 1);
        if let Some(span) = self.forgotten.get_mut(at) {
            span.1 = span.1.max(last);
        }
    }

    fn put(&mut self, kept: Kept) {
        if self.seconds.entry(kept.second).or_default().insert(kept.digest, kept.owner).is_none() {
            self.all += 1;
            *self.owners.entry(kept.owner).or_default() += 1;
        }
    }

    fn count_off(&mut self, owner: u64) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.owners.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    /// Forgets what no longer holds.
    fn forget(&mut self, now: Seconds) {
        if now == self.swept {
            return;
        }
        self.swept = now;
        while let Some(first) =
            self.seconds.first_entry().filter(|first| first.key().saturating_add(WINDOW) < now)
        {
            let (second, of) = first.remove_entry();
            self.lose(second, of);
        }
        while let Some(last) =
            self.seconds.last_entry().filter(|last| *last.key() > now.saturating_add(AHEAD))
        {
            let (second, of) = last.remove_entry();
            self.lose(second, of);
        }
        self.told.retain(|_, second| (now..=now.saturating_add(LONGEST_WAIT)).contains(second));
    }

    fn lose(&mut self, second: Seconds, of: HashMap<[u8; 16], u64>) {
        self.forget_between(second, second);
        of.into_values().for_each(|owner| self.count_off(owner));
    }

    /// After how many milliseconds a repetition has a second of its own, counted by the clock of `now`: the client's
    /// differs from it always by as much.
    fn next(&mut self, call: &Call, now: Millis) -> Millis {
        let second = now / 1000;
        let last = self.told.get(&call.alike).copied().unwrap_or_default();
        let next = last.max(second).saturating_add(1);
        let ahead = next - second;
        let room = self.told.len() < MOST_WAITING || self.told.contains_key(&call.alike);
        if ahead <= LONGEST_WAIT && room {
            self.told.insert(call.alike, next);
        }
        ahead.min(LONGEST_WAIT) * 1000 + INTO_SECOND - now % 1000
    }

    /// When the first of what is remembered is forgotten.
    fn room(&self, now: Millis) -> Millis {
        let first = self.seconds.keys().next().copied().unwrap_or_default();
        first.saturating_add(WINDOW + 1).saturating_mul(1000).saturating_sub(now).max(1000)
    }
}

#[cfg(test)]
mod tests;
