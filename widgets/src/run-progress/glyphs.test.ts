import { describe, expect, it } from "vitest";
import { CELL_CODES } from "./contract";
import { cellColour, paintCell, type Palette } from "./glyphs";

const palette: Palette = {
  background: "white",
  outline: "grey",
  pending: "silver",
  running: "blue",
  done: "green",
  skipped: "dimgrey",
  retrying: "orange",
  failed: "red",
};

/** What a cell is drawn with, without its colours. */
function strokes(code: number): string {
  const calls: string[] = [];
  const record = new Proxy({} as Record<string, unknown>, {
    get: (_, name) => (...values: number[]) => calls.push(`${String(name)}(${values.map((value) => value.toFixed(1)).join(",")})`),
    set: () => true,
  });
  paintCell(record as unknown as CanvasRenderingContext2D, code, 0, 0, 16, palette);
  return calls.join(" ");
}

describe("a cell's look", () => {
  it("differs in shape between all states, not only in colour", () => {
    const shapes = [0, 1, 2, 3, 4, 5, 24].map(strokes);
    expect(new Set(shapes).size).toBe(shapes.length);
  });

  it("fills a mixed cell by its share", () => {
    const heights = Array.from({ length: 16 }, (_, k) => strokes(16 + k));
    expect(new Set(heights).size).toBe(16);
  });

  it("has a colour for every code where there is no room for a shape", () => {
    for (let code = 0; code < CELL_CODES; code += 1) expect(Object.values(palette)).toContain(cellColour(code, palette).colour);
  });
});
