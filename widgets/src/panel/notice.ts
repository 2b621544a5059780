/** A line for what went wrong, read at once, and for what was done, read when there is time. */

import { element, setProse, show } from "../dom";

export class Notice {
  readonly root: HTMLElement;
  // Two elements that stay in the page: a screen reader does not hear a region that appears together with its text.
  private readonly problemLine = element("p", { class: "bp-notice-line", role: "alert" });
  private readonly hintLine = element("p", { class: "bp-notice-line", role: "status" });

  constructor() {
    this.root = element("div", { class: "bp-notices" }, this.problemLine, this.hintLine);
    this.clear();
  }

  problem(message: string, fix?: string | null): void {
    this.tell(this.problemLine, [message, fix ?? ""].join(" ").trim());
    this.tell(this.hintLine, "");
  }

  hint(text: string): void {
    this.tell(this.hintLine, text);
    this.tell(this.problemLine, "");
  }

  /** What was done is old news once something else is done. */
  endHint(): void {
    this.tell(this.hintLine, "");
  }

  clear(): void {
    this.tell(this.problemLine, "");
    this.tell(this.hintLine, "");
  }

  private tell(line: HTMLElement, text: string): void {
    setProse(line, text);
    line.classList.toggle("bp-notice", text !== "");
    if (line === this.problemLine) line.dataset["tone"] = "problem";
    show(this.root, this.problemLine.textContent !== "" || this.hintLine.textContent !== "");
  }
}
