//! The local backend: threads of this process, which take groups of blocks in turn.

use super::cancel::CancelToken;
use super::folder::{Attempt, BlockSet};
use super::journal::Journal;
use super::process::MemoryGauge;
use super::worker::{Job, Orders, commit_in_background, work};
use crate::error::{Error, Result};
use crate::plan::Task;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Works on a stage of an attempt with as many threads as it has workers. Returns when all have ended.
///
/// # Errors
/// The first thread's whose journal could not be written, or the last flush's.
pub fn run(
    job: &Job,
    stage: usize,
    attempt: &Attempt,
    todo: Option<&BlockSet>,
    cancel: &CancelToken,
) -> Result<()> {
    let tasks = attempt.tasks.iter().filter(|task| job.plan.stage_of_task(task) == stage);
    let groups: u64 = tasks.clone().map(Task::len).sum();
    let workers = attempt.workers.min(groups).max(1);
    let journals = (0..workers)
        .map(|worker| {
            let path = job.folder.journal(stage, &worker.to_string(), attempt.number);
            Journal::create(&path).map(Mutex::new)
        })
        .collect::<Result<Vec<_>>>()?;
    let memory = &MemoryGauge::from_now();
    // The next pass is worked on by this process, too.
    job.operation.keep_at_most(job.set_held_memory());
    let next = SharedGroups::new(tasks);
    let finished = CancelToken::new();
    std::thread::scope(|scope| {
        let committer = scope.spawn(|| commit_in_background(job, &journals, &finished));
        let threads: Vec<_> = journals
            .iter()
            .zip(0u64..)
            .map(|(journal, worker)| {
                let next = &next;
                let log = job.folder.log(&worker.to_string(), attempt.number, "err");
                scope.spawn(move || {
                    let blocks = std::iter::from_fn(|| next.take())
                        .flat_map(|group| job.plan.blocks_of(group));
                    let clean = attempt.number > 1;
                    let upcoming = |block| {
                        let group = job.plan.blocks_of(job.plan.group_of(block));
                        let of_group = group.into_iter().skip_while(|&id| id != block).nth(1);
                        let of_next = || job.plan.blocks_of(next.peek()?).first().copied();
                        let follows = of_group.or_else(of_next)?;
                        todo.is_none_or(|todo| todo.contains(follows)).then_some(follows)
                    };
                    let orders = Orders {
                        todo,
                        dealt_with: None,
                        clean,
                        upcoming: Some(&upcoming),
                        cancel,
                        memory,
                        log,
                        commit_at_end: false,
                    };
                    let result = work(job, blocks, &orders, journal);
                    if result.is_err() {
                        cancel.cancel();
                    }
                    result
                })
            })
            .collect();
        let ended: Vec<Result<()>> = threads.into_iter().map(join).collect();
        finished.cancel();
        let committed = join(committer);
        ended.into_iter().collect::<Result<()>>().and(committed)
    })
}

fn join(thread: std::thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::internal("a worker thread panicked")))
}

/// The groups of tasks, handed out in order to whoever asks.
struct SharedGroups {
    ranges: Vec<[u64; 2]>,
    starts: Vec<usize>,
    next: AtomicUsize,
}

impl SharedGroups {
    fn new<'a>(tasks: impl Iterator<Item = &'a Task>) -> Self {
        let ranges: Vec<[u64; 2]> = tasks.flat_map(|task| task.groups.iter().copied()).collect();
        let mut starts = Vec::with_capacity(ranges.len());
        let mut total = 0;
        for [start, end] in &ranges {
            starts.push(total);
            total += (end - start) as usize;
        }
        SharedGroups { ranges, starts, next: AtomicUsize::new(0) }
    }

    fn take(&self) -> Option<u64> {
        self.at(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The group that will be handed out next.
    fn peek(&self) -> Option<u64> {
        self.at(self.next.load(Ordering::Relaxed))
    }

    fn at(&self, index: usize) -> Option<u64> {
        let range = self.starts.partition_point(|&start| start <= index).checked_sub(1)?;
        let group = self.ranges[range][0] + (index - self.starts[range]) as u64;
        (group < self.ranges[range][1]).then_some(group)
    }
}
