"""Shows a run while it goes: the live view in a notebook, a line in a terminal, else nothing."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bioimage_rs import _native
from bioimage_rs._runs import Run, find_program

# At most four updates a second in all.
_INTERVAL = 0.25


@contextmanager
def showing(run: Run) -> Iterator[None]:
    """Show a run for as long as the block lasts, and its last state after that."""
    view = begin(run)
    try:
        yield
    finally:
        view.end()


def begin(run: Run) -> "View":
    """Begin to show a run in the way that fits where the code runs."""
    if in_notebook():
        try:
            from bioimage_rs._widgets import NotebookView
        except ImportError:
            # Without anywidget there is still the text.
            return View()
        return NotebookView(run)
    if sys.stderr is not None and sys.stderr.isatty():
        return TerminalView(run)
    return View()


class View:
    """Shows nothing; what the others have in common."""

    def end(self) -> None:
        """Show the last state."""


class TerminalView(View):
    """One line on the terminal, rewritten while the run goes."""

    def __init__(self, run: Run) -> None:
        self._panel = _native.Panel.of_run(run._native, find_program())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._over.wait(_INTERVAL):
            self._write("\r")

    def _write(self, end: str) -> None:
        changed, _, _ = self._panel.poll()
        status = json.loads(changed).get("status")
        if status is None and end == "\r":
            return
        counts = status["counts"] if status else None
        text = self._panel.text().splitlines()[0]
        if counts and counts["total"]:
            text += f" ({100 * (counts['done'] + counts['skipped']) / counts['total']:.0f} %)"
        sys.stderr.write(f"\r\x1b[2K{text}{end}")
        sys.stderr.flush()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._write("\n")


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and getattr(shell, "kernel", None) is not None
