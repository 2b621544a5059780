//! From a request to a plan: blocks, who owns which write units, tasks, memory, bytes. Everything
//! that can be refused is refused here, before anything is written.

use crate::error::{Error, Kind, Result};
use crate::grid::{Block, Grid, Ownership, Region, lcm, shape_text, slab};
use crate::op::{ArrayShape, Operation, Writes};
use crate::run::Backend;
use crate::source::Held;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Blocks larger than this are not proposed by [`auto_block_shape`], unless one write unit is.
const AUTO_BLOCK_BYTES: u64 = 32 << 20;
/// Worker processes get several tasks each, so that a slow one does not hold up the end.
pub const TASKS_PER_WORKER: u64 = 4;
/// Memory of a worker process besides its blocks: code, buffers of codecs, the journal.
const PROCESS_BYTES: u64 = 32 << 20;

/// The decisions of a plan: fixed when the run is made and never changed afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the run folder's format.
    pub format: u32,
    /// The passes over the blocks, in order; at least one.
    pub stages: Vec<Stage>,
    /// Memory.
    pub memory: Memory,
    /// Bytes of voxels to be read.
    pub bytes_to_read: u64,
    /// Bytes of voxels to be written, before compression.
    pub bytes_to_write: u64,
    /// The first attempt's division into tasks; later attempts have their own.
    pub tasks: Vec<Task>,
}

/// One pass of an operation over its blocks. All blocks and groups of a run are numbered through its
/// stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What is done to the blocks.
    pub name: String,
    /// The blocks.
    pub grid: Grid,
    /// Which blocks belong to one task.
    pub ownership: Ownership,
    /// Number of the first block.
    pub first_block: u64,
    /// Number of the first group.
    pub first_group: u64,
}

impl Stage {
    /// The numbers of its blocks.
    pub fn blocks(&self) -> Range<u64> {
        self.first_block..self.first_block + self.grid.len()
    }

    /// The numbers of its groups.
    pub fn groups(&self) -> Range<u64> {
        self.first_group..self.first_group + self.ownership.groups(&self.grid)
    }
}

/// Groups of blocks (see [`Ownership`]) that one worker does one after the other, as ranges
/// `[first, one past the last]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Task {
    /// The ranges, in order.
    pub groups: Vec<[u64; 2]>,
}

impl Task {
    /// The groups, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.groups.iter().flat_map(|[start, end]| *start..*end)
    }

    /// Number of groups.
    pub fn len(&self) -> u64 {
        self.groups.iter().map(|[start, end]| end - start).sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, group: u64) {
        match self.groups.last_mut() {
            Some([_, end]) if *end == group => *end += 1,
            _ => self.groups.push([group, group + 1]),
        }
    }
}

/// The projection of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Of one block in work.
    pub per_block: u64,
    /// Of what a process holds between blocks, such as decoded pages.
    pub held: u64,
    /// Of one process besides its blocks.
    pub process: u64,
    /// Of all workers together.
    pub total: u64,
    /// What may be used.
    pub budget: u64,
}

impl Memory {
    /// The projection for another number of workers, or elsewhere: of all workers on this machine, or
    /// of one task on a cluster.
    pub fn total_for(&self, workers: u64, backend: Backend) -> u64 {
        let at_once = if backend == Backend::Slurm { 1 } else { workers };
        let of_processes = processes(workers, backend).saturating_mul(self.held + self.process);
        at_once.saturating_mul(self.per_block).saturating_add(of_processes)
    }
}

/// How many processes share the memory: all workers on this machine, or one task on a cluster.
fn processes(workers: u64, backend: Backend) -> u64 {
    match backend {
        Backend::Local | Backend::Slurm => 1,
        Backend::Subprocess => workers.max(1),
    }
}

