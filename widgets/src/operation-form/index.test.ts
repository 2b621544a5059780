import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PATIENCE_MS } from "../requests";
import { choose, press, type } from "../testing/enter";
import { makeRun, makeStatus } from "../testing/fake-model";
import { makeField, makeForm, makeFormState, makePlan, makePlanAnswer, refusal } from "../testing/panels";
import { closeAll, show } from "../testing/show";
import { EVERY_MS } from "../panel/latest";

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
});
afterEach(() => {
  closeAll();
  delete (window as { jupyterapp?: unknown }).jupyterapp;
  vi.useRealTimers();
});

function open(changes: Record<string, unknown> = {}) {
  const view = show(makeFormState(changes));
  const { model, get } = view;
  const input = (name: string): HTMLInputElement => get<HTMLInputElement>(`[data-field="${name}"] :is(input.bp-field, textarea, select, .bp-check)`);
  const control = (name: string): HTMLInputElement => get<HTMLInputElement>(`[id$="-${name}"]`);
  const answer = (plan = makePlanAnswer()): void => {
    model.receive({ ...plan, request: model.requestOf("plan") });
    vi.advanceTimersByTime(EVERY_MS);
  };
  const last = (kind: string) => model.sent.findLast((message) => message.type === kind);
  return { ...view, input, control, answer, last };
}

