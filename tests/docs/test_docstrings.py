"""The examples in public docstrings run as they stand there."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import bioimage_rs
import pytest


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for found in pkgutil.walk_packages(bioimage_rs.__path__, "bioimage_rs."):
        if found.name.endswith(("_native", "._widgets")):
            continue
        module = importlib.import_module(found.name)
        yield from (test for test in finder.find(module, found.name) if test.examples)


EXAMPLES = list(examples())
REGISTRIES = [
    ("io.registry", "_formats"),
    ("io.registry", "_extensions"),
    ("sources._base", "_converters"),
    ("wrapper", "_registry"),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_gives_what_it_says(
    example: doctest.DocTest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    # What an example registers is forgotten again.
    for module, name in REGISTRIES:
        registry = getattr(importlib.import_module(f"bioimage_rs.{module}"), name)
        monkeypatch.setattr(f"bioimage_rs.{module}.{name}", copy(registry))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    failed = runner.run(example).failed
    assert not failed, capsys.readouterr().out


def test_the_main_functions_have_examples() -> None:
    named = {example.name.rsplit(".", 1)[-1] for example in EXAMPLES}
    assert {"copy", "map_blocks", "for_each_location", "as_source", "run", "map"} <= named
