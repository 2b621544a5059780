// Runs to look at: each gives the model's state and the cells, as the engine would send them.

const CELL = { pending: 0, running: 1, done: 2, skipped: 3, retrying: 4, failed: 5 };

// A small generator with a fixed seed: the same picture every time.
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const product = (values) => values.reduce((all, value) => all * value, 1);

function makeRun(changes) {
  const grid = changes.grid ?? [12, 10, 14];
  const block = grid.map(() => 64);
  return {
    id: "k7f3qa",
    folder: "/data/ana/.local/state/bioimage-rs/runs/20261121-041530-copy-k7f3qa",
    operation: "copy",
    state_note: null,
    backend: "local",
    workers: 4,
    host: "lab-ws-03",
    user: "ana",
    created: "2026-11-21T04:15:30Z",
    array_shape: grid.map((extent, axis) => extent * block[axis] - 10),
    block_shape: block,
    grid,
    axes: ["c", "z", "y", "x"].slice(-grid.length),
    blocks: product(grid),
    tile: grid.map(() => 1),
    cells: grid,
    stages: ["copy"],
    inputs: ["embryo/stack-*.tif"],
    outputs: ["embryo.ome.zarr/s0"],
    code: {
      bp: "%bp copy 'embryo/stack-*.tif' embryo.ome.zarr/s0 --block-shape 64,64,64 --workers 4",
      python: 'bp.copy("embryo/stack-*.tif", "embryo.ome.zarr/s0", block_shape=(64, 64, 64), num_workers=4)',
      rust: 'bp!("copy embryo/stack-*.tif embryo.ome.zarr/s0 --block-shape 64,64,64 --workers 4")?',
    },
    interrupt_only: false,
    ...changes,
  };
}

function makeCells(run, { done, failed = 0, skipped = 0, running = 0, retrying = 0 }) {
  const next = random(7);
  const cells = new Uint8Array(product(run.cells));
  const finished = Math.round(cells.length * done);
  for (let cell = 0; cell < finished; cell += 1) {
    const dice = next();
    cells[cell] = dice < failed ? CELL.failed : dice < failed + skipped ? CELL.skipped : CELL.done;
  }
  for (let i = 0; i < running && finished + i < cells.length; i += 1) cells[finished + i] = CELL.running;
  for (let i = 0; i < retrying && i < finished; i += 1) cells[finished - 3 - 5 * i] = CELL.retrying;
  return cells;
}

function count(cells, total = cells.length) {
  const of = (code) => cells.reduce((sum, each) => sum + (each === code ? 1 : 0), 0);
  const [running, done, skipped, retrying, failed] = [1, 2, 3, 4, 5].map(of);
  const pending = total - running - done - skipped - failed;
  return { total, pending, running, done, skipped, failed, retried: retrying };
}

function region(run, cell) {
  const at = [];
  let rest = cell;
  for (let axis = run.grid.length - 1; axis >= 0; axis -= 1) {
    at[axis] = rest % run.grid[axis];
    rest = Math.floor(rest / run.grid[axis]);
  }
  return at.map((p, axis) => `${p * run.block_shape[axis]}:${Math.min((p + 1) * run.block_shape[axis], run.array_shape[axis])}`).join(",");
}

const MESSAGES = [
  ["corrupt-page", "page 311 of embryo/stack-004.tif: the LZW stream ends 1,204 bytes early; the file is torn, fetch it again", "deterministic", 1],
  ["io", "embryo/stack-007.tif: Input/output error (os error 5) while reading 262,144 bytes at 81,788,928", "transient", 4],
];

