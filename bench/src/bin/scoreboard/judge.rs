//! One run of `doorward inspect` over all lines.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::cases::{Case, Hit};

/// What came out for one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Whether it counts as a hit.
    pub hit: bool,
    /// `allow` to `block`, or what was wrong with the line.
    pub verdict: String,
    /// The rules that spoke, with their severity.
    pub rules: Vec<(String, u64)>,
}

/// Judges every case, in order.
///
/// # Errors
/// If the program does not run, or its answers do not fit the lines.
pub fn judge(program: &Path, cases: &[Case]) -> anyhow::Result<Vec<Judged>> {
    let mut command = Command::new(program);
    command.args(["inspect", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("no pipes to {}", program.display());
    };
    let judged = thread::scope(|scope| {
        // Both pipes must move at once, or each side waits for the other.
        scope.spawn(move || {
            let mut input = BufWriter::new(input);
            for (index, case) in cases.iter().enumerate() {
                let line = json!({"id": index, "kind": case.judged_as, "text": case.text});
                if writeln!(input, "{line}").is_err() {
                    return;
                }
            }
        });
        let mut judged = Vec::with_capacity(cases.len());
        for (case, line) in cases.iter().zip(BufReader::new(output).lines()) {
            let answer: Value = serde_json::from_str(&line?).context("an answer that is not JSON")?;
            judged.push(read(case.hit, &answer));
        }
        anyhow::Ok(judged)
    })?;
    child.wait()?;
    if judged.len() != cases.len() {
        bail!("{} lines went in, {} answers came out", cases.len(), judged.len());
    }
    Ok(judged)
}

fn read(hit: Hit, answer: &Value) -> Judged {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reasons = answer.get("reasons").and_then(Value::as_array);
    let reason = |reason: &Value| {
        let rule = reason.get("rule").and_then(Value::as_str).unwrap_or_default().to_owned();
        let severity = reason.get("severity").and_then(Value::as_u64).unwrap_or(0);
        let found = reason.get("layer").and_then(Value::as_str) == Some("detect");
        (rule, severity, found)
    };
    let reasons: Vec<_> = reasons.into_iter().flatten().map(reason).collect();
    let verdict = text("verdict");
    let hit = match hit {
        Hit::Stopped => ["ask", "quarantine", "block"].contains(&verdict.as_str()),
        Hit::Found => reasons.iter().any(|(_, severity, found)| *found && *severity >= 60),
    };
    let verdict = if verdict.is_empty() { text("error") } else { verdict };
    Judged { hit, verdict, rules: reasons.into_iter().map(|(rule, severity, _)| (rule, severity)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_a_verdict_for_commands_and_a_finding_for_text() {
        let answer = |verdict: &str, layer: &str, severity: u64| json!({"verdict": verdict, "reasons": [{"rule": "r.x", "layer": layer, "severity": severity}]});
        assert!(read(Hit::Stopped, &answer("ask", "policy", 10)).hit);
        assert!(!read(Hit::Stopped, &answer("audit", "detect", 90)).hit);
        assert!(read(Hit::Found, &answer("audit", "detect", 60)).hit);
        assert!(!read(Hit::Found, &answer("block", "detect", 59)).hit);
        assert!(!read(Hit::Found, &answer("block", "policy", 90)).hit);
        let error = read(Hit::Found, &json!({"id": null, "error": "not strict JSON"}));
        assert_eq!((error.hit, error.verdict.as_str()), (false, "not strict JSON"));
    }
}
