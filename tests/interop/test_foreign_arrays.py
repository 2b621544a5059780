"""Arrays of other libraries work as input and, where they can be written, as output."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import dask.array
import fsspec
import numpy as np
import obstore.store
import pytest
import tensorstore
import xarray
import zarr
from bioimage_rs.sources import from_spec
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore

SHAPE, CHUNKS = (13, 17, 11), (4, 8, 5)
Make = Callable[[Path, np.ndarray], Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 60000, SHAPE, "uint16")


def of_zarr(store: Any, data: np.ndarray, **options: Any) -> Any:
    array: Any = zarr.create_array(
        store, shape=data.shape, chunks=CHUNKS, dtype=data.dtype, **options
    )
    array[...] = data
    return array


def of_tensorstore(spec: dict[str, Any], data: np.ndarray, **options: Any) -> Any:
    array = tensorstore.open(
        spec, create=True, dtype=data.dtype, shape=data.shape, **options
    ).result()
    array[...] = data
    return array


def zarr_fsspec_memory(home: Path, data: np.ndarray) -> Any:
    files = AsyncFileSystemWrapper(fsspec.filesystem("memory"), asynchronous=True)
    return of_zarr(FsspecStore(files, path=f"/{home.name}/a.zarr"), data)


def zarr_fsspec_local(home: Path, data: np.ndarray) -> Any:
    files = AsyncFileSystemWrapper(fsspec.filesystem("file", auto_mkdir=True), asynchronous=True)
    return of_zarr(FsspecStore(files, path=str(home / "b.zarr")), data)


def zarr_obstore_local(home: Path, data: np.ndarray) -> Any:
    store = obstore.store.LocalStore(home / "obstore", mkdir=True)
    return of_zarr(ObjectStore(store), data)


TENSORSTORE: dict[str, Make] = {
    "tensorstore-memory": lambda home, data: of_tensorstore(
        {"driver": "zarr3", "kvstore": "memory://"}, data
    ),
    "tensorstore-zarr3": lambda home, data: of_tensorstore(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(home / "ts3")}}, data
    ),
    "tensorstore-zarr2": lambda home, data: of_tensorstore(
        {"driver": "zarr", "kvstore": {"driver": "file", "path": str(home / "ts2")}},
        data,
        chunk_layout=tensorstore.ChunkLayout(chunk_shape=CHUNKS),
    ),
    "tensorstore-n5": lambda home, data: of_tensorstore(
        {"driver": "n5", "kvstore": {"driver": "file", "path": str(home / "n5")}}, data
    ),
    "tensorstore-shifted": lambda home, data: of_tensorstore(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(home / "ts4")}}, data
    ).translate_by[10, -20, 30],
    "tensorstore-view": lambda home, data: of_tensorstore(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(home / "ts5")}},
        np.pad(data, 2).T.copy(),
    ).T[2:15, 2:19, 2:13],
}
ARRAYS: dict[str, Make] = {
    "xarray": lambda home, data: xarray.DataArray(data.copy(), dims=("z", "y", "x")),
    "dask": lambda home, data: dask.array.from_array(data, chunks=CHUNKS),
    "xarray-dask": lambda home, data: xarray.DataArray(dask.array.from_array(data, chunks=CHUNKS)),
    "zarr-local": lambda home, data: of_zarr(LocalStore(home / "c.zarr"), data),
    "zarr-memory": lambda home, data: of_zarr(MemoryStore(), data),
    "zarr-memory-shards": lambda home, data: of_zarr(MemoryStore(), data, shards=(8, 16, 10)),
    "zarr-fsspec-memory": zarr_fsspec_memory,
    "zarr-fsspec-local": zarr_fsspec_local,
    "zarr-obstore-local": zarr_obstore_local,
    "zarr-obstore-memory": lambda home, data: of_zarr(
        ObjectStore(obstore.store.MemoryStore()), data
    ),
    "fortran": lambda home, data: np.asfortranarray(data),
    "big-endian": lambda home, data: data.astype(">u2"),
    "memmap": lambda home, data: memory_map(home / "raw.bin", data),
    **TENSORSTORE,
}
NATIVE = {"zarr-local": "zarr", "tensorstore-zarr3": "zarr", "tensorstore-zarr2": "zarr"}
NATIVE |= {"zarr-obstore-local": "zarr", "zarr-fsspec-local": "zarr", "memmap": "memory"}


def memory_map(path: Path, data: np.ndarray) -> np.ndarray:
    array = np.memmap(path, data.dtype, "w+", shape=data.shape)
    array[...] = data
    return array


@pytest.mark.parametrize("name", ARRAYS)
def test_as_input(home: Path, data: np.ndarray, name: str) -> None:
    array = ARRAYS[name](home, data)
    source = bp.as_source(array)
    native = source._open_native(False)
    assert (None if native is None else native.kind) == NATIVE.get(name)
    assert source.shape == SHAPE
    assert source.dtype.newbyteorder("=") == data.dtype
    for index in (..., 0, -1, (slice(2, 9), 3), (..., 4), (1, 2, 3), slice(4, 4)):
        np.testing.assert_array_equal(source[index], data[index], str(index))
    for workers in (1, 3):
        copied = bp.copy(array, block_shape=(5, 6, 7), num_workers=workers)
        np.testing.assert_array_equal(copied, data)


@pytest.mark.parametrize("name", ARRAYS)
def test_as_output(home: Path, data: np.ndarray, name: str) -> None:
    array = ARRAYS[name](home, np.zeros_like(data))
    source = bp.as_source(array)
    assert source.writable
    block = source.shards or source.chunks or (5, 6, 7)
    assert bp.copy(data, array, block_shape=block, num_workers=3) is array
    np.testing.assert_array_equal(np.asarray(array[...]), data)
    inside = data % 3 == 0
    bp.copy(np.zeros_like(data), array, block_shape=block, mask=inside, num_workers=2)
    np.testing.assert_array_equal(np.asarray(array[...]), np.where(inside, 0, data))


@pytest.mark.parametrize("name", [name for name in ARRAYS if name.startswith("zarr")])
def test_as_the_reference_does(home: Path, data: np.ndarray, name: str) -> None:
    array = ARRAYS[name](home, data)
    ours, theirs = bp.as_source(array), bioimage_py.as_source(array)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert (ours.chunks, ours.shards) == (theirs.chunks, theirs.shards)
    if name not in NATIVE:
        with pytest.raises(ValueError, match="has no filesystem root"):
            ours.to_spec()
        with pytest.raises(ValueError, match="Distributed execution requires"):
            bp.copy(data, array, job_type="subprocess", block_shape=CHUNKS)
        return
    if name == "zarr-local":
        assert vars(ours.to_spec()) == vars(theirs.to_spec())
    np.testing.assert_array_equal(from_spec(ours.to_spec())[...], data)


def test_chunks_of_dask_and_tensorstore_are_the_blocks(home: Path, data: np.ndarray) -> None:
    assert bp.as_source(dask.array.from_array(data, chunks=CHUNKS)).chunks == CHUNKS
    uneven = dask.array.from_array(data, chunks=((4, 9), (8, 9), (5, 6)))
    assert bp.as_source(uneven).chunks is None
    assert bp.as_source(ARRAYS["tensorstore-zarr2"](home, data)).chunks == CHUNKS
    spec = {"driver": "zarr3", "kvstore": "memory://"}
    layout = {"write_chunk": {"shape": [8, 16, 10]}, "read_chunk": {"shape": list(CHUNKS)}}
    sharded = bp.as_source(of_tensorstore(spec, data, chunk_layout=tensorstore.ChunkLayout(layout)))
    assert (sharded.chunks, sharded.shards) == (CHUNKS, (8, 16, 10))


def test_a_tensorstore_that_was_opened_for_reading(home: Path, data: np.ndarray) -> None:
    path = home / "ts"
    of_tensorstore({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}, data)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    source = bp.as_source(tensorstore.open(spec, open=True, read=True, write=False).result())
    assert not source.writable
    with pytest.raises((TypeError, ValueError)):
        source[0] = 1


class Lists:
    """The least that an array may be."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype

    def __getitem__(self, index: Any) -> Any:
        return self.data[index].tolist()

    def __setitem__(self, index: Any, value: Any) -> None:
        self.data[index] = value


