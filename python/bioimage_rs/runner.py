"""Where blocks are worked on, and with which settings."""

from dataclasses import dataclass

from bioimage_rs.errors import RunnerError

__all__ = ["LocalRunner", "Runner", "RunnerConfig", "RunnerError", "SubprocessRunner", "get_runner"]


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
        Interpreter of worker processes that need Python.
    tasks_per_worker
        Tasks that each worker gets.
    task_timeout
        Seconds after which a worker process is killed.
    """

    poll_interval: float = 10.0
    tmp_root: str | None = None
    python_executable: str | None = None
    tasks_per_worker: int = 1
    task_timeout: float | None = None


class Runner:
    """A backend with its settings."""

    job_type = ""

    def __init__(self, config: RunnerConfig | None = None) -> None:
        self.config = config or RunnerConfig()


class LocalRunner(Runner):
    """Threads of this process."""

    job_type = "local"


class SubprocessRunner(Runner):
    """Worker processes on this machine."""

    job_type = "subprocess"


_RUNNERS: dict[str, type[Runner]] = {
    runner.job_type: runner for runner in (LocalRunner, SubprocessRunner)
}


def get_runner(job_type: str, config: RunnerConfig | None = None) -> Runner:
    """Make the runner of a backend.

    Parameters
    ----------
    job_type
        `local` or `subprocess`, in any case.
    config
        Its settings.

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> bp.get_runner("local").job_type
    'local'
    """
    runner = _RUNNERS.get(job_type.lower())
    if runner is None:
        raise ValueError(f"Unknown job_type '{job_type}'; expected one of {sorted(_RUNNERS)}.")
    return runner(config)
