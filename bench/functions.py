"""One run of Python functions or wrappers: `python bench/functions.py CASE TOOL FOLDER`.

Prints its seconds, without imports, as JSON.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equal
import turns
from copies import put_aside

WORKERS = 2
BLOCKS = 100_000
CHUNKS = (64, 64, 64)
TOOLS = ("bioimage-rs", "bioimage-py")
CASES = {
    "no-op": f"a function that does nothing, {BLOCKS:,} blocks, threads",
    "no-op-processes": f"the same, {BLOCKS:,} blocks, worker processes",
    "start": "a worker process with a pickled function, start to end",
    "plus-one": "numpy `+ 1` per block, Zarr -> Zarr",
    "threshold": "ThresholdSource copied to Zarr",
    "resize": "ResizedSource (half the size, order 1) copied to Zarr",
}
# What has an output to compare.
COMPARED = ("plus-one", "threshold", "resize")


def output(folder: Path, tool: str, shape: tuple[int, ...], dtype: str) -> Any:
    """The empty output array, made by zarr-python for both."""
    import zarr

    path = folder / f"{tool}-function.zarr"
    put_aside(path)
    codec = zarr.codecs.ZstdCodec(level=3)
    return zarr.create_array(path, shape=shape, dtype=dtype, chunks=CHUNKS, compressors=codec)


def prepare(case: str, tool: str, folder: Path) -> Callable[[], Any]:
    """What is timed."""
    import zarr

    library = importlib.import_module(tool.replace("-", "_"))
    # Imports are no part of what is timed, and ours happen with the first use of a name.
    to_roi, copy = library.to_roi, library.copy

    def nothing(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        pass

    def plus_one(block: Any, inputs: Any, outputs: Any, mask: Any) -> None:
        roi = to_roi(block)
        outputs[0][roi] = inputs[0][roi] + 1

    if case in ("no-op", "no-op-processes", "start"):
        job = "local" if case == "no-op" else "subprocess"
        blocks, workers = (1, 1) if case == "start" else (BLOCKS, WORKERS)
        path = folder / "blocks.zarr"
        put_aside(path)
        array = zarr.create_array(path, shape=(blocks,), dtype="uint8", chunks=(1000,))
        runner = library.get_runner(job)
        return lambda: runner.run(nothing, [array], block_shape=(1,), num_workers=workers)
    source = zarr.open_array(folder / "stack.zarr", mode="r")
    if case == "plus-one":
        target = output(folder, tool, source.shape, "uint8")
        runner = library.get_runner("local")
        return lambda: runner.run(
            plus_one, [source], [target], block_shape=CHUNKS, num_workers=WORKERS
        )
    wrapper = importlib.import_module(f"{tool.replace('-', '_')}.wrapper")
    if case == "threshold":
        wrapped = wrapper.ThresholdSource(source, 120)
        target = output(folder, tool, source.shape, "bool")
    else:
        half = tuple(extent // 2 for extent in source.shape)
        wrapped = wrapper.ResizedSource(source, half, order=1)
        target = output(folder, tool, half, "uint8")
    return lambda: copy(wrapped, target, block_shape=CHUNKS, num_workers=WORKERS)


def main() -> None:
    case, tool, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    work = prepare(case, tool, folder)
    begun = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - begun}))


def check(case: str, folder: Path) -> None:
    """Both tools must have written the same."""
    import zarr

    if case in COMPARED:
        arrays = [zarr.open_array(folder / f"{tool}-function.zarr", mode="r") for tool in TOOLS]
        # Interpolated values may be rounded to either side.
        if not equal.close(*arrays, tolerance=1 if case == "resize" else 0):
            raise SystemExit(f"the tools write other voxels in case {case}")


def table(folder: Path, names: Sequence[str], rounds: int) -> str:
    """Compares and times both tools in turn; the table, as Markdown."""
    cases = {name: (CASES[name], TOOLS) for name in names}
    script = Path(__file__).name
    return turns.table(script, cases, folder, rounds, lambda name: check(name, folder))


if __name__ == "__main__":
    main()
