import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EVERY_MS, Latest } from "./latest";

describe("Latest", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const make = () => {
    const sent: number[] = [];
    return { sent, latest: new Latest((wish) => sent.push(wish)) };
  };

  it("sends the first at once, and then at most one in a while", () => {
    const { sent, latest } = make();
    latest.want();
    latest.settle(1);
    latest.want();
    latest.want();
    expect(sent).toEqual([1]);
    vi.advanceTimersByTime(EVERY_MS - 1);
    expect(sent).toEqual([1]);
    vi.advanceTimersByTime(1);
    expect(sent).toEqual([1, 3]);
  });

  it("counts only the answer to the last wish", () => {
    const { latest } = make();
    latest.want();
    latest.want();
    expect(latest.settle(1)).toBe(false);
    vi.advanceTimersByTime(EVERY_MS);
    expect(latest.isCurrent).toBe(false);
    expect(latest.settle(2)).toBe(true);
    expect(latest.isCurrent).toBe(true);
  });

  it("waits for the answer on its way: a busy kernel finds one question", () => {
    const { sent, latest } = make();
    for (let i = 0; i < 20; i += 1) {
      latest.want();
      vi.advanceTimersByTime(EVERY_MS);
    }
    expect(sent).toEqual([1]);
    latest.settle(1);
    expect(sent).toEqual([1, 20]);
  });

  it("leaves no timer behind", () => {
    const { latest } = make();
    latest.want();
    latest.dispose();
    expect(vi.getTimerCount()).toBe(0);
  });
});
