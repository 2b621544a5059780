//! The live view of a run: what a widget is sent and what it may ask, for every front end.
//! The messages are described in `docs/design/live-view.md`.

use super::driver::{Outcome, RunState, is_on_cluster, state_of};
use super::folder::{Request, RunFolder};
use super::journal::{now, time_text};
use super::monitor::{BlockState, Monitor};
use super::resume::Resume;
use super::slurm;
use super::subprocess::{launch_of, tail, task_name};
use super::{Backend, Run};
use crate::error::{Error, Result};
use crate::grid::{ravel, unravel};
use crate::plan::{Plan, bytes_text};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A run as a front end holds it: its folder, and the run itself if this process leads it.
#[derive(Clone)]
pub struct RunView {
    /// Where everything about it is kept.
    pub folder: RunFolder,
    run: Arc<Mutex<Option<Arc<Run>>>>,
}

impl RunView {
    /// A run that this process leads.
    pub fn of(run: Run) -> Self {
        RunView { folder: run.folder().clone(), run: Arc::new(Mutex::new(Some(Arc::new(run)))) }
    }

    /// A run that another process leads, or nobody.
    pub fn attached(folder: RunFolder) -> Self {
        RunView { folder, run: Arc::new(Mutex::new(None)) }
    }

    /// The run, if this process leads it.
    pub fn run(&self) -> Option<Arc<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the run to stop, whoever leads it.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn cancel(&self) -> Result<()> {
        if let Some(run) = self.run() {
            run.cancel();
        }
        self.folder.ask_cancel()?;
        // Whoever leads a run on a cluster may be gone.
        if is_on_cluster(&self.folder)? {
            slurm::cancel(&slurm::Jobs::of(&self.folder)?.all())?;
        }
        Ok(())
    }

    /// Goes on with the run, led by this process from now on.
    ///
    /// # Errors
    /// As [`Resume::start`].
    pub fn resume(&self, resume: &Resume) -> Result<Arc<Run>> {
        let run = Arc::new(resume.start(&self.folder)?);
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run.clone());
        Ok(run)
    }
}

/// A message to a widget: JSON, and binary buffers beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The content.
    pub content: Value,
    /// The buffers.
    pub buffers: Vec<Vec<u8>>,
}

/// What is new since the last look.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// The `run` state, if it changed.
    pub run: Option<Value>,
    /// The `status` state, if it changed.
    pub status: Option<Value>,
    /// Messages to send after the states.
    pub messages: Vec<Message>,
    /// Whether nothing more will happen until somebody resumes the run.
    pub finished: bool,
}

/// Above so many blocks, a cell stands for several.
const MAX_CELLS: u64 = 100_000;
/// So many workers are listed.
const MAX_WORKERS: usize = 1000;
/// A view spends at most this share of its time on looking.
const LOOKING: u32 = 100;
/// However long a look takes, the next one is not put off for longer.
const LONGEST: Duration = Duration::from_secs(5);
/// So many seconds after the end of a run on a cluster its accounting may still come.
const ACCOUNTING: f64 = 20.0;
/// So many failures are listed.
const MAX_FAILURES: usize = 100;

/// Follows a run for one widget.
pub struct LiveView {
    view: RunView,
    request: Request,
    plan: Plan,
    monitor: Monitor,
    cells: Cells,
    stage: usize,
    attempt_sent: u32,
    last_status: Value,
    program: Option<PathBuf>,
    looked: Instant,
    cost: Duration,
}

impl LiveView {
    /// Starts to follow a run. `program` is the `bp` program for worker processes of resumed runs.
    ///
    /// # Errors
    /// `run-damaged` and the like.
    pub fn open(view: RunView, program: Option<PathBuf>) -> Result<LiveView> {
        let (request, plan) = (view.folder.request()?, view.folder.plan()?);
        let monitor = Monitor::open(&view.folder)?;
        let stage = monitor.stage();
        let cells = Cells::new(&plan.stages[stage].grid.blocks_per_axis());
        Ok(LiveView {
            view,
            request,
            plan,
            monitor,
            cells,
            stage,
            attempt_sent: 0,
            last_status: Value::Null,
            program,
            looked: Instant::now(),
            cost: Duration::ZERO,
        })
    }

