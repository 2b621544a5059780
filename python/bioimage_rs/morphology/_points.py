"""Points and the objects that are nearest to them."""

from collections.abc import Sequence

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, Named, measure
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args, normalize_halo


@takes_defaults
def map_points_to_objects(
    segmentation: SourceLike,
    points: np.ndarray,
    block_shape: tuple[int, ...],
    *,
    halo: Sequence[int] | None = None,
    sampling: float | Sequence[float] | None = None,
    num_workers: int = 1,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Tell for each point which object is nearest, and how far it is.

    Exact as long as distances are no longer than the halo; a point may find objects behind it where
    a neighbouring block with its halo holds both. Blocks without points are not read. Memory: a
    worker holds its block with the halo, and in three dimensions 25 bytes a voxel of it.

    Parameters
    ----------
    segmentation
        The labels, of any integer data type and number of axes. 0 is background.
    points
        The voxels of the points, as an array of the shape `(n_points, ndim)`.
    block_shape
        Extents of a block.
    halo
        How far beyond its block a worker looks, for each axis; not at all by default.
    sampling
        Extents of a voxel; 1 by default.
    num_workers, job_type, job_config, block_ids, resume_from
        As for `copy`.

    Returns
    -------
    For each point the label of the nearest object, in the data type of the labels, and its distance
    as `float32`; 0 and infinity where no object is in sight, and for points outside the image.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> labels = np.zeros((6, 8), "uint16")
    >>> labels[1, 1], labels[4, 6] = 3, 7
    >>> points = np.array([[1, 3], [4, 6], [5, 7]])
    >>> bp.morphology.map_points_to_objects(labels, points, (3, 4), halo=[2, 2])
    (array([3, 7, 7], dtype=uint16), array([2.       , 0.       , 1.4142135], dtype=float32))
    """
    check_rerun_args(job_type, resume_from, block_ids)
    source = as_source(segmentation)
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != source.ndim:
        raise ValueError(
            f"points must be an (n_points, {source.ndim}) array, got shape {points.shape}."
        )
    inside = np.flatnonzero(((points >= 0) & (points < source.shape)).all(axis=1))
    extents: float | list[float] | None = None
    if isinstance(sampling, Sequence | np.ndarray):
        extents = [float(extent) for extent in sampling]
    elif sampling is not None:
        extents = float(sampling)
    reach = [0] * source.ndim if halo is None else normalize_halo(halo, source.ndim)
    shown = {"halo": [int(extent) for extent in reach], "sampling": extents}
    found = measure(
        "map-points",
        {**shown, "points": points[inside].astype("uint64").ravel().tolist()},
        {"segmentation": source},
        How(num_workers, block_shape, job_type, job_config, None, block_ids, resume_from),
        function="bp.morphology.map_points_to_objects",
        arguments={"points": Named("points"), "block_shape": tuple(block_shape), **shown},
    )
    objects = np.zeros(len(points), source.dtype)
    distances = np.full(len(points), np.inf, "float32")
    if found:
        near = inside[found["point"]]
        # Negative labels come with the bits that they have.
        objects[near] = found["label"].astype(source.dtype)
        distances[near] = found["distance"]
    return objects, distances
