"""Python functions in job arrays: their values, and what becomes of those that take too much."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from bioimage_rs.runner import SlurmRunner
from slurm.testbed import Cluster, wait_for

SHAPE, CHUNKS = (32, 32), (8, 8)
BLOCKS = 16


@pytest.fixture
def arrays(home: Path) -> tuple[Any, Any]:
    """An input of ones, and an output."""
    ones = zarr.create_array(home / "in.zarr", shape=SHAPE, chunks=CHUNKS, dtype="uint8")
    ones[...] = 1
    out = zarr.create_array(home / "out.zarr", shape=SHAPE, chunks=CHUNKS, dtype="uint8")
    return ones, out


def config(home: Path, **settings: Any) -> bp.SlurmConfig:
    """Settings with run folders of this test's own."""
    given = {"mem": "300M", "time": "10", **settings}
    return bp.SlurmConfig(tmp_root=str(home / "runs"), poll_interval=1.0, **given)


def submissions(home: Path) -> list[dict[str, Any]]:
    """What was submitted by the only run."""
    (file,) = (home / "runs").glob("*/jobs.json")
    found: list[dict[str, Any]] = json.loads(file.read_text())["submissions"]
    return found


def doubling() -> Any:
    """A function that goes to the nodes by value, not by the name of this module."""

    def double(block: Any, inputs: Any, outputs: Any, mask: Any) -> Any:
        roi = bp.to_roi(block)
        outputs[0][roi] = 2 * inputs[0][roi]
        return int(inputs[0][roi].sum()) + block.begin[0]

    return double


def test_values_and_voxels_are_those_of_a_local_run(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    ones, out = arrays
    copy: Any = np.zeros(SHAPE, "uint8")
    local = bp.get_runner("local").run(doubling(), [ones], [copy], has_return_val=True)
    runner = bp.get_runner("slurm", config(home, tasks_per_worker=2))
    values = runner.run(doubling(), [ones], [out], num_workers=3, has_return_val=True)
    assert values == local
    assert np.array_equal(out[...], copy)
    assert runner.map(lambda item: item**2, 5, num_workers=2) == [0, 1, 4, 9, 16]
    assert len(submissions_of_all(home)) == 2


def submissions_of_all(home: Path) -> list[Path]:
    """The records of all runs."""
    return list((home / "runs").glob("*/jobs.json"))


def test_a_task_over_its_memory_gets_twice_as_much(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    ones, out = arrays

    def greedy(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin == [8, 8]:
            np.ones(350 << 20, "uint8")
        outputs[0][bp.to_roi(block)] = 2

    bp.get_runner("slurm", config(home)).run(greedy, [ones], [out], num_workers=2)
    assert (out[...] == 2).all()
    assert [one["mem"] for one in submissions(home)] == ["300M", "600M"]
    assert len(submissions(home)[1]["tasks"]) == 1
    (journal,) = (home / "runs").glob("*/stages/0/driver.1.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    kinds = [event["error"]["kind"] for event in events if event["event"] == "failed"]
    assert kinds == ["out-of-memory"]


def test_a_block_that_takes_more_than_twice_the_memory_fails_alone(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    ones, out = arrays

    def greedy(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin == [8, 8]:
            np.ones(1500 << 20, "uint8")
        outputs[0][bp.to_roi(block)] = 2

    with pytest.raises(bp.RunnerError, match="memory") as failed:
        bp.get_runner("slurm", config(home)).run(greedy, [ones], [out], num_workers=2)
    assert failed.value.failed_block_ids == [5]
    assert [failure.kind for failure in failed.value.failures] == ["out-of-memory"]
    assert (out[...] == 2).sum() == 32 * 32 - 64


def test_a_task_over_its_time_gets_twice_as_much(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    ones, out = arrays
    begun, slept = home / "begun", home / "slept"

    def slow(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin == [8, 8] and not slept.exists():
            begun.touch()
            time.sleep(600)
        outputs[0][bp.to_roi(block)] = 2

    def run_out_of_time() -> None:
        wait_for("the slow block", begun.exists)
        slept.touch()
        (one,) = submissions(home)
        # A real end by the limit, which is else a matter of whole minutes.
        rows = cluster.call("squeue", "-h", "-r", "-t", "R", "-o", "%i").split()
        for row in rows:
            assert row.startswith(str(one["job"]))
            cluster.call("scontrol", "update", f"jobid={row}", "EndTime=now")

    helper = threading.Thread(target=run_out_of_time)
    helper.start()
    run = bp.get_runner("slurm", config(home)).start(slow, [ones], [out], num_workers=1)
    run.wait()
    helper.join()
    assert (out[...] == 2).all()
    assert [one["time"] for one in submissions(home)] == ["10", "00:20:00"]
    journal = (run.folder / "stages" / "0" / "driver.1.jsonl").read_text()
    assert '"time-limit"' in journal


def test_a_function_that_raises_is_told_with_its_traceback_and_can_be_finished(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    ones, out = arrays
    mended = home / "mended"

    def sometimes(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin == [8, 8] and not mended.exists():
            raise ValueError("no such luck")
        outputs[0][bp.to_roi(block)] = 2

    runner = bp.get_runner("slurm", config(home))
    with pytest.raises(bp.RunnerError, match="no such luck") as failed:
        runner.run(sometimes, [ones], [out], num_workers=2)
    assert failed.value.failed_block_ids == [5]
    assert "in sometimes" in (failed.value.failures[0].traceback or "")
    mended.touch()
    assert failed.value.tmp_folder is not None
    bp.get_runner("slurm", config(home)).run(
        sometimes, [ones], [out], resume_from=failed.value.tmp_folder
    )
    assert (out[...] == 2).all()


def test_a_function_that_kills_its_process(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    ones, out = arrays

    def deadly(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin == [8, 8]:
            os.kill(os.getpid(), signal.SIGSEGV)
        outputs[0][bp.to_roi(block)] = 2

    settings = config(home)
    settings.retries = 1
    with pytest.raises(bp.RunnerError) as failed:
        bp.get_runner("slurm", settings).run(deadly, [ones], [out], num_workers=2)
    assert failed.value.failed_block_ids == [5]
    (failure,) = failed.value.failures
    assert failure.kind == "worker-lost"
    assert "in deadly" in (failure.traceback or "")
    assert (out[...] == 2).sum() == 32 * 32 - 64


LEADER = """
import sys, time
import bioimage_rs as bp
import zarr
from bioimage_rs.runner import SlurmRunner

def double(block, inputs, outputs, mask):
    roi = bp.to_roi(block)
    outputs[0][roi] = 2 * inputs[0][roi]
    return block.begin[0]

config = bp.SlurmConfig(tmp_root="runs", poll_interval=1.0, time="10", mem="300M")
arrays = [zarr.open_array(name, mode="r+") for name in ("in.zarr", "out.zarr")]
bp.get_runner("slurm", config).start(double, arrays[:1], arrays[1:], num_workers=1)
time.sleep(600)
"""


def test_a_run_is_waited_for_by_another_process(
    cluster: Cluster, home: Path, arrays: tuple[Any, Any]
) -> None:
    with subprocess.Popen([sys.executable, "-c", LEADER], cwd=home) as leader:
        wait_for("the submission", lambda: bool(submissions_of_all(home)))
        leader.kill()
    (folder,) = (home / "runs").iterdir()
    values = SlurmRunner(config(home)).reattach(str(folder))
    assert values == [begin for begin in (0, 8, 16, 24) for _ in range(4)]
    assert (arrays[1][...] == 2).all()
