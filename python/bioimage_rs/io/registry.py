"""Which formats there are, and what opens them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bioimage_rs.io._containers import open_hdf5, open_n5, open_zarr
from bioimage_rs.io._images import MrcFile, NiftiFile
from bioimage_rs.io._msr import MsrFile
from bioimage_rs.io._stacks import open_folder

Constructor = Callable[..., Any]


@dataclass(frozen=True)
class _Format:
    constructor: Constructor
    writable: bool


_formats: dict[str, _Format] = {}
_extensions: dict[str, str] = {}


def register_format(
    name: str, extensions: Sequence[str], constructor: Callable[..., Any], *, writable: bool = False
) -> None:
    """Let `open_file` and `open_source` open another format.

    Parameters
    ----------
    name
        The format's name.
    extensions
        What its files' names end in, such as `.foo`. An ending that another format has already
        stays with that one.
    constructor
        Opens a file: called with the path, `mode` and what else the user gives; returns an array,
        or a mapping from names to arrays. A mapping may say in `default_key` which is meant if none
        is named.
    writable
        Whether its arrays can be written.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.io.register_format("text", [".txt"], lambda path, mode="r": np.loadtxt(path))
    >>> bp.io.format_for_extension(".TXT")
    'text'
    """
    _formats[name] = _Format(constructor, writable)
    for extension in extensions:
        _extensions.setdefault(extension.lower(), name)


def supported_formats() -> list[str]:
    """Names of the formats."""
    return list(_formats)


def supported_extensions() -> list[str]:
    """What names of files of a known format end in; empty for a folder."""
    return list(_extensions)


def format_for_extension(ext: str) -> str | None:
    """The format of files whose names end like this, in any case."""
    return _extensions.get(ext.lower())


def constructor_for_format(name: str) -> Constructor:
    """What opens files of a format.

    Raises
    ------
    ValueError
        For a format that is not known.
    """
    found = _formats.get(name)
    if found is None:
        raise ValueError(
            f"Unknown or unavailable format '{name}'. Supported formats: "
            f"{sorted(supported_formats())}."
        )
    return found.constructor


def is_writable_format(name: str) -> bool:
    """Whether arrays of a format can be written."""
    return name in _formats and _formats[name].writable


register_format("hdf5", [".h5", ".hdf", ".hdf5"], open_hdf5, writable=True)
register_format("n5", [".n5"], open_n5, writable=True)
register_format("zarr", [".zarr", ".zr"], open_zarr, writable=True)
register_format("mrc", [".mrc", ".rec"], MrcFile)
register_format("nifti", [".nii", ".nii.gz"], NiftiFile)
register_format("msr", [".msr"], MsrFile)
register_format("folder", ["", ".tif", ".tiff"], open_folder)
