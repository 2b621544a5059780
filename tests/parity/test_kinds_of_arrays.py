"""Every operation on arrays of every kind.

Of any layout and byte order, without voxels, of one voxel, with extreme values, and of types and
dimensions that none takes.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pandas as pd
import pytest
from bioimage_rs import evaluation, filters, morphology, operations, segmentation, stats
from bioimage_rs.errors import BioimageError, InternalError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _copy(x: Any) -> Any:
    dtype = np.dtype(getattr(x, "dtype", "uint8")).newbyteorder("=")
    return bp.copy(x, np.zeros(getattr(x, "shape", ()), dtype))


def _relabel(x: Any) -> Any:
    is_image = getattr(getattr(x, "dtype", None), "kind", "O") in "iu"
    labels = np.unique(x).tolist() if is_image else [0, 1]
    return segmentation.relabel(x, {label: at for at, label in enumerate(labels)})


def _regionprops(x: Any) -> Any:
    x = np.asarray(x)
    labels = x if x.dtype.kind in "iu" else np.zeros(x.shape, "uint8")
    return morphology.regionprops(x, morphology.morphology(labels))


def _watershed(x: Any) -> Any:
    shape = getattr(x, "shape", (3, 4, 5))
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return segmentation.watershed(x, np.where(places % 37 == 0, places + 1, 0).astype("uint32"))


Function = Callable[[Any], Any]

IMAGES: dict[str, Function] = {
    "copy": _copy,
    "downsample": lambda x: bp.downsample(x, 2),
    "gaussian_smoothing": lambda x: filters.gaussian_smoothing(x, 1.5),
    "gaussian_gradient_magnitude": lambda x: filters.gaussian_gradient_magnitude(x, 1.5),
    "laplacian_of_gaussian": lambda x: filters.laplacian_of_gaussian(x, 1.5),
    "hessian": lambda x: filters.hessian_of_gaussian_eigenvalues(x, 1.5),
    "structure_tensor": lambda x: filters.structure_tensor_eigenvalues(x, 1.0, 2.0),
    "difference_of_gaussians": lambda x: filters.difference_of_gaussians(x, 1.0, 1.6),
    "median": lambda x: filters.median(x, 1),
    "erosion": lambda x: filters.erosion(x, 1),
    "dilation": lambda x: filters.dilation(x, 1),
    "opening": lambda x: filters.opening(x, 1),
    "closing": lambda x: filters.closing(x, 1),
    "white_tophat": lambda x: filters.white_tophat(x, 1),
    "black_tophat": lambda x: filters.black_tophat(x, 1),
    "min": stats.min,
    "max": stats.max,
    "mean": stats.mean,
    "std": stats.std,
    "unique": lambda x: stats.unique(x, return_counts=True),
    "histogram": lambda x: stats.histogram(x, 5),
    "percentiles": lambda x: stats.percentiles(x, [5, 50, 95]),
    "threshold_otsu": stats.threshold_otsu,
    "threshold_li": stats.threshold_li,
    "label": segmentation.label,
    "label_objects": lambda x: segmentation.label(x, multi_label=True),
    "watershed": _watershed,
    "distance_transform": lambda x: morphology.distance_transform(x, [4] * getattr(x, "ndim", 3)),
    "local_maxima": morphology.find_local_maxima,
    "isin": lambda x: operations.isin(x, [1, 2]),
    "add": lambda x: operations.add(x, x),
    "greater": lambda x: operations.greater(x, 7),
    "expr": lambda x: bp.expr("a * a + 1", a=x),
    "dice_score": lambda x: evaluation.dice_score(x, x),
} | {
    f"downsample_{method}": lambda x, method=method: bp.downsample(x, 2, method=method)
    for method in ("mean", "mode", "min", "max", "median")
}

LABELS: dict[str, Function] = {
    "relabel": _relabel,
    "relabel_consecutive": segmentation.relabel_consecutive,
    "size_filter": lambda x: segmentation.size_filter(x, min_size=3),
    "morphology": morphology.morphology,
    "regionprops": _regionprops,
    "contingency_table": lambda x: evaluation.contingency_table(x, x),
    "variation_of_information": lambda x: evaluation.variation_of_information(x, x),
    "rand_index": lambda x: evaluation.rand_index(x, x),
    "cremi_score": lambda x: evaluation.cremi_score(x, x),
    "matching": lambda x: evaluation.matching(x, x),
}

FUNCTIONS = IMAGES | LABELS
# Of values that the engine has no type for, NumPy's own functions make what they can.
OF_NUMPY = ["isin", "add", "greater"]


def same(ours: Any, expected: Any) -> bool:
    """Whether two results are equal, whatever they are made of."""
    if isinstance(expected, pd.DataFrame):
        return bool(ours.equals(expected))
    if isinstance(expected, tuple | list):
        return len(ours) == len(expected) and all(map(same, ours, expected))
    if isinstance(expected, dict):
        return ours.keys() == expected.keys() and all(same(ours[k], expected[k]) for k in expected)
    if hasattr(expected, "__dataclass_fields__"):
        return all(same(getattr(ours, k), getattr(expected, k)) for k in expected.__dict__)
    ours, expected = np.asarray(ours), np.asarray(expected)
    real = expected.dtype.kind == "f"
    same_type = ours.dtype.newbyteorder("=") == expected.dtype
    return same_type and np.array_equal(ours, expected, equal_nan=real)


def voxels(dtype: str, shape: tuple[int, ...] = (12, 10, 14)) -> np.ndarray:
    return (np.random.default_rng(3).random(shape) * 6).astype(dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_layout_and_byte_order_make_no_difference(name: str) -> None:
    function = FUNCTIONS[name]
    plain = voxels("uint16")
    wide = np.repeat(np.repeat(plain, 2, axis=1), 3, axis=2)
    readonly = plain.copy()
    readonly.flags.writeable = False
    given = {
        "readonly": readonly,
        "every other": wide[:, ::2, ::3],
        "backwards": plain[::-1, :, ::-1].copy()[::-1, :, ::-1],
        "columns first": np.asfortranarray(plain),
        "transposed": plain.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        "big-endian": plain.astype(">u2"),
    }
    expected = function(plain)
    for layout, array in given.items():
        before = array.tobytes()
        assert np.array_equal(array, plain)
        assert same(function(array), expected), layout
        assert array.tobytes() == before, layout


def attempt(function: Function, array: Any) -> Any:
    """The result, or the error that was raised instead."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(array)
    except (BioimageError, ValueError, TypeError) as error:
        return error


