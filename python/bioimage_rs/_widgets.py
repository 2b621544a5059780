"""The live view of a run as a notebook widget."""

import json
import threading
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from bioimage_rs import _native
from bioimage_rs._progress import View
from bioimage_rs._runs import Run, find_program

_ASSETS = Path(__file__).parent / "widgets"
# At most four updates a second in all.
_INTERVAL = 0.25


class RunProgress(anywidget.AnyWidget):
    """A run, block by block, while it goes and afterwards.

    Parameters
    ----------
    run
        The run to follow, whoever leads it.
    """

    _esm = _ASSETS / "bioimage.js"
    _css = _ASSETS / "bioimage.css"

    view = traitlets.Unicode("run-progress").tag(sync=True)
    run = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)

    def __init__(self, run: Run) -> None:
        self._live = _native.LiveView(run._native, find_program())
        self._interrupt_only = not _has_subshells()
        self._wake = threading.Event()
        self._closed = False
        super().__init__()
        self.on_msg(self._receive)
        self._tick()
        self._thread: threading.Thread | None = None
        self._follow()

    def open(self) -> None:
        """Open the comm, so that what the widget asks reaches a shell that is not busy."""
        super().open()
        comm: Any = self.comm
        # The front end addresses a subshell, which serves while a cell runs. ipykernel 7.4 sends
        # the message to the shell of the last update instead: that of the cell that runs.
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = lambda _data, addressed: addressed

    def _follow(self) -> None:
        """Follow the run on a thread until it is over."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._ticks, daemon=True)
            self._thread.start()

    def _ticks(self) -> None:
        while not self._closed and not self._tick():
            self._wake.wait(_INTERVAL)
            self._wake.clear()

    def _tick(self) -> bool:
        run, status, messages, finished = self._live.poll()
        if run is not None:
            self.run = json.loads(run) | {"interrupt_only": self._interrupt_only}
        if status is not None:
            self.status = json.loads(status)
        for content, buffers in messages:
            self.send(json.loads(content), buffers)
        return finished

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        for answer, buffers in self._live.receive(json.dumps(content)):
            self.send(json.loads(answer), buffers)
        if content.get("type") in ("retry", "resume", "cancel"):
            self._wake.set()
            self._follow()

    def last_look(self) -> None:
        """Take in what happened up to now."""
        self._tick()

    def fallback(self) -> dict[str, str]:
        """The last state for front ends without widgets, and for the saved notebook."""
        return {"text/plain": self._live.text(), "text/html": self._live.html()}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), **self.fallback()}, metadata

    def close(self) -> None:
        """Stop following."""
        self._closed = True
        self._wake.set()
        super().close()


class NotebookView(View):
    """The widget below a cell, and its last state in the saved notebook."""

    def __init__(self, run: Run) -> None:
        self._widget = RunProgress(run)
        run._shown = True
        data, metadata = self._widget._repr_mimebundle_()
        show: Any = display
        self._handle: Any = show(data, metadata=metadata, raw=True, display_id=True)

    def end(self) -> None:
        self._widget.last_look()
        data, metadata = self._widget._repr_mimebundle_()
        self._handle.update(data, metadata=metadata, raw=True)


def _has_subshells() -> bool:
    """Whether the kernel serves messages of widgets while a cell runs."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_supports_kernel_subshells", False))
