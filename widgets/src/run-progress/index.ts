/** RunProgress: what a run does, block by block, and the buttons that act on it. */

import type { CustomMessageHandler, AnyModel, Render } from "../anywidget";
import { element, keepKeys, setAttribute, setProse, setText, show } from "../dom";
import { formatCount, formatDuration, formatPercent, plural } from "../format";
import { Requests } from "../requests";
import { isActive, type Answer, type ErrorAnswer, type Message, type Request, type Run, type RunState, type Status } from "./contract";
import { Controls, howToCancel, type Act } from "./controls";
import { BlockDetails, Failures } from "./failures";
import { BlockGrid } from "./grid";
import { stateIcon, STATE_WORDS } from "./icons";
import { CellStates, Geometry } from "./state";
import { completed, Legend, NEWS_EXPECTED_S, Numbers, ProgressBar, Workers } from "./summary";

/** A screen reader hears how the run goes at most this often. */
const SPEAK_EVERY_MS = 5000;

/** How long to wait for the cells before they are asked for a second time. */
const FIRST_PATIENCE_MS = 1000;
const LONGEST_PATIENCE_MS = 60_000;

/** What to do when the kernel is silent; with the words in which the same can be asked elsewhere. */
function silence(act: Act, run: Run): string {
  if (act === "cancel") return `The kernel did not answer: it is busy. ${howToCancel(run)}`;
  return `The kernel did not answer: it is busy, or gone. Wait until its cell ends, or run \`%bp ${act} ${run.id}\` in a new one.`;
}

class RunProgress {
  readonly root: HTMLElement;
  private readonly badge = element("span", { class: "bp-badge" });
  private readonly operation = element("strong", { class: "bp-operation" });
  private readonly id = element("span", { class: "bp-id bp-mono" });
  private readonly place = element("span", { class: "bp-place" });
  private readonly flow = element("div", { class: "bp-flow bp-mono" });
  private readonly headline = element("div", { class: "bp-headline" });
  private readonly message = element("p", { class: "bp-message", hidden: true });
  private readonly notice = element("p", { class: "bp-notice", role: "status", hidden: true });
  private readonly waiting = element("p", { class: "bp-note" }, "Waiting for the run to start…");
  private readonly spoken = element("div", { class: "bp-visually-hidden", role: "status", "aria-live": "polite" });
  private readonly content: HTMLElement;

  private readonly bar = new ProgressBar();
  private readonly legend = new Legend();
  private readonly numbers = new Numbers();
  private readonly workers = new Workers();
  private readonly grid = new BlockGrid({ open: (cell) => this.openCell(cell) });
  private readonly failures = new Failures((block) => this.openBlock(block));
  private readonly details = new BlockDetails(() => this.closeDetails());
  private readonly controls = new Controls({ ask: (request) => this.act(request), tell: (text) => this.tell(text, "hint") });
  private readonly requests: Requests<Request, Answer>;

  private readonly cells = new CellStates();
  private run: Run | undefined;
  private status: Status | undefined;
  private geometry: Geometry | undefined;
  private statusAt = performance.now();
  private spokenAt = -Infinity;
  private spokenState: RunState | undefined;
  private asking = false;
  /** The block whose details are wanted; an answer to an earlier wish is not shown. */
  private wish = 0;
  private readonly release: (() => void)[] = [];

  constructor(private readonly model: AnyModel) {
    this.requests = new Requests((message) => model.send(message));
    this.content = element(
      "div",
      { hidden: true },
      element("header", { class: "bp-header" }, element("div", { class: "bp-title" }, this.badge, this.operation, this.id, this.place), this.controls.buttons),
      this.flow,
      this.controls.drawer,
      this.notice,
      this.bar.root,
      this.headline,
      this.message,
      element(
        "div",
        { class: "bp-columns" },
        element("div", { class: "bp-column" }, this.grid.root, this.legend.root),
        element(
          "div",
          { class: "bp-side" },
          element("div", { class: "bp-column" }, this.numbers.root, this.workers.root),
          element("div", { class: "bp-column" }, this.failures.root, this.details.root),
        ),
      ),
    );
    this.root = element("section", { class: "bp-widget bp-run" }, this.waiting, this.content, this.spoken);
    keepKeys(this.root);
  }

  start(): void {
    this.listen();
    this.takeRun();
    this.takeStatus();
    this.askForCells();
  }

  dispose(): void {
    for (const release of this.release) release();
    this.requests.dispose();
    this.grid.dispose();
    this.legend.dispose();
    this.root.remove();
  }

