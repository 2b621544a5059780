"""Pyramids: an image and coarser and coarser ones."""

import json
import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Unpack

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.sources import Source, SourceLike, open_source


@array_operation
def pyramid(
    input: SourceLike,  # noqa: A002 - as of all operations
    output: str | os.PathLike[str],
    *,
    levels: int | None = None,
    scale_factor: int | Sequence[int] | None = None,
    method: str = "mean",
    ome_zarr: str = "0.5",
    **how: Unpack[How],
) -> list[Source]:
    """Write an image and coarser and coarser ones as OME-Zarr.

    The arrays are `s0`, a copy of the image, `s1`, `s2`, ... in one group, which tells viewers
    their axes, scales and translations. One pass for each level, which is made from the one above.
    Halo: none. Memory: a worker holds its block and the windows of the level above that it is made
    from.

    Parameters
    ----------
    input
        The image, an array or a path, with two to five axes: t, c, then y, x or z, y, x. Names,
        voxel size and units are those that it has; without names the last axes are (z,) y, x.
    output
        The path of the group, whose name ends in `.zarr`, such as `image.ome.zarr`.
    levels
        How many arrays there are; by default until one has at most 64^3 voxels.
    scale_factor
        How many voxels become one from level to level: one number or one for each axis; by default
        2 along axes of space.
    method
        How: `mean`, `median`, `max`, `min`; for labels `mode`, `sparse-mode` or `sample`. As for
        `downsample`.
    ome_zarr
        Version of the format: `0.5`, on Zarr v3, or `0.4`, on Zarr v2 and for older readers.
    block_shape, job_type, num_workers, cast, memory, retries
        As for `copy`.
    job_config, mask, block_ids, resume_from, progress
        Not used.
    new_output
        What `bp pyramid` takes for the new arrays: `chunks`, `shards`, `codec`, `dtype`, `roi` (of
        the image), `overwrite`, which also removes further levels of an image that is there.

    Returns
    -------
    The arrays, opened, the largest first.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    FileExistsError
        If an array is there already.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/image.ome.zarr"
    >>> image = np.ones((64, 96))
    >>> whole, half, quarter = bp.pyramid(image, path, levels=3)  # doctest: +ELLIPSIS
    /...image.ome.zarr: new, 3 arrays, the first 64,96 f64, chunks ...
    >>> half.shape, quarter.shape
    ((32, 48), (16, 24))
    >>> folder.cleanup()
    """
    factor: int | list[int] | None = None
    if isinstance(scale_factor, Integral):
        factor = int(scale_factor)
    elif scale_factor is not None:
        factor = [int(one) for one in scale_factor]  # type: ignore[union-attr]
    parameters = {
        "levels": levels,
        "scale_factor": factor,
        "method": method,
        "ome_zarr": ome_zarr,
    }
    Operation("pyramid", parameters, "bp.pyramid", in_place=None).run_verb(
        {"input": input}, output, how
    )
    group = Path(os.fspath(output).replace("::", "/")).expanduser()
    if ome_zarr == "0.4":
        ome = json.loads((group / ".zattrs").read_text())
    else:
        ome = json.loads((group / "zarr.json").read_text())["attributes"]["ome"]
    paths = [one["path"] for one in ome["multiscales"][0]["datasets"]]
    return [open_source(group / path, mode="r+") for path in paths]
