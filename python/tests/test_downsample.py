"""`bp.downsample` does what `bioimage_py.downsample` does, and says what it says."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage import measure


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) * 200).astype(dtype)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_same_voxels_as_the_reference(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(2, 3))
    extents = st.lists(st.integers(1, 24), min_size=ndim, max_size=ndim)
    shape = tuple(data.draw(extents))
    factor = data.draw(
        st.integers(1, 4) | st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim)
    )
    order = data.draw(st.integers(0, 5))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int32", "float32", "float64"]))
    # The reference smooths no other integers.
    smooth = dtype != "int32" and data.draw(st.booleans())
    content = values(shape, dtype)
    block = data.draw(st.none() | st.just((5,) * ndim))
    options: dict[str, Any] = {"order": order, "anti_aliasing": smooth, "block_shape": block}
    theirs, ours = (module.downsample(content, factor, **options) for module in (bioimage_py, bp))
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-2)
    elif order == 0 and not smooth:
        np.testing.assert_array_equal(ours, theirs)
    else:
        if smooth and order > 1:
            # The reference drops the fraction of smoothed integers, which splines make larger.
            exact = bioimage_py.downsample(content.astype("float64"), factor, **options)
            limits = np.iinfo(dtype)
            theirs = np.clip(exact, limits.min, limits.max)
        # A value halfway between two integers may be rounded either way.
        assert np.abs(ours.astype(float) - theirs.astype(float)).max() <= 1


def test_every_way_to_work_gives_the_same(home: Path) -> None:
    content = values((20, 33, 18), "uint16")
    source = zarr.create_array(home / "in.zarr", data=content, chunks=(8, 8, 8))
    expected = bp.downsample(content, (1, 2, 2), order=1, anti_aliasing=True)
    mask = values(expected.shape, "uint8", seed=1) > 100
    stored = zarr.create_array(home / "mask.zarr", data=mask, chunks=(8, 8, 8))
    for number, (job_type, workers) in enumerate([("local", 1), ("local", 2), ("subprocess", 2)]):
        out = zarr.create_array(
            home / f"{number}.zarr", shape=expected.shape, dtype="uint16", chunks=(8, 8, 8)
        )
        options: dict[str, Any] = {"job_type": job_type, "num_workers": workers}
        bp.downsample(
            source,
            (1, 2, 2),
            out,
            order=1,
            anti_aliasing=True,
            block_shape=(8, 8, 8),
            mask=stored,
            **options,
        )
        np.testing.assert_array_equal(np.asarray(out[...]), np.where(mask, expected, 0))


def refusal(module: Any, *arguments: Any, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the point is to compare
        module.downsample(*arguments, **options)
    return caught.value


def test_refusals_are_the_reference_s() -> None:
    content = values((20, 20), "uint8")
    cases: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((content, (2, 2, 2)), {}),
        ((content, 0), {}),
        ((content, (1, -2)), {}),
        ((content, 2), {"order": 6}),
        ((content, 2), {"num_workers": 2}),
        ((content, 2), {"job_type": "subprocess"}),
        ((content, 2), {"resume_from": "x"}),
        (([1, 2], 2), {}),
    ]
    for arguments, options in cases:
        theirs, ours = (refusal(module, *arguments, **options) for module in (bioimage_py, bp))
        assert isinstance(ours, type(theirs)), (options, ours, theirs)
        assert str(ours)[:50] == str(theirs)[:50], (ours, theirs)


def test_paths_give_an_array_with_its_voxel_size(home: Path) -> None:
    content = values((16, 32), "uint8")
    group = zarr.create_group(home / "in.zarr")
    group.create_array("s0", data=content, chunks=(8, 8))
    scale = {"type": "scale", "scale": [3.0, 0.5]}
    axes: Any = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets: Any = [{"path": "s0", "coordinateTransformations": [scale]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    out = bp.downsample("in.zarr/s0", (1, 2), "out.zarr", num_workers=2, dtype="uint16")
    assert (out.shape, out.chunks, out.dtype) == ((16, 16), (8, 8), np.dtype("uint16"))
    np.testing.assert_array_equal(out[...], content[:, ::2])
    info = bp.command("info out.zarr --json")
    assert info.data["voxel_size"] == [3.0, 1.0]  # type: ignore[union-attr]
    part = bp.downsample("in.zarr/s0", 2, "part.zarr", roi="8:16,:")
    np.testing.assert_array_equal(part[...], content[8::2, ::2])
    script = bp.command("script last --language python").text  # type: ignore[union-attr]
    assert script.startswith("bp.downsample(")
    assert ', 2, "' in script
    exec(script.replace("part.zarr", "again.zarr").replace("num_workers=1, ", ""), {"bp": bp})
    np.testing.assert_array_equal(bp.open_source("again.zarr")[...], part[...])


METHODS: dict[str, Any] = {
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "median": np.median,
    "mode": lambda window: min(np.unique(window), key=lambda one: (-np.sum(window == one), one)),
}


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_windows_become_what_numpy_makes_of_them(method: str, data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=ndim, max_size=ndim)))
    factors = tuple(data.draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim)))
    dtype = data.draw(st.sampled_from(["uint8", "int16", "uint64", "float32", "float64"]))
    content = values(shape, dtype) // 50
    if dtype == "uint64":
        content += np.uint64(2**63)
    block = data.draw(st.none() | st.just((2,) * ndim))
    made = np.asarray(bp.downsample(content, factors, method=method, block_shape=block))
    for position in np.ndindex(made.shape):
        window = content[
            tuple(slice(p * f, p * f + f) for p, f in zip(position, factors, strict=True))
        ]
        if dtype == "uint64" and method in ("mean", "median"):
            window = window - np.uint64(2**63)
            found = made[position] - np.uint64(2**63)
        else:
            found = made[position]
        expected = METHODS[method](window)
        if np.dtype(dtype).kind != "f":
            expected = int(np.floor(abs(float(expected)) + 0.5) * np.sign(float(expected)))
            if dtype == "uint64" and method not in ("mean", "median"):
                expected = METHODS[method](window)
            assert found == expected
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_windows_by_scikit_image_in_worker_processes(home: Path) -> None:
    content = values((16, 24, 12), "float32")
    source = zarr.create_array(home / "in.zarr", data=content, chunks=(8, 8, 4))
    expected = measure.block_reduce(content, (2, 3, 2), np.mean)
    out = zarr.create_array(home / "out.zarr", shape=(8, 8, 6), dtype="float32", chunks=(4, 4, 2))
    how: Any = {"job_type": "subprocess", "num_workers": 2, "block_shape": (4, 4, 2)}
    bp.downsample(source, (2, 3, 2), out, method="mean", **how)
    np.testing.assert_allclose(np.asarray(out[...]), expected, rtol=1e-6)
    path = bp.downsample("in.zarr", (2, 3, 2), "made.zarr", method="mean", num_workers=2)
    np.testing.assert_array_equal(path[...], out[...])
    labels = np.full((4, 4), 2**60 + 1, "uint64")
    labels[0, :3] = 0
    for method, first in (("mode", 0), ("sparse-mode", 2**60 + 1)):
        made = np.asarray(bp.downsample(labels, (1, 4), method=method))
        assert made[:, 0].tolist() == [first, 2**60 + 1, 2**60 + 1, 2**60 + 1]


def test_methods_that_are_none() -> None:
    content = values((8, 8), "uint8")
    with pytest.raises(ValueError, match="method must be one of"):
        bp.downsample(content, 2, method="sum")
    with pytest.raises(ValueError, match="are for the method 'sample'"):
        bp.downsample(content, 2, method="mean", order=1)
