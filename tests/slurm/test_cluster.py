"""The cluster behaves as the tests beside this file take for granted."""

import os
import subprocess
from pathlib import Path

import pytest
from slurm.testbed import Cluster, wait_for


def submit(cluster: Cluster, folder: Path, command: str, *options: str) -> str:
    """Submit a command; the job's id."""
    log = f"--output={folder}/%A_%a.out"
    return cluster.call("sbatch", "--parsable", log, *options, f"--wrap={command}")


def ends(cluster: Cluster, job: str, fields: str = "State", tasks: int = 1) -> list[str]:
    """How the tasks of a job ended, as soon as the accounting knows it of all."""
    lines: list[str] = []

    def ended() -> bool:
        answer = cluster.call(
            "sacct", "-X", "-n", "-P", f"--jobs={job}", f"--format={fields},End"
        ).splitlines()
        lines[:] = sorted(line.rpartition("|")[0] for line in answer)
        return len(answer) == tasks and not any(line.endswith("Unknown") for line in answer)

    wait_for(f"the accounting of {job}", ended)
    return lines


def test_an_array_runs_on_both_nodes(cluster: Cluster, tmp_path: Path) -> None:
    # Each task wants all CPUs of a node, and waits for the other.
    command = f"touch {tmp_path}/$SLURM_ARRAY_TASK_ID; until [ -e {tmp_path}/0 -a -e {tmp_path}/1 ]"
    job = submit(
        cluster, tmp_path, f"{command}; do sleep 0.1; done", "--array=0-1", "--cpus-per-task=4"
    )
    assert len(cluster.queue()) == 2
    assert ends(cluster, job, "JobID,State,NodeList", tasks=2) == [
        f"{job}_0|COMPLETED|n1",
        f"{job}_1|COMPLETED|n2",
    ]


def test_an_array_has_a_largest_index(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Invalid job array"):
        submit(cluster, tmp_path, "true", "--array=40")


def test_the_end_of_a_task_over_its_memory(cluster: Cluster, tmp_path: Path) -> None:
    # Where only a watch looks once a second, the task must live long enough to be seen.
    hog = "python3 -c 'import time; hog = b\".\" * (300 << 20); time.sleep(30)'"
    job = submit(cluster, tmp_path, hog, "--mem=64")
    (end,) = ends(cluster, job, "State,ExitCode")
    assert end == ("OUT_OF_MEMORY|0:125" if cluster.has_cgroups else "FAILED|0:9")


def test_a_killed_node_shows(cluster: Cluster, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 60"
    job = submit(cluster, tmp_path, command, "--nodelist=n2", "--no-requeue")
    wait_for("the task", pid.exists)
    cluster.kill_node("n2")
    wait_for("the task's end", lambda: not Path("/proc", pid.read_text().strip()).exists())
    wait_for("the loss", lambda: cluster.node_state("n2") == "down*")
    assert ends(cluster, job) == ["NODE_FAIL"]
    assert not cluster.node_state("n1").startswith("down")
    cluster.start_node("n2")
    assert ends(cluster, submit(cluster, tmp_path, "true", "--nodelist=n2")) == ["COMPLETED"]


def test_a_restarted_controller_keeps_jobs(cluster: Cluster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f"until [ -e {go} ]; do sleep 0.1; done"
    running = submit(cluster, tmp_path, command)
    pending = submit(cluster, tmp_path, "true", f"--dependency=afterok:{running}")
    wait_for("the start", lambda: cluster.call("squeue", "-h", "-j", running, "-o%T") == "RUNNING")
    cluster.restart_controller()
    assert sorted(cluster.queue()) == [running, pending]
    go.touch()
    assert ends(cluster, running) == ["COMPLETED"]
    assert ends(cluster, pending) == ["COMPLETED"]


def test_the_accounting_hears_later_what_it_missed(cluster: Cluster, tmp_path: Path) -> None:
    cluster.stop_accounting()
    with pytest.raises(AssertionError, match="Connection refused"):
        cluster.call("sacct")
    job = submit(cluster, tmp_path, "true")
    wait_for("the end", lambda: cluster.queue() == [])
    cluster.start_accounting()
    assert ends(cluster, job) == ["COMPLETED"]


def test_what_administrators_close(cluster: Cluster, tmp_path: Path) -> None:
    cluster.set_node("n1", "drain")
    cluster.set_partition("cpu", "down")
    job = submit(cluster, tmp_path, "true")
    wait_for(
        "the reason", lambda: cluster.call("squeue", "-h", "-j", job, "-o%r") == "PartitionDown"
    )
    cluster.set_partition("cpu", "up")
    assert ends(cluster, job, "State,NodeList") == ["COMPLETED|n2"]


def test_programs_find_the_cluster(cluster: Cluster, home: Path) -> None:
    assert os.environ["XDG_STATE_HOME"] == str(home / "state")
    answer = subprocess.run(["sinfo", "-h", "-o%P"], text=True, capture_output=True, check=True)
    assert answer.stdout.split() == ["cpu*", "short"]
