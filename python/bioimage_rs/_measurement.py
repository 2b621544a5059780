"""What functions that measure have in common."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs._operation import resume, run_directly, settings
from bioimage_rs._progress import showing
from bioimage_rs._runs import Run, finish, stopped_by_interrupt
from bioimage_rs.errors import RunnerError
from bioimage_rs.runner import RunnerConfig, _checks, get_runner
from bioimage_rs.runner._base import before_cleanup, known_blocks
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.sources._array import engine_array
from bioimage_rs.util import check_direct, check_rerun_args, derive_block_shape, get_blocking

Table = dict[str, np.ndarray]


class Named(str):
    """An argument that code calls by a name, since its value says too much."""

    def __repr__(self) -> str:
        """Return the name."""
        return str(self)


@dataclass(frozen=True)
class How:
    """How and where a measurement is done, as every function that measures takes it."""

    num_workers: int = 1
    block_shape: tuple[int, ...] | None = None
    job_type: str = "local"
    job_config: RunnerConfig | None = None
    mask: SourceLike | None = None
    block_ids: Sequence[int] | None = None
    resume_from: str | None = None
    pre_cleanup: Callable[[str], None] | None = None


def measure(
    name: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, SourceLike],
    how: How,
    *,
    function: str,
    arguments: Mapping[str, Any] | None = None,
    in_any_blocks: bool = False,
    shown: bool = True,
) -> Table:
    """Measure at once where nothing asks for blocks, else block by block.

    Parameters
    ----------
    name, parameters
        What the engine calls the measurement, and its parameters.
    inputs
        What is measured, by the names that code calls it.
    how
        How and where.
    function
        The function that asks, as users write it.
    arguments
        Its arguments besides the inputs; by default the parameters.
    in_any_blocks
        Blocks are chosen, also of an array that has no chunks.
    shown
        Whether the run is shown while it goes.

    Returns
    -------
    The columns of the result; without rows where no voxel counts.
    """
    runner = get_runner(how.job_type, how.job_config)
    check_rerun_args(runner.job_type, how.resume_from, how.block_ids)
    direct = not in_any_blocks and check_direct(
        runner.job_type, how.num_workers, how.block_shape, how.mask, how.block_ids
    )
    sources = [as_source(array) for array in inputs.values()]
    if how.resume_from is not None:
        resumed = resume(runner, how.resume_from, how.num_workers)
        before_cleanup(how.pre_cleanup, resumed)
        return table(resumed)
    mask = None if how.mask is None else as_source(how.mask)
    block_shape, block_ids = how.block_shape, how.block_ids
    bad_ids: list[int] = []
    if not direct and not in_any_blocks:
        block_shape = derive_block_shape(sources[0], block_shape)
        _checks.same_shape(sources[0], [*sources[1:], *([] if mask is None else [mask])], [])
        total = get_blocking(sources[0].shape, block_shape).number_of_blocks
        block_ids, bad_ids = known_blocks(block_ids, total)
    if runner.job_type != "local":
        _checks.reopenable(sources, [], mask)
        runner._check_settings()
    if 0 in sources[0].shape:
        return {}
    options = [
        f"{key}={value!r}"
        for key, value in (parameters if arguments is None else arguments).items()
    ]
    options += [f"num_workers={how.num_workers}", f"job_type={runner.job_type!r}"]
    code = {"bp": "", "python": f"{function}({', '.join([*inputs, *options])})", "rust": ""}
    native = _native.run_operation(
        json.dumps({"name": name, "parameters": dict(parameters)}),
        [engine_array(source, writable=False) for source in sources],
        [],
        None if mask is None else engine_array(mask, writable=False),
        {
            **settings(runner, how.num_workers, None),
            "block_shape": None if block_shape is None else [int(one) for one in block_shape],
            "block_ids": block_ids,
            "code": json.dumps(code),
        },
    )
    run = Run(native)
    if direct:
        run_directly(run)
    else:
        with stopped_by_interrupt(run), showing(run) if shown else nullcontext():
            finish(run)
    if bad_ids:
        message = f"{len(bad_ids)} block(s) failed in '{name}': {bad_ids[:10]}. "
        message += "First error: IndexError('block_id is out of range')"
        raise RunnerError(message, bad_ids)
    if runner.job_type != "local":
        before_cleanup(how.pre_cleanup, run)
    return table(run)


def table(run: Run, stage: int | None = None) -> Table:
    """Return the columns that a run has measured, by default in its last pass."""
    return {name: data.view(dtype) for name, dtype, data in run._native.table(stage)}
