/** A model without a kernel: keeps what is sent and lets a test play the kernel's part. */

import type { AnyModel } from "../anywidget";
import type { PanelAnswer, PanelRequest, Replan } from "../panel/contract";
import type { Message, Request, Run, Status } from "../run-progress/contract";

type AnyRequest = Request | PanelRequest;
type Handler = (...values: never[]) => void;

export class FakeModel implements AnyModel {
  readonly sent: (AnyRequest & { request: number })[] = [];
  /** How often changes were sent to the kernel. */
  saves = 0;
  private readonly handlers = new Map<string, Set<Handler>>();

  constructor(private readonly state: Record<string, unknown>) {}

  get(key: string): unknown {
    return this.state[key];
  }

  on(event: string, handler: Handler): void {
    this.handlers.set(event, (this.handlers.get(event) ?? new Set()).add(handler));
  }

  off(event: string, handler: Handler): void {
    this.handlers.get(event)?.delete(handler);
  }

  send(content: unknown): void {
    this.sent.push(content as AnyRequest & { request: number });
  }

  set(key: string, value: unknown): void {
    this.state[key] = value;
    this.emit(`change:${key}`);
  }

  save_changes(): void {
    this.saves += 1;
  }

  receive(message: (Message | PanelAnswer | Replan) & { request?: number }, ...buffers: Uint8Array[]): void {
    const views = buffers.map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.emit("msg:custom", message, views);
  }

  /** The number of the last request of a type. */
  requestOf(type: AnyRequest["type"]): number {
    const request = this.sent.findLast((message) => message.type === type);
    if (request === undefined) throw new Error(`no request "${type}" was sent`);
    return request.request;
  }

  get listeners(): number {
    return [...this.handlers.values()].reduce((sum, set) => sum + set.size, 0);
  }

  private emit(event: string, ...values: unknown[]): void {
    for (const handler of this.handlers.get(event) ?? []) (handler as (...values: unknown[]) => void)(...values);
  }
}

export function makeRun(changes: Partial<Run> = {}): Run {
  return {
    id: "k7f3qa",
    folder: "/runs/20261121-041530-copy-k7f3qa",
    operation: "copy",
    state_note: null,
    backend: "local",
    workers: 2,
    host: "ws",
    user: "ana",
    created: "2026-11-21T04:15:30Z",
    array_shape: [128, 190, 256],
    block_shape: [64, 64, 64],
    grid: [2, 3, 4],
    axes: ["z", "y", "x"],
    blocks: 24,
    tile: [1, 1, 1],
    cells: [2, 3, 4],
    stages: ["copy"],
    inputs: ["stack.tif"],
    outputs: ["out.zarr"],
    code: { bp: "%bp copy stack.tif out.zarr", python: 'bp.copy("stack.tif", "out.zarr")', rust: "copy()" },
    interrupt_only: false,
    ...changes,
  };
}

export function makeStatus(changes: Partial<Status> = {}): Status {
  return {
    state: "running",
    attempt: 1,
    stage: 0,
    counts: { total: 24, pending: 12, running: 2, done: 8, skipped: 1, failed: 1, retried: 1 },
    elapsed_s: 10,
    remaining_s: 14,
    voxels_per_s: 52_100_000,
    bytes_read: 1000,
    bytes_written: 500,
    memory: { projected: 620 * 2 ** 20, budget: 2 * 2 ** 30, peak: null },
    workers: [
      { task: 0, state: "running", block: 9, reason: null },
      { task: 1, state: "lost", block: 10, reason: "NODE_FAIL" },
    ],
    failures: [{ block: 17, region: "64:128,64:128,64:128", kind: "corrupt-page", message: "page 80 is torn", class: "deterministic", attempts: 1 }],
    failures_total: 1,
    message: null,
    ...changes,
  };
}

/** A delta as it comes: at an odd place of a larger buffer, as a message's parts may lie. */
export function makeDelta(changes: readonly (readonly [number, number])[]): [Uint8Array, Uint8Array] {
  const bytes = new Uint8Array(4 * changes.length + 1);
  const view = new DataView(bytes.buffer, 1);
  changes.forEach(([cell], i) => view.setUint32(4 * i, cell, true));
  return [bytes.subarray(1), Uint8Array.from(changes, ([, state]) => state)];
}
