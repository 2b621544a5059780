/** What a cluster offers, asked for once: partitions, accounts and the like become choices of the fields. */

import { element, setProse, show } from "../dom";
import type { Choice } from "./contract";
import type { Panel } from "./panel";

/** A cluster's controller may take seconds. */
const PATIENCE_MS = 60_000;

export class Offers {
  readonly note = element("p", { class: "bp-note bp-offers", role: "status", hidden: true });
  private asked = false;
  private known: Record<string, Choice[]> = {};

  constructor(
    private readonly panel: Panel,
    private readonly apply: (name: string, choices: Choice[]) => void,
  ) {}

  ask(): void {
    if (this.asked) return;
    this.asked = true;
    this.tell("Asking the cluster what it offers…");
    this.panel.ask(
      { type: "offers" },
      ({ cluster, fields, note }) => {
        this.known = fields;
        this.reapply();
        this.tell(note ?? (cluster === null ? "" : `Choices are those of the cluster ${cluster}.`));
      },
      {
        patience: PATIENCE_MS,
        failed: () => {
          this.asked = false;
          this.tell("There are no choices to offer; what is typed is taken as it is.");
        },
      },
    );
  }

  /** Gives the choices to fields that were drawn anew. */
  reapply(): void {
    for (const [name, choices] of Object.entries(this.known)) this.apply(name, choices);
  }

  private tell(text: string): void {
    setProse(this.note, text);
    show(this.note, text !== "");
  }
}
