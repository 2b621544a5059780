"""The rule of conftest.py: in CI a skipped test fails the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"

ONE_TEST = """
import pytest

@pytest.mark.skip(reason="no time")
def test_skipped() -> None:
    pass

def test_passed() -> None:
    pass
"""

WHOLE_MODULE = """
import pytest

pytest.importorskip("no_such_module")
"""


@pytest.mark.parametrize(
    ("source", "reason"), [(ONE_TEST, "no time"), (WHOLE_MODULE, "no_such_module")]
)
@pytest.mark.parametrize("ci", [False, True])
def test_skip(source: str, reason: str, ci: bool, tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_passes.py").write_text("def test_passes() -> None:\n    pass\n")
    (tmp_path / "test_skips.py").write_text(source)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir=.", "-c", os.devnull, "."],
        cwd=tmp_path,
        env=environment | ({"CI": "true"} if ci else {}),
        text=True,
        capture_output=True,
    )
    assert done.returncode == int(ci), done.stdout
    assert "test_skips.py" in done.stdout
    assert reason in done.stdout
