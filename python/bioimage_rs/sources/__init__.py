"""Arrays that runs read and write: one interface over numpy, zarr, TIFF, HDF5 and whatever slices.

What has a path that the engine reads natively is opened natively; anything else with `shape`,
`dtype` and slicing works, too, through Python.
"""

from bioimage_rs.sources._array import ArraySource
from bioimage_rs.sources._base import (
    Source,
    SourceLike,
    SourceSpec,
    as_source,
    from_spec,
    register_source,
)
from bioimage_rs.sources._cloudvolume import CloudVolumeSource, open_cloudvolume
from bioimage_rs.sources._file import FileSource, open_source
from bioimage_rs.sources._precomputed import (
    TensorStorePrecomputedSource,
    open_tensorstore_precomputed,
)
from bioimage_rs.sources._webknossos import WebKnossosSource, open_webknossos

__all__ = [
    "ArraySource",
    "CloudVolumeSource",
    "FileSource",
    "Source",
    "SourceLike",
    "SourceSpec",
    "TensorStorePrecomputedSource",
    "WebKnossosSource",
    "as_source",
    "from_spec",
    "open_cloudvolume",
    "open_source",
    "open_tensorstore_precomputed",
    "open_webknossos",
    "register_source",
]
