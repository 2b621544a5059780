//! Runs on threads, through the engine's public interface, with operations that misbehave on demand.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bioimage_engine::array::Array;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::Region;
use bioimage_engine::op::copy::Copy;
use bioimage_engine::op::parameters::Parameters;
use bioimage_engine::op::{ArrayShape, BlockIo, Operation, OperationSpec, Product, Writes};
use bioimage_engine::run::folder::{Code, RunFolder};
use bioimage_engine::run::live::{LiveView, RunView};
use bioimage_engine::run::monitor::Monitor;
use bioimage_engine::run::partials::Partials;
use bioimage_engine::run::{Options, Output, Run, RunState, Setup};
use bioimage_engine::source::memory::MemoryArray;
use bioimage_engine::source::{Sink, Source};
use bioimage_engine::{Error, Kind, Result};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Copies, but asks `trouble` first.
struct Troubled<F>(F);

impl<F: Fn(&BlockIo) -> Result<()> + Send + Sync> Operation for Troubled<F> {
    fn name(&self) -> &str {
        "copy"
    }
    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        Copy::default().outputs(inputs)
    }
    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        Copy::default().block_bytes(voxels, inputs, outputs)
    }
    fn run(&self, io: &BlockIo) -> Result<Product> {
        (self.0)(io)?;
        Copy::default().run(io)
    }
}

struct Fixture {
    source: Arc<MemoryArray>,
    target: Arc<MemoryArray>,
    whole: Array,
}

fn fixture(shape: &[u64]) -> Fixture {
    let values: Vec<u16> = (0..shape.iter().product::<u64>()).map(|i| (i * 7) as u16).collect();
    let whole = Array::from_values(shape, &values).unwrap();
    Fixture {
        source: Arc::new(MemoryArray::from_array(&whole).unwrap()),
        target: Arc::new(MemoryArray::zeros(DType::U16, shape)),
        whole,
    }
}

impl Fixture {
    fn setup(
        &self,
        operation: impl Operation + 'static,
        block_shape: &[u64],
        workers: u64,
    ) -> Setup {
        let spec: OperationSpec = Copy::default().spec();
        Setup {
            operation: Arc::new(operation),
            spec,
            payload: None,
            inputs: vec![self.source.clone()],
            outputs: vec![Output::Existing(self.target.clone() as Arc<dyn Sink>)],
            mask: None,
            domain: None,
            block_shape: Some(block_shape.to_vec()),
            block_ids: None,
            options: Options { workers, retries: 2, ..Options::default() },
            code: Code::default(),
        }
    }

    fn written(&self) -> Array {
        self.target.read(&Region::whole(self.target.shape())).unwrap()
    }
}

fn start(setup: Setup) -> Run {
    setup.prepare().unwrap().start().unwrap()
}

#[test]
fn a_copy_is_the_same_for_any_number_of_workers_and_any_block_shape() {
    for (workers, block) in [(1, [5, 9]), (2, [2, 3]), (3, [1, 1]), (8, [4, 4])] {
        let fixture = fixture(&[5, 9]);
        let outcome = start(fixture.setup(Copy::default(), &block, workers)).wait();
        assert_eq!(outcome.state, RunState::Succeeded);
        assert_eq!(outcome.read, 90);
        assert_eq!(fixture.written(), fixture.whole);
    }
}

#[test]
fn a_run_in_memory_leaves_no_folder_however_soon_the_process_ends() {
    for _ in 0..20 {
        let run = start(fixture(&[4, 4]).setup(Copy::default(), &[2, 2], 2));
        assert_eq!(run.wait().state, RunState::Succeeded);
        let folder = run.folder().path().to_owned();
        assert!(folder.is_dir());
        drop(run);
        assert!(!folder.exists());
    }
}

