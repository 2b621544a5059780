"""What goes wrong around a run: each a clear error, nothing half-written, and a way to go on."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from shell import Bp, content, kill_group, make_zarr, noise


def test_two_runs_on_one_output(bp: Bp) -> None:
    make_zarr(bp.home / "in.zarr", noise((160, 160, 160)), (32, 32, 32))
    options = ("--block-shape", "16,16,16", "--chunks", "16,16,16", "--workers", "1")
    first = bp.start("copy", "in.zarr", "out.zarr", *options)
    while not bp.runs or not bp.runs[-1].done():
        time.sleep(0.005)
    second = bp("copy", "in.zarr", "out.zarr", "--overwrite", *options)
    assert first.wait(60) == 0, "the second run disturbed the first"
    assert second.returncode == 2
    assert bp.runs[0].id in second.stderr
    assert "bp cancel" in second.stderr
    np.testing.assert_array_equal(content(bp.home / "out.zarr"), content(bp.home / "in.zarr"))
    assert len(bp.runs) == 1
    bp.ok("copy", "in.zarr", "out.zarr", "--overwrite", *options)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("backend", ["local", "subprocess"])
def test_a_full_disk(bp: Bp, small_disk: Path, backend: str) -> None:
    data = noise((192, 192, 192))
    make_zarr(bp.home / "in.zarr", data, (32, 32, 32))
    output = small_disk / "out.zarr"
    options = ("--chunks", "24,24,24", "--block-shape", "24,24,24", "--backend", backend)
    failed = bp("copy", "in.zarr", output, *options)
    assert failed.returncode == 1
    assert "space" in failed.stderr.lower()
    (run,) = bp.runs
    assert run.outcome is not None
    assert run.outcome["state"] == "failed"
    written = content(output)
    for block in run.done():
        np.testing.assert_array_equal(written[run.block(block)], data[run.block(block)])
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    bp.ok("resume", run.id)
    np.testing.assert_array_equal(content(output), data)


def test_a_read_error_passes_when_its_cause_is_gone(bp: Bp) -> None:
    data = noise((64, 64, 64))
    make_zarr(bp.home / "in.zarr", data, (32, 32, 32))
    # The chunk lies elsewhere, and a loop of links stands where it should be.
    chunk, aside = bp.home / "in.zarr/c/1/0/1", bp.home / "aside"
    chunk.rename(aside)
    loop = bp.home / "loop"
    loop.symlink_to(loop)
    chunk.symlink_to(loop)
    options = ("--block-shape", "32,32,32", "--chunks", "32,32,16", "--retries", "1")
    failed = bp("copy", "in.zarr", "out.zarr", *options)
    assert failed.returncode == 1
    (run,) = bp.runs
    assert run.outcome is not None
    assert run.outcome["failed_blocks"] == [5]
    assert run.outcome["error"]["kind"] == "read-failed"  # type: ignore[index]
    assert run.begun().count(5) == 2, "a passing failure is tried again"
    loop.unlink()
    aside.rename(loop)
    bp.ok("resume", run.id)
    np.testing.assert_array_equal(content(bp.home / "out.zarr"), data)
    assert sorted(run.done()) == list(range(8))


def killed_run(bp: Bp) -> None:
    """A run that was killed half-way."""
    make_zarr(bp.home / "in.zarr", noise((160, 160, 160)), (32, 32, 32))
    options = ("--block-shape", "16,16,16", "--chunks", "16,16,16", "--workers", "1")
    process = bp.start("copy", "in.zarr", "out.zarr", *options)
    while not bp.runs or len(bp.runs[-1].done()) < 20:
        time.sleep(0.005)
    kill_group(process)


def test_an_input_that_changed(bp: Bp) -> None:
    killed_run(bp)
    (run,) = bp.runs
    shutil.rmtree(bp.home / "in.zarr")
    make_zarr(bp.home / "in.zarr", noise((160, 160, 160), seed=1), (32, 32, 32))
    refused = bp("resume", run.id)
    assert refused.returncode == 2
    assert "changed" in refused.stderr
    assert "--force" in refused.stderr
    bp.ok("resume", run.id, "--force")
    attempt = json.loads((run.path / "attempts/2.json").read_text())
    assert attempt["forced"] == ["run-changed"]


def test_a_run_of_a_newer_format(bp: Bp) -> None:
    killed_run(bp)
    (run,) = bp.runs
    request = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(request | {"format": 2}))
    for verb in ("resume", "status", "watch"):
        refused = bp(verb, run.id)
        assert refused.returncode == 2
        assert "format 2" in refused.stderr


def test_cancel_from_another_process(bp: Bp) -> None:
    make_zarr(bp.home / "in.zarr", noise((192, 192, 192)), (32, 32, 32))
    options = ("--block-shape", "16,16,16", "--chunks", "16,16,16", "--workers", "1")
    process = bp.start("copy", "in.zarr", "out.zarr", *options)
    while not bp.runs or not bp.runs[-1].done():
        time.sleep(0.005)
    run = bp.runs[-1]
    asked = time.monotonic()
    bp.ok("cancel", run.id)
    assert process.wait(10) == 130
    assert time.monotonic() - asked < 2
    assert run.outcome is not None
    assert run.outcome["state"] == "cancelled"
    bp.ok("resume", run.id)
    np.testing.assert_array_equal(content(bp.home / "out.zarr"), content(bp.home / "in.zarr"))


def test_a_corrupted_page(bp: Bp) -> None:
    data = noise((12, 64, 64))
    path = bp.home / "in.tif"
    tifffile.imwrite(path, data, compression="zlib", photometric="minisblack", rowsperstrip=64)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[7].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 40)
    failed = bp("copy", "in.tif", "out.zarr", "--chunks", "4,64,64", "--block-shape", "4,64,64")
    assert failed.returncode == 1
    (run,) = bp.runs
    assert run.outcome is not None
    assert run.outcome["error"]["kind"] == "corrupt-data"  # type: ignore[index]
    assert run.outcome["failed_blocks"] == [1]
    message = run.outcome["error"]["message"]  # type: ignore[index]
    assert "in.tif" in message
    assert "7" in message


def test_an_unknown_codec(bp: Bp) -> None:
    make_zarr(bp.home / "in.zarr", noise((16, 16)), (8, 8))
    metadata = bp.home / "in.zarr/zarr.json"
    document = json.loads(metadata.read_text())
    document["codecs"].append({"name": "squeeze-o-matic", "configuration": {}})
    metadata.write_text(json.dumps(document))
    refused = bp("copy", "in.zarr", "out.zarr")
    assert refused.returncode == 2
    assert "squeeze-o-matic" in refused.stderr
    assert not (bp.home / "out.zarr").exists()


def test_paths_that_are_wrong(bp: Bp) -> None:
    make_zarr(bp.home / "stack.zarr", noise((16, 16)), (8, 8))
    refused = bp("copy", "stakc.zarr", "out.zarr")
    assert refused.returncode == 2
    assert "stack.zarr" in refused.stderr
    (bp.home / "notes.txt").write_text("no image")
    for source, target in [("notes.txt", "out.zarr"), ("stack.zarr", "out.tif")]:
        assert bp("copy", source, target).returncode == 2
    assert not (bp.home / "out.zarr").exists()
    assert bp.runs == []


def test_no_permission(bp: Bp) -> None:
    if os.geteuid() == 0:
        # Root may do anything; a file where a folder should be refuses even root.
        (bp.home / "wall").write_text("")
        refused = bp("copy", "in.zarr", "wall/out.zarr")
    else:
        locked = bp.home / "locked"
        locked.mkdir(mode=0o500)
        refused = bp("copy", "in.zarr", "locked/out.zarr")
    assert refused.returncode == 2
    assert refused.stderr.strip()


@pytest.mark.parametrize("backend", ["local", "subprocess"])
def test_interrupt(bp: Bp, backend: str) -> None:
    make_zarr(bp.home / "in.zarr", noise((192, 192, 192)), (32, 32, 32))
    options = ("--block-shape", "16,16,16", "--chunks", "16,16,16", "--backend", backend)
    process = subprocess.Popen(
        ["bp", "copy", "in.zarr", "out.zarr", *options],
        env=bp.environment,
        cwd=bp.home,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not bp.runs or not bp.runs[-1].done():
        time.sleep(0.005)
    process.send_signal(2)
    asked = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - asked < 2
    assert process.returncode == 130
    assert f"bp resume {bp.runs[-1].id}" in said
    bp.ok("resume", bp.runs[-1].id)
    np.testing.assert_array_equal(content(bp.home / "out.zarr"), content(bp.home / "in.zarr"))
