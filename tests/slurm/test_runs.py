"""Runs on a real cluster: the same as local ones, and what becomes of them when things go wrong."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import Bp, RunFolder, content, make_zarr, noise
from slurm.testbed import CONFIG, Cluster, wait_for

SHAPE, CHUNKS = (128, 512, 512), (32, 128, 128)
BLOCKS = 512
GRID = ["--chunks", "16,64,64", "--block-shape", "16,64,64"]
# Strong compression of noise takes the time that a test needs to meddle.
SLOW = ["--codec", "zstd:19", *GRID]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """An array of noise."""
    data = noise(SHAPE)
    path = tmp_path_factory.mktemp("source") / "in.zarr"
    make_zarr(path, data, CHUNKS)
    return path, data


@pytest.fixture
def slow(source: tuple[Path, np.ndarray]) -> list[Any]:
    """A copy that takes some seconds."""
    return ["copy", source[0], "out.zarr", "--backend", "slurm", "--workers", "4", *SLOW]


def status(bp: Bp) -> dict[str, Any]:
    """What `bp status` tells of the latest run."""
    told: dict[str, Any] = json.loads(bp.ok("status", "last", "--json"))
    return told


def counts(bp: Bp) -> dict[str, int]:
    """Blocks of the latest run by state."""
    found: dict[str, int] = status(bp)["counts"]
    return found


def jobs(run: RunFolder) -> list[int]:
    """Slurm's numbers of the job arrays that were submitted."""
    file = run.path / "jobs.json"
    recorded = json.loads(file.read_text())["submissions"] if file.exists() else []
    return [submission["job"] for submission in recorded]


def failures(run: RunFolder) -> list[tuple[str, bool]]:
    """Kind of every failure, and whether the block was tried again."""
    return [
        (event["error"]["kind"], event["again"])  # type: ignore[index, misc]
        for _, events in run.journals()
        for event in events
        if event["event"] == "failed"
    ]


def in_work(bp: Bp, blocks: int = 20) -> RunFolder:
    """The latest run, once some blocks are done."""
    wait_for("a run", lambda: bool(bp.runs))
    run = bp.runs[-1]
    wait_for("blocks are done", lambda: len(run.done()) >= blocks)
    assert run.outcome is None, "it must still run"
    return run


def pid_of(run: RunFolder, task: int) -> int:
    """Process of the worker on a task."""
    (file,) = run.path.glob(f"stages/0/{task}.*.jsonl")
    return int(json.loads(file.read_text().splitlines()[0])["process"]["pid"])


def no_block_done_twice_at_once(run: RunFolder) -> bool:
    """Whether blocks done more than once were done one after the other."""
    return max(Counter(run.done()).values()) == 1


def test_a_copy_is_the_same_as_a_local_one(
    cluster: Cluster, bp: Bp, source: tuple[Path, np.ndarray]
) -> None:
    rng = np.random.default_rng(7)
    for number in range(3):
        shape = [int(extent) for extent in rng.integers(1, 80, 3)]
        roi = ",".join(f"0:{extent}" for extent in np.minimum(shape, SHAPE))
        options = ["--roi", roi, "--chunks", "16,32,32", "--block-shape", "16,32,32"]
        options += ["--dtype", "u16"]
        bp.ok("copy", source[0], f"local{number}.zarr", *options)
        bp.ok("copy", source[0], f"slurm{number}.zarr", *options, "--backend", "slurm")
        local, slurm = (bp.home / f"{name}{number}.zarr" for name in ("local", "slurm"))
        assert np.array_equal(content(local), content(slurm))
    assert status(bp)["counts"]["done"] == counts(bp)["total"]


def test_ten_thousand_blocks_in_twenty_tasks(cluster: Cluster, bp: Bp) -> None:
    data = noise((100, 100, 16))
    make_zarr(bp.home / "in.zarr", data, (20, 20, 16))
    grid = ["--chunks", "1,1,16", "--block-shape", "1,1,16", "--codec", "none"]
    bp.ok("copy", "in.zarr", "out.zarr", "--backend", "slurm", "--workers", "5", *grid)
    run = bp.runs[-1]
    assert len(json.loads((run.path / "attempts" / "1.json").read_text())["tasks"]) == 20
    assert sorted(run.done()) == list(range(10_000))
    assert np.array_equal(content(bp.home / "out.zarr"), data)
    assert "--array=0-19%5" in (run.path / "submit-0.sh").read_text()


