/** A run below a panel, on the panel's own model: there while the model's `run` names one, anew for each. */

import type { AnyModel } from "../anywidget";
import { element, show } from "../dom";
import { renderRunProgress } from "../run-progress/index";
import type { Run } from "../run-progress/contract";

export class EmbeddedRun {
  readonly root = element("div", { class: "bp-embedded", hidden: true });
  private id: string | undefined;
  private disposeRun: (() => void) | undefined;
  private readonly result = element("div", { class: "bp-result", role: "region", "aria-label": "Result", tabindex: 0, hidden: true });
  private readonly takeRun = (): void => this.update();
  private readonly takeResult = (): void => this.showResult();

  /** `head` stands above the run, for instance with a button that closes it. */
  constructor(
    private readonly model: AnyModel,
    ...head: HTMLElement[]
  ) {
    this.root.append(...head, this.result);
    model.on("change:run", this.takeRun);
    model.on("change:result", this.takeResult);
    this.update();
    this.showResult();
  }

  dispose(): void {
    this.model.off("change:run", this.takeRun);
    this.model.off("change:result", this.takeResult);
    this.disposeRun?.();
  }

  /** What a measurement has found; the engine has made the table, with every text in it escaped. */
  private showResult(): void {
    const result = this.model.get("result") as { html: string } | null | undefined;
    this.result.innerHTML = result?.html ?? "";
    show(this.result, Boolean(result));
  }

  private update(): void {
    const id = (this.model.get("run") as Partial<Run> | null | undefined)?.id;
    if (id === this.id) return;
    this.id = id;
    this.disposeRun?.();
    this.disposeRun = id === undefined ? undefined : renderRunProgress({ model: this.model, el: this.root });
    this.root.append(this.result);
    show(this.root, id !== undefined);
  }
}
