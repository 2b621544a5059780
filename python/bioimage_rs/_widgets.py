"""The notebook widgets: they carry what the engine's panels say, and what the user answers."""

import difflib
import itertools
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import display

from bioimage_rs import _native
from bioimage_rs._host import Host
from bioimage_rs._progress import View
from bioimage_rs._runs import Run, find_program
from bioimage_rs.errors import BioimageError, from_native

_ASSETS = Path(__file__).parent / "widgets"
# At most four updates a second in all.
_INTERVAL = 0.25
# Requests of code are told from those of widgets by how their numbers begin.
_OF_CODE = "code-"
_numbers = itertools.count()


class PanelWidget(anywidget.AnyWidget):
    """A panel of the engine as a widget: what all of them have in common."""

    _esm = _ASSETS / "bioimage.js"
    _css = _ASSETS / "bioimage.css"

    view = traitlets.Unicode().tag(sync=True)
    run = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)

    def __init__(
        self, panel: "_native.Panel", variables: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        self._panel = panel
        self._variables = variables
        self._interrupt_only = not _has_subshells()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._wanted = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._telling = threading.RLock()
        self._answers: dict[str, Any] = {}
        super().__init__(view=panel.view, **kwargs)
        self.on_msg(self._receive)
        if not self._tick():
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
        """Look for news on a thread until there are none to be expected."""
        with self._lock:
            self._wanted = True
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._ticks, daemon=True)
                self._thread.start()
        self._wake.set()

    def _ticks(self) -> None:
        while True:
            self._wake.clear()
            with self._lock:
                self._wanted = False
            try:
                finished = self._tick()
            except Exception as error:
                # Such as one of an observer, of whom the notebook's user must hear.
                finished = False
                self.send({"type": "error", "kind": "foreign", "message": repr(error), "fix": None})
            with self._lock:
                if self._closed or (finished and not self._wanted):
                    self._thread = None
                    return
            self._wake.wait(_INTERVAL)

    def _tick(self) -> bool:
        # What is told must come in the order in which it was found out, whoever looks.
        with self._telling:
            try:
                told = self._panel.poll()
            except BioimageError as error:
                # The folder is damaged; whatever the widget asks next may succeed.
                told = ("{}", [(json.dumps(_refusal(error)), [])], True)
            return self._tell(told)

    def _tell(self, told: tuple[str, list[tuple[str, list[bytes]]], bool]) -> bool:
        changed, messages, finished = told
        state = json.loads(changed)
        if state.get("run"):
            state["run"]["interrupt_only"] = self._interrupt_only
        failed: Exception | None = None
        # In their order: the values are checked by the names of the form that comes before them.
        for key, value in state.items():
            try:
                if key in self.keys:
                    self.set_trait(key, value)
            except Exception as error:
                # Such as one of an observer, for which no answer may be lost.
                failed = failed or error
        for text, buffers in messages:
            content = json.loads(text)
            if str(content.get("request")).startswith(_OF_CODE):
                self._answers[content["request"]] = content
            else:
                self.send(content, buffers)
        if failed is not None:
            raise failed
        return finished

    def _ask(self, content: Mapping[str, Any]) -> None:
        """Ask the panel as the widget does."""
        variables = self._variables
        if variables is None:
            variables = getattr(get_ipython(), "user_ns", {})
        host = Host(dict(variables))
        finished = False
        try:
            with self._telling:
                told = self._panel.receive(json.dumps(content), host, find_program())
                finished = self._tell(told)
        finally:
            if not finished:
                self._follow()

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self._ask(content)

    def _answer(self, content: Mapping[str, Any]) -> Any:
        """Ask on behalf of code: the answer, or the error that it is."""
        number = f"{_OF_CODE}{next(_numbers)}"
        self._ask({**content, "request": number})
        # Looked for from here, too: this may be the thread that else would look.
        while number not in self._answers:
            self._tick()
            time.sleep(_INTERVAL / 10)
        answer = self._answers.pop(number)
        if answer["type"] == "error":
            raise from_native(answer["kind"], answer["message"], answer["fix"], None)
        return answer

    def last_look(self) -> None:
        """Take in what happened up to now."""
        self._tick()

    def fallback(self) -> dict[str, str]:
        """The last state for front ends without widgets, and for the saved notebook."""
        return {"text/plain": self._panel.text(), "text/html": self._panel.html()}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), **self.fallback()}, metadata

    def close(self) -> None:
        """Stop following."""
        self._closed = True
        if "_wake" in self.__dict__:  # it may have been refused before it was opened
            self._wake.set()
        super().close()


