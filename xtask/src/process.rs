//! Running other programs: their output goes through, and is read on the way for test counts.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::report::{self, Counts};

/// The places a step works with.
#[derive(Debug)]
pub struct Places {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Cargo's target directory; everything this program makes goes there.
    pub target: PathBuf,
}

impl Places {
    /// Finds them: the checkout from where this program was compiled, the target directory as cargo would.
    pub fn find() -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().ok_or("the xtask folder has no parent")?.to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A program of this workspace, built with the dev profile.
    pub fn built(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// A command that runs `cargo` (the one that runs us) in the root of the checkout.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root);
        // Through our pipe cargo sees no terminal; the user's own choice, if any, still wins.
        if io::stdout().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }
}

/// Runs a command, passing its standard output through; returns its status and the tests it counted.
/// Standard error is inherited.
pub fn run(command: &mut Command) -> Result<(ExitStatus, Counts), String> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|e| cannot(command, &e))?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|e| cannot(command, &e))? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            report::say(text);
            counts.read(text);
            line.clear();
        }
    }
    let status = child.wait().map_err(|e| cannot(command, &e))?;
    Ok((status, counts))
}

/// Runs a command quietly; returns its status and everything it wrote to both outputs.
pub fn capture(command: &mut Command) -> Result<(ExitStatus, String), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| cannot(command, &e))?;
    // Both pipes must be drained at once, or the child may wait for a full one for ever.
    let errors = child.stderr.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    });
    let mut bytes = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut bytes).map_err(|e| cannot(command, &e))?;
    }
    if let Some(Ok(more)) = errors.map(std::thread::JoinHandle::join) {
        bytes.extend(more);
    }
    let status = child.wait().map_err(|e| cannot(command, &e))?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

fn cannot(command: &Command, error: &io::Error) -> String {
    format!("cannot run `{}`: {error}", command.get_program().to_string_lossy())
}
