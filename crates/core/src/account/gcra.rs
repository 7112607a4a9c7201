//! How often something may be done: the generic cell rate algorithm (ITU-T I.371, annex A, in its virtual scheduling
//! form).
//!
//! For each key there is one number, the moment at which the next use would come if all came evenly. A use that
//! comes earlier than that by more than the burst allows is refused, and refusals cost nothing. So there are no windows
//! with an edge at which twice the limit passes, and the wait until the next use is known exactly.
//!
//! Time is an argument, of a clock that does not go back, such as the time since the process began: someone who sets
//! the wall clock must not lock everybody out. Should it go back all the same, it stands still.

use std::collections::HashMap;
use std::hash::Hash;

/// Milliseconds of a clock that does not go back; from when on does not matter.
pub type Ticks = u64;

/// Nanoseconds of the same clock.
type Nanos = u64;

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The longest that one use may take until it has drained, and the burst with it: an hour.
const LONGEST: Nanos = 3600 * NANOS_PER_SECOND;

/// How many entries are looked at for one that is idle, when there is no room for a new one.
const LOOKED_AT: usize = 16;

/// The most rates that share the entries of those without one of their own; who comes with another is refused.
const MOST_SHARED: usize = 64;

/// How much may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Between two uses, if they come evenly.
    interval: Nanos,
    /// How many at once.
    burst: u32,
}

impl Rate {
    /// `uses` within `millis` milliseconds, of which `burst` may come at once. `None` if one of them is 0, or if it
    /// would take more than an hour until a burst has drained. The interval is rounded up to a nanosecond, so that it is never more
    /// than was said.
    #[must_use]
    pub fn new(uses: u32, millis: u32, burst: u32) -> Option<Self> {
        let interval =
            (u64::from(millis) * NANOS_PER_MILLI).div_ceil(u64::from(Some(uses).filter(|n| *n > 0)?));
        let rate = Self { interval, burst };
        (interval > 0 && burst > 0 && rate.full() <= LONGEST).then_some(rate)
    }

    /// `uses` each second, and as many at once. `None` for 0.
    #[must_use]
    pub fn per_second(uses: u32) -> Option<Self> {
        Self::new(uses, 1000, uses)
    }

    /// How many may come at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How long a whole burst takes to drain.
    const fn full(&self) -> Nanos {
        self.interval.saturating_mul(self.burst as u64)
    }

    /// How the entry that is due at `due` stands at `now`, without a use.
    fn standing(&self, due: Nanos, now: Nanos) -> Standing {
        let ahead = due.saturating_sub(now);
        // A use passes while what is ahead, with it, is no more than the burst.
        let room = self.full().saturating_sub(ahead);
        let missing = self.interval.saturating_sub(room);
        Standing {
            limit: self.burst,
            remaining: u32::try_from(room / self.interval.max(1)).unwrap_or(self.burst),
            retry_after_ms: missing.div_ceil(NANOS_PER_MILLI),
            reset_ms: ahead.div_ceil(NANOS_PER_MILLI),
        }
    }
}

/// How a limit stands. What the headers of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many uses may come at once.
    pub limit: u32,
    /// How many may come now.
    pub remaining: u32,
    /// In how many milliseconds the next one may come; 0 if it may come now. One that comes then passes, if no other came
    /// before it; one that comes a millisecond earlier does not.
    pub retry_after_ms: u64,
    /// In how many milliseconds everything is as if there had been no use.
    pub reset_ms: u64,
}

/// One limit for many keys. Bounded: beyond its capacity keys share an entry for each rate, as narrow as that of one key.
#[derive(Debug)]
pub struct Limiter<K> {
    /// Where the entry of a key is.
    places: HashMap<K, usize>,
    entries: Vec<(K, Nanos)>,
    capacity: usize,
    /// Where the search for an idle entry goes on.
    hand: usize,
    /// What is due for those that have no entry of their own.
    shared: Vec<(Rate, Nanos)>,
    now: Nanos,
}

/// Where a use counts.
#[derive(Clone, Copy)]
enum Place {
    Own(usize),
    /// In the place of an idle entry.
    Instead(usize),
    New,
    Shared(usize),
    NewShared,
    Nowhere,
}

