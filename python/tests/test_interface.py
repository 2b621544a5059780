"""Sources, errors and magics."""

from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import tifffile
import zarr
from bioimage_rs import _native, errors
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_kind_of_the_engine_has_its_exception() -> None:
    assert sorted(errors._CLASSES) == sorted(_native.KINDS)
    assert {kind.__name__ for kind in errors._CLASSES.values()} <= set(errors.__all__)


def test_sources_are_indexed_as_numpy_arrays_are(home: Path) -> None:
    content = np.arange(4 * 5 * 6, dtype="uint16").reshape(4, 5, 6)
    tifffile.imwrite(home / "in.tif", content, photometric="minisblack")
    zarr.create_array(home / "in.zarr", data=content, chunks=(2, 2, 2))
    for source in (bp.open_source("in.tif"), bp.open_source("in.zarr"), bp.as_source(content)):
        for index in (
            0,
            -1,
            (1, 2),
            (1, 2, 3),
            slice(1, 3),
            (..., 2),
            (slice(9, 12),),
            (slice(3, 1),),
        ):
            np.testing.assert_array_equal(source[index], content[index], str(index))
        with pytest.raises(ValueError, match="Nontrivial steps"):
            source[::2]
        with pytest.raises(ValueError, match="out of range"):
            source[9]
        with pytest.raises(TypeError, match="Advanced selection"):
            source[[0, 1]]
    with pytest.raises(TypeError, match="read-only"):
        bp.open_source("in.zarr")[0] = 1
    writable = bp.open_source("in.zarr", mode="r+")
    writable[1, 2:4] = 7
    assert (writable[1, 2:4] == 7).all()


def test_a_wrong_path_names_the_nearest(home: Path) -> None:
    zarr.create_array(home / "stack.zarr", data=np.zeros((2, 2)), chunks=(2, 2))
    with pytest.raises(FileNotFoundError) as caught:
        bp.open_source("stakc.zarr")
    assert isinstance(caught.value, bp.BioimageError)
    assert caught.value.kind == "not-found"
    assert "stack.zarr" in str(caught.value.fix)


@pytest.fixture
def shell() -> Any:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "bioimage_rs")
    # Jedi leaves files of its cache open, which would be taken for a fault of the test.
    shell.Completer.use_jedi = False
    return shell


def test_a_line_takes_variables_paths_and_expressions(
    shell: Any, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.user_ns["raw"] = np.arange(64, dtype="uint8").reshape(8, 8)
    shell.user_ns["name"] = "out"
    run = shell.run_line_magic("bp", "copy raw {name}.zarr --chunks 4,4")
    assert run.state == "succeeded"
    written = zarr.open_array(home / "out.zarr", mode="r")
    np.testing.assert_array_equal(np.asarray(written[...]), shell.user_ns["raw"])
    shell.run_cell_magic("bp", "", "# a comment\ncopy out.zarr b.zarr\n%bp info b.zarr")
    assert (home / "b.zarr").exists()
    with pytest.raises(FileNotFoundError):
        shell.run_cell_magic("bp", "", "copy nothing.zarr c.zarr\ncopy out.zarr d.zarr")
    assert not (home / "d.zarr").exists()
    shell.run_line_magic("bp", "help")
    assert "copy" in capsys.readouterr().out


def completed(shell: Any, line: str) -> set[str]:
    """What the line may become."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    return {line[: one.start] + one.text for one in found}


def test_help_and_completion_come_from_the_engine(shell: Any) -> None:
    assert shell.transform_cell("%bp copy?").count("help copy") == 1
    assert "%bp copy" in completed(shell, "%bp co")
    assert "%bp copy a b --overwrite" in completed(shell, "%bp copy a b --over")


def test_an_error_is_shown_in_two_lines(shell: Any) -> None:
    with pytest.raises(bp.BioimageError) as caught:
        shell.run_line_magic("bp", "cpoy a b")
    lines = caught.value._render_traceback_()
    assert lines is not None
    assert len(lines) == 2
    assert "copy" in lines[1]
