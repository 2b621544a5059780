"""Runners: a function for each block of arrays, or for each item of a list, on any backend."""

import json
import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from bioimage_rs import _native
from bioimage_rs._functions import TooLargeError, dump, dump_value, of_blocks
from bioimage_rs._progress import showing
from bioimage_rs._runs import Progress, Run, attach, find_program, finish, stopped_by_interrupt
from bioimage_rs._threads import begin_run, end_run
from bioimage_rs.errors import RunnerError
from bioimage_rs.runner import _checks
from bioimage_rs.runner._config import RunnerConfig, SlurmConfig
from bioimage_rs.sources import Source, SourceLike, as_source
from bioimage_rs.sources._array import engine_array
from bioimage_rs.util import (
    BlockDescriptor,
    Blocking,
    ComputeFn,
    derive_block_shape,
    get_blocking,
    normalize_halo,
)


def run_block(
    function: ComputeFn,
    blocking: Blocking,
    block_id: int,
    inputs: Sequence[Source],
    outputs: Sequence[Source],
    mask: Source | None,
    halo: Sequence[int] | None,
) -> Any:
    """Call a function for one block, as every backend does."""
    block: BlockDescriptor = (
        blocking.get_block(int(block_id))
        if halo is None
        else blocking.get_block_with_halo(int(block_id), [int(extent) for extent in halo])
    )
    return function(block, inputs, outputs, mask)


