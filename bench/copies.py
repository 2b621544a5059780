"""One copy by one tool, in a process of its own: `python bench/copies.py CASE TOOL FOLDER`.

Prints its seconds, without imports, and the process's peak memory as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

WORKERS = 2
CHUNKS = (64, 64, 64)
OTHER_CHUNKS = (96, 96, 96)
SHARDS = (256, 256, 256)
CASES = {
    "tiff-to-zarr": "TIFF -> Zarr, 64³ zstd chunks",
    "other-grid": "Zarr -> Zarr, other chunk grid",
    "same-grid": "Zarr -> Zarr, same grid and codec",
    "to-numpy": "Zarr -> numpy",
    "to-shards": "to 256³ shards of 64³",
}
TOOLS = ("bioimage-rs", "bioimage-py", "zarr-python", "tensorstore")


def chunks_of(case: str) -> tuple[int, ...]:
    """Chunks of the case's output."""
    return OTHER_CHUNKS if case == "other-grid" else CHUNKS


def put_aside(path: Path) -> None:
    """Make room for another output.

    Files are emptied and not removed while times are taken: for some minutes ext4 makes files
    slowly where many were removed.
    """
    if path.exists():
        aside = path.rename(path.with_name(f"{path.name}.{time.time_ns()}"))
        for folder, _, names in os.walk(aside):
            for name in names:
                os.truncate(Path(folder, name), 0)
        # The disk is told what is free before times are taken, not meanwhile.
        os.sync()


def make_output(case: str, path: Path, shape: tuple[int, ...], dtype: Any) -> Any:
    """The empty output array, made by zarr-python for every tool alike."""
    import zarr

    put_aside(path)
    return zarr.create_array(
        path,
        shape=shape,
        dtype=dtype,
        chunks=chunks_of(case),
        shards=SHARDS if case == "to-shards" else None,
        compressors=zarr.codecs.ZstdCodec(level=3),
    )


def bioimage(module: Any, case: str, source: Path, target: Path | None) -> Callable[[], Any]:
    """Both packages share one interface."""
    import zarr

    if case == "tiff-to-zarr":
        data = module.open_source(str(source))
    else:
        data = zarr.open_array(source, mode="r")
    block = SHARDS if case == "to-shards" else chunks_of(case)
    if target is None:
        output = np.empty(data.shape, data.dtype)
    else:
        output = zarr.open_array(target, mode="r+")
    # Imports are no part of what is timed, and ours happen with the first use of a name.
    copy = module.copy

    def work() -> Any:
        return copy(data, output, num_workers=WORKERS, block_shape=block)

    return work


def zarr_python(case: str, source: Path, target: Path | None) -> Callable[[], Any]:
    """Blocks of the output's write units on threads."""
    import tifffile
    import zarr

    if case == "tiff-to-zarr":
        data: Any = zarr.open_array(tifffile.imread(source, aszarr=True), mode="r")
        # Bands of whole pages, since every page is one chunk.
        block = (CHUNKS[0], *data.shape[1:])
    else:
        data = zarr.open_array(source, mode="r")
        block = SHARDS if case == "to-shards" else chunks_of(case)
    output: Any
    output = (
        np.empty(data.shape, data.dtype) if target is None else zarr.open_array(target, mode="r+")
    )

    def copy(corner: tuple[int, ...]) -> None:
        region = tuple(
            slice(start, start + size) for start, size in zip(corner, block, strict=True)
        )
        output[region] = data[region]

    def work() -> Any:
        grid = (range(0, extent, size) for extent, size in zip(data.shape, block, strict=True))
        corners = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, len(block))
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(copy, map(tuple, corners.tolist())))
        return output

    return work


def tensorstore(case: str, source: Path, target: Path | None) -> Callable[[], Any] | None:
    """Its own copy, held to the same number of threads."""
    import tensorstore as ts

    if case == "tiff-to-zarr":
        return None  # it has no reader for TIFF stacks
    limit = {"limit": WORKERS}
    context = ts.Context({"data_copy_concurrency": limit, "file_io_concurrency": limit})

    def open_array(path: Path) -> Any:
        store = {"driver": "file", "path": str(path)}
        return ts.open({"driver": "zarr3", "kvstore": store}, context=context).result()

    data = open_array(source)
    if target is None:
        return lambda: data.read().result()
    output = open_array(target)
    return lambda: output.write(data).result()


def prepare(case: str, tool: str, folder: Path) -> Callable[[], Any] | None:
    """Everything but the copy itself."""
    source = folder / ("stack.tif" if case == "tiff-to-zarr" else "stack.zarr")
    target = None if case == "to-numpy" else folder / f"{tool}.zarr"
    if target is not None:
        import zarr

        like = zarr.open_array(folder / "stack.zarr", mode="r")
        make_output(case, target, like.shape, like.dtype)
    match tool:
        case "bioimage-rs":
            import bioimage_rs

            return bioimage(bioimage_rs, case, source, target)
        case "bioimage-py":
            import bioimage_py

            return bioimage(bioimage_py, case, source, target)
        case "zarr-python":
            return zarr_python(case, source, target)
        case _:
            return tensorstore(case, source, target)


def peak_memory() -> int:
    """Largest resident memory so far; `getrusage` would count the parent's, too."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    case, tool, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    work = prepare(case, tool, folder)
    if work is None:
        print("null")
        return
    begun = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    if case == "to-numpy" and "--first" in sys.argv:
        np.save(folder / f"{tool}.npy", np.asarray(result))
    print(json.dumps({"seconds": seconds, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
