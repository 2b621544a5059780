/** Icons of a run's states, drawn as paths so that they follow the text colour. */

import type { RunState } from "./contract";

const SVG = "http://www.w3.org/2000/svg";

const PATHS: Record<RunState, string> = {
  queued: "M8 4v4l3 2M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13",
  running: "M5 3l8 5l-8 5z",
  cancelling: "M4 4h8v8h-8z",
  succeeded: "M3 8.5l3.5 3.5l6.5-8",
  failed: "M4 4l8 8M12 4l-8 8",
  cancelled: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M3.5 3.5l9 9",
  interrupted: "M5 3.5v9M11 3.5v9",
};

export const STATE_WORDS: Record<RunState, string> = {
  queued: "Queued",
  running: "Running",
  cancelling: "Cancelling",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
  interrupted: "Interrupted",
};

export function stateIcon(state: RunState): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "bp-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[state]);
  svg.append(path);
  return svg;
}
