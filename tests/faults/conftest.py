"""The user that faults happen to."""

from pathlib import Path

import pytest
from shell import Bp


@pytest.fixture
def bp(tmp_path: Path) -> Bp:
    """A user of `bp` with an empty home."""
    return Bp(tmp_path)
