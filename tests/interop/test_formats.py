"""N5, MRC, NIfTI, HDF5, images and KNOSSOS: what other programs write is what is read here."""

import gzip
import importlib
import inspect
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import bioimage_py
import bioimage_rs as bp
import h5py
import imageio.v3 as imageio
import mrcfile
import nibabel
import numpy as np
import pytest
import tensorstore
import tifffile
import z5py
import zarr
from bioimage_rs.errors import DataError
from bioimage_rs.io.files import infer_extension
from bioimage_rs.sources import FileSource, from_spec
from shell import Bp

INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float32", "float64"]
SHAPE, CHUNKS = (13, 17, 11), (4, 8, 5)
INDICES: list[Any] = [
    ..., 0, -1, (slice(2, 9), 3), (..., 4), (slice(3, 11), slice(5, 17), slice(1, 6)), (1, 2, 3),
    slice(4, 4),
]  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    rng = np.random.default_rng(5)
    data: np.ndarray
    if np.dtype(dtype).kind == "f":
        data = rng.normal(0, 1000, shape)
    else:
        info = np.iinfo(dtype)
        data = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return data.astype(dtype)


def kind(source: FileSource) -> str:
    """Who reads it."""
    native = source._open_native(False)
    return "python" if native is None else native.kind


def check(
    source: FileSource, expected: np.ndarray, native: str, *, reference: Any = True
) -> FileSource:
    """The array is the expected one, read by the expected reader, as the reference reads it."""
    assert kind(source) == native
    assert source.shape == expected.shape
    assert source.dtype == expected.dtype.newbyteorder("=")
    for index in INDICES if expected.ndim == 3 and len(expected) > 1 else [...]:
        np.testing.assert_array_equal(source[index], expected[index], str(index))
    again = from_spec(source.to_spec())
    assert isinstance(again, FileSource)
    np.testing.assert_array_equal(again[...], expected)
    if reference:
        key = source.internal_path or None
        theirs = bioimage_py.open_source(source.path, key, format=source.format)
        np.testing.assert_array_equal(source[...], theirs[...])
        assert source.shape == theirs.shape
    return source


N5_CODECS: list[tuple[str, dict[str, Any]]] = [
    ("raw", {}),
    ("gzip", {}),
    ("gzip", {"level": 9}),
    ("bzip2", {}),
    ("lz4", {}),
    ("zstd", {}),
    *(
        ("blosc", {"codec": codec, "shuffle": shuffle})
        for codec in ("lz4", "zstd", "zlib", "blosclz", "lz4hc")
        for shuffle in (0, 1, 2)
    ),
]


@pytest.mark.parametrize(("compression", "options"), N5_CODECS)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_n5_codecs_of_z5py(compression: str, options: dict[str, Any], dtype: str) -> None:
    data = values(dtype)
    file = z5py.File("in.n5", "w")
    file.create_dataset("s0", data=data, chunks=CHUNKS, compression=compression, **options)
    source = check(bp.open_source("in.n5", "s0"), data, "n5")
    assert source.chunks == CHUNKS


@pytest.mark.parametrize("dtype", DTYPES)
def test_n5_data_types_and_what_is_written_back(dtype: str) -> None:
    data = values(dtype)
    file = z5py.File("in.n5", "w")
    file.create_dataset("group/in", data=data, chunks=CHUNKS)
    target = file.create_dataset("group/out", shape=SHAPE, dtype=dtype, chunks=CHUNKS)
    check(bp.open_source("in.n5/group/in"), data, "n5", reference=False)
    bp.copy(file["group/in"], target, block_shape=(8, 8, 10), num_workers=2)
    np.testing.assert_array_equal(target[...], data)
    output = bp.open_source("in.n5", "group/out", mode="a")
    output[3:7, 2, 1:9] = 5
    data[3:7, 2, 1:9] = 5
    np.testing.assert_array_equal(z5py.File("in.n5", "r")["group/out"][...], data)


