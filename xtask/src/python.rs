//! The Python environment of the end-to-end tests: made once under the target directory, made again
//! when the pinned versions change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Places};
use crate::report;

/// Returns the environment's interpreter, making the environment first if need be. The packages come
/// from whatever index `pip` uses on this machine.
pub fn environment(places: &Places) -> Result<PathBuf, String> {
    let requirements = places.root.join("e2e").join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let home = places.target.join("venv");
    let python = interpreter(&home);
    // Written last, so an environment that was interrupted half-way is made again.
    let stamp = home.join("doorward-requirements.txt");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    }
    report::say("making the Python environment (once)");
    finish(Command::new(system_python()?).args(["-m", "venv"]).arg(&home))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    finish(install.arg(&requirements))?;
    fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(python)
}

fn interpreter(home: &Path) -> PathBuf {
    if cfg!(windows) { home.join("Scripts").join("python.exe") } else { home.join("bin").join("python") }
}

/// The first interpreter new enough for the SDKs.
fn system_python() -> Result<&'static str, String> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let good = |name: &&str| {
        process::capture(Command::new(name).args(["-c", check])).is_ok_and(|(status, _)| status.success())
    };
    ["python3", "python"].into_iter().find(good).ok_or_else(|| {
        "the end-to-end tests need Python 3.11 or newer with its `venv` module on the PATH \
         (on Debian and Ubuntu: the package python3-venv)"
            .to_owned()
    })
}

fn finish(command: &mut Command) -> Result<(), String> {
    let (status, output) = process::capture(command)?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed:\n{output}")) }
}
