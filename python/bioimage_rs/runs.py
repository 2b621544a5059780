"""Runs: those on record, and what can be done with one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bioimage_rs import _native
from bioimage_rs.errors import BioimageError, CancelledError, RunnerError

__all__ = ["Run", "attach", "runs"]


class Run:
    """A run: its folder, and everything that can be done with it.

    Made by `attach`, `runs` and `%bp`, not by hand.
    """

    def __init__(self, native: "_native.Run", *, shown: bool = False) -> None:
        self._native = native
        # Whether a live view of it stands in the notebook already.
        self._shown = shown

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
    def failures(self) -> list[dict[str, Any]]:
        """The blocks that failed: block, region, kind, message, class, attempts (the first 100)."""
        live = _native.LiveView(self._native)
        status = json.loads(live.poll()[1] or "{}")
        return list(status.get("failures", []))

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
        """What the run computed; for a copy that is its output."""
        return self.output

    def wait(self) -> "Run":
        """Wait for the end; an interrupt cancels a run that this process leads.

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
        """
        self._native.resume(
            workers=num_workers,
            backend=backend,
            budget=memory,
            force=force,
            verify=verify,
            program=find_program(),
        )
        return self.wait()

    def logs(self) -> str:
        """What the workers printed."""
        files = sorted((self.folder / "logs").glob("*"))
        texts = [(file.name, file.read_text(errors="replace").strip()) for file in files]
        return "\n".join(f"== {name}\n{text}" for name, text in texts if text)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        live = _native.LiveView(self._native)
        live.poll()
        if self._shown:
            return {"text/plain": live.text()}
        return {"text/plain": live.text(), "text/html": live.html()}

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.state}>"


def find_program() -> str | None:
    """The `bp` program that was installed with this package."""
    import sysconfig

    program = Path(sysconfig.get_path("scripts")) / "bp"
    return str(program) if program.exists() else None


@contextmanager
def stopped_by_interrupt(run: Run) -> Iterator[None]:
    """Cancel a run when the block is interrupted.

    Waits until a run that this process leads has stopped (about a second at most), and raises the
    interrupt again with a note that says how to resume.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        run._native.stop(interrupt)
        raise


def finish(run: Run) -> dict[str, Any]:
    """Wait for a run, and turn its failure into an exception."""
    native = run._native
    while True:
        # In short steps, so that Python sees an interrupt.
        ended = native.wait(0.05)
        if ended is not None:
            break
        if not native.is_led_here:
            _wait_for_other(native)
            ended = json.dumps(run.outcome)
            break
    outcome: dict[str, Any] = json.loads(ended) or {"state": native.state, "failed_blocks": []}
    raise_for(run, outcome)
    return outcome


def _wait_for_other(native: "_native.Run") -> None:
    import time

    while native.state in ("running", "cancelling"):
        time.sleep(0.1)


def raise_for(run: Run, outcome: dict[str, Any]) -> None:
    """Raise what a run's outcome stands for, if it did not succeed."""
    if outcome["state"] == "succeeded":
        return
    name = run.request["operation"]["name"]
    error = outcome.get("error") or {}
    if outcome["state"] in ("cancelled", "interrupted"):
        raised: BioimageError = CancelledError(f"run {run.id} was stopped before it was done")
        raised.kind = "cancelled"
        raised.fix = f"bp.attach('{run.id}').resume() finishes the rest."
    else:
        failed = outcome["failed_blocks"]
        first = error.get("message", "unknown")
        raised = RunnerError(
            f"{len(failed)} block(s) failed in '{name}': {failed[:10]}. First error: {first}",
            failed,
            str(run.folder) if run.folder.exists() else None,
        )
        raised.fix = error.get("fix")
    for note in (raised.fix, error.get("traceback")):
        if note:
            raised.add_note(note)
    raise raised


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
