"""Filters against the reference, its kernels and scipy."""

from pathlib import Path
from typing import Any

import bioimage_cpp
import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from bioimage_rs.filters import (
    apply_filter,
    hessian_of_gaussian_eigenvalues,
    structure_tensor_eigenvalues,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


SCALAR = ["gaussian_smoothing", "gaussian_gradient_magnitude", "laplacian_of_gaussian"]
CHANNELS = ["hessian_of_gaussian_eigenvalues", "structure_tensor_eigenvalues"]


def image(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Smoothed noise from about 0 to 100."""
    noise = np.random.default_rng(seed).random(shape) * 100
    return np.asarray(ndimage.gaussian_filter(noise, 0.5)).astype(dtype)


def expected(name: str, data: np.ndarray, sigma: Any, *outer: Any) -> np.ndarray:
    """What the reference's kernel makes of the whole image, channels first."""
    made = getattr(bioimage_cpp.filters, name)(data, sigma, *outer)
    return np.moveaxis(made, -1, 0) if name in CHANNELS else np.asarray(made)


@pytest.mark.parametrize("name", SCALAR + CHANNELS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(40, 33), (20, 24, 17), (3, 30, 9)])
def test_the_kernels_of_the_reference_give_the_same(
    name: str, dtype: str, shape: tuple[int, ...]
) -> None:
    data = image(shape, dtype)
    for sigma in (1.0, 2.3, tuple(0.8 + 0.7 * axis for axis in range(len(shape)))):
        outer = (1.5,) if name == "structure_tensor_eigenvalues" else ()
        theirs = expected(name, data, sigma, *outer)
        options: dict[str, Any] = {"outer_scale": outer[0]} if outer else {}
        ours = np.asarray(apply_filter(data, name, sigma, **options))
        assert ours.dtype == ("float64" if dtype == "float64" else "float32")
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * scale, rtol=0)
        for channel in range(len(shape)) if name in CHANNELS else ():
            one = apply_filter(data, name, sigma, return_channel=channel, **options)
            assert np.array_equal(np.asarray(one), ours[channel])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_blocks_show_what_the_whole_shows_to_the_last_bit(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(2, 3))
    extents = st.lists(st.integers(1, 30), min_size=ndim, max_size=ndim)
    shape = tuple(data.draw(extents))
    block = tuple(data.draw(st.lists(st.integers(3, 16), min_size=ndim, max_size=ndim)))
    sigmas = st.floats(0.3, 2.5)
    sigma = data.draw(sigmas | st.lists(sigmas, min_size=ndim, max_size=ndim))
    name = data.draw(st.sampled_from(SCALAR + CHANNELS))
    options: dict[str, Any] = {}
    if name == "structure_tensor_eigenvalues":
        options["outer_scale"] = data.draw(st.floats(0.3, 3.0))
    content = image(shape, data.draw(st.sampled_from(["uint8", "int32", "float32", "float64"])))
    whole = np.asarray(apply_filter(content, name, sigma, **options))
    mask = None
    if data.draw(st.booleans()):
        mask = image(shape, seed=1) > 50
    output = np.full(whole.shape, -7, whole.dtype)
    workers = data.draw(st.integers(1, 3))
    apply_filter(
        content,
        name,
        sigma,
        output,
        block_shape=block,
        num_workers=workers,
        mask=mask,
        **options,
    )
    assert np.array_equal(output, whole if mask is None else np.where(mask, whole, -7))


@pytest.mark.parametrize("name", SCALAR + CHANNELS)
def test_files_in_threads_and_processes(name: str, tmp_path: Path) -> None:
    data = image((20, 24, 18), "uint16")
    source = zarr.create_array(tmp_path / "in.zarr", data=data, chunks=(8, 8, 8))
    options: dict[str, Any] = {"outer_scale": 2.0} if name == "structure_tensor_eigenvalues" else {}
    whole = np.asarray(apply_filter(data, name, 1.2, **options))
    chunks = (1,) * (whole.ndim - 3) + (8, 8, 8)
    for job_type in ("local", "subprocess"):
        out = zarr.create_array(
            tmp_path / f"{job_type}.zarr", shape=whole.shape, dtype="float32", chunks=chunks
        )
        given: Any = {"job_type": job_type, "num_workers": 2, **options}
        assert apply_filter(source, name, 1.2, out, **given) is out
        assert np.array_equal(np.asarray(out[...]), whole)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int32", "uint64", "int64", "bool"])
