"""Compares copies with bioimage-py, zarr-python and tensorstore: `python bench/compare.py`.

Every tool copies the same data in one run, its output is compared first, then each is timed in
turn, five times, in processes of their own. Prints a table; `--write FILE` also puts it into a
page.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import functions
import numpy as np
import operations
import tifffile
import zarr
from copies import CASES, CHUNKS, TOOLS, WORKERS

ROUNDS = 5
SHAPE = (256, 1024, 1024)
# Outputs are kept until the end.
NEEDED = 40e9


def make_data(folder: Path) -> None:
    """Blobs under noise: a stack that zstd makes about a quarter smaller."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    blobs = 40 * np.sin(z / 17.0) * np.sin(y / 23.0) * np.sin(x / 29.0)
    stack = np.empty(SHAPE, "uint8")
    for plane in range(SHAPE[0]):
        noise = rng.normal(110, 13, SHAPE[1:])
        stack[plane] = np.clip(blobs[plane] + noise, 0, 255)
    array = zarr.create_array(
        folder / "stack.zarr",
        shape=SHAPE,
        dtype="uint8",
        chunks=CHUNKS,
        compressors=zarr.codecs.ZstdCodec(level=3),
    )
    array[...] = stack
    tifffile.imwrite(
        folder / "stack.tif", stack, compression="zlib", photometric="minisblack", rowsperstrip=64
    )


def run(case: str, tool: str, folder: Path, *flags: str) -> dict[str, float] | None:
    """One copy in a process of its own."""
    # What the tool before it left to be written would slow this one down.
    os.sync()
    script = Path(__file__).with_name("copies.py")
    done = subprocess.run(
        [sys.executable, script, case, tool, folder, *flags],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # progress bars
    )
    result: dict[str, float] | None = json.loads(done.stdout.splitlines()[-1])
    return result


def check_equal(case: str, folder: Path) -> None:
    """All tools must write the same voxels."""
    expected = np.asarray(zarr.open_array(folder / "stack.zarr", mode="r")[...])
    for tool in TOOLS:
        if run(case, tool, folder, "--save") is None:
            continue
        if case == "to-numpy":
            written: Any = np.load(folder / f"{tool}.npy")
        else:
            written = zarr.open_array(folder / f"{tool}.zarr", mode="r")[...]
        if not np.array_equal(expected, np.asarray(written)):
            raise SystemExit(f"{tool} writes other voxels in case {case}")


def measure(case: str, folder: Path) -> dict[str, dict[str, float]]:
    """Medians of seconds and peak memory, the tools taking turns."""
    results: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
    for _ in range(ROUNDS):
        for tool in TOOLS:
            result = run(case, tool, folder)
            if result is not None:
                results[tool].append(result)
    return {
        tool: {
            key: statistics.median(one[key] for one in timed)
            for key in ("seconds", "peak", "before")
        }
        for tool, timed in results.items()
        if timed
    }


def start_of_worker(folder: Path) -> dict[str, float]:
    """Seconds from asking for one tiny block in a worker process to having it."""
    small = folder / "small.zarr"
    zarr.create_array(small, shape=(8, 8, 8), dtype="uint8", chunks=(8, 8, 8))[...] = 1
    medians = {}
    for tool in ("bioimage_rs", "bioimage_py"):
        code = f"""
import time, zarr, {tool} as bp
source = zarr.open_array({str(small)!r}, mode="r")
target = zarr.create_array({str(folder / "start.zarr")!r}, shape=(8, 8, 8), dtype="uint8",
    chunks=(8, 8, 8), overwrite=True)
begun = time.perf_counter()
bp.copy(source, target, job_type="subprocess", num_workers=1, block_shape=(8, 8, 8))
print(time.perf_counter() - begun)
"""
        times = []
        for _ in range(ROUNDS):
            done = subprocess.run(
                [sys.executable, "-c", code], check=True, text=True, capture_output=True
            )
            times.append(float(done.stdout.split()[-1]))
        medians[tool] = statistics.median(times)
    return medians


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine(*libraries: str) -> str:
    """Where and with what something was measured, and when."""
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{platform.system()} {platform.release()}, {processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {versions}; {time.strftime('%Y-%m-%d')}"
    )


def report(results: dict[str, dict[str, dict[str, float]]], starts: dict[str, float]) -> str:
    """The table, as Markdown."""
    compared = [name for name in (*TOOLS, "zarr", "numpy") if name != "zarr-python"]
    lines = [
        f"{machine(*compared)}; {np.prod(SHAPE) / 1e6:.0f} MB of u8, {WORKERS} workers, "
        f"medians of {ROUNDS}.",
        "",
        "| case | " + " | ".join(TOOLS) + " | ratio to bioimage-py | to tensorstore |",
        "|---|" + "---|" * (len(TOOLS) + 2),
    ]
    for case, title in CASES.items():
        medians = results[case]
        own = medians["bioimage-rs"]["seconds"]

        def cell(tool: str, medians: dict[str, dict[str, float]] = medians) -> str:
            if tool not in medians:
                return "–"
            one = medians[tool]
            return f"{one['seconds']:.2f} s, {one['peak'] / 1e6:.0f} MB"

        def ratio(
            tool: str, medians: dict[str, dict[str, float]] = medians, own: float = own
        ) -> str:
            return f"{medians[tool]['seconds'] / own:.1f}x" if tool in medians else "–"

        cells = " | ".join(cell(tool) for tool in TOOLS)
        lines.append(f"| {title} | {cells} | {ratio('bioimage-py')} | {ratio('tensorstore')} |")
    lines += [
        "",
        f"A worker process and its first block: bioimage-rs {starts['bioimage_rs']:.3f} s, "
        f"bioimage-py {starts['bioimage_py']:.3f} s "
        f"({starts['bioimage_py'] / starts['bioimage_rs']:.0f}x).",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", type=Path, help="page whose part after '<!-- table -->' is replaced"
    )
    parser.add_argument("--machinery", type=Path, help="output of the machinery's benchmark")
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)}")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="bp-bench-") as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < NEEDED:
            raise SystemExit(f"{folder} must have {NEEDED / 1e9:.0f} GB of free space")
        print("making data", file=sys.stderr)
        make_data(folder)
        for case in arguments.cases or CASES:
            print(f"{case}: comparing, then timing", file=sys.stderr)
            check_equal(case, folder)
            results[case] = measure(case, folder)
            print(json.dumps({case: results[case]}), file=sys.stderr)
        if set(results) != set(CASES):
            return
        starts = start_of_worker(folder)
        of_functions = functions.table(folder, ROUNDS)
        of_operations = operations.table(folder, ROUNDS)
    text = report(results, starts)
    if arguments.machinery:
        own = json.loads(arguments.machinery.read_text())
        text += (
            f"\n\nThe machinery alone: {own['no_op_blocks_per_s']:,.0f} blocks a second that do "
            f"nothing, with sentinels, on {own['workers']} threads; a plan of "
            f"{own['plan_blocks']:,} blocks in {own['plan_s']:.3f} s, peak memory of that process "
            f"{own['plan_peak_memory'] / 1e6:.0f} MB."
        )
    text += f"\n\nPython functions and wrappers, on the same data:\n\n{of_functions}"
    text += f"\n\nOperations, Zarr -> Zarr, float outputs without compression:\n\n{of_operations}"
    print(text)
    if arguments.write:
        page = arguments.write.read_text()
        head, mark, _ = page.partition("<!-- table -->\n")
        arguments.write.write_text(f"{head}{mark}\n{text}\n")


if __name__ == "__main__":
    main()
