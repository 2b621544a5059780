"""An operation of two passes on a cluster: the second is submitted when the first is merged."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from shell import Bp, RunFolder, content, make_zarr
from slurm.testbed import Cluster, wait_for

SHAPE, CHUNKS = (64, 128, 128), (16, 32, 32)
BLOCKS = 64
PASSES = 2


@pytest.fixture
def image(home: Path) -> np.ndarray:
    """Random voxels, of which so many are set that components go through many blocks."""
    voxels = (np.random.default_rng(9).random(SHAPE) < 0.3).astype("uint8")
    make_zarr(home / "in.zarr", voxels, CHUNKS)
    return voxels


LINE: list[Any] = ["label", "in.zarr", "out.zarr", "--chunks", "16,32,32"]


def submissions(run: RunFolder) -> list[dict[str, Any]]:
    """The job arrays of a run."""
    found: list[dict[str, Any]] = json.loads((run.path / "jobs.json").read_text())["submissions"]
    return found


def done(run: RunFolder) -> list[int]:
    """Blocks of both passes that are done."""
    journals = run.path.glob("stages/*/*.jsonl")
    events = [json.loads(line) for file in journals for line in file.read_text().splitlines()]
    return [event["block"] for event in events if event["event"] == "done"]


def labelled_here(bp: Bp) -> np.ndarray:
    """What one process makes of it."""
    bp.ok("label", "in.zarr", "here.zarr", "--block-shape", "16,32,32", "--workers", "1")
    return content(bp.home / "here.zarr")


def test_both_passes_are_job_arrays_and_the_labels_those_of_a_local_run(
    cluster: Cluster, bp: Bp, image: np.ndarray
) -> None:
    bp.ok(*LINE, "--backend", "slurm", "--workers", "4", "--block-shape", "16,32,32")
    run = bp.runs[-1]
    assert np.array_equal(content(bp.home / "out.zarr"), labelled_here(bp))
    first, second = submissions(run)
    assert set(first["tasks"]).isdisjoint(second["tasks"])
    assert sorted(done(run)) == list(range(PASSES * BLOCKS))


def test_another_process_goes_on_between_the_passes(
    cluster: Cluster, bp: Bp, image: np.ndarray
) -> None:
    leader = bp.start(*LINE, "--backend", "slurm", "--workers", "2", "--block-shape", "16,32,32")
    wait_for("some blocks", lambda: bool(bp.runs) and len(done(bp.runs[-1])) > 3)
    leader.kill()
    leader.wait()
    run = bp.runs[-1]
    wait_for("the first pass", lambda: len(done(run)) >= BLOCKS)
    assert len(submissions(run)) == 1, "nobody leads it"
    assert "succeeded" in bp.ok("watch", "last")
    assert len(submissions(run)) == PASSES
    assert np.array_equal(content(bp.home / "out.zarr"), labelled_here(bp))


def test_a_second_pass_that_is_cancelled_is_resumed_here(
    cluster: Cluster, bp: Bp, image: np.ndarray
) -> None:
    line = [*LINE, "--codec", "zstd:19", "--block-shape", "16,32,32"]
    leader = bp.start(*line, "--backend", "slurm", "--workers", "1")
    wait_for("the second pass", lambda: bool(bp.runs) and len(done(bp.runs[-1])) > BLOCKS)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    assert "has stopped" in bp.ok("cancel", "last")
    assert cluster.queue() == []
    before = len(done(bp.runs[-1]))
    bp.ok("resume", "last", "--backend", "local", "--workers", "2")
    run = bp.runs[-1]
    assert sorted(set(done(run))) == list(range(PASSES * BLOCKS))
    assert len(done(run)) - before <= PASSES * BLOCKS - BLOCKS, "the first pass was not done again"
    assert np.array_equal(content(bp.home / "out.zarr"), labelled_here(bp))
    assert zarr.open_array(bp.home / "out.zarr").dtype == "uint64"
