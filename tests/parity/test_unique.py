"""Unique values against numpy and the reference."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
DTYPES += ["float32", "float64"]


def values(dtype: str, seed: int = 0) -> np.ndarray:
    """Few different values, with those at the ends of the type."""
    drawn = np.random.default_rng(seed).integers(-7, 9, (13, 17)) * 1.5
    array = np.abs(drawn).astype(dtype) if dtype[0] in "bu" else drawn.astype(dtype)
    if dtype[0] not in "bf":
        limits = np.iinfo(dtype)
        array[0, :3] = limits.max, limits.max - 1, limits.min
    return array


@pytest.mark.parametrize("dtype", [*DTYPES, ">u4"])
@pytest.mark.parametrize("blocks", [{}, {"block_shape": (5, 4), "num_workers": 2}])
def test_values_and_counts_are_those_of_numpy(dtype: str, blocks: dict[str, Any]) -> None:
    array = values(dtype.replace(">u", "uint").replace("uint4", "uint32")).astype(dtype)
    expected = np.unique(array, return_counts=True)
    found = bp.stats.unique(array, return_counts=True, **blocks)
    assert [part.dtype for part in found] == [part.dtype for part in expected]
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    alone = bp.stats.unique(array, **blocks)
    assert isinstance(alone, np.ndarray)
    assert np.array_equal(alone, expected[0])


def test_many_different_values() -> None:
    array = np.random.default_rng(1).integers(0, 2**63, (60, 70, 80)) * 2 + 1
    values, counts = bp.stats.unique(array, True, block_shape=(31, 70, 33), num_workers=2)
    expected = np.unique(array, return_counts=True)
    assert np.array_equal(values, expected[0])
    assert np.array_equal(counts, expected[1])


@pytest.mark.parametrize("dtype", ["uint16", "uint64", "float32"])
def test_masks_and_blocks_are_those_of_the_reference(dtype: str) -> None:
    array, mask = values(dtype, 2), values("bool", 3)
    how: dict[str, Any] = {"block_shape": (4, 6), "num_workers": 2, "return_counts": True}
    for given in ({"mask": mask}, {"block_ids": [0, 5, 3]}, {"mask": mask, "block_ids": [1]}):
        call: dict[str, Any] = {**how, **given}
        found = bp.stats.unique(array, **call)
        expected = bioimage_py.stats.unique(array, **call)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)


def test_nan_is_one_value_and_both_zeros_are_one() -> None:
    array = np.array([np.nan, 0.0, -0.0, np.inf, np.nan, -np.inf])
    values, counts = bp.stats.unique(array, True, block_shape=(1,))
    assert np.array_equal(values, [-np.inf, 0, np.inf, np.nan], equal_nan=True)
    assert counts.tolist() == [1, 2, 1, 2]


def test_nothing_counts() -> None:
    for array in (np.zeros((0, 3), "int16"), np.ones((4, 3), "int16")):
        given: dict[str, Any] = {}
        if array.size:
            given = {"mask": np.zeros((4, 3), bool), "block_shape": (2, 2)}
        values, counts = bp.stats.unique(array, return_counts=True, **given)
        assert (values.dtype, counts.dtype, len(values), len(counts)) == ("int16", "int64", 0, 0)


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    array = values("uint64")
    stored = zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(5, 5))
    found = bp.stats.unique(stored, return_counts=True, job_type="subprocess", num_workers=2)
    expected = np.unique(array, return_counts=True)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_refusals() -> None:
    array = np.ones((4, 4), "uint8")
    with pytest.raises(ValueError, match="Direct computation does not support"):
        bp.stats.unique(array, mask=array)
    with pytest.raises(ValueError, match="not both"):
        bp.stats.unique(array, block_ids=[0], resume_from="somewhere")
    with pytest.raises(bp.RunnerError, match=r"1 block\(s\) failed in 'unique': \[9\]"):
        bp.stats.unique(array, block_shape=(2, 2), block_ids=[0, 9])
