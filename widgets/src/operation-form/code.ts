/** The form as code, always current: in three languages, to copy or to insert as a cell. */

import { element, setAttribute, show } from "../dom";
import { ActButton } from "../panel/act-button";
import { copyCode, LANGUAGES, type Language } from "../panel/clipboard";
import type { Code } from "../panel/contract";
import { insertBelow, labApp } from "./insert";

const MEMORY_KEY = "bioimage-rs.code";
const INCOMPLETE = "The code comes with the last required field.";

function remembered(): Language {
  try {
    const stored = localStorage.getItem(MEMORY_KEY);
    return LANGUAGES.find(([language]) => language === stored)?.[0] ?? "bp";
  } catch {
    // A page may be denied its storage.
    return "bp";
  }
}

function remember(language: Language): void {
  try {
    localStorage.setItem(MEMORY_KEY, language);
  } catch {
    // As above: then the choice lasts as long as the view.
  }
}

export class CodeView {
  readonly root: HTMLElement;
  private readonly text: HTMLElement;
  private readonly tabs = new Map<Language, HTMLButtonElement>();
  private readonly copy: ActButton;
  private readonly insert: ActButton;
  private code: Code | null = null;
  private chosen = remembered();

  constructor(
    prefix: string,
    private readonly tell: (text: string) => void,
  ) {
    const panelId = `${prefix}-code`;
    const tabs = element("div", { class: "bp-tabs", role: "tablist", "aria-label": "The form as code" });
    for (const [language, label] of LANGUAGES) {
      const tab = element("button", { type: "button", class: "bp-tab", role: "tab", id: `${prefix}-tab-${language}`, "aria-controls": panelId }, label);
      tab.addEventListener("click", () => {
        this.choose(language);
        remember(language);
      });
      this.tabs.set(language, tab);
      tabs.append(tab);
    }
    tabs.addEventListener("keydown", (event) => this.press(event));
    this.text = element("pre", { class: "bp-lines", id: panelId, role: "tabpanel", tabindex: 0 });
    this.copy = new ActButton("Copy", () => void this.copyText(), tell);
    this.insert = new ActButton("Insert", () => void this.insertCell(), tell);
    show(this.insert.root, labApp() !== undefined);
    this.root = element("div", { class: "bp-code-view" }, element("div", { class: "bp-code-head" }, tabs, this.copy.root, this.insert.root), this.text);
    this.choose(this.chosen);
  }

  update(code: Code | null): void {
    this.code = code;
    this.show(code?.[this.chosen] ?? INCOMPLETE);
    this.text.classList.toggle("bp-note", code === null);
    const reason = code === null ? INCOMPLETE : undefined;
    this.copy.set(reason);
    this.insert.set(reason);
  }

  /** In words: a line breaks between them, and inside only where one is too long. */
  private show(text: string): void {
    if (this.text.textContent === text) return;
    const parts = text.split(/(\s+)/);
    this.text.replaceChildren(...parts.map((part, index) => (index % 2 === 0 ? element("span", { class: "bp-word" }, part) : part)));
  }

  private choose(language: Language): void {
    this.chosen = language;
    for (const [each, tab] of this.tabs) {
      setAttribute(tab, "aria-selected", String(each === language));
      setAttribute(tab, "tabindex", each === language ? 0 : -1);
    }
    setAttribute(this.text, "aria-labelledby", this.tabs.get(language)?.id);
    this.update(this.code);
  }

  private press(event: KeyboardEvent): void {
    const at = LANGUAGES.findIndex(([language]) => language === this.chosen);
    const places: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1 + LANGUAGES.length, Home: 0, End: LANGUAGES.length - 1 };
    const place = places[event.key];
    const next = place === undefined ? undefined : LANGUAGES[place % LANGUAGES.length]?.[0];
    if (next === undefined) return;
    event.preventDefault();
    this.choose(next);
    remember(next);
    this.tabs.get(next)?.focus();
  }

  private async copyText(): Promise<void> {
    const label = LANGUAGES.find(([language]) => language === this.chosen)?.[1] ?? "";
    const told = await copyCode(this.text.textContent ?? "", label, () => {
      this.text.focus();
      getSelection()?.selectAllChildren(this.text);
    });
    this.tell(told);
  }

  private async insertCell(): Promise<void> {
    const app = labApp();
    const inserted = app !== undefined && (await insertBelow(app, this.root, this.text.textContent ?? ""));
    this.tell(inserted ? "Inserted as a cell below." : "Nothing was inserted: no notebook is in front.");
  }
}
