import { describe, expect, it } from "vitest";
import { makePlan } from "../testing/panels";
import { describePicture, drawPicture, lineShares, MOST_LINES } from "./picture";

describe("the picture of the block grid", () => {
  it("has a line at each boundary, and of many boundaries only some", () => {
    expect(lineShares(4, 64, 256)).toEqual([0.25, 0.5, 0.75]);
    expect(lineShares(3, 100, 250)).toEqual([0.4, 0.8]);
    expect(lineShares(1, 64, 64)).toEqual([]);
    const many = lineShares(1000, 1, 1000);
    expect(many.length).toBeLessThanOrEqual(MOST_LINES);
    expect(many.every((share) => share > 0 && share < 1)).toBe(true);
  });

  it("is a box for three axes or more, and a rectangle for fewer", () => {
    const faces = (changes: Parameters<typeof makePlan>[0]): number => drawPicture(makePlan(changes)).querySelectorAll(".bp-face").length;
    expect(faces({})).toBe(3);
    expect(faces({ grid: [2, 2, 8, 8], block_shape: [1, 32, 64, 64], domain_shape: [2, 64, 512, 512], axes: ["c", "z", "y", "x"] })).toBe(3);
    expect(faces({ grid: [8, 8], block_shape: [64, 64], domain_shape: [512, 512], axes: ["y", "x"] })).toBe(1);
    expect(faces({ grid: [8], block_shape: [64], domain_shape: [512], axes: ["x"] })).toBe(1);
  });

  it("says in words what it shows", () => {
    expect(describePicture(makePlan())).toBe("Block grid: 2 × 8 × 8 blocks of 32 × 64 × 64 over z 64, y 512, x 512");
  });
});
