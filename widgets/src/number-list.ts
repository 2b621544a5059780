/** Label and value pairs; a value that is not known is left out. */

import { element, setText, show } from "./dom";

export class NumberList {
  readonly root = element("dl", { class: "bp-numbers" });
  private readonly values = new Map<string, { row: HTMLElement; value: HTMLElement; text: HTMLElement }>();

  constructor(names: readonly string[]) {
    for (const name of names) {
      const text = element("span", {});
      const value = element("dd", {}, text);
      const row = element("div", {}, element("dt", {}, name), value);
      this.values.set(name, { row, value, text });
      this.root.append(row);
    }
  }

  set(name: string, text: string | undefined): void {
    const entry = this.values.get(name);
    if (entry === undefined) return;
    show(entry.row, text !== undefined);
    if (text !== undefined) setText(entry.text, text);
  }

  /** Puts more than text beside the text of a value. */
  append(name: string, node: HTMLElement): void {
    this.values.get(name)?.value.append(node);
  }
}
