//! Who is working: processes that can be told from later ones with the same number.

use serde::{Deserialize, Serialize};

/// A process, in a way that no other process, before or after a restart of the machine, shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Host name.
    pub host: String,
    /// The kernel's boot id; empty where there is none.
    pub boot: String,
    /// Process number.
    pub pid: u32,
    /// When the process started, in the kernel's ticks.
    pub started: u64,
}

impl ProcessId {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        ProcessId {
            host: host_name(),
            boot: boot_id(),
            pid,
            started: start_time(pid).unwrap_or_default(),
        }
    }

    /// Whether the process still runs; `None` for a process of another host.
    pub fn is_alive(&self) -> Option<bool> {
        if self.host != host_name() {
            return None;
        }
        Some(self.boot == boot_id() && start_time(self.pid) == Some(self.started))
    }
}

/// Name of this host.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Changes whenever the machine starts anew.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Name of the user.
pub fn user_name() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

/// Largest memory that this process has had resident so far, in bytes.
pub fn peak_memory() -> Option<u64> {
    memory_of_status("VmHWM:")
}

fn memory_of_status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The memory that a run needs at most, of a process that may hold other things, too.
pub struct MemoryGauge {
    held_before: u64,
    peak_before: u64,
}

impl MemoryGauge {
    /// Counts all of the process: it does nothing but this run.
    pub fn whole_process() -> Self {
        MemoryGauge { held_before: 0, peak_before: 0 }
    }

    /// Counts what is added from now on: a notebook's process holds data of its own.
    pub fn from_now() -> Self {
        // Makes the peak start anew. Where that is not allowed, only a higher peak tells anything.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        MemoryGauge {
            held_before: memory_of_status("VmRSS:").unwrap_or(0),
            peak_before: peak_memory().unwrap_or(0),
        }
    }

    /// The most so far, in bytes, where it is known.
    pub fn peak(&self) -> Option<u64> {
        let peak = peak_memory()?;
        let known = peak > self.peak_before || self.peak_before <= self.held_before;
        known.then(|| peak.saturating_sub(self.held_before))
    }
}

/// Memory of this machine that a run may use: what is available now, or the limit of the control
/// group, whichever is less.
pub fn available_memory() -> u64 {
    let available = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
        })
        .map_or(u64::MAX, |kilobytes| kilobytes * 1024);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok())
        .unwrap_or(u64::MAX);
    let least = available.min(limit);
    if least == u64::MAX { 4 << 30 } else { least }
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and brackets; fields are counted from its end.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends() {
        assert_eq!(ProcessId::current().is_alive(), Some(true));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId {
            pid: child.id(),
            started: start_time(child.id()).unwrap(),
            ..ProcessId::current()
        };
        assert_eq!(id.is_alive(), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(id.is_alive(), Some(false));
        let other_boot = ProcessId { boot: "another".into(), ..ProcessId::current() };
        assert_eq!(other_boot.is_alive(), Some(false));
        let other_host = ProcessId { host: "another".into(), ..ProcessId::current() };
        assert_eq!(other_host.is_alive(), None);
    }
}
