"""New labels for old ones."""

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np

from bioimage_rs._measurement import table
from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs._runs import Run
from bioimage_rs.errors import BioimageError
from bioimage_rs.runner import Runner, get_runner
from bioimage_rs.sources import ArraySource, Source, SourceLike, as_source
from bioimage_rs.util import check_rerun_args, full_roi, is_direct, same_array, to_roi

BlockFunction = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


def _labels(input: SourceLike, message: str) -> Source:  # noqa: A002
    source = as_source(input)
    if not np.issubdtype(np.dtype(source.dtype), np.integer):
        raise ValueError(f"{message}, got dtype {source.dtype}.")
    return source


def _target(input: SourceLike, source: Source, output: SourceLike | None) -> SourceLike:  # noqa: A002
    """Without an output, arrays in files change in place, and those in memory do not."""
    if output is not None:
        return output
    in_memory = isinstance(source, ArraySource) and isinstance(source.array, np.ndarray)
    return np.zeros(source.shape, source.dtype) if in_memory else input


def _pairs(labeling: SourceLike | Mapping[int, int]) -> list[tuple[int, int]]:
    if isinstance(labeling, Mapping):
        return [(int(old), int(new)) for old, new in labeling.items()]
    dense = as_source(labeling)
    if dense.ndim != 1:
        raise ValueError(f"Dense labeling must be a 1D array; got shape {tuple(dense.shape)}.")
    if not np.issubdtype(np.dtype(dense.dtype), np.integer):
        raise ValueError(f"labeling must be integer-typed, got dtype {dense.dtype}.")
    return list(enumerate(np.asarray(dense[full_roi(1)]).tolist()))


