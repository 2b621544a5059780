"""Sources over array objects, and arrays as the engine works on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs.errors import DataError
from bioimage_rs.sources._base import Source, SourceSpec, register_opener

_NAMES = {
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32",
    "float64",
}  # fmt: skip


class ArraySource(Source):
    """A source over an object with `shape`, `dtype` and slicing, such as a numpy or zarr array."""

    def __init__(self, array: Any) -> None:
        self._array = array
        # The same array opened natively, once it is read here: without the interpreter lock, and
        # several times faster than through the library that it came with.
        self._natives: dict[bool, NativeArray | None] = {}

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
        return np.asarray(self._fastest(writable=False)[roi])

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        self._fastest(writable=True)[roi] = value

    def _fastest(self, *, writable: bool) -> Any:
        if isinstance(self.array, np.ndarray | NativeArray):
            return self.array
        native = self._natives.get(writable)
        if writable not in self._natives or (native and native.shape != self.shape):
            opened = self._open_native(writable)
            native = self._natives[writable] = opened and NativeArray(opened)
        return self.array if native is None else native

    @staticmethod
    def reopen(spec: SourceSpec) -> "ArraySource":
        """Open the array of a spec for reading and writing."""
        place = {"format": "zarr", "path": spec.path, "array": spec.internal_path or ""}
        return ArraySource(NativeArray(_native.Array.open(json.dumps(place), True)))

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        if isinstance(self.array, np.ndarray):
            raise ValueError(
                "Cannot serialize an in-memory numpy array for distributed execution. Use a "
                "file-backed array (zarr/n5), or the local backend."
            )
        if isinstance(self.array, NativeArray):
            place = json.loads(self.array.native.spec or "{}")
            return SourceSpec("zarr", place["path"], place["array"])
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
        if isinstance(array, NativeArray):
            return array.native
        root = _store_root(array)
        if root is None:
            return None
        place = {"format": "zarr", "path": str(root), "array": str(array.path)}
        try:
            return _native.Array.open(json.dumps(place), writable)
        except DataError:
            # A data type or codec that only the array's own library knows.
            return None


register_opener("zarr", ArraySource.reopen)


class NativeArray:
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


def is_native_dtype(dtype: np.dtype) -> bool:
    """Whether the engine has this data type, in whatever byte order."""
    return dtype.newbyteorder("=").name in _NAMES


def engine_array(source: Source, *, writable: bool) -> "_native.Array":
    """The array as the engine works on it: natively where that is possible."""
    native = source._open_native(writable)
    if native is not None:
        return native
    if not is_native_dtype(source.dtype):
        raise TypeError(
            f"Arrays of dtype {source.dtype} are not supported; use one of {sorted(_NAMES)}."
        )
    return _native.Array.foreign(
        source,
        list(source.shape),
        source.dtype.newbyteorder("=").name,
        None if source.chunks is None else list(source.chunks),
        None if source.shards is None else list(source.shards),
        writable,
    )
