"""A cluster for all tests of this folder, as new for each of them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import Bp
from slurm.testbed import CONFIG, Cluster, UnableError, wait_for


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster for the session: its start takes seconds."""
    # Not in pytest's folders, which make paths too long for sockets.
    folder = Path(tempfile.mkdtemp(prefix="bioimage-rs-slurm-"))
    try:
        with Cluster(folder) as running, pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(running.config))
            yield running
    except UnableError as reason:
        pytest.skip(f"no Slurm: {reason}")


@pytest.fixture(autouse=True)
def _tidy(cluster: Cluster) -> Iterator[None]:
    """Fail a test that leaves jobs behind; the next one finds none, and all nodes up."""
    yield
    try:
        # A worker that has said its last word takes a moment to end.
        wait_for("the queue is empty", lambda: cluster.queue() == [], timeout=10)
    finally:
        cluster.repair()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: runs and settings of this test alone; `Bp(home)` is its user of `bp`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def bp(home: Path) -> Bp:
    """A user of `bp` who has set up Slurm."""
    file = home / "config" / "bioimage-rs" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(CONFIG)
    return Bp(home)
