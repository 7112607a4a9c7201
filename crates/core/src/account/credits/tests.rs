use proptest::prelude::*;

use super::*;

const DAY: Millis = 86_400_000;
const START: Millis = 1_800_000_000_000;

fn lot(number: u32, amount: u64, expires: Millis) -> Lot {
    Lot { number, amount, used: 0, granted: START, expires }
}

#[test]
fn what_expires_first_is_used_first() {
    let mut balance = Balance::default();
    assert!(balance.grant(lot(1, 10, START + 20 * DAY), START));
    assert!(balance.grant(lot(2, 5, START + 10 * DAY), START));
    assert!(balance.grant(lot(3, 5, START + 30 * DAY), START));
    assert_eq!((balance.remaining(START), balance.oldest_expiry(START)), (20, Some(START + 10 * DAY)));
    let parts = balance.reserve(7, START).unwrap();
    assert_eq!(parts, [Part { lot: 2, amount: 5 }, Part { lot: 1, amount: 2 }]);
    assert_eq!(balance.oldest_expiry(START), Some(START + 20 * DAY));
    assert_eq!(balance.reserve(14, START), Err(Lacking { remaining: 13 }));
    assert_eq!(
        balance.remaining(START + 20 * DAY),
        5,
        "a lot is not valid any more at the moment it expires"
    );
    assert_eq!(balance.remaining(START + 30 * DAY), 0);
    assert_eq!(balance.oldest_expiry(START + 30 * DAY), None);
}

#[test]
fn a_lot_that_expires_while_it_is_reserved() {
    let mut balance = Balance::default();
    assert!(balance.grant(lot(1, 2, START + DAY), START));
    assert!(balance.grant(lot(2, 2, START + 9 * DAY), START));
    let first = balance.reserve(1, START).unwrap();
    let second = balance.reserve(2, START).unwrap();
    assert_eq!(second, [Part { lot: 1, amount: 1 }, Part { lot: 2, amount: 1 }]);
    // One of them is charged: nobody has to do anything. The other is released: what is expired is gone.
    drop(first);
    assert_eq!(balance.remaining(START + DAY), 1);
    balance.release(&second);
    assert_eq!(balance.remaining(START + DAY), 2);
    assert_eq!(balance.reserve(3, START + DAY), Err(Lacking { remaining: 2 }));
}

#[test]
fn a_clock_that_jumps_brings_nothing_back_and_goes_below_nothing() {
    let mut balance = Balance::default();
    assert!(balance.grant(lot(1, 5, START + DAY), START));
    assert!(balance.reserve(1, START + 400 * DAY).is_err());
    assert_eq!(balance.reserve(1, START), Err(Lacking { remaining: 0 }));
    // What is granted now is valid for as long as ever.
    let now = balance.time(START);
    assert!(balance.grant(lot(2, 1, expiry(now, MONTHS).unwrap()), START));
    assert_eq!(balance.remaining(START), 1);
    assert!(balance.reserve(1, START - 900 * DAY).is_ok());
    assert!(balance.reserve(1, START).is_err());
}

#[test]
fn bounds() {
    let mut balance = Balance::default();
    assert!(!balance.grant(lot(1, 0, START + DAY), START));
    assert!(!balance.grant(lot(1, MOST_IN_LOT + 1, START + DAY), START));
    for number in 1..=MOST_LOTS as u32 {
        assert!(balance.grant(lot(number, 1, START + DAY + u64::from(number)), START));
    }
    assert!(!balance.grant(lot(7, 1, START + DAY), START), "its number is taken");
    assert!(!balance.grant(lot(5000, 1, START + DAY), START), "there are enough");
    assert_eq!(balance.reserve(MOST_PARTS as u64, START).unwrap().len(), MOST_PARTS);
    assert!(balance.reserve(MOST_PARTS as u64 + 1, START).is_err());
    // One has expired.
    assert!(balance.grant(lot(5000, 1, START + 9 * DAY), START + DAY + 1));
    assert_eq!(balance.lots().len(), MOST_LOTS);
}

