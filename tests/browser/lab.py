"""A real JupyterLab and a notebook in it, driven as a user drives them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Response


class LaunchArguments(TypedDict):
    """What `browser_type.launch` is told."""

    executable_path: str
    args: list[str]


# Debian's browser, which may run as root and calls nobody.
LAUNCH: LaunchArguments = {
    "executable_path": os.environ.get("CHROMIUM", "/usr/bin/chromium"),
    "args": [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ],
}

# What JupyterLab does on its own and a test wants quiet.
_SETTINGS: dict[str, dict[str, object]] = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # Cells out of view would not be in the page.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    # A test says itself when a notebook is saved.
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}

_START_TIMEOUT = 60.0
_READY_TIMEOUT = 90.0


class LabServer:
    """JupyterLab on a free port of the loopback address, everything it writes below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notebooks"
        self.log = folder / "jupyterlab.log"
        jupyter = folder / "jupyter"
        self.environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(jupyter / "config"),
            "JUPYTER_DATA_DIR": str(jupyter / "data"),
            "JUPYTER_RUNTIME_DIR": str(jupyter / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(jupyter / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(jupyter / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.root.mkdir(parents=True)
        overrides = jupyter / "config" / "labconfig" / "default_setting_overrides.json"
        overrides.parent.mkdir(parents=True)
        overrides.write_text(json.dumps(_SETTINGS))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._pages = 0

    def __enter__(self) -> Self:
        arguments = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self._port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}",
            "--IdentityProvider.token=",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *arguments],
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()}")
            time.sleep(0.1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/status", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _stop(self) -> None:
        if self._process is None:
            return
        # On SIGTERM the server shuts its kernels down first.
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def run(self, *command: str | Path) -> str:
        """Run a command as the server's kernels would see it; its standard output."""
        return subprocess.run(
            command, cwd=self.root, env=self.environment, check=True, text=True, capture_output=True
        ).stdout

    def open(
        self, page: Page, name: str, cells: Sequence[str] = (), kernel: str = "python3"
    ) -> "Notebook":
        """Write a notebook of these code cells, open it and wait for its kernel."""
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": kernel, "display_name": kernel}},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{index}",
                    "metadata": {},
                    "source": source,
                    "execution_count": None,
                    "outputs": [],
                }
                for index, source in enumerate(cells)
            ],
        }
        (self.root / name).write_text(json.dumps(notebook))
        return self.show(page, name)

    def show(self, page: Page, name: str | Path) -> "Notebook":
        """Open a notebook that is there; one from elsewhere is copied in first."""
        path = Path(name)
        if path.is_absolute():
            shutil.copy(path, self.root)
        # A workspace of its own: another page's would open that page's notebooks, too.
        self._pages += 1
        page.goto(f"{self.url}/lab/workspaces/page-{self._pages}/tree/{path.name}")
        notebook = Notebook(page, self.root / path.name)
        notebook.wait_ready()
        return notebook


