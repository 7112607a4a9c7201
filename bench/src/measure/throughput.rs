//! Replies a second, and what each costs the proxy, at several numbers of connections. Peers take turns
//! within each round, so that the machine's noise hits all of them alike.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Load, load};
use crate::peers::{Peer, PeerKind};
use crate::proc::Spent;
use crate::report::{Table, number, tell};
use crate::spec::{Delivery, Dialect, Kind, Spec};
use crate::stats::{Spread, quantile};

/// How much is done.
#[derive(Debug)]
pub struct Extent<'a> {
    /// Rounds of each cell.
    pub rounds: usize,
    /// How long one lasts.
    pub time: Duration,
    /// Whether only the main rows are measured.
    pub quick: bool,
    /// First letters of the rows.
    pub rows: &'a str,
    /// How many connections; empty for what each row says.
    pub connections: &'a [usize],
}

impl Extent<'_> {
    fn takes(&self, row: &Row) -> bool {
        (row.quick || !self.quick) && row.name.chars().next().is_some_and(|letter| self.rows.contains(letter))
    }
}

/// After a load, before the processor time is read: what a proxy does after its last reply counts.
const SETTLE: Duration = Duration::from_millis(60);

/// Whose round took longer is not asked for another: the others would wait for it most of the time.
const TOO_SLOW: Duration = Duration::from_secs(10);

/// How long replies under way are waited for.
const PATIENCE: Duration = Duration::from_secs(25);

struct Row {
    name: &'static str,
    spec: Spec,
    connections: &'static [usize],
    quick: bool,
}

const ALL: &[usize] = &[1, 16, 64];

const fn row(name: &'static str, dialect: Dialect, kind: Kind, delivery: Delivery, quick: bool) -> Row {
    Row { name, spec: Spec { dialect, kind, delivery }, connections: ALL, quick }
}

fn rows() -> Vec<Row> {
    use Delivery::{Events, Whole};
    use Dialect::{Anthropic, OpenAi};
    let large = 20 << 20;
    vec![
        row("a: JSON, 600 characters", Anthropic, Kind::Json(600), Whole, true),
        row("a: JSON, 600 characters", OpenAi, Kind::Json(600), Whole, false),
        row("b: text and a call, an event a write", Anthropic, Kind::Tool(60), Events, true),
        row("b: text and a call, an event a write", OpenAi, Kind::Tool(60), Events, false),
        row("b: text and a call, in one write", Anthropic, Kind::Tool(60), Whole, false),
        row("c: 2,000 deltas, an event a write", Anthropic, Kind::Deltas(2_000), Events, true),
        row("c: 2,000 deltas, an event a write", OpenAi, Kind::Deltas(2_000), Events, false),
        row("c: 2,000 deltas, in one write", Anthropic, Kind::Deltas(2_000), Whole, true),
        row("c: 2,000 deltas, in one write", OpenAi, Kind::Deltas(2_000), Whole, false),
        row("d: 20 MB of JSON", Anthropic, Kind::Json(large), Whole, false),
        row(
            "d: 20 MB streamed, 1,000 characters a delta",
            Anthropic,
            Kind::Blocks(large / 1_000),
            Whole,
            false,
        ),
        // Deltas that come alone, as a model writes them: nothing can be taken together.
        Row {
            connections: &[64],
            ..row(
                "paced: 200 deltas, one each 10 ms",
                Anthropic,
                Kind::Deltas(200),
                Delivery::Paced(10),
                true,
            )
        },
        Row {
            connections: &[64],
            ..row("paced: 200 deltas, one each 10 ms", OpenAi, Kind::Deltas(200), Delivery::Paced(10), false)
        },
    ]
}

/// One round of one peer.
#[derive(Debug, Clone)]
struct Cell {
    load: Load,
    /// What the proxy alone has spent.
    spent: Spent,
}

impl Cell {
    fn rate(&self) -> f64 {
        self.load.completed as f64 / self.load.seconds.max(1e-9)
    }

    fn cpu_each(&self) -> f64 {
        self.spent.micros() / self.load.completed as f64
    }

    fn has_any(&self) -> bool {
        !self.load.millis.is_empty()
    }

    fn system_each(&self) -> f64 {
        self.spent.system / self.load.completed as f64
    }

    fn switches_each(&self) -> f64 {
        self.spent.switches as f64 / self.load.completed as f64
    }
}

/// Measures one cell.
async fn cell(peer: &Peer, spec: &Spec, connections: usize, time: Duration) -> Cell {
    let spent = || peer.tree().map(crate::proc::Tree::spent).unwrap_or_default();
    let before = spent();
    let load = match load(&peer.target, spec, connections, time, PATIENCE).await {
        Ok(load) => load,
        // A peer that is gone is told like one that answers wrongly.
        Err(error) => Load { failed: 1, failure: Some(format!("{error:#}")), ..Load::default() },
    };
    tokio::time::sleep(SETTLE).await;
    Cell { load, spent: spent().since(before) }
}

