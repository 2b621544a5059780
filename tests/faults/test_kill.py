"""Kill anything at any time: what is marked done is done, and the rest can be finished."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from shell import Bp, RunFolder, content, kill_group, make_zarr, noise

SHAPE, CHUNKS, BLOCK = (160, 160, 160), (32, 32, 32), (16, 16, 16)
WORKERS = 2


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    data = noise(SHAPE)
    path = tmp_path_factory.mktemp("source") / "in.zarr"
    make_zarr(path, data, CHUNKS)
    return path, data


def start(bp: Bp, source: Path, leader: str, backend: str) -> subprocess.Popen[bytes]:
    """A run led by a shell command or by a Python interpreter, as a kernel is."""
    chunks = ",".join(map(str, BLOCK))
    options = [
        "--chunks",
        chunks,
        "--block-shape",
        chunks,
        "--workers",
        WORKERS,
        "--backend",
        backend,
    ]
    if leader == "shell":
        return bp.start("copy", source, "out.zarr", *options)
    line = " ".join(map(str, ["copy", source, "out.zarr", *options]))
    code = f"from bioimage_rs import command; command({line!r})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=bp.environment,
        cwd=bp.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for_blocks(bp: Bp, process: subprocess.Popen[bytes], number: int) -> None:
    """Wait until so many blocks are done, or the run is over."""
    give_up = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < give_up:
        if bp.runs and len(bp.runs[-1].done()) >= number:
            return
        time.sleep(0.002)


def check_done_is_done(run: RunFolder, output: Path, data: np.ndarray) -> None:
    """Every block that a journal calls done is there, whole and right."""
    written = content(output)
    for block in set(run.done()):
        region = run.block(block)
        np.testing.assert_array_equal(written[region], data[region], f"block {block}")


@pytest.mark.parametrize("seed", range(50))
def test_kill_and_resume(bp: Bp, source: tuple[Path, np.ndarray], seed: int) -> None:
    path, data = source
    output = bp.home / "out.zarr"
    chance = random.Random(seed)
    leader, backend = ("shell", "python")[seed % 2], ("local", "subprocess")[seed // 2 % 2]
    victim = chance.choice(["tree", "leader", "worker"]) if backend == "subprocess" else "tree"
    process = start(bp, path, leader, backend)
    wait_for_blocks(bp, process, chance.randrange(900))
    time.sleep(chance.random() * 0.02)
    if victim == "tree":
        kill_group(process)
    elif victim == "leader":
        process.kill()
        process.wait()
    else:
        worker = bp.runs[-1].workers()[-1] if bp.runs else 0
        if worker and worker != process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        process.wait(timeout=120)
    if not bp.runs:  # killed before there was anything to resume
        process = start(bp, path, leader, backend)
        process.wait(timeout=120)
    run = bp.runs[-1]
    if victim != "worker":
        check_done_is_done(run, output, data)
    outcome = run.outcome
    if outcome is None or outcome["state"] != "succeeded":
        bp.ok("resume", run.id)
    outcome = run.outcome
    assert outcome is not None
    assert outcome["state"] == "succeeded"
    np.testing.assert_array_equal(content(output), data)
    # No block is done twice; only what was in hand at the kill is begun again.
    repeated = {block: n for block, n in Counter(run.begun()).items() if n > 1}
    assert max(Counter(run.done()).values()) == 1
    assert sum(repeated.values()) - len(repeated) <= 2 * WORKERS
    assert not list(output.rglob("*tmp*")), "left-overs"


def test_a_torn_chunk_does_not_break_the_retry(bp: Bp, source: tuple[Path, np.ndarray]) -> None:
    path, data = source
    process = start(bp, path, "shell", "local")
    wait_for_blocks(bp, process, 100)
    kill_group(process)
    run = bp.runs[-1]
    output = bp.home / "out.zarr"
    missing = sorted(set(range(1000)) - set(run.done()))
    assert missing, "the run was too quick to be killed"
    for block in missing[:5]:
        z, y, x = np.unravel_index(block, (10, 10, 10))
        chunk = output / f"c/{z}/{y}/{x}"
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_bytes(b"torn")
        chunk.with_name(f".{x}.tmp").write_bytes(b"torn, too")
    bp.ok("resume", run.id)
    np.testing.assert_array_equal(content(output), data)


def test_a_done_block_whose_chunk_is_gone_is_done_again(
    bp: Bp, source: tuple[Path, np.ndarray]
) -> None:
    path, data = source
    process = start(bp, path, "shell", "local")
    wait_for_blocks(bp, process, 100)
    kill_group(process)
    run = bp.runs[-1]
    output = bp.home / "out.zarr"
    lost = run.done()[0]
    z, y, x = np.unravel_index(lost, (10, 10, 10))
    (output / f"c/{z}/{y}/{x}").unlink()
    bp.ok("resume", run.id)
    np.testing.assert_array_equal(content(output), data)
