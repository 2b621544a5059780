/** What the engine sends and answers: `docs/design/live-view.md` as types. */

export type RunState = "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "interrupted";

export interface Run {
  id: string;
  folder: string;
  operation: string;
  state_note: string | null;
  backend: string;
  workers: number;
  host: string;
  user: string;
  created: string;
  array_shape: number[];
  block_shape: number[];
  grid: number[];
  axes: string[];
  blocks: number;
  tile: number[];
  cells: number[];
  stages: string[];
  inputs: string[];
  outputs: string[];
  code: { bp: string; python: string; rust: string };
  interrupt_only: boolean;
}

export interface Counts {
  total: number;
  pending: number;
  running: number;
  done: number;
  skipped: number;
  failed: number;
  retried: number;
}

export interface Worker {
  task: number | string;
  state: "waiting" | "running" | "done" | "failed" | "lost";
  block: number | null;
  reason: string | null;
}

export interface Failure {
  block: number;
  region: string;
  kind: string;
  message: string;
  class: string;
  attempts: number;
}

interface Usage {
  requested: { max: number };
  used: { max: number; median: number };
}

/** What the tasks of a cluster used of what they asked for: bytes, processors, seconds. */
export interface Efficiency {
  memory: Usage;
  cpus: Usage;
  time: Usage;
  suggested: { mem?: string; time: string; cpus: number };
}

export interface Status {
  state: RunState;
  attempt: number;
  stage: number;
  counts: Counts;
  elapsed_s: number;
  remaining_s: number | null;
  voxels_per_s: number | null;
  bytes_read: number;
  bytes_written: number;
  memory: { projected: number; budget: number | null; peak: number | null };
  workers: Worker[];
  failures: Failure[];
  failures_total: number;
  efficiency?: Efficiency | null;
  message: string | null;
}

/** State of one cell, one byte on the wire. From `Mixed` on, the rest is the share done, in sixteenths. */
export const Cell = { Pending: 0, Running: 1, Done: 2, Skipped: 3, Retrying: 4, Failed: 5, Mixed: 16 } as const;
export const CELL_CODES = 32;

export type Request =
  | { type: "ready" }
  | { type: "cancel" }
  | { type: "retry" }
  | { type: "resume"; workers?: number; backend?: string; memory?: string }
  | { type: "block"; block: number }
  | { type: "block"; cell: number };

export interface BlockAttempt {
  attempt: number;
  task: number | string;
  state: string;
  started: string | null;
  duration_s: number | null;
  kind: string | null;
  message: string | null;
  traceback: string | null;
}

export interface OkAnswer {
  type: "ok";
}
export interface BlockAnswer {
  type: "block";
  block: number;
  region: string;
  attempts: BlockAttempt[];
  log: string;
}
export interface ErrorAnswer {
  type: "error";
  kind: string;
  message: string;
  fix: string | null;
}
export interface CellsMessage {
  type: "cells";
  attempt: number;
}
export interface DeltaMessage {
  type: "delta";
  attempt: number;
}
export type Message = (OkAnswer | BlockAnswer | ErrorAnswer | CellsMessage | DeltaMessage) & { request?: number };
export type Answer = OkAnswer | BlockAnswer | ErrorAnswer | CellsMessage;

/** True while blocks may still change without anyone asking for it. */
export function isActive(state: RunState): boolean {
  return state === "queued" || state === "running" || state === "cancelling";
}
