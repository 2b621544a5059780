"""Neuroglancer's precomputed volumes through TensorStore."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs.io._packages import require
from bioimage_rs.sources._base import PathLike, Source, SourceSpec, register_opener

_LABELS = ("x", "y", "z", "channel")


class TensorStorePrecomputedSource(Source):
    """A precomputed volume of one channel, in the order z, y, x and from (0, 0, 0) on.

    `chunks` is what is read at once, `shards` what is written at once; for a volume without shards
    these are the same. The volume's place, size, chunks and type are what its metadata says: given
    here, they are checked and not applied.

    Parameters
    ----------
    path
        The volume's folder.
    mode
        `r`, or `r+` for reading and writing.
    offset_xyz
        The absolute coordinates of the first voxel, in the order x, y, z.
    size_zyx, chunks_zyx, dtype
        Extents, extents of a chunk, and data type.

    Raises
    ------
    ValueError
        For another mode, a volume of several channels, or metadata unlike what was expected.
    ImportError
        If tensorstore is missing.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> source = bp.open_tensorstore_precomputed("segmentation")  # doctest: +SKIP
    >>> source[10, :64, :64].shape  # doctest: +SKIP
    (64, 64)
    """

    def __init__(
        self,
        path: PathLike,
        mode: str = "r",
        *,
        offset_xyz: Sequence[int] | None = None,
        size_zyx: Sequence[int] | None = None,
        chunks_zyx: Sequence[int] | None = None,
        dtype: str | np.dtype | type | None = None,
    ) -> None:
        if mode not in ("r", "r+"):
            raise ValueError(
                f"TensorStorePrecomputedSource mode must be 'r' or 'r+', got '{mode}'."
            )
        tensorstore = require("tensorstore", "open precomputed volumes")
        self._path = str(Path(os.fspath(path)).absolute())
        self._mode = mode
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": self._path},
        }
        store = tensorstore.open(spec, open=True, read=True, write=mode == "r+").result()
        self._store = store
        _check_layout(store)
        layout = store.chunk_layout
        self._offset_xyz = _extents(store.domain.inclusive_min)
        self._channel = int(store.domain.inclusive_min[3])
        self._shape = _extents(store.domain.shape)[::-1]
        self._chunks = _extents(layout.read_chunk.shape)[::-1]
        self._shards = _extents(layout.write_chunk.shape)[::-1]
        self._dtype: np.dtype = np.dtype(store.dtype.numpy_dtype)
        _expect("offset_xyz", offset_xyz, self._offset_xyz)
        _expect("size_zyx", size_zyx, self._shape)
        _expect("chunks_zyx", chunks_zyx, self._chunks)
        if dtype is not None and np.dtype(dtype) != self._dtype:
            raise ValueError(
                "TensorStore precomputed dtype does not match the layer: expected "
                f"{np.dtype(dtype)}, found {self._dtype}."
            )

    @property
    def store(self) -> Any:
        """TensorStore's own array, in absolute coordinates."""
        return self._store

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, in the order z, y, x."""
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """Data type of the voxels."""
        return self._dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """What is read at once."""
        return self._chunks

    @property
    def shards(self) -> tuple[int, ...]:
        """What is written at once."""
        return self._shards

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._mode == "r+"

    def _view(self, roi: tuple[slice, ...]) -> Any:
        absolute = (
            slice(origin + part.start, origin + part.stop)
            for origin, part in zip(self._offset_xyz, reversed(roi), strict=True)
        )
        return self._store[(*absolute, self._channel)]

    def _getitem(self, roi: tuple[slice, ...]) -> np.ndarray:
        return np.asarray(self._view(roi).read().result()).T

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        if not self.writable:
            raise TypeError(
                f"TensorStorePrecomputedSource opened in mode '{self._mode}' is read-only."
            )
        shape = [part.stop - part.start for part in roi]
        block = np.broadcast_to(np.asarray(value, self._dtype), shape)
        # A block counts as done when it is stored, so that has to be waited for.
        self._view(roi).write(block.T).result()

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        params = {
            "mode": self._mode,
            "offset_xyz": list(self._offset_xyz),
            "size_zyx": list(self._shape),
            "chunks_zyx": list(self._chunks),
            "dtype": self._dtype.str,
        }
        return SourceSpec("tensorstore_precomputed", self._path, params=params)

    @staticmethod
    def reopen(spec: SourceSpec) -> "TensorStorePrecomputedSource":
        """Open the volume of a spec, and check that it is still the same."""
        return TensorStorePrecomputedSource(str(spec.path), **{"mode": "r", **spec.params})


def open_tensorstore_precomputed(
    path: PathLike,
    mode: str = "r",
    *,
    offset_xyz: Sequence[int] | None = None,
    size_zyx: Sequence[int] | None = None,
    chunks_zyx: Sequence[int] | None = None,
    dtype: str | np.dtype | type | None = None,
) -> TensorStorePrecomputedSource:
    """Open a precomputed volume on this machine's file system.

    See `TensorStorePrecomputedSource` for the arguments and the errors.
    """
    return TensorStorePrecomputedSource(
        path,
        mode,
        offset_xyz=offset_xyz,
        size_zyx=size_zyx,
        chunks_zyx=chunks_zyx,
        dtype=dtype,
    )


def _extents(values: Sequence[int]) -> tuple[int, ...]:
    """The three of space."""
    return tuple(int(value) for value in values[:3])


def _check_layout(store: Any) -> None:
    """Refuse what is no volume of one channel whose chunks start where it starts."""
    domain, layout = store.domain, store.chunk_layout
    if domain.rank != len(_LABELS):
        raise ValueError(
            "TensorStorePrecomputedSource requires a rank-4 (x, y, z, channel) layer, got rank "
            f"{domain.rank}."
        )
    if tuple(domain.labels) != _LABELS:
        raise ValueError(
            f"TensorStorePrecomputedSource requires dimension labels {_LABELS}, got "
            f"{tuple(domain.labels)}."
        )
    if domain.shape[3] != 1:
        raise ValueError(
            "TensorStorePrecomputedSource supports single-channel layers only, got "
            f"{domain.shape[3]} channels."
        )
    origins = tuple(layout.grid_origin), tuple(domain.inclusive_min)
    if origins[0] != origins[1]:
        raise ValueError(
            "TensorStorePrecomputedSource requires the chunk grid to start where the layer starts, "
            f"got grid origin {origins[0]} and layer origin {origins[1]}."
        )


def _expect(name: str, expected: Sequence[int] | None, found: tuple[int, ...]) -> None:
    if expected is None:
        return
    wanted = tuple(int(value) for value in expected)
    if len(wanted) != len(found):
        raise ValueError(f"{name} must have three entries, got {wanted}.")
    if wanted != found:
        raise ValueError(
            f"TensorStore precomputed {name} does not match the layer: expected {wanted}, found "
            f"{found}."
        )


register_opener("tensorstore_precomputed", TensorStorePrecomputedSource.reopen)
