"""What tasks used of what they asked for, as accounting and the workers tell it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from shell import Bp
from slurm.testbed import Cluster, wait_for

MB = 1 << 20


def array(folder: Path, shape: tuple[int, ...], chunk: tuple[int, ...]) -> None:
    """An array that does not compress to nothing."""
    plane = np.random.default_rng(0).integers(0, 255, shape[1:], dtype=np.uint8)
    data = np.broadcast_to(plane, shape)
    zarr.create_array(folder / "in.zarr", data=data, chunks=chunk, compressors=None)


def efficiency(bp: Bp) -> dict[str, Any]:
    """What `bp status` tells when accounting has heard of all tasks."""
    (run,) = bp.runs

    def measured() -> bool:
        bp.ok("status", run.id)
        return (run.path / "efficiency.json").exists()

    wait_for("the accounting of all tasks", measured)
    told: dict[str, Any] = json.loads(bp.ok("status", run.id, "--json"))["efficiency"]
    assert told == json.loads((run.path / "efficiency.json").read_text())
    return told


def test_memory_cpus_and_time_are_compared(cluster: Cluster, tmp_path: Path) -> None:
    bp = Bp(tmp_path)
    array(tmp_path, (120, 1000, 1000), (120, 1000, 1000))
    options = "--backend slurm --workers 1 --mem 1G --time 3 --cpus 2"
    bp.ok("copy", "in.zarr", "out.zarr", *options.split())
    told = efficiency(bp)
    assert (told["attempt"], told["tasks"]) == (1, 1)
    memory, cpus, time = told["memory"], told["cpus"], told["time"]
    assert memory["requested"]["max"] == 1024 * MB
    # The block is read and written whole.
    assert 120e6 <= memory["used"]["max"] < 1024 * MB
    assert cpus["requested"]["max"] == 2
    assert time["requested"]["max"] == 180
    assert time["used"]["max"] < 60
    hundreds = -(-memory["used"]["max"] * 1.2 // (100 * MB))
    assert told["suggested"]["mem"] == f"{hundreds * 100:.0f}M"
    text = bp.ok("status", "last")
    assert "of 1.1 GB" in text
    assert f"next time: --mem {hundreds * 100:.0f}M --time " in text


def test_tasks_too_short_to_be_looked_at_count(cluster: Cluster, tmp_path: Path) -> None:
    bp = Bp(tmp_path)
    array(tmp_path, (8, 8, 8), (4, 4, 4))
    bp.ok("copy", "in.zarr", "out.zarr", "--backend", "slurm", "--workers", "2")
    told = efficiency(bp)
    assert told["tasks"] == len(json.loads((bp.runs[0].path / "plan.json").read_text())["tasks"])
    assert MB < told["memory"]["used"]["median"] < 100 * MB
    assert told["suggested"] == {"mem": "100M", "time": "1", "cpus": 1}


def test_local_runs_and_a_machine_without_accounting_show_none(
    cluster: Cluster, tmp_path: Path
) -> None:
    bp = Bp(tmp_path)
    array(tmp_path, (8, 8, 8), (4, 4, 4))
    bp.ok("copy", "in.zarr", "local.zarr")
    assert json.loads(bp.ok("status", "last", "--json")).get("efficiency") is None
    bp.ok("copy", "in.zarr", "out.zarr", "--backend", "slurm")
    cluster.stop_accounting()
    status = json.loads(bp.ok("status", "last", "--json"))
    assert (status["state"], status.get("efficiency")) == ("succeeded", None)
