"""A front end for tests: starts the kernel and collects what it says about each request."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

# The first Rust cell waits for the compiler's warm-up, also on a busy machine.
START = 240.0
CELL = 120.0


def kernel_program() -> str:
    """The kernel under test: named by BIOIMAGE_KERNEL, or the one on the search path."""
    program = os.environ.get("BIOIMAGE_KERNEL") or shutil.which("bioimage-kernel")
    assert program, "no kernel to test: set BIOIMAGE_KERNEL or put bioimage-kernel on the PATH"
    return program


def install_spec(prefix: Path) -> KernelSpecManager:
    """Install the kernelspec below `prefix` and return what finds it there."""
    command = [kernel_program(), "install", "--prefix", str(prefix)]
    subprocess.run(command, check=True, capture_output=True)
    return KernelSpecManager(kernel_dirs=[str(prefix / "share/jupyter/kernels")])


@dataclass
class Answer:
    """What came back for one request."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The contents of all published messages of one type, in order."""
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    def text(self, stream: str = "stdout") -> str:
        """All text of one stream."""
        return "".join(part["text"] for part in self.of("stream") if part["name"] == stream)

    @property
    def status(self) -> str:
        """`ok`, `error` or `aborted`."""
        return str(self.reply["content"]["status"])

    @property
    def result(self) -> str:
        """The text of the cell's result."""
        (result,) = self.of("execute_result")
        return str(result["data"]["text/plain"])

    @property
    def error(self) -> dict[str, Any]:
        """The one error that was published."""
        (error,) = self.of("error")
        return error


class Session:
    """A running kernel and a client of it."""

    def __init__(
        self,
        specs: KernelSpecManager,
        env: Mapping[str, str] | None = None,
        kernel: str = "bioimage-rust",
    ) -> None:
        self.manager = KernelManager(kernel_name=kernel, kernel_spec_manager=specs)
        self.manager.start_kernel(env=dict(os.environ if env is None else env))
        client = self.manager.client()
        assert isinstance(client, BlockingKernelClient)
        self.client = client
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        # Not at once: it removes what it built for Rust cells.
        self.manager.shutdown_kernel()

    def run(self, code: str, timeout: float = CELL, **options: Any) -> Answer:
        """Run a cell to its end."""
        return self.collect(self.client.execute(code, **options), timeout)

    def collect(self, request: str, timeout: float = CELL) -> Answer:
        """Wait for the reply to a request on shell and for its idle."""
        end = time.monotonic() + timeout
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=max(end - time.monotonic(), 0.01))
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    break
                continue
            messages.append(message)
        while True:
            reply = self.client.get_shell_msg(timeout=max(end - time.monotonic(), 5))
            if reply["parent_header"].get("msg_id") == request:
                return Answer(reply, messages)

    def wait_for(self, kind: str, parent: str | None = None, timeout: float = CELL) -> Any:
        """The next published message of a type, perhaps of one request only."""
        end = time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(end - time.monotonic(), 0.01))
            if message["msg_type"] != kind:
                continue
            if parent is None or message["parent_header"].get("msg_id") == parent:
                return message

    def send(self, kind: str, content: dict[str, Any]) -> str:
        """Send a message of any type on shell."""
        message = self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def control(self, kind: str, timeout: float = 10) -> Any:
        """Send an empty request on control and wait for its reply."""
        message = self.client.session.msg(kind, {})
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply

    def is_silent(self, seconds: float = 1) -> bool:
        """Whether nothing is published for a while."""
        try:
            self.client.get_iopub_msg(timeout=seconds)
        except Empty:
            return True
        return False

    def connection(self) -> dict[str, Any]:
        """The content of the connection file."""
        content: dict[str, Any] = json.loads(Path(self.manager.connection_file).read_text())
        return content
