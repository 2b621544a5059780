/** Small helpers over the DOM: enough for these widgets, so that the bundle carries no framework. */

type Child = Node | string;
type Attributes = Record<string, string | number | boolean | undefined>;

/** Creates an element; `true` sets an empty attribute, `false` and `undefined` leave it out. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...children);
  return node;
}

export function setAttribute(node: Element, name: string, value: string | number | boolean | undefined): void {
  if (value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}

/** Sets the text only when it differs: an unchanged node keeps a reader's selection and stays quiet in a live region. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Text in which `code` between backquotes, as messages carry it, is set as code. */
export function setProse(node: Element, text: string): void {
  const plain = text.replaceAll("`", "");
  if (node.textContent === plain) return;
  node.replaceChildren(...text.split("`").map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part)));
}

export function show(node: HTMLElement, visible: boolean): void {
  node.hidden = !visible;
}

/** JupyterLab listens on the document: without this, arrows leave the cell, Enter edits it and "d d" deletes it. */
export function keepKeys(root: HTMLElement): void {
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
}

/**
 * Makes the children of `parent` those of `items`, reusing the node of a key that stays. Lists are refreshed several
 * times a second while a run goes; replaced nodes would lose focus and scroll position each time.
 */
export function reconcile<T>(
  parent: HTMLElement,
  nodes: Map<number | string, HTMLElement>,
  items: readonly T[],
  key: (item: T) => number | string,
  create: (item: T) => HTMLElement,
  update: (node: HTMLElement, item: T) => void,
): void {
  const focused = document.activeElement;
  const wanted = new Set(items.map(key));
  // First of all: a node that is in the way makes all that follow it move.
  for (const [id, node] of nodes) {
    if (wanted.has(id)) continue;
    node.remove();
    nodes.delete(id);
  }
  items.forEach((item, index) => {
    const id = key(item);
    let node = nodes.get(id);
    if (node === undefined) {
      node = create(item);
      nodes.set(id, node);
    }
    update(node, item);
    const there = parent.children[index];
    if (there !== node) parent.insertBefore(node, there ?? null);
  });
  // A node that moves loses the focus.
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}
