"""Arrays that runs read and write: one interface over numpy, zarr, TIFF, HDF5 and whatever slices.

What has a path that the engine reads natively (Zarr, TIFF) is opened natively; anything else with
`shape`, `dtype` and slicing works, too, through Python.
"""

import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from bioimage_rs import _native
from bioimage_rs._indexing import to_slices

__all__ = [
    "ArraySource",
    "FileSource",
    "Source",
    "SourceLike",
    "SourceSpec",
    "as_source",
    "open_source",
]

PathLike = str | os.PathLike[str]
SourceLike = Any

_NAMES = {
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32",
    "float64",
}  # fmt: skip


@dataclass
class SourceSpec:
    """How a source is opened again in another process."""

    kind: str
    path: str | None = None
    internal_path: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    wrapped: "SourceSpec | None" = None


class Source(ABC):
    """An array that regions are read from with basic numpy indexing."""

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


class ArraySource(Source):
    """A source over an object with `shape`, `dtype` and slicing, such as a numpy or zarr array."""

    def __init__(self, array: Any) -> None:
        self._array = array

    @property
    def array(self) -> Any:
        """The wrapped object."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, slowest axis first."""
        return tuple(int(extent) for extent in self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """Data type of the voxels."""
        dtype: np.dtype = np.dtype(self.array.dtype)
        return dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        return _grid(getattr(self.array, "chunks", None), self.shape)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """What is written at once, where that is more than a chunk."""
        return _grid(getattr(self.array, "shards", None), self.shape)

    @property
    def writable(self) -> bool:
        """Whether regions can be written."""
        if isinstance(self.array, np.ndarray):
            return bool(self.array.flags.writeable)
        return hasattr(type(self.array), "__setitem__") and not getattr(
            self.array, "read_only", False
        )

    def _getitem(self, roi: tuple[slice, ...]) -> np.ndarray:
        return np.asarray(self.array[roi])

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        self.array[roi] = value

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        if isinstance(self.array, np.ndarray):
            raise ValueError(
                "Cannot serialize an in-memory numpy array for distributed execution. Use a "
                "file-backed array (zarr/n5), or the local backend."
            )
        root = _store_root(self.array)
        if root is not None:
            return SourceSpec("zarr", str(root), str(self.array.path))
        if type(self.array).__module__.split(".")[0] == "zarr":
            raise ValueError(
                "Cannot serialize this zarr array: its store has no filesystem root. Use a local "
                "store, or the local backend."
            )
        return super().to_spec()

    def _open_native(self, writable: bool) -> "_native.Array | None":
        array = self.array
        if isinstance(array, np.ndarray):
            plain = array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative
            return _native.Array.memory(array, array.dtype.name) if plain else None
        root = _store_root(array)
        if root is None:
            return None
        place = {"format": "zarr", "path": str(root), "array": str(array.path)}
        return _native.Array.open(json.dumps(place), writable)


class FileSource(ArraySource):
    """An array in a file, opened by `open_source`; the engine reads it if it knows the format."""

    def __init__(
        self,
        array: Any,
        *,
        path: PathLike,
        internal_path: str,
        format: str,  # noqa: A002 - the reference's name
        mode: str = "r",
        open_kwargs: dict[str, Any] | None = None,
        writable: bool = False,
    ) -> None:
        super().__init__(array)
        self.path = Path(path)
        self.internal_path = internal_path
        self._format = format
        self._mode = mode
        self._open_kwargs = dict(open_kwargs or {})
        self._writable = writable and mode != "r"

    @property
    def format(self) -> str:
        """Name of the file's format."""
        return self._format

    @property
    def writable(self) -> bool:
        """Whether regions can be written."""
        return self._writable

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        if not self.writable:
            raise TypeError(
                f"FileSource for format '{self.format}' opened in mode '{self._mode}' is read-only."
            )
        super()._setitem(roi, value)

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        params = {"format": self.format, "mode": self._mode, **self._open_kwargs}
        return SourceSpec("file", str(self.path), self.internal_path, params)

    def _open_native(self, writable: bool) -> "_native.Array | None":
        if isinstance(self.array, _NativeArray):
            return self.array.native
        return super()._open_native(writable)


class _NativeArray:
    """An array that the engine reads and writes, with the interface of other array libraries."""

    def __init__(self, native: "_native.Array") -> None:
        self.native = native
        self.shape = tuple(native.shape)
        self.dtype = np.dtype(native.dtype)
        self.chunks = None if native.chunks is None else tuple(native.chunks)
        self.shards = None if native.shards is None else tuple(native.shards)
        self.read_only = not native.writable

    def __getitem__(self, roi: tuple[slice, ...]) -> np.ndarray:
        shape = [part.stop - part.start for part in roi]
        if 0 in shape:
            return np.empty(shape, self.dtype)
        flat = self.native.read([part.start for part in roi], shape)
        return flat.view(self.dtype).reshape(shape)

    def __setitem__(self, roi: tuple[slice, ...], value: Any) -> None:
        shape = [part.stop - part.start for part in roi]
        block = np.ascontiguousarray(np.broadcast_to(value, shape), dtype=self.dtype)
        if block.size:
            self.native.write([part.start for part in roi], block)


def _grid(grid: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """A regular grid of chunks; dask's tuples of tuples and h5py's `True` are none."""
    try:
        regular = tuple(int(extent) for extent in grid)
    except TypeError:
        return None
    return regular if len(regular) == len(shape) and all(regular) else None


def _store_root(array: Any) -> Path | None:
    """The folder of a zarr-python array's store, if it has one."""
    root = getattr(getattr(array, "store", None), "root", None)
    if root is None or not hasattr(array, "path") or not Path(str(root)).is_dir():
        return None
    return Path(str(root)).absolute()


def as_source(obj: SourceLike) -> Source:
    """Make a source of an array.

    Parameters
    ----------
    obj
        A `Source` (returned as it is), or anything with `shape` and `dtype`: a numpy, zarr, h5py,
        z5py, dask, xarray or tensorstore array.

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
    if hasattr(obj, "shape") and hasattr(obj, "dtype"):
        return ArraySource(obj)
    raise TypeError(f"Cannot convert object of type {type(obj)} to a Source.")


def open_source(
    path: PathLike,
    internal_path: str | None = None,
    format: str | None = None,  # noqa: A002 - the reference's name
    mode: str = "r",
    **kwargs: Any,
) -> FileSource:
    """Open an array in a file.

    Parameters
    ----------
    path
        A Zarr store (`.zarr`), a TIFF stack, a folder or glob of TIFF slices, an HDF5 or N5 file.
    internal_path
        The array inside a container.
    format
        `zarr`, `tif`, `hdf5` or `n5`; from the path's ending by default.
    mode
        `r`, or `r+` and `a` for reading and writing.
    kwargs
        Handed to the Python reader of `hdf5` and `n5`.

    Raises
    ------
    FileNotFoundError
        With the nearest name.
    ValueError
        For an unknown format, or a container with several arrays and no `internal_path`.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> source = bp.open_source("stack.tif")  # doctest: +SKIP
    >>> source[3:5].shape  # doctest: +SKIP
    (2, 512, 512)
    """
    place = os.fspath(path)
    name = format or _infer_format(place)
    if name in ("zarr", "tif"):
        text = place if not internal_path else f"{place}::{internal_path}"
        native = _native.Array.locate(text)
        if mode != "r" and name == "zarr":
            native = _native.Array.open(native.spec or "", True)
        spec = json.loads(native.spec or "{}")
        inner = spec.get("array", "")
        array: Any = _NativeArray(native)
    elif name in ("hdf5", "n5"):
        if not internal_path:
            raise ValueError("This format holds multiple arrays; pass 'internal_path' to name one.")
        array, inner = _open_with_python(name, place, internal_path, mode, kwargs), internal_path
    else:
        raise ValueError(f"Unknown or unavailable format '{name}'. Use one of zarr, tif, hdf5, n5.")
    return FileSource(
        array,
        path=place,
        internal_path=inner,
        format=name,
        mode=mode,
        open_kwargs=kwargs,
        writable=name != "tif",
    )


_EXTENSIONS = {
    ".zarr": "zarr", ".zr": "zarr", ".tif": "tif", ".tiff": "tif", ".h5": "hdf5", ".hdf": "hdf5",
    ".hdf5": "hdf5", ".n5": "n5",
}  # fmt: skip


def _infer_format(path: str) -> str:
    if "*" in path:
        return "tif"
    here = Path(path)
    for part in (here, *here.parents):
        known = _EXTENSIONS.get(part.suffix.lower())
        if known:
            return known
    if here.is_dir():
        is_zarr = any((here / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))
        return "zarr" if is_zarr else "tif"
    raise ValueError(
        f"Could not infer a file format from extension '{here.suffix}'; pass 'format' to name it."
    )


def _open_with_python(
    name: str, path: str, internal_path: str, mode: str, kwargs: dict[str, Any]
) -> Any:
    try:
        if name == "hdf5":
            import h5py

            return h5py.File(path, mode, **kwargs)[internal_path]
        import z5py

        return z5py.File(path, mode, **kwargs)[internal_path]
    except ImportError as error:
        raise ValueError(
            f"Reading {name} needs the Python package {error.name}: pip install {error.name}"
        ) from None


def engine_array(source: Source, *, writable: bool) -> "_native.Array":
    """The array as the engine works on it: natively where that is possible."""
    native = source._open_native(writable)
    if native is not None:
        return native
    name = source.dtype.newbyteorder("=").name
    if name not in _NAMES:
        raise TypeError(
            f"Arrays of dtype {source.dtype} are not supported; use one of {sorted(_NAMES)}."
        )
    return _native.Array.foreign(
        source,
        list(source.shape),
        name,
        None if source.chunks is None else list(source.chunks),
        None if source.shards is None else list(source.shards),
        writable,
    )
