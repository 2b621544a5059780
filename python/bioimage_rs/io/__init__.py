"""Files of many formats, opened as mappings of arrays.

`open_file` gives a mapping from names to arrays (`"data"` in MRC and NIfTI files, a dataset's path
in HDF5, N5 and Zarr, a glob pattern in a folder of images). TIFF, MRC and NIfTI are read by the
engine; the other formats by their Python packages, which are imported when a file is opened.
"""

from bioimage_rs.io.files import infer_format, open_file
from bioimage_rs.io.registry import (
    constructor_for_format,
    format_for_extension,
    is_writable_format,
    register_format,
    supported_extensions,
    supported_formats,
)

__all__ = [
    "constructor_for_format",
    "format_for_extension",
    "infer_format",
    "is_writable_format",
    "open_file",
    "register_format",
    "supported_extensions",
    "supported_formats",
]
