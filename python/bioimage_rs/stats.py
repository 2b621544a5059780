"""Statistics of an array, in one pass over its blocks where not said otherwise."""

import builtins
from collections.abc import Sequence

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, Table, measure
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source

__all__ = ["max", "mean", "mean_and_std", "min", "min_and_max", "std", "unique"]


def _statistics(function: str, what: str, input: SourceLike, how: How) -> Table:  # noqa: A002
    found = measure("statistics", {}, {"input": input}, how, function=f"bp.stats.{function}")
    if not found or len(found["count"]) == 0:
        raise ValueError(f"No values within the mask; cannot compute {what}.")
    return found


def _number(table: Table, column: str) -> builtins.float:
    return float(table[column][0])


@takes_defaults
def max(  # noqa: A001 - the reference's name
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> float:
    """Return the greatest value.

    In one pass, the same on every backend. Halo: none. Memory: a worker holds its block. NaN where
    there is one.

    Parameters
    ----------
    input
        The array, of any shape and data type.
    num_workers
        How many work at the same time.
    block_shape
        Extents of a block; by default the input's chunks. Without it, all is read at once by one
        `local` worker.
    job_type
        `local` (threads), `subprocess` (worker processes) or `slurm` (job arrays on a cluster).
    job_config
        Settings of the backend.
    mask
        Where it is zero, voxels do not count; not where all is read at once.
    block_ids
        The blocks that count; all by default.
    resume_from
        The folder of a run whose rest is to be done (not for `local`).

    Raises
    ------
    ValueError
        If no voxel counts.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.max(np.arange(12).reshape(3, 4), block_shape=(2, 2), num_workers=2)
    11.0
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    return _number(_statistics("max", "a maximum", input, how), "max")


@takes_defaults
def min_and_max(
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> tuple[float, float]:
    """Return the least and the greatest value, in one pass; arguments and errors as of `max`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.min_and_max(np.arange(12).reshape(3, 4))
    (0.0, 11.0)
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    found = _statistics("min_and_max", "min/max", input, how)
    return _number(found, "min"), _number(found, "max")


@takes_defaults
def min(  # noqa: A001 - the reference's name
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> float:
    """Return the least value; arguments and errors as of `max`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.min(np.arange(12).reshape(3, 4))
    0.0
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    return _number(_statistics("min", "min/max", input, how), "min")


@takes_defaults
def mean_and_std(
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> tuple[float, float]:
    """Return mean and standard deviation, in one pass; arguments and errors as of `max`.

    The deviation is that of all voxels, not estimated from a sample. Sums of integers are exact;
    those of floats are compensated, and deviations merged stably (Chan, Golub and LeVeque 1979).

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.mean_and_std(np.array([1, 1, 3, 3]), block_shape=(2,))
    (2.0, 1.0)
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    found = _statistics("mean_and_std", "mean/std", input, how)
    return _number(found, "mean"), _number(found, "std")


@takes_defaults
def mean(
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> float:
    """Return the mean; arguments and errors as of `max`, numerics as of `mean_and_std`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.mean(np.array([1, 2]))
    1.5
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    return _number(_statistics("mean", "mean/std", input, how), "mean")


@takes_defaults
def std(
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> float:
    """Return the standard deviation; arguments as of `max`, numerics as of `mean_and_std`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.std(np.array([1, 1, 3, 3]))
    1.0
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    return _number(_statistics("std", "mean/std", input, how), "std")


@takes_defaults
def unique(
    input: SourceLike,  # noqa: A002
    return_counts: bool = False,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Return the different values in ascending order.

    In one pass, exact for all data types. Halo: none. Memory: a worker holds its block and its
    values, 8 bytes a voxel more where most voxels differ. NaNs are one value, the last.

    Parameters
    ----------
    input
        The array, of any shape and data type.
    return_counts
        Whether to return how often each value occurs, too, as `int64`.
    num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from
        As for `max`.

    Returns
    -------
    The values, of the array's data type, or values and counts; empty ones where no voxel counts.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> labels = np.array([[3, 3, 0], [7, 3, 0]], dtype="uint8")
    >>> bp.stats.unique(labels, return_counts=True, block_shape=(1, 3))
    (array([0, 3, 7], dtype=uint8), array([2, 3, 1]))
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    found = measure("unique", {}, {"input": input}, how, function="bp.stats.unique")
    dtype = as_source(input).dtype
    values = found.get("value", np.zeros(0, dtype)).astype(dtype, copy=False)
    if not return_counts:
        return values
    return values, found.get("count", np.zeros(0, "int64")).astype("int64", copy=False)
