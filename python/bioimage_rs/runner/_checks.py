"""What is refused before a run begins, in the reference's words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bioimage_rs.sources import Source, SourceLike


def output_or_new(
    output: SourceLike | None, like: Source, job_type: str, dtype: Any = None
) -> SourceLike:
    """The output, or a new array in memory, which worker processes could not write to."""
    if output is not None:
        if dtype is not None:
            raise TypeError("dtype is for a new output; the one that was passed has its own.")
        return output
    needs_output(job_type)
    return np.zeros(like.shape, like.dtype if dtype is None else dtype)


def needs_output(job_type: str, name: str = "output") -> None:
    """Refuse worker processes without an output."""
    if job_type.lower() != "local":
        raise ValueError(
            f"'{name}' is required for distributed execution (job_type='{job_type}'); pass a "
            "file-backed (zarr/n5) output array."
        )


def same_shape(domain: Source, inputs: Sequence[Source], outputs: Sequence[Source]) -> None:
    """Inputs have the domain's shape, outputs end in it."""
    shape = tuple(domain.shape)
    for source in inputs:
        if tuple(source.shape) != shape:
            raise ValueError(
                f"Shape mismatch: source with shape {source.shape} does not match the domain shape "
                f"{shape}."
            )
    for output in outputs:
        if tuple(output.shape)[-len(shape) :] != shape:
            raise ValueError(
                f"Output shape {tuple(output.shape)} is incompatible with the domain shape {shape}:"
                " its trailing dimensions must match the domain."
            )


def safe_to_write(outputs: Sequence[Source], block_shape: Sequence[int]) -> None:
    """No two blocks share a chunk of an output; shards are given to one worker each instead."""
    ndim = len(block_shape)
    for output in outputs:
        chunks = output.chunks
        if output.shards is not None or chunks is None or len(chunks) < ndim:
            continue
        chunks = tuple(chunks[-ndim:])
        pairs = list(zip(block_shape, chunks, strict=True))
        if any(block % chunk for block, chunk in pairs):
            safe = tuple(-(-block // chunk) * chunk for block, chunk in pairs)
            raise ValueError(
                f"Unsafe block shape for writing: {tuple(block_shape)} is not a multiple of the "
                f"output (spatial) chunk shape {chunks}. Blocks would share chunks; for example "
                f"{safe}."
            )


def reopenable(
    inputs: Sequence[Source], outputs: Sequence[Source], mask: Source | None = None
) -> None:
    """Every array can be opened by worker processes, and every output written by several."""
    roles = [("input", source) for source in inputs] + [("output", source) for source in outputs]
    for role, source in roles + ([] if mask is None else [("mask", mask)]):
        try:
            spec = source.to_spec()
        except ValueError as error:
            raise ValueError(
                f"Distributed execution requires file-backed {role} arrays (zarr/n5). {error}"
            ) from None
        if role != "output":
            continue
        if spec.params.get("format") == "hdf5":
            raise ValueError(
                "HDF5 is not safe as a distributed output (concurrent multi-process writes to one "
                "file corrupt it). Use zarr or n5 for distributed outputs."
            )
        if not source.writable:
            raise ValueError(
                f"Distributed outputs must be writable; got a read-only output ('{spec.kind}'). "
                "Open it with mode='r+'."
            )
