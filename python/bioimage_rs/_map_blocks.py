"""Functions of plain arrays, called for each block or each voxel's surroundings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._runs import Progress
from bioimage_rs.runner import RunnerConfig, _checks, get_runner
from bioimage_rs.sources import Source, SourceLike, as_source
from bioimage_rs.util import (
    BlockDescriptor,
    BlockWithHalo,
    check_rerun_args,
    same_array,
    to_roi,
)


@takes_defaults
def map_blocks(
    function: Callable[..., Any],
    inputs: SourceLike | Sequence[SourceLike],
    output: SourceLike | None = None,
    *,
    halo: int | Sequence[int] | None = None,
    dtype: Any = None,
    block_shape: tuple[int, ...] | None = None,
    mask: SourceLike | None = None,
    num_workers: int = 1,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    block_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> SourceLike:
    """Call a function of plain arrays for each block, and put together what it returns.

    Memory: for each worker a block of every input, once more for the block that is read ahead, the
    result, and what the function takes.

    Parameters
    ----------
    function
        Called with a numpy array for each input; returns an array of the same shape (with the halo,
        which is cut off), or a number.
    inputs
        One array, or several of one shape.
    output
        The array to write, of the inputs' shape; by default a new numpy array.
    halo
        By how many voxels a block is extended on each side, one number or one for each axis.
    dtype
        Data type of a new output; that of the first input by default.
    block_shape
        Extents of a block; the first input's chunks by default, or all of it where it has none.
    mask
        Where it is zero the output keeps what it had; blocks without any voxel are left out.
    num_workers, job_type, job_config, block_ids, resume_from
        As for `copy`.
    name
        Names the run where it is shown; the function's name by default.
    progress
        Called with the numbers of blocks by state whenever they change.

    Returns
    -------
    The object that was passed as output, or the new array.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    RunnerError
        If blocks failed, with what the function raised.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> data = np.arange(36.0).reshape(6, 6)
    >>> def smooth(block):
    ...     return (block + np.roll(block, 1, 0) + np.roll(block, -1, 0)) / 3
    >>> out = bp.map_blocks(smooth, data, halo=(1, 0), block_shape=(3, 6), num_workers=2)
    >>> bool(np.allclose(out[1:-1], data[1:-1]))
    True
    """
    check_rerun_args(job_type.lower(), resume_from, block_ids)
    sources = [as_source(one) for one in _as_list(inputs)]
    runner = get_runner(job_type, job_config)
    output = _checks.output_or_new(output, sources[0], job_type, dtype)
    if block_shape is None and sources[0].chunks is None:
        block_shape = sources[0].shape
    _check_in_place(sources, as_source(output), halo)
    label = name or str(getattr(function, "__name__", type(function).__name__))
    runner.run(
        _OfArrays(function),
        sources,
        [output],
        block_shape=block_shape,
        halo=0 if halo is None else halo,  # type: ignore[arg-type]
        mask=mask,
        num_workers=num_workers,
        block_ids=block_ids,
        name=label,
        resume_from=resume_from,
        progress=progress,
    )
    return output


def _check_in_place(sources: Sequence[Source], output: Source, halo: Any) -> None:
    if np.any(halo or 0) and any(same_array(source, output) for source in sources):
        raise ValueError(
            "With a halo the output must differ from the inputs: blocks would read what their "
            "neighbours have written already."
        )


def _as_list(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _is_memory(source: Source) -> bool:
    return isinstance(getattr(source, "array", None), np.ndarray)


class _OfArrays:
    """A function of arrays as one of blocks."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(
        self,
        block: BlockDescriptor,
        inputs: Sequence[Source],
        outputs: Sequence[Source],
        mask: Source | None,
    ) -> None:
        assert isinstance(block, BlockWithHalo)
        inner = to_roi(block.inner_block)
        inside = None if mask is None else np.asarray(mask[inner]).astype(bool)
        if inside is not None and not inside.any():
            return
        outer = to_roi(block.outer_block)
        # A function may change what it is given, which must not change an array in memory.
        arrays = [
            np.array(source[outer]) if _is_memory(source) else source[outer] for source in inputs
        ]
        result = np.asarray(self.function(*arrays))
        if result.ndim:
            if result.shape != arrays[0].shape:
                raise ValueError(
                    f"the function returned shape {result.shape} for blocks of shape "
                    f"{arrays[0].shape}; it must keep the shape, with the halo, or return a number"
                )
            result = result[to_roi(block.inner_block_local)]
        if inside is not None:
            result = np.where(inside, result, outputs[0][inner])
        outputs[0][inner] = result


