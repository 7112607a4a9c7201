//! `cargo xtask bench egress`: the egress door beside nobody in between and nginx, in one run; what it takes; and what each of its
//! stages costs by itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::arguments::Options;
use crate::measure::stages;
use crate::measure::throughput::{self, Extent};
use crate::model::{machine, machine_json, missing_words, places};
use crate::peers::{Peer, PeerKind};
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
    let (stages, total) = stages::run(time)?;
    let note = format!("Together {} µs; for the whole of a request there are {BUDGET} µs.", number(total));
    let rows = stages.iter().map(|(name, micros)| vec![(*name).to_owned(), number(*micros)]);
    let table = Table {
        title: "What each stage costs by itself, in µs".to_owned(),
        note,
        head: ["stage", "median"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let figures: serde_json::Map<_, _> =
        stages.iter().map(|(name, micros)| ((*name).to_owned(), json!(micros))).collect();
    report.add("stages", &[table], figures.into());
    let mut peers = Vec::new();
    for kind in [PeerKind::Direct, PeerKind::Nginx, PeerKind::Doorward] {
        let started = match kind {
            PeerKind::Doorward => Peer::egress(&places).await,
            other => Peer::start(other, &places).await,
        };
        match started {
            Ok(peer) => peers.push(peer),
            Err(error) => report.remark(&missing_words(kind, &error)),
        }
    }
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
    let (table, figures) = by_thread(&before, &threads(&peers));
    report.add("threads", &[table], figures);
    let memory = |peer: &Peer| peer.tree().map(crate::proc::Tree::memory).unwrap_or_default();
    let mib = |bytes: u64| number(bytes as f64 / f64::from(1 << 20));
    let rows = peers.iter().filter(|peer| peer.kind != PeerKind::Direct).map(|peer| {
        let memory = memory(peer);
        vec![peer.kind.name().to_owned(), mib(memory.now), mib(memory.peak)]
    });
    let table = Table {
        title: "Memory after all of that, in MiB".to_owned(),
        note: String::new(),
        head: ["peer", "now", "at most"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let figures: serde_json::Map<_, _> = peers
        .iter()
        .map(|peer| {
            (peer.kind.name().to_owned(), json!({"now": memory(peer).now, "peak": memory(peer).peak}))
        })
        .collect();
    report.add("memory", &[table], figures.into());
    drop(upstream);
    Ok(())
}

/// What Doorward's threads have run, in microseconds, by their names.
fn threads(peers: &[Peer]) -> BTreeMap<String, f64> {
    let doorward = peers.iter().find(|peer| peer.kind == PeerKind::Doorward);
    doorward.and_then(Peer::tree).map(crate::proc::Tree::threads).unwrap_or_default()
}

/// Which of them did the work.
fn by_thread(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> (Table, serde_json::Value) {
    let own = |(name, micros): (&String, &f64)| {
        (name.clone(), (micros - before.get(name).copied().unwrap_or_default()).max(0.0))
    };
    let own: Vec<(String, f64)> = after.iter().map(own).filter(|(_, micros)| *micros > 0.0).collect();
    let all = own.iter().map(|(_, micros)| micros).sum::<f64>().max(1.0);
    let table = Table {
        title: "Doorward's processor time by thread, in %".to_owned(),
        note: "Those with `tokio` in their names serve; nobody waits for the store's.".to_owned(),
        head: ["thread", "share"].map(str::to_owned).to_vec(),
        rows: own.iter().map(|(name, micros)| vec![name.clone(), number(100.0 * micros / all)]).collect(),
    };
    (
        table,
        own.into_iter().map(|(name, micros)| (name, json!(micros))).collect::<serde_json::Map<_, _>>().into(),
    )
}
