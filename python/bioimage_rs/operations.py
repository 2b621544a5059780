"""Operations voxel by voxel: arithmetic, comparisons, membership, and functions of one's own."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Number
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from bioimage_rs._operation import DEFAULTS, How, Operation, array_operation
from bioimage_rs.runner import _checks, get_runner
from bioimage_rs.sources import Source, SourceLike, as_source
from bioimage_rs.sources._array import is_native_dtype
from bioimage_rs.transformation import fill_text
from bioimage_rs.util import BlockDescriptor, check_rerun_args, full_roi, is_direct, to_roi

__all__ = [
    "add",
    "apply_operation",
    "divide",
    "greater",
    "greater_equal",
    "isin",
    "less",
    "less_equal",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

# What the engine does itself.
_NATIVE = set(__all__) - {"apply_operation", "isin"}
# More values than this are not written into the request of a run.
_MOST_VALUES = 100_000


@array_operation
def apply_operation(
    x: SourceLike,
    y: SourceLike | Number,
    operation: str | Callable[[Any, Any], Any],
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Combine two arrays, or an array and a number, voxel by voxel.

    The engine itself does the operations that have functions here (`add`, `greater`, ...) on its
    own data types; any other one is called for each block. Halo: none. Memory: the blocks, the
    result, and what the operation takes.

    Parameters
    ----------
    x
        The array with the first operands, of any number of axes.
    y
        A number, an array of the shape of `x`, or one that is broadcast against it: with as many
        axes, some of extent 1. That one is read whole.
    operation
        The name of a numpy function, such as `"hypot"`, or a function of two blocks. With worker
        processes a function is pickled.
    output
        The array to write, which may be `x` or `y` itself; by default a new numpy array of the data
        type that the operation gives.
    block_shape, job_type, job_config, num_workers, mask, block_ids, resume_from, progress
        As for `copy`. A mask does not go together with a `y` that is broadcast.
    cast, memory, retries
        As for `copy`, where the engine does the operation.

    Returns
    -------
    The object that was passed as output, or the new array.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    NotImplementedError
        For a mask together with a `y` that is broadcast.
    RunnerError
        If blocks failed. Do not resume a run that writes to its own input: blocks that were
        interrupted may have changed it already.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import apply_operation
    >>> sides = np.array([[3.0, 6.0], [5.0, 8.0]])
    >>> apply_operation(sides, np.array([[4.0], [12.0]]), "hypot")
    array([[ 5.        ,  7.21110255],
           [13.        , 14.4222051 ]])
    >>> apply_operation(sides, 2, lambda block, number: block % number == 0, block_shape=(1, 2))
    array([[False,  True],
           [False,  True]])
    """
    check_rerun_args(_job_type(how), how.get("resume_from"), how.get("block_ids"))
    source = as_source(x)
    if isinstance(output, str | os.PathLike):
        as_source(output)  # There is no verb that would make an array at a path.
    function = _function(operation)
    name = operation if isinstance(operation, str) else "apply_operation"
    arrays, parameters, operand = {"x": source}, _number(y), y
    if not isinstance(y, Number):
        second = as_source(y)
        if second.ndim != source.ndim:
            raise ValueError(f"operand dimensionalities differ: {source.ndim} vs {second.ndim}.")
        if second.shape == source.shape:
            arrays, parameters, operand = {"x": source, "y": second}, {}, None
        else:
            operand = _broadcast(source, second)
            if how.get("mask") is not None:
                raise NotImplementedError(
                    "Combining a broadcast operand with a mask is not supported."
                )
    if name in _NATIVE and parameters is not None:
        engine = Operation(
            "arithmetic", {"operation": name, **parameters}, f"bp.operations.{name}", in_place=None
        )
        if _as_numpy(engine, function, arrays, operand):
            return engine.run(arrays, output, how)
    return _call(name, _ByBlock(function, operand), list(arrays.values()), output, how)


