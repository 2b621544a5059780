/** One field of a form: label, input, help, and what is wrong with it. */

import { element, setAttribute, setProse, show } from "../dom";
import type { Choice, Field, PathNote, Value } from "../panel/contract";

/** What a field's input does; each kind of field has one. */
export interface Input {
  readonly root: HTMLElement;
  /** What takes the focus, and what the label names. */
  readonly control: HTMLElement;
  write(value: Value | undefined): void;
  /** Choices that became known later. */
  offer?(choices: Choice[]): void;
}

/** Makes an input. `changed` is called with what the user entered. */
export type MakeInput = (field: Field, id: string, changed: (value: Value) => void) => Input;

export class FieldView {
  readonly root: HTMLElement;
  private readonly note: HTMLElement;
  private readonly problem: HTMLElement;
  private readonly ids: string;

  constructor(
    readonly field: Field,
    id: string,
    readonly input: Input,
  ) {
    this.ids = id;
    const { control } = input;
    control.id = id;
    const help = element("span", { id: `${id}-help`, class: "bp-help" }, [field.help, limits(field)].filter(Boolean).join(". "));
    this.note = element("p", { id: `${id}-note`, class: "bp-note bp-row-note", hidden: true });
    this.problem = element("p", { id: `${id}-problem`, class: "bp-problem bp-row-problem", hidden: true });
    const label = element("label", { for: id, class: "bp-row-label" }, field.label);
    if (field.unit !== null) label.append(element("span", { class: "bp-unit" }, ` ${field.unit}`));
    if (field.required) {
      setAttribute(control, "aria-required", "true");
      label.classList.add("bp-required");
    }
    const tooltip = [field.option, help.textContent].filter(Boolean).join("\n");
    this.root = element(
      "div",
      { class: `bp-row bp-kind-${field.kind}`, "data-field": field.name, title: tooltip },
      label,
      input.root,
      this.note,
      this.problem,
      help,
    );
    this.describe();
  }

  /** What the path holds, for a field that names one. */
  setNote(path: PathNote | undefined): void {
    const text = path?.text ?? path?.note ?? "";
    setProse(this.note, text);
    show(this.note, text !== "");
    this.describe();
  }

  setProblem(text: string | undefined): void {
    setProse(this.problem, text ?? "");
    show(this.problem, text !== undefined);
    setAttribute(this.input.control, "aria-invalid", text === undefined ? undefined : "true");
    if (text !== undefined) this.unfold();
    this.describe();
  }

  /** Opens the section that it stands in. */
  unfold(): void {
    const folded = this.root.closest("details");
    if (folded) folded.open = true;
  }

  private describe(): void {
    const shown = [this.problem, this.note].filter((node) => !node.hidden).map((node) => node.id);
    setAttribute(this.input.control, "aria-describedby", [...shown, `${this.ids}-help`].join(" "));
  }
}

function limits({ minimum, maximum, exclusive_minimum: above }: Field): string {
  const parts = [
    ...(above === null ? [] : [`more than ${above}`]),
    ...(minimum === null ? [] : [`at least ${minimum}`]),
    ...(maximum === null ? [] : [`at most ${maximum}`]),
  ];
  return parts.length === 0 ? "" : parts.join(", ").replace(/^./, (first) => first.toUpperCase());
}
