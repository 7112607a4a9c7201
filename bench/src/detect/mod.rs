//! `cargo xtask bench detect`: how fast text is looked through, beside one bare pass over the same literals.

use std::hint::black_box;
use std::time::Duration;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use anyhow::{Context as _, anyhow};
use doorward_core::action::{Action, alone};
use doorward_core::engine::Surroundings;
use doorward_core::{Engine, Facts};
use serde_json::{Value, json};

use crate::report::{Report, Table, number};
use crate::stats::{Spread, exponent};

mod inputs;
use inputs::Input;

/// The length of a text, in bytes: what a tool that read some files gives back.
const SIZE: usize = 1 << 20;

/// How much processor time one cell of a round is given.
const CELL: Duration = Duration::from_millis(200);

/// What the text is judged as.
const KINDS: [&str; 2] = ["tool_result", "outbound"];

/// Measures, and prints and writes what `json` and `markdown` name.
pub fn run(
    rounds: usize,
    json: Option<&std::path::Path>,
    markdown: Option<&std::path::Path>,
) -> anyhow::Result<()> {
    let engine = Engine::shipped(Surroundings::default()).map_err(|faults| anyhow!("{faults:?}"))?;
    let literals = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(engine.rules().literals())?;
    let mut report = Report::default();
    report.remark(&format!(
        "{} rules, {} literals, texts of {} KiB, {rounds} rounds in turn; MB/s of one core",
        engine.rules().rules().len(),
        engine.rules().literals().count(),
        SIZE >> 10
    ));
    let (table, found) = speeds(&engine, &literals, rounds)?;
    report.add("detect", &[table], found);
    let (table, found) = growth(&engine)?;
    report.add("growth", &[table], found);
    for (file, text) in [(json, report.json()), (markdown, report.markdown())] {
        let Some(file) = file else { continue };
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn speeds(engine: &Engine, literals: &AhoCorasick, rounds: usize) -> anyhow::Result<(Table, Value)> {
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for input in inputs::all(SIZE) {
        let actions: Vec<Action> =
            KINDS.iter().map(|kind| action(kind, &input.text)).collect::<Result<_, _>>()?;
        let (mut bare, mut judged) = (Vec::new(), vec![Vec::new(); KINDS.len()]);
        // In turn, so that a slow moment of the machine is everybody's.
        for _ in 0..rounds {
            bare.push(speed(&input, || literals.find_iter(input.text.as_str()).count() > usize::MAX - 1));
            for (action, speeds) in actions.iter().zip(&mut judged) {
                speeds.push(speed(&input, || engine.decide(black_box(action), &Facts::default()).passes()));
            }
        }
        let bare = Spread::of(bare);
        let judged: Vec<Spread> = judged.into_iter().map(Spread::of).collect();
        let what = if input.adversarial { "hostile" } else { "clean" };
        let mut row = vec![format!("{what}: {}", input.name), number(bare.middle)];
        row.extend(
            judged.iter().flat_map(|spread| [number(spread.middle), number(spread.middle / bare.middle)]),
        );
        rows.push(row);
        all.push(json!({
            "text": input.name,
            "adversarial": input.adversarial,
            "bare": bare.json(),
            "tool_result": judged.first().map(|spread| spread.json()),
            "outbound": judged.get(1).map(|spread| spread.json()),
        }));
    }
    let table = Table {
        title: "Detection (`Engine::decide` on one text), MB/s".to_owned(),
        note: "`bare` is one pass of an Aho-Corasick automaton over the same literals, counting what it finds; the ratio is \
               to it."
            .to_owned(),
        head: ["text", "bare", "tool_result", "ratio", "outbound", "ratio"].map(str::to_owned).to_vec(),
        rows,
    };
    Ok((table, Value::Array(all)))
}

/// What each detector is judged by: the kind of a text that it looks into, and the largest such text, in bytes. Results of
/// tools are looked into for text that speaks to the model, what leaves for credentials, both by the rules.
const DETECTORS: [(&str, usize); 4] =
    [("tool_result", SIZE * 4), ("outbound", SIZE * 4), ("command", SIZE / 16), ("url", SIZE / 16)];

/// Whether the time grows as the text does.
fn growth(engine: &Engine) -> anyhow::Result<(Table, Value)> {
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for (kind, largest) in DETECTORS {
        let sizes = [largest / 64, largest / 16, largest / 4, largest];
        for at in 0..inputs::all(1).len() {
            let mut points = Vec::new();
            let mut name = String::new();
            for size in sizes {
                let Some(input) = inputs::all(size).into_iter().nth(at) else { continue };
                let action = action(kind, &input.text)?;
                let speed = speed(&input, || engine.decide(black_box(&action), &Facts::default()).passes());
                points.push((size as f64, size as f64 / speed));
                input.name.clone_into(&mut name);
            }
            let exponent = exponent(&points);
            rows.push(vec![format!("{kind}: {name}"), number(exponent)]);
            all.push(json!({"kind": kind, "text": name, "exponent": exponent}));
        }
    }
    let table = Table {
        title: "Growth: 1 is linear, 2 quadratic".to_owned(),
        note: format!(
            "Texts of {} KiB to {} MiB, commands and addresses of 1 to 64 KiB.",
            SIZE >> 14,
            SIZE >> 18
        ),
        head: ["text", "exponent"].map(str::to_owned).to_vec(),
        rows,
    };
    Ok((table, Value::Array(all)))
}

fn action(kind: &str, text: &str) -> anyhow::Result<Action> {
    alone::read(kind, text, None).map_err(|error| anyhow!("{error}"))
}

/// MB/s of `look`, which goes through the input once.
fn speed(input: &Input, mut look: impl FnMut() -> bool) -> f64 {
    let (begun, mut times) = (now(), 0_u32);
    loop {
        black_box(look());
        times += 1;
        let took = now().saturating_sub(begun);
        if took >= CELL {
            return input.text.len() as f64 * f64::from(times) / took.as_secs_f64() / 1e6;
        }
    }
}

/// Processor time of this thread, so that the figures are those of one core however busy the machine is.
fn now() -> Duration {
    Duration::from_nanos(crate::clock::busy_nanos())
}
