"""Objects and points that correspond to each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bioimage_rs import _native
from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How
from bioimage_rs.evaluation._contingency import (
    ContingencyTable,
    label_to_ignore,
    native,
    table_of,
)
from bioimage_rs.morphology._table import object_table
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike

_SCORES = ("precision", "recall", "segmentation_accuracy", "f1")


def matching_scores(
    table: ContingencyTable,
    *,
    threshold: float = 0.5,
    criterion: str = "iou",
    ignore_label: int | None = 0,
) -> dict[str, float]:
    """Return the scores of pairs of objects, as `matching`."""
    ignore = label_to_ignore(ignore_label)
    found = native(table).matching(float(threshold), str(criterion), ignore)
    return dict(zip(_SCORES, found, strict=True))


def mean_segmentation_accuracy_scores(
    table: ContingencyTable,
    *,
    thresholds: Sequence[float] | None = None,
    ignore_label: int | None = 0,
    return_accuracies: bool = False,
) -> float | tuple[float, np.ndarray]:
    """Return the mean of segmentation accuracies, as `mean_segmentation_accuracy`."""
    if thresholds is None:
        thresholds = np.arange(0.5, 1.0, 0.05)  # type: ignore[assignment]
    each = np.ascontiguousarray(thresholds, "float64")
    accuracies = native(table).accuracies(each, label_to_ignore(ignore_label))
    mean = float(np.mean(accuracies)) if accuracies.size else 0.0
    return (mean, accuracies) if return_accuracies else mean


@takes_defaults
def matching(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    threshold: float = 0.5,
    criterion: str = "iou",
    ignore_label: int | None = 0,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> dict[str, float]:
    """Pair up objects that overlap enough, and return what share has a partner.

    An object has at most one partner, and as many as possible have one. Memory and time grow with
    the pairs of objects that overlap, not with all pairs: 100,000 objects are no matter.

    Parameters
    ----------
    segmentation
        The labels to judge, of an integer data type.
    groundtruth
        The reference, of the same shape.
    threshold
        How much two objects must overlap at least.
    criterion
        What the voxels that they share are divided by: `iou` for the voxels of either, `iot` for
        those of the segmentation's object, `iop` for those of the reference's.
    ignore_label
        A label that is no object; its voxels count in the sizes of others. None for all labels.
    num_workers, block_shape, job_type, job_config, mask
        As for `contingency_table`.

    Returns
    -------
    `precision`, the share of the segmentation's objects; `recall`, that of the reference's;
    `segmentation_accuracy`, the share of pairs among pairs and objects without one; `f1`.

    Raises
    ------
    ValueError
        For an unknown criterion, and as of `contingency_table`.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> found, expected = np.array([1, 1, 0, 2, 2, 3]), np.array([4, 4, 4, 5, 5, 0])
    >>> scores = bp.evaluation.matching(found, expected)
    >>> round(scores["precision"], 3), scores["recall"]
    (0.667, 1.0)
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    table = table_of(segmentation, groundtruth, how)
    return matching_scores(
        table, threshold=threshold, criterion=criterion, ignore_label=ignore_label
    )


