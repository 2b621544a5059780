"""Sources over files."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs._dataset import NativeArray
from bioimage_rs.errors import BioimageError, DataError, InvalidTypeError, NotFoundError
from bioimage_rs.io import constructor_for_format, infer_format, is_writable_format
from bioimage_rs.io._containers import open_n5, open_zarr
from bioimage_rs.sources._array import ArraySource
from bioimage_rs.sources._base import (
    PathLike,
    Source,
    SourceSpec,
    register_opener,
    register_source,
)

_SEVERAL = (
    "This format holds multiple arrays; pass 'internal_path' to select one (the key/path of the "
    "array inside the container)."
)


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

    @staticmethod
    def reopen(spec: SourceSpec) -> "FileSource":
        """Open the file of a spec again, as it was opened first but never emptied."""
        params = dict(spec.params)
        name, mode = params.pop("format"), params.pop("mode", "r")
        mode = "r+" if mode in ("w", "w-", "x") else mode
        return open_source(str(spec.path), spec.internal_path, format=name, mode=mode, **params)


def open_source(
    path: PathLike,
    internal_path: str | None = None,
    format: str | None = None,  # noqa: A002 - the reference's name
    mode: str = "r",
    **kwargs: Any,
) -> FileSource:
    """Open an array in a file.

    Zarr, N5, TIFF, MRC and NIfTI are read by the engine, block by block; a `.nii.gz` file is
    decoded into memory when it is first read. Other formats are read by their Python packages.

    Parameters
    ----------
    path
        A Zarr or N5 store (`.zarr`, `.n5`) or an array in one, a TIFF stack, a folder or glob of
        TIFF slices, an MRC (`.mrc`, `.rec`), NIfTI (`.nii`, `.nii.gz`), HDF5 (`.h5`) or MSR file, a
        folder of images or of a KNOSSOS dataset.
    internal_path
        The array inside a container; a glob pattern for a folder of images. By default `"data"` in
        MRC and NIfTI files, `"0"` in MSR files, `"mag1"` in KNOSSOS datasets.
    format
        One of `bp.io.supported_formats()`; from the path's ending by default.
    mode
        `r`, or `r+` and `a` for reading and writing HDF5, N5 and Zarr.
    kwargs
        Handed to the package that opens the format.

    Raises
    ------
    FileNotFoundError
        With the nearest name.
    KeyError
        For a container without such an array.
    ValueError
        For an unknown format, or a container with several arrays and no `internal_path`.
    ImportError
        Naming the package that reads the format, where it is missing.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> source = bp.open_source("stack.tif")  # doctest: +SKIP
    >>> source[3:5].shape  # doctest: +SKIP
    (2, 512, 512)
    """
    name = infer_format(path) if format is None else format
    constructor = constructor_for_format(name)
    opened = None
    if constructor in (open_n5, open_zarr) and not kwargs:
        opened = _open_in_store(name, path, internal_path, mode)
    if opened is None:
        opened = _open_with(constructor(path, mode=mode, **kwargs), internal_path)
    array, inner = opened
    return FileSource(
        array,
        path=path,
        internal_path=inner,
        format=name,
        mode=mode,
        open_kwargs=kwargs,
        writable=is_writable_format(name),
    )


def _open_in_store(
    name: str, path: PathLike, internal_path: str | None, mode: str
) -> tuple[NativeArray, str] | None:
    """An array that the engine reads; none if its own package has to open it."""
    place, store = os.fspath(path), Path(path)
    if mode not in ("r", "r+", "a") or (mode == "a" and not store.exists()):
        return None
    try:
        native = _native.Array.locate(f"{place}::{internal_path}" if internal_path else place)
        if mode != "r":
            native = _native.Array.open(native.spec or "", True)
    except NotFoundError as error:
        if internal_path and store.exists():
            raise KeyError(f"{error} {error.fix or ''}".strip()) from error
        raise
    except (DataError, InvalidTypeError) as error:
        if error.kind == "corrupt-data":
            raise
        return None
    except BioimageError as error:
        if error.kind == "ambiguous-array":
            raise ValueError(f"{_SEVERAL} {error}") from error
        raise
    inner = json.loads(native.spec or "{}")["array"]
    # The path itself may name an array inside a store.
    return NativeArray(native), internal_path or (inner if (store / inner).exists() else "")


def _open_with(file: Any, key: str | None) -> tuple[Any, str]:
    """An array in a file that a format's constructor has opened, and its name there."""
    if key is None:
        key = getattr(file, "default_key", None)
    if not key and hasattr(file, "shape") and hasattr(file, "dtype"):
        return file, ""
    if key is None:
        raise ValueError(_SEVERAL)
    return file[key], key


def _from_h5py(dataset: Any) -> Source:
    writable = dataset.file.mode != "r"
    return FileSource(
        dataset,
        path=dataset.file.filename,
        internal_path=dataset.name.lstrip("/"),
        format="hdf5",
        mode="r+" if writable else "r",
        writable=writable,
    )


def _is_h5py_dataset(obj: object) -> bool:
    from_h5py = type(obj).__module__.partition(".")[0] == "h5py"
    return from_h5py and hasattr(obj, "file") and hasattr(obj, "shape")


register_source(_is_h5py_dataset, _from_h5py)
register_opener("file", FileSource.reopen)