def test_the_least_that_an_array_may_be(data: np.ndarray) -> None:
    array = Lists(data)
    np.testing.assert_array_equal(bp.copy(array, block_shape=(5, 6, 7), num_workers=2), data)
    target = Lists(np.zeros_like(data))
    bp.copy(array, target, block_shape=(5, 6, 7), num_workers=2)
    np.testing.assert_array_equal(target.data, data)


def test_an_array_that_fails_names_the_block(data: np.ndarray) -> None:
    class Broken(Lists):
        def __getitem__(self, index: Any) -> Any:
            if index[0].start >= 10:
                raise RuntimeError("the disk is on fire")
            return super().__getitem__(index)

    with pytest.raises(bp.RunnerError, match="the disk is on fire") as caught:
        bp.copy(Broken(data), block_shape=(5, 17, 11), num_workers=2)
    assert caught.value.failed_block_ids == [2]


def precomputed_spec(path: Path, origin: tuple[int, ...], sharded: bool) -> dict[str, Any]:
    scale: dict[str, Any] = {
        "size": SHAPE[::-1],
        "voxel_offset": origin,
        "chunk_size": CHUNKS[::-1],
        "encoding": "raw",
        "resolution": [4, 4, 40],
    }
    if sharded:
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "preshift_bits": 1,
            "minishard_bits": 1,
            "shard_bits": 1,
            "hash": "identity",
            "data_encoding": "gzip",
        }
    return {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": str(path)},
        "multiscale_metadata": {"type": "image", "data_type": "uint16", "num_channels": 1},
        "scale_metadata": scale,
    }


