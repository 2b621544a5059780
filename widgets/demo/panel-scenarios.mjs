// States of the panels to look at, as the engine would send them.

export const SHAPE = [200, 1024, 1024];

const field = (name, changes = {}) => ({
  name, option: `--${name.replaceAll("_", "-")}`, label: name.replaceAll("_", " "), help: `What ${name.replaceAll("_", " ")} means`, kind: "text", access: null, choices: [],
  default: null, placeholder: "", unit: null, minimum: null, maximum: null, exclusive_minimum: null, required: false, ...changes,
});
const place = (name, access, help) => field(name, { option: null, label: access === "read" ? "input" : "output", help, kind: "path", access, placeholder: name, required: true });
const choices = (...values) => values.map((value) => ({ value, help: `${value}, explained` }));

const slurmFields = [
  field("partition", { help: "Partition to submit to", placeholder: "that of the cluster" }),
  field("account", { help: "Account that is charged" }),
  field("qos", { help: "Quality of service" }),
  field("constraint", { help: "Features that a node must have" }),
  field("time", { help: "Limit of a task's time", placeholder: "2:00:00", default: "1:00:00" }),
  field("nodes_exclude", { label: "exclude", help: "Nodes not to use", placeholder: "lab-n07" }),
];

function form(operation, help, parameters) {
  return {
    operation,
    help,
    sections: [
      { name: "arrays", title: "Arrays", folded: false, fields: [place("SRC", "read", "Image to read"), place("DST", "write", "Array to write; made if it is missing")] },
      ...(parameters.length > 0 ? [{ name: "parameters", title: "Parameters", folded: false, fields: parameters }] : []),
      {
        name: "output", title: "Output", folded: false,
        fields: [
          field("chunks", { kind: "shape", placeholder: "SHAPE", help: "Chunks of a new array" }),
          field("codec", { kind: "choice", choices: choices("zstd", "blosc", "gzip", "none"), default: "zstd", help: "Compression of a new array" }),
          field("level", { kind: "integer", default: "3", minimum: 1, maximum: 22, help: "How hard to compress" }),
          field("overwrite", { kind: "flag", help: "Replace what is there" }),
        ],
      },
      {
        name: "blocks", title: "Blocks and workers", folded: false,
        fields: [
          field("block_shape", { kind: "shape", choices: choices("auto"), default: "auto", help: "Extents of a block, or auto", unit: "voxels" }),
          field("workers", { kind: "integer", default: "4", minimum: 1 }),
          field("backend", { kind: "choice", choices: choices("local", "subprocess", "slurm"), default: "local" }),
          field("memory", { placeholder: "8G", help: "Budget of all workers together" }),
        ],
      },
      { name: "slurm", title: "Slurm", folded: false, fields: slurmFields },
      { name: "advanced", title: "Advanced", folded: true, fields: [field("region", { placeholder: "0:10,:,:" }), field("attempts", { kind: "integer", default: "3" }), field("keep_going", { kind: "flag" })] },
    ],
  };
}

export const forms = {
  copy: form("copy", "Copies an array, into other chunks if asked.", []),
  gaussian: form("gaussian", "Smooths an image with a Gaussian.", [
    field("sigma", { kind: "numbers", unit: "voxels", exclusive_minimum: 0, required: true, placeholder: "2 or 1,2,2", help: "Width of the Gaussian, one for all axes or one each" }),
    field("truncate", { kind: "number", default: "4", minimum: 0, help: "Where the kernel ends, in sigmas" }),
    field("mode", { kind: "choice", choices: choices("reflect", "nearest", "constant"), default: "reflect", help: "What lies beyond the edge" }),
  ]),
};

export const fieldsOf = (form) => form.sections.flatMap(({ fields }) => fields);

