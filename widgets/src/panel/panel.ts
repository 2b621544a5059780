/** What every panel has: its model, its requests, a line for notices, and a way to let go of all of it. */

import type { AnyModel, CustomMessageHandler } from "../anywidget";
import { element, keepKeys } from "../dom";
import { Requests } from "../requests";
import type { ErrorAnswer } from "../run-progress/contract";
import type { Answers, PanelAnswer, PanelRequest, Replan } from "./contract";
import { Notice } from "./notice";

interface Asking {
  /** Where the answer is an error, and when the kernel is silent; the notice tells the reason in any case. */
  failed?: () => void;
  /** How long the kernel may take. */
  patience?: number;
}

/** Requests that are made without the user doing anything in particular. */
const QUIET: ReadonlySet<string> = new Set(["plan", "complete", "offers", "check"]);

const SILENCE = "The kernel does not answer: it is busy, or gone. What is shown here may be out of date.";

export class Panel {
  readonly root: HTMLElement;
  readonly notice = new Notice();
  /** Begins the ids of this view: a page may hold several views, also of one model, and several copies of the bundle. */
  readonly prefix = `bp-${Math.random().toString(36).slice(2, 10)}`;
  private readonly requests: Requests<PanelRequest, PanelAnswer>;
  private readonly releases: (() => void)[] = [];
  /** What the notice tells of: the next good answer to the same type of request, or any after a silence, ends it. */
  private trouble: { type: string; silent: boolean } | undefined;

  constructor(
    readonly model: AnyModel,
    name: string,
    label: string,
  ) {
    this.root = element("section", { class: `bp-widget bp-${name}`, "aria-label": label });
    keepKeys(this.root);
    this.requests = new Requests((message) => model.send(message));
    const take: CustomMessageHandler = (content) => {
      const message = content as PanelAnswer & { request?: number };
      if (this.requests.settle(message.request, message)) return;
      // What nobody has asked for, such as that a run cannot be read any more.
      if (message.type === "error" && typeof message.request !== "number") this.tellTrouble("news", message.message, message.fix);
    };
    model.on("msg:custom", take);
    this.releases.push(
      () => model.off("msg:custom", take),
      () => this.requests.dispose(),
    );
  }

  /** State of the model; nothing where the kernel has not set it. */
  state<T>(key: string): T | undefined {
    return (this.model.get(key) ?? undefined) as T | undefined;
  }

  /** Calls now, and at each change of a key of the model. */
  follow(key: string, handler: () => void): void {
    this.model.on(`change:${key}`, handler);
    this.releases.push(() => this.model.off(`change:${key}`, handler));
    handler();
  }

  /** Calls at each message of this type that answers nothing. */
  hear(type: Replan["type"], handler: () => void): void {
    const take: CustomMessageHandler = (content) => {
      if ((content as { type?: string }).type === type) handler();
    };
    this.model.on("msg:custom", take);
    this.releases.push(() => this.model.off("msg:custom", take));
  }

  onDispose(release: () => void): void {
    this.releases.push(release);
  }

  dispose(): void {
    for (const release of this.releases) release();
    this.root.remove();
  }

  ask<T extends PanelRequest["type"]>(
    request: PanelRequest & { type: T },
    answered: (answer: Answers[T]) => void,
    { failed, patience }: Asking = {},
  ): void {
    this.requests.ask(
      request,
      {
        answered: (answer) => {
          if (answer.type === "error") {
            const { message, fix } = answer as ErrorAnswer;
            this.tellTrouble(request.type, message, fix);
            failed?.();
          } else {
            this.endTrouble(request.type);
            answered(answer as Answers[T]);
          }
        },
        silent: () => {
          this.tellTrouble(request.type, SILENCE);
          failed?.();
        },
      },
      patience,
    );
  }

  /** Says something that needs no answer. */
  say(request: PanelRequest): void {
    try {
      this.model.send(request);
    } catch {
      // The kernel was restarted or is gone: whatever the user does next tells of it.
    }
  }

  private tellTrouble(type: string, message: string, fix?: string | null): void {
    this.trouble = { type, silent: message === SILENCE };
    this.notice.problem(message, fix);
  }

  private endTrouble(type: string): void {
    const ends = this.trouble?.type === "news" ? !QUIET.has(type) : this.trouble?.silent === true || this.trouble?.type === type;
    if (this.trouble === undefined || !ends) return;
    this.trouble = undefined;
    this.notice.clear();
  }
}