class Runner:
    """A backend with its settings.

    Parameters
    ----------
    config
        The settings; `RunnerConfig()` by default.
    """

    job_type = ""

    def __init__(self, config: RunnerConfig | None = None) -> None:
        self.config = config or RunnerConfig()

    @property
    def _is_local(self) -> bool:
        return self.job_type == "local"

    def run(
        self,
        function: ComputeFn,
        inputs: Sequence[SourceLike],
        outputs: Sequence[SourceLike] = (),
        *,
        block_shape: tuple[int, ...] | None = None,
        halo: Sequence[int] | None = None,
        mask: SourceLike | None = None,
        num_workers: int = 1,
        block_ids: Sequence[int] | None = None,
        has_return_val: bool = False,
        name: str = "",
        roi: tuple[slice, ...] | None = None,
        pre_cleanup: Callable[[str], None] | None = None,
        resume_from: str | None = None,
        progress: Progress | None = None,
    ) -> list[Any] | None:
        """Call a function for each block of arrays.

        The function is called as `function(block, inputs, outputs, mask)`, with sources that are
        read and written natively and without the interpreter lock where the engine knows their
        format; the block that comes next is read meanwhile. Memory: the blocks in hand, those that
        are read ahead, and what the function takes, which only its author knows.

        Parameters
        ----------
        function
            With worker processes it is pickled by value, with everything it holds on to.
        inputs, outputs
            Arrays. The first input (or output) is the domain: inputs have its shape, outputs end in
            it.
        block_shape
            Extents of a block; the domain's chunks by default. Multiples of the outputs' chunks.
        halo
            Extents around a block; then the function gets a block with `outer_block`,
            `inner_block` and `inner_block_local`.
        mask
            An array of the domain's shape, handed to the function.
        num_workers
            How many work at the same time.
        block_ids
            The blocks to do; all by default.
        has_return_val
            Whether the function's values are wanted.
        name
            Names the run where it is shown; without a name it is not shown.
        roi
            The region that the blocks cover; all by default.
        pre_cleanup
            Called with the run's folder after success; not by the local runner.
        resume_from
            The folder of a run to be finished, whose function and arrays are those of that run.
        progress
            Called with the numbers of blocks by state whenever they change.

        Returns
        -------
        The values in the order of the blocks with `has_return_val`, else nothing.

        Raises
        ------
        ValueError
            For what cannot be done; nothing is written then.
        RunnerError
            If blocks failed, with the blocks and what they raised.

        Examples
        --------
        >>> import numpy as np
        >>> import bioimage_rs as bp
        >>> data, out = np.arange(24).reshape(4, 6), np.zeros((4, 6), int)
        >>> def double(block, inputs, outputs, mask):
        ...     outputs[0][bp.to_roi(block)] = 2 * inputs[0][bp.to_roi(block)]
        >>> bp.get_runner("local").run(double, [data], [out], block_shape=(2, 3), num_workers=2)
        >>> bool((out == 2 * data).all())
        True
        """
        if resume_from is not None:
            if block_ids is not None:
                raise ValueError(
                    "resume_from and block_ids are mutually exclusive; resume_from re-runs the "
                    "original partition's un-done blocks."
                )
            return self._resume(resume_from, pre_cleanup)
        sources = _Sources(inputs, outputs, mask)
        blocking = sources.blocks(block_shape, roi)
        known, missing = known_blocks(block_ids, blocking.number_of_blocks)
        if blocking.number_of_blocks == 0:
            return [] if has_return_val else None
        run = self._start_blocks(
            function,
            sources,
            blocking,
            halo=halo,
            num_workers=num_workers,
            block_ids=known,
            has_return_val=has_return_val,
            name=name,
        )
        return self._finish(run, name, missing, has_return_val, pre_cleanup, progress)

    def start(
        self,
        function: ComputeFn,
        inputs: Sequence[SourceLike],
        outputs: Sequence[SourceLike] = (),
        *,
        block_shape: tuple[int, ...] | None = None,
        halo: Sequence[int] | None = None,
        mask: SourceLike | None = None,
        num_workers: int = 1,
        block_ids: Sequence[int] | None = None,
        has_return_val: bool = True,
        name: str = "",
        roi: tuple[slice, ...] | None = None,
    ) -> Run:
        """Begin what `run` does, and return the run, which can be streamed, watched and stopped.

        Examples
        --------
        >>> import numpy as np
        >>> import bioimage_rs as bp
        >>> def total(block, inputs, outputs, mask):
        ...     return int(inputs[0][bp.to_roi(block)].sum())
        >>> run = bp.get_runner("local").start(total, [np.ones((4, 6))], block_shape=(2, 3))
        >>> sorted(run.stream())
        [(0, 6), (1, 6), (2, 6), (3, 6)]
        """
        sources = _Sources(inputs, outputs, mask)
        blocking = sources.blocks(block_shape, roi)
        known, missing = known_blocks(block_ids, blocking.number_of_blocks)
        if missing or blocking.number_of_blocks == 0:
            raise ValueError(f"There are {blocking.number_of_blocks} blocks, not {missing[:10]}.")
        return self._start_blocks(
            function,
            sources,
            blocking,
            halo=halo,
            num_workers=num_workers,
            block_ids=known,
            has_return_val=has_return_val,
            name=name,
        )

    def map(
        self,
        function: Callable[[int], Any],
        n_items: int | None = None,
        *,
        item_ids: Sequence[int] | None = None,
        num_workers: int = 1,
        has_return_val: bool = True,
        name: str = "",
        pre_cleanup: Callable[[str], None] | None = None,
        resume_from: str | None = None,
        progress: Progress | None = None,
    ) -> list[Any] | None:
        """Call a function for each number of a list.

        Parameters
        ----------
        function
            Called with the number; what else it needs it holds on to.
        n_items
            How many items there are.
        item_ids
            The items to do; all by default.
        num_workers, has_return_val, name, pre_cleanup, resume_from, progress
            As for `run`.

        Returns
        -------
        The values in the order of the items with `has_return_val`, else nothing.

        Examples
        --------
        >>> import bioimage_rs as bp
        >>> bp.get_runner("local").map(lambda item: item**2, 4)
        [0, 1, 4, 9]
        """
        if resume_from is not None:
            if item_ids is not None:
                raise ValueError(
                    "resume_from and item_ids are mutually exclusive; resume_from re-runs the "
                    "original partition's un-done items."
                )
            return self._resume(resume_from, pre_cleanup)
        run = self.start_map(
            function,
            n_items,
            item_ids=item_ids,
            num_workers=num_workers,
            has_return_val=has_return_val,
            name=name,
        )
        if run is None:
            return [] if has_return_val else None
        return self._finish(run, name, [], has_return_val, pre_cleanup, progress)

    def start_map(
        self,
        function: Callable[[int], Any],
        n_items: int | None = None,
        *,
        item_ids: Sequence[int] | None = None,
        num_workers: int = 1,
        has_return_val: bool = True,
        name: str = "",
    ) -> Run | None:
        """Begin what `map` does, and return the run; nothing if there are no items."""
        if item_ids is None and n_items is None:
            raise ValueError("map() requires either n_items or item_ids.")
        ids = range(int(n_items or 0)) if item_ids is None else [int(item) for item in item_ids]
        if not len(ids):
            return None
        return self._start(
            function,
            _Sources([], [], None),
            ([0], [len(ids)]),
            [1],
            halo=None,
            num_workers=num_workers,
            block_ids=None,
            items=None if item_ids is None else list(ids),
            has_return_val=has_return_val,
            name=name,
        )

    def _start_blocks(
        self, function: ComputeFn, sources: "_Sources", blocking: Blocking, **options: Any
    ) -> Run:
        halo = options["halo"]
        options["halo"] = None if halo is None else normalize_halo(halo, blocking.ndim)
        begin, end = blocking.roi_begin, blocking.roi_end
        extents = [last - first for first, last in zip(begin, end, strict=True)]
        _checks.safe_to_write(sources.outputs, blocking.block_shape)
        return self._start(function, sources, (begin, extents), blocking.block_shape, **options)

    def _start(
        self,
        function: Callable[..., Any],
        sources: "_Sources",
        domain: tuple[list[int], list[int]],
        block_shape: list[int],
        *,
        halo: list[int] | None,
        num_workers: int,
        block_ids: list[int] | None,
        has_return_val: bool,
        name: str,
        items: list[int] | None = None,
    ) -> Run:
        of_items = not sources.inputs and not sources.outputs
        label = name or getattr(function, "__name__", type(function).__name__)
        if not self._is_local:
            _checks.reopenable(sources.inputs, sources.outputs, sources.mask)
            self._check_settings()
        payload = self._payload(function, sources, label, halo, has_return_val, items)
        arrays = [engine_array(source, writable=False, opaque=True) for source in sources.inputs]
        keep = has_return_val and self._is_local
        pickler = dump_value if has_return_val and payload is not None else None
        local = self._is_local
        if of_items:
            made = _native.Function.of_items(
                label, function, items=items, local=local, keep=keep, pickle=pickler
            )
        else:
            made = of_blocks(
                label,
                function,
                sources.inputs,
                sources.outputs,
                sources.mask,
                arrays,
                halo=halo,
                local=local,
                keep=keep,
                pickler=pickler,
            )
        parameters = {
            "items": of_items,
            "item_ids": items,
            "has_return_val": has_return_val,
            "python": self.config.python_executable,
        }
        outputs = [engine_array(source, writable=True, opaque=True) for source in sources.outputs]
        how = {
            "block_shape": block_shape,
            "block_ids": block_ids,
            **self._how(num_workers),
            "code": json.dumps(_code(self.job_type, label, block_shape, num_workers, of_items)),
        }
        if local:
            begin_run()
        try:
            # Followed by nothing that takes time: an interrupt is to find the run in good hands.
            native = _native.run_function(
                made, arrays, outputs, domain, json.dumps(parameters), payload, how
            )
        except BaseException:
            if local:
                end_run()
            raise
        return Run(native, function=made if local else None, ids=block_ids)

    def _check_settings(self) -> None:
        """Refuse settings with which nothing can be begun."""

    def _how(self, num_workers: int) -> dict[str, Any]:
        """The settings as the engine takes them."""
        return {
            "backend": self.job_type,
            "workers": num_workers,
            "retries": self.config.retries,
            "program": find_program(),
            "run_root": self.config.tmp_root,
            "slurm": None,
            **self.config._resumed_with(),
        }

    def _payload(
        self,
        function: Callable[..., Any],
        sources: "_Sources",
        name: str,
        halo: list[int] | None,
        has_return_val: bool,
        items: list[int] | None,
    ) -> bytes | None:
        """What another process needs to call the function; none where it cannot be had."""
        try:
            payload = {
                "mode": "block" if sources.inputs or sources.outputs else "item",
                "items": items,
                "name": name,
                "function": function,
                "halo": halo,
                "has_return_val": has_return_val,
                "inputs": [source.to_spec() for source in sources.inputs],
                "outputs": [source.to_spec() for source in sources.outputs],
                "mask": None if sources.mask is None else sources.mask.to_spec(),
            }
            return dump(payload, local=self._is_local)
        except TooLargeError:
            return None
        except Exception as error:
            if self._is_local:
                return None
            raise TypeError(
                f"'{name}' cannot be pickled for worker processes: {error}. Use the local backend, "
                "or open what it needs inside the function."
            ) from error

    def _finish(
        self,
        run: Run,
        name: str,
        missing: list[int],
        has_return_val: bool,
        pre_cleanup: Callable[[str], None] | None,
        progress: Progress | None,
    ) -> list[Any] | None:
        with stopped_by_interrupt(run), showing(run) if name else nullcontext():
            finish(run, progress)
        if missing:
            raise RunnerError(
                f"{len(missing)} block(s) failed in '{name}': {missing[:10]}. First error: "
                "IndexError('block_id is out of range')",
                missing,
            )
        if not self._is_local:
            before_cleanup(pre_cleanup, run)
        return run.result if has_return_val else None

    def _resume(
        self, folder: str | os.PathLike[str], pre_cleanup: Callable[[str], None] | None
    ) -> list[Any] | None:
        raise ValueError(
            "resume_from is only valid for distributed backends (subprocess/slurm); the local "
            "runner keeps no temp folder. Re-run the operation to recompute in-process (optionally "
            "with block_ids=err.failed_block_ids for a subset)."
        )


