"""Runs on a cluster of this machine: `python bench/cluster.py [--write PAGE]`, as root.

Prints what a task costs beside its blocks, ours and bioimage-py's, and what following many tasks
costs the process that leads.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import zarr
from compare import machine
from slurm.testbed import Cluster

TASKS = 8
MANY_TASKS, MANY_BLOCKS = 1000, 100_000
TOOLS = ("bioimage_rs", "bioimage_py")

# One run of a function that notes when it was called; the job's script has noted when it began.
SCRIPT = """
import importlib, sys, time
from pathlib import Path
import zarr

tool, folder, tasks = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
library = importlib.import_module(tool)

def note(block, inputs, outputs, mask):
    (folder / f"called-{block.begin[0]}").write_text(str(time.time()))

config = library.SlurmConfig(
    tmp_root=str(folder), poll_interval=1.0, time="10",
    shebang=f'#!/bin/bash\\ndate +%s.%N > {folder}/begun-$SLURM_ARRAY_TASK_ID',
)
array = zarr.open_array(folder / "in.zarr", mode="r")
library.get_runner("slurm", config).run(note, [array], block_shape=(1,), num_workers=tasks)
"""


def overhead(tool: str, folder: Path) -> float:
    """Median seconds from the start of a task's script to its first block."""
    folder.mkdir()
    zarr.create_array(folder / "in.zarr", shape=(TASKS,), chunks=(1,), dtype="uint8")
    command = [sys.executable, "-c", SCRIPT, tool, str(folder), str(TASKS)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    noted = [
        float((folder / f"called-{task}").read_text())
        - float((folder / f"begun-{task}").read_text())
        for task in range(TASKS)
    ]
    return statistics.median(noted)


def native(folder: Path) -> float:
    """The same for a copy, which needs no Python."""
    folder.mkdir()
    array = zarr.create_array(folder / "in.zarr", shape=(TASKS,), chunks=(1,), dtype="uint8")
    array[...] = 1
    begun = f"date +%s.%N > {folder}/begun-$SLURM_ARRAY_TASK_ID"
    write_config(folder, shebang=f"#!/bin/bash\n{begun}", time="10")
    workers = ["--workers", str(TASKS), "--block-shape", "1", "--chunks", "1"]
    bp(folder, "copy", "in.zarr", "out.zarr", "--backend", "slurm", *workers)
    (run,) = (folder / "state" / "bioimage-rs" / "runs").iterdir()
    noted = []
    for task in range(TASKS):
        lines = (run / "stages" / "0" / f"{task}.1.jsonl").read_text().splitlines()
        first = next(line for line in map(json.loads, lines) if line["event"] == "done")
        noted.append(first["time"] - float((folder / f"begun-{task}").read_text()))
    return statistics.median(noted)


def write_config(folder: Path, **settings: object) -> None:
    """Settings of this benchmark's own user."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "config.toml").write_text("\n".join(["[slurm]", *lines, ""]))


def bp(folder: Path, *words: str) -> None:
    """The `bp` command of that user."""
    own = {
        "XDG_STATE_HOME": str(folder / "state"),
        "BIOIMAGE_RS_CONFIG": str(folder / "config.toml"),
    }
    subprocess.run(["bp", *words, "--quiet"], check=True, env=os.environ | own, cwd=folder)


def following(folder: Path) -> tuple[float, float]:
    """Processor time of a leader, with its calls of Slurm, and how long it led."""
    folder.mkdir()
    shape = (MANY_BLOCKS,)
    array = zarr.create_array(folder / "in.zarr", shape=shape, chunks=(1000,), dtype="uint8")
    array[...] = np.arange(MANY_BLOCKS) % 251
    write_config(folder, time="10", mem="100M")
    workers = ["--workers", str(MANY_TASKS // 4), "--block-shape", "1", "--chunks", "1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    bp(folder, "copy", "in.zarr", "out.zarr", "--backend", "slurm", "--codec", "none", *workers)
    took = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, took


def report() -> str:
    """What is measured, as Markdown."""
    with tempfile.TemporaryDirectory(prefix="bp-slurm-") as name:
        root = Path(name)
        with Cluster(root / "cluster", max_array=MANY_TASKS + 1) as cluster:
            os.environ["SLURM_CONF"] = str(cluster.config)
            version = cluster.call("sinfo", "--version")
            ours, theirs = (overhead(tool, root / tool) for tool in TOOLS)
            own = native(root / "native")
            spent, took = following(root / "many")
    rows = {"bioimage-py, a Python function": theirs}
    rows |= {"bioimage-rs, a Python function": ours, "bioimage-rs, a native copy": own}
    table = [
        f"| {what} | {seconds:.3f} s | {theirs / seconds:.1f}x |" for what, seconds in rows.items()
    ]
    return "\n".join(
        [
            f"{machine('bioimage-rs', 'bioimage-py', 'numpy')}; {version}, "
            f"two nodes on loopback; medians of {TASKS} tasks.",
            "",
            "| from the start of a task's script to its first block | time | than bioimage-py |",
            "|---|---|---|",
            *table,
            "",
            f"Following {MANY_BLOCKS:,} blocks in {MANY_TASKS:,} tasks took the process that led "
            f"{spent:.2f} s of processor time in {took:.0f} s, its calls of Slurm included: "
            f"{spent / took:.1%} of a core.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", type=Path, help="page whose part after '<!-- table -->' is replaced"
    )
    arguments = parser.parse_args()
    text = report()
    print(text)
    if arguments.write:
        head, mark, _ = arguments.write.read_text().partition("<!-- table -->\n")
        arguments.write.write_text(f"{head}{mark}\n{text}\n")


if __name__ == "__main__":
    main()
