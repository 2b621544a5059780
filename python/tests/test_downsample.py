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
