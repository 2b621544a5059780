"""The distance transform against scipy and the reference."""

from pathlib import Path
from typing import Any

import bioimage_cpp
import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from scipy import ndimage


def image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Blobs in which every voxel is near a zero."""
    return np.asarray(np.random.default_rng(seed).random(shape) < 0.9)


@pytest.mark.parametrize("shape", [(40, 50), (20, 24, 28)])
@pytest.mark.parametrize("sampling", [None, 2.0, [0.5, 1.0, 3.0]])
def test_the_whole_image(shape: tuple[int, ...], sampling: float | list[float] | None) -> None:
    if isinstance(sampling, list):
        sampling = sampling[: len(shape)]
    voxels = image(shape)
    found, at = bp.morphology.distance_transform(
        voxels, [4] * len(shape), sampling=sampling, return_indices=True
    )
    expected = ndimage.distance_transform_edt(voxels, sampling=sampling)
    assert np.allclose(found, expected, rtol=1e-6)
    theirs = bioimage_cpp.distance.distance_transform(
        voxels, sampling=sampling, return_distances=False, return_indices=True
    )
    assert np.array_equal(at, theirs)


def test_without_blocks_no_distance_is_too_long() -> None:
    voxels = np.ones((64, 64, 64), bool)
    voxels[0, 0, 0] = False
    expected = ndimage.distance_transform_edt(voxels)
    assert np.allclose(bp.morphology.distance_transform(voxels, [0, 0, 0]), expected, rtol=1e-6)
    chunked = zarr.create_array({}, data=voxels, chunks=(16, 16, 16))
    assert np.allclose(bp.morphology.distance_transform(chunked, [4, 4, 4]), expected, rtol=1e-6)


@pytest.mark.parametrize("job_type", ["local", "subprocess"])
def test_blocks_with_a_large_halo_are_the_whole(tmp_path: Path, job_type: str) -> None:
    voxels = image((40, 48), 3)
    whole, indices = bp.morphology.distance_transform(voxels, [1, 1], return_indices=True)
    far: Any = zarr.create_array(
        tmp_path / "d.zarr", shape=voxels.shape, dtype="float32", chunks=(8, 8)
    )
    near: Any = zarr.create_array(
        tmp_path / "i.zarr", shape=(2, *voxels.shape), dtype="int32", chunks=(2, 8, 8)
    )
    source = zarr.create_array(tmp_path / "in.zarr", data=voxels.astype("uint8"), chunks=(8, 8))
    bp.morphology.distance_transform(
        source,
        [12, 12],
        return_indices=True,
        distances=far,
        indices=near,
        block_shape=(8, 16),
        job_type=job_type,
        num_workers=2,
    )
    assert np.array_equal(far[...], whole)
    theirs = np.zeros((2, *voxels.shape), "int32")
    bioimage_py.morphology.distance_transform(
        voxels,
        [12, 12],
        return_distances=False,
        return_indices=True,
        indices=theirs,
        block_shape=(8, 16),
        num_workers=2,
    )
    assert np.array_equal(near[...], theirs)
    assert indices.shape == theirs.shape


def test_where_there_is_no_zero_conventions_are_those_of_scipy() -> None:
    ones = np.ones((3, 4), "uint8")
    found = bp.morphology.distance_transform(ones, [1, 1])
    assert np.allclose(found, ndimage.distance_transform_edt(ones))


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="supports 2D or 3D data, got 1D"):
        bp.morphology.distance_transform(np.ones(4), [1])
    with pytest.raises(ValueError, match="At least one of"):
        bp.morphology.distance_transform(np.ones((4, 4)), [1, 1], return_distances=False)
    with pytest.raises(ValueError, match=r"Halo \[1\] does not match ndim 2"):
        bp.morphology.distance_transform(np.ones((4, 4)), [1])
    with pytest.raises(ValueError, match="'distances' is required for distributed execution"):
        bp.morphology.distance_transform(np.ones((4, 4)), [1, 1], job_type="subprocess")
    with pytest.raises(ValueError, match="sampling must be positive"):
        bp.morphology.distance_transform(np.ones((4, 4)), [1, 1], sampling=[1, -1])
