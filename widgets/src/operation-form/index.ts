/** OperationForm: an operation and its values, what the run would do, the code it stands for, and the run itself. */

import type { AnyModel, Render } from "../anywidget";
import { element, setProse, show } from "../dom";
import type { Source } from "../fields/combobox";
import { makeInput, makePath } from "../fields/inputs";
import { Sections } from "../fields/sections";
import { ShapeInput } from "../fields/shape-input";
import { FormValues } from "../fields/values";
import { ActButton } from "../panel/act-button";
import type { Change, Choice, Form, PlanAnswer, Value, Values } from "../panel/contract";
import { EmbeddedRun } from "../panel/embedded-run";
import { Offers } from "../panel/offers";
import { Panel } from "../panel/panel";
import { CodeView } from "./code";
import { Latest } from "../panel/latest";
import { PlanView } from "./plan-view";

/** A start may wait for a cluster, or for one of its nodes, until the user stops it. */
const START_PATIENCE_MS = 24 * 3600_000;

/** A start that takes longer can be stopped; most take less. */
const STOP_AFTER_MS = 1000;

class OperationForm {
  private readonly panel: Panel;
  private readonly chooser = element("select", { class: "bp-field bp-chooser" });
  private readonly operationHelp = element("p", { class: "bp-note bp-operation-help" });
  private readonly line = element("input", { type: "text", class: "bp-field bp-mono bp-line-input", placeholder: "%bp copy in.tif out.zarr", autocomplete: "off", spellcheck: "false" });
  private readonly run: ActButton;
  private readonly saveDefaults: ActButton;
  private readonly sections: Sections;
  private readonly plan = new PlanView((change) => this.applyChange(change));
  private readonly code: CodeView;
  private readonly offers: Offers;
  private readonly slurmFoot: HTMLElement;
  private readonly embedded: EmbeddedRun;
  private readonly values = new FormValues();
  private readonly latest = new Latest((wish) => this.askPlan(wish));
  private form: Form | undefined;
  private answer: PlanAnswer | undefined;
  private starting: "begun" | "waiting" | undefined;
  private shape: ShapeInput | undefined;

  constructor(model: AnyModel) {
    this.panel = new Panel(model, "operation-form", "Operation form");
    const { prefix, notice } = this.panel;
    const hint = (text: string): void => notice.hint(text);
    const special = {
      path: makePath((name) => this.completions(name)),
      block_shape: (...parts: ConstructorParameters<typeof ShapeInput>) => (this.shape = new ShapeInput(...parts)),
    };
    this.sections = new Sections(prefix, makeInput(special), (name, value) => this.change(name, value));
    this.code = new CodeView(prefix, hint);
    this.run = new ActButton("Run", () => this.start(), hint, "bp-primary bp-run-button");
    this.saveDefaults = new ActButton("Save as defaults", () => this.save(), hint, "bp-save");
    this.offers = new Offers(this.panel, (name, choices: Choice[]) => this.sections.field(name)?.input.offer?.(choices));
    this.slurmFoot = element("div", { class: "bp-section-foot" }, this.saveDefaults.root, this.offers.note);
    this.panel.root.append(
      this.buildHead(),
      notice.root,
      element(
        "div",
        { class: "bp-form-columns" },
        this.sections.root,
        element("div", { class: "bp-form-side" }, this.plan.root, this.code.root, element("div", { class: "bp-buttons" }, this.run.root)),
      ),
    );
    this.embedded = new EmbeddedRun(model);
    this.panel.root.append(this.embedded.root);
  }

  get root(): HTMLElement {
    return this.panel.root;
  }

  open(): void {
    // Both at once: they may change together, and a plan for the values of another operation is of no use.
    const take = (): void => {
      const differs = this.values.take(this.panel.state<Values>("values") ?? {});
      if (!this.takeForm(this.panel.state<Form>("form")) && differs) this.showValues();
    };
    this.panel.follow("operations", () => this.takeOperations());
    this.panel.follow("form", take);
    this.panel.follow("values", take);
    this.panel.follow("starting", () => this.showStarting());
    this.panel.hear("replan", () => this.latest.want());
  }

  dispose(): void {
    this.latest.dispose();
    this.plan.dispose();
    this.embedded.dispose();
    this.panel.dispose();
  }

