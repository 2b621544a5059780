// Stands in for the engine behind a panel: plans by simple arithmetic, completes from a fixed tree, starts a run.
import { FakeModel } from "./model.mjs";
import { scenarios as runs } from "./scenarios.mjs";
import { fieldsOf, forms, offers, SHAPE } from "./panel-scenarios.mjs";

const TREE = ["data/", "data/embryo/", "data/embryo/stack.tif", "data/embryo/mask.tif", "data/notes.txt", "out.zarr"];
const product = (values) => values.reduce((all, value) => all * value, 1);

export class PanelModel extends FakeModel {
  constructor(state) {
    super({});
    this.state = { run: {}, status: {}, interrupt_only: false, ...state };
    this.cells = new Uint8Array();
  }

  save_changes() {}

  delayed(message, seconds, answer) {
    setTimeout(() => this.reply(message, answer), 1000 * seconds);
  }

  answer(message) {
    switch (message.type) {
      case "plan":
        return this.reply(message, this.plan(message.values));
      case "form":
      case "read": {
        const operation = message.operation ?? message.line.replace(/^%?bp /, "").split(" ")[0];
        const form = forms[operation];
        if (form === undefined) return this.refuse(message, `There is no operation \`${operation}\`.`, "See `bp help`.");
        const values = message.type === "form" ? this.state.values : { SRC: "data/embryo/stack.tif", DST: "out.zarr", block_shape: "32,128,128" };
        this.set("form", form);
        this.set("values", values);
        return this.reply(message, { type: "form", form, values });
      }
      case "complete": {
        const level = message.text.split("/").length;
        const matches = TREE.filter((path) => path.startsWith(message.text) && path.replace(/\/$/, "").split("/").length === level);
        return this.reply(message, { type: "complete", name: message.name, matches: matches.map((text) => ({ text, help: text.endsWith(".tif") ? "64 x 512 x 512 u8" : "" })) });
      }
      case "offers":
        return this.delayed(message, 0.1, offers);
      case "save":
        this.set("read_from", this.state.file);
        return this.reply(message, { type: "saved", file: this.state.file ?? "~/.config/bioimage-rs/config.toml", saved: Object.keys(message.values).filter((name) => name in offers.fields) });
      case "check": {
        const bad = message.values.time && !/^[\d:-]+$/.test(message.values.time);
        const problems = bad ? [{ field: "time", message: `\`${message.values.time}\` is not a time.`, fix: "Write 2:00:00 or 1-12." }] : [];
        if (message.values.partition === "gone") problems.push({ field: "partition", message: "The cluster has no partition `gone`.", fix: "It has cpu, gpu, long." });
        return this.reply(message, { type: "checked", problems, cluster: "lab", note: null });
      }
      case "start":
      case "attach":
      case "continue": {
        const played = runs[message.type === "attach" ? "failed" : "running"]();
        this.cells = played.cells;
        this.set("status", played.status);
        this.set("run", { ...played.run, id: message.run ?? "q2m8zt" });
        if (played.status.state === "running") this.play();
        return this.reply(message, { type: "ok", run: this.state.run.id });
      }
      case "detach":
        this.set("run", {});
        return this.reply(message, { type: "ok" });
      case "stop":
        return this.reply(message, { type: "ok" });
      case "remove":
        this.set("runs", this.state.runs.filter(({ id }) => !message.runs.includes(id)));
        return this.reply(message, { type: "removed", removed: message.runs });
      default:
        return super.answer(message);
    }
  }

  refuse(message, text, fix) {
    this.reply(message, { type: "error", kind: "usage", message: text, fix });
  }

  plan(values) {
    const missing = fieldsOf(this.state.form).find((field) => field.required && !values[field.name]);
    const flat = values.SRC?.endsWith("mask.tif");
    const domain = flat ? SHAPE.slice(1) : SHAPE;
    const presets = [["auto", "auto"], ["chunk", "32,128,128"], ["2x", "64,256,256"], ["4x", "64,512,512"]].map(([name, value]) => ({ name, value: flat ? value.replace(/^\d+,/, "") : value }));
    const paths = {
      SRC: values.SRC ? (values.SRC.includes("notes") ? { error: "`data/notes.txt` is no image." } : { text: `${domain.join(" x ")} u8, chunks ${flat ? "128,128" : "32,128,128"}` }) : undefined,
      DST: values.DST ? { note: "will be made" } : undefined,
    };
    const base = { type: "plan", paths, presets, code: null, refusal: null, plan: null };
    if (missing) return { ...base, refusal: { kind: "incomplete", message: `${missing.name} is missing.`, fix: "Give a path.", field: missing.name, change: null } };
    const text = Object.entries(values).filter(([, value]) => value).map(([name, value]) => (/^[A-Z]+$/.test(name) ? value : `--${name.replaceAll("_", "-")}${value === true ? "" : ` ${value}`}`));
    const { operation } = this.state.form;
    const code = {
      bp: `%bp ${operation} ${text.join(" ")}`,
      python: `bp.${operation}("${values.SRC}", "${values.DST}", block_shape="${values.block_shape || "auto"}")`,
      rust: `bp!("${operation} ${text.join(" ")}")?`,
    };
    const block = (values.block_shape || "auto") === "auto" ? presets[1].value.split(",").map(Number) : values.block_shape.split(",").map(Number);
    if (block.length !== domain.length || block.some((extent) => !(extent > 0))) {
      return { ...base, code, refusal: { kind: "bad-shape", message: `\`${values.block_shape}\` is no shape of ${domain.length} axes.`, fix: "Write whole numbers with commas.", field: "block_shape", change: { name: "block_shape", value: presets[1].value, label: `Use ${presets[1].value}` } } };
    }
    if (block.at(-1) % 128 !== 0 && block.at(-1) < 512) {
      return { ...base, code, refusal: { kind: "unsafe-writes", message: `Blocks of ${block.join(" x ")} share chunks of out.zarr: two workers would write one chunk.`, fix: "Take whole chunks.", field: "block_shape", change: { name: "block_shape", value: presets[1].value, label: `Use ${presets[1].value}` } } };
    }
    const grid = domain.map((extent, axis) => Math.ceil(extent / block[axis]));
    const workers = Number(values.workers || 4);
    const per = product(block) * 24 + 40e6;
    return {
      ...base,
      code,
      plan: {
        note: null, blocks: product(grid), grid, block_shape: block, domain_shape: domain, axes: flat ? ["y", "x"] : ["z", "y", "x"], passes: [operation],
        tasks: product(grid), workers, backend: values.backend || "local", write_groups: product(grid), halo_overhead: operation === "gaussian" ? 0.372 : 0,
        memory: { per_block: per / 2, per_worker: per, total: per * workers, budget: values.backend === "slurm" ? null : 2 * 2 ** 30 },
        bytes_to_read: product(domain) * 1.4, bytes_to_write: product(domain), seconds: values.sigma ? 74 : null, comparable_runs: values.sigma ? 3 : 0,
      },
    };
  }
}
