"""MRC and NIfTI: files that hold one array."""

import json
import os
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bioimage_rs import _native
from bioimage_rs._dataset import Dataset, MemoryDataset, NativeArray
from bioimage_rs.errors import DataError
from bioimage_rs.io._mapping import ArrayFile
from bioimage_rs.io._packages import require


class ImageFile(ArrayFile):
    """A file with one array, `"data"`. The engine reads it, or else the format's Python package."""

    default_key = "data"
    _format: ClassVar[str]

    def __init__(self, path: str | os.PathLike[str], mode: str = "r") -> None:
        super().__init__(path, mode)
        self._data: Dataset = self._open()

    def _open(self) -> Dataset:
        place = {"format": self._format, "path": str(Path(self.path).absolute())}
        try:
            return NativeArray(_native.Array.open(json.dumps(place), False))
        except DataError as error:
            # Complex numbers, 16-bit floats, pairs of files and the like.
            if error.kind == "corrupt-data":
                raise
            return self._open_with_package()

    @abstractmethod
    def _open_with_package(self) -> Dataset: ...

    def __iter__(self) -> Iterator[str]:
        yield "data"

    def __getitem__(self, key: str) -> Dataset:
        if key != "data":
            raise KeyError(f"Could not find key {key}")
        return self._data


class MrcFile(ImageFile):
    """An MRC file. Its rows, which run upwards in the file, are turned around to run downwards."""

    _format = "mrc"

    def _open_with_package(self) -> Dataset:
        mrcfile = require("mrcfile", "read MRC files of this kind")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            data = mrcfile.mmap(self.path, "r", permissive=True).data
        return MemoryDataset(np.flip(data, axis=1 if data.ndim == 3 else 0))


class NiftiFile(ImageFile):
    """A NIfTI file. Its axes, of which the first is the fastest in the file, are reversed."""

    _format = "nifti"

    def _open_with_package(self) -> Dataset:
        nibabel = require("nibabel", "read NIfTI files of this kind")
        return _NibabelArray(nibabel.load(self.path))


class _NibabelArray(Dataset):
    """What nibabel reads, scaled as the file says."""

    def __init__(self, image: Any) -> None:
        self.image = image
        self.shape = image.shape[::-1]
        first = (slice(0, 1),) * image.ndim
        self.dtype = np.asarray(image.dataobj[first]).dtype

    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        return np.array(self.image.dataobj[roi[::-1]].T)
