/** The part of the anywidget front-end module (AFM) interface that these widgets use. */

export type CustomMessageHandler = (content: unknown, buffers?: DataView[]) => void;

/** The model that the kernel synchronises; the same under every kernel that opens an anywidget comm. */
export interface AnyModel {
  get(key: string): unknown;
  set(key: string, value: unknown): void;
  save_changes(): void;
  on(event: "msg:custom", handler: CustomMessageHandler): void;
  on(event: `change:${string}`, handler: () => void): void;
  off(event: "msg:custom", handler: CustomMessageHandler): void;
  off(event: `change:${string}`, handler: () => void): void;
  send(content: unknown): void;
}

/** Draws one view into `el` and returns what releases everything it took. */
export type Render = (context: { model: AnyModel; el: HTMLElement }) => () => void;
