"""Tables of objects against scikit-image and the reference."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from pandas.testing import assert_frame_equal
from skimage.measure import regionprops_table

SHAPES = [(40,), (23, 31), (11, 13, 17), (4, 5, 6, 7)]


def labels(shape: tuple[int, ...], dtype: str = "uint32", seed: int = 0) -> np.ndarray:
    """Runs of labels with gaps between the numbers."""
    drawn = np.random.default_rng(seed).integers(0, 9, shape)
    return np.asarray(np.where(drawn > 5, 0, drawn * 11), dtype=dtype)


def blocks(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"block_shape": tuple((extent + 1) // 2 for extent in shape), "num_workers": 2}


@pytest.mark.parametrize("shape", SHAPES)
def test_tables_are_those_of_the_reference(shape: tuple[int, ...]) -> None:
    image = labels(shape)
    expected = bioimage_py.morphology.morphology(image)
    assert_frame_equal(bp.morphology.morphology(image), expected)
    assert_frame_equal(bp.morphology.morphology(image, **blocks(shape)), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint64", "int64"])
def test_every_integer_type(dtype: str) -> None:
    image = labels((23, 31), dtype)
    found = bp.morphology.morphology(image[:, ::-1], **blocks(image.shape))
    assert_frame_equal(found, bioimage_py.morphology.morphology(image[:, ::-1]))


@pytest.mark.parametrize("shape", [(23, 31), (11, 13, 17)])
def test_tables_are_those_of_scikit_image(shape: tuple[int, ...]) -> None:
    image = labels(shape)
    found = bp.morphology.morphology(image, **blocks(shape))
    expected = regionprops_table(image, properties=["label", "area", "centroid", "bbox"])
    assert np.array_equal(found["label"], expected["label"])
    assert np.array_equal(found["size"], expected["area"])
    for number, axis in enumerate("zyx"[-len(shape) :]):
        assert np.allclose(found[f"com_{axis}"], expected[f"centroid-{number}"])
        assert np.array_equal(found[f"bb_min_{axis}"], expected[f"bbox-{number}"])
        stop = expected[f"bbox-{number + len(shape)}"]
        assert np.array_equal(found[f"bb_max_{axis}"], stop)


def test_labels_beyond_doubles_are_kept_apart() -> None:
    image = labels((23, 31), "uint64")
    names = np.array([0, 2**53, 2**53 + 1, 2**64 - 1, 2**64 - 2, 7], "uint64")
    found = bp.morphology.morphology(names[image // 11], **blocks(image.shape))
    small = bp.morphology.morphology(image)
    by_name = small.set_index(names[small["label"] // 11]).sort_index()
    assert found["label"].tolist() == sorted(names[1:].tolist())
    for column in found.columns[1:]:
        assert np.array_equal(found[column], by_name[column])


def test_negative_labels_keep_their_sign() -> None:
    image = np.array([[-3, -3, 0], [2**62 + 1, 0, -3]])
    found = bp.morphology.morphology(image)
    assert (found["label"].dtype, found["label"].tolist()) == ("int64", [-3, 2**62 + 1])
    assert found["size"].tolist() == [3, 1]


def test_masks_and_blocks_are_those_of_the_reference() -> None:
    image, mask = labels((23, 31)), labels((23, 31), seed=4) > 11
    nowhere = np.zeros_like(mask)
    for given in ({"mask": mask}, {"block_ids": [0, 3]}, {"mask": nowhere}):
        call: dict[str, Any] = {**blocks(image.shape), **given}
        found = bp.morphology.morphology(image, **call)
        assert_frame_equal(found, bioimage_py.morphology.morphology(image, **call))


def test_worker_processes_measure_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    image = labels((23, 31), "uint64")
    stored = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(8, 8))
    folders: list[str] = []
    found = bp.morphology.morphology(
        stored, job_type="subprocess", num_workers=2, pre_cleanup=folders.append
    )
    assert_frame_equal(found, bioimage_py.morphology.morphology(image))
    assert [Path(folder).is_dir() for folder in folders] == [True]


def test_refusals() -> None:
    for dtype in ("float32", "bool"):
        image = np.ones((4, 4), dtype)
        message = f"morphology expects an integer label image, got dtype {dtype}."
        for call in (bp.morphology.morphology, bioimage_py.morphology.morphology):
            with pytest.raises(ValueError, match=message):
                call(image)
    with pytest.raises(ValueError, match="Direct computation does not support"):
        bp.morphology.morphology(np.ones((4, 4), int), block_ids=[0])