    /// The run that is followed.
    pub fn view(&self) -> &RunView {
        &self.view
    }

    /// Looks what is new.
    ///
    /// # Errors
    /// `read-failed` and the like.
    pub fn poll(&mut self) -> Result<Tick> {
        // The state first: what is final then stays so, and its journals are complete.
        let state = state_of(&self.view.folder)?;
        // Thousands of journals take a while to look at, and are looked at less often.
        if !state.is_final() && self.looked.elapsed() < (self.cost * LOOKING).min(LONGEST) {
            return Ok(Tick::default());
        }
        let begun = Instant::now();
        let tick = self.look(state)?;
        (self.looked, self.cost) = (Instant::now(), begun.elapsed());
        Ok(tick)
    }

    fn look(&mut self, state: RunState) -> Result<Tick> {
        self.monitor.poll()?;
        if state.is_final() {
            self.monitor.settle();
        }
        let finished = state.is_final() && !self.awaits_accounting()?;
        let mut tick = Tick { finished, ..Tick::default() };
        let stage = self.monitor.stage();
        let is_new = self.stage != stage || self.attempt_sent != self.monitor.attempt();
        if self.stage != stage {
            self.stage = stage;
            self.cells = Cells::new(&self.plan.stages[stage].grid.blocks_per_axis());
        }
        if is_new {
            self.attempt_sent = self.monitor.attempt();
            self.monitor.take_changed();
            tick.run = Some(self.run_state()?);
            tick.messages.push(self.all_cells());
        } else {
            tick.messages.extend(self.changed_cells());
        }
        let status = self.status(state)?;
        if status != self.last_status {
            self.last_status = status.clone();
            tick.status = Some(status);
        }
        Ok(tick)
    }

    /// Answers a message of the widget.
    pub fn receive(&mut self, content: &Value) -> Vec<Message> {
        let answer = match self.answer(content) {
            Ok(answers) => answers,
            Err(error) => vec![Message {
                content: json!({
                    "type": "error",
                    "kind": error.kind,
                    "message": error.message,
                    "fix": error.fix,
                }),
                buffers: Vec::new(),
            }],
        };
        let number = content.get("request").cloned().unwrap_or(Value::Null);
        answer
            .into_iter()
            .map(|mut message| {
                message.content["request"] = number.clone();
                message
            })
            .collect()
    }

    fn answer(&mut self, content: &Value) -> Result<Vec<Message>> {
        let plain = |content| vec![Message { content, buffers: Vec::new() }];
        match content.get("type").and_then(Value::as_str) {
            Some("ready") => Ok(vec![self.all_cells()]),
            Some("cancel") => {
                self.view.cancel()?;
                Ok(plain(json!({ "type": "ok" })))
            }
            Some("retry" | "resume") => {
                self.view.resume(&Resume::asked_for(content, self.program.clone())?)?;
                Ok(plain(json!({ "type": "ok" })))
            }
            Some("block") => Ok(plain(self.block(content)?)),
            other => Err(Error::argument(format!("a widget asked for {other:?}"))
                .fix("Use the widget and the engine of one version.")),
        }
    }

    fn block(&self, content: &Value) -> Result<Value> {
        let number = |key| content.get(key).and_then(Value::as_u64);
        let block = match (number("block"), number("cell")) {
            (Some(block), _) => block,
            (None, Some(cell)) => {
                let first = self.plan.stages[self.stage].first_block;
                first + self.cells.notable_block(cell, self.states())
            }
            _ => return Err(Error::argument("no block was named")),
        };
        let region = self.plan.block(block)?.inner;
        let tries = self.monitor.tries(block)?;
        let log = tries.last().map_or_else(String::new, |last| {
            let of = |stream| tail(&self.view.folder.log(&last.task, last.attempt, stream), 4000);
            let parts = [of("out"), of("err")];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
        });
        let attempts: Vec<Value> = tries
            .iter()
            .map(|one| {
                json!({
                    "attempt": one.attempt,
                    "task": one.task,
                    "state": one.state,
                    "started": one.started.map(time_text),
                    "duration_s": one.duration_s,
                    "kind": one.error.as_ref().map(|error| error.kind),
                    "message": one.error.as_ref().map(Error::report),
                    "traceback": one.error.as_ref().and_then(|error| error.traceback.clone()),
                })
            })
            .collect();
        Ok(json!({
            "type": "block",
            "block": block,
            "region": region.to_string(),
            "attempts": attempts,
            "log": log,
        }))
    }

