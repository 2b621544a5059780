//! Slurm's own programs: called, with a limit on how long they may take.

use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A controller that is being restarted is waited for by the programs themselves, for about so long.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls one of Slurm's programs and returns what it prints.
///
/// # Errors
/// `scheduler-failed` where it is missing, takes too long or refuses, with its own words.
pub fn call<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    let failed = |what: String| Error::new(Kind::SchedulerFailed, what);
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("SLURM_TIME_FORMAT", "standard")
        // Long lists of array indices are not to be cut short.
        .env("SLURM_BITSTR_LEN", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                failed(format!("{program} not found on PATH; the slurm CLI must be available."))
                    .fix("Run on a login node of the cluster, or use --backend local.")
            }
            _ => failed(format!("cannot run {program}: {error}")),
        })?;
    // Both streams are read at once: a full pipe would stop the program.
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = std::thread::spawn(move || text_of(stdout));
    let complaints = std::thread::spawn(move || text_of(stderr));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if begun.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(3)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let output = output.join().unwrap_or_default();
    let complaints = complaints.join().unwrap_or_default();
    match status {
        Some(status) if status.success() => Ok(output),
        Some(status) => Err(failed(format!(
            "{program} failed (exit {}): {}",
            status.code().unwrap_or(-1),
            complaints.trim()
        ))),
        None => Err(failed(format!("{program} did not answer within {} s", LIMIT.as_secs()))
            .fix("Check with sinfo whether the cluster answers.")),
    }
}

fn text_of(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What came before an error is better than nothing.
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The largest number of tasks that the cluster takes in one array.
///
/// # Errors
/// `scheduler-failed`.
pub fn max_array_size() -> Result<u64> {
    // Slurm's own default.
    Ok(config()?.get("MaxArraySize").and_then(|value| value.parse().ok()).unwrap_or(1001))
}

/// The cluster's configuration, as the controller tells it.
///
/// # Errors
/// `scheduler-failed`.
pub fn config() -> Result<HashMap<String, String>> {
    let text = call("scontrol", &["show", "config"])?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
}