@pytest.mark.parametrize("compression", [c for c in N5_CODECS if c[0] != "lz4"])
def test_n5_codecs_that_are_written(compression: tuple[str, dict[str, Any]]) -> None:
    data = values("uint16")
    file = z5py.File("out.n5", "w")
    name, options = compression
    target = file.create_dataset(
        "s0", shape=SHAPE, dtype="uint16", chunks=CHUNKS, compression=name, **options
    )
    native = bp.as_source(target)._open_native(True)
    assert native is not None
    assert native.kind == "n5"
    bp.copy(data, target, block_shape=CHUNKS, num_workers=2)
    np.testing.assert_array_equal(target[...], data)


@pytest.mark.parametrize("compression", ["xz", "lz4"])
def test_n5_codecs_that_only_z5py_writes(compression: str) -> None:
    data = values("uint16")
    file = z5py.File("out.n5", "w")
    target = file.create_dataset(
        "s0", shape=SHAPE, dtype="uint16", chunks=CHUNKS, compression=compression
    )
    bp.copy(data, target, block_shape=CHUNKS, num_workers=2)
    np.testing.assert_array_equal(target[...], data)
    np.testing.assert_array_equal(bp.open_source("out.n5", "s0")[...], data)
    output = bp.open_source("out.n5", "s0", mode="r+")
    output[0] = 3
    data[0] = 3
    np.testing.assert_array_equal(z5py.File("out.n5", "r")["s0"][...], data)


@pytest.mark.parametrize(
    "compression",
    [
        {"type": "raw"},
        {"type": "gzip"},
        {"type": "gzip", "useZlib": True},
        {"type": "bzip2"},
        {"type": "zstd"},
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
    ],
)
def test_n5_of_tensorstore_both_ways(home: Path, compression: dict[str, Any]) -> None:
    data = values("uint32")
    spec = {
        "driver": "n5",
        "kvstore": {"driver": "file", "path": str(home / "array")},
        "metadata": {
            "compression": compression,
            "dataType": "uint32",
            "dimensions": SHAPE[::-1],
            "blockSize": CHUNKS[::-1],
        },
    }
    array = tensorstore.open(spec, create=True).result()
    array[...].write(data.T).result()
    source = bp.open_source("array", mode="r+")
    np.testing.assert_array_equal(check(source, data, "n5", reference=False)[...], data)
    source[5:] = data[:-5]
    again = tensorstore.open(spec, open=True).result()
    np.testing.assert_array_equal(again.read().result().T[5:], data[:-5])


def test_a_copy_from_and_to_n5_by_paths_and_in_worker_processes(bp_: Bp, home: Path) -> None:
    data = values("uint16")
    file = z5py.File("store.n5", "w")
    file.create_dataset("em/s0", data=data, chunks=CHUNKS)
    file.create_dataset("em/s1", shape=SHAPE, dtype="uint16", chunks=(8, 8, 10))
    bp_.ok("copy", "store.n5/em/s0", "out.zarr")
    array = zarr.open_array(home / "out.zarr", mode="r")
    assert array.chunks == CHUNKS
    np.testing.assert_array_equal(np.asarray(array[...]), data)
    where = ("--workers", 2, "--backend", "subprocess", "--block-shape", "8,8,10")
    bp_.ok("copy", "out.zarr", "store.n5::em/s1", *where)
    np.testing.assert_array_equal(file["em/s1"][...], data)
    assert "em/s1" in bp_.ok("info", "store.n5")
    refused = bp_("copy", "out.zarr", "store.n5/em/s1", "--overwrite")
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    missing = bp_("copy", "out.zarr", "store.n5/em/s2")
    assert missing.returncode == 2
    assert "em/s1" in missing.stderr or "em/s0" in missing.stderr


@pytest.fixture
def bp_(home: Path) -> Bp:
    """The shell command, in the test's folder."""
    return Bp(home)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(7, 9), (1, 7, 9), (5, 7, 9), (2, 5, 7, 9)])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_mrc(dtype: str, shape: tuple[int, ...], byteorder: Literal["<", ">"]) -> None:
    data = values(dtype, shape)
    with mrcfile.new("in.mrc") as file:
        file.set_data(data.astype(np.dtype(dtype).newbyteorder(byteorder)))
        if len(shape) == 3:
            file.set_volume()
        file.set_extended_header(np.ones(36, "uint8"))
        file.voxel_size = (1.5, 2.5, 4)
    with mrcfile.open("in.mrc") as file:
        expected = np.flip(file.data, axis=1 if len(shape) == 3 else 0)
        check(bp.open_source("in.mrc"), expected, "mrc")
    with bp.io.open_file("in.mrc") as opened:
        assert list(opened) == ["data"]
        np.testing.assert_array_equal(opened["data"][...], expected)
        with pytest.raises(KeyError, match="Could not find key x"):
            opened["x"]


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_mrc_modes_that_only_mrcfile_reads(dtype: str) -> None:
    data = values("int16", (3, 4, 5)).astype(dtype)
    with mrcfile.new("in.mrc") as file:
        file.set_data(data)
    check(bp.open_source("in.mrc"), data[:, ::-1], "python")


