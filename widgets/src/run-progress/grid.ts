/** The grid of blocks: one layer on a canvas, sliders for the other axes, pointer and keyboard. */

import { element, setAttribute, setText, show } from "../dom";
import { Cell, CELL_CODES, type Run } from "./contract";
import { formatCount, plural } from "../format";
import { cellColour, colourBytes, paintCell, paintCross, readPalette, type Palette } from "./glyphs";
import { cellWords, type Geometry } from "./state";

/** Sizes in CSS pixels. */
const LARGEST_CELL = 32;
const SMALLEST_SHAPED_CELL = 5;
const TALLEST_GRID = 320;
/** More failed cells than this speak for themselves where cells are too small for shapes. */
const MOST_MARKERS = 500;

export interface GridActions {
  open(cell: number): void;
}

const NOT_LAID_OUT: Layout = { columns: 1, rows: 1, pitch: 0, ratio: 1 };

interface Layout {
  columns: number;
  rows: number;
  /** Device pixels from one cell to the next; below one where many cells share a pixel, 0 before there is a width. */
  pitch: number;
  ratio: number;
}

export class BlockGrid {
  readonly root: HTMLElement;
  private readonly canvas = element("canvas", { role: "img" });
  private readonly stage: HTMLElement;
  private readonly focusRing = element("div", { class: "bp-ring bp-ring-focus", hidden: true });
  private readonly selectionRing = element("div", { class: "bp-ring bp-ring-selected", hidden: true });
  private readonly tooltip = element("div", { class: "bp-tooltip", role: "tooltip", hidden: true });
  private readonly spoken = element("div", { class: "bp-visually-hidden", "aria-live": "polite" });
  private readonly axesLabel = element("span", {});
  private readonly sliders = element("div", { class: "bp-sliders" });
  private readonly follow = element("input", { type: "checkbox" });
  private readonly followLabel: HTMLElement;
  private readonly observer: ResizeObserver;

  private run: Run | undefined;
  private geometry: Geometry | undefined;
  private codes: Uint8Array | undefined;
  private position: number[] = [];
  private sliderParts: { input: HTMLInputElement; value: HTMLElement; profile: HTMLCanvasElement }[] = [];
  private layout = NOT_LAID_OUT;
  private palette: Palette | undefined;
  private sprites: HTMLCanvasElement | undefined;
  /** The layer with one pixel a cell, kept between deltas, where cells are too small for shapes. */
  private pixels: { canvas: HTMLCanvasElement; image: ImageData; colours: Uint8Array } | undefined;
  /** The cell that the keyboard is on, as its place in the layer: it stays put when the layer changes. */
  private focused = 0;
  private hovered: number | undefined;
  private selected: number | undefined;

