"""Sources over array objects, and arrays as the engine works on them."""

import contextlib
import json
import threading
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs._dataset import NativeArray
from bioimage_rs.errors import DataError, InvalidTypeError, NotFoundError
from bioimage_rs.io._packages import require
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
        # A write to these arrays changes more than its region.
        self._lock = threading.Lock() if _package(array) in ("dask", "xarray") else None

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
        own = self.array.dtype
        # TensorStore has data types of its own.
        dtype: np.dtype = np.dtype(getattr(own, "numpy_dtype", own))
        return dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        if _package(self.array) == "tensorstore":
            return _grid(self.array.chunk_layout.read_chunk.shape, self.shape)
        return _grid(getattr(self.array, "chunks", None), self.shape)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """What is written at once, where that is more than a chunk."""
        if _package(self.array) == "tensorstore":
            unit = _grid(self.array.chunk_layout.write_chunk.shape, self.shape)
            return unit if unit != self.chunks else None
        return _grid(getattr(self.array, "shards", None), self.shape)

    @property
    def writable(self) -> bool:
        """Whether regions can be written."""
        if isinstance(self.array, np.ndarray):
            return bool(self.array.flags.writeable)
        package = _package(self.array)
        if package == "z5py":
            handle = getattr(self.array.file, "_handle", None)
            return handle is None or bool(handle.mode().can_write())
        if package == "tensorstore":
            return bool(self.array.writable)
        return hasattr(type(self.array), "__setitem__") and not getattr(
            self.array, "read_only", False
        )

    def _getitem(self, roi: tuple[slice, ...]) -> np.ndarray:
        array = self._fastest(writable=False)
        return np.asarray(array[_in_domain(array, roi)])

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        array = self._fastest(writable=True)
        with self._lock or contextlib.nullcontext():
            array[_in_domain(array, roi)] = value

    def _fastest(self, *, writable: bool) -> Any:
        native = self._natives.get(writable)
        if native is not None and native.shape == self.shape:
            return native
        if isinstance(self.array, np.ndarray | NativeArray):
            return self.array
        if writable not in self._natives or native is not None:
            opened = self._open_native(writable)
            native = self._natives[writable] = opened and NativeArray(opened)
        return self.array if native is None else native

    def _reading_through(self, native: "_native.Array") -> "ArraySource":
        """The same source, read by way of another native array."""
        source = copy(self)
        source._natives = {**self._natives, False: NativeArray(native)}
        return source

    @staticmethod
    def reopen(spec: SourceSpec) -> "ArraySource":
        """Open the array of a spec for reading and writing."""
        path, inner = str(spec.path), spec.internal_path or ""
        for format_ in ("zarr", "n5") if spec.kind == "z5py" else ("zarr",):
            place = {"format": format_, "path": path, "array": inner}
            with contextlib.suppress(DataError, NotFoundError):
                return ArraySource(NativeArray(_native.Array.open(json.dumps(place), True)))
        # What only the array's own library can read or write.
        if spec.kind == "z5py":
            return ArraySource(require("z5py", "open this array").File(path, "r+")[inner])
        return ArraySource(
            require("zarr", "open this array").open_array(path, path=inner, mode="r+")
        )

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        if isinstance(self.array, np.ndarray):
            raise ValueError(
                "Cannot serialize an in-memory numpy array for distributed execution. Use a "
                "file-backed array (zarr/n5), or the local backend."
            )
        place = _place(self.array)
        if place is not None and place["format"] in ("zarr", "n5"):
            kind = "z5py" if place["format"] == "n5" or _package(self.array) == "z5py" else "zarr"
            return SourceSpec(kind, place["path"], place["array"])
        if _package(self.array) == "zarr":
            raise ValueError(
                "Cannot serialize this zarr array: its store has no filesystem root. Use a local "
                "store, or the local backend."
            )
        return super().to_spec()

    def _open_native(self, writable: bool) -> "_native.Array | None":
        array = self.array
        if isinstance(array, np.ndarray):
            plain = array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative
            if not plain or not is_native_dtype(array.dtype):
                return None
            return _native.Array.memory(array, array.dtype.name, writable)
        if isinstance(array, NativeArray):
            return array.native
        place = _place(array)
        if place is None or (writable and not self.writable):
            return None
        try:
            native = _native.Array.open(json.dumps(place), writable)
        except (DataError, InvalidTypeError):
            # A data type or codec that only the array's own library knows.
            return None
        return native if tuple(native.shape) == self.shape else None


