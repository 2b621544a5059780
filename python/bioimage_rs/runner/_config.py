"""Settings of backends."""

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bioimage_rs import _native


@dataclass
class RunnerConfig:
    """Settings of a backend.

    Parameters
    ----------
    poll_interval
        Seconds between looks at a scheduler.
    tmp_root
        Folder in which run folders are made; the configured one by default.
    python_executable
        Interpreter of worker processes that need Python; this one by default.
    tasks_per_worker
        Tasks that each worker process gets.
    task_timeout
        Seconds after which a worker process is killed.
    retries
        How often a block is tried again after a failure that may pass, such as a lost worker.
    memory
        Bytes that a run may use, as a number or as text (`"4GB"`); what is available by default.
    """

    poll_interval: float = 10.0
    tmp_root: str | None = None
    python_executable: str | None = None
    tasks_per_worker: int = 1
    task_timeout: float | None = None
    retries: int = field(default=3, kw_only=True)
    memory: int | str | None = field(default=None, kw_only=True)

    def _resumed_with(self) -> dict[str, Any]:
        """The settings that another attempt at a run may have, as the engine takes them."""
        memory = self.memory
        return {
            "budget": _native.parse_bytes(memory) if isinstance(memory, str) else memory,
            "task_timeout": self.task_timeout,
            "tasks_per_worker": self.tasks_per_worker,
        }


@dataclass
class SlurmConfig(RunnerConfig):
    """Settings of runs on a Slurm cluster.

    What is not set is the cluster's choice. Made by hand it is what it says; `load` starts from the
    config file.

    Parameters
    ----------
    poll_interval
        Seconds between questions to the scheduler.
    tmp_root
        Folder in which run folders are made, on a file system that all nodes see. Must be set.
    python_executable
        Interpreter of tasks that need Python; this one by default.
    tasks_per_worker
        Tasks for each of the `num_workers` that run at the same time.
    task_timeout
        Not used: `time` limits tasks.
    partition
        Partition.
    time
        Time limit of a task: `"90"` (minutes), `"1:30:00"`, `"2-12:00:00"`.
    mem
        Memory of a task: `"8G"`, `"800M"`.
    cpus_per_task, gpus
        Processors and graphics processors of a task.
    account, qos, constraint
        Account, quality of service, and features that nodes must have.
    shebang
        First line of the job script if it starts with `#!`, then lines that prepare its
        environment.
    max_array_size
        Most tasks of one job array; asked of the cluster by default. More tasks go into several.
    latency_wait
        Seconds that files of a task may take to be seen here after it has ended.
    retries
        How often a block is tried again after a failure that may pass, such as a lost node.
    memory
        Bytes that a task may use where `mem` is not set.
    options
        More options for `#SBATCH` lines, such as `"--exclusive"`.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> bp.SlurmConfig(partition="cpu", time="1:00:00").cpus_per_task
    1
    """

    partition: str | None = None
    time: str | None = None
    mem: str | None = None
    cpus_per_task: int = 1
    gpus: int = 0
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    shebang: str | None = None
    max_array_size: int | None = None
    latency_wait: float = 120.0
    options: list[str] = field(default_factory=list, kw_only=True)

    @classmethod
    def load(cls, path: str | None = None, **overrides: Any) -> "SlurmConfig":
        """Make settings from the config file's `[slurm]` table.

        Parameters
        ----------
        path
            The file; the one of `config_file_path` by default, or that of bioimage-py where ours
            has no such table. With `$BIOIMAGE_PY_NO_CONFIG` no file is read.
        overrides
            Settings that go before those of the file.

        Raises
        ------
        ValueError
            For a name that is no setting, in the file or here.

        Examples
        --------
        >>> import bioimage_rs as bp
        >>> bp.SlurmConfig.load(partition="gpu", gpus=1).gpus
        1
        """
        _check_names(overrides, "load() overrides")
        file, text = _native.stored_slurm_config(path)
        stored = json.loads(text)
        if stored is None:
            stored = {}
        if not isinstance(stored, dict):
            raise ValueError(
                f"Expected a [slurm] table in {os.fspath(file)}, got {type(stored).__name__}."
            )
        _check_names(stored, f"the [slurm] section of {os.fspath(file)}")
        return cls(**{**stored, **overrides})

    def _resumed_with(self) -> dict[str, Any]:
        return {**super()._resumed_with(), "slurm": self._to_native()}

    def _to_native(self) -> str:
        """What the engine takes, as JSON: nothing that is not set."""
        texts = {name: str(getattr(self, name) or "") or None for name in _TEXTS}
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        given = {name: value for name, value in {**texts, **numbers}.items() if value is not None}
        options = [self.options] if isinstance(self.options, str) else list(self.options)
        # Numbers may be numpy's.
        return json.dumps({**given, "options": options}, default=lambda number: number.item())


# The settings that are the engine's.
_TEXTS = ("partition", "time", "mem", "account", "qos", "constraint", "shebang", "tmp_root")
_NUMBERS = ("cpus_per_task", "gpus", "max_array_size", "latency_wait", "poll_interval")


def _check_names(names: Iterable[str], where: str) -> None:
    known = {setting.name for setting in dataclasses.fields(SlurmConfig)}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(
            f"Unknown SlurmConfig option(s) {unknown} in {where}. "
            f"Valid options are {sorted(known)}."
        )


def config_file_path(path: str | None = None) -> Path:
    """Return where the config file is that `write_slurm_config` writes, whether or not it exists.

    Parameters
    ----------
    path
        The file itself; by default `$BIOIMAGE_RS_CONFIG`, else `$BIOIMAGE_PY_CONFIG`, else
        `bioimage-rs/config.toml` in `$XDG_CONFIG_HOME` (`~/.config`).

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> bp.config_file_path("~/lab.toml").name
    'lab.toml'
    """
    return Path(_native.slurm_config_file(path))


def write_slurm_config(path: str | None = None, *, replace: bool = False, **fields: Any) -> str:
    """Store settings in the config file's `[slurm]` table, for `SlurmConfig.load` and `bp`.

    Everything else in the file stays, comments too. The first time, what an existing file of
    bioimage-py says is taken over.

    Parameters
    ----------
    path
        The file; that of `config_file_path` by default.
    replace
        Whether the table says only what is given here, and not what it said before as well.
    fields
        Settings of `SlurmConfig`; those that are `None` are left out.

    Returns
    -------
    The file.

    Raises
    ------
    ValueError
        For a name that is no setting, or a value that it cannot have; nothing is written then.

    Examples
    --------
    >>> import tempfile, bioimage_rs as bp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = bp.write_slurm_config(f"{folder}/lab.toml", partition="cpu", time="1:00:00")
    ...     bp.SlurmConfig.load(file).partition
    'cpu'
    """
    _check_names(fields, "write_slurm_config()")
    values = [(name, value) for name, value in fields.items() if value is not None]
    return os.fspath(_native.write_slurm_config(path, replace, json.dumps(values, default=str)))
