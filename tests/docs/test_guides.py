"""The code in the guides runs as it stands there, block after block."""

import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
# Tried where there is a cluster: tests/slurm/test_guide.py.
ON_CLUSTER = GUIDES / "slurm.md"
PAGES = sorted(
    {path for path in GUIDES.glob("*.md") if "```python" in path.read_text()} - {ON_CLUSTER}
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_guide_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    run_code(page)


def run_code(page: Path) -> None:
    """Run the blocks of a page in their order, with one set of names."""
    names: dict[str, object] = {"__name__": "__main__"}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(code, str(page), "exec"), names)


def test_there_are_guides() -> None:
    assert PAGES
