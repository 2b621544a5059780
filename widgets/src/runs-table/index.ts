/** RunsTable: all runs that are on record, and what can be done with each. */

import type { AnyModel, Render } from "../anywidget";
import { element, reconcile, setAttribute, setText, show } from "../dom";
import { formatCount, plural } from "../format";
import type { ResumeOptions, RunRow } from "../panel/contract";
import { EmbeddedRun } from "../panel/embedded-run";
import { Panel } from "../panel/panel";
import type { Run } from "../run-progress/contract";
import { STATE_WORDS } from "../run-progress/icons";
import { makeDrawer, Row, type RowAction } from "./row";
import { arrange, COLUMNS, reordered, type Column, type Order } from "./table-state";

/** More rows are shown on demand: each is refreshed at each change of any run. */
const PAGE = 100;

/** Reading the record of a large run, or asking a cluster to end one, may take seconds. */
const PATIENCE_MS = 20_000;

/** So often the kernel is told that somebody looks: a table that is closed costs nothing. */
const WATCH_MS = 20_000;

type Item = { kind: "run" | "drawer"; run: RunRow };

class RunsTable {
  private readonly panel: Panel;
  private readonly search = element("input", { type: "search", class: "bp-field bp-search", autocomplete: "off", spellcheck: "false", placeholder: "name, output, host…" });
  private readonly stateFilter = element("select", { class: "bp-field bp-state-filter" });
  private readonly count = element("span", { class: "bp-note bp-shown", role: "status" });
  private readonly body = element("tbody", { role: "rowgroup" });
  private readonly heads = new Map<Column, HTMLElement>();
  private readonly none = element("p", { class: "bp-note bp-none", hidden: true });
  private readonly more = element("button", { type: "button", class: "bp-button bp-more", hidden: true });
  private readonly embedded: EmbeddedRun;
  private readonly nodes = new Map<number | string, HTMLElement>();
  private readonly rows = new Map<string, Row>();
  private runs: RunRow[] = [];
  private runsAt = performance.now();
  private order: Order = { column: "age", descending: false };
  private limit = PAGE;
  /** What is open below a row; one at a time. */
  private open: { id: string; action: RowAction } | undefined;

  constructor(model: AnyModel) {
    this.panel = new Panel(model, "runs-table", "Runs");
    const close = element("button", { type: "button", class: "bp-button bp-detach" }, "Close");
    close.addEventListener("click", () => this.detach());
    this.embedded = new EmbeddedRun(model, element("div", { class: "bp-buttons bp-embedded-head" }, close));
    this.more.addEventListener("click", () => {
      this.limit += PAGE;
      this.draw();
    });
    this.panel.root.append(this.buildFilters(), this.panel.notice.root, this.buildTable(), this.none, this.more, this.embedded.root);
  }

  get root(): HTMLElement {
    return this.panel.root;
  }

  start(): void {
    this.panel.follow("runs", () => {
      this.runs = this.panel.state<RunRow[]>("runs") ?? [];
      this.runsAt = performance.now();
      this.draw();
    });
    this.panel.follow("run", () => this.draw());
    const clock = setInterval(() => this.tick(), 1000);
    const watch = setInterval(() => this.panel.say({ type: "watch" }), WATCH_MS);
    this.panel.say({ type: "watch" });
    this.panel.onDispose(() => {
      clearInterval(clock);
      clearInterval(watch);
    });
  }

  dispose(): void {
    this.embedded.dispose();
    this.panel.dispose();
  }

  private buildFilters(): HTMLElement {
    const options = [["", "all"], ["active", "active"], ...Object.entries(STATE_WORDS).map(([state, word]) => [state, word.toLowerCase()])];
    this.stateFilter.append(...options.map(([value, word]) => element("option", { value }, word ?? "")));
    this.search.addEventListener("input", () => this.draw());
    this.stateFilter.addEventListener("change", () => this.draw());
    return element(
      "div",
      { class: "bp-filters", role: "search", "aria-label": "Runs" },
      element("label", { class: "bp-labelled" }, "Filter", this.search),
      element("label", { class: "bp-labelled" }, "State", this.stateFilter),
      this.count,
    );
  }

  private buildTable(): HTMLElement {
    const head = element("tr", { role: "row" });
    for (const [column, title] of COLUMNS) {
      const button = element("button", { type: "button", class: "bp-sort" }, title);
      button.addEventListener("click", () => {
        this.order = reordered(this.order, column);
        this.draw();
      });
      const cell = element("th", { scope: "col", role: "columnheader", class: `bp-column-${column}` }, button);
      this.heads.set(column, cell);
      head.append(cell);
    }
    head.append(element("th", { scope: "col", role: "columnheader", class: "bp-column-actions" }, element("span", { class: "bp-visually-hidden" }, "Actions")));
    return element(
      "table",
      { role: "table", class: "bp-runs" },
      element("caption", { class: "bp-visually-hidden" }, "Runs on record"),
      element("thead", { role: "rowgroup" }, head),
      this.body,
    );
  }

  // Drawing ---------------------------------------------------------------------------------------------------------

