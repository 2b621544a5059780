/** SlurmForm: what the jobs of a cluster ask for by default, checked as it is typed, and kept in a file. */

import type { AnyModel, Render } from "../anywidget";
import { element, setProse, show } from "../dom";
import { makeInput } from "../fields/inputs";
import { Sections } from "../fields/sections";
import { FormValues, sameValues } from "../fields/values";
import { ActButton } from "../panel/act-button";
import type { Answers, Section, Value, Values } from "../panel/contract";
import { Offers } from "../panel/offers";
import { Panel } from "../panel/panel";
import { Latest } from "../panel/latest";

const CHECK_AFTER_MS = 300;

/** To check means to ask the cluster, which may take seconds. */
const PATIENCE_MS = 30_000;

class SlurmForm {
  private readonly panel: Panel;
  private readonly sections: Sections;
  private readonly place = element("p", { class: "bp-note bp-file" });
  private readonly checked = element("p", { class: "bp-note bp-checked", role: "status", hidden: true });
  private readonly general = element("ul", { class: "bp-problems", hidden: true });
  private readonly saveButton: ActButton;
  private readonly resetButton: ActButton;
  private readonly offers: Offers;
  private readonly values = new FormValues();
  /** What lies in the file: the values when they came, and after each save. */
  private stored: Values | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly latest = new Latest((wish) => this.askCheck(wish));

  constructor(model: AnyModel) {
    this.panel = new Panel(model, "slurm-form", "Slurm defaults");
    const { notice, prefix } = this.panel;
    const hint = (text: string): void => notice.hint(text);
    this.sections = new Sections(prefix, makeInput({}), (name, value) => this.change(name, value));
    this.saveButton = new ActButton("Save", () => this.save(), hint, "bp-primary bp-save");
    this.resetButton = new ActButton("Reset", () => this.reset(), hint, "bp-reset");
    this.offers = new Offers(this.panel, (name, choices) => this.sections.field(name)?.input.offer?.(choices));
    this.panel.root.append(
      element("header", { class: "bp-form-head" }, element("strong", { class: "bp-title-text" }, "Slurm defaults"), this.place),
      notice.root,
      this.offers.note,
      this.sections.root,
      element("div", { role: "alert" }, this.general),
      element("div", { class: "bp-buttons bp-form-foot" }, this.saveButton.root, this.resetButton.root, this.checked),
    );
  }

  get root(): HTMLElement {
    return this.panel.root;
  }

  open(): void {
    const { panel } = this;
    panel.follow("sections", () => {
      if (!this.sections.draw(panel.state<Section[]>("sections") ?? [])) return;
      this.sections.write(this.values.all);
      this.offers.reapply();
    });
    panel.follow("values", () => {
      const values = panel.state<Values>("values");
      this.stored ??= values;
      if (!this.values.take(values ?? {})) return;
      this.sections.write(this.values.all);
      this.refresh();
    });
    panel.follow("file", () => this.showPlace());
    panel.follow("read_from", () => this.showPlace());
    this.offers.ask();
    this.refresh();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.latest.dispose();
    this.panel.dispose();
  }

  private showPlace(): void {
    const file = this.panel.state<string>("file") ?? "";
    const from = this.panel.state<string>("read_from");
    const verb = from === file ? "Saved in" : "To be saved in";
    const origin = from !== undefined && from !== file ? ` Now they come from \`${from}\`.` : "";
    setProse(this.place, `${verb} \`${file}\`.${origin}`);
  }

  private change(name: string, value: Value): void {
    if (this.values.change(name, value) === undefined) return;
    this.panel.notice.endHint();
    this.share();
    this.refresh();
  }

  private share(): void {
    const { model } = this.panel;
    model.set("values", this.values.all);
    try {
      model.save_changes();
    } catch {
      // Without a kernel there is nobody to tell; that the check is not answered is told to the user.
    }
  }

  private refresh(): void {
    const unchanged = sameValues(this.values.all, this.stored ?? {});
    this.resetButton.set(unchanged ? "Nothing has changed since the values were read." : undefined);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.latest.want(), CHECK_AFTER_MS);
  }

  private askCheck(wish: number): void {
    this.panel.ask(
      { type: "check", values: this.values.all },
      (answer) => {
        if (this.latest.settle(wish)) this.showCheck(answer);
      },
      { patience: PATIENCE_MS, failed: () => void this.latest.settle(wish) },
    );
  }

  private showCheck({ problems, cluster, note }: Answers["check"]): void {
    const sentence = ({ message, fix }: { message: string; fix: string | null }): string => [message, fix ?? ""].join(" ").trim();
    for (const view of this.sections.all) {
      const own = problems.filter(({ field }) => field === view.field.name);
      view.setProblem(own.length > 0 ? own.map(sentence).join(" ") : undefined);
    }
    const general = problems.filter(({ field }) => field === null || this.sections.field(field) === undefined);
    this.general.replaceChildren(...general.map((problem) => element("li", { class: "bp-problem" }, sentence(problem))));
    show(this.general, general.length > 0);
    const good = `The cluster ${cluster ?? "here"} knows these values.`;
    const count = problems.length === 1 ? "One problem." : `${problems.length} problems.`;
    setProse(this.checked, problems.length > 0 ? count : (note ?? good));
    show(this.checked, true);
  }

  private save(): void {
    this.panel.ask({ type: "save", values: this.values.all }, ({ file, saved }) => {
      this.stored = this.values.all;
      this.refresh();
      this.panel.notice.hint(saved.length === 0 ? `Saved in ${file}: nothing is set.` : `Saved in ${file}: ${saved.join(", ")}.`);
    });
  }

  private reset(): void {
    this.panel.notice.endHint();
    this.values.replace(this.stored ?? {});
    this.sections.write(this.values.all);
    this.share();
    this.refresh();
  }
}

/** Draws the form of the Slurm defaults. */
export const renderSlurmForm: Render = ({ model, el }) => {
  const view = new SlurmForm(model);
  el.append(view.root);
  view.open();
  return () => view.dispose();
};
