"""Connected components against scipy and the reference."""

import json
from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from killed import killed_and_resumed
from scipy import ndimage


def same_components(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two labellings differ in names alone, and the first has no gaps."""
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    one_to_one = len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    background = np.array_equal(found == 0, expected == 0)
    foreground = np.unique(found[found > 0])
    compact = np.array_equal(foreground, np.arange(1, len(foreground) + 1))
    return bool(one_to_one and background and compact)


def blobs(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Smoothed noise."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(ndimage.gaussian_filter(noise, 1.0), dtype="float32")


@pytest.mark.parametrize("shape", [(60, 70), (20, 30, 25)])
@pytest.mark.parametrize("workers", [1, 2])
def test_components_are_those_of_the_whole_image(shape: tuple[int, ...], workers: int) -> None:
    image = blobs(1, shape)
    for connectivity in range(1, len(shape) + 1):
        structure = ndimage.generate_binary_structure(len(shape), connectivity)
        expected, _ = ndimage.label(image > 0.1, structure)
        for block in [None, (7,) * len(shape), shape]:
            found = bp.segmentation.label(
                image,
                threshold=0.1,
                connectivity=connectivity,
                block_shape=block,
                num_workers=workers if block else 1,
            )
            assert same_components(np.asarray(found), expected)


def test_numbers_do_not_depend_on_who_works() -> None:
    image = blobs(2, (40, 50)) > 0
    one = bp.segmentation.label(image, block_shape=(8, 8))
    for workers in (2, 5):
        found = bp.segmentation.label(image, block_shape=(8, 8), num_workers=workers)
        assert np.array_equal(found, one)


def test_the_reference_finds_the_same() -> None:
    image, mask = blobs(3, (24, 24, 24)), blobs(4, (24, 24, 24)) > -0.1
    given: dict[str, Any] = {"threshold": 0.05, "block_shape": (10, 12, 24), "mask": mask}
    found, expected = (
        bp.segmentation.label(image, **given),
        bioimage_py.segmentation.label(image, **given),
    )
    assert same_components(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float64", "bool"])
def test_every_data_type(dtype: str) -> None:
    image = (blobs(5, (30, 30)) > 0.1).astype(dtype)
    found = bp.segmentation.label(image[::-1, ::2], block_shape=(9, 9), num_workers=2)
    assert same_components(np.asarray(found), ndimage.label(image[::-1, ::2])[0])


def test_labels_of_a_segmentation_and_slices_by_themselves() -> None:
    image = np.array([[[1, 1, 2], [0, 3, 2]], [[1, 4, 4], [1, 0, 4]]])
    found = np.asarray(bp.segmentation.label(image, multi_label=True, block_shape=(1, 1, 2)))
    assert np.array_equal(found > 0, image > 0)
    assert len(np.unique(found)) - 1 == 4
    sliced = np.asarray(bp.segmentation.label(image, per_slice=True, block_shape=(2, 1, 1)))
    assert len(np.unique(sliced)) - 1 == 2


def test_what_cannot_be_labelled() -> None:
    image = np.ones((4, 4))
    with pytest.raises(ValueError, match=r"connectivity must be in \[1, 2\], got 0\."):
        bp.segmentation.label(image, connectivity=0)
    with pytest.raises(ValueError, match=r"output must have dtype uint64, got uint32\."):
        bp.segmentation.label(image, np.zeros((4, 4), "uint32"))
    with pytest.raises(ValueError, match="'output' is required for distributed execution"):
        bp.segmentation.label(image, job_type="subprocess")
    with pytest.raises(ValueError, match="no block_ids"):
        bp.segmentation.label(image, block_ids=[0], block_shape=(2, 2))


SCRIPT = """
import sys
import bioimage_rs as bp
import zarr

image, out = zarr.open_array("image.zarr"), zarr.open_array("out.zarr", mode="r+")
bp.segmentation.label(image, out, job_type=sys.argv[1], num_workers=2, block_shape=(16, 16, 16))
"""


@pytest.mark.parametrize("backend", ["local", "subprocess"])
@pytest.mark.parametrize("blocks", [40, 300])
def test_a_killed_labelling_is_finished_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, blocks: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    image = blobs(6, (96, 96, 96)) > 0.05
    zarr.create_array(tmp_path / "image.zarr", data=image.astype("uint8"), chunks=(16, 16, 16))
    zarr.create_array(tmp_path / "out.zarr", shape=image.shape, chunks=(16,) * 3, dtype="uint64")
    run = killed_and_resumed(SCRIPT, backend, home=tmp_path, blocks=blocks)
    found = zarr.open_array(tmp_path / "out.zarr")[...]
    expected, _ = ndimage.label(image)
    assert same_components(np.asarray(found), expected)
    assert json.loads((run.folder / "plan.json").read_text())["stages"][1]["name"]
