use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NOON: Seconds = 1_800_000_000;

fn id(n: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id.iter_mut().zip(n.to_be_bytes()).for_each(|(to, from)| *to = from);
    id
}

/// The `n`th request, as it is signed in `second`.
fn call(n: u64, second: Seconds) -> Call {
    Call { digest: id(n << 32 | (second & 0xFFFF_FFFF)), alike: id(n), owner: 1, second }
}

fn passes(replays: &mut Replays, call: &Call, now: Seconds) -> bool {
    replays.reserve(call, now * 1000).is_ok()
}

fn fresh() -> Replays {
    Replays::new(Bounds::default())
}

#[test]
fn once_and_never_again() {
    let mut replays = fresh();
    let one = call(1, NOON);
    assert!(passes(&mut replays, &one, NOON));
    for later in 0..=WINDOW {
        assert!(matches!(replays.reserve(&one, (NOON + later) * 1000), Err(Refused::Seen { .. })), "{later}");
    }
    for later in [WINDOW + 1, WINDOW + 2, 10 * WINDOW] {
        assert_eq!(replays.reserve(&one, (NOON + later) * 1000).unwrap_err(), Refused::Stale);
    }
    assert_eq!((replays.all, replays.owners.len(), replays.seconds.len()), (0, 0, 0));
}

#[test]
fn it_has_to_be_of_about_now() {
    let mut replays = fresh();
    assert!(passes(&mut replays, &call(1, NOON - WINDOW), NOON));
    assert!(passes(&mut replays, &call(1, NOON + WINDOW), NOON));
    assert_eq!(replays.reserve(&call(1, NOON - WINDOW - 1), NOON * 1000).unwrap_err(), Refused::Stale);
    assert_eq!(replays.reserve(&call(1, NOON + WINDOW + 1), NOON * 1000).unwrap_err(), Refused::Early);
    assert_eq!(replays.reserve(&call(1, u64::MAX), NOON * 1000).unwrap_err(), Refused::Early);
}

#[test]
fn what_did_not_go_on_may_come_again() {
    let mut replays = fresh();
    let one = call(1, NOON);
    let reserved = replays.reserve(&one, NOON * 1000).unwrap();
    replays.release(reserved);
    assert_eq!((replays.all, replays.owners.len()), (0, 0));
    let kept = replays.reserve(&one, NOON * 1000).unwrap();
    drop(kept);
    assert!(!passes(&mut replays, &one, NOON), "dropped on the way, it stays taken");
    // One that is released when it has long been forgotten.
    let late = replays.reserve(&call(2, NOON), NOON * 1000).unwrap();
    assert!(passes(&mut replays, &call(3, NOON + 1000), NOON + 1000));
    replays.release(late);
    assert_eq!(replays.all, 1);
}

#[test]
fn full_means_refuse() {
    let mut replays = Replays::new(Bounds { all: 10, each: 6 });
    let of = |owner: u64, n: u64, second| Call { owner, ..call(n, second) };
    for n in 0..6 {
        assert!(passes(&mut replays, &of(1, n, NOON + n / 3), NOON));
    }
    let full = replays.reserve(&of(1, 7, NOON), NOON * 1000 + 500).unwrap_err();
    assert_eq!(full, Refused::Full { retry_after_ms: (WINDOW + 1) * 1000 - 500 });
    // The others have their own.
    for n in 10..14 {
        assert!(passes(&mut replays, &of(2, n, NOON), NOON));
    }
    assert!(matches!(replays.reserve(&of(3, 20, NOON), NOON * 1000), Err(Refused::Full { .. })));
    // When told, there is room again, and what was refused for lack of it has not counted.
    let then = NOON + WINDOW + 1;
    assert!(passes(&mut replays, &of(1, 30, then), then));
}

#[test]
fn a_clock_that_jumps_lets_nothing_pass_twice() {
    let mut replays = fresh();
    let before = call(1, NOON);
    assert!(passes(&mut replays, &before, NOON));
    // An hour ahead, and back again.
    let ahead = call(2, NOON + 3600);
    assert!(passes(&mut replays, &ahead, NOON + 3600));
    for now in [NOON, NOON + 10, NOON + WINDOW] {
        assert_eq!(replays.reserve(&before, now * 1000).unwrap_err(), Refused::Stale, "{now}");
    }
    // Ordinary requests go on.
    assert!(passes(&mut replays, &call(3, NOON + 11), NOON + 11));
    // What was signed by the clock that was wrong is still known when that time comes.
    assert!(matches!(replays.reserve(&ahead, (NOON + 3590) * 1000), Err(Refused::Seen { .. })));
}

/// Years ahead for an hour, and back: who signs by the right time is let in again, and nothing of before passes twice.
#[test]
fn a_clock_that_was_wrong_for_long_keeps_nobody_out() {
    const YEARS: Seconds = 10 * 365 * 86_400;
    let mut replays = Replays::new(Bounds { all: 100, each: 50 });
    let before = call(1, NOON);
    assert!(passes(&mut replays, &before, NOON));
    let ahead: Vec<Call> = (0..60).map(|n| call(100 + n, NOON + YEARS + n * 60)).collect();
    for one in &ahead {
        assert!(passes(&mut replays, one, one.second));
    }
    let back = NOON + 200;
    assert_eq!(replays.reserve(&before, back * 1000).unwrap_err(), Refused::Stale);
    // What passed in that hour takes nobody's room, and passes in no year.
    for n in 0..50 {
        assert!(passes(&mut replays, &call(500 + n, back), back), "{n}");
    }
    assert!((2..=MOST_SPANS).contains(&replays.forgotten().len()));
    for one in &ahead {
        assert!(!passes(&mut replays, one, one.second));
    }
}

