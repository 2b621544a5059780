/** The block shape: presets as buttons, a number for each axis, and the text that both agree with. */

import { element, setAttribute, show } from "../dom";
import type { Field, Plan, Preset, Value } from "../panel/contract";
import type { Input } from "./field-view";
import { asText, writeText } from "./inputs";
import { axesOf, axisTexts, withAxis, type Axes } from "./shape";

export class ShapeInput implements Input {
  readonly root: HTMLElement;
  readonly control: HTMLInputElement;
  private readonly presets: HTMLElement;
  private readonly axisRow: HTMLElement;
  private axisInputs: HTMLInputElement[] = [];
  private presetKey = "";
  private axes: Axes | undefined;

  constructor(
    private readonly field: Field,
    private readonly id: string,
    private readonly changed: (value: Value) => void,
  ) {
    this.control = element("input", {
      type: "text",
      class: "bp-field bp-mono",
      placeholder: field.default ?? field.placeholder,
      autocomplete: "off",
      spellcheck: "false",
    });
    this.control.addEventListener("input", () => this.enter(this.control.value, this.control));
    this.presets = element("div", { class: "bp-presets", role: "group", "aria-label": `Presets of the ${field.label}`, hidden: true });
    this.axisRow = element("div", { class: "bp-axis-inputs", role: "group", "aria-label": `${field.label}, for each axis`, hidden: true });
    this.root = element("div", { class: "bp-shape" }, this.presets, this.axisRow, this.control);
  }

  write(value: Value | undefined): void {
    writeText(this.control, asText(value));
    this.agree();
  }

  /** What the engine knows of the array. */
  update(plan: Plan | null, presets: readonly Preset[]): void {
    const before = this.axes;
    this.axes = axesOf(plan, presets, before);
    if (before?.names.join() !== this.axes?.names.join()) this.buildAxes();
    this.buildPresets(presets);
    this.agree();
  }

  private enter(text: string, from: HTMLElement): void {
    writeText(this.control, text);
    this.agree(from);
    this.changed(text);
  }

  private buildAxes(): void {
    const names = this.axes?.names ?? [];
    this.axisInputs = names.map((name, axis) => {
      const input = element("input", { type: "text", inputmode: "numeric", class: "bp-field", id: `${this.id}-axis-${axis}`, "data-axis": name, autocomplete: "off" });
      input.addEventListener("input", () => {
        const text = withAxis(this.control.value, axis, input.value, this.axes?.chosen ?? []);
        if (text !== undefined) this.enter(text, input);
      });
      // What was left empty stands for what is in the text.
      input.addEventListener("blur", () => this.agree());
      return input;
    });
    this.axisRow.replaceChildren(
      ...this.axisInputs.map((input, axis) => element("span", { class: "bp-axis-input" }, element("label", { for: input.id }, names[axis] ?? ""), input)),
    );
    show(this.axisRow, names.length > 0);
  }

  private buildPresets(presets: readonly Preset[]): void {
    const key = JSON.stringify(presets);
    if (key === this.presetKey) return;
    this.presetKey = key;
    const focused = [...this.presets.querySelectorAll<HTMLElement>("button")].find((button) => button === document.activeElement)?.dataset["preset"];
    this.presets.replaceChildren(
      ...presets.map(({ name, value }) => {
        const button = element("button", { type: "button", class: "bp-button bp-preset", "data-preset": name, title: value });
        button.append(name);
        if (value !== name) button.append(element("span", { class: "bp-visually-hidden" }, ` ${value}`));
        button.addEventListener("click", () => this.enter(value, button));
        return button;
      }),
    );
    show(this.presets, presets.length > 0);
    for (const button of this.presets.querySelectorAll<HTMLElement>("button")) if (button.dataset["preset"] === focused) button.focus();
  }

  /** Brings presets and axes in line with the text; `from` is where the user types and stays as it is. */
  private agree(from: HTMLElement | null = null): void {
    const text = this.control.value.trim();
    const meant = text === "" ? (this.field.default ?? "") : text;
    for (const button of this.presets.querySelectorAll<HTMLElement>("[data-preset]")) {
      setAttribute(button, "aria-pressed", String(button.title === meant));
    }
    const texts = axisTexts(text, this.axisInputs.length);
    this.axisInputs.forEach((input, axis) => {
      setAttribute(input, "placeholder", String(this.axes?.chosen[axis] ?? ""));
      const cleared = input === document.activeElement && input.value.trim() === "";
      if (input !== from && !cleared) writeText(input, texts[axis] ?? "");
    });
  }
}
