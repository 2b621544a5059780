import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer, Request } from "./run-progress/contract";
import { PATIENCE_MS, Requests } from "./requests";

describe("Requests", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const make = () => {
    const sent: { type: string; request: number }[] = [];
    const requests = new Requests<Request, Answer>((message) => sent.push(message));
    const outcome = () => ({ answered: vi.fn(), silent: vi.fn() });
    return { sent, requests, outcome };
  };

  it("gives each answer to its request", () => {
    const { sent, requests, outcome } = make();
    const [first, second] = [outcome(), outcome()];
    requests.ask({ type: "cancel" }, first);
    requests.ask({ type: "block", block: 3 }, second);
    expect(sent[1]).toMatchObject({ type: "block", block: 3 });
    expect(requests.settle(sent[1]?.request, { type: "ok" })).toBe(true);
    expect(second.answered).toHaveBeenCalledWith({ type: "ok" });
    expect(first.answered).not.toHaveBeenCalled();
  });

  it("takes a kernel that is gone for a silent one", () => {
    const { outcome } = make();
    const asked = outcome();
    const requests = new Requests<Request, Answer>(() => {
      throw new Error("Cannot send");
    });
    requests.ask({ type: "ready" }, asked, 1000 * PATIENCE_MS);
    expect(asked.silent).not.toHaveBeenCalled();
    vi.advanceTimersByTime(PATIENCE_MS);
    expect(asked.silent).toHaveBeenCalledOnce();
  });

  it("ignores the answers of other views", () => {
    const { requests } = make();
    expect(requests.settle(-1, { type: "ok" })).toBe(false);
    expect(requests.settle(undefined, { type: "ok" })).toBe(false);
  });

  it("tells silence once, and still takes a late answer", () => {
    const { sent, requests, outcome } = make();
    const late = outcome();
    requests.ask({ type: "cancel" }, late);
    vi.advanceTimersByTime(PATIENCE_MS - 1);
    expect(late.silent).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(late.silent).toHaveBeenCalledOnce();
    requests.settle(sent[0]?.request, { type: "ok" });
    expect(late.answered).toHaveBeenCalledOnce();
    expect(requests.settle(sent[0]?.request, { type: "ok" })).toBe(false);
  });

  it("is silent itself after it was disposed of", () => {
    const { requests, outcome } = make();
    const dropped = outcome();
    requests.ask({ type: "cancel" }, dropped);
    requests.dispose();
    vi.advanceTimersByTime(10 * PATIENCE_MS);
    expect(dropped.silent).not.toHaveBeenCalled();
  });
});
