/** Requests to the kernel: each has a number, its answer repeats it, and silence is told to the user. */

/** What a view asks, or is told: everything else depends on the type. */
interface Typed {
  type: string;
}

export interface Outcome<Answer> {
  answered(answer: Answer): void;
  /** No answer in time. It may still come: `answered` is called then, too. */
  silent(): void;
}

interface Pending<Answer> {
  outcome: Outcome<Answer>;
  timer: ReturnType<typeof setTimeout>;
}

/** How long a kernel that serves messages may take; one that is busy answers only after its cell. */
export const PATIENCE_MS = 5000;

export class Requests<Request extends Typed, Answer extends Typed> {
  private readonly pending = new Map<number, Pending<Answer>>();
  // Answers reach every view of the model, in every browser window: numbers must not meet between views.
  private next = Math.floor(Math.random() * 2 ** 21) * 1024;

  constructor(private readonly send: (message: Request & { request: number }) => void) {}

  ask(request: Request, outcome: Outcome<Answer>, patience = PATIENCE_MS): void {
    const number = this.next;
    this.next += 1;
    const wait = (time: number): void => {
      this.pending.set(number, { outcome, timer: setTimeout(() => outcome.silent(), time) });
    };
    wait(patience);
    try {
      this.send({ ...request, request: number });
    } catch {
      // The kernel was restarted or is gone: whatever was asked, that is told in time.
      clearTimeout(this.pending.get(number)?.timer);
      wait(Math.min(patience, PATIENCE_MS));
    }
  }

  /** True if the message answers a request of this view. */
  settle(number: number | undefined, answer: Answer): boolean {
    const pending = number === undefined ? undefined : this.pending.get(number);
    if (number === undefined || pending === undefined) return false;
    clearTimeout(pending.timer);
    this.pending.delete(number);
    pending.outcome.answered(answer);
    return true;
  }

  dispose(): void {
    for (const { timer } of this.pending.values()) clearTimeout(timer);
    this.pending.clear();
  }
}
