import { describe, expect, it } from "vitest";
import { makeRow } from "../testing/panels";
import { arrange, reordered, type Column, type Filter } from "./table-state";

const all: Filter = { text: "", state: "" };
const counts = (done: number) => ({ total: 10, pending: 10 - done, running: 0, done, skipped: 0, failed: 0, retried: 0 });
const runs = [
  makeRow("a1", { age_s: 300, state: "failed", counts: counts(9), outputs: ["b10.zarr"] }),
  makeRow("b2", { age_s: 20, state: "running", operation: "gaussian", counts: counts(2), outputs: ["b9.zarr"], backend: "slurm" }),
  makeRow("c3", { age_s: 4000, state: "succeeded", counts: counts(10), outputs: [], host: "lab-n07" }),
];
const ids = (filter: Filter, column: Column = "age", descending = false): string => arrange(runs, filter, { column, descending }).map(({ id }) => id).join(" ");

describe("the table of runs", () => {
  it("sorts by each column, either way", () => {
    expect(ids(all)).toBe("b2 a1 c3");
    expect(ids(all, "age", true)).toBe("c3 a1 b2");
    expect(ids(all, "state")).toBe("b2 a1 c3");
    expect(ids(all, "progress")).toBe("b2 a1 c3");
    expect(ids(all, "output")).toBe("c3 b2 a1");
    expect(ids(all, "operation")).toBe("a1 c3 b2");
    expect(ids(all, "id", true)).toBe("c3 b2 a1");
  });

  it("filters by words that occur anywhere, and by state", () => {
    expect(ids({ text: "SLURM gauss", state: "" })).toBe("b2");
    expect(ids({ text: "n07", state: "" })).toBe("c3");
    expect(ids({ text: "", state: "active" })).toBe("b2");
    expect(ids({ text: "", state: "failed" })).toBe("a1");
    expect(ids({ text: "gauss", state: "failed" })).toBe("");
  });

  it("turns the order round at a second click", () => {
    const once = reordered({ column: "age", descending: false }, "state");
    expect(once).toEqual({ column: "state", descending: false });
    expect(reordered(once, "state").descending).toBe(true);
  });
});
