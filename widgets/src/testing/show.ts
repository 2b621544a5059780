import widget from "../index";
import { FakeModel, makeRun, makeStatus } from "./fake-model";

const cleanups: (() => void)[] = [];

/** Draws the view of a model's state into the page, with ways to look at it. */
export function show(state: Record<string, unknown> = { view: "run-progress", run: makeRun(), status: makeStatus() }) {
  const model = new FakeModel(state);
  const el = document.createElement("div");
  document.body.append(el);
  const dispose = widget.render({ model, el });
  cleanups.push(() => {
    dispose();
    el.remove();
  });
  const get = <T extends HTMLElement>(selector: string): T => {
    const node = el.querySelector<T>(selector);
    if (node === null) throw new Error(`nothing matches ${selector}`);
    return node;
  };
  const visible = (node: Element): boolean => node.closest("[hidden]") === null;
  const button = (label: string): HTMLButtonElement => {
    const found = [...el.querySelectorAll("button")].find((each) => visible(each) && each.textContent === label);
    if (found === undefined) throw new Error(`no button "${label}"`);
    return found;
  };
  const buttons = (): string[] => [...el.querySelectorAll(".bp-buttons button")].filter(visible).map((each) => each.textContent ?? "");
  const text = (selector: string): string => (get(selector).textContent ?? "").replaceAll("\u00a0", " ");
  return { model, el, dispose, get, button, buttons, text, visible };
}

export function closeAll(): void {
  for (const cleanup of cleanups.splice(0)) cleanup();
}