/// Processor time and latency for each reply on one connection: microseconds, milliseconds.
pub async fn costs(peer: &Peer, spec: &Spec, time: Duration) -> (f64, f64) {
    let cell = cell(peer, spec, 1, time).await;
    (cell.cpu_each(), quantile(&cell.load.millis, 0.5))
}

/// Measures everything.
pub async fn run(peers: &[Peer], extent: &Extent<'_>) -> (Vec<Table>, Value) {
    let mut found = Vec::new();
    for row in rows().into_iter().filter(|row| extent.takes(row)) {
        let connections = if extent.connections.is_empty() { row.connections } else { extent.connections };
        for connections in connections {
            tell(&format!("{} ({}), {connections} connections", row.name, row.spec.dialect.name()));
            let mut cells: Vec<Vec<Cell>> = vec![Vec::new(); peers.len()];
            let (rounds, time) = match row.spec.is_large() {
                true => (extent.rounds.min(3), extent.time * 2),
                false => (extent.rounds, extent.time),
            };
            for round in 0..rounds {
                for turn in 0..peers.len() {
                    let at = (turn + round) % peers.len();
                    let (Some(peer), Some(cells)) = (peers.get(at), cells.get_mut(at)) else { continue };
                    if cells.last().is_some_and(|cell| cell.load.seconds > TOO_SLOW.as_secs_f64()) {
                        continue;
                    }
                    cells.push(cell(peer, &row.spec, *connections, time).await);
                }
            }
            found.push(Found { name: row.name, spec: row.spec, connections: *connections, cells });
        }
    }
    let json = found.iter().flat_map(|found| found.json(peers)).collect();
    let mut tables = vec![
        table(
            peers,
            &found,
            "Replies a second",
            "",
            "median [least..most], ×: of nginx in the same rounds",
            Cell::rate,
        ),
        table(
            peers,
            &found,
            "Processor time of the proxy for each reply, in µs",
            "Children included; the load and the upstream are processes of their own and not counted.",
            "",
            Cell::cpu_each,
        ),
        table(
            peers,
            &found,
            "Of it in the kernel, in µs",
            "What a proxy asks the system for: sockets and files, being woken and sent to sleep.",
            "",
            Cell::system_each,
        ),
        table(peers, &found, "Changes of context of the proxy for each reply", "", "", Cell::switches_each),
        table(peers, &found, "Time a reply takes, median, in ms", "", "", |cell| {
            quantile(&cell.load.millis, 0.5)
        }),
        table(peers, &found, "Time a reply takes, 99th percentile, in ms", "", "", |cell| {
            quantile(&cell.load.millis, 0.99)
        }),
    ];
    let note = "Round by round: median [least..most].";
    for (part, percentile) in [(0.5, "median"), (0.99, "99th percentile")] {
        tables.extend(added(
            peers,
            &found,
            (&format!("Added to the {percentile} of the direct way, in ms"), note),
            part,
        ));
    }
    let wrong = failures(peers, &found);
    if !wrong.rows.is_empty() {
        tables.push(wrong);
    }
    (tables, Value::Array(json))
}

struct Found {
    name: &'static str,
    spec: Spec,
    connections: usize,
    cells: Vec<Vec<Cell>>,
}

impl Found {
    fn label(&self) -> Vec<String> {
        vec![self.name.to_owned(), self.spec.dialect.name().to_owned(), self.connections.to_string()]
    }

    /// The ratio to nginx, round by round.
    fn ratio(&self, peers: &[Peer], at: usize, value: &impl Fn(&Cell) -> f64) -> Option<Spread> {
        let nginx = peers.iter().position(|peer| peer.kind == PeerKind::Nginx)?;
        let (own, its) = (self.cells.get(at)?, self.cells.get(nginx)?);
        Some(Spread::of(own.iter().zip(its).map(|(own, its)| value(own) / value(its))))
    }

    /// How many milliseconds the way through takes more than the direct one in the same round, at this quantile of each.
    fn added(&self, peers: &[Peer], at: usize, part: f64) -> Option<Spread> {
        let direct = peers.iter().position(|peer| peer.kind == PeerKind::Direct).filter(|it| *it != at)?;
        let (own, its) = (self.cells.get(at)?, self.cells.get(direct)?);
        let rounds = own.iter().zip(its).filter(|(own, its)| own.has_any() && its.has_any());
        let values: Vec<f64> = rounds
            .map(|(own, its)| quantile(&own.load.millis, part) - quantile(&its.load.millis, part))
            .collect();
        (!values.is_empty()).then(|| Spread::of(values))
    }

