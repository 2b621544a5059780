//! Stays with a run until it ends, and tells how it ended.

use super::{Host, Reply, RunView, Value};
use crate::error::{Error, Kind, Result};
use crate::run::registry::RunSummary;
use crate::run::slurm::has_jobs;
use crate::run::{Outcome, Run, is_on_cluster};
use serde_json::json;
use std::time::Duration;

/// How the answer to a verb is to look.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// As JSON.
    pub json: bool,
    /// Without progress.
    pub quiet: bool,
}

/// How soon an interrupt is noticed.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for a run that this process leads. An interrupt cancels it; where it has jobs on a cluster,
/// it ends the watching only.
pub fn follow(run: Run, show: Show, host: &mut dyn Host) -> Result<Reply> {
    let view = RunView::of(run);
    let Some(run) = view.run() else { return Err(Error::internal("a run that nobody leads")) };
    if !show.quiet {
        host.run_started(&view);
    }
    let token = host.cancel();
    let on_cluster = is_on_cluster(&view.folder)?;
    let mut ended_by_itself = run.wait_for(LOOK);
    while ended_by_itself.is_none() && !token.is_cancelled() {
        ended_by_itself = run.wait_for(LOOK);
    }
    let outcome = match ended_by_itself {
        Some(outcome) => outcome,
        None if on_cluster && has_jobs(&view.folder)? => {
            if !show.quiet {
                host.run_ended(&view, None);
            }
            return Err(left_alone(&view.folder.request()?.id, true));
        }
        None => {
            run.cancel();
            run.wait()
        }
    };
    if !show.quiet {
        host.run_ended(&view, Some(&outcome));
    }
    ended(view, outcome, show)
}

/// What an interrupt says that ends the watching and not the run.
pub fn left_alone(id: &str, on_cluster: bool) -> Error {
    let where_ = if on_cluster { "; its jobs go on in Slurm" } else { "; it goes on" };
    Error::new(Kind::Cancelled, format!("run {id} is not watched any more{where_}"))
        .fix(format!("bp watch {id} watches it again, bp cancel {id} stops it."))
}

/// The reply for a run that has ended: an error unless it succeeded.
pub fn ended(view: RunView, outcome: Outcome, show: Show) -> Result<Reply> {
    let outcome = outcome.into_result(&view.folder)?;
    if !show.json {
        return Ok(Reply::Run(view));
    }
    let mut json = serde_json::to_value(RunSummary::of(&view.folder)?).unwrap_or_default();
    json["elapsed_s"] = json!(outcome.ended - outcome.started);
    json["bytes_read"] = json!(outcome.read);
    json["bytes_written"] = json!(outcome.written);
    json["peak_memory"] = json!(outcome.peak_memory);
    Ok(Reply::Value(Value { text: String::new(), html: None, json }))
}
