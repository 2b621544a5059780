"""Images of a picture each, and the folders that hold stacks of them."""

import os
import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs import _native
from bioimage_rs._dataset import Dataset, MemoryDataset, NativeArray
from bioimage_rs.errors import BioimageError, DataError
from bioimage_rs.io._knossos import KnossosFile, is_knossos
from bioimage_rs.io._mapping import ArrayFile
from bioimage_rs.io._packages import require

_TIFF = (".tif", ".tiff")


def open_folder(path: str | os.PathLike[str], mode: str = "r", **kwargs: Any) -> ArrayFile:
    """A KNOSSOS dataset if the folder is one, else images."""
    if is_knossos(path):
        return KnossosFile(path, mode, **kwargs)
    return ImageStackFile(path, mode, **kwargs)


class ImageStackFile(ArrayFile):
    """One file with an image of any number of axes (key `""`), or a folder of slices.

    The key of a folder is a glob pattern such as `"*.png"`. The slices are in natural order, so
    that `slice10` follows `slice9`; the empty key stands for all TIFF files of the folder.
    """

    default_key = ""

    def __init__(self, path: str | os.PathLike[str], mode: str = "r") -> None:
        super().__init__(path, mode)
        self.file_name = Path(path).name

    def __iter__(self) -> Iterator[str]:
        if not Path(self.path).is_dir():
            yield ""
            return
        endings = {entry.suffix for entry in Path(self.path).iterdir() if entry.is_file()}
        yield from sorted(f"*{ending}" for ending in endings)

    def __contains__(self, key: object) -> bool:
        if key == "":
            return Path(self.path).is_file()
        return isinstance(key, str) and bool(_files(self.path, key))

    def __getitem__(self, key: str) -> Dataset:
        place = os.fspath(self.path)
        if key:
            return _open_slices(str(Path(place, key)), _files(place, key))
        if any(sign in place for sign in "*?[") and not Path(place).exists():
            return _open_slices(place, _files(".", place))
        if Path(place).is_dir():
            try:
                return NativeArray(_native.Array.locate(place))
            except DataError as error:
                raise ValueError(
                    f"{place} needs to be a file to be loaded as image stack; for a folder of "
                    f"slices pass a pattern, one of {list(self)}"
                ) from error
        return _open_image(place)


def _files(folder: str | os.PathLike[str], pattern: str) -> list[str]:
    """The files that a pattern stands for, in natural order."""
    names = glob(str(Path(folder, pattern)))  # noqa: PTH207 - the pattern may be absolute
    return sorted((name for name in names if Path(name).is_file()), key=_natural)


def _open_slices(pattern: str, files: list[str]) -> Dataset:
    if not files:
        raise ValueError(f"Invalid file pattern {pattern}")
    if all(name.lower().endswith(_TIFF) for name in files):
        try:
            return NativeArray(_native.Array.locate(pattern))
        except DataError as error:
            if error.kind == "corrupt-data":
                raise
    return _Slices(files)


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in names count by their value."""
    return [
        (int(part), "") if part.isdigit() else (0, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _open_image(path: str) -> Dataset:
    if path.lower().endswith(_TIFF):
        try:
            return NativeArray(_native.Array.locate(path))
        except BioimageError as error:
            if error.kind not in ("unsupported-codec", "unsupported-format", "dtype-mismatch"):
                raise
        tifffile = require("tifffile", "read TIFF files of this kind")
        return MemoryDataset(tifffile.imread(path))
    if not Path(path).is_file():
        raise FileNotFoundError(f"'{path}' does not exist")
    return MemoryDataset(_read_picture(path))


def _read_picture(path: str) -> np.ndarray:
    imageio = require("imageio.v3", f"read {Path(path).suffix or 'image'} files", "imageio")
    return np.asarray(imageio.imread(path))


class _Slices(Dataset):
    """Slices in a file each, read when they are asked for."""

    def __init__(self, files: list[str]) -> None:
        first = _read_picture(files[0])
        self._files = files
        self.shape = (len(files), *first.shape)
        self.dtype = first.dtype
        self.chunks = (1, *first.shape)

    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        block = np.empty([part.stop - part.start for part in roi], self.dtype)
        for number, out in zip(range(roi[0].start, roi[0].stop), block, strict=True):
            picture = _read_picture(self._files[number])
            if picture.shape != self.shape[1:]:
                raise ValueError(
                    f"Slice '{self._files[number]}' has shape {picture.shape}, the first has "
                    f"{self.shape[1:]}."
                )
            out[...] = picture[roi[1:]]
        return block