/// However often it jumps, what is kept of that is bounded, and nothing passes twice.
#[test]
fn a_clock_that_jumps_again_and_again() {
    let mut replays = fresh();
    let calls: Vec<Call> = (0..500).map(|n| call(n, NOON + n * 37 % 500 * 10_000)).collect();
    for one in &calls {
        assert!(passes(&mut replays, one, one.second) || replays.forgotten().len() == MOST_SPANS, "{one:?}");
    }
    for one in &calls {
        assert!(!passes(&mut replays, one, one.second), "{one:?}");
    }
    assert!(replays.forgotten().len() <= MOST_SPANS);
}

#[test]
fn it_is_known_after_a_restart() {
    let mut replays = fresh();
    for n in 0..100 {
        assert!(passes(&mut replays, &call(n, NOON + n), NOON + n));
    }
    assert!(passes(&mut replays, &call(500, NOON + 350), NOON + 350));
    let mut again = fresh();
    replays.kept().for_each(|kept| again.restore(kept));
    replays.forgotten().iter().for_each(|(first, last)| again.forget_between(*first, *last));
    assert_eq!((again.all, &again.owners), (replays.all, &replays.owners));
    for n in 0..100 {
        assert!(!passes(&mut again, &call(n, NOON + n), NOON + 340), "{n}");
    }
    // With less room than there was, the rest is as good as forgotten.
    let mut small = Replays::new(Bounds { all: 3, each: 3 });
    replays.kept().for_each(|kept| small.restore(kept));
    for n in 50..100 {
        assert!(!passes(&mut small, &call(n, NOON + n), NOON + 340), "{n}");
    }
}

#[test]
fn each_that_waits_gets_a_second_of_its_own() {
    let mut replays = fresh();
    let mut clients: Vec<Millis> = (0..20u64).map(|n| NOON * 1000 + n * 40).collect();
    let mut tries = 0;
    let mut seconds = HashSet::new();
    while let Some(at) = clients.iter().copied().min() {
        clients.remove(clients.iter().position(|it| *it == at).unwrap());
        tries += 1;
        match replays.reserve(&call(1, at / 1000), at) {
            Ok(_) => assert!(seconds.insert(at / 1000)),
            // The way there takes its time.
            Err(Refused::Seen { retry_after_ms }) => clients.push(at + retry_after_ms + at % 7 * 30),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((seconds.len(), tries), (20, 39), "each waits once");
    // Others of which there is only one are not concerned.
    assert!(passes(&mut replays, &call(2, NOON), NOON));
}

#[test]
fn nobody_is_told_to_wait_longer_than_clients_do() {
    let mut replays = fresh();
    assert!(passes(&mut replays, &call(1, NOON), NOON));
    let mut last = 0;
    for _ in 0..1000 {
        let Err(Refused::Seen { retry_after_ms }) = replays.reserve(&call(1, NOON), NOON * 1000 + 900) else {
            panic!()
        };
        assert!(retry_after_ms >= last && retry_after_ms < (LONGEST_WAIT + 1) * 1000);
        last = retry_after_ms;
    }
    assert_eq!(last, LONGEST_WAIT * 1000 + INTO_SECOND - 900);
    // Nor is there room without end for who waits.
    for n in 0..(MOST_WAITING as u64 + 10) {
        let one = call(n, NOON);
        drop(replays.reserve(&one, NOON * 1000));
        assert!(matches!(replays.reserve(&one, NOON * 1000), Err(Refused::Seen { .. })));
    }
    assert_eq!(replays.told.len(), MOST_WAITING);
    drop(replays.reserve(&call(5, NOON + 60), (NOON + 60) * 1000));
    assert!(replays.told.is_empty());
}

proptest! {
    /// Against one that remembers everything for ever: what passes has never passed, whatever clock and bounds do.
    #[test]
    fn nothing_passes_twice(
        steps in prop::collection::vec((0u64..4, -700i64..700, 0u64..40, 0u8..10), 1..400), all in 1usize..60,
    ) {
        let mut replays = Replays::new(Bounds { all, each: all });
        let mut passed: HashSet<[u8; 16]> = HashSet::new();
        let mut now = NOON;
        for (n, jump, ago, act) in steps {
            if act == 0 {
                now = now.saturating_add_signed(jump);
            }
            let one = call(n, now - ago);
            match replays.reserve(&one, now * 1000) {
                Ok(reserved) if act == 1 => replays.release(reserved),
                Ok(_) => prop_assert!(passed.insert(one.digest)),
                Err(Refused::Seen { .. }) => prop_assert!(passed.contains(&one.digest)),
                Err(_) => {}
            }
            if act == 2 {
                let kept: Vec<Kept> = replays.kept().collect();
                let gone = replays.forgotten().to_vec();
                replays = Replays::new(Bounds { all, each: all });
                kept.into_iter().for_each(|kept| replays.restore(kept));
                gone.into_iter().for_each(|(first, last)| replays.forget_between(first, last));
            }
            prop_assert_eq!(replays.all, replays.kept().count());
            prop_assert!(replays.all <= all);
        }
    }
}
