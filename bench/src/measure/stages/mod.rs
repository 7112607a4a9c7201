//! The stages of the egress door by themselves, without sockets: what each takes of the request that the whole is measured with.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use doorward_core::Engine;
use doorward_core::action::PartKind;
use doorward_core::engine::Surroundings;
use doorward_core::wire::sphyr::reply::{Answered, Safety};
use doorward_core::wire::sphyr::sign;

use super::receipts;
use crate::report::tell;
use crate::shapes::{self, Shape};
use crate::spec::{Delivery, Dialect, Kind, Spec};
use crate::stats::quantile;

mod before;
mod call;
mod judged;

use call::NONCE;

/// A stage, and the microseconds that it takes.
pub type Stage = (&'static str, f64);

/// How many are timed together: reading the clock takes as long as some stages.
const BATCH: u32 = 32;

/// How many stages there are: each has its part of the time.
const STAGES: u32 = 19;

/// How many requests' receipts the log signs at once where so many callers wait for it: what shares a signature is what has come
/// while the one before was made.
const TOGETHER: u32 = 16;

/// What the stages of one request take, in microseconds.
#[derive(Debug)]
pub struct Stages {
    /// Each, in the order of a request.
    pub each: Vec<Stage>,
    /// All of them, for a request that is alone.
    pub alone: f64,
    /// All of them, for one of sixteen whose receipts share a signature.
    pub together: f64,
}

/// The stages, each by itself.
pub fn run(time: Duration) -> anyhow::Result<Stages> {
    tell("the stages alone");
    // What is asked and answered in the whole, so that the two can be compared.
    let spec = Spec { dialect: Dialect::Anthropic, kind: Kind::Json(600), delivery: Delivery::Whole };
    let message = call::signed(&shapes::request(&spec))?;
    let own = time / STAGES;
    let mut stages = before::run(&message, own)?;
    stages.extend(judged::run(&call::read(&message)?, own)?);
    stages.extend(answered(&Shape::of(&spec).pieces.concat(), own)?);
    let (recorded, shared) = recorded(&message, own)?;
    stages.extend(recorded);
    let alone: f64 = stages.iter().map(|(_, micros)| micros).sum();
    let own_signature = stages.last().map_or(0.0, |(_, micros)| *micros);
    stages.push(("the same, of 16 together", shared));
    Ok(Stages { each: stages, alone, together: alone - own_signature + shared })
}

/// What is done with the answer.
fn answered(reply: &str, own: Duration) -> anyhow::Result<Vec<Stage>> {
    let shipped = Engine::shipped(Surroundings::default()).map_err(|faults| anyhow!("{faults:?}"))?;
    let lines = [
        ("content-type", "application/json".to_owned()),
        ("date", "Sun, 22 Nov 2026 00:00:00 GMT".to_owned()),
    ];
    let (request, salt) = ("01JB0000000000000000000000", "00112233445566778899aabbccddeeff");
    let written = || {
        let safety = Safety { html_body: false, injection: false, secret: false };
        let signature = sign::sign(NONCE.as_bytes(), &safety.signed(salt));
        let (body, signature) = (black_box(reply), &signature);
        let (base64, redirect) = (None, None);
        let headers = &lines;
        Answered {
            status: 200,
            body,
            base64,
            headers,
            request,
            credits: 1,
            safety,
            salt,
            signature,
            redirect,
        }
        .json()
    };
    Ok(vec![
        ("answer screened", each(own, || shipped.audit_text(PartKind::ToolResult, black_box(reply)))),
        ("answer written", each(own, written)),
    ])
}

/// What is put on record: each receipt made, all three signed and written, and the last for one of many that share a signature.
fn recorded(message: &[u8], own: Duration) -> anyhow::Result<(Vec<Stage>, f64)> {
    let net = call::read(message)?;
    let mut ledger = receipts::Ledger::new()?;
    let group = receipts::of(&net)?;
    let many: Vec<_> = (0..TOGETHER).flat_map(|_| group.iter().cloned()).collect();
    let stages = vec![
        ("decision's receipt made", each(own, || receipts::decision(black_box(&net)))),
        ("opening's receipt made", each(own, || receipts::opening(black_box("opened")))),
        ("outcome's receipt made", each(own, || receipts::outcome(black_box("completed")))),
        ("receipts signed, written", each(own, || ledger.append(black_box(&group)))),
    ];
    Ok((stages, each(own, || ledger.append(black_box(&many))) / f64::from(TOGETHER)))
}

/// The median of one, in microseconds.
fn each<T>(time: Duration, mut stage: impl FnMut() -> T) -> f64 {
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time || times.len() < 50 {
        let begun = Instant::now();
        (0..BATCH).for_each(|_| drop(black_box(stage())));
        times.push(begun.elapsed().as_nanos() as f64 / 1e3 / f64::from(BATCH));
    }
    times.sort_by(f64::total_cmp);
    quantile(&times, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_measured() {
        let stages = run(Duration::from_millis(16)).unwrap();
        assert_eq!(stages.each.len(), STAGES as usize + 1);
        assert!(stages.each.iter().all(|(_, micros)| *micros > 0.0), "{stages:?}");
        assert!(stages.alone > 0.0 && stages.together > 0.0, "{stages:?}");
    }
}
