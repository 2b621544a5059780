/** The blocks that failed, and the details of the one that is open. */

import { element, reconcile, setAttribute, setText, show } from "../dom";
import type { BlockAnswer, BlockAttempt, ErrorAnswer, Failure, Status } from "./contract";
import { formatCount, formatSeconds, plural } from "../format";

export class Failures {
  readonly root: HTMLElement;
  private readonly title = element("h4", {});
  private readonly list = element("ul", { class: "bp-failures" });
  private readonly more = element("p", { class: "bp-note" });
  private readonly rows = new Map<number | string, HTMLElement>();
  private selected: number | undefined;

  constructor(private readonly open: (block: number) => void) {
    this.root = element("section", { class: "bp-panel", hidden: true }, this.title, this.list, this.more);
  }

  update(status: Status): void {
    const { failures, failures_total: total } = status;
    show(this.root, total > 0);
    setText(this.title, `${plural(total, "failed block")}`);
    reconcile(
      this.list,
      this.rows,
      failures,
      (failure) => failure.block,
      (failure) => this.row(failure),
      (row, failure) => this.fill(row, failure),
    );
    show(this.more, total > failures.length);
    setText(this.more, `The first ${formatCount(failures.length)} are listed; all are in the run folder.`);
  }

  select(block: number | undefined): void {
    this.selected = block;
    for (const [key, row] of this.rows) this.mark(row, key === block);
    const row = block === undefined ? undefined : this.rows.get(block);
    if (row === undefined) return;
    // Scrolls the list only: the page stays where the reader is.
    const { scrollTop, clientHeight } = this.list;
    const top = row.offsetTop - this.list.offsetTop;
    this.list.scrollTop = Math.min(top, Math.max(scrollTop, top + row.offsetHeight - clientHeight));
  }

  private row(failure: Failure): HTMLElement {
    const part = (name: string): HTMLElement => element("span", { class: `bp-failure-${name}` });
    const button = element(
      "button",
      { type: "button", class: "bp-failure" },
      element("span", { class: "bp-cross", "aria-hidden": "true" }, "✕"),
      part("block"),
      part("kind"),
      part("region"),
      part("message"),
    );
    button.addEventListener("click", () => this.open(failure.block));
    return element("li", {}, button);
  }

  private fill(row: HTMLElement, failure: Failure): void {
    const set = (name: string, text: string): void => {
      const node = row.querySelector(`.bp-failure-${name}`);
      if (node !== null) setText(node, text);
    };
    const tries = failure.attempts > 1 ? `, ${failure.attempts} attempts` : "";
    set("block", `block ${failure.block}`);
    set("region", failure.region);
    set("kind", `${failure.kind} (${failure.class}${tries})`);
    set("message", failure.message);
    this.mark(row, failure.block === this.selected);
  }

  private mark(row: HTMLElement, selected: boolean): void {
    const button = row.firstElementChild;
    if (button !== null) setAttribute(button, "aria-current", selected ? "true" : undefined);
  }
}

/** Region, attempts and log of one block, as the kernel answers them. */
export class BlockDetails {
  readonly root: HTMLElement;
  private readonly title = element("h4", {});
  private readonly body = element("div", { class: "bp-details-body" });

  constructor(close: () => void) {
    const button = element("button", { type: "button", class: "bp-close", "aria-label": "Close the block's details" }, "✕");
    button.addEventListener("click", close);
    this.root = element("section", { class: "bp-panel bp-details", hidden: true, tabindex: -1 }, element("header", {}, this.title, button), this.body);
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
  }

  waiting(what: string): void {
    this.open(what);
    this.body.replaceChildren(element("p", { class: "bp-note" }, "Asking the kernel…"));
  }

  silent(): void {
    this.body.replaceChildren(
      element("p", { class: "bp-note" }, "The kernel did not answer: it is busy, or gone. The details appear here when it answers."),
    );
  }

  refused(error: ErrorAnswer): void {
    this.body.replaceChildren(element("p", { class: "bp-problem", role: "alert" }, [error.message, error.fix ?? ""].join(" ").trim()));
  }

  fill(answer: BlockAnswer): void {
    this.open(`Block ${answer.block}`);
    const rows = answer.attempts.flatMap((attempt) => [
      element(
        "tr",
        {},
        element("td", {}, String(attempt.attempt)),
        element("td", {}, String(attempt.task)),
        element("td", {}, attempt.state),
        element("td", { class: "bp-nowrap" }, attempt.started === null ? "" : localTime(attempt.started)),
        element("td", { class: "bp-number" }, attempt.duration_s === null ? "" : formatSeconds(attempt.duration_s)),
      ),
      ...(attempt.message === null
        ? []
        : [element("tr", { class: "bp-why" }, element("td", { colspan: 5 }, [attempt.kind, attempt.message].filter(Boolean).join(": "), ...traceback(attempt)))]),
    ]);
    const log = element("pre", { class: "bp-log", tabindex: 0, "aria-label": "End of the task's log" }, answer.log);
    this.body.replaceChildren(
      element("div", { class: "bp-region" }, element("span", { class: "bp-label" }, "region"), element("span", { class: "bp-mono" }, answer.region)),
      rows.length === 0
        ? element("p", { class: "bp-note" }, "No worker has started this block yet.")
        : element(
            "div",
            { class: "bp-scroll" },
            element(
              "table",
              {},
              element("thead", {}, element("tr", {}, ...["attempt", "task", "state", "started", "time"].map((name) => element("th", { scope: "col", class: name === "time" ? "bp-number" : "" }, name)))),
              element("tbody", {}, ...rows),
            ),
          ),
      ...(answer.log.trim() === "" ? [element("p", { class: "bp-note" }, "The task has written no log.")] : [log]),
    );
    // The end of a log says what went wrong.
    log.scrollTop = log.scrollHeight;
    this.root.scrollIntoView({ block: "nearest" });
  }

  close(): void {
    show(this.root, false);
  }

  private open(title: string): void {
    setText(this.title, title);
    setAttribute(this.root, "aria-label", title);
    show(this.root, true);
  }
}

function localTime(started: string): string {
  const time = new Date(started);
  return Number.isNaN(time.getTime()) ? started : time.toLocaleTimeString("en-GB");
}

/** What the host language tells of where a function failed. */
function traceback({ traceback }: BlockAttempt): HTMLElement[] {
  return traceback === null ? [] : [element("pre", { class: "bp-log", tabindex: 0, "aria-label": "Traceback" }, traceback)];
}
