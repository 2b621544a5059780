"""The Dice score, of foregrounds and of objects."""

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, measure
from bioimage_rs.evaluation._contingency import (
    ContingencyTable,
    label_to_ignore,
    native,
    table_of,
)
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike


def best_dice_scores(table: ContingencyTable, *, ignore_label: int | None = 0) -> float:
    """Return the symmetric best Dice score, as `symmetric_best_dice_score`."""
    return native(table).best_dice(label_to_ignore(ignore_label))


@takes_defaults
def dice_score(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    threshold_seg: float | None = 0,
    threshold_gt: float | None = 0,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> float:
    """Return how much two foregrounds have in common: 1 for the same, 0 for no voxel in common.

    In one pass. Memory: a worker holds its blocks. Numerics: sums in double precision.

    Parameters
    ----------
    segmentation
        The image to judge, of any data type.
    groundtruth
        The reference, of the same shape.
    threshold_seg, threshold_gt
        Values above it are foreground; with None the values themselves are weights, as of
        probabilities.
    num_workers, block_shape, job_type, job_config, mask
        As for `contingency_table`.

    Raises
    ------
    ValueError
        For images that are not of one shape.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> round(bp.evaluation.dice_score(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])), 3)
    0.667
    """
    thresholds = {"threshold_seg": threshold_seg, "threshold_gt": threshold_gt}
    found = measure(
        "dice",
        {
            name: None if threshold is None else repr(float(threshold))
            for name, threshold in thresholds.items()
        },
        {"segmentation": segmentation, "groundtruth": groundtruth},
        How(num_workers, block_shape, job_type, job_config, mask),
        function="bp.evaluation.dice_score",
        arguments=thresholds,
    )
    return float(found["dice"][0]) if found else 0.0


@takes_defaults
def symmetric_best_dice_score(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    ignore_label: int | None = 0,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> float:
    """Return the mean Dice score of objects with their best counterparts.

    That of the segmentation's objects or that of the reference's, whichever is lower. Arguments and
    errors: as of `matching`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> found, expected = np.array([1, 1, 2, 2]), np.array([5, 5, 5, 5])
    >>> round(bp.evaluation.symmetric_best_dice_score(found, expected), 3)
    0.667
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    table = table_of(segmentation, groundtruth, how)
    return best_dice_scores(table, ignore_label=ignore_label)
