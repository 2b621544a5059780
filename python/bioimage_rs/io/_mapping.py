"""Files as mappings from names to arrays."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self


class ArrayFile(Mapping[str, Any]):
    """A file that is read only, and has nothing to be closed unless it says so."""

    #: The array that is meant if none is named.
    default_key: ClassVar[str | None] = None
    writable: ClassVar[bool] = False

    def __init__(self, path: str | os.PathLike[str], mode: str = "r") -> None:
        self.path = path
        self.mode = mode

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes; none are read."""
        return {}

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def close(self) -> None:
        """Release what is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
