"""A worker process for runs that need Python: `python -m bioimage_rs.worker FOLDER ...`."""

import argparse
import faulthandler
import gc
import signal
import sys
from importlib import import_module


def main() -> int:
    """Work on one task of a run; what becomes of it stands in the run's folder."""
    parser = argparse.ArgumentParser(prog="python -m bioimage_rs.worker")
    parser.add_argument("folder")
    for option in ("--task", "--attempt"):
        parser.add_argument(option, type=int, required=True)
    # A scheduler that starts tasks does not count how often.
    parser.add_argument("--launch", type=int)
    options = parser.parse_args()
    # Where a crash, or a time limit, meets a function is told in the log.
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)
    # An interrupt of the whole process group is for the leader, which asks its workers to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    # Imports make much that stays: looking through it for rubbish would only take time.
    gc.disable()
    from bioimage_rs import _native

    # What the engine will ask for.
    import_module("bioimage_rs._functions")
    gc.freeze()
    gc.enable()
    _native.work(options.folder, options.task, options.attempt, options.launch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