def test_types_that_the_reference_does_not_take(dtype: str) -> None:
    data = image((20, 21), dtype)[::-1, ::2]
    theirs = expected("gaussian_smoothing", data.astype("float32"), 1.5)
    ours = np.asarray(bp.filters.gaussian_smoothing(data, 1.5))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_scipy_gives_about_the_same() -> None:
    data = image((40, 50), "float64")
    smooth = ndimage.gaussian_filter(data, (2, 1), mode="mirror", truncate=3.0)
    ours = np.asarray(bp.filters.gaussian_smoothing(data, (2, 1)))
    np.testing.assert_allclose(ours, smooth, atol=1e-3)
    edges = ndimage.gaussian_gradient_magnitude(data, 2, mode="mirror", truncate=3.5)
    ours = np.asarray(bp.filters.gaussian_gradient_magnitude(data, 2))
    np.testing.assert_allclose(ours, edges, atol=0.03 * edges.max())
    line = np.asarray(bp.filters.gaussian_smoothing(data[0], 2))
    np.testing.assert_allclose(
        line, ndimage.gaussian_filter(data[0], 2, mode="mirror", truncate=3.0), atol=1e-3
    )


def test_a_wide_outer_scale_is_in_the_halo() -> None:
    data = image((60, 60))
    whole = expected("structure_tensor_eigenvalues", data, 0.7, 4.0)
    blocked = np.asarray(structure_tensor_eigenvalues(data, 0.7, 4.0, block_shape=(20, 20)))
    np.testing.assert_allclose(blocked, whole, atol=1e-4 * whole.max())
    hessian = np.asarray(hessian_of_gaussian_eigenvalues(data, 1, return_channel=-1))
    assert np.array_equal(hessian, np.asarray(hessian_of_gaussian_eigenvalues(data, 1))[-1])


def refusal(module: Any, *arguments: Any, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the point is to compare
        module.filters.apply_filter(*arguments, **options)
    return caught.value


def test_refusals_are_the_reference_s() -> None:
    data = image((12, 12))
    holes = data.copy()
    holes[3, 4] = np.nan
    smooth, tensor, hessian = "gaussian_smoothing", CHANNELS[1], CHANNELS[0]
    cases: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((data, "foo", 1), {}),
        ((data, tensor, 1), {}),
        ((data, tensor, 1), {"outer_scale": 0}),
        ((data, hessian, 1), {"return_channel": 2}),
        ((data, smooth, 0), {}),
        ((data, smooth, -1.5), {}),
        ((data, smooth, float("inf")), {}),
        ((data, smooth, (1, float("nan"))), {}),
        ((data, smooth, (1, 2, 3)), {}),
        ((holes, smooth, 1), {}),
        ((data, smooth, 1), {"num_workers": 2}),
        ((data, smooth, 1), {"job_type": "subprocess"}),
        ((data, smooth, 1), {"resume_from": "x"}),
        ((data, smooth, 1, data), {"block_shape": (4, 4)}),
        (([1, 2], smooth, 1), {}),
    ]
    for arguments, options in cases:
        theirs, ours = (refusal(module, *arguments, **options) for module in (bioimage_py, bp))
        assert isinstance(ours, type(theirs)), (options, ours, theirs)
        assert str(ours)[:33] == str(theirs)[:33], (ours, theirs)


def test_what_is_not_finite_is_named() -> None:
    data = image((12, 12))
    data[7, 9] = np.inf
    with pytest.raises(bp.RunnerError, match=r"voxel at \[7, 9\], read for block [4578], is inf"):
        bp.filters.laplacian_of_gaussian(data, 0.3, block_shape=(4, 4), num_workers=2)


def test_paths_give_an_array_with_channels(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    data = image((20, 24), "uint8")
    zarr.create_array("in.zarr", data=data, chunks=(8, 8))
    out = hessian_of_gaussian_eigenvalues("in.zarr", (1, 2), "out.zarr", num_workers=2)
    assert (out.shape, out.chunks, out.dtype) == ((2, 20, 24), (1, 8, 8), np.dtype("float32"))
    assert np.array_equal(out[...], np.asarray(hessian_of_gaussian_eigenvalues(data, (1, 2))))
    script = bp.command("script last --language python").text  # type: ignore[union-attr]
    assert script.startswith("bp.filters.hessian_of_gaussian_eigenvalues(")
    exec(script.replace("out.zarr", "again.zarr"), {"bp": bp})
    assert np.array_equal(bp.open_source("again.zarr")[...], out[...])
    tensor = structure_tensor_eigenvalues("in.zarr", 1, 2, "tensor.zarr", return_channel=1)
    assert tensor.shape == (20, 24)
