/** Questions that change faster than they are answered: few are sent, and only the answer to the last counts. No DOM. */

/** At most one question in this time. */
export const EVERY_MS = 60;

export class Latest {
  /** Counts the wishes; a question carries the number of the wish that it was sent for. */
  private wish = 0;
  private inFlight: number | undefined;
  private waiting = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `send` asks, and calls `settle` with the number once there is an answer or no hope of one. */
  constructor(private readonly send: (wish: number) => void) {}

  /** Something changed: the answer that is known, or on its way, no longer counts. */
  want(): void {
    this.wish += 1;
    this.waiting = true;
    this.sendIfFree();
  }

  /** True if this is the answer to the last wish. */
  settle(wish: number): boolean {
    if (wish === this.inFlight) this.inFlight = undefined;
    this.sendIfFree();
    return wish === this.wish;
  }

  /** True while what is known is what was wished last. */
  get isCurrent(): boolean {
    return !this.waiting && this.inFlight === undefined;
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting = false;
  }

  // A question on its way is waited for: a kernel that is busy then finds one question, not one for each key pressed.
  private sendIfFree(): void {
    if (!this.waiting || this.timer !== undefined || this.inFlight !== undefined) return;
    this.waiting = false;
    this.inFlight = this.wish;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.sendIfFree();
    }, EVERY_MS);
    this.send(this.wish);
  }
}
