"""One run of an operation on arrays: `python bench/operations.py CASE TOOL FOLDER`.

Prints its seconds, without imports, as JSON.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import equal
import numpy as np
import turns
from copies import CHUNKS, put_aside

WORKERS = 2
TOOLS = ("bioimage-rs", "bioimage-py")
BLOCK = (128, 128, 128)
# A million objects of `spots.zarr` are above it.
BRIGHT = 165


def label_whole(source: Any, target: Any, *, multi_label: bool, **how: Any) -> Any:
    """Labels all at once: bioimage-py has blocks for binary images only, what it builds on more."""
    import bioimage_cpp
    import bioimage_py

    image = bioimage_py.copy(source, **how)
    components = bioimage_cpp.segmentation.label(image, connectivity=1)
    return bioimage_py.copy(components, target, **how)


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
    inputs
        Names of the arrays that it reads.
    dtype
        Data type of the output; none if it measures.
    factor
        Voxels of the input for one of the output, along each axis.
    channels
        Whether the output has a channel for each axis.
    block
        Extents of a block.
    tolerance
        By how much outputs may differ; of floats relative to the largest value.
    renamed
        Whether labels may have other numbers.
    instead
        What stands for the function that bioimage-py does not have.
    """

    title: str
    function: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    inputs: Sequence[str] = ("stack",)
    dtype: str | None = "float32"
    factor: int = 1
    channels: bool = False
    block: tuple[int, ...] = CHUNKS
    tolerance: float = 1e-4
    renamed: bool = False
    instead: Callable[..., Any] | None = None


CASES = {
    "downsample-labels": Case(
        "downsample 2x nearest, u32 labels",
        "downsample",
        (2,),
        inputs=("labels",),
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
    "mean": Case("mean", "stats.mean", dtype=None, tolerance=1e-12),
    "unique": Case(
        "unique labels and counts, u32",
        "stats.unique",
        options={"return_counts": True},
        inputs=("labels",),
        dtype=None,
        tolerance=0,
    ),
    "label": Case(
        "label: an image above a threshold, ~10⁶ objects",
        "segmentation.label",
        options={"threshold": BRIGHT},
        inputs=("spots",),
        dtype="uint64",
        block=BLOCK,
        renamed=True,
    ),
    "multi-label": Case(
        "label: a multi-label image",
        "segmentation.label",
        options={"multi_label": True},
        inputs=("labels",),
        dtype="uint64",
        block=BLOCK,
        renamed=True,
        instead=label_whole,
    ),
    "watershed": Case(
        "watershed from ~10⁴ seeds, u16 heights, 128³ blocks, halo 32",
        "segmentation.watershed",
        options={"halo": (32, 32, 32)},
        inputs=("heights", "seeds"),
        dtype="uint32",
        block=BLOCK,
        tolerance=0,
    ),
    "morphology": Case(
        "morphology table, u32 labels",
        "morphology.morphology",
        inputs=("labels",),
        dtype=None,
        tolerance=1e-9,
    ),
    "contingency": Case(
        "contingency table of two segmentations",
        "evaluation.contingency_table",
        inputs=("labels", "basins"),
        dtype=None,
        tolerance=0,
    ),
    "relabel": Case(
        "relabel_consecutive, u32 labels",
        "segmentation.relabel_consecutive",
        inputs=("labels",),
        dtype="uint32",
        tolerance=0,
    ),
}


def prepare(case: Case, tool: str, folder: Path) -> Callable[[], Any]:
    """What is timed."""
    import pandas  # noqa: F401 - a table's first use would import it
    import zarr

    function: Any = importlib.import_module(tool.replace("-", "_"))
    for name in case.function.split("."):
        function = getattr(function, name)
    if tool == "bioimage-py" and case.instead is not None:
        function = case.instead
    arguments = [zarr.open_array(folder / f"{name}.zarr", mode="r") for name in case.inputs]
    how = {**case.options, "block_shape": case.block, "num_workers": WORKERS}
    if case.dtype is None:
        return lambda: function(*arguments, *case.arguments, **how)
    shape = tuple(-(-extent // case.factor) for extent in arguments[0].shape)
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
    return lambda: function(*arguments, *case.arguments, target, **how)


def measured(result: Any) -> dict[str, np.ndarray]:
    """The arrays of what an operation returns."""
    if is_dataclass(result):
        return measured(vars(result))
    if hasattr(result, "columns"):
        return measured({name: result[name] for name in result.columns})
    if isinstance(result, tuple):
        # Arrays of a file are compared there.
        return measured({str(at): one for at, one in enumerate(result) if not hasattr(one, "path")})
    if not isinstance(result, dict):
        return measured({"value": result})
    pairs = {
        name: sorted(one.items()) if isinstance(one, dict) else one for name, one in result.items()
    }
    return {name: np.atleast_1d(one) for name, one in pairs.items()}


def check(name: str, folder: Path) -> None:
    """Both tools must have found the same."""
    import zarr

    case, same = CASES[name], True
    if case.dtype is None or name == "relabel":
        ours, theirs = (np.load(folder / f"{tool}-operation.npz") for tool in TOOLS)
        same = set(ours) == set(theirs)
        same &= all(equal.close(ours[key], theirs[key], case.tolerance) for key in ours)
    if case.dtype is not None:
        arrays = [zarr.open_array(folder / f"{tool}-operation.zarr", mode="r") for tool in TOOLS]
        same &= equal.renamed(*arrays) if case.renamed else equal.close(*arrays, case.tolerance)
    if not same:
        raise SystemExit(f"the tools find different things in case {name}")


def main() -> None:
    case, tool, folder = CASES[sys.argv[1]], sys.argv[2], Path(sys.argv[3])
    work = prepare(case, tool, folder)
    begun = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    if "--first" in sys.argv:
        np.savez(folder / f"{tool}-operation.npz", **measured(result))
    print(json.dumps({"seconds": seconds}))


def table(folder: Path, names: Sequence[str], rounds: int) -> str:
    """Compares and times both tools in turn; the table, as Markdown."""
    cases = {name: (CASES[name].title, TOOLS) for name in names}
    script = Path(__file__).name
    return turns.table(script, cases, folder, rounds, lambda name: check(name, folder))


if __name__ == "__main__":
    main()
