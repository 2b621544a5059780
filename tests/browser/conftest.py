"""A JupyterLab for all browser tests, and a watch over the console of each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.lab import LAUNCH, Console, LabServer, Notebook
from playwright.sync_api import Page

KERNELS = ["python3", "bioimage-rust"]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the system's browser instead of Playwright's own."""
    return {**browser_type_launch_args, **LAUNCH}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """One JupyterLab for the session: its start takes seconds."""
    with LabServer(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(autouse=True)
def console(page: Page) -> Iterator[Console]:
    """Fail the test on any error in the page's console that it did not clear itself."""
    watched = Console(page)
    yield watched
    assert watched.errors == []


@pytest.fixture
def screenshots() -> Path:
    """The folder that pictures of interest go to."""
    folder = Path("test-results")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(params=KERNELS)
def started(request: pytest.FixtureRequest, lab: LabServer, page: Page) -> Callable[..., Notebook]:
    """Opens a notebook of `%bp` lines with one of the kernels, ready for its cell 1.

    `OUTPUT` in a line stands for the notebook's own output.
    """
    kernel: str = request.param

    def start(name: str, *lines: str) -> Notebook:
        first = "%load_ext bioimage_rs" if kernel == "python3" else "%bp help runs"
        name = f"{name}-{kernel}"
        cells = [first, *(line.replace("OUTPUT", f"{name}.zarr") for line in lines)]
        notebook = lab.open(page, f"{name}.ipynb", cells, kernel)
        notebook.run(0)
        return notebook

    return start
