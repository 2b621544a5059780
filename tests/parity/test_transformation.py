"""Affine matrices and regions seen through them, as bioimage_py gives them."""

import inspect
from typing import Any

import bioimage_py.transformation as reference
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from bioimage_rs import transformation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

often = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = [
    "compute_affine_matrix",
    "transform_coordinate",
    "transform_roi_with_affine",
    "transform_subvolume_affine",
    "transform_subvolume_coordinates",
]


def outcome(call: Any) -> Any:
    """What a call gives, or the type and text of its error."""
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


def volume(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    data = np.random.default_rng(seed).integers(0, 120, shape)
    return data % 2 == 0 if dtype == "bool" else data.astype(dtype)


def matrix_of(ndim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = np.eye(ndim + 1)
    matrix[:ndim] = rng.uniform(-1.5, 1.5, (ndim, ndim + 1))
    matrix[:ndim, ndim] += 4
    return matrix


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_the_same(name: str) -> None:
    ours = inspect.signature(getattr(transformation, name)).parameters.values()
    theirs = inspect.signature(getattr(reference, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    assert bp.transformation is transformation


@often
@given(
    scale=st.none() | st.lists(st.floats(0.1, 5), min_size=2, max_size=2),
    rotation=st.none() | st.lists(st.floats(-360, 360), min_size=1, max_size=1),
    shear=st.none() | st.lists(st.floats(-60, 60), min_size=1, max_size=1),
    translation=st.none() | st.lists(st.floats(-50, 50), min_size=2, max_size=2),
)
def test_matrices_in_2d(scale: Any, rotation: Any, shear: Any, translation: Any) -> None:
    arguments = (scale, rotation, shear, translation)
    ours = outcome(lambda: transformation.compute_affine_matrix(*arguments))
    theirs = outcome(lambda: reference.compute_affine_matrix(*arguments))
    if isinstance(theirs, tuple):
        assert ours == theirs
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@often
@given(
    scale=st.none() | st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    rotation=st.lists(st.floats(-360, 360), min_size=3, max_size=3),
    translation=st.none() | st.lists(st.floats(-50, 50), min_size=3, max_size=3),
)
def test_matrices_in_3d(scale: Any, rotation: Any, translation: Any) -> None:
    arguments = (scale, rotation, None, translation)
    ours = transformation.compute_affine_matrix(*arguments)
    theirs = reference.compute_affine_matrix(*arguments)
    # Two entries of the reference have a sine or the wrong angle, so that it is no rotation.
    for entry in [(1, 2), (2, 1)]:
        theirs[entry] = ours[entry]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    turned = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix()
    np.testing.assert_allclose(ours[:3, :3], turned * (scale or [1, 1, 1]), atol=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"scale": [1, 2], "translation": [1, 2, 3]}, {"rotation": [1], "scale": [1] * 3}],
)
def test_bad_parameters_are_refused_in_the_same_words(arguments: dict[str, Any]) -> None:
    ours = outcome(lambda: transformation.compute_affine_matrix(**arguments))
    assert ours == outcome(lambda: reference.compute_affine_matrix(**arguments))
    assert ours[0] is ValueError


@often
@given(ndim=st.integers(2, 3), seed=st.integers(0, 999))
def test_coordinates_and_boxes(ndim: int, seed: int) -> None:
    matrix = matrix_of(ndim, seed)
    start: Any = np.random.default_rng(seed).uniform(-9, 9, ndim)
    assert transformation.transform_coordinate(start, matrix) == reference.transform_coordinate(
        start, matrix
    )
    ours = transformation.transform_roi_with_affine(start, start + 5, matrix)
    assert ours == reference.transform_roi_with_affine(start, start + 5, matrix)


@often
@given(
    data=st.data(),
    dtype=st.sampled_from(["bool", "uint8", "int32", "uint64", "float32", "float64"]),
    order=st.integers(0, 5),
    seed=st.integers(0, 999),
)
def test_a_region_through_a_matrix(data: st.DataObject, dtype: str, order: int, seed: int) -> None:
    shape = tuple(data.draw(st.lists(st.integers(2, 12), min_size=2, max_size=3)))
    roi = tuple(
        slice(start, start + data.draw(st.integers(1, 9)))
        for start in (data.draw(st.integers(-4, 12)) for _ in shape)
    )
    array, matrix = volume(shape, dtype, seed), matrix_of(len(shape), seed)
    ours = transformation.transform_subvolume_affine(array, matrix, roi, order, 1)
    theirs = reference.transform_subvolume_affine(array, matrix, roi, order, 1)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sigma", [(1.0, 2.0), (0.0, 0.7), (0.4, 0.0)])
def test_a_smoothed_region(dtype: str, sigma: tuple[float, float]) -> None:
    array, roi = volume((21, 17), dtype, 3), (slice(2, 9), slice(0, 11))
    for order in (0, 1, 3):
        arguments = (array, matrix_of(2, 5), roi, order, 0, sigma)
        ours = transformation.transform_subvolume_affine(*arguments)
        theirs = reference.transform_subvolume_affine(*arguments)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-4)


@often
@given(
    data=st.data(),
    dtype=st.sampled_from(["bool", "uint16", "int8", "float32", "float64"]),
    order=st.integers(0, 5),
    seed=st.integers(0, 999),
)
def test_a_field_of_coordinates(data: st.DataObject, dtype: str, order: int, seed: int) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=2, max_size=3)))
    out = tuple(data.draw(st.integers(1, 9)) for _ in shape)
    array = volume(shape, dtype, seed)
    field = np.random.default_rng(seed).uniform(-4, 15, (len(shape), *out))
    ours = transformation.transform_subvolume_coordinates(array, field, order, 1)
    theirs = reference.transform_subvolume_coordinates(array, field, order, 1)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=1e-6, atol=1e-4)


