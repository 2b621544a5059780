"""Runs: those on record, and what can be done with one."""

import atexit
import functools
import json
import os
import pickle
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioimage_rs import _native
from bioimage_rs._threads import end_run
from bioimage_rs.errors import BioimageError, BlockFailure, CancelledError, RunnerError

if TYPE_CHECKING:
    from bioimage_rs.runner import RunnerConfig

__all__ = ["Run", "attach", "runs"]

# Called with the numbers of blocks by state, and their `total`.
Progress = Callable[[dict[str, int]], None]


class Run:
    """A run: its folder, and everything that can be done with it.

    Made by `attach`, `runs` and `%bp`, not by hand.
    """

    def __init__(
        self,
        native: "_native.Run",
        *,
        shown: bool = False,
        function: "_native.Function | None" = None,
        ids: Sequence[int] | None = None,
    ) -> None:
        self._native = native
        # Whether a live view of it stands in the notebook already.
        self._shown = shown
        # A function that keeps its values in this process, and the blocks or items asked for.
        self._function = function
        self._ids = ids
        # Whoever starts a function's run has limited the threads of libraries for it.
        self._limits_threads = function is not None
        if function is not None:
            _calling_back.add(self)

    @property
    def folder(self) -> Path:
        """Where everything about the run is kept."""
        return Path(self._native.folder)

    @property
    def id(self) -> str:
        """The short name."""
        return str(self.request["id"])

    @property
    def request(self) -> dict[str, Any]:
        """What was asked for."""
        request: dict[str, Any] = json.loads(self._native.request())
        return request

    @property
    def state(self) -> str:
        """`running`, `cancelling`, `succeeded`, `failed`, `cancelled` or `interrupted`."""
        return self._native.state

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of blocks by state."""
        summary: dict[str, Any] = json.loads(self._native.summary())
        return dict(summary["counts"])

    @property
    def outcome(self) -> dict[str, Any] | None:
        """How the latest attempt ended, once it has."""
        file = self.folder / "outcome.json"
        if not file.exists():
            return None
        outcome: dict[str, Any] = json.loads(file.read_text())
        return outcome

    @property
    def failures(self) -> list[BlockFailure]:
        """Why blocks failed, one entry for each."""
        return [
            BlockFailure(
                self._item(failed["block"]),
                failed["error"]["kind"],
                failed["error"]["message"],
                failed["error"].get("traceback"),
            )
            for failed in json.loads(self._native.failures())
        ]

    @property
    def output(self) -> Any:
        """The output, opened for reading; a list where there are several."""
        from bioimage_rs.sources import open_source

        found = []
        for record in self.request["outputs"]:
            spec = record["spec"]
            if spec is None:
                raise ValueError("the output of this run lives in memory")
            found.append(open_source(spec["path"], spec.get("array") or None))
        return found[0] if len(found) == 1 else found

    @property
    def result(self) -> Any:
        """What the run computed.

        The list of a function's values, in the order of the blocks or items; the columns of a
        measurement's table; of anything else its output.
        """
        if not self._has_values and not self.request["outputs"]:
            from bioimage_rs._measurement import table

            return table(self)
        if not self._has_values:
            return self.output
        values = dict(self._new_values())
        ids = self._ids or self.request.get("block_ids") or range(self.counts["total"])
        return [values[number] for number in ids]

    @property
    def _has_values(self) -> bool:
        return bool(self._parameters.get("has_return_val"))

    @property
    def _parameters(self) -> dict[str, Any]:
        return self.request["operation"].get("parameters") or {}

    def _item(self, number: int) -> int:
        """The item that a function was called with; of blocks, their number."""
        items = self._parameters.get("item_ids")
        return number if items is None else int(items[number])

    def _new_values(
        self, reader: "_native.PartialReader | None" = None
    ) -> Iterator[tuple[int, Any]]:
        """Values of a function: those that this process keeps, or those in the run's folder."""
        if self._function is not None:
            yield from self._function.values()
            return
        for number, data in (reader or _native.PartialReader(self._native)).poll():
            yield number, pickle.loads(data)

    def stream(self) -> Iterator[tuple[int, Any]]:
        """Give what a function returns as it comes.

        Yields
        ------
        Number of the block or item, and its value, in the order in which they are done, each once.

        Raises
        ------
        RunnerError
            After the last value, if blocks failed.

        Examples
        --------
        >>> import bioimage_rs as bp
        >>> run = bp.get_runner("local").start_map(lambda item: item**2, 3)
        >>> sorted(run.stream())
        [(0, 0), (1, 1), (2, 4)]
        """
        reader = _native.PartialReader(self._native)
        items = self._parameters.get("item_ids")
        seen: set[int] = set()
        with stopped_by_interrupt(self):
            ended = False
            while not ended:
                ended = self._wait(0.02) is not None
                for number, value in self._newest_values(reader):
                    if number not in seen:
                        seen.add(number)
                        yield number if items is None else items[number], value
            finish(self)

    def _newest_values(self, reader: "_native.PartialReader") -> Iterator[tuple[int, Any]]:
        """Those since the last look."""
        if self._function is None:
            yield from self._new_values(reader)
            return
        for number in self._function.take_new():
            yield number, self._function.value(number)

    def _let_go(self) -> None:
        """Take back what was set for a function that this process calls."""
        if self._limits_threads:
            self._limits_threads = False
            end_run()

    def _wait(self, seconds: float) -> str | None:
        """The outcome, once there is one."""
        if self._native.is_led_here:
            ended = self._native.wait(seconds)
            if ended is not None:
                self._let_go()
            return ended
        if self._native.state in ("running", "cancelling"):
            # Jobs on a cluster outlive whoever submitted them.
            led = self._native.adopt()
            if led is not None:
                self._native = led
                return None
            time.sleep(max(seconds, 0.1))
            return None
        return json.dumps(self.outcome)

    def wait(self) -> "Run":
        """Wait for the end; an interrupt cancels a run that this process leads.

        A run on a cluster goes on when nobody waits for it, and is led by whoever waits: submitted
        again what was lost, and brought to its end.

        Raises
        ------
        RunnerError
            If blocks failed.
        """
        with stopped_by_interrupt(self):
            finish(self)
        return self

    def cancel(self) -> None:
        """Ask the run to stop, whoever leads it."""
        self._native.cancel()

    def resume(
        self,
        *,
        num_workers: int | None = None,
        backend: str | None = None,
        memory: int | None = None,
        force: bool = False,
        verify: bool = False,
        paths: Mapping[str, str] | None = None,
        job_config: "RunnerConfig | None" = None,
    ) -> "Run":
        """Finish what is not done.

        Parameters
        ----------
        num_workers, backend, memory
            As before where they are not given; memory in bytes.
        force
            Go on although an input or the engine changed.
        verify
            Also decode what is said to be done.
        paths
            Folders that have other names now than when the run was made: `{old: new}`.
        job_config
            Settings of the backend, such as a `SlurmConfig` with more memory or time.
        """
        self._resume(
            workers=num_workers,
            backend=backend,
            budget=memory,
            force=force,
            verify=verify,
            paths=None if paths is None else dict(paths),
            **({} if job_config is None else job_config._resumed_with()),
        )
        return self.wait()

    def _resume(self, **settings: Any) -> None:
        self._native.resume(program=find_program(), **settings)
        # The values are those of all attempts now, which the run's folder has.
        self._function = None

    def logs(self) -> str:
        """What the workers printed."""
        files = sorted((self.folder / "logs").glob("*"))
        texts = [(file.name, file.read_text(errors="replace").strip()) for file in files]
        return "\n".join(f"== {name}\n{text}" for name, text in texts if text)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        panel = _native.Panel.of_run(self._native)
        panel.poll()
        if self._shown:
            return {"text/plain": panel.text()}
        return {"text/plain": panel.text(), "text/html": panel.html()}

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.state}>"