class _DistributedRunner(Runner):
    """A backend of worker processes, whose runs can be finished from their folders."""

    def resume(
        self,
        tmp_folder: str,
        *,
        name: str = "resume",
        num_workers: int | None = None,
        pre_cleanup: Callable[[str], None] | None = None,
    ) -> list[Any] | None:
        """Finish what is not done of a run.

        Parameters
        ----------
        tmp_folder
            The run's folder (`RunnerError.tmp_folder`), or its id.
        name
            Not used: the run keeps its name.
        num_workers
            As before by default.
        pre_cleanup
            Called with the run's folder after success.

        Returns
        -------
        The values of all blocks or items, if they were wanted.
        """
        run = attach(tmp_folder)
        settings = self.config._resumed_with()
        run._resume(backend=self.job_type, workers=num_workers, **settings)
        run.wait()
        before_cleanup(pre_cleanup, run)
        return run.result if run._has_values else None

    def _resume(
        self, folder: str | os.PathLike[str], pre_cleanup: Callable[[str], None] | None
    ) -> list[Any] | None:
        return self.resume(os.fspath(folder), pre_cleanup=pre_cleanup)


class LocalRunner(Runner):
    """Threads of this process."""

    job_type = "local"


class SubprocessRunner(_DistributedRunner):
    """Worker processes on this machine."""

    job_type = "subprocess"


