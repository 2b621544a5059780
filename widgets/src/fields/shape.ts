/** A block shape as text, and as one number for each axis. Without DOM. */

/** The numbers of `64,128,128`; nothing for `auto` or what is not whole numbers. */
export function parseShape(text: string): number[] | undefined {
  const parts = text.split(/[,x×]/).map((part) => part.trim());
  return parts.every((part) => /^\d+$/.test(part)) ? parts.map(Number) : undefined;
}

export function shapeText(shape: readonly number[]): string {
  return shape.join(",");
}

/** The inputs of the axes for a text: numbers where the text has one for each, empty where the engine chooses. */
export function axisTexts(text: string, axes: number): string[] {
  const shape = parseShape(text);
  return Array.from({ length: axes }, (_, axis) => (shape?.length === axes ? String(shape[axis]) : ""));
}

/**
 * The text after one axis was given a number. The other axes keep theirs; where the engine chose them, they become what
 * it chose. Nothing as long as the entry is no number, or what was chosen is not known.
 */
export function withAxis(text: string, axis: number, entry: string, chosen: readonly number[]): string | undefined {
  const number = entry.trim();
  if (!/^\d+$/.test(number)) return undefined;
  const written = parseShape(text);
  const shape = written?.length === chosen.length ? [...written] : [...chosen];
  if (axis >= shape.length) return undefined;
  shape[axis] = Number(number);
  return shapeText(shape);
}

export interface Axes {
  names: string[];
  /** What the text stands for now, or stood for last. */
  chosen: number[];
}

/** The axes by what is known of them: of the plan, else by the length of a preset that is a shape. */
export function axesOf(
  plan: { axes: string[]; block_shape: number[] } | null,
  presets: readonly { value: string }[],
  before: Axes | undefined,
): Axes | undefined {
  if (plan !== null) return { names: named(plan.axes, plan.block_shape.length), chosen: plan.block_shape };
  const shape = presets.map(({ value }) => parseShape(value)).find((each) => each !== undefined);
  if (shape === undefined || before?.chosen.length === shape.length) return before;
  return { names: named([], shape.length), chosen: shape };
}

const named = (axes: readonly string[], count: number): string[] => Array.from({ length: count }, (_, axis) => axes[axis] || `axis ${axis}`);
