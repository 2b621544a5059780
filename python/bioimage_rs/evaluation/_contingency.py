"""The contingency table of two segmentations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_rs import _native
from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, measure
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args


@dataclass(frozen=True)
class ContingencyTable:
    """How many voxels each pair of labels of two segmentations shares, and each label has.

    Only pairs that occur are there. All arrays are of `uint64` and exact.

    Attributes
    ----------
    pairs
        The pairs, label of the first segmentation first, in ascending order: shape `(n, 2)`.
    counts
        The voxels of each pair.
    labels_a, sizes_a
        The labels of the first segmentation in ascending order, and the voxels of each.
    labels_b, sizes_b
        The same of the second segmentation.
    n_points
        The number of all voxels.
    """

    pairs: np.ndarray
    counts: np.ndarray
    labels_a: np.ndarray
    sizes_a: np.ndarray
    labels_b: np.ndarray
    sizes_b: np.ndarray
    n_points: int

    def as_dicts(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return the voxels of each label, for both segmentations."""
        a = dict(zip(self.labels_a.tolist(), self.sizes_a.tolist(), strict=True))
        b = dict(zip(self.labels_b.tolist(), self.sizes_b.tolist(), strict=True))
        return a, b

    def drop_ignore(
        self, ignore_a: Sequence[int] | None = None, ignore_b: Sequence[int] | None = None
    ) -> "ContingencyTable":
        """Return the table without voxels that have one of these labels in either segmentation.

        Parameters
        ----------
        ignore_a
            Labels of the first segmentation.
        ignore_b
            Labels of the second segmentation.
        """
        if ignore_a is None and ignore_b is None:
            return self
        kept = np.ones(len(self.pairs), bool)
        for side, labels in enumerate((ignore_a, ignore_b)):
            if labels is not None:
                kept &= ~np.isin(self.pairs[:, side], np.asarray(list(labels), "uint64"))
        return of_pairs(self.pairs[kept], self.counts[kept])


def of_pairs(pairs: np.ndarray, counts: np.ndarray) -> ContingencyTable:
    """Return the table of pairs in ascending order."""
    (labels_a, sizes_a), (labels_b, sizes_b) = _native_table(pairs, counts).labels()
    n_points = sum(sizes_a.tolist())
    return ContingencyTable(pairs, counts, labels_a, sizes_a, labels_b, sizes_b, n_points)


def native(table: ContingencyTable) -> _native.Contingency:
    """Return the table as the engine works on it."""
    return _native_table(table.pairs, table.counts)


def _native_table(pairs: np.ndarray, counts: np.ndarray) -> _native.Contingency:
    columns = (np.ascontiguousarray(column, "uint64") for column in (*pairs.T, counts))
    return _native.Contingency(*columns)


@takes_defaults
def contingency_table(
    seg_a: SourceLike,
    seg_b: SourceLike,
    num_workers: int = 1,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
    pre_cleanup: Callable[[str], None] | None = None,
) -> ContingencyTable:
    """Count the voxels that each pair of labels of two segmentations shares.

    In one pass, the same on every backend, and exact in 64 bits. Background counts as any other
    label. Halo: none. Memory: a worker holds its blocks and some 60 bytes for each different pair
    in them; merging takes 24 bytes for each pair.

    Parameters
    ----------
    seg_a, seg_b
        The segmentations, of one shape and of integer data types, without negative labels.
    num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from, pre_cleanup
        As for `bp.morphology.morphology`.

    Raises
    ------
    ValueError
        For images that are not of integers or not of one shape.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> a, b = np.array([1, 1, 2, 2]), np.array([5, 5, 5, 0])
    >>> table = bp.evaluation.contingency_table(a, b)
    >>> table.pairs.tolist(), table.counts.tolist()
    ([[1, 5], [2, 0], [2, 5]], [2, 1, 1])
    >>> table.drop_ignore(ignore_b=[0]).as_dicts()
    ({1: 2, 2: 1}, {5: 3})
    """
    check_rerun_args(job_type, resume_from, block_ids)
    for name, array in (("seg_a", seg_a), ("seg_b", seg_b)):
        dtype = as_source(array).dtype
        if dtype.kind not in "iu":
            raise ValueError(
                f"contingency_table expects integer label images, got dtype {dtype} for {name}."
            )
    how = How(
        num_workers, block_shape, job_type, job_config, mask, block_ids, resume_from, pre_cleanup
    )
    found = measure(
        "compare",
        {"report": "pairs"},
        {"seg_a": seg_a, "seg_b": seg_b},
        how,
        function="bp.evaluation.contingency_table",
        arguments={},
    )
    nothing = np.zeros(0, "uint64")
    labels_a, labels_b, counts = (
        found.get(name, nothing) for name in ("label_a", "label_b", "count")
    )
    return of_pairs(np.stack([labels_a, labels_b], axis=1), counts)


def table_of(
    segmentation: SourceLike,
    groundtruth: SourceLike,
    how: How,
    ignore_seg: Sequence[int] | None = None,
    ignore_gt: Sequence[int] | None = None,
) -> ContingencyTable:
    """Return the table that a score is computed from."""
    table = contingency_table(
        segmentation,
        groundtruth,
        num_workers=how.num_workers,
        block_shape=how.block_shape,
        job_type=how.job_type,
        job_config=how.job_config,
        mask=how.mask,
    )
    return table.drop_ignore(ignore_seg, ignore_gt)


def label_to_ignore(label: int | None) -> int | None:
    """Return the label as the engine takes it; what no voxel can have is none."""
    return None if label is None or not 0 <= int(label) < 2**64 else int(label)
