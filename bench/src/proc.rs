//! What the kernel says about a process and its descendants.

use std::collections::HashMap;
use std::fs;

/// A process with everything it has started.
#[derive(Debug, Clone, Copy)]
pub struct Tree(pub u32);

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
        let micros = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let ticks = |pid: u32| -> u64 {
            let Some(fields) = fields(pid) else { return 0 };
            // `utime stime cutime cstime`, fields 14 to 17 of proc_pid_stat(5).
            fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
        };
        self.members().into_iter().map(ticks).sum::<u64>() * micros
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
    }
}
