"""Affine matrices, and regions of arrays seen through one or through a field of coordinates.

Matrices are homogeneous and map output to input coordinates, in voxels and numpy's order of axes.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs._dataset import NativeArray
from bioimage_rs.sources import Source, SourceLike, as_source
from bioimage_rs.sources._array import engine_array

__all__ = [
    "compute_affine_matrix",
    "transform_coordinate",
    "transform_roi_with_affine",
    "transform_subvolume_affine",
    "transform_subvolume_coordinates",
]


def compute_affine_matrix(
    scale: list[float] | None = None,
    rotation: list[float] | None = None,
    shear: list[float] | None = None,
    translation: list[float] | None = None,
) -> np.ndarray:
    """Compose an affine matrix: scaling first, then shear, rotation and translation.

    Parameters
    ----------
    scale
        Factor for each axis.
    rotation
        Degrees: one angle in a list in 2D; in 3D three, about axis 0, then axis 1, then axis 2.
    shear
        Degrees, one angle in a list, in 2D. Three angles say that the matrix is 3D, which is not
        sheared.
    translation
        Voxels, for each axis.

    Returns
    -------
    float64 matrix of shape (3, 3) or (4, 4).

    Raises
    ------
    ValueError
        If nothing is given, or for lengths that do not fit each other.

    Examples
    --------
    >>> from bioimage_rs.transformation import compute_affine_matrix
    >>> matrix = compute_affine_matrix(scale=[2, 3], translation=[1, 0])
    >>> matrix.diagonal().tolist(), matrix[:, 2].tolist()
    ([2.0, 3.0, 1.0], [1.0, 0.0, 1.0])
    """
    given = [(scale, False), (rotation, True), (shear, True), (translation, False)]
    if all(values is None for values, _ in given):
        raise ValueError("At least one of scale, rotation, shear or translation must be given.")
    dims = [
        (2 if len(values) == 1 else 3) if angles else len(values)
        for values, angles in given
        if values is not None
    ]
    if len(set(dims)) != 1:
        raise ValueError(f"Inconsistent dimensionality across affine parameters: {dims}.")
    ndim = dims[0]
    angles = np.deg2rad(np.zeros(2 * ndim - 3) if rotation is None else rotation)
    linear = np.eye(3)
    if ndim == 2:
        tilted = angles[0] + np.deg2rad(0.0 if shear is None else shear[0])
        linear = np.array(
            [[np.cos(angles[0]), -np.sin(tilted)], [np.sin(angles[0]), np.cos(tilted)]]
        )
    else:
        for plane, angle in zip([(1, 2), (2, 0), (0, 1)], angles, strict=True):
            turn = np.eye(3)
            turn[np.ix_(plane, plane)] = [
                [np.cos(angle), -np.sin(angle)],
                [np.sin(angle), np.cos(angle)],
            ]
            linear = turn @ linear
    matrix = np.eye(ndim + 1)
    matrix[:ndim, :ndim] = linear if scale is None else linear * np.asarray(scale)
    if translation is not None:
        matrix[:ndim, ndim] = translation
    return matrix


def transform_coordinate(coord: Sequence[float], matrix: np.ndarray) -> tuple[float, ...]:
    """Apply an affine matrix to one coordinate.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.transformation import transform_coordinate
    >>> [float(c) for c in transform_coordinate((1, 2), np.diag([2.0, 3.0, 1.0]))]
    [2.0, 6.0]
    """
    ndim = len(coord)
    return tuple(
        sum(coord[other] * matrix[axis, other] for other in range(ndim)) + matrix[axis, -1]
        for axis in range(ndim)
    )


def transform_roi_with_affine(
    roi_start: Sequence[float], roi_stop: Sequence[float], matrix: np.ndarray
) -> tuple[list[float], list[float]]:
    """Find the box around the corners of a region after an affine transformation.

    Returns
    -------
    Start and stop of the box, for each axis.
    """
    corners = itertools.product(*zip(roi_start, roi_stop, strict=True))
    moved = list(zip(*(transform_coordinate(corner, matrix) for corner in corners), strict=True))
    return [min(axis) for axis in moved], [max(axis) for axis in moved]


def transform_subvolume_affine(
    source: SourceLike,
    matrix: np.ndarray,
    roi: tuple[slice, ...],
    order: int = 0,
    fill_value: Any = 0,
    sigma: Sequence[float] | None = None,
) -> np.ndarray:
    """Read a region of an array seen through an affine matrix.

    Parameters
    ----------
    source
        The source or array, 2D or 3D.
    matrix
        The matrix from output to input coordinates, (ndim + 1, ndim + 1).
    roi
        The region of the output; open ends are the array's.
    order
        Interpolation order, 0 to 5; see `bioimage_rs.wrapper.AffineSource`.
    fill_value
        Value of what lies outside the array.
    sigma
        Sigma in voxels, for each axis of the input, of a Gaussian that the array is smoothed with
        before.

    Returns
    -------
    The region, in the array's data type. The box that it spans in the array is read at once.
    """
    wrapped = as_source(source)
    ndim = _check_sampled(wrapped, order)
    full = np.asarray(matrix, dtype="float64")
    check_homogeneous(full)
    if full.shape not in ((ndim, ndim + 1), (ndim + 1, ndim + 1)):
        raise ValueError(
            f"matrix must have shape ({ndim}, {ndim + 1}) or ({ndim + 1}, {ndim + 1}), got "
            f"{full.shape}"
        )
    bounds = [
        (int(part.start or 0), extent if part.stop is None else int(part.stop))
        for part, extent in zip(roi, wrapped.shape, strict=True)
    ]
    if any(stop <= start for start, stop in bounds):
        return np.empty([max(stop - start, 0) for start, stop in bounds], wrapped.dtype)
    # The engine counts positions from 0: what lies before that moves into the offset.
    before = np.minimum([start for start, _ in bounds], 0)
    rows = full[:ndim].copy()
    rows[:, ndim] += rows[:, :ndim] @ before
    moved = zip(bounds, before.tolist(), strict=True)
    local = [(start - shift, stop - shift) for (start, stop), shift in moved]
    step = {
        "wrapper": "affine",
        "shape": [stop for _, stop in local],
        "matrix": matrix_text(rows),
        "order": int(order),
        "fill": fill_text(fill_value, wrapped.dtype),
        "smoothing": "none" if sigma is None else {"sigma": _checked_sigma(sigma)},
    }
    native = _native.wrap(json.dumps(step), engine_array(wrapped, writable=False))
    return NativeArray(native)[tuple(slice(start, stop) for start, stop in local)]


def transform_subvolume_coordinates(
    source: SourceLike, coordinates: np.ndarray, order: int = 1, fill_value: Any = 0
) -> np.ndarray:
    """Sample an array at a coordinate for each voxel of the result, such as a deformation field.

    Parameters
    ----------
    source
        The source or array, 2D or 3D.
    coordinates
        Coordinates in voxels, of shape (ndim, *output_shape).
    order
        Interpolation order, 0 to 5; see `bioimage_rs.wrapper.AffineSource`.
    fill_value
        Value of what lies outside the array.

    Returns
    -------
    Array of shape `coordinates.shape[1:]` and the array's data type. The box that the coordinates
    span is read at once.

    Raises
    ------
    ValueError
        For coordinates of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.transformation import transform_subvolume_coordinates
    >>> image = np.array([[0.0, 10.0], [20.0, 30.0]])
    >>> transform_subvolume_coordinates(image, np.full((2, 1, 1), 0.5))
    array([[15.]])
    """
    wrapped = as_source(source)
    ndim = wrapped.ndim
    points = np.ascontiguousarray(coordinates, dtype="float64")
    if points.ndim != ndim + 1 or points.shape[0] != ndim:
        raise ValueError(
            f"coordinates must have shape (ndim, *output_shape) with ndim={ndim}, got shape "
            f"{points.shape}"
        )
    _check_sampled(wrapped, order)
    shape = points.shape[1:]
    if 0 in shape:
        return np.empty(shape, wrapped.dtype)
    native = engine_array(wrapped, writable=False)
    fill = fill_text(fill_value, wrapped.dtype)
    flat = _native.sample(native, points.reshape(-1), list(shape), int(order), fill)
    return flat.view(native.dtype).reshape(shape)


def _check_sampled(source: Source, order: int) -> int:
    if source.ndim not in (2, 3):
        raise ValueError(f"data must be 2D or 3D, got ndim={source.ndim}")
    if int(order) not in range(6):
        raise ValueError(f"order must be in 0..5, got {int(order)}")
    return source.ndim


def _checked_sigma(sigma: Sequence[float]) -> list[float]:
    values = [float(one) for one in sigma]
    if any(one < 0 for one in values):
        raise ValueError(f"anti_aliasing_sigma must be non-negative, got {values}")
    return values


def check_homogeneous(matrix: np.ndarray) -> None:
    """Refuse a square matrix that is no affine one."""
    ndim = matrix.shape[1] - 1
    last = [0.0] * ndim + [1.0]
    if len(matrix) == ndim + 1 and not np.allclose(matrix[-1], last):
        raise ValueError(f"homogeneous matrix last row must be {last}, got {matrix[-1].tolist()}")


def matrix_text(rows: np.ndarray) -> list[list[str]]:
    """Numbers as text, so that the engine gets exactly these."""
    return [[repr(float(value)) for value in row] for row in rows]


def fill_text(fill_value: Any, dtype: np.dtype) -> str:
    """The fill value in the array's data type, as text."""
    held = np.dtype("uint8") if dtype.kind == "b" else dtype
    try:
        return repr(held.type(fill_value).item())
    except OverflowError as error:
        raise OverflowError(
            f"fill_value={fill_value!r} cannot be represented as dtype={held}"
        ) from error
