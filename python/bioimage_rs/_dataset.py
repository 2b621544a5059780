"""Arrays with the interface of h5py and zarr datasets: the engine's, and those of readers."""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs._indexing import to_slices


class Dataset(ABC):
    """An array in a file, indexed with integers, slices and ellipses."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...] | None = None
    shards: tuple[int, ...] | None = None
    read_only = True

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes; none are read."""
        return {}

    def __getitem__(self, index: Any) -> np.ndarray:
        slices, dropped = to_slices(index, self.shape)
        if any(part.start == part.stop for part in slices):
            block = np.empty([part.stop - part.start for part in slices], self.dtype)
        else:
            block = self._read(slices)
        return block.squeeze(dropped) if dropped else block

    @abstractmethod
    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        """A region that lies inside the array and is not empty."""


class NativeArray(Dataset):
    """An array that the engine reads, and writes where it was opened for that."""

    def __init__(self, native: "_native.Array") -> None:
        self.native = native
        self.shape = tuple(native.shape)
        self.dtype = np.dtype(native.dtype)
        self.chunks = None if native.chunks is None else tuple(native.chunks)
        self.shards = None if native.shards is None else tuple(native.shards)
        self.read_only = not native.writable

    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        shape = [part.stop - part.start for part in roi]
        flat = self.native.read([part.start for part in roi], shape)
        return flat.view(self.dtype).reshape(shape)

    def __setitem__(self, index: Any, value: Any) -> None:
        slices, dropped = to_slices(index, self.shape)
        if dropped and np.ndim(value):
            value = np.expand_dims(value, dropped)
        shape = [part.stop - part.start for part in slices]
        block = np.ascontiguousarray(np.broadcast_to(value, shape), dtype=self.dtype)
        if block.size:
            self.native.write([part.start for part in slices], block)


class MemoryDataset(Dataset):
    """An array that a reader holds in memory, or maps into it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        return np.array(self.array[roi])
