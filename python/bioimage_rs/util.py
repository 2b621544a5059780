"""Small helpers with the reference's names: blocks, halos, shapes, and checks of arguments."""

import itertools
import numbers
import warnings
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from bioimage_rs._native import Block, Blocking, BlockWithHalo
from bioimage_rs.sources import Source, SourceLike

__all__ = [
    "Block",
    "BlockDescriptor",
    "BlockWithHalo",
    "Blocking",
    "ComputeFn",
    "check_direct",
    "check_rerun_args",
    "derive_block_shape",
    "downscale_shape",
    "full_roi",
    "get_blocking",
    "group_blocks_by_shard",
    "is_direct",
    "maybe_warn_imbalance",
    "normalize_halo",
    "same_array",
    "sigma_to_halo",
    "take_mapping",
    "to_roi",
]

BlockDescriptor = Block | BlockWithHalo
ComputeFn = Callable[[BlockDescriptor, Sequence[Source], Sequence[Source], Source | None], Any]


def to_roi(block: BlockDescriptor) -> tuple[slice, ...]:
    """Turn a block into the slices that index its region.

    Parameters
    ----------
    block
        A block, or anything with `begin` and `end`. Of a block with a halo, its `outer_block`,
        `inner_block` or `inner_block_local`.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> from bioimage_rs.util import get_blocking
    >>> bp.to_roi(get_blocking((4, 8), (4, 4)).get_block(1))
    (slice(0, 4, None), slice(4, 8, None))
    """
    if isinstance(block, Block):
        return block.roi
    if isinstance(block, BlockWithHalo):
        raise TypeError(
            "to_roi takes a plain block: pass block.outer_block, block.inner_block or "
            "block.inner_block_local."
        )
    return tuple(
        slice(int(begin), int(end)) for begin, end in zip(block.begin, block.end, strict=True)
    )


def full_roi(ndim: int) -> tuple[slice, ...]:
    """Slices that index everything."""
    return (slice(None),) * ndim


def is_direct(job_type: str, num_workers: int, block_shape: tuple[int, ...] | None) -> bool:
    """Whether nothing asks for work in blocks."""
    return job_type == "local" and num_workers == 1 and block_shape is None


def check_direct(
    job_type: str,
    num_workers: int,
    block_shape: tuple[int, ...] | None,
    mask: SourceLike | None,
    block_ids: Sequence[int] | None,
) -> bool:
    """As `is_direct`; `ValueError` for a direct computation with a mask or block ids."""
    direct = is_direct(job_type, num_workers, block_shape)
    if direct and (mask is not None or block_ids is not None):
        raise ValueError("Direct computation does not support 'mask' or 'block_ids'.")
    return direct


def same_array(a: Source, b: Source) -> bool:
    """Whether two sources stand for the same array: one object, or one place on disk."""
    if a is b:
        return True
    first, second = getattr(a, "array", None), getattr(b, "array", None)
    if first is not None and first is second:
        return True
    try:
        one, other = a.to_spec(), b.to_spec()
    except ValueError:
        return False
    return one.path is not None and (one.path, one.internal_path) == (
        other.path,
        other.internal_path,
    )


def normalize_halo(halo: int | Sequence[int], ndim: int) -> list[int]:
    """One extent for each axis."""
    if isinstance(halo, numbers.Integral):
        return [int(halo)] * ndim
    extents = [int(extent) for extent in halo]  # type: ignore[union-attr]
    if len(extents) != ndim:
        raise ValueError(f"Halo {extents} does not match ndim {ndim}.")
    return extents


def sigma_to_halo(sigma: float | Sequence[float], order: int) -> int | list[int]:
    """The halo that the reference takes for a Gaussian filter of a derivative order.

    It is about twice what the kernel needs.
    """
    if isinstance(sigma, numbers.Real):
        return 2 * ceil(3.0 * float(sigma) + 0.5 * order + 0.5)
    return [2 * ceil(3.0 * one + 0.5 * order + 0.5) for one in sigma]  # type: ignore[union-attr]


