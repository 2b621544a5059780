"""From a path to an open file."""

import os
from pathlib import Path
from typing import Any

from bioimage_rs.io.registry import (
    constructor_for_format,
    format_for_extension,
    supported_extensions,
)

PathLike = str | os.PathLike[str]

_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")


def infer_extension(path: PathLike) -> str:
    """What decides a file's format: its ending in lower case, `.nii.gz` as one, empty for none.

    Examples
    --------
    >>> from bioimage_rs.io.files import infer_extension
    >>> infer_extension("brain.NII.gz"), infer_extension("a/slices/")
    ('.nii.gz', '')
    """
    name = Path(str(path).rstrip("/")).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def infer_format(path: PathLike, ext: str | None = None) -> str:
    """The format of a file, by its ending, or by what lies in a folder.

    Parameters
    ----------
    path
        The file or folder, or an array inside a Zarr or N5 store.
    ext
        An ending to go by instead of the path's.

    Raises
    ------
    ValueError
        For an ending that no format has.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> bp.io.infer_format("volume.h5"), bp.io.infer_format("slices")
    ('hdf5', 'folder')
    """
    if ext is None:
        ext = infer_extension(path)
        inside = (
            _format_of_folder(Path(path)) if format_for_extension(ext) in (None, "folder") else None
        )
        if inside is not None:
            return inside
    found = format_for_extension(ext)
    if found is None:
        raise ValueError(
            f"Could not infer a file format from extension '{ext.lower()}'; it is not among the "
            f"supported extensions: {sorted(supported_extensions())}. Pass 'format' to name one of "
            "the supported formats."
        )
    return found


def _format_of_folder(path: Path) -> str | None:
    """The store that a folder is, or lies in."""
    if not path.is_dir():
        return None
    if any((path / name).exists() for name in _ZARR_FILES):
        return "zarr"
    in_store = any(folder.suffix == ".n5" for folder in path.parents)
    return "n5" if in_store or (path / "attributes.json").exists() else None


def open_file(
    path: PathLike,
    mode: str = "r",
    ext: str | None = None,
    format: str | None = None,  # noqa: A002 - the reference's name
    **kwargs: Any,
) -> Any:
    """Open a file.

    Parameters
    ----------
    path
        The file or folder.
    mode
        `r` to read; `r+`, `a` and `w` for HDF5, N5 and Zarr as their packages have them.
    ext, format
        An ending, or a format's name, to go by instead of the path's ending.
    kwargs
        Handed to what opens the format.

    Returns
    -------
    A mapping from names to arrays, or an array.

    Raises
    ------
    ValueError
        For an unknown format.
    ImportError
        Naming the package that reads the format, where it is missing.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> with bp.io.open_file("tomogram.mrc") as file:  # doctest: +SKIP
    ...     middle = file["data"][100]
    """
    name = infer_format(path, ext) if format is None else format
    return constructor_for_format(name)(path, mode=mode, **kwargs)
