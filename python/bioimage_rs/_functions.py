"""Python functions on their way into worker processes and run folders, and back out."""

import base64
import io
import json
import pickle
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs.sources import Source, SourceSpec, from_spec
from bioimage_rs.sources._array import ArraySource, engine_array

# A function that holds on to more than this is not written into the folder of a local run, which
# could then be finished by this process only.
_LOCAL_LIMIT = 32 << 20


class TooLargeError(ValueError):
    """A function that is not worth a copy on disk."""


class _Limited(io.BytesIO):
    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self.limit = limit

    def write(self, data: Any) -> int:
        if self.limit is not None and self.tell() + memoryview(data).nbytes > self.limit:
            raise TooLargeError
        return super().write(data)


def _versions() -> dict[str, str]:
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "numpy": np.__version__, "bioimage_rs": _native.__version__}


def dump(payload: dict[str, Any], *, local: bool) -> bytes:
    """Write a function and its arrays as bytes: a line with the versions, then the pickle."""
    import cloudpickle

    file = _Limited(_LOCAL_LIMIT if local else None)
    file.write(json.dumps({"versions": _versions()}).encode() + b"\n")
    cloudpickle.CloudPickler(file, protocol=5).dump(payload)
    return file.getvalue()


def _check_versions(built_with: dict[str, str]) -> None:
    for name, here in _versions().items():
        there = built_with.get(name, here)
        if there == here:
            continue
        skew = f"{name} version skew: the run was made with '{there}', this process has '{here}'."
        if there.split(".")[0] != here.split(".")[0]:
            raise RuntimeError(
                f"{skew} Major versions differ; resume it in the environment that made the run, or "
                "start it again."
            )
        warnings.warn(f"{skew} Major versions agree; proceeding.", stacklevel=3)


def load(
    folder: Path, inputs: Sequence["_native.Array"], paths: Sequence[tuple[str, str]]
) -> "_native.Function":
    """The function of a run, ready to be called by the engine, which has opened the inputs.

    `paths` are folders by their names when the run was made, and now.
    """
    with (Path(folder) / "payload").open("rb") as file:
        _check_versions(json.loads(file.readline())["versions"])
        payload = pickle.load(file)

    def reopened(spec: SourceSpec) -> Source:
        return from_spec(_moved(spec, paths))

    pickler = dump_value if payload["has_return_val"] else None
    if payload["mode"] == "item":
        return _native.Function.of_items(
            payload["name"],
            payload["function"],
            items=payload["items"],
            local=False,
            keep=False,
            pickle=pickler,
        )
    mask = payload["mask"]
    return of_blocks(
        payload["name"],
        payload["function"],
        [reopened(spec) for spec in payload["inputs"]],
        [reopened(spec) for spec in payload["outputs"]],
        None if mask is None else reopened(mask),
        inputs,
        halo=payload["halo"],
        local=False,
        pickler=pickler,
    )


def of_blocks(
    name: str,
    function: Any,
    inputs: Sequence[Source],
    outputs: Sequence[Source],
    mask: Source | None,
    arrays: Sequence["_native.Array"],
    *,
    halo: list[int] | None,
    local: bool,
    pickler: Any,
    keep: bool = False,
) -> "_native.Function":
    """A function of blocks; inputs are read ahead where that takes time and nobody writes to them.

    `arrays` are the inputs as the engine has opened them, so that both share what they hold.
    """
    read: list[Source] = []
    ahead = []
    written = {place for output in outputs for place in _places(output)}
    for source, array in zip(inputs, arrays, strict=True):
        if (
            isinstance(source, ArraySource)
            and array.kind not in ("memory", "python")
            and written.isdisjoint(_places(source))
        ):
            array = array.reading_ahead()
            source = source._reading_through(array)
            ahead.append(array)
        read.append(source)
    return _native.Function.of_blocks(
        name,
        function,
        read,
        list(outputs),
        mask,
        halo=halo,
        ahead=ahead,
        local=local,
        keep=keep,
        pickle=pickler,
    )


def _places(source: Source) -> list[tuple[str | None, str | None]]:
    """Where the arrays lie that a source is made of."""
    try:
        specs = [source.to_spec()]
    except ValueError:
        return []
    places = []
    while specs:
        spec = specs.pop()
        wrapped: Any = spec.wrapped
        if wrapped is None:
            places.append((spec.path, spec.internal_path))
        else:
            specs.extend(wrapped if isinstance(wrapped, list) else [wrapped])
    return places


def _moved(spec: Any, paths: Sequence[tuple[str, str]]) -> Any:
    """A spec, or a list of specs, where folders have other names by now."""
    if not paths or spec is None:
        return spec
    if isinstance(spec, list):
        return [_moved(one, paths) for one in spec]
    path = spec.path
    for old, new in paths:
        if path is not None and Path(path).is_relative_to(old):
            path = str(Path(new) / Path(path).relative_to(old))
            break
    return replace(spec, path=path, wrapped=_moved(spec.wrapped, paths))


def dump_value(value: Any) -> bytes:
    """A returned value as bytes."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:
        # What plain pickle cannot do, such as functions, the larger one mostly can.
        import cloudpickle

        data: bytes = cloudpickle.dumps(value, protocol=5)
        return data


def spec_of(source: Source) -> tuple[str, str] | None:
    """How a source that needs Python stands in run folders: its name, and JSON to open it again."""
    import cloudpickle

    try:
        spec = source.to_spec()
        data = cloudpickle.dumps(spec, protocol=5)
    except Exception:
        return None
    name = spec.path or type(source).__name__
    if spec.internal_path:
        name = f"{name}::{spec.internal_path}"
    return name, json.dumps({"spec": base64.b64encode(data).decode()})


def open_array(value: str, writable: bool) -> "_native.Array":
    """Open the array that `spec_of` described."""
    described = json.loads(value)
    spec = pickle.loads(base64.b64decode(described["spec"]))
    paths = [(folder["old"], folder["new"]) for folder in described.get("paths", ())]
    moved = _moved(spec, paths)
    return engine_array(from_spec(moved), writable=writable)
