"""Kernels for the tests: one that is shared, and a way to start more."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from kernel.session import START, Session, install_spec


@pytest.fixture(scope="session")
def specs(tmp_path_factory: pytest.TempPathFactory) -> KernelSpecManager:
    """The kernelspec, installed by the kernel itself."""
    return install_spec(tmp_path_factory.mktemp("jupyter"))


@pytest.fixture(scope="session")
def warm(specs: KernelSpecManager) -> Iterator[Session]:
    """A kernel whose Rust cells are ready. Tests leave it usable."""
    session = Session(specs)
    try:
        assert session.run("()", timeout=START).status == "ok"
        yield session
    finally:
        session.close()


@pytest.fixture
def session(warm: Session) -> Session:
    """The shared kernel, with nothing left to read from earlier tests."""
    while not warm.is_silent(0.05):
        pass
    return warm


@pytest.fixture
def start(specs: KernelSpecManager) -> Iterator[Callable[..., Session]]:
    """Starts kernels of the test's own."""
    started: list[Session] = []

    def new(env: Mapping[str, str] | None = None) -> Session:
        started.append(Session(specs, env))
        return started[-1]

    yield new
    for one in started:
        one.close()


@pytest.fixture
def empty_home(tmp_path: Path) -> dict[str, str]:
    """An environment in which no Rust toolchain can be found."""
    return {"HOME": str(tmp_path), "PATH": str(tmp_path), "TMPDIR": str(tmp_path)}