def downscale_shape(
    shape: Sequence[int], scale_factor: int | Sequence[int], ceil_mode: bool = True
) -> tuple[int, ...]:
    """The shape of an array that is scaled down, rounded up (`ceil_mode`) or down."""
    if isinstance(scale_factor, numbers.Integral):
        factors = [int(scale_factor)] * len(shape)
    else:
        factors = [int(factor) for factor in scale_factor]  # type: ignore[union-attr]
        if len(factors) != len(shape):
            raise ValueError(
                f"scale_factor {scale_factor} does not match the dimensionality {len(shape)}."
            )
    pairs = zip(shape, factors, strict=True)
    if ceil_mode:
        return tuple(-(-int(extent) // factor) for extent, factor in pairs)
    return tuple(int(extent) // factor for extent, factor in pairs)


def derive_block_shape(source: Source, block_shape: Sequence[int] | None) -> tuple[int, ...]:
    """The block shape that was given, or else the source's chunks."""
    if block_shape is not None:
        return tuple(int(extent) for extent in block_shape)
    if source.chunks is not None:
        return tuple(int(extent) for extent in source.chunks)
    raise ValueError(
        "block_shape is required for block-wise processing of an unchunked array "
        "(the source has no chunks to derive it from)."
    )


def get_blocking(
    shape: Sequence[int], block_shape: Sequence[int], roi: tuple[slice, ...] | None = None
) -> Blocking:
    """The blocks of an array, or of a region of it.

    Parameters
    ----------
    shape
        Extents of the array.
    block_shape
        Extents of a block; those at the end are clipped.
    roi
        The region; all by default.

    Examples
    --------
    >>> from bioimage_rs.util import get_blocking
    >>> blocking = get_blocking((10, 7), (4, 4))
    >>> blocking.number_of_blocks
    6
    >>> blocking.get_block_with_halo(1, [1, 1]).outer_block.begin
    [0, 3]
    """
    begin, end = [0] * len(shape), [int(extent) for extent in shape]
    for axis, part in enumerate(roi or ()):
        begin[axis] = begin[axis] if part.start is None else int(part.start)
        end[axis] = end[axis] if part.stop is None else int(part.stop)
    return Blocking(begin, end, [int(extent) for extent in block_shape])


def check_rerun_args(
    job_type: str,
    resume_from: str | None,
    subset: Sequence[int] | None,
    *,
    subset_name: str = "block_ids",
) -> None:
    """Refuse a resume together with a subset, or of a run that keeps no folder."""
    if resume_from is None:
        return
    if subset is not None:
        raise ValueError(f"Pass either 'resume_from' or '{subset_name}', not both.")
    if job_type == "local":
        raise ValueError(
            "resume_from is only valid for distributed backends (subprocess/slurm); the local "
            "runner keeps no temp folder. Re-run the operation in-process instead (optionally with "
            f"{subset_name}=err.failed_block_ids for a subset)."
        )


def group_blocks_by_shard(
    blocking: Blocking, outputs: Sequence[Source], block_ids: Sequence[int]
) -> list[list[int]] | None:
    """Group blocks that lie in common shards of an output; `None` if no output has shards.

    Groups are sorted by their first block. Runs do this by themselves.
    """
    shards = [out.shards[-blocking.ndim :] for out in outputs if out.shards is not None]
    if not shards:
        return None
    parent = {int(number): int(number) for number in block_ids}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    owner: dict[tuple[int, ...], int] = {}
    for number in parent:
        block = blocking.get_block(number)
        for index, shard in enumerate(shards):
            spans = [
                range(begin // extent, -(-end // extent))
                for begin, end, extent in zip(block.begin, block.end, shard, strict=True)
            ]
            for cell in itertools.product(*spans):
                parent[root(number)] = root(owner.setdefault((index, *cell), number))
    groups: dict[int, list[int]] = {}
    for number in sorted(parent):
        groups.setdefault(root(number), []).append(number)
    return list(groups.values())


def maybe_warn_imbalance(loads: Sequence[int], num_workers: int, n_groups: int, name: str) -> None:
    """Warn if shards leave workers without work, or with very different amounts of it."""
    if not loads:
        return
    label = name or "run"
    if n_groups < num_workers:
        warnings.warn(
            f"Shard routing for '{label}' gives only {n_groups} shard-group(s) to {num_workers} "
            f"workers: {num_workers - n_groups} worker(s) will be idle. Smaller shards or fewer "
            "workers avoid that; results are correct.",
            stacklevel=2,
        )
        return
    mean = sum(loads) / len(loads)
    if max(loads) > min(loads) and max(loads) > 1.5 * mean:
        warnings.warn(
            f"Uneven worker load for '{label}': {min(loads)} to {max(loads)} blocks a worker, "
            f"{mean:.1f} on average, since shards hold different numbers of blocks. Results are "
            "correct.",
            stacklevel=2,
        )


def take_mapping(mapping: Mapping[int, int], seg: np.ndarray) -> np.ndarray:
    """Replace the ids of a label image.

    Parameters
    ----------
    mapping
        The new id of every id in `seg`; others may be there, too.
    seg
        Labels of any shape and integer type.

    Returns
    -------
    The new labels, in the shape and type of `seg`.

    Raises
    ------
    IndexError
        For an id without a new one.
    """
    present, inverse = np.unique(seg, return_inverse=True)
    new = np.empty_like(present)
    for index, label in enumerate(present.tolist()):
        if label not in mapping:
            raise IndexError(f"relabeling is missing key {label}")
        new[index] = mapping[label]
    return new[inverse].reshape(seg.shape)