#[test]
fn a_mask_leaves_the_rest_alone_and_skips_empty_blocks() {
    let fixture = fixture(&[4, 4]);
    let mut inside = [0u8; 16];
    inside[5] = 1;
    let mask = Array::from_values(&[4, 4], &inside).unwrap();
    let mut setup = fixture.setup(Copy::default(), &[2, 2], 2);
    setup.mask = Some(Arc::new(MemoryArray::from_array(&mask).unwrap()));
    let outcome = start(setup).wait();
    assert_eq!((outcome.counts.done, outcome.counts.skipped), (1, 3));
    let mut expected = [0u16; 16];
    expected[5] = fixture.whole.values::<u16>().unwrap()[5];
    assert_eq!(fixture.written().values::<u16>().unwrap(), expected);
}

#[test]
fn a_region_and_a_list_of_blocks_limit_the_work() {
    let fixture = fixture(&[6, 6]);
    let mut setup = fixture.setup(Copy::default(), &[2, 2], 2);
    setup.domain = Some(Region::new([2, 2], [4, 4]));
    setup.block_ids = Some(vec![3]);
    let outcome = start(setup).wait();
    assert_eq!(outcome.state, RunState::Succeeded);
    let inner = Region::new([4, 4], [2, 2]);
    assert_eq!(fixture.target.read(&inner).unwrap(), fixture.source.read(&inner).unwrap());
    let rest = fixture.target.read(&Region::new([0, 0], [4, 6])).unwrap();
    assert!(rest.values::<u16>().unwrap().iter().all(|&v| v == 0));
}

#[test]
fn a_passing_failure_is_tried_again_and_every_try_is_on_record() {
    let fixture = fixture(&[8]);
    let tries = AtomicU32::new(0);
    let operation = Troubled(move |io: &BlockIo| {
        if io.block.id == 2 && tries.fetch_add(1, Ordering::SeqCst) < 2 {
            return Err(Error::new(Kind::ReadFailed, "the disk hiccuped"));
        }
        Ok(())
    });
    let run = start(fixture.setup(operation, &[1], 2));
    let outcome = run.wait();
    assert_eq!(outcome.state, RunState::Succeeded);
    assert_eq!(outcome.counts.retried, 2);
    assert_eq!(fixture.written(), fixture.whole);
    let tries = Monitor::open(run.folder()).unwrap().tries(2).unwrap();
    let states: Vec<_> = tries.iter().map(|one| one.state).collect();
    assert_eq!(states, ["failed", "failed", "done"]);
}

#[test]
fn a_lasting_failure_and_a_panic_are_named_and_do_not_stop_the_other_blocks() {
    let fixture = fixture(&[8]);
    let operation = Troubled(|io: &BlockIo| match io.block.id {
        1 => Err(Error::new(Kind::CorruptData, "bad page")),
        4 => panic!("a defect"),
        _ => Ok(()),
    });
    let run = start(fixture.setup(operation, &[1], 2));
    let outcome = run.wait();
    assert_eq!((outcome.state, outcome.failed_blocks.clone()), (RunState::Failed, vec![1, 4]));
    assert_eq!(outcome.counts.done, 6);
    let folder = run.folder().clone();
    let error = outcome.into_result(&folder).unwrap_err();
    assert_eq!(error.kind, Kind::BlocksFailed);
    assert!(error.message.contains("bad page"), "{}", error.message);
    let failures = Monitor::open(&folder).unwrap();
    assert!(failures.failures()[&4].error.message.contains("a defect"));
}

#[test]
fn many_early_failures_end_the_run() {
    let fixture = fixture(&[5000]);
    let operation = Troubled(|_: &BlockIo| {
        std::thread::sleep(Duration::from_millis(1));
        Err(Error::new(Kind::CorruptData, "all bad"))
    });
    let outcome = start(fixture.setup(operation, &[1], 2)).wait();
    assert_eq!(outcome.state, RunState::Failed);
    assert!(outcome.counts.pending > 0);
}

