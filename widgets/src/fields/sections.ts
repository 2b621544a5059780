/** The fields of a form by section, drawn from what the engine says of them. */

import { element } from "../dom";
import type { Section, Value, Values } from "../panel/contract";
import { FieldView, type MakeInput } from "./field-view";

export class Sections {
  readonly root = element("div", { class: "bp-sections" });
  private fields = new Map<string, FieldView>();
  private sections = new Map<string, HTMLElement>();
  private drawn = "";

  constructor(
    private readonly prefix: string,
    private readonly make: MakeInput,
    private readonly changed: (name: string, value: Value) => void,
  ) {}

  /** Draws the sections, unless they are what is drawn already. The field with the focus has it again afterwards. */
  draw(sections: readonly Section[]): boolean {
    const key = JSON.stringify(sections);
    if (key === this.drawn) return false;
    this.drawn = key;
    const focused = this.root.contains(document.activeElement) ? document.activeElement?.id : undefined;
    this.fields = new Map();
    this.sections = new Map();
    this.root.replaceChildren(...sections.map((section) => this.drawSection(section)));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    return true;
  }

  /** A section in which something is set is open: it would be overlooked. */
  write(values: Values): void {
    for (const [name, view] of this.fields) {
      view.input.write(values[name]);
      if (values[name]) view.unfold();
    }
  }

  field(name: string): FieldView | undefined {
    return this.fields.get(name);
  }

  get all(): Iterable<FieldView> {
    return this.fields.values();
  }

  section(name: string): HTMLElement | undefined {
    return this.sections.get(name);
  }

  /** Brings a field into view and gives it the focus. */
  focus(name: string): void {
    const view = this.fields.get(name);
    view?.unfold();
    view?.input.control.focus();
  }

  private drawSection({ name, title, folded, fields }: Section): HTMLElement {
    const rows = fields.map((field) => {
      const id = `${this.prefix}-${field.name}`;
      const view = new FieldView(field, id, this.make(field, id, (value) => this.changed(field.name, value)));
      this.fields.set(field.name, view);
      return view.root;
    });
    const legend = element("legend", { class: folded ? "bp-visually-hidden" : "bp-section-title" }, title);
    const group = element("fieldset", { class: "bp-section-fields" }, legend, element("div", { class: "bp-rows" }, ...rows));
    const attributes = { class: "bp-section", "data-section": name };
    const root = folded
      ? element("details", attributes, element("summary", { class: "bp-section-title" }, title), group)
      : element("div", attributes, group);
    this.sections.set(name, root);
    return root;
  }
}
