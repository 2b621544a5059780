"""Where functions are run block by block, and with which settings."""

from bioimage_rs.errors import BlockFailure, RunnerError
from bioimage_rs.runner._base import (
    LocalRunner,
    Runner,
    SlurmRunner,
    SubprocessRunner,
    get_runner,
    run_block,
)
from bioimage_rs.runner._config import (
    RunnerConfig,
    SlurmConfig,
    config_file_path,
    write_slurm_config,
)

__all__ = [
    "BlockFailure",
    "LocalRunner",
    "Runner",
    "RunnerConfig",
    "RunnerError",
    "SlurmConfig",
    "SlurmRunner",
    "SubprocessRunner",
    "config_file_path",
    "get_runner",
    "run_block",
    "write_slurm_config",
]
