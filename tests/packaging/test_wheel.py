"""The wheel: what is in it, and that it works in an environment with nothing else."""

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel that `scripts/install-wheel` built last."""
    folder = os.environ.get("BIOIMAGE_RS_WHEELS")
    assert folder, "BIOIMAGE_RS_WHEELS is not set: run `scripts/test wheel packaging`"
    (found,) = Path(folder).glob("bioimage_rs-*.whl")
    return found


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a virtual environment that holds the wheel and its dependencies alone."""
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", root], check=True)
    subprocess.run([root / "bin" / "pip", "install", "--quiet", wheel], check=True)
    return root / "bin"


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Nothing of this checkout or its environment may help.
    clean = {"HOME": str(cwd), "PATH": f"{program.parent}:/usr/bin:/bin"}
    return subprocess.run(
        [program, *arguments], cwd=cwd, env=clean, text=True, capture_output=True, timeout=120
    )


def test_contents(wheel: Path) -> None:
    """Each file is there for a reason; a new one is a decision."""
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    version = wheel.name.split("-")[1]
    data, info = f"bioimage_rs-{version}.data", f"bioimage_rs-{version}.dist-info"
    for needed in (
        "bioimage_rs/__init__.py",
        "bioimage_rs/_native.abi3.so",
        "bioimage_rs/_native.pyi",
        "bioimage_rs/widgets/bioimage.css",
        "bioimage_rs/widgets/bioimage.js",
        f"{data}/scripts/bioimage-kernel",
        f"{data}/scripts/bp",
        f"{info}/licenses/LICENSE-APACHE",
        f"{info}/licenses/LICENSE-MIT",
    ):
        assert sizes.get(needed, 0) > 0, f"{needed} is missing or empty"
    assert "bioimage_rs/py.typed" in sizes
    strays = [
        name
        for name in sizes
        if not name.startswith((f"{data}/scripts/", f"{info}/"))
        and not name.startswith("bioimage_rs/widgets/bioimage.")
        and not (
            name.startswith("bioimage_rs/") and name.endswith((".py", ".pyi", ".so", "py.typed"))
        )
    ]
    assert strays == []


def test_native_programs_are_stripped(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        programs = [name for name in archive.namelist() if "/scripts/" in name]
        archive.extractall(tmp_path, programs)
    assert len(programs) == 2
    for name in programs:
        # A stripped program has no symbol table section.
        sections = subprocess.check_output(["readelf", "-S", "--wide", tmp_path / name], text=True)
        assert ".symtab" not in sections, name


def test_package_in_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    done = run(
        environment / "python",
        "-c",
        "import bioimage_rs; print(bioimage_rs.__version__)",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == _version(environment, tmp_path)


def test_bp_is_on_the_path(environment: Path, tmp_path: Path) -> None:
    done = run(environment / "bp", "--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["bp", _version(environment, tmp_path)]


def test_few_direct_dependencies(environment: Path, tmp_path: Path) -> None:
    """Every further one is a burden on each user's environment."""
    requires = run(
        environment / "python",
        "-c",
        "import importlib.metadata as m; print(sorted(m.requires('bioimage-rs')))",
        cwd=tmp_path,
    )
    names = [name.split(">")[0] for name in ast.literal_eval(requires.stdout)]
    assert names == ["anywidget", "cloudpickle", "numpy", "pandas", "threadpoolctl"]


def _version(environment: Path, cwd: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('bioimage-rs'))"
    return run(environment / "python", "-c", code, cwd=cwd).stdout.strip()
