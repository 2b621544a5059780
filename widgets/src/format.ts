/** Numbers as a reader wants them: short, with a unit that stays on the line, of steady width. */

const SPACE = "\u00a0";

const integer = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `1234567` as `1,234,567`. */
export function formatCount(value: number): string {
  return integer.format(value);
}

/** Three significant digits, but never fewer digits than the whole part has. */
function significant(value: number): string {
  const decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toFixed(decimals);
}

function scaled(value: number, base: number, units: readonly string[]): [string, string] {
  let scale = 0;
  let rest = value;
  // The limit is where three digits would round up to the next unit.
  while (rest >= base - 0.5 && scale < units.length - 1) {
    rest /= base;
    scale += 1;
  }
  return [scale === 0 ? String(Math.round(rest)) : significant(rest), units[scale] ?? ""];
}

/** Binary units, as memory limits are given: `1.50 GiB`. */
export function formatBytes(bytes: number): string {
  const [number, unit] = scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
  return `${number}${SPACE}${unit}`;
}

/** `52.1 M` of `52_100_000`. */
export function formatScaled(value: number): string {
  const [number, unit] = scaled(value, 1000, ["", "k", "M", "G", "T"]);
  return unit === "" ? number : `${number}${SPACE}${unit}`;
}

/** `0:07`, `12:34`, `3:04:05`, `2 d 03:04`; sub-second times of a block as `0.42 s` by `formatSeconds`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const [s, m, h] = [whole % 60, Math.floor(whole / 60) % 60, Math.floor(whole / 3600)];
  if (h === 0) return `${m}:${two(s)}`;
  if (h < 24) return `${h}:${two(m)}:${two(s)}`;
  return `${Math.floor(h / 24)} d ${two(h % 24)}:${two(m)}`;
}

/** The time one block took: `0.42 s`, `12.3 s`, then as a duration. */
export function formatSeconds(seconds: number): string {
  return seconds < 60 ? `${significant(seconds)}${SPACE}s` : formatDuration(seconds);
}

/** Whole percents, but never 100 before all is done nor 0 once something is. */
export function formatPercent(part: number, total: number): string {
  if (total <= 0) return `0${SPACE}%`;
  const percent = Math.round((100 * part) / total);
  if (part < total && percent === 100) return `99${SPACE}%`;
  if (part > 0 && percent === 0) return `<1${SPACE}%`;
  return `${percent}${SPACE}%`;
}

/** `1 block`, `2 blocks`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** How long ago, in the largest unit that fits: `12 s`, `3 min`, `5 h`, `8 d`. */
export function formatAge(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}${SPACE}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}${SPACE}min`;
  if (whole < 2 * 86_400) return `${Math.floor(whole / 3600)}${SPACE}h`;
  return `${Math.floor(whole / 86_400)}${SPACE}d`;
}
