"""A JupyterLab for all browser tests, and a watch over the console of each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.lab import LAUNCH, Console, LabServer
from playwright.sync_api import Page


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
