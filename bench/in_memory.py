"""One call on arrays in memory: `python bench/in_memory.py CASE TOOL FOLDER`.

Prints its seconds, without imports, as JSON; with `--first` it writes what was computed, too.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equal
import numpy as np
import turns
from operations import BRIGHT

THREADS = 2
# Voxels of the expression, and of one of its blocks.
OPERANDS, BLOCK = 10_000_000, 1 << 17

Work = Callable[[Any], Callable[[], Any]]


@dataclass
class Case:
    """Something that ours and other libraries compute.

    Parameters
    ----------
    title
        What the table calls it.
    data
        Gives the input, from what is in the folder.
    tools
        By name, ours first: what prepares the call on the input, and imports what it needs.
    same
        Whether input, our output and another's are as they must be.
    calls
        How often a process calls it; the median counts. The first of several calls does not: memory
        that a process has not had before costs more than most of these computations.
    """

    title: str
    data: Callable[[Path], Any]
    tools: Mapping[str, Work]
    same: Callable[[Any, Any, Any], bool]
    calls: int = 1


def stored(name: str) -> Callable[[Path], np.ndarray]:
    """The array of this name."""

    def read(folder: Path) -> np.ndarray:
        array: np.ndarray = np.load(folder / f"{name}.npy")
        return array

    return read


def bright(folder: Path) -> np.ndarray:
    """A million objects."""
    return stored("spots")(folder) > BRIGHT


def valleys(folder: Path) -> np.ndarray:
    """Large, branched objects."""
    heights = stored("heights")(folder)
    return heights < np.median(heights[::8, ::8, ::8])


def operands(_: Path) -> np.ndarray:
    """Two arrays of numbers."""
    return np.random.default_rng(0).standard_normal((2, OPERANDS))


def within(tolerance: float) -> Callable[[Any, Any, Any], bool]:
    """Compares values."""
    return lambda _, ours, theirs: equal.close(ours, theirs, tolerance)


def same_objects(_: Any, ours: Any, theirs: Any) -> bool:
    """Compares labels."""
    return equal.renamed(ours, theirs)


def as_frequent(labels: np.ndarray, ours: Any, theirs: Any) -> bool:
    """Compares labels of windows, of which two may be the most frequent."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return False
    places = np.nonzero(ours != theirs)
    window = np.stack(
        [
            labels[tuple(2 * at + step for at, step in zip(places, steps, strict=True))]
            for steps in np.ndindex(2, 2, 2)
        ]
    )
    counts = (np.count_nonzero(window == one[places], axis=0) for one in (ours, theirs))
    return np.array_equal(*counts)


def downsample_ours(method: str) -> Work:
    def prepare(image: np.ndarray) -> Callable[[], Any]:
        import bioimage_rs as bp

        downsample = bp.downsample
        return lambda: downsample(image, 2, method=method)

    return prepare


def downsample_tinybrain(function: str) -> Work:
    def prepare(image: np.ndarray) -> Callable[[], Any]:
        import tinybrain

        downsample = getattr(tinybrain, function)
        # Its axes are those of an array in Fortran's order.
        return lambda: downsample(image.T, (2, 2, 2))[0].T

    return prepare


def gaussian_ours(image: np.ndarray) -> Callable[[], Any]:
    import bioimage_rs as bp

    smooth = bp.filters.gaussian_smoothing
    return lambda: smooth(image, 2.0)


def gaussian_cpp(image: np.ndarray) -> Callable[[], Any]:
    import bioimage_cpp

    smooth = bioimage_cpp.filters.gaussian_smoothing
    return lambda: smooth(image, 2.0)


def label_ours(connectivity: int) -> Work:
    def prepare(image: np.ndarray) -> Callable[[], Any]:
        import bioimage_rs as bp

        label = bp.segmentation.label
        return lambda: label(image, connectivity=connectivity)

    return prepare


def label_cc3d(connectivity: int) -> Work:
    def prepare(image: np.ndarray) -> Callable[[], Any]:
        import cc3d

        # As wide as ours: labels of large volumes need it.
        wide = {"connectivity": connectivity, "out_dtype": "uint64"}
        return lambda: cc3d.connected_components(image, **wide)

    return prepare


def distance_ours(image: np.ndarray) -> Callable[[], Any]:
    import bioimage_rs as bp

    distance = bp.morphology.distance_transform
    return lambda: distance(image, (0, 0, 0))