#[test]
fn twelve_months_of_the_calendar() {
    let millis = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond() as u64;
    for (granted, until) in [
        ("2026-04-13T10:20:30.400Z", "2027-04-13T10:20:30.400Z"),
        ("2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z"),
        ("2027-03-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    ] {
        assert_eq!(expiry(millis(granted), MONTHS), Some(millis(until)), "{granted}");
    }
    assert_eq!(expiry(u64::MAX, MONTHS), None);
    assert_eq!(expiry(millis("9999-06-01T00:00:00Z"), MONTHS), None);
}

/// Lot and expiry of each credit.
type Taken = Vec<(u32, Millis)>;

/// The slow model: every single credit by itself.
#[derive(Default)]
struct Model {
    /// Lot, expiry, whether it is free.
    credits: Vec<(u32, Millis, bool)>,
    now: Millis,
}

impl Model {
    fn pass(&mut self, now: Millis) {
        self.now = self.now.max(now);
        let now = self.now;
        // What is free and has expired is thrown away; what is reserved is remembered by who reserved it.
        self.credits.retain(|(_, expires, free)| !free || *expires > now);
    }

    fn reserve(&mut self, amount: u64) -> Option<Vec<usize>> {
        let now = self.now;
        let mut free: Vec<usize> = (0..self.credits.len()).collect();
        free.retain(|at| self.credits[*at].2 && self.credits[*at].1 > now);
        free.sort_by_key(|at| (self.credits[*at].1, self.credits[*at].0));
        let taken = free.get(..amount as usize)?.to_vec();
        taken.iter().for_each(|at| self.credits[*at].2 = false);
        Some(taken)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Grant { amount: u64, days: u64 },
    Reserve(u64),
    Charge(usize),
    Release(usize),
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u64..6, 0u64..20).prop_map(|(amount, days)| Step::Grant { amount, days }),
        (1u64..4).prop_map(Step::Reserve),
        (0usize..8).prop_map(Step::Charge),
        (0usize..8).prop_map(Step::Release),
        (-30i64..12).prop_map(Step::Clock),
    ]
}

proptest! {
    #[test]
    fn it_is_every_credit_by_itself(steps in prop::collection::vec(step(), 1..80)) {
        let (mut balance, mut model) = (Balance::default(), Model::default());
        let (mut clock, mut number) = (START, 0);
        let mut held: Vec<(Vec<Part>, Taken)> = Vec::new();
        let mut granted = 0u64;
        let mut charged = 0u64;
        for step in steps {
            model.pass(clock);
            prop_assert_eq!(balance.reserve(0, clock), Ok(Vec::new()));
            match step {
                Step::Grant { amount, days } => {
                    number += 1;
                    let lot = lot(number, amount, clock + days * DAY);
                    if balance.lots().len() < MOST_PARTS {
                        prop_assert!(balance.grant(lot, clock));
                        granted += amount;
                        model.credits.extend((0..amount).map(|_| (number, lot.expires, true)));
                        model.pass(clock);
                    }
                }
                Step::Reserve(amount) => match (balance.reserve(amount, clock), model.reserve(amount)) {
                    (Ok(parts), Some(taken)) => {
                        let taken: Taken =
                            taken.iter().map(|at| (model.credits[*at].0, model.credits[*at].1)).collect();
                        let lots: Vec<u32> =
                            parts.iter().flat_map(|part| (0..part.amount).map(|_| part.lot)).collect();
                        prop_assert_eq!(&lots, &taken.iter().map(|(lot, _)| *lot).collect::<Vec<_>>());
                        model.credits.retain(|(.., free)| *free);
                        held.push((parts, taken));
                    }
                    (Err(Lacking { remaining }), None) => prop_assert!(remaining < amount),
                    other => prop_assert!(false, "{:?}", other),
                },
                Step::Charge(at) if at < held.len() => charged += held.swap_remove(at).1.len() as u64,
                Step::Release(at) if at < held.len() => {
                    let (parts, taken) = held.swap_remove(at);
                    balance.release(&parts);
                    model.credits.extend(taken.into_iter().map(|(lot, expires)| (lot, expires, true)));
                    model.pass(clock);
                }
                Step::Clock(days) => clock = clock.saturating_add_signed(days * DAY as i64),
                Step::Charge(_) | Step::Release(_) => {}
            }
            let free = model.credits.iter().filter(|(_, expires, _)| *expires > model.now.max(clock));
            prop_assert_eq!(balance.remaining(clock), free.count() as u64);
            // What is used is what is charged and what is held, and never more than was granted.
            let used: u64 = balance.lots().iter().map(|lot| lot.used).sum();
            let reserved: u64 = held.iter().map(|(_, taken)| taken.len() as u64).sum();
            prop_assert_eq!(used, charged + reserved);
            prop_assert!(used <= granted && balance.lots().iter().all(|lot| lot.used <= lot.amount));
        }
    }
}