describe("OperationForm", () => {
  it("draws the fields of the schema, with labels, help and defaults", () => {
    const { el, control } = open();
    expect([...el.querySelectorAll(".bp-section:not([hidden])")].map((node) => (node as HTMLElement).dataset["section"])).toEqual(["arrays", "parameters", "blocks", "advanced"]);
    const sigma = control("sigma");
    expect(el.querySelector(`label[for="${sigma.id}"]`)?.textContent).toBe("sigma voxels");
    expect([sigma.placeholder, sigma.inputMode || sigma.getAttribute("inputmode")]).toEqual(["2", "decimal"]);
    const described = (sigma.getAttribute("aria-describedby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent);
    expect(described).toEqual(["Help of sigma. More than 0"]);
    expect(control("SRC").getAttribute("aria-required")).toBe("true");
    expect(control("mode").querySelector("option")?.textContent).toBe("reflect (default)");
    expect(el.querySelector("details[data-section=advanced]")?.hasAttribute("open")).toBe(false);
  });

  it("plans at the start and shows the answer", () => {
    const { last, answer, text, get, control } = open();
    expect(last("plan")).toMatchObject({ values: { SRC: "in.tif", DST: "out.zarr" } });
    answer();
    expect(text(".bp-plan .bp-numbers")).toContain("128 (2 × 8 × 8) of 32 × 64 × 64");
    expect(text(".bp-plan .bp-numbers")).toContain("12 % more is read than worked on");
    expect(text(".bp-plan .bp-numbers")).toContain("4.00 MiB a worker, 8.00 MiB in all, budget 16.0 MiB");
    expect(text(".bp-plan .bp-numbers")).toContain("about 1:14, by 3 comparable runs");
    expect(get(".bp-plan .bp-meter-peak").style.width).toBe("50%");
    expect(get("[data-field=SRC] .bp-row-note").textContent).toBe("64 x 512 x 512 u8");
    expect(control("SRC").getAttribute("aria-describedby")).toContain("-SRC-note");
    expect(get("svg[role=img]").getAttribute("aria-label")).toContain("2 × 8 × 8 blocks");
  });

  it("shares each change with the model, and draws only the answer to the last", () => {
    const { model, control, text, last } = open();
    const first = model.requestOf("plan");
    type(control("sigma"), "3");
    expect(model.get("values")).toEqual({ SRC: "in.tif", DST: "out.zarr", sigma: "3" });
    expect(model.saves).toBe(1);
    model.receive({ ...makePlanAnswer({ plan: makePlan({ blocks: 77 }) }), request: first });
    expect(text(".bp-plan")).not.toContain("77");
    vi.advanceTimersByTime(EVERY_MS);
    expect(last("plan")).toMatchObject({ values: { sigma: "3" } });
    model.receive({ ...makePlanAnswer(), request: model.requestOf("plan") });
    expect(text(".bp-plan")).toContain("128");
  });

  it("takes values from code without moving the focus or the caret", () => {
    const { model, control, answer, last } = open();
    answer();
    control("sigma").focus();
    type(control("sigma"), "1,2,3");
    control("sigma").setSelectionRange(2, 2);
    answer();
    model.set("values", { SRC: "other.tif", DST: "out.zarr", sigma: "1,5,3", overwrite: true, mode: "nearest" });
    expect([control("SRC").value, control("sigma").value, control("overwrite").checked, control("mode").value]).toEqual(["other.tif", "1,5,3", true, "nearest"]);
    expect(document.activeElement).toBe(control("sigma"));
    expect(control("sigma").selectionStart).toBe(2);
    expect(last("plan")).toMatchObject({ values: { SRC: "other.tif" } });
  });

  it("tells a refusal at its field and in the plan, and applies what the engine proposes", () => {
    const { model, control, answer, get, button, text, visible, last } = open();
    answer(makePlanAnswer({ refusal, plan: null }));
    const shape = control("block_shape");
    expect(shape.getAttribute("aria-invalid")).toBe("true");
    expect(get("[data-field=block_shape] .bp-row-problem").textContent).toBe("Blocks share chunks.");
    expect(shape.getAttribute("aria-describedby")).toContain("-block_shape-problem");
    expect(text(".bp-refusal p")).toBe("Blocks share chunks. Take whole chunks.");
    expect(visible(get(".bp-plan .bp-numbers"))).toBe(false);
    expect(button("Run").getAttribute("aria-disabled")).toBe("true");
    button("Use 64,64,64").click();
    expect(shape.value).toBe("64,64,64");
    expect(model.get("values")).toMatchObject({ block_shape: "64,64,64" });
    expect(last("plan")).toMatchObject({ values: { block_shape: "64,64,64" } });
    answer();
    expect(shape.getAttribute("aria-invalid")).toBeNull();
    expect(visible(get(".bp-refusal"))).toBe(false);
  });

  it("can stop a start that takes long, and tells what nobody asked for", () => {
    const { model, answer, button, last, text } = open();
    answer();
    button("Run").click();
    expect(button("Starting…").getAttribute("aria-disabled")).toBe("true");
    vi.advanceTimersByTime(1000);
    button("Stop starting").click();
    expect(last("stop-start")).toMatchObject({ type: "stop-start" });
    model.receive({ type: "ok", request: model.requestOf("stop-start") });
    model.receive({ type: "error", kind: "cancelled", message: "stopped", fix: null, request: model.requestOf("start") });
    expect(button("Run").getAttribute("aria-disabled")).toBeNull();
    expect(text("[role=alert]")).toBe("stopped");
    model.receive({ type: "error", kind: "run-not-found", message: "the run is gone", fix: null });
    expect(text("[role=alert]")).toBe("the run is gone");
  });

  it("can stop a start that another view has begun", () => {
    const { model, answer, button, last } = open({ starting: true });
    answer();
    button("Stop starting").click();
    expect(last("stop-start")).toMatchObject({ type: "stop-start" });
    model.set("starting", false);
    expect(button("Run").getAttribute("aria-disabled")).toBeNull();
  });

  it("opens a folded section in which something is set", () => {
    const { model, get } = open();
    const advanced = get<HTMLDetailsElement>("[data-section=advanced]");
    expect(advanced.open).toBe(false);
    model.set("values", { SRC: "in.tif", region: "0:8,:,:" });
    expect(advanced.open).toBe(true);
  });

  it("plans again when the engine has more to say", () => {
    const { model, answer, text, last } = open();
    answer();
    const before = last("plan");
    vi.advanceTimersByTime(EVERY_MS);
    model.receive({ type: "replan" });
    expect(last("plan")).not.toBe(before);
    answer(makePlanAnswer({ refusal }));
    expect(text(".bp-refusal p")).toContain("Blocks share chunks.");
    expect(text(".bp-plan .bp-numbers")).toContain("128");
  });

  it("shows below the run what it has measured", () => {
    const { model, get, visible, text } = open();
    expect(visible(get(".bp-result"))).toBe(false);
    model.set("run", makeRun());
    model.set("result", { html: "<table><tbody><tr><td>mean</td><td>3</td></tr></tbody></table>", text: "mean 3" });
    expect(text(".bp-result td")).toBe("mean");
    model.set("result", null);
    expect(text(".bp-result")).toBe("");
  });

  it("does not call an incomplete form a mistake", () => {
    const { answer, control, get } = open({ values: {} });
    answer(makePlanAnswer({ code: null, plan: null, refusal: { kind: "incomplete", message: "SRC is missing.", fix: null, field: "SRC", change: null } }));
    expect(control("SRC").getAttribute("aria-invalid")).toBeNull();
    expect(get(".bp-refusal").dataset["tone"]).toBe("hint");
    expect(get(".bp-lines").textContent).toContain("The code comes with");
  });

  it("says the plan to a screen reader once the values rest", () => {
    const { answer, text } = open();
    answer();
    expect(text(".bp-plan [role=status]")).toBe("");
    vi.advanceTimersByTime(1000);
    expect(text(".bp-plan [role=status]")).toBe("Plan: 128 blocks, 16 tasks, halo 12 %, 4.00 MiB a worker, about 1:14");
  });

  it("keeps presets, axes and text of the block shape in agreement", () => {
    const { answer, el, get, control, model } = open();
    answer();
    const preset = (name: string): HTMLElement => get(`[data-preset="${name}"]`);
    const axis = (name: string): HTMLInputElement => get<HTMLInputElement>(`[data-axis="${name}"]`);
    expect(preset("auto").getAttribute("aria-pressed")).toBe("true");
    expect([axis("z").value, axis("z").placeholder]).toEqual(["", "32"]);
    preset("chunk").click();
    expect([control("block_shape").value, axis("x").value]).toEqual(["32,64,64", "64"]);
    expect(preset("chunk").getAttribute("aria-pressed")).toBe("true");
    type(axis("y"), "128");
    expect(control("block_shape").value).toBe("32,128,64");
    expect(preset("chunk").getAttribute("aria-pressed")).toBe("false");
    type(axis("y"), "");
    expect([axis("y").value, control("block_shape").value]).toEqual(["", "32,128,64"]);
    axis("y").dispatchEvent(new Event("blur"));
    expect(model.get("values")).toMatchObject({ block_shape: "32,128,64" });
    type(control("block_shape"), "8,8,8");
    expect([...el.querySelectorAll<HTMLInputElement>("[data-axis]")].map(({ value }) => value)).toEqual(["8", "8", "8"]);
  });

  it("completes paths by keyboard", () => {
    const { model, control, get } = open();
    const src = control("SRC");
    type(src, "da");
    expect(model.sent.at(-1)).toMatchObject({ type: "complete", name: "SRC", text: "da" });
    const matches = [{ text: "data/", help: "" }, { text: "data.tif", help: "64 x 64 u8" }];
    model.receive({ type: "complete", name: "SRC", matches, request: model.requestOf("complete") });
    expect([src.getAttribute("aria-expanded"), src.getAttribute("role")]).toEqual(["true", "combobox"]);
    press(src, "ArrowDown");
    press(src, "ArrowDown");
    expect(document.getElementById(src.getAttribute("aria-activedescendant") ?? "")?.textContent).toBe("data.tif 64 x 64 u8");
    press(src, "ArrowDown");
    expect(press(src, "Enter")).toBe(false);
    expect([src.value, src.getAttribute("aria-expanded")]).toEqual(["data/", "false"]);
    vi.advanceTimersByTime(EVERY_MS);
    expect(model.sent.findLast((message) => message.type === "complete")).toMatchObject({ text: "data/" });
    model.receive({ type: "complete", name: "SRC", matches, request: model.requestOf("complete") });
    press(src, "Escape");
    expect(get(".bp-options").hidden).toBe(true);
    expect(src.value).toBe("data/");
  });

  it("drops completions for a text that the user has left behind", () => {
    const { model, control, get } = open();
    type(control("SRC"), "d");
    type(control("SRC"), "da");
    const matches = [{ text: "dx", help: "" }];
    model.receive({ type: "complete", name: "SRC", matches, request: model.requestOf("complete") });
    expect(get(".bp-options").hidden).toBe(true);
    vi.advanceTimersByTime(EVERY_MS);
    expect(model.sent.at(-1)).toMatchObject({ text: "da" });
    model.receive({ type: "complete", name: "SRC", matches, request: model.requestOf("complete") });
    expect(get(".bp-options").hidden).toBe(false);
  });

  it("asks a cluster once, when its section first shows", () => {
    const { model, control, get, text, visible } = open();
    const asked = (): number => model.sent.filter((message) => message.type === "offers").length;
    expect([visible(get("[data-section=slurm]")), asked()]).toEqual([false, 0]);
    choose(control("backend") as unknown as HTMLSelectElement, "slurm");
    expect([visible(get("[data-section=slurm]")), asked(), text(".bp-offers")]).toEqual([true, 1, "Asking the cluster what it offers…"]);
    model.receive({ type: "offers", cluster: "lab", fields: { partition: [{ value: "gpu", help: "2 nodes" }] }, note: null, request: model.requestOf("offers") });
    expect(text(".bp-offers")).toContain("cluster lab");
    control("partition").focus();
    press(control("partition"), "ArrowDown");
    press(control("partition"), "Enter");
    expect(model.get("values")).toMatchObject({ backend: "slurm", partition: "gpu" });
    choose(control("backend") as unknown as HTMLSelectElement, "");
    choose(control("backend") as unknown as HTMLSelectElement, "slurm");
    expect(asked()).toBe(1);
  });

  it("saves the cluster's fields as defaults", () => {
    const { model, button, text } = open({ values: { backend: "slurm", partition: "gpu" } });
    button("Save as defaults").click();
    model.receive({ type: "saved", file: "/c.toml", saved: ["partition"], request: model.requestOf("save") });
    expect(text(".bp-notices")).toBe("Saved as defaults in /c.toml: partition.");
  });

  it("changes the operation and keeps the focus", () => {
    const { model, get, control, el, last } = open();
    choose(get<HTMLSelectElement>(".bp-chooser"), "copy");
    expect(last("form")).toMatchObject({ operation: "copy" });
    control("SRC").focus();
    const form = { ...makeForm("copy"), sections: makeForm().sections.filter(({ name }) => name !== "parameters") };
    model.set("form", form);
    model.receive({ type: "form", form, values: { SRC: "in.tif" }, request: model.requestOf("form") });
    expect(el.querySelector("[data-section=parameters]")).toBeNull();
    expect(document.activeElement).toBe(control("SRC"));
    expect(control("DST").value).toBe("");
  });

  it("keeps the operation where the engine refuses the change", () => {
    const { model, get, text } = open();
    choose(get<HTMLSelectElement>(".bp-chooser"), "copy");
    model.receive({ type: "error", kind: "unknown", message: "There is none.", fix: null, request: model.requestOf("form") });
    expect(get<HTMLSelectElement>(".bp-chooser").value).toBe("gaussian");
    expect(text("[role=alert]")).toBe("There is none.");
  });

  it("reads a line", () => {
    const { model, get, control, text } = open();
    const line = get<HTMLInputElement>(".bp-line-input");
    type(line, "%bp gaussian a b --sigma 9");
    press(line, "Enter");
    expect(model.sent.at(-1)).toMatchObject({ type: "read", line: "%bp gaussian a b --sigma 9" });
    model.receive({ type: "form", form: makeForm(), values: { SRC: "a", DST: "b", sigma: "9" }, request: model.requestOf("read") });
    expect([control("SRC").value, control("sigma").value, line.value]).toEqual(["a", "9", ""]);
    expect(text(".bp-notices")).toContain("filled in");
    type(control("sigma"), "4");
    expect(text(".bp-notices")).toBe("");
  });

  it("tells that the kernel is silent, and takes it back", () => {
    const { answer, text } = open();
    vi.advanceTimersByTime(PATIENCE_MS);
    expect(text("[role=alert]")).toContain("The kernel does not answer");
    answer();
    expect(text("[role=alert]")).toBe("");
  });

  it("keeps the reason of a failed start in view while the plan is answered", () => {
    const { model, answer, button, control, text } = open();
    answer();
    button("Run").click();
    model.receive({ type: "error", kind: "exists", message: "out.zarr is there.", fix: "Overwrite it.", request: model.requestOf("start") });
    type(control("sigma"), "4");
    answer();
    expect(text("[role=alert]")).toBe("out.zarr is there. Overwrite it.");
    button("Run").click();
    expect(text("[role=alert]")).toBe("");
  });

  it("starts a run, shows it below and stays usable", () => {
    const { model, el, answer, button, get, control, last } = open();
    answer();
    expect(el.querySelector(".bp-run")).toBeNull();
    button("Run").click();
    expect(last("start")).toMatchObject({ values: { SRC: "in.tif" } });
    expect(button("Starting…").getAttribute("aria-disabled")).toBe("true");
    model.receive({ type: "ok", run: "k7f3qa", request: model.requestOf("start") });
    model.set("status", makeStatus());
    model.set("run", makeRun());
    expect(get(".bp-run .bp-id").textContent).toBe("k7f3qa");
    expect(last("ready")).toBeDefined();
    const before = get(".bp-run");
    model.set("run", makeRun({ workers: 4 }));
    expect(get(".bp-run")).toBe(before);
    model.set("run", makeRun({ id: "second" }));
    expect([get(".bp-run") === before, el.querySelectorAll(".bp-run").length]).toEqual([false, 1]);
    type(control("sigma"), "4");
    expect(model.get("values")).toMatchObject({ sigma: "4" });
    expect(button("Run").getAttribute("aria-disabled")).toBeNull();
  });

  it("remembers the language of the code, by click and by keys", () => {
    const { answer, button, get, text } = open();
    answer();
    expect(text(".bp-lines")).toBe("%bp gaussian in.tif out.zarr");
    button("Python").click();
    expect(text(".bp-lines")).toBe('bp.gaussian("in.tif", "out.zarr")');
    press(button("Python"), "ArrowRight");
    expect(document.activeElement).toBe(button("Rust"));
    expect(get("[role=tabpanel]").getAttribute("aria-labelledby")).toBe(button("Rust").id);
    const again = open();
    again.answer();
    expect(again.text(".bp-lines")).toBe("gaussian()");
  });

  it("inserts a cell below its own in JupyterLab, and has no button elsewhere", async () => {
    const elsewhere = open();
    elsewhere.answer();
    expect(elsewhere.visible([...elsewhere.el.querySelectorAll("button")].find((each) => each.textContent === "Insert") as Element)).toBe(false);
    const sources: string[] = [];
    const cell = (node: HTMLElement) => ({ node, model: { sharedModel: { setSource: (source: string) => void sources.push(source) } } });
    const content = { widgets: [cell(document.createElement("div")), cell(document.body)], activeCell: cell(document.body), activeCellIndex: 0 };
    const execute = vi.fn((_id: string) => {
      content.activeCell = cell(document.body);
      return Promise.resolve();
    });
    const app = { commands: { execute }, shell: { currentWidget: { content } as object | null } };
    (window as { jupyterapp?: unknown }).jupyterapp = app;
    const { answer, button, text } = open();
    answer();
    button("Insert").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(execute).toHaveBeenCalledWith("notebook:insert-cell-below");
    expect([content.activeCellIndex, sources]).toEqual([1, ["%bp gaussian in.tif out.zarr"]]);
    app.shell.currentWidget = null;
    button("Insert").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(text(".bp-notices")).toContain("no notebook is in front");
    expect(execute).toHaveBeenCalledOnce();
  });

  it("draws a schema that it has never seen", () => {
    const sections = [{ name: "odd", title: "Odd", folded: false, fields: (["integer", "number", "shape", "list", "text"] as const).map((kind) => makeField(`a_${kind}`, { kind })) }];
    const { el, control, model } = open({ form: { operation: "new", help: "", sections } });
    expect(el.querySelectorAll(".bp-row [id*=a_]").length).toBeGreaterThan(5);
    type(control("a_list"), "one\ntwo");
    expect(model.get("values")).toMatchObject({ a_list: "one\ntwo" });
  });

  it("takes a form that comes only after it was drawn", () => {
    const { operations, form, values } = makeFormState();
    const { model, get, control, last } = open({ operations: undefined, form: undefined, values: undefined });
    expect(last("plan")).toBeUndefined();
    model.set("operations", operations);
    model.set("values", values);
    model.set("form", form);
    expect([get<HTMLSelectElement>(".bp-chooser").value, control("SRC").value]).toEqual(["gaussian", "in.tif"]);
    vi.advanceTimersByTime(EVERY_MS);
    expect(last("plan")).toMatchObject({ values });
  });

  it("leaves nothing behind", () => {
    const { model, el, dispose, answer } = open({ run: makeRun(), status: makeStatus() });
    answer();
    dispose();
    expect([model.listeners, vi.getTimerCount(), el.childElementCount]).toEqual([0, 0, 0]);
  });
});
