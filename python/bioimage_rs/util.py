"""Small helpers with the reference's names."""

from typing import Any

__all__ = ["to_roi"]


def to_roi(block: Any) -> tuple[slice, ...]:
    """Turn a block into the slices that index its region.

    Parameters
    ----------
    block
        Anything with `begin` and `end`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import bioimage_rs as bp
    >>> bp.to_roi(SimpleNamespace(begin=[0, 4], end=[4, 8]))
    (slice(0, 4, None), slice(4, 8, None))
    """
    return tuple(
        slice(int(begin), int(end)) for begin, end in zip(block.begin, block.end, strict=True)
    )
