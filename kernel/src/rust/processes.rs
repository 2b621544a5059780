//! Finds and ends the compiler that works on a cell.

use std::path::Path;

/// Kills the builds that were started by this process and work in `folder`, with everything that
/// they started; says whether there were any. Other children, such as the workers of a run, stay.
pub fn kill_builds(folder: &Path) -> bool {
    let processes = table();
    let own = std::process::id();
    let mut doomed: Vec<u32> = processes
        .iter()
        .filter(|process| process.parent == own && is_build(process.id, folder))
        .map(|process| process.id)
        .collect();
    let found = !doomed.is_empty();
    let mut next = 0;
    while let Some(&parent) = doomed.get(next) {
        let children = processes.iter().filter(|process| process.parent == parent);
        doomed.extend(children.map(|process| process.id));
        next += 1;
    }
    for id in doomed {
        if let Ok(id) = i32::try_from(id) {
            // SAFETY: sends a signal, touches no memory. The ids are descendants of this process.
            unsafe { libc::kill(id, libc::SIGKILL) };
        }
    }
    found
}

struct Process {
    id: u32,
    parent: u32,
}

#[cfg(target_os = "linux")]
fn is_build(id: u32, folder: &Path) -> bool {
    std::fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd == folder)
}

/// Elsewhere a process's folder is not to be had without more machinery: cargo has a name.
#[cfg(not(target_os = "linux"))]
fn is_build(id: u32, _folder: &Path) -> bool {
    let output =
        std::process::Command::new("ps").args(["-o", "comm=", "-p", &id.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with("cargo"))
}

#[cfg(target_os = "linux")]
fn table() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let process = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, in parentheses, may hold anything; behind it come the state and the parent.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some(Process { id, parent })
    };
    entries.flatten().filter_map(process).collect()
}

#[cfg(not(target_os = "linux"))]
fn table() -> Vec<Process> {
    let Ok(output) = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output()
    else {
        return Vec::new();
    };
    let process = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Process { id: words.next()?.parse().ok()?, parent: words.next()?.parse().ok()? })
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn only_builds_in_the_folder_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!kill_builds(&folder));
        let mut build =
            Command::new("sh").args(["-c", "sleep 60; true"]).current_dir(&folder).spawn().unwrap();
        let start = Instant::now();
        while !kill_builds(&folder) && start.elapsed() < Duration::from_secs(10) {}
        assert!(!build.wait().unwrap().success());
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
