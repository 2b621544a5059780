import { describe, expect, it } from "vitest";
import { makeDelta, makeRun } from "../testing/fake-model";
import { CellStates, cellWords, Geometry, Rate, ravel, unravel } from "./state";

const run = makeRun();
const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const change = (cells: CellStates, attempt: number, changes: readonly (readonly [number, number])[]) => {
  const [numbers, states] = makeDelta(changes);
  return cells.change(attempt, view(numbers), view(states));
};

describe("CellStates", () => {
  it("takes cells and applies a delta that is not aligned in memory", () => {
    const cells = new CellStates();
    expect(cells.replace(1, view(new Uint8Array(24)), run).kind).toBe("replaced");
    const applied = change(cells, 1, [
      [3, 2],
      [23, 5],
    ]);
    expect(applied).toEqual({ kind: "changed", cells: Uint32Array.of(3, 23) });
    expect([cells.codes?.[3], cells.codes?.[23], cells.codes?.[4]]).toEqual([2, 5, 0]);
  });

  it("keeps its own copy of the cells", () => {
    const cells = new CellStates();
    const message = new Uint8Array(24);
    cells.replace(1, view(message), run);
    message.fill(5);
    expect(cells.codes?.every((code) => code === 0)).toBe(true);
  });

  it("drops what is left of an earlier attempt", () => {
    const cells = new CellStates();
    cells.replace(2, view(new Uint8Array(24)), run);
    expect(cells.replace(1, view(new Uint8Array(24).fill(5)), run).kind).toBe("stale");
    expect(change(cells, 1, [[0, 5]]).kind).toBe("stale");
    expect(cells.codes?.includes(5)).toBe(false);
  });

  it("reports a delta whose cells it has not seen", () => {
    const cells = new CellStates();
    expect(change(cells, 1, [[0, 2]]).kind).toBe("missed");
    cells.replace(1, view(new Uint8Array(24)), run);
    expect(change(cells, 2, [[0, 2]]).kind).toBe("missed");
    expect(cells.codes?.[0]).toBe(0);
  });

  it("does not take cells of another grid, nor write past its own", () => {
    const cells = new CellStates();
    expect(cells.replace(1, view(new Uint8Array(23)), run).kind).toBe("missed");
    cells.replace(1, view(new Uint8Array(24)), run);
    change(cells, 1, [[24, 2]]);
    expect(cells.codes?.length).toBe(24);
  });
});

describe("Geometry", () => {
  it("counts in C order", () => {
    expect(unravel(17, [2, 3, 4])).toEqual([1, 1, 1]);
    expect(ravel([1, 1, 1], [2, 3, 4])).toBe(17);
  });

  it("shows the last two axes and slides over the others", () => {
    const four = new Geometry(makeRun({ grid: [3, 2, 3, 4], cells: [3, 2, 3, 4], axes: ["c", "z", "y", ""] }));
    expect([four.layerAxes, four.rows, four.columns]).toEqual([[0, 1], 3, 4]);
    expect(four.layer([2, 1])).toEqual({ start: 60, size: 12 });
    expect(four.layerOf(60)).toEqual([2, 1]);
    expect([four.axisName(1), four.axisName(3)]).toEqual(["z", "axis 3"]);
  });

  it("draws a grid of one axis as a strip", () => {
    const line = new Geometry(makeRun({ grid: [7], cells: [7], tile: [1], array_shape: [400], block_shape: [64], axes: ["x"] }));
    expect([line.isStrip, line.rows, line.columns]).toEqual([true, 1, 7]);
    expect(line.layer([])).toEqual({ start: 0, size: 7 });
    expect(line.regionOfCell(6)).toBe("384:400");
  });

  it("clips regions to the array", () => {
    expect(new Geometry(run).regionOfCell(23)).toBe("64:128,128:190,192:256");
  });

  it("gives no region for a run over a part of the array", () => {
    expect(new Geometry(makeRun({ array_shape: [640, 640, 640] })).regionOfCell(0)).toBeUndefined();
  });

  it("relates tiles and blocks", () => {
    const tiled = new Geometry(makeRun({ grid: [4, 5, 6], tile: [2, 2, 4], cells: [2, 3, 2], array_shape: [256, 320, 384] }));
    expect(tiled.cellOfBlock(ravel([3, 4, 5], [4, 5, 6]))).toBe(11);
    // The last tile is cut off by the end of the grid: 2 x 1 x 2 blocks.
    expect(tiled.blocksOfCell(11)).toEqual({ first: ravel([2, 4, 4], [4, 5, 6]), count: 4 });
    expect(tiled.regionOfCell(11)).toBe("128:256,256:320,256:384");
  });

  it("sums every layer axis", () => {
    const codes = new Uint8Array(24);
    codes.fill(2, 0, 6);
    codes[6] = 5;
    codes[12] = 24;
    const { share, failed } = new Geometry(run).profile(0, codes);
    expect(share[0]).toBeCloseTo(0.5);
    expect(share[1]).toBeCloseTo(0.5 / 12);
    expect([...failed]).toEqual([1, 0]);
  });
});

describe("cellWords", () => {
  it("has a word for every state and a share for a mix", () => {
    expect([0, 1, 2, 3, 4, 5].map(cellWords)).toEqual(["pending", "running", "done", "skipped", "retrying", "failed"]);
    expect(cellWords(24)).toBe("about 50 % done");
  });
});

describe("Rate", () => {
  it("forgets what is older than its window", () => {
    const rate = new Rate(5);
    expect(rate.perSecond).toBeUndefined();
    for (let at = 0; at <= 10; at += 1) rate.add(at, at * 100);
    for (let at = 11; at <= 20; at += 1) rate.add(at, 1000);
    expect(rate.perSecond).toBe(0);
  });

  it("is the slope over its window", () => {
    const rate = new Rate(5);
    for (let at = 0; at <= 10; at += 0.25) rate.add(at, at * 100);
    expect(rate.perSecond).toBeCloseTo(100);
    rate.restart();
    expect(rate.perSecond).toBeUndefined();
  });
});
