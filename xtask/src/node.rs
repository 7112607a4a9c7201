//! Node packages of the end-to-end tests, installed once under the target directory and again when the
//! versions change. They come from whatever registry `npm` uses on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process;
use crate::report;

/// How the lock file is followed.
#[derive(Debug, Clone, Copy)]
pub enum Lock {
    /// Exactly (`npm ci`).
    Exactly,
    /// Where it says something. A lock made on a machine whose registry lacks the packages of other
    /// platforms does not name them; `npm ci` refuses such a lock, `npm install` adds what is missing.
    AsFarAsItGoes,
}

/// Whether `npm` and a Node new enough for the SDKs are there; if not, a sentence that says so.
pub fn missing() -> Option<&'static str> {
    let check = "process.exit(process.versions.node.split('.')[0] < 20 ? 1 : 0)";
    let good = |command: &mut Command| process::capture(command).is_ok_and(|(status, _)| status.success());
    let there = good(Command::new("node").args(["-e", check])) && good(Command::new(npm()).arg("--version"));
    (!there).then_some("no Node.js 20 or newer with npm on the PATH")
}

/// Installs the packages that `sources` names (`package.json`, `package-lock.json`) into `home`. No package's
/// own script runs, but for `scripts`, below `node_modules`: some packages are of no use without theirs.
pub fn packages(sources: &Path, home: &Path, lock: Lock, scripts: &[&str]) -> Result<(), String> {
    let files = ["package.json", "package-lock.json"];
    let mut wanted = String::new();
    for file in files {
        let path = sources.join(file);
        wanted.push_str(&fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    // Written last, so an installation that was interrupted half-way is made again.
    let stamp = home.join("doorward-packages.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    if let Some(reason) = missing() {
        return Err(reason.to_owned());
    }
    if home.exists() {
        fs::remove_dir_all(home).map_err(|e| format!("{}: {e}", home.display()))?;
    }
    report::complain(&format!("installing Node packages into {} (once)", home.display()));
    fs::create_dir_all(home).map_err(|e| format!("{}: {e}", home.display()))?;
    for file in files {
        fs::copy(sources.join(file), home.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    let verb = match lock {
        Lock::Exactly => "ci",
        Lock::AsFarAsItGoes => "install",
    };
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"];
    finish(Command::new(npm()).arg(verb).args(quiet).current_dir(home))?;
    for script in scripts {
        let path = home.join("node_modules").join(script);
        let folder = path.parent().unwrap_or(home);
        finish(Command::new("node").arg(&path).current_dir(folder))?;
    }
    fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))
}

fn finish(command: &mut Command) -> Result<(), String> {
    let (status, output) = process::capture(command)?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed:\n{output}")) }
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}
