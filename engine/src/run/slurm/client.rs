//! Slurm's own programs: called, with a limit on how long they may take.

use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A controller that is being restarted is waited for by the programs themselves, for about so long.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls one of Slurm's programs and returns what it prints.
///
/// # Errors
/// `scheduler-failed` where it is missing, takes too long or refuses, with its own words.
pub fn call<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    let begun = Instant::now();
    let mut command = Command::new(program);
    let output = run(program, command.args(arguments), || begun.elapsed() < LIMIT)?;
    let failed = |what: String| Error::new(Kind::SchedulerFailed, what);
    match output {
        Some(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Some(output) => Err(failed(format!(
            "{program} failed (exit {}): {}",
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        None => Err(failed(format!("{program} did not answer within {} s", LIMIT.as_secs()))
            .fix("Check with sinfo whether the cluster answers.")),
    }
}

/// Runs one of Slurm's programs for as long as it `may_go_on`; then it is killed, and there is no
/// output.
///
/// # Errors
/// `scheduler-failed` where it is missing.
pub fn run(
    program: &str,
    command: &mut Command,
    mut may_go_on: impl FnMut() -> bool,
) -> Result<Option<Output>> {
    let failed = |what: String| Error::new(Kind::SchedulerFailed, what);
    let mut child = command
        .env("LC_ALL", "C")
        .env("SLURM_TIME_FORMAT", "standard")
        // Long lists of array indices are not to be cut short.
        .env("SLURM_BITSTR_LEN", "0")
        // An interrupt of the caller is not meant for a submission.
        .process_group(0)
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
    let stdout = std::thread::spawn(move || bytes_of(stdout));
    let stderr = std::thread::spawn(move || bytes_of(stderr));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if may_go_on() => std::thread::sleep(Duration::from_millis(3)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    Ok(status.map(|status| Output { status, stdout, stderr }))
}

fn bytes_of(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What came before an error is better than nothing.
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}

/// Whether this machine has Slurm's programs.
pub fn is_there() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&folders).any(|it| it.join(program).is_file());
    has("sbatch") && has("squeue") && has("scancel")
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
