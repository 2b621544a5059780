"""Block-wise image analysis for volumes that do not fit in memory.

>>> import bioimage_rs as bp
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bioimage_rs import (
        errors,
        evaluation,
        filters,
        io,
        morphology,
        operations,
        runner,
        segmentation,
        sources,
        stats,
        transformation,
        util,
        wrapper,
    )
    from bioimage_rs._copy import copy
    from bioimage_rs._defaults import defaults
    from bioimage_rs._downsample import downsample
    from bioimage_rs._expr import expr
    from bioimage_rs._magic import command
    from bioimage_rs._map_blocks import for_each_location, map_blocks
    from bioimage_rs._native import __version__
    from bioimage_rs._pyramid import pyramid
    from bioimage_rs._runs import Run, attach, runs
    from bioimage_rs._widgets import OperationForm, RunProgress, RunsTable, SlurmForm, ui
    from bioimage_rs.errors import BioimageError, RunnerError
    from bioimage_rs.runner import (
        RunnerConfig,
        SlurmConfig,
        config_file_path,
        get_runner,
        write_slurm_config,
    )
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
    "OperationForm",
    "Run",
    "RunProgress",
    "RunnerConfig",
    "RunnerError",
    "RunsTable",
    "SlurmConfig",
    "SlurmForm",
    "TensorStorePrecomputedSource",
    "__version__",
    "as_source",
    "attach",
    "command",
    "config_file_path",
    "copy",
    "defaults",
    "downsample",
    "errors",
    "evaluation",
    "expr",
    "filters",
    "for_each_location",
    "get_runner",
    "io",
    "map_blocks",
    "morphology",
    "open_cloudvolume",
    "open_source",
    "open_tensorstore_precomputed",
    "open_webknossos",
    "operations",
    "pyramid",
    "runner",
    "runs",
    "segmentation",
    "sources",
    "stats",
    "to_roi",
    "transformation",
    "ui",
    "util",
    "wrapper",
    "write_slurm_config",
]

# Everything is imported when it is asked for, so that scripts and worker processes start quickly.
_PLACES = {
    "BioimageError": "errors",
    "OperationForm": "_widgets",
    "Run": "_runs",
    "RunProgress": "_widgets",
    "RunnerConfig": "runner",
    "RunnerError": "errors",
    "RunsTable": "_widgets",
    "SlurmConfig": "runner",
    "SlurmForm": "_widgets",
    "TensorStorePrecomputedSource": "sources",
    "__version__": "_native",
    "as_source": "sources",
    "attach": "_runs",
    "command": "_magic",
    "config_file_path": "runner",
    "copy": "_copy",
    "defaults": "_defaults",
    "downsample": "_downsample",
    "expr": "_expr",
    "for_each_location": "_map_blocks",
    "get_runner": "runner",
    "load_ipython_extension": "_magic",
    "map_blocks": "_map_blocks",
    "open_cloudvolume": "sources",
    "open_source": "sources",
    "open_tensorstore_precomputed": "sources",
    "open_webknossos": "sources",
    "pyramid": "_pyramid",
    "runs": "_runs",
    "to_roi": "util",
    "ui": "_widgets",
    "unload_ipython_extension": "_magic",
    "write_slurm_config": "runner",
}
_MODULES = {
    "errors",
    "evaluation",
    "filters",
    "io",
    "morphology",
    "operations",
    "runner",
    "segmentation",
    "sources",
    "stats",
    "transformation",
    "util",
    "wrapper",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        found = getattr(importlib.import_module(f"bioimage_rs.{_PLACES[name]}"), name)
    elif name in _MODULES:
        found = importlib.import_module(f"bioimage_rs.{name}")
    else:
        raise AttributeError(f"module 'bioimage_rs' has no attribute '{name}'")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})