register_opener("zarr", ArraySource.reopen)
register_opener("z5py", ArraySource.reopen)


def _package(array: Any) -> str:
    """The package that an array's type comes from."""
    return type(array).__module__.partition(".")[0]


def _grid(grid: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """A regular grid of chunks; h5py's `True` and dask's uneven chunks are none."""
    if isinstance(grid, tuple) and all(isinstance(axis, tuple) for axis in grid):
        # Dask tells the extent of every chunk.
        if any(len(set(axis[:-1])) > 1 or axis[-1] > axis[0] for axis in grid if axis):
            return None
        grid = tuple(axis[0] if axis else 0 for axis in grid)
    try:
        regular = tuple(int(extent) for extent in grid)
    except TypeError:
        return None
    return regular if len(regular) == len(shape) and all(regular) else None


def _place(array: Any) -> dict[str, str] | None:
    """Where the engine finds an array that another library has opened, if it lies in files."""
    if isinstance(array, NativeArray):
        return json.loads(array.native.spec or "null")  # type: ignore[no-any-return]
    package = _package(array)
    if package == "zarr":
        root = _zarr_root(getattr(array, "store", None))
        format_, inner = "zarr", str(getattr(array, "path", ""))
    elif package == "z5py":
        root = getattr(array.file, "filename", None)
        format_, inner = "zarr" if array.is_zarr else "n5", array.name.lstrip("/")
    elif package == "tensorstore":
        root, format_, inner = _tensorstore_root(array), "zarr", ""
    else:
        return None
    if root is None or not Path(root).is_dir():
        return None
    return {"format": format_, "path": str(Path(root).absolute()), "array": inner}


def _zarr_root(store: Any) -> str | None:
    """The folder of zarr-python's own store of files, and of those of obstore and fsspec."""
    kind = type(store).__name__
    if kind == "ObjectStore":
        is_local = type(store.store).__name__ == "LocalStore"
        root = getattr(store.store, "prefix", None) if is_local else None
    elif kind == "FsspecStore":
        files = getattr(store.fs, "sync_fs", store.fs)
        root = store.path if "file" in _names(files.protocol) else None
    else:
        root = getattr(store, "root", None)
    return None if root is None else str(root)


def _names(protocol: Any) -> tuple[str, ...]:
    """The names of a file system, of which there may be one."""
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _tensorstore_root(array: Any) -> str | None:
    """The folder of a Zarr array that TensorStore has opened whole and as it is."""
    spec = array.spec().to_json()
    store = spec.get("kvstore", {})
    view = spec.get("transform", {})
    whole = not any(view.get("input_inclusive_min", ())) and "output" not in view
    if spec.get("driver") not in ("zarr", "zarr3") or not whole or "field" in spec:
        return None
    return store.get("path") if store.get("driver") == "file" else None


def _in_domain(array: Any, roi: tuple[slice, ...]) -> tuple[slice, ...]:
    """A region in the coordinates of the array, which need not start at zero in TensorStore."""
    if _package(array) != "tensorstore":
        return roi
    origin: Iterable[int] = array.domain.origin
    return tuple(slice(p.start + at, p.stop + at) for p, at in zip(roi, origin, strict=True))


def is_native_dtype(dtype: np.dtype) -> bool:
    """Whether the engine has this data type, in whatever byte order."""
    return dtype.newbyteorder("=").name in _NAMES


def engine_dtype(source: Source) -> str:
    """The engine's name of an array's data type."""
    dtype = source.dtype.newbyteorder("=").name
    if dtype not in _NAMES:
        raise TypeError(
            f"Arrays of dtype {source.dtype} are not supported; use one of {sorted(_NAMES)}."
        )
    return dtype


def engine_array(source: Source, *, writable: bool, opaque: bool = False) -> "_native.Array":
    """The array as the engine works on it: natively where that is possible.

    Of an `opaque` array only the place, shape and size count, since Python alone looks inside: its
    data type may be one that the engine does not know.
    """
    native = source._open_native(writable)
    if native is not None:
        return native
    from bioimage_rs._functions import spec_of

    if opaque and not is_native_dtype(source.dtype):
        dtype = f"uint{8 * min(source.dtype.itemsize, 8)}"
    else:
        dtype = engine_dtype(source)
    return _native.Array.foreign(
        source,
        list(source.shape),
        dtype,
        None if source.chunks is None else list(source.chunks),
        None if source.shards is None else list(source.shards),
        writable,
        spec_of(source),
    )