/// What the planner must know of the arrays; it opens none.
pub struct PlanInput<'a> {
    /// The operation.
    pub operation: &'a dyn Operation,
    /// Inputs.
    pub inputs: &'a [ArrayShape],
    /// Outputs.
    pub outputs: &'a [ArrayShape],
    /// The region that the blocks cover.
    pub domain: Region,
    /// Block shape.
    pub block_shape: &'a [u64],
    /// Write unit of each output, where it has one.
    pub write_units: &'a [Option<WriteUnit>],
    /// What the inputs hold between blocks of a shape.
    pub held: &'a dyn Fn(&[u64]) -> Held,
    /// Bytes that reading a block of a shape takes besides the block.
    pub reading: &'a dyn Fn(&[u64]) -> u64,
    /// Whether there is a mask, which makes a block's old content be read, too.
    pub masked: bool,
    /// How many work at the same time.
    pub workers: u64,
    /// Tasks that each worker process gets.
    pub tasks_per_worker: u64,
    /// Where they work.
    pub backend: Backend,
    /// Memory that may be used, in bytes.
    pub budget: u64,
    /// The option that it is raised with.
    pub budget_option: &'static str,
}

/// What an output is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteUnit {
    /// Extents of the chunk or shard, on the grid's axes.
    pub shape: Vec<u64>,
    /// Whether it is a shard, whose blocks are put together, or a chunk, which a block must fill.
    pub shard: bool,
    /// Where the output's first voxel lies in its unit, if not at the start.
    pub origin: Option<Vec<u64>>,
}

impl WriteUnit {
    /// The smallest groups of blocks that share no unit. Where the output starts inside a unit, the
    /// blocks along that axis are one group, since every block's end lies inside a unit, too.
    fn ownership(&self, grid: &Grid) -> Result<Ownership> {
        let Some(origin) = &self.origin else {
            return Ownership::plan(grid, &self.shape, self.shard);
        };
        let blocks = grid.blocks_per_axis();
        // Along such an axis a unit that covers all blocks stands for those that they share.
        let shape: Vec<u64> = (0..grid.ndim())
            .map(|axis| match origin[axis] {
                0 => self.shape[axis],
                _ => grid.block_shape[axis] * blocks[axis].max(1),
            })
            .collect();
        Ownership::plan(grid, &shape, true)
    }
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// `invalid-argument`, `unsafe-block-shape` or `memory-budget`, each with what would work.
    pub fn make(input: &PlanInput) -> Result<Plan> {
        if input.workers == 0 {
            return Err(Error::argument("0 workers cannot do anything")
                .fix("Use at least 1 worker.")
                .about("workers")
                .change("1"));
        }
        let mut plan = Plan {
            format: crate::run::FORMAT,
            stages: Vec::new(),
            memory: Memory::default(),
            bytes_to_read: 0,
            bytes_to_write: 0,
            tasks: Vec::new(),
        };
        plan.add_stage(input, input.operation)?;
        let mut next = input.operation.next(None)?;
        while let Some(operation) = next {
            plan.add_stage(input, &*operation)?;
            next = operation.next(None)?;
        }
        Ok(plan)
    }

    fn add_stage(&mut self, input: &PlanInput, operation: &dyn Operation) -> Result<()> {
        let writes = operation.writes();
        let domain = match writes {
            Writes::One(output) => Region::whole(&input.outputs[output].shape),
            _ => input.domain.clone(),
        };
        let grid = Grid::new(domain, input.block_shape)?;
        let halo = operation.halo(grid.ndim());
        let grid = grid.with_halo(&halo)?;
        let (outputs, units): (Vec<&ArrayShape>, Vec<&Option<WriteUnit>>) = input
            .outputs
            .iter()
            .zip(input.write_units)
            .enumerate()
            .filter(|(index, _)| writes.includes(*index))
            .map(|(_, output)| output)
            .unzip();
        let mut ownership = Ownership::single(grid.ndim());
        for unit in units.iter().copied().flatten() {
            ownership = ownership.join(&unit.ownership(&grid)?);
        }
        let memory = project_memory(input, operation, &grid, &outputs, &units)?;
        if memory.total > self.memory.total {
            self.memory = memory;
        }
        let bytes = |voxels: u64, arrays: &[&ArrayShape]| -> u64 {
            arrays.iter().map(|array| voxels * array.dtype.size() as u64).sum()
        };
        let inputs: Vec<&ArrayShape> = input.inputs.iter().collect();
        self.bytes_to_read += bytes(grid.outer_voxels() as u64, &inputs);
        self.bytes_to_write += bytes(grid.domain.voxels(), &outputs);
        let stage = Stage {
            name: operation.stage().to_owned(),
            first_block: self.blocks(),
            first_group: self.stages.last().map_or(0, |last| last.groups().end),
            grid,
            ownership,
        };
        self.tasks.extend(divide(
            stage.groups(),
            input.workers.saturating_mul(input.tasks_per_worker),
            input.backend,
        ));
        self.stages.push(stage);
        Ok(())
    }

