"""Writes the files that `engine/tests/formats.rs` reads, with the programs that own the formats.

    pip install z5py==3.0.2 tensorstore==0.1.86 mrcfile==1.5.4 nibabel==5.4.2 lz4 xxhash
    python generate.py

Every voxel follows from its position as it is presented (see `expected`), so that the test needs no
Python.
"""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import lz4.block  # type: ignore[import-not-found]
import mrcfile  # type: ignore[import-untyped]
import nibabel
import numpy as np
import tensorstore as ts
import xxhash  # type: ignore[import-not-found]
import z5py

HERE = Path(__file__).parent
SHAPE, CHUNKS = (7, 10), (4, 6)
VOLUME = (3, 4, 5)
manifest: list[dict[str, Any]] = []


def expected(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Voxel i in C order holds (7 i + 3) mod 101, shifted and scaled to the type."""
    base = (np.arange(np.prod(shape, dtype=int)) * 7 + 3) % 101
    kind = np.dtype(dtype).kind
    if kind == "i":
        base = base - 50
    elif kind == "f":
        base = base * 0.25 - 10
    return base.reshape(shape).astype(dtype)


def note(
    format: str,  # noqa: A002
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    codec: str | None = None,
    scale: list[float] | None = None,
) -> None:
    manifest.append(
        {"format": format, "name": name, "shape": list(shape), "dtype": dtype, "codec": codec,
         "scale": scale}
    )  # fmt: skip


def n5_of_z5py() -> None:
    file = z5py.File(str(HERE / "z5py.n5"), "w")
    codecs: list[tuple[str, dict[str, Any], str]] = [
        ("raw", {}, "none"),
        ("gzip", {"level": 3}, "gzip:3"),
        ("bzip2", {}, "bzip2:5"),
        ("lz4", {}, "lz4"),
        ("zstd", {}, "zstd:3"),
        ("xz", {}, "xz"),
        *(
            ("blosc", {"codec": c}, f"blosc-{c}:5")
            for c in ("lz4", "lz4hc", "zstd", "zlib", "blosclz")
        ),
    ]
    for compression, options, codec in codecs:
        name = "_".join([compression, *options.values()]) if compression == "blosc" else compression
        file.create_dataset(
            name, data=expected(SHAPE, "uint16"), chunks=CHUNKS, compression=compression, **options
        )
        if compression != "xz":
            note("n5", name, SHAPE, "uint16", codec)
    for sign in ("", "u"):
        for bits in (8, 16, 32, 64):
            dtype(file, f"{sign}int{bits}")
    for name in ("float32", "float64"):
        dtype(file, name)
    volume = (3, 4, 5, 2)
    file.create_dataset("group/inner", data=expected(volume, "int16"), chunks=(2, 3, 2, 2))
    note("n5", "group/inner", volume, "int16", "gzip:5")
    partly = file.create_dataset("partly", shape=SHAPE, chunks=CHUNKS, dtype="uint8")
    partly[:4, :6] = 9


def dtype(file: z5py.File, name: str) -> None:
    file.create_dataset(name, data=expected(SHAPE, name), chunks=CHUNKS)
    note("n5", name, SHAPE, name, "gzip:5")


def n5_of_tensorstore() -> None:
    for name, compression, codec in [
        ("ts_raw", {"type": "raw"}, "none"),
        ("ts_gzip", {"type": "gzip", "level": 5}, "gzip:5"),
        ("ts_zlib", {"type": "gzip", "level": 5, "useZlib": True}, "zlib:5"),
        ("ts_blosc", {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 2}, "blosc-lz4:5"),
    ]:
        array = ts.open(
            {
                "driver": "n5",
                "kvstore": {"driver": "file", "path": str(HERE / "z5py.n5" / name)},
                "metadata": {
                    "compression": compression,
                    "dataType": "uint32",
                    "dimensions": SHAPE[::-1],
                    "blockSize": CHUNKS[::-1],
                    "axes": ["x", "y"],
                    "units": ["nm", "nm"],
                    "resolution": [4, 8],
                },
                "create": True,
            }
        ).result()
        array[...].write(expected(SHAPE, "uint32").T).result()
        note("n5", name, SHAPE, "uint32", codec, [8.0, 4.0])


def lz4_java(data: bytes) -> bytes:
    """The block stream of lz4-java, of three blocks of which the second is stored as it is."""
    stream = b""
    third = len(data) // 3
    for number, part in enumerate([data[:third], data[third : 2 * third], data[2 * third :], b""]):
        method = 0x10 if number == 1 or not part else 0x20
        stored = part if method == 0x10 else lz4.block.compress(part, store_size=False)
        checksum = xxhash.xxh32(part, seed=0x9747B28C).intdigest() & 0x0FFFFFFF if part else 0
        stream += (
            b"LZ4Block" + struct.pack("<Biii", method, len(stored), len(part), checksum) + stored
        )
    return stream


def n5_of_java() -> None:
    folder = HERE / "z5py.n5" / "java_lz4"
    folder.mkdir()
    metadata = {
        "dimensions": SHAPE[::-1],
        "blockSize": SHAPE[::-1],
        "dataType": "uint16",
        "compression": {"type": "lz4", "blockSize": 65536},
    }
    (folder / "attributes.json").write_text(json.dumps(metadata))
    (folder / "0").mkdir()
    header = struct.pack(">HHII", 0, 2, *SHAPE[::-1])
    payload = lz4_java(expected(SHAPE, "uint16").astype(">u2").tobytes())
    (folder / "0" / "0").write_bytes(header + payload)
    note("n5", "java_lz4", SHAPE, "uint16", "lz4")


def mrc() -> None:
    def write(
        name: str, data: np.ndarray[Any, Any], stored: np.ndarray[Any, Any], **how: Any
    ) -> None:
        with mrcfile.new(HERE / name, overwrite=True) as file:
            file.set_data(stored)
            if how.get("volume"):
                file.set_volume()
            file.voxel_size = (1.5, 2.5, 4.0)
            if how.get("extended"):
                file.set_extended_header(np.zeros(52, "uint8"))
        scale = [None] * max(0, data.ndim - 3) + [4.0, 2.5, 1.5][-min(data.ndim, 3) :]
        note("mrc", name, data.shape, str(data.dtype), "none", scale)  # type: ignore[arg-type]

    for name in ("int8", "int16", "uint16", "float32"):
        data = expected(VOLUME, name)
        write(f"{name}.mrc", data, data[:, ::-1], extended=name == "int16")
    image = expected((4, 5), "int16")
    write("image.mrc", image, image[::-1])
    stack = expected((2, *VOLUME), "int16")
    write("volumes.mrc", stack, stack[::-1])
    single = expected((1, 4, 5), "int16")
    write("one-section.mrc", single, single[:, ::-1], volume=True)
    big = expected(VOLUME, "int16").astype(">i2")
    write("big-endian.mrc", expected(VOLUME, "int16"), big[:, ::-1])
    stamp = bytearray((HERE / "int16.mrc").read_bytes())
    stamp[212:216] = bytes(4)
    (HERE / "no-stamp.rec").write_bytes(stamp)
    note("mrc", "no-stamp.rec", VOLUME, "int16", "none", [4.0, 2.5, 1.5])
    with mrcfile.new(HERE / "half.mrc", overwrite=True) as file:
        file.set_data(np.zeros((2, 2), "float16"))


def nifti() -> None:
    images = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}

    def write(name: str, data: np.ndarray[Any, Any], version: int = 1, **how: Any) -> None:
        scale = [5.0, 4.0, 3.0, 2.0][-data.ndim :]
        image = images[version](data.T, np.eye(4), dtype=data.dtype)
        if how.get("big"):
            header = image.header.as_byteswapped(">")
            image = images[version](data.T, np.eye(4), header=header)
        image.header.set_zooms(scale[::-1])
        image.header.set_xyzt_units("micron", "sec")
        nibabel.save(image, HERE / name)
        dtype = np.dtype(data.dtype).newbyteorder("=").name
        codec = "gzip" if name.endswith("gz") else "none"
        note("nifti", name, data.shape, dtype, codec, scale)

    kinds = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    for kind in [*kinds, "float32", "float64"]:
        write(f"{kind}.nii", expected(VOLUME, kind))
    for version in (1, 2):
        write(f"v{version}.nii.gz", expected(VOLUME, "int16"), version)
        write(f"v{version}-4d.nii", expected((2, *VOLUME), "uint8"), version)
        write(f"v{version}-big.nii", expected(VOLUME, "int16"), version, big=True)
        write(f"v{version}-big.nii.gz", expected(VOLUME, "int32"), version, big=True)
    nibabel.save(nibabel.Nifti1Pair(expected(VOLUME, "int16").T, np.eye(4)), HERE / "pair.img")
    scaled = nibabel.Nifti1Image(expected(VOLUME, "int16").T, np.eye(4))
    nibabel.save(scaled, HERE / "scaled.nii")
    with (HERE / "scaled.nii").open("r+b") as file:  # nibabel scales what it is given
        file.seek(112)
        file.write(struct.pack("<ff", 0.5, -3.0))


if __name__ == "__main__":
    for old in HERE.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        elif old.suffix not in (".py", ".json"):
            old.unlink()
    n5_of_z5py()
    n5_of_tensorstore()
    n5_of_java()
    mrc()
    nifti()
    lines = ",\n".join(json.dumps(entry) for entry in manifest)
    (HERE / "manifest.json").write_text(f"[\n{lines}\n]\n")
