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

# Strong compression of noise takes the time that a test needs to look and to click.
SLOW = "--codec zstd:19 --chunks 16,64,64 --block-shape 16,64,64 --workers 1"
SHAPE = (64, 1024, 1024)


@pytest.fixture(scope="module")
def stack(lab: LabServer) -> np.ndarray:
    """A stack of noise, as `stack.tif` in the lab's folder."""
    rng = np.random.default_rng(5)
    voxels = rng.integers(0, 40, SHAPE, "uint8")
    tifffile.imwrite(lab.root / "stack.tif", voxels, photometric="minisblack")
    return voxels


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


def output_of(notebook: Notebook) -> Path:
    """The array that a notebook's run writes."""
    return notebook.path.with_suffix(".zarr")


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
    notebook = started("cancel", f"%bp copy stack.tif OUTPUT {SLOW}")
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > 0)
    before, turned = complete(shown), picture(shown)
    wait_until(page, lambda: complete(shown) > before and picture(shown) != turned)
    running = "return panel.content.widgets[1].model.executionState === 'running';"
    assert notebook.evaluate(running), "the cell must still run"
    shown.screenshot(path=screenshots / f"{notebook.path.stem}-running.png")

    shown.get_by_role("button", name="Cancel").click()
    expect(shown).to_have_attribute("data-state", "cancelled", timeout=20_000)
    notebook.wait_idle()
    done = complete(shown)
    assert 0 < done < 1024
    expect(shown.locator(".bp-message")).to_contain_text("resume")

    shown.get_by_role("button", name="Resume…").click()
    shown.get_by_role("button", name="Resume", exact=True).click()
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    expect(shown).to_have_attribute("data-state", "succeeded", timeout=120_000)
    assert complete(shown) == 1024
    expect(shown.locator(".bp-place")).to_contain_text("attempt 2")
    assert same(output_of(notebook), stack)


def test_failures_and_their_log(
    started: Callable[..., Notebook], lab: LabServer, page: Page, screenshots: Path
) -> None:
    damaged(lab.root, "damaged.tif")
    grid = "--chunks 8,64,64 --block-shape 8,64,64"
    notebook = started("failures", f"%bp copy damaged.tif OUTPUT {grid}")
    name = notebook.path.stem
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
    expect(details.locator(".bp-log")).to_contain_text("block 8 [16:24,0:64,0:64] failed")

    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.theme(theme)
        shown.screenshot(path=screenshots / f"{name}-{theme.split()[1].lower()}.png")
    notebook.evaluate("app.shell.collapseLeft(); app.shell.collapseRight();")
    page.set_viewport_size({"width": 400, "height": 900})
    wide = "element => element.scrollWidth <= element.clientWidth + 1"
    wait_until(page, lambda: bool(shown.evaluate(wide)), 10)
    shown.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / f"{name}-narrow.png")


def test_reload_while_it_runs(
    started: Callable[..., Notebook], stack: np.ndarray, page: Page
) -> None:
    notebook = started("reload", f"%bp copy stack.tif OUTPUT {SLOW}")
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > 0)
    notebook.save()
    notebook.reload(busy=True)
    # The page is new, the kernel and its run are not. JupyterLab asks a kernel for its widgets on
    # the channel of the cells, so that of Python shows them when the cell has ended.
    if "rust" in notebook.path.name:
        expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
        before = complete(shown)
        wait_until(page, lambda: complete(shown) > before)
    expect(shown).to_have_attribute("data-state", "succeeded", timeout=120_000)
    expect(shown.locator("canvas").first).to_be_visible()
    assert same(output_of(notebook), stack)


def test_restart_and_attach(
    started: Callable[..., Notebook], stack: np.ndarray, page: Page
) -> None:
    notebook = started("restart", f"%bp copy stack.tif OUTPUT {SLOW}", "%bp watch last")
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > 0)
    notebook.restart()
    notebook.run(0)
    # Whoever led the run has stopped it, or is gone with it; the new kernel says which.
    notebook.run(2, wait=False)
    attached = view(notebook, 2)
    stopped = re.compile("cancelled|interrupted")
    expect(attached).to_have_attribute("data-state", stopped, timeout=20_000)
    expect(attached.locator("canvas").first).to_be_visible()
    attached.get_by_role("button", name="Resume…").click()
    attached.get_by_role("button", name="Resume", exact=True).click()
    expect(attached).to_have_attribute("data-state", "succeeded", timeout=120_000)
    assert same(output_of(notebook), stack)


# Fails on one block until there is a file that mends it.
FUNCTION = """
import pathlib
import time
import numpy as np
import zarr

zarr.create_array("ones.zarr", shape=(64, 64), chunks=(8, 8), dtype="uint8")[...] = 1
out = zarr.create_array("twos.zarr", shape=(64, 64), chunks=(8, 8), dtype="uint8")

def double(block, inputs, outputs, mask):
    time.sleep(0.02)
    if block.begin == [8, 16] and not pathlib.Path("mended").exists():
        raise ValueError("no such luck")
    roi = bp.to_roi(block)
    outputs[0][roi] = 2 * inputs[0][roi]

def run():
    runner = bp.get_runner("subprocess")
    runner.run(double, [zarr.open_array("ones.zarr")], [out], num_workers=2, name="double")
"""


def test_a_function_s_run_in_worker_processes(
    lab: LabServer, page: Page, screenshots: Path
) -> None:
    cells = ["import bioimage_rs as bp" + FUNCTION, "run()"]
    notebook = lab.open(page, "function.ipynb", cells, "python3")
    notebook.run(0)
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    expect(shown).to_have_attribute("data-state", "failed", timeout=60_000)
    assert complete(shown) == 63
    failures = shown.locator(".bp-failure")
    expect(failures).to_have_count(1)
    expect(failures.first).to_contain_text("no such luck")
    failures.first.click()
    expect(shown.locator(".bp-why")).to_contain_text("ValueError('no such luck')")
    for place in (".bp-why .bp-log", ".bp-details .bp-log >> nth=-1"):
        expect(shown.locator(place)).to_contain_text(", in double")
    shown.screenshot(path=screenshots / "function-failed.png")

    (lab.root / "mended").touch()
    shown.get_by_role("button", name="Retry failed").click()
    expect(shown).to_have_attribute("data-state", "succeeded", timeout=60_000)
    assert complete(shown) == 64
    assert same(lab.root / "twos.zarr", np.full((64, 64), 2, "uint8"))
    shown.screenshot(path=screenshots / "function-done.png")
