"""No copy takes more memory than its plan said, and no operation more than its budget."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mrcfile
import nibabel
import numpy as np
import pytest
import tifffile
import z5py
import zarr
from shell import Bp

SHAPE = (64, 1024, 1024)
PER_BLOCK_ALLOWANCE = 1.5
ALLOWANCE = 150e6


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same voxels as a compressed TIFF stack and as a Zarr array."""
    folder = tmp_path_factory.mktemp("stacks")
    voxels = np.random.default_rng(1).integers(0, 60, SHAPE, "uint8")
    tifffile.imwrite(
        folder / "stack.tif", voxels, photometric="minisblack", compression="zlib", rowsperstrip=64
    )
    zarr.create_array(folder / "stack.zarr", data=voxels, chunks=(64, 64, 64))
    z5py.File(str(folder / "stack.n5"), "w").create_dataset(
        "s0", data=voxels, chunks=(64, 64, 64), compression="zstd"
    )
    with mrcfile.new(folder / "stack.mrc") as file:
        file.set_data(voxels.astype("int8"))
    nibabel.save(nibabel.Nifti1Image(voxels.T, np.eye(4)), folder / "stack.nii.gz")
    return folder


@pytest.mark.parametrize("backend", ["local", "subprocess"])
@pytest.mark.parametrize(
    ("source", "options", "block_bytes"),
    [
        ("stack.tif", "--chunks 64,64,64 --block-shape 64,64,64", 64**3),
        ("stack.tif", "--chunks 64,64,64 --block-shape 64,256,256", 64 * 256**2),
        ("stack.zarr", "--chunks 64,64,64 --block-shape 64,64,64", 64**3),
        ("stack.n5", "--chunks 64,96,96 --block-shape 64,96,96", 64 * 96**2),
        ("stack.mrc", "--chunks 64,64,64 --block-shape 64,64,64", 64**3),
        # Decoded whole, once in each process.
        ("stack.nii.gz", "--chunks 64,64,64 --block-shape 64,64,64", math.prod(SHAPE)),
        ("stack.zarr", "--chunks 64,96,96 --block-shape 64,96,96", 64 * 96**2),
        (
            "stack.zarr",
            "--chunks 32,32,32 --shards 64,256,256 --block-shape 64,256,256",
            64 * 256**2,
        ),
        (
            "stack.zarr",
            "--chunks 64,64,64 --block-shape 64,256,256 --dtype f64",
            9 * 64 * 256**2,
        ),
    ],
)
def test_the_peak_stays_below_the_projection(
    stacks: Path, tmp_path: Path, backend: str, source: str, options: str, block_bytes: int
) -> None:
    bp, workers = Bp(tmp_path), 2
    where = ("--workers", workers, "--backend", backend)
    bp.ok("copy", stacks / source, "out.zarr", *options.split(), *where)
    memory = json.loads(bp.ok("status", "last", "--json"))["memory"]
    # A worker process tells of its own memory only.
    together = memory["peak"] * (workers if backend == "subprocess" else 1)
    assert 0 < together <= memory["projected"]
    assert memory["projected"] <= PER_BLOCK_ALLOWANCE * workers * block_bytes + ALLOWANCE


