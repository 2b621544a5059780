/** The values of a form, which the user and code both change. Without DOM. */

import type { Value, Values } from "../panel/contract";

/** A kernel's echo of what this view sent comes within this time. */
const ECHO_MS = 1000;

export function sameValues(a: Values, b: Values): boolean {
  return canonical(a) === canonical(b);
}

/** As text that does not depend on the order of the keys; an empty value is the same as none. */
function canonical(values: Values): string {
  const filled = Object.entries(values).filter(([, value]) => value !== "" && value !== false);
  return JSON.stringify(filled.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export class FormValues {
  private values: Values = {};
  private sent: { text: string; at: number }[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {}

  get all(): Values {
    return this.values;
  }

  text(name: string): string {
    const value = this.values[name];
    return typeof value === "string" ? value : "";
  }

  /** What the user changed. Gives the values to send, or nothing where all is as before. */
  change(name: string, value: Value): Values | undefined {
    const next = { ...this.values, [name]: value };
    if (sameValues(next, this.values)) return undefined;
    this.values = next;
    this.forget();
    this.sent.push({ text: canonical(next), at: this.now() });
    return next;
  }

  /**
   * What the model says. True where it differs and is to be shown. A kernel may send back what it was sent: while the
   * user types, that is behind what stands in the inputs, and must not be written over it.
   */
  take(values: Values): boolean {
    this.forget();
    const text = canonical(values);
    if (this.sent.some((each) => each.text === text)) return false;
    return this.replace(values);
  }

  /** What an answer says: never an echo. */
  replace(values: Values): boolean {
    this.sent = [];
    const differs = !sameValues(values, this.values);
    this.values = values;
    return differs;
  }

  private forget(): void {
    const now = this.now();
    this.sent = this.sent.filter(({ at }) => now - at < ECHO_MS);
  }
}