  private draw(): void {
    const filter = { text: this.search.value, state: this.stateFilter.value };
    const fitting = arrange(this.runs, filter, this.order);
    const shown = fitting.slice(0, this.limit);
    if (!shown.some(({ id }) => id === this.open?.id)) this.open = undefined;
    const attached = this.panel.state<Partial<Run>>("run")?.id;
    const items = shown.flatMap((run): Item[] => (run.id === this.open?.id ? [{ kind: "run", run }, { kind: "drawer", run }] : [{ kind: "run", run }]));
    reconcile(
      this.body,
      this.nodes,
      items,
      ({ kind, run }) => (kind === "run" ? run.id : `${run.id} ${this.open?.action}`),
      ({ kind, run }) => (kind === "run" ? this.makeRow(run.id) : this.makeDrawer(run)),
      (_, { kind, run }) => {
        if (kind !== "run") return;
        const open = run.id === this.open?.id ? this.open.action : undefined;
        this.rows.get(run.id)?.update(run, this.age(run), open, run.id === attached);
      },
    );
    for (const id of this.rows.keys()) if (!this.nodes.has(id)) this.rows.delete(id);

    for (const [column, cell] of this.heads) {
      const sorted = column === this.order.column ? (this.order.descending ? "descending" : "ascending") : undefined;
      setAttribute(cell, "aria-sort", sorted);
    }
    setText(this.count, fitting.length === this.runs.length ? plural(this.runs.length, "run") : `${formatCount(fitting.length)} of ${plural(this.runs.length, "run")}`);
    show(this.none, fitting.length === 0);
    setText(this.none, this.runs.length === 0 ? "There are no runs on record." : "No run fits the filter.");
    show(this.more, fitting.length > shown.length);
    setText(this.more, `Show more (${formatCount(fitting.length - shown.length)})`);
  }

  private makeRow(id: string): HTMLElement {
    const row = new Row(id, (action) => this.act(id, action));
    this.rows.set(id, row);
    return row.root;
  }

  private makeDrawer(run: RunRow): HTMLElement {
    return makeDrawer(run, this.open?.action ?? "resume", {
      resume: (options) => this.resume(run.id, options),
      remove: () => this.remove(run.id),
      close: () => this.closeDrawer(),
    });
  }

  private age(run: RunRow): number | undefined {
    return run.age_s === null ? undefined : run.age_s + (performance.now() - this.runsAt) / 1000;
  }

  private tick(): void {
    for (const run of this.runs) this.rows.get(run.id)?.setAge(this.age(run));
  }

  // What the user asks ----------------------------------------------------------------------------------------------

  private act(id: string, action: RowAction): void {
    if (action === "resume" || action === "remove") return this.toggleDrawer(id, action);
    this.panel.notice.clear();
    if (action === "attach") this.panel.ask({ type: "attach", run: id }, () => this.showEmbedded(), { patience: PATIENCE_MS });
    else this.panel.ask({ type: "stop", run: id }, () => this.panel.notice.hint(`Run ${id} is being cancelled.`), { patience: PATIENCE_MS });
  }

  private toggleDrawer(id: string, action: RowAction): void {
    if (this.open?.id === id && this.open.action === action) return this.closeDrawer();
    this.open = { id, action };
    this.draw();
    this.nodes.get(`${id} ${action}`)?.querySelector<HTMLElement>("input, button")?.focus();
  }

  private closeDrawer(): void {
    const { open } = this;
    this.open = undefined;
    this.draw();
    if (open !== undefined) this.rows.get(open.id)?.focus(open.action);
  }

  private resume(id: string, options: ResumeOptions): void {
    this.closeDrawer();
    this.panel.notice.clear();
    this.panel.ask({ type: "continue", run: id, ...options }, () => this.showEmbedded(), { patience: PATIENCE_MS });
  }

  private remove(id: string): void {
    // The row goes, and the focus with it: the next one has it then.
    const row = this.nodes.get(id);
    const next = this.nodes.get(`${id} remove`)?.nextElementSibling ?? row?.previousElementSibling;
    this.closeDrawer();
    this.panel.notice.clear();
    this.panel.ask(
      { type: "remove", runs: [id] },
      ({ removed }) => {
        this.panel.notice.hint(removed.includes(id) ? `Run ${id} is deleted; its outputs stay.` : `Run ${id} was not deleted.`);
        const lost = document.activeElement === document.body || row?.contains(document.activeElement);
        if (lost) (next?.querySelector<HTMLElement>("button:not([hidden])") ?? this.search).focus();
      },
      { patience: PATIENCE_MS },
    );
  }

  private showEmbedded(): void {
    this.embedded.root.scrollIntoView({ block: "nearest" });
  }

  private detach(): void {
    const attached = this.panel.state<Partial<Run>>("run")?.id;
    this.panel.ask({ type: "detach" }, () => undefined);
    this.rows.get(attached ?? "")?.focus("attach");
  }
}

/** Draws the table of runs. */
export const renderRunsTable: Render = ({ model, el }) => {
  const view = new RunsTable(model);
  el.append(view.root);
  view.start();
  return () => view.dispose();
};
