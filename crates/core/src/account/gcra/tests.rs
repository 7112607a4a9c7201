use proptest::prelude::*;

use super::*;

fn rate(uses: u32, burst: u32) -> Rate {
    Rate::new(uses, 1000, burst).unwrap()
}

/// The slow model: a bucket that fills with the time, written down in another way.
struct Bucket {
    room: u64,
    at: u64,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Ticks) -> bool {
        let now = self.at.max(now * NANOS_PER_MILLI);
        self.room = (self.room + (now - self.at)).min(rate.full());
        self.at = now;
        let passes = self.room >= rate.interval;
        self.room -= if passes { rate.interval } else { 0 };
        passes
    }
}

proptest! {
    #[test]
    fn it_is_a_bucket_that_fills_evenly(
        uses in 1u32..500, burst in 1u32..200, steps in prop::collection::vec((0u64..400, any::<bool>()), 1..300),
    ) {
        let Some(rate) = Rate::new(uses, 1000, burst) else { return Ok(()) };
        let mut limiter = Limiter::new(1);
        let mut bucket = Bucket { room: rate.full(), at: 0 };
        let mut now = 1_000_000;
        bucket.at = now * NANOS_PER_MILLI;
        prop_assert_eq!(limiter.look(1, rate, now).remaining, burst);
        let mut granted = Vec::new();
        for (step, back) in steps {
            // Sometimes the clock goes back: it stands still.
            let said = if back && step > 300 { now - step } else { now + step };
            now = now.max(said);
            let expected = bucket.take(rate, said);
            match limiter.take(1u64, rate, said) {
                Ok(standing) => {
                    prop_assert!(expected);
                    granted.push(now);
                    prop_assert_eq!(u64::from(standing.remaining), bucket.room / rate.interval);
                }
                Err(standing) => {
                    prop_assert!(!expected);
                    prop_assert!(standing.retry_after_ms > 0);
                    let wait = standing.retry_after_ms;
                    prop_assert_eq!(limiter.look(1, rate, now).remaining, 0);
                    let later = |ahead: u64| rate.standing(limiter.entries[0].1, (now + ahead) * NANOS_PER_MILLI);
                    prop_assert!(later(wait).remaining > 0 && later(wait - 1).remaining == 0);
                    prop_assert_eq!(later(standing.reset_ms).remaining, burst);
                }
            }
        }
        // Never more than the burst and what has drained, in any window.
        for (at, first) in granted.iter().enumerate() {
            for (count, last) in granted[at..].iter().enumerate() {
                prop_assert!(count as u64 <= u64::from(burst) + (last - first) * u64::from(uses) / 1000);
            }
        }
    }
}

#[test]
fn ten_a_second_means_ten_then_one_every_hundred_milliseconds() {
    let mut limiter = Limiter::new(8);
    let ten = Rate::per_second(10).unwrap();
    for left in (0..10).rev() {
        let standing = limiter.take("a", ten, 5_000).unwrap();
        assert_eq!((standing.remaining, standing.limit, standing.retry_after_ms > 0), (left, 10, left == 0));
    }
    let full = limiter.take("a", ten, 5_000).unwrap_err();
    assert_eq!(full, Standing { limit: 10, remaining: 0, retry_after_ms: 100, reset_ms: 1000 });
    assert_eq!(limiter.take("a", ten, 5_099).unwrap_err().retry_after_ms, 1);
    assert!(limiter.take("a", ten, 5_100).is_ok());
    assert!(limiter.take("a", ten, 5_199).is_err());
    // Somebody else has nothing to do with it.
    assert_eq!(limiter.take("b", ten, 5_100).unwrap().remaining, 9);
}

#[test]
fn rates_that_make_no_sense_are_none() {
    assert_eq!(Rate::new(0, 1000, 1), None);
    assert_eq!(Rate::new(1, 0, 1), None);
    assert_eq!(Rate::new(1, 1000, 0), None);
    assert_eq!(Rate::new(1, 60_000, 61), None, "more than an hour");
    assert!(Rate::new(1, 60_000, 60).is_some());
    assert!(Rate::new(u32::MAX, u32::MAX, u32::MAX).is_none());
}

