"""KNOSSOS datasets: folders of compressed blocks of 128³ voxels, for each magnification."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bioimage_rs._dataset import Dataset
from bioimage_rs.io._mapping import ArrayFile
from bioimage_rs.io._packages import require

SIDE = 128


def is_knossos(path: str | os.PathLike[str]) -> bool:
    """Whether a folder has the full resolution of a KNOSSOS dataset."""
    return (Path(path) / "mag1").is_dir()


class KnossosFile(ArrayFile):
    """A dataset by its magnifications, `"mag1"` and so on.

    Parameters
    ----------
    path
        The folder that holds the folders of the magnifications.
    mode
        `r`.
    load_png
        Whether the blocks are PNG files; JPEG files otherwise.
    """

    default_key = "mag1"

    def __init__(
        self, path: str | os.PathLike[str], mode: str = "r", load_png: bool = True
    ) -> None:
        super().__init__(path, mode)
        if not is_knossos(path):
            raise RuntimeError("Not a knossos file structure")
        self.load_png = load_png
        self.file_name = Path(path).name

    def __iter__(self) -> Iterator[str]:
        folders = (entry.name for entry in Path(self.path).iterdir() if entry.is_dir())
        return iter(sorted(name for name in folders if name.startswith("mag")))

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str) or not key.startswith("mag"):
            return False
        return (Path(self.path) / key).is_dir()

    def __getitem__(self, key: str) -> "KnossosArray":
        folder = Path(self.path) / key
        if not folder.exists():
            raise ValueError(f"Key {key} does not exist")
        if not folder.is_dir():
            raise ValueError(f"Key {key} is not a valid knossos dataset")
        return KnossosArray(folder, f"{self.file_name}_{key}", "png" if self.load_png else "jpg")


class KnossosArray(Dataset):
    """One magnification, in the order z, y, x."""

    dtype = np.dtype("uint8")
    chunks = (SIDE, SIDE, SIDE)

    def __init__(self, folder: Path, prefix: str, ending: str) -> None:
        self._folder, self._prefix, self._ending = folder, prefix, ending
        columns = folder / "x0000"
        across = (columns / "y0000", columns, folder)
        self.shape = tuple(SIDE * sum(entry.is_dir() for entry in at.iterdir()) for at in across)

    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        out = np.empty([part.stop - part.start for part in roi], self.dtype)
        touched = (range(part.start // SIDE, -(-part.stop // SIDE)) for part in roi)
        for position in itertools.product(*touched):
            begin = [number * SIDE for number in position]
            inside = [
                slice(max(part.start, at), min(part.stop, at + SIDE))
                for part, at in zip(roi, begin, strict=True)
            ]
            to = tuple(_moved(part, -whole.start) for part, whole in zip(inside, roi, strict=True))
            of = tuple(_moved(part, -at) for part, at in zip(inside, begin, strict=True))
            out[to] = self._block(position)[of]
        return out

    def _block(self, position: tuple[int, ...]) -> np.ndarray:
        imageio = require("imageio.v3", "read KNOSSOS datasets", "imageio")
        folders = [f"{axis}{at:04}" for axis, at in zip("xyz", reversed(position), strict=True)]
        name = f"{self._prefix}_{'_'.join(folders)}.{self._ending}"
        return np.asarray(imageio.imread(self._folder.joinpath(*folders, name))).reshape(
            self.chunks
        )


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
