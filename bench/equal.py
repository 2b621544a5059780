"""Whether two tools computed the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np

PLANES = 64


def slabs(first: Any, second: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Parts of two arrays that fit into memory."""
    if first.shape != second.shape:
        raise SystemExit(f"shapes differ: {first.shape} and {second.shape}")
    if first.ndim > 3:
        for one, other in zip(first, second, strict=True):
            yield from slabs(one, other)
        return
    for at in range(0, max(1, first.shape[0]), PLANES):
        yield np.asarray(first[at : at + PLANES]), np.asarray(second[at : at + PLANES])


def close(first: Any, second: Any, tolerance: float) -> bool:
    """Within the tolerance; of floats relative to the largest value."""
    largest, difference = 0.0, 0.0
    for one, other in slabs(first, second):
        if tolerance == 0:
            if not np.array_equal(one, other):
                return False
            continue
        one, other = one.astype("float64"), other.astype("float64")
        largest = max(largest, float(np.abs(other).max(initial=0)))
        difference = max(difference, float(np.abs(one - other).max(initial=0)))
    return difference <= tolerance * (largest if np.dtype(first.dtype).kind == "f" else 1)


def renamed(first: Any, second: Any) -> bool:
    """The same objects, which may have other numbers; 0 is 0 in both."""
    return _function(first, second) and _function(second, first)


def _function(first: Any, second: Any) -> bool:
    """Whether a label of the first decides that of the second."""
    unknown = np.iinfo("int64").max
    known = np.full(1, 0, "int64")
    for one, other in slabs(first, second):
        one, other = one.astype("int64"), other.astype("int64")
        missing = int(one.max(initial=0)) + 1 - len(known)
        known = np.pad(known, (0, max(0, missing)), constant_values=unknown)
        before = known[one]
        if not np.all((before == other) | (before == unknown)):
            return False
        # Of several voxels with a label, the last one counts; then all must be as that one.
        known[one] = other
        if not np.array_equal(known[one], other):
            return False
    return True
