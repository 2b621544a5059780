"""The place where a command was typed, as the engine sees it."""

import sys
from typing import Any

from bioimage_rs import _native
from bioimage_rs._progress import View, begin
from bioimage_rs._runs import Run
from bioimage_rs.sources import Source, as_source
from bioimage_rs.sources._array import engine_array


class Host:
    """Shows what a command does, and gives it the arrays of the notebook.

    Parameters
    ----------
    variables
        Arrays that may stand where a path may, by name.
    shows_panels
        Whether forms and tables can be shown.
    """

    def __init__(self, variables: dict[str, Any], *, shows_panels: bool = False) -> None:
        self.variables = variables
        self.shows_panels = shows_panels
        self._views: dict[str, View] = {}
        self.shown: set[str] = set()

    def text(self, text: str) -> None:
        """Show a note."""
        sys.stdout.write(text.rstrip("\n") + "\n")

    def run_started(self, native: "_native.Run") -> None:
        """Show a run from now on."""
        run = Run(native)
        self._views[str(run.folder)] = begin(run)
        self.shown.add(str(run.folder))

    def run_ended(self, native: "_native.Run") -> None:
        """Show a run's last state."""
        view = self._views.pop(str(native.folder), None)
        if view is not None:
            view.end()

    def array(self, name: str, writable: bool) -> "_native.Array | None":
        """The array that a variable of the notebook holds."""
        held = self.variables.get(name)
        if not isinstance(held, Source) and not (hasattr(held, "shape") and hasattr(held, "dtype")):
            return None
        return engine_array(as_source(held), writable=writable)

    def end(self) -> None:
        """Let go of every view, whatever happened."""
        for view in self._views.values():
            view.end()
        self._views.clear()
