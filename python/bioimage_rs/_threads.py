"""Threads of the libraries that functions call: one for each worker while local runs go on."""

import threading
from typing import Any

_lock = threading.Lock()
_workers = 0
_blas: Any = None


def begin() -> None:
    """Called by each worker thread at its begin.

    Linear algebra libraries have one setting for the process, which is kept from the first worker
    to the last; OpenMP has one for each thread, which ends with it.
    """
    from threadpoolctl import ThreadpoolController

    global _workers, _blas
    libraries = ThreadpoolController()
    with _lock:
        if _workers == 0:
            _blas = libraries.select(user_api="blas").limit(limits=1)
        _workers += 1
    libraries.select(user_api="openmp").limit(limits=1)


def end() -> None:
    """Called by each worker thread at its end."""
    global _workers, _blas
    with _lock:
        _workers -= 1
        if _workers == 0:
            _blas.restore_original_limits()
            _blas = None