function makeStatus(run, cells, changes) {
  const counts = count(cells);
  const failed = [...cells.keys()].filter((cell) => cells[cell] === CELL.failed);
  return {
    state: "running",
    attempt: 1,
    stage: 0,
    counts,
    elapsed_s: 83,
    remaining_s: 47,
    voxels_per_s: 52.1e6,
    bytes_read: 9.4e9,
    bytes_written: 6.1e9,
    memory: { projected: 620 * 2 ** 20, budget: 2 * 2 ** 30, peak: 410 * 2 ** 20 },
    workers: Array.from({ length: run.workers }, (_, task) => ({ task, state: "running", block: counts.done + task, reason: null })),
    failures: failed.slice(0, 100).map((block, i) => {
      const [kind, message, klass, attempts] = MESSAGES[i % 2];
      return { block, region: region(run, block), kind, message, class: klass, attempts };
    }),
    failures_total: failed.length,
    message: null,
    ...changes,
  };
}

function ended(state, changes) {
  return { state, remaining_s: null, workers: [], ...changes };
}

function scenario(runChanges, cellChoice, statusChanges) {
  const run = makeRun(runChanges);
  const cells = makeCells(run, cellChoice);
  return { run, cells, status: makeStatus(run, cells, statusChanges) };
}

export const scenarios = {
  running: () => scenario({}, { done: 0.62, failed: 0.003, skipped: 0.08, running: 4, retrying: 2 }, {}),
  failed: () =>
    scenario({}, { done: 1, failed: 0.006, skipped: 0.05 }, ended("failed", { message: "10 of 1,680 blocks failed; the others are done.\nRetry them once the cause is gone: `%bp retry k7f3qa`." })),
  succeeded: () =>
    scenario({}, { done: 1, skipped: 0.1 }, ended("succeeded", { elapsed_s: 134, message: "1,680 blocks in 2:14; embryo.ome.zarr/s0 is complete." })),
  cancelled: () => scenario({}, { done: 0.41, skipped: 0.1 }, ended("cancelled", { message: "Cancelled by ana. Go on with `%bp resume k7f3qa`: what is done stays done." })),
  interrupted: () => scenario({}, { done: 0.3 }, ended("interrupted", { message: "The process that ran it is gone. Go on with `%bp resume k7f3qa`." })),
  queued: () =>
    scenario(
      { backend: "slurm", workers: 3, stages: ["label", "merge", "relabel"], operation: "label", interrupt_only: true },
      { done: 0 },
      {
        state: "queued", elapsed_s: 4, remaining_s: null, voxels_per_s: null, bytes_read: 0, bytes_written: 0,
        memory: { projected: 620 * 2 ** 20, budget: null, peak: null },
        workers: [
          { task: "18_0", state: "waiting", block: null, reason: "Resources" },
          { task: "18_1", state: "waiting", block: null, reason: "Priority" },
          { task: "18_2", state: "lost", block: 211, reason: "NODE_FAIL: node lab-n07 stopped answering; requeued" },
        ],
      },
    ),
  large: () => scenario({ grid: [10, 100, 100] }, { done: 0.53, failed: 0.0002, skipped: 0.05, running: 16 }, {}),
  flat: () => scenario({ grid: [320, 320] }, { done: 0.53, failed: 0.0001, skipped: 0.05, running: 16 }, {}),
  line: () => scenario({ grid: [700] }, { done: 0.4, failed: 0.004, running: 4, retrying: 2 }, {}),
  four: () => scenario({ grid: [3, 9, 8, 11], axes: ["c", "z", "y", "x"] }, { done: 0.5, failed: 0.004, skipped: 0.1, running: 4 }, {}),
  tiles: () => {
    const run = makeRun({ grid: [40, 400, 400], cells: [10, 40, 40], tile: [4, 10, 10] });
    const cells = new Uint8Array(16000).map((_, i) => (i < 7000 ? (i % 1931 === 7 ? 5 : 2) : i < 9000 ? 16 + Math.max(0, 15 - Math.floor((i - 7000) / 125)) : 0));
    const status = makeStatus(run, cells, {});
    status.counts = { total: 6_400_000, pending: 3_199_980, running: 16, done: 3_200_000, skipped: 0, failed: 4, retried: 0 };
    return { run, cells, status };
  },
  saved: () => ({ ...scenario({}, { done: 0.41, failed: 0.003, skipped: 0.1 }, ended("cancelled", { message: "Cancelled by ana. Go on with `%bp resume k7f3qa`." })), mute: true }),
};