def test_mrc_of_old_programs(home: Path) -> None:
    data = values("int16", (3, 4, 5))
    with mrcfile.new("in.rec") as file:
        file.set_data(data)
    content = bytearray((home / "in.rec").read_bytes())
    for stamp in (b"\x44\0\0\0", bytes(4)):
        content[212:216] = stamp
        (home / "in.rec").write_bytes(content)
        np.testing.assert_array_equal(bp.open_source("in.rec")[...], data[:, ::-1])
    (home / "in.rec").write_bytes(content[:-1])
    with pytest.raises(DataError, match="too few"):
        bp.open_source("in.rec")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["in.nii", "in.nii.gz"])
@pytest.mark.parametrize("version", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_nifti(dtype: str, name: str, version: Any, byteorder: str) -> None:
    data = values(dtype, (11, 9, 7))
    image = version(data, np.eye(4), dtype=dtype)
    if byteorder == ">":
        image = version(data, np.eye(4), header=image.header.as_byteswapped(">"))
    nibabel.save(image, name)
    check(bp.open_source(name), data.T, "nifti")


@pytest.mark.parametrize("ndim", [1, 2, 4, 5])
def test_nifti_of_any_number_of_axes(ndim: int) -> None:
    data = values("int16", (6, 5, 4, 3, 2)[:ndim])
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), "in.nii.gz")
    check(bp.open_source("in.nii.gz"), data.T, "nifti")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("scaling", [(0.5, 0.0), (1.0, 3.0), (-2.25, 7.5), (0.0, 4.0)])
def test_nifti_with_a_slope_is_what_nibabel_gives(
    home: Path, dtype: str, scaling: tuple[float, float]
) -> None:
    data = values("uint8", (6, 5, 4)).astype(dtype)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4), dtype=dtype), "in.nii")
    content = bytearray((home / "in.nii").read_bytes())
    content[112:120] = struct.pack("<ff", *scaling)
    (home / "in.nii").write_bytes(content)
    source = bp.open_source("in.nii")
    theirs = bioimage_py.open_source("in.nii")[...]
    assert kind(source) == "nifti"
    assert source.dtype == source[...].dtype == theirs.dtype
    np.testing.assert_array_equal(source[...], theirs)
    (home / "in.nii.gz").write_bytes(gzip.compress(bytes(content)))
    np.testing.assert_array_equal(bp.open_source("in.nii.gz")[1:3, 2], theirs[1:3, 2])


def test_nifti_types_and_pairs_that_only_nibabel_reads() -> None:
    data = values("int16", (6, 5, 4)).astype("complex64")
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), "in.nii")
    check(bp.open_source("in.nii"), data.T, "python")
    nibabel.save(nibabel.Nifti1Pair(values("int16"), np.eye(4)), "pair.img")
    pair = bp.open_source("pair.hdr", format="nifti")
    np.testing.assert_array_equal(pair[...], values("int16").T)


def test_a_copy_of_a_packed_nifti_in_workers(bp_: Bp, home: Path) -> None:
    data = values("int16", (40, 50, 60))
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), "in.nii.gz")
    for backend in ("local", "subprocess"):
        options = ("--chunks", "16,16,16", "--workers", 2, "--backend", backend, "--overwrite")
        bp_.ok("copy", "in.nii.gz", "out.zarr", *options)
        array = zarr.open_array(home / "out.zarr", mode="r")
        np.testing.assert_array_equal(np.asarray(array[...]), data.T)
        assert array.metadata.dimension_names == ("z", "y", "x")  # type: ignore[union-attr]


