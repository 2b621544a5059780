import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { choose, press, type } from "../testing/enter";
import { makeRun, makeStatus } from "../testing/fake-model";
import { makeRow } from "../testing/panels";
import { closeAll, show } from "../testing/show";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

const records = [
  makeRow("k7f3qa", { state: "running", age_s: 30, can: ["attach", "cancel"], counts: { total: 24, pending: 12, running: 2, done: 10, skipped: 0, failed: 0, retried: 0 } }),
  makeRow("m1b8wz", { state: "failed", age_s: 7300, operation: "gaussian", can: ["attach", "resume", "remove"] }),
  makeRow("w3g6lp", { age_s: 90_000 }),
];

function open(runs = records) {
  const view = show({ view: "runs-table", runs, run: {}, status: {} });
  const rows = (): string[] => [...view.el.querySelectorAll<HTMLElement>("tbody tr[data-run]")].map((row) => row.dataset["run"] ?? "");
  const act = (label: string): HTMLButtonElement => view.get<HTMLButtonElement>(`[aria-label="${label}"]`);
  return { ...view, rows, act };
}

describe("RunsTable", () => {
  it("is a table with a caption, and tells the state in words", () => {
    const { el, text, rows } = open();
    expect(el.querySelector("table > caption")?.textContent).toBe("Runs on record");
    expect(rows()).toEqual(["k7f3qa", "m1b8wz", "w3g6lp"]);
    expect(text("[data-run=k7f3qa] .bp-badge")).toBe("Running");
    expect(el.querySelector("[data-run=k7f3qa] .bp-badge svg")).not.toBeNull();
    expect(text("[data-run=k7f3qa] .bp-count")).toBe("10/24");
    expect(text("[data-run=m1b8wz] .bp-column-age")).toBe("2 h");
    expect(text(".bp-shown")).toBe("3 runs");
  });

  it("sorts by a click on a head and says so", () => {
    const { button, rows, get } = open();
    expect(get("th.bp-column-age").getAttribute("aria-sort")).toBe("ascending");
    button("Age").click();
    expect(rows()).toEqual(["w3g6lp", "m1b8wz", "k7f3qa"]);
    expect(get("th.bp-column-age").getAttribute("aria-sort")).toBe("descending");
    button("Operation").click();
    expect(get("th.bp-column-age").getAttribute("aria-sort")).toBeNull();
    expect(rows()[2]).toBe("m1b8wz");
  });

  it("filters, and says when nothing fits", () => {
    const { get, rows, text } = open();
    type(get<HTMLInputElement>(".bp-search"), "gauss");
    expect(rows()).toEqual(["m1b8wz"]);
    expect(text(".bp-shown")).toBe("1 of 3 runs");
    choose(get<HTMLSelectElement>(".bp-state-filter"), "active");
    expect(text(".bp-none")).toBe("No run fits the filter.");
  });

  it("says that somebody looks, for as long as it is in the page", () => {
    const { model } = open();
    const said = (): number => model.sent.filter(({ type }) => type === "watch").length;
    expect(said()).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect(said()).toBe(4);
    closeAll();
    vi.advanceTimersByTime(60_000);
    expect(said()).toBe(4);
  });

  it("lets the age go on between messages", () => {
    const { text } = open();
    vi.advanceTimersByTime(45_000);
    expect(text("[data-run=k7f3qa] .bp-column-age")).toBe("1 min");
  });

  it("keeps the focus while runs come and go", () => {
    const { model, act, rows } = open();
    act("Attach run m1b8wz").focus();
    model.set("runs", [makeRow("new", { age_s: 1 }), ...records.slice(1)]);
    expect(rows()).toEqual(["new", "m1b8wz", "w3g6lp"]);
    expect(document.activeElement).toBe(act("Attach run m1b8wz"));
    model.set("runs", [makeRow("m1b8wz", { age_s: 99_999 }), ...records.slice(2)]);
    expect(document.activeElement).toBe(act("Attach run m1b8wz"));
  });

  it("cancels", () => {
    const { model, act, text } = open();
    act("Cancel run k7f3qa").click();
    expect(model.sent.at(-1)).toMatchObject({ type: "stop", run: "k7f3qa" });
    model.receive({ type: "ok", request: model.requestOf("stop") });
    expect(text(".bp-notices")).toBe("Run k7f3qa is being cancelled.");
  });

  it("resumes with what was filled in", () => {
    const { model, act, get, button } = open();
    act("Resume run m1b8wz").click();
    expect(document.activeElement).toBe(get("input[name=workers]"));
    get<HTMLInputElement>("input[name=workers]").value = "8";
    // The drawer stays as it is while the runs go on.
    model.set("runs", records.map((run) => ({ ...run, age_s: 1 + (run.age_s ?? 0) })));
    button("Resume").click();
    const { request: _, ...sent } = model.sent.at(-1) ?? { request: 0 };
    expect(sent).toEqual({ type: "continue", run: "m1b8wz", workers: 8 });
    expect(document.activeElement).toBe(act("Resume run m1b8wz"));
  });

  it("asks before it deletes, and says that outputs stay", () => {
    const { model, act, button, text, el, rows } = open();
    act("Delete run m1b8wz").click();
    expect(text(".bp-question")).toContain("Its output stays: out.zarr.");
    expect(document.activeElement).toBe(button("Keep"));
    press(button("Keep"), "Escape");
    expect(el.querySelector(".bp-drawer-row")).toBeNull();
    expect(document.activeElement).toBe(act("Delete run m1b8wz"));
    act("Delete run m1b8wz").click();
    button("Delete").click();
    expect(model.sent.at(-1)).toMatchObject({ type: "remove", runs: ["m1b8wz"] });
    model.set("runs", [records[0], records[2]]);
    model.receive({ type: "removed", removed: ["m1b8wz"], request: model.requestOf("remove") });
    expect(rows()).toEqual(["k7f3qa", "w3g6lp"]);
    expect(text(".bp-notices")).toContain("its outputs stay");
    expect(document.activeElement).toBe(act("Attach run w3g6lp"));
  });

  it("attaches a run below and lets it go", () => {
    const { model, act, button, el, get } = open();
    act("Attach run k7f3qa").click();
    expect(model.sent.at(-1)).toMatchObject({ type: "attach", run: "k7f3qa" });
    model.receive({ type: "ok", request: model.requestOf("attach") });
    model.set("status", makeStatus());
    model.set("run", makeRun());
    expect(get(".bp-run .bp-id").textContent).toBe("k7f3qa");
    expect(get("[data-run=k7f3qa]").getAttribute("aria-current")).toBe("true");
    button("Close").click();
    expect(model.sent.at(-1)?.type).toBe("detach");
    model.set("run", {});
    expect(el.querySelector(".bp-run")).toBeNull();
    expect(document.activeElement).toBe(act("Attach run k7f3qa"));
  });

  it("shows errors", () => {
    const { model, act, text } = open();
    act("Attach run k7f3qa").click();
    model.receive({ type: "error", kind: "gone", message: "The record is gone.", fix: null, request: model.requestOf("attach") });
    expect(text("[role=alert]")).toBe("The record is gone.");
  });

  it("shows many runs page by page", () => {
    const { rows, button } = open(Array.from({ length: 130 }, (_, index) => makeRow(`r${index}`, { age_s: index })));
    expect(rows()).toHaveLength(100);
    button("Show more (30)").click();
    expect(rows()).toHaveLength(130);
  });

  it("leaves nothing behind", () => {
    const { model, el, dispose } = open();
    dispose();
    expect([model.listeners, vi.getTimerCount(), el.childElementCount]).toEqual([0, 0, 0]);
  });
});
