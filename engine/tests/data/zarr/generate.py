"""Writes the arrays that `engine/tests/zarr_foreign.rs` reads, with zarr-python and tensorstore.

    pip install zarr==3.1.6 numcodecs==0.16.6 tensorstore==0.1.86
    python generate.py

Every voxel follows from its position (see `expected`), so that the test needs no Python.
"""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any, Literal

import numcodecs  # type: ignore[import-untyped]
import numcodecs.zarr3  # type: ignore[import-untyped]
import numpy as np
import tensorstore as ts
import zarr
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)

HERE = Path(__file__).parent
ARRAYS = HERE / "arrays"
DTYPES = ["bool", "float32", "float64"]
DTYPES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
SHAPE, CHUNKS = (7, 10), (4, 6)
manifest: list[dict[str, Any]] = []


def expected(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Voxel i in C order holds (7 i + 3) mod 101, shifted and scaled to the type."""
    base = (np.arange(np.prod(shape, dtype=int)) * 7 + 3) % 101
    kind = np.dtype(dtype).kind
    if kind == "b":
        base = base % 2
    elif kind == "i":
        base = base - 50
    elif kind == "f":
        base = base * 0.25 - 10
    return base.reshape(shape).astype(dtype)


def note(name: str, shape: tuple[int, ...], dtype: str, codec: str | None = None) -> None:
    kind = np.dtype(dtype).newbyteorder("=").name
    manifest.append({"name": name, "shape": list(shape), "dtype": kind, "codec": codec})


def write(name: str, dtype: str = "uint16", shape: tuple[int, ...] = SHAPE, **options: Any) -> None:
    codec = options.pop("describe", None)
    options.setdefault("chunks", CHUNKS[: len(shape)])
    array = zarr.create_array(ARRAYS / name, shape=shape, dtype=dtype, **options)
    array[...] = expected(shape, dtype)
    note(name, shape, dtype, codec)


def write_tensorstore(name: str, driver: str, metadata: dict[str, Any], dtype: str) -> None:
    spec = {
        "driver": driver,
        "kvstore": {"driver": "file", "path": str(ARRAYS / name)},
        "metadata": {"shape": list(SHAPE), **metadata},
        "create": True,
    }
    ts.open(spec).result().write(expected(SHAPE, dtype)).result()
    note(name, SHAPE, dtype)


def dtypes() -> None:
    for dtype in DTYPES:
        write(f"v3_{dtype}", dtype, describe="zstd:0")
        write(f"v2_{dtype}", dtype, zarr_format=2, describe="zstd:0")
    for dtype in (">u2", ">i4", ">f8"):
        write(f"v2_big_{dtype[1:]}", dtype, zarr_format=2)
        write(
            f"v3_big_{dtype[1:]}",
            np.dtype(dtype).newbyteorder("=").name,
            serializer=BytesCodec(endian="big"),
        )


def codecs_v3() -> None:
    write("v3_none", compressors=None, describe="none")
    write("v3_gzip", compressors=GzipCodec(level=6), describe="gzip:6")
    write("v3_zstd_sum", compressors=ZstdCodec(level=5, checksum=True), describe="zstd:5")
    write("v3_crc32c", compressors=[ZstdCodec(level=3), Crc32cCodec()], describe="zstd:3+crc32c")
    for compressor in ("lz4", "lz4hc", "zstd", "zlib", "blosclz"):
        for shuffle in ("noshuffle", "shuffle", "bitshuffle"):
            codec = BloscCodec(cname=compressor, clevel=5, shuffle=shuffle)
            write(
                f"v3_blosc_{compressor}_{shuffle}",
                compressors=codec,
                describe=f"blosc-{compressor}:5",
            )
    write("v3_transposed", filters=TransposeCodec(order=(1, 0)))
    write("v3_numcodecs_lz4", compressors=numcodecs.zarr3.LZ4(acceleration=1), describe="lz4")
    write("v3_numcodecs_zlib", compressors=numcodecs.zarr3.Zlib(level=4), describe="zlib:4")
    write("v3_numcodecs_bz2", compressors=numcodecs.zarr3.BZ2(level=4), describe="bz2:4")
    write("v3_dots", chunk_key_encoding={"name": "default", "separator": "."})
    write("v3_v2_keys", chunk_key_encoding={"name": "v2", "separator": "."})


def shards() -> None:
    write("v3_shards", chunks=(2, 3), shards=(4, 6), describe="zstd:0")
    for where in ("start", "end"):
        sharding = ShardingCodec(
            chunk_shape=(2, 3),
            codecs=[BytesCodec(), GzipCodec(level=1), Crc32cCodec()],
            index_codecs=[BytesCodec(), Crc32cCodec()],
            index_location=where,
        )
        write(f"v3_shards_{where}", serializer=sharding, compressors=None)
    plain_index = ShardingCodec(chunk_shape=(2, 3), index_codecs=[BytesCodec(endian="big")])
    write("v3_shards_plain_index", serializer=plain_index, compressors=None)
    write("v3_shards_compressed", serializer=ShardingCodec(chunk_shape=(2, 3)))
    nested = ShardingCodec(chunk_shape=(4, 6), codecs=[ShardingCodec(chunk_shape=(2, 3))])
    write("v3_shards_nested", chunks=(8, 12), serializer=nested, compressors=None)


def codecs_v2() -> None:
    compressors = {
        "none": None,
        "zlib": numcodecs.Zlib(level=3),
        "gzip": numcodecs.GZip(level=3),
        "bz2": numcodecs.BZ2(level=3),
        "lz4": numcodecs.LZ4(),
        "zstd": numcodecs.Zstd(level=3),
        "blosc": numcodecs.Blosc(),
        "blosc_bit": numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE),
        "blosc_auto": numcodecs.Blosc(cname="zlib", shuffle=numcodecs.Blosc.AUTOSHUFFLE),
    }
    for name, compressor in compressors.items():
        write(f"v2_{name}", zarr_format=2, compressors=compressor)
    write("v2_fortran", zarr_format=2, order="F")
    write("v2_slash", zarr_format=2, chunk_key_encoding={"name": "v2", "separator": "/"})
    write("v2_shuffle", zarr_format=2, filters=[numcodecs.Shuffle(elementsize=2)])


def shapes() -> None:
    write("v3_1d", shape=(11,), chunks=(4,))
    write("v3_4d", "uint8", shape=(3, 2, 5, 4), chunks=(2, 2, 3, 3))
    for version in (2, 3):
        write(f"v{version}_0d", shape=(), chunks=(), zarr_format=version)
        write(f"v{version}_empty", shape=(0, 5), chunks=(2, 3), zarr_format=version)


def fill_values() -> None:
    """Arrays of which only the first chunk is stored; the rest is the fill value."""
    cases: dict[str, tuple[str, Any, Literal[2, 3]]] = {
        "v3_fill_nan": ("float32", np.nan, 3),
        "v2_fill_nan": ("float64", np.nan, 2),
        "v3_fill_inf": ("float64", -np.inf, 3),
        "v3_fill_7": ("uint16", 7, 3),
        "v2_fill_7": ("uint16", 7, 2),
        "v2_fill_null": ("int16", None, 2),
        "v3_fill_true": ("bool", True, 3),
    }
    for name, (dtype, fill, version) in cases.items():
        array = zarr.create_array(
            ARRAYS / name,
            shape=SHAPE,
            chunks=CHUNKS,
            dtype=dtype,
            fill_value=fill,
            zarr_format=version,
        )
        first = (slice(0, 4), slice(0, 6))
        array[first] = expected(SHAPE, dtype)[first]
        note(name, SHAPE, dtype)
        text = None if fill is None else str(fill)
        manifest[-1]["fill"] = {"None": "0", "True": "1"}.get(str(text), text)


def tensorstore() -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": list(CHUNKS)}}
    for compressor in ("lz4", "zstd"):
        blosc = {"cname": compressor, "clevel": 5, "shuffle": "shuffle", "typesize": 2}
        codecs = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": {**blosc, "blocksize": 0}},
        ]
        metadata = {"data_type": "uint16", "chunk_grid": grid, "codecs": codecs}
        write_tensorstore(f"ts_v3_{compressor}", "zarr3", metadata, "uint16")
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [2, 3],
            "codecs": [
                {"name": "transpose", "configuration": {"order": [1, 0]}},
                {"name": "bytes", "configuration": {"endian": "big"}},
                {"name": "zstd", "configuration": {"level": 1}},
            ],
            "index_location": "start",
        },
    }
    metadata = {"data_type": "float32", "chunk_grid": grid, "codecs": [sharding]}
    write_tensorstore("ts_v3_shards", "zarr3", metadata, "float32")
    write_tensorstore(
        "ts_v2",
        "zarr",
        {
            "dtype": ">i2",
            "chunks": list(CHUNKS),
            "compressor": {"id": "zstd", "level": 1},
            "order": "F",
        },
        "int16",
    )


def main() -> None:
    warnings.simplefilter("ignore")
    shutil.rmtree(ARRAYS, ignore_errors=True)
    dtypes()
    codecs_v3()
    shards()
    codecs_v2()
    shapes()
    fill_values()
    tensorstore()
    lines = ",\n".join(json.dumps(entry) for entry in sorted(manifest, key=lambda e: e["name"]))
    (HERE / "manifest.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
