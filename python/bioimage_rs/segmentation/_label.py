"""Connected components."""

import os
from typing import Unpack

import numpy as np

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.sources import SourceLike, as_source


@array_operation
def label(
    input: SourceLike,  # noqa: A002 - the reference's name
    output: SourceLike | None = None,
    *,
    threshold: float | None = None,
    connectivity: int | None = None,
    multi_label: bool = False,
    per_slice: bool = False,
    **how: Unpack[How],
) -> SourceLike:
    """Label the connected components of an image with 1, 2, 3, ...

    In two passes over the image, of which the second alone writes. The components are those of the
    whole image, numbered without gaps: the same on every backend, for any number of workers. With
    other blocks the same components may have other numbers. Halo: none. Memory: a worker holds its
    block, 8 bytes a voxel for finding the components, and 8 for their numbers; merging takes memory
    for components that touch other blocks, and none for all others.

    Parameters
    ----------
    input
        The image, of any data type and number of axes.
    output
        The array to write, `uint64` and of the same shape; by default a new numpy array.
    threshold
        Values above it are foreground; by default all that are not zero.
    connectivity
        Along how many axes at once neighbouring voxels may differ: 1 (the default) for neighbours
        across faces, the number of axes for those across corners, too.
    multi_label
        Whether voxels of different values are never of one component, as of a label image.
    per_slice
        Whether slices along the first axis are images by themselves.
    block_shape, job_type, job_config, num_workers, resume_from, memory, retries, progress
        As for `copy`.
    mask
        Where it is zero there is no foreground: the output becomes 0.
    block_ids
        Not used: components go beyond blocks.
    cast
        Not used.
    new_output
        With paths as input and output, what `bp label` takes for a new array: `chunks`, `shards`,
        `codec`, `roi`, `overwrite`.

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
    >>> image = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 1]])
    >>> bp.segmentation.label(image, block_shape=(2, 2), num_workers=2)
    array([[1, 1, 0, 0],
           [0, 0, 0, 2],
           [3, 0, 2, 2]], dtype=uint64)
    """
    if how.get("block_ids") is not None:
        raise ValueError("label() takes no block_ids: components go beyond blocks.")
    connectivity = 1 if connectivity is None else int(connectivity)
    if not isinstance(output, str | os.PathLike):
        ndim = as_source(input).ndim
        if not 1 <= connectivity <= ndim:
            raise ValueError(f"connectivity must be in [1, {ndim}], got {connectivity}.")
        if output is not None and (dtype := as_source(output).dtype) != np.dtype("uint64"):
            raise ValueError(f"output must have dtype uint64, got {dtype}.")
    parameters = {
        "threshold": None if threshold is None else float(threshold),
        "connectivity": connectivity,
        "multi_label": bool(multi_label),
        "per_slice": bool(per_slice),
    }
    operation = Operation(
        "label", parameters, "bp.segmentation.label", in_place="labelling", at_once=True
    )
    return operation.run({"input": input}, output, how)
