//! A run: starts the upstream and the peers, measures part by part, writes the report.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::arguments::{Options, Part};
use crate::budgets;
use crate::measure::throughput::Extent;
use crate::measure::{core, first_token, linear, streams, throughput};
use crate::peers::{Peer, PeerKind, Places};
use crate::proc;
use crate::process::{Folder, Running};
use crate::report::{Report, Table};

/// Files a process needs beside two for each stream.
const FILES: u64 = 1_000;

/// Runs the benchmark.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let files = proc::raise_files(2 * options.streams as u64 + FILES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    runtime.block_on(measure(options, files, &mut report))?;
    if let Some(file) = &options.json {
        fs::write(file, report.json()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.markdown {
        fs::write(file, report.markdown()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The upstream, started, and where everything is.
pub fn places(options: &Options) -> anyhow::Result<(Places, Running)> {
    let own = std::env::current_exe()?;
    let beside = own.parent().context("no folder")?;
    let folder = Folder::new()?;
    let mut upstream = Running::start(Command::new(&own).arg("upstream"), &folder.0, "upstream")?;
    let line = upstream.first_line()?;
    let port = line.trim().strip_prefix("listening ").and_then(|port| port.parse().ok());
    let places = Places {
        doorward: options.doorward.clone().unwrap_or_else(|| beside.join("doorward")),
        python: std::path::absolute(
            options.environments.clone().unwrap_or_else(|| beside.join("bench-python")),
        )?,
        interpreter: options.python.clone(),
        folder,
        upstream: SocketAddr::from(([127, 0, 0, 1], port.context("the upstream named no port")?)),
    };
    Ok((places, upstream))
}

async fn measure(options: &Options, files: u64, report: &mut Report) -> anyhow::Result<()> {
    let (places, upstream) = places(options)?;
    report.add("machine", &[machine(options)], machine_json(options));
    let has = |part| options.parts.contains(&part);
    let time = Duration::from_secs_f64(options.seconds);
    if has(Part::Core) {
        let (tables, json) = core::run(time)?;
        report.add("core", &tables, json);
    }
    let mut available = options.peers.clone();
    if [Part::FirstToken, Part::Throughput, Part::Linear].into_iter().any(has) {
        let (peers, missing) = start(options, &places, report).await;
        available.retain(|kind| !missing.contains(kind));
        if has(Part::FirstToken) {
            let (tables, json) = first_token::run(&peers, if options.quick { 60 } else { 400 }).await?;
            report.add("first_token", &tables, json);
        }
        if has(Part::Throughput) {
            let extent = Extent {
                rounds: options.rounds,
                time,
                quick: options.quick,
                rows: &options.rows,
                connections: &options.connections,
            };
            let (tables, json) = throughput::run(&peers, &extent).await;
            report.add("throughput", &tables, json);
        }
        if has(Part::Linear) {
            let rounds = if options.quick { 1 } else { 3 };
            let (tables, json) = linear::run(&peers, rounds, time).await;
            report.add("linear", &tables, json);
        }
    }
    if has(Part::Streams) {
        let mut found = Vec::new();
        let most = usize::try_from(files.saturating_sub(FILES) / 2).unwrap_or(usize::MAX);
        if most < options.streams {
            report.remark(&format!(
                "This machine allows {files} open files a process: {most} streams instead of {}. `ulimit -Hn`, or run as root.",
                options.streams
            ));
        }
        let hold = Duration::from_secs(if options.quick { 4 } else { 12 });
        for kind in available.iter().copied().filter(|kind| *kind != PeerKind::Direct) {
            match Peer::start(kind, &places).await {
                Ok(peer) => found.push(streams::one(&peer, options.streams.min(most), hold).await?),
                Err(error) => report.remark(&missing_words(kind, &error)),
            }
        }
        let (tables, json) = streams::tables(found, options.streams.min(most), hold);
        report.add("streams", &tables, json);
    }
    let (table, json) = budgets::judge(report.found());
    if !table.rows.is_empty() {
        report.add("budgets", &[table], json);
    }
    drop(upstream);
    Ok(())
}

/// Starts the peers; says which are missing and why.
async fn start(options: &Options, places: &Places, report: &mut Report) -> (Vec<Peer>, Vec<PeerKind>) {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for kind in &options.peers {
        match Peer::start(*kind, places).await {
            Ok(peer) => peers.push(peer),
            Err(error) => {
                report.remark(&missing_words(*kind, &error));
                missing.push(*kind);
            }
        }
    }
    let rows = peers.iter().map(|peer| vec![peer.kind.name().to_owned(), peer.version.clone()]).collect();
    let versions: serde_json::Map<_, _> =
        peers.iter().map(|peer| (peer.kind.name().to_owned(), json!(peer.version))).collect();
    let table = Table {
        title: "Peers".to_owned(),
        note: String::new(),
        head: vec!["peer".to_owned(), "version".to_owned()],
        rows,
    };
    report.add("peers", &[table], versions.into());
    (peers, missing)
}

pub fn missing_words(kind: PeerKind, error: &anyhow::Error) -> String {
    format!("**{} is missing from this run**: {error:#}", kind.name())
}

fn facts(options: &Options) -> Vec<(&'static str, String)> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let memory =
        memory.lines().next().and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<f64>().ok());
    vec![
        ("command", format!("`cargo xtask bench {}`", options.line)),
        (
            "processors",
            format!(
                "{} × {}",
                std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
                model.trim_start_matches([' ', '\t', ':'])
            ),
        ),
        ("memory", format!("{:.0} GiB", memory.unwrap_or(0.0) / 1024.0 / 1024.0)),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("load before", read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()),
    ]
}

pub fn machine(options: &Options) -> Table {
    Table {
        title: "The run".to_owned(),
        note: String::new(),
        head: vec!["".to_owned(), "".to_owned()],
        rows: facts(options).into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect(),
    }
}

pub fn machine_json(options: &Options) -> serde_json::Value {
    facts(options)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
