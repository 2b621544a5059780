"""What functions that run an operation on arrays have in common.

Such a function takes its arrays and parameters, and `**how`; it hands them to an `Operation`.
"""

import inspect
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar, get_type_hints

import numpy as np

from bioimage_rs import _native
from bioimage_rs._defaults import takes_defaults
from bioimage_rs._progress import showing
from bioimage_rs._runs import Progress, Run, finish, stopped_by_interrupt
from bioimage_rs.errors import BioimageError, RunnerError
from bioimage_rs.runner import Runner, RunnerConfig, _checks, get_runner
from bioimage_rs.runner._base import known_blocks
from bioimage_rs.sources import Source, SourceLike, as_source
from bioimage_rs.sources._array import engine_array, engine_dtype
from bioimage_rs.util import check_rerun_args, derive_block_shape, get_blocking, same_array

_P = ParamSpec("_P")
_T = TypeVar("_T")


class HowToRun(TypedDict, total=False):
    """How and where an operation is done, as `copy` explains it."""

    block_shape: tuple[int, ...] | None
    job_type: str
    job_config: RunnerConfig | None
    num_workers: int
    mask: SourceLike | None
    block_ids: Sequence[int] | None
    resume_from: str | None
    cast: str
    memory: int | str | None
    retries: int
    progress: Progress | None


class How(HowToRun, total=False):
    """The same, and what a new array at a path is to be."""

    chunks: tuple[int, ...] | None
    shards: tuple[int, ...] | None
    codec: str | None
    dtype: Any
    roi: str | None
    overwrite: bool


DEFAULTS: dict[str, Any] = {
    "block_shape": None,
    "job_type": "local",
    "job_config": None,
    "num_workers": 1,
    "mask": None,
    "block_ids": None,
    "resume_from": None,
    "cast": "wrapping",
    "memory": None,
    "retries": 3,
    "progress": None,
}


