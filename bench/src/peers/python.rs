//! The proxies written in Python, each in an environment of its own.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::Places;
use crate::process::{Running, free_address};
use crate::report::say;

/// What is installed: pinned, so that two runs measure the same.
const MITMPROXY: &str = "mitmproxy==12.2.3";
const LITELLM: &str = "litellm[proxy]==1.106.2";

/// Interpreters in order of preference.
const INTERPRETERS: [&str; 5] = ["python3.13", "python3.12", "python3", "python3.11", "python"];

/// An environment with `package` in it, made if it is not there.
fn environment(places: &Places, name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let home = places.python.join(name);
    // Written last: an environment that was interrupted half-way is made again.
    let stamp = home.join("doorward-bench.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == package) {
        return Ok(home);
    }
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&places.python)?;
    say(&format!("making the Python environment for {package} (once)"));
    let python = match &places.interpreter {
        Some(python) => python.clone(),
        None => interpreter(&places.python)?.into(),
    };
    finish(Command::new(python).args(["-m", "venv"]).arg(&home))?;
    let mut install = Command::new(home.join("bin").join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
    finish(install.current_dir(&places.python))?;
    fs::write(&stamp, package)?;
    Ok(home)
}

/// The first interpreter that both packages run on. Asked from `folder`, because version managers answer by
/// the working directory.
fn interpreter(folder: &Path) -> anyhow::Result<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info < (3, 14))";
    let good = |name: &&str| {
        let tried = Command::new(name).args(["-c", check]).current_dir(folder).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    INTERPRETERS.into_iter().find(good).context(
        "needs Python 3.12 or 3.13 with its `venv` module, on the PATH or named by --python (on Debian: python3 \
         and python3-venv)",
    )
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}", words.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// Streams everything in both directions, whatever its length.
const ADDON: &str = "def requestheaders(flow):\n    flow.request.stream = True\n\n\n\
    def responseheaders(flow):\n    flow.response.stream = True\n";

pub fn mitmproxy(folder: &Path, places: &Places) -> anyhow::Result<(Running, SocketAddr, String)> {
    let home = environment(places, "mitmproxy", MITMPROXY)?;
    let address = free_address()?;
    let addon = folder.join("stream.py");
    fs::write(&addon, ADDON)?;
    let mut command = Command::new(home.join("bin").join("mitmdump"));
    command
        .args(["--mode", &format!("reverse:http://{}", places.upstream)])
        .args(["--listen-host", "127.0.0.1", "--listen-port", &address.port().to_string(), "--quiet"])
        .args([
            "--set",
            "stream_large_bodies=1",
            "--set",
            "flow_detail=0",
            "--set",
            "connection_strategy=lazy",
        ])
        .arg("--set")
        .arg(format!("confdir={}", folder.display()))
        .arg("--scripts")
        .arg(&addon);
    Ok((Running::start(&mut command, folder, "mitmproxy")?.unheard(), address, MITMPROXY.replace("==", " ")))
}

/// The proxy, and the key without which it would refuse to start.
pub fn litellm(folder: &Path, places: &Places) -> anyhow::Result<(Running, SocketAddr, String, String)> {
    let home = environment(places, "litellm", LITELLM)?;
    let address = free_address()?;
    let file = folder.join("config.yaml");
    fs::write(
        &file,
        format!(
            "model_list:\n  - model_name: \"bench-openai-*\"\n    litellm_params:\n      model: \"openai/bench-openai-*\"\n      \
             api_base: http://{0}/v1\n      api_key: sk-bench-0000\n  - model_name: \"bench-anthropic-*\"\n    \
             litellm_params:\n      model: \"anthropic/bench-anthropic-*\"\n      api_base: http://{0}\n      \
             api_key: sk-ant-bench-0000\nlitellm_settings:\n  telemetry: false\n  num_retries: 0\n",
            places.upstream
        ),
    )?;
    let random = || RandomState::new().build_hasher().finish();
    let key = format!("sk-{:016x}{:016x}{:016x}{:016x}", random(), random(), random(), random());
    let mut command = Command::new(home.join("bin").join("litellm"));
    command
        .arg("--config")
        .arg(&file)
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--num_workers", "2"])
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR")
        .env("LITELLM_MASTER_KEY", &key)
        .env("NO_PROXY", "127.0.0.1");
    Ok((Running::start(&mut command, folder, "litellm")?.unheard(), address, key, LITELLM.replace("==", " ")))
}
