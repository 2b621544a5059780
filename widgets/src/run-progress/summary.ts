/** The numbers of a run: progress bar, legend with counts, rates, memory, workers. */

import { element, reconcile, setAttribute, setText, show } from "../dom";
import { Cell, isActive, type Counts, type Efficiency, type Run, type Status, type Worker } from "./contract";
import { formatBytes, formatCount, formatDuration, formatPercent, formatScaled } from "../format";
import { NumberList } from "../number-list";
import { paintCell, readPalette } from "./glyphs";
import { Rate } from "./state";

/** Without news for so long, a run that should be going may have lost its kernel. */
export const NEWS_EXPECTED_S = 30;

/** Blocks that need no more work. */
export function completed(counts: Counts): number {
  return counts.done + counts.skipped;
}

const BAR_PARTS = ["done", "skipped", "failed", "running"] as const;

export class ProgressBar {
  readonly root: HTMLElement;
  private readonly parts = BAR_PARTS.map((name) => element("div", { class: `bp-bar-part bp-bar-${name}` }));

  constructor() {
    this.root = element("div", { class: "bp-bar", role: "progressbar", "aria-label": "Blocks complete", "aria-valuemin": 0 }, ...this.parts);
  }

  update({ counts }: Pick<Status, "counts">): void {
    BAR_PARTS.forEach((name, index) => {
      const part = this.parts[index];
      if (part === undefined) return;
      part.style.width = `${counts.total > 0 ? (100 * counts[name]) / counts.total : 0}%`;
      // One failed block of a hundred thousand is still seen.
      part.style.minWidth = counts[name] > 0 ? "2px" : "0";
    });
    setAttribute(this.root, "aria-valuemax", counts.total);
    setAttribute(this.root, "aria-valuenow", completed(counts));
    setAttribute(this.root, "aria-valuetext", `${formatPercent(completed(counts), counts.total)}, ${counts.failed} failed`);
  }
}

const LEGEND = [
  ["pending", Cell.Pending],
  ["running", Cell.Running],
  ["done", Cell.Done],
  ["skipped", Cell.Skipped],
  ["retried", Cell.Retrying],
  ["failed", Cell.Failed],
] as const;

const SWATCH = 12;

export class Legend {
  readonly root = element("ul", { class: "bp-legend" });
  private readonly counts = LEGEND.map(() => element("span", { class: "bp-number" }));
  private readonly swatches = LEGEND.map(() => element("canvas", { class: "bp-swatch", "aria-hidden": "true" }));

  // Notebooks render a widget before it is in the page, where it has neither size nor colours.
  private readonly observer = new ResizeObserver(() => this.paint());

  constructor() {
    this.observer.observe(this.root);
    LEGEND.forEach(([name], index) => {
      const [swatch, count] = [this.swatches[index], this.counts[index]];
      if (swatch !== undefined && count !== undefined) this.root.append(element("li", {}, swatch, element("span", {}, name), count));
    });
  }

  update({ counts }: Status): void {
    LEGEND.forEach(([name], index) => {
      const node = this.counts[index];
      if (node === undefined) return;
      setText(node, formatCount(counts[name]));
      node.parentElement?.classList.toggle("bp-zero", counts[name] === 0);
    });
  }

  /** Draws the swatches with the colours of the theme in use. */
  paint(): void {
    const palette = readPalette(this.root);
    const size = Math.round(SWATCH * (window.devicePixelRatio || 1));
    LEGEND.forEach(([, code], index) => {
      const canvas = this.swatches[index];
      if (canvas === undefined) return;
      canvas.width = canvas.height = size;
      const context = canvas.getContext("2d");
      if (context !== null) paintCell(context, code, 0, 0, size, palette);
    });
  }

  dispose(): void {
    this.observer.disconnect();
  }
}

export class Numbers {
  private readonly list = new NumberList(["Stage", "Elapsed", "Remaining", "Speed", "Read", "Written", "Memory", "Used", "Next time"]);
  readonly root = this.list.root;
  private readonly meter = element("div", { class: "bp-meter" });
  private readonly meterPeak = element("div", { class: "bp-meter-peak" });
  private readonly meterProjected = element("div", { class: "bp-meter-projected" });
  private readonly read = new Rate();
  private readonly written = new Rate();
  private attempt: number | undefined;

  constructor() {
    this.meter.append(this.meterPeak, this.meterProjected);
    this.list.append("Memory", this.meter);
  }