  private listen(): void {
    const takeRun = (): void => this.takeRun();
    const takeStatus = (): void => this.takeStatus();
    const takeMessage: CustomMessageHandler = (content, buffers) => this.takeMessage(content as Message, buffers ?? []);
    this.model.on("change:run", takeRun);
    this.model.on("change:status", takeStatus);
    this.model.on("msg:custom", takeMessage);

    const repaint = (): void => this.repaint();
    const theme = new MutationObserver(repaint);
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", repaint);
    const clock = setInterval(() => this.tick(), 1000);

    this.release.push(
      () => this.model.off("change:run", takeRun),
      () => this.model.off("change:status", takeStatus),
      () => this.model.off("msg:custom", takeMessage),
      () => theme.disconnect(),
      () => scheme.removeEventListener("change", repaint),
      () => clearInterval(clock),
    );
  }

  private repaint(): void {
    this.grid.refreshPalette();
    this.legend.paint();
  }

  // What the kernel sends -------------------------------------------------------------------------------------------

  private takeRun(): void {
    const run = this.model.get("run") as Partial<Run> | null | undefined;
    if (!run?.id) return;
    this.run = run as Run;
    this.geometry = new Geometry(this.run);
    this.grid.setRun(this.run, this.geometry);
    this.update();
  }

  private takeStatus(): void {
    const status = this.model.get("status") as Partial<Status> | null | undefined;
    if (!status?.state) return;
    const restarted = this.status !== undefined && status.attempt !== this.status.attempt;
    this.status = status as Status;
    this.statusAt = performance.now();
    if (restarted) {
      this.closeDetails();
      show(this.notice, false);
      if (this.cells.attempt < this.status.attempt) this.askForCells();
    }
    this.update();
  }

  private takeMessage(message: Message, buffers: DataView[]): void {
    if (message.type === "delta") {
      const [numbers, states] = buffers;
      if (numbers === undefined || states === undefined) return;
      const change = this.cells.change(message.attempt, numbers, states);
      if (change.kind === "changed") this.grid.changed(change.cells);
      else if (change.kind === "missed") this.askForCells();
      return;
    }
    const settled = this.requests.settle(message.request, message);
    // Below a panel it is the panel that tells what nobody has asked for.
    const own = this.model.get("view") === "run-progress";
    if (!settled && own && message.type === "error" && typeof message.request !== "number") this.tellProblem(message);
    // The cells that another view asked for are as good.
    if (message.type === "cells") this.takeCells(message.attempt, buffers[0]);
  }

  private takeCells(attempt: number, buffer: DataView | undefined): void {
    if (this.run === undefined || buffer === undefined) return;
    if (this.cells.replace(attempt, buffer, this.run).kind !== "replaced" || this.cells.codes === undefined) return;
    this.grid.setCells(this.cells.codes);
    this.update();
  }

  /**
   * Asks until the cells come, ever less often: a kernel that is busy when the widget appears may be long in answering,
   * or may not serve messages yet.
   */
  private askForCells(patience = FIRST_PATIENCE_MS): void {
    if (this.asking) return;
    this.asking = true;
    this.requests.ask(
      { type: "ready" },
      {
        answered: () => {
          this.asking = false;
        },
        silent: () => {
          this.asking = false;
          if (this.cells.attempt < (this.status?.attempt ?? 1)) this.askForCells(Math.min(2 * patience, LONGEST_PATIENCE_MS));
        },
      },
      patience,
    );
  }

  // Drawing ---------------------------------------------------------------------------------------------------------

  private update(): void {
    const { run, status } = this;
    show(this.content, run !== undefined && status !== undefined);
    show(this.waiting, run === undefined || status === undefined);
    if (run === undefined || status === undefined) return;

    setAttribute(this.root, "aria-label", `Run ${run.id}: ${run.operation}`);
    setAttribute(this.root, "data-state", status.state);
    if (this.badge.dataset["state"] !== status.state) {
      this.badge.dataset["state"] = status.state;
      this.badge.replaceChildren(stateIcon(status.state), STATE_WORDS[status.state]);
    }
    setText(this.operation, run.operation);
    setText(this.id, run.id);
    setAttribute(this.id, "title", `${run.folder}\nstarted ${run.created} by ${run.user} on ${run.host}`);
    const attempt = status.attempt > 1 ? ` · attempt ${status.attempt}` : "";
    setText(this.place, `${plural(run.workers, "worker")} · ${run.backend} · ${run.host}${attempt}`);
    const flow = `${run.inputs.join(", ")} → ${run.outputs.join(", ")}`;
    setText(this.flow, flow);
    setAttribute(this.flow, "title", flow);

    this.bar.update(status);
    const { counts } = status;
    setText(
      this.headline,
      `${formatPercent(completed(counts), counts.total)} · ${formatCount(completed(counts))} of ${plural(counts.total, "block")}` +
        (counts.failed > 0 ? ` · ${formatCount(counts.failed)} failed` : ""),
    );
    const message = status.message ?? run.state_note;
    show(this.message, Boolean(message));
    setProse(this.message, message ?? "");

    this.legend.update(status);
    this.numbers.update(run, status);
    this.workers.update(run, status);
    this.failures.update(status);
    this.controls.update(run, status);
    this.grid.describe(this.summary(status), isActive(status.state));
    this.tick();
    this.speak(status);
  }

