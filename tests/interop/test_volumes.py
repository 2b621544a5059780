"""Volumes of CloudVolume and WEBKNOSSOS."""

import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
from bioimage_rs.sources import CloudVolumeSource, WebKnossosSource, from_spec

SHAPE, CHUNKS = (13, 17, 11), (4, 8, 5)
INDICES: list[Any] = [..., 0, -1, (slice(2, 9), 3), (..., 4), (1, 2, 3), slice(4, 4)]


@pytest.fixture(scope="module")
def cloudvolume() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cloudvolume

    return cloudvolume


@pytest.fixture
def layer(tmp_path: Path, cloudvolume: Any) -> str:
    """A local layer that starts at (100, 20, 3)."""
    path = f"file://{tmp_path}/layer"
    info = cloudvolume.CloudVolume.create_new_info(
        num_channels=1,
        layer_type="image",
        data_type="uint16",
        encoding="raw",
        resolution=[4, 4, 40],
        voxel_offset=[100, 20, 3],
        chunk_size=CHUNKS[::-1],
        volume_size=SHAPE[::-1],
    )
    cloudvolume.CloudVolume(path, info=info).commit_info()
    return path


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 60000, SHAPE, "uint16")


@pytest.mark.filterwarnings("ignore")
def test_cloudvolume_as_the_reference_has_it(layer: str, data: np.ndarray) -> None:
    target = bp.open_cloudvolume(layer, fill_missing=True)
    assert bp.copy(data, target, block_shape=CHUNKS, num_workers=4) is target
    ours, theirs = bp.open_cloudvolume(layer), bioimage_py.open_cloudvolume(layer)
    for name in ("shape", "dtype", "chunks", "shards", "writable", "ndim"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert vars(ours.to_spec()) == vars(theirs.to_spec())
    for index in INDICES:
        np.testing.assert_array_equal(ours[index], data[index], str(index))
    np.testing.assert_array_equal(theirs[...], data)
    np.testing.assert_array_equal(from_spec(ours.to_spec())[...], data)
    np.testing.assert_array_equal(bp.copy(ours, block_shape=(5, 6, 7), num_workers=4), data)
    target[2:4, 1] = 7
    data[2:4, 1] = 7
    np.testing.assert_array_equal(bioimage_py.open_cloudvolume(layer)[...], data)


@pytest.mark.filterwarnings("ignore")
def test_a_box_and_a_handle_of_cloudvolume(layer: str, data: np.ndarray, cloudvolume: Any) -> None:
    bp.open_cloudvolume(layer, fill_missing=True)[...] = data
    box = bp.open_cloudvolume(layer, offset=(102, 21, 5), size=(6, 7, 8))
    np.testing.assert_array_equal(box[...], data[2:10, 1:8, 2:8])
    np.testing.assert_array_equal(from_spec(box.to_spec())[1:3], data[3:5, 1:8, 2:8])
    volume = cloudvolume.CloudVolume(layer, fill_missing=True)
    source = bp.as_source(volume)
    assert isinstance(source, CloudVolumeSource)
    assert source.volume is volume
    assert vars(source.to_spec()) == vars(bioimage_py.as_source(volume).to_spec())
    np.testing.assert_array_equal(source[...], data)


@pytest.mark.filterwarnings("ignore")
def test_several_channels_are_refused(tmp_path: Path, cloudvolume: Any) -> None:
    path = f"file://{tmp_path}/layer"
    info = cloudvolume.CloudVolume.create_new_info(
        num_channels=3,
        layer_type="image",
        data_type="uint8",
        encoding="raw",
        resolution=[1, 1, 1],
        voxel_offset=[0, 0, 0],
        chunk_size=[8, 8, 8],
        volume_size=[8, 8, 8],
    )
    cloudvolume.CloudVolume(path, info=info).commit_info()
    with pytest.raises(ValueError, match="single-channel volumes only, got 3 channels"):
        bp.open_cloudvolume(path)


class Box:
    """A bounding box as the webknossos library has it."""

    def __init__(self, topleft: tuple[int, ...], size: tuple[int, ...]) -> None:
        self.topleft, self.size = topleft, size

    def in_mag(self, mag: int) -> "Box":
        """The same box in voxels of a magnification."""
        return Box(
            tuple(at // mag for at in self.topleft),
            tuple(-(-extent // mag) for extent in self.size),
        )


class Mag:
    """A magnification of a layer as the webknossos library has it: (channel, x, y, z)."""

    def __init__(self, data: np.ndarray, mag: int, channels: int = 1) -> None:
        self.data, self.mag = data, mag
        self.layer = SimpleNamespace(num_channels=channels)
        self.info = SimpleNamespace(chunk_shape=CHUNKS[::-1], voxel_type=data.dtype)
        extents = [extent * mag for extent in data.shape[::-1]]
        self.bounding_box = Box((10, 20, 30), tuple(extents))

    def read(self, absolute_bounding_box: Box) -> np.ndarray:
        """A box that is given in voxels of the full resolution."""
        box, origin = absolute_bounding_box, self.bounding_box.topleft
        region = tuple(
            slice((at - first) // self.mag, (at - first + extent) // self.mag)
            for at, first, extent in zip(box.topleft, origin, box.size, strict=True)
        )
        return self.data.T[region][np.newaxis]


@pytest.fixture(params=[1, 2])
def webknossos(
    request: pytest.FixtureRequest, data: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> int:
    """The part of the library that is used, over an array; its servers are not at hand."""

    def get_layer(name: str) -> Any:
        if name not in ("color", "three"):
            raise IndexError(name)
        channels = 1 if name == "color" else 3
        return SimpleNamespace(get_mag=lambda mag: Mag(data, mag, channels))

    dataset = SimpleNamespace(get_layer=get_layer, layers={"color": 1})

    def open_remote(dataset_name_or_url: str, organization_id: str | None) -> Any:
        if "annotations" in dataset_name_or_url:
            raise ValueError(dataset_name_or_url)
        assert organization_id == "lab"
        return dataset

    annotation = SimpleNamespace(get_remote_annotation_dataset=lambda: dataset)
    module = ModuleType("webknossos")
    vars(module).update(
        Dataset=SimpleNamespace(open=lambda path: dataset, open_remote=open_remote),
        Annotation=SimpleNamespace(download=lambda url: annotation),
        BoundingBox=Box,
        Mag=int,
    )
    monkeypatch.setitem(sys.modules, "webknossos", module)
    mag: int = request.param
    return mag


def test_webknossos_as_the_reference_has_it(
    webknossos: int, data: np.ndarray, tmp_path: Path
) -> None:
    for place in ("dataset", "https://webknossos.org/annotations/1", str(tmp_path)):
        arguments = (place, "lab", "color", webknossos)
        ours, theirs = bp.open_webknossos(*arguments), bioimage_py.open_webknossos(*arguments)
        for name in ("shape", "dtype", "chunks", "shards", "writable", "ndim"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert vars(ours.to_spec()) == vars(theirs.to_spec())
        for index in INDICES:
            np.testing.assert_array_equal(ours[index], data[index], str(index))
        again = from_spec(ours.to_spec())
        assert isinstance(again, WebKnossosSource)
        np.testing.assert_array_equal(bp.copy(again, block_shape=(5, 6, 7), num_workers=4), data)
        with pytest.raises(TypeError, match="WebKnossosSource is read-only"):
            ours[0] = 1
    box = bp.open_webknossos(
        "dataset",
        "lab",
        "color",
        webknossos,
        offset=(10 + 2 * webknossos, 20, 30 + 4 * webknossos),
        size=(4 * webknossos, 3 * webknossos, 2 * webknossos),
    )
    np.testing.assert_array_equal(box[...], data[4:6, :3, 2:6])


def test_webknossos_layers_that_are_refused(webknossos: int) -> None:
    with pytest.raises(IndexError, match="'grey' is not available"):
        bp.open_webknossos("dataset", "lab", "grey", webknossos)
    with pytest.raises(ValueError, match="single-channel layers only, got 3 channels"):
        bp.open_webknossos("dataset", "lab", "three", webknossos)


@pytest.mark.parametrize(
    ("module", "package", "name"),
    [
        ("cloudvolume", "cloud-volume", "open_cloudvolume"),
        ("webknossos", "webknossos", "open_webknossos"),
        ("tensorstore", "tensorstore", "open_tensorstore_precomputed"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"{package} is required to .*pip install {package}"):
        getattr(bp, name)("somewhere")
