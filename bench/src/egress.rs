//! `cargo xtask bench egress`: both ways into the egress door beside nobody in between and nginx, in one run; what they take; and what
//! each stage costs by itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::arguments::Options;
use crate::measure::stages::{self, Stage, Stages};
use crate::measure::throughput::{self, Extent};
use crate::model::{machine, machine_json, missing_words, places};
use crate::peers::{Peer, PeerKind, Places};
use crate::report::{Report, Table, number};

/// What one request may cost, in microseconds of processor time.
const BUDGET: f64 = 100.0;

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    runtime.block_on(measure(options, &mut report))?;
    if let Some(file) = &options.json {
        fs::write(file, report.json())?;
    }
    if let Some(file) = &options.markdown {
        fs::write(file, report.markdown())?;
    }
    Ok(())
}

async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let (places, upstream) = places(options)?;
    report.add("machine", &[machine(options)], machine_json(options));
    let time = Duration::from_secs_f64(options.seconds);
    let stages = stages::run(time)?;
    report.add("stages", &[stages_table(&stages)], by_name(stages.each.iter().copied()));
    let peers = start(&places, report).await;
    let extent = Extent {
        rounds: options.rounds,
        time,
        quick: true,
        rows: "a",
        connections: if options.connections.is_empty() { &[1, 16, 64] } else { &options.connections },
    };
    let before = threads(&peers);
    let (tables, figures) = throughput::run(&peers, &extent).await;
    report.add("throughput", &tables, figures);
    let (tables, figures) = by_thread(&before, &threads(&peers));
    report.add("threads", &tables, figures);
    let (table, figures) = memory(&peers);
    report.add("memory", &[table], figures);
    drop(upstream);
    Ok(())
}

/// Nobody in between, nginx, and both ways into the egress door, each a process of its own.
async fn start(places: &Places, report: &mut Report) -> Vec<Peer> {
    let mut peers = Vec::new();
    for kind in [PeerKind::Direct, PeerKind::Nginx, PeerKind::Net, PeerKind::Mcp] {
        match Peer::start(kind, places).await {
            Ok(peer) => peers.push(peer),
            Err(error) => report.remark(&missing_words(kind, &error)),
        }
    }
    peers
}

fn stages_table(stages: &Stages) -> Table {
    let note = format!(
        "Together {} µs for a request that is alone, {} µs for one of 16 at once; for the whole of a request there are {BUDGET} µs.",
        number(stages.alone),
        number(stages.together)
    );
    let row = |(name, micros): &Stage| vec![(*name).to_owned(), number(*micros)];
    Table {
        title: "What each stage costs by itself, in µs".to_owned(),
        note,
        head: ["stage", "median"].map(str::to_owned).to_vec(),
        rows: stages.each.iter().map(row).collect(),
    }
}

/// Figures as JSON.
fn by_name<'a>(figures: impl Iterator<Item = (&'a str, f64)>) -> Value {
    figures.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>().into()
}

fn memory(peers: &[Peer]) -> (Table, Value) {
    let mib = |bytes: u64| number(bytes as f64 / f64::from(1 << 20));
    let through = peers.iter().filter_map(|peer| Some((peer.kind.name(), peer.tree()?.memory())));
    let measured: Vec<_> = through.collect();
    let table = Table {
        title: "Memory after all of that, in MiB".to_owned(),
        note: String::new(),
        head: ["peer", "now", "at most"].map(str::to_owned).to_vec(),
        rows: measured
            .iter()
            .map(|(name, memory)| vec![(*name).to_owned(), mib(memory.now), mib(memory.peak)])
            .collect(),
    };
    let figures = measured
        .iter()
        .map(|(name, memory)| ((*name).to_owned(), json!({"now": memory.now, "peak": memory.peak})));
    (table, figures.collect::<Map<_, _>>().into())
}

/// What the threads of a process have run, in microseconds, by their names.
type Threads = BTreeMap<String, f64>;

/// Those of both of Doorward's processes.
fn threads(peers: &[Peer]) -> Vec<(&'static str, Threads)> {
    let doors = peers.iter().filter(|peer| peer.kind.is_egress());
    doors.filter_map(|peer| Some((peer.kind.name(), peer.tree()?.threads()))).collect()
}

/// Which of them did the work.
fn by_thread(before: &[(&'static str, Threads)], after: &[(&'static str, Threads)]) -> (Vec<Table>, Value) {
    let (mut tables, mut figures) = (Vec::new(), Map::new());
    for ((name, before), (_, after)) in before.iter().zip(after) {
        let own = |(thread, micros): (&String, &f64)| {
            (thread.clone(), (micros - before.get(thread).copied().unwrap_or_default()).max(0.0))
        };
        let own: Vec<_> = after.iter().map(own).filter(|(_, micros)| *micros > 0.0).collect();
        let all = own.iter().map(|(_, micros)| micros).sum::<f64>().max(1.0);
        tables.push(Table {
            title: format!("Processor time of {name} by thread, in %"),
            note: "Those with `tokio` in their names serve; nobody waits for the store's.".to_owned(),
            head: ["thread", "share"].map(str::to_owned).to_vec(),
            rows: own
                .iter()
                .map(|(thread, micros)| vec![thread.clone(), number(100.0 * micros / all)])
                .collect(),
        });
        figures.insert((*name).to_owned(), by_name(own.iter().map(|(thread, micros)| (&**thread, *micros))));
    }
    (tables, figures.into())
}
