//! What limits count on: how much was used within a window, by whom.
//!
//! A value the caller keeps, with the time as an argument. Bounded: 10,000 counters for each limit, 50 slots for
//! each counter. Whoever makes up names to get rid of a counter ends up on a common one, which is as narrow.

use std::collections::{HashMap, VecDeque};

use crate::decision::{Charge, CounterId};
use crate::session::Millis;

/// The most counters of one limit.
pub const MOST_KEYS: usize = 10_000;

/// The most counters of all limits.
const MOST_KEYS_IN_ALL: usize = 100_000;

/// In how many slots a window is divided. A use counts until its slot has wholly left the window, so that there
/// is never more than the limit within any window, and a little less for up to a fiftieth of it.
const SLOTS: u64 = 50;

/// All counters.
#[derive(Debug, Default)]
pub struct Counters {
    groups: HashMap<[u8; 16], Group>,
    keys: usize,
}

/// The counters of one limit, or of those that share them.
#[derive(Debug)]
struct Group {
    keys: HashMap<[u8; 16], Log>,
    /// Of what came while no counter was free.
    common: Log,
    /// The latest time seen. Time that goes backwards stands still.
    now: Millis,
    /// When counters that stand at zero were last given up, as a slot.
    swept: Option<u64>,
}

/// How much was used, by slot.
#[derive(Clone, Debug, Default)]
struct Log {
    slots: VecDeque<(u64, u64)>,
    sum: u64,
}

/// What was reserved, to be given back if it was not used after all.
#[derive(Debug, Default)]
#[must_use = "what is reserved and not used is to be released"]
pub struct Reservation(Vec<Use>);

impl Reservation {
    /// What it holds.
    #[must_use]
    pub fn uses(&self) -> &[Use] {
        &self.0
    }
}

/// One use, as it stands in a counter: what has to be kept so that a counter can be had again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which counter.
    pub counter: CounterId,
    /// Whether it stands on the common counter of those that have none of their own.
    pub common: bool,
    /// How long the limit's window is, in milliseconds.
    pub window: Millis,
    /// The slot of the window, counted from the Unix epoch.
    pub slot: u64,
    /// How much.
    pub amount: u64,
}

impl Use {
    /// When it does not count any more.
    #[must_use]
    pub fn until(&self) -> Millis {
        Slots::of(self.window).gone(self.slot)
    }
}

/// A limit that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The limit's name.
    pub account: String,
    /// How much it allows.
    pub most: u64,
    /// In which unit.
    pub unit: &'static str,
    /// Within how many milliseconds.
    pub window: Millis,
    /// When there is room again, as far as is known now; `None` if there never is for so much at once.
    pub again: Option<Millis>,
}

impl Counters {
    /// Reserves all `charges`, or none of them and says which limits have no room. Several charges to one counter
    /// are one charge, of the largest amount: limits that share counters see each use once.
    ///
    /// A charge of 0 is for what is known only later: it needs room for 1 and takes none.
    ///
    /// # Errors
    /// The limits that have no room.
    pub fn reserve(&mut self, charges: &[Charge], now: Millis) -> Result<Reservation, Vec<Exceeded>> {
        let mut by_counter: Vec<&Charge> = charges.iter().collect();
        by_counter.sort_by_key(|charge| charge.counter);
        let mut reservation = Reservation::default();
        let mut full = Vec::new();
        for same in by_counter.chunk_by(|a, b| a.counter == b.counter) {
            full.extend(same.iter().filter_map(|charge| self.exceeded(charge, now)));
            let amount = same.iter().map(|charge| charge.amount).max().unwrap_or_default();
            if let (true, Some(first)) = (full.is_empty() && amount > 0, same.first()) {
                // At once: the next may have to count on the same common counter.
                reservation.0.push(self.add(first.counter, amount, first.window, now));
            }
        }
        if full.is_empty() {
            return Ok(reservation);
        }
        self.release(reservation);
        Err(full)
    }

    /// Counts what is known only now, whether there is room for it or not.
    pub fn spend(&mut self, counter: CounterId, window: Millis, amount: u64, now: Millis) -> Use {
        self.add(counter, amount, window, now)
    }