    /// Number of blocks in all stages.
    pub fn blocks(&self) -> u64 {
        self.stages.last().map_or(0, |last| last.blocks().end)
    }

    /// The first stage's blocks, which most operations have only.
    pub fn grid(&self) -> &Grid {
        &self.stages[0].grid
    }

    /// Number of voxels that all stages work on.
    pub fn voxels(&self) -> u64 {
        self.stages.iter().map(|stage| stage.grid.domain.voxels()).sum()
    }

    /// How much more is read than worked on for the sake of the blocks' neighbourhoods: 0.1 for a tenth.
    pub fn halo_overhead(&self) -> f64 {
        let outer: f64 = self.stages.iter().map(|stage| stage.grid.outer_voxels()).sum();
        outer / self.voxels().max(1) as f64 - 1.0
    }

    /// The projection for another number of workers, or elsewhere. More workers than blocks do nothing.
    pub fn memory_for(&self, workers: u64, backend: Backend) -> u64 {
        let blocks = self.stages.iter().map(|stage| stage.grid.len()).max();
        self.memory.total_for(workers.min(blocks.unwrap_or(0).max(1)), backend)
    }

    /// The stage that a block belongs to.
    pub fn stage_of(&self, block: u64) -> usize {
        self.stages.partition_point(|stage| stage.first_block <= block).saturating_sub(1)
    }

    /// The stage that a task belongs to.
    pub fn stage_of_task(&self, task: &Task) -> usize {
        let first = task.groups.first().map_or(0, |[first, _]| *first);
        self.stages.partition_point(|stage| stage.first_group <= first).saturating_sub(1)
    }

    /// The numbers of those of the tasks that belong to a stage.
    pub fn tasks_of(&self, stage: usize, tasks: &[Task]) -> impl Iterator<Item = usize> {
        let belongs = move |task: &Task| !task.is_empty() && self.stage_of_task(task) == stage;
        (0..tasks.len()).filter(move |&task| belongs(&tasks[task]))
    }

    /// A block, with the number that it has in its stage.
    ///
    /// # Errors
    /// `invalid-argument` if there are not so many.
    pub fn block(&self, block: u64) -> Result<Block> {
        let stage = &self.stages[self.stage_of(block)];
        stage.grid.block(block - stage.first_block)
    }

    /// The group that a block belongs to.
    pub fn group_of(&self, block: u64) -> u64 {
        let stage = &self.stages[self.stage_of(block)];
        let group = stage.ownership.group_of(&stage.grid, block - stage.first_block);
        stage.first_group + group
    }

    /// The blocks of a group, in their order.
    pub fn blocks_of(&self, group: u64) -> Vec<u64> {
        let index = self.stages.partition_point(|stage| stage.first_group <= group);
        let stage = &self.stages[index.saturating_sub(1)];
        let mut blocks = stage.ownership.blocks_of(&stage.grid, group - stage.first_group);
        blocks.iter_mut().for_each(|block| *block += stage.first_block);
        blocks
    }
}

