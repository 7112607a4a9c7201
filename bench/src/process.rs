//! Other programs: started with a clean environment and a log, ended with all they have started.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::proc::Tree;

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_secs(8);

/// A running program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with nothing in its environment but what is set on it, a `PATH` and `HOME`. What it
    /// says goes to `name.log` in `folder`; its standard output can be taken.
    pub fn start(command: &mut Command, folder: &Path, name: &str) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let set: Vec<_> =
            command.get_envs().map(|(key, value)| (key.to_owned(), value.map(ToOwned::to_owned))).collect();
        command.env_clear();
        for (key, value) in set {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, log })
    }

    /// The process and its descendants.
    pub fn tree(&self) -> Tree {
        Tree(self.child.id())
    }

    /// The first line of its standard output; the rest is read and forgotten, so that it never waits.
    pub fn first_line(&mut self) -> anyhow::Result<String> {
        use std::io::{BufRead as _, BufReader};
        let output = self.child.stdout.take().context("its output was taken already")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        forget(output);
        anyhow::ensure!(!line.is_empty(), "it ended at once: {}", self.words());
        Ok(line)
    }

    /// Reads its standard output and forgets it, so that it never waits for a reader.
    #[must_use]
    pub fn unheard(mut self) -> Self {
        if let Some(output) = self.child.stdout.take() {
            forget(output);
        }
        self
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The last of what it said.
    pub fn words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let last = text.get(text.len().saturating_sub(800)..).unwrap_or_default();
        String::from_utf8_lossy(last).trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let members = self.tree().members();
        let signal = |pid: u32, signal: Signal| {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
        };
        signal(self.child.id(), Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < GRACE && !self.ended() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Workers that have outlived their master.
        for pid in members.into_iter().skip(1) {
            signal(pid, Signal::KILL);
        }
    }
}

fn forget(mut output: impl std::io::Read + Send + 'static) {
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
}

/// An address of this machine that nobody listens on.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A directory that goes away with its value.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new one in the system's place for such.
    pub fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("doorward-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// A directory in it.
    pub fn sub(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
