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

/// Microseconds of each stage in the order of a request, and of all.
pub fn run(time: Duration) -> anyhow::Result<(Vec<Stage>, f64)> {
    tell("the stages alone");
    // What is asked and answered in the whole, so that the two can be compared.
    let spec = Spec { dialect: Dialect::Anthropic, kind: Kind::Json(600), delivery: Delivery::Whole };
    let message = call::signed(&shapes::request(&spec))?;
    let own = time / STAGES;
    let mut stages = before::run(&message, own)?;
    stages.extend(judged::run(&call::read(&message)?, own)?);
    stages.extend(answered(&Shape::of(&spec).pieces.concat(), own)?);
    stages.extend(recorded(&message, own)?);
    let total = stages.iter().map(|(_, micros)| micros).sum();
    Ok((stages, total))
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

/// What is put on record: each receipt made, and all three signed and written.
fn recorded(message: &[u8], own: Duration) -> anyhow::Result<Vec<Stage>> {
    let net = call::read(message)?;
    let mut ledger = receipts::Ledger::new()?;
    let group = receipts::of(&net)?;
    Ok(vec![
        ("decision's receipt made", each(own, || receipts::decision(black_box(&net)))),
        ("opening's receipt made", each(own, || receipts::opening(black_box("opened")))),
        ("outcome's receipt made", each(own, || receipts::outcome(black_box("completed")))),
        ("receipts signed, written", each(own, || ledger.append(black_box(&group)))),
    ])
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
        let (stages, total) = run(Duration::from_millis(16)).unwrap();
        assert_eq!(stages.len(), STAGES as usize);
        assert!(stages.iter().all(|(_, micros)| *micros > 0.0) && total > 0.0, "{stages:?}");
    }
}
