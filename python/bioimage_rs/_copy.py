"""Copy: block by block, or at once where nothing asks for blocks."""

import json
import os
import shlex
from collections.abc import Sequence
from typing import Any

from bioimage_rs import _native
from bioimage_rs._defaults import takes_defaults
from bioimage_rs._progress import showing
from bioimage_rs._runs import Progress, Run, finish, stopped_by_interrupt
from bioimage_rs.errors import BioimageError, RunnerError
from bioimage_rs.runner import RunnerConfig, _checks, get_runner
from bioimage_rs.runner._base import known_blocks
from bioimage_rs.sources import Source, SourceLike, as_source
from bioimage_rs.sources._array import engine_array
from bioimage_rs.util import check_rerun_args, derive_block_shape, get_blocking, same_array


@takes_defaults
def copy(
    input: SourceLike,  # noqa: A002 - the reference's name
    output: SourceLike | None = None,
    *,
    block_shape: tuple[int, ...] | None = None,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    num_workers: int = 1,
    mask: SourceLike | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
    cast: str = "wrapping",
    memory: int | str | None = None,
    retries: int = 3,
    progress: Progress | None = None,
    **new_output: Any,
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
    if isinstance(output, str | os.PathLike):
        if job_config is not None:
            raise ValueError(
                "job_config is not used with a path as output. Pass an array that exists, such as "
                "open_source(path, mode='r+'), or store the settings with write_slurm_config()."
            )
        return _copy_to_path(
            input,
            output,
            {
                "block_shape": block_shape,
                "workers": num_workers,
                "backend": job_type,
                "mask": mask,
                "cast": cast,
                "memory": memory,
                "retries": retries,
                **new_output,
            },
        )
    if new_output:
        raise TypeError(
            f"copy() takes {sorted(new_output)} only with a path as output: for a new array"
        )
    runner = get_runner(job_type, job_config)
    local = runner.job_type == "local"
    check_rerun_args(runner.job_type, resume_from, block_ids)
    source = as_source(input)
    result = _checks.output_or_new(output, source, job_type)
    target = as_source(result)
    if resume_from is not None:
        run = Run(_native.find_run(str(resume_from)))
        slurm = runner._how(num_workers)["slurm"]
        run._resume(workers=num_workers, backend=runner.job_type, slurm=slurm)
        run.wait()
        return result
    mask_source = None if mask is None else as_source(mask)
    direct = local and num_workers == 1 and block_shape is None
    direct = direct and mask_source is None and block_ids is None
    bad_ids: list[int] = []
    if not direct:
        block_shape = _check_blocked(source, target, mask_source, block_shape)
        total = get_blocking(source.shape, block_shape).number_of_blocks
        block_ids, bad_ids = known_blocks(block_ids, total)
    if not local:
        _checks.reopenable([source], [target], mask_source)
        runner._check_settings()
    if not target.writable:
        raise TypeError(f"The output ({type(target).__name__}) is read-only.")
    if 0 in source.shape:
        return result
    how = runner._how(num_workers)
    if memory is not None:
        how["budget"] = _native.parse_bytes(memory) if isinstance(memory, str) else memory
    native = _native.copy(
        engine_array(source, writable=False),
        engine_array(target, writable=True),
        None if mask_source is None else engine_array(mask_source, writable=False),
        cast,
        {
            **how,
            "block_shape": None if block_shape is None else [int(extent) for extent in block_shape],
            "block_ids": block_ids,
            "retries": retries,
            "code": json.dumps(_code(num_workers, runner.job_type, block_shape)),
        },
    )
    run = Run(native)
    if direct:
        with stopped_by_interrupt(run):
            _finish_direct(run)
        return result
    with stopped_by_interrupt(run), showing(run):
        finish(run, progress)
    if bad_ids:
        message = f"{len(bad_ids)} block(s) failed in 'copy': {bad_ids[:10]}. First error: "
        raise RunnerError(message + "IndexError('block_id is out of range')", bad_ids)
    return result


def _copy_to_path(input: SourceLike, output: Any, options: dict[str, Any]) -> SourceLike:  # noqa: A002
    """What `bp copy` does, which makes the output where it is missing."""
    from bioimage_rs._magic import command
    from bioimage_rs.sources import open_source

    arrays = {"input": input, "mask": options["mask"]}
    names = {
        name: os.fspath(array) if isinstance(array, str | os.PathLike) else name
        for name, array in arrays.items()
        if array is not None
    }
    words = ["copy", names["input"], os.fspath(output)]
    for name, value in options.items():
        text = names.get(name, value)
        if text is None or text is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if text is not True:
            words.append(",".join(map(str, text)) if isinstance(text, tuple | list) else str(text))
    command(shlex.join(words), arrays)
    return open_source(output, mode="r+")


def _finish_direct(run: Run) -> None:
    """Without blocks, what went wrong is shown as it is."""
    try:
        finish(run)
    except RunnerError as error:
        outcome = run.outcome
        if not outcome or not outcome.get("error"):
            raise
        from bioimage_rs.errors import from_native

        cause = outcome["error"]
        plain: BioimageError = from_native(
            cause["kind"], cause["message"], cause.get("fix"), cause.get("traceback")
        )
        raise plain from error


def _check_blocked(
    source: Source, target: Source, mask: Source | None, block_shape: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The reference's refusals for work in blocks, in its order and words."""
    if same_array(source, target):
        raise ValueError("Block-wise copy needs 'output' to differ from 'input'.")
    block_shape = derive_block_shape(source, block_shape)
    _checks.same_shape(source, [] if mask is None else [mask], [target])
    _checks.safe_to_write([target], get_blocking(source.shape, block_shape).block_shape)
    return block_shape


def _code(workers: int, backend: str, block_shape: tuple[int, ...] | None) -> dict[str, str]:
    """The call as code, as far as it can be told."""
    options = [f"num_workers={workers}", f"job_type={backend!r}"]
    if block_shape is not None:
        options.append(f"block_shape={tuple(block_shape)}")
    return {"bp": "", "python": f"bp.copy(input, output, {', '.join(options)})", "rust": ""}
