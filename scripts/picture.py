"""Run a notebook in a real JupyterLab and take pictures of its widgets.

Usage: PYTHONPATH=tests python scripts/picture.py NOTEBOOK.ipynb PICTURE.png
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from browser.lab import LAUNCH, Console, LabServer
from playwright.sync_api import sync_playwright

# What is pictured, and how the file is called behind the given name.
WIDGETS = {"": ".bp-run", "-form": ".bp-operation-form", "-runs": ".bp-runs-table"}


def main() -> None:
    """Parse the arguments and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("picture", type=Path)
    take(**vars(parser.parse_args()))


def take(notebook: Path, picture: Path) -> None:
    """Run the notebook beside a copy of its data; picture the first of each widget."""
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
        opened.evaluate("app.shell.collapseLeft();")
        opened.run_all(timeout=600)
        for suffix, selector in WIDGETS.items():
            widget = page.locator(selector).first
            # A view replaces itself with its last state: never "stable" as playwright wants.
            widget.evaluate("element => element.scrollIntoView({block: 'center'})")
            page.wait_for_timeout(1000)
            box = widget.bounding_box()
            page.screenshot(path=picture.with_stem(picture.stem + suffix), clip=box)
        if console.errors:
            raise SystemExit("errors in the page's console:\n" + "\n".join(console.errors))


if __name__ == "__main__":
    main()
