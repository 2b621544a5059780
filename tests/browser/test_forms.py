"""Forms and the table of runs in a real JupyterLab, under both kernels, used as users do."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from browser.lab import LabServer, Notebook
from playwright.sync_api import Locator, Page, expect

AXE = Path(__file__).parents[2] / "widgets/node_modules/axe-core/axe.min.js"
SHAPE = (64, 512, 512)
# Strong compression of noise takes the time that a test needs to look and to click.
SLOW = "--codec zstd:19 --chunks 4,64,64 --block-shape 4,64,64 --workers 1"


@pytest.fixture(scope="module", autouse=True)
def stack(lab: LabServer) -> np.ndarray:
    """A stack of noise, as `noise.tif` in the lab's folder."""
    rng = np.random.default_rng(5)
    voxels = rng.integers(0, 200, SHAPE, "uint8")
    tifffile.imwrite(lab.root / "noise.tif", voxels, photometric="minisblack")
    return voxels


@pytest.fixture(autouse=True)
def wide(page: Page) -> None:
    """As wide a page as a desktop's."""
    page.set_viewport_size({"width": 1600, "height": 1200})


def form_in(notebook: Notebook, cell: int = 1) -> Locator:
    """The form or table below a cell."""
    return notebook.output(cell).locator(".bp-widget").first


def check_accessibility(page: Page, of: Locator) -> None:
    """Ask axe-core for what keeps people out; what is serious fails."""
    page.evaluate(AXE.read_text())
    element = of.element_handle()
    found: list[dict[str, Any]] = page.evaluate(
        "async element => (await window.axe.run(element)).violations", element
    )
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    told = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious]
    assert told == [], json.dumps(told, indent=1)


def photograph(notebook: Notebook, shown: Locator, folder: Path, name: str) -> None:
    """Pictures of a widget, light and dark, wide and narrow; nothing may stick out."""
    page = notebook.page
    kernel = "rust" if "rust" in notebook.path.name else "python"
    # High enough for a narrow form to be seen whole.
    page.set_viewport_size({"width": 1600, "height": 2600})
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        for width in (1600, 400):
            shown.evaluate("(element, width) => { element.style.width = width; }", f"{width}px")
            if width == 1600:
                shown.evaluate("element => { element.style.width = ''; }")
            page.wait_for_timeout(300)
            sticks_out = shown.evaluate("element => element.scrollWidth > element.clientWidth + 1")
            assert not sticks_out, f"{name} at {width} px"
            shown.screenshot(path=folder / f"{name}-{kernel}-{theme.lower()}-{width}.png")
            check_accessibility(page, shown)
    shown.evaluate("element => { element.style.width = ''; }")
    notebook.theme("JupyterLab Light")
    page.set_viewport_size({"width": 1600, "height": 1200})


def type_into(page: Page, form: Locator, label: str, text: str) -> None:
    """Go to a field with the Tab key alone and type into it."""
    field = form.get_by_label(label, exact=True).first
    for _ in range(80):
        if field.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    else:
        raise AssertionError(f"the Tab key does not reach '{label}'")
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def press(page: Page, button: Locator) -> None:
    """Go to a button with the Tab key and press Enter."""
    for _ in range(80):
        if button.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press("Tab")
    raise AssertionError("the Tab key does not reach the button")


