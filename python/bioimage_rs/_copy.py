"""Copy: block by block, or at once where nothing asks for blocks."""

from typing import Unpack

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.sources import SourceLike


@array_operation
def copy(
    input: SourceLike,  # noqa: A002 - the reference's name
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Copy an array into another grid, codec or data type.

    Every voxel as it is. Halo: none. Memory: a worker holds its block, once more in the output's
    data type where that differs, and one write unit (chunk or shard) twice while it is written.

    Parameters
    ----------
    input
        The array to read, of any number of axes: a source, numpy, zarr, h5py, ... array.
    output
        The array to write, of the same shape; by default a new numpy array.
    block_shape
        Extents of a block, multiples of the output's chunks; by default the input's chunks.
    job_type
        `local` (threads), `subprocess` (worker processes) or `slurm` (job arrays on a cluster).
    job_config
        Settings of the backend.
    num_workers
        How many work at the same time.
    mask
        Where it is zero the output keeps what it had; blocks without any voxel are skipped.
    block_ids
        The blocks to do; all by default.
    resume_from
        The folder of a run whose rest is to be done (not for `local`).
    cast
        What happens to values that the output's data type cannot hold: `wrapping` as numpy does,
        `saturating`, or `checked` (an error).
    memory
        Bytes that may be used; what is available by default.
    retries
        How often a block is tried again after a failure that may pass.
    progress
        Called with the numbers of blocks by state whenever they change.
    new_output
        With paths as input and output, what `bp copy` takes for a new array: `chunks`, `shards`,
        `codec`, `dtype`, `roi`, `overwrite`.

    Returns
    -------
    The object that was passed as output, or the new array; with an output path, that array opened.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    RunnerError
        If blocks failed.
    KeyboardInterrupt
        With a note that says how to go on.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> data = np.arange(24, dtype="uint8").reshape(4, 6)
    >>> out = bp.copy(data, np.zeros((4, 6), "uint16"), block_shape=(2, 3), num_workers=2)
    >>> bool((out == data).all())
    True
    """
    return Operation("copy", {}, "bp.copy", in_place="copy").run({"input": input}, output, how)