    /// Counts on every counter of a limit, and on what new ones begin with: somebody used so much, and nobody knows
    /// any more who.
    pub fn spend_all(&mut self, group: [u8; 16], window: Millis, amount: u64, now: Millis) -> Vec<Use> {
        let keys = self.groups.get(&group).map(|group| group.keys.keys().copied().collect::<Vec<_>>());
        let keys = keys.unwrap_or_default().into_iter();
        let mut uses: Vec<Use> =
            keys.map(|key| self.add(CounterId { group, key }, amount, window, now)).collect();
        let slots = Slots::of(window);
        let of_group = self.group(group, now);
        let slot = slots.slot(of_group.now);
        of_group.common.add(slot, amount, slots.first(of_group.now));
        uses.push(Use { counter: CounterId { group, key: [0; 16] }, common: true, window, slot, amount });
        uses
    }

    /// Puts a use back that was kept, while the process was not there. Those of one counter come in the order of
    /// their slots.
    pub fn restore(&mut self, kept: Use) {
        let slots = Slots::of(kept.window);
        let begins = kept.slot.saturating_mul(slots.width);
        let known = self.groups.get(&kept.counter.group);
        let known = known.is_some_and(|group| group.keys.contains_key(&kept.counter.key));
        let room = self.keys < MOST_KEYS_IN_ALL;
        // Time that went backwards meanwhile stands still.
        let group = self.group(kept.counter.group, begins);
        group.now = group.now.max(begins);
        let first = slots.first(begins);
        if kept.common || !known && (!room || group.keys.len() >= MOST_KEYS) {
            return group.common.add(kept.slot, kept.amount, first);
        }
        group.keys.entry(kept.counter.key).or_default().add(kept.slot, kept.amount, first);
        self.keys += usize::from(!known);
    }

    /// After the last use that was put back: whoever has a counter may have used the common one before.
    pub fn restored(&mut self) {
        for group in self.groups.values_mut() {
            for log in group.keys.values_mut() {
                log.include(&group.common);
            }
        }
    }

    fn group(&mut self, group: [u8; 16], now: Millis) -> &mut Group {
        self.groups.entry(group).or_insert_with(|| Group {
            keys: HashMap::new(),
            common: Log::default(),
            now,
            swept: None,
        })
    }

    /// Gives back what was not used.
    pub fn release(&mut self, reservation: Reservation) {
        for reserved in reservation.0 {
            let Some(group) = self.groups.get_mut(&reserved.counter.group) else { continue };
            let log = if reserved.common {
                Some(&mut group.common)
            } else {
                group.keys.get_mut(&reserved.counter.key)
            };
            if let Some(log) = log {
                log.take_back(reserved.slot, reserved.amount);
            }
        }
    }

    /// Forgets the counters of limits that are no longer there.
    pub fn retain(&mut self, is_there: impl Fn(&[u8; 16]) -> bool) {
        self.groups.retain(|group, _| is_there(group));
        self.keys = self.groups.values().map(|group| group.keys.len()).sum();
    }

    fn exceeded(&self, charge: &Charge, now: Millis) -> Option<Exceeded> {
        let empty = Log::default();
        let (log, now) = match self.groups.get(&charge.counter.group) {
            Some(group) => (group.keys.get(&charge.counter.key).unwrap_or(&group.common), now.max(group.now)),
            None => (&empty, now),
        };
        let needed = charge.amount.max(1);
        let slots = Slots::of(charge.window);
        if log.sum_since(slots.first(now)).saturating_add(needed) <= charge.most {
            return None;
        }
        Some(Exceeded {
            account: charge.account.clone(),
            most: charge.most,
            unit: charge.unit,
            window: charge.window,
            again: charge.most.checked_sub(needed).and_then(|room| log.falls_to(room, slots, now)),
        })
    }

    fn add(&mut self, counter: CounterId, amount: u64, window: Millis, now: Millis) -> Use {
        self.group(counter.group, now);
        let Some(group) = self.groups.get_mut(&counter.group) else {
            return Use { counter, common: true, window, slot: 0, amount: 0 };
        };
        group.now = group.now.max(now);
        let slots = Slots::of(window);
        let (slot, first) = (slots.slot(group.now), slots.first(group.now));
        let known = group.keys.contains_key(&counter.key);
        let room = |group: &Group, all: usize| group.keys.len() < MOST_KEYS && all < MOST_KEYS_IN_ALL;
        if !known && !room(group, self.keys) && group.swept != Some(slot) {
            // Once for each slot: whoever sprays keys does not get a sweep for each of them.
            group.swept = Some(slot);
            let before = group.keys.len();
            group.keys.retain(|_, log| log.sum_since(first) > 0);
            self.keys -= before - group.keys.len();
        }
        let common = !known && !room(group, self.keys);
        let log = if common {
            &mut group.common
        } else {
            self.keys += usize::from(!known);
            // What had no counter of its own may have used the common one: it begins with what stands there.
            let Group { keys, common, .. } = group;
            keys.entry(counter.key).or_insert_with(|| common.clone())
        };
        log.add(slot, amount, first);
        Use { counter, common, window, slot, amount }
    }
}