@array_operation
def isin(
    x: SourceLike,
    test_values: ArrayLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Tell which voxels have one of some values, as `numpy.isin` does.

    Halo: none. Memory: the block, its result, and the values.

    Parameters
    ----------
    x
        The array, of any number of axes.
    test_values
        A number, or numbers in any arrangement. NaN is equal to nothing.
    output
        The array to write, which may be `x` itself; by default a new numpy array of `bool`.
    block_shape, job_type, job_config, num_workers, mask, block_ids, resume_from, cast, memory
        As for `copy`.
    retries, progress
        As for `copy`.
    new_output
        With paths as input and output, what `bp isin` takes for a new array: `chunks`, `shards`,
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

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> labels = np.array([[0, 3, 3], [7, 7, 0]])
    >>> bp.operations.isin(labels, [7, 21])
    array([[False, False, False],
           [ True,  True, False]])
    """
    values = np.asarray(test_values)
    known = is_native_dtype(values.dtype) and values.size <= _MOST_VALUES
    if known and (isinstance(x, str | os.PathLike) or is_native_dtype(as_source(x).dtype)):
        listed = [fill_text(value, values.dtype) for value in values.ravel()]
        operation = Operation("isin", {"values": listed}, "bp.operations.isin", in_place=None)
        return operation.run({"x": x}, output, how)
    check_rerun_args(_job_type(how), how.get("resume_from"), how.get("block_ids"))
    function = partial(np.isin, test_elements=values)
    return _call("isin", _ByBlock(function, None), [as_source(x)], output, how)


@array_operation
def add(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """The sum of two arrays, or of an array and a number, voxel by voxel.

    Integers wrap around. Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import add
    >>> add(np.array([[1, 2], [3, 4]]), 10)
    array([[11, 12],
           [13, 14]])
    """
    return apply_operation(x, y, "add", output, **how)


@array_operation
def subtract(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """The difference of two arrays, or of an array and a number, voxel by voxel.

    Integers wrap around; booleans are refused. Arguments, returned value and errors as for
    `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import subtract
    >>> subtract(np.array([5, 3], "uint8"), np.array([1, 4], "uint8"))
    array([  4, 255], dtype=uint8)
    """
    return apply_operation(x, y, "subtract", output, **how)


@array_operation
def multiply(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """The product of two arrays, or of an array and a number, voxel by voxel.

    Integers wrap around. Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import multiply
    >>> multiply(np.array([1.5, 2.0]), 2)
    array([3., 4.])
    """
    return apply_operation(x, y, "multiply", output, **how)


@array_operation
def divide(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """The quotient of two arrays, or of an array and a number, voxel by voxel.

    Integers are divided as floats. Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import divide
    >>> divide(np.array([1, 2], "uint8"), 4)
    array([0.25, 0.5 ])
    """
    return apply_operation(x, y, "divide", output, **how)


@array_operation
def greater(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Whether the first operand is greater, voxel by voxel.

    Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import greater
    >>> greater(np.array([1, 2, 3]), 2)
    array([False, False,  True])
    """
    return apply_operation(x, y, "greater", output, **how)


@array_operation
def greater_equal(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Whether the first operand is greater, or both are equal, voxel by voxel.

    Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import greater_equal
    >>> greater_equal(np.array([1, 2, 3]), 2)
    array([False,  True,  True])
    """
    return apply_operation(x, y, "greater_equal", output, **how)


@array_operation
def less(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Whether the first operand is less, voxel by voxel.

    Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import less
    >>> less(np.array([1, 2, 3]), 2)
    array([ True, False, False])
    """
    return apply_operation(x, y, "less", output, **how)


@array_operation
def less_equal(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Whether the first operand is less, or both are equal, voxel by voxel.

    Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import less_equal
    >>> less_equal(np.array([1, 2, 3]), 2)
    array([ True,  True, False])
    """
    return apply_operation(x, y, "less_equal", output, **how)


@array_operation
def minimum(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """The lesser of two operands, voxel by voxel; NaN where one is.

    Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import minimum
    >>> minimum(np.array([1, 5]), np.array([3, 4]))
    array([1, 4])
    """
    return apply_operation(x, y, "minimum", output, **how)


@array_operation
def maximum(
    x: SourceLike,
    y: SourceLike | Number,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """The greater of two operands, voxel by voxel; NaN where one is.

    Arguments, returned value and errors as for `apply_operation`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.operations import maximum
    >>> maximum(np.array([1, 5]), np.array([3, 4]))
    array([3, 5])
    """
    return apply_operation(x, y, "maximum", output, **how)


def _job_type(how: How) -> str:
    return how.get("job_type", "local").lower()


def _function(operation: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(operation):
        return operation
    if not hasattr(np, operation):
        raise ValueError(
            f"Unknown operation {operation!r}; expected a numpy function name or a callable."
        )
    function: Callable[..., Any] = getattr(np, operation)
    return function


def _number(number: Any) -> dict[str, str] | None:
    """A number as the engine takes it, where that knows such numbers."""
    if isinstance(number, np.generic):
        if not is_native_dtype(number.dtype):
            return None
        return {"scalar": repr(number.item()), "scalar_dtype": number.dtype.name}
    if isinstance(number, bool):
        return {"scalar": str(int(number)), "scalar_dtype": "bool"}
    if isinstance(number, float) or (isinstance(number, int) and abs(number) < 2**126):
        return {"scalar": repr(number)}
    return None


def _broadcast(source: Source, second: Source) -> np.ndarray:
    """An operand of which there is less than of the other, whole."""
    if any(b not in (a, 1) for a, b in zip(source.shape, second.shape, strict=True)):
        raise ValueError(
            f"Cannot broadcast operand shape {tuple(second.shape)} against {tuple(source.shape)}."
        )
    return np.asarray(second[full_roi(second.ndim)])


def _as_numpy(
    engine: Operation, function: Callable[..., Any], arrays: Mapping[str, Source], operand: Any
) -> bool:
    """Whether the engine gives what numpy gives; what numpy refuses is refused here."""
    ones: list[Any] = [np.ones(1, source.dtype) for source in arrays.values()]
    with np.errstate(all="ignore"):
        expected = np.asarray(function(*ones, *([] if operand is None else [operand])))
    dtypes = [expected.dtype, *(source.dtype for source in arrays.values())]
    if not all(is_native_dtype(dtype) for dtype in dtypes):
        return False
    return engine.result(list(arrays.values()))[1] == expected.dtype


class _ByBlock:
    """A function of arrays as one of blocks; the last array may be a number, or be broadcast."""

    def __init__(self, function: Callable[..., Any], operand: Any) -> None:
        self.function = function
        self.operand = operand

    def of(self, roi: tuple[slice, ...], inputs: Sequence[Source]) -> np.ndarray:
        """What the function makes of a region."""
        arrays: list[Any] = [source[roi] for source in inputs]
        if isinstance(self.operand, np.ndarray):
            extents = self.operand.shape
            part = (slice(None) if n == 1 else axis for n, axis in zip(extents, roi, strict=True))
            arrays.append(self.operand[tuple(part)])
        elif self.operand is not None:
            arrays.append(self.operand)
        return np.asarray(self.function(*arrays))

    def __call__(
        self,
        block: BlockDescriptor,
        inputs: Sequence[Source],
        outputs: Sequence[Source],
        mask: Source | None,
    ) -> None:
        roi = to_roi(block)
        inside = None if mask is None else np.asarray(mask[roi]).astype(bool)
        if inside is not None and not inside.any():
            return
        result = self.of(roi, inputs)
        outputs[0][roi] = result if inside is None else np.where(inside, result, outputs[0][roi])


def _call(
    name: str, function: _ByBlock, sources: list[Source], output: SourceLike | None, how: How
) -> SourceLike:
    """Call a Python function: at once where nothing asks for blocks, else block by block."""
    call: dict[str, Any] = {**DEFAULTS, **how}
    for argument in sorted(set(call) - set(_FOR_FUNCTIONS)):
        if argument not in DEFAULTS or call[argument] != DEFAULTS[argument]:
            raise TypeError(
                f"{argument} is for operations of the engine; '{name}' of these arrays is done by "
                "a Python function."
            )
    if output is None:
        _checks.needs_output(call["job_type"])
        corner = (slice(0, 1),) * sources[0].ndim
        output = np.zeros(sources[0].shape, function.of(corner, sources).dtype)
    target = as_source(output)
    rest = (call["mask"], call["block_ids"], call["resume_from"])
    at_once = is_direct(call["job_type"], call["num_workers"], call["block_shape"])
    if at_once and all(one is None for one in rest):
        whole = full_roi(sources[0].ndim)
        target[full_roi(target.ndim)] = function.of(whole, sources)
        return output
    runner = get_runner(call.pop("job_type"), call.pop("job_config"))
    options = {argument: call[argument] for argument in _FOR_FUNCTIONS if argument in call}
    runner.run(function, sources, [target], name=name, **options)
    return output


_FOR_FUNCTIONS = (
    "block_shape",
    "job_type",
    "job_config",
    "num_workers",
    "mask",
    "block_ids",
    "resume_from",
    "progress",
)