def test_hdf5(home: Path) -> None:
    data = values("uint16")
    with h5py.File("in.h5", "w") as file:
        file.create_dataset("a/b", data=data, chunks=CHUNKS)
        file.create_dataset("c", shape=SHAPE, dtype="uint16", chunks=CHUNKS)
    source = check(bp.open_source("in.h5", "a/b"), data, "python")
    assert source.chunks == CHUNKS
    with pytest.raises(ValueError, match="multiple arrays"):
        bp.open_source("in.h5")
    with h5py.File("in.h5", "r") as file:
        dataset = bp.as_source(file["a/b"])
        assert isinstance(dataset, FileSource)
        assert dataset.to_spec() == source.to_spec()
        assert not dataset.writable
    del source
    target = bp.open_source("in.h5", "c", mode="r+")
    bp.copy(data, target, block_shape=CHUNKS, num_workers=2)
    np.testing.assert_array_equal(target[...], data)
    zarr.create_array(home / "in.zarr", data=data, chunks=CHUNKS)
    with pytest.raises(ValueError, match="HDF5 is not safe as a distributed output"):
        bp.copy(bp.open_source("in.zarr"), target, job_type="subprocess", num_workers=2)


def test_zarr_arrays_by_path_and_by_key(home: Path) -> None:
    data = values("uint16")
    group = zarr.open_group(home / "in.zarr", mode="w")
    group.create_array("a/b", shape=SHAPE, chunks=CHUNKS, dtype="uint16")[...] = data
    group.create_array("c", shape=SHAPE, chunks=CHUNKS, dtype="uint16")
    check(bp.open_source("in.zarr", "a/b"), data, "zarr")
    check(bp.open_source("in.zarr/a/b"), data, "zarr", reference=False)
    with pytest.raises(ValueError, match="multiple arrays"):
        bp.open_source("in.zarr")
    with pytest.raises(KeyError, match=r"in\.zarr"):
        bp.open_source("in.zarr", "a/x")
    with pytest.raises(TypeError, match="opened in mode 'r' is read-only"):
        bp.open_source("in.zarr", "c")[0] = 1
    made = bp.open_source("new.zarr", mode="w", shape=SHAPE, chunks=CHUNKS, dtype="uint16")
    made[...] = data
    np.testing.assert_array_equal(bp.open_source("new.zarr")[...], data)
    again = from_spec(made.to_spec())
    np.testing.assert_array_equal(again[...], data)


def test_a_read_only_handle_stays_read_only(home: Path) -> None:
    zarr.create_array(home / "in.zarr", data=values("uint8"), chunks=CHUNKS)
    z5py.File("in.n5", "w").create_dataset("s0", data=values("uint8"), chunks=CHUNKS)
    for handle in (zarr.open_array("in.zarr", mode="r"), z5py.File("in.n5", "r")["s0"]):
        source = bp.as_source(handle)
        assert not source.writable
        with pytest.raises((ValueError, TypeError)):
            source[0] = 1
        with pytest.raises(TypeError, match="read-only"):
            bp.copy(np.zeros(SHAPE, "uint8"), handle, block_shape=CHUNKS)


def test_z5py_handles_are_opened_again_by_their_path() -> None:
    data = values("int32")
    for name in ("in.n5", "in.zr"):
        dataset = z5py.File(name, "w").create_dataset("a/b", data=data, chunks=CHUNKS)
        source = bp.as_source(dataset)
        theirs = bioimage_py.as_source(dataset).to_spec()
        ours = source.to_spec()
        assert (ours.kind, ours.internal_path) == (theirs.kind, theirs.internal_path)
        assert Path(str(ours.path)) == Path(str(theirs.path)).absolute()
        native = source._open_native(True)
        assert native is not None
        assert native.kind == ("n5" if name == "in.n5" else "zarr")
        again = from_spec(ours)
        np.testing.assert_array_equal(again[2:5], data[2:5])
        assert again.writable


