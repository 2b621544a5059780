"""Filters made of Gaussians and their derivatives: smoothing, edges, ridges, structure."""

import os
from collections.abc import Sequence
from math import inf
from numbers import Real
from typing import Any, Unpack

from bioimage_rs._operation import How, Operation, array_operation
from bioimage_rs.runner import get_runner
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args

__all__ = [
    "apply_filter",
    "gaussian_gradient_magnitude",
    "gaussian_smoothing",
    "hessian_of_gaussian_eigenvalues",
    "laplacian_of_gaussian",
    "structure_tensor_eigenvalues",
]

Sigma = float | Sequence[float]

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
        channel = parameters.get("return_channel", 0)
        if not -ndim <= channel < ndim:
            raise IndexError(
                f"index {channel} is out of bounds for axis {ndim} with size {ndim}: the channels "
                "are the axes of the image."
            )
        if channel < 0:
            parameters["return_channel"] = channel + ndim
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
