"""Runs whose processes are killed on the way, and finished by others."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import bioimage_rs as bp

_PATIENCE = 60.0


def killed(script: str, *arguments: str, home: Path, blocks: int) -> bp.Run:
    """Start a script that makes one run, and kill its processes after so many blocks.

    Runs are kept below `home`, where `$XDG_STATE_HOME` must point to in this process, too.
    """
    runs = home / "state" / "bioimage-rs" / "runs"
    earlier = set(runs.glob("*"))
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=home, start_new_session=True
    )

    def done() -> int:
        journals = [run.glob("stages/*/*.jsonl") for run in {*runs.glob("*")} - earlier]
        return sum(file.read_text().count('"done"') for files in journals for file in files)

    deadline = time.monotonic() + _PATIENCE
    while done() < blocks and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return bp.attach("last")


def killed_and_resumed(script: str, *arguments: str, home: Path, blocks: int) -> bp.Run:
    """The same, and the run is finished by this process."""
    run = killed(script, *arguments, home=home, blocks=blocks)
    if run.state != "succeeded":
        run.resume()
    return run
