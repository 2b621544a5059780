"""Size, centre of mass and bounding box of objects."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, Table, measure
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args

if TYPE_CHECKING:
    import pandas as pd


@takes_defaults
def morphology(
    input: SourceLike,  # noqa: A002 - the reference's name
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
    pre_cleanup: Callable[[str], None] | None = None,
) -> "pd.DataFrame":
    """Measure size, centre of mass and bounding box of each object of a label image.

    In one pass, the same on every backend, and exact: an object may lie in any number of blocks,
    and its label may be any integer of 64 bits. Halo: none. Memory: a worker holds its block and
    some 150 bytes for each of its objects; merging takes some 100 bytes for each object.

    Parameters
    ----------
    input
        The labels, of any integer data type and number of axes. 0 is background.
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
    pre_cleanup
        Called with the folder of a finished run (not for `local`).

    Returns
    -------
    A row for each label in ascending order: `label` (`uint64`; `int64` where one is negative),
    `size` in voxels, the centre of mass `com_z`, `com_y`, `com_x`, the bounding box from `bb_min_z`
    and so on up to and without `bb_max_z` and so on. With other than two or three axes these are
    called `axis0`, `axis1`, ...

    Raises
    ------
    ValueError
        If the image is not of integers.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> labels = np.array([[5, 5, 0], [0, 0, 9]])
    >>> table = bp.morphology.morphology(labels, block_shape=(1, 2), num_workers=2)
    >>> table[["label", "size", "com_x", "bb_min_x", "bb_max_x"]]
       label  size  com_x  bb_min_x  bb_max_x
    0      5     2    0.5         0         2
    1      9     1    2.0         2         3
    """
    import pandas as pd

    how = How(
        num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from, pre_cleanup
    )
    return pd.DataFrame(object_table(input, how))


def object_table(labels: SourceLike, how: How) -> Table:
    """Return the columns of `morphology`."""
    check_rerun_args(how.job_type, how.resume_from, how.block_ids)
    source = as_source(labels)
    if source.dtype.kind not in "iu":
        raise ValueError(f"morphology expects an integer label image, got dtype {source.dtype}.")
    found = measure("morphology", {}, {"input": labels}, how, function="bp.morphology.morphology")
    axes = axis_names(source.ndim)
    table = {"label": found.get("label", np.zeros(0, "uint64"))}
    table["size"] = found.get("size", np.zeros(0)).astype("int64")
    for prefix, dtype in (("com", "float64"), ("bb_min", "int64"), ("bb_max", "int64")):
        for axis in axes:
            name = f"{prefix}_{axis}"
            table[name] = found.get(name, np.zeros(0)).astype(dtype)
    return table


def axis_names(ndim: int) -> list[str]:
    """Return how axes are called in columns."""
    return {2: ["y", "x"], 3: ["z", "y", "x"]}.get(ndim, [f"axis{axis}" for axis in range(ndim)])