class Notebook:
    """The notebook that is open in a page."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    def evaluate(self, body: str, argument: object = None) -> Any:
        """Run JavaScript that sees `app`, `panel` (the notebook's) and `argument`."""
        return self._evaluate("throw new Error('the notebook is not open')", body, argument)

    def wait_for(self, body: str, timeout: float = 60) -> None:
        """Wait until the notebook is open and such JavaScript returns something true."""
        # `page.wait_for_function` takes the promise itself for true.
        deadline = time.monotonic() + timeout
        while not self._evaluate("return false", body):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path.name}: not within {timeout} s: {body}")
            self.page.wait_for_timeout(50)

    def _evaluate(self, unless_open: str, body: str, argument: object = None) -> Any:
        # The panel is found by its path: `shell.currentWidget` is null while nothing has the focus.
        return self.page.evaluate(
            f"""async (argument) => {{
                const app = window.jupyterapp;
                // Commands are registered by plugins, which may start after the notebook shows.
                await app?.restored;
                const panel = [...app?.shell.widgets('main') ?? []].find(
                    widget => widget.context?.path === {json.dumps(self.path.name)});
                if (!panel) {unless_open};
                {body}
            }}""",
            argument,
        )

    def wait_ready(self, *, busy: bool = False) -> None:
        """Wait until the page has loaded and the kernel listens: an earlier key press is lost.

        With `busy`, a kernel that is still at work will do.
        """
        self.wait_for(
            f"""await panel.revealed;
            await panel.sessionContext.ready;
            app.shell.activateById(panel.id);
            const kernel = panel.sessionContext.session?.kernel;
            return app.shell.currentWidget === panel && kernel?.connectionStatus === 'connected'
                && ({json.dumps(busy)} || kernel.status === 'idle');""",
            _READY_TIMEOUT,
        )

    def run(self, index: int, *, wait: bool = True, timeout: float = 60) -> None:
        """Run one cell; without `wait`, only start it."""
        self.evaluate(
            """panel.content.activeCellIndex = argument;
            void app.commands.execute('notebook:run-cell');""",
            index,
        )
        if wait:
            self.wait_idle(timeout)

    def run_all(self, *, wait: bool = True, timeout: float = 120) -> None:
        """Run all cells in order."""
        self.evaluate("void app.commands.execute('notebook:run-all-cells');")
        if wait:
            self.wait_idle(timeout)

    def wait_idle(self, timeout: float = 60) -> None:
        """Wait until no cell runs or waits, and the kernel is idle."""
        self.wait_for(
            """const busy = panel.content.widgets.some(
                cell => cell.model.type === 'code' && cell.model.executionState === 'running');
            return !busy && panel.sessionContext.session?.kernel?.status === 'idle';""",
            timeout,
        )

    def kernel_status(self) -> str:
        """Return `idle`, `busy`, `restarting`, ... as the page knows it."""
        status: str = self.evaluate("return panel.sessionContext.session.kernel.status;")
        return status

    def interrupt(self) -> None:
        """Interrupt the kernel, as the stop button does."""
        self.evaluate("await panel.sessionContext.session.kernel.interrupt();")

    def restart(self) -> None:
        """Restart the kernel without asking, and wait for the new one."""
        self.evaluate("await panel.sessionContext.session.kernel.restart();")
        self.wait_ready()

    def reload(self, *, busy: bool = False) -> None:
        """Load the page anew; the kernel lives on, and with `busy` may be at work."""
        self.page.reload()
        self.wait_ready(busy=busy)

    def theme(self, name: str) -> None:
        """Switch to `JupyterLab Dark` or `JupyterLab Light`."""
        self.evaluate(
            "await app.commands.execute('apputils:change-theme', {theme: argument});", name
        )
        light = str("Light" in name).lower()
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def cell(self, index: int) -> Locator:
        """Return a cell, with its input and its outputs."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return a cell's outputs as shown."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return a cell's outputs as data, in the notebook format."""
        found: list[dict[str, Any]] = self.evaluate(
            "return panel.content.widgets[argument].model.outputs?.toJSON() ?? [];", index
        )
        return found

    def save(self) -> dict[str, Any]:
        """Save the notebook; the JSON that is then on the disk."""
        self.evaluate("await app.commands.execute('docmanager:save');")
        saved: dict[str, Any] = json.loads(self.path.read_text())
        return saved


# JupyterLab asks the kernel's debugger for its state, and the kernel for a subshell, and complains
# when a restart is quicker.
LAB_ITSELF = (
    "Could not restore the debugger state: Canceled future",
    "Canceled future for create_subshell_request message",
)


class Console:
    """Every error that a page reports: logged, thrown, or answered by the server."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        page.on("console", self._logged)
        page.on("pageerror", self._thrown)
        page.on("response", self._answered)

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(LAB_ITSELF):
            place = message.location
            self.errors.append(f"{message.text} ({place.get('url')}:{place.get('lineNumber')})")

    def _thrown(self, error: Error) -> None:
        if not str(error).removeprefix("Error: ").startswith(LAB_ITSELF):
            self.errors.append(f"uncaught: {error}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.errors.append(f"HTTP {response.status}: {response.url}")