export const offers = {
  type: "offers", cluster: "lab", note: null,
  fields: {
    partition: [{ value: "cpu", help: "12 nodes, 2 days" }, { value: "gpu", help: "2 nodes, 1 day" }, { value: "long", help: "4 nodes, 14 days" }],
    account: [{ value: "embryo", help: "" }, { value: "default", help: "" }],
    qos: [{ value: "normal", help: "" }, { value: "high", help: "at most 2 jobs" }],
    constraint: [{ value: "avx512", help: "10 nodes" }],
  },
};

const operations = [{ name: "copy", help: forms.copy.help }, { name: "gaussian", help: forms.gaussian.help }];
const operationForm = (operation, values) => ({ view: "operation-form", operations, form: forms[operation], values });
const paths = { SRC: "data/embryo/stack.tif", DST: "out.zarr" };

const COUNTS = { total: 1680, pending: 0, running: 0, done: 1680, skipped: 0, failed: 0, retried: 0 };
const run = (id, state, age_s, can, changes = {}) => ({
  id, operation: "gaussian", state, created: "2026-11-21T04:15:30Z", age_s, backend: "local", host: "lab-ws-03", user: "ana",
  outputs: ["embryo.ome.zarr/s0"], counts: COUNTS, ended: !can.includes("cancel"), can, ...changes,
});
const records = [
  run("k7f3qa", "running", 95, ["attach", "cancel"], { counts: { ...COUNTS, pending: 640, running: 4, done: 1036 } }),
  run("p0x4ne", "queued", 300, ["attach", "cancel"], { backend: "slurm", operation: "label", counts: { ...COUNTS, pending: 1680, done: 0 }, host: "lab-login" }),
  run("m1b8wz", "failed", 7400, ["attach", "resume", "remove"], { counts: { ...COUNTS, done: 1670, failed: 10 } }),
  run("a9c2rt", "interrupted", 90_000, ["attach", "resume", "remove"], { operation: "copy", counts: { ...COUNTS, pending: 1180, done: 500 }, outputs: ["/data/ana/projects/2026/light-sheet/embryo-07/fused/embryo.ome.zarr/labels/nuclei/s0"] }),
  run("z5d7yh", "cancelled", 400_000, ["attach", "resume", "remove"], { counts: { ...COUNTS, pending: 1000, done: 680 } }),
  run("w3g6lp", "succeeded", 800_000, ["attach", "remove"], { operation: "regionprops", outputs: ["cells.csv"] }),
];

const slurm = {
  view: "slurm-form", file: "/home/ana/.config/bioimage-rs/config.toml", read_from: "/etc/bioimage-rs/config.toml",
  sections: [
    { name: "slurm", title: "What a job asks for", folded: false, fields: slurmFields },
    { name: "environment", title: "Environment of the workers", folded: false, fields: [field("setup", { kind: "list", help: "Commands before a worker starts", placeholder: "module load hdf5" }), field("requeue", { kind: "flag", help: "Let the cluster start lost tasks again" })] },
    { name: "advanced", title: "Advanced", folded: true, fields: [field("extra", { kind: "list", help: "Further options of sbatch" })] },
  ],
};

export const panels = {
  form: () => operationForm("gaussian", { ...paths, sigma: "2", block_shape: "64,256,256" }),
  "form-empty": () => operationForm("copy", {}),
  "form-refused": () => operationForm("gaussian", { ...paths, sigma: "2", block_shape: "64,100,100" }),
  "form-slurm": () => operationForm("gaussian", { ...paths, sigma: "1,2,2", backend: "slurm", workers: "8" }),
  "form-flat": () => operationForm("copy", { SRC: "data/embryo/mask.tif", DST: "out.zarr" }),
  "form-running": () => operationForm("gaussian", { ...paths, sigma: "2" }),
  runs: () => ({ view: "runs-table", runs: records }),
  "runs-empty": () => ({ view: "runs-table", runs: [] }),
  "runs-attached": () => ({ view: "runs-table", runs: records }),
  slurm: () => ({ ...slurm, values: { partition: "cpu", time: "4:00:00", setup: "module load hdf5\nulimit -n 4096" } }),
  "slurm-problem": () => ({ ...slurm, values: { partition: "gone", time: "soon" } }),
};
