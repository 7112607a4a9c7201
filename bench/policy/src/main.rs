//! `cargo xtask bench policy`: what a decision by policy costs, beside other engines on equivalent policies.
//!
//! Rules deny one endpoint each (`api17.example.com/v1/charges`), everything else is allowed; or all are about
//! one endpoint and look into the body (`$.amount` at least so much). Asked is one POST with a JSON body of 300
//! bytes: of an endpoint that the first rule denies, that the last one denies, that none does.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

mod arguments;
use arguments::Arguments;

mod cedar;
mod checkrd;
mod doorward;
mod rego;

/// How many rules a policy has.
const SIZES: [usize; 5] = [1, 10, 200, 1_000, 10_000];

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The first rule denies it.
    First,
    /// The last rule denies it.
    Last,
    /// No rule is about it.
    Miss,
    /// Every rule is about its endpoint and looks into its body; none denies it.
    Body,
}

impl Case {
    const ALL: [Self; 4] = [Self::First, Self::Last, Self::Miss, Self::Body];

    const fn name(self) -> &'static str {
        match self {
            Self::First => "hit first",
            Self::Last => "hit last",
            Self::Miss => "miss",
            Self::Body => "body",
        }
    }

    const fn is_denied(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// The host asked for, of a policy with `rules`.
    fn host(self, rules: usize) -> String {
        match self {
            Self::First => "api0.example.com".into(),
            Self::Last => format!("api{}.example.com", rules - 1),
            Self::Miss => "other.example.com".into(),
            Self::Body => "api.example.com".into(),
        }
    }
}

/// The body that is sent: an amount below what any rule minds.
pub fn body() -> String {
    json!({
        "amount": 4200, "currency": "eur", "customer": "cus_9s6XKzkNRiz8i3", "description": "Two nights, breakfast",
        "metadata": {"order": "6735", "channel": "web", "notes": "late arrival, quiet room if there is one"},
        "items": [{"sku": "room-2", "count": 2}, {"sku": "breakfast", "count": 4}],
    })
    .to_string()
}

/// The policy of `rules` rules in the format that Doorward shares with Checkrd.
pub fn yaml(case: Case, rules: usize) -> String {
    let mut text = String::from("default: allow\nmode: enforce\nrules:\n");
    for n in 0..rules {
        let _ = match case {
            Case::Body => writeln!(
                text,
                "  - name: r{n}\n    deny: {{ url: api.example.com/v1/charges, body: {{ jsonpath: $.amount, min: {} }} }}",
                50_001 + n
            ),
            _ => writeln!(text, "  - name: r{n}\n    deny: {{ url: api{n}.example.com/v1/charges }}"),
        };
    }
    text
}

/// What one engine needed.
pub struct Taken {
    pub p50: Duration,
    pub p99: Duration,
    /// Allocations of one decision, where they can be counted.
    pub allocations: Option<u64>,
    /// What preparing the policy took.
    pub prepared: Duration,
}

/// Times `decide`, which returns whether it denied, over what `fresh` makes; checks each answer.
pub fn timed<T>(
    case: Case,
    prepared: Duration,
    budget: Duration,
    mut fresh: impl FnMut() -> T,
    mut decide: impl FnMut(&T) -> anyhow::Result<bool>,
) -> anyhow::Result<Taken> {
    let mut samples = Vec::new();
    let begun = Instant::now();
    // A decision may remember what it read of its request: each sample asks about new ones.
    let mut each = 64;
    while samples.len() < 20 || begun.elapsed() < budget {
        let requests: Vec<T> = (0..each).map(|_| fresh()).collect();
        let start = Instant::now();
        let mut denied = 0;
        for request in &requests {
            denied += usize::from(std::hint::black_box(decide(request)?));
        }
        let taken = start.elapsed();
        ensure!(
            denied == if case.is_denied() { each } else { 0 },
            "{denied} of {each} denied in `{}`",
            case.name()
        );
        samples.push(taken / u32::try_from(each)?);
        if taken > Duration::from_millis(50) {
            each = 1;
        }
        if samples.len() >= 20_000 {
            break;
        }
    }
    samples.sort_unstable();
    let at =
        |part: f64| samples.get(((samples.len() - 1) as f64 * part) as usize).copied().unwrap_or_default();
    let request = fresh();
    let counted = allocation_counter::measure(|| {
        let _ = std::hint::black_box(decide(&request));
    });
    Ok(Taken { p50: at(0.5), p99: at(0.99), allocations: Some(counted.count_total), prepared })
}

fn main() -> anyhow::Result<()> {
    let Some(arguments) = Arguments::read(std::env::args().skip(1))? else { return Ok(()) };
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    for case in Case::ALL {
        for rules in arguments.sizes.iter().copied() {
            for engine in &arguments.engines {
                eprintln!("{} rules, {}: {engine}", rules, case.name());
                let taken = match engine.as_str() {
                    "doorward" => doorward::run(case, rules, arguments.budget).map(Some),
                    "cedar" => cedar::run(case, rules, arguments.budget).map(Some),
                    "regorus" => rego::run(case, rules, arguments.budget).map(Some),
                    _ => checkrd::run(case, rules, arguments.budget, &arguments.environments),
                };
                match taken.with_context(|| format!("{engine}, {rules} rules, {}", case.name())) {
                    Ok(Some(taken)) => {
                        rows.push(row(case, rules, engine, &taken));
                        figures.push(figure(case, rules, engine, &taken));
                    }
                    Ok(None) => {}
                    Err(error) => eprintln!("left out: {error:#}"),
                }
            }
        }
    }
    print_table(&rows);
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&Value::Array(figures))?)?;
    }
    Ok(())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn row(case: Case, rules: usize, engine: &str, taken: &Taken) -> [String; 7] {
    let told = |micros: f64| if micros < 10.0 { format!("{micros:.2}") } else { format!("{micros:.0}") };
    [
        case.name().to_owned(),
        rules.to_string(),
        engine.to_owned(),
        told(micros(taken.p50)),
        told(micros(taken.p99)),
        taken.allocations.map_or_else(|| "-".to_owned(), |count| count.to_string()),
        format!("{:.1}", taken.prepared.as_secs_f64() * 1e3),
    ]
}

fn figure(case: Case, rules: usize, engine: &str, taken: &Taken) -> Value {
    json!({
        "case": case.name(), "rules": rules, "engine": engine, "p50_micros": micros(taken.p50),
        "p99_micros": micros(taken.p99), "allocations": taken.allocations,
        "prepare_millis": taken.prepared.as_secs_f64() * 1e3,
    })
}

fn print_table(rows: &[[String; 7]]) {
    let head =
        ["case", "rules", "engine", "p50 µs", "p99 µs", "allocations", "prepare ms"].map(str::to_owned);
    let width = |column: usize| {
        let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; 7]| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!(" {cell:<width$} |", width = width(at)));
        println!("|{}", cells.collect::<String>());
    };
    line(&head);
    println!("|{}", (0..head.len()).map(|at| format!("{}|", "-".repeat(width(at) + 2))).collect::<String>());
    rows.iter().for_each(line);
}

/// Where Python environments are made: below the target directory.
pub fn environments() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().map(|beside| beside.join("environments")).unwrap_or_default()
}
