"""Local maxima against scikit-image and the reference."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from skimage.feature import peak_local_max
from skimage.filters import gaussian

find = bp.morphology.find_local_maxima
SHAPES = [(90,), (31, 43), (17, 19, 23), (9, 8, 10, 11)]


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


def blobs(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.asarray(gaussian(noise(shape, "float64", seed), 1.5), "float32")


def blocks(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"block_shape": tuple(extent // 3 + 1 for extent in shape), "num_workers": 2}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "call",
    [
        {},
        {"min_distance": 2},
        {"min_distance": 3, "threshold_abs": 40},
        {"threshold_rel": 0.9},
        {"threshold_abs": -3, "threshold_rel": 0.2},
        {"threshold_abs": float("-inf")},
        {"threshold_abs": float("nan")},
        {"min_distance": 0, "threshold_rel": 0.8},
    ],
)
@pytest.mark.filterwarnings("ignore:When min_distance < 1")
def test_maxima_are_those_of_scikit_image(shape: tuple[int, ...], call: dict[str, Any]) -> None:
    for image in (noise(shape), noise(shape, "int16") - 50, blobs(shape)):
        expected = peak_local_max(image, **call)
        for given in ({}, blocks(shape)):
            found = find(image, **call, **given)
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("distance", [1, 2, 5])
def test_level_tops_do_not_depend_on_blocks(distance: int) -> None:
    image = np.minimum(blobs((60, 70)), 50)
    expected = peak_local_max(image, min_distance=distance)
    assert np.array_equal(find(image, min_distance=distance, **blocks(image.shape)), expected)
    assert find(np.full((20, 20), 3), threshold_abs=1, block_shape=(7, 7)).shape == (0, 2)


def test_maxima_are_those_of_the_reference() -> None:
    image = blobs((40, 50))
    theirs = bioimage_py.morphology.find_local_maxima
    call: dict[str, Any] = {"min_distance": 2, "threshold_abs": 45}
    assert np.array_equal(find(image, **call), theirs(image, **call))
    call |= blocks(image.shape)
    subsets: list[dict[str, Any]] = [{}, {"block_ids": [1, 4]}]
    for given in subsets:
        found, expected = find(image, **call, **given), theirs(image, **call, **given)
        assert len(found)
        assert sorted(found.tolist()) == sorted(expected.tolist())


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    image = blobs((40, 50))
    stored = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(16, 16))
    found = find(stored, threshold_rel=0.9, job_type="subprocess", num_workers=2)
    assert np.array_equal(found, peak_local_max(image, threshold_rel=0.9))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="Direct computation does not support"):
        find(noise((9, 9)), block_ids=[0])
    with pytest.raises(ValueError, match="block_shape is required"):
        find(noise((9, 9)), num_workers=2)
    with pytest.raises(ValueError, match="min_distance must not be negative"):
        find(noise((9, 9)), min_distance=-1)
    with pytest.raises(ValueError, match="resume_from is only valid for distributed"):
        find(noise((9, 9)), resume_from="somewhere")