@takes_defaults
def mean_segmentation_accuracy(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    thresholds: Sequence[float] | None = None,
    ignore_label: int | None = 0,
    return_accuracies: bool = False,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> float | tuple[float, np.ndarray]:
    """Return the mean over thresholds of the segmentation accuracy of `matching` by `iou`.

    Errors: as of `matching`.

    Parameters
    ----------
    segmentation, groundtruth, ignore_label
        As for `matching`.
    thresholds
        The thresholds; by default 0.5, 0.55, ... 0.95.
    return_accuracies
        Whether to return the accuracy at each threshold, too.
    num_workers, block_shape, job_type, job_config, mask
        As for `contingency_table`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> found, expected = np.array([1, 1, 0, 2, 2, 3]), np.array([4, 4, 4, 5, 5, 0])
    >>> round(bp.evaluation.mean_segmentation_accuracy(found, expected, thresholds=[0.5, 0.7]), 3)
    0.458
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    return mean_segmentation_accuracy_scores(
        table_of(segmentation, groundtruth, how),
        thresholds=thresholds,
        ignore_label=ignore_label,
        return_accuracies=return_accuracies,
    )


def coordinate_matching(
    coordinates_a: ArrayLike,
    coordinates_b: ArrayLike,
    *,
    distance_threshold: float,
    resolution: Sequence[float] | None = None,
) -> dict[str, float]:
    """Pair up points that are near enough, and return what share has a partner.

    A point has at most one partner, and as many as possible have one. Memory and time grow with
    the pairs that are near enough.

    Parameters
    ----------
    coordinates_a
        The points to judge, one a row.
    coordinates_b
        The points of the reference, with as many axes.
    distance_threshold
        How far apart two points may be.
    resolution
        The extent of a voxel along each axis, which coordinates are multiplied with.

    Returns
    -------
    As `matching`.

    Raises
    ------
    ValueError
        For points of different numbers of axes, and for positions that are not finite.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> found, expected = [[0, 0], [9, 9]], [[0, 1.5]]
    >>> bp.evaluation.coordinate_matching(found, expected, distance_threshold=2)["precision"]
    0.5
    """
    a, b = _points(coordinates_a, "coordinates_a"), _points(coordinates_b, "coordinates_b")
    if not (len(a) and len(b)):
        return dict.fromkeys(_SCORES, 0.0)
    ndim = a.shape[1]
    if b.shape[1] != ndim:
        raise ValueError(
            f"coordinates_a and coordinates_b must have the same ndim, got {ndim} and {b.shape[1]}."
        )
    spacing = None
    if resolution is not None:
        spacing = np.asarray(resolution, "float64")
        if spacing.shape != (ndim,):
            raise ValueError(
                f"resolution must have one entry per axis ({ndim}), got shape {spacing.shape}."
            )
    found = _native.coordinate_matching(
        a.ravel(),
        b.ravel(),
        ndim,
        float(distance_threshold),
        None if spacing is None else spacing.tolist(),
    )
    return dict(zip(_SCORES, found, strict=True))


@takes_defaults
def centroid_matching(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    distance_threshold: float,
    resolution: Sequence[float] | None = None,
    ignore_label: int | None = 0,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> dict[str, float]:
    """Pair up objects whose centres of mass are near enough, as `coordinate_matching` does.

    In one pass over either image. Errors: as of `coordinate_matching` and `contingency_table`.

    Parameters
    ----------
    segmentation, groundtruth
        As for `matching`.
    distance_threshold
        How far apart two centres may be, in voxels or the unit of `resolution`.
    resolution
        As for `coordinate_matching`.
    ignore_label
        A label that is no object; 0 never is one.
    num_workers, block_shape, job_type, job_config, mask
        As for `contingency_table`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> found, expected = np.array([[1, 1, 0, 2]]), np.array([[3, 0, 0, 0]])
    >>> bp.evaluation.centroid_matching(found, expected, distance_threshold=1)["precision"]
    0.5
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    return coordinate_matching(
        _centres(segmentation, ignore_label, how),
        _centres(groundtruth, ignore_label, how),
        distance_threshold=distance_threshold,
        resolution=resolution,
    )


def _centres(labels: SourceLike, ignore_label: int | None, how: How) -> np.ndarray:
    table = object_table(labels, how)
    kept = np.ones(len(table["label"]), bool)
    if ignore_label is not None:
        kept = table["label"] != ignore_label
    axes = [values for name, values in table.items() if name.startswith("com_")]
    return np.stack(axes, axis=1)[kept]


def _points(coordinates: ArrayLike, name: str) -> np.ndarray:
    points = np.ascontiguousarray(coordinates, "float64")
    if points.size == 0:
        return points.reshape(0, 0)
    if points.ndim != 2:
        raise ValueError(f"{name} must have shape (N, ndim), got shape {points.shape}.")
    return points