def test_a_form_is_filled_by_keyboard_and_its_run_watched(
    started: Callable[..., Notebook], page: Page, stack: np.ndarray, screenshots: Path
) -> None:
    notebook = started("keyboard", "%bp ui")
    notebook.run(1)
    form = form_in(notebook)
    plan = form.get_by_role("group", name="Plan", exact=True)
    run = form.get_by_role("button", name="Run", exact=True)
    expect(plan).to_contain_text("copy needs SRC")
    form.get_by_label("Operation", exact=True).focus()
    type_into(page, form, "SRC", "noi")
    expect(form.locator(".bp-options [role=option]", has_text="noise.tif")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(form.get_by_label("SRC")).to_have_value("noise.tif")
    expect(form).to_contain_text("64,512,512 u8")
    output = notebook.path.with_suffix(".zarr")
    type_into(page, form, "DST", output.name)
    expect(form).to_contain_text("64,512,512 u8, chunks 64,64,64")
    expect(form.get_by_role("tabpanel")).to_have_text(f"%bp copy noise.tif {output.name}")
    # Blocks that would share chunks are refused, and mended by one key.
    type_into(page, form, "block shape", "48,64,64")
    expect(plan).to_contain_text("blocks would share chunks")
    expect(form.get_by_label("block shape", exact=True)).to_have_attribute("aria-invalid", "true")
    mend = form.get_by_role("button", name="Use 64,64,64")
    press(page, mend)
    expect(plan).to_contain_text("64 (1 × 8 × 8) of 64 × 64 × 64")
    expect(form.get_by_label("block shape", exact=True)).to_have_value("64,64,64")
    photograph(notebook, form, screenshots, "form")
    press(page, run)
    shown = form.locator(".bp-run")
    expect(shown).to_contain_text("Succeeded", timeout=30_000)
    assert np.array_equal(zarr.open_array(output)[:], stack)
    # The form stays usable: the output is there now, and another name is as good.
    type_into(page, form, "DST", "another.zarr")
    expect(form.get_by_role("tabpanel")).to_contain_text("another.zarr")
    shown.screenshot(path=screenshots / "form-with-run.png")


def test_a_line_fills_the_form_and_the_form_gives_code(
    started: Callable[..., Notebook], page: Page
) -> None:
    notebook = started("code", "%bp ui")
    notebook.run(1)
    form = form_in(notebook)
    form.get_by_label("Paste a %bp line").fill("%bp gaussian noise.tif OUTPUT.zarr --sigma 1,2,2")
    form.get_by_role("button", name="Read").click()
    expect(form.get_by_label("sigma")).to_have_value("1,2,2")
    plan = form.get_by_role("group", name="Plan", exact=True)
    expect(form).to_contain_text("new, 64,512,512 f32")
    form.get_by_role("button", name="chunk", exact=False).first.click()
    expect(plan).to_contain_text("64 (1 × 8 × 8) of 64 × 64 × 64")
    expect(plan).to_contain_text("more is read")
    form.get_by_role("tab", name="Python").click()
    call = (
        'bp.filters.gaussian_smoothing("noise.tif", (1.0, 2.0, 2.0), "OUTPUT.zarr", '
        "block_shape=(64, 64, 64), num_workers="
    )
    expect(form.get_by_role("tabpanel")).to_contain_text(call)
    form.get_by_role("tab", name="Rust").click()
    expect(form.get_by_role("tabpanel")).to_contain_text("bioimage_engine::command::execute(")
    form.get_by_role("tab", name="%bp").click()
    form.get_by_role("button", name="Insert").click()
    line = "%bp gaussian noise.tif OUTPUT.zarr --sigma 1,2,2 --block-shape 64,64,64"
    notebook.wait_for(
        f"return panel.content.widgets[2]?.model.sharedModel.getSource() === {json.dumps(line)};"
    )
    form.get_by_label("Paste a %bp line").fill("%bp nonsense")
    form.get_by_role("button", name="Read").click()
    expect(form).to_contain_text("there is no verb 'nonsense'")


def test_a_form_plans_while_the_kernel_is_busy(
    started: Callable[..., Notebook], page: Page
) -> None:
    notebook = started("busy", "%bp ui copy noise.tif OUTPUT", "")
    notebook.run(1)
    form = form_in(notebook)
    plan = form.get_by_role("group", name="Plan", exact=True)
    expect(plan).to_contain_text("16.0 MiB")
    python = "python3" in notebook.path.name
    sleep = "import time; time.sleep(60)"
    rust = "std::thread::sleep(std::time::Duration::from_secs(60));"
    notebook.evaluate(
        "panel.content.widgets[2].model.sharedModel.setSource(argument);",
        sleep if python else rust,
    )
    notebook.run(2, wait=False)
    running = "return panel.content.widgets[2].model.executionState === 'running';"
    notebook.wait_for(running)
    form.get_by_label("block shape", exact=True).fill("64,128,128")
    expect(plan).to_contain_text("16 (1 × 4 × 4) of 64 × 128 × 128")
    assert notebook.evaluate(running)
    notebook.interrupt()
    notebook.wait_idle()


def test_a_run_is_cancelled_resumed_and_deleted_from_the_table(
    started: Callable[..., Notebook], page: Page, stack: np.ndarray, screenshots: Path
) -> None:
    notebook = started("table", f"%bp ui copy noise.tif OUTPUT {SLOW}", "%bp runs")
    notebook.run(1)
    notebook.run(2)
    form, table = form_in(notebook), form_in(notebook, 2)
    form.get_by_role("button", name="Run", exact=True).click()
    output = notebook.path.with_suffix(".zarr")
    row = table.get_by_role("row").filter(has_text=output.name)
    expect(row).to_contain_text("Running")
    row.get_by_role("button", name="Cancel run").click()
    expect(row).to_contain_text("Cancelled", timeout=30_000)
    expect(form.locator(".bp-run")).to_contain_text("Cancelled")
    row.get_by_role("button", name="Resume run").click()
    drawer = table.get_by_role("form", name="Resume run")
    drawer.get_by_label("Workers").fill("2")
    drawer.get_by_label("Backend").select_option("subprocess")
    drawer.get_by_label("Memory").fill("1G")
    drawer.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("Succeeded", timeout=120_000)
    expect(row).to_contain_text("subprocess")
    expect(table.locator(".bp-run")).to_contain_text("2 workers · subprocess")
    assert np.array_equal(zarr.open_array(output)[:], stack)
    photograph(notebook, table, screenshots, "runs")
    table.get_by_label("Filter").fill(output.name)
    expect(table.get_by_role("row").filter(has_text="Succeeded")).to_have_count(1)
    table.get_by_role("columnheader", name="age").get_by_role("button").click()
    row.get_by_role("button", name="Delete run").click()
    expect(table).to_contain_text("Its output stays")
    table.get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)
    assert output.exists()