#[test]
fn a_cancelled_run_stops_within_a_second_also_from_outside() {
    for outside in [false, true] {
        let fixture = fixture(&[10_000]);
        let operation = Troubled(|_: &BlockIo| {
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        });
        let run = start(fixture.setup(operation, &[1], 2));
        std::thread::sleep(Duration::from_millis(100));
        let asked = Instant::now();
        if outside {
            RunFolder::open(run.folder().path()).unwrap().ask_cancel().unwrap();
        } else {
            run.cancel();
        }
        let outcome = run.wait();
        assert!(asked.elapsed() < Duration::from_secs(1));
        assert_eq!(outcome.state, RunState::Cancelled);
        let counts = outcome.counts;
        assert!(counts.done > 0 && counts.pending > 0 && counts.running == 0);
        let error = outcome.into_result(run.folder()).unwrap_err();
        assert!(error.fix.unwrap().contains("bp resume"));
    }
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let fixture = fixture(&[8, 8]);
    let refused = |setup: Setup| setup.prepare().err().unwrap();
    let mut wrong_mask = fixture.setup(Copy::default(), &[4, 4], 1);
    wrong_mask.mask = Some(Arc::new(MemoryArray::zeros(DType::Bool, &[8, 7])));
    assert_eq!(refused(wrong_mask).kind, Kind::ShapeMismatch);
    let mut wrong_block = fixture.setup(Copy::default(), &[4, 4], 1);
    wrong_block.block_ids = Some(vec![4]);
    assert_eq!(refused(wrong_block).kind, Kind::InvalidArgument);
    let mut outside = fixture.setup(Copy::default(), &[4, 4], 1);
    outside.domain = Some(Region::new([4, 4], [8, 8]));
    assert_eq!(refused(outside).kind, Kind::InvalidArgument);
    let mut elsewhere = fixture.setup(Copy::default(), &[4, 4], 1);
    elsewhere.options.backend = bioimage_engine::run::Backend::Subprocess;
    assert_eq!(refused(elsewhere).kind, Kind::InvalidArgument);
    let mut budget = fixture.setup(Copy::default(), &[4, 4], 1);
    budget.options.budget = Some(1000);
    assert_eq!(refused(budget).kind, Kind::MemoryBudget);
    assert_eq!(refused(fixture.setup(Copy::default(), &[4, 4], 0)).kind, Kind::InvalidArgument);
}

#[test]
fn the_live_view_tells_what_happened() {
    let fixture = fixture(&[4, 3]);
    let operation = Troubled(|io: &BlockIo| match io.block.id {
        5 => Err(Error::new(Kind::CorruptData, "bad page")),
        _ => Ok(()),
    });
    let run = start(fixture.setup(operation, &[1, 1], 2));
    run.wait();
    let mut live = LiveView::open(RunView::of(run), None).unwrap();
    let tick = live.poll().unwrap();
    assert!(tick.finished);
    let status = tick.status.unwrap();
    assert_eq!(status["state"], "failed");
    assert_eq!(status["counts"]["failed"], 1);
    assert_eq!(status["failures"][0]["region"], "1:2,2:3");
    let cells = &tick.messages[0].buffers[0];
    assert_eq!((cells.len(), cells[5], cells[4]), (12, 5, 2));
    assert!(live.poll().unwrap().status.is_none(), "nothing is new");
    let answer = live.receive(&serde_json::json!({ "type": "block", "block": 5, "request": 7 }));
    assert_eq!(answer[0].content["request"], 7);
    let attempt = &answer[0].content["attempts"][0];
    assert_eq!(attempt["kind"], "corrupt-data");
    assert!(attempt["started"].as_str().is_some_and(|time| time.ends_with('Z')), "{attempt}");
    assert!(answer[0].content["log"].as_str().is_some_and(|log| log.contains("block 5 [1:2,2:3]")));
    let answer = live.receive(&serde_json::json!({ "type": "block", "block": 99, "request": 8 }));
    assert_eq!(answer[0].content["type"], "error");
    assert!(live.html().contains("<svg") && live.text().contains("1 failed"));
}

/// Subtracts the least value of all voxels: found out in a first pass, put to use in a second one.
struct Least;
struct Subtract(Option<u16>);

