//! Doorward: the release binary, a home of its own, shipped rules and policy, receipts on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::Places;
use crate::process::Running;
use crate::question::{AskedFor, Signer, Target};

pub fn start(folder: &Path, places: &Places) -> anyhow::Result<(Running, Target, String)> {
    started(folder, places, None)
}

/// With this policy, or the shipped one.
fn started(
    folder: &Path,
    places: &Places,
    policy: Option<&str>,
) -> anyhow::Result<(Running, Target, String)> {
    let program = &places.doorward;
    if !program.is_file() {
        bail!("{} is not there; `cargo build --release -p doorward` makes it", program.display());
    }
    let home = folder.join("home");
    fs::create_dir(&home)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    if let Some(policy) = policy {
        fs::write(home.join("policy.yaml"), policy)?;
    }
    let settings = home.join("doorward.yaml");
    // Both upstreams at once, untrusted as any that is not the provider's own.
    fs::write(
        &settings,
        format!(
            "version: 1\nlisten: 127.0.0.1:0\ncontrol: 127.0.0.1:0\nupstreams:\n  anthropic:\n    protocol: anthropic\n    \
             url: http://{0}\n  openai:\n    protocol: openai\n    url: http://{0}\n",
            places.upstream
        ),
    )?;
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o600))?;
    let version = Command::new(program).arg("--version").output()?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let mut command = Command::new(program);
    command.args(["run", "--json"]).env("DOORWARD_HOME", &home);
    let mut running = Running::start(&mut command, folder, "doorward")?;
    let line = running.first_line()?;
    let said: serde_json::Value = serde_json::from_str(&line).with_context(|| format!("it said `{line}`"))?;
    let member =
        |name: &str| said.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let address = member("data");
    let path = |name: &str| {
        let url = member(name);
        let path = url.strip_prefix(&format!("http://{address}")).unwrap_or_default();
        path.trim_end_matches("/v1").to_owned()
    };
    let target = Target {
        address: address.parse().context("its address")?,
        anthropic: path("anthropic_base_url"),
        openai: path("openai_base_url"),
        exact: true,
        key: None,
        asked_for: None,
    };
    Ok((running, target, version))
}

/// The egress door: what the operator allows by name is the upstream, and a key pays for all of it, shown or by its signatures.
pub fn egress(folder: &Path, places: &Places, signed: bool) -> anyhow::Result<(Running, Target, String)> {
    let (running, target, version) = started(
        folder,
        places,
        Some("version: 1\ndefault: allow\nrules: []\ndestinations: { allow: [127.0.0.1] }\n"),
    )?;
    let home = folder.join("home");
    let command = |words: &[&str]| {
        let done = Command::new(&places.doorward).args(words).env("DOORWARD_HOME", &home).output()?;
        if !done.status.success() {
            bail!("doorward {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let made: serde_json::Value = serde_json::from_str(&command(&["key", "create", "--json"])?)?;
    let member =
        |name: &str| made.get(name).and_then(serde_json::Value::as_str).context("no key").map(str::to_owned);
    let (key, credential) = (member("key_id")?, member("credential")?);
    let most = ["rate_agent=4000000000", "rate_key=4000000000", "rate_ip=4000000000", "agents=1024"];
    command(&[&["key", "set", &key], &most[..]].concat())?;
    command(&["credits", "grant", &key, "1000000000"])?;
    let upstream = places.upstream;
    let asked_for = match signed {
        true => AskedFor::Signed(Arc::new(Signer::new(upstream, &credential)?)),
        false => AskedFor::Plain { upstream, credential },
    };
    Ok((running, Target { asked_for: Some(asked_for), ..target }, version))
}