/// So many tasks of nearly equal size that cover the groups, which come in ascending order. Threads
/// share one task, which they take blocks from in order, so that neighbours in the array are neighbours in
/// time.
pub fn divide(
    groups: impl Iterator<Item = u64> + Clone,
    tasks: u64,
    backend: Backend,
) -> Vec<Task> {
    let count = groups.clone().count() as u64;
    let tasks = match backend {
        Backend::Local => 1,
        Backend::Subprocess | Backend::Slurm => tasks,
    };
    let tasks = tasks.clamp(1, count.max(1));
    let mut divided = vec![Task::default(); tasks as usize];
    for (index, group) in groups.enumerate() {
        divided[(index as u64 * tasks / count) as usize].push(group);
    }
    divided
}

fn project_memory(
    input: &PlanInput,
    operation: &dyn Operation,
    grid: &Grid,
    outputs: &[&ArrayShape],
    units: &[&Option<WriteUnit>],
) -> Result<Memory> {
    let project = |block_shape: &[u64]| {
        let (mut outer, mut blocks) = (1, 1);
        let mut outer_shape = Vec::with_capacity(grid.ndim());
        for axis in 0..grid.ndim() {
            let extent = grid.domain.shape[axis].max(1);
            outer_shape.push((block_shape[axis] + 2 * grid.halo[axis]).min(extent));
            outer *= outer_shape[axis];
            blocks *= extent.div_ceil(block_shape[axis]);
        }
        let mut per_block = operation.block_bytes(outer, input.inputs, input.outputs)
            + (input.reading)(&outer_shape);
        for (output, unit) in outputs.iter().zip(units) {
            // While a unit is written, its voxels and its encoded form are there besides the block;
            // what does not compress is as large as before.
            let unit: u64 = unit.iter().flat_map(|unit| &unit.shape).product();
            per_block += 2 * unit.min(outer) * output.dtype.size() as u64;
        }
        if input.masked {
            let kept: u64 = outputs.iter().map(|output| output.dtype.size() as u64).sum();
            per_block += outer * (1 + kept);
        }
        let (held, process, budget) = ((input.held)(block_shape), PROCESS_BYTES, input.budget);
        let workers = input.workers.min(blocks);
        let with = |held| {
            let memory = Memory { per_block, held, process, total: 0, budget };
            Memory { total: memory.total_for(workers, input.backend), ..memory }
        };
        let most = with(held.most);
        let over = most.total.saturating_sub(budget);
        if over == 0 {
            return most;
        }
        // What is held is worth some decoding, and no refusal.
        let processes = processes(workers, input.backend);
        with(held.most.saturating_sub(over.div_ceil(processes)).max(held.least))
    };
    let memory = project(&grid.block_shape);
    if memory.total <= memory.budget {
        return Ok(memory);
    }
    let error = Error::new(
        Kind::MemoryBudget,
        format!(
            "{} on blocks of {} take {}, the budget is {}",
            match input.workers {
                1 => "1 worker".to_owned(),
                workers => format!("{workers} workers"),
            },
            shape_text(&grid.block_shape),
            bytes_text(memory.total),
            bytes_text(memory.budget)
        ),
    );
    let option = input.budget_option;
    // Halving, in whole write units, the axis along which that saves most, until the projection fits.
    let unit =
        |axis: usize| units.iter().copied().flatten().map(|unit| unit.shape[axis]).fold(1, lcm);
    let halved = |shape: &[u64], axis: usize| {
        let mut half = shape.to_vec();
        half[axis] = (shape[axis] / 2).div_ceil(unit(axis)) * unit(axis);
        half
    };
    let mut smaller = grid.block_shape.clone();
    while project(&smaller).total > memory.budget {
        let candidates = (0..smaller.len()).filter(|&axis| smaller[axis] > unit(axis));
        let Some(best) =
            candidates.map(|axis| halved(&smaller, axis)).min_by_key(|shape| project(shape).total)
        else {
            let fix = format!("Use fewer workers, or raise the budget with {option}.");
            return Err(error.about(option).fix(fix));
        };
        smaller = best;
    }
    let smaller = shape_text(&smaller);
    let fix =
        format!("Use --block-shape {smaller}, fewer workers, or raise the budget with {option}.");
    Err(error.about("block_shape").fix(fix).change(&smaller))
}

/// Memory of a block that lies in one piece: it stays in a core's cache from one step to the next.
const SLAB_BYTES: u64 = 1 << 20;

