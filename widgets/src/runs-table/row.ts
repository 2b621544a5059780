/** One run of the table, and the drawer that its buttons open. */

import { element, setAttribute, setText } from "../dom";
import { formatAge, formatCount } from "../format";
import type { ResumeOptions, RunRow } from "../panel/contract";
import { ResumeForm } from "../panel/resume-form";
import { stateIcon, STATE_WORDS } from "../run-progress/icons";
import { completed, ProgressBar } from "../run-progress/summary";
import { COLUMNS } from "./table-state";

export type RowAction = RunRow["can"][number];

const ACTIONS: readonly (readonly [RowAction, string])[] = [
  ["attach", "Attach"],
  ["cancel", "Cancel"],
  ["resume", "Resume…"],
  ["remove", "Delete…"],
];

export class Row {
  readonly root: HTMLElement;
  private readonly badge = element("span", { class: "bp-badge" });
  private readonly bar = new ProgressBar();
  private readonly count = element("span", { class: "bp-count" });
  private readonly cells = new Map<string, HTMLElement>();
  private readonly buttons = new Map<RowAction, HTMLButtonElement>();

  constructor(id: string, act: (action: RowAction) => void) {
    // Roles in so many words: on a narrow page the rows are laid out as cards, which else ends their being a table.
    this.root = element("tr", { role: "row", "data-run": id });
    for (const [column, title] of COLUMNS) {
      const cell = element("td", { role: "cell", class: `bp-column-${column}`, "data-title": title });
      this.cells.set(column, cell);
      this.root.append(cell);
    }
    this.cells.get("state")?.append(this.badge);
    this.cells.get("progress")?.append(this.bar.root, this.count);
    this.cells.get("id")?.classList.add("bp-mono");
    const actions = element("div", { class: "bp-buttons", role: "group", "aria-label": `Actions on run ${id}` });
    for (const [action, label] of ACTIONS) {
      const button = element("button", { type: "button", class: "bp-button", "data-action": action, "aria-label": `${label.replace("…", "")} run ${id}` }, label);
      button.addEventListener("click", () => act(action));
      this.buttons.set(action, button);
      actions.append(button);
    }
    this.root.append(element("td", { role: "cell", class: "bp-column-actions" }, actions));
  }

  update(run: RunRow, age: number | undefined, open: RowAction | undefined, attached: boolean): void {
    setAttribute(this.root, "data-state", run.state);
    setAttribute(this.root, "aria-current", attached ? "true" : undefined);
    if (this.badge.dataset["state"] !== run.state) {
      this.badge.dataset["state"] = run.state;
      this.badge.replaceChildren(stateIcon(run.state), STATE_WORDS[run.state]);
    }
    this.bar.update(run);
    setText(this.count, `${formatCount(completed(run.counts))}/${formatCount(run.counts.total)}`);
    const output = run.outputs.join(", ");
    this.write("operation", run.operation);
    this.write("output", output, output);
    this.write("backend", run.backend);
    this.write("host", run.host, `${run.user} on ${run.host}`);
    this.write("id", run.id);
    this.write("age", age === undefined ? "" : formatAge(age), run.created);
    for (const [action, button] of this.buttons) {
      button.hidden = !run.can.includes(action);
      if (action === "resume" || action === "remove") setAttribute(button, "aria-expanded", String(open === action));
    }
  }

  setAge(age: number | undefined): void {
    this.write("age", age === undefined ? "" : formatAge(age));
  }

  focus(action: RowAction): void {
    const wanted = this.buttons.get(action);
    const visible = wanted?.hidden === false ? wanted : [...this.buttons.values()].find((button) => !button.hidden);
    visible?.focus();
  }

  private write(column: string, text: string, title?: string): void {
    const cell = this.cells.get(column);
    if (cell === undefined) return;
    setText(cell, text);
    if (title !== undefined) setAttribute(cell, "title", title);
  }
}

interface DrawerActions {
  resume(options: ResumeOptions): void;
  remove(): void;
  close(): void;
}

/** What stands below a row: how to resume the run, or whether it is to be deleted. */
export function makeDrawer(run: RunRow, action: RowAction, { resume, remove, close }: DrawerActions): HTMLElement {
  const back = element("button", { type: "button", class: "bp-button" }, action === "remove" ? "Keep" : "Close");
  back.addEventListener("click", close);
  const content = action === "resume" ? new ResumeForm(`Resume run ${run.id}`, resume, back).root : confirmation(run, remove, back);
  const cell = element("td", { role: "cell", colspan: COLUMNS.length + 1 }, element("div", { class: "bp-drawer" }, content));
  const root = element("tr", { role: "row", class: "bp-drawer-row" }, cell);
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  return root;
}

function confirmation(run: RunRow, remove: () => void, back: HTMLElement): HTMLElement {
  const confirm = element("button", { type: "button", class: "bp-button bp-danger bp-confirm" }, "Delete");
  confirm.addEventListener("click", remove);
  const stay = run.outputs.length > 0 ? `Its output stays: ${run.outputs.join(", ")}.` : "It has no output.";
  const question = `Delete the record and the logs of run ${run.id}? ${stay}`;
  return element("div", { class: "bp-form", role: "group", "aria-label": question }, element("span", { class: "bp-question" }, question), element("div", { class: "bp-buttons" }, back, confirm));
}