#[test]
fn full_never_means_unlimited() {
    let mut limiter = Limiter::new(100);
    let two = rate(2, 2);
    let mut granted = 0;
    for key in 0..10_000u64 {
        granted += u64::from(limiter.take(key, two, 7_000).is_ok());
    }
    // The first hundred had one each, all others two between them.
    assert_eq!((granted, limiter.len()), (102, 100));
    // Who was first keeps what it has: spraying keys resets nothing.
    assert!(limiter.take(0, two, 7_000).is_ok() && limiter.take(0, two, 7_000).is_err());
    // Another rate has a shared entry of its own, so that a slow one does not stop it.
    assert!(limiter.take(99_999, rate(5, 1), 7_000).is_ok());
    assert!(limiter.take(99_998, rate(5, 1), 7_000).is_err());
    // Half a second later entries are idle, and new keys take their places; they begin with what stood on the
    // shared one.
    let late = limiter.take(55_555, two, 7_500).unwrap();
    assert_eq!((late.remaining, limiter.len(), limiter.places.len()), (0, 100, 100));
    // And when that has drained, with all of it.
    assert_eq!(limiter.take(55_556, two, 9_000).unwrap().remaining, 1);
}

#[test]
fn rates_beyond_those_that_share_are_refused() {
    let mut limiter = Limiter::new(1);
    assert!(limiter.take(0u64, rate(1, 1), 0).is_ok());
    let passed = (1..=500).filter(|n| limiter.take(u64::from(*n), rate(*n + 1, 1), 0).is_ok()).count();
    assert_eq!(passed, MOST_SHARED);
    let none = limiter.take(1_000, rate(900, 1), 0).unwrap_err();
    assert!(none.remaining == 0 && none.retry_after_ms > 0);
    // The fastest of them have drained.
    assert!(limiter.take(1_000, rate(900, 1), none.retry_after_ms).is_ok());
}

#[test]
fn on_all_limits_or_on_none() {
    let mut limits: Limits<u64, 3> = Limits::new([10, 10, 10]);
    let (wide, narrow) = (rate(100, 100), rate(1, 1));
    let asked = [Some((1, wide)), Some((2, narrow)), None];
    let standings = limits.take(asked, 50).unwrap();
    assert_eq!(standings.map(|it| it.map(|it| it.remaining)), [Some(99), Some(0), None]);
    let (which, standing) = limits.take(asked, 50).unwrap_err();
    assert_eq!((which, standing.retry_after_ms), (1, 1000));
    assert_eq!(limits.get_mut(0).unwrap().look(1, wide, 50).remaining, 99);
    // The one that makes wait the longest is told.
    let slow = Rate::new(1, 5_000, 1).unwrap();
    assert!(limits.take([None, None, Some((3, slow))], 50).is_ok());
    let (which, standing) =
        limits.take([Some((1, wide)), Some((2, narrow)), Some((3, slow))], 50).unwrap_err();
    assert_eq!((which, standing.retry_after_ms), (2, 5_000));
}

#[test]
fn what_is_given_back_may_be_taken_again() {
    let mut limiter = Limiter::new(2);
    let narrow = rate(1, 2);
    assert!(limiter.take(1u64, narrow, 50).is_ok() && limiter.take(1, narrow, 50).is_ok());
    assert!(limiter.take(1, narrow, 50).is_err());
    limiter.give_back(1, narrow);
    assert!(limiter.take(1, narrow, 50).is_ok() && limiter.take(1, narrow, 50).is_err());
    // Never more than the burst, however often and whenever, and nothing to who has no entry.
    for _ in 0..9 {
        limiter.give_back(1, narrow);
        limiter.give_back(7, narrow);
    }
    assert_eq!((limiter.look(1, narrow, 50).remaining, limiter.len()), (2, 1));
    assert!(limiter.take(1, narrow, 60).is_ok() && limiter.take(1, narrow, 60).is_ok());
    assert!(limiter.take(1, narrow, 60).is_err());
}

#[test]
fn looking_first_at_a_full_table_tells_what_taking_then_does() {
    let mut limits: Limits<u64, 2> = Limits::new([1000, 40]);
    let (wide, narrow) = (rate(1000, 1000), rate(50, 1));
    let mut taken = 0;
    for step in 0..5_000u64 {
        let asked = [Some((1, wide)), Some((step, narrow))];
        taken += u64::from(limits.take(asked, step / 2).is_ok());
    }
    // What the second refused, the first was not charged for: 1000 at once and 1000 a second.
    assert!(taken > 1500 && taken <= 1000 + 2500, "{taken}");
}