def check_error(error: Exception) -> None:
    """It says something, to people who know nothing of the program."""
    assert not isinstance(error, InternalError), error
    assert len(str(error)) > 20, repr(error)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_array_makes_a_function_fail_without_a_word(name: str) -> None:
    floats = voxels("float32")
    floats[3], floats[5], floats[6] = np.nan, np.inf, -np.inf
    given = {
        "nan and infinities": floats,
        "only nan": np.full((6, 6, 6), np.nan),
        "greatest u64": np.where(voxels("uint64") > 3, np.uint64(2**64 - 1), voxels("uint64")),
        "extreme i64": np.where(voxels("int64") > 3, -(2**63), 2**63 - 1),
        "negative": np.full((5, 5, 5), -3, "int8"),
        "constant": np.full((8, 8, 8), 7, "uint8"),
        "no voxels": np.zeros((0, 4, 4), "uint8"),
        "no voxels, real": np.zeros((4, 0), "float32"),
        "one voxel": np.ones((1, 1, 1), "uint8"),
        "one axis": voxels("uint8", (50,)),
        "two axes": voxels("uint8", (20, 30)),
        "four axes": voxels("uint8", (3, 4, 5, 6)),
        "five axes": voxels("uint8", (2, 3, 4, 2, 3)),
        "no axes": np.array(3, "uint8"),
        "mask": voxels("uint8") > 3,
    }
    for what, array in given.items():
        before = array.copy()
        made = attempt(FUNCTIONS[name], array)
        assert array.tobytes() == before.tobytes(), what
        if isinstance(made, Exception):
            check_error(made)
        elif isinstance(made, np.ndarray) and name in IMAGES and made.ndim == array.ndim > 0:
            assert bool(made.size) == bool(array.size), what


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in OF_NUMPY])
@pytest.mark.parametrize(
    "array",
    [
        voxels("float32").astype("complex64"),
        np.array(["a", "b"]),
        np.array([object()]),
        np.zeros(3, "datetime64[s]"),
        np.zeros(3, [("a", "u1")]),
        [[1, 2], [3]],
        None,
        "there/is/nothing.zarr",
    ],
    ids=["complex", "text", "objects", "times", "records", "ragged", "none", "missing path"],
)
def test_what_is_no_image_is_refused(name: str, array: Any) -> None:
    error = attempt(FUNCTIONS[name], array)
    assert isinstance(error, Exception), error
    check_error(error)


@pytest.mark.parametrize("name", LABELS)
def test_values_that_are_no_labels_are_refused(name: str) -> None:
    error = attempt(LABELS[name], voxels("float32"))
    assert isinstance(error, Exception)
    assert "float32" in str(error)


def test_the_greatest_label_is_one_like_any_other() -> None:
    greatest = np.uint64(2**64 - 1)
    labels = np.where(voxels("uint64") > 3, greatest, voxels("uint64"))
    renamed = np.where(labels == greatest, np.uint64(9), labels)
    for name in ("morphology", "matching", "variation_of_information", "rand_index"):
        ours, expected = LABELS[name](labels), LABELS[name](renamed)
        if isinstance(ours, pd.DataFrame):
            ours = ours.assign(label=ours.label.replace(int(greatest), 9))
            assert np.array_equal(ours.to_numpy(), expected.to_numpy())
        else:
            assert same(ours, expected), name
    assert segmentation.relabel_consecutive(labels)[2][int(greatest)] == 4
