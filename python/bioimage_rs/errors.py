"""What can go wrong, grouped by what a caller would do about it.

Every exception has a stable ``kind`` (the same names as in run folders and in the Rust engine), a
message of one line, and usually a ``fix``, which Python also shows as a note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "AlreadyExistsError",
    "BioimageError",
    "BlockFailure",
    "CancelledError",
    "ConflictError",
    "DataError",
    "InternalError",
    "InvalidInputError",
    "InvalidTypeError",
    "NotFoundError",
    "PermissionDeniedError",
    "RunFolderError",
    "RunNotFoundError",
    "RunnerError",
    "SchedulerError",
    "StorageError",
]


class BioimageError(Exception):
    """Any failure that this package reports itself."""

    kind: str = "internal"
    fix: str | None = None
    # A magic shows two lines; a script gets the traceback that Python users know.
    _brief = False

    def _render_traceback_(self) -> list[str] | None:
        """Lines that IPython shows instead of a traceback."""
        if not self._brief:
            return None
        lines = [f"{type(self).__name__} ({self.kind}): {self}"]
        return lines + ([self.fix] if self.fix else [])


class InvalidInputError(BioimageError, ValueError):
    """An argument has a value that is not allowed; change the call."""


class InvalidTypeError(BioimageError, TypeError):
    """An array has a data type that is not taken; convert it."""


class NotFoundError(BioimageError, FileNotFoundError):
    """A path, or an array in a container, does not exist."""


class RunNotFoundError(BioimageError, LookupError):
    """No run, or more than one, has that name."""


class AlreadyExistsError(BioimageError, FileExistsError):
    """The output exists and is something else."""


class PermissionDeniedError(BioimageError, PermissionError):
    """The operating system refused access."""


class DataError(BioimageError, ValueError):
    """A file is of a format, codec or content that cannot be read."""


class StorageError(BioimageError, OSError):
    """Reading or writing failed; resume when the cause is gone."""


class ConflictError(BioimageError):
    """Something else is at work, or has changed, where this wants to work."""


class RunFolderError(BioimageError):
    """A run folder is damaged or of a newer version."""


class SchedulerError(BioimageError, RuntimeError):
    """A scheduler refused, or cannot be reached; change what is asked of it, or try later."""


class CancelledError(BioimageError):
    """The run was stopped on request; it can be resumed."""


class InternalError(BioimageError):
    """A defect of this package."""


@dataclass(frozen=True)
class BlockFailure:
    """Why a block, or an item, failed.

    Parameters
    ----------
    block_id
        Its number.
    kind
        The stable kind of the error; `foreign` for what a Python function raised.
    message
        What happened.
    traceback
        Where it happened, in what language it did.
    """

    block_id: int
    kind: str
    message: str
    traceback: str | None = None


class RunnerError(BioimageError, RuntimeError):
    """Some blocks failed.

    Parameters
    ----------
    message
        What failed.
    failed_block_ids
        The blocks to do again, sorted: those that failed, and those that were not reached.
    tmp_folder
        The folder to resume from; `None` for local runs.

    Attributes
    ----------
    failures
        A `BlockFailure` for each block that failed.
    run
        The run, where it is on record: `error.run.resume()` finishes it.
    """

    kind = "blocks-failed"
    failures: Sequence[BlockFailure] = ()
    run: Any = None

    def __init__(
        self,
        message: str,
        failed_block_ids: Sequence[int] | None = None,
        tmp_folder: str | None = None,
    ) -> None:
        super().__init__(message)
        self.failed_block_ids: list[int] = sorted(failed_block_ids or [])
        self.tmp_folder = tmp_folder


# The engine's kinds; a test holds this table against the engine's own list.
_CLASSES: dict[str, type[BioimageError]] = {
    "invalid-argument": InvalidInputError,
    "shape-mismatch": InvalidInputError,
    "dtype-mismatch": InvalidTypeError,
    "unsafe-block-shape": InvalidInputError,
    "memory-budget": InvalidInputError,
    "not-found": NotFoundError,
    "ambiguous-array": InvalidInputError,
    "already-exists": AlreadyExistsError,
    "permission-denied": PermissionDeniedError,
    "unsupported-format": DataError,
    "unsupported-codec": DataError,
    "corrupt-data": DataError,
    "read-failed": StorageError,
    "write-failed": StorageError,
    "disk-full": StorageError,
    "value-out-of-range": InvalidInputError,
    "output-locked": ConflictError,
    "run-not-found": RunNotFoundError,
    "run-ambiguous": RunNotFoundError,
    "run-format-newer": RunFolderError,
    "run-changed": ConflictError,
    "run-active": ConflictError,
    "run-damaged": RunFolderError,
    "blocks-failed": RunnerError,
    "worker-lost": RunnerError,
    "timed-out": RunnerError,
    "out-of-memory": RunnerError,
    "time-limit": RunnerError,
    "node-failed": RunnerError,
    "preempted": RunnerError,
    "scheduler-failed": SchedulerError,
    "cancelled": CancelledError,
    "foreign": RunnerError,
    "internal": InternalError,
}


def from_native(
    kind: str, message: str, fix: str | None = None, traceback: str | None = None
) -> BioimageError:
    """Make the exception of an engine's error."""
    error = _CLASSES.get(kind, InternalError)(message)
    error.kind = kind
    error.fix = fix
    if fix:
        error.add_note(fix)
    if traceback:
        error.add_note(traceback)
    return error
