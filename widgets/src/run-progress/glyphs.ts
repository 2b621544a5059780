/** How a cell looks: every state has a shape of its own besides its colour. */

import { element } from "../dom";
import { Cell } from "./contract";

/** Colours of the theme in use, as resolved by the browser. */
export interface Palette {
  background: string;
  outline: string;
  pending: string;
  running: string;
  done: string;
  skipped: string;
  retrying: string;
  failed: string;
}

/**
 * Reads the palette below `node`, so that the canvas follows the theme that the style sheet follows. Through the colour
 * of an element, since the value of a custom property comes unresolved (`var()`, `light-dark()`).
 */
export function readPalette(node: Element): Palette {
  const probe = element("span", { hidden: true });
  node.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette: Palette = {
    background: read("--bp-surface"),
    outline: read("--bp-cell-outline"),
    pending: read("--bp-cell-pending"),
    running: read("--bp-cell-running"),
    done: read("--bp-cell-done"),
    skipped: read("--bp-cell-skipped"),
    retrying: read("--bp-cell-retrying"),
    failed: read("--bp-cell-failed"),
  };
  probe.remove();
  return palette;
}

/** The one colour of a cell that is too small for a shape. A share of done shades from pending to done. */
export function cellColour(code: number, palette: Palette): { colour: string; over?: string; share?: number } {
  switch (code) {
    case Cell.Running:
      return { colour: palette.running };
    case Cell.Done:
      return { colour: palette.done };
    case Cell.Skipped:
      return { colour: palette.skipped };
    case Cell.Retrying:
      return { colour: palette.retrying };
    case Cell.Failed:
      return { colour: palette.failed };
    default:
      return code >= Cell.Mixed
        ? { colour: palette.pending, over: palette.done, share: (code - Cell.Mixed + 0.5) / 16 }
        : { colour: palette.pending };
  }
}

/** Draws one cell as a square of `size` device pixels with its corner at x, y. */
export function paintCell(
  context: CanvasRenderingContext2D,
  code: number,
  x: number,
  y: number,
  size: number,
  palette: Palette,
): void {
  const line = Math.max(1, Math.round(size / 12));
  const outline = (colour: string): void => {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x + line / 2, y + line / 2, size - line, size - line);
  };
  const fill = (colour: string): void => {
    context.fillStyle = colour;
    context.fillRect(x, y, size, size);
  };
  const polygon = (colour: string, ...corners: [number, number][]): void => {
    context.fillStyle = colour;
    context.beginPath();
    corners.forEach(([dx, dy], i) => (i === 0 ? context.moveTo(x + dx, y + dy) : context.lineTo(x + dx, y + dy)));
    context.closePath();
    context.fill();
  };

  switch (code) {
    case Cell.Running:
      fill(palette.pending);
      polygon(palette.running, [0, 0], [size, size], [0, size]);
      outline(palette.running);
      break;
    case Cell.Done:
      fill(palette.done);
      break;
    case Cell.Skipped: {
      const radius = Math.max(1, size / 6);
      context.fillStyle = palette.skipped;
      context.beginPath();
      context.arc(x + size / 2, y + size / 2, radius, 0, 2 * Math.PI);
      context.fill();
      break;
    }
    case Cell.Retrying:
      fill(palette.pending);
      polygon(palette.retrying, [size / 2, size * 0.12], [size * 0.92, size * 0.88], [size * 0.08, size * 0.88]);
      break;
    case Cell.Failed:
      fill(palette.failed);
      paintCross(context, x + size / 2, y + size / 2, size * 0.26, Math.max(1, size / 7), palette.background);
      break;
    default:
      fill(palette.pending);
      if (code >= Cell.Mixed) {
        const height = Math.max(1, Math.round((size * (code - Cell.Mixed + 0.5)) / 16));
        context.fillStyle = palette.done;
        context.fillRect(x, y + size - height, size, height);
      }
      outline(palette.outline);
  }
}

export function paintCross(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  arm: number,
  width: number,
  colour: string,
): void {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(x - arm, y - arm);
  context.lineTo(x + arm, y + arm);
  context.moveTo(x + arm, y - arm);
  context.lineTo(x - arm, y + arm);
  context.stroke();
}

/** Any CSS colour as four bytes, by drawing it: the browser knows every notation. */
export function colourBytes(context: CanvasRenderingContext2D, colour: string): [number, number, number, number] {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0, a = 255] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a];
}