BUDGET = 64_000_000
# Voxels of 8 bytes in chunks of 2 MB: eight times the budget.
LARGE = (128, 512, 1024)
CHUNK = (64, 64, 64)
SMALL_BLOCKS = "--block-shape 32,32,32 --chunks 32,32,32"
LINES = {
    "compare": ["compare labels.zarr labels.zarr"],
    "black-tophat": ["black-tophat image.zarr OUT --radius 2"],
    "closing": ["closing image.zarr OUT --radius 2"],
    "copy": ["copy image.zarr OUT --chunks 32,64,64"],
    "difference-of-gaussians": [
        "difference-of-gaussians image.zarr OUT --sigma-low 1 --sigma-high 2"
    ],
    "dilation": ["dilation image.zarr OUT --radius 2"],
    "distance": ["distance labels.zarr OUT --halo 8"],
    "downsample": [
        f"downsample image.zarr OUT -f 2 --order 1 --anti-aliasing {SMALL_BLOCKS}",
        "downsample labels.zarr OUT -f 2 --method mode",
    ],
    "erosion": ["erosion image.zarr OUT --radius 2 --shape ball"],
    "gaussian": ["gaussian image.zarr OUT --sigma 2"],
    "gradient": ["gradient image.zarr OUT --sigma 2"],
    "hessian": ["hessian image.zarr OUT --sigma 1 --return-channel 0"],
    "histogram": ["histogram image.zarr"],
    "isin": ["isin labels.zarr OUT --values 3,4"],
    "label": ["label labels.zarr OUT --multi-label", "label image.zarr OUT --threshold 2e5"],
    "laplace": ["laplace image.zarr OUT --sigma 2"],
    "local-maxima": ["local-maxima image.zarr --min-distance 8"],
    "median": ["median image.zarr OUT --radius 1"],
    "morphology": ["morphology labels.zarr"],
    "opening": ["opening image.zarr OUT --radius 2"],
    "pyramid": [f"pyramid image.zarr OUT {SMALL_BLOCKS}"],
    "regionprops": ["regionprops labels.zarr"],
    "relabel-consecutive": ["relabel-consecutive labels.zarr OUT"],
    "size-filter": ["size-filter labels.zarr OUT --min-size 100"],
    "statistics": ["statistics image.zarr"],
    "structure": [
        f"structure image.zarr OUT --sigma 1 --outer-scale 1 --return-channel 0 {SMALL_BLOCKS}"
    ],
    "threshold": ["threshold image.zarr OUT --threshold 2e5"],
    "unique": ["unique labels.zarr"],
    "watershed": [
        "watershed image.zarr labels.zarr OUT --halo 4 --block-shape 32,64,64 --chunks 32,64,64"
    ],
    "white-tophat": ["white-tophat image.zarr OUT --radius 2"],
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image whose chunks are all the same, so that it is made at once, and cells in a grid."""
    folder = tmp_path_factory.mktemp("large")
    new: dict[str, Any] = {"shape": LARGE, "chunks": CHUNK}
    image = zarr.create_array(folder / "image.zarr", dtype="float64", **new)
    image[:64, :64, :64] = np.random.default_rng(1).permutation(math.prod(CHUNK)).reshape(CHUNK)
    labels = zarr.create_array(folder / "labels.zarr", dtype="uint64", **new)
    cells = np.arange(1, 65, dtype="uint64").reshape(4, 4, 4)
    for axis in range(3):
        cells = cells.repeat(16, axis)
    first = folder / "image.zarr/c/0/0/0"
    places = np.ndindex(*(n // chunk for n, chunk in zip(LARGE, CHUNK, strict=True)))
    for number, place in enumerate(places):
        region = tuple(slice(64 * at, 64 * at + 64) for at in place)
        labels[region] = cells + np.uint64(64 * number)
        chunk = folder / "image.zarr/c" / "/".join(map(str, place))
        chunk.parent.mkdir(parents=True, exist_ok=True)
        if chunk != first:
            os.link(first, chunk)
    return folder


def test_no_operation_is_left_out(tmp_path: Path) -> None:
    assert Bp(tmp_path).operations == set(LINES)


# The peak of a child, told by a parent that is small: what is forked begins with the parent's peak.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.parametrize("line", [line for lines in LINES.values() for line in lines])
def test_a_volume_of_eight_times_the_budget_takes_no_more_than_the_budget(
    large: Path, tmp_path: Path, line: str
) -> None:
    words = line.replace("OUT", str(tmp_path / "out.zarr")).split()
    if "--block-shape" not in words:
        words += ["--block-shape", "64,64,64"]
    how = ["--memory", str(BUDGET), "--workers", "1", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-S", "-c", PEAK, "bp", *words, *how],
        cwd=large,
        env=Bp(tmp_path).environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    shutil.rmtree(tmp_path)
    assert 0 < int(done.stdout.splitlines()[-1]) <= BUDGET
