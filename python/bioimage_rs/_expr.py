"""Expressions over several arrays."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._operation import Operation
from bioimage_rs._runs import Progress
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source


@takes_defaults
def expr(
    expression: str,
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
    **operands: SourceLike | float,
) -> SourceLike:
    """Compute an expression over arrays, voxel by voxel, in one pass without temporary arrays.

    An expression is made of names, numbers, `pi`, `e`, `inf`, `nan`, `True`, `False`; the operators
    `+ - * / // % **`, `< <= > >= == !=`, `and or not` and `& | ^ ~`, which bind as in Python; and
    the functions `abs sqrt exp log log2 log10 sin cos tan floor ceil round pow(a, b) min(a, b, ...)
    max(a, b, ...) where(condition, a, b)`. Data types are those of numpy, but there is no half
    precision: roots and the like of 8-bit arrays are computed in single precision.

    Halo: none. Memory: a worker holds its blocks and their result.

    Parameters
    ----------
    expression
        What is computed, such as `"sqrt(b*b + c*c)"`.
    output
        The array to write, which may be one of the operands; by default a new numpy array.
    block_shape, job_type, job_config, num_workers, mask, block_ids, resume_from, cast, memory
        As for `copy`.
    retries, progress
        As for `copy`.
    operands
        What the names stand for: arrays of one shape, the first of which blocks go by, and numbers,
        which take the data type of the arrays that they meet.

    Returns
    -------
    The object that was passed as output, or the new array.

    Raises
    ------
    ValueError
        For an expression that is not understood, with the position; for names without an operand,
        and operands that are not used.
    TypeError
        For what numpy refuses, such as `~` of floats.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> b, c = np.array([3.0, 5.0]), np.array([4.0, 12.0])
    >>> bp.expr("sqrt(b*b + c*c)", b=b, c=c)
    array([ 5., 13.])
    >>> labels = np.array([[0, 7, 7], [9, 9, 0]], dtype="uint16")
    >>> bp.expr("where(x == old, 1, x)", x=labels, old=9, block_shape=(1, 2), num_workers=2)
    array([[0, 7, 7],
           [1, 1, 0]], dtype=uint16)
    """
    numbers = {name: one for name, one in operands.items() if isinstance(one, Number)}
    arrays: dict[str, Any] = {
        name: as_source(one) for name, one in operands.items() if name not in numbers
    }
    if not arrays:
        raise ValueError("expr() needs at least one array, such as expr('2 * b', b=array).")
    if isinstance(output, str | os.PathLike):
        as_source(output)  # There is no verb that would make an array at a path.
    parameters = {
        "expression": expression,
        "names": list(arrays),
        "numbers": {name: _text(number) for name, number in numbers.items()},
    }
    operation = _Expression("expr", parameters, "bp.expr", in_place=None, numbers=numbers)
    return operation.run(
        arrays,
        output,
        {
            "block_shape": block_shape,
            "job_type": job_type,
            "job_config": job_config,
            "num_workers": num_workers,
            "mask": mask,
            "block_ids": block_ids,
            "resume_from": resume_from,
            "cast": cast,
            "memory": memory,
            "retries": retries,
            "progress": progress,
        },
    )


def _text(number: Any) -> str:
    """A number as the engine reads it."""
    value = getattr(number, "item", lambda: number)()
    return repr(int(value)) if isinstance(value, int) else repr(float(value))


@dataclass(frozen=True)
class _Expression(Operation):
    """An expression, whose operands are called by their names."""

    numbers: Mapping[str, Any] = field(default_factory=dict)

    def _code(
        self,
        inputs: Mapping[str, SourceLike],
        backend: str,
        block_shape: tuple[int, ...] | None,
        call: Mapping[str, Any],
    ) -> dict[str, str]:
        words = [repr(self.parameters["expression"]), "output=output"]
        words += [f"{name}={name}" for name in inputs]
        words += [f"{name}={number!r}" for name, number in self.numbers.items()]
        words += [f"num_workers={call['num_workers']}", f"job_type={backend!r}"]
        if block_shape is not None:
            words.append(f"block_shape={tuple(block_shape)}")
        return {"bp": "", "python": f"{self.function}({', '.join(words)})", "rust": ""}
