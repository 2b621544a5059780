//! Runs that outlive the process that asked for them.
//!
//! `bp drive FOLDER WORDS...`, a process in a session of its own, leads the run. It answers in a file
//! in FOLDER: the run's folder once the run goes on, or the refusal.

use super::follow::Show;
use super::{Command, Host, Reply, RunView, Value};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::run::cancel::CancelToken;
use crate::run::find_program;
use crate::run::folder::RunFolder;
use crate::run::registry::RunSummary;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Run(PathBuf),
    Refused(Error),
}

const ANSWER: &str = "answer.json";

/// Starts a process that leads the run which `words` describe, and waits until the run goes on.
pub fn start(words: &[String], show: Show, config: &Config, host: &dyn Host) -> Result<Reply> {
    let root = config.run_root();
    std::fs::create_dir_all(&root).map_err(|error| Error::write(&root, &error))?;
    // Beside the run folders, so that the logs can be moved into one while they are written.
    let place = tempfile::Builder::new()
        .prefix(".launch-")
        .tempdir_in(&root)
        .map_err(|error| Error::write(&root, &error))?;
    let log = |name| {
        let path = place.path().join(name);
        File::create(&path).map_err(|error| Error::write(&path, &error))
    };
    let program = host.program().map_or_else(find_program, Ok)?;
    let mut child = Process::new(&program)
        .arg("drive")
        .arg(place.path())
        .args(words)
        .stdin(Stdio::null())
        .stdout(log("out")?)
        .stderr(log("err")?)
        .spawn()
        .map_err(|error| {
            Error::new(Kind::WorkerLost, format!("cannot start '{}': {error}", program.display()))
                .fix("Check that the program can be run, or leave --detach out.")
        })?;
    let answer = loop {
        if let Ok(bytes) = std::fs::read(place.path().join(ANSWER)) {
            break serde_json::from_slice(&bytes)
                .map_err(|error| Error::internal(format!("the answer is damaged: {error}")))?;
        }
        if let Ok(Some(status)) = child.try_wait()
            && !place.path().join(ANSWER).is_file()
        {
            let words = std::fs::read_to_string(place.path().join("err")).unwrap_or_default();
            break Answer::Refused(
                Error::new(Kind::WorkerLost, format!("the detached process ended with {status}"))
                    .fix(format!("Its last words: {}", words.trim())),
            );
        }
        if host.cancel().is_cancelled() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::new(Kind::Cancelled, "interrupted before the run was started"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // Somebody must collect the status of the process when it ends.
    std::thread::spawn(move || child.wait());
    match answer {
        Answer::Refused(error) => Err(error),
        Answer::Run(path) => {
            let folder = RunFolder::open(&path)?;
            if show.json {
                let json = serde_json::to_value(RunSummary::of(&folder)?).unwrap_or_default();
                return Ok(Reply::Value(Value { json, ..Value::default() }));
            }
            Ok(Reply::Run(RunView::attached(folder)))
        }
    }
}

/// The body of `bp drive`: leads the run, until it has ended.
///
/// # Errors
/// As the command that it runs; the caller has been told of a refusal, too.
pub fn drive(place: &Path, words: Vec<String>) -> Result<()> {
    // A hang-up of the caller's terminal must not end the run.
    let _ = rustix::process::setsid();
    let mut host = Driver { place: place.to_owned(), answered: false };
    let result = Command::from_words(words).and_then(|command| command.run(&mut host));
    if let Err(error) = &result
        && !host.answered
    {
        host.answer(&Answer::Refused(error.clone()));
    }
    result.map(drop)
}

struct Driver {
    place: PathBuf,
    answered: bool,
}

impl Driver {
    fn answer(&mut self, answer: &Answer) {
        self.answered = true;
        let written = serde_json::to_vec(answer).map_err(std::io::Error::other).and_then(|bytes| {
            let file = self.place.join("answer");
            std::fs::write(&file, bytes)?;
            std::fs::rename(&file, self.place.join(ANSWER))
        });
        if let Err(error) = written {
            // Into the log: the caller is gone, and the run goes on all the same.
            eprintln!("cannot answer in '{}': {error}", self.place.display());
        }
    }
}

impl Host for Driver {
    fn text(&mut self, _text: &str) {}

    fn run_started(&mut self, run: &RunView) {
        let attempt = run.folder.latest_attempt();
        for stream in ["out", "err"] {
            let log = run.folder.log("driver", attempt, stream);
            if let Err(error) = std::fs::rename(self.place.join(stream), &log) {
                eprintln!("cannot move a log to '{}': {error}", log.display());
            }
        }
        self.answer(&Answer::Run(run.folder.path().to_owned()));
    }

    fn cancel(&self) -> CancelToken {
        CancelToken::new()
    }
}