  private summary({ state, counts }: Status): string {
    const parts = [`${formatCount(completed(counts))} of ${plural(counts.total, "block")} complete`];
    if (counts.running > 0) parts.push(`${formatCount(counts.running)} running`);
    if (counts.retried > 0) parts.push(`${formatCount(counts.retried)} retried`);
    if (counts.failed > 0) parts.push(`${formatCount(counts.failed)} failed`);
    return `${STATE_WORDS[state]}: ${parts.join(", ")}`;
  }

  /** Between two messages of a run that goes, the clock goes on; without news it stops and says so. */
  private tick(): void {
    const { status } = this;
    if (status === undefined) return;
    const since = isActive(status.state) && status.state !== "queued" ? (performance.now() - this.statusAt) / 1000 : 0;
    this.numbers.setElapsed(status.elapsed_s + Math.min(since, NEWS_EXPECTED_S), since > NEWS_EXPECTED_S ? since : undefined);
    this.speak(status);
  }

  private speak(status: Status): void {
    const now = performance.now();
    if (status.state === this.spokenState && (!isActive(status.state) || now - this.spokenAt < SPEAK_EVERY_MS)) return;
    this.spokenAt = now;
    this.spokenState = status.state;
    const remaining = isActive(status.state) && status.remaining_s !== null ? `, about ${formatDuration(status.remaining_s)} left` : "";
    setText(this.spoken, `${this.summary(status)}${remaining}`);
  }

  private tell(text: string, tone: "hint" | "problem"): void {
    this.notice.dataset["tone"] = tone;
    setProse(this.notice, text);
    show(this.notice, true);
  }

  private tellProblem(error: ErrorAnswer): void {
    this.tell([error.message, error.fix ?? ""].join(" ").trim(), "problem");
  }

  // What the user asks ----------------------------------------------------------------------------------------------

  private act(request: Request): void {
    const act = request.type as Act;
    show(this.notice, false);
    this.controls.setPending(act);
    this.requests.ask(request, {
      answered: (answer) => {
        this.controls.setPending(undefined);
        if (answer.type === "error") this.tellProblem(answer);
        else show(this.notice, false);
      },
      silent: () => {
        this.controls.setPending(undefined);
        if (this.run !== undefined) this.tell(silence(act, this.run), "problem");
      },
    });
  }

  private openCell(cell: number): void {
    const { geometry } = this;
    if (geometry === undefined) return;
    const { first, count } = geometry.blocksOfCell(cell);
    this.grid.select(cell);
    if (count === 1) this.showDetails({ type: "block", block: first }, `Block ${first}`);
    else this.showDetails({ type: "block", cell }, `A block of ${formatCount(count)} from ${formatCount(first)}`);
    this.failures.select(count === 1 ? first : undefined);
  }

  private openBlock(block: number): void {
    this.failures.select(block);
    this.grid.select(this.geometry?.cellOfBlock(block));
    this.showDetails({ type: "block", block }, `Block ${block}`);
  }

  private showDetails(request: Request, title: string): void {
    this.wish += 1;
    const wish = this.wish;
    const wanted = (answer: () => void): void => {
      if (wish === this.wish) answer();
    };
    this.details.waiting(title);
    this.requests.ask(request, {
      answered: (answer: Answer) =>
        wanted(() => {
          if (answer.type === "block") this.details.fill(answer);
          else if (answer.type === "error") this.details.refused(answer);
        }),
      silent: () => wanted(() => this.details.silent()),
    });
  }

  private closeDetails(): void {
    this.wish += 1;
    this.details.close();
    this.grid.select(undefined);
    this.failures.select(undefined);
  }
}

/** Draws a run's progress. Several views of one model are independent of each other. */
export const renderRunProgress: Render = ({ model, el }) => {
  const view = new RunProgress(model);
  el.append(view.root);
  view.start();
  return () => view.dispose();
};