def distance_edt(image: np.ndarray) -> Callable[[], Any]:
    import edt

    return lambda: edt.edt(image, parallel=1)


def expression_ours(arrays: np.ndarray) -> Callable[[], Any]:
    import bioimage_rs as bp

    expr, (b, c) = bp.expr, arrays
    return lambda: expr("sqrt(b*b + c*c)", b=b, c=c, block_shape=(BLOCK,), num_workers=THREADS)


def expression_numpy(arrays: np.ndarray) -> Callable[[], Any]:
    b, c = arrays
    return lambda: np.sqrt(b * b + c * c)


def expression_numexpr(arrays: np.ndarray) -> Callable[[], Any]:
    import numexpr

    b, c = arrays
    numexpr.set_num_threads(THREADS)
    return lambda: numexpr.evaluate("sqrt(b*b + c*c)", {"b": b, "c": c})


CASES = {
    # One tool rounds means, the other drops fractions.
    "mean-in-memory": Case(
        "downsample 2x mean, u8, one thread",
        stored("stack"),
        {
            "bioimage-rs": downsample_ours("mean"),
            "tinybrain": downsample_tinybrain("downsample_with_averaging"),
        },
        within(1),
        calls=8,
    ),
    "mode-in-memory": Case(
        "downsample 2x mode, u64 labels, one thread",
        lambda folder: stored("labels")(folder).astype("uint64"),
        {
            "bioimage-rs": downsample_ours("mode"),
            "tinybrain": downsample_tinybrain("downsample_segmentation"),
        },
        as_frequent,
        calls=4,
    ),
    "gaussian-in-memory": Case(
        "Gaussian, sigma 2, u8, one thread",
        stored("stack"),
        {"bioimage-rs": gaussian_ours, "bioimage-cpp": gaussian_cpp},
        within(1e-4),
        calls=3,
    ),
    "label-6-in-memory": Case(
        "label ~10⁶ objects, connectivity 6, one thread",
        bright,
        {"bioimage-rs": label_ours(1), "connected-components-3d": label_cc3d(6)},
        same_objects,
        calls=4,
    ),
    "label-26-in-memory": Case(
        "label the same with connectivity 26, one thread",
        bright,
        {"bioimage-rs": label_ours(3), "connected-components-3d": label_cc3d(26)},
        same_objects,
        calls=4,
    ),
    "distance-in-memory": Case(
        "distance transform, one thread",
        valleys,
        {"bioimage-rs": distance_ours, "edt": distance_edt},
        within(1e-5),
    ),
    "expr": Case(
        "sqrt(b*b + c*c) of 10⁷ f64, two threads",
        operands,
        {
            "bioimage-rs": expression_ours,
            "numpy": expression_numpy,
            "numexpr": expression_numexpr,
        },
        within(1e-15),
        calls=12,
    ),
}


def check(name: str, folder: Path) -> None:
    """All tools must have computed the same."""
    case = CASES[name]
    data = case.data(folder)
    paths = [folder / f"{tool}-in-memory.npy" for tool in case.tools]
    ours, *others = (np.load(path, mmap_mode="r") for path in paths)
    for tool, theirs in zip(list(case.tools)[1:], others, strict=True):
        if not case.same(data, ours, theirs):
            raise SystemExit(f"{tool} computes something else in case {name}")
    for path in paths:
        path.unlink()


def main() -> None:
    case, tool, folder = CASES[sys.argv[1]], sys.argv[2], Path(sys.argv[3])
    work = case.tools[tool](case.data(folder))
    times = []
    result: Any = None
    for _ in range(case.calls):
        result = None  # so that its memory is there for the next
        begun = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begun)
    if "--first" in sys.argv:
        np.save(folder / f"{tool}-in-memory.npy", result)
    print(json.dumps({"seconds": statistics.median(times[1:] or times)}))


def table(folder: Path, names: Sequence[str], rounds: int) -> str:
    """Compares and times the tools in turn; the table, as Markdown."""
    cases = {name: (CASES[name].title, list(CASES[name].tools)) for name in names}
    script = Path(__file__).name
    return turns.table(script, cases, folder, rounds, lambda name: check(name, folder))


if __name__ == "__main__":
    main()
