"""The live view of an operation of two passes."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from browser.lab import LabServer
from browser.test_run_progress import complete, view, wait_until
from playwright.sync_api import Page, expect
from scipy import ndimage

SHAPE = (64, 512, 512)
BLOCKS = 256
SLOW = "--codec zstd:19 --chunks 16,64,64 --block-shape 16,64,64 --workers 1"


@pytest.mark.parametrize("kernel", ["python3", "bioimage-rust"])
def test_the_view_goes_from_pass_to_pass(
    lab: LabServer, page: Page, kernel: str, screenshots: Path
) -> None:
    voxels = (np.random.default_rng(3).random(SHAPE) < 0.2).astype("uint8")
    tifffile.imwrite(lab.root / "voxels.tif", voxels, photometric="minisblack")
    first = "%load_ext bioimage_rs" if kernel == "python3" else "%bp help runs"
    line = f"%bp label voxels.tif labels-{kernel}.zarr {SLOW}"
    notebook = lab.open(page, f"stages-{kernel}.ipynb", [first, line], kernel)
    notebook.run(0)
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > BLOCKS)
    expect(shown).to_contain_text("2 of 2: number components")
    expect(shown.locator("canvas").first).to_be_visible()
    shown.screenshot(path=screenshots / f"stages-{kernel}-running.png")
    before = complete(shown)
    wait_until(page, lambda: complete(shown) > before)
    expect(shown).to_have_attribute("data-state", "succeeded", timeout=120_000)
    assert complete(shown) == 2 * BLOCKS
    labels = np.asarray(zarr.open_array(lab.root / f"labels-{kernel}.zarr", mode="r")[...])
    assert labels.max() == ndimage.label(voxels)[1]
