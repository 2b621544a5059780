"""`bp.copy` does what `bioimage_py.copy` does, and says what it says."""

import inspect
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import h5py
import numpy as np
import pytest
import zarr
from bioimage_rs.sources._array import engine_array
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DTYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32",
    "float64",
]  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random(shape) * 200).astype(dtype)


def test_the_signature_begins_as_the_reference_does() -> None:
    own = inspect.signature(bp.copy).parameters
    reference = inspect.signature(bioimage_py.copy).parameters
    assert list(own)[: len(reference)] == list(reference)
    for name, parameter in reference.items():
        assert own[name].default == parameter.default
        assert own[name].kind == parameter.kind
    for name in ("as_source", "open_source", "get_runner", "to_roi"):
        ours = inspect.signature(getattr(bp, name)).parameters
        assert list(ours) == list(inspect.signature(getattr(bioimage_py, name)).parameters)


@pytest.mark.filterwarnings("ignore:Shard routing:UserWarning")
@pytest.mark.filterwarnings("ignore:Uneven worker load:UserWarning")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_same_voxels_as_the_reference(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    ndim = data.draw(st.integers(1, 5))
    extents = st.integers(1, 9 if ndim > 3 else 20)
    shape = tuple(data.draw(st.lists(extents, min_size=ndim, max_size=ndim)))
    chunks = tuple(data.draw(st.integers(1, extent)) for extent in shape)
    factors = data.draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim))
    block = tuple(chunk * factor for chunk, factor in zip(chunks, factors, strict=True))
    dtype = data.draw(st.sampled_from(DTYPES))
    source_kind = data.draw(
        st.sampled_from(["numpy", "big-endian", "fortran", "zarr2", "zarr3", "h5"])
    )
    target_kind = data.draw(st.sampled_from(["numpy", "fortran", "zarr2", "zarr3", "shards", "h5"]))
    target_dtype = data.draw(st.sampled_from([dtype, "float64", "int64"]))
    mask = data.draw(st.sampled_from([None, "some", "none"]))
    workers = data.draw(st.integers(1, 3))
    total = int(np.prod([-(-n // b) for n, b in zip(shape, block, strict=True)]))
    ids = data.draw(st.none() | st.lists(st.integers(0, total - 1), unique=True, min_size=1))
    folder = tmp_path_factory.mktemp("parity")
    content = values(shape, dtype)
    inside = None
    if mask is not None:
        inside = (np.random.default_rng(1).random(shape) < 0.4) & (mask == "some")

    def make(kind: str, name: str, like: np.ndarray) -> Any:
        if kind == "numpy":
            return like.copy()
        if kind == "big-endian":
            return like.astype(like.dtype.newbyteorder(">"))
        if kind == "fortran":
            return np.asfortranarray(like)
        if kind == "h5":
            file = h5py.File(folder / f"{name}.h5", "w")
            return file.create_dataset("data", data=like, chunks=chunks)
        options: dict[str, Any] = {"chunks": chunks, "zarr_format": 2 if kind == "zarr2" else 3}
        if kind == "shards":
            options["shards"] = block
        return zarr.create_array(folder / f"{name}.zarr", data=like, **options)

    results = []
    for module in (bioimage_py, bp):
        source = make(source_kind, f"in-{module.__name__}", content)
        target = make(target_kind, f"out-{module.__name__}", np.zeros(shape, target_dtype))
        result = module.copy(
            source, target, block_shape=block, num_workers=workers, mask=inside, block_ids=ids
        )
        assert result is target
        results.append(np.asarray(target[...]))
    theirs, ours = results
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shards", [None, (16, 16, 16)])
def test_every_way_to_work_gives_the_same(home: Path, shards: tuple[int, ...] | None) -> None:
    content = values((30, 33, 20), "uint16")
    source = zarr.create_array(home / "in.zarr", data=content, chunks=(8, 8, 8))
    inside = np.random.default_rng(1).random(content.shape) < 0.5
    mask = zarr.create_array(home / "mask.zarr", data=inside, chunks=(8, 8, 8))
    expected = np.where(inside, content, 0)
    for number, (job_type, workers) in enumerate([("local", 1), ("local", 2), ("subprocess", 2)]):
        target = zarr.create_array(
            home / f"out{number}.zarr",
            shape=content.shape,
            dtype="uint16",
            chunks=(8, 8, 8),
            shards=shards,
        )
        bp.copy(
            source,
            target,
            block_shape=(8, 16, 8),
            job_type=job_type,
            num_workers=workers,
            mask=mask,
        )
        np.testing.assert_array_equal(np.asarray(target[...]), expected)
    np.testing.assert_array_equal(bp.copy(source), content)


def test_native_arrays_are_opened_natively(home: Path) -> None:
    content = values((4, 6), "uint8")
    stored = zarr.create_array(home / "in.zarr", data=content, chunks=(2, 2))
    kinds = {
        "memory": content,
        "zarr": stored,
        "python": zarr.create_array(zarr.storage.MemoryStore(), data=content, chunks=(2, 2)),
    }
    for kind, array in kinds.items():
        assert engine_array(bp.as_source(array), writable=False).kind == kind
    assert engine_array(bp.as_source(content[:, ::2]), writable=False).kind == "python"
    assert engine_array(bp.open_source(home / "in.zarr"), writable=True).kind == "zarr"


def refusal(module: Any, *arguments: Any, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the point is to compare
        module.copy(*arguments, **options)
    return caught.value


def test_refusals_are_the_reference_s(home: Path) -> None:
    content = values((20, 20), "uint8")
    stored = zarr.create_array(home / "in.zarr", data=content, chunks=(8, 8))
    out = np.zeros_like(content)
    cases: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("in.zarr",), {}),
        (([1, 2, 3],), {}),
        ((content, out), {"num_workers": 2}),
        ((content, out), {"block_shape": (4,)}),
        ((content, out), {"block_shape": (0, 4)}),
        ((content, content), {"block_shape": (4, 4)}),
        ((content, np.zeros((20, 21), "uint8")), {"block_shape": (4, 4)}),
        ((content, out), {"block_shape": (4, 4), "mask": np.ones((20, 21))}),
        ((content,), {"job_type": "subprocess"}),
        ((content, stored), {"job_type": "subprocess", "block_shape": (8, 8)}),
        ((content, stored), {"block_shape": (12, 8)}),
        ((content, out), {"job_type": "cluster"}),
        ((content, out), {"resume_from": "x", "block_ids": [1]}),
        ((content, out), {"resume_from": "x"}),
        ((content, out), {"block_shape": (4, 4), "block_ids": [3, 99]}),
    ]
    for arguments, options in cases:
        theirs, ours = (refusal(module, *arguments, **options) for module in (bioimage_py, bp))
        name = type(theirs).__name__
        assert any(base.__name__ == name for base in type(ours).__mro__), (options, ours, theirs)
        # The sentences differ where ours also says what would work; their beginning does not.
        assert str(ours)[:40] == str(theirs)[:40] or name == "RunnerError", (ours, theirs)


def test_failed_blocks_are_named() -> None:
    class Broken:
        shape, dtype = (8, 8), np.dtype("uint8")

        def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
            if region[0].start == 4:
                raise OSError("no such plane")
            return np.ones([part.stop - part.start for part in region], "uint8")

    with pytest.raises(bp.RunnerError, match="no such plane") as caught:
        bp.copy(Broken(), np.zeros((8, 8), "uint8"), block_shape=(4, 4), num_workers=2)
    assert caught.value.failed_block_ids == [2, 3]
    assert any("__getitem__" in note for note in caught.value.__notes__)


def test_paths_make_what_is_missing(home: Path) -> None:
    content = values((20, 20), "uint16")
    written = bp.copy(content, home / "out.zarr", chunks=(8, 8), codec="gzip:2", dtype="uint8")
    assert (written.shape, written.chunks, written.dtype) == ((20, 20), (8, 8), np.dtype("uint8"))
    np.testing.assert_array_equal(written[...], content.astype("uint8"))
    again = bp.copy(str(home / "out.zarr"), str(home / "b.zarr"), num_workers=2)
    np.testing.assert_array_equal(again[...], content.astype("uint8"))
    with pytest.raises(FileExistsError):
        bp.copy(np.zeros((3, 3)), home / "b.zarr")


@pytest.mark.parametrize("moment", ["begun", "reading"])
def test_an_interrupt_stops_within_a_second_and_says_how_to_go_on(home: Path, moment: str) -> None:
    # What a shell starts in the background ignores the signal, and so would the tests it runs.
    code = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np, time, zarr, bioimage_rs as bp
class Slow:
    shape, dtype = (4000,), np.dtype("uint8")
    def __getitem__(self, region):
        print("reading", flush=True)
        time.sleep(0.01)
        return np.ones(region[0].stop - region[0].start, "uint8")
print("begun", flush=True)
bp.copy(Slow(), np.zeros(4000, "uint8"), block_shape=(1,), num_workers=2)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while moment not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - asked < 2
    assert "KeyboardInterrupt" in said
    # Before there is a run, there is nothing to resume.
    assert moment == "begun" or "started again" in said


def test_runs_can_be_attached_to(home: Path) -> None:
    content = values((16, 16), "uint8")
    source = zarr.create_array(home / "in.zarr", data=content, chunks=(8, 8))
    target = zarr.create_array(home / "out.zarr", shape=(16, 16), dtype="uint8", chunks=(4, 4))
    bp.copy(source, target, block_shape=(8, 8), num_workers=2)
    (run,) = bp.runs()
    assert bp.attach("last").id == run.id == bp.attach(run.id[:4]).id
    assert (run.state, run.counts["done"], run.failures) == ("succeeded", 4, [])
    np.testing.assert_array_equal(run.output[...], content)
    with pytest.raises(LookupError):
        bp.attach("nothing")
    with pytest.raises(ValueError, match="nothing is left"):
        run.resume()
