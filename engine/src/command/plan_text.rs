//! What a plan says, for people and for programs.

use super::Value;
use super::table::duration_text;
use crate::config::Config;
use crate::grid::shape_text;
use crate::plan::bytes_text;
use crate::run::folder::Code;
use crate::run::registry::{Pace, pace};
use crate::run::{Backend, Prepared};
use serde_json::{Value as Json, json};

/// A request that is planned and accepted, and of which nothing is written yet.
pub struct Planned {
    /// The operation.
    pub operation: &'static str,
    /// The request in the languages of the front ends.
    pub code: Code,
    /// The output in words.
    pub note: String,
    /// Names of the blocks' axes.
    pub axes: Vec<String>,
    /// The defaults that hold.
    pub config: Config,
    /// The run.
    pub prepared: Prepared,
}

impl Planned {
    /// The plan as `--dry-run` shows it.
    pub fn value(&self) -> Value {
        let pace = self.pace();
        Value { text: self.text(pace), html: None, json: self.json(pace) }
    }

    /// How fast comparable runs were.
    pub fn pace(&self) -> Option<Pace> {
        pace(&self.config.run_root(), self.operation, self.prepared.backend())
    }

    fn seconds(&self, pace: Option<Pace>) -> Option<f64> {
        let (voxels, workers) = (self.prepared.plan.voxels(), self.prepared.workers());
        pace.map(|pace| voxels as f64 / pace.voxels_per_s / workers as f64)
    }

    /// Groups of blocks that share nothing that is written in one piece.
    fn write_groups(&self) -> u64 {
        // What is written is written in the last pass, or in one for each output.
        self.prepared.plan.stages.last().map_or(0, |last| last.groups().count() as u64)
    }

    fn passes(&self) -> Vec<&str> {
        self.prepared.plan.stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    /// Memory of one worker: a share of all on this machine, or a task on a cluster.
    fn memory_per_worker(&self) -> u64 {
        let (memory, blocks) = (self.prepared.plan.memory, self.prepared.plan.grid().len());
        let at_once = self.prepared.workers().min(blocks);
        match self.prepared.backend() {
            Backend::Local => memory.total / at_once.max(1),
            Backend::Subprocess | Backend::Slurm => memory.total_for(1, self.prepared.backend()),
        }
    }

    fn text(&self, pace: Option<Pace>) -> String {
        let (prepared, plan) = (&self.prepared, &self.prepared.plan);
        let (workers, memory) = (prepared.workers(), plan.memory);
        let along: Vec<String> = plan.grid().blocks_per_axis().iter().map(u64::to_string).collect();
        let mut lines = vec![
            self.note.clone(),
            format!(
                "blocks   {} of {} ({} on {})",
                plan.grid().len(),
                shape_text(&plan.grid().block_shape),
                along.join(" x "),
                plan.grid().domain
            ),
        ];
        let passes = self.passes();
        if passes.len() > 1 {
            lines.push(format!("passes   {}: {}", passes.len(), passes.join(", ")));
        }
        lines.push(format!(
            "tasks    {} for {workers} worker(s), {}",
            plan.tasks.len(),
            prepared.backend().as_str()
        ));
        if plan.bytes_to_write > 0 {
            let groups = self.write_groups();
            lines
                .push(format!("writes   {groups} group(s) of blocks that share no chunk or shard"));
        }
        let overhead = plan.halo_overhead();
        if overhead > 0.0 {
            lines.push(format!("halo     {:.0} % more is read than worked on", overhead * 100.0));
        }
        lines.push(format!(
            "memory   {} ({} a block), {}",
            bytes_text(memory.total),
            bytes_text(memory.per_block),
            match memory.budget {
                u64::MAX => "as much as the cluster gives a task".to_owned(),
                budget => format!("budget {}", bytes_text(budget)),
            }
        ));
        lines.push(format!(
            "bytes    {} to read, {} to write before compression",
            bytes_text(plan.bytes_to_read),
            bytes_text(plan.bytes_to_write)
        ));
        lines.push(match (self.seconds(pace), pace) {
            (Some(seconds), Some(pace)) => {
                format!(
                    "time     about {} (from {} earlier run(s))",
                    duration_text(seconds),
                    pace.runs
                )
            }
            _ => "time     not known: no comparable run is on record".to_owned(),
        });
        lines.push(format!("Python   {}", self.code.python));
        lines.join("\n")
    }

    /// The plan for programs.
    pub fn json(&self, pace: Option<Pace>) -> Json {
        let (prepared, plan) = (&self.prepared, &self.prepared.plan);
        let memory = plan.memory;
        json!({
            "output": prepared.outputs(),
            "note": self.note,
            "blocks": plan.grid().len(),
            "grid": plan.grid().blocks_per_axis(),
            "block_shape": plan.grid().block_shape,
            "domain": plan.grid().domain,
            "domain_shape": plan.grid().domain.shape,
            "axes": self.axes,
            "passes": self.passes(),
            "tasks": plan.tasks.len(),
            "workers": prepared.workers(),
            "backend": prepared.backend(),
            "write_groups": self.write_groups(),
            "halo_overhead": plan.halo_overhead(),
            "memory": {
                "per_block": memory.per_block,
                "per_worker": self.memory_per_worker(),
                "held": memory.held,
                "process": memory.process,
                "total": memory.total,
                "budget": (memory.budget < u64::MAX).then_some(memory.budget),
            },
            "bytes_to_read": plan.bytes_to_read,
            "bytes_to_write": plan.bytes_to_write,
            "seconds": self.seconds(pace),
            "comparable_runs": pace.map_or(0, |pace| pace.runs),
            "defaults": {
                "workers": prepared.workers().to_string(),
                "memory": match memory.budget {
                    u64::MAX => "the cluster's choice".to_owned(),
                    budget => format!("{}M", budget >> 20),
                },
                "retries": prepared.retries().to_string(),
            },
            "code": self.code,
        })
    }
}
