"""What a source is, and how one is made of an array or of a spec."""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from bioimage_rs import _native
from bioimage_rs._indexing import to_slices

PathLike = str | os.PathLike[str]
SourceLike = Any


@dataclass
class SourceSpec:
    """How a source is opened again in another process.

    Parameters
    ----------
    kind
        What opens it again: `zarr`, `z5py`, `file`, `wrapper`, ...
    path, internal_path
        The file or container, and the array inside it.
    params
        What else the source needs.
    wrapped
        The spec of the source that a wrapper changes; a list where it combines several.
    """

    kind: str
    path: str | None = None
    internal_path: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    wrapped: "SourceSpec | None" = None


class Source(ABC):
    """An array that regions are read from with basic numpy indexing.

    A source of one's own needs `shape`, `dtype` and `_getitem`; with `_setitem` it can be written,
    with `to_spec` it works in worker processes, too.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Extents, slowest axis first."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Data type of the voxels."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        return None

    @property
    def shards(self) -> tuple[int, ...] | None:
        """What is written at once, where that is more than a chunk."""
        return None

    @property
    def writable(self) -> bool:
        """Whether regions can be written."""
        return True

    @abstractmethod
    def _getitem(self, roi: tuple[slice, ...]) -> np.ndarray: ...

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        raise TypeError(f"{type(self).__name__} is read-only.")

    def __getitem__(self, index: Any) -> np.ndarray:
        slices, dropped = to_slices(index, self.shape)
        block = np.asarray(self._getitem(slices))
        if len(dropped) == self.ndim:
            return cast("np.ndarray", block[(0,) * self.ndim])
        return block.squeeze(dropped) if dropped else block

    def __setitem__(self, index: Any, value: Any) -> None:
        slices, dropped = to_slices(index, self.shape)
        if dropped and np.ndim(value):
            value = np.expand_dims(value, dropped)
        self._setitem(slices, value)

    def to_spec(self) -> SourceSpec:
        """How this source is opened again; `ValueError` for one that lives in this process."""
        raise ValueError(f"Cannot serialize a {type(self).__name__} for distributed execution.")

    def _open_native(self, writable: bool) -> "_native.Array | None":
        """The array in the engine, where it can do without Python."""
        return None


_converters: list[tuple[Callable[[object], bool], Callable[[object], Source]]] = []
_openers: dict[str, Callable[[SourceSpec], Source]] = {}
# Modules that register openers when they are imported, which many scripts do without.
_opened_by = {"wrapper": "bioimage_rs.wrapper"}


def register_source(
    predicate: Callable[[object], bool], converter: Callable[[object], Source]
) -> None:
    """Let `as_source` take objects of another library.

    Parameters
    ----------
    predicate
        Whether an object is one of them.
    converter
        Makes a source of such an object.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.sources import ArraySource, as_source, register_source
    >>> register_source(lambda x: isinstance(x, range), lambda x: ArraySource(np.array(x)))
    >>> as_source(range(4)).shape
    (4,)
    """
    _converters.append((predicate, converter))


def register_opener(kind: str, opener: Callable[[SourceSpec], Source]) -> None:
    """Let `from_spec` open another kind of spec."""
    _openers[kind] = opener


def from_spec(spec: SourceSpec) -> Source:
    """Open the source that a spec describes.

    Raises
    ------
    ValueError
        For a kind that is not known.
    """
    if spec.kind in _opened_by:
        importlib.import_module(_opened_by[spec.kind])
    opener = _openers.get(spec.kind)
    if opener is None:
        raise ValueError(f"Cannot reconstruct source from spec of kind '{spec.kind}'.")
    return opener(spec)


def as_source(obj: SourceLike) -> Source:
    """Make a source of an array.

    Parameters
    ----------
    obj
        A `Source` (returned as it is), what a converter was registered for, or anything with
        `shape` and `dtype`: a numpy, zarr, h5py, z5py, dask, xarray or tensorstore array.

    Raises
    ------
    TypeError
        For a path (open it with `open_source`) and for objects without shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.as_source(np.zeros((4, 5), "uint8")).shape
    (4, 5)
    """
    if isinstance(obj, Source):
        return obj
    if isinstance(obj, str | bytes | os.PathLike):
        raise TypeError(
            "Passing strings / file paths as a source is not supported. Open the file with "
            "open_source first."
        )
    for predicate, converter in _converters:
        if predicate(obj):
            return converter(obj)
    if hasattr(obj, "shape") and hasattr(obj, "dtype"):
        from bioimage_rs.sources._array import ArraySource

        return ArraySource(obj)
    raise TypeError(f"Cannot convert object of type {type(obj)} to a Source.")
