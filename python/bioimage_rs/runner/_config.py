"""Settings of backends."""

from dataclasses import dataclass


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
    retries: int = 3
    memory: int | str | None = None