def test_tiff_stacks_and_folders_of_images(home: Path) -> None:
    data = values("uint16")
    tifffile.imwrite("in.tif", data, photometric="minisblack")
    source = check(bp.open_source("in.tif"), data, "tiff")
    assert source.format == "folder"
    (home / "slices").mkdir()
    (home / "pictures").mkdir()
    for number, plane in enumerate(data):
        tifffile.imwrite(home / f"slices/s{number}.tif", plane)
        imageio.imwrite(home / f"pictures/s{number:02}.png", plane.astype("uint8"))
    for stack in (
        bp.open_source("slices", "*.tif"),
        bp.open_source("slices"),
        bp.open_source("slices/*.tif"),
    ):
        check(stack, data, "tiff", reference=False)
    check(bp.open_source("pictures", "*.png"), data.astype("uint8"), "python")
    assert list(bp.io.open_file("pictures")) == ["*.png"]
    assert "*.tif" not in bp.io.open_file("pictures")
    picture = bp.open_source("pictures/s00.png", format="folder")
    np.testing.assert_array_equal(picture[...], data[0].astype("uint8"))
    with pytest.raises(ValueError, match="Invalid file pattern"):
        bp.open_source("slices", "*.png")
    with pytest.raises(ValueError, match="pattern"):
        bp.open_source("pictures")


def test_a_tiff_that_only_tifffile_reads() -> None:
    data = values("uint8")
    tifffile.imwrite("in.tif", data, photometric="minisblack", compression="lzma")
    check(bp.open_source("in.tif"), data, "python", reference=False)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_knossos(home: Path, ending: str) -> None:
    rng = np.random.default_rng(0)
    grid, side = (1, 2, 3), 128
    data = np.zeros([n * side for n in grid], "uint8")
    for z, y, x in np.ndindex(grid):
        block = rng.integers(0, 255, (side, side, side), "uint8") // 64 * 64
        folder = home / f"set/mag1/x{x:04}/y{y:04}/z{z:04}"
        folder.mkdir(parents=True)
        name = folder / f"set_mag1_x{x:04}_y{y:04}_z{z:04}.{ending}"
        imageio.imwrite(name, block.reshape(side * side, side))
        stored = imageio.imread(name).reshape(block.shape)
        data[z * side :, y * side :, x * side :][:side, :side, :side] = stored
    options: dict[str, Any] = {} if ending == "png" else {"load_png": False}
    source = bp.open_source("set", **options)
    assert source.internal_path == "mag1"
    assert source.chunks == (side,) * 3
    assert source.shape == data.shape
    for index in ((slice(3, 100), slice(100, 200), slice(200, 300)), (5, ..., 127), (1, 2, 3)):
        np.testing.assert_array_equal(source[index], data[index])
        theirs = bioimage_py.open_source("set", **options)
        np.testing.assert_array_equal(source[index], theirs[index])
    assert "mag1" in bp.io.open_file("set")
    with pytest.raises(ValueError, match="does not exist"):
        bp.open_source("set", "mag2")


class Obf:
    """What msr-reader's class of that name answers."""

    def __init__(self, path: str) -> None:
        self.stacks = [values("uint16", (5, 6)), values("uint16", (5, 6)) // 2]
        self.num_stacks, self.stack_names = 2, ["red", "green"]

    def read_stack(self, number: int) -> np.ndarray:
        """One picture."""
        return self.stacks[number]

    def close(self) -> None:
        """Nothing to read any more."""
        self.stacks = []


def test_msr_by_number_by_name_and_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("msr_reader")
    module.OBFFile = Obf  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "msr_reader", module)
    red, green = Obf("").stacks
    np.testing.assert_array_equal(bp.open_source("a.msr")[...], red)
    np.testing.assert_array_equal(bp.open_source("a.msr", "green")[1:3], green[1:3])
    np.testing.assert_array_equal(bp.open_source("a.msr", "data")[:, 2], [red[2], green[2]])
    assert list(bp.io.open_file("a.msr")) == ["0", "1", "data"]
    with pytest.raises(KeyError, match="Could not find key blue"):
        bp.open_source("a.msr", "blue")


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [
        ("h5py", "in.h5", "h5py"),
        ("mrcfile", "half.mrc", "mrcfile"),
        ("nibabel", "complex.nii", "nibabel"),
        ("msr_reader", "in.msr", "msr-reader"),
        ("imageio.v3", "in.png", "imageio"),
    ],
)
def test_a_missing_package_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, package: str
) -> None:
    with mrcfile.new("half.mrc") as file:
        file.set_data(np.zeros((2, 2), "float16"))
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), "complex64"), np.eye(4)), "complex.nii")
    (home / "in.h5").touch()
    (home / "in.png").touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"{package} is required to .*pip install {package}"):
        bp.open_source(name, format="folder" if name.endswith("png") else None)


