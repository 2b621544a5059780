"""HDF5, N5 and Zarr: files and folders that hold many arrays."""

import os
from collections.abc import Iterator
from typing import Any

from bioimage_rs import _native
from bioimage_rs._dataset import NativeArray
from bioimage_rs.errors import NotFoundError
from bioimage_rs.io._mapping import ArrayFile
from bioimage_rs.io._packages import require

PathLike = str | os.PathLike[str]


def open_hdf5(path: PathLike, mode: str = "r", **kwargs: Any) -> Any:
    """An h5py file."""
    return require("h5py", "open HDF5 files").File(path, mode=mode, **kwargs)


def open_n5(path: PathLike, mode: str = "r", **kwargs: Any) -> Any:
    """A z5py file, or a mapping of the engine's arrays where z5py is missing."""
    return _open_store("z5py", "write N5 files", path, mode, kwargs)


def open_zarr(path: PathLike, mode: str = "r", **kwargs: Any) -> Any:
    """A zarr group or array, or a mapping of the engine's arrays where zarr is missing."""
    return _open_store("zarr", "write Zarr files", path, mode, kwargs)


def _open_store(
    package: str, purpose: str, path: PathLike, mode: str, kwargs: dict[str, Any]
) -> Any:
    try:
        library = require(package, purpose)
    except ImportError:
        if mode != "r" or kwargs:
            raise
        return NativeStore(path)
    if package == "zarr":
        return library.open(path, mode=mode, **kwargs)
    return library.File(path, mode=mode, **kwargs)


class NativeStore(ArrayFile):
    """The arrays of a Zarr or N5 store as the engine reads them, by their paths in the store."""

    def __iter__(self) -> Iterator[str]:
        return iter(_native.Array.names(self.path))

    def __getitem__(self, key: str) -> NativeArray:
        try:
            return NativeArray(_native.Array.locate(f"{os.fspath(self.path)}::{key}"))
        except NotFoundError as error:
            raise KeyError(key) from error
