//! Python environments of the end-to-end tests: made once under the target directory, made again when the
//! pinned versions change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Places};
use crate::report;

/// The environment of the end-to-end tests: any Python new enough for the SDKs.
pub fn environment(places: &Places) -> Result<PathBuf, String> {
    let requirements = places.root.join("e2e").join("requirements.txt");
    packages(&requirements, &places.target.join("venv"), Below::Any)
}

/// The versions of Python that packages work with, beside 3.11 as the oldest.
#[derive(Debug, Clone, Copy)]
pub enum Below {
    /// Every later one.
    Any,
    /// Versions before 3.13.
    ThreeThirteen,
}

/// Returns the interpreter of the environment `home`, making the environment first if need be. The packages
/// come from whatever index `pip` uses on this machine.
pub fn packages(requirements: &Path, home: &Path, below: Below) -> Result<PathBuf, String> {
    let wanted = fs::read_to_string(requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let python = interpreter(home);
    // Written last, so an environment that was interrupted half-way is made again.
    let stamp = home.join("doorward-requirements.txt");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    if home.exists() {
        fs::remove_dir_all(home).map_err(|e| format!("{}: {e}", home.display()))?;
    }
    report::complain(&format!("making the Python environment {} (once)", home.display()));
    finish(Command::new(system_python(below)?).args(["-m", "venv"]).arg(home))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    finish(install.arg(requirements))?;
    fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(python)
}

fn interpreter(home: &Path) -> PathBuf {
    if cfg!(windows) { home.join("Scripts").join("python.exe") } else { home.join("bin").join("python") }
}

/// The first interpreter that fits.
fn system_python(below: Below) -> Result<&'static str, String> {
    let (check, fitting) = match below {
        Below::Any => ("sys.version_info < (3, 11)", "3.11 or newer"),
        Below::ThreeThirteen => ("not (3, 11) <= sys.version_info < (3, 13)", "3.11 or 3.12"),
    };
    let check = format!("import sys, venv, ensurepip; sys.exit({check})");
    let good = |name: &&str| {
        process::capture(Command::new(name).args(["-c", &check])).is_ok_and(|(status, _)| status.success())
    };
    ["python3", "python", "python3.12", "python3.11"].into_iter().find(good).ok_or_else(|| {
        format!(
            "this needs Python {fitting} with its `venv` module on the PATH \
             (on Debian and Ubuntu: the package python3-venv)"
        )
    })
}

fn finish(command: &mut Command) -> Result<(), String> {
    let (status, output) = process::capture(command)?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed:\n{output}")) }
}
