/** What a user can do with a run: cancel, retry, resume, take the code along. */

import { element, setAttribute, setProse, show } from "../dom";
import { ActButton } from "../panel/act-button";
import { copyCode, LANGUAGES } from "../panel/clipboard";
import { ResumeForm } from "../panel/resume-form";
import { isActive, type Request, type Run, type Status } from "./contract";

export interface ControlActions {
  ask(request: Request): void;
  tell(text: string): void;
}

/** A request that acts on the run; the button of one that is under way says so. */
export type Act = "cancel" | "retry" | "resume";

/** How to cancel without the button. Interrupting the cell of a Slurm run stops the watching only. */
export function howToCancel(run: Run): string {
  return run.backend === "slurm"
    ? `To cancel, interrupt the cell (■), then run \`%bp cancel ${run.id}\`: the jobs go on until then.`
    : "To cancel, interrupt the cell (■): it does the same.";
}

export class Controls {
  /** The row of buttons. */
  readonly buttons = element("div", { class: "bp-buttons", role: "group", "aria-label": "Actions on the run" });
  /** What a button opens: the form of Resume, the code. */
  readonly drawer = element("div", { class: "bp-drawer", hidden: true });
  private readonly cancel: ActButton;
  private readonly retry: ActButton;
  private readonly resume: ActButton;
  private readonly copy: ActButton;
  private readonly interruptNote = element("span", { class: "bp-note" });
  private readonly form = new ResumeForm("Resume the run", (options) => {
    this.actions.ask({ type: "resume", ...options });
    this.toggle(undefined);
  });
  private readonly code = element("div", { class: "bp-code" });
  private readonly codeFields = new Map<string, HTMLInputElement>();
  private pending: Act | undefined;
  private run: Run | undefined;
  private status: Status | undefined;

  constructor(private readonly actions: ControlActions) {
    const refused = (reason: string): void => actions.tell(reason);
    this.cancel = new ActButton("Cancel", () => actions.ask({ type: "cancel" }), refused, "bp-danger");
    this.retry = new ActButton("Retry failed", () => actions.ask({ type: "retry" }), refused);
    this.resume = new ActButton("Resume…", () => this.toggle(this.form.root), refused);
    this.copy = new ActButton("Copy as code", () => this.toggle(this.code), refused);
    this.buttons.append(this.interruptNote, this.cancel.root, this.retry.root, this.resume.root, this.copy.root);
    this.buildCode();
    this.drawer.append(this.form.root, this.code);
    this.drawer.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggle(undefined);
    });
    this.toggle(undefined);
  }

  update(run: Run, status: Status): void {
    this.run = run;
    this.status = status;
    this.form.setWorkersBefore(run.workers);
    for (const [language, field] of this.codeFields) {
      const text = run.code[language as keyof Run["code"]];
      if (field.value !== text) field.value = text;
      setAttribute(field, "title", text);
    }
    this.refresh();
  }

  /** The request under way, if any; its button says so and the others wait. */
  setPending(act: Act | undefined): void {
    this.pending = act;
    this.refresh();
  }

  private refresh(): void {
    const { run, status, pending } = this;
    if (run === undefined || status === undefined) return;
    const active = isActive(status.state);
    const unserved = active && run.interrupt_only;
    show(this.interruptNote, unserved);
    setProse(this.interruptNote, howToCancel(run));
    show(this.cancel.root, !unserved && active);
    show(this.retry.root, !unserved);
    show(this.resume.root, !unserved);

    const waiting = pending === undefined ? undefined : "The kernel has not answered the last request yet.";
    const going = active ? "The run is still going: cancel it first." : undefined;
    const cancelling = status.state === "cancelling";
    this.cancel.set(
      waiting ?? (cancelling ? "Workers finish or drop the block in hand, then stop." : undefined),
      pending === "cancel" || cancelling ? "Cancelling…" : "Cancel",
    );
    this.retry.set(
      waiting ?? going ?? (status.counts.failed === 0 ? "No block has failed." : undefined),
      pending === "retry" ? "Retrying…" : "Retry failed",
    );
    const complete = status.state === "succeeded" ? "The run is complete: nothing is left to do." : undefined;
    this.resume.set(waiting ?? going ?? complete, pending === "resume" ? "Resuming…" : "Resume…");
    this.copy.set(undefined);
    if (active && !this.form.root.hidden) this.toggle(undefined);
  }

  /** Opens a panel, or closes it when it is open; without one closes all. */
  private toggle(panel: HTMLElement | undefined): void {
    const opens = panel?.hidden === true;
    for (const each of [this.form.root, this.code]) show(each, opens && each === panel);
    show(this.drawer, opens);
    setAttribute(this.resume.root, "aria-expanded", String(opens && panel === this.form.root));
    setAttribute(this.copy.root, "aria-expanded", String(opens && panel === this.code));
    if (opens) panel.querySelector<HTMLElement>("input, button")?.focus();
  }

  private buildCode(): void {
    for (const [language, label] of LANGUAGES) {
      const field = element("input", { type: "text", readonly: true, class: "bp-field bp-mono", "aria-label": `The run as ${label}` });
      field.addEventListener("focus", () => field.select());
      const button = element("button", { type: "button", class: "bp-button", "aria-label": `Copy as ${label}` }, "Copy");
      button.addEventListener("click", () => void this.copyText(field, label));
      this.codeFields.set(language, field);
      this.code.append(element("div", { class: "bp-code-row" }, element("span", { class: "bp-label" }, label), field, button));
    }
  }

  private async copyText(field: HTMLInputElement, label: string): Promise<void> {
    const told = await copyCode(field.value, label, () => {
      field.focus();
      field.select();
    });
    this.actions.tell(told);
  }
}
