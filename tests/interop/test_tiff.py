"""TIFF stacks become the arrays that tifffile reads, with axes and voxel size."""

from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from shell import Bp, noise


def check(bp: Bp, name: str, *options: object) -> zarr.Array[Any]:
    """Copy a file and compare with what tifffile reads."""
    bp.ok("copy", name, "out.zarr", "--workers", 2, *options)
    array = zarr.open_array(bp.home / "out.zarr", mode="r")
    expected = tifffile.imread(bp.home / name)
    assert array.shape == expected.shape
    assert array.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(np.asarray(array[...]), expected)
    return array


@pytest.mark.parametrize(
    "dtype",
    [
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "int8",
        "int16",
        "int32",
        "int64",
        "float32",
        "float64",
    ],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 16)}])
def test_every_type_and_compression(
    bp: Bp, dtype: str, byteorder: str, compression: str | None, layout: dict[str, Any]
) -> None:
    data = (noise((5, 33, 40)).astype(dtype) * 3).astype(byteorder + np.dtype(dtype).str[1:])
    tifffile.imwrite(
        bp.home / "in.tif",
        data,
        byteorder=byteorder,  # type: ignore[arg-type]
        compression=compression,
        bigtiff=dtype == "uint16",
        photometric="minisblack",
        **layout,
    )
    check(bp, "in.tif", "--chunks", "2,16,16")


@pytest.mark.parametrize(
    ("dtype", "predictor"), [("uint8", 2), ("uint16", 2), ("uint32", 2), ("float32", 3)]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_predictors(bp: Bp, dtype: str, predictor: int, byteorder: str) -> None:
    data = noise((4, 32, 32)).astype(dtype)
    tifffile.imwrite(
        bp.home / "in.tif",
        data,
        byteorder=byteorder,  # type: ignore[arg-type]
        compression="zlib",
        predictor=predictor,
        photometric="minisblack",
    )
    check(bp, "in.tif")


def test_an_imagej_hyperstack(bp: Bp) -> None:
    data = noise((3, 4, 2, 20, 30)).astype("uint16")
    tifffile.imwrite(
        bp.home / "in.tif",
        data,
        imagej=True,
        resolution=(2.0, 2.0),
        metadata={"axes": "TZCYX", "spacing": 1.5, "unit": "um", "finterval": 3.0},
    )
    array = check(bp, "in.tif")
    assert array.metadata.dimension_names == ("t", "z", "c", "y", "x")  # type: ignore[union-attr]
    size = array.attrs["voxel_size"]
    assert [size[axis] for axis in (1, 3, 4)] == [1.5, 0.5, 0.5]  # type: ignore[index]


def test_an_ome_stack(bp: Bp) -> None:
    data = noise((6, 2, 20, 30))
    metadata = {
        "axes": "ZCYX",
        "PhysicalSizeX": 0.25,
        "PhysicalSizeY": 0.25,
        "PhysicalSizeZ": 2.0,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZUnit": "µm",
    }
    tifffile.imwrite(bp.home / "in.ome.tif", data, metadata=metadata)
    array = check(bp, "in.ome.tif")
    assert array.metadata.dimension_names == ("z", "c", "y", "x")  # type: ignore[union-attr]


def test_slices_in_natural_order(bp: Bp) -> None:
    data = noise((12, 16, 20))
    folder = bp.home / "slices"
    folder.mkdir()
    for number, plane in enumerate(data):
        tifffile.imwrite(folder / f"slice{number}.tif", plane)
    for name in ("slices", "slices/*.tif"):
        bp.ok("copy", name, "out.zarr", "--overwrite")
        array = zarr.open_array(bp.home / "out.zarr", mode="r")
        np.testing.assert_array_equal(np.asarray(array[...]), data)


def test_a_stack_larger_than_its_memory(bp: Bp) -> None:
    data = noise((96, 512, 512))
    tifffile.imwrite(bp.home / "in.tif", data, compression="zlib", photometric="minisblack")
    refused = bp("copy", "in.tif", "out.zarr", "--block-shape", "96,512,512", "--memory", "50M")
    assert refused.returncode == 2
    assert "--block-shape" in refused.stderr
    assert not (bp.home / "out.zarr").exists()
    check(bp, "in.tif", "--chunks", "16,64,64", "--block-shape", "16,64,64", "--memory", "50M")
    (run,) = bp.runs
    assert run.outcome is not None
    assert int(str(run.outcome["peak_memory"])) <= 50_000_000
