"""Downsampling."""

from collections.abc import Sequence
from numbers import Integral
from typing import Unpack

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.sources import Source, SourceLike
from bioimage_rs.util import downscale_shape
from bioimage_rs.wrapper import ResizedSource, WindowSource


@array_operation
def downsample(
    input: SourceLike,  # noqa: A002 - the reference's name
    scale_factor: int | Sequence[int],
    output: SourceLike | None = None,
    *,
    method: str = "sample",
    order: int = 0,
    anti_aliasing: bool = False,
    align: str = "corner",
    **how: Unpack[How],
) -> SourceLike:
    """Put an array on a coarser grid.

    The same as a copy of a `ResizedSource`, which samples values by interpolation, or with another
    method of a `WindowSource`, which makes one value of all voxels of a window. Halo: none, every
    block reads what it needs. Memory: the block, what is read for it, and with order 1 and higher
    or smoothing that part of the input once more in floats.

    Parameters
    ----------
    input
        The array to read; for sampling 2D or 3D.
    scale_factor
        How many voxels become one, along each axis: one number or one for each axis, at least 1.
        The extents are rounded up.
    output
        The array to write; by default a new numpy array of the input's data type.
    method
        `sample`, or what becomes of each window of voxels: `mean`, `median`, `max`, `min`, `mode`
        (the most frequent value, for labels) or `sparse-mode` (the same without 0). Windows take
        images of any number of axes, and neither order nor smoothing.
    order
        Interpolation order, 0 (the nearest voxel) to 5. Use 0 for labels.
    anti_aliasing
        Whether the input is smoothed before, so that fine structures leave no patterns. Not for
        labels.
    align
        Of samples. `corner`: the centres of the first voxels lie on each other, so that the image
        is shifted by up to half a voxel of the new grid. `center`: the faces of the arrays do, and
        nothing is shifted, as with windows.
    block_shape, mask, block_ids
        As for `copy`, on the new grid.
    job_type, job_config, num_workers, resume_from, cast, memory, retries, progress
        As for `copy`.
    new_output
        With a path as output, what `bp downsample` takes for a new array: `chunks`, `shards`,
        `codec`, `dtype`, `roi` (of the input), `overwrite`.

    Returns
    -------
    The object that was passed as output, or the new array; with an output path, that array opened.

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
    >>> bp.downsample(np.arange(24).reshape(4, 6), 2)
    array([[ 0,  2,  4],
           [12, 14, 16]])
    >>> bp.downsample(np.array([[0.0, 2.0, 4.0, 6.0]]), (1, 2), order=1, align="center")
    array([[1., 5.]])
    >>> bp.downsample(np.array([[7, 7, 3, 0], [9, 7, 0, 0]]), 2, method="mode")
    array([[7, 0]])
    """
    given = scale_factor
    if method != "sample" and (order or anti_aliasing):
        raise ValueError("order and anti_aliasing are for the method 'sample'.")
    factor = int(given) if isinstance(given, Integral) else [int(one) for one in given]  # type: ignore[union-attr]

    def resized(sources: list[Source]) -> list[Source]:
        (source,) = sources
        factors = [factor] * source.ndim if isinstance(factor, int) else factor
        if len(factors) != source.ndim:
            raise ValueError(
                f"scale_factor {given} does not match the input dimensionality {source.ndim}."
            )
        if min(factors, default=1) < 1:
            raise ValueError(
                f"downsample requires scale factors >= 1, got {tuple(factors)}; use a "
                "ResizedSource directly to upsample."
            )
        if method != "sample":
            return [WindowSource(source, factors, method=method)]
        shape = downscale_shape(source.shape, factors)
        options = {"order": order, "anti_aliasing": anti_aliasing, "align": align}
        return [ResizedSource(source, shape, **options)]  # type: ignore[arg-type]

    operation = Operation(
        "downsample",
        {
            "scale_factor": factor,
            "method": method,
            "order": int(order),
            "anti_aliasing": bool(anti_aliasing),
            "align": align,
        },
        "bp.downsample",
        in_place="copy",
        over=resized,
    )
    return operation.run({"input": input}, output, how)
