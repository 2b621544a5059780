/** A button that stays reachable when it cannot act, so that its reason can be read and heard. */

import { element, setAttribute, setText } from "../dom";

export class ActButton {
  readonly root: HTMLButtonElement;
  private reason: string | undefined;

  constructor(
    private readonly label: string,
    act: () => void,
    refused: (reason: string) => void,
    tone = "",
  ) {
    this.root = element("button", { type: "button", class: `bp-button ${tone}`.trimEnd() }, label);
    this.root.addEventListener("click", () => (this.reason === undefined ? act() : refused(this.reason)));
  }

  /** `reason` says why the button cannot act now; without one it can. */
  set(reason: string | undefined, label = this.label): void {
    this.reason = reason;
    setText(this.root, label);
    setAttribute(this.root, "aria-disabled", reason === undefined ? undefined : "true");
    setAttribute(this.root, "title", reason);
  }
}
