//! The pure part alone, without sockets: one decision, and the stream machine over whole replies.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use doorward_core::engine::Surroundings;
use doorward_core::session::baseline::Learning;
use doorward_core::session::chains::Chains;
use doorward_core::session::taint::Key;
use doorward_core::session::{self, Baseline, Ending, Now, State, Workspace, World};
use doorward_core::stream::{Context, Dialect as Wire, Framing, Input, Limits, Machine, Output, Ruling};
use doorward_core::{Action, Engine, Facts};
use serde_json::{Value, json};

use crate::report::{Table, number, tell};
use crate::shapes::{Shape, request};
use crate::spec::{Delivery, Dialect, Kind, Spec};
use crate::stats::quantile;

/// Calls as coding agents make them.
const CALLS: [(&str, &str, &str); 5] = [
    (
        "run tests",
        "Bash",
        "{\"command\":\"cargo test --workspace -- --nocapture 2>&1 | tail -n 40\",\"description\":\"Run the tests\"}",
    ),
    (
        "look around",
        "Bash",
        "{\"command\":\"cd crates/core && git status --short && git diff --stat && rg -n 'fn parse' src | head -20\"}",
    ),
    ("read a file", "Read", "{\"file_path\":\"/home/user/project/src/list.rs\",\"offset\":1,\"limit\":200}"),
    (
        "edit a file",
        "Edit",
        "{\"file_path\":\"/home/user/project/src/list.rs\",\"old_string\":\"    if list.is_empty() {\\n        return None;\\n    }\\n    \
         let first = list[0];\\n\",\"new_string\":\"    let first = *list.first()?;\\n\"}",
    ),
    (
        "install",
        "Bash",
        "{\"command\":\"npm ci --no-audit && npm run build --if-present && node scripts/check.mjs --all\"}",
    ),
];

/// Measures for about `time` each.
pub fn run(time: Duration) -> anyhow::Result<(Vec<Table>, Value)> {
    tell("decisions and the stream machine alone");
    let (decisions, decided) = decisions(time)?;
    let (machines, read) = machines(time)?;
    Ok((vec![decisions, machines], json!({"decide": decided, "machine": read})))
}

