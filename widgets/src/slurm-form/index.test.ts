import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type } from "../testing/enter";
import { makeSlurmState } from "../testing/panels";
import { closeAll, show } from "../testing/show";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

function open(changes: Record<string, unknown> = {}) {
  const view = show(makeSlurmState(changes));
  const control = (name: string): HTMLInputElement => view.get<HTMLInputElement>(`[id$="-${name}"]`);
  const checks = (): number => view.model.sent.filter(({ type: kind }) => kind === "check").length;
  return { ...view, control, checks };
}

describe("SlurmForm", () => {
  it("says where the values lie and where they come from", () => {
    const { model, text, get } = open();
    expect(text(".bp-file")).toBe("To be saved in /home/ana/config.toml. Now they come from /etc/config.toml.");
    model.set("read_from", "/home/ana/config.toml");
    expect(text(".bp-file")).toBe("Saved in /home/ana/config.toml.");
    expect(get("[data-field=setup] textarea").tagName).toBe("TEXTAREA");
  });

  it("checks once the values rest, and shows problems at their fields", () => {
    const { model, control, checks, get, text } = open();
    vi.advanceTimersByTime(300);
    expect(checks()).toBe(1);
    type(control("time"), "so");
    vi.advanceTimersByTime(200);
    type(control("time"), "soon");
    vi.advanceTimersByTime(299);
    expect(checks()).toBe(1);
    vi.advanceTimersByTime(1);
    // One question at a time: the cluster may take seconds for each.
    expect(checks()).toBe(1);
    model.receive({ type: "checked", problems: [], cluster: null, note: null, request: model.requestOf("check") });
    expect(model.sent.at(-1)).toMatchObject({ type: "check", values: { partition: "cpu", time: "soon" } });
    const problems = [{ field: "time", message: "`soon` is no time.", fix: "Write 2:00:00." }, { field: null, message: "The cluster is down.", fix: null }];
    model.receive({ type: "checked", problems, cluster: null, note: null, request: model.requestOf("check") });
    expect(control("time").getAttribute("aria-invalid")).toBe("true");
    expect(get("[data-field=time] .bp-row-problem").textContent).toBe("soon is no time. Write 2:00:00.");
    expect(text(".bp-problems")).toBe("The cluster is down.");
    expect(text(".bp-checked")).toBe("2 problems.");
  });

  it("saves, and resets to what is stored", () => {
    const { model, control, button, text } = open();
    expect(button("Reset").getAttribute("aria-disabled")).toBe("true");
    type(control("partition"), "gpu");
    button("Save").click();
    expect(model.sent.at(-1)).toMatchObject({ type: "save", values: { partition: "gpu" } });
    model.receive({ type: "saved", file: "/home/ana/config.toml", saved: ["partition"], request: model.requestOf("save") });
    expect(text(".bp-notices")).toBe("Saved in /home/ana/config.toml: partition.");
    type(control("partition"), "long");
    button("Reset").click();
    expect([control("partition").value, model.get("values")]).toEqual(["gpu", { partition: "gpu" }]);
    expect(button("Reset").getAttribute("aria-disabled")).toBe("true");
  });

  it("offers what the cluster has, and follows code", () => {
    const { model, text, control } = open();
    model.receive({ type: "offers", cluster: null, fields: {}, note: "There is no `sinfo` here.", request: model.requestOf("offers") });
    expect(text(".bp-offers")).toBe("There is no sinfo here.");
    model.set("values", { partition: "x" });
    expect(control("partition").value).toBe("x");
  });

  it("takes what comes only after it was drawn", () => {
    const { sections, values } = makeSlurmState();
    const { model, control, button } = open({ sections: undefined, values: undefined });
    model.set("sections", sections);
    model.set("values", values);
    expect(control("partition").value).toBe("cpu");
    type(control("partition"), "gpu");
    button("Reset").click();
    expect(control("partition").value).toBe("cpu");
  });

  it("leaves nothing behind", () => {
    const { model, el, dispose } = open();
    dispose();
    expect([model.listeners, vi.getTimerCount(), el.childElementCount]).toEqual([0, 0, 0]);
  });
});
