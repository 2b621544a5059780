"""Pyramids, read by another implementation of OME-Zarr."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from killed import killed_and_resumed
from ome_zarr_models import v04, v05
from skimage import measure


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def halved(data: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """The means of whole windows."""
    return np.asarray(measure.block_reduce(data, factors, np.mean))


MODELS: dict[str, Any] = {"0.4": v04.Image, "0.5": v05.Image}


@pytest.mark.parametrize("backend", ["local", "subprocess"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_are_made_from_the_one_above_and_say_where_they_lie(
    home: Path, backend: str, version: str
) -> None:
    data = values((16, 48, 40), "float32")
    group = zarr.create_group(home / "in.zarr")
    group.create_array("raw", data=data, chunks=(8, 8, 8))
    axes: Any = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = {"type": "scale", "scale": [30.0, 4.0, 4.0]}
    datasets: Any = [{"path": "raw", "coordinateTransformations": [scale]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    how: Any = {"job_type": backend, "num_workers": 2}
    how |= {"levels": 3, "scale_factor": (1, 2, 2), "ome_zarr": version}
    made = bp.pyramid("in.zarr/raw", "out.ome.zarr", **how)
    expected = data
    for level in made:
        np.testing.assert_allclose(level[...], expected, rtol=1e-5)
        expected = halved(expected, (1, 2, 2))
    assert [level.shape for level in made] == [(16, 48, 40), (16, 24, 20), (16, 12, 10)]
    written = zarr.open_group(home / "out.ome.zarr", mode="r")
    assert written.metadata.zarr_format == {"0.4": 2, "0.5": 3}[version]
    image = MODELS[version].from_zarr(written)
    attributes = image.attributes if version == "0.4" else image.ome_attributes
    (multiscale,) = attributes.multiscales
    assert [axis.name for axis in multiscale.axes] == ["z", "y", "x"]
    assert {axis.unit for axis in multiscale.axes} == {"nanometer"}
    placed = [
        [list(getattr(part, part.type)) for part in dataset.coordinateTransformations]
        for dataset in multiscale.datasets
    ]
    assert placed == [
        [[30.0, 4.0, 4.0], [0.0, 0.0, 0.0]],
        [[30.0, 8.0, 8.0], [0.0, 2.0, 2.0]],
        [[30.0, 16.0, 16.0], [0.0, 6.0, 6.0]],
    ]
    assert bp.command("info out.ome.zarr/s2 --json").data["voxel_size"] == [30.0, 16.0, 16.0]  # type: ignore[union-attr]
    script = bp.command("script last --language python").text  # type: ignore[union-attr]
    assert script.startswith("bp.pyramid(")
    exec(script.replace("out.ome", "again.ome"), {"bp": bp})
    again = zarr.open_array(home / "again.ome.zarr/s2")[...]
    np.testing.assert_array_equal(np.asarray(again), made[2][...])


@pytest.mark.parametrize("shape", [(70, 90), (1, 65, 67), (2, 33, 70), (2, 3, 5, 64, 33)])
@pytest.mark.parametrize("method", ["mode", "sample", "max"])
def test_images_of_any_axes_and_extents(home: Path, shape: tuple[int, ...], method: str) -> None:
    data = values(shape, "uint16")
    made = bp.pyramid(data, home / "x.ome.zarr", levels=4, method=method, num_workers=2)
    space = (1,) * max(len(shape) - 3, 0) + (2,) * min(len(shape), 3)
    np.testing.assert_array_equal(made[0][...], data)
    for above, level in pairwise(made):
        if method != "sample" or data.ndim <= 3:
            expected = bp.downsample(above[...], space, method=method)
            np.testing.assert_array_equal(level[...], np.asarray(expected))
    image = v05.Image.from_zarr(zarr.open_group(home / "x.ome.zarr", mode="r"))
    names = [axis.name for axis in image.ome_attributes.multiscales[0].axes]
    assert names == list("tczyx"[5 - len(shape) :])


def test_what_cannot_be_a_pyramid(home: Path) -> None:
    data = values((20, 20), "uint8")
    bp.pyramid(data, "there.ome.zarr", levels=2)
    with pytest.raises(FileExistsError):
        bp.pyramid(data, "there.ome.zarr", levels=2)
    assert len(bp.pyramid(data, "there.ome.zarr", levels=1, overwrite=True)) == 1
    # Of the image before it nothing is left.
    assert sorted(path.name for path in (home / "there.ome.zarr").iterdir()) == ["s0", "zarr.json"]
    with pytest.raises(ValueError, match=r"Zarr v3 group, in which .* \(Zarr v2\)"):
        bp.pyramid(data, "there.ome.zarr", levels=1, overwrite=True, ome_zarr="0.4")
    with pytest.raises(ValueError, match="both read and written"):
        bp.pyramid("there.ome.zarr/s0", "there.ome.zarr", levels=2, overwrite=True)
    bp.pyramid(data, "there.ome.zarr", levels=4, overwrite=True)
    with pytest.raises(ValueError, match="is read, and would be removed"):
        bp.pyramid("there.ome.zarr/s3", "there.ome.zarr", levels=1, overwrite=True)
    for image, options in (
        (data[0], {}),
        (np.zeros((0, 4)), {}),
        (np.zeros((2,) * 6), {}),
        (data, {"mask": data}),
        (data, {"scale_factor": 0}),
        (data, {"scale_factor": (2, 2, 2)}),
        (data, {"levels": 0}),
        (data, {"method": "sum"}),
        (data, {"ome_zarr": "0.3"}),
        (data, {"ome_zarr": "0.4", "shards": "20,20"}),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            bp.pyramid(image, "other.ome.zarr", **options)
    assert not (home / "other.ome.zarr").exists()


SCRIPT = """
import sys
import bioimage_rs as bp

how = {"job_type": sys.argv[1], "num_workers": 2, "block_shape": (8, 8, 8)}
bp.pyramid("in.zarr", "out.ome.zarr", levels=4, **how)
"""


@pytest.mark.parametrize("backend", ["local", "subprocess"])
@pytest.mark.parametrize("blocks", [200, 1760])
def test_a_killed_pyramid_is_finished_by_a_resume(home: Path, backend: str, blocks: int) -> None:
    data = values((96, 96, 96), "uint8")
    zarr.create_array(home / "in.zarr", data=data, chunks=(8, 8, 8))
    expected = bp.pyramid("in.zarr", "expected.ome.zarr", levels=4, num_workers=2)
    run = killed_and_resumed(SCRIPT, backend, home=home, blocks=blocks)
    for number, level in enumerate(expected):
        found = zarr.open_array(home / f"out.ome.zarr/s{number}")[...]
        np.testing.assert_array_equal(np.asarray(found), level[...])
    assert len(json.loads((run.folder / "plan.json").read_text())["stages"]) == 4