def test_more_tasks_than_an_array_may_have(
    cluster: Cluster, bp: Bp, source: tuple[Path, np.ndarray]
) -> None:
    # 25 workers get 100 tasks; the cluster takes 40 in one array.
    bp.ok("copy", source[0], "out.zarr", "--backend", "slurm", "--workers", "25", *GRID)
    run = bp.runs[-1]
    assert len(jobs(run)) == 3
    assert sorted(run.done()) == list(range(BLOCKS))
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_a_killed_worker_is_replaced(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    os.kill(pid_of(run, 0), signal.SIGKILL)
    assert leader.wait(120) == 0
    assert failures(run) == [("worker-lost", True)]
    assert no_block_done_twice_at_once(run)
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_a_task_that_is_cancelled_in_slurm_is_left_for_a_resume(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    cluster.call("scancel", f"{jobs(run)[0]}_1")
    assert leader.wait(120) == 1
    assert failures(run) == [("cancelled", False)]
    assert "were cancelled in Slurm" in status(bp)["message"]
    bp.ok("resume", "last", "--workers", "2")
    assert no_block_done_twice_at_once(run)
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_an_array_that_is_cancelled_in_slurm(cluster: Cluster, bp: Bp, slow: list[Any]) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    cluster.call("scancel", jobs(run)[0])
    assert leader.wait(120) != 0
    assert {kind for kind, _ in failures(run)} == {"cancelled"}
    assert counts(bp)["pending"] > 0
    bp.ok("resume", "last")
    assert sorted(set(run.done())) == list(range(BLOCKS))


def test_a_node_set_down_loses_nothing(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    node = "n1" if "n1" in cluster.call("squeue", "-h", "-t", "R", "-o", "%N") else "n2"
    cluster.set_node(node, "down")
    assert leader.wait(180) == 0
    told = failures(run)
    assert told
    assert set(told) == {("node-failed", True)}
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_a_node_without_power_loses_nothing(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    node = "n1" if "n1" in cluster.call("squeue", "-h", "-t", "R", "-o", "%N") else "n2"
    cluster.kill_node(node)
    assert leader.wait(240) == 0
    assert {kind for kind, again in failures(run) if again} <= {"node-failed", "worker-lost"}
    assert sorted(set(run.done())) == list(range(BLOCKS))
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_waiting_tasks_tell_their_reason(cluster: Cluster, bp: Bp, slow: list[Any]) -> None:
    cluster.set_partition("cpu", "down")
    leader = bp.start(*slow)

    def reasons() -> set[str]:
        return {str(worker["reason"]) for worker in status(bp)["workers"]} if bp.runs else set()

    wait_for("a reason", lambda: any("Partition" in reason for reason in reasons()))
    assert status(bp)["state"] == "running"
    cluster.set_partition("cpu", "up")
    assert leader.wait(120) == 0


def test_a_drained_partition_takes_no_jobs(cluster: Cluster, bp: Bp, slow: list[Any]) -> None:
    cluster.set_partition("cpu", "drain")
    done = bp(*slow)
    assert done.returncode == 1
    assert "drain" in done.stderr
    assert bp.runs[-1].done() == []
    cluster.set_partition("cpu", "up")
    bp.ok("resume", "last")


def test_a_rejected_submission_says_why_and_writes_no_block(
    cluster: Cluster, bp: Bp, slow: list[Any]
) -> None:
    done = bp(*slow, "--sbatch=--nodelist=nowhere")
    assert done.returncode == 1
    assert "sbatch failed" in done.stderr
    assert "Invalid node name" in done.stderr
    assert bp.runs[-1].done() == []


def test_accounting_that_fails_for_a_while(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    cluster.stop_accounting()
    try:
        # The first tasks may have ended meanwhile.
        workers = [pid for pid in run.workers() if pid != leader.pid]
        os.kill(next(pid for pid in workers if Path(f"/proc/{pid}").exists()), signal.SIGKILL)
        wait_for("other tasks", lambda: len(set(run.done())) > BLOCKS // 2)
    finally:
        cluster.start_accounting()
    assert leader.wait(120) == 0
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_a_controller_that_is_restarted_in_mid_run(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    cluster.restart_controller()
    assert leader.wait(120) == 0
    assert no_block_done_twice_at_once(run)
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_a_run_goes_on_without_its_leader_and_is_watched_by_another(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    leader.kill()
    leader.wait()
    # What is lost without a leader is found by the next one.
    os.kill(pid_of(run, 0), signal.SIGKILL)
    assert status(bp)["state"] == "running"
    other = bp("copy", source[0], "out.zarr", "--overwrite")
    assert other.returncode != 0
    assert "is being written by run" in other.stderr
    assert "succeeded" in bp.ok("watch", "last")
    assert failures(run) == [("worker-lost", True)]
    assert no_block_done_twice_at_once(run)
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def test_an_interrupt_leaves_the_jobs_alone_and_says_so(
    cluster: Cluster, bp: Bp, slow: list[Any]
) -> None:
    leader = subprocess.Popen(
        ["bp", *map(str, slow)], env=bp.environment, cwd=bp.home, stderr=subprocess.PIPE, text=True
    )
    run = in_work(bp)
    leader.send_signal(signal.SIGINT)
    _, told = leader.communicate(timeout=30)
    assert leader.returncode == 130
    assert f"bp watch {run.id}" in told
    assert f"bp cancel {run.id}" in told
    assert cluster.queue()
    assert "has stopped" in bp.ok("cancel", "last")
    assert cluster.queue() == []
    assert status(bp)["state"] == "cancelled"


def test_cancelling_leaves_no_job_behind(cluster: Cluster, bp: Bp, slow: list[Any]) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    assert "has stopped" in bp.ok("cancel", "last")
    assert leader.wait(30) == 130
    assert cluster.queue() == []
    done = len(run.done())
    time.sleep(2)
    assert len(run.done()) == done, "somebody still works"
    moved = f"{Path(slow[1]).parent}={bp.home}/nowhere"
    checked = bp("resume", "last", "--check-nodes", "--map", moved)
    assert checked.returncode == 2
    assert f"does not see '{bp.home}/nowhere/in.zarr'" in checked.stderr
    assert len(jobs(run)) == 1, "nothing was submitted for it"
    bp.ok("resume", "last", "--workers", "8", "--check-nodes")
    assert no_block_done_twice_at_once(run)


def test_a_run_changes_its_backend_and_its_folders(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    leader = bp.start(*slow)
    run = in_work(bp)
    bp.ok("cancel", "last")
    assert leader.wait(30) == 130
    before = len(set(run.done()))
    # On another machine the same folders may have other names.
    elsewhere = bp.home / "elsewhere"
    elsewhere.mkdir()
    (bp.home / "out.zarr").rename(elsewhere / "out.zarr")
    moved = f"{bp.home / 'out.zarr'}={elsewhere / 'out.zarr'}"
    local = subprocess.Popen(
        ["bp", "resume", "last", "--backend", "local", "--workers", "1", "--map", moved],
        env=bp.environment,
        cwd=bp.home,
    )
    wait_for("some more blocks", lambda: len(set(run.done())) > before + 20)
    local.send_signal(signal.SIGINT)
    assert local.wait(30) == 130
    bp.ok("resume", "last", "--backend", "slurm", "--workers", "3")
    assert no_block_done_twice_at_once(run)
    assert np.array_equal(content(elsewhere / "out.zarr"), source[1])


def test_two_runs_at_once(
    cluster: Cluster, bp: Bp, slow: list[Any], source: tuple[Path, np.ndarray]
) -> None:
    outputs = ["one.zarr", "two.zarr"]
    leaders = [bp.start(*slow[:2], output, *slow[3:]) for output in outputs]
    assert [leader.wait(180) for leader in leaders] == [0, 0]
    for output in outputs:
        assert np.array_equal(content(bp.home / output), source[1])


def test_sentinels_that_are_seen_late_are_waited_for(
    cluster: Cluster, bp: Bp, source: tuple[Path, np.ndarray]
) -> None:
    # A mount of the node's own hides what its tasks write, as a cache of NFS does for a while.
    hidden = bp.home / "hidden"
    hidden.mkdir()
    preamble = (
        "#!/bin/bash\n"
        f'if [ -z "$INSIDE" ]; then export INSIDE=1; exec unshare -m bash "$0"; fi\n'
        f"for run in {bp.home}/state/bioimage-rs/runs/*; do\n"
        f'mount --bind {hidden} "$run/stages/0"\ndone\n'
    )
    file = bp.home / "config" / "bioimage-rs" / "config.toml"
    file.write_text(CONFIG + f"shebang = {json.dumps(preamble)}\n")
    leader = bp.start("copy", source[0], "out.zarr", "--backend", "slurm", "--workers", "2")
    wait_for("the jobs have ended", lambda: bool(bp.runs) and bool(jobs(bp.runs[-1])))
    wait_for("the jobs have ended", lambda: cluster.queue() == [])
    run = bp.runs[-1]
    time.sleep(4)
    assert run.outcome is None, "it must wait for the sentinels"
    assert run.done() == []
    for journal in hidden.iterdir():
        journal.rename(run.path / "stages" / "0" / journal.name)
    assert leader.wait(30) == 0
    assert failures(run) == []
    assert np.array_equal(content(bp.home / "out.zarr"), source[1])


def around_sbatch(bp: Bp, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Put a program of one's own before `sbatch`, which is `"$real"` in its lines."""
    real = shutil.which("sbatch")
    folder = bp.home / "programs"
    folder.mkdir()
    program = folder / "sbatch"
    program.write_text("\n".join(["#!/bin/bash", f"real={real}", *lines, ""]))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_an_interrupt_before_any_job_is_on_record_leaves_none(
    cluster: Cluster, bp: Bp, slow: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = bp.home / "begun"
    around_sbatch(bp, monkeypatch, f"touch {begun}", "sleep 1", 'exec "$real" "$@"')
    leader = bp.start(*slow)
    wait_for("the submission", begun.exists)
    # As a terminal does, and Jupyter: to all processes of the group.
    os.killpg(leader.pid, signal.SIGINT)
    assert leader.wait(30) == 130
    monkeypatch.undo()
    assert cluster.queue() == []
    assert status(bp)["state"] == "cancelled"
    bp.ok("resume", "last")
    run = bp.runs[-1]
    assert sorted(set(run.done())) == list(range(BLOCKS))
    assert no_block_done_twice_at_once(run)


def test_jobs_that_nobody_recorded_are_cancelled_by_the_next_leader(
    cluster: Cluster, bp: Bp, slow: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = bp.home / "submitted"
    last = f'answer=$("$real" "$@"); kill -9 $PPID; echo $answer > {submitted}'
    around_sbatch(bp, monkeypatch, last)
    leader = bp.start(*slow)
    leader.wait(30)
    wait_for("the submission", submitted.exists)
    monkeypatch.undo()
    run = bp.runs[-1]
    assert jobs(run) == []
    assert "succeeded" in bp.ok("watch", "last")
    assert int(submitted.read_text()) not in jobs(run)
    assert sorted(set(run.done())) == list(range(BLOCKS))
    assert no_block_done_twice_at_once(run)


def test_an_input_that_no_node_sees_is_told_as_such(cluster: Cluster, bp: Bp) -> None:
    # A mount of the nodes' own covers the folder of the input.
    place = bp.home / "place"
    make_zarr(place / "in.zarr", noise((32, 64, 64)), (16, 32, 32))
    preamble = (
        "#!/bin/bash\n"
        'if [ -z "$INSIDE" ]; then export INSIDE=1; exec unshare -m bash "$0"; fi\n'
        f"mount -t tmpfs none {place}\n"
    )
    file = bp.home / "config" / "bioimage-rs" / "config.toml"
    file.write_text(CONFIG + f"shebang = {json.dumps(preamble)}\n")
    done = bp("copy", place / "in.zarr", "out.zarr", "--backend", "slurm", "--workers", "2")
    assert done.returncode == 1
    assert "in.zarr" in done.stderr
    assert {kind for kind, _ in failures(bp.runs[-1])} == {"not-found"}
    assert len(jobs(bp.runs[-1])) == 1
