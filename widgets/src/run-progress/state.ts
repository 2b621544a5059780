/** The cells of a run and where they lie: pure logic, without drawing and without the kernel. */

import { Cell, type Run } from "./contract";

const STATE_WORDS = ["pending", "running", "done", "skipped", "retrying", "failed"] as const;

/** The state of a cell in words, also for a cell that stands for several blocks. */
export function cellWords(code: number): string {
  if (code >= Cell.Mixed) return `about ${Math.round(((code - Cell.Mixed) / 16) * 100)} % done`;
  return STATE_WORDS[code] ?? "unknown";
}

function product(values: readonly number[]): number {
  return values.reduce((all, value) => all * value, 1);
}

/** Position along each axis of an index in C order. */
export function unravel(index: number, shape: readonly number[]): number[] {
  const position = new Array<number>(shape.length);
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const extent = shape[axis] ?? 1;
    position[axis] = rest % extent;
    rest = Math.floor(rest / extent);
  }
  return position;
}

/** Index in C order of a position. */
export function ravel(position: readonly number[], shape: readonly number[]): number {
  return shape.reduce((index, extent, axis) => index * extent + (position[axis] ?? 0), 0);
}

export type Apply = { kind: "replaced" } | { kind: "changed"; cells: Uint32Array } | { kind: "stale" } | { kind: "missed" };

/**
 * The newest known state of every cell. Messages of an earlier attempt are dropped: they can still be under way when a
 * new attempt starts. A delta of an attempt whose cells were never seen is reported as missed, so that they are asked for.
 */
export class CellStates {
  codes: Uint8Array | undefined;
  attempt = 0;

  replace(attempt: number, buffer: DataView, run: Run): Apply {
    if (attempt < this.attempt) return { kind: "stale" };
    if (buffer.byteLength !== product(run.cells)) return { kind: "missed" };
    this.codes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).slice();
    this.attempt = attempt;
    return { kind: "replaced" };
  }

  change(attempt: number, numbers: DataView, states: DataView): Apply {
    if (attempt < this.attempt) return { kind: "stale" };
    if (this.codes === undefined || attempt > this.attempt) return { kind: "missed" };
    const count = states.byteLength;
    if (numbers.byteLength !== 4 * count) return { kind: "missed" };
    const cells = new Uint32Array(count);
    for (let i = 0; i < count; i += 1) {
      // Through the view: the buffer of a message need not be aligned to four bytes.
      const cell = numbers.getUint32(4 * i, true);
      cells[i] = cell;
      if (cell < this.codes.length) this.codes[cell] = states.getUint8(i);
    }
    return { kind: "changed", cells };
  }
}

/** The layers of a grid: which cells are drawn together, and how a cell, a block and a region of the array relate. */
export class Geometry {
  /** Axes with a slider: all but the last two. */
  readonly layerAxes: readonly number[];
  readonly rows: number;
  readonly columns: number;
  private readonly layerSize: number;

  constructor(private readonly run: Run) {
    const ndim = run.cells.length;
    this.layerAxes = run.cells.slice(0, Math.max(0, ndim - 2)).map((_, axis) => axis);
    this.rows = ndim >= 2 ? (run.cells[ndim - 2] ?? 1) : 1;
    this.columns = run.cells[ndim - 1] ?? 1;
    this.layerSize = this.rows * this.columns;
  }

  /** A grid of one axis is drawn as a strip that wraps at the width. */
  get isStrip(): boolean {
    return this.run.cells.length < 2;
  }

  get cells(): number {
    return product(this.run.cells);
  }

  /** Number of the first cell of a layer and how many follow: a layer is contiguous in C order. */
  layer(position: readonly number[]): { start: number; size: number } {
    const shape = this.layerAxes.map((axis) => this.run.cells[axis] ?? 1);
    return { start: ravel(position, shape) * this.layerSize, size: this.layerSize };
  }

  /** Positions on the sliders of the layer that holds `cell`. */
  layerOf(cell: number): number[] {
    return unravel(cell, this.run.cells).slice(0, this.layerAxes.length);
  }

  axisName(axis: number): string {
    return this.run.axes[axis] || `axis ${axis}`;
  }

  /** The cell that shows a block. */
  cellOfBlock(block: number): number {
    const position = unravel(block, this.run.grid).map((at, axis) => Math.floor(at / (this.run.tile[axis] ?? 1)));
    return ravel(position, this.run.cells);
  }

  /** The blocks of a cell: their number and the first of them, or `undefined` if outside the grid. */
  blocksOfCell(cell: number): { first: number; count: number } {
    const lower = unravel(cell, this.run.cells).map((at, axis) => at * (this.run.tile[axis] ?? 1));
    const extents = lower.map((at, axis) => Math.min(this.run.tile[axis] ?? 1, (this.run.grid[axis] ?? 1) - at));
    return { first: ravel(lower, this.run.grid), count: product(extents) };
  }

  /**
   * The region of the array that a cell covers, as `0:64,64:128`. Nothing for a run over a part of the array: only the
   * engine knows where its blocks begin.
   */
  regionOfCell(cell: number): string | undefined {
    const { array_shape: shape, block_shape: block, grid, tile } = this.run;
    const wholeArray = grid.every((extent, axis) => extent === Math.ceil((shape[axis] ?? 0) / (block[axis] ?? 1)));
    if (!wholeArray) return undefined;
    return unravel(cell, this.run.cells)
      .map((at, axis) => {
        const step = (block[axis] ?? 1) * (tile[axis] ?? 1);
        return `${at * step}:${Math.min((at + 1) * step, shape[axis] ?? 0)}`;
      })
      .join(",");
  }

  /** For every position on one layer axis: is a cell there failed, and which share is complete. */
  profile(axis: number, codes: Uint8Array): { share: Float64Array; failed: Uint8Array } {
    const extent = this.run.cells[axis] ?? 1;
    const inner = product(this.run.cells.slice(axis + 1));
    const share = new Float64Array(extent);
    const failed = new Uint8Array(extent);
    for (let begin = 0, at = 0; begin < codes.length; begin += inner, at = (at + 1) % extent) {
      let sum = 0;
      for (let cell = begin; cell < begin + inner; cell += 1) {
        const code = codes[cell] ?? 0;
        if (code === Cell.Done || code === Cell.Skipped) sum += 1;
        else if (code >= Cell.Mixed) sum += (code - Cell.Mixed) / 16;
        else if (code === Cell.Failed) failed[at] = 1;
      }
      share[at] = (share[at] ?? 0) + (sum * extent) / codes.length;
    }
    return { share, failed };
  }
}

/** Speed over the last seconds, from totals that only grow. The mean since the start would hide a stall. */
export class Rate {
  private samples: { at: number; total: number }[] = [];

  constructor(private readonly window = 5) {}

  /** Forgets what was: a new attempt starts its clock and its totals again. */
  restart(): void {
    this.samples = [];
  }

  add(at: number, total: number): void {
    this.samples.push({ at, total });
    while (this.samples.length > 2 && (this.samples[1]?.at ?? at) <= at - this.window) this.samples.shift();
  }

  get perSecond(): number | undefined {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (first === undefined || last === undefined || last.at - first.at < 0.2) return undefined;
    return (last.total - first.total) / (last.at - first.at);
  }
}