class SlurmRunner(_DistributedRunner):
    """Job arrays on a Slurm cluster.

    At most `num_workers` tasks run at the same time. The jobs go on when the process that waits for
    them is interrupted or ends; `bp.attach(...).cancel()` stops them.

    Parameters
    ----------
    config
        The settings; those of the config file by default.

    Raises
    ------
    TypeError
        For settings that are not for Slurm.
    """

    job_type = "slurm"
    config: SlurmConfig

    def __init__(self, config: RunnerConfig | None = None) -> None:
        config = SlurmConfig.load() if config is None else config
        if not isinstance(config, SlurmConfig):
            raise TypeError(
                f"SlurmRunner requires a SlurmConfig, got {type(config).__name__}. Pass "
                "job_config=SlurmConfig(...) (it carries partition/account/time/etc.)."
            )
        super().__init__(config)

    def _check_settings(self) -> None:
        if self.config.tmp_root is None:
            raise ValueError(
                "SlurmRunner requires config.tmp_root to be set to a shared filesystem visible to "
                "all compute nodes (node-local /tmp is not usable)."
            )

    def _how(self, num_workers: int) -> dict[str, Any]:
        # The folder lies in the `tmp_root` of these settings, and is on record where all runs are.
        return {**super()._how(num_workers), "run_root": None}

    def reattach(
        self,
        tmp_folder: str,
        name: str = "reattach",
        pre_cleanup: Callable[[str], None] | None = None,
    ) -> list[Any] | None:
        """Wait for a run whose jobs were submitted before, by this process or another one.

        Parameters
        ----------
        tmp_folder
            The run's folder, or its id.
        name
            Not used: the run keeps its name.
        pre_cleanup
            Called with the run's folder after success.

        Returns
        -------
        The values of all blocks or items, if they were wanted.

        Raises
        ------
        RunnerError
            If blocks failed.
        """
        run = attach(tmp_folder)
        with showing(run):
            run.wait()
        before_cleanup(pre_cleanup, run)
        return run.result if run._has_values else None


