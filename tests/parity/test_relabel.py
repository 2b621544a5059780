"""New labels for old ones, as the reference gives them."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from killed import killed_and_resumed

TYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int32", "int64"]
BLOCKS: dict[str, Any] = {"block_shape": (4, 5), "num_workers": 2}


def labels(seed: int, dtype: str = "uint32", most: int = 100) -> np.ndarray:
    """Some labels with gaps, in runs as in a segmentation."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, most, (12, 8)), 3, axis=1).astype(dtype)


@pytest.mark.parametrize("how", [{}, BLOCKS])
@pytest.mark.parametrize("dtype", ["uint32", "uint64", "int32", "int64"])
def test_the_reference_gives_the_same(dtype: str, how: dict[str, Any]) -> None:
    image = labels(1, dtype)
    table = {int(label): int(label) * 2 + 1 for label in np.unique(image)}
    mine: Any = bp.segmentation
    theirs: Any = bioimage_py.segmentation
    assert np.array_equal(mine.relabel(image, table, **how), theirs.relabel(image, table, **how))
    dense = np.arange(100)[::-1].copy()
    assert np.array_equal(mine.relabel(image, dense, **how), theirs.relabel(image, dense, **how))
    for options in ({}, {"start_label": 5}, {"keep_zeros": False}):
        found = mine.relabel_consecutive(image, **options, **how)
        expected = theirs.relabel_consecutive(image, **options, **how)
        assert np.array_equal(found[0], expected[0])
        assert found[1:] == expected[1:]
    sizes: dict[str, Any]
    for sizes in (
        {"min_size": 4},
        {"max_size": 6},
        {"min_size": 4, "max_size": 6, "relabel": False},
    ):
        found = mine.size_filter(image, **sizes, **how)
        assert np.array_equal(found, theirs.size_filter(image, **sizes, **how))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), dtype=st.sampled_from(TYPES), rows=st.integers(1, 13))
def test_blocks_of_any_shape_and_all_types(seed: int, dtype: str, rows: int) -> None:
    image = labels(seed, dtype)
    found, most, mapping = bp.segmentation.relabel_consecutive(
        image, block_shape=(rows, 7), num_workers=2
    )
    old = np.unique(image)
    assert list(mapping) == old.tolist()
    assert most == max(mapping.values())
    assert np.array_equal(found, np.vectorize(mapping.get)(image))


def test_a_mask_limits_what_is_counted_and_changed() -> None:
    image, mask = labels(2), np.zeros((12, 24), bool)
    mask[3:9, 4:20] = True
    options: dict[str, Any]
    for name, options in (
        ("relabel_consecutive", {}),
        ("size_filter", {"min_size": 4}),
        ("relabel", {"labeling": {int(one): 7 for one in np.unique(image[mask])}}),
    ):
        given: dict[str, Any] = {**options, **BLOCKS, "mask": mask}
        out, expected = np.full_like(image, 99), np.full_like(image, 99)
        getattr(bp.segmentation, name)(image, output=out, **given)
        getattr(bioimage_py.segmentation, name)(image, output=expected, **given)
        assert np.array_equal(out, expected), name


@pytest.mark.parametrize("job_type", ["local", "subprocess"])
def test_arrays_in_files_change_in_place(tmp_path: Path, job_type: str) -> None:
    image = labels(3)
    array: Any = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(4, 5))
    how: dict[str, Any] = {"num_workers": 2, "job_type": job_type}
    result, most, _ = bp.segmentation.relabel_consecutive(array, start_label=1, **how)
    assert result is array
    names = np.unique(image, return_inverse=True)[1].reshape(image.shape) + 1
    assert np.array_equal(array[...], np.where(image == 0, 0, names))
    assert most == array[...].max()
    memory = image.copy()
    bp.segmentation.relabel(image, np.arange(100) + 1)
    assert np.array_equal(image, memory)


SCRIPT = """
import sys
import bioimage_rs as bp
import zarr

image, out = zarr.open_array("in.zarr"), zarr.open_array("out.zarr", mode="r+")
how = {"job_type": sys.argv[2], "num_workers": 2, "block_shape": (8, 8)}
if sys.argv[1] == "consecutive":
    bp.segmentation.relabel_consecutive(image, out, **how)
else:
    bp.segmentation.size_filter(image, out, min_size=900, **how)
"""


@pytest.mark.parametrize("what", ["consecutive", "sizes"])
@pytest.mark.parametrize("backend", ["local", "subprocess"])
def test_a_killed_relabelling_is_finished_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, backend: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    image = np.random.default_rng(7).integers(0, 60, (240, 240)).astype("uint32") * 3
    zarr.create_array(tmp_path / "in.zarr", data=image, chunks=(8, 8))
    zarr.create_array(tmp_path / "out.zarr", shape=image.shape, chunks=(8, 8), dtype="uint32")
    killed_and_resumed(SCRIPT, what, backend, home=tmp_path, blocks=1000)
    if what == "consecutive":
        expected = bp.segmentation.relabel_consecutive(image)[0]
    else:
        expected = bp.segmentation.size_filter(image, min_size=900)
    found: Any = zarr.open_array(tmp_path / "out.zarr")
    assert np.array_equal(found[...], expected)


def test_functions_of_blocks() -> None:
    image, mask = labels(4), labels(5) > 30
    how: dict[str, Any]
    for how in ({}, BLOCKS, {**BLOCKS, "mask": mask}):
        mine, theirs = (
            module.segmentation.segmentation_filter(
                image, lambda block, inside: block * (block > 20), relabel=lambda b, m: b + 1, **how
            )
            for module in (bp, bioimage_py)
        )
        assert np.array_equal(mine, theirs)


def test_what_is_refused() -> None:
    image = labels(6)
    segmentation: Any = bp.segmentation
    with pytest.raises(IndexError, match="relabeling is missing key"):
        segmentation.relabel(image, {1: 2})
    with pytest.raises(bp.RunnerError, match="missing key"):
        segmentation.relabel(image, {1: 2}, **BLOCKS)
    with pytest.raises(ValueError, match=r"Dense labeling must be a 1D array; got shape \(2, 8\)"):
        segmentation.relabel(image, np.zeros((2, 8), int))
    with pytest.raises(ValueError, match=r"labeling must be integer-typed, got dtype float64"):
        segmentation.relabel(image, np.zeros(100))
    arguments: list[Any]
    for name, arguments in (("relabel", [{}]), ("relabel_consecutive", [])):
        with pytest.raises(ValueError, match=f"{name} expects an integer label image, got dtype"):
            getattr(segmentation, name)(image.astype("float32"), *arguments)
    with pytest.raises(ValueError, match="at least one of 'min_size' or 'max_size'"):
        segmentation.size_filter(image)
    with pytest.raises(ValueError, match="size_filter expects an integer label image"):
        segmentation.size_filter(image.astype("float32"), min_size=1)
    with pytest.raises(ValueError, match="Block-wise segmentation_filter needs 'output' to differ"):
        segmentation.size_filter(image, image, min_size=1, **BLOCKS)
    many = np.arange(256, dtype="uint8")
    with pytest.raises(Exception, match="does not fit into uint8"):
        segmentation.relabel_consecutive(many, start_label=10, block_shape=(100,))