impl<K: Copy + Eq + Hash> Limiter<K> {
    /// For at most `capacity` keys at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { places: HashMap::new(), entries: Vec::new(), capacity, hand: 0, shared: Vec::new(), now: 0 }
    }

    /// Takes one use of `key`, if there is room for it.
    ///
    /// # Errors
    /// How it stands, if there is none. Nothing is used then.
    pub fn take(&mut self, key: K, rate: Rate, now: Ticks) -> Result<Standing, Standing> {
        let (place, due) = self.find(key, rate, now);
        let standing = rate.standing(due, self.now);
        if standing.remaining == 0 || matches!(place, Place::Nowhere) {
            return Err(if matches!(place, Place::Nowhere) { self.none(rate) } else { standing });
        }
        Ok(self.put(place, key, rate, due))
    }

    /// Gives back a use of `key` that was just taken at this `rate`. One that has no entry of its own keeps it.
    pub fn give_back(&mut self, key: K, rate: Rate) {
        if let Some((_, due)) = self.places.get(&key).and_then(|at| self.entries.get_mut(*at)) {
            *due = due.saturating_sub(rate.interval);
        }
    }

    /// How `key` stands, without a use.
    #[must_use]
    pub fn look(&mut self, key: K, rate: Rate, now: Ticks) -> Standing {
        let (place, due) = self.find(key, rate, now);
        if matches!(place, Place::Nowhere) { self.none(rate) } else { rate.standing(due, self.now) }
    }

    /// How many keys have an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key has an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where a use of `key` counts, and when it is due there.
    fn find(&mut self, key: K, rate: Rate, now: Ticks) -> (Place, Nanos) {
        self.now = self.now.max(now.saturating_mul(NANOS_PER_MILLI));
        if let Some((at, due)) = self.places.get(&key).and_then(|at| Some((*at, self.entries.get(*at)?.1))) {
            return (Place::Own(at), due);
        }
        let shared = self.shared.iter().position(|(of, _)| *of == rate);
        let due = shared.and_then(|at| self.shared.get(at)).map_or(0, |(_, due)| *due);
        let place = if self.entries.len() < self.capacity {
            Place::New
        } else if let Some(idle) = self.idle() {
            Place::Instead(idle)
        } else {
            shared.map_or_else(|| self.new_shared(), Place::Shared)
        };
        // A key that has no entry may have used the shared one: it begins with what stands there.
        (place, due)
    }

    fn new_shared(&mut self) -> Place {
        let now = self.now;
        self.shared.retain(|(_, due)| *due > now);
        if self.shared.len() < MOST_SHARED { Place::NewShared } else { Place::Nowhere }
    }

    /// An entry that is as if it had never been used. It looks at a few and goes on from there next time, so that
    /// whoever makes up keys does not get a search through all of them for each.
    fn idle(&mut self) -> Option<usize> {
        for _ in 0..LOOKED_AT.min(self.entries.len()) {
            // It stays there: who looks first and takes then is told the same.
            if self.entries.get(self.hand).is_some_and(|(_, due)| *due <= self.now) {
                return Some(self.hand);
            }
            self.hand = if self.hand + 1 < self.entries.len() { self.hand + 1 } else { 0 };
        }
        None
    }

    fn put(&mut self, place: Place, key: K, rate: Rate, due: Nanos) -> Standing {
        let due = due.max(self.now).saturating_add(rate.interval);
        match place {
            Place::Own(at) => {
                if let Some((_, entry)) = self.entries.get_mut(at) {
                    *entry = due;
                }
            }
            Place::Instead(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    let before = std::mem::replace(entry, (key, due));
                    self.places.remove(&before.0);
                    self.places.insert(key, at);
                }
            }
            Place::New => {
                self.places.insert(key, self.entries.len());
                self.entries.push((key, due));
            }
            Place::Shared(at) => {
                if let Some((_, entry)) = self.shared.get_mut(at) {
                    *entry = due;
                }
            }
            Place::NewShared => self.shared.push((rate, due)),
            Place::Nowhere => {}
        }
        rate.standing(due, self.now)
    }

    /// For whom there is no entry at all, not even a shared one: until one of those is idle.
    fn none(&self, rate: Rate) -> Standing {
        let first = self.shared.iter().map(|(_, due)| *due).min().unwrap_or_default();
        let wait = first.saturating_sub(self.now).div_ceil(NANOS_PER_MILLI).max(1);
        Standing { limit: rate.burst, remaining: 0, retry_after_ms: wait, reset_ms: wait }
    }
}

/// Several limits that one use counts on, each with keys of its own. `N` is how many there are.
#[derive(Debug)]
pub struct Limits<K, const N: usize>([Limiter<K>; N]);

impl<K: Copy + Eq + Hash, const N: usize> Limits<K, N> {
    /// For at most so many keys in each.
    #[must_use]
    pub fn new(capacities: [usize; N]) -> Self {
        Self(capacities.map(Limiter::new))
    }

    /// Takes one use on every limit for which a key and a rate are given (`None`: no such limit), or on none of them.
    /// Returns how each stands.
    ///
    /// # Errors
    /// The one that makes wait the longest, by its number, and how it stands.
    pub fn take(
        &mut self,
        asked: [Option<(K, Rate)>; N],
        now: Ticks,
    ) -> Result<[Option<Standing>; N], (usize, Standing)> {
        let mut full: Option<(usize, Standing)> = None;
        for (at, (limiter, asked)) in self.0.iter_mut().zip(&asked).enumerate() {
            let Some((key, rate)) = asked else { continue };
            let standing = limiter.look(*key, *rate, now);
            if standing.remaining == 0
                && full.is_none_or(|(_, before)| standing.retry_after_ms > before.retry_after_ms)
            {
                full = Some((at, standing));
            }
        }
        if let Some(full) = full {
            return Err(full);
        }
        let mut standings = [None; N];
        for (at, ((limiter, asked), standing)) in self.0.iter_mut().zip(asked).zip(&mut standings).enumerate()
        {
            let Some((key, rate)) = asked else { continue };
            // It was looked at a moment ago, and nothing came between.
            *standing = Some(limiter.take(key, rate, now).map_err(|standing| (at, standing))?);
        }
        Ok(standings)
    }

    /// One of them.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Limiter<K>> {
        self.0.get_mut(at)
    }
}

#[cfg(test)]
mod tests;