impl Log {
    fn sum_since(&self, first: u64) -> u64 {
        let old =
            self.slots.iter().take_while(|(slot, _)| *slot < first).map(|(_, amount)| amount).sum::<u64>();
        self.sum.saturating_sub(old)
    }

    fn add(&mut self, slot: u64, amount: u64, first: u64) {
        while let Some((old, gone)) = self.slots.front().copied().filter(|(old, _)| *old < first) {
            debug_assert!(old < slot, "slots are in order");
            self.slots.pop_front();
            self.sum = self.sum.saturating_sub(gone);
        }
        self.sum = self.sum.saturating_add(amount);
        match self.slots.back_mut().filter(|(last, _)| *last == slot) {
            Some((_, used)) => *used = used.saturating_add(amount),
            None => self.slots.push_back((slot, amount)),
        }
    }

    /// Adds what stands in another.
    fn include(&mut self, other: &Self) {
        for (slot, amount) in &other.slots {
            self.sum = self.sum.saturating_add(*amount);
            match self.slots.iter().position(|(at, _)| at >= slot) {
                Some(at) => match self.slots.get_mut(at).filter(|(same, _)| same == slot) {
                    Some((_, used)) => *used = used.saturating_add(*amount),
                    None => self.slots.insert(at, (*slot, *amount)),
                },
                None => self.slots.push_back((*slot, *amount)),
            }
        }
    }

    fn take_back(&mut self, slot: u64, amount: u64) {
        if let Some((_, used)) = self.slots.iter_mut().find(|(at, _)| *at == slot) {
            let back = amount.min(*used);
            *used -= back;
            self.sum = self.sum.saturating_sub(back);
        }
    }

    /// The first moment at which no more than `room` is used, if nothing is added.
    fn falls_to(&self, room: u64, slots: Slots, now: Millis) -> Option<Millis> {
        let first = slots.first(now);
        let mut sum = self.sum_since(first);
        let counted = self.slots.iter().skip_while(|(slot, _)| *slot < first);
        counted
            .map(|(slot, amount)| {
                sum = sum.saturating_sub(*amount);
                (sum, slots.gone(*slot))
            })
            .find(|(sum, _)| *sum <= room)
            .map(|(_, at)| at)
    }
}

/// A window and its slots, counted from the Unix epoch on.
#[derive(Clone, Copy)]
struct Slots {
    window: Millis,
    width: Millis,
}

impl Slots {
    fn of(window: Millis) -> Self {
        Self { window, width: (window / SLOTS).max(1) }
    }

    const fn slot(self, at: Millis) -> u64 {
        match at.checked_div(self.width) {
            Some(slot) => slot,
            None => 0,
        }
    }

    /// The oldest slot that counts: some of it is no older than the window.
    const fn first(self, now: Millis) -> u64 {
        self.slot(now.saturating_sub(self.window))
    }

