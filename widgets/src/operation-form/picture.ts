/** A small picture of the block grid: a box with its lines for three axes or more, a rectangle for fewer. */

import type { Plan } from "../panel/contract";

const SVG = "http://www.w3.org/2000/svg";

/** More lines than this would be a grey surface. */
export const MOST_LINES = 16;

const LONGEST = 150;
/** A thin axis is still seen. */
const SHORTEST = 14;
const MARGIN = { top: 8, bottom: 22, beside: 10 };
/** Width of a digit of a label, at most. */
const DIGIT = 7;
const DEPTH: Point = [0.5, -0.36];

type Point = readonly [number, number];

/** Where lines cross an axis, as shares of its extent: all boundaries between blocks, or every nth of many. */
export function lineShares(blocks: number, block: number, extent: number): number[] {
  const step = Math.ceil((blocks - 1) / MOST_LINES) || 1;
  const shares: number[] = [];
  for (let at = step; at < blocks; at += step) shares.push((at * block) / extent);
  return shares;
}

const times = (numbers: readonly number[]): string => numbers.join(" × ");

/** What the picture shows, in words. */
export function describePicture({ grid, block_shape, domain_shape, axes }: Plan): string {
  const extents = domain_shape.map((extent, axis) => [axes[axis], extent].filter(Boolean).join(" "));
  return `Block grid: ${times(grid)} blocks of ${times(block_shape)} over ${extents.join(", ")}`;
}

function node(name: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.textContent = text;
  return made;
}

const points = (corners: readonly Point[]): string => corners.map((corner) => corner.map((at) => at.toFixed(1)).join(",")).join(" ");

export function drawPicture(plan: Plan): SVGElement {
  const { grid, block_shape, domain_shape, axes } = plan;
  const shown = domain_shape.length;
  // The last three axes; the others repeat the same box.
  const of = (fromEnd: number): { extent: number; share: number; shares: number[]; label: string } | undefined => {
    const axis = shown - fromEnd;
    const extent = domain_shape[axis];
    const block = block_shape[axis];
    if (extent === undefined || block === undefined || extent <= 0) return undefined;
    return {
      extent,
      share: Math.min(1, block / extent),
      shares: lineShares(grid[axis] ?? 1, block, extent),
      label: [axes[axis], extent].filter(Boolean).join(" "),
    };
  };
  const [x, y, z] = [of(1), of(2), of(3)];
  const longest = Math.max(...[x, y, z].map((axis) => axis?.extent ?? 0), 1);
  const length = (axis: { extent: number } | undefined): number => (axis === undefined ? 0 : Math.max(SHORTEST, (LONGEST * axis.extent) / longest));
  const [width, height, depth] = [length(x), y === undefined ? SHORTEST : length(y), length(z)];
  const [dx, dy] = [depth * DEPTH[0], depth * DEPTH[1]];
  const [left, right] = [y, z].map((axis) => MARGIN.beside + DIGIT * (axis?.label.length ?? 0)) as [number, number];
  // u, v, w: shares of the way along x, y, z.
  const at = (u: number, v: number, w: number): Point => [left + u * width + w * dx, MARGIN.top - dy + v * height + w * dy];
  const size = [left + width + dx + right, MARGIN.top - dy + height + MARGIN.bottom].map(Math.ceil);

  const svg = node("svg", { class: "bp-picture", viewBox: `0 0 ${size.join(" ")}`, width: size[0] ?? 0, height: size[1] ?? 0, role: "img", "aria-label": describePicture(plan) });
  const face = (corners: readonly Point[], name: string): void => void svg.append(node("polygon", { points: points(corners), class: name }));
  const line = (from: Point, to: Point): void => void svg.append(node("polyline", { points: points([from, to]), class: "bp-line" }));

  face([at(0, 0, 0), at(1, 0, 0), at(1, 1, 0), at(0, 1, 0)], "bp-face");
  if (z !== undefined) {
    face([at(0, 0, 0), at(1, 0, 0), at(1, 0, 1), at(0, 0, 1)], "bp-face bp-face-top");
    face([at(1, 0, 0), at(1, 1, 0), at(1, 1, 1), at(1, 0, 1)], "bp-face bp-face-side");
  }
  const [bu, bv, bw] = [x?.share ?? 1, y?.share ?? 1, z?.share ?? 1];
  face([at(0, 0, 0), at(bu, 0, 0), at(bu, bv, 0), at(0, bv, 0)], "bp-one-block");
  if (z !== undefined) {
    face([at(0, 0, 0), at(bu, 0, 0), at(bu, 0, bw), at(0, 0, bw)], "bp-one-block");
    if (bu === 1) face([at(1, 0, 0), at(1, bv, 0), at(1, bv, bw), at(1, 0, bw)], "bp-one-block");
  }

  for (const u of x?.shares ?? []) {
    line(at(u, 0, 0), at(u, 1, 0));
    if (z !== undefined) line(at(u, 0, 0), at(u, 0, 1));
  }
  for (const v of y?.shares ?? []) {
    line(at(0, v, 0), at(1, v, 0));
    if (z !== undefined) line(at(1, v, 0), at(1, v, 1));
  }
  for (const w of z?.shares ?? []) {
    line(at(0, 0, w), at(1, 0, w));
    line(at(1, 0, w), at(1, 1, w));
  }

  const label = (text: string, [px, py]: Point, anchor: string): void => void svg.append(node("text", { x: px.toFixed(1), y: py.toFixed(1), "text-anchor": anchor }, text));
  const [bottom, front, back] = [at(0.5, 1, 0), at(0, 0.5, 0), at(1, 1, 0.5)];
  label(x?.label ?? "", [bottom[0], bottom[1] + 14], "middle");
  if (y !== undefined) label(y.label, [front[0] - 4, front[1] + 4], "end");
  if (z !== undefined) label(z.label, [back[0] + 6, back[1] + 8], "start");
  return svg;
}
