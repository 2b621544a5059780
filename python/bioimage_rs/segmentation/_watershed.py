"""Watershed."""

import os
from collections.abc import Sequence
from typing import Unpack

import numpy as np

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import is_direct, normalize_halo


@array_operation
def watershed(
    input: SourceLike,  # noqa: A002 - the reference's name
    seeds: SourceLike,
    output: SourceLike | None = None,
    *,
    halo: Sequence[int] | None = None,
    height_range: tuple[float, float] | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Let seeds grow over an image of heights, low parts first.

    Meyer's flooding (1991) over 65536 steps of height, neighbours across faces; with one block bit
    for bit that of bioimage_cpp. In blocks, each is flooded with its halo from the seeds that lie
    there: exact where the basins do not reach farther. Memory: a worker holds heights and seeds of
    its block with the halo, and some 20 bytes a voxel of it.

    Parameters
    ----------
    input
        The heights, 2D or 3D, such as boundary probabilities; float32, float64, or cast to float32.
    seeds
        Labels that grow, and 0 elsewhere, of the same shape.
    output
        The array to write, of any integer type; by default a new one of `uint64`.
    halo
        How far beyond its block a worker looks, for each axis; needed for blocks.
    height_range
        Lowest and highest height, between which there are 65536 steps. By default those of each
        block with its halo; with a range of one's own, steps are the same in blocks of any shape.
    mask
        Where it is zero nothing grows and the output becomes 0; blocks without any voxel inside
        stay as they are.
    block_shape, job_type, job_config, num_workers, block_ids, resume_from
        As for `copy`.
    memory, retries, progress
        As for `copy`.
    cast
        Not used.
    new_output
        With paths as inputs and output, what `bp watershed` takes for a new array: `chunks`,
        `shards`, `codec`, `roi`, `overwrite`.

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
    >>> heights = np.array([[0.0, 1.0, 5.0, 2.0, 0.0]] * 2)
    >>> bp.segmentation.watershed(heights, np.array([[3, 0, 0, 0, 7]] * 2))
    array([[3, 3, 3, 7, 7],
           [3, 3, 3, 7, 7]], dtype=uint64)
    """
    parameters: dict[str, object] = {"halo": 0}
    if height_range is not None:
        parameters["range"] = [float(height) for height in height_range]
    if not isinstance(output, str | os.PathLike):
        heights, grown = as_source(input), as_source(seeds)
        if heights.ndim not in (2, 3):
            raise ValueError(f"watershed supports 2D or 3D data, got {heights.ndim}D.")
        if tuple(grown.shape) != tuple(heights.shape):
            raise ValueError(
                f"seeds shape {tuple(grown.shape)} does not match input shape "
                f"{tuple(heights.shape)}."
            )
        if output is not None:
            dtype = np.dtype(as_source(output).dtype)
            if not np.issubdtype(dtype, np.integer):
                raise ValueError(f"output must have an integer dtype, got {dtype}.")
        one_block = is_direct(
            how.get("job_type", "local"), how.get("num_workers", 1), how.get("block_shape")
        )
        one_block &= how.get("block_ids") is None and how.get("resume_from") is None
        if one_block:
            # A mask alone makes no blocks.
            if how.get("mask") is not None:
                how = {**how, "block_shape": tuple(heights.shape)}
        elif halo is None:
            raise ValueError(
                "halo is required for block-wise watershed; choose one large enough to cover "
                "object extents at block boundaries."
            )
        else:
            parameters["halo"] = [int(extent) for extent in normalize_halo(halo, heights.ndim)]
    elif halo is not None:
        parameters["halo"] = tuple(halo)
    operation = Operation(
        "watershed", parameters, "bp.segmentation.watershed", in_place="watershed", at_once=True
    )
    return operation.run({"input": input, "seeds": seeds}, output, how)