_RUNNERS: dict[str, type[Runner]] = {
    runner.job_type: runner for runner in (LocalRunner, SubprocessRunner, SlurmRunner)
}


def get_runner(job_type: str, config: RunnerConfig | None = None) -> Runner:
    """Make the runner of a backend.

    Parameters
    ----------
    job_type
        `local`, `subprocess` or `slurm`, in any case.
    config
        Its settings.

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> bp.get_runner("local").job_type
    'local'
    """
    runner = _RUNNERS.get(job_type.lower())
    if runner is None:
        raise ValueError(f"Unknown job_type '{job_type}'; expected one of {sorted(_RUNNERS)}.")
    return runner(config)


class _Sources:
    """The arrays of a run over blocks."""

    def __init__(
        self,
        inputs: Sequence[SourceLike],
        outputs: Sequence[SourceLike],
        mask: SourceLike | None,
    ) -> None:
        self.inputs = [as_source(array) for array in inputs]
        self.outputs = [as_source(array) for array in outputs]
        self.mask = None if mask is None else as_source(mask)

    def blocks(
        self, block_shape: tuple[int, ...] | None, roi: tuple[slice, ...] | None
    ) -> Blocking:
        """The blocks of the first input (or output), to which the other arrays must fit."""
        if not self.inputs and not self.outputs:
            raise ValueError("run() requires at least one input or output source.")
        domain = (self.inputs or self.outputs)[0]
        masks = [] if self.mask is None else [self.mask]
        _checks.same_shape(domain, self.inputs + masks, self.outputs)
        return get_blocking(domain.shape, derive_block_shape(domain, block_shape), roi)


def before_cleanup(callback: Callable[[str], None] | None, run: Run) -> None:
    """Call back with the folder; what is raised then must not cost the values."""
    if callback is None:
        return
    try:
        callback(str(run.folder))
    except Exception:
        traceback.print_exc()


def known_blocks(
    block_ids: Sequence[int] | None, number_of_blocks: int
) -> tuple[list[int] | None, list[int]]:
    """The blocks that exist, and those that do not."""
    if block_ids is None:
        return None, []
    wanted = [int(number) for number in block_ids]
    known = [number for number in wanted if 0 <= number < number_of_blocks]
    return known, [number for number in wanted if not 0 <= number < number_of_blocks]


def _code(
    job_type: str, name: str, block_shape: list[int], num_workers: int, items: bool
) -> dict[str, str]:
    """The call as code, as far as it can be told."""
    options = f"num_workers={num_workers}"
    call = f"map({name}, n_items, {options})"
    if not items:
        call = f"run({name}, inputs, outputs, block_shape={tuple(block_shape)}, {options})"
    only = "A Python function can be called from Python only."
    python = f"import bioimage_rs as bp\n\nbp.get_runner({job_type!r}).{call}"
    return {"bp": f"# {only}", "python": python, "rust": f"// {only}"}
