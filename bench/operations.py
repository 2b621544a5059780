"""One run of an operation on arrays: `python bench/operations.py CASE TOOL FOLDER`.

Prints its seconds, without imports, as JSON.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from copies import CHUNKS, put_aside

WORKERS = 2
TOOLS = ("bioimage-rs", "bioimage-py")


@dataclass
class Case:
    """An operation that both tools have.

    Parameters
    ----------
    title
        What the table calls it.
    function
        Where it lies below the package.
    arguments, options
        What it takes between input and output, and by name.
    source
        The input's name in the folder.
    dtype
        Data type of the output.
    factor
        Voxels of the input for one of the output, along each axis.
    channels
        Whether the output has a channel for each axis.
    tolerance
        By how much outputs may differ; of floats relative to the largest value.
    """

    title: str
    function: str
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    source: str = "stack.zarr"
    dtype: str = "float32"
    factor: int = 1
    channels: bool = False
    tolerance: float = 1e-4


CASES = {
    "downsample-labels": Case(
        "downsample 2x nearest, u32 labels",
        "downsample",
        (2,),
        source="labels.zarr",
        dtype="uint32",
        factor=2,
        tolerance=0,
    ),
    # Smoothed values of integers are dropped to whole ones by one tool, rounded by the other.
    "downsample-smooth": Case(
        "downsample 2x order 1 anti-aliased, u8",
        "downsample",
        (2,),
        {"order": 1, "anti_aliasing": True},
        dtype="uint8",
        factor=2,
        tolerance=1,
    ),
    "gaussian": Case("Gaussian, sigma 2", "filters.gaussian_smoothing", (2.0,)),
    "gradient": Case("gradient magnitude, sigma 2", "filters.gaussian_gradient_magnitude", (2.0,)),
    "laplace": Case("Laplacian, sigma 2", "filters.laplacian_of_gaussian", (2.0,)),
    # Eigenvalues in single precision are not better than this where they cancel.
    "hessian": Case(
        "Hessian eigenvalues, sigma 2",
        "filters.apply_filter",
        ("hessian_of_gaussian_eigenvalues", 2.0),
        channels=True,
        tolerance=1e-3,
    ),
}


def make_labels(folder: Path) -> None:
    """Objects of many sizes for the image in the folder: what is above the noise, by cells."""
    import zarr

    stack = zarr.open_array(folder / "stack.zarr", mode="r")
    labels = zarr.create_array(
        folder / "labels.zarr", shape=stack.shape, dtype="uint32", chunks=CHUNKS
    )
    _, y, x = np.ogrid[:1, : stack.shape[1], : stack.shape[2]]
    for begin in range(0, stack.shape[0], CHUNKS[0]):
        planes = np.asarray(stack[begin : begin + CHUNKS[0]])
        z = np.arange(begin, begin + len(planes))[:, None, None]
        cells = 1 + (z // 40 * 1000 + y // 50) * 1000 + x // 60
        labels[begin : begin + len(planes)] = np.where(planes > 80, cells, 0)


def prepare(case: Case, tool: str, folder: Path) -> Callable[[], Any]:
    """What is timed."""
    import zarr

    function: Any = importlib.import_module(tool.replace("-", "_"))
    for name in case.function.split("."):
        function = getattr(function, name)
    source = zarr.open_array(folder / case.source, mode="r")
    shape = tuple(-(-extent // case.factor) for extent in source.shape)
    path = folder / f"{tool}-operation.zarr"
    put_aside(path)
    target = zarr.create_array(
        path,
        shape=(len(shape), *shape) if case.channels else shape,
        dtype=case.dtype,
        chunks=(1, *CHUNKS) if case.channels else CHUNKS,
        # Floats of noise are hardly compressed, and would hide what is compared.
        compressors=None if case.dtype == "float32" else zarr.codecs.ZstdCodec(level=3),
    )
    how = {"block_shape": CHUNKS, "num_workers": WORKERS}
    return lambda: function(source, *case.arguments, target, **case.options, **how)


def differ(case: Case, folder: Path) -> bool:
    """Whether the tools wrote different outputs."""
    import zarr

    ours, theirs = (zarr.open_array(folder / f"{tool}-operation.zarr", mode="r") for tool in TOOLS)
    largest, difference = 0.0, 0.0
    planes = (
        (channel, slice(at, at + CHUNKS[0])) if case.channels else slice(at, at + CHUNKS[0])
        for channel in (range(ours.shape[0]) if case.channels else [0])
        for at in range(0, ours.shape[int(case.channels)], CHUNKS[0])
    )
    for part in planes:
        first, second = (np.asarray(array[part], "float64") for array in (ours, theirs))
        largest = max(largest, float(np.abs(second).max()))
        difference = max(difference, float(np.abs(first - second).max()))
    return difference > case.tolerance * (largest if case.dtype == "float32" else 1)


def main() -> None:
    case, tool, folder = CASES[sys.argv[1]], sys.argv[2], Path(sys.argv[3])
    work = prepare(case, tool, folder)
    begun = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - begun}))


def table(folder: Path, rounds: int) -> str:
    """Compares and times both tools in turn; the table, as Markdown."""

    def run(case: str, tool: str) -> float:
        os.sync()
        command = [sys.executable, __file__, case, tool, str(folder)]
        done = subprocess.run(
            command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return float(json.loads(done.stdout.splitlines()[-1])["seconds"])

    make_labels(folder)
    lines = ["| case | " + " | ".join(TOOLS) + " | ratio |", "|---|---|---|---|"]
    for name, case in CASES.items():
        times: dict[str, list[float]] = {tool: [] for tool in TOOLS}
        for number in range(rounds):
            for tool in TOOLS:
                times[tool].append(run(name, tool))
            if number == 0 and differ(case, folder):
                raise SystemExit(f"the tools write other voxels in case {name}")
        own, other = (statistics.median(times[tool]) for tool in TOOLS)
        lines.append(f"| {case.title} | {own:.3f} s | {other:.3f} s | {other / own:.1f}x |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
