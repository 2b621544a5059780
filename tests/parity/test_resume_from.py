"""A call that was killed is finished by the same call with `resume_from`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from killed import killed

SIDE, CHUNK = 60, 4
SCRIPT = """
import sys
from functools import reduce
import bioimage_rs as bp

function = reduce(getattr, sys.argv[1].split("."), bp)
how = {"job_type": "subprocess", "num_workers": 2, "block_shape": (4, 4, 4)}
def opened(argument):
    return bp.open_source(argument, mode="r+") if isinstance(argument, str) else argument

function(*map(opened, eval(sys.argv[2])), **how)
"""
MEASUREMENTS: dict[str, tuple[Any, ...]] = {
    "stats.std": ("in.zarr",),
    "stats.unique": ("in.zarr", True),
    "stats.percentiles": ("in.zarr", [10, 50]),
    "morphology.morphology": ("in.zarr",),
    "evaluation.contingency_table": ("in.zarr", "in.zarr"),
}
OPERATIONS: dict[str, tuple[Any, ...]] = {
    "filters.gaussian_smoothing": ("in.zarr", 1.0, "out.zarr"),
    "segmentation.label": ("in.zarr", "out.zarr"),
    "segmentation.relabel_consecutive": ("in.zarr", "out.zarr"),
}


def function_of(name: str) -> Callable[..., Any]:
    """The function of this name below the package."""
    found: Any = bp
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels in chunks that are small, so that a run takes its time."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).integers(0, 9, (SIDE,) * 3).astype("uint8")
    zarr.create_array("in.zarr", data=values, chunks=(CHUNK,) * 3)


def opened(argument: object) -> object:
    """Where it is a path, the array."""
    return bp.open_source(argument, mode="r+") if isinstance(argument, str) else argument


def new_output(name: str, path: str) -> None:
    """An array for what the function gives."""
    dtypes = {"gaussian_smoothing": "float32", "label": "uint64", "relabel_consecutive": "uint8"}
    dtype = dtypes[name.rpartition(".")[2]]
    zarr.create_array(path, shape=(SIDE,) * 3, dtype=dtype, chunks=(CHUNK,) * 3, overwrite=True)


@pytest.mark.parametrize("name", [*MEASUREMENTS, *OPERATIONS])
def test_nothing_is_done_twice_and_the_result_is_the_same(tmp_path: Path, name: str) -> None:
    arguments = {**MEASUREMENTS, **OPERATIONS}[name]
    if name in OPERATIONS:
        new_output(name, "out.zarr")
        new_output(name, "expected.zarr")
    run = killed(SCRIPT, name, repr(arguments), home=tmp_path, blocks=1500)
    done = run.counts["done"]
    assert run.state == "interrupted"
    assert done >= 1500
    how = {"job_type": "subprocess", "num_workers": 2}
    found = function_of(name)(*map(opened, arguments), **how, resume_from=str(run.folder))
    if name in MEASUREMENTS:
        expected = function_of(name)(*map(opened, arguments))
        assert repr(found) == repr(expected)
    else:
        others = ["expected.zarr" if one == "out.zarr" else one for one in arguments]
        function_of(name)(*map(opened, others), num_workers=2)
        one, other = (np.asarray(zarr.open_array(at)[...]) for at in ("out.zarr", "expected.zarr"))
        np.testing.assert_array_equal(one, other)
    journals = [file.read_text() for file in run.folder.glob("stages/*/*.jsonl")]
    assert sum(text.count('"done"') for text in journals) == run.counts["total"]
