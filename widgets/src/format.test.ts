import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, formatPercent, formatScaled, formatSeconds, plural } from "./format";

/** Units are joined by a space that does not break; tests read better with a plain one. */
const plain = (text: string): string => text.replaceAll("\u00a0", " ");

describe("format", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [10 * 1024, "10.0 KiB"],
    [1024 * 1024 - 1, "1.00 MiB"],
    [1.5 * 2 ** 30, "1.50 GiB"],
    [620 * 2 ** 20, "620 MiB"],
    [3 * 2 ** 60, "3072 PiB"],
  ])("bytes: %d is %s", (bytes, text) => expect(plain(formatBytes(bytes))).toBe(text));

  it.each([
    [7, "7"],
    [999, "999"],
    [1000, "1.00 k"],
    [52_100_000, "52.1 M"],
    [999_999, "1.00 M"],
  ])("scaled: %d is %s", (value, text) => expect(plain(formatScaled(value))).toBe(text));

  it.each([
    [-1, "0:00"],
    [59.9, "0:59"],
    [60, "1:00"],
    [3 * 3600 + 4 * 60 + 5, "3:04:05"],
    [2 * 86400 + 3 * 3600 + 4 * 60, "2 d 03:04"],
  ])("duration: %d s is %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  it.each([
    [0.4242, "0.42 s"],
    [12.34, "12.3 s"],
    [75, "1:15"],
  ])("seconds: %d is %s", (seconds, text) => expect(plain(formatSeconds(seconds))).toBe(text));

  it.each([
    [0, 0, "0 %"],
    [1, 1000, "<1 %"],
    [999, 1000, "99 %"],
    [1000, 1000, "100 %"],
    [1, 3, "33 %"],
  ])("percent: %d of %d is %s", (part, total, text) => expect(plain(formatPercent(part, total))).toBe(text));

  it("groups digits and counts nouns", () => {
    expect(formatCount(1234567)).toBe("1,234,567");
    expect(plural(1, "block")).toBe("1 block");
    expect(plural(1680, "block")).toBe("1,680 blocks");
  });
});
