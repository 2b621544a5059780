"""No copy takes more memory than its plan said."""

import json
import math
from pathlib import Path

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
