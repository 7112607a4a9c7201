//! What the kernel says about a process and its descendants.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A process with everything it has started.
#[derive(Debug, Clone, Copy)]
pub struct Tree(pub u32);

/// Processor time of a tree, and how often it changed hands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// In its own code, in microseconds.
    pub user: f64,
    /// In the kernel on its behalf, in microseconds.
    pub system: f64,
    /// How often a thread gave its processor up or lost it.
    pub switches: u64,
}

impl Spent {
    /// Microseconds, of both kinds.
    pub const fn micros(self) -> f64 {
        self.user + self.system
    }

    /// What was spent since `before`.
    pub const fn since(self, before: Self) -> Self {
        Self {
            user: (self.user - before.user).max(0.0),
            system: (self.system - before.system).max(0.0),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

/// Memory of a tree in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The most that each process ever had resident, summed.
    pub peak: u64,
    /// What they have resident now; pages that they share are counted once.
    pub now: u64,
}

impl Tree {
    /// The processes, the root first.
    pub fn members(self) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            if let Some(parent) = fields(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
                children.entry(parent).or_default().push(pid);
            }
        }
        let mut members = vec![self.0];
        let mut at = 0;
        while let Some(pid) = members.get(at) {
            members.extend(children.remove(pid).unwrap_or_default());
            at += 1;
        }
        members
    }

    /// Processor time so far, in microseconds: user and system, ended children included.
    pub fn cpu_micros(self) -> u64 {
        self.spent().micros() as u64
    }

    /// The same by kind, with the changes of context of the threads that live.
    pub fn spent(self) -> Spent {
        let micros = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let mut spent = Spent::default();
        for pid in self.members() {
            let fields = fields(pid).unwrap_or_default();
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            // `utime stime cutime cstime`, fields 14 to 17 of proc_pid_stat(5).
            spent.user += ((ticks(11) + ticks(13)) * micros) as f64;
            spent.system += ((ticks(12) + ticks(14)) * micros) as f64;
            spent.switches += tasks(pid).map(|task| switches(&task.join("status"))).sum::<u64>();
        }
        spent
    }

    /// Microseconds that threads have run, by their names; those that lived when it was asked.
    pub fn threads(self) -> BTreeMap<String, f64> {
        let mut threads: BTreeMap<String, f64> = BTreeMap::new();
        for task in self.members().into_iter().flat_map(tasks) {
            let read = |name: &str| fs::read_to_string(task.join(name)).unwrap_or_default();
            // Time on a processor in nanoseconds, first of schedstat's fields (Documentation/scheduler/sched-stats).
            let nanos =
                read("schedstat").split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
            *threads.entry(read("comm").trim().to_owned()).or_default() += nanos.unwrap_or(0.0) / 1e3;
        }
        threads
    }

    /// Memory.
    pub fn memory(self) -> Memory {
        let mut memory = Memory::default();
        for pid in self.members() {
            memory.peak += kilobytes(&format!("/proc/{pid}/status"), "VmHWM:");
            memory.now += kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
        }
        memory
    }
}

/// What the kernel says of each thread of a process.
fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.map(|task| task.path())
}

/// How often a thread gave its processor up, or lost it.
fn switches(status: &Path) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let of = |line: &str| {
        line.split_once("ctxt_switches:").and_then(|(_, count)| count.trim().parse::<u64>().ok())
    };
    text.lines().filter_map(of).sum()
}

/// The fields of `/proc/<pid>/stat` after the program's name.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

fn kilobytes(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

/// How many files a process may open, after asking for `wanted`; children inherit it.
pub fn raise_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    // Only root may raise the hard limit; others get what there is.
    let tries = [(wanted, hard.max(wanted)), (hard.min(wanted), hard)];
    for (current, maximum) in tries {
        let raised = Rlimit { current: Some(current), maximum: Some(maximum) };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return current;
        }
    }
    limit.current.unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let own = Tree(std::process::id());
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        assert!(own.members().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let memory = own.memory();
        assert!(memory.peak > 1 << 20 && memory.now > 1 << 18, "{memory:?}");
        let begin = std::time::Instant::now();
        let mut spent = 0u64;
        while own.cpu_micros() < 50_000 && begin.elapsed().as_secs() < 20 {
            spent = spent.wrapping_add(std::hint::black_box(1));
        }
        assert!(own.cpu_micros() >= 50_000, "{spent}");
        let all = own.spent();
        assert!(all.micros() >= 50_000.0 && all.user > 0.0 && all.switches > 0, "{all:?}");
        assert!(own.threads().values().sum::<f64>() > 0.0);
    }
}
