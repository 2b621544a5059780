import { describe, expect, it } from "vitest";
import { axesOf, axisTexts, parseShape, withAxis } from "./shape";

describe("block shape", () => {
  it("reads whole numbers only", () => {
    expect(parseShape("64, 128,128")).toEqual([64, 128, 128]);
    expect(["auto", "", "64,", "6.5", "-1"].map(parseShape)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  it("shows the numbers of a text that has one for each axis", () => {
    expect(axisTexts("64,128", 2)).toEqual(["64", "128"]);
    expect(axisTexts("64,128", 3)).toEqual(["", "", ""]);
    expect(axisTexts("auto", 2)).toEqual(["", ""]);
  });

  it("changes one axis and keeps the others, or what the engine chose for them", () => {
    expect(withAxis("64,128,128", 1, "32", [1, 2, 3])).toBe("64,32,128");
    expect(withAxis("auto", 0, " 16 ", [1, 2, 3])).toBe("16,2,3");
    expect(withAxis("auto", 0, "16", [])).toBeUndefined();
    expect(withAxis("64,128,128", 1, "", [1, 2, 3])).toBeUndefined();
  });

  it("knows the axes by the plan, else by what it knew, else by a preset", () => {
    const presets = [{ value: "auto" }, { value: "4,5" }];
    const plan = { axes: ["y", ""], block_shape: [8, 9] };
    const known = axesOf(plan, presets, undefined);
    expect(known).toEqual({ names: ["y", "axis 1"], chosen: [8, 9] });
    expect(axesOf(null, presets, known)).toBe(known);
    expect(axesOf(null, presets, undefined)).toEqual({ names: ["axis 0", "axis 1"], chosen: [4, 5] });
    expect(axesOf(null, [], undefined)).toBeUndefined();
  });
});
