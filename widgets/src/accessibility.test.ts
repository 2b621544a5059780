import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { press } from "./testing/enter";
import { makeRun, makeStatus } from "./testing/fake-model";
import { makeFormState, makePlanAnswer, makeRow, makeSlurmState, refusal } from "./testing/panels";
import { closeAll, show } from "./testing/show";

// axe looks at every element by every rule, which takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });
afterEach(closeAll);

/** What axe finds; contrast needs a browser that draws, see `demo/screenshots.mjs`. */
async function violations(el: HTMLElement): Promise<string[]> {
  const found = await axe.run(el, { resultTypes: ["violations"], rules: { "color-contrast": { enabled: false }, region: { enabled: false } } });
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

const going = { run: makeRun(), status: makeStatus() };

describe("axe finds nothing in", () => {
  it("RunProgress", async () => {
    const { el, model } = show();
    model.receive({ type: "cells", attempt: 1 }, new Uint8Array(24));
    expect(await violations(el)).toEqual([]);
  });

  it("OperationForm, refused, with a list open", async () => {
    const { el, model, get } = show(makeFormState({ values: { SRC: "in.tif", backend: "slurm" } }));
    model.receive({ ...makePlanAnswer({ refusal }), request: model.requestOf("plan") });
    model.receive({ type: "offers", cluster: "lab", fields: { partition: [{ value: "gpu", help: "2 nodes" }] }, note: null, request: model.requestOf("offers") });
    const partition = get<HTMLInputElement>("[id$='-partition']");
    partition.focus();
    press(partition, "ArrowDown");
    expect(partition.getAttribute("aria-expanded")).toBe("true");
    expect(await violations(el)).toEqual([]);
  });

  it("OperationForm, with a run", async () => {
    const { el, model } = show(makeFormState(going));
    model.receive({ ...makePlanAnswer(), request: model.requestOf("plan") });
    expect(await violations(el)).toEqual([]);
  });

  it("RunsTable, with a question open and a run attached", async () => {
    const { el, get } = show({ view: "runs-table", runs: [makeRow("a"), makeRow("b", { can: ["attach", "resume", "remove"] })], ...going });
    get("[aria-label='Delete run a']").click();
    expect(await violations(el)).toEqual([]);
    get("[aria-label='Resume run b']").click();
    expect(await violations(el)).toEqual([]);
  });

  it("SlurmForm, with problems", async () => {
    const { el, model } = show(makeSlurmState());
    await expect.poll(() => model.sent.some(({ type }) => type === "check"), { timeout: 10_000 }).toBe(true);
    const problems = [{ field: "time", message: "No time.", fix: null }, { field: null, message: "Down.", fix: null }];
    model.receive({ type: "checked", problems, cluster: null, note: null, request: model.requestOf("check") });
    expect(await violations(el)).toEqual([]);
  });
});