@pytest.fixture(params=[(False, (0, 0, 0)), (False, (7, 100, 3)), (True, (0, 0, 0))])
def precomputed(
    home: Path, data: np.ndarray, request: pytest.FixtureRequest
) -> tuple[Path, tuple[int, ...]]:
    sharded, origin = request.param
    path = home / "layer"
    array = tensorstore.open(precomputed_spec(path, origin, sharded), create=True).result()
    array[..., 0] = data.T
    return path, origin


def test_precomputed_volumes_as_the_reference_has_them(
    precomputed: tuple[Path, tuple[int, ...]], data: np.ndarray
) -> None:
    path, origin = precomputed
    ours = bp.open_tensorstore_precomputed(path, offset_xyz=origin, size_zyx=SHAPE, dtype="uint16")
    theirs = bioimage_py.open_tensorstore_precomputed(path)
    for name in ("shape", "dtype", "chunks", "shards", "writable", "ndim"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert vars(ours.to_spec()) == vars(theirs.to_spec())
    for index in (..., 0, -1, (slice(2, 9), 3), (..., 4), (1, 2, 3), slice(4, 4)):
        np.testing.assert_array_equal(ours[index], data[index])
        np.testing.assert_array_equal(ours[index], theirs[index])
    np.testing.assert_array_equal(from_spec(ours.to_spec())[...], data)
    for workers in (1, 4):
        np.testing.assert_array_equal(
            bp.copy(ours, block_shape=(3, 5, 4), num_workers=workers), data
        )


def test_precomputed_volumes_are_written(
    precomputed: tuple[Path, tuple[int, ...]], data: np.ndarray
) -> None:
    path, _ = precomputed
    target = bp.open_tensorstore_precomputed(path, "r+")
    turned = data[::-1].copy()
    bp.copy(turned, target, block_shape=target.shards, num_workers=4)
    np.testing.assert_array_equal(bioimage_py.open_tensorstore_precomputed(path)[...], turned)
    target[2:4, 1] = 7
    turned[2:4, 1] = 7
    np.testing.assert_array_equal(bp.open_tensorstore_precomputed(path)[...], turned)
    with pytest.raises(TypeError, match="opened in mode 'r' is read-only"):
        bp.open_tensorstore_precomputed(path)[0] = 1


BAD: list[dict[str, Any]] = [
    {"mode": "w"},
    {"offset_xyz": (1, 2, 3)},
    {"offset_xyz": (1, 2)},
    {"size_zyx": (1, 2, 3)},
    {"chunks_zyx": (1, 2, 3)},
    {"dtype": "uint8"},
]


@pytest.mark.parametrize("options", BAD)
def test_precomputed_volumes_that_are_not_what_was_expected(
    home: Path, data: np.ndarray, options: dict[str, Any]
) -> None:
    spec = precomputed_spec(home / "layer", (0, 0, 0), False)
    tensorstore.open(spec, create=True).result()
    with pytest.raises(ValueError, match=r".") as theirs:
        bioimage_py.open_tensorstore_precomputed(home / "layer", **options)
    with pytest.raises(ValueError, match=r".") as ours:
        bp.open_tensorstore_precomputed(home / "layer", **options)
    assert str(ours.value) == str(theirs.value)
