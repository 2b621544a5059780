"""Where functions are run block by block, and with which settings."""

from bioimage_rs.errors import BlockFailure, RunnerError
from bioimage_rs.runner._base import (
    LocalRunner,
    Runner,
    SubprocessRunner,
    get_runner,
    run_block,
)
from bioimage_rs.runner._config import RunnerConfig

__all__ = [
    "BlockFailure",
    "LocalRunner",
    "Runner",
    "RunnerConfig",
    "RunnerError",
    "SubprocessRunner",
    "get_runner",
    "run_block",
]
