/** What jsdom lacks of a browser: layout and canvas. Views then draw nothing, which these tests do not look at. */

import { vi } from "vitest";

class SilentResizeObserver {
  observe(): void {}
  disconnect(): void {}
}

vi.stubGlobal("ResizeObserver", SilentResizeObserver);
vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => undefined, removeEventListener: () => undefined }));
HTMLCanvasElement.prototype.getContext = () => null;
Element.prototype.scrollIntoView = () => undefined;
