/** What the engine sends to and answers a panel: `docs/design/forms.md` as types. */

import type { Counts, ErrorAnswer, OkAnswer, RunState } from "../run-progress/contract";

export interface Choice {
  value: string;
  help: string;
}

export interface Field {
  name: string;
  option: string | null;
  label: string;
  help: string;
  kind: "path" | "text" | "integer" | "number" | "numbers" | "choice" | "flag" | "shape" | "list";
  access: "read" | "write" | null;
  choices: Choice[];
  default: string | null;
  placeholder: string;
  unit: string | null;
  minimum: number | null;
  maximum: number | null;
  exclusive_minimum: number | null;
  required: boolean;
}

export interface Section {
  name: string;
  title: string;
  folded: boolean;
  fields: Field[];
}

export interface Form {
  operation: string;
  help: string;
  sections: Section[];
}

/** As it would be typed in the line; a flag is true or false. */
export type Value = string | boolean;
export type Values = Record<string, Value>;

export interface Change {
  name: string;
  value: string;
  label: string;
}

export interface Refusal {
  kind: string;
  message: string;
  fix: string | null;
  field: string | null;
  change: Change | null;
}

export interface Plan {
  blocks: number;
  grid: number[];
  block_shape: number[];
  domain_shape: number[];
  axes: string[];
  passes: string[];
  tasks: number;
  workers: number;
  backend: string;
  write_groups: number;
  halo_overhead: number;
  memory: { per_block: number; per_worker: number; total: number; budget: number | null };
  bytes_to_read: number;
  bytes_to_write: number;
  seconds: number | null;
  comparable_runs: number;
  /** What holds for fields that are empty. */
  defaults?: Record<string, string>;
}

/** The form as code; `%bp`, Python and Rust say the same. */
export interface Code {
  bp: string;
  python: string;
  rust: string;
}

/** What a path holds, why it cannot be used, or what becomes of it. */
export interface PathNote {
  text?: string;
  error?: string;
  note?: string;
}

export interface Preset {
  name: string;
  value: string;
}

export interface PlanAnswer {
  type: "plan";
  code: Code | null;
  refusal: Refusal | null;
  paths: Record<string, PathNote>;
  presets: Preset[];
  plan: Plan | null;
}

export interface Match {
  text: string;
  help: string;
}

export interface OffersAnswer {
  type: "offers";
  cluster: string | null;
  fields: Record<string, Choice[]>;
  note: string | null;
}

export interface Problem {
  field: string | null;
  message: string;
  fix: string | null;
}

export interface RunRow {
  id: string;
  operation: string;
  state: RunState;
  created: string;
  /** Nothing where the record does not say when the run was made. */
  age_s: number | null;
  backend: string;
  host: string;
  user: string;
  outputs: string[];
  counts: Counts;
  ended: boolean;
  can: ("attach" | "cancel" | "resume" | "remove")[];
}

/** Of how a run goes on; what is missing stays as it was. */
export interface ResumeOptions {
  workers?: number;
  backend?: string;
  memory?: string;
}

export type PanelRequest =
  | { type: "plan"; values: Values }
  | { type: "form"; operation: string; values: Values }
  | { type: "read"; line: string }
  | { type: "complete"; name: string; text: string }
  | { type: "offers" }
  | { type: "start"; values: Values }
  | { type: "stop-start" }
  | { type: "save"; values: Values }
  | { type: "check"; values: Values }
  | { type: "watch" }
  | { type: "attach"; run: string }
  | { type: "detach" }
  | { type: "stop"; run: string }
  | ({ type: "continue"; run: string } & ResumeOptions)
  | { type: "remove"; runs: string[] };

/** The answer to each type of request; an error may come instead of it. */
export interface Answers {
  plan: PlanAnswer;
  form: { type: "form"; form: Form; values: Values };
  read: { type: "form"; form: Form; values: Values };
  complete: { type: "complete"; name: string; matches: Match[] };
  offers: OffersAnswer;
  start: OkAnswer & { run?: string };
  "stop-start": OkAnswer;
  save: { type: "saved"; file: string; saved: string[] };
  check: { type: "checked"; problems: Problem[]; cluster: string | null; note: string | null };
  watch: OkAnswer;
  attach: OkAnswer;
  detach: OkAnswer;
  stop: OkAnswer;
  continue: OkAnswer;
  remove: { type: "removed"; removed: string[] };
}

/** What the engine says unasked: a plan for the same values would be another now. */
export interface Replan {
  type: "replan";
}

export type PanelAnswer = Answers[keyof Answers] | ErrorAnswer;
