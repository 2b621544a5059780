"""Driving `bp` as a user of a shell does, and reading run folders as any tool may."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

Event = dict[str, object]


_NO_OPERATIONS = {
    "ui",
    *("result", "info", "runs", "status", "watch", "logs", "cancel", "resume", "retry"),
    *("script", "config", "doctor", "help", "kernel"),
}


@dataclass
class Bp:
    """The `bp` command with state and settings of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this user sees."""
        own = {"XDG_STATE_HOME": self.home / "state", "XDG_CONFIG_HOME": self.home / "config"}
        return os.environ | {name: str(path) for name, path in own.items()}

    def __call__(
        self, *arguments: object, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            ["bp", *map(str, arguments)],
            env=self.environment,
            cwd=self.home,
            text=True,
            capture_output=True,
            timeout=timeout,
        )

    def ok(self, *arguments: object) -> str:
        """Run a command that must succeed."""
        done = self(*arguments)
        assert done.returncode == 0, (
            f"bp {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a command at the head of a process group of its own."""
        return subprocess.Popen(
            ["bp", *map(str, arguments)],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def operations(self) -> set[str]:
        """The verbs that run an operation."""
        listed = self.ok("help").partition("Verbs:\n")[2].partition("\n\n")[0].splitlines()
        # The lines between are of helps that are too long for one.
        verbs = {line.split()[0] for line in listed if not line.startswith("   ")}
        return verbs - _NO_OPERATIONS

    @property
    def runs(self) -> list["RunFolder"]:
        """The runs on record, the oldest first."""
        root = self.home / "state" / "bioimage-rs" / "runs"
        found = sorted(root.glob("*/run.json"), key=lambda file: file.stat().st_mtime_ns)
        return [RunFolder(file.parent) for file in found]


@dataclass
class RunFolder:
    """A run folder, read without the engine."""

    path: Path

    @property
    def id(self) -> str:
        """The run's short name."""
        return self.path.name.rsplit("-", 1)[1]

    @property
    def outcome(self) -> dict[str, object] | None:
        """How the run ended, if it did."""
        file = self.path / "outcome.json"
        return json.loads(file.read_text()) if file.exists() else None

    def journals(self) -> Iterator[tuple[int, list[Event]]]:
        """Attempt and complete lines of every journal."""
        for file in sorted(self.path.glob("stages/0/*.jsonl")):
            attempt = int(file.name.split(".")[-2])
            text = file.read_text()
            lines = text[: text.rfind("\n") + 1].splitlines()
            yield attempt, [json.loads(line) for line in lines]

    def done(self) -> list[int]:
        """Blocks marked done, as often as they are."""
        return [
            int(str(event["block"]))
            for _, events in self.journals()
            for event in events
            if event["event"] == "done"
        ]

    def begun(self) -> list[int]:
        """Blocks that were begun, as often as they were."""
        return [
            int(str(event["block"]))
            for _, events in self.journals()
            for event in events
            if event["event"] == "start"
        ]

    def workers(self) -> list[int]:
        """Process numbers of all workers so far."""
        return [
            int(event["process"]["pid"])  # type: ignore[index]
            for _, events in self.journals()
            for event in events
            if event["event"] == "worker"
        ]

    def block(self, number: int) -> tuple[slice, ...]:
        """The region of a block, from the plan."""
        grid = json.loads((self.path / "plan.json").read_text())["stages"][0]["grid"]
        shape, block = grid["domain"]["shape"], grid["block_shape"]
        counts = [-(-extent // size) for extent, size in zip(shape, block, strict=True)]
        position = np.unravel_index(number, counts)
        return tuple(
            slice(int(i) * size, min((int(i) + 1) * size, extent))
            for i, size, extent in zip(position, block, shape, strict=True)
        )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all its children, as a crash or an impatient user would."""
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Voxels that compress about as well as those of a microscope."""
    return np.random.default_rng(seed).normal(100, 12, shape).astype("uint8")


def make_zarr(path: Path, data: np.ndarray, chunks: tuple[int, ...]) -> None:
    """Write an array with zarr-python."""
    array = zarr.create_array(path, shape=data.shape, dtype=data.dtype, chunks=chunks)
    array[...] = data


def content(path: Path) -> np.ndarray:
    """Read an array with zarr-python."""
    array = zarr.open_array(path, mode="r")
    return np.asarray(array[...])