class RunProgress(PanelWidget):
    """A run, block by block, while it goes and afterwards.

    Parameters
    ----------
    run
        The run to follow, whoever leads it.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(_native.Panel.of_run(run._native, find_program()))


class _ShowsRun(PanelWidget):
    """A panel that shows a run below itself."""

    result = traitlets.Any(allow_none=True).tag(sync=True)

    @property
    def shown_run(self) -> Run | None:
        """The run that is shown below, if any."""
        native = self._panel.run()
        return None if native is None else Run(native, shown=True)


class OperationForm(_ShowsRun):
    """A form for the parameters of an operation, with the plan that follows from them.

    It can stand in any layout of ipywidgets. `values` may be observed and set: what is typed into
    each field, by the names of the options, with underscores. Inputs are called as in `bp help`
    (`SRC`), the output is `output`.

    Parameters
    ----------
    operation
        The operation, as in `%bp`.
    values
        What is filled in at first.
    variables
        Arrays that may stand where a path may, by name; by default those of the notebook.

    Raises
    ------
    InvalidInputError
        For an operation or a field that does not exist, with the nearest.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> form = bp.OperationForm("gaussian", {"SRC": "raw.tif", "output": "smooth.zarr"})
    >>> form.values = {**form.values, "sigma": (1, 2, 2)}
    >>> form.values["sigma"]
    '1,2,2'
    >>> form.line
    '%bp gaussian raw.tif smooth.zarr --sigma 1,2,2'
    """

    operations: Any = traitlets.List().tag(sync=True)
    starting = traitlets.Bool(False).tag(sync=True)
    form = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        operation: str = "copy",
        values: Mapping[str, Any] | None = None,
        *,
        variables: Mapping[str, Any] | None = None,
        _panel: "_native.Panel | None" = None,
    ) -> None:
        given = {name: _plain(value) for name, value in (values or {}).items()}
        panel = _panel or _native.Panel.operation_form(operation, json.dumps(given))
        super().__init__(panel, variables)

    @traitlets.validate("values")
    def _check_values(self, proposal: Any) -> dict[str, Any]:
        lists = _lists(self.form.get("sections", []))
        given = proposal["value"].items()
        values = {name: _typed(value, name in lists) for name, value in given}
        names = self._names()
        for name in values if names else ():
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                fix = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(names)}"
                raise traitlets.TraitError(f"the form has no field '{name}': {fix}")
        return values

    def _names(self) -> list[str]:
        sections = self.form.get("sections", [])
        return [field["name"] for section in sections for field in section["fields"]]

    def set_state(self, sync_data: Any) -> None:
        """Take what the widget says; a form that another one has just replaced may say too much."""
        names = self._names()
        if "values" in sync_data and names:
            known = {name: value for name, value in sync_data["values"].items() if name in names}
            sync_data = {**sync_data, "values": known}
        super().set_state(sync_data)

    def fallback(self) -> dict[str, str]:
        """The last state for front ends without widgets, and for the saved notebook."""
        # Values that code has set since are known after this.
        self._ask({"type": "plan", "values": self.values})
        return super().fallback()

    @property
    def operation(self) -> str:
        """The operation; assigning another one keeps the values that both have."""
        return str(self.form["operation"])

    @operation.setter
    def operation(self, name: str) -> None:
        self._answer({"type": "form", "operation": name, "values": self.values})

    @property
    def plan(self) -> dict[str, Any]:
        """What follows: `plan`, or `refusal` and why; `code`, `paths`, `presets`."""
        plan: dict[str, Any] = self._answer({"type": "plan", "values": self.values})
        return plan

    @property
    def line(self) -> str:
        """The `%bp` line that the form stands for.

        Raises
        ------
        InvalidInputError
            Where the form is not complete, or has a value that is not understood.
        """
        plan = self.plan
        if plan["code"] is None:
            refusal = plan["refusal"]
            raise from_native("invalid-argument", refusal["message"], refusal["fix"], None)
        return str(plan["code"]["bp"])

    def read(self, line: str) -> None:
        """Fill the form with a `%bp` line, which may be one of another operation."""
        self._answer({"type": "read", "line": line})

    def start(self) -> Run:
        """Start the run, as the button does, and show it below the form."""
        try:
            self._answer({"type": "start", "values": self.values})
        except KeyboardInterrupt:
            self._ask({"type": "stop-start"})
            raise
        run = self.shown_run
        assert run is not None
        return run


class RunsTable(_ShowsRun):
    """The runs on record, with what can be done with them; it follows what happens on disk."""

    runs: Any = traitlets.List().tag(sync=True)

    def __init__(self, *, _panel: "_native.Panel | None" = None) -> None:
        super().__init__(_panel or _native.Panel.runs_table())


class SlurmForm(PanelWidget):
    """A form for the defaults of runs on a cluster, checked against the cluster if there is one."""

    file = traitlets.Unicode().tag(sync=True)
    read_from = traitlets.Unicode(allow_none=True).tag(sync=True)
    sections: Any = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(self, *, _panel: "_native.Panel | None" = None) -> None:
        super().__init__(_panel or _native.Panel.slurm_form())

    @traitlets.validate("values")
    def _check_values(self, proposal: Any) -> dict[str, Any]:
        lists = _lists(self.sections)
        given = proposal["value"].items()
        return {name: _typed(value, name in lists) for name, value in given}


def ui(operation: str = "copy", **values: Any) -> OperationForm:
    """Show the form of an operation, as `%bp ui` does.

    Parameters
    ----------
    operation
        The operation, as in `%bp`.
    **values
        What is filled in: `SRC`, `output`, and options by their names.

    Returns
    -------
    The form, which the notebook shows below the cell.

    Raises
    ------
    InvalidInputError
        For an operation or a field that does not exist, with the nearest.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> bp.ui("label", SRC="cells.zarr", output="labels.zarr", connectivity=3).line
    '%bp label cells.zarr labels.zarr --connectivity 3'
    """
    return OperationForm(operation, values)


def widget_of(panel: "_native.Panel", variables: Mapping[str, Any]) -> PanelWidget:
    """The widget that carries a panel which a command gave back."""
    match panel.view:
        case "operation-form":
            return OperationForm(_panel=panel, variables=variables)
        case "runs-table":
            return RunsTable(_panel=panel)
        case _:
            return SlurmForm(_panel=panel)


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


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _typed(value: Any, is_list: bool) -> str | bool:
    """A value as it would be typed; items of a list stand in lines of their own."""
    if isinstance(value, bool):
        return value
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ("\n" if is_list else ",").join(str(item) for item in value)
    return str(value)


def _lists(sections: list[dict[str, Any]]) -> set[str]:
    """The fields that take one item a line."""
    fields = [field for section in sections for field in section["fields"]]
    return {field["name"] for field in fields if field["kind"] == "list"}


def _refusal(error: BioimageError) -> dict[str, Any]:
    return {"type": "error", "kind": error.kind, "message": str(error), "fix": error.fix}


def _has_subshells() -> bool:
    """Whether the kernel serves messages of widgets while a cell runs."""
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_supports_kernel_subshells", False))
