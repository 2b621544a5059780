"""Block-wise image analysis for volumes that do not fit in memory.

>>> import bioimage_rs as bp
"""

from typing import Any

from bioimage_rs import io, sources
from bioimage_rs._copy import copy
from bioimage_rs._defaults import defaults
from bioimage_rs._map_blocks import for_each_location, map_blocks
from bioimage_rs._native import __version__
from bioimage_rs.errors import BioimageError, RunnerError
from bioimage_rs.runner import RunnerConfig, get_runner
from bioimage_rs.runs import Run, attach, runs
from bioimage_rs.sources import (
    TensorStorePrecomputedSource,
    as_source,
    open_cloudvolume,
    open_source,
    open_tensorstore_precomputed,
    open_webknossos,
)
from bioimage_rs.util import to_roi

__all__ = [
    "BioimageError",
    "Run",
    "RunProgress",
    "RunnerConfig",
    "RunnerError",
    "TensorStorePrecomputedSource",
    "__version__",
    "as_source",
    "attach",
    "command",
    "copy",
    "defaults",
    "for_each_location",
    "get_runner",
    "io",
    "map_blocks",
    "open_cloudvolume",
    "open_source",
    "open_tensorstore_precomputed",
    "open_webknossos",
    "runs",
    "sources",
    "to_roi",
    "transformation",
    "wrapper",
]

# What needs IPython or anywidget, and what many scripts do without, is imported when it is asked
# for, so that scripts start quickly.
_LATER = {
    "RunProgress": "bioimage_rs._widgets",
    "command": "bioimage_rs._magic",
    "load_ipython_extension": "bioimage_rs._magic",
    "unload_ipython_extension": "bioimage_rs._magic",
}
_LATER_MODULES = {"transformation", "wrapper"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name in _LATER_MODULES:
        return importlib.import_module(f"bioimage_rs.{name}")
    raise AttributeError(f"module 'bioimage_rs' has no attribute '{name}'")