/// A block shape that fills write units and, where that stays small enough, whole read chunks, too.
///
/// Where there are neither, voxels lie in rows: blocks are slabs of whole rows, or, if they need a
/// halo, cubes of which the halo is a small part.
pub fn auto_block_shape(
    shape: &[u64],
    item_size: usize,
    read_chunks: Option<&[u64]>,
    write_unit: Option<&[u64]>,
    with_halo: bool,
) -> Vec<u64> {
    let is_plain = read_chunks.is_none() && write_unit.is_none();
    if is_plain && !with_halo {
        return slab(shape, SLAB_BYTES / item_size as u64);
    }
    let unit: Vec<u64> = match (write_unit, read_chunks) {
        (Some(unit), _) => unit.to_vec(),
        (None, Some(chunks)) => chunks.to_vec(),
        (None, None) => vec![1; shape.len()],
    };
    let bytes = |block: &[u64]| {
        let clipped = block.iter().zip(shape).map(|(b, n)| (*b).min((*n).max(1)));
        clipped.product::<u64>() * item_size as u64
    };
    let mut block = unit.clone();
    if let Some(chunks) = read_chunks {
        for axis in (0..block.len()).rev() {
            let mut wider = block.clone();
            wider[axis] = lcm(block[axis], chunks[axis].max(1))
                .min(shape[axis].max(1).next_multiple_of(unit[axis]));
            if bytes(&wider) <= AUTO_BLOCK_BYTES {
                block = wider;
            }
        }
    }
    // Small units are put together, so that the work on a block outweighs its bookkeeping.
    let least = if is_plain { AUTO_BLOCK_BYTES / 2 } else { AUTO_BLOCK_BYTES / 64 };
    while bytes(&block) < least {
        let Some(axis) =
            (0..block.len()).filter(|&a| block[a] < shape[a]).min_by_key(|&a| block[a])
        else {
            break;
        };
        block[axis] *= 2;
    }
    block
}