    fn run_state(&self) -> Result<Value> {
        let attempt = self.view.folder.attempt(self.monitor.attempt())?;
        let paths = |records: &[super::folder::ArrayRecord]| -> Vec<String> {
            let name = |record: &super::folder::ArrayRecord| {
                record.spec.as_ref().map_or("memory".to_owned(), |spec| spec.display())
            };
            records.iter().map(name).collect()
        };
        let shape = self.request.inputs.first().or(self.request.outputs.first());
        let grid = &self.plan.stages[self.stage].grid;
        let stages: Vec<&str> = self.plan.stages.iter().map(|stage| stage.name.as_str()).collect();
        Ok(json!({
            "id": self.request.id,
            "folder": self.view.folder.path(),
            "operation": self.request.operation.name,
            "backend": attempt.backend,
            "workers": attempt.workers,
            "host": self.request.host,
            "user": self.request.user,
            "created": self.request.created,
            "array_shape": shape.map(|record| record.shape.clone()),
            "block_shape": self.request.block_shape,
            "grid": grid.blocks_per_axis(),
            "axes": self.request.axes,
            "blocks": grid.len(),
            "tile": self.cells.tile,
            "cells": self.cells.shape,
            "stages": stages,
            "inputs": paths(&self.request.inputs),
            "outputs": paths(&self.request.outputs),
            "code": self.request.code,
            "interrupt_only": false,
        }))
    }

    fn status(&self, state: RunState) -> Result<Value> {
        let folder = &self.view.folder;
        let attempt = folder.attempt(self.monitor.attempt())?;
        let outcome: Option<Outcome> = if state.is_final() && folder.file("outcome.json").is_file()
        {
            Some(folder.read("outcome.json")?)
        } else {
            None
        };
        let counts = self.monitor.counts();
        let ended = match (&outcome, state) {
            (Some(outcome), _) => outcome.ended,
            // Nobody wrote down when it ended.
            (None, RunState::Interrupted) => self.monitor.last_event().unwrap_or(attempt.started),
            (None, _) => now(),
        };
        let elapsed = (ended - attempt.started).max(0.0);
        let before =
            folder.todo(attempt.number, counts.total)?.map_or(0, |todo| counts.total - todo.len());
        let finished = counts.done + counts.skipped + counts.failed;
        let finished_now = finished.saturating_sub(before);
        let left = counts.total - finished;
        let seconds_per_block =
            (finished_now > 0 && elapsed > 0.0).then(|| elapsed / finished_now as f64);
        let voxels = self.plan.voxels() as f64 / counts.total.max(1) as f64;
        let (read, written) = self.monitor.bytes();
        let failures: Vec<Value> = self
            .monitor
            .failures()
            .iter()
            .take(MAX_FAILURES)
            .map(|(block, failure)| {
                let region = self.plan.block(*block).map(|block| block.inner.to_string());
                json!({
                    "block": block,
                    "region": region.unwrap_or_default(),
                    "kind": failure.error.kind,
                    "message": failure.error.message,
                    "class": failure.error.kind.retry_class(),
                    "attempts": failure.attempts,
                })
            })
            .collect();
        let workers = self.workers(state, attempt.backend);
        Ok(json!({
            "state": state,
            "attempt": attempt.number,
            "stage": self.stage,
            "counts": counts,
            "elapsed_s": round(elapsed),
            "remaining_s": seconds_per_block
                .filter(|_| !state.is_final())
                .map(|seconds| round(seconds * left as f64)),
            "voxels_per_s": seconds_per_block.map(|seconds| (voxels / seconds).round()),
            "bytes_read": read,
            "bytes_written": written,
            "memory": {
                "projected": self.plan.memory_for(attempt.workers, attempt.backend),
                "budget": (attempt.budget < u64::MAX).then_some(attempt.budget),
                "peak": self.monitor.peak_memory(),
            },
            "workers": workers,
            "failures": failures,
            "failures_total": self.monitor.failures().len(),
            "efficiency": slurm::Efficiency::recorded(folder).filter(|_| state.is_final()),
            "message": self.message(state, outcome),
        }))
    }

