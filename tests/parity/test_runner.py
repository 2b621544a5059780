"""Functions per block against the installed reference: the same values on every backend."""

import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_py.runner
import bioimage_py.util
import bioimage_rs as bp
import bioimage_rs.runner
import bioimage_rs.util
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_client.manager import KernelManager

BACKENDS = [("local", 1), ("local", 3), ("subprocess", 3)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_signature(ours: Any, theirs: Any) -> None:
    """Everything that can be passed to theirs can be passed to ours, in the same way."""
    mine = inspect.signature(ours).parameters
    names = list(mine)
    for index, (name, parameter) in enumerate(inspect.signature(theirs).parameters.items()):
        assert name in mine, f"{theirs.__name__}: {name}"
        assert mine[name].kind == parameter.kind, f"{theirs.__name__}: {name}"
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert names[index] == name
        default, expected = mine[name].default, parameter.default
        assert default == expected or repr(default) == repr(expected), f"{theirs.__name__}: {name}"


UTIL = [name for name in bioimage_rs.util.__all__ if name[0].islower()]


@pytest.mark.parametrize("name", UTIL)
def test_helpers_have_the_signatures_of_the_reference(name: str) -> None:
    check_signature(getattr(bioimage_rs.util, name), getattr(bioimage_py.util, name))


def test_runners_have_the_signatures_of_the_reference() -> None:
    for method in ("run", "map", "__init__"):
        ours, theirs = bioimage_rs.runner.Runner, bioimage_py.runner.Runner
        check_signature(getattr(ours, method), getattr(theirs, method))
    for name in ("run_block", "get_runner", "RunnerConfig", "RunnerError"):
        check_signature(getattr(bioimage_rs.runner, name), getattr(bioimage_py.runner, name))
    check_signature(bp.copy, bioimage_py.copy)
    theirs_all = set(bioimage_py.util.__dict__) & set(bioimage_rs.util.__all__)
    assert theirs_all >= set(UTIL)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 13)) for _ in range(ndim))
    chunks = tuple(draw(st.integers(1, 5)) for _ in range(ndim))
    factors = tuple(draw(st.integers(1, 2)) for _ in range(ndim))
    block_shape = tuple(c * f for c, f in zip(chunks, factors, strict=True))
    halo = [draw(st.integers(0, 4)) for _ in range(ndim)]
    counts = [-(-n // b) for n, b in zip(shape, block_shape, strict=True)]
    total = int(np.prod(counts))
    subset = draw(st.none() | st.lists(st.integers(0, total - 1), min_size=1, unique=True))
    roi = None
    if draw(st.booleans()):
        roi = tuple(
            slice(chunk * draw(st.integers(0, (n - 1) // chunk)), None)
            for chunk, n in zip(chunks, shape, strict=True)
        )
        subset = None
    return {
        "shape": shape,
        "chunks": chunks,
        "block_shape": block_shape,
        "halo": halo,
        "mask": draw(st.booleans()),
        "two": draw(st.booleans()),
        "roi": roi,
        "block_ids": subset,
        "seed": draw(st.integers(0, 1000)),
    }


def run_case(library: Any, case: dict[str, Any], folder: Path, job: str, workers: int) -> Any:
    random = np.random.default_rng(case["seed"])
    data = random.integers(0, 200, case["shape"]).astype("uint8")
    mask = random.random(case["shape"]) > 0.6
    shape, chunks = case["shape"], case["chunks"]
    arrays = {
        "in": zarr.create_array(folder / "in.zarr", data=data, chunks=chunks),
        "mask": zarr.create_array(folder / "mask.zarr", data=mask, chunks=chunks),
        "out": zarr.create_array(
            folder / "out.zarr", shape=shape, dtype="float32", chunks=chunks, fill_value=7
        ),
    }
    to_roi = library.to_roi

    # A function of its own for each library, pickled by value.
    def function(block: Any, inputs: Any, outputs: Any, mask: Any) -> Any:
        import numpy as np

        outer, inner = to_roi(block.outer_block), to_roi(block.inner_block)
        data = inputs[0][outer].astype("float64")
        if len(inputs) > 1:
            data = data + inputs[1][outer]
        result = np.cumsum(data[::-1], axis=0)[::-1][to_roi(block.inner_block_local)]
        if mask is not None:
            result = np.where(mask[inner], result, outputs[0][inner])
        outputs[0][inner] = result
        return float(result.sum()), tuple(block.inner_block.begin)

    values = library.get_runner(job).run(
        function,
        [arrays["in"], arrays["in"]] if case["two"] else [arrays["in"]],
        [arrays["out"]],
        block_shape=case["block_shape"],
        halo=case["halo"],
        mask=arrays["mask"] if case["mask"] else None,
        num_workers=workers,
        block_ids=case["block_ids"],
        has_return_val=True,
        roi=case["roi"],
    )
    return values, arrays["out"][...]


def compare(case: dict[str, Any], folder: Path, job: str, workers: int) -> None:
    values, written = run_case(bp, case, folder / "ours", job, workers)
    expected_values, expected = run_case(bioimage_py, case, folder / "theirs", "local", 1)
    assert values == expected_values
    np.testing.assert_array_equal(written, expected)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=cases(), workers=st.sampled_from([1, 3]))
def test_any_function_gives_what_the_reference_gives(
    case: dict[str, Any], workers: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare(case, tmp_path_factory.mktemp("case"), "local", workers)


@settings(
    deadline=None,
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=cases())
def test_and_so_do_worker_processes(
    case: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare(case, tmp_path_factory.mktemp("case"), "subprocess", 3)


@pytest.mark.parametrize(("job", "workers"), BACKENDS)
def test_map_gives_what_the_reference_gives(job: str, workers: int) -> None:
    def square(item: int) -> dict[str, int]:
        return {"item": item, "square": item * item}

    ours = bp.get_runner(job).map(square, 20, num_workers=workers)
    assert ours == bioimage_py.get_runner("local").map(square, 20)
    some = bp.get_runner(job).map(square, item_ids=[7, 3, 12], num_workers=workers)
    assert some == [square(7), square(3), square(12)]
    assert bp.get_runner(job).map(square, 0) == []
    assert bp.get_runner(job).map(square, 4, has_return_val=False, num_workers=workers) is None


def test_helpers_give_what_the_reference_gives() -> None:
    ours, theirs = bioimage_rs.util, bioimage_py.util
    sigmas: list[tuple[Any, int]] = [(1.5, 0), (2, 1), ([0.7, 3.0], 2)]
    for sigma, order in sigmas:
        assert ours.sigma_to_halo(sigma, order) == theirs.sigma_to_halo(sigma, order)
    factors: list[tuple[Any, bool]] = [(2, True), (3, False), ((1, 2), True)]
    for factor, up in factors:
        assert ours.downscale_shape((7, 9), factor, up) == theirs.downscale_shape(
            (7, 9), factor, up
        )
    mine, other = ours.get_blocking((10, 7), (4, 4)), theirs.get_blocking((10, 7), (4, 4))
    assert mine.number_of_blocks == other.number_of_blocks
    for number in range(mine.number_of_blocks):
        a, b = mine.get_block_with_halo(number, [1, 9]), other.get_block_with_halo(number, [1, 9])
        for part in ("outer_block", "inner_block", "inner_block_local"):
            for edge in ("begin", "end", "shape"):
                assert getattr(getattr(a, part), edge) == getattr(getattr(b, part), edge)
        for axis in (0, 1):
            for lower in (True, False):
                neighbor = mine.get_neighbor_id(number, axis, lower)
                assert neighbor == other.get_neighbor_id(number, axis, lower)
    assert mine.coordinates_to_block_id([9, 6]) == other.coordinates_to_block_id([9, 6])
    for bad in ((0,), (1, 1)):
        with pytest.raises(ValueError, match="block_shape") as reason:
            ours.get_blocking((4,), bad)
        with pytest.raises(ValueError, match="block_shape") as refused:
            theirs.get_blocking((4,), bad)
        assert str(reason.value) == str(refused.value)
    labels = np.random.default_rng(0).integers(0, 5, (4, 5)).astype("uint64")
    mapping = {0: 0, 1: 10, 2: 10, 3: 7, 4: 1}
    np.testing.assert_array_equal(
        ours.take_mapping(mapping, labels), theirs.take_mapping(mapping, labels)
    )
    with pytest.raises(IndexError, match="relabeling is missing key 4"):
        ours.take_mapping({0: 0, 1: 1, 2: 2, 3: 3}, labels)


@given(
    shape=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    block=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    shard=st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def test_blocks_are_grouped_by_shards_as_in_the_reference(
    shape: list[int], block: list[int], shard: list[int]
) -> None:
    class Sharded(bp.sources.ArraySource):
        @property
        def shards(self) -> tuple[int, ...]:
            return tuple(shard[: len(shape)])

    output = Sharded(np.zeros(shape))
    groups = []
    for util in (bioimage_rs.util, bioimage_py.util):
        blocking = util.get_blocking(shape, block[: len(shape)])
        groups.append(
            util.group_blocks_by_shard(blocking, [output], range(blocking.number_of_blocks))
        )
    assert groups[0] == groups[1]


def refusals() -> list[tuple[str, Callable[[Any], Any]]]:
    data = np.zeros((8, 8), "uint8")
    nothing = lambda *_: None  # noqa: E731

    def run(library: Any, *args: Any, job: str = "local", **options: Any) -> Any:
        return library.get_runner(job).run(nothing, *args, **options)

    return [
        ("no arrays", lambda lib: run(lib, [])),
        ("shapes", lambda lib: run(lib, [data, data[1:]], block_shape=(4, 4))),
        ("mask", lambda lib: run(lib, [data], block_shape=(4, 4), mask=data[1:])),
        ("output", lambda lib: run(lib, [data], [data[1:]], block_shape=(4, 4))),
        ("halo", lambda lib: run(lib, [data], block_shape=(4, 4), halo=[1])),
        ("no block shape", lambda lib: run(lib, [data])),
        ("resume and ids", lambda lib: run(lib, [data], resume_from="x", block_ids=[1])),
        ("resume locally", lambda lib: run(lib, [data], resume_from="x")),
        ("in memory", lambda lib: run(lib, [data], block_shape=(4, 4), job="subprocess")),
        ("job type", lambda lib: lib.get_runner("cloud")),
        ("map what", lambda lib: lib.get_runner("local").map(nothing)),
        (
            "map twice",
            lambda lib: lib.get_runner("local").map(nothing, item_ids=[1], resume_from="x"),
        ),
    ]


@pytest.mark.parametrize("case", [name for name, _ in refusals()])
def test_refusals_are_of_the_reference_s_type(case: str) -> None:
    attempt = dict(refusals())[case]
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        attempt(bioimage_py)
    with pytest.raises(type(theirs.value)) as ours:
        attempt(bp)
    words = str(theirs.value).split(".")[0].split("'")[0][:30]
    if case != "job type":
        assert words in str(ours.value)


def make(folder: Path, blocks: int = 8) -> tuple[Any, Any]:
    source = zarr.create_array(folder / "a.zarr", data=np.arange(blocks * 4), chunks=(4,))
    output = zarr.create_array(folder / "b.zarr", shape=(blocks * 4,), dtype="int64", chunks=(4,))
    return source, output


@pytest.mark.parametrize(("job", "workers"), BACKENDS)
def test_failed_blocks_are_told_with_their_traceback_and_can_be_finished(
    job: str, workers: int, home: Path
) -> None:
    source, output = make(home)
    cure = home / "cure"

    def sometimes(block: Any, inputs: Any, outputs: Any, mask: Any) -> int:
        if block.begin[0] in (8, 20) and not cure.exists():
            raise ValueError(f"no value at {block.begin[0]}")
        outputs[0][bp.to_roi(block)] = inputs[0][bp.to_roi(block)] + 1
        return int(block.begin[0])

    runner = bp.get_runner(job)
    with pytest.raises(bp.RunnerError, match=r"failed in 'careful': \[2, 5\]") as caught:
        runner.run(sometimes, [source], [output], num_workers=workers, name="careful")
    error = caught.value
    assert error.failed_block_ids == [2, 5]
    assert "ValueError('no value at" in str(error)
    assert [failure.block_id for failure in error.failures] == [2, 5]
    for failure in error.failures:
        assert failure.kind == "foreign"
        assert "in sometimes" in (failure.traceback or "")
    assert (error.tmp_folder is None) == (job == "local")
    if job == "local":
        assert isinstance(error.__cause__, ValueError)
    cure.touch()
    if job == "local":
        again = runner.run(
            sometimes, [source], [output], block_ids=error.failed_block_ids, has_return_val=True
        )
        assert again == [8, 20]
    else:
        assert error.tmp_folder is not None
        runner.run(sometimes, [source], [output], resume_from=error.tmp_folder)
    np.testing.assert_array_equal(output[...], np.arange(32) + 1)


@pytest.mark.parametrize("job", ["local", "subprocess"])
def test_the_arrays_of_a_function_may_have_moved_before_its_resume(job: str, home: Path) -> None:
    here, there = home / "here", home / "there"
    here.mkdir()
    source, output = make(here)
    cure = home / "cure"

    def sometimes(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin[0] == 8 and not cure.exists():
            raise ValueError("not yet")
        outputs[0][bp.to_roi(block)] = inputs[0][bp.to_roi(block)] + 1

    with pytest.raises(bp.RunnerError) as caught:
        bp.get_runner(job).run(sometimes, [source], [output], num_workers=2)
    here.rename(there)
    cure.touch()
    assert caught.value.run is not None
    run = bp.attach(caught.value.run.id)
    run.resume(paths={str(here): str(there)})
    assert not here.exists()
    written = zarr.open_array(there / "b.zarr", mode="r")
    np.testing.assert_array_equal(written[...], np.arange(32) + 1)


def test_values_of_an_interrupted_run_are_kept_for_its_resume(home: Path) -> None:
    source, _ = make(home)
    cure = home / "cure"

    def sometimes(block: Any, inputs: Any, outputs: Any, mask: Any) -> int:
        if block.begin[0] == 8 and not cure.exists():
            raise ValueError
        return int(inputs[0][bp.to_roi(block)].sum())

    runner = bp.get_runner("subprocess")
    with pytest.raises(bp.RunnerError) as caught:
        runner.run(sometimes, [source], num_workers=2, has_return_val=True)
    cure.touch()
    values = runner.run(sometimes, [source], resume_from=caught.value.tmp_folder)
    assert values == [int(np.arange(4 * i, 4 * i + 4).sum()) for i in range(8)]


@pytest.mark.parametrize("how", ["exit", "segfault", "hang", "unpicklable", "missing module"])
def test_what_ends_a_worker_names_the_block_and_where(how: str, home: Path) -> None:
    source, output = make(home, 4)
    cure = home / "cure"

    def end(block: Any, inputs: Any, outputs: Any, mask: Any) -> Any:
        import ctypes
        import os
        import threading
        import time

        outputs[0][bp.to_roi(block)] = inputs[0][bp.to_roi(block)]
        if block.begin[0] != 8 or cure.exists():
            return 1
        if how == "exit":
            os._exit(3)
        if how == "segfault":
            ctypes.string_at(0)
        if how == "hang":
            time.sleep(1000)
        return threading.Lock() if how == "unpicklable" else 1

    function: Any = end
    if how == "missing module":
        (home / "only_here.py").write_text(
            "def end(block, inputs, outputs, mask):\n    outputs[0][:] = 1\n"
        )
        sys.path.insert(0, str(home))
        try:
            import only_here  # type: ignore[import-not-found]
        finally:
            sys.path.remove(str(home))
        function = only_here.end
        (home / "only_here.py").unlink()
    config = bp.RunnerConfig(retries=1, task_timeout=3 if how == "hang" else None)
    runner = bp.get_runner("subprocess", config)
    with pytest.raises(bp.RunnerError) as caught:
        runner.run(function, [source], [output], num_workers=2, has_return_val=True)
    error = caught.value
    told = "\n".join([str(error), *(f"{one.message}\n{one.traceback}" for one in error.failures)])
    if how == "missing module":
        assert {failure.block_id for failure in error.failures} <= {0, 2}
        assert "No module named 'only_here'" in told
        (home / "only_here.py").write_text("def end(block, inputs, outputs, mask):\n    return 1\n")
        values = runner.run(function, [source], [output], resume_from=error.tmp_folder)
        assert values == [1, 1, 1, 1]
        return
    assert error.failed_block_ids == [2]
    expected = {
        "exit": "ended with status 3",
        "segfault": "Segmentation fault",
        "hang": "in end",
        "unpicklable": "cannot be pickled",
    }
    assert expected[how] in told
    cure.touch()
    values = runner.run(function, [source], [output], resume_from=error.tmp_folder)
    assert values == [1, 1, 1, 1]
    np.testing.assert_array_equal(output[...], np.arange(16))


def test_another_major_version_is_refused(home: Path) -> None:
    source, output = make(home, 2)

    def copy(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        raise ValueError

    runner = bp.get_runner("subprocess", bp.RunnerConfig(retries=0))
    with pytest.raises(bp.RunnerError) as caught:
        runner.run(copy, [source], [output])
    payload = Path(caught.value.tmp_folder or "") / "payload"
    content = payload.read_bytes()
    payload.write_bytes(content.replace(b'"numpy": "', b'"numpy": "9', 1))
    with pytest.raises(RuntimeError, match=r"numpy version skew.*Major versions differ"):
        runner.run(copy, [source], [output], resume_from=caught.value.tmp_folder)


def test_a_worker_of_another_major_version_names_its_block(home: Path) -> None:
    source, output = make(home, 2)
    other = home / "python"
    other.write_text(
        f"""#!{sys.executable}
import runpy, sys
import numpy
numpy.__version__ = "1" + numpy.__version__
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
    )
    other.chmod(0o755)

    def copy(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        outputs[0][bp.to_roi(block)] = inputs[0][bp.to_roi(block)]

    config = bp.RunnerConfig(python_executable=str(other))
    with pytest.raises(bp.RunnerError, match="numpy version skew") as caught:
        bp.get_runner("subprocess", config).run(copy, [source], [output])
    (failure,) = caught.value.failures
    assert failure.block_id == 0
    assert "_check_versions" in (failure.traceback or "")
    assert caught.value.failed_block_ids == [0, 1]
    again = caught.value.failed_block_ids
    bp.get_runner("subprocess").run(copy, [source], [output], block_ids=again)
    np.testing.assert_array_equal(output[...], np.arange(8))


@pytest.mark.parametrize("job", ["local", "subprocess"])
def test_values_come_while_others_are_computed(job: str, home: Path) -> None:
    go_on = home / "go on"

    def wait(item: int) -> int:
        import time

        while item == 1 and not go_on.exists():
            time.sleep(0.01)
        return 10 * item

    run = bp.get_runner(job).start_map(wait, 2, num_workers=2)
    assert run is not None
    stream = run.stream()
    assert next(stream) == (0, 0)
    assert run.state == "running"
    go_on.touch()
    assert list(stream) == [(1, 10)]
    assert run.state == "succeeded"
    assert run.result == [0, 10]


def test_progress_is_told(home: Path) -> None:
    told: list[dict[str, int]] = []
    bp.get_runner("local").map(lambda item: item, 30, num_workers=2, progress=told.append)
    assert told[-1]["done"] == told[-1]["total"] == 30


def test_the_function_s_block_is_the_last_one_after_an_interrupt(home: Path) -> None:
    code = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np, bioimage_rs as bp
def slow(item):
    print("begun", item, flush=True)
    time.sleep(0.5)
try:
    bp.get_runner("local").map(slow, 1000, num_workers=2)
except KeyboardInterrupt:
    time.sleep(0.2)
    tasks = "/proc/self/task"
    names = [open(f"{tasks}/{task}/comm").read().strip() for task in os.listdir(tasks)]
    print("stopped", [name for name in names if name.startswith(("run", "read", "bp"))], flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert time.monotonic() - asked < 3
    assert said.splitlines()[-1] == "stopped []"
    assert said.count("begun") < 6


@pytest.mark.parametrize("job", ["local", "subprocess"])
def test_an_interrupt_in_a_notebook_leaves_nothing_behind(job: str, home: Path) -> None:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(home))
    client = manager.client()
    client.start_channels()

    def run(code: str, *, interrupt_after: str | None = None) -> str:
        client.execute(code)
        said: str = ""
        while True:
            message = client.get_iopub_msg(timeout=30)
            content = message["content"]
            said += content.get("text", "") + "".join(content.get("traceback", ""))
            if content.get("execution_state") == "idle":
                if message["parent_header"].get("msg_type") == "execute_request":
                    return said
            elif interrupt_after is not None:
                deadline = time.monotonic() + 20
                while not (home / interrupt_after).exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
                manager.interrupt_kernel()
                interrupt_after = None

    try:
        client.wait_for_ready(timeout=30)
        run(
            f"""
import bioimage_rs as bp
def slow(item):
    import os, time
    open("begun", "w").close()
    open(f"pid-{{os.getpid()}}", "w").close()
    time.sleep(0.5)
runner = bp.get_runner({job!r})
"""
        )
        asked = time.monotonic()
        said = run("runner.map(slow, 1000, num_workers=2)", interrupt_after="begun")
        assert "KeyboardInterrupt" in said
        assert "resume" in said
        assert time.monotonic() - asked < 10
        left = run(
            "import os, time; time.sleep(0.3)\n"
            "tasks = '/proc/self/task'\n"
            "names = [open(f'{tasks}/{task}/comm').read() for task in os.listdir(tasks)]\n"
            "print([name for name in names if name.startswith(('run', 'read', 'bp'))])"
        )
        assert "[]" in left
        if job == "subprocess":
            pids = [int(path.name[4:]) for path in home.glob("pid-*")]
            assert pids
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(("job", "workers"), BACKENDS)
def test_map_blocks_puts_blocks_together(job: str, workers: int, home: Path) -> None:
    random = np.random.default_rng(3)
    data = random.random((21, 17))
    source = zarr.create_array(home / "a.zarr", data=data, chunks=(8, 8))
    output = zarr.create_array(home / "b.zarr", shape=(21, 17), dtype="float32", chunks=(8, 8))
    mask = zarr.create_array(home / "m.zarr", data=data > 0.3, chunks=(8, 8))

    def add_above(a: Any, b: Any) -> Any:
        above = np.zeros_like(a)
        above[1:] = a[:-1]
        return above + b

    bp.map_blocks(
        add_above, [source, source], output, halo=(1, 0), num_workers=workers, job_type=job
    )
    above = np.zeros_like(data)
    above[1:] = data[:-1]
    np.testing.assert_array_equal(output[...], (above + data).astype("float32"))
    bp.map_blocks(lambda a: -a, source, output, mask=mask, num_workers=workers, job_type=job)
    expected = np.where(data > 0.3, -data, above + data).astype("float32")
    np.testing.assert_array_equal(output[...], expected)


def test_map_blocks_does_not_change_what_it_reads() -> None:
    data = np.ones((8, 8))

    def spoil(block: Any) -> Any:
        block *= 2
        return block

    doubled = bp.map_blocks(spoil, data, halo=1, block_shape=(4, 4))
    assert (data == 1).all()
    assert (doubled == 2).all()
    with pytest.raises(ValueError, match="halo"):
        bp.map_blocks(np.negative, data, data, halo=1, block_shape=(4, 4))
    with pytest.raises(ValueError, match="Unknown mode 'wrap'"):
        bp.for_each_location(data, np.max, 1, mode="wrap")


def test_map_blocks_refuses_other_shapes_by_name(home: Path) -> None:
    with pytest.raises(bp.RunnerError, match="must keep the shape"):
        bp.map_blocks(lambda a: a[1:], np.zeros((8, 8)), block_shape=(4, 4))
    counted = bp.map_blocks(np.sum, np.ones((8, 8)), block_shape=(4, 4), dtype="uint16")
    assert counted.dtype == np.uint16
    assert (counted == 16).all()


@pytest.mark.parametrize("vectorized", [False, True])
def test_each_location_sees_its_window(vectorized: bool) -> None:
    from scipy import ndimage

    data = np.random.default_rng(5).integers(0, 99, (13, 9))
    ours = bp.for_each_location(
        data, np.max, (2, 1), mode="symmetric", vectorized=vectorized, block_shape=(4, 4)
    )
    np.testing.assert_array_equal(ours, ndimage.maximum_filter(data, (5, 3), mode="reflect"))


def test_defaults_hold_inside_the_block_only() -> None:
    seen = []

    def progress(counts: dict[str, int]) -> None:
        seen.append(counts["total"])

    data = np.ones((8, 8))
    with bp.defaults(num_workers=2, block_shape=(4, 4)):
        bp.map_blocks(np.negative, data, progress=progress)
        with bp.defaults(block_shape=(2, 2)):
            bp.map_blocks(np.negative, data, progress=progress)
        bp.map_blocks(np.negative, data, block_shape=(8, 8), progress=progress)
    assert {4, 16, 1} == set(seen)
    with pytest.raises(TypeError, match="defaults"), bp.defaults(workers=2):
        pass


def test_foreign_sources_work_in_worker_processes(home: Path) -> None:
    import h5py

    with h5py.File(home / "a.h5", "w") as file:
        file["data"] = np.arange(64).reshape(8, 8)
    source = bp.open_source(home / "a.h5", "data")
    output = zarr.create_array(home / "b.zarr", shape=(8, 8), dtype="int64", chunks=(4, 4))
    bp.copy(source, output, block_shape=(4, 4), job_type="subprocess", num_workers=2)
    np.testing.assert_array_equal(output[...], np.arange(64).reshape(8, 8))


def test_a_read_that_fails_inside_a_function_is_tried_again(home: Path) -> None:
    source, output = make(home)
    chunk = home / "a.zarr" / "c" / "3"
    hidden = home / "hidden"
    chunk.rename(hidden)
    chunk.mkdir()
    tries = []

    def copy(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        if block.begin[0] == 12:
            tries.append(1)
            if len(tries) == 2:
                chunk.rmdir()
                hidden.rename(chunk)
        outputs[0][bp.to_roi(block)] = inputs[0][bp.to_roi(block)]

    bp.get_runner("local").run(copy, [source], [output], num_workers=2)
    assert len(tries) == 2
    np.testing.assert_array_equal(output[...], np.arange(32))


def test_a_script_may_end_before_its_run(home: Path) -> None:
    code = """
import time, numpy as np, bioimage_rs as bp
run = bp.get_runner("local").start_map(lambda item: time.sleep(0.01), 100000, num_workers=2)
next(run.stream())
print("ends", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_the_next_block_is_read_while_a_function_works(home: Path) -> None:
    source, output = make(home)
    opened = bp.open_source(home / "a.zarr")

    def readers() -> list[str]:
        tasks = Path("/proc/self/task").iterdir()
        return [task.joinpath("comm").read_text().strip() for task in tasks]

    for array in (source, opened):
        seen: list[bool] = []

        def work(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
            roi = bp.to_roi(block)
            outputs[0][roi] = inputs[0][roi]
            seen.append("read ahead" in readers())  # noqa: B023
            chunk = home / "a.zarr" / "c" / str(block.begin[0] // 4 + 1)
            if block.begin[0] == 8:
                # It has been read when this block is over, and is not asked for again.
                time.sleep(0.3)
                chunk.rename(home / "gone")
            if block.begin[0] == 12:
                (home / "gone").rename(home / "a.zarr" / "c" / "3")

        bp.get_runner("local").run(work, [array], [output], num_workers=1)
        assert all(seen)
        np.testing.assert_array_equal(output[...], np.arange(32))
        output[...] = 0


def test_nothing_is_read_ahead_of_what_is_written(home: Path) -> None:
    source, _ = make(home)

    def running(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        outer, inner = bp.to_roi(block.outer_block), bp.to_roi(block.inner_block)
        local = bp.to_roi(block.inner_block_local)
        outputs[0][inner] = np.cumsum(inputs[0][outer])[local]

    again = zarr.open_array(home / "a.zarr", mode="r+")
    bp.get_runner("local").run(running, [source], [again], halo=[1], num_workers=1)
    expected = np.arange(32)
    for start in range(0, 32, 4):
        outer = max(start - 1, 0)
        expected[start : start + 4] = np.cumsum(expected[outer : start + 5])[start - outer :][:4]
    np.testing.assert_array_equal(again[...], expected)


def test_a_block_that_lost_a_worker_is_not_said_to_fail(home: Path) -> None:
    source, output = make(home)

    def work(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        import os

        first = home / f"lost-{block.begin[0]}"
        if block.begin[0] in (8, 16) and not first.exists():
            first.touch()
            os._exit(3)
        if block.begin[0] in (16, 20):
            raise ValueError(f"at {block.begin[0]}")
        outputs[0][bp.to_roi(block)] = inputs[0][bp.to_roi(block)]

    with pytest.raises(bp.RunnerError) as caught:
        bp.get_runner("subprocess").run(work, [source], [output], num_workers=2)
    for _ in range(5):
        assert [one.block_id for one in caught.value.run.failures] == [4, 5]
    assert caught.value.failed_block_ids == [4, 5]
    assert "at 16" in caught.value.failures[0].message


@pytest.mark.parametrize(("job", "workers"), BACKENDS)
def test_functions_write_shards(job: str, workers: int, home: Path) -> None:
    data = np.arange(24 * 20).reshape(24, 20)
    source = zarr.create_array(home / "a.zarr", data=data, chunks=(4, 4))
    output = zarr.create_array(
        home / "b.zarr", shape=data.shape, dtype="int64", chunks=(4, 4), shards=(8, 12)
    )

    def negative(block: Any, inputs: Any, outputs: Any, mask: Any) -> list[int]:
        roi = bp.to_roi(block)
        outputs[0][roi] = -inputs[0][roi]
        return list(block.begin)

    values = bp.get_runner(job).run(
        negative, [source], [output], num_workers=workers, has_return_val=True
    )
    np.testing.assert_array_equal(output[...], -data)
    assert values == [[y, x] for y in range(0, 24, 4) for x in range(0, 20, 4)]


@pytest.mark.parametrize("job", ["local", "subprocess"])
def test_items_have_any_number(job: str) -> None:
    ids = [10**15, 3, -7]

    def work(item: int) -> int:
        if item == 3:
            raise ValueError
        return item + 1

    runner = bp.get_runner(job)
    with pytest.raises(bp.RunnerError, match=r"1 item\(s\) failed in 'work': \[3\]") as caught:
        runner.map(work, item_ids=ids)
    assert caught.value.failed_block_ids == [3]
    assert caught.value.failures[0].block_id == 3
    run = runner.start_map(lambda item: item, item_ids=ids)
    assert run is not None
    assert sorted(run.stream()) == [(one, one) for one in sorted(ids)]


def test_a_local_run_is_resumed_with_all_its_values(home: Path) -> None:
    source, _ = make(home)
    cure = home / "cure"

    def total(block: Any, inputs: Any, outputs: Any, mask: Any) -> int:
        if block.begin[0] == 8 and not cure.exists():
            raise ValueError
        return int(inputs[0][bp.to_roi(block)].sum())

    with pytest.raises(bp.RunnerError) as caught:
        bp.get_runner("local").run(total, [source], has_return_val=True)
    cure.touch()
    assert sum(caught.value.run.resume().result) == np.arange(32).sum()


def test_a_callback_that_raises_stops_the_run(home: Path) -> None:
    def refuse(counts: dict[str, int]) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        bp.get_runner("local").map(lambda item: time.sleep(0.1), 1000, progress=refuse)
    deadline = time.monotonic() + 5
    while bp.runs()[0].state != "cancelled" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert bp.runs()[0].state == "cancelled"


def test_a_script_that_ends_is_tidied_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import bioimage_rs as bp, numpy as np
class Told:
    def __del__(self):
        print("tidied up")
told = Told()
def total(block, inputs, outputs, mask):
    return int(inputs[0][bp.to_roi(block)].sum())
run = bp.get_runner("local").start(total, [np.ones((4, 6))], block_shape=(2, 3))
print(sum(value for _, value in run.stream()))
bp.get_runner("local").map(lambda item: item, 3)
"""
    temporary = home / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for _ in range(5):  # it depended on the threads' order
        said = subprocess.check_output([sys.executable, "-c", script], text=True)
        assert said.split("\n") == ["24", "tidied up", ""]
    assert list(temporary.iterdir()) == []


def test_libraries_use_one_thread_for_each_worker() -> None:
    from threadpoolctl import threadpool_info

    def threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    seen = bp.get_runner("local").map(lambda item: threads(), 4, num_workers=2)
    assert seen == [[1] * len(before)] * 4
    assert threads() == before


def test_no_worker_outlives_a_killed_leader(home: Path) -> None:
    code = """
import time, bioimage_rs as bp
def slow(item):
    import os, time
    open(f"pid-{os.getpid()}", "w").close()
    time.sleep(0.3)
bp.get_runner("subprocess").map(slow, 1000, num_workers=2)
"""
    leader = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while len(list(home.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    leader.kill()
    leader.wait()
    pids = [int(path.name[4:]) for path in home.glob("pid-*")]
    assert len(pids) == 2
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert os.getpid() not in pids
