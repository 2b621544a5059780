"""What a run leaves behind when its leader is asked to stop, politely or not."""

import json
import signal
import time

import numpy as np
import pytest
from shell import Bp, content, make_zarr, noise

SLOW = "--codec zstd:19 --chunks 32,32,32 --block-shape 32,32,32 --workers 2".split()
SHAPE = (128, 256, 256)


def stopped(bp: Bp, *signals: signal.Signals) -> tuple[np.ndarray, dict[str, object]]:
    """A run in the middle of which its leader got these signals, and its status afterwards."""
    voxels = noise(SHAPE)
    make_zarr(bp.home / "in.zarr", voxels, (32, 32, 32))
    process = bp.start("copy", "in.zarr", "out.zarr", *SLOW)
    while not (bp.runs and bp.runs[0].done()):
        assert process.poll() is None, "the run ended before it could be stopped"
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    assert process.wait(20) != 0
    status: dict[str, object] = json.loads(bp.ok("status", "last", "--json"))
    return voxels, status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_cancels(bp: Bp, number: signal.Signals) -> None:
    voxels, status = stopped(bp, number)
    assert status["state"] == "cancelled"
    assert not list((bp.home / "out.zarr").rglob("*.bp-tmp"))
    bp.ok("resume", "last")
    assert np.array_equal(content(bp.home / "out.zarr"), voxels)


def test_a_killed_run_says_how_long_it_went(bp: Bp) -> None:
    voxels, status = stopped(bp, signal.SIGKILL)
    assert status["state"] == "interrupted"
    assert isinstance(status["elapsed_s"], float)
    time.sleep(0.5)
    again = json.loads(bp.ok("status", "last", "--json"))
    assert again["elapsed_s"] == status["elapsed_s"], "nobody works on it any more"
    text = bp.ok("status", "last")
    assert "elapsed" in text
    bp.ok("resume", "last")
    assert np.array_equal(content(bp.home / "out.zarr"), voxels)


def test_a_second_interrupt_does_not_wait(bp: Bp) -> None:
    voxels, status = stopped(bp, signal.SIGINT, signal.SIGINT)
    # Quick blocks may have let the first interrupt do.
    assert status["state"] in ("interrupted", "cancelled")
    bp.ok("resume", "last")
    assert np.array_equal(content(bp.home / "out.zarr"), voxels)