impl Operation for Least {
    fn name(&self) -> &str {
        "subtract-least"
    }
    fn stage(&self) -> &str {
        "least"
    }
    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        Copy::default().outputs(inputs)
    }
    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        Copy::default().block_bytes(voxels, inputs, outputs)
    }
    fn run(&self, io: &BlockIo) -> Result<Product> {
        let block = io.inputs[0].read(&io.block.inner)?;
        let least = block.values::<u16>()?.iter().min().copied().unwrap_or(u16::MAX);
        Ok(Product { partial: Some(least.to_le_bytes().to_vec()), ..Product::default() })
    }
    fn gives_partials(&self) -> bool {
        true
    }
    fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
        let values =
            partials.iter().map(|bytes| Ok(u16::from_le_bytes(bytes?.try_into().unwrap())));
        let least = values.collect::<Result<Vec<u16>>>()?.into_iter().min().unwrap_or(0);
        merged.write_all(&least.to_le_bytes()).unwrap();
        Ok(())
    }
    fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
        let least = merged.map(|path| std::fs::read(path).unwrap().try_into().unwrap());
        Ok(Some(Arc::new(Subtract(least.map(u16::from_le_bytes)))))
    }
    fn writes(&self) -> Writes {
        Writes::Nothing
    }
}

impl Operation for Subtract {
    fn name(&self) -> &str {
        "subtract-least"
    }
    fn stage(&self) -> &str {
        "subtract"
    }
    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        Copy::default().outputs(inputs)
    }
    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        Copy::default().block_bytes(voxels, inputs, outputs)
    }
    fn run(&self, io: &BlockIo) -> Result<Product> {
        let block = io.inputs[0].read(&io.block.inner)?;
        let least = self.0.unwrap();
        let values: Vec<u16> = block.values::<u16>()?.iter().map(|value| value - least).collect();
        let written = Array::from_values(block.shape(), &values)?;
        io.outputs[0].write(&io.block.inner, &written)?;
        Ok(Product::default())
    }
}

#[test]
fn a_second_pass_goes_by_what_all_blocks_of_the_first_one_found() {
    for (workers, block) in [(1, [7, 9]), (2, [2, 3]), (3, [1, 1])] {
        let mut fixture = fixture(&[7, 9]);
        let values: Vec<u16> =
            fixture.whole.values().unwrap().iter().map(|v: &u16| v + 11).collect();
        let whole = Array::from_values(&[7, 9], &values).unwrap();
        fixture.source = Arc::new(MemoryArray::from_array(&whole).unwrap());
        let prepared = fixture.setup(Least, &block, workers).prepare().unwrap();
        let blocks = prepared.plan.grid().len();
        assert_eq!(prepared.plan.blocks(), 2 * blocks);
        let run = prepared.start().unwrap();
        let outcome = run.wait();
        assert_eq!((outcome.state, outcome.counts.done), (RunState::Succeeded, 2 * blocks));
        assert_eq!(fixture.written(), fixture.whole);
        let mut live = LiveView::open(RunView::attached(run.folder().clone()), None).unwrap();
        let tick = live.poll().unwrap();
        let (shown, status) = (tick.run.unwrap(), tick.status.unwrap());
        assert_eq!(shown["stages"], serde_json::json!(["least", "subtract"]));
        assert_eq!((&shown["blocks"], &status["stage"]), (&blocks.into(), &1.into()));
        assert_eq!(tick.messages[0].buffers[0].len() as u64, blocks);
    }
}

#[test]
fn a_second_pass_waits_for_every_block_of_the_first_one() {
    let fixture = fixture(&[4, 4]);
    struct Failing(Least);
    impl Operation for Failing {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
            self.0.outputs(inputs)
        }
        fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
            self.0.block_bytes(voxels, inputs, outputs)
        }
        fn run(&self, io: &BlockIo) -> Result<Product> {
            match io.block.id {
                2 => Err(Error::new(Kind::CorruptData, "no luck")),
                _ => self.0.run(io),
            }
        }
        fn gives_partials(&self) -> bool {
            true
        }
        fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
            self.0.next(merged)
        }
        fn writes(&self) -> Writes {
            self.0.writes()
        }
    }
    let outcome = start(fixture.setup(Failing(Least), &[2, 2], 2)).wait();
    assert_eq!((outcome.state, outcome.failed_blocks), (RunState::Failed, vec![2]));
    assert_eq!((outcome.counts.done, outcome.counts.pending), (3, 4));
    assert_eq!(fixture.written(), Array::zeros(DType::U16, &[4, 4]));
}
