"""What the cluster does not have is refused before anything is written, with what it has."""

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr
from shell import Bp
from slurm.testbed import Cluster, wait_for

COPY = ("copy", "in.zarr", "out.zarr", "--backend", "slurm")


@pytest.fixture
def bp(tmp_path: Path) -> Bp:
    """A user with an array to copy."""
    data = np.arange(8 * 8 * 8, dtype=np.uint16).reshape(8, 8, 8)
    zarr.create_array(tmp_path / "in.zarr", data=data, chunks=(4, 4, 4))
    return Bp(tmp_path)


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ("--partition cpuu", "no partition 'cpuu'", "'cpu'? The partitions are cpu, short."),
        ("--partition short,cup", "no partition 'cup'", "The partitions are cpu, short."),
        ("--sbatch=--partition=gone", "no partition 'gone'", "The partitions are cpu, short."),
        ("--account labb", "has no account 'labb'", "'lab'? The accounts are lab, root."),
        ("--qos hihg", "no QOS 'hihg'", "'high'? Those allowed are high, low, normal."),
        ("--constraint fats", "the feature 'fats'", "'fast'? The features are fast, slow."),
        ("--constraint slow --partition short", "'short' has slow", "(fast)."),
        ("--time 6 --partition short", "limit of partition 'short'", "short (00:05:00)."),
        ("--mem 5G", "'cpu' has 5120M of memory", "4 cpus, 4096M, 2 gpus (fast)"),
        ("--cpus 5", "'cpu' has 5 cpus", "4 cpus, 4096M, 2 gpus (slow)."),
        ("--gpus 3", "'cpu' has 3 gpus", "4 cpus, 4096M, 2 gpus (slow)."),
    ],
)
def test_what_does_not_exist_is_refused(
    cluster: Cluster, bp: Bp, options: str, message: str, fix: str
) -> None:
    done = bp(*COPY, *options.split())
    assert done.returncode == 2
    first, second = done.stderr.splitlines()[:2]
    assert message in first
    assert fix in second
    assert not (bp.home / "out.zarr").exists()
    assert bp.runs == []


def test_what_exists_is_accepted(cluster: Cluster, bp: Bp) -> None:
    options = "--partition short --account lab --qos high --constraint fast --time 5 --mem 200M"
    bp.ok(*COPY, *options.split())
    assert np.array_equal(
        zarr.open_array(bp.home / "out.zarr")[:], zarr.open_array(bp.home / "in.zarr")[:]
    )


def test_a_closed_partition_is_left_to_slurm(cluster: Cluster, bp: Bp) -> None:
    cluster.set_partition("short", "down")
    bp.ok(*COPY, "--partition", "short", "--dry-run")


def test_accounts_are_left_to_slurm_while_accounting_is_down(cluster: Cluster, bp: Bp) -> None:
    cluster.stop_accounting()
    bp.ok(*COPY, "--account", "labb", "--dry-run")
    assert bp(*COPY, "--partition", "cpuu").returncode == 2


def test_resume_is_checked_too(cluster: Cluster, bp: Bp) -> None:
    zarr.create_array(bp.home / "out.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint16")
    chunk = bp.home / "in.zarr" / "c" / "0" / "0" / "0"
    chunk.unlink()
    chunk.mkdir()
    assert bp("copy", "in.zarr", "out.zarr", "--retries", "0").returncode == 1
    (run,) = bp.runs
    done = bp("resume", run.id, "--backend", "slurm", "--partition", "cpuu")
    assert done.returncode == 2
    assert "no partition 'cpuu'" in done.stderr
    assert not (run.path / "attempts" / "2.json").exists()


def test_doctor_tells_what_a_node_sees(cluster: Cluster, bp: Bp) -> None:
    text = bp.ok("doctor", "--slurm", "in.zarr", "new/out.zarr", "--partition", "short")
    for line in (
        "node n1 runs '",
        f"node n1 reads and writes '{bp.home}/state/bioimage-rs/runs'",
        f"node n1 reads and writes '{bp.home}/in.zarr'",
        f"node n1 reads and writes '{bp.home}/new/out.zarr'",
    ):
        assert f"ok    {line}" in text
    assert not (bp.home / "new").exists()
    assert list(bp.home.rglob(".bp-probe*")) == []


def test_doctor_tells_what_a_node_does_not_see(cluster: Cluster, bp: Bp) -> None:
    done = bp("doctor", "--slurm", "in.zarr", "--partition", "cpuu")
    assert done.returncode == 1
    assert "FAIL  there is no partition 'cpuu'" in done.stderr
    done = in_a_private_folder(bp, "bp doctor --slurm private/in.zarr in.zarr")
    assert done.returncode == 1
    assert f"does not see '{bp.home}/private/in.zarr'" in done.stderr
    assert f"reads and writes '{bp.home}/in.zarr'" in done.stderr


def test_a_run_that_nodes_do_not_see_is_refused_on_request(cluster: Cluster, bp: Bp) -> None:
    copy = "bp copy {} --backend slurm --check-nodes"
    done = in_a_private_folder(bp, copy.format("private/in.zarr private/out.zarr"))
    assert done.returncode == 2
    for name in ("in.zarr", "out.zarr"):
        assert f"does not see '{bp.home}/private/{name}'" in done.stderr
    done = in_a_private_folder(
        bp, f"XDG_STATE_HOME={bp.home}/private {copy.format('in.zarr out.zarr')}"
    )
    assert f"does not see '{bp.home}/private/bioimage-rs/runs'" in done.stderr
    assert not (bp.home / "out.zarr").exists()
    bp.ok(*COPY, "--check-nodes")


def in_a_private_folder(bp: Bp, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's line where `private` holds the input, in sight of the line alone."""
    (bp.home / "private").mkdir(exist_ok=True)
    script = f"mount -t tmpfs none private && cp -r in.zarr private && {command}"
    # Nodes must go on seeing the folder as it was.
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=bp.environment,
        cwd=bp.home,
        text=True,
        capture_output=True,
        timeout=120,
    )


def test_an_interrupt_takes_the_question_back(cluster: Cluster, bp: Bp) -> None:
    cluster.set_node("n1", "drain")
    cluster.set_node("n2", "drain")
    doctor = bp.start("doctor", "--slurm")
    wait_for("the job that asks", lambda: len(cluster.queue()) == 1)
    doctor.send_signal(signal.SIGINT)
    assert doctor.wait(timeout=30) == 130
    wait_for("an empty queue", lambda: cluster.queue() == [])
