"""Grey morphology, the median and differences of Gaussians against scipy and skimage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from bioimage_rs import filters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import morphology

SCIPY: dict[str, Callable[..., np.ndarray]] = {
    "erosion": ndimage.grey_erosion,
    "dilation": ndimage.grey_dilation,
    "opening": ndimage.grey_opening,
    "closing": ndimage.grey_closing,
    "white_tophat": ndimage.white_tophat,
    "black_tophat": ndimage.black_tophat,
}
DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["int8", "int16", "int32", "int64", "float32", "float64"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def image(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Noise over half the range of the type, whose differences it can hold."""
    noise = np.random.default_rng(seed).random(shape)
    if dtype == "bool":
        return noise > 0.6
    if dtype.startswith("float"):
        return (2000 * (noise - 0.5)).astype(dtype)
    info = np.iinfo(dtype)
    return (info.min * 0.49 + noise * (info.max * 0.49 - info.min * 0.49)).astype(dtype)


def footprint(shape: str, radius: tuple[int, ...]) -> np.ndarray:
    """The neighbourhood, as its words say."""
    offsets = np.indices([2 * one + 1 for one in radius])
    from_centre = [abs(at - one) for at, one in zip(offsets, radius, strict=True)]
    if shape == "box":
        return np.ones_like(offsets[0], bool)
    if shape == "cross":
        return np.asarray(np.count_nonzero(from_centre, axis=0) <= 1)
    pairs = zip(from_centre, radius, strict=True)
    squares = [(at / max(one, 1)) ** 2 for at, one in pairs]
    return np.asarray(np.sum(squares, axis=0) <= 1 + 1e-9)


def test_a_ball_is_skimage_s() -> None:
    for radius in (1, 2, 3, 5, 6):
        for theirs in (morphology.disk(radius), morphology.ball(radius)):
            dot = np.zeros(theirs.shape, bool)
            dot[(radius,) * dot.ndim] = True
            ours = np.asarray(filters.dilation(dot, radius, shape="ball"))
            assert np.array_equal(ours, theirs.astype(bool))


@pytest.mark.parametrize("name", SCIPY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scipy_and_skimage_find_the_same(name: str, dtype: str) -> None:
    for shape, radius in (((31,), (4,)), ((23, 70), (2, 5)), ((11, 13, 37), (1, 2, 3))):
        data = image(shape, dtype)
        for form in ("box", "ball", "cross"):
            made = np.asarray(getattr(filters, name)(data, radius, shape=form))
            assert made.dtype == data.dtype
            flat = footprint(form, radius)
            if dtype != "bool":
                assert np.array_equal(made, SCIPY[name](data, footprint=flat)), (shape, form)
            theirs = getattr(morphology, name)(data, flat)
            assert np.array_equal(made, theirs), (shape, form)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scipy_s_median_is_the_same(dtype: str) -> None:
    cases = [((31,), (4,)), ((40, 53), (1, 1)), ((23, 40), (6, 7)), ((5, 6), (7, 9))]
    cases += [((11, 13, 37), (1, 1, 1)), ((9, 12, 35), (2, 3, 2)), ((4, 5, 6), (0, 1, 0))]
    for shape, radius in cases:
        # Many values that are alike, and hardly any.
        for data in (image(shape, dtype), (image(shape) / 500 + 2).astype(dtype)):
            made = np.asarray(filters.median(data, radius))
            assert made.dtype == data.dtype
            theirs = ndimage.median_filter(data, [2 * one + 1 for one in radius])
            assert np.array_equal(made, theirs), (shape, radius)


def test_scipy_s_difference_of_gaussians_is_about_the_same() -> None:
    data = image((40, 50), "float64")
    how: dict[str, Any] = {"mode": "mirror", "truncate": 3.0}
    theirs = ndimage.gaussian_filter(data, 1, **how) - ndimage.gaussian_filter(data, (2, 3), **how)
    ours = np.asarray(filters.difference_of_gaussians(data, 1, (2, 3)))
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * abs(data).max())
    parts = [np.asarray(filters.gaussian_smoothing(data, sigma)) for sigma in (1, (2, 3))]
    np.testing.assert_allclose(ours, parts[0] - parts[1], atol=1e-3)