def find_program() -> str | None:
    """The `bp` program that was installed with this package, or that of `$BIOIMAGE_RS_BP`."""
    named = os.environ.get("BIOIMAGE_RS_BP")
    program = Path(named) if named else _scripts() / "bp"
    return str(program) if program.exists() else None


@functools.cache
def _scripts() -> Path:
    import sysconfig

    return Path(sysconfig.get_path("scripts"))


# Runs whose threads call functions of this interpreter, which must not outlive it.
_calling_back: "weakref.WeakSet[Run]" = weakref.WeakSet()


@atexit.register
def _stop_calling_back() -> None:
    going_on = [run for run in _calling_back if run._native.wait(0) is None]
    for run in going_on:
        run._native.cancel()
    deadline = time.monotonic() + 2
    for run in going_on:
        run._native.wait(max(0.0, deadline - time.monotonic()))


@contextmanager
def stopped_by_interrupt(run: Run) -> Iterator[None]:
    """Cancel a run when the block is left by an exception before the run has ended.

    An interrupt waits until a run that this process leads has stopped (about a second at most), and
    is raised again with a note that says how to go on. A run on a cluster is left alone.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        run._native.stop(interrupt)
        run._let_go()
        raise
    except BaseException as reason:
        if run._native.is_led_here and run._native.wait(0) is None:
            if run._native.is_on_cluster:
                run._native.stop(reason)
            else:
                run._native.cancel()
        run._let_go()
        raise


def finish(run: Run, progress: Progress | None = None) -> dict[str, Any]:
    """Wait for a run, and turn its failure into an exception."""
    told = _Told(run, progress)
    while True:
        # In short steps, so that Python sees an interrupt.
        ended = run._wait(0.05)
        told.look(last=ended is not None)
        if ended is not None:
            break
    outcome: dict[str, Any] = json.loads(ended) or {
        "state": run.state,
        "failed_blocks": [],
    }
    raise_for(run, outcome)
    return outcome


class _Told:
    """Tells a callback how far a run is, whenever that changed."""

    def __init__(self, run: Run, progress: Progress | None) -> None:
        self.progress = progress
        self.panel = None if progress is None else _native.Panel.of_run(run._native, find_program())
        self.looked = 0.0

    def look(self, *, last: bool) -> None:
        now = time.monotonic()
        if self.progress is None or self.panel is None or (now < self.looked + 0.1 and not last):
            return
        self.looked = now
        changed, _, _ = self.panel.poll()
        status = json.loads(changed).get("status")
        if status is not None:
            self.progress(status["counts"])


def raise_for(run: Run, outcome: dict[str, Any]) -> None:
    """Raise what a run's outcome stands for, if it did not succeed."""
    if outcome["state"] == "succeeded":
        return
    request = run.request
    error = outcome.get("error") or {}
    cause = None
    if outcome["state"] in ("cancelled", "interrupted"):
        raised: BioimageError = CancelledError(f"run {run.id} was stopped before it was done")
        raised.kind = "cancelled"
        raised.fix = f"bp.attach('{run.id}').resume() finishes the rest."
    else:
        failed = outcome["failed_blocks"]
        raised, cause = _runner_error(run, request, failed, error)
    for note in (raised.fix, error.get("traceback")):
        if note:
            raised.add_note(note)
    raise raised from cause


