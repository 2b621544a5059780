"""Every notebook runs from top to bottom with its own kernel, and its comparisons hold."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# How many cells compare a result with the original, and what they must say.
COMPARISONS = {"quickstart-python": ("True", 3), "quickstart-rust": ("true", 2)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", COMPARISONS)
def test_notebook(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(NOTEBOOKS / "data", tmp_path / "data")
    notebook: Any = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    results = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "execute_result"
    ]
    word, number = COMPARISONS[name]
    assert results.count(word) == number
    failures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "error"
    ]
    assert len(failures) == 1, "the damaged page, and nothing else"
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    forms = [data for data in shown if data["text/plain"].startswith("%bp ")]
    assert [data["text/html"].split()[:2] for data in forms] == [["<pre>%bp", "gaussian"]]
    views = [data for data in shown if data not in forms]
    assert len(views) >= 4
    assert all("<svg" in data["text/html"] or "blocks" in data["text/html"] for data in views)


def test_every_notebook_is_run() -> None:
    assert {notebook.stem for notebook in NOTEBOOKS.glob("*.ipynb")} == set(COMPARISONS)
