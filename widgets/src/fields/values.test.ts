import { describe, expect, it } from "vitest";
import { FormValues } from "./values";

describe("FormValues", () => {
  const make = () => {
    const clock = { now: 0 };
    const values = new FormValues(() => clock.now);
    values.replace({ sigma: "2" });
    return { clock, values };
  };

  it("gives what to send, and nothing where all is as before", () => {
    const { values } = make();
    expect(values.change("sigma", "3")).toEqual({ sigma: "3" });
    expect(values.change("sigma", "3")).toBeUndefined();
    expect(values.change("mode", "")).toBeUndefined();
  });

  it("does not take its own echo for a change, however late it is", () => {
    const { values } = make();
    values.change("sigma", "2.");
    values.change("sigma", "2.5");
    expect(values.take({ sigma: "2." })).toBe(false);
    expect(values.all).toEqual({ sigma: "2.5" });
  });

  it("takes what code sets, also back to what was typed a while ago", () => {
    const { clock, values } = make();
    expect(values.take({ sigma: "7" })).toBe(true);
    values.change("sigma", "8");
    values.change("sigma", "9");
    clock.now = 2000;
    expect(values.take({ sigma: "8" })).toBe(true);
    expect(values.text("sigma")).toBe("8");
  });

  it("takes no heed of the order of keys nor of empty values", () => {
    const { values } = make();
    expect(values.take({ overwrite: false, mode: "", sigma: "2" })).toBe(false);
  });
});
