"""Distance transform."""

from collections.abc import Sequence

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._operation import Operation
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import normalize_halo

_WANTED = {(True, False): "distances", (False, True): "indices", (True, True): "both"}


@takes_defaults
def distance_transform(
    input: SourceLike,  # noqa: A002 - the reference's name
    halo: Sequence[int],
    *,
    sampling: float | Sequence[float] | None = None,
    return_distances: bool = True,
    return_indices: bool = False,
    distances: SourceLike | None = None,
    indices: SourceLike | None = None,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    num_workers: int = 1,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> SourceLike | tuple[SourceLike, SourceLike]:
    """Tell how far each voxel that is not zero lies from the nearest zero.

    Exact (lower envelopes of parabolas, Felzenszwalb and Huttenlocher 2012), with scipy's
    conventions. In blocks, distances up to the halo are those of the whole image; longer ones may
    be too long, and where a block with its halo has no zero they mean nothing. Memory: a worker
    holds its block with the halo and 16 bytes a voxel of it, with indices 8 more for each axis.

    Parameters
    ----------
    input
        The image, 2D or 3D, of any data type.
    halo
        How far beyond its block a worker looks, for each axis; not used where all is read at once.
    sampling
        Extents of a voxel; 1 by default.
    return_distances, return_indices
        What is wanted: distances, coordinates of the nearest zero, or both.
    distances
        The array to write distances to; by default a new one of `float32`.
    indices
        The array to write coordinates to, with one axis for them before the image's own; by default
        a new one of `int32`.
    block_shape, job_type, job_config, num_workers, block_ids, resume_from
        As for `copy`.

    Returns
    -------
    Distances, indices, or both.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.morphology.distance_transform(np.array([[0, 1, 1], [1, 1, 1]]), [2, 2])
    array([[0.       , 1.       , 2.       ],
           [1.       , 1.4142135, 2.236068 ]], dtype=float32)
    """
    source = as_source(input)
    if source.ndim not in (2, 3):
        raise ValueError(f"distance_transform supports 2D or 3D data, got {source.ndim}D.")
    if not (return_distances or return_indices):
        raise ValueError("At least one of 'return_distances' or 'return_indices' must be True.")
    extents: float | list[float] | None = None
    if isinstance(sampling, Sequence | np.ndarray):
        extents = [float(extent) for extent in sampling]
    elif sampling is not None:
        extents = float(sampling)
    parameters = {
        "halo": [int(extent) for extent in normalize_halo(halo, source.ndim)],
        "sampling": extents,
        "wanted": _WANTED[return_distances, return_indices],
    }
    outputs: dict[str, SourceLike | None] = {}
    if return_distances:
        outputs["distances"] = distances
    if return_indices:
        outputs["indices"] = indices
    operation = Operation(
        "distance",
        parameters,
        "bp.morphology.distance_transform",
        in_place="distance_transform",
        at_once=True,
    )
    how = {
        "block_shape": block_shape,
        "job_type": job_type,
        "job_config": job_config,
        "num_workers": num_workers,
        "block_ids": block_ids,
        "resume_from": resume_from,
    }
    results, _ = operation.run_into({"input": source}, outputs, how)
    return results[0] if len(results) == 1 else (results[0], results[1])