def test_stores_without_their_packages(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = values("uint8")
    z5py.File("in.n5", "w").create_dataset("a/b", data=data, chunks=CHUNKS)
    group = zarr.open_group(home / "in.zarr", mode="w")
    group.create_array("a/b", shape=SHAPE, chunks=CHUNKS, dtype="uint8")[...] = data
    for module in ("z5py", "zarr"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("in.n5", "in.zarr"):
        file = bp.io.open_file(name)
        assert list(file) == ["a/b"]
        np.testing.assert_array_equal(file["a/b"][3, :, 2:4], data[3, :, 2:4])
        with pytest.raises(KeyError):
            file["c"]
        np.testing.assert_array_equal(bp.open_source(name, "a/b")[...], data)
        with pytest.raises(ImportError, match="pip install"):
            bp.io.open_file(name, mode="w")


PATHS = [
    "a.h5", "a.HDF5", "a.hdf", "b/c.n5", "c.zarr/", "c.zr", "d.mrc", "d.rec", "e.nii", "e.nii.gz",
    "e.x.NII.GZ", "f.msr", "g", "g/", "h.tif", "h.ome.tiff", "h.gz", "a.b.c.foo",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_the_rules_of_names_are_the_reference_s(path: str) -> None:
    reference = bioimage_py.io.files
    assert infer_extension(path) == reference.infer_extension(path)
    try:
        expected = reference.infer_format(path)
    except ValueError as error:
        with pytest.raises(ValueError, match="Could not infer a file format") as caught:
            bp.io.infer_format(path)
        own, theirs = str(caught.value), str(error)
        assert own[: own.index("]")] == theirs[: theirs.index("]")]
    else:
        assert bp.io.infer_format(path) == expected


@pytest.mark.parametrize("module", ["io", "io.files", "sources"])
def test_the_signatures_are_the_reference_s(module: str) -> None:
    ours = importlib.import_module(f"bioimage_rs.{module}")
    theirs = importlib.import_module(f"bioimage_py.{module}")
    names = getattr(theirs, "__all__", ["infer_extension", "infer_format", "open_file"])
    for name in names:
        own, reference = getattr(ours, name), getattr(theirs, name)
        assert parameters(own) == parameters(reference), name
        for member in dir(reference) if inspect.isclass(reference) else ():
            assert member.startswith("_") or hasattr(own, member), f"{name}.{member}"


def parameters(function: Any) -> Any:
    """Names, kinds and defaults; none for what has no signature."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [(one.name, one.kind, one.default) for one in signature.parameters.values()]


def test_the_registry_is_the_reference_s(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = bp.io, bioimage_py.io
    assert sorted(ours.__all__) == sorted(theirs.__all__)
    assert ours.supported_formats() == theirs.supported_formats()
    assert ours.supported_extensions() == theirs.supported_extensions()
    for name in [*theirs.supported_formats(), "nothing"]:
        assert ours.is_writable_format(name) == theirs.is_writable_format(name)
    for ending in [*theirs.supported_extensions(), ".TIF", ".nothing"]:
        assert ours.format_for_extension(ending) == theirs.format_for_extension(ending)
    with pytest.raises(ValueError, match="Unknown or unavailable format 'nothing'"):
        bp.open_source("a.zarr", format="nothing")
    monkeypatch.setattr(bp.io.registry, "_formats", dict(bp.io.registry._formats))
    monkeypatch.setattr(bp.io.registry, "_extensions", dict(bp.io.registry._extensions))
    ours.register_format("mine", [".mine", ".h5"], lambda path, mode="r": {"": np.ones((2, 3))})
    assert ours.infer_format("a.mine") == "mine"
    assert ours.infer_format("a.h5") == "hdf5"
    source = bp.open_source("a.mine", "")
    assert (source.shape, source.format) == ((2, 3), "mine")
