/** A text input that offers values in a list below it, by the pattern of WAI-ARIA: the focus stays in the input. */

import { element, setAttribute, show } from "../dom";

export interface Option {
  text: string;
  help: string;
}

/** Gives the options for a text, now or later. */
export type Source = (text: string, give: (options: Option[]) => void) => void;

interface Setup {
  id: string;
  source: Source;
  changed: (text: string) => void;
  attributes?: Record<string, string | undefined>;
}

const LIST_HEIGHT = 200;

export class Combobox {
  readonly root: HTMLElement;
  readonly input: HTMLInputElement;
  private readonly list: HTMLElement;
  private options: Option[] = [];
  private active = -1;
  /** The question that counts: an answer to an earlier text is dropped. */
  private wish = 0;

  constructor(private readonly setup: Setup) {
    const { id, attributes } = setup;
    const listId = `${id}-list`;
    this.list = element("ul", { id: listId, role: "listbox", class: "bp-options", "aria-label": "Suggestions", hidden: true });
    this.input = element("input", {
      type: "text",
      class: "bp-field bp-mono",
      role: "combobox",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": listId,
      ...attributes,
    });
    this.root = element("div", { class: "bp-combo" }, this.input, this.list);
    this.input.addEventListener("input", () => {
      setup.changed(this.input.value);
      this.query();
    });
    this.input.addEventListener("keydown", (event) => this.press(event));
    this.input.addEventListener("click", () => this.query());
    this.input.addEventListener("blur", () => this.close());
    // The focus stays in the input while an option is chosen by pointer.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  private get isOpen(): boolean {
    return !this.list.hidden;
  }

  private query(thenActive?: "first" | "last"): void {
    this.wish += 1;
    const wish = this.wish;
    this.setup.source(this.input.value, (options) => {
      // The user went on, or went away.
      if (wish !== this.wish || document.activeElement !== this.input) return;
      this.fill(options);
      if (thenActive !== undefined) this.activate(thenActive === "first" ? 0 : options.length - 1);
    });
  }

  private fill(options: Option[]): void {
    this.options = options;
    this.list.replaceChildren(
      ...options.map(({ text, help }, index) => {
        const option = element("li", { id: `${this.list.id}-${index}`, role: "option", "aria-selected": "false", class: "bp-option" });
        option.append(element("span", { class: "bp-mono" }, text));
        if (help !== "") option.append(" ", element("span", { class: "bp-note" }, help));
        option.addEventListener("click", () => this.accept(index));
        return option;
      }),
    );
    const alone = options.length === 1 && options[0]?.text === this.input.value;
    this.setOpen(options.length > 0 && !alone);
    this.activate(-1);
  }

  private setOpen(open: boolean): void {
    show(this.list, open);
    setAttribute(this.input, "aria-expanded", String(open));
    if (open) this.place();
  }

  /** Above the input where the widget ends too soon below it: the output of a cell is cut off at its end. */
  private place(): void {
    const frame = this.root.closest(".bp-widget")?.getBoundingClientRect();
    const { top, bottom } = this.input.getBoundingClientRect();
    if (frame === undefined) return;
    const height = Math.min(LIST_HEIGHT, this.list.scrollHeight);
    this.list.classList.toggle("bp-above", bottom + height > frame.bottom && top - frame.top > frame.bottom - bottom);
  }

  private close(): void {
    this.wish += 1;
    this.setOpen(false);
    this.activate(-1);
  }

  private activate(index: number): void {
    this.active = index;
    [...this.list.children].forEach((option, at) => setAttribute(option, "aria-selected", String(at === index)));
    const option = this.list.children[index];
    setAttribute(this.input, "aria-activedescendant", option?.id);
    option?.scrollIntoView({ block: "nearest" });
  }

  private accept(index: number): void {
    const option = this.options[index];
    if (option === undefined) return;
    this.input.value = option.text;
    this.setup.changed(option.text);
    this.close();
    // A folder is on the way to what is in it.
    if (option.text.endsWith("/")) this.query();
  }

  private press(event: KeyboardEvent): void {
    const { key } = event;
    if (event.ctrlKey || event.metaKey) return;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      const down = key === "ArrowDown";
      if (!this.isOpen) return this.query(down ? "first" : "last");
      const count = this.options.length;
      this.activate(this.active < 0 ? (down ? 0 : count - 1) : (this.active + (down ? 1 : -1) + count) % count);
    } else if (key === "Enter" && this.isOpen) {
      event.preventDefault();
      if (this.active >= 0) this.accept(this.active);
      else this.close();
    } else if (key === "Escape" && this.isOpen) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }
}
