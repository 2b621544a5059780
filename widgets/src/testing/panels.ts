/** States and answers of panels, as the engine would send them. */

import type { Field, Form, Plan, PlanAnswer, RunRow, Section } from "../panel/contract";

export function makeField(name: string, changes: Partial<Field> = {}): Field {
  return {
    name,
    option: `--${name.replaceAll("_", "-")}`,
    label: name.replaceAll("_", " "),
    help: `Help of ${name}`,
    kind: "text",
    access: null,
    choices: [],
    default: null,
    placeholder: "",
    unit: null,
    minimum: null,
    maximum: null,
    exclusive_minimum: null,
    required: false,
    ...changes,
  };
}

const choices = (...values: string[]): Field["choices"] => values.map((value) => ({ value, help: `${value} explained` }));
const section = (name: string, fields: Field[], folded = false): Section => ({ name, title: name, folded, fields });

export function makeForm(operation = "gaussian"): Form {
  return {
    operation,
    help: "Smooths an image.",
    sections: [
      section("arrays", [makeField("SRC", { option: null, kind: "path", access: "read", required: true, label: "input" }), makeField("DST", { option: null, kind: "path", access: "write", required: true, label: "output" })]),
      section("parameters", [
        makeField("sigma", { kind: "numbers", default: "2", unit: "voxels", exclusive_minimum: 0 }),
        makeField("mode", { kind: "choice", choices: choices("reflect", "nearest"), default: "reflect" }),
        makeField("overwrite", { kind: "flag" }),
      ]),
      section("blocks", [
        makeField("block_shape", { kind: "shape", choices: choices("auto"), default: "auto" }),
        makeField("backend", { kind: "choice", choices: choices("local", "slurm"), default: "local" }),
      ]),
      section("slurm", [makeField("partition"), makeField("account")]),
      section("advanced", [makeField("region")], true),
    ],
  };
}

export function makeFormState(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    view: "operation-form",
    operations: [{ name: "copy", help: "Copies" }, { name: "gaussian", help: "Smooths" }],
    form: makeForm(),
    values: { SRC: "in.tif", DST: "out.zarr" },
    run: {},
    status: {},
    ...changes,
  };
}

export function makePlan(changes: Partial<Plan> = {}): Plan {
  return {
    blocks: 128,
    grid: [2, 8, 8],
    block_shape: [32, 64, 64],
    domain_shape: [64, 512, 512],
    axes: ["z", "y", "x"],
    passes: ["gaussian"],
    tasks: 16,
    workers: 2,
    backend: "local",
    write_groups: 16,
    halo_overhead: 0.12,
    memory: { per_block: 2 ** 20, per_worker: 2 ** 22, total: 2 ** 23, budget: 2 ** 24 },
    bytes_to_read: 2 ** 24,
    bytes_to_write: 2 ** 24,
    seconds: 74,
    comparable_runs: 3,
    ...changes,
  };
}

export function makePlanAnswer(changes: Partial<PlanAnswer> = {}): PlanAnswer {
  return {
    type: "plan",
    code: { bp: "%bp gaussian in.tif out.zarr", python: 'bp.gaussian("in.tif", "out.zarr")', rust: "gaussian()" },
    refusal: null,
    paths: { SRC: { text: "64 x 512 x 512 u8" }, DST: { note: "will be made" } },
    presets: [
      { name: "auto", value: "auto" },
      { name: "chunk", value: "32,64,64" },
    ],
    plan: makePlan(),
    ...changes,
  };
}

export const refusal = {
  kind: "unsafe-writes",
  message: "Blocks share chunks.",
  fix: "Take whole chunks.",
  field: "block_shape",
  change: { name: "block_shape", value: "64,64,64", label: "Use 64,64,64" },
};

export function makeRow(id: string, changes: Partial<RunRow> = {}): RunRow {
  return {
    id,
    operation: "copy",
    state: "succeeded",
    created: "2026-11-21T04:15:30Z",
    age_s: 60,
    backend: "local",
    host: "ws",
    user: "ana",
    outputs: ["out.zarr"],
    counts: { total: 24, pending: 0, running: 0, done: 24, skipped: 0, failed: 0, retried: 0 },
    ended: true,
    can: ["attach", "remove"],
    ...changes,
  };
}

export function makeSlurmState(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    view: "slurm-form",
    file: "/home/ana/config.toml",
    read_from: "/etc/config.toml",
    sections: [section("slurm", [makeField("partition"), makeField("time"), makeField("setup", { kind: "list" })])],
    values: { partition: "cpu" },
    ...changes,
  };
}
