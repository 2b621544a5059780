"""MSR files of Abberior and Leica microscopes, through msr-reader."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from bioimage_rs._dataset import Dataset
from bioimage_rs.io._mapping import ArrayFile
from bioimage_rs.io._packages import require


class MsrFile(ArrayFile):
    """Pictures by number (`"0"`), by name, or all on top of each other (`"data"`)."""

    default_key = "0"

    def __init__(self, path: str | os.PathLike[str], mode: str = "r") -> None:
        super().__init__(path, mode)
        reader = require("msr_reader", "read MSR files", "msr-reader")
        if mode != "r":
            raise ValueError("MSR files only support read mode.")
        self.msr: Any = reader.OBFFile(os.fspath(path))
        # The file has one cursor.
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        self.msr.close()

    def __iter__(self) -> Iterator[str]:
        yield from map(str, range(self.msr.num_stacks))
        yield "data"

    def __getitem__(self, key: str) -> "MsrArray":
        count: int = self.msr.num_stacks
        if key == "data":
            return MsrArray(self.msr, self._lock, list(range(count)))
        if key.isdecimal() and int(key) < count:
            return MsrArray(self.msr, self._lock, [int(key)])
        if key in self.msr.stack_names:
            return MsrArray(self.msr, self._lock, [self.msr.stack_names.index(key)])
        raise KeyError(f"Could not find key {key}")


class MsrArray(Dataset):
    """One picture (y, x), or several of one shape (number, y, x). A picture is decoded once."""

    def __init__(self, msr: Any, lock: threading.Lock, stacks: list[int]) -> None:
        self._msr, self._lock, self._stacks = msr, lock, stacks
        self._decoded: dict[int, np.ndarray] = {}
        first = self._picture(stacks[0])
        if first.ndim != 2:
            raise ValueError(f"Expected a 2D MSR stack, got shape {first.shape}")
        self.dtype = first.dtype
        self.shape = first.shape if len(stacks) == 1 else (len(stacks), *first.shape)

    def _picture(self, number: int) -> np.ndarray:
        with self._lock:
            if number not in self._decoded:
                self._decoded[number] = np.asarray(self._msr.read_stack(number))
            return self._decoded[number]

    def _read(self, roi: tuple[slice, ...]) -> np.ndarray:
        if len(self._stacks) == 1:
            return self._picture(self._stacks[0])[roi].copy()
        return np.stack([self._picture(number)[roi[1:]] for number in self._stacks[roi[0]]])