@array_operation
def relabel(
    input: SourceLike,  # noqa: A002 - the reference's name
    labeling: SourceLike | Mapping[int, int],
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Give the labels of an image new ones.

    Halo: none. Memory: a worker holds its block twice, and 32 bytes for each label of the table.

    Parameters
    ----------
    input
        The image of labels, of any integer type.
    labeling
        The new label of each old one: a mapping, or a one-dimensional array of integers that has at
        place `i` the new label of `i`. Every label that occurs must have one.
    output
        The array to write; by default an image in a file is changed in place, and of one in memory
        a new one is made. A run in place tries no block again and cannot be resumed, for its blocks
        would be changed twice: write to another array where a worker may be killed.
    block_shape, job_type, job_config, num_workers, block_ids, resume_from, memory, progress
        As for `copy`.
    mask
        Where it is zero the output stays as it is, and labels need no new ones.
    cast, retries
        As for `copy`.
    new_output
        Not used: there is no verb for a table of labels.

    Returns
    -------
    The object that was passed as output, the input, or the new array.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    IndexError
        Where all is done at once: for a label that has no new one.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.segmentation.relabel(np.array([0, 7, 7, 9]), {0: 0, 7: 1, 9: 2}, block_shape=(2,))
    array([0, 1, 1, 2])
    """
    source = _labels(input, "relabel expects an integer label image")
    operation = Operation(
        "relabel", {"pairs": _pairs(labeling)}, "bp.segmentation.relabel", in_place=None
    )
    return _applied(operation, input, _target(input, source, output), how)[0]


def _applied(
    operation: Operation,
    input: SourceLike,  # noqa: A002
    output: SourceLike,
    how: Mapping[str, Any],
) -> tuple[SourceLike, Run | None]:
    try:
        (result,), run = operation.run_into({"input": input}, {"output": output}, how)
    except BioimageError as error:
        if error.kind == "value-out-of-range" and "missing key" in str(error):
            raise IndexError(str(error)) from error
        raise
    return result, run


@array_operation
def relabel_consecutive(
    input: SourceLike,  # noqa: A002 - the reference's name
    output: SourceLike | None = None,
    *,
    start_label: int = 0,
    keep_zeros: bool = True,
    **how: Unpack[How],
) -> tuple[SourceLike, int, dict[int, int]]:
    """Give the labels of an image new ones without gaps, in their order.

    In two passes: the first finds the labels, the second writes. Halo: none. Memory: a worker holds
    its block twice and 8 bytes a voxel, and 32 bytes for each label of the image.

    Parameters
    ----------
    input
        The image of labels, of any integer type.
    output
        As for `relabel`.
    start_label
        The new label of the least old one.
    keep_zeros
        Whether 0 stays 0; it is counted all the same.
    block_shape, job_type, job_config, num_workers, mask, resume_from, memory, progress
        As for `copy`.
    block_ids, cast, retries, new_output
        Not used.

    Returns
    -------
    The output as `relabel` returns it, the greatest new label, and all new labels by the old ones.

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
    >>> bp.segmentation.relabel_consecutive(np.array([0, 30, 7, 30]))
    (array([0, 2, 1, 2]), 2, {0: 0, 7: 1, 30: 2})
    """
    source = _labels(input, "relabel_consecutive expects an integer label image")
    operation = Operation(
        "relabel-consecutive",
        {"start_label": int(start_label), "without_zeros": not keep_zeros},
        "bp.segmentation.relabel_consecutive",
        in_place=None,
    )
    result, run = _applied(operation, input, _target(input, source, output), _whole(how))
    found = {} if run is None else table(run, stage=0)
    old, new = found.get("old", np.zeros(0, int)), found.get("new", np.zeros(0, int))
    mapping = dict(zip(old.tolist(), new.tolist(), strict=True))
    return result, max(mapping.values(), default=0), mapping


def _whole(how: Mapping[str, Any]) -> Mapping[str, Any]:
    if how.get("block_ids") is not None:
        raise ValueError("block_ids cannot be chosen: all labels must be known.")
    return how


@array_operation
def size_filter(
    input: SourceLike,  # noqa: A002 - the reference's name
    output: SourceLike | None = None,
    *,
    min_size: int | None = None,
    max_size: int | None = None,
    relabel: bool = True,
    **how: Unpack[How],
) -> SourceLike:
    """Remove objects that are too small or too large.

    In two passes: the first finds the labels and their sizes, the second writes. Halo: none.
    Memory: a worker holds its block twice and 8 bytes a voxel, and 32 bytes for each label.

    Parameters
    ----------
    input
        The image of labels, of any integer type.
    output
        The array to write; by default a new numpy array.
    min_size, max_size
        Objects of fewer or of more voxels become 0; at least one of the two must be given.
    relabel
        Whether the other objects become 1, 2, 3, ..., in the order of their labels.
    block_shape, job_type, job_config, num_workers, mask, resume_from, memory, progress
        As for `copy`.
    block_ids
        Not used.
    cast, retries
        As for `copy`.
    new_output
        With paths as input and output, what `bp size-filter` takes for a new array: `chunks`,
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
    >>> bp.segmentation.size_filter(np.array([0, 5, 5, 8, 9, 9]), min_size=2)
    array([0, 1, 1, 0, 2, 2])
    """
    if min_size is None and max_size is None:
        raise ValueError("size_filter requires at least one of 'min_size' or 'max_size'.")
    if not isinstance(input, str):
        _labels(input, "size_filter expects an integer label image")
    sizes = {"min_size": min_size, "max_size": max_size}
    operation = Operation(
        "size-filter",
        {name: None if size is None else int(size) for name, size in sizes.items()}
        | {"keep_labels": not relabel},
        "bp.segmentation.size_filter",
        in_place="segmentation_filter",
    )
    _whole(how)
    return operation.run({"input": input}, output, how)


@array_operation
def segmentation_filter(
    input: SourceLike,  # noqa: A002 - the reference's name
    filter_function: BlockFunction,
    output: SourceLike | None = None,
    *,
    relabel: BlockFunction | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Apply a Python function to the labels of each block.

    Halo: none. Memory: a worker holds its block, and what the functions take.

    Parameters
    ----------
    input
        The image of labels.
    filter_function
        Called with the labels of a block and with its part of the mask, as `bool`, or None without
        one; gives new labels.
    output
        The array to write; by default a new numpy array.
    relabel
        Called in the same way with what the filter gives.
    block_shape, job_type, job_config, num_workers, mask, block_ids, resume_from, retries, progress
        As for `copy`.
    cast, memory, new_output
        Not used.

    Returns
    -------
    The object that was passed as output, or the new array.

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
    >>> labels = np.array([1, 2, 3, 4])
    >>> bp.segmentation.segmentation_filter(labels, lambda block, mask: block * (block > 2))
    array([0, 0, 3, 4])
    """
    given: dict[str, Any] = dict(how)
    job_type, workers = given.get("job_type", "local"), given.get("num_workers", 1)
    block_ids, resume_from = given.get("block_ids"), given.get("resume_from")
    check_rerun_args(job_type, resume_from, block_ids)
    source, mask = as_source(input), given.get("mask")
    runner: Runner = get_runner(job_type, given.get("job_config"))
    if output is None and runner.job_type != "local":
        raise ValueError(
            f"'output' is required for distributed execution (job_type='{job_type}'); pass a "
            "file-backed (zarr/n5) output array."
        )
    result = np.zeros(source.shape, source.dtype) if output is None else output
    target, everything = as_source(result), full_roi(source.ndim)
    direct = is_direct(job_type, workers, given.get("block_shape"))
    if direct and mask is None and block_ids is None and resume_from is None:
        labels = filter_function(source[everything], None)
        target[everything] = labels if relabel is None else relabel(labels, None)
        return result
    if same_array(source, target):
        raise ValueError("Block-wise segmentation_filter needs 'output' to differ from 'input'.")

    def filter_block(block: Any, inputs: Any, outputs: Any, inside: Any) -> None:
        roi = to_roi(block)
        wanted = None if inside is None else inside[roi].astype(bool)
        if wanted is not None and not wanted.any():
            return
        labels = filter_function(inputs[0][roi], wanted)
        if relabel is not None:
            labels = relabel(labels, wanted)
        outputs[0][roi] = labels if wanted is None else np.where(wanted, labels, outputs[0][roi])

    runner.run(
        filter_block,
        [source],
        [result],
        block_shape=given.get("block_shape"),
        mask=mask,
        num_workers=workers,
        block_ids=block_ids,
        name="segmentation_filter",
        resume_from=resume_from,
    )
    return result
