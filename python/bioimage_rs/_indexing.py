"""Basic numpy indexing, reduced to slices with a start and a stop."""

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

Index = int | slice | EllipsisType | tuple[int | slice | EllipsisType, ...]


def to_slices(index: Any, shape: Sequence[int]) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    """Slices inside the array for every axis, and the axes that integers take away."""
    items = index if isinstance(index, tuple) else (index,)
    ellipses = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise ValueError("Only one ellipsis may be used")
    given = len(items) - len(ellipses)
    if given > len(shape):
        raise TypeError("Argument sequence too long")
    missing = (slice(None),) * (len(shape) - given)
    at = ellipses[0] if ellipses else len(items)
    items = items[:at] + missing + items[at + len(ellipses) :]
    slices, dropped = [], []
    for axis, (item, extent) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            if item.step not in (None, 1):
                raise ValueError("Nontrivial steps are not supported")
            start, stop, _ = item.indices(extent)
            slices.append(slice(start, max(start, stop)))
            continue
        try:
            number = operator.index(item)
        except TypeError:
            raise TypeError(
                f"Advanced selection inappropriate. Only integers, slices and ellipsis may index "
                f"a source (got {type(item).__name__})"
            ) from None
        if not -extent <= number < extent:
            raise ValueError(f"Index ({number}) out of range (0-{extent - 1})")
        number %= extent
        slices.append(slice(number, number + 1))
        dropped.append(axis)
    return tuple(slices), tuple(dropped)