  update(run: Run, status: Status): void {
    const active = isActive(status.state);
    if (status.attempt !== this.attempt) {
      this.attempt = status.attempt;
      this.read.restart();
      this.written.restart();
    }
    this.read.add(status.elapsed_s, status.bytes_read);
    this.written.add(status.elapsed_s, status.bytes_written);

    const stages = run.stages.length;
    this.list.set("Stage", stages > 1 ? `${status.stage + 1} of ${stages}: ${run.stages[status.stage] ?? ""}` : undefined);
    this.list.set("Remaining", active && status.remaining_s !== null ? `about ${formatDuration(status.remaining_s)}` : undefined);
    this.list.set("Speed", status.voxels_per_s === null ? undefined : `${formatScaled(status.voxels_per_s)} voxels/s`);
    this.list.set("Read", this.amount(status.bytes_read, this.read, status));
    this.list.set("Written", this.amount(status.bytes_written, this.written, status));
    this.setMemory(status);
    this.setEfficiency(status.efficiency ?? undefined);
  }

  setElapsed(seconds: number, silentFor: number | undefined): void {
    const note = silentFor === undefined ? "" : ` (no news for ${formatDuration(silentFor)})`;
    this.list.set("Elapsed", `${formatDuration(seconds)}${note}`);
  }

  private amount(bytes: number, rate: Rate, status: Status): string | undefined {
    if (bytes === 0 && !isActive(status.state)) return undefined;
    const mean = status.elapsed_s > 0 ? bytes / status.elapsed_s : undefined;
    const speed = isActive(status.state) ? rate.perSecond : mean;
    return speed === undefined ? formatBytes(bytes) : `${formatBytes(bytes)}, ${formatBytes(speed)}/s`;
  }

  /** The largest of a cluster's tasks counts for the next request. */
  private setEfficiency(efficiency: Efficiency | undefined): void {
    const of = ({ used, requested }: Efficiency["memory"], format: (value: number) => string): string =>
      requested.max > 0 ? `${format(used.max)} of ${format(requested.max)}` : format(used.max);
    const parts = efficiency && [
      `memory ${of(efficiency.memory, formatBytes)}`,
      `cpus ${of(efficiency.cpus, (cpus) => String(Math.round(10 * cpus) / 10))}`,
      `time ${of(efficiency.time, formatDuration)}`,
    ];
    this.list.set("Used", parts?.join(", "));
    const next = efficiency?.suggested;
    this.list.set("Next time", next && [...(next.mem === undefined ? [] : [`--mem ${next.mem}`]), `--time ${next.time}`, `--cpus ${next.cpus}`].join(" "));
  }

  private setMemory({ memory: { projected, budget, peak } }: Status): void {
    const parts = [
      ...(peak === null ? [] : [`peak\u00a0${formatBytes(peak)}`]),
      `projected\u00a0${formatBytes(projected)}`,
      ...(budget === null ? [] : [`budget\u00a0${formatBytes(budget)}`]),
    ];
    this.list.set("Memory", parts.join(", "));
    show(this.meter, budget !== null);
    if (budget === null || budget <= 0) return;
    const percent = (bytes: number): string => `${Math.min(100, (100 * bytes) / budget)}%`;
    this.meterPeak.style.width = percent(peak ?? 0);
    this.meterProjected.style.left = percent(projected);
    this.meter.classList.toggle("bp-over", (peak ?? 0) > budget);
  }
}

const WORKER_STATES: readonly Worker["state"][] = ["waiting", "running", "done", "failed", "lost"];

export class Workers {
  readonly root: HTMLElement;
  private readonly summary = element("summary", {});
  private readonly body = element("tbody", {});
  private readonly rows = new Map<number | string, HTMLElement>();

  constructor() {
    this.root = element(
      "details",
      { class: "bp-panel bp-workers", hidden: true },
      this.summary,
      element(
        "div",
        { class: "bp-scroll" },
        element(
          "table",
          {},
          element("thead", {}, element("tr", {}, ...["task", "state", "block", "reason"].map((name) => element("th", { scope: "col" }, name)))),
          this.body,
        ),
      ),
    );
  }

  update(run: Run, { workers }: Status): void {
    show(this.root, workers.length > 0);
    const words = WORKER_STATES
      .map((state) => [workers.filter((worker) => worker.state === state).length, state] as const)
      .filter(([count]) => count > 0)
      .map(([count, state]) => `${formatCount(count)} ${state}`);
    setText(this.summary, `${run.backend === "slurm" ? "Slurm tasks" : "Workers"}: ${words.join(", ")}`);
    reconcile(
      this.body,
      this.rows,
      workers,
      (worker) => worker.task,
      () => element("tr", {}, ...["", "", "bp-number", "bp-wide"].map((name) => element("td", { class: name }))),
      (row, worker) => {
        const texts = [String(worker.task), worker.state, worker.block === null ? "" : String(worker.block), worker.reason ?? ""];
        texts.forEach((text, index) => {
          const cell = row.children[index];
          if (cell !== undefined) setText(cell, text);
        });
        setAttribute(row, "data-state", worker.state);
      },
    );
  }
}
