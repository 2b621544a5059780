"""Filters: smoothing, edges, ridges, structure; morphology of grey values; the median."""

import os
from collections.abc import Sequence
from math import inf
from numbers import Real
from operator import index
from typing import Any, Literal, Unpack

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.runner import get_runner
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args

__all__ = [
    "apply_filter",
    "black_tophat",
    "closing",
    "difference_of_gaussians",
    "dilation",
    "erosion",
    "gaussian_gradient_magnitude",
    "gaussian_smoothing",
    "hessian_of_gaussian_eigenvalues",
    "laplacian_of_gaussian",
    "median",
    "opening",
    "structure_tensor_eigenvalues",
    "white_tophat",
]

Sigma = float | Sequence[float]
Radius = int | Sequence[int]
Shape = Literal["box", "ball", "cross"]

_VERBS = {
    "gaussian_gradient_magnitude": "gradient",
    "gaussian_smoothing": "gaussian",
    "hessian_of_gaussian_eigenvalues": "hessian",
    "laplacian_of_gaussian": "laplace",
    "structure_tensor_eigenvalues": "structure",
}


@array_operation
def apply_filter(
    input: SourceLike,  # noqa: A002 - the reference's name
    filter_name: str,
    sigma: Sigma,
    output: SourceLike | None = None,
    *,
    outer_scale: Sigma | None = None,
    return_channel: int | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Apply a filter, by the name of its function in this module.

    Gaussians are cut off at three standard deviations, derivatives half a deviation later for each
    order. The image is mirrored at its ends without repeating the end voxel. Computed in single
    precision; the result does not depend on the blocks, to the last bit. Halo: what the filter
    reaches along each axis. Memory: a worker holds its block with the halo, and 4 bytes for each
    voxel and channel of the result.

    Parameters
    ----------
    input
        The image, of any data type, with one to three axes; two or three for eigenvalues.
    filter_name
        `gaussian_smoothing`, `gaussian_gradient_magnitude`, `laplacian_of_gaussian`,
        `hessian_of_gaussian_eigenvalues` or `structure_tensor_eigenvalues`.
    sigma
        Standard deviation of the Gaussian in voxels: one number or one for each axis, above 0.
    output
        The array to write; by default a new numpy array, `float64` for a `float64` image and
        `float32` for any other. All eigenvalues together have one channel for each axis, first:
        `(ndim, *shape)`, the largest first.
    outer_scale
        Of the structure tensor: standard deviation of the second Gaussian, as `sigma`.
    return_channel
        Of eigenvalues: the only one that is wanted, from 0, the largest.
    block_shape
        Extents of a block, multiples of the output's chunks; by default the input's chunks.
    job_type, job_config, num_workers, mask, block_ids, resume_from
        As for `copy`. Voxels outside the mask are read where the filter reaches them.
    cast, memory, retries, progress
        As for `copy`.
    new_output
        With paths as input and output, what the verb (`bp gaussian`, ...) takes for a new array:
        `chunks`, `shards`, `codec`, `dtype`, `roi`, `overwrite`.

    Returns
    -------
    The object that was passed as output, or the new array; with an output path, that array opened.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then. Without blocks, also for an image with NaN
        or infinity.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> slope = np.outer(np.ones(20), 3.0 * np.arange(20))
    >>> edges = bp.filters.apply_filter(slope, "gaussian_gradient_magnitude", 1.5)
    >>> float(edges[10, 10].round(3))
    3.0
    """
    if filter_name not in _VERBS:
        raise ValueError(f"Unknown filter {filter_name!r}; valid filters: {sorted(_VERBS)}.")
    if filter_name == "structure_tensor_eigenvalues" and outer_scale is None:
        raise ValueError("structure_tensor_eigenvalues requires 'outer_scale'.")
    parameters: dict[str, Any] = {"sigma": _per_axis(sigma, f"{filter_name}: sigma")}
    if filter_name == "structure_tensor_eigenvalues":
        parameters["outer_scale"] = _per_axis(outer_scale, f"{filter_name}: outer_sigma")
    if return_channel is not None:
        if not filter_name.endswith("eigenvalues"):
            raise ValueError(f"{filter_name} has one value for each voxel: no return_channel.")
        parameters["return_channel"] = int(return_channel)
    if not isinstance(output, str | os.PathLike):
        runner = get_runner(how.get("job_type", "local"), how.get("job_config"))
        check_rerun_args(runner.job_type, how.get("resume_from"), how.get("block_ids"))
        ndim = as_source(input).ndim
        for name, value in parameters.items():
            if isinstance(value, list) and len(value) != ndim:
                raise ValueError(
                    f"{filter_name}: {name} must be a scalar or a sequence of length {ndim}, got "
                    f"length {len(value)}"
                )
        if return_channel is not None:
            channel = int(return_channel)
            if not -ndim <= channel < ndim:
                raise IndexError(
                    f"index {channel} is out of bounds for axis {ndim} with size {ndim}: the "
                    "channels are the axes of the image."
                )
            parameters["return_channel"] = channel % ndim
    operation = Operation(
        _VERBS[filter_name], parameters, f"bp.filters.{filter_name}", in_place="filtering"
    )
    return operation.run({"input": input}, output, how)


def _per_axis(sigma: Any, what: str) -> float | list[float]:
    given = [float(one) for one in ([sigma] if isinstance(sigma, Real) else sigma)]
    if not all(0 < one < inf for one in given):
        raise ValueError(f"{what} values must be finite and positive")
    return given[0] if isinstance(sigma, Real) else given


def gaussian_smoothing(
    input: SourceLike,  # noqa: A002 - the reference's name
    sigma: Sigma,
    output: SourceLike | None = None,
    **kwargs: Unpack[How],
) -> SourceLike:
    """Smooth an image with a Gaussian.

    Arguments, returned value and errors as for `apply_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.filters import gaussian_smoothing
    >>> image = np.zeros((9, 9), "uint8")
    >>> image[4, 4] = 100
    >>> gaussian_smoothing(image, 0.5)[4, 3:6].round(1)
    array([ 8.4, 61.9,  8.4], dtype=float32)
    """
    return apply_filter(input, "gaussian_smoothing", sigma, output, **kwargs)


def gaussian_gradient_magnitude(
    input: SourceLike,  # noqa: A002 - the reference's name
    sigma: Sigma,
    output: SourceLike | None = None,
    **kwargs: Unpack[How],
) -> SourceLike:
    """Show edges: the length of the gradient of the smoothed image.

    Arguments, returned value and errors as for `apply_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.filters import gaussian_gradient_magnitude
    >>> step = np.repeat([[0.0, 8.0]], 10, axis=1).repeat(5, axis=0)
    >>> int(gaussian_gradient_magnitude(step, 1)[2].argmax())
    9
    """
    return apply_filter(input, "gaussian_gradient_magnitude", sigma, output, **kwargs)


def laplacian_of_gaussian(
    input: SourceLike,  # noqa: A002 - the reference's name
    sigma: Sigma,
    output: SourceLike | None = None,
    **kwargs: Unpack[How],
) -> SourceLike:
    """Show blobs and edges: the sum of the second derivatives of the smoothed image.

    It is negative inside what is bright. Arguments, returned value and errors as for
    `apply_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.filters import laplacian_of_gaussian
    >>> image = np.zeros((9, 9))
    >>> image[4, 4] = 100
    >>> filtered = laplacian_of_gaussian(image, 1, block_shape=(3, 3), num_workers=2)
    >>> bool(filtered[4, 4] < 0 < filtered[4, 7])
    True
    """
    return apply_filter(input, "laplacian_of_gaussian", sigma, output, **kwargs)


def hessian_of_gaussian_eigenvalues(
    input: SourceLike,  # noqa: A002 - the reference's name
    sigma: Sigma,
    output: SourceLike | None = None,
    *,
    return_channel: int | None = None,
    **kwargs: Unpack[How],
) -> SourceLike:
    """Show ridges, tubes and blobs: eigenvalues of the second derivatives of the smoothed image.

    Arguments, returned value and errors as for `apply_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.filters import hessian_of_gaussian_eigenvalues
    >>> ridge = np.zeros((9, 9))
    >>> ridge[4] = 100
    >>> across = hessian_of_gaussian_eigenvalues(ridge, 1)[:, 4, 4]
    >>> bool(abs(across[0]) < 1e-4 and across[1] < -30)
    True
    """
    return apply_filter(
        input,
        "hessian_of_gaussian_eigenvalues",
        sigma,
        output,
        return_channel=return_channel,
        **kwargs,
    )


def structure_tensor_eigenvalues(
    input: SourceLike,  # noqa: A002 - the reference's name
    sigma: Sigma,
    outer_scale: Sigma,
    output: SourceLike | None = None,
    *,
    return_channel: int | None = None,
    **kwargs: Unpack[How],
) -> SourceLike:
    """Show edges, corners and texture: eigenvalues of the structure tensor.

    Of the products of the first derivatives, that is, smoothed with `outer_scale`. Arguments,
    returned value and errors as for `apply_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.filters import structure_tensor_eigenvalues
    >>> slope = np.outer(np.ones(20), 3.0 * np.arange(20))
    >>> structure_tensor_eigenvalues(slope, 1, 1)[:, 10, 10].round(3)
    array([9., 0.])
    """
    return apply_filter(
        input,
        "structure_tensor_eigenvalues",
        sigma,
        output,
        outer_scale=outer_scale,
        return_channel=return_channel,
        **kwargs,
    )


@array_operation
def difference_of_gaussians(
    input: SourceLike,  # noqa: A002 - the reference's name
    sigma_low: Sigma,
    sigma_high: Sigma,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Show what is of one size: an image smoothed with a Gaussian, less the same with a wider one.

    Details smaller than `sigma_low` and what changes more slowly than `sigma_high` are left out.
    Other arguments, returned value and errors as for `apply_filter`.

    Parameters
    ----------
    input
        The image, of any data type, with one to three axes.
    sigma_low
        Standard deviation of the Gaussian that smooths what is kept, in voxels: one number or one
        for each axis, above 0.
    sigma_high
        Likewise of the one that smooths what is taken away; with a smaller one, signs are reversed.
    output
        The array to write; by default a new numpy array, `float64` for a `float64` image and
        `float32` for any other.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.filters import difference_of_gaussians
    >>> image = np.full((15, 15), 40.0)
    >>> image[7, 7] = 100
    >>> blobs = difference_of_gaussians(image, 0.7, 2)
    >>> bool(blobs[7, 7] > 10) and bool(abs(blobs[0, 0]) < 0.01)
    True
    """
    parameters = {
        "sigma_low": _per_axis(sigma_low, "difference_of_gaussians: sigma_low"),
        "sigma_high": _per_axis(sigma_high, "difference_of_gaussians: sigma_high"),
    }
    operation = Operation(
        "difference-of-gaussians",
        parameters,
        "bp.filters.difference_of_gaussians",
        in_place="filtering",
    )
    return operation.run({"input": input}, output, how)


def _radius(radius: Any, what: str) -> int | list[int]:
    try:
        given = [index(radius)] if hasattr(radius, "__index__") else [index(one) for one in radius]
    except TypeError:
        raise TypeError(f"{what}: radius must be a whole number or one for each axis.") from None
    if any(one < 0 for one in given):
        raise ValueError(f"{what}: radius must be at least 0, got {radius}.")
    return given[0] if hasattr(radius, "__index__") else given


def _grey(
    name: str,
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None,
    shape: str,
    how: How,
) -> SourceLike:
    if shape not in ("box", "ball", "cross"):
        raise ValueError(f"{name}: unknown shape {shape!r}; valid shapes: 'box', 'ball', 'cross'.")
    parameters = {"radius": _radius(radius, name), "shape": shape}
    verb = name.replace("_", "-")
    operation = Operation(verb, parameters, f"bp.filters.{name}", in_place="filtering")
    return operation.run({"input": input}, output, how)


@array_operation
def erosion(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    *,
    shape: Shape = "box",
    **how: Unpack[How],
) -> SourceLike:
    """Take the least value of each voxel's neighbourhood: what is bright shrinks.

    A binary image, of `bool` or of 0 and any other number, is eroded in the same way. There is
    nothing outside the image, so that it does not shrink at its ends; `scipy.ndimage.grey_erosion`
    and `skimage.morphology.erosion` give the same by default. NaN spreads to all whose
    neighbourhood has it; -0 is less than 0. The result does not depend on the blocks. Halo: the
    radius. Memory: a worker holds its block with the halo three times. The time that a box takes
    hardly grows with its radius, that of a ball as its radius does for each axis but the last.

    Parameters
    ----------
    input
        The image, of any data type.
    radius
        How far the neighbourhood reaches from its voxel: one number, or one for each axis; 0 leaves
        an axis alone.
    output
        The array to write; by default a new numpy array of the image's type.
    shape
        Which voxels within the radius are neighbours: all of them (`box`), those in the ellipsoid
        with these half axes (`ball`; of one radius for all axes, that of `skimage.morphology.disk`
        and `ball`), or those along the axes (`cross`).
    block_shape
        Extents of a block, multiples of the output's chunks; by default the input's chunks.
    job_type, job_config, num_workers, mask, block_ids, resume_from
        As for `copy`. Voxels outside the mask are read where a neighbourhood has them.
    cast, memory, retries, progress
        As for `copy`.
    new_output
        With paths as input and output, what the verb (`bp erosion`, ...) takes for a new array:
        `chunks`, `shards`, `codec`, `dtype`, `roi`, `overwrite`.

    Returns
    -------
    The object that was passed as output, or the new array; with an output path, that array opened.

    Raises
    ------
    ValueError, TypeError
        For what cannot be done; nothing is written then.
    RunnerError
        If blocks failed.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> image = np.array([[5, 5, 5, 9, 0], [5, 8, 5, 5, 5], [5, 5, 5, 5, 5]], "uint8")
    >>> bp.filters.erosion(image, (0, 1))
    array([[5, 5, 5, 0, 0],
           [5, 5, 5, 5, 5],
           [5, 5, 5, 5, 5]], dtype=uint8)
    """
    return _grey("erosion", input, radius, output, shape, how)


@array_operation
def dilation(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    *,
    shape: Shape = "box",
    **how: Unpack[How],
) -> SourceLike:
    """Take the greatest value of each voxel's neighbourhood: what is bright grows.

    Arguments, returned value and errors as for `erosion`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> dot = np.zeros((5, 7), bool)
    >>> dot[2, 3] = True
    >>> bp.filters.dilation(dot, (2, 3), shape="ball").astype(int)
    array([[0, 0, 0, 1, 0, 0, 0],
           [0, 1, 1, 1, 1, 1, 0],
           [1, 1, 1, 1, 1, 1, 1],
           [0, 1, 1, 1, 1, 1, 0],
           [0, 0, 0, 1, 0, 0, 0]])
    """
    return _grey("dilation", input, radius, output, shape, how)


@array_operation
def opening(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    *,
    shape: Shape = "box",
    **how: Unpack[How],
) -> SourceLike:
    """Erode and dilate: bright parts in which the neighbourhood has no room go.

    Arguments, returned value and errors as for `erosion`. Halo: twice the radius.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.filters.opening(np.array([0, 7, 0, 5, 5, 6, 5, 0]), 1)
    array([0, 0, 0, 5, 5, 5, 5, 0])
    """
    return _grey("opening", input, radius, output, shape, how)


@array_operation
def closing(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    *,
    shape: Shape = "box",
    **how: Unpack[How],
) -> SourceLike:
    """Dilate and erode: dark parts in which the neighbourhood has no room go, such as holes.

    Arguments, returned value and errors as for `erosion`. Halo: twice the radius.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.filters.closing(np.array([9, 9, 2, 9, 0, 0, 0, 9]), 1)
    array([9, 9, 9, 9, 0, 0, 0, 9])
    """
    return _grey("closing", input, radius, output, shape, how)


@array_operation
def white_tophat(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    *,
    shape: Shape = "box",
    **how: Unpack[How],
) -> SourceLike:
    """Show bright parts in which the neighbourhood has no room: the image less its `opening`.

    Arguments, returned value and errors as for `erosion`. Halo: twice the radius. Memory: a worker
    holds its block with the halo four times. A difference that a signed integer type does not have
    becomes its greatest value; scipy's and skimage's become negative then.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.filters.white_tophat(np.array([0, 7, 0, 5, 5, 6, 5, 0]), 1)
    array([0, 7, 0, 0, 0, 1, 0, 0])
    """
    return _grey("white_tophat", input, radius, output, shape, how)


@array_operation
def black_tophat(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    *,
    shape: Shape = "box",
    **how: Unpack[How],
) -> SourceLike:
    """Show dark parts in which the neighbourhood has no room: the `closing` less the image.

    Arguments, returned value and errors as for `white_tophat`.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.filters.black_tophat(np.array([9, 9, 2, 9, 0, 0, 0, 9]), 1)
    array([0, 0, 7, 0, 0, 0, 0, 0])
    """
    return _grey("black_tophat", input, radius, output, shape, how)


@array_operation
def median(
    input: SourceLike,  # noqa: A002 - the reference's name
    radius: Radius,
    output: SourceLike | None = None,
    **how: Unpack[How],
) -> SourceLike:
    """Take the middle value of each voxel's neighbourhood, a box: noise goes, edges stay.

    The image is mirrored at its ends with the end voxels repeated, as by
    `scipy.ndimage.median_filter`, which gives the same. NaN spreads to all whose neighbourhood has
    it. The result does not depend on the blocks. Halo: the radius. Memory: a worker holds its block
    with the halo twice, of floats five times. Other arguments, returned value and errors as for
    `erosion`.

    Parameters
    ----------
    input
        The image, of any data type.
    radius
        How far the neighbourhood reaches from its voxel: one number, or one for each axis; 0 leaves
        an axis alone.
    output
        The array to write; by default a new numpy array of the image's type.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> bp.filters.median(np.array([3, 3, 90, 3, 3, 8, 8, 0, 8]), 1)
    array([3, 3, 3, 3, 3, 8, 8, 8, 8])
    """
    parameters = {"radius": _radius(radius, "median")}
    operation = Operation("median", parameters, "bp.filters.median", in_place="filtering")
    return operation.run({"input": input}, output, how)
