// A model that stands in for the kernel: it answers the requests, and plays a run if asked to.

const LOG = `04:16:41 worker 2 start block 147 (attempt 1)
04:16:41 read  embryo/stack-004.tif pages 256..320
04:16:42 page 311: LZW stream ends 1,204 bytes early
04:16:42 error corrupt-page: page 311 of embryo/stack-004.tif: the LZW stream ends 1,204 bytes early
04:16:42 block 147 failed (deterministic): not retried`;

export class FakeModel {
  #handlers = new Map();

  constructor({ run, status, cells, mute = false }) {
    this.state = { view: "run-progress", run, status };
    this.cells = cells;
    this.mute = mute;
  }

  get(key) {
    return this.state[key];
  }

  on(event, handler) {
    this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), handler]);
  }

  off(event, handler) {
    this.#handlers.set(event, (this.#handlers.get(event) ?? []).filter((each) => each !== handler));
  }

  emit(event, ...values) {
    for (const handler of this.#handlers.get(event) ?? []) handler(...values);
  }

  set(key, value) {
    this.state[key] = value;
    this.emit(`change:${key}`);
  }

  send(message) {
    if (!this.mute) setTimeout(() => this.answer(message), 20);
  }

  reply(message, content, buffers = []) {
    this.emit("msg:custom", { ...content, request: message.request }, buffers);
  }

  answer(message) {
    const { status } = this.state;
    switch (message.type) {
      case "ready":
        return this.reply(message, { type: "cells", attempt: status.attempt }, [new DataView(this.cells.slice().buffer)]);
      case "cancel":
        this.set("status", { ...status, state: "cancelling" });
        return this.reply(message, { type: "ok" });
      case "block": {
        const block = message.block ?? message.cell;
        const failure = status.failures.find((each) => each.block === block);
        const attempt = { attempt: 1, task: 2, started: "2026-11-21T04:16:41Z", duration_s: 0.873, traceback: null };
        return this.reply(message, {
          type: "block",
          block,
          region: failure?.region ?? "128:192,0:64,320:384",
          attempts: [
            failure === undefined
              ? { ...attempt, state: "done", kind: null, message: null }
              : { ...attempt, state: "failed", kind: failure.kind, message: failure.message },
          ],
          log: failure === undefined ? "" : LOG,
        });
      }
      default:
        return this.reply(message, {
          type: "error",
          kind: "input-changed",
          message: "embryo/stack-004.tif was modified after the run started.",
          fix: "Start a new run, or resume with --force if the pixels are the same.",
        });
    }
  }

  delta(numbers, states) {
    const view = new DataView(new ArrayBuffer(4 * numbers.length));
    numbers.forEach((cell, i) => view.setUint32(4 * i, cell, true));
    numbers.forEach((cell, i) => (this.cells[cell] = states[i]));
    this.emit("msg:custom", { type: "delta", attempt: this.state.status.attempt }, [view, new DataView(Uint8Array.from(states).buffer)]);
  }

  // Finishes blocks a few at a time, as a run would.
  play(perTick = 6) {
    let next = this.cells.findIndex((code) => code === 0);
    const timer = setInterval(() => {
      const { status, run } = this.state;
      if (next < 0 || next >= this.cells.length || status.state !== "running") return clearInterval(timer);
      const running = [...this.cells.keys()].filter((cell) => this.cells[cell] === 1);
      const started = Array.from({ length: Math.min(perTick, this.cells.length - next) }, (_, i) => next + i);
      next += started.length;
      this.delta([...running, ...started], [...running.map(() => 2), ...started.map(() => 1)]);
      const done = status.counts.done + running.length;
      const pending = status.counts.pending - started.length;
      this.set("status", {
        ...status,
        counts: { ...status.counts, done, pending, running: started.length },
        elapsed_s: status.elapsed_s + 0.25,
        remaining_s: (pending / perTick) * 0.25,
        bytes_read: status.bytes_read + running.length * 8e6,
        bytes_written: status.bytes_written + running.length * 5e6,
        workers: started.slice(0, run.workers).map((block, task) => ({ task, state: "running", block, reason: null })),
      });
    }, 250);
  }
}