    /// Whether what the tasks of a cluster used will soon be known.
    fn awaits_accounting(&self) -> Result<bool> {
        let folder = &self.view.folder;
        let recently = |end: Outcome| now() < end.ended + ACCOUNTING;
        Ok(is_on_cluster(folder)?
            && folder.read::<Outcome>("outcome.json").is_ok_and(recently)
            && slurm::Efficiency::recorded(folder).is_none())
    }

    /// Who works, and on a cluster also what waits there and why.
    fn workers(&self, run: RunState, backend: Backend) -> Vec<Value> {
        let schedule: slurm::Schedule = match backend {
            Backend::Slurm if !run.is_final() => {
                self.view.folder.read(slurm::SCHEDULE).unwrap_or_default()
            }
            _ => slurm::Schedule::default(),
        };
        let workers = self.monitor.workers();
        let mut begun: Vec<_> = workers.iter().collect();
        begun.sort_by_key(|(name, _)| launch_of(name));
        let mut rows: Vec<Value> = begun
            .into_iter()
            .map(|(name, worker)| {
                let task = launch_of(name);
                let superseded = task.is_some_and(|(task, launch)| {
                    workers.contains_key(&task_name(task, launch + 1))
                });
                let state = match (worker.ended, superseded || run.is_final()) {
                    (true, _) => "done",
                    (false, true) => "lost",
                    (false, false) if worker.block.is_some() => "running",
                    (false, false) => "waiting",
                };
                // The scheduler is asked less often: why a task waited is not why it runs.
                let scheduled = task
                    .and_then(|(task, _)| schedule.tasks.get(&task))
                    .filter(|it| !superseded && !worker.ended && it.state != "pending");
                let reason = scheduled.map(|it| &it.reason);
                json!({ "task": name, "state": state, "block": worker.block, "reason": reason })
            })
            .collect();
        let has_begun = |task: &usize| workers.contains_key(&task_name(*task, 0));
        let waiting = schedule.tasks.iter().filter(|(task, _)| !has_begun(task));
        rows.extend(waiting.map(|(task, scheduled)| {
            let reason = &scheduled.reason;
            json!({ "task": task.to_string(), "state": "waiting", "block": null, "reason": reason })
        }));
        rows.truncate(MAX_WORKERS);
        rows
    }

    fn message(&self, state: RunState, outcome: Option<Outcome>) -> Option<String> {
        let id = &self.request.id;
        match (state, outcome) {
            (RunState::Interrupted, _) => Some(format!(
                "The process that led this run is gone. What is done is kept: %bp resume {id} finishes the rest."
            )),
            (RunState::Failed | RunState::Cancelled, Some(outcome)) => {
                outcome.into_result(&self.view.folder).err().map(|error| error.report())
            }
            _ => None,
        }
    }

    fn all_cells(&self) -> Message {
        Message {
            content: json!({ "type": "cells", "attempt": self.monitor.attempt() }),
            buffers: vec![self.cells.all(self.states())],
        }
    }

    /// States of the blocks of the stage that is shown.
    fn states(&self) -> &[BlockState] {
        let blocks = self.plan.stages[self.stage].blocks();
        &self.monitor.states()[blocks.start as usize..blocks.end as usize]
    }

    fn changed_cells(&mut self) -> Option<Message> {
        let blocks = self.plan.stages[self.stage].blocks();
        let mut changed: Vec<u64> = self
            .monitor
            .take_changed()
            .into_iter()
            .filter(|block| blocks.contains(block))
            .map(|block| self.cells.cell_of(block - blocks.start))
            .collect();
        if changed.is_empty() {
            return None;
        }
        changed.sort_unstable();
        changed.dedup();
        let states = self.states();
        let numbers = changed.iter().flat_map(|&cell| (cell as u32).to_le_bytes()).collect();
        let bytes = changed.iter().map(|&cell| self.cells.state(cell, states)).collect();
        Some(Message {
            content: json!({ "type": "delta", "attempt": self.monitor.attempt() }),
            buffers: vec![numbers, bytes],
        })
    }