NAMES = [*SCIPY, "median", "difference_of_gaussians"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_blocks_show_what_the_whole_shows_to_the_last_bit(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.lists(st.integers(1, 25), min_size=ndim, max_size=ndim)))
    block = tuple(data.draw(st.lists(st.integers(2, 16), min_size=ndim, max_size=ndim)))
    name = data.draw(st.sampled_from(NAMES))
    radii = st.integers(0, 4)
    radius = data.draw(radii | st.lists(radii, min_size=ndim, max_size=ndim))
    content = image(shape, data.draw(st.sampled_from(DTYPES)), data.draw(st.integers(0, 99)))
    if content.dtype.kind == "f" and name != "difference_of_gaussians":
        content[tuple(data.draw(st.integers(0, n - 1)) for n in shape)] = np.nan
        content[content > 800] = -0.0
    options: dict[str, Any] = {}
    arguments: tuple[Any, ...] = (radius,)
    if name == "difference_of_gaussians":
        arguments = (0.7, 1.6)
    elif name != "median":
        options["shape"] = data.draw(st.sampled_from(["box", "ball", "cross"]))
    function = getattr(filters, name)
    whole = np.asarray(function(content, *arguments, **options))
    mask = image(shape, "bool", 1) if data.draw(st.booleans()) else None
    output = np.full(whole.shape, 1, whole.dtype)
    options |= {"block_shape": block, "num_workers": data.draw(st.integers(1, 3)), "mask": mask}
    assert function(content, *arguments, output, **options) is output
    expected = whole if mask is None else np.where(mask, whole, output.dtype.type(1))
    assert np.array_equal(output.view("uint8"), np.ascontiguousarray(expected).view("uint8"))


def test_nan_spreads_as_far_as_the_neighbourhood() -> None:
    data = image((12, 15), "float32")
    data[4, 6] = np.nan
    hole = np.isnan(data)
    for form in ("box", "ball", "cross"):
        near = ndimage.binary_dilation(hole, footprint(form, (2, 3)))
        for name in ("erosion", "dilation"):
            made = np.asarray(getattr(filters, name)(data, (2, 3), shape=form))
            assert np.array_equal(np.isnan(made), near)
    near = ndimage.binary_dilation(hole, footprint("box", (1, 2)))
    assert np.array_equal(np.isnan(np.asarray(filters.median(data, (1, 2)))), near)


def test_differences_stay_in_the_type() -> None:
    data = np.array([-100, 100, -100, -100], "int8")
    assert list(np.asarray(filters.white_tophat(data, 1))) == [0, 127, 0, 0]
    assert list(np.asarray(filters.black_tophat(-data, 1))) == [0, 127, 0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_files_in_threads_and_processes(name: str, tmp_path: Path) -> None:
    data = image((20, 24, 18), "uint16")
    source = zarr.create_array(tmp_path / "in.zarr", data=data, chunks=(8, 8, 8))
    arguments = (1, 2) if name == "difference_of_gaussians" else (2,)
    function = getattr(filters, name)
    whole = np.asarray(function(data, *arguments))
    for job_type in ("local", "subprocess"):
        out = zarr.create_array(
            tmp_path / f"{job_type}.zarr", shape=data.shape, dtype=whole.dtype, chunks=(8, 8, 8)
        )
        assert function(source, *arguments, out, job_type=job_type, num_workers=2) is out
        assert np.array_equal(np.asarray(out[...]), whole)


def test_paths_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = image((20, 24), "uint8")
    zarr.create_array("in.zarr", data=data, chunks=(8, 8))
    made = filters.closing("in.zarr", (1, 2), "out.zarr", shape="ball", num_workers=2)
    assert np.array_equal(made[...], np.asarray(filters.closing(data, (1, 2), shape="ball")))
    script = bp.command("script last --language python").text  # type: ignore[union-attr]
    assert script.startswith("bp.filters.closing(")
    exec(script.replace("out.zarr", "again.zarr"), {"bp": bp})
    assert np.array_equal(bp.open_source("again.zarr")[...], made[...])
    filters.difference_of_gaussians("in.zarr", 1, (2, 3), "dog.zarr")
    script = bp.command("script last --language python").text  # type: ignore[union-attr]
    exec(script.replace("dog.zarr", "dog2.zarr"), {"bp": bp})
    assert np.array_equal(bp.open_source("dog2.zarr")[...], bp.open_source("dog.zarr")[...])


def test_refusals_name_the_argument() -> None:
    data = image((8, 9))
    cases: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
        ((-1,), {}, ValueError, "radius must be at least 0, got -1"),
        (((1, 2, 3),), {}, ValueError, "radius has 3 values, the array has 2 axes"),
        ((1.5,), {}, TypeError, "radius must be a whole number"),
        ((1,), {"shape": "disk"}, ValueError, "valid shapes: 'box', 'ball', 'cross'"),
        ((1, data), {"block_shape": (4, 4)}, ValueError, "needs 'output' to differ"),
        ((1 << 40,), {}, ValueError, "too large"),
    ]
    for arguments, options, kind, message in cases:
        with pytest.raises(kind, match=message):
            filters.opening(data, *arguments, **options)
    with pytest.raises(ValueError, match="more than 16777216 voxels"):
        filters.median(data, 9000)
    with pytest.raises(ValueError, match="sigma_high values must be finite and positive"):
        filters.difference_of_gaussians(data, 1, 0)
    with pytest.raises(ValueError, match="sigma_low has 3 values"):
        filters.difference_of_gaussians(data, (1, 1, 1), 2)
    data[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"voxel at \[2, 3\]"):
        filters.difference_of_gaussians(data, 1, 2)