    /// The first moment at which `slot` no longer counts.
    const fn gone(self, slot: u64) -> Millis {
        slot.saturating_add(1).saturating_mul(self.width).saturating_add(self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;
    const START: Millis = 1_000_000_000_000;

    fn charge(group: u8, key: u64, most: u64, amount: u64) -> Charge {
        let mut id = [0; 16];
        id.iter_mut().zip(key.to_be_bytes()).for_each(|(to, from)| *to = from);
        Charge {
            account: format!("limit-{group}"),
            unit: "calls",
            amount,
            later: None,
            counter: CounterId { group: [group; 16], key: id },
            most,
            window: MINUTE,
        }
    }

    /// Whether it was reserved.
    fn take(counters: &mut Counters, charges: &[Charge], now: Millis) -> bool {
        counters.reserve(charges, now).is_ok()
    }

    #[test]
    fn never_more_than_the_limit_within_any_window() {
        let mut counters = Counters::default();
        let mut granted = Vec::new();
        let mut now = START;
        for step in 0..4000u64 {
            now += 37 + step * step % 411;
            if take(&mut counters, &[charge(1, 1, 7, 1)], now) {
                granted.push(now);
            }
        }
        assert!(granted.len() > 50);
        for (at, first) in granted.iter().enumerate() {
            let within = granted[at..].iter().filter(|time| **time - first <= MINUTE).count();
            assert!(within <= 7, "{within} from {first} on");
        }
        // And hardly less than it: each seven are back after a window and one slot, as soon as they are asked for.
        for seven in granted.windows(8) {
            assert!(seven[7] - seven[0] <= MINUTE + MINUTE / SLOTS + 8 * 448, "{seven:?}");
        }
    }

    #[test]
    fn a_use_exactly_as_old_as_the_window_counts() {
        let mut counters = Counters::default();
        let start = START / 1200 * 1200 + 1199;
        assert!(take(&mut counters, &[charge(1, 1, 1, 1)], start));
        assert!(!take(&mut counters, &[charge(1, 1, 1, 1)], start + MINUTE));
        assert!(take(&mut counters, &[charge(1, 1, 1, 1)], start + MINUTE + 1));
    }

    #[test]
    fn it_is_told_when_there_is_room_again() {
        let mut counters = Counters::default();
        for second in [0, 10, 20] {
            assert!(take(&mut counters, &[charge(1, 1, 30, 10)], START + second * 1000));
        }
        let mut again =
            |amount: u64| counters.reserve(&[charge(1, 1, 30, amount)], START + 21_000).unwrap_err()[0].again;
        let (one, more, never) = (again(1), again(11), again(31));
        for (told, used) in [(one, START), (more, START + 10_000)] {
            let told = told.unwrap();
            assert!(told > used + MINUTE && told <= used + MINUTE + 1200, "{told}");
        }
        assert_eq!(never, None);
        let at = one.unwrap();
        assert!(!take(&mut counters, &[charge(1, 1, 30, 1)], at - 1));
        assert!(take(&mut counters, &[charge(1, 1, 30, 1)], at));
    }

    #[test]
    fn all_limits_or_none() {
        let mut counters = Counters::default();
        let (wide, narrow) = (charge(1, 1, 10, 1), charge(2, 1, 1, 1));
        assert!(take(&mut counters, &[wide.clone(), narrow.clone()], START));
        let full = counters.reserve(&[wide.clone(), narrow], START).unwrap_err();
        assert_eq!(full.iter().map(|it| it.account.as_str()).collect::<Vec<_>>(), ["limit-2"]);
        // What was refused used nothing up.
        for _ in 0..9 {
            assert!(take(&mut counters, std::slice::from_ref(&wide), START));
        }
        assert!(!take(&mut counters, &[wide], START));
    }

    #[test]
    fn many_names_in_one_action_have_no_more_room_than_one() {
        let mut counters = Counters::default();
        for key in 0..MOST_KEYS as u64 {
            assert!(take(&mut counters, &[charge(1, key, 2, 1)], START));
        }
        let beyond =
            |count: u64| -> Vec<Charge> { (0..count).map(|key| charge(1, u64::MAX - key, 2, 1)).collect() };
        assert!(!take(&mut counters, &beyond(3), START));
        assert!(take(&mut counters, &beyond(2), START));
        assert!(!take(&mut counters, &beyond(1), START));
    }

    #[test]
    fn shared_counters_see_each_use_once() {
        let mut counters = Counters::default();
        let (small, large) = (charge(1, 1, 3, 1), charge(1, 1, 5, 1));
        for _ in 0..3 {
            assert!(take(&mut counters, &[small.clone(), large.clone()], START));
        }
        assert!(!take(&mut counters, &[small.clone(), large.clone()], START));
        assert!(take(&mut counters, std::slice::from_ref(&large), START));
        assert!(take(&mut counters, std::slice::from_ref(&large), START));
        assert!(!take(&mut counters, &[large], START));
    }

    #[test]
    fn what_is_released_is_free_again() {
        let mut counters = Counters::default();
        let one = [charge(1, 1, 1, 1)];
        let reservation = counters.reserve(&one, START).unwrap();
        assert!(!take(&mut counters, &one, START));
        counters.release(reservation);
        assert!(take(&mut counters, &one, START + 5));
    }

    #[test]
    fn what_is_known_later_needs_room_and_takes_it_later() {
        let mut counters = Counters::default();
        let later = charge(1, 1, 100, 0);
        assert!(take(&mut counters, std::slice::from_ref(&later), START));
        counters.spend(later.counter, later.window, 250, START);
        assert!(!take(&mut counters, std::slice::from_ref(&later), START + MINUTE));
        assert!(take(&mut counters, &[later], START + MINUTE + 1300));
    }

    #[test]
    fn spraying_keys_resets_no_counter() {
        let mut counters = Counters::default();
        let victim = charge(1, 0, 2, 1);
        assert!(take(&mut counters, std::slice::from_ref(&victim), START));
        assert!(take(&mut counters, std::slice::from_ref(&victim), START));
        let mut granted = 0;
        for key in 1..=(MOST_KEYS as u64 + 50) {
            granted += u64::from(take(&mut counters, &[charge(1, key, 2, 1)], START + key / 100));
        }
        assert!(!take(&mut counters, std::slice::from_ref(&victim), START + 200));
        // Those beyond the bound had two uses between them.
        assert_eq!(granted, MOST_KEYS as u64 - 1 + 2);
        assert!(counters.groups[&[1; 16]].keys.len() <= MOST_KEYS);
        // One of them gets a counter of its own when others are given up, and keeps what it may have used.
        let late = charge(1, MOST_KEYS as u64 + 50, 2, 1);
        let then = START + MINUTE + 1300;
        assert!(take(&mut counters, &[charge(1, 1, 2, 1)], then));
        let mut second = Counters::default();
        for key in 0..MOST_KEYS as u64 {
            assert!(take(&mut second, &[charge(1, key, 2, 1)], START));
        }
        let beyond = START + MINUTE - 1;
        assert!(take(&mut second, std::slice::from_ref(&late), beyond));
        assert!(take(&mut second, std::slice::from_ref(&late), beyond));
        let swept = START + MINUTE + 1300;
        assert!(!take(&mut second, std::slice::from_ref(&late), swept));
        assert!(take(&mut second, &[charge(1, 5, 2, 1)], swept));
        assert!(!take(&mut second, std::slice::from_ref(&late), swept));
    }

    #[test]
    fn time_that_goes_backwards_stands_still() {
        let mut counters = Counters::default();
        assert!(take(&mut counters, &[charge(1, 1, 2, 1)], START));
        assert!(take(&mut counters, &[charge(1, 1, 2, 1)], START - 10 * MINUTE));
        assert!(!take(&mut counters, &[charge(1, 1, 2, 1)], START + MINUTE));
        assert!(take(&mut counters, &[charge(1, 1, 2, 1)], START + MINUTE + 1300));
    }

    #[test]
    fn what_was_kept_counts_again() {
        let mut counters = Counters::default();
        let mut kept = Vec::new();
        for step in 0..5 {
            let reservation = counters.reserve(&[charge(1, 1, 5, 1)], START + step * 7_000).unwrap();
            kept.extend_from_slice(reservation.uses());
        }
        let mut again = Counters::default();
        kept.iter().for_each(|kept| again.restore(*kept));
        again.restored();
        for now in [START + 40_000, START + MINUTE + 1300, START + MINUTE + 9000, START + 2 * MINUTE] {
            let room = |counters: &Counters| {
                (1..=5).filter(|n| counters.exceeded(&charge(1, 1, 5, *n), now).is_none()).count()
            };
            assert_eq!(room(&again), room(&counters), "{now}");
        }
        assert!(kept.iter().all(|kept| kept.until() > START + MINUTE && kept.until() <= START + 90_000));
        // Somebody set the clock back while nobody looked.
        assert!(!take(&mut again, &[charge(1, 1, 5, 1)], START - 10 * MINUTE));
    }

    #[test]
    fn what_stood_on_the_common_counter_counts_for_everybody_again() {
        let mut counters = Counters::default();
        let one = charge(1, 1, 3, 1);
        let kept = counters.reserve(std::slice::from_ref(&one), START).unwrap().uses().to_vec();
        let all = counters.spend_all([1; 16], MINUTE, 2, START + 10);
        assert_eq!(all.len(), 2);
        let mut again = Counters::default();
        kept.into_iter().chain(all).for_each(|kept| again.restore(kept));
        again.restored();
        for counters in [&mut counters, &mut again] {
            assert!(!take(counters, std::slice::from_ref(&one), START + 20));
            // And for who was not there.
            assert!(take(counters, &[charge(1, 2, 3, 1)], START + 20));
            assert!(!take(counters, &[charge(1, 2, 3, 1)], START + 20));
        }
    }

    #[test]
    fn counters_of_limits_that_stay_survive_a_reload() {
        let mut counters = Counters::default();
        assert!(take(&mut counters, &[charge(1, 1, 1, 1), charge(2, 1, 1, 1)], START));
        counters.retain(|group| *group == [1; 16]);
        assert!(!take(&mut counters, &[charge(1, 1, 1, 1)], START));
        assert!(take(&mut counters, &[charge(2, 1, 1, 1)], START));
    }
}
