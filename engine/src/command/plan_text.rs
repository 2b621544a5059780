//! What `--dry-run` shows.

use super::Value;
use super::table::duration_text;
use crate::config::Config;
use crate::grid::shape_text;
use crate::plan::bytes_text;
use crate::run::Prepared;
use crate::run::folder::Code;
use crate::run::registry::{Pace, pace};
use serde_json::json;

/// The plan of a run of `operation`, for people and for programs.
pub fn plan_value(
    operation: &str,
    code: &Code,
    config: &Config,
    prepared: &Prepared,
    note: &str,
) -> Value {
    let plan = &prepared.plan;
    let workers = prepared.workers();
    let voxels = plan.voxels();
    let backend = prepared.backend();
    let known = pace(&config.run_root(), operation, backend);
    let seconds =
        known.map(|Pace { voxels_per_s, .. }| voxels as f64 / voxels_per_s / workers as f64);
    let passes: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    // What is written is written in the last pass, or in one for each output.
    let units = plan.stages.last().map_or(0, |last| last.groups().count());
    let memory = plan.memory;
    let mut lines = vec![
        note.to_owned(),
        format!(
            "blocks   {} of {} ({} on {})",
            plan.grid().len(),
            shape_text(&plan.grid().block_shape),
            plan.grid()
                .blocks_per_axis()
                .iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(" x "),
            plan.grid().domain
        ),
        format!("tasks    {} for {workers} worker(s), {}", plan.tasks.len(), backend.as_str()),
        format!(
            "memory   {} ({} a block), {}",
            bytes_text(memory.total),
            bytes_text(memory.per_block),
            match memory.budget {
                u64::MAX => "as much as the cluster gives a task".to_owned(),
                budget => format!("budget {}", bytes_text(budget)),
            }
        ),
        format!(
            "bytes    {} to read, {} to write before compression",
            bytes_text(plan.bytes_to_read),
            bytes_text(plan.bytes_to_write)
        ),
    ];
    if plan.bytes_to_write > 0 {
        lines
            .insert(3, format!("writes   {units} group(s) of blocks that share no chunk or shard"));
    }
    if passes.len() > 1 {
        lines.insert(2, format!("passes   {}: {}", passes.len(), passes.join(", ")));
    }
    lines.push(match (seconds, known) {
        (Some(seconds), Some(pace)) => {
            format!("time     about {} (from {} earlier run(s))", duration_text(seconds), pace.runs)
        }
        _ => "time     not known: no comparable run is on record".to_owned(),
    });
    lines.push(format!("Python   {}", code.python));
    Value {
        text: lines.join("\n"),
        html: None,
        json: json!({
            "output": prepared.outputs(),
            "note": note,
            "blocks": plan.grid().len(),
            "grid": plan.grid().blocks_per_axis(),
            "block_shape": plan.grid().block_shape,
            "domain": plan.grid().domain,
            "passes": passes,
            "tasks": plan.tasks.len(),
            "workers": workers,
            "backend": backend,
            "write_groups": units,
            "memory": memory,
            "bytes_to_read": plan.bytes_to_read,
            "bytes_to_write": plan.bytes_to_write,
            "seconds": seconds,
            "code": code,
        }),
    }
}
