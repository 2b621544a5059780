"""The live view of a run in a real JupyterLab, under both kernels, driven by its buttons."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from browser.lab import LabServer, Notebook
from playwright.sync_api import Locator, Page, expect

KERNELS = ["python3", "bioimage-rust"]
# Strong compression of noise takes the time that a test needs to look and to click.
SLOW = "--codec zstd:19 --chunks 16,64,64 --block-shape 16,64,64 --workers 2"
SHAPE = (64, 1024, 1024)


@pytest.fixture(scope="module")
def stack(lab: LabServer) -> np.ndarray:
    """A stack of noise, as `stack.tif` in the lab's folder."""
    rng = np.random.default_rng(5)
    voxels = rng.integers(0, 40, SHAPE, "uint8")
    tifffile.imwrite(lab.root / "stack.tif", voxels, photometric="minisblack")
    return voxels


@pytest.fixture(params=KERNELS)
def started(request: pytest.FixtureRequest, lab: LabServer, page: Page) -> Callable[..., Notebook]:
    """Opens a notebook of `%bp` lines with one of the kernels, ready for its cell 1."""
    kernel: str = request.param

    def start(name: str, *lines: str) -> Notebook:
        first = "%load_ext bioimage_rs" if kernel == "python3" else "%bp help runs"
        notebook = lab.open(page, f"{name}-{kernel}.ipynb", [first, *lines], kernel)
        notebook.run(0)
        return notebook

    return start


def view(notebook: Notebook, cell: int) -> Locator:
    """The live view below a cell."""
    return notebook.output(cell).locator(".bp-run")


def complete(shown: Locator) -> int:
    """How many blocks the view says are complete."""
    text = shown.locator(".bp-headline").inner_text()
    found = re.search(r"· ([\d,]+) of", text)
    assert found, text
    return int(found[1].replace(",", ""))


def picture(shown: Locator) -> str:
    """What the block grid looks like."""
    drawn: str = shown.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
    return drawn


def wait_until(page: Page, holds: Callable[[], bool], seconds: float = 60) -> None:
    """Look ever again until something holds."""
    for _ in range(int(seconds * 10)):
        if holds():
            return
        page.wait_for_timeout(100)
    raise TimeoutError("it did not come about")


def same(output: Path, voxels: np.ndarray) -> bool:
    """Whether an array on disk holds just these voxels."""
    array = zarr.open_array(output, mode="r")
    return bool(np.array_equal(np.asarray(array[...]), voxels))


def damaged(folder: Path, name: str) -> None:
    """A compressed stack of 32 pages, of which page 20 does not decode."""
    rng = np.random.default_rng(6)
    voxels = rng.integers(0, 255, (32, 128, 128), "uint8")
    path = folder / name
    tifffile.imwrite(path, voxels, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[20].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 64)


def test_cancel_and_resume_by_the_buttons(
    started: Callable[..., Notebook], stack: np.ndarray, page: Page, screenshots: Path
) -> None:
    kernel_of = started("cancel", "")
    name = kernel_of.path.stem
    output = kernel_of.path.with_suffix(".zarr")
    kernel_of.evaluate(
        "panel.content.widgets[1].model.sharedModel.setSource(argument);",
        f"%bp copy stack.tif {output.name} {SLOW}",
    )
    kernel_of.run(1, wait=False)
    shown = view(kernel_of, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > 0)
    before, turned = complete(shown), picture(shown)
    wait_until(page, lambda: complete(shown) > before and picture(shown) != turned)
    assert kernel_of.kernel_status() == "busy", "the cell must still run"
    shown.screenshot(path=screenshots / f"{name}-running.png")

    shown.get_by_role("button", name="Cancel").click()
    expect(shown).to_have_attribute("data-state", "cancelled", timeout=20_000)
    kernel_of.wait_idle()
    done = complete(shown)
    assert 0 < done < 1024
    expect(shown.locator(".bp-message")).to_contain_text("resume")

    shown.get_by_role("button", name="Resume…").click()
    shown.get_by_role("button", name="Resume", exact=True).click()
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    expect(shown).to_have_attribute("data-state", "succeeded", timeout=120_000)
    assert complete(shown) == 1024
    expect(shown.locator(".bp-place")).to_contain_text("attempt 2")
    assert same(output, stack)


def test_failures_and_their_log(
    started: Callable[..., Notebook], lab: LabServer, page: Page, screenshots: Path
) -> None:
    damaged(lab.root, "damaged.tif")
    notebook = started("failures", "%bp copy damaged.tif {} --chunks 8,64,64 --block-shape 8,64,64")
    name = notebook.path.stem
    notebook.evaluate(
        "panel.content.widgets[1].model.sharedModel.setSource(argument);",
        f"%bp copy damaged.tif {name}.zarr --chunks 8,64,64 --block-shape 8,64,64",
    )
    notebook.run(1)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "failed")
    failures = shown.locator(".bp-failure")
    expect(failures).to_have_count(4)
    expect(failures.first).to_contain_text("page 20")
    failures.first.click()
    details = shown.locator(".bp-details")
    expect(details).to_contain_text("16:24,0:64,0:64")
    expect(details.locator("tbody tr").first).to_contain_text("failed")
    expect(details.locator(".bp-why")).to_contain_text("does not decode")

    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.theme(theme)
        shown.screenshot(path=screenshots / f"{name}-{theme.split()[1].lower()}.png")
    notebook.evaluate("app.shell.collapseLeft(); app.shell.collapseRight();")
    page.set_viewport_size({"width": 400, "height": 900})
    wide = "element => element.scrollWidth <= element.clientWidth + 1"
    wait_until(page, lambda: bool(shown.evaluate(wide)), 10)
    shown.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / f"{name}-narrow.png")


def test_reload_and_restart(
    started: Callable[..., Notebook], stack: np.ndarray, page: Page
) -> None:
    notebook = started("reload", "", "%bp watch last")
    name = notebook.path.stem
    notebook.evaluate(
        "panel.content.widgets[1].model.sharedModel.setSource(argument);",
        f"%bp copy stack.tif {name}.zarr {SLOW}",
    )
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > 0)
    notebook.save()
    notebook.reload(busy=True)
    # The page is new, the kernel and its run are not.
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    expect(shown.locator("canvas").first).to_be_visible(timeout=20_000)
    before = complete(shown)
    wait_until(page, lambda: complete(shown) > before)

    notebook.restart()
    notebook.run(0)
    # Whoever led the run is gone with the kernel, and the new one says so.
    notebook.run(2, wait=False)
    attached = view(notebook, 2)
    expect(attached).to_have_attribute("data-state", "interrupted", timeout=20_000)
    expect(attached.locator("canvas").first).to_be_visible()
    attached.get_by_role("button", name="Resume…").click()
    attached.get_by_role("button", name="Resume", exact=True).click()
    expect(attached).to_have_attribute("data-state", "succeeded", timeout=120_000)
    assert same(lab_output(notebook), stack)


def lab_output(notebook: Notebook) -> Path:
    """The array that a notebook's run writes."""
    return notebook.path.with_suffix(".zarr")
