"""Histograms, percentiles and thresholds against numpy and scikit-image."""

from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from killed import killed_and_resumed
from skimage.filters import threshold_li, threshold_otsu

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
DTYPES += ["float32", "float64"]
BLOCKS: dict[str, Any] = {"block_shape": (19, 23), "num_workers": 2}


def image(dtype: str, seed: int = 0, scale: float = 8.0) -> np.ndarray:
    """Two kinds of voxels."""
    rng = np.random.default_rng(seed)
    dark, bright = rng.normal(4 * scale, scale, (40, 50)), rng.normal(11 * scale, scale, (40, 50))
    drawn = np.where(rng.random((40, 50)) < 0.7, dark, bright)
    return np.asarray(np.clip(drawn, 0, 127) if dtype[0] != "f" else drawn, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", [{}, BLOCKS])
@pytest.mark.parametrize(("bins", "span"), [(10, None), (256, None), (7, (20, 90.5)), (1, (0, 0))])
def test_histograms_are_those_of_numpy(
    dtype: str, how: dict[str, Any], bins: int, span: tuple[float, float] | None
) -> None:
    array = image(dtype)
    counts, edges = bp.stats.histogram(array, bins, span, **how)
    expected = np.histogram(array, bins, span)
    assert (counts.dtype, edges.dtype) == (expected[0].dtype, expected[1].dtype)
    assert np.array_equal(counts, expected[0])
    assert np.array_equal(edges, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", [{}, BLOCKS])
def test_percentiles_are_those_of_numpy(dtype: str, how: dict[str, Any]) -> None:
    array = image(dtype)
    asked = [0, 0.3, 25, 50, 99.9, 100]
    found = bp.stats.percentiles(array, asked, **how)
    assert np.allclose(found, np.percentile(array.astype("float64"), asked), rtol=1e-15)
    one = bp.stats.percentiles(array, 37, **how)
    assert isinstance(one, float)
    assert one == pytest.approx(np.percentile(array.astype("float64"), 37))
    several = bp.stats.percentiles(array, np.array([[5], [95]]), **how)
    assert np.shape(several) == (2, 1)


def test_extremes_of_types_and_nan() -> None:
    array = np.array([2**64 - 1, 0, 2**63], "uint64")
    assert bp.stats.percentiles(array, 50, block_shape=(1,)) == 2.0**63
    array = np.array([-np.inf, 1, np.inf])
    assert bp.stats.percentiles(array, [0, 50, 100]).tolist() == [-np.inf, 1, np.inf]  # type: ignore[union-attr]
    assert np.isnan(bp.stats.percentiles(np.array([1, np.nan]), 50))
    with pytest.raises(ValueError, match="range of a histogram is NaN"):
        bp.stats.histogram(np.array([1, np.nan]))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
@pytest.mark.parametrize("how", [{}, BLOCKS])
def test_thresholds_of_integers_are_those_of_scikit_image(dtype: str, how: dict[str, Any]) -> None:
    array = image(dtype)
    assert bp.stats.threshold_otsu(array, **how) == threshold_otsu(array)
    assert bp.stats.threshold_li(array, **how) == pytest.approx(threshold_li(array), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", [{}, BLOCKS])
def test_thresholds_of_floats_are_those_of_scikit_image(dtype: str, how: dict[str, Any]) -> None:
    array = image(dtype)
    assert bp.stats.threshold_otsu(array, **how) == threshold_otsu(array)
    width = float(np.ptp(array)) / 65536
    assert abs(bp.stats.threshold_li(array, **how) - threshold_li(array)) < 8 * width


def test_images_of_one_value() -> None:
    for array in (np.full((5, 6), 7, "uint8"), np.full((5, 6), 7.25), np.ones((3, 3), bool)):
        for threshold in (bp.stats.threshold_otsu, bp.stats.threshold_li):
            assert threshold(array, block_shape=(2, 3)) == float(array[0, 0])


def test_masks_and_blocks() -> None:
    array, mask = image("uint16"), image("uint8", 1) > 40
    counts, edges = bp.stats.histogram(array, mask=mask, **BLOCKS)
    expected = np.histogram(array[mask])
    assert np.array_equal(counts, expected[0])
    assert np.array_equal(edges, expected[1])
    found = bp.stats.percentiles(array, 50, mask=mask, **BLOCKS)
    assert found == np.percentile(array[mask], 50)
    first = bp.stats.percentiles(array, 50, block_ids=[0], **BLOCKS)
    assert first == np.percentile(array[:19, :23], 50)
    found = bp.stats.threshold_otsu(array, mask=mask, **BLOCKS)
    assert found == threshold_otsu(array[mask])


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    array = image("float64")
    stored = zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(16, 16))
    how: dict[str, Any] = {"job_type": "subprocess", "num_workers": 2}
    assert bp.stats.percentiles(stored, 30, **how) == bp.stats.percentiles(array, 30)
    assert bp.stats.threshold_otsu(stored, **how) == bp.stats.threshold_otsu(array)


def test_refusals() -> None:
    array = image("uint8")
    nowhere: dict[str, Any] = {"mask": np.zeros_like(array), **BLOCKS}
    for call, what in (
        (lambda **how: bp.stats.histogram(array, **how), "a histogram"),
        (lambda **how: bp.stats.percentiles(array, 5, **how), "percentiles"),
        (lambda **how: bp.stats.threshold_li(array, **how), "a threshold"),
        (lambda **how: bp.stats.threshold_otsu(image("float32"), **how), "a threshold"),
    ):
        with pytest.raises(ValueError, match=f"No values within the mask; cannot compute {what}"):
            call(**nowhere)
    with pytest.raises(ValueError, match="bins must be in"):
        bp.stats.histogram(array, 0)
    with pytest.raises(ValueError, match=r"range of a histogram is 3.* to 1"):
        bp.stats.histogram(array, 3, (3, 1))
    with pytest.raises(ValueError, match="in the range 0 to 100"):
        bp.stats.percentiles(array, [5, 101])


SCRIPT = """
import bioimage_rs as bp
import zarr

bp.stats.percentiles(zarr.open_array("a.zarr"), 50, num_workers=2)
"""


@pytest.mark.parametrize("blocks", [10, 60])
def test_a_killed_search_is_finished_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    array = np.random.default_rng(5).normal(size=(60, 80)).astype("float32")
    zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(10, 10))
    run = killed_and_resumed(SCRIPT, home=tmp_path, blocks=blocks)
    assert run.result["value"].tolist() == [np.percentile(array.astype("float64"), 50)]
