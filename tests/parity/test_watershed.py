"""The watershed against the reference."""

from pathlib import Path
from typing import Any

import bioimage_cpp
import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from scipy import ndimage


def landscape(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth heights, and seeds in their valleys."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    heights = ndimage.gaussian_filter(noise, 1.5).astype("float32")
    valleys = heights == ndimage.minimum_filter(heights, 5)
    return heights, np.asarray(ndimage.label(valleys)[0]).astype("uint64")


@pytest.mark.parametrize("shape", [(50, 60), (20, 24, 28)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_one_block_is_bit_for_bit_that_of_the_reference(shape: tuple[int, ...], dtype: str) -> None:
    heights, seeds = landscape(shape)
    heights = ((heights - heights.min()) * 100).astype(dtype)
    found = bp.segmentation.watershed(heights, seeds)
    expected = bioimage_cpp.segmentation.watershed(
        heights if dtype != "uint8" else heights.astype("float32"), seeds
    )
    assert np.array_equal(found, expected)


def test_without_blocks_chunks_do_not_matter() -> None:
    heights, seeds = landscape((64, 64, 64))
    expected = bioimage_cpp.segmentation.watershed(heights, seeds)
    assert np.array_equal(bp.segmentation.watershed(heights, seeds), expected)
    chunked = zarr.create_array({}, data=heights, chunks=(16, 16, 16))
    assert np.array_equal(bp.segmentation.watershed(chunked, seeds), expected)


def test_a_mask_stops_what_grows() -> None:
    heights, seeds = landscape((40, 50), 2)
    mask = ndimage.gaussian_filter(np.random.default_rng(3).random(heights.shape), 2) > 0.49
    found = bp.segmentation.watershed(heights, seeds, mask=mask)
    expected = bioimage_py.segmentation.watershed(heights, seeds, mask=mask)
    assert np.array_equal(found, expected)
    blocks: dict[str, Any] = {"block_shape": (16, 16), "halo": [6, 6], "num_workers": 2}
    one, other = np.full(heights.shape, 9, "uint64"), np.full(heights.shape, 9, "uint64")
    bp.segmentation.watershed(heights, seeds, one, mask=mask, **blocks)
    bioimage_py.segmentation.watershed(heights, seeds, other, mask=mask, **blocks)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("job_type", ["local", "subprocess"])
def test_blocks(tmp_path: Path, job_type: str) -> None:
    heights, seeds = landscape((48, 64), 4)
    arrays: list[Any] = [
        zarr.create_array(tmp_path / f"{name}.zarr", data=data, chunks=(16, 16))
        for name, data in (("h", heights), ("s", seeds), ("o", np.zeros_like(seeds)))
    ]
    how: dict[str, Any] = {"halo": [8, 8], "num_workers": 2}
    bp.segmentation.watershed(*arrays, job_type=job_type, **how)
    expected = bioimage_py.segmentation.watershed(heights, seeds, block_shape=(16, 16), **how)
    assert np.array_equal(arrays[2][...], expected)


def test_with_a_range_blocks_with_a_large_halo_are_the_whole() -> None:
    heights, seeds = landscape((40, 48), 5)
    given = {"height_range": (float(heights.min()), float(heights.max()))}
    whole: Any = bp.segmentation.watershed(heights, seeds, **given)  # type: ignore[arg-type]
    for block in ((8, 8), (16, 48), (40, 5)):
        found = bp.segmentation.watershed(
            heights,
            seeds,
            halo=[40, 48],
            block_shape=block,
            **given,  # type: ignore[arg-type]
        )
        assert np.array_equal(found, whole)


def test_what_is_refused() -> None:
    heights, seeds = landscape((20, 20))
    watershed: Any = bp.segmentation.watershed
    with pytest.raises(ValueError, match=r"seeds shape \(19, 20\) does not match input shape"):
        watershed(heights, seeds[:19])
    with pytest.raises(ValueError, match="halo is required for block-wise watershed"):
        watershed(heights, seeds, block_shape=(8, 8))
    with pytest.raises(ValueError, match=r"output must have an integer dtype, got float32\."):
        watershed(heights, seeds, np.zeros((20, 20), "float32"))
    with pytest.raises(ValueError, match="range"):
        watershed(heights, seeds, height_range=(1, 0))
