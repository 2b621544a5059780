"""Points and their nearest objects against the reference and scipy."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from scipy.ndimage import distance_transform_edt

nearest = bp.morphology.map_points_to_objects
theirs = bioimage_py.morphology.map_points_to_objects


def scene(
    shape: tuple[int, ...], dtype: str = "uint32", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Few labels, and points all over and some outside."""
    rng = np.random.default_rng(seed)
    image = np.where(rng.random(shape) < 0.01, rng.integers(1, 100, shape), 0).astype(dtype)
    return image, rng.integers(-2, max(shape) + 3, (200, len(shape)))


def same(found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(43, 37), (19, 17, 23)])
@pytest.mark.parametrize("sampling", [None, 0.5, (2, 1, 3)])
@pytest.mark.parametrize("halo", [None, 2, (5, 3, 9)])
def test_objects_are_those_of_the_reference(
    shape: tuple[int, ...], sampling: Any, halo: Any
) -> None:
    image, points = scene(shape)
    call: dict[str, Any] = {
        "halo": [halo] * len(shape) if isinstance(halo, int) else halo and halo[: len(shape)],
        "sampling": sampling[: len(shape)] if isinstance(sampling, tuple) else sampling,
    }
    for block in (shape, (9, 8, 10)[: len(shape)]):
        expected = theirs(image, points, block, **call)
        same(nearest(image, points, block, num_workers=2, **call), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_every_integer_type(dtype: str) -> None:
    image, points = scene((40, 30), dtype)
    image[3, 4] = np.iinfo(dtype).max
    image[5, 9] = np.iinfo(dtype).min
    same(
        nearest(image, points, (16, 16), halo=[4, 4]), theirs(image, points, (16, 16), halo=[4, 4])
    )


@pytest.mark.parametrize("sampling", [None, 2.0, (1, 1, 0.5)])
def test_few_points_in_large_blocks(sampling: Any) -> None:
    for seed in range(5):
        image, points = scene((31, 37, 33), seed=seed)
        call: dict[str, Any] = {"sampling": sampling, "halo": [4, 4, 4]}
        found, expected = (
            one(image, points[:12], (20, 20, 20), **call) for one in (nearest, theirs)
        )
        assert np.array_equal(found[0], expected[0])
        assert np.allclose(found[1], expected[1], rtol=1e-6)


def test_distances_up_to_the_halo_are_those_of_the_whole_image() -> None:
    image, points = scene((60, 50))
    points = points[((points >= 0) & (points < image.shape)).all(axis=1)]
    expected = distance_transform_edt(image == 0)[tuple(points.T)]
    _, found = nearest(image, points, (16, 16), halo=[8, 8])
    assert (expected <= 8).any()
    assert np.allclose(found[expected <= 8], expected[expected <= 8])


def test_fractions_blocks_and_nothing_at_all() -> None:
    image, points = scene((40, 30))
    broken = np.where(points == 7, np.nan, points + 0.75)
    same(nearest(image, broken, (16, 16)), theirs(image, broken, (16, 16)))
    some: dict[str, Any] = {"block_ids": [0, 3], "halo": [3, 3]}
    same(nearest(image, points, (16, 16), **some), theirs(image, points, (16, 16), **some))
    for empty in (points[:0], points[:3] - 100):
        same(nearest(image, empty, (16, 16)), theirs(image, empty, (16, 16)))
    same(nearest(image * 0, points, (16, 16)), theirs(image * 0, points, (16, 16)))


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    image, points = scene((40, 30))
    stored = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(8, 8))
    how: dict[str, Any] = {"job_type": "subprocess", "num_workers": 2}
    expected = theirs(image, points, (16, 16), halo=[3, 3])
    same(nearest(stored, points, (16, 16), halo=[3, 3], **how), expected)


def test_refusals() -> None:
    image, points = scene((9, 9))
    for call in (nearest, theirs):
        message = r"points must be an \(n_points, 2\) array, got shape \(200, 1\)."
        with pytest.raises(ValueError, match=message):
            call(image, points[:, :1], (4, 4))
        with pytest.raises(ValueError, match="resume_from is only valid for distributed"):
            call(image, points, (4, 4), resume_from="x")
        with pytest.raises(ValueError, match=r"Halo \[1\] does not match ndim 2"):
            call(image, points, (4, 4), halo=[1])
    with pytest.raises(TypeError, match="expects labels"):
        nearest(image * 0.5, points, (4, 4))
