"""Defaults of a session: arguments that every call would else repeat."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NAMES = ("num_workers", "job_type", "job_config", "block_shape")
_defaults: ContextVar[dict[str, Any]] = ContextVar("bioimage_rs.defaults")


@contextmanager
def defaults(*, backend: str | None = None, **values: Any) -> Iterator[None]:
    """Set arguments of all calls inside a `with` block that do not give them themselves.

    Parameters
    ----------
    backend
        Another name for `job_type`.
    values
        `num_workers`, `job_type`, `job_config` and `block_shape`.

    Raises
    ------
    TypeError
        For another name.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> with bp.defaults(num_workers=2, block_shape=(8, 8)):
    ...     out = bp.copy(np.ones((16, 16)))
    """
    unknown = sorted(set(values) - set(_NAMES))
    if unknown:
        raise TypeError(f"defaults() takes {', '.join(_NAMES)} and backend, not {unknown}.")
    if backend is not None:
        values["job_type"] = backend
    token = _defaults.set({**_defaults.get({}), **values})
    try:
        yield
    finally:
        _defaults.reset(token)


def takes_defaults(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a function take what `defaults` sets."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        values = _defaults.get({})
        if values:
            given = signature.bind_partial(*args, **kwargs).arguments
            missing = {
                name: value
                for name, value in values.items()
                if name in signature.parameters and name not in given
            }
            return function(*args, **{**kwargs, **missing})
        return function(*args, **kwargs)

    return call
