"""Statistics of an array, in one pass over its blocks where not said otherwise."""

import builtins
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bioimage_rs import _native
from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, Table, measure
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.sources._array import engine_dtype

__all__ = [
    "histogram",
    "max",
    "mean",
    "mean_and_std",
    "min",
    "min_and_max",
    "percentiles",
    "std",
    "threshold_li",
    "threshold_otsu",
    "unique",
]

# The bins by which thresholds of floats are found.
_OTSU_BINS, _LI_BINS = 256, 65536


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


@takes_defaults
def histogram(
    input: SourceLike,  # noqa: A002
    bins: int = 10,
    range: tuple[builtins.float, builtins.float] | None = None,  # noqa: A002 - numpy's name
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Count the voxels in bins of equal width, to the bit as `numpy.histogram` does.

    In one pass where the range is given, else in two. Values outside the range are not counted.
    Halo: none. Memory: a worker holds its block and the bins.

    Parameters
    ----------
    input
        The array, of any shape and data type.
    bins
        How many bins.
    range
        Lower edge of the first bin and upper edge of the last; by default the least and the
        greatest value.
    num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from
        As for `max`.

    Returns
    -------
    The counts (`int64`), and the edges of the bins, one more than there are bins.

    Raises
    ------
    ValueError
        If no voxel counts, and for a range that is not finite or the wrong way round.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.histogram(np.array([0, 1, 1, 7, 8]), bins=2, block_shape=(2,))
    (array([3, 2]), array([0., 4., 8.]))
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    found = _histogram("histogram", "a histogram", input, bins, range, how)
    edges = np.append(found["low"], found["high"][-1:])
    single = as_source(input).dtype.newbyteorder("=") == np.dtype("float32")
    return found["count"].astype("int64", copy=False), edges.astype("float32") if single else edges


def _histogram(
    function: str,
    what: str,
    input: SourceLike,  # noqa: A002
    bins: int,
    range: tuple[builtins.float, builtins.float] | None,  # noqa: A002
    how: How,
) -> Table:
    ends = [] if range is None else [repr(float(one)) for one in range]
    given = {"bins": int(bins), "range": ends}
    name = f"bp.stats.{function}"
    shown = {"bins": bins, "range": range} if function == "histogram" else {}
    found = measure("histogram", given, {"input": input}, how, function=name, arguments=shown)
    return _counted(found, "count", what)


def _counted(found: Table, column: str, what: str) -> Table:
    if len(found.get(column, ())) == 0:
        raise ValueError(f"No values within the mask; cannot compute {what}.")
    return found


@takes_defaults
def percentiles(
    input: SourceLike,  # noqa: A002
    q: ArrayLike,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> builtins.float | np.ndarray:
    """Return percentiles: the values below which so many percent of the voxels lie.

    Exactly those of the whole image, interpolated linearly as `numpy.percentile` does by default.
    In one pass over types of up to 16 bits, two over 32 bits, four over 64 bits. Halo: none.
    Memory: a worker holds its block and 1 MB for each percentile. NaN where there is one.

    Parameters
    ----------
    input
        The array, of any shape and data type.
    q
        A percentage from 0 to 100, or several in any arrangement.
    num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from
        As for `max`.

    Returns
    -------
    A number for one percentage, else an array of the shape of `q`.

    Raises
    ------
    ValueError
        If no voxel counts, and for percentages outside 0 to 100.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.stats.percentiles(np.arange(101), [1, 50, 99], block_shape=(25,))
    array([ 1., 50., 99.])
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    asked = np.asarray(q, "float64")
    parameters = {
        "percents": [repr(float(one)) for one in asked.ravel()],
        "dtype": engine_dtype(as_source(input)),
    }
    found = measure(
        "percentiles",
        parameters,
        {"input": input},
        how,
        function="bp.stats.percentiles",
        arguments={"q": asked.tolist()},
    )
    if asked.size == 0:
        return asked
    values = _counted(found, "value", "percentiles")["value"].reshape(asked.shape)
    return values if asked.ndim else float(values)


@takes_defaults
def threshold_otsu(
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> builtins.float:
    """Return Otsu's threshold: values above it are foreground.

    That of `skimage.filters.threshold_otsu`. Integers are counted one by one, in one pass; floats
    in 256 bins from the least to the greatest value, in two. Halo: none. Memory: as of `unique` or
    `histogram`.

    Parameters
    ----------
    input
        The array, of any shape and data type.
    num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from
        As for `max`.

    Raises
    ------
    ValueError
        If no voxel counts, and for an image with NaN or infinity.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> image = np.array([1, 2, 2, 3, 11, 12, 13])
    >>> bp.stats.threshold_otsu(image, block_shape=(3,), num_workers=2)
    3.0
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    counts, centres, _ = _modes("threshold_otsu", input, _OTSU_BINS, how)
    single = as_source(input).dtype.newbyteorder("=") == np.dtype("float32")
    return float(_native.otsu(counts, centres, single) or 0)


@takes_defaults
def threshold_li(
    input: SourceLike,  # noqa: A002
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> builtins.float:
    """Return Li's threshold by minimal cross entropy: values above it are foreground.

    For integers, that of `skimage.filters.threshold_li`, in one pass. Floats are counted in 65536
    bins from the least to the greatest value, in two passes, and the threshold is as exact as these
    are narrow. Halo: none. Memory: as of `unique` or `histogram`.

    Parameters
    ----------
    input
        The array, of any shape and data type.
    num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from
        As for `max`.

    Raises
    ------
    ValueError
        If no voxel counts, and for an image with NaN or infinity.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> image = np.array([1, 2, 2, 3, 11, 12, 13])
    >>> round(bp.stats.threshold_li(image, block_shape=(3,)), 2)
    5.17
    """
    how = How(num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from)
    counts, centres, width = _modes("threshold_li", input, _LI_BINS, how)
    return float(_native.li(counts, centres, width / 2) or 0)


def _modes(
    function: str,
    input: SourceLike,  # noqa: A002
    bins: int,
    how: How,
) -> tuple[np.ndarray, np.ndarray, builtins.float]:
    """Return counts, and the values that they are counts of, and how far apart these are."""
    if as_source(input).dtype.kind in "iub":
        name = f"bp.stats.{function}"
        found = measure("unique", {}, {"input": input}, how, function=name)
        _counted(found, "count", "a threshold")
        return found["count"], found["value"].astype("float64"), 1.0
    found = _histogram(function, "a threshold", input, bins, None, how)
    low, high, counts = found["low"], found["high"], found["count"]
    width = (high[-1] - low[0]) / bins
    if np.count_nonzero(counts) == 1:
        # Only an image of one value has a single bin, around which the bins were made.
        return np.ones(1, "uint64"), np.array([(low[0] + high[-1]) / 2]), width
    return counts, (low + high) / 2, width
