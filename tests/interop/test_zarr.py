"""Zarr arrays written here open the same elsewhere, and the other way round."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from numcodecs import BZ2, LZ4, Blosc, GZip, Zlib, Zstd
from shell import Bp
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    TransposeCodec,
    ZstdCodec,
)

DTYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32",
    "float64",
]  # fmt: skip
SHAPE, CHUNKS = (13, 17, 11), (4, 8, 5)


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Values that fill the type's range, with gaps of zeros."""
    rng = np.random.default_rng(5)
    data: np.ndarray
    kind = np.dtype(dtype)
    if kind.kind == "b":
        data = rng.random(shape) < 0.5
    elif kind.kind == "f":
        data = rng.normal(0, 1e6, shape)
        data.flat[0], data.flat[1], data.flat[2] = np.nan, np.inf, -0.0
    else:
        info = np.iinfo(kind)
        data = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
    data[-3:] = 0
    return data.astype(kind)


def tensorstore_content(path: Path, driver: str = "zarr3") -> np.ndarray:
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
    return np.asarray(ts.open(spec).result().read().result())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("codec", ["zstd:3", "gzip:5", "blosc-lz4:5", "blosc-zstd", "none"])
@pytest.mark.parametrize("shards", [None, "8,16,10"])
def test_what_is_written_here(bp: Bp, dtype: str, codec: str, shards: str | None) -> None:
    data = values(dtype)
    zarr.create_array(bp.home / "in.zarr", data=data, chunks=(5, 5, 5))
    options = ["--chunks", "4,8,5", "--codec", codec, "--workers", "2"]
    if shards:
        options += ["--shards", shards]
    bp.ok("copy", "in.zarr", "out.zarr", *options)
    array = zarr.open_array(bp.home / "out.zarr", mode="r")
    assert array.dtype == np.dtype(dtype)
    assert array.chunks == CHUNKS
    assert array.shards == ((8, 16, 10) if shards else None)
    np.testing.assert_array_equal(np.asarray(array[...]), data)
    np.testing.assert_array_equal(tensorstore_content(bp.home / "out.zarr"), data)


V3: list[dict[str, Any]] = [
    {},
    {"compressors": None},
    {"compressors": ZstdCodec(level=7, checksum=True)},
    {"compressors": [GzipCodec(level=2), Crc32cCodec()]},
    {"serializer": BytesCodec(endian="big")},
    {"filters": [TransposeCodec(order=(2, 0, 1))]},
    {"shards": (8, 16, 10)},
    {"shards": (8, 16, 10), "compressors": BloscCodec(cname="lz4")},
    {"fill_value": 7},
    {"dimension_names": ["z", "y", "x"]},
    *(
        {"compressors": BloscCodec(cname=name, shuffle=shuffle)}
        for name in ("lz4", "lz4hc", "zstd", "zlib", "blosclz")
        for shuffle in ("noshuffle", "shuffle", "bitshuffle")
    ),
]
V2: list[dict[str, Any]] = [
    {},
    {"compressors": None},
    {"order": "F"},
    {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    *({"compressors": codec} for codec in (LZ4(), BZ2(), GZip(), Zlib(), Zstd(), Blosc("lz4"))),
    *({"compressors": Blosc("zstd", shuffle=shuffle)} for shuffle in (0, 1, 2)),
]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
@pytest.mark.parametrize(
    ("version", "options"), [(3, options) for options in V3] + [(2, options) for options in V2]
)
def test_what_zarr_python_writes(bp: Bp, dtype: str, version: int, options: dict[str, Any]) -> None:
    data = values(dtype)
    array = zarr.create_array(
        bp.home / "in.zarr",
        shape=SHAPE,
        dtype=dtype,
        chunks=CHUNKS,
        zarr_format=version,  # type: ignore[arg-type]
        **options,
    )
    array[:-4] = data[:-4]  # the last chunks stay unwritten
    bp.ok("copy", "in.zarr", "out.zarr", "--chunks", "6,6,6", "--block-shape", "6,12,6")
    written = zarr.open_array(bp.home / "out.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(written[...]), np.asarray(array[...]))


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f8"])
def test_big_endian_zarr_v2(bp: Bp, dtype: str) -> None:
    data = values(np.dtype(dtype).newbyteorder("=").name).astype(dtype)
    zarr.create_array(bp.home / "in.zarr", data=data, chunks=CHUNKS, zarr_format=2)
    bp.ok("copy", "in.zarr", "out.zarr", "--chunks", "6,6,6")
    written = zarr.open_array(bp.home / "out.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(written[...]), data)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("backend", ["local", "subprocess"])
def test_every_number_of_axes(bp: Bp, ndim: int, backend: str) -> None:
    shape = (7, 6, 5, 9, 8)[:ndim]
    data = values("uint16", shape)
    zarr.create_array(bp.home / "in.zarr", data=data, chunks=(3,) * ndim)
    chunks, block = ",".join("2" * ndim), ",".join("4" * ndim)
    options = ("--chunks", chunks, "--block-shape", block, "--workers", 2, "--backend", backend)
    bp.ok("copy", "in.zarr", "out.zarr", *options)
    written = zarr.open_array(bp.home / "out.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(written[...]), data)


def test_same_grid_and_codec_are_passed_through(bp: Bp) -> None:
    data = values("uint16")
    array = zarr.create_array(bp.home / "in.zarr", shape=SHAPE, dtype="uint16", chunks=CHUNKS)
    array[...] = data
    zarr.create_array(bp.home / "out.zarr", shape=SHAPE, dtype="uint16", chunks=CHUNKS)
    bp.ok("copy", "in.zarr", "out.zarr")
    for chunk in (bp.home / "in.zarr/c").rglob("*"):
        if chunk.is_file():
            copy = bp.home / "out.zarr" / chunk.relative_to(bp.home / "in.zarr")
            assert copy.read_bytes() == chunk.read_bytes()
    written = zarr.open_array(bp.home / "out.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(written[...]), data)


def test_a_mask_a_region_and_a_cast(bp: Bp) -> None:
    data = values("uint16")
    inside = np.random.default_rng(1).random(SHAPE) < 0.3
    zarr.create_array(bp.home / "in.zarr", data=data, chunks=CHUNKS)
    zarr.create_array(bp.home / "mask.zarr", data=inside, chunks=CHUNKS)
    bp.ok("copy", "in.zarr", "masked.zarr", "--mask", "mask.zarr", "--chunks", "4,8,5")
    masked = zarr.open_array(bp.home / "masked.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(masked[...]), np.where(inside, data, 0))
    bp.ok("copy", "in.zarr", "crop.zarr", "--roi", "2:9,3:17,0:4")
    crop = zarr.open_array(bp.home / "crop.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(crop[...]), data[2:9, 3:17, 0:4])
    bp.ok("copy", "in.zarr", "cast.zarr", "--dtype", "u8", "--cast", "saturating")
    cast = zarr.open_array(bp.home / "cast.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(cast[...]), np.clip(data, 0, 255).astype("uint8"))
    refused = bp("copy", "in.zarr", "checked.zarr", "--dtype", "u8", "--cast", "checked")
    assert refused.returncode == 1
    assert "does not fit" in refused.stderr
