/** What the run would do: the answer to the values of the form, or why there is none. */

import { element, setProse, setText, show } from "../dom";
import { formatBytes, formatCount, formatScaled, formatSeconds, plural } from "../format";
import { NumberList } from "../number-list";
import type { Change, Plan, PlanAnswer, Refusal } from "../panel/contract";
import { describePicture, drawPicture } from "./picture";

/** A screen reader hears of the plan once the values have rested so long. */
const SPEAK_AFTER_MS = 1000;

const times = (numbers: readonly number[]): string => numbers.join(" × ");

export class PlanView {
  readonly root: HTMLElement;
  private readonly refusal = element("div", { class: "bp-refusal", hidden: true });
  private readonly refusalText = element("p", {});
  private readonly apply = element("button", { type: "button", class: "bp-button bp-primary bp-apply" });
  private readonly numbers = new NumberList(["Blocks", "Tasks", "Passes", "Halo", "Memory", "Reads", "Writes", "Safety", "Time"]);
  private readonly meter = element("div", { class: "bp-meter", "aria-hidden": "true" });
  private readonly meterUsed = element("div", { class: "bp-meter-peak" });
  private readonly figure = element("figure", { class: "bp-figure" });
  private readonly waiting = element("p", { class: "bp-note" }, "Asking the kernel…");
  private readonly spoken = element("div", { class: "bp-visually-hidden", role: "status", "aria-live": "polite" });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private change: Change | undefined;
  private drawn = "";

  constructor(applied: (change: Change) => void) {
    this.apply.addEventListener("click", () => this.change && applied(this.change));
    this.refusal.append(this.refusalText, this.apply);
    this.meter.append(this.meterUsed);
    this.numbers.append("Memory", this.meter);
    show(this.numbers.root, false);
    this.root = element(
      "div",
      { class: "bp-plan", role: "group", "aria-label": "Plan" },
      element("div", { class: "bp-section-title", "aria-hidden": "true" }, "Plan"),
      this.waiting,
      this.refusal,
      element("div", { class: "bp-plan-body" }, this.numbers.root, this.figure),
      this.spoken,
    );
  }

  update({ plan, refusal }: PlanAnswer): void {
    show(this.waiting, false);
    this.showRefusal(refusal);
    show(this.numbers.root, plan !== null);
    show(this.figure, plan !== null);
    if (plan !== null) {
      this.showNumbers(plan);
      this.showPicture(plan);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(this.spoken, refusal === null ? summary(plan) : sentence(refusal)), SPEAK_AFTER_MS);
  }

  dispose(): void {
    clearTimeout(this.timer);
  }

  private showRefusal(refusal: Refusal | null): void {
    show(this.refusal, refusal !== null);
    this.change = refusal?.change ?? undefined;
    if (refusal === null) return;
    // A form that is not filled in yet is no mistake.
    this.refusal.dataset["tone"] = refusal.kind === "incomplete" ? "hint" : "problem";
    setProse(this.refusalText, sentence(refusal));
    show(this.apply, this.change !== undefined);
    setText(this.apply, this.change?.label ?? "");
  }

  private showNumbers(plan: Plan): void {
    const { memory, passes, write_groups: groups } = plan;
    const set = (name: string, text: string | undefined): void => this.numbers.set(name, text);
    set("Blocks", `${formatCount(plan.blocks)} (${times(plan.grid)}) of ${times(plan.block_shape)}`);
    set("Tasks", `${formatCount(plan.tasks)} for ${plural(plan.workers, "worker")}, ${plan.backend}`);
    set("Passes", passes.length > 1 ? `${passes.length}: ${passes.join(", ")}` : undefined);
    set("Halo", plan.halo_overhead > 0 ? `${percent(plan.halo_overhead)} more is read than worked on` : "none");
    const budget = memory.budget === null ? [] : [`budget\u00a0${formatBytes(memory.budget)}`];
    const total = memory.total > memory.per_worker ? [`${formatBytes(memory.total)} in all`] : [];
    set("Memory", [`${formatBytes(memory.per_worker)} a worker`, ...total, ...budget].join(", "));
    show(this.meter, memory.budget !== null);
    if (memory.budget !== null && memory.budget > 0) {
      this.meterUsed.style.width = `${Math.min(100, (100 * memory.total) / memory.budget)}%`;
      this.meter.classList.toggle("bp-over", memory.total > memory.budget);
    }
    set("Reads", formatBytes(plan.bytes_to_read));
    set("Writes", `${formatBytes(plan.bytes_to_write)} before compression`);
    set("Safety", plan.bytes_to_write > 0 ? `safe: ${plural(groups, "group")} of blocks, no two share a chunk or shard` : "nothing is written block by block");
    set(
      "Time",
      plan.seconds === null ? "not known: no comparable run" : `about ${formatSeconds(plan.seconds)}, by ${plural(plan.comparable_runs, "comparable run")}`,
    );
  }

  private showPicture(plan: Plan): void {
    const key = describePicture(plan);
    if (key === this.drawn) return;
    this.drawn = key;
    const repeated = plan.domain_shape.slice(0, -3).map((extent, axis) => `${plan.axes[axis] || `axis ${axis}`} ${formatScaled(extent)}`);
    const caption = `${times(plan.grid)} blocks${repeated.length > 0 ? `; the box is repeated along ${repeated.join(", ")}` : ""}`;
    this.figure.replaceChildren(drawPicture(plan), element("figcaption", { class: "bp-note" }, caption));
  }
}

export function percent(share: number): string {
  const value = 100 * share;
  return `${value === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)}\u00a0%`;
}

const sentence = ({ message, fix }: Refusal): string => [message, fix ?? ""].join(" ").trim();

function summary(plan: Plan | null): string {
  if (plan === null) return "";
  const time = plan.seconds === null ? "" : `, about ${formatSeconds(plan.seconds)}`;
  return `Plan: ${plural(plan.blocks, "block")}, ${plural(plan.tasks, "task")}, halo ${percent(plan.halo_overhead)}, ${formatBytes(plan.memory.per_worker)} a worker${time}`;
}