def _runner_error(
    run: Run, request: dict[str, Any], failed: list[int], error: dict[str, Any]
) -> tuple[RunnerError, BaseException | None]:
    parameters = request["operation"].get("parameters") or {}
    # Arithmetic is called by what it does with its operands.
    name = parameters.get("operation") or request["operation"]["name"]
    first = error.get("message", "unknown")
    local = json.loads(run._native.summary())["backend"] == "local"
    kind = "item(s)" if parameters.get("items") else "block(s)"
    raised = RunnerError(
        f"{len(failed)} {kind} failed in '{name}': {[run._item(one) for one in failed[:10]]}. "
        f"First error: {first}",
        [run._item(number) for number in run._native.not_done()],
        None if local else str(run.folder),
    )
    raised.failures = run.failures
    raised.run = run
    raised.fix = error.get("fix")
    # What the function raised in this process on the block that the message is about.
    block, cause = (run._function and run._function.error()) or (None, None)
    return raised, cause if block in failed[:1] else None


def runs() -> list[Run]:
    """Return the runs on record, the latest first."""
    return [Run(native) for native in _native.list_runs()]


def attach(name: str | os.PathLike[str]) -> Run:
    """Return the run with a name.

    Parameters
    ----------
    name
        Its id, a beginning of it, its folder, or `last`.

    Raises
    ------
    LookupError
        If there is none, or more than one.
    """
    return Run(_native.find_run(os.fspath(name)))