  private buildHead(): HTMLElement {
    const { prefix } = this.panel;
    this.chooser.id = `${prefix}-operation`;
    this.line.id = `${prefix}-line`;
    this.chooser.addEventListener("change", () => this.chooseOperation());
    const read = element("button", { type: "button", class: "bp-button" }, "Read");
    read.addEventListener("click", () => this.read());
    this.line.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.read();
    });
    // What is pasted stands in the input only after the event.
    this.line.addEventListener("paste", () => setTimeout(() => this.read()));
    return element(
      "header",
      { class: "bp-form-head" },
      element("div", { class: "bp-row" }, element("label", { for: this.chooser.id, class: "bp-row-label" }, "Operation"), this.chooser),
      element(
        "div",
        { class: "bp-row bp-read" },
        element("label", { for: this.line.id, class: "bp-row-label" }, "Paste a %bp line to fill in the form"),
        element("div", { class: "bp-joined" }, this.line, read),
      ),
      this.operationHelp,
    );
  }

  // What the kernel sends -------------------------------------------------------------------------------------------

  private takeOperations(): void {
    const operations = this.panel.state<{ name: string; help: string }[]>("operations") ?? [];
    this.chooser.replaceChildren(...operations.map(({ name, help }) => element("option", { value: name, title: help }, name)));
    this.chooser.value = this.form?.operation ?? "";
  }

  /** True if the fields were drawn anew, with the values. */
  private takeForm(form: Form | undefined): boolean {
    if (form?.sections === undefined) return false;
    this.form = form;
    this.chooser.value = form.operation;
    setProse(this.operationHelp, form.help);
    if (!this.sections.draw(form.sections)) return false;
    this.sections.section("slurm")?.append(this.slurmFoot);
    this.offers.reapply();
    this.showValues();
    return true;
  }

  private showValues(): void {
    this.sections.write(this.values.all);
    this.refresh();
  }

  /** The values are new: what depends on them is asked for again. */
  private refresh(): void {
    this.showSlurm();
    this.latest.want();
    this.showRun();
  }

  private showSlurm(): void {
    const section = this.sections.section("slurm");
    if (section === undefined) return;
    const backend = this.values.text("backend") || this.sections.field("backend")?.field.default;
    const visible = backend === "slurm";
    show(section, visible);
    if (visible) this.offers.ask();
  }

  private askPlan(wish: number): void {
    const settle = (): boolean => this.latest.settle(wish);
    this.panel.ask(
      { type: "plan", values: this.values.all },
      (answer) => {
        if (settle()) this.showPlan(answer);
      },
      { failed: () => void settle() },
    );
  }

  private showPlan(answer: PlanAnswer): void {
    this.answer = answer;
    const { refusal, paths, plan, presets, code } = answer;
    this.plan.update(answer);
    this.code.update(code);
    this.shape?.update(plan, presets);
    // What holds for an empty field may depend on others, as the memory does on the backend.
    for (const [name, text] of Object.entries(plan?.defaults ?? {})) {
      const control = this.sections.field(name)?.input.control;
      if (control instanceof HTMLInputElement) control.placeholder = text;
    }
    for (const view of this.sections.all) {
      const { name } = view.field;
      const refused = refusal?.field === name && refusal.kind !== "incomplete" ? refusal.message : undefined;
      view.setNote(paths[name]);
      view.setProblem(refused ?? paths[name]?.error);
    }
    this.showRun();
  }

  private showRun(): void {
    const refusal = this.latest.isCurrent ? this.answer?.refusal : null;
    if (this.starting === "waiting") return this.run.set(undefined, "Stop starting");
    if (this.starting === "begun") return this.run.set("The run is being started.", "Starting…");
    this.run.set(refusal ? [refusal.message, refusal.fix ?? ""].join(" ").trim() : undefined);
  }

  // What the user does ----------------------------------------------------------------------------------------------

  private change(name: string, value: Value): void {
    const values = this.values.change(name, value);
    if (values === undefined) return;
    const { model, notice } = this.panel;
    notice.endHint();
    model.set("values", values);
    try {
      model.save_changes();
    } catch {
      // Without a kernel there is nobody to tell; that the plan is not answered is told to the user.
    }
    this.refresh();
  }

  private applyChange({ name, value }: Change): void {
    this.change(name, value);
    this.sections.write(this.values.all);
    this.sections.focus(name);
  }

  private completions(name: string): Source {
    let [wanted, give]: Parameters<Source> = ["", () => undefined];
    const latest = new Latest((wish) => {
      this.panel.ask(
        { type: "complete", name, text: wanted },
        ({ matches }) => {
          if (latest.settle(wish)) give(matches);
        },
        { failed: () => void latest.settle(wish) },
      );
    });
    this.panel.onDispose(() => latest.dispose());
    return (...question) => {
      [wanted, give] = question;
      latest.want();
    };
  }

  private chooseOperation(): void {
    this.panel.notice.endHint();
    this.panel.ask({ type: "form", operation: this.chooser.value, values: this.values.all }, (answer) => this.takeAnswer(answer), {
      failed: () => (this.chooser.value = this.form?.operation ?? ""),
    });
  }

  private read(): void {
    const line = this.line.value.trim();
    if (line === "") return;
    this.panel.ask({ type: "read", line }, (answer) => {
      this.takeAnswer(answer);
      this.line.value = "";
      this.panel.notice.hint("The form is filled in from the line.");
    });
  }

  // The model says the same, before or after the answer; what comes second changes nothing.
  private takeAnswer({ form, values }: { form: Form; values: Values }): void {
    const differs = this.values.replace(values);
    if (!this.takeForm(form) && differs) this.showValues();
  }

  private start(): void {
    if (this.starting === "waiting") {
      const reset = (): void => this.showStarting();
      return this.panel.ask({ type: "stop-start" }, reset, { failed: reset });
    }
    const become = (starting: "begun" | "waiting" | undefined): void => {
      this.starting = starting;
      this.showRun();
    };
    become("begun");
    const timer = setTimeout(() => become("waiting"), STOP_AFTER_MS);
    const done = (): void => {
      clearTimeout(timer);
      become(undefined);
    };
    this.panel.notice.clear();
    this.panel.ask({ type: "start", values: this.values.all }, done, { failed: done, patience: START_PATIENCE_MS });
  }

  /** Another view, or this one before the page was loaded anew, may have pressed Run. */
  private showStarting(): void {
    const starts = this.panel.state<boolean>("starting") === true;
    if (starts && this.starting === undefined) this.starting = "waiting";
    if (!starts && this.starting === "waiting") this.starting = undefined;
    this.showRun();
  }

  private save(): void {
    this.panel.ask({ type: "save", values: this.values.all }, ({ file, saved }) => {
      this.panel.notice.hint(`Saved as defaults in ${file}: ${saved.join(", ")}.`);
    });
  }
}

/** Draws the form of an operation. Several views of one model are independent of each other, but for the values. */
export const renderOperationForm: Render = ({ model, el }) => {
  const view = new OperationForm(model);
  el.append(view.root);
  view.open();
  return () => view.dispose();
};
