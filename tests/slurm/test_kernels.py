"""A run on a cluster is watched, left and stopped from notebooks of both kernels."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from kernel.session import Answer, Session, install_spec
from shell import Bp, make_zarr, noise
from slurm.testbed import Cluster, wait_for

BLOCKS = 512
SLOW = ["--codec", "zstd:19", "--chunks", "16,64,64", "--block-shape", "16,64,64"]


@pytest.fixture(autouse=True)
def _stack(home: Path) -> None:
    """Takes some seconds to copy."""
    make_zarr(home / "in.zarr", noise((128, 512, 512)), (32, 128, 128))


@pytest.fixture(params=["python3", "bioimage-rust"])
def notebook(request: pytest.FixtureRequest, bp: Bp, tmp_path: Path) -> Iterator[Session]:
    """A notebook of that user, ready for `%bp`."""
    specs = install_spec(tmp_path) if request.param == "bioimage-rust" else KernelSpecManager()
    session = Session(specs, bp.environment, kernel=request.param)
    if request.param == "python3":
        assert session.run("%load_ext bioimage_rs").status == "ok"
    yield session
    session.close()


def left_by_its_leader(bp: Bp) -> None:
    """Start a run and kill the process that submitted it."""
    leader = bp.start("copy", "in.zarr", "out.zarr", "--backend", "slurm", "--workers", "4", *SLOW)
    wait_for("blocks are done", lambda: bool(bp.runs) and len(bp.runs[-1].done()) > 20)
    leader.kill()
    leader.wait()


def interrupted(session: Session, code: str, ready: Callable[[], bool]) -> Answer:
    """Interrupt a cell once something holds."""
    request = session.client.execute(code)
    wait_for("the cell's work", ready)
    session.manager.interrupt_kernel()
    return session.collect(request)


def test_a_notebook_goes_on_with_a_run_that_nobody_leads(
    cluster: Cluster, bp: Bp, notebook: Session
) -> None:
    left_by_its_leader(bp)
    run = bp.runs[-1]
    answer = notebook.run("%bp watch last")
    assert answer.status == "ok"
    assert sorted(set(run.done())) == list(range(BLOCKS))
    assert run.outcome is not None
    assert run.outcome["state"] == "succeeded"


def test_an_interrupted_cell_leaves_the_jobs_and_another_stops_them(
    cluster: Cluster, bp: Bp, notebook: Session
) -> None:
    line = f"%bp copy {bp.home}/in.zarr {bp.home}/out.zarr --backend slurm --workers 4 "
    answer = interrupted(
        notebook,
        line + " ".join(SLOW),
        lambda: bool(bp.runs) and len(bp.runs[-1].done()) > 20,
    )
    run = bp.runs[-1]
    told = "\n".join(answer.error["traceback"])
    assert "go on in Slurm" in told
    assert f"bp watch {run.id}" in told
    assert f"bp cancel {run.id}" in told
    done = len(run.done())
    wait_for("more blocks", lambda: len(run.done()) > done)
    assert run.outcome is None
    assert notebook.run(f"%bp cancel {run.id}").status == "ok"
    assert cluster.queue() == []
    wait_for("the outcome", lambda: run.outcome is not None)
    assert run.outcome is not None
    assert run.outcome["state"] == "cancelled"
