"""Local maxima."""

from collections.abc import Sequence

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, measure
from bioimage_rs.morphology._table import axis_names
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args


@takes_defaults
def find_local_maxima(
    input: SourceLike,  # noqa: A002 - the reference's name
    *,
    min_distance: int = 1,
    threshold_abs: float | None = None,
    threshold_rel: float | None = None,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    num_workers: int = 1,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> np.ndarray:
    """Find voxels that none near them exceeds, such as the centres of spots.

    Exactly the maxima of the whole image, whatever the blocks, and the same on every backend: those
    of scikit-image's `peak_local_max`. In one pass where only `threshold_abs` is given, else in
    two. Halo: `min_distance`. Memory: a worker holds its block with the halo twice; merging takes
    24 bytes for each maximum.

    Parameters
    ----------
    input
        The image, of any data type and number of axes.
    min_distance
        How far around a maximum, along each axis, no voxel is higher. From 2 on, maxima are at
        least that far apart; with 1, all voxels of a level top are maxima. Nearer to the border
        than that none is looked for.
    threshold_abs
        Maxima are above this; by default above the least value of the image.
    threshold_rel
        Maxima are above this share of the greatest value of the image.
    block_shape
        Extents of a block; by default the input's chunks. Without it, one `local` worker chooses.
    job_type
        `local` (threads), `subprocess` (worker processes) or `slurm` (job arrays on a cluster).
    job_config
        Settings of the backend.
    num_workers
        How many work at the same time.
    block_ids
        The blocks that count; all by default. The least and the greatest value are those of these
        blocks.
    resume_from
        The folder of a run whose rest is to be done (not for `local`).

    Returns
    -------
    The coordinates as `int64`, a row for each maximum: the highest first, equal ones in C order.

    Raises
    ------
    ValueError
        For what cannot be done.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> image = np.zeros((7, 9), "uint8")
    >>> image[2, 3], image[4, 6] = 50, 80
    >>> bp.morphology.find_local_maxima(image, block_shape=(4, 4), num_workers=2)
    array([[4, 6],
           [2, 3]])
    """
    check_rerun_args(job_type, resume_from, block_ids)
    source = as_source(input)
    if min_distance < 0:
        raise ValueError(f"min_distance must not be negative, got {min_distance}.")
    parameters: dict[str, object] = {"min_distance": int(min_distance)}
    for name, threshold in (("threshold_abs", threshold_abs), ("threshold_rel", threshold_rel)):
        if threshold is not None:
            parameters[name] = repr(float(threshold))
    how = How(num_workers, block_shape, job_type, job_config, None, block_ids, resume_from)
    name = "bp.morphology.find_local_maxima"
    found = measure("local-maxima", parameters, {"input": source}, how, function=name)
    axes = [found.get(axis, np.zeros(0, "int64")) for axis in axis_names(source.ndim)]
    return np.stack(axes, axis=1)
