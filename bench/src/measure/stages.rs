//! The stages of the egress door by themselves, without sockets: what each takes of the request that the whole is measured with.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use doorward_core::account::gcra::{Limits, Rate};
use doorward_core::account::replay::{Bounds, Call as Replayed, Replays};
use doorward_core::action::request::{Body, Header, Request};
use doorward_core::action::{PartKind, alone};
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::syntax::Source;
use doorward_core::url::Url;
use doorward_core::wire::jsonrpc::{self, Message, Said};
use doorward_core::wire::sphyr::call::{self, Call, Net};
use doorward_core::wire::sphyr::reply::{Answered, Safety};
use doorward_core::wire::sphyr::sign::{self, Form, Signed};
use doorward_core::{Action, Door, Engine, Facts};
use serde_json::json;

use super::receipts;
use crate::report::tell;
use crate::shapes;
use crate::spec::{Delivery, Dialect, Kind, Spec};
use crate::stats::quantile;

const SECRET: &[u8] = b"a secret of the length that keys have, more or less";
const NONCE: &str = "3f0c2c1e-6a4b-4c64-9d0e-2f6b6a1c9e11";
const POLICY: &str = "default: allow\nrules: [{ name: never, deny: { host: never.example } }]\n";

/// How many are timed together: reading the clock takes as long as some stages.
const BATCH: u32 = 32;

/// Microseconds of each stage, and of all.
pub fn run(time: Duration) -> anyhow::Result<(Vec<(&'static str, f64)>, f64)> {
    tell("the stages alone");
    // What is asked and answered in the whole, so that the two can be compared.
    let spec = Spec { dialect: Dialect::Anthropic, kind: Kind::Json(600), delivery: Delivery::Whole };
    let body = shapes::request(&spec);
    let message = signed(&body)?;
    let net = read(&message)?;
    let policy =
        Policy::compile(&[Source { name: "bench", text: POLICY }]).map_err(|faults| anyhow!("{faults:?}"))?;
    let shipped = Engine::shipped(Surroundings::default()).map_err(|faults| anyhow!("{faults:?}"))?;
    let engine = Engine::new(
        doorward_core::detect::rules::RuleSet::shipped().map_err(|faults| anyhow!("{faults:?}"))?.into(),
        policy.into(),
        Surroundings::default(),
    );
    let (action, facts) = (action(&net), Facts::default());
    let verdict = engine.decide(&action, &facts).verdict;
    if verdict > doorward_core::Verdict::Audit {
        bail!("the request is refused ({}): another path than the one that is measured", verdict.as_str());
    }
    let mut replays = Replays::new(Bounds::default());
    let mut rates: Limits<u64, 3> = Limits::new([1024; 3]);
    let rate = Rate::per_second(u32::MAX).context("a rate")?;
    let (mut calls, mut ticks) = (0u64, 0u64);
    let reply: String = shapes::Shape::of(&spec).pieces.concat();
    let lines = [
        ("content-type", "application/json".to_owned()),
        ("date", "Sun, 22 Nov 2026 00:00:00 GMT".to_owned()),
    ];
    let own = time / 16;
    let mut ledger = receipts::Ledger::new()?;
    let group = receipts::of(&net)?;
    let stages = vec![
        ("call read", each(own, || read(black_box(&message)))),
        ("signature", each(own, || is_signed(black_box(&net)))),
        (
            "replay",
            each(own, || {
                calls += 1;
                let mut digest = [0; 16];
                digest.iter_mut().zip(calls.to_le_bytes()).for_each(|(to, from)| *to = from);
                let call = Replayed {
                    digest,
                    alike: digest,
                    owner: calls % 64,
                    second: 1_800_000_000 + calls / 3000,
                };
                replays.reserve(&call, call.second * 1000)
            }),
        ),
        (
            "rates",
            each(own, || {
                ticks += 1;
                rates.take([Some((1, rate)), Some((2, rate)), Some((ticks % 512, rate))], ticks)
            }),
        ),
        ("URL read", each(own, || Url::parse(black_box(&net.url)))),
        ("action made", each(own, || self::action(black_box(&net)))),
        ("decided", each(own, || engine.decide(black_box(&action), &facts))),
        ("answer screened", each(own, || shipped.audit_text(PartKind::ToolResult, black_box(&reply)))),
        (
            "answer written",
            each(own, || {
                let safety = Safety { html_body: false, injection: false, secret: false };
                let signature =
                    sign::sign(NONCE.as_bytes(), &safety.signed("00112233445566778899aabbccddeeff"));
                let answered = Answered {
                    status: 200,
                    body: black_box(&reply),
                    base64: None,
                    headers: &lines,
                    request: "01JB0000000000000000000000",
                    credits: 1,
                    safety,
                    salt: "00112233445566778899aabbccddeeff",
                    signature: &signature,
                    redirect: None,
                };
                answered.json()
            }),
        ),
        ("receipts made", each(own, || receipts::of(black_box(&net)))),
        ("receipts signed, written", each(own, || ledger.append(black_box(&group)))),
    ];
    let total = stages.iter().map(|(_, micros)| micros).sum();
    Ok((stages, total))
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

/// A signed call as the SDK sends it.
fn signed(body: &str) -> anyhow::Result<Vec<u8>> {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let (url, time) = ("https://api.example.com/v1/notes?limit=10", "1800000000");
    let signed = Signed {
        nonce: NONCE,
        time,
        url,
        method: "POST",
        body: body.as_bytes(),
        headers: &headers,
        category: "notes",
        trace: "",
    };
    let sig = sign::sign(SECRET, &signed.payload(Form::Lengths));
    let arguments = json!({"url": url, "mthd": "POST", "body": body, "headers": {"Content-Type": "application/json"},
                           "cat": "notes", "ts": 1_800_000_000, "sig": sig, "sess_token": NONCE});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                         "params": {"name": "sphyr_net", "arguments": arguments}});
    Ok(serde_json::to_vec(&message)?)
}

fn read(message: &[u8]) -> anyhow::Result<Net> {
    let Ok(Said::One(Message::Request(request))) = jsonrpc::read(message) else { bail!("no request") };
    let arguments = request.params.get("arguments").context("no arguments")?;
    match call::read("sphyr_net", arguments) {
        Some(Ok(Call::Net(net))) => Ok(*net),
        other => bail!("no call: {other:?}"),
    }
}

fn is_signed(net: &Net) -> bool {
    let signed = Signed {
        nonce: NONCE,
        time: &net.time.text,
        url: &net.url,
        method: &net.method,
        body: &net.body,
        headers: &net.headers,
        category: &net.category,
        trace: &net.trace,
    };
    sign::verifies(SECRET, &signed.payload(Form::Lengths), &net.signature)
}

fn action(net: &Net) -> Action {
    let line = |(name, value): &(String, String)| Header {
        name: name.as_str().into(),
        value: value.as_bytes().into(),
    };
    let request = Request::new(
        &net.method,
        &net.url,
        net.headers.iter().map(line).collect(),
        Body::Whole(net.body.clone().into()),
    );
    Action { door: Door::Egress, ..alone::request(request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_a_call_that_passes() {
        let message = signed("{}").unwrap();
        assert!(is_signed(&read(&message).unwrap()));
        let (stages, total) = run(Duration::from_millis(16)).unwrap();
        assert!(stages.len() > 7 && stages.iter().all(|(_, micros)| *micros > 0.0) && total > 0.0);
    }
}
