"""The live view of a run on a cluster in a real JupyterLab, under both kernels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.conftest import browser_type_launch_args, console, screenshots  # noqa: F401
from browser.lab import LabServer
from browser.test_run_progress import complete, view, wait_until
from playwright.sync_api import Page, expect
from shell import make_zarr, noise
from slurm.testbed import CONFIG, Cluster

# More tasks than the nodes have processors, so that some must wait.
SLOW = "--codec zstd:19 --chunks 16,64,64 --block-shape 16,64,64 --workers 12 --cpus 2"


@pytest.fixture(scope="module")
def lab(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A JupyterLab on the login node, of a user who has set up Slurm."""
    server = LabServer(tmp_path_factory.mktemp("lab"))
    file = Path(server.environment["XDG_CONFIG_HOME"]) / "bioimage-rs" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(CONFIG)
    make_zarr(server.root / "in.zarr", noise((128, 512, 512)), (32, 128, 128))
    with server:
        yield server


@pytest.mark.parametrize("kernel", ["python3", "bioimage-rust"])
def test_tasks_wait_run_and_tell_what_they_took(
    lab: LabServer,
    page: Page,
    kernel: str,
    screenshots: Path,  # noqa: F811
) -> None:
    first = "%load_ext bioimage_rs" if kernel == "python3" else "%bp help runs"
    line = f"%bp copy in.zarr {kernel}.zarr --backend slurm {SLOW}"
    notebook = lab.open(page, f"slurm-{kernel}.ipynb", [first, line], kernel)
    notebook.run(0)
    notebook.run(1, wait=False)
    shown = view(notebook, 1)
    expect(shown).to_have_attribute("data-state", "running", timeout=20_000)
    wait_until(page, lambda: complete(shown) > 0)
    tasks = shown.locator(".bp-workers")
    tasks.locator("summary").click()
    expect(tasks).to_contain_text("Resources")
    for theme in ("Dark", "Light"):
        notebook.theme(f"JupyterLab {theme}")
        shown.screenshot(path=screenshots / f"slurm-{kernel}-running-{theme.lower()}.png")
    before = complete(shown)
    wait_until(page, lambda: complete(shown) > before)

    expect(shown).to_have_attribute("data-state", "succeeded", timeout=120_000)
    notebook.wait_idle()
    assert complete(shown) == 512
    for row in ("Used", "Next time"):
        expect(shown.get_by_text(row, exact=True)).to_be_visible(timeout=40_000)
    shown.screenshot(path=screenshots / f"slurm-{kernel}-done-light.png")
    notebook.theme("JupyterLab Dark")
    shown.screenshot(path=screenshots / f"slurm-{kernel}-done-dark.png")
    notebook.evaluate("app.shell.collapseLeft(); app.shell.collapseRight();")
    page.set_viewport_size({"width": 400, "height": 900})
    wide = "element => element.scrollWidth <= element.clientWidth + 1"
    wait_until(page, lambda: bool(shown.evaluate(wide)), 10)
    shown.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / f"slurm-{kernel}-narrow.png")


@pytest.mark.parametrize("kernel", ["python3", "bioimage-rust"])
def test_forms_offer_what_the_cluster_has_and_refuse_what_it_has_not(
    lab: LabServer,
    page: Page,
    kernel: str,
    screenshots: Path,  # noqa: F811
) -> None:
    page.set_viewport_size({"width": 1600, "height": 2000})
    first = "%load_ext bioimage_rs" if kernel == "python3" else "%bp help runs"
    line = f"%bp ui copy in.zarr form-{kernel}.zarr --workers 2"
    name = f"slurm-form-{kernel}"
    notebook = lab.open(page, f"{name}.ipynb", [first, line, "%bp config slurm"], kernel)
    notebook.run_all()
    form = notebook.output(1).locator(".bp-operation-form")
    form.get_by_label("backend", exact=True).select_option("slurm")
    expect(form).to_contain_text("Choices are those of the cluster test")
    partition = form.get_by_label("partition", exact=True)
    # What the config says stands in grey.
    assert partition.get_attribute("placeholder")
    partition.fill("cpuu")
    expect(form.locator(".bp-refusal")).to_contain_text("Did you mean 'cpu'?")
    expect(partition).to_have_attribute("aria-invalid", "true")
    partition.fill("cpu")
    run = form.get_by_role("button", name="Run", exact=True)
    expect(run).to_be_enabled()
    expect(form.locator(".bp-refusal")).to_be_hidden()
    form.screenshot(path=screenshots / f"{name}-operation.png")
    run.click()
    expect(form.locator(".bp-run")).to_have_attribute("data-state", "succeeded", timeout=120_000)

    defaults = notebook.output(2).locator(".bp-slurm-form")
    expect(defaults).to_contain_text("The cluster test knows these values")
    defaults.get_by_label("mem", exact=True).fill("900G")
    expect(defaults).to_contain_text("no node of partition")
    defaults.get_by_label("mem", exact=True).fill("1G")
    expect(defaults).to_contain_text("The cluster test knows these values")
    defaults.screenshot(path=screenshots / f"{name}-defaults.png")