def array_operation(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Show what a function takes as `**how` one by one, and let it take what `defaults` sets."""
    signature = inspect.signature(function)
    types = get_type_hints(HowToRun)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    how = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[name]
        )
        for name, default in DEFAULTS.items()
    ]
    new_output = inspect.Parameter("new_output", inspect.Parameter.VAR_KEYWORD, annotation=Any)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return function(*args, **kwargs)

    shown: Any = call
    shown.__signature__ = signature.replace(parameters=[*own, *how, new_output])
    return takes_defaults(call)


@dataclass(frozen=True)
class Operation:
    """An operation of the engine, as a function asks for it.

    Parameters
    ----------
    name
        What the engine and the `bp` language call it.
    parameters
        Its parameters.
    function
        The function that asks, as users write it.
    in_place
        What the refusal to write to an input calls the work; none where that is allowed.
    over
        Makes what is read of the inputs, where part of the work is done while they are read.
    at_once
        Whether blocks change the result: where nothing asks for them, there is one.
    """

    name: str
    parameters: Mapping[str, Any]
    function: str
    in_place: str | None
    over: Callable[[list[Source]], list[Source]] = lambda sources: sources
    at_once: bool = False

    def run(
        self, inputs: Mapping[str, SourceLike], output: SourceLike | None, how: How
    ) -> SourceLike:
        """Do it: at once where nothing asks for blocks, else block by block.

        The inputs have names, by which code calls them. The object that was passed as output is
        returned, or a new array.
        """
        call: dict[str, Any] = {**DEFAULTS, **how}
        if isinstance(output, str | os.PathLike):
            return self._run_to_path(inputs, output, how)
        unknown = sorted(set(call) - set(DEFAULTS))
        if unknown:
            raise TypeError(
                f"{self.function.rpartition('.')[2]}() takes {unknown} only with a path as output: "
                "for a new array"
            )
        (result,), _ = self.run_into(inputs, {"output": output}, call)
        return result

    def run_into(
        self,
        inputs: Mapping[str, SourceLike],
        outputs: Mapping[str, SourceLike | None],
        how: Mapping[str, Any],
    ) -> tuple[list[SourceLike], Run | None]:
        """As `run`, for any number of outputs, which have names, too; none of them is a path.

        Also returns the run, where there was something to do.
        """
        call = {**DEFAULTS, **how}
        runner = get_runner(call["job_type"], call["job_config"])
        local = runner.job_type == "local"
        check_rerun_args(runner.job_type, call["resume_from"], call["block_ids"])
        sources = self.over([as_source(array) for array in inputs.values()])
        results = self._outputs(outputs, sources, call["job_type"])
        targets = [as_source(result) for result in results]
        if call["resume_from"] is not None:
            return results, resume(runner, str(call["resume_from"]), call["num_workers"])
        mask = None if call["mask"] is None else as_source(call["mask"])
        block_shape, block_ids = call["block_shape"], call["block_ids"]
        bad_ids: list[int] = []
        direct = (
            local
            and call["num_workers"] == 1
            and all(one is None for one in (block_shape, mask, block_ids))
        )
        if not direct:
            block_shape = self._check_blocked(sources, targets, mask, block_shape)
            total = get_blocking(sources[0].shape, block_shape).number_of_blocks
            block_ids, bad_ids = known_blocks(block_ids, total)
        if not local:
            _checks.reopenable(sources, targets, mask)
            runner._check_settings()
        for target in targets:
            if not target.writable:
                raise TypeError(f"The output ({type(target).__name__}) is read-only.")
        if 0 in targets[0].shape:
            return results, None
        changed = _share(sources, targets)
        native = _native.run_operation(
            self._json(call["cast"]),
            # What is changed in place is not lent to the engine.
            [engine_array(source, writable=changed) for source in sources],
            [engine_array(target, writable=True) for target in targets],
            None if mask is None else engine_array(mask, writable=False),
            {
                **settings(runner, call["num_workers"], call["memory"]),
                "block_shape": _extents(
                    sources[0].shape if direct and self.at_once else block_shape
                ),
                "block_ids": block_ids,
                # Of a block that has changed its own input, a second attempt would change it again.
                "retries": 0 if changed else call["retries"],
                "code": json.dumps(self._code(inputs, runner.job_type, block_shape, call)),
            },
        )
        run = Run(native)
        if direct:
            run_directly(run)
            return results, run
        with stopped_by_interrupt(run), showing(run):
            finish(run, call["progress"])
        if bad_ids:
            message = f"{len(bad_ids)} block(s) failed in '{self.name}': {bad_ids[:10]}. "
            message += "First error: IndexError('block_id is out of range')"
            raise RunnerError(message, bad_ids)
        return results, run

    def _json(self, cast: str) -> str:
        return json.dumps({"name": self.name, "parameters": {**self.parameters, "cast": cast}})

    def _outputs(
        self, outputs: Mapping[str, SourceLike | None], sources: Sequence[Source], job_type: str
    ) -> list[SourceLike]:
        """The outputs, or new arrays in memory, which worker processes could not write to."""
        for name, output in outputs.items():
            if output is None:
                _checks.needs_output(job_type, name)
        if all(output is not None for output in outputs.values()):
            return [output for output in outputs.values() if output is not None]
        own = sources[0].dtype
        made = [
            np.zeros(shape, own if own.newbyteorder("=") == dtype else dtype)
            for shape, dtype in self._results(sources)
        ]
        given = outputs.values()
        return [new if one is None else one for one, new in zip(given, made, strict=True)]

    def result(self, sources: Sequence[Source]) -> tuple[list[int], np.dtype]:
        """Shape and data type of what it makes of these arrays."""
        (result,) = self._results(sources)
        return result

    def _results(self, sources: Sequence[Source]) -> list[tuple[list[int], np.dtype]]:
        arrays = [(source.shape, engine_dtype(source)) for source in sources]
        made = _native.operation_outputs(self._json(DEFAULTS["cast"]), arrays)
        return [(shape, np.dtype(dtype)) for shape, dtype in made]

    def _check_blocked(
        self,
        sources: Sequence[Source],
        targets: Sequence[Source],
        mask: Source | None,
        block_shape: tuple[int, ...] | None,
    ) -> tuple[int, ...]:
        """The reference's refusals for work in blocks, in its order and words."""
        if self.in_place and _share(sources, targets):
            raise ValueError(f"Block-wise {self.in_place} needs 'output' to differ from 'input'.")
        block_shape = derive_block_shape(sources[0], block_shape)
        masks = [] if mask is None else [mask]
        _checks.same_shape(sources[0], [*sources[1:], *masks], targets)
        _checks.safe_to_write(targets, get_blocking(sources[0].shape, block_shape).block_shape)
        return block_shape

    def _code(
        self,
        inputs: Mapping[str, SourceLike],
        backend: str,
        block_shape: tuple[int, ...] | None,
        call: Mapping[str, Any],
    ) -> dict[str, str]:
        """The call as code, as far as it can be told."""
        options = [f"{name}={value!r}" for name, value in self.parameters.items()]
        options += [f"num_workers={call['num_workers']}", f"job_type={backend!r}"]
        if block_shape is not None:
            options.append(f"block_shape={tuple(block_shape)}")
        arguments = ", ".join([*inputs, "output=output", *options])
        return {"bp": "", "python": f"{self.function}({arguments})", "rust": ""}

    def _run_to_path(
        self,
        inputs: Mapping[str, SourceLike],
        output: str | os.PathLike[str],
        how: Mapping[str, Any],
    ) -> SourceLike:
        from bioimage_rs.sources import open_source

        self.run_verb(inputs, output, how)
        return open_source(output, mode="r+")

    def run_verb(
        self,
        inputs: Mapping[str, SourceLike],
        output: str | os.PathLike[str],
        how: Mapping[str, Any],
    ) -> None:
        """Do what the verb does, which makes the output where it is missing."""
        from bioimage_rs._magic import command

        call: dict[str, Any] = {**DEFAULTS, **how}
        for name in ("job_config", "block_ids", "resume_from", "progress"):
            if call.pop(name) is not None:
                raise ValueError(
                    f"{name} is not used with a path as output. Pass an array that exists, such as "
                    "open_source(path, mode='r+'), or store settings with write_slurm_config()."
                )
        # Not all verbs have it: labels fit their output by what they are.
        if call["cast"] == DEFAULTS["cast"]:
            del call["cast"]
        arrays = {**inputs, "mask": call.pop("mask")}
        names = {
            name: os.fspath(array) if isinstance(array, str | os.PathLike) else name
            for name, array in arrays.items()
            if array is not None
        }
        options = {
            **self.parameters,
            "workers": call.pop("num_workers"),
            "backend": call.pop("job_type"),
            "mask": names.get("mask"),
            **call,
        }
        words = [self.name, *(names[name] for name in inputs), os.fspath(output)]
        for name, value in options.items():
            if value is None or value is False:
                continue
            option = f"--{name.replace('_', '-')}"
            listed = isinstance(value, tuple | list)
            text = ",".join(map(str, value)) if listed else str(value)
            words.append(option if value is True else f"{option}={text}")
        command(shlex.join(words), arrays)


def _share(sources: Sequence[Source], targets: Sequence[Source]) -> bool:
    """Whether something is both read and written."""
    return any(same_array(source, target) for source in sources for target in targets)


def resume(runner: Runner, folder: str, num_workers: int) -> Run:
    """Finish what is not done of a run."""
    run = Run(_native.find_run(folder))
    slurm = runner._how(num_workers)["slurm"]
    run._resume(workers=num_workers, backend=runner.job_type, slurm=slurm)
    return run.wait()


def _extents(block_shape: Sequence[int] | None) -> list[int] | None:
    return None if block_shape is None else [int(extent) for extent in block_shape]


def settings(runner: Runner, num_workers: int, memory: int | str | None) -> dict[str, Any]:
    """How and where a run is done, as the engine takes it."""
    how = runner._how(num_workers)
    if memory is not None:
        how["budget"] = _native.parse_bytes(memory) if isinstance(memory, str) else memory
    return how


def run_directly(run: Run) -> None:
    """Without blocks, what went wrong is shown as it is."""
    try:
        with stopped_by_interrupt(run):
            finish(run)
    except RunnerError as error:
        outcome = run.outcome
        if not outcome or not outcome.get("error"):
            raise
        from bioimage_rs.errors import from_native

        cause = outcome["error"]
        plain: BioimageError = from_native(
            cause["kind"], cause["message"], cause.get("fix"), cause.get("traceback")
        )
        raise plain from error
