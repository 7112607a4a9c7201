//! What DESIGN promises, beside what a run has found.

use serde_json::{Map, Value, json};

use crate::report::{Table, number};

/// A promise: what it is about, the bound, where the figure is, and whether less is better.
struct Budget {
    what: &'static str,
    bound: f64,
    unit: &'static str,
    least: bool,
    figure: fn(&Map<String, Value>) -> Option<f64>,
}

const BUDGETS: [Budget; 9] = [
    Budget {
        what: "added time to the first text token, p50 (Anthropic)",
        bound: 300.0,
        unit: "µs",
        least: false,
        figure: |found| first_token(found, "anthropic"),
    },
    Budget {
        what: "added time to the first text token, p50 (OpenAI)",
        bound: 300.0,
        unit: "µs",
        least: false,
        figure: |found| first_token(found, "openai"),
    },
    Budget {
        what: "b, 64 connections, of nginx",
        bound: 0.7,
        unit: "×",
        least: true,
        figure: |found| of_nginx(found, "b: text and a call, an event a write"),
    },
    Budget {
        what: "c, 64 connections, of nginx",
        bound: 0.7,
        unit: "×",
        least: true,
        figure: |found| of_nginx(found, "c: 2,000 deltas, an event a write"),
    },
    Budget {
        what: "memory of a slow stream, peak",
        bound: 40_000.0,
        unit: "bytes",
        least: false,
        figure: |found| own(found, "streams").next()?.get("peak_bytes_per_stream")?.as_f64(),
    },
    Budget {
        what: "decision, p50",
        bound: 50.0,
        unit: "µs",
        least: false,
        figure: |found| decision(found, "p50_micros"),
    },
    Budget {
        what: "decision, p99",
        bound: 250.0,
        unit: "µs",
        least: false,
        figure: |found| decision(found, "p99_micros"),
    },
    Budget {
        what: "growth with deltas, exponent",
        bound: 1.15,
        unit: "",
        least: false,
        figure: |found| growth(found, "deltas"),
    },
    Budget {
        what: "growth with bytes, exponent",
        bound: 1.15,
        unit: "",
        least: false,
        figure: |found| growth(found, "MB of JSON"),
    },
];

/// The promises that this run says something about.
pub fn judge(found: &Map<String, Value>) -> (Table, Value) {
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for budget in BUDGETS {
        let Some(figure) = (budget.figure)(found) else { continue };
        let met = if budget.least { figure >= budget.bound } else { figure <= budget.bound };
        let bound =
            format!("{} {} {}", if budget.least { "≥" } else { "≤" }, number(budget.bound), budget.unit);
        let measured = format!("{} {}", number(figure), budget.unit);
        let words = [budget.what, bound.trim(), measured.trim(), if met { "yes" } else { "**no**" }];
        rows.push(words.map(str::to_owned).to_vec());
        json.push(json!({"what": budget.what, "bound": budget.bound, "measured": figure, "met": met}));
    }
    let table = Table {
        title: "Budgets".to_owned(),
        note: String::new(),
        head: ["what", "budget", "measured", "met"].map(str::to_owned).to_vec(),
        rows,
    };
    (table, Value::Array(json))
}

/// Doorward's entries in a part.
fn own<'a>(found: &'a Map<String, Value>, part: &str) -> impl Iterator<Item = &'a Value> {
    let entries = found.get(part).and_then(Value::as_array).into_iter().flatten();
    entries.filter(|entry| has(entry, "peer", "doorward"))
}

fn has(entry: &Value, key: &str, text: &str) -> bool {
    entry.get(key).and_then(Value::as_str) == Some(text)
}

fn first_token(found: &Map<String, Value>, dialect: &str) -> Option<f64> {
    let entry = own(found, "first_token").find(|entry| has(entry, "dialect", dialect))?;
    entry.pointer("/added_micros/p50")?.as_f64()
}

fn of_nginx(found: &Map<String, Value>, workload: &str) -> Option<f64> {
    let mut entries = own(found, "throughput").filter(|entry| {
        has(entry, "workload", workload)
            && has(entry, "dialect", "anthropic")
            && entry.get("connections").and_then(Value::as_u64) == Some(64)
    });
    entries.next()?.pointer("/of_nginx/median")?.as_f64()
}

fn decision(found: &Map<String, Value>, part: &str) -> Option<f64> {
    let calls = found.get("core")?.get("decide")?.as_array()?;
    calls.last()?.get(part)?.as_f64()
}

fn growth(found: &Map<String, Value>, what: &str) -> Option<f64> {
    own(found, "linear").find(|entry| has(entry, "what", what))?.get("cpu_exponent")?.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_judged() {
        let found = json!({
            "streams": [{"peer": "nginx", "peak_bytes_per_stream": 1}, {"peer": "doorward", "peak_bytes_per_stream": 50_000.0}],
            "core": {"decide": [{"p50_micros": 1.0, "p99_micros": 1.0}, {"p50_micros": 12.0, "p99_micros": 20.0}]},
            "throughput": [
                {"peer": "doorward", "workload": "c: 2,000 deltas, an event a write", "dialect": "anthropic", "connections": 64,
                 "of_nginx": {"median": 0.71}}
            ],
        });
        let (table, _) = judge(found.as_object().unwrap());
        let met: Vec<(&str, &str)> =
            table.rows.iter().map(|row| (row[0].as_str(), row[3].as_str())).collect();
        assert_eq!(
            met,
            [
                ("c, 64 connections, of nginx", "yes"),
                ("memory of a slow stream, peak", "**no**"),
                ("decision, p50", "yes"),
                ("decision, p99", "yes")
            ]
        );
    }
}
