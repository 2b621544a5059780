"""The page on operations names all of them, and functions that exist."""

import importlib
import re
from pathlib import Path

import bioimage_rs
from shell import Bp

PAGE = Path(__file__).parents[2] / "docs/reference/operations.md"
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| verb")
]


def test_every_operation_has_a_row(tmp_path: Path) -> None:
    named = {verb for row in ROWS for verb in re.findall("`([^`]+)`", row[0])}
    assert named == Bp(tmp_path).operations


def test_functions_are_where_the_page_says() -> None:
    for row in ROWS:
        place, *others = re.findall("`([^`]+)`", row[1])
        found: object = bioimage_rs
        for part in place.split(".")[1:]:
            found = getattr(found, part)
        for other in others:
            assert hasattr(
                importlib.import_module(place.rpartition(".")[0].replace("bp", "bioimage_rs", 1)),
                other,
            )
