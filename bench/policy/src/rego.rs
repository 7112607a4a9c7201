//! Rego, by regorus: one `deny` for each rule. The input is parsed beforehand; handing it over is counted, because each
//! decision needs it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use regorus::{Engine, Value};

use super::{Case, Taken, body, timed};

pub fn run(case: Case, rules: usize, budget: Duration) -> anyhow::Result<Taken> {
    let mut text = String::from("package bench\n\ndefault deny := false\n\n");
    for n in 0..rules {
        let _ = match case {
            Case::Body => writeln!(
                text,
                "deny if {{ input.endpoint == \"api.example.com/v1/charges\"; input.body.amount >= {} }}",
                50_001 + n
            ),
            _ => writeln!(text, "deny if {{ input.endpoint == \"api{n}.example.com/v1/charges\" }}"),
        };
    }
    let begun = Instant::now();
    let mut engine = Engine::new();
    engine.add_policy("bench.rego".into(), text)?;
    let prepared = begun.elapsed();
    let endpoint = format!("{}/v1/charges", case.host(rules));
    let body: serde_json::Value = serde_json::from_str(&body())?;
    let input = serde_json::json!({ "endpoint": endpoint, "method": "POST", "body": body });
    let input = Value::from_json_str(&input.to_string())?;
    timed(
        case,
        prepared,
        budget,
        || (),
        |()| {
            engine.set_input(input.clone());
            Ok(engine.eval_rule("data.bench.deny".into())? == Value::from(true))
        },
    )
}
