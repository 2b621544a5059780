"""Sources over files."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs.sources._array import ArraySource, NativeArray
from bioimage_rs.sources._base import PathLike, SourceSpec


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
        array: Any = NativeArray(native)
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