/// A number of bytes as people write it.
pub fn bytes_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::copy::Copy;

    /// A plan over so many blocks of one voxel.
    pub(crate) fn plan_of(blocks: u64) -> Plan {
        let array = ArrayShape { shape: vec![blocks], dtype: DType::U8 };
        Plan::make(&PlanInput {
            operation: &Copy::default(),
            inputs: std::slice::from_ref(&array),
            outputs: std::slice::from_ref(&array),
            domain: Region::whole(&array.shape),
            block_shape: &[1],
            write_units: &[None],
            held: &|_| Held::default(),
            reading: &|_| 0,
            masked: false,
            workers: 1,
            tasks_per_worker: TASKS_PER_WORKER,
            backend: Backend::Local,
            budget: 1 << 40,
            budget_option: "--memory",
        })
        .unwrap()
    }

    fn plan(block_shape: &[u64], unit: Option<WriteUnit>, budget: u64) -> Result<Plan> {
        plan_holding(Held::default(), block_shape, unit, budget)
    }

    fn plan_holding(
        held: Held,
        block_shape: &[u64],
        unit: Option<WriteUnit>,
        budget: u64,
    ) -> Result<Plan> {
        let array = ArrayShape { shape: vec![256, 256, 256], dtype: DType::U8 };
        Plan::make(&PlanInput {
            operation: &Copy::default(),
            inputs: std::slice::from_ref(&array),
            outputs: std::slice::from_ref(&array),
            domain: Region::whole(&array.shape),
            block_shape,
            write_units: &[unit],
            held: &|_| held,
            reading: &|_| 0,
            masked: false,
            workers: 2,
            tasks_per_worker: TASKS_PER_WORKER,
            backend: Backend::Local,
            budget,
            budget_option: "--memory",
        })
    }

    #[test]
    fn workers_without_blocks_take_no_memory() {
        let (plan, processes) = (plan_of(3), Backend::Subprocess);
        assert!(plan.memory_for(2, processes) < plan.memory_for(3, processes));
        assert_eq!(plan.memory_for(u64::MAX, processes), plan.memory_for(3, processes));
    }

    #[test]
    fn a_plan_over_the_budget_is_refused_with_a_shape_that_fits() {
        let unit = WriteUnit { shape: vec![64; 3], shard: false, origin: None };
        let error = plan(&[256; 3], Some(unit.clone()), 45 << 20).unwrap_err();
        assert_eq!(error.kind, Kind::MemoryBudget);
        let fix = error.fix.unwrap();
        let shape: Vec<u64> = fix
            .strip_prefix("Use --block-shape ")
            .and_then(|rest| rest.split(", ").next())
            .unwrap()
            .split(',')
            .map(|n| n.parse().unwrap())
            .collect();
        assert!(shape.iter().all(|n| n % 64 == 0));
        plan(&shape, Some(unit), 45 << 20).unwrap();
    }

    #[test]
    fn less_is_held_where_the_budget_is_short_and_it_may_be_less() {
        let held = |held, budget| {
            plan_holding(held, &[64; 3], None, budget).map(|plan| plan.memory).map_err(|e| e.kind)
        };
        let free = held(Held::default(), 1 << 30).unwrap().total;
        assert_eq!(held(Held::up_to(5000), free + 5000).unwrap().held, 5000);
        let short = held(Held::up_to(5000), free + 1000).unwrap();
        assert_eq!((short.held, short.total), (1000, free + 1000));
        assert_eq!(held(Held::up_to(5000), free - 1), Err(Kind::MemoryBudget));
        assert_eq!(held(Held::exactly(5000), free + 4999), Err(Kind::MemoryBudget));
        assert_eq!(held(Held { least: 500, most: 5000 }, free + 600).unwrap().held, 600);
    }

    #[test]
    fn blocks_inside_a_shard_are_one_groups_work() {
        let unit = WriteUnit { shape: vec![128; 3], shard: true, origin: None };
        let plan = plan(&[64; 3], Some(unit), 1 << 30).unwrap();
        assert_eq!(plan.stages[0].ownership.blocks_per_group, [2, 2, 2]);
        assert_eq!(plan.tasks, [Task { groups: vec![[0, 8]] }]);
    }

    #[test]
    fn tasks_cover_all_groups_once() {
        for groups in [vec![], vec![5], vec![1, 2, 9], (0..100).collect()] {
            let tasks = divide(groups.iter().copied(), 3, Backend::Subprocess);
            let covered: Vec<u64> = tasks.iter().flat_map(Task::iter).collect();
            assert_eq!(covered, groups);
            let sizes: Vec<u64> = tasks.iter().map(Task::len).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn the_automatic_block_fills_write_units_and_stays_small() {
        let auto = auto_block_shape(&[512; 3], 1, Some(&[64; 3]), Some(&[96, 96, 96]), false);
        assert_eq!(auto, [192, 192, 192]);
        let pages =
            auto_block_shape(&[1000, 4096, 4096], 2, Some(&[1, 4096, 4096]), Some(&[64; 3]), true);
        assert!(pages.iter().all(|n| n % 64 == 0));
        assert!(pages.iter().product::<u64>() * 2 <= AUTO_BLOCK_BYTES * 2);
        assert_eq!(auto_block_shape(&[10], 1, None, None, true), [16]);
    }

    #[test]
    fn without_chunks_the_automatic_block_lies_in_one_piece_or_has_little_halo() {
        let auto = |shape: &[u64], halo| auto_block_shape(shape, 2, None, None, halo);
        assert_eq!(auto(&[10], false), [10]);
        assert_eq!(auto(&[9, 256, 1024], false), [2, 256, 1024]);
        assert_eq!(auto(&[9, 2000, 1024], false), [1, 2000, 1024]);
        assert_eq!(auto(&[9, 3000, 1024], false), [1, 512, 1024]);
        assert_eq!(auto(&[3, 1 << 22], false), [1, 1 << 19]);
        assert_eq!(auto(&[0, 5], false), [1, 5]);
        assert_eq!(auto(&[1024; 3], true), [256, 256, 128]);
    }
}
