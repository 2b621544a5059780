import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "./index";
import type { RunState } from "./run-progress/contract";
import { PATIENCE_MS } from "./requests";
import { closeAll, show } from "./testing/show";
import { FakeModel, makeDelta, makeRun, makeStatus } from "./testing/fake-model";

const inState = (state: RunState, changes = {}) => ({ view: "run-progress", run: makeRun(), status: makeStatus({ state, ...changes }) });
const sendCells = (model: FakeModel, attempt = 1, codes = new Uint8Array(24)): void => model.receive({ type: "cells", attempt }, codes);

/** The clipboard of the page; browsers give none to pages without TLS. */
const giveClipboard = (clipboard: unknown): void => void Object.defineProperty(navigator, "clipboard", { value: clipboard, configurable: true });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

describe("the bundle", () => {
  it("says which view it lacks", () => {
    const { el } = show({ view: "toString" });
    expect(el.querySelector("[role=alert]")?.textContent).toContain('no view "toString" (it has: run-progress, operation-form, runs-table, slurm-form)');
  });
});

describe("RunProgress", () => {
  it("waits for a run that has not begun", () => {
    const { model, el, text, visible } = show({ view: "run-progress", run: {}, status: {} });
    expect(text(".bp-note")).toContain("Waiting for the run");
    model.set("run", makeRun());
    model.set("status", makeStatus());
    expect([...el.querySelectorAll(".bp-note")].filter(visible).map((note) => note.textContent).join()).not.toContain("Waiting");
  });

  it.each<[RunState, string, string[]]>([
    ["queued", "Queued", ["Cancel", "Retry failed", "Resume…", "Copy as code"]],
    ["running", "Running", ["Cancel", "Retry failed", "Resume…", "Copy as code"]],
    ["cancelling", "Cancelling", ["Cancelling…", "Retry failed", "Resume…", "Copy as code"]],
    ["succeeded", "Succeeded", ["Retry failed", "Resume…", "Copy as code"]],
    ["failed", "Failed", ["Retry failed", "Resume…", "Copy as code"]],
    ["cancelled", "Cancelled", ["Retry failed", "Resume…", "Copy as code"]],
    ["interrupted", "Interrupted", ["Retry failed", "Resume…", "Copy as code"]],
  ])("shows a run that is %s", (state, words, buttons) => {
    const view = show(inState(state, { message: "see `bp logs`" }));
    expect(view.text(".bp-badge")).toBe(words);
    expect(view.get(".bp-badge svg path").getAttribute("d")).toBeTruthy();
    expect(view.buttons()).toEqual(buttons);
    expect(view.text(".bp-flow")).toBe("stack.tif → out.zarr");
    expect(view.text(".bp-headline")).toBe("38 % · 9 of 24 blocks · 1 failed");
    expect(view.text(".bp-message")).toBe("see bp logs");
  });

  it("gives the progress to assistive technology", () => {
    const { get, text } = show();
    const bar = get("[role=progressbar]");
    expect(["min", "max", "now"].map((part) => bar.getAttribute(`aria-value${part}`))).toEqual(["0", "24", "9"]);
    expect(text("[role=status][aria-live=polite]")).toBe("Running: 9 of 24 blocks complete, 2 running, 1 retried, 1 failed, about 0:14 left");
    expect(get("canvas[role=img]").getAttribute("aria-label")).toContain("9 of 24 blocks complete");
  });

  it("speaks at most every few seconds, but at once of a new state", () => {
    const { model, text } = show();
    const spoken = (): string => text("[role=status][aria-live=polite]");
    const counts = { total: 24, pending: 0, running: 0, done: 24, skipped: 0, failed: 0, retried: 0 };
    model.set("status", makeStatus({ counts }));
    expect(spoken()).toContain("9 of 24");
    vi.advanceTimersByTime(6000);
    expect(spoken()).toContain("24 of 24");
    model.set("status", makeStatus({ counts, state: "succeeded" }));
    expect(spoken()).toBe("Succeeded: 24 of 24 blocks complete");
  });

  it("shows counts, memory, stage and workers", () => {
    const { model, text, get } = show();
    model.set("run", makeRun({ stages: ["label", "merge"] }));
    model.set("status", makeStatus({ stage: 1, memory: { projected: 620 * 2 ** 20, budget: 2 * 2 ** 30, peak: 410 * 2 ** 20 } }));
    expect(text(".bp-legend")).toBe("pending12running2done8skipped1retried1failed1");
    expect(text(".bp-numbers")).toContain("2 of 2: merge");
    expect(text(".bp-numbers")).toContain("peak 410 MiB, projected 620 MiB, budget 2.00 GiB");
    expect(text(".bp-numbers")).toContain("52.1 M voxels/s");
    expect(text(".bp-workers summary")).toBe("Workers: 1 running, 1 lost");
    expect(get("tr[data-state=lost]").textContent).toContain("NODE_FAIL");
  });

  it("lets the clock go on between messages and says when they stop coming", () => {
    const { text } = show();
    vi.advanceTimersByTime(3000);
    expect(text(".bp-numbers")).toContain("Elapsed0:13");
    vi.advanceTimersByTime(42000);
    expect(text(".bp-numbers")).toContain("Elapsed0:40 (no news for 0:45)");
  });

  it("stops the clock of a run that ended", () => {
    const { text } = show(inState("failed"));
    vi.advanceTimersByTime(60000);
    expect(text(".bp-numbers")).toContain("Elapsed0:10");
  });

  it("asks for the cells and shows the grid when they come; without them the summary stands", () => {
    const { model, get } = show();
    expect(model.sent[0]?.type).toBe("ready");
    expect(get(".bp-grid").hidden).toBe(true);
    sendCells(model);
    expect(get(".bp-grid").hidden).toBe(false);
  });

  it("asks again for cells when a delta belongs to an attempt that it has not seen", () => {
    const { model } = show();
    model.receive({ type: "cells", attempt: 1, request: model.requestOf("ready") }, new Uint8Array(24));
    const before = model.sent.length;
    model.receive({ type: "delta", attempt: 2 }, ...makeDelta([[0, 2]]));
    model.receive({ type: "delta", attempt: 2 }, ...makeDelta([[1, 2]]));
    expect(model.sent.slice(before).map((message) => message.type)).toEqual(["ready"]);
  });

  it("asks for the cells until they come, ever less often", () => {
    const { model } = show();
    const asked = (): number => model.sent.filter((message) => message.type === "ready").length;
    vi.advanceTimersByTime(1000);
    expect(asked()).toBe(2);
    vi.advanceTimersByTime(60_000);
    expect(asked()).toBe(6);
    sendCells(model);
    vi.advanceTimersByTime(600_000);
    expect(asked()).toBe(6);
  });

  it("follows the layer in which blocks change until the user takes the slider", () => {
    const { model, get, text } = show();
    sendCells(model);
    model.receive({ type: "delta", attempt: 1 }, ...makeDelta([[13, 1]]));
    expect(text(".bp-layer")).toBe("2 / 2");
    const slider = get<HTMLInputElement>("input[type=range]");
    expect(slider.getAttribute("aria-valuetext")).toBe("layer 2 of 2");
    slider.value = "0";
    slider.dispatchEvent(new Event("input"));
    model.receive({ type: "delta", attempt: 1 }, ...makeDelta([[14, 1]]));
    expect(text(".bp-layer")).toBe("1 / 2");
  });

  it("has a slider for each axis before the last two", () => {
    const grid = [3, 2, 3, 4];
    const { model, el } = show({ view: "run-progress", run: makeRun({ grid, cells: grid, tile: [1, 1, 1, 1], axes: ["c", "z", "y", "x"] }), status: makeStatus() });
    sendCells(model, 1, new Uint8Array(72));
    expect([...el.querySelectorAll("input[type=range]")].map((input) => input.getAttribute("aria-label"))).toEqual(["Layer along c", "Layer along z"]);
  });

  it("moves between blocks by keys and opens one by Enter", () => {
    const { model, get, text } = show();
    sendCells(model, 1, new Uint8Array(24).fill(2));
    const stage = get(".bp-stage");
    const press = (key: string): boolean => stage.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
    press("ArrowRight");
    press("ArrowLeft");
    press("ArrowLeft");
    expect(text(".bp-grid .bp-visually-hidden")).toBe("block 0, done, 0:64,0:64,0:64");
    press("PageDown");
    expect(text(".bp-grid .bp-visually-hidden")).toBe("block 12, done, 64:128,0:64,0:64");
    expect(press("Enter")).toBe(false);
    expect(model.sent.at(-1)).toMatchObject({ type: "block", block: 12 });
  });

  it("keeps its keys from the notebook, but not the shortcuts", () => {
    const { get } = show();
    const heard: string[] = [];
    const listener = (event: KeyboardEvent): void => void heard.push(event.key);
    document.addEventListener("keydown", listener);
    for (const init of [{ key: "d" }, { key: "ArrowDown" }, { key: "s", ctrlKey: true }]) {
      get(".bp-stage").dispatchEvent(new KeyboardEvent("keydown", { ...init, bubbles: true }));
    }
    document.removeEventListener("keydown", listener);
    expect(heard).toEqual(["s"]);
  });

  it("asks for the cell where it stands for several blocks", () => {
    const run = makeRun({ grid: [2, 3, 8], tile: [1, 1, 2], cells: [2, 3, 4], array_shape: [128, 190, 512] });
    const { model, get } = show({ view: "run-progress", run, status: makeStatus() });
    sendCells(model);
    get(".bp-stage").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
    expect(model.sent.at(-1)).toMatchObject({ type: "block", cell: 0 });
  });

  it("opens a failure: region, attempts and log", () => {
    const { model, get, text } = show(inState("failed"));
    sendCells(model);
    get(".bp-failure").click();
    expect(model.sent.at(-1)).toMatchObject({ type: "block", block: 17 });
    expect(get(".bp-failure").getAttribute("aria-current")).toBe("true");
    expect(text(".bp-layer")).toBe("2 / 2");
    const attempt = { attempt: 1, task: 0, state: "failed", started: null, duration_s: 0.5, kind: "corrupt-page", message: "page 80 is torn", traceback: "in page 80" };
    model.receive({ type: "block", block: 17, region: "64:128,64:128,64:128", attempts: [attempt], log: "line 1\nline 2", request: model.requestOf("block") });
    expect(text(".bp-details")).toContain("Block 17");
    expect(text(".bp-details")).toContain("corrupt-page: page 80 is torn");
    expect(text(".bp-why .bp-log")).toBe("in page 80");
    expect(text("[aria-label=\"End of the task's log\"]")).toBe("line 1\nline 2");
    get(".bp-close").click();
    expect(get(".bp-details").hidden).toBe(true);
  });

  it("tells what the tasks of a cluster used, and what to ask for next time", () => {
    const usage = (requested: number, used: number) => ({ requested: { max: requested }, used: { max: used, median: used } });
    const efficiency = { memory: usage(4e9, 1e9), cpus: usage(2, 0.94), time: usage(3600, 60), suggested: { mem: "1200M", time: "2", cpus: 1 } };
    const { el } = show(inState("succeeded", { efficiency }));
    expect(el.textContent).toContain("cpus 0.9 of 2");
    expect(el.textContent).toContain("--mem 1200M --time 2 --cpus 1");
  });

  it("shows only the block that was asked for last", () => {
    const failures = [17, 18].map((block) => ({ block, region: "", kind: "io", message: "", class: "transient", attempts: 2 }));
    const { model, el, text } = show(inState("failed", { failures, failures_total: 150 }));
    const rows = el.querySelectorAll<HTMLButtonElement>(".bp-failure");
    rows[0]?.click();
    const first = model.requestOf("block");
    rows[1]?.click();
    model.receive({ type: "block", block: 17, region: "", attempts: [], log: "", request: first });
    expect(text(".bp-details")).toContain("Block 18");
    expect(text(".bp-details")).toContain("Asking the kernel");
    expect(text(".bp-panel > .bp-note")).toContain("The first 2 are listed");
  });

  it("keeps the row of a failure while others come", () => {
    const { model, el } = show();
    const before = el.querySelector(".bp-failure");
    const first = makeStatus().failures[0];
    if (first === undefined) throw new Error("no failure");
    model.set("status", makeStatus({ failures: [{ ...first, block: 3 }, first], failures_total: 2 }));
    expect([...el.querySelectorAll(".bp-failure-block")].map((node) => node.textContent)).toEqual(["block 3", "block 17"]);
    expect(el.querySelectorAll(".bp-failure")[1]).toBe(before);
  });
});