  constructor(private readonly actions: GridActions) {
    this.stage = element(
      "div",
      { class: "bp-stage", role: "group", tabindex: 0, "aria-label": "Blocks. Arrow keys move between blocks, Enter opens one." },
      this.canvas,
      this.selectionRing,
      this.focusRing,
      this.tooltip,
    );
    this.followLabel = element("label", { class: "bp-follow", title: "Show the layer in which blocks are changing" }, this.follow, "follow the run");
    this.follow.checked = true;
    this.root = element("div", { class: "bp-grid", hidden: true }, this.stage, element("div", { class: "bp-axes" }, this.axesLabel, this.followLabel), this.sliders, this.spoken);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.root);
    this.listen();
  }

  setRun(run: Run, geometry: Geometry): void {
    const sameGrid = this.run !== undefined && this.run.cells.join() === run.cells.join();
    this.run = run;
    this.geometry = geometry;
    if (sameGrid) return;
    this.codes = undefined;
    this.focused = 0;
    this.selected = undefined;
    this.layout = NOT_LAID_OUT;
    this.position = geometry.layerAxes.map(() => 0);
    this.follow.checked = true;
    this.buildSliders();
    const [rows, columns] = [run.cells.length - 2, run.cells.length - 1].map((axis) => geometry.axisName(axis));
    setText(this.axesLabel, geometry.isStrip ? `${columns} →` : `${rows} ↓  ${columns} →`);
    show(this.root, false);
  }

  /** Shows a new state of all cells. */
  setCells(codes: Uint8Array): void {
    const first = this.codes === undefined;
    this.codes = codes;
    show(this.root, true);
    if (first) {
      this.resize();
      this.showActive();
    } else this.drawAll();
  }

  /** Draws what a delta changed; `codes` given to `setCells` already holds the new states. */
  changed(cells: Uint32Array): void {
    const last = cells.at(-1);
    if (last === undefined || this.geometry === undefined) return;
    const { start, size } = this.layer;
    const elsewhere = cells.every((cell) => cell < start || cell >= start + size);
    if (this.follow.checked && elsewhere && this.moveTo(this.geometry.layerOf(last))) return;
    this.drawChanged(cells);
    this.drawProfiles();
    this.placeTooltip(this.hovered);
  }

  /** The whole in words; following is offered while something may change. */
  describe(summary: string, active: boolean): void {
    setAttribute(this.canvas, "aria-label", summary);
    show(this.followLabel, active && this.sliderParts.length > 0);
  }

  /** Marks a cell as the one whose details are open and shows its layer. */
  select(cell: number | undefined): void {
    this.selected = cell;
    if (cell !== undefined && this.geometry !== undefined) {
      this.follow.checked = false;
      this.moveTo(this.geometry.layerOf(cell));
      this.focused = cell - this.layer.start;
    }
    this.placeRings();
  }

  /** Reads the colours again and redraws: after a change of the theme. */
  refreshPalette(): void {
    this.palette = undefined;
    this.sprites = undefined;
    this.pixels = undefined;
    this.drawAll();
  }

  dispose(): void {
    this.observer.disconnect();
  }

  // Layers ----------------------------------------------------------------------------------------------------------

  private buildSliders(): void {
    const geometry = this.geometry;
    if (geometry === undefined) return;
    this.sliderParts = geometry.layerAxes.map((axis) => {
      const extent = this.run?.cells[axis] ?? 1;
      const name = geometry.axisName(axis);
      const input = element("input", { type: "range", min: 0, max: extent - 1, step: 1, value: 0, "aria-label": `Layer along ${name}` });
      input.addEventListener("input", () => {
        this.follow.checked = false;
        const position = [...this.position];
        position[axis] = Number(input.value);
        this.moveTo(position);
      });
      return { input, value: element("output", { class: "bp-layer" }), profile: element("canvas", { class: "bp-profile", "aria-hidden": "true" }) };
    });
    this.sliders.replaceChildren(
      ...this.sliderParts.map(({ input, value, profile }, index) =>
        element(
          "label",
          { class: "bp-slider" },
          element("span", { class: "bp-axis" }, geometry.axisName(geometry.layerAxes[index] ?? 0)),
          element("span", { class: "bp-track" }, profile, input),
          value,
        ),
      ),
    );

    this.showPosition();
  }

  /** Starts at the layer where something goes on: the first with a running or failed cell, else with one to do. */
  private showActive(): void {
    if (this.codes === undefined || this.geometry === undefined) return;
    const wanted = [Cell.Running, Cell.Retrying, Cell.Failed, Cell.Pending].map((code) => this.codes?.indexOf(code) ?? -1).find((cell) => cell >= 0);
    if (wanted !== undefined) this.moveTo(this.geometry.layerOf(wanted));
  }

  /** True if the layer changed, which draws it whole. */
  private moveTo(position: number[]): boolean {
    if (position.every((at, axis) => at === this.position[axis])) return false;
    this.position = position;
    this.placeTooltip(undefined);
    this.showPosition();
    this.drawAll();
    return true;
  }

  private showPosition(): void {
    this.sliderParts.forEach(({ input, value }, axis) => {
      const at = this.position[axis] ?? 0;
      const extent = this.run?.cells[axis] ?? 1;
      input.value = String(at);
      setAttribute(input, "aria-valuetext", `layer ${at + 1} of ${extent}`);
      setText(value, `${formatCount(at + 1)} / ${formatCount(extent)}`);
    });
  }

  private get layer(): { start: number; size: number } {
    return this.geometry?.layer(this.position) ?? { start: 0, size: 0 };
  }

  // Layout ----------------------------------------------------------------------------------------------------------

  private resize(): void {
    const geometry = this.geometry;
    const width = this.root.clientWidth;
    if (geometry === undefined || this.codes === undefined || width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.floor(width * ratio), TALLEST_GRID * ratio];
    const largest = LARGEST_CELL * ratio;
    let { columns, rows } = geometry;
    let pitch: number;
    if (geometry.isStrip) {
      const count = columns;
      const lines = (size: number): number => Math.ceil(count / Math.max(1, Math.floor(wide / size)));
      pitch = Math.max(1, Math.min(largest, Math.floor(Math.sqrt((wide * high) / count))));
      while (pitch > 1 && lines(pitch) * pitch > high) pitch -= 1;
      columns = Math.min(count, Math.floor(wide / pitch));
      rows = Math.ceil(count / columns);
    } else {
      const fit = Math.min(largest, wide / columns, high / rows);
      pitch = fit >= 1 ? Math.floor(fit) : fit;
    }
    this.layout = { columns, rows, pitch, ratio };
    const [pixelsWide, pixelsHigh] = [Math.max(1, Math.round(columns * pitch)), Math.max(1, Math.round(rows * pitch))];
    this.canvas.width = pixelsWide;
    this.canvas.height = pixelsHigh;
    this.stage.style.width = `${pixelsWide / ratio}px`;
    this.stage.style.height = `${pixelsHigh / ratio}px`;
    this.sprites = undefined;
    this.pixels = undefined;
    this.drawAll();
  }

  private get shaped(): boolean {
    return this.layout.pitch >= SMALLEST_SHAPED_CELL * this.layout.ratio;
  }

  /** Space between cells, in device pixels. */
  private get gap(): number {
    return Math.max(1, Math.round(this.layout.pitch / 10));
  }

  // Drawing ---------------------------------------------------------------------------------------------------------

  private drawAll(): void {
    const context = this.canvas.getContext("2d");
    if (context === null || this.codes === undefined || this.layout.pitch === 0) return;
    const { start, size } = this.layer;
    if (this.shaped) {
      context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      for (let offset = 0; offset < size; offset += 1) this.drawSprite(context, offset, this.codes[start + offset] ?? 0);
    } else {
      const pixels = this.preparePixels();
      if (pixels === undefined) return;
      for (let offset = 0; offset < size; offset += 1) this.setPixel(pixels, offset, this.codes[start + offset] ?? 0);
      this.drawPixels(context, pixels);
    }
    this.placeRings();
    this.drawProfiles();
  }

  private drawChanged(cells: Uint32Array): void {
    const context = this.canvas.getContext("2d");
    if (context === null || this.codes === undefined || this.layout.pitch === 0) return;
    const { start, size } = this.layer;
    const pixels = this.shaped ? undefined : this.preparePixels();
    let visible = false;
    for (const cell of cells) {
      const offset = cell - start;
      if (offset < 0 || offset >= size) continue;
      visible = true;
      if (pixels === undefined) this.drawSprite(context, offset, this.codes[cell] ?? 0);
      else this.setPixel(pixels, offset, this.codes[cell] ?? 0);
    }
    if (visible && pixels !== undefined) this.drawPixels(context, pixels);
  }

  private colours(): Palette {
    this.palette ??= readPalette(this.root);
    return this.palette;
  }

  /** Every state once, drawn at the size in use: a cell is then one copy. */
  private drawSprite(context: CanvasRenderingContext2D, offset: number, code: number): void {
    const { columns, pitch } = this.layout;
    const size = pitch - this.gap;
    if (this.sprites === undefined) {
      this.sprites = element("canvas", { width: size * CELL_CODES, height: size });
      const painter = this.sprites.getContext("2d");
      if (painter === null) return;
      for (let state = 0; state < CELL_CODES; state += 1) paintCell(painter, state, state * size, 0, size, this.colours());
    }
    const x = (offset % columns) * pitch;
    const y = Math.floor(offset / columns) * pitch;
    context.clearRect(x, y, size, size);
    context.drawImage(this.sprites, code * size, 0, size, size, x, y, size, size);
  }

  private preparePixels(): NonNullable<BlockGrid["pixels"]> | undefined {
    if (this.pixels !== undefined) return this.pixels;
    const { columns, rows } = this.layout;
    const canvas = element("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (context === null) return undefined;
    const colours = new Uint8Array(4 * CELL_CODES);
    for (let code = 0; code < CELL_CODES; code += 1) {
      const { colour, over, share = 0 } = cellColour(code, this.colours());
      const below = colourBytes(context, colour);
      const above = over === undefined ? below : colourBytes(context, over);
      below.forEach((value, i) => (colours[4 * code + i] = Math.round(value * (1 - share) + (above[i] ?? value) * share)));
    }
    context.clearRect(0, 0, 1, 1);
    this.pixels = { canvas, image: context.createImageData(columns, rows), colours };
    return this.pixels;
  }

  private setPixel(pixels: NonNullable<BlockGrid["pixels"]>, offset: number, code: number): void {
    pixels.image.data.set(pixels.colours.subarray(4 * code, 4 * code + 4), 4 * offset);
  }

  private drawPixels(context: CanvasRenderingContext2D, pixels: NonNullable<BlockGrid["pixels"]>): void {
    pixels.canvas.getContext("2d")?.putImageData(pixels.image, 0, 0);
    const { width, height } = this.canvas;
    context.imageSmoothingEnabled = this.layout.pitch < 1;
    context.clearRect(0, 0, width, height);
    context.drawImage(pixels.canvas, 0, 0, width, height);
    this.markFailed(context);
  }

  /** Where a cell is too small for a shape, failed ones still get their cross, larger than the cell. */
  private markFailed(context: CanvasRenderingContext2D): void {
    const { columns, pitch, ratio } = this.layout;
    const { start, size } = this.layer;
    const layer = this.codes?.subarray(start, start + size) ?? new Uint8Array();
    const palette = this.colours();
    const marks: number[] = [];
    for (let at = layer.indexOf(Cell.Failed); at >= 0; at = layer.indexOf(Cell.Failed, at + 1)) {
      if (marks.push(at) > MOST_MARKERS) return;
    }
    for (const [width, colour] of [[4.5 * ratio, palette.background], [2 * ratio, palette.failed]] as const) {
      for (const at of marks) {
        paintCross(context, ((at % columns) + 0.5) * pitch, (Math.floor(at / columns) + 0.5) * pitch, 3.5 * ratio, width, colour);
      }
    }
  }

  /** Above each slider: how far every layer is, and which have failed cells. */
  private drawProfiles(): void {
    const { codes, geometry } = this;
    if (codes === undefined || geometry === undefined) return;
    this.sliderParts.forEach(({ profile }, axis) => {
      const context = profile.getContext("2d");
      const [width, height] = [Math.round(profile.clientWidth * this.layout.ratio), Math.round(profile.clientHeight * this.layout.ratio)];
      if (context === null || width === 0) return;
      profile.width = width;
      profile.height = height;
      const { share, failed } = geometry.profile(axis, codes);
      const palette = this.colours();
      const step = width / share.length;
      const gap = step > 4 ? 1 : 0;
      share.forEach((part, at) => {
        const left = Math.round(at * step);
        const wide = Math.max(1, Math.round((at + 1) * step) - left - gap);
        context.fillStyle = palette.pending;
        context.fillRect(left, 0, wide, height);
        context.fillStyle = palette.done;
        context.fillRect(left, Math.round(height * (1 - part)), wide, height);
        if (failed[at] === 1) {
          const mark = Math.min(wide, Math.round(4 * this.layout.ratio));
          context.fillStyle = palette.failed;
          context.fillRect(left + Math.floor((wide - mark) / 2), 0, mark, mark);
        }
      });
    });
  }

  // Pointer and keyboard --------------------------------------------------------------------------------------------

  private listen(): void {
    this.stage.addEventListener("pointermove", (event) => this.placeTooltip(this.cellAt(event)));
    this.stage.addEventListener("pointerleave", () => this.placeTooltip(undefined));
    this.stage.addEventListener("click", (event) => {
      const cell = this.cellAt(event);
      if (cell !== undefined) this.actions.open(cell);
    });
    this.stage.addEventListener("keydown", (event) => this.keydown(event));
    this.stage.addEventListener("focus", () => this.placeRings());
    this.stage.addEventListener("blur", () => {
      show(this.focusRing, false);
      this.placeTooltip(undefined);
    });
  }

  private keydown(event: KeyboardEvent): void {
    const { start, size } = this.layer;
    const { columns } = this.layout;
    const at = this.focused;
    const row = at - (at % columns);
    switch (event.key) {
      case "ArrowLeft":
        return this.moveFocus(event, at - 1);
      case "ArrowRight":
        return this.moveFocus(event, at + 1);
      case "ArrowUp":
        return this.moveFocus(event, at - columns);
      case "ArrowDown":
        return this.moveFocus(event, at + columns);
      case "Home":
        return this.moveFocus(event, row);
      case "End":
        return this.moveFocus(event, Math.min(size, row + columns) - 1);
      case "PageUp":
        return this.turnLayer(event, start - size);
      case "PageDown":
        return this.turnLayer(event, start + size);
      case "Enter":
      case " ":
        event.preventDefault();
        return this.actions.open(start + at);
      case "Escape":
        return this.placeTooltip(undefined);
    }
  }

  private moveFocus(event: KeyboardEvent, to: number): void {
    event.preventDefault();
    if (to < 0 || to >= this.layer.size) return;
    this.focused = to;
    this.follow.checked = false;
    this.tellFocused();
  }

  private turnLayer(event: KeyboardEvent, start: number): void {
    event.preventDefault();
    if (this.geometry === undefined || start < 0 || start >= this.geometry.cells) return;
    this.follow.checked = false;
    this.moveTo(this.geometry.layerOf(start));
    this.tellFocused();
  }

  private tellFocused(): void {
    const cell = this.layer.start + this.focused;
    this.placeRings();
    this.placeTooltip(cell);
    setText(this.spoken, this.words(cell).join(", "));
  }

  private cellAt(event: MouseEvent): number | undefined {
    const box = this.canvas.getBoundingClientRect();
    const { columns, rows, pitch, ratio } = this.layout;
    const column = Math.floor(((event.clientX - box.left) * ratio) / pitch);
    const row = Math.floor(((event.clientY - box.top) * ratio) / pitch);
    const { start, size } = this.layer;
    const offset = row * columns + column;
    if (column < 0 || column >= columns || row < 0 || row >= rows || offset >= size) return undefined;
    return start + offset;
  }

  /** Corner and size of a cell of the layer on show, in CSS pixels. */
  private box(cell: number | undefined): { left: number; top: number; size: number } | undefined {
    const { start, size } = this.layer;
    if (cell === undefined || cell < start || cell >= start + size) return undefined;
    const { columns, pitch, ratio } = this.layout;
    const offset = cell - start;
    return {
      left: ((offset % columns) * pitch) / ratio,
      top: (Math.floor(offset / columns) * pitch) / ratio,
      size: (this.shaped ? pitch - this.gap : pitch) / ratio,
    };
  }

  private placeRings(): void {
    const focused = this.stage.matches(":focus-visible") ? this.layer.start + this.focused : undefined;
    for (const [ring, cell] of [[this.focusRing, focused], [this.selectionRing, this.selected]] as const) {
      const box = this.box(cell);
      show(ring, box !== undefined);
      if (box === undefined) continue;
      const extent = Math.max(box.size, 5);
      const shift = (extent - box.size) / 2;
      ring.style.left = `${box.left - shift}px`;
      ring.style.top = `${box.top - shift}px`;
      ring.style.width = ring.style.height = `${extent}px`;
    }
  }

  private words(cell: number): string[] {
    const { geometry, codes } = this;
    if (geometry === undefined || codes === undefined) return [];
    const { first, count } = geometry.blocksOfCell(cell);
    const region = geometry.regionOfCell(cell);
    return [
      count === 1 ? `block ${first}` : `${plural(count, "block")} from ${first}`,
      cellWords(codes[cell] ?? 0),
      ...(region === undefined ? [] : [region]),
    ];
  }

  private placeTooltip(cell: number | undefined): void {
    this.hovered = cell;
    const box = this.box(cell);
    show(this.tooltip, box !== undefined);
    if (cell === undefined || box === undefined) return;
    const [title = "", state = "", region] = this.words(cell);
    this.tooltip.replaceChildren(
      element("strong", {}, title),
      ` ${state}`,
      ...(region === undefined ? [] : [element("div", { class: "bp-mono" }, region)]),
    );
    const room = this.root.clientWidth - this.tooltip.offsetWidth;
    this.tooltip.style.left = `${Math.max(0, Math.min(box.left, room))}px`;
    this.tooltip.style.top = `${box.top + box.size + 6}px`;
  }
}
