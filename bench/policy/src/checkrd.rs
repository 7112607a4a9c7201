//! Checkrd's own engine, as its Python package calls it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Case, Taken, body, yaml};

/// The version measured.
const PACKAGE: &str = "checkrd==0.3.8";

/// Rules beyond which nothing is asked of it: each costs it more than half a microsecond, linearly.
const MOST: usize = 10_000;

pub fn run(case: Case, rules: usize, budget: Duration, environments: &Path) -> anyhow::Result<Option<Taken>> {
    if rules > MOST {
        return Ok(None);
    }
    let python = environment(environments)?;
    let question = json!({
        "policy": yaml(case, rules), "url": format!("https://{}/v1/charges", case.host(rules)), "body": body(),
        "denied": case.is_denied(), "seconds": budget.as_secs_f64(),
    });
    let mut child = Command::new(python)
        .args(["-c", include_str!("checkrd.py")])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no way to ask")?.write_all(question.to_string().as_bytes())?;
    let done = child.wait_with_output()?;
    ensure!(done.status.success(), "its script failed");
    let told: Value = serde_json::from_slice(&done.stdout)?;
    let seconds = |name: &str| told.get(name).and_then(Value::as_f64).map(Duration::from_secs_f64);
    Ok(Some(Taken {
        p50: seconds("p50").context("no p50")?,
        p99: seconds("p99").context("no p99")?,
        allocations: None,
        prepared: seconds("prepared").context("no time")?,
    }))
}

/// The interpreter of an environment with the package in it, made once.
fn environment(environments: &Path) -> anyhow::Result<std::path::PathBuf> {
    let place = environments.join("checkrd");
    let python = place.join("bin").join("python");
    if !place.join("ready").exists() {
        let run = |program: &Path, arguments: &[&str]| -> anyhow::Result<()> {
            let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
            ensure!(status.success(), "{} {} failed", program.display(), arguments.join(" "));
            Ok(())
        };
        run(Path::new("python3"), &["-m", "venv", "--clear", &place.display().to_string()])?;
        run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE, "pyyaml"])?;
        std::fs::write(place.join("ready"), PACKAGE)?;
    }
    Ok(python)
}