describe("actions", () => {
  it("cancels, and waits for the answer", () => {
    const { model, button } = show();
    button("Cancel").click();
    expect(button("Cancelling…").getAttribute("aria-disabled")).toBe("true");
    button("Cancelling…").click();
    expect(model.sent.filter((message) => message.type === "cancel")).toHaveLength(1);
    model.receive({ type: "ok", request: model.requestOf("cancel") });
    expect(button("Cancel").getAttribute("aria-disabled")).toBeNull();
  });

  it("tells an error of the kernel with its fix", () => {
    const { model, button, get, text } = show(inState("failed"));
    button("Retry failed").click();
    model.receive({ type: "error", kind: "input-changed", message: "stack.tif changed.", fix: "Start a new run.", request: model.requestOf("retry") });
    expect(text(".bp-notice")).toBe("stack.tif changed. Start a new run.");
    expect(get(".bp-notice").hidden).toBe(false);
  });

  it("tells that a busy kernel did not answer, and takes it back when it does", () => {
    const { model, button, get, text } = show();
    button("Cancel").click();
    vi.advanceTimersByTime(PATIENCE_MS);
    expect(text(".bp-notice")).toBe("The kernel did not answer: it is busy. To cancel, interrupt the cell (■): it does the same.");
    expect(button("Cancel").getAttribute("aria-disabled")).toBeNull();
    model.receive({ type: "ok", request: model.requestOf("cancel") });
    expect(get(".bp-notice").hidden).toBe(true);
  });

  it("resumes with what was filled in and nothing else", () => {
    const { model, button, get } = show(inState("cancelled"));
    button("Resume…").click();
    get<HTMLInputElement>("input[name=workers]").value = "8";
    get<HTMLInputElement>("input[name=memory]").value = " 16G ";
    button("Resume").click();
    const { request, ...resume } = model.sent.at(-1) ?? { request: 0 };
    expect(resume).toEqual({ type: "resume", workers: 8, memory: "16G" });
    expect(request).toBeGreaterThanOrEqual(0);
    expect(button("Resuming…").getAttribute("aria-disabled")).toBe("true");
  });

  it.each<[RunState, string, string]>([
    ["running", "Retry failed", "cancel it first"],
    ["running", "Resume…", "cancel it first"],
    ["succeeded", "Resume…", "nothing is left"],
  ])("says why a run that is %s gives no %s", (state, label, reason) => {
    const { model, button, text } = show(inState(state));
    const before = model.sent.length;
    expect(button(label).getAttribute("title")).toContain(reason);
    button(label).click();
    expect(text(".bp-notice")).toContain(reason);
    expect(model.sent).toHaveLength(before);
  });

  it("gives no retry where nothing failed", () => {
    const counts = { total: 24, pending: 14, running: 0, done: 10, skipped: 0, failed: 0, retried: 0 };
    const { button } = show(inState("cancelled", { counts }));
    expect(button("Retry failed").getAttribute("title")).toBe("No block has failed.");
  });

  it("says how to cancel where messages are not served, and has its buttons back after the run", () => {
    const { model, buttons, text } = show({ view: "run-progress", run: makeRun({ interrupt_only: true }), status: makeStatus() });
    expect(buttons()).toEqual(["Copy as code"]);
    expect(text(".bp-buttons")).toContain("interrupt the cell (■): it does the same");
    model.set("run", makeRun({ interrupt_only: true, backend: "slurm" }));
    expect(text(".bp-buttons")).toContain("bp cancel k7f3qa");
    model.set("status", makeStatus({ state: "cancelled" }));
    expect(buttons()).toEqual(["Retry failed", "Resume…", "Copy as code"]);
  });

  it("copies the code", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    giveClipboard({ writeText });
    const { el, button, text } = show();
    button("Copy as code").click();
    el.querySelector<HTMLButtonElement>("[aria-label='Copy as Python']")?.click();
    await vi.advanceTimersByTimeAsync(0);
    expect(writeText).toHaveBeenCalledWith('bp.copy("stack.tif", "out.zarr")');
    expect(text(".bp-notice")).toBe("Copied as Python.");
  });

  it("selects the code where there is no clipboard", async () => {
    giveClipboard(undefined);
    const { el, get, button, text } = show();
    button("Copy as code").click();
    el.querySelector<HTMLButtonElement>("[aria-label='Copy as %bp']")?.click();
    await vi.advanceTimersByTimeAsync(0);
    const field = get<HTMLInputElement>("[aria-label='The run as %bp']");
    expect(field.value.slice(field.selectionStart ?? 0, field.selectionEnd ?? 0)).toBe("%bp copy stack.tif out.zarr");
    expect(text(".bp-notice")).toContain("press Ctrl+C");
  });

  it("begins a new attempt afresh", () => {
    const { model, get, button } = show(inState("failed"));
    sendCells(model);
    get(".bp-failure").click();
    button("Retry failed").click();
    model.receive({ type: "ok", request: model.requestOf("retry") });
    model.set("status", makeStatus({ attempt: 2, failures: [], failures_total: 0 }));
    expect(get(".bp-details").hidden).toBe(true);
    expect(get(".bp-place").textContent).toContain("attempt 2");
  });
});

describe("several views", () => {
  it("share a model without mixing their requests, and leave nothing behind", () => {
    const model = new FakeModel({ view: "run-progress", run: makeRun(), status: makeStatus() });
    const [left, right] = [document.createElement("div"), document.createElement("div")];
    document.body.append(left, right);
    const disposers = [left, right].map((el) => widget.render({ model, el }));
    const [first, second] = model.sent.map((message) => message.request);
    expect(first).not.toBe(second);
    sendCells(model);
    expect([left, right].map((el) => el.querySelector<HTMLElement>(".bp-grid")?.hidden)).toEqual([false, false]);
    for (const dispose of disposers) dispose();
    expect(model.listeners).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect([left.childElementCount, right.childElementCount]).toEqual([0, 0]);
  });
});
