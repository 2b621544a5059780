/** How a run goes on: with other workers, another backend, other memory. What is left empty stays as it was. */

import { element } from "../dom";
import type { ResumeOptions } from "./contract";

export class ResumeForm {
  readonly root: HTMLFormElement;
  private readonly workers = element("input", { type: "number", name: "workers", min: 1, step: 1, class: "bp-field" });
  private readonly backend = element("select", { name: "backend", class: "bp-field" });
  private readonly memory = element("input", { type: "text", name: "memory", class: "bp-field", placeholder: "8G", spellcheck: "false" });

  constructor(label: string, submit: (options: ResumeOptions) => void, ...more: HTMLElement[]) {
    this.backend.append(
      element("option", { value: "" }, "as before"),
      ...["local", "subprocess", "slurm"].map((name) => element("option", { value: name }, name)),
    );
    const field = (text: string, input: HTMLElement): HTMLElement => element("label", { class: "bp-labelled" }, text, input);
    this.root = element(
      "form",
      { class: "bp-form", "aria-label": label },
      field("Workers", this.workers),
      field("Backend", this.backend),
      field("Memory", this.memory),
      element("button", { type: "submit", class: "bp-button bp-primary" }, "Resume"),
      ...more,
      element("span", { class: "bp-note" }, "Empty: as before. Blocks that are done stay done."),
    );
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      submit(this.options);
    });
  }

  setWorkersBefore(workers: number): void {
    this.workers.placeholder = String(workers);
  }

  private get options(): ResumeOptions {
    const workers = this.workers.valueAsNumber;
    const memory = this.memory.value.trim();
    return {
      ...(Number.isInteger(workers) ? { workers } : {}),
      ...(this.backend.value === "" ? {} : { backend: this.backend.value }),
      ...(memory === "" ? {} : { memory }),
    };
  }
}