    /// The run in one or two lines, for front ends without a picture.
    pub fn text(&self) -> String {
        let counts = self.monitor.counts();
        let state = self.last_status.get("state").and_then(Value::as_str).unwrap_or("running");
        let mut text = format!(
            "{} {} {state}: {} of {} blocks done",
            self.request.operation.name, self.request.id, counts.done, counts.total
        );
        for (number, name) in [(counts.skipped, "skipped"), (counts.failed, "failed")] {
            if number > 0 {
                text += &format!(", {number} {name}");
            }
        }
        if let Some(message) = self.last_status.get("message").and_then(Value::as_str) {
            text += &format!("\n{message}");
        }
        text
    }

    /// A picture of the last state that needs no program to be seen.
    pub fn html(&self) -> String {
        static_html(self)
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

/// Cells of the picture: blocks, or tiles of blocks where there are too many.
struct Cells {
    blocks: Vec<u64>,
    tile: Vec<u64>,
    shape: Vec<u64>,
}

impl Cells {
    fn new(blocks: &[u64]) -> Self {
        let mut tile = vec![1; blocks.len()];
        let shape = |tile: &[u64]| -> Vec<u64> {
            blocks.iter().zip(tile).map(|(n, t)| n.div_ceil(*t)).collect()
        };
        while shape(&tile).iter().product::<u64>() > MAX_CELLS {
            let now = shape(&tile);
            let Some(longest) = (0..now.len()).max_by_key(|&axis| now[axis]) else { break };
            tile[longest] *= 2;
        }
        Cells { blocks: blocks.to_vec(), shape: shape(&tile), tile }
    }

    fn is_plain(&self) -> bool {
        self.tile.iter().all(|&n| n == 1)
    }

    fn cell_of(&self, block: u64) -> u64 {
        if self.is_plain() {
            return block;
        }
        let position: Vec<u64> =
            unravel(block, &self.blocks).iter().zip(&self.tile).map(|(i, t)| i / t).collect();
        ravel(&position, &self.shape)
    }

    fn blocks_of(&self, cell: u64) -> impl Iterator<Item = u64> + '_ {
        let first: Vec<u64> =
            unravel(cell, &self.shape).iter().zip(&self.tile).map(|(i, t)| i * t).collect();
        let extent: Vec<u64> = (0..first.len())
            .map(|axis| self.tile[axis].min(self.blocks[axis] - first[axis]))
            .collect();
        (0..extent.iter().product()).map(move |i| {
            let position: Vec<u64> =
                unravel(i, &extent).iter().zip(&first).map(|(a, b)| a + b).collect();
            ravel(&position, &self.blocks)
        })
    }

    /// The block that a click on a cell is about: a failed one first.
    fn notable_block(&self, cell: u64, states: &[BlockState]) -> u64 {
        let failed = |block: &u64| states.get(*block as usize) == Some(&BlockState::Failed);
        let mut blocks = self.blocks_of(cell).peekable();
        let first = blocks.peek().copied().unwrap_or(0);
        blocks.find(failed).unwrap_or(first)
    }

    fn all(&self, states: &[BlockState]) -> Vec<u8> {
        if self.is_plain() {
            return states.iter().map(|state| code(*state)).collect();
        }
        (0..self.shape.iter().product()).map(|cell| self.state(cell, states)).collect()
    }

    fn state(&self, cell: u64, states: &[BlockState]) -> u8 {
        if self.is_plain() {
            return states.get(cell as usize).map_or(0, |state| code(*state));
        }
        let (mut total, mut settled, mut same) = (0u64, 0u64, None);
        let mut uniform = true;
        for block in self.blocks_of(cell) {
            let state = states.get(block as usize).map_or(0, |state| code(*state));
            if state == code(BlockState::Failed) {
                return state;
            }
            uniform &= *same.get_or_insert(state) == state;
            total += 1;
            settled += u64::from(matches!(state, 2 | 3));
        }
        match same {
            Some(state) if uniform => state,
            _ => 16 + (settled * 15 / total.max(1)) as u8,
        }
    }
}

/// The byte that stands for a state in the picture.
fn code(state: BlockState) -> u8 {
    match state {
        BlockState::Pending => 0,
        BlockState::Running => 1,
        BlockState::Done => 2,
        BlockState::Skipped => 3,
        BlockState::WaitingAgain | BlockState::RunningAgain => 4,
        BlockState::Failed => 5,
    }
}

/// Cells of the static picture are merged until there are at most so many.
const MAX_STATIC_CELLS: u64 = 2000;

fn static_html(live: &LiveView) -> String {
    const COLOURS: [&str; 6] = ["#d0d0d0", "#4a90d9", "#3a9d5d", "#a9b7c6", "#e0a030", "#c9302c"];
    let counts = live.monitor.counts();
    let mut svg = String::new();
    let total = live.cells.shape.iter().product::<u64>();
    if total <= MAX_STATIC_CELLS && !live.cells.shape.is_empty() {
        let columns = *live.cells.shape.last().unwrap_or(&1);
        let rows_per_layer = live.cells.shape.iter().rev().nth(1).copied().unwrap_or(1);
        let (size, gap) = (9, 6);
        let layers = total / (columns * rows_per_layer).max(1);
        let layers_per_row = (640 / (columns * size + gap)).max(1);
        for cell in 0..total {
            let (layer, inside) =
                (cell / (columns * rows_per_layer), cell % (columns * rows_per_layer));
            let x = (layer % layers_per_row) * (columns * size + gap) + inside % columns * size;
            let y =
                (layer / layers_per_row) * (rows_per_layer * size + gap) + inside / columns * size;
            let state = live.cells.state(cell, live.states());
            let colour = COLOURS.get(usize::from(state)).copied().unwrap_or("#8fc3a0");
            svg += &format!(
                "<rect x='{x}' y='{y}' width='{w}' height='{w}' fill='{colour}'/>",
                w = size - 1
            );
        }
        let width = layers.min(layers_per_row) * (columns * size + gap);
        let height = layers.div_ceil(layers_per_row) * (rows_per_layer * size + gap);
        svg = format!(
            "<svg width='{width}' height='{height}' role='img' aria-label='blocks by state'>{svg}</svg>"
        );
    }
    let legend: Vec<String> = [
        ("done", counts.done, COLOURS[2]),
        ("running", counts.running, COLOURS[1]),
        ("pending", counts.pending, COLOURS[0]),
        ("skipped", counts.skipped, COLOURS[3]),
        ("failed", counts.failed, COLOURS[5]),
    ]
    .iter()
    .filter(|(_, number, _)| *number > 0)
    .map(|(name, number, colour)| {
        format!("<span style='color:{colour}'>&#9632;</span> {number} {name}")
    })
    .collect();
    let (read, written) = live.monitor.bytes();
    let text = escape(&live.text()).replace('\n', "<br>");
    format!(
        "<div style='font-family:sans-serif;font-size:13px'><div><b>{text}</b></div><div>{}</div>{svg}\
         <div>{} read, {} written</div></div>",
        legend.join(" &nbsp; "),
        bytes_text(read),
        bytes_text(written)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_blocks_than_cells_are_put_together_in_tiles() {
        let cells = Cells::new(&[100, 100, 100]);
        assert!(cells.shape.iter().product::<u64>() <= MAX_CELLS);
        let mut seen = vec![0u8; 1_000_000];
        for cell in 0..cells.shape.iter().product() {
            for block in cells.blocks_of(cell) {
                assert_eq!(cells.cell_of(block), cell);
                seen[block as usize] += 1;
            }
        }
        assert!(seen.iter().all(|&n| n == 1));
    }

    #[test]
    fn a_failed_block_shows_through_its_tile() {
        let cells = Cells::new(&[400_000]);
        let mut states = vec![BlockState::Done; 400_000];
        assert_eq!(cells.state(0, &states), 2);
        states[1] = BlockState::Pending;
        assert!(cells.state(0, &states) >= 16);
        states[2] = BlockState::Failed;
        assert_eq!((cells.state(0, &states), cells.notable_block(0, &states)), (5, 2));
    }
}
