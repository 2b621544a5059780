/** The input of each kind of field. */

import { element } from "../dom";
import type { Choice, Field, Value } from "../panel/contract";
import { Combobox, type Option, type Source } from "./combobox";
import type { Input, MakeInput } from "./field-view";

/** Writes only what differs, and leaves the caret of who is typing where it was. */
export function writeText(input: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  if (input.value === text) return;
  const focused = document.activeElement === input;
  const [start, end] = [input.selectionStart ?? text.length, input.selectionEnd ?? text.length];
  input.value = text;
  if (focused) input.setSelectionRange(Math.min(start, text.length), Math.min(end, text.length));
}

/** Code may set a number where a text is meant. */
export const asText = (value: unknown): string => (value === undefined || value === null || typeof value === "boolean" ? "" : String(value));

function typing(field: Field): Record<string, string | undefined> {
  const { kind } = field;
  const inputmode = kind === "integer" ? "numeric" : kind === "number" || kind === "numbers" ? "decimal" : undefined;
  return { inputmode, placeholder: field.default ?? field.placeholder, autocomplete: "off", spellcheck: "false" };
}

function makeText(field: Field, id: string, changed: (value: Value) => void): Input {
  if (field.choices.length > 0) return makeOffering(field, id, changed);
  const input = element("input", { type: "text", class: "bp-field bp-mono", ...typing(field) });
  input.addEventListener("input", () => changed(input.value));
  return { root: input, control: input, write: (value) => writeText(input, asText(value)) };
}

/** Free text, with choices beside it; they may come later. */
function makeOffering(field: Field, id: string, changed: (value: Value) => void): Input {
  let choices: Choice[] = field.choices;
  const source: Source = (text, give) => give(matching(choices, text));
  const combobox = new Combobox({ id, source, changed, attributes: typing(field) });
  return {
    root: combobox.root,
    control: combobox.input,
    write: (value) => writeText(combobox.input, asText(value)),
    offer: (offered) => (choices = offered),
  };
}

/** All of them where one is chosen already: the user looks for another. */
export function matching(choices: readonly Choice[], text: string): Option[] {
  const wanted = text.trim().toLowerCase();
  const chosen = choices.some(({ value }) => value === text);
  return choices
    .filter(({ value, help }) => chosen || `${value} ${help}`.toLowerCase().includes(wanted))
    .map(({ value, help }) => ({ text: value, help }));
}

/** `complete` asks the kernel for the values that begin as a text does. */
export function makePath(complete: (name: string) => Source): MakeInput {
  return (field, id, changed) => {
    const source = complete(field.name);
    const combobox = new Combobox({ id, source, changed, attributes: typing(field) });
    return { root: combobox.root, control: combobox.input, write: (value) => writeText(combobox.input, asText(value)) };
  };
}

function makeChoice(field: Field, _id: string, changed: (value: Value) => void): Input {
  const select = element("select", { class: "bp-field" });
  // The default is what an empty value means: it needs no entry of its own.
  const known = field.choices.some(({ value }) => value === field.default);
  if (!known) select.append(element("option", { value: "" }, field.default ?? field.placeholder));
  for (const { value, help } of field.choices) {
    const isDefault = value === field.default;
    select.append(element("option", { value: isDefault ? "" : value, title: help }, isDefault ? `${value} (default)` : value));
  }
  select.addEventListener("change", () => changed(select.value));
  return {
    root: select,
    control: select,
    write: (value) => {
      const text = asText(value) === field.default ? "" : asText(value);
      // A value that is none of the choices, as code may set it, is shown and left to the engine to refuse.
      if (![...select.options].some((option) => option.value === text)) select.append(element("option", { value: text }, text));
      select.value = text;
    },
  };
}

function makeFlag(_field: Field, _id: string, changed: (value: Value) => void): Input {
  const input = element("input", { type: "checkbox", class: "bp-check" });
  input.addEventListener("change", () => changed(input.checked));
  return { root: input, control: input, write: (value) => (input.checked = value === true) };
}

function makeList(field: Field, _id: string, changed: (value: Value) => void): Input {
  const input = element("textarea", { class: "bp-field bp-mono", rows: 3, placeholder: field.default ?? field.placeholder, spellcheck: "false" });
  input.addEventListener("input", () => changed(input.value));
  return { root: input, control: input, write: (value) => writeText(input, asText(value)) };
}

/** Fields of a cluster whose choices it is asked for: they offer a list, even while it is empty. */
export const OFFERED = new Set(["partition", "account", "qos", "constraint"]);

/** The input for a field, unless the panel has one of its own for it. */
export function makeInput(special: Partial<Record<string, MakeInput>>): MakeInput {
  return (field, ...rest) => {
    const own = special[field.name] ?? special[field.kind];
    if (own !== undefined) return own(field, ...rest);
    if (field.kind === "choice") return makeChoice(field, ...rest);
    if (field.kind === "flag") return makeFlag(field, ...rest);
    if (field.kind === "list") return makeList(field, ...rest);
    return OFFERED.has(field.name) ? makeOffering(field, ...rest) : makeText(field, ...rest);
  };
}
