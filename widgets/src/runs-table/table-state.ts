/** Which runs a table shows, and in which order. Without DOM. */

import { isActive } from "../run-progress/contract";
import { STATE_WORDS } from "../run-progress/icons";
import { completed } from "../run-progress/summary";
import type { RunRow } from "../panel/contract";

export const COLUMNS = [
  ["state", "State"],
  ["operation", "Operation"],
  ["progress", "Progress"],
  ["age", "Age"],
  ["output", "Output"],
  ["backend", "Backend"],
  ["host", "Host"],
  ["id", "Run"],
] as const;

export type Column = (typeof COLUMNS)[number][0];

export interface Order {
  column: Column;
  descending: boolean;
}

export interface Filter {
  /** Words that all have to occur somewhere in a row. */
  text: string;
  /** A state, `active` for those that go on, or empty for all. */
  state: string;
}

/** What needs attention comes first. */
const STATE_ORDER = ["running", "queued", "cancelling", "failed", "interrupted", "cancelled", "succeeded"];

export function share({ counts }: RunRow): number {
  return counts.total > 0 ? completed(counts) / counts.total : 0;
}

/** A run of unknown age is the oldest. */
const ageOf = ({ age_s }: RunRow): number => age_s ?? Number.MAX_VALUE;

function sortKey(run: RunRow, column: Column): number | string {
  switch (column) {
    case "state":
      return STATE_ORDER.indexOf(run.state);
    case "progress":
      return share(run);
    case "age":
      return ageOf(run);
    case "output":
      return run.outputs.join(" ");
    default:
      return run[column];
  }
}

function compare(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function fits(run: RunRow, { text, state }: Filter): boolean {
  if (state === "active" ? !isActive(run.state) : state !== "" && run.state !== state) return false;
  const row = [STATE_WORDS[run.state], run.operation, run.backend, run.host, run.user, run.id, ...run.outputs].join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => row.includes(word));
}

export function arrange(runs: readonly RunRow[], filter: Filter, { column, descending }: Order): RunRow[] {
  const sign = descending ? -1 : 1;
  // Of equals, the youngest is first in either direction.
  return runs
    .filter((run) => fits(run, filter))
    .sort((a, b) => sign * compare(sortKey(a, column), sortKey(b, column)) || compare(ageOf(a), ageOf(b)) || compare(a.id, b.id));
}

/** The order after a click on the head of a column: turned round where it was the one already. */
export function reordered(before: Order, column: Column): Order {
  return before.column === column ? { column, descending: !before.descending } : { column, descending: false };
}