@takes_defaults
def for_each_location(
    src: SourceLike,
    kernel: Callable[[np.ndarray], Any],
    radius: int | Sequence[int],
    output: SourceLike | None = None,
    *,
    mode: str = "reflect",
    vectorized: bool = False,
    dtype: Any = None,
    block_shape: tuple[int, ...] | None = None,
    mask: SourceLike | None = None,
    num_workers: int = 1,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    progress: Progress | None = None,
) -> SourceLike:
    """Call a function for the surroundings of each voxel.

    Parameters
    ----------
    src
        The array.
    kernel
        Called with a window of extents `2 * radius + 1` around a voxel; returns the voxel's new
        value.
    radius
        One number, or one for each axis.
    output, dtype, block_shape, mask, num_workers, job_type, job_config, progress
        As for `map_blocks`. The halo is the radius.
    vectorized
        Calls the kernel once for each block instead, as `kernel(windows, axis=axes)` with all
        windows behind each other and the axes that belong to a window, as numpy's reductions take
        them: much faster.
    mode
        What lies beyond the array's border, as for `numpy.pad`: `reflect`, `symmetric`, `edge` or
        `constant` (zero).

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> data = np.array([0, 0, 9, 0, 0])
    >>> bp.for_each_location(data, np.max, 1)
    array([0, 9, 9, 9, 0])
    >>> bp.for_each_location(data, np.max, 1, vectorized=True)
    array([0, 9, 9, 9, 0])
    """
    source = as_source(src)
    radii = [radius] * source.ndim if isinstance(radius, int) else [int(one) for one in radius]
    if len(radii) != source.ndim or min(radii) < 0:
        raise ValueError(
            f"radius {radius} does not fit an array of {source.ndim} axes: give one number, or "
            "one for each axis, of at least 0."
        )
    if mode not in _BORDERS:
        raise ValueError(f"Unknown mode '{mode}'; use one of {sorted(_BORDERS)}.")
    stencil = _Stencil(kernel, radii, mode, vectorized, source.shape)
    runner = get_runner(job_type, job_config)
    output = _checks.output_or_new(output, source, job_type, dtype)
    if block_shape is None and source.chunks is None:
        block_shape = source.shape
    _check_in_place([source], as_source(output), radii)
    runner.run(
        stencil,
        [source],
        [output],
        block_shape=block_shape,
        halo=radii,
        mask=mask,
        num_workers=num_workers,
        name=getattr(kernel, "__name__", "for_each_location"),
        progress=progress,
    )
    return output


# What lies beyond the border depends on the voxels next to it only, not on those of a whole block.
_BORDERS = {"reflect", "symmetric", "edge", "constant"}


class _Stencil:
    """A function of windows as one of blocks."""

    def __init__(
        self,
        kernel: Callable[..., Any],
        radii: list[int],
        mode: str,
        vectorized: bool,
        shape: tuple[int, ...],
    ) -> None:
        self.kernel, self.radii, self.mode, self.vectorized = kernel, radii, mode, vectorized
        self.shape = shape

    def __call__(
        self,
        block: BlockDescriptor,
        inputs: Sequence[Source],
        outputs: Sequence[Source],
        mask: Source | None,
    ) -> None:
        _OfArrays(lambda array: self.windows(array, block))(block, inputs, outputs, mask)

    def windows(self, array: np.ndarray, block: BlockDescriptor) -> np.ndarray:
        assert isinstance(block, BlockWithHalo)
        outer = block.outer_block
        # Only the array's own border is padded: inside, the halo holds what is there.
        width = [
            (radius if begin == 0 else 0, radius if end == extent else 0)
            for radius, begin, end, extent in zip(
                self.radii, outer.begin, outer.end, self.shape, strict=True
            )
        ]
        padded = np.pad(array, width, mode=self.mode)  # type: ignore[call-overload]
        sizes = tuple(2 * radius + 1 for radius in self.radii)
        windows = np.lib.stride_tricks.sliding_window_view(padded, sizes)
        if self.vectorized:
            values = np.asarray(self.kernel(windows, axis=tuple(range(-array.ndim, 0))))
        else:
            voxels = windows.shape[: array.ndim]
            values = np.asarray([self.kernel(windows[at]) for at in np.ndindex(voxels)])
            values = values.reshape(voxels)
        # Windows lie inside the padded array; the halo around them is cut off again by the caller.
        missing = [
            (0 if before else radius, 0 if after else radius)
            for radius, (before, after) in zip(self.radii, width, strict=True)
        ]
        return np.pad(values, missing)
