"""Run a notebook in a real JupyterLab and take a picture of its live view.

Usage: PYTHONPATH=tests python scripts/picture.py NOTEBOOK.ipynb PICTURE.png
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from browser.lab import LAUNCH, Console, LabServer
from playwright.sync_api import sync_playwright

WIDGET = ".bp-run"


def main() -> None:
    """Parse the arguments and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("picture", type=Path)
    take(**vars(parser.parse_args()))


def take(notebook: Path, picture: Path) -> None:
    """Run the notebook beside a copy of its data; picture its first live view."""
    with (
        tempfile.TemporaryDirectory(prefix="bioimage-picture-") as folder,
        LabServer(Path(folder)) as lab,
        sync_playwright() as playwright,
        playwright.chromium.launch(**LAUNCH) as browser,
    ):
        data = notebook.parent / "data"
        if data.is_dir():
            shutil.copytree(data, lab.root / "data")
        page = browser.new_page(viewport={"width": 1280, "height": 1600}, device_scale_factor=2)
        console = Console(page)
        opened = lab.show(page, notebook.resolve())
        opened.run_all(timeout=600)
        widget = page.locator(WIDGET).first
        # The view replaces itself with its last state, so it is never "stable" as playwright wants.
        widget.evaluate("element => element.scrollIntoView({block: 'center'})")
        page.wait_for_timeout(1000)
        box = widget.bounding_box()
        page.screenshot(path=picture, clip=box)
        if console.errors:
            raise SystemExit("errors in the page's console:\n" + "\n".join(console.errors))


if __name__ == "__main__":
    main()
