"""Threads of the libraries that functions call: one for each worker while local runs go on."""

import threading
from typing import Any

_lock = threading.Lock()
_runs = 0
_blas: Any = None


def begin_run() -> None:
    """Let linear algebra libraries use one thread, which is a setting of the whole process.

    Made and taken back by who asks for a run: OpenBLAS may miss what a worker thread sets.
    """
    from threadpoolctl import ThreadpoolController

    global _runs, _blas
    with _lock:
        if _runs == 0:
            _blas = ThreadpoolController().select(user_api="blas").limit(limits=1)
        _runs += 1


def end_run() -> None:
    """Take back what `begin_run` has set, after the last run."""
    global _runs, _blas
    with _lock:
        _runs -= 1
        if _runs == 0:
            _blas.restore_original_limits()
            _blas = None


def begin_worker() -> None:
    """Let OpenMP use one thread, which is a setting of the calling thread."""
    from threadpoolctl import ThreadpoolController

    ThreadpoolController().select(user_api="openmp").limit(limits=1)
