//! The run machinery alone: blocks that do nothing, with all their sentinels; and a large plan.

use bioimage_engine::dtype::DType;
use bioimage_engine::grid::Region;
use bioimage_engine::op::{ArrayShape, BlockIo, Operation, OperationSpec, Product};
use bioimage_engine::plan::{Plan, PlanInput};
use bioimage_engine::run::folder::Code;
use bioimage_engine::run::process::peak_memory;
use bioimage_engine::run::{Backend, Options, Output, RunState, Setup};
use bioimage_engine::source::memory::MemoryArray;
use bioimage_engine::source::{Sink, Source};
use std::sync::Arc;
use std::time::Instant;

struct Nothing;

impl Operation for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }
    fn outputs(&self, inputs: &[ArrayShape]) -> bioimage_engine::Result<Vec<ArrayShape>> {
        Ok(inputs.to_vec())
    }
    fn block_bytes(&self, _: u64, _: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        0
    }
    fn run(&self, _: &BlockIo) -> bioimage_engine::Result<Product> {
        Ok(Product::default())
    }
}

fn main() -> bioimage_engine::Result<()> {
    let workers = 2;
    let mut rates =
        (0..5).map(|_| blocks_per_second(200_000, workers)).collect::<Result<Vec<f64>, _>>()?;
    rates.sort_by(f64::total_cmp);
    let (seconds, bytes) = plan(100)?;
    println!(
        "{}",
        serde_json::json!({
            "no_op_blocks_per_s": rates[2].round(),
            "blocks": 200_000,
            "workers": workers,
            "plan_blocks": 1_000_000,
            "plan_s": seconds,
            "plan_peak_memory": bytes,
        })
    );
    Ok(())
}

fn blocks_per_second(blocks: u64, workers: u64) -> bioimage_engine::Result<f64> {
    let array = Arc::new(MemoryArray::zeros(DType::U8, &[blocks]));
    let setup = Setup {
        operation: Arc::new(Nothing),
        spec: OperationSpec {
            name: "nothing".into(),
            parameters: serde_json::Value::Null,
            language: None,
        },
        payload: None,
        inputs: vec![array.clone() as Arc<dyn Source>],
        outputs: vec![Output::Existing(array as Arc<dyn Sink>)],
        mask: None,
        domain: None,
        block_shape: Some(vec![1]),
        block_ids: None,
        options: Options { workers, ..Options::default() },
        code: Code::default(),
    };
    let begun = Instant::now();
    let run = setup.prepare()?.start()?;
    let outcome = run.wait();
    assert_eq!(outcome.state, RunState::Succeeded, "{:?}", outcome.error);
    assert_eq!(outcome.counts.done, blocks);
    Ok(blocks as f64 / begun.elapsed().as_secs_f64())
}

/// Seconds to plan `edge`-cubed blocks and write the plan down, and the peak memory of the process,
/// which is measured last for that reason.
fn plan(edge: u64) -> bioimage_engine::Result<(f64, u64)> {
    let array = ArrayShape { shape: vec![edge * 64; 3], dtype: DType::U8 };
    let begun = Instant::now();
    let plan = Plan::make(&PlanInput {
        operation: &Nothing,
        inputs: std::slice::from_ref(&array),
        outputs: std::slice::from_ref(&array),
        domain: Region::whole(&array.shape),
        block_shape: &[64; 3],
        write_units: &[None],
        held: &|_| bioimage_engine::source::Held::default(),
        reading: &|_| 0,
        masked: false,
        workers: 2,
        tasks_per_worker: 4,
        backend: Backend::Subprocess,
        budget: 1 << 40,
        budget_option: "--memory",
    })?;
    assert_eq!(plan.grid().len(), edge.pow(3));
    let text = serde_json::to_vec(&plan)
        .map_err(|error| bioimage_engine::Error::internal(error.to_string()))?;
    let seconds = begun.elapsed().as_secs_f64();
    assert!(!text.is_empty());
    Ok((seconds, peak_memory().unwrap_or(0)))
}
