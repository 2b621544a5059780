/** A run below a panel, on the panel's own model: there while the model's `run` names one, anew for each. */

import type { AnyModel } from "../anywidget";
import { element, show } from "../dom";
import { renderRunProgress } from "../run-progress/index";
import type { Run } from "../run-progress/contract";

export class EmbeddedRun {
  readonly root = element("div", { class: "bp-embedded", hidden: true });
  private id: string | undefined;
  private disposeRun: (() => void) | undefined;
  private readonly takeRun = (): void => this.update();

  /** `head` stands above the run, for instance with a button that closes it. */
  constructor(
    private readonly model: AnyModel,
    ...head: HTMLElement[]
  ) {
    this.root.append(...head);
    model.on("change:run", this.takeRun);
    this.update();
  }

  dispose(): void {
    this.model.off("change:run", this.takeRun);
    this.disposeRun?.();
  }

  private update(): void {
    const id = (this.model.get("run") as Partial<Run> | null | undefined)?.id;
    if (id === this.id) return;
    this.id = id;
    this.disposeRun?.();
    this.disposeRun = id === undefined ? undefined : renderRunProgress({ model: this.model, el: this.root });
    show(this.root, id !== undefined);
  }
}
