//! What stands before judging.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use doorward_core::account::gcra::{Limiter, Limits, Rate};
use doorward_core::account::replay::{Bounds, Call as Replayed, Replays, WINDOW};
use doorward_core::url::Url;

use super::call::{self, NONCE, TIME};
use super::{Stage, each};

/// How many sessions are open where one is found.
const SESSIONS: u32 = 1000;

/// From the bytes of a message to what is judged.
pub fn run(message: &[u8], own: Duration) -> anyhow::Result<Vec<Stage>> {
    let net = call::read(message)?;
    let rate = Rate::per_second(u32::MAX).context("a rate")?;
    Ok(vec![
        ("pre-auth backstop", backstop(rate, own)),
        ("call read", each(own, || call::read(black_box(message)))),
        ("session found", session(own)),
        ("signature", each(own, || call::is_signed(black_box(&net)))),
        ("freshness", each(own, || black_box(&net).time.seconds.abs_diff(black_box(TIME)) <= WINDOW)),
        ("replay", replay(own)),
        ("rates", rates(rate, own)),
        ("URL read", each(own, || Url::parse(black_box(&net.url)))),
        ("action made", each(own, || call::action(black_box(&net)))),
    ])
}

/// The rate of an address, one of many, and that of all strangers.
fn backstop(rate: Rate, own: Duration) -> f64 {
    let (mut addresses, mut all) = (Limiter::new(65_536), Limiter::new(1));
    let mut ticks = 0u64;
    each(own, || {
        ticks += 1;
        (addresses.take(ticks % 512, rate, ticks), all.take(0, rate, ticks))
    })
}

/// The door keeps sessions in a map behind a lock; it is not public, and this stands for it.
fn session(own: Duration) -> f64 {
    let token = |number: u32| format!("{number:08x}-6a4b-4c64-9d0e-2f6b6a1c9e11").into_boxed_str();
    let others = (0..SESSIONS).map(|number| (token(number), Arc::new(number)));
    let sessions: HashMap<_, _> = others.chain([(NONCE.into(), Arc::new(SESSIONS))]).collect();
    let sessions = Mutex::new(sessions);
    each(own, || {
        let known = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(black_box(NONCE)).cloned()
    })
}

/// A place for one more call among those of some minutes.
fn replay(own: Duration) -> f64 {
    let (mut replays, mut calls) = (Replays::new(Bounds::default()), 0u64);
    each(own, || {
        calls += 1;
        let mut digest = [0; 16];
        digest.iter_mut().zip(calls.to_le_bytes()).for_each(|(to, from)| *to = from);
        let call = Replayed { digest, alike: digest, owner: calls % 64, second: TIME + calls / 3000 };
        replays.reserve(&call, call.second * 1000)
    })
}

/// Those of an address, a key and an agent at once.
fn rates(rate: Rate, own: Duration) -> f64 {
    let (mut rates, mut ticks): (Limits<u64, 3>, u64) = (Limits::new([1024; 3]), 0);
    each(own, || {
        ticks += 1;
        rates.take([Some((1, rate)), Some((2, rate)), Some((ticks % 512, rate))], ticks)
    })
}
