/** What a user does, as events. */

export function type(input: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  input.focus();
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

export function choose(select: HTMLSelectElement, value: string): void {
  select.value = value;
  select.dispatchEvent(new Event("change", { bubbles: true }));
}

/** True unless the page is to do nothing of its own for the key. */
export function press(node: HTMLElement, key: string): boolean {
  return node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}
