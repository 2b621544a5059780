"""The cluster that the tests submit to, driven by a few methods."""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, Self

CONTROL = Path(__file__).with_name("cluster")
"""The program that brings clusters up and down; its first lines say what they are."""

_SETTINGS = {
    "SLURM_TEST_CPUS": "4",
    "SLURM_TEST_MEMORY": "4096",
    "SLURM_TEST_SLURMD_TIMEOUT": "5",
    "SLURM_TEST_KILL_WAIT": "1",
    # A lost node is asked several times, and each may take so long.
    "SLURM_TEST_EXTRA": "MessageTimeout=5",
}
CONFIG = """
[slurm]
poll_interval = 1.0
latency_wait = 20.0
time = "10"
mem = "300M"
"""
"""Settings of a user whose tests are not to wait for long."""
_UNABLE = 77
_NODES = ("n1", "n2")
_PARTITIONS = ("cpu", "short")
# A node may be called mixed for a while after its last job: the controller caches what it tells.
_USABLE = {"idle", "mixed", "allocated"}


class UnableError(Exception):
    """The machine cannot have a cluster; the text says what it lacks."""


def wait_for(what: str, condition: Callable[[], bool], timeout: float = 60) -> None:
    """Return as soon as the condition holds; fail when that takes too long."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.1)


class Cluster:
    """Two nodes, n1 and n2, of 4 CPUs and 4096 MB, in partitions cpu (both) and short (n1).

    Processes find it by `SLURM_CONF` = `config` in their environment.
    """

    def __init__(self, folder: Path, *, max_array: int = 40) -> None:
        self.config = folder / "slurm.conf"
        self._environment = os.environ | {
            **_SETTINGS,
            "SLURM_TEST_MAX_ARRAY": str(max_array),
            "SLURM_TEST_DIR": str(folder),
            "SLURM_TEST_PORT": str(_free_ports()),
        }
        # It waits for the end of its input, which comes even when this process is killed.
        self._guard = subprocess.Popen(
            ["sh", "-c", 'cat; exec "$0" down', CONTROL],
            env=self._environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            self._control("up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.communicate()

    def _control(self, *words: str) -> None:
        done = subprocess.run(
            [CONTROL, *words], env=self._environment, text=True, stderr=subprocess.PIPE
        )
        if done.returncode == _UNABLE:
            raise UnableError(done.stderr.strip())
        assert done.returncode == 0, f"cluster {' '.join(words)}: {done.stderr}"

    def call(self, *words: object) -> str:
        """What one of Slurm's programs prints; it must succeed."""
        done = subprocess.run(
            [*map(str, words)],
            env=os.environ | {"SLURM_CONF": str(self.config)},
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    @property
    def has_cgroups(self) -> bool:
        """Whether jobs are confined in control groups, which gives memory a hard limit."""
        return "proctrack/cgroup" in self.config.read_text()

    def kill_node(self, name: str) -> None:
        """Kill the node's daemon and everything that runs there, as a power cut would."""
        self._control("kill-node", name)

    def start_node(self, name: str) -> None:
        """Start the node's daemon, and wait until the controller has heard of it."""
        self._control("start-node", name)
        wait_for(f"{name} answers", lambda: not self.node_state(name).endswith("*"))

    def node_state(self, name: str) -> str:
        """What `sinfo` says: idle, mixed, allocated, completing, draining, drained, down, ...

        A star follows when the node does not answer.
        """
        return self.call("sinfo", "--noheader", "--partition=cpu", f"--nodes={name}", "--format=%T")

    def set_node(self, name: str, state: Literal["down", "drain", "resume"]) -> None:
        """Set the node down, drain it, or take that back."""
        self.call("scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")

    def set_partition(self, name: str, state: Literal["up", "down", "drain", "inactive"]) -> None:
        """Open the partition or close it."""
        self.call("scontrol", "update", f"partitionname={name}", f"state={state}")

    def restart_controller(self) -> None:
        """Stop slurmctld, start it, and wait until it answers and knows its nodes again."""
        self._control("restart-controller")

    def stop_accounting(self) -> None:
        """Stop slurmdbd: `sacct` and `sacctmgr` fail."""
        self._control("stop-accounting")

    def start_accounting(self) -> None:
        """Start slurmdbd, and wait until it answers."""
        self._control("start-accounting")

    def queue(self) -> list[str]:
        """Jobs that wait or run, every task of an array by itself: `17_0`, `17_1`, `18`."""
        states = "PENDING,CONFIGURING,RUNNING,SUSPENDED,STOPPED"
        return self.call(
            "squeue", "--noheader", "--array", f"--states={states}", "--format=%i"
        ).split()

    def cancel_all(self) -> None:
        """Cancel every job, and wait until their processes have ended."""
        self._cancel(self.queue())
        wait_for("an empty queue", lambda: not self.call("squeue", "--noheader"))

    def _cancel(self, jobs: Iterable[str]) -> None:
        if arrays := sorted({job.partition("_")[0] for job in jobs}):
            self.call("scancel", *arrays)

    def repair(self) -> None:
        """Bring everything back to how it was at the start."""
        self.start_accounting()
        for name in _NODES:
            self.start_node(name)
        self.cancel_all()
        for name in _NODES:
            if self.node_state(name).startswith(("down", "drain")):
                self.set_node(name, "resume")
        for name in _PARTITIONS:
            if self.call("sinfo", "--noheader", f"--partition={name}", "--format=%a") != "up":
                self.set_partition(name, "up")
        wait_for("usable nodes", lambda: {*map(self.node_state, _NODES)} <= _USABLE)


def _free_ports() -> int:
    """The first of 20 ports that nobody listens on, below those that systems give to clients."""
    while True:
        first = random.randrange(20_000, 32_000, 20)
        try:
            for port in range(first, first + 20):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
