"""Reading and writing blocks of arrays that only Python knows; called by the engine."""

from typing import Any

import numpy as np


def _region(start: list[int], stop: list[int]) -> tuple[slice, ...]:
    return tuple(slice(first, end) for first, end in zip(start, stop, strict=True))


def read(array: Any, start: list[int], stop: list[int], dtype: str) -> np.ndarray:
    """Read a region as a plain array of native byte order, in C order."""
    return np.ascontiguousarray(array[_region(start, stop)], dtype=dtype)


def write(array: Any, start: list[int], stop: list[int], data: bytes, dtype: str) -> None:
    """Write a region from its bytes in C order."""
    shape = [end - first for first, end in zip(start, stop, strict=True)]
    array[_region(start, stop)] = np.frombuffer(data, dtype).reshape(shape)
