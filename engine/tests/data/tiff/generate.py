"""Writes the TIFF files of this folder, and what reading them must give, with tifffile.

Run it with tifffile, imagecodecs and numpy installed; the files are committed, since tests need no
Python. The value of a voxel follows from its index in C order (`values`): no second copy is kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

HERE = Path(__file__).parent
MANIFEST: list[dict[str, Any]] = []


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The voxels of a test file; `expected` in tests/tiff.rs is the same."""
    index = np.arange(np.prod(shape), dtype=np.int64)
    number = (index * 7 + index // 13) % 251
    kind = np.dtype(dtype)
    if kind.kind == "b":
        thirds: np.ndarray = number % 3 == 0
        return thirds.reshape(shape)
    if kind.itemsize > 1:
        number = number + 256 * (index % 7)
    if kind.kind == "f":
        return (number / 8 - 10).astype(kind).reshape(shape)
    if kind.kind == "i":
        number = number - 100
    return number.astype(kind).reshape(shape)


def write(name: str, shape: tuple[int, ...], dtype: str, **options: Any) -> None:
    """Writes one file, checks that tifffile reads it back, and notes what it read."""
    path = HERE / f"{name}.tif"
    options.setdefault("photometric", "minisblack")
    options.setdefault("software", "")
    tifffile.imwrite(path, values(shape, dtype), **options)
    read = tifffile.imread(path)
    if not np.array_equal(read.ravel(), values(shape, dtype).ravel()):
        raise RuntimeError(f"{name} reads back otherwise")
    MANIFEST.append({"file": path.name, "shape": list(read.shape), "dtype": read.dtype.name})


def main() -> None:
    page = (2, 19, 21)
    for dtype in "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float32 float64".split():
        write(f"none-{dtype}-le", page, dtype, byteorder="<", metadata=None)
        write(f"none-{dtype}-be", page, dtype, byteorder=">", metadata=None)
    for codec in "lzw zlib packbits zstd".split():
        write(f"{codec}-bool", page, "bool", compression=codec, rowsperstrip=8)
        for order, end in (("<", "le"), (">", "be")):
            plain = {"compression": codec, "byteorder": order, "rowsperstrip": 8}
            write(f"{codec}-strips-{end}", page, "uint16", **plain)
            if codec == "packbits":
                continue
            for dtype in ("uint8", "int16", "uint32", "float32", "float64"):
                write(f"{codec}-predictor-{dtype}-{end}", page, dtype, predictor=True, **plain)
    tiles = {"tile": (16, 32), "bigtiff": True}
    write("tiles-none", (2, 37, 45), "uint16", byteorder=">", **tiles)
    write("tiles-zlib", (2, 37, 45), "uint16", compression="zlib", predictor=True, **tiles)
    write("deflate-old-code", page, "uint8", compression="deflate", rowsperstrip=5)
    rgb: dict[str, Any] = {
        "photometric": "rgb",
        "compression": "lzw",
        "predictor": True,
        "rowsperstrip": 8,
    }
    write("rgb-chunky", (2, 19, 21, 3), "uint8", metadata=None, **rgb)
    write("rgb-planar", (2, 3, 19, 21), "uint8", planarconfig="separate", metadata=None, **rgb)
    write(
        "rgb-planar-raw",
        (3, 19, 21),
        "uint16",
        photometric="rgb",
        planarconfig="separate",
        metadata=None,
    )
    write("shaped", (2, 1, 3, 8, 9), "uint8")
    write("shaped-truncated", (2, 3, 8, 9), "uint16", truncate=True, byteorder=">")
    write("shaped-1d", (23,), "int32", photometric=None)
    write("shaped-axes", (2, 3, 8, 9), "uint8", metadata={"axes": "TZYX"})
    stack = {"axes": "TZCYX", "unit": "um", "spacing": 2.5, "finterval": 0.5}
    imagej: dict[str, Any] = {"imagej": True, "metadata": stack, "resolution": (4, 5)}
    write("imagej-hyperstack", (2, 3, 2, 7, 9), "uint16", **imagej)
    write("imagej-one-directory", (2, 3, 2, 7, 9), "float32", truncate=True, **imagej)
    write("imagej-singletons", (1, 3, 1, 7, 9), "uint8", compression="zlib", **imagej)
    ome: dict[str, Any] = {
        "axes": "TCZYX",
        "PhysicalSizeX": 0.25,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": 900.0,
        "PhysicalSizeZUnit": "nm",
        "TimeIncrement": 2.0,
        "TimeIncrementUnit": "s",
        "Channel": {"Name": ["DAPI", "GFP"]},
    }
    write("ome", (2, 2, 3, 7, 9), "uint16", ome=True, metadata=ome, compression="zlib")
    write("ome-rgb", (3, 7, 9, 3), "uint8", ome=True, metadata={"axes": "ZYXS"}, photometric="rgb")
    with tifffile.TiffWriter(HERE / "thumbnail.tif") as file:
        file.write(values((9, 8), "uint8"), metadata=None, software="", subifds=1)
        file.write(values((4, 4), "uint8"), metadata=None, software="", subfiletype=1)
        file.write(values((3, 2), "uint16"), metadata=None, software="")
    MANIFEST.append({"file": "thumbnail.tif", "shape": [9, 8], "dtype": "uint8"})
    lines = ",\n".join(json.dumps(entry) for entry in MANIFEST)
    (HERE / "manifest.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
