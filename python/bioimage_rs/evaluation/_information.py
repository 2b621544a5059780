"""Variation of information, Rand index and the CREMI score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How
from bioimage_rs.evaluation._contingency import ContingencyTable, native, table_of
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike

if TYPE_CHECKING:
    import pandas as pd


def vi_scores(table: ContingencyTable, *, use_log2: bool = True) -> tuple[float, float]:
    """Return split and merge variation of information, as `variation_of_information`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> table = bp.evaluation.contingency_table(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1]))
    >>> split, merge = bp.evaluation.vi_scores(table)
    >>> split
    1.0
    """
    return native(table).vi(use_log2)


def object_vi_scores(table: ContingencyTable, *, use_log2: bool = True) -> "pd.DataFrame":
    """Return split and merge variation of information of each object, as `object_vi`."""
    import pandas as pd

    label, split, merge = native(table).object_vi(use_log2)
    return pd.DataFrame({"label": label, "vi_split": split, "vi_merge": merge})


def rand_scores(table: ContingencyTable) -> tuple[float, float]:
    """Return adapted Rand error and Rand index, as `rand_index`."""
    return native(table).rand()


def cremi_scores(
    table: ContingencyTable, *, use_log2: bool = True
) -> tuple[float, float, float, float]:
    """Return the scores of the CREMI challenge, as `cremi_score`."""
    return native(table).cremi(use_log2)


@takes_defaults
def variation_of_information(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    ignore_seg: Sequence[int] | None = None,
    ignore_gt: Sequence[int] | None = None,
    use_log2: bool = True,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> tuple[float, float]:
    """Return split and merge variation of information of a segmentation.

    The first is how much the segmentation splits what the reference has whole, the second how much
    it merges what the reference has apart. Both are 0 for the same partition, and for no voxels.
    Memory and numerics: as of `contingency_table`, and double precision.

    Parameters
    ----------
    segmentation
        The labels to judge, of an integer data type.
    groundtruth
        The reference, of the same shape.
    ignore_seg, ignore_gt
        Labels whose voxels do not count.
    use_log2
        Whether to return bits, else nats.
    num_workers, block_shape, job_type, job_config, mask
        As for `contingency_table`.

    Raises
    ------
    ValueError, RunnerError
        As of `contingency_table`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> halves, whole = np.array([1, 1, 2, 2]), np.array([7, 7, 7, 7])
    >>> split, merge = bp.evaluation.variation_of_information(halves, whole)
    >>> split
    1.0
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    table = table_of(segmentation, groundtruth, how, ignore_seg, ignore_gt)
    return vi_scores(table, use_log2=use_log2)


@takes_defaults
def object_vi(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    ignore_seg: Sequence[int] | None = None,
    ignore_gt: Sequence[int] | None = None,
    use_log2: bool = True,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> "pd.DataFrame":
    """Return split and merge variation of information of each object of the reference.

    Arguments and errors: as of `variation_of_information`. By page 16 of
    <https://arxiv.org/pdf/1708.02599.pdf>, with the names of bioimage_py: `vi_merge` is the
    information of the segmentation's labels within the object, `vi_split` that which the object
    has within the segmentation's.

    Returns
    -------
    A row for each label of the reference in ascending order: `label`, `vi_split`, `vi_merge`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.evaluation.object_vi(np.array([1, 1, 2, 2]), np.array([7, 7, 7, 7]))
       label  vi_split  vi_merge
    0      7       0.0       1.0
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    table = table_of(segmentation, groundtruth, how, ignore_seg, ignore_gt)
    return object_vi_scores(table, use_log2=use_log2)


@takes_defaults
def rand_index(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    ignore_seg: Sequence[int] | None = None,
    ignore_gt: Sequence[int] | None = None,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> tuple[float, float]:
    """Return adapted Rand error and Rand index of a segmentation.

    The error is 0 and the index 1 for the same partition, and for no voxels. Background counts as
    any other label where it is not ignored. Arguments and errors: as of `variation_of_information`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.evaluation.rand_index(np.array([1, 1, 2, 2]), np.array([3, 3, 4, 4]))
    (0.0, 1.0)
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    return rand_scores(table_of(segmentation, groundtruth, how, ignore_seg, ignore_gt))


@takes_defaults
def cremi_score(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    *,
    ignore_seg: Sequence[int] | None = None,
    ignore_gt: Sequence[int] | None = None,
    use_log2: bool = True,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
) -> tuple[float, float, float, float]:
    """Return the scores of the CREMI challenge.

    Arguments and errors: as of `variation_of_information`.

    Returns
    -------
    Split and merge variation of information, adapted Rand error, and the geometric mean of the
    error and the whole variation of information.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.evaluation.cremi_score(np.array([1, 1, 2, 2]), np.array([3, 3, 4, 4]))
    (0.0, 0.0, 0.0, 0.0)
    """
    how = How(num_workers, block_shape, job_type, job_config, mask)
    table = table_of(segmentation, groundtruth, how, ignore_seg, ignore_gt)
    return cremi_scores(table, use_log2=use_log2)
