"""Shapes of objects against scikit-image and the reference."""

from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pandas as pd
import pytest
import skimage.measure
import zarr
from pandas.testing import assert_frame_equal

props, morphology = bp.morphology.regionprops, bp.morphology.morphology
theirs = bioimage_py.morphology.regionprops


def blobs(shape: tuple[int, ...], dtype: str = "uint32", seed: int = 0) -> np.ndarray:
    """Objects of all shapes: hollow, torn and thin ones, too."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 12, tuple(extent // 5 + 1 for extent in shape))
    for axis in range(len(shape)):
        coarse = coarse.repeat(5, axis)
    image = coarse[tuple(slice(extent) for extent in shape)] * (rng.random(shape) < 0.9)
    return np.asarray(np.where(image > 7, 0, image * 3), dtype)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert_frame_equal(found, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("shape", [(23, 31), (16, 18, 17)])
@pytest.mark.parametrize("resolution", [None, (2.5, 1, 0.5)])
@pytest.mark.parametrize("surface", [False, True])
def test_shapes_are_those_of_the_reference(
    shape: tuple[int, ...], resolution: tuple[float, ...] | None, surface: bool
) -> None:
    for seed in range(3):
        image = blobs(shape, seed=seed)
        table = morphology(image)
        call: dict[str, Any] = {"compute_surface": surface}
        call["resolution"] = resolution and resolution[: len(shape)]
        expected = theirs(image, table, **call)
        same(props(image, table, **call), expected)
        stored = zarr.create_array({}, data=image, chunks=(7, 6, 5)[: len(shape)])
        same(props(stored, table, num_workers=2, **call), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int64", "uint64"])
def test_every_integer_type_and_number_of_axes(dtype: str) -> None:
    for shape in ((40,), (13, 11), (5, 6, 7, 8)):
        image = blobs(shape, dtype)
        table = morphology(image)
        # The reference knows depths in two and three dimensions only.
        if len(shape) == 2:
            same(props(image, table), theirs(image, table))
        assert props(image, table)["n_voxels"].tolist() == table["size"].tolist()


def test_shapes_are_those_of_scikit_image() -> None:
    image, spacing = blobs((16, 18, 17)), (2.0, 1.0, 0.5)
    found = props(image, morphology(image), resolution=spacing, compute_surface=True)
    same_names = ["label", "area", "equivalent_diameter_area"]
    columns = [*same_names, "axis_major_length", "axis_minor_length"]
    expected = skimage.measure.regionprops_table(image, spacing=spacing, properties=columns)
    for column in ("label", "area", "axis_major_length", "axis_minor_length"):
        assert np.allclose(found[column], expected[column], rtol=1e-5)
    for label, area in zip(found["label"], found["surface_area"], strict=True):
        mask = np.pad(image == label, 1).astype("float32")
        vertices, faces, _, _ = skimage.measure.marching_cubes(mask, 0.5, spacing=spacing)
        assert np.isclose(area, skimage.measure.mesh_surface_area(vertices, faces), rtol=1e-5)


def test_large_hollow_objects_are_placed_where_they_are_deepest() -> None:
    image = np.zeros((300, 280), "uint16")
    image[5:290, 10:270] = 1
    image[20:270, 40:255] = 0
    image[60:200, 60:90] = 2
    table = morphology(image)
    assert not image[150, 140]
    same(props(image, table, resolution=(1, 2)), theirs(image, table, resolution=(1, 2)))


def test_tables_may_be_cut_mixed_and_changed() -> None:
    image = blobs((23, 31))
    table = morphology(image).sample(frac=1, random_state=1)
    same(props(image, table), theirs(image, table))
    same(props(image, table, item_ids=[3, 0]), theirs(image, table, item_ids=[3, 0]))
    twice = pd.concat([table.astype({"label": "int64"}), table.astype({"label": "int64"})])
    twice["bb_max_y"] = np.minimum(twice["bb_max_y"], np.arange(len(twice)) % 23 + 1)
    twice["bb_min_y"] = 0
    twice["com_x"] += 1.5
    columns = [*theirs(image, twice).columns]
    by = ["label", "bb_max_y"]
    found, expected = (one(image, twice).sort_values(by) for one in (props, theirs))
    assert list(found.columns) == columns
    same(found.reset_index(drop=True), expected.reset_index(drop=True))
    missing = table.assign(label=table["label"] + 1000)
    same(props(image, missing), theirs(image, missing))
    same(props(image, table[:0]), theirs(image, table[:0]))


def test_files_of_tables(tmp_path: Path) -> None:
    image = blobs((23, 31))
    table = morphology(image)
    table.to_csv(tmp_path / "in.csv", index=False)
    path = tmp_path / "deep" / "out.csv"
    found = props(image, str(tmp_path / "in.csv"), output_path=str(path))
    same(found, theirs(image, table))
    same(pd.read_csv(path), found)
    for call in (props, theirs):
        with pytest.raises(ValueError, match=r"Unsupported table format: 't\.txt'"):
            call(image, "t.txt")
        with pytest.raises(ValueError, match="Unsupported output format"):
            call(image, table, output_path=str(tmp_path / "out.txt"))


def test_worker_processes_measure_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    image = blobs((16, 18, 17), "uint64") + np.uint64(2**63)
    image[image == 2**63] = 0
    stored = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(8, 8, 8))
    folders: list[str] = []
    how: dict[str, Any] = {"job_type": "subprocess", "num_workers": 2}
    call: dict[str, Any] = {"compute_surface": True, "resolution": (3, 1, 1)}
    table = morphology(image)
    found = props(stored, table, pre_cleanup=folders.append, **call, **how)
    assert [Path(folder).is_dir() for folder in folders] == [True]
    assert found["label"].tolist() == table["label"].tolist()
    small = blobs((16, 18, 17))
    expected = theirs(small, morphology(small), **call)
    same(found.drop(columns="label"), expected.drop(columns="label"))


def test_refusals() -> None:
    image = blobs((9, 9))
    table = morphology(image)
    for call in (props, theirs):
        with pytest.raises(ValueError, match="regionprops expects an integer label image, got"):
            call(image * 1.0, table)
        message = r"resolution \(1.0,\) does not match the input ndim 2."
        with pytest.raises(ValueError, match=message):
            call(image, table, resolution=(1,))
        with pytest.raises(ValueError, match=r"table is missing required columns \['com_y'\]"):
            call(image, table.drop(columns="com_y"))
        with pytest.raises(ValueError, match="Distributed regionprops requires a file-backed"):
            call(image, table, job_type="subprocess")
        with pytest.raises(ValueError, match="Pass either 'resume_from' or 'item_ids', not both"):
            call(image, table, job_type="subprocess", resume_from="x", item_ids=[0])
        with pytest.raises(RuntimeError, match=r"1 item\(s\) failed in 'regionprops': \[99\]"):
            call(image, table, item_ids=[0, 99])
    with pytest.raises(ValueError, match="does not lie in the image"):
        props(image[:5], table)
