"""The conformance tests of `jupyter_kernel_test`: every group that it offers."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import jupyter_kernel_test as jkt  # type: ignore[import-untyped]
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from kernel.session import START, install_spec


def start() -> tuple[KernelManager, BlockingKernelClient]:
    """Start the kernel that was just built, not one that Jupyter happens to know."""
    with TemporaryDirectory() as prefix:
        specs = install_spec(Path(prefix))
        manager = KernelManager(kernel_name="bioimage-rust", kernel_spec_manager=specs)
        manager.start_kernel()
    client = manager.client()
    assert isinstance(client, BlockingKernelClient)
    return manager, client


class TestRust(jkt.KernelTests):  # type: ignore[misc]
    """Cells of Rust."""

    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("careful");'
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "%bp hel", "matches": ["help"]},
        {"text": "Strin"},
        {"text": 'let s = "x"; s.to_upperc', "matches": ["to_uppercase()"]},
    ]
    complete_code_samples: ClassVar = ["1 + 1", "fn f() {}", "// a note", "%bp help", "%%bp\nhelp"]
    incomplete_code_samples: ClassVar = ["fn f() {", 'let s = "a', "vec![1,", "let a =", "/* a"]
    invalid_code_samples: ClassVar = ["fn f() )", "}"]
    code_page_something = "%bp help?"
    code_generate_error = 'panic!("out of luck")'
    code_execute_result: ClassVar = [
        {"code": "1 + 2", "result": "3"},
        {"code": '"text"', "result": '"text"'},
        {"code": "(1..4).sum::<i32>()", "result": "6"},
    ]
    code_display_data: ClassVar = [
        {"code": 'notebook::svg("<svg></svg>")', "mime": "image/svg+xml"},
        {"code": 'notebook::html("<b>b</b>")', "mime": "text/html"},
        {"code": "notebook::png(&[137, 80])", "mime": "image/png"},
    ]
    code_history_pattern = "1 +*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "std::vec::Vec::<u8>::new"
    code_clear_output = "notebook::clear_output(false)"

    @classmethod
    def setUpClass(cls) -> None:
        """Wait for the compiler's warm-up: the tests' own patience is short."""
        cls.km, cls.kc = start()
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=60)
        cls.kc.execute_interactive("()", timeout=START)
        # The first analysis takes long on a busy machine; until then names alone are offered.
        text = cls.completion_samples[-1]["text"]
        end = time.monotonic() + START
        while not cls.kc.complete(text, reply=True)["content"]["matches"]:
            assert time.monotonic() < end, "no analysis"


class TestWelcome(jkt.IopubWelcomeTests):  # type: ignore[misc]
    """The welcome of JEP 65."""

    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls) -> None:
        """Start the kernel, but not yet the channels."""
        cls.km, cls.kc = start()