fn decisions(time: Duration) -> anyhow::Result<(Table, Value)> {
    let engine = Engine::shipped(Surroundings::default()).map_err(|faults| anyhow!("{faults:?}"))?;
    let facts = Facts::default();
    let (mut rows, mut json, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut add = |name: &str, mut times: Vec<f64>, verdict: &str| {
        times.sort_by(f64::total_cmp);
        let (p50, p99) = (quantile(&times, 0.5), quantile(&times, 0.99));
        rows.push(vec![name.to_owned(), number(p50), number(p99), verdict.to_owned()]);
        json.push(json!({"call": name, "p50_micros": p50, "p99_micros": p99, "samples": times.len()}));
    };
    for (name, tool, input) in CALLS {
        let action = action(tool, input)?;
        let verdict = engine.decide(&action, &facts).verdict;
        let mut times = Vec::new();
        let begin = Instant::now();
        while begin.elapsed() < time / 4 || times.len() < 1_000 {
            let begun = Instant::now();
            black_box(engine.decide(black_box(&action), &facts));
            times.push(begun.elapsed().as_nanos() as f64 / 1e3);
        }
        all.extend(times.iter().skip(times.len() / 10).take(1_000).copied());
        add(name, times, verdict.as_str());
    }
    add("all of them alike", all, "");
    add("the session's part of one", sessions(&engine, time)?, "");
    let table = Table {
        title: "One decision (`Engine::decide`), in µs".to_owned(),
        note: "Shipped rules and policy, every detector on.".to_owned(),
        head: ["call", "p50", "p99", "verdict"].map(str::to_owned).to_vec(),
        rows,
    };
    Ok((table, Value::Array(json)))
}

/// What the session adds to a decision: `begin` and `end` in a session that has seen all of its bounds filled.
fn sessions(engine: &Engine, time: Duration) -> anyhow::Result<Vec<f64>> {
    let actions: Vec<Action> =
        CALLS.iter().map(|(_, tool, input)| action(tool, input)).collect::<Result<_, _>>()?;
    let (mut state, mut workspace, mut baseline) =
        (State::new([1; 32]), Workspace::new(Key::new([2; 32])), Baseline::default());
    let chains = Chains::shipped();
    let mut times = Vec::new();
    let mut millis = 1_800_000_000_000;
    let begin = Instant::now();
    while begin.elapsed() < time / 4 || times.len() < 3_000 {
        let action = actions.get(times.len() % actions.len()).context("no call")?;
        millis += 7_000;
        let begun = Instant::now();
        let world = World {
            workspace: &workspace,
            baseline: &baseline,
            learning: Learning::default(),
            chains: &chains,
            classify: &|action, effect| engine.classify(action, effect),
            own: &|action| engine.policy().own_effects(action),
        };
        let now = Now { millis, ..Now::default() };
        let (seq, facts) = session::begin(&mut state, black_box(action), now, &world);
        let (case, common) = ((action, &facts), (&mut workspace, &mut baseline));
        black_box(session::end(&mut state, seq, Ending::Forwarded, case, &[], common));
        times.push(begun.elapsed().as_nanos() as f64 / 1e3);
    }
    // The last ones: until then its bounds are not filled.
    Ok(times.split_off(times.len() / 2))
}

/// The action that the stream machine makes of a call.
fn action(tool: &str, input: &str) -> anyhow::Result<Action> {
    let body = format!(
        "{{\"model\":\"m\",\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\
         \"id\":\"toolu_1\",\"name\":\"{tool}\",\"input\":{input}}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\
         \"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}"
    );
    let spec = Spec { dialect: Dialect::Anthropic, kind: Kind::Json(1), delivery: Delivery::Whole };
    let mut machine = machine(&spec)?;
    let mut out = Vec::new();
    machine.step(Input::Bytes(body.as_bytes()), &mut out);
    machine.step(Input::End, &mut out);
    let judged = out.into_iter().find_map(|output| match output {
        Output::Judge(_, action, _) => Some(*action),
        _ => None,
    });
    judged.with_context(|| format!("the call of {tool} was not handed out"))
}

fn machine(spec: &Spec) -> anyhow::Result<Machine> {
    let body = request(spec);
    let dialect = match spec.dialect {
        Dialect::Anthropic => Wire::Anthropic,
        Dialect::OpenAi => Wire::OpenAiChat,
    };
    let declared = dialect
        .read_request(body.as_bytes())
        .map_err(|fault| anyhow!("the request is refused: {fault}"))?
        .declared;
    let (agent, peer): (Arc<str>, Arc<str>) = ("bench".into(), "upstream".into());
    let context = Context {
        session: Arc::clone(&agent),
        agent,
        peer,
        trusted: false,
        declared,
        before: Default::default(),
        text_tools: Default::default(),
        door: "".into(),
        placeholders: Arc::default(),
        monitor: false,
    };
    let framing = if spec.streams() { Framing::Events } else { Framing::Json };
    Ok(Machine::new(dialect, framing, context, Limits::default()))
}

/// Takes a reply through a machine in the given pieces, releasing every call. Returns the bytes it sent.
fn pass(spec: &Spec, pieces: &[&[u8]]) -> anyhow::Result<usize> {
    let mut machine = machine(spec)?;
    let (mut out, mut sent) = (Vec::new(), 0);
    let inputs = pieces.iter().map(|piece| Input::Bytes(piece)).chain([Input::End]);
    for input in inputs {
        machine.step(input, &mut out);
        while let Some(output) = out.pop() {
            match output {
                Output::Send(bytes) => sent += bytes.len(),
                Output::Judge(id, _, held) => machine.step(Input::Ruled(id, Ruling::Release(held)), &mut out),
                _ => {}
            }
        }
    }
    Ok(sent)
}

fn machines(time: Duration) -> anyhow::Result<(Table, Value)> {
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for (name, kind) in [
            ("b: text and a call", Kind::Tool(60)),
            ("c: 2,000 deltas", Kind::Deltas(2_000)),
            ("c: 4,000 deltas", Kind::Deltas(4_000)),
            ("d: 20 MB of JSON", Kind::Json(20 << 20)),
        ] {
            let spec = Spec { dialect, kind, delivery: Delivery::Whole };
            let shape = Shape::of(&spec);
            let events: Vec<&[u8]> = shape.pieces.iter().map(String::as_bytes).collect();
            let whole = shape.pieces.concat();
            // As sockets give them.
            let reads: Vec<&[u8]> = whole.as_bytes().chunks(64 << 10).collect();
            for (how, pieces) in [("an event a step", &events), ("64 KiB a step", &reads)] {
                let micros = best(time / 4, || pass(&spec, pieces), whole.len())?;
                let speed = whole.len() as f64 / micros;
                rows.push(vec![
                    name.into(),
                    dialect.name().into(),
                    how.into(),
                    number(micros),
                    number(speed),
                ]);
                json.push(json!({
                    "reply": name, "dialect": dialect.name(), "steps": how, "micros": micros,
                    "megabytes_per_second": speed, "bytes": whole.len(),
                }));
            }
        }
    }
    let table = Table {
        title: "The stream machine alone".to_owned(),
        note: "Reading, holding and sending a whole reply; the request's reading is in it, judging is not."
            .to_owned(),
        head: ["reply", "dialect", "steps", "µs a reply", "MB/s"].map(str::to_owned).to_vec(),
        rows,
    };
    Ok((table, Value::Array(json)))
}

/// The median time of `work` in microseconds; it must send `length` bytes.
fn best(
    time: Duration,
    mut work: impl FnMut() -> anyhow::Result<usize>,
    length: usize,
) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time || times.len() < 5 {
        let begun = Instant::now();
        let sent = black_box(work()?);
        times.push(begun.elapsed().as_nanos() as f64 / 1e3);
        anyhow::ensure!(sent == length, "{sent} bytes of {length} came out of the machine");
    }
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_released() {
        let engine = Engine::shipped(Surroundings::default()).unwrap();
        for (name, tool, input) in CALLS {
            let action = action(tool, input).unwrap();
            assert!(engine.decide(&action, &Facts::default()).verdict.passes(), "{name}");
        }
    }

    #[test]
    fn replies_come_out_as_they_went_in() {
        for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
            for kind in [Kind::Tool(60), Kind::Deltas(50), Kind::Json(600), Kind::Blocks(3), Kind::Clock] {
                let spec = Spec { dialect, kind, delivery: Delivery::Whole };
                let whole = Shape::of(&spec).pieces.concat();
                assert_eq!(pass(&spec, &[whole.as_bytes()]).unwrap(), whole.len(), "{spec:?}");
            }
        }
    }
}
