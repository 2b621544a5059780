"""Threads of the libraries that functions call."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let linear algebra libraries use one thread: the workers are the parallelism."""
    with _controller().limit(limits=1):
        yield