def test_slurm_defaults_are_saved_and_read_back(
    started: Callable[..., Notebook], lab: LabServer, page: Page, screenshots: Path
) -> None:
    notebook = started("slurm", "%bp config slurm", "%bp config slurm")
    config = Path(lab.environment["XDG_CONFIG_HOME"]) / "bioimage-rs/config.toml"
    config.unlink(missing_ok=True)
    notebook.run(1)
    form = form_in(notebook)
    expect(form).to_contain_text(str(config))
    form.get_by_label("time", exact=True).fill("soon")
    expect(form).to_contain_text("'soon' is not a time limit")
    form.get_by_role("button", name="Save", exact=True).click()
    expect(form.get_by_role("alert").first).to_contain_text("slurm.time")
    assert not config.exists()
    form.get_by_label("time", exact=True).fill("1:30:00")
    form.get_by_label("partition", exact=True).fill("long")
    form.get_by_label("options", exact=True).fill("--exclusive\n--nice=5")
    form.get_by_role("button", name="Save", exact=True).click()
    expect(form).to_contain_text("Saved in")
    stored = tomllib.loads(config.read_text())["slurm"]
    assert stored["time"] == "1:30:00"
    assert stored["partition"] == "long"
    assert stored["options"] == ["--exclusive", "--nice=5"]
    notebook.run(2)
    again = form_in(notebook, 2)
    expect(again.get_by_label("partition", exact=True)).to_have_value("long")
    expect(again.get_by_label("options", exact=True)).to_have_value("--exclusive\n--nice=5")
    photograph(notebook, again, screenshots, "slurm")
    config.unlink()


def test_a_form_in_a_layout_is_observed_and_set_from_code(lab: LabServer, page: Page) -> None:
    make = """
import ipywidgets
import bioimage_rs as bp

form = bp.OperationForm("gaussian", {"SRC": "noise.tif", "output": "layout.zarr"})
seen = []
form.observe(lambda change: seen.append(change["new"].get("sigma")), "values")
ipywidgets.VBox([ipywidgets.Label("How smooth?"), form])
"""
    cells = [make, 'form.values = {**form.values, "sigma": (1, 2, 2)}', "print(seen, form.line)"]
    notebook = lab.open(page, "layout.ipynb", cells)
    notebook.run(0)
    box = notebook.output(0)
    expect(box).to_contain_text("How smooth?")
    expect(box.get_by_role("group", name="Plan", exact=True)).to_contain_text("needs sigma")
    notebook.run(1)
    expect(box.get_by_label("sigma")).to_have_value("1,2,2")
    box.get_by_label("sigma").fill("3")
    expect(box.get_by_role("tabpanel")).to_contain_text("--sigma 3")
    notebook.run(2)
    line = "%bp gaussian noise.tif layout.zarr --sigma 3"
    expect(notebook.output(2)).to_have_text(f"['1,2,2', '3'] {line}")
