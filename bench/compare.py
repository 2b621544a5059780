"""Compares with other tools, on the same data in one run: `python bench/compare.py`.

Copies and operations with bioimage-py, zarr-python and tensorstore, calls on arrays in memory with
the libraries that are made for one thing each. Outputs are compared first, then each tool is timed
in turn, in processes of their own. Prints tables; `--write FILE` also puts them into a page. Takes
15 GB of disk and 12 GB of memory.
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
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import data
import functions
import in_memory
import numpy as np
import operations
import turns
import zarr
from copies import CASES, TOOLS, WORKERS

# Bytes of disk for each voxel.
NEEDED = 55


def check(case: str, tool: str, folder: Path) -> None:
    """Every tool must have written the same voxels."""
    expected = np.load(folder / "stack.npy")
    if case == "to-numpy":
        written: Any = np.load(folder / f"{tool}.npy")
    else:
        written = zarr.open_array(folder / f"{tool}.zarr", mode="r")[...]
    if not np.array_equal(expected, np.asarray(written)):
        raise SystemExit(f"{tool} writes other voxels in case {case}")


def measure(case: str, folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of seconds and peak memory, the tools taking turns."""
    results: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
    for number in range(rounds):
        for tool in TOOLS:
            result = turns.run("copies.py", case, tool, folder, *([] if number else ["--first"]))
            if result is not None:
                results[tool].append(result)
                if number == 0:
                    check(case, tool, folder)
    return {
        tool: {key: statistics.median(one[key] for one in timed) for key in ("seconds", "peak")}
        for tool, timed in results.items()
        if timed
    }


def start_of_worker(folder: Path, rounds: int) -> dict[str, float]:
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
        for _ in range(rounds):
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


def copies(folder: Path, names: Sequence[str], rounds: int) -> str:
    """Compares and times all tools in turn; the table, as Markdown."""
    lines = [
        "| case | " + " | ".join(TOOLS) + " | ratio to bioimage-py | to tensorstore |",
        "|---|" + "---|" * (len(TOOLS) + 2),
    ]
    for case in names:
        print(f"{case}: comparing and timing", file=sys.stderr)
        medians = measure(case, folder, rounds)
        lines.append(row(CASES[case], medians))
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def row(title: str, medians: dict[str, dict[str, float]]) -> str:
    """The table's line for a case."""
    cells = {
        tool: f"{one['seconds']:.2f} s, {one['peak'] / 1e6:.0f} MB" for tool, one in medians.items()
    }
    own = medians["bioimage-rs"]["seconds"]
    ratios = {tool: f"{one['seconds'] / own:.1f}x" for tool, one in medians.items()}
    columns = [title, *(cells.get(tool, "–") for tool in TOOLS)]
    columns += [ratios.get(tool, "–") for tool in ("bioimage-py", "tensorstore")]
    return f"| {' | '.join(columns)} |"


def remarks(folder: Path, rounds: int, machinery: Path | None) -> str:
    """What is measured besides the cases."""
    starts = start_of_worker(folder, rounds)
    text = (
        f"A worker process and its first block: bioimage-rs {starts['bioimage_rs']:.3f} s, "
        f"bioimage-py {starts['bioimage_py']:.3f} s "
        f"({starts['bioimage_py'] / starts['bioimage_rs']:.0f}x)."
    )
    if machinery:
        own = json.loads(machinery.read_text())
        text += (
            f"\n\nThe machinery alone: {own['no_op_blocks_per_s']:,.0f} blocks a second that do "
            f"nothing, with sentinels, on {own['workers']} threads; a plan of "
            f"{own['plan_blocks']:,} blocks in {own['plan_s']:.3f} s, peak memory of that process "
            f"{own['plan_peak_memory'] / 1e6:.0f} MB."
        )
    return text


PARTS: dict[str, tuple[Iterable[str], Callable[[Path, Sequence[str], int], str]]] = {
    "Copies:": (CASES, copies),
    "Python functions and wrappers:": (functions.CASES, functions.table),
    "Operations, Zarr -> Zarr, float outputs without compression:": (
        operations.CASES,
        operations.table,
    ),
    "Calls on numpy arrays:": (in_memory.CASES, in_memory.table),
}


def main() -> None:
    known = [case for cases, _ in PARTS.values() for case in cases]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", type=Path, help="page whose part after '<!-- table -->' is replaced"
    )
    parser.add_argument("--machinery", type=Path, help="output of the machinery's benchmark")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=data.SHAPE, help="extents of the data"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each tool")
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(known)}; all by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(known):
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = arguments.cases or known
    voxels = int(np.prod(arguments.shape))
    compared = {tool for case in in_memory.CASES.values() for tool in case.tools}
    libraries = sorted({*TOOLS, *compared, "zarr"} - {"zarr-python"})
    text = [
        f"{machine(*libraries)}; {voxels / 1e6:.0f} Mvoxel, {WORKERS} workers, medians of "
        f"{arguments.rounds} runs, or of as many as are in brackets: a tool that has needed "
        f"{turns.PATIENCE:.0f} s for a case is not run again."
    ]
    with tempfile.TemporaryDirectory(prefix="bp-bench-") as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < NEEDED * voxels:
            raise SystemExit(f"{folder} must have {NEEDED * voxels / 1e9:.0f} GB of free space")
        print("making data", file=sys.stderr)
        data.make(folder, tuple(arguments.shape))
        for title, (cases, table) in PARTS.items():
            if names := [case for case in cases if case in chosen]:
                text += [title, table(folder, names, arguments.rounds)]
        if not arguments.cases:
            text.append(remarks(folder, arguments.rounds, arguments.machinery))
    print("\n\n".join(text))
    if arguments.write:
        page = arguments.write.read_text()
        head, mark, _ = page.partition("<!-- table -->\n")
        arguments.write.write_text(f"{head}{mark}\n" + "\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