    fn json(&self, peers: &[Peer]) -> Vec<Value> {
        let of_peer = |(at, (peer, cells)): (usize, (&Peer, &Vec<Cell>))| {
            let spread = |value: fn(&Cell) -> f64| Spread::of(cells.iter().map(value)).json();
            json!({
                "workload": self.name,
                "dialect": self.spec.dialect.name(),
                "model": self.spec.model(),
                "connections": self.connections,
                "peer": peer.kind.name(),
                "rounds": cells.len(),
                "replies_per_second": spread(Cell::rate),
                "of_nginx": self.ratio(peers, at, &Cell::rate).map(Spread::json),
                "bytes_per_second": spread(|cell| cell.load.bytes as f64 / cell.load.seconds.max(1e-9)),
                "cpu_micros_per_reply": spread(Cell::cpu_each),
                "system_micros_per_reply": spread(Cell::system_each),
                "switches_per_reply": spread(Cell::switches_each),
                "p50_ms": spread(|cell| quantile(&cell.load.millis, 0.5)),
                "p99_ms": spread(|cell| quantile(&cell.load.millis, 0.99)),
                "added_p50_ms": self.added(peers, at, 0.5).map(Spread::json),
                "added_p99_ms": self.added(peers, at, 0.99).map(Spread::json),
                "completed": cells.iter().map(|cell| cell.load.completed).sum::<u64>(),
                "failed": cells.iter().map(|cell| cell.load.failed).sum::<u64>(),
                "failure": cells.iter().find_map(|cell| cell.load.failure.clone()),
            })
        };
        peers.iter().zip(&self.cells).enumerate().map(of_peer).collect()
    }
}

fn table(
    peers: &[Peer],
    found: &[Found],
    title: &str,
    note: &str,
    legend: &str,
    value: impl Fn(&Cell) -> f64,
) -> Table {
    let ranges = !legend.is_empty();
    let mut head = vec!["reply".to_owned(), "dialect".to_owned(), "connections".to_owned()];
    head.extend(peers.iter().map(|peer| peer.kind.name().to_owned()));
    // How many paced replies there are in a second, their pace says.
    let told = |found: &&Found| !ranges || !matches!(found.spec.delivery, Delivery::Paced(_));
    let rows = found.iter().filter(told).map(|found| {
        let mut row = found.label();
        for (at, (peer, cells)) in peers.iter().zip(&found.cells).enumerate() {
            let spread = Spread::of(cells.iter().map(&value));
            let done = cells.iter().any(|cell| cell.load.completed > 0);
            let ratio = found.ratio(peers, at, &value).filter(|_| ranges && peer.kind != PeerKind::Nginx);
            row.push(match (done, ranges) {
                (false, _) => "none".to_owned(),
                (true, false) if spread.middle == 0.0 => "-".to_owned(),
                (true, false) => number(spread.middle),
                (true, true) => {
                    let ratio = ratio.map(|ratio| format!(" ×{:.2}", ratio.middle)).unwrap_or_default();
                    format!(
                        "{} [{}..{}]{ratio}",
                        number(spread.middle),
                        number(spread.least),
                        number(spread.most)
                    )
                }
            });
        }
        row
    });
    let note = [note, legend].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join(" ");
    Table { title: title.to_owned(), note, head, rows: rows.collect() }
}

/// What each way adds to the direct one, if that was measured.
fn added(peers: &[Peer], found: &[Found], (title, note): (&str, &str), part: f64) -> Option<Table> {
    let through = || peers.iter().enumerate().filter(|(_, peer)| peer.kind != PeerKind::Direct);
    if through().count() == peers.len() {
        return None;
    }
    let mut head = vec!["reply".to_owned(), "dialect".to_owned(), "connections".to_owned()];
    head.extend(through().map(|(_, peer)| peer.kind.name().to_owned()));
    let rows = found.iter().map(|found| {
        let told = |spread: Spread| {
            format!("{} [{}..{}]", number(spread.middle), number(spread.least), number(spread.most))
        };
        let cells = through().map(|(at, _)| found.added(peers, at, part).map_or("none".to_owned(), told));
        found.label().into_iter().chain(cells).collect()
    });
    Some(Table { title: title.to_owned(), note: note.to_owned(), head, rows: rows.collect() })
}

/// What went wrong, where: a proxy that loses replies is not fast.
fn failures(peers: &[Peer], found: &[Found]) -> Table {
    let mut rows = Vec::new();
    for found in found {
        for (peer, cells) in peers.iter().zip(&found.cells) {
            let failed: u64 = cells.iter().map(|cell| cell.load.failed).sum();
            let Some(failure) = cells.iter().find_map(|cell| cell.load.failure.clone()) else { continue };
            let mut row = found.label();
            let words: String =
                failure.chars().map(|c| if c == '|' || c.is_control() { ' ' } else { c }).take(160).collect();
            row.extend([peer.kind.name().to_owned(), failed.to_string(), words]);
            rows.push(row);
        }
    }
    let head = ["reply", "dialect", "connections", "peer", "failed", "the first failure"];
    Table {
        title: "Replies that were not right".to_owned(),
        note: String::new(),
        head: head.map(str::to_owned).to_vec(),
        rows,
    }
}