def test_a_stored_array_is_read_where_it_is_needed(tmp_path: Any) -> None:
    array = volume((40, 50), "float32", 1)
    stored: Any = zarr.create_array(
        tmp_path / "a.zarr", shape=array.shape, chunks=(8, 8), dtype="f4"
    )
    stored[...] = array
    field = np.stack(np.meshgrid(np.linspace(3, 9, 5), np.linspace(20, 30, 6), indexing="ij"))
    np.testing.assert_array_equal(
        transformation.transform_subvolume_coordinates(stored, field, 3),
        transformation.transform_subvolume_coordinates(array, field, 3),
    )
    (tmp_path / "a.zarr" / "c" / "4" / "5").write_bytes(b"broken")
    transformation.transform_subvolume_coordinates(stored, field, 3)
    roi = (slice(0, 10), slice(0, 10))
    transformation.transform_subvolume_affine(stored, np.eye(3), roi, 1)
    with pytest.raises(ValueError, match="c/4/5"):
        transformation.transform_subvolume_affine(stored, np.eye(3), (slice(30, 40), slice(40, 50)))


def test_coordinates_that_are_not_finite_lie_outside() -> None:
    field = np.array([[[np.nan, np.inf, 1.0]], [[1.0, 1.0, -np.inf]]])
    for order in range(6):
        out = transformation.transform_subvolume_coordinates(np.ones((3, 3)), field, order, 7)
        np.testing.assert_allclose(out, [[7.0, 7.0, 7.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda m, a: m.transform_subvolume_coordinates(a, np.zeros((3, 4, 4))),
        lambda m, a: m.transform_subvolume_coordinates(a, np.zeros((2, 4))),
        lambda m, a: m.transform_subvolume_coordinates(a, np.zeros((2, 4, 4)), order=6),
        lambda m, a: m.transform_subvolume_coordinates(a[0], np.zeros((1, 4))),
        lambda m, a: m.transform_subvolume_affine(a, np.ones((3, 3)), (slice(4), slice(4))),
        lambda m, a: m.transform_subvolume_affine(a, np.eye(3), (slice(4), slice(4)), 7),
        lambda m, a: m.transform_subvolume_affine("a.zarr", np.eye(3), (slice(4), slice(4))),
    ],
)
def test_bad_calls_are_refused(call: Any) -> None:
    array = np.zeros((5, 6))
    ours, theirs = (
        outcome(lambda: call(transformation, array)),
        outcome(lambda: call(reference, array)),
    )
    assert ours[0] is theirs[0]
    if "Passing strings" not in theirs[1]:
        assert ours[1] == theirs[1]


def test_a_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match="anti_aliasing_sigma must be non-negative"):
        transformation.transform_subvolume_affine(
            np.zeros((5, 6)), np.eye(3), (slice(4), slice(4)), sigma=(-1.0, 1.0)
        )
