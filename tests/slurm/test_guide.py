"""The guide to Slurm, step by step on a real cluster."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from docs.test_guides import ON_CLUSTER, run_code
from shell import Bp, make_zarr, noise
from slurm.testbed import Cluster, wait_for


def test_the_guide_s_lines_and_its_code_run(
    cluster: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bp = Bp(home)
    monkeypatch.chdir(home)
    make_zarr(home / "raw.zarr", noise((16, 64, 64)), (8, 32, 32))
    page = ON_CLUSTER.read_text()
    lines = re.findall(r"^\$ bp (.*)$", page, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        # The guide's names of places become this test's.
        for name, here in (("raw.tif", "raw.zarr"), ("/shared/me", str(home)), ("=8G", "=300M")):
            line = line.replace(name, here)
        words = shlex.split(line)
        if words[0] == "watch":
            run_code(ON_CLUSTER)
        if words[0] != "resume":
            bp.ok(*words)
    wait_for("both runs", lambda: bp.ok("runs", "--json").count('"succeeded"') == 2)
    for table in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        file = home / "config" / "bioimage-rs" / "config.toml"
        assert set(tomllib.loads(table)) == {"slurm"}
        file.write_text(table)
        bp.ok("config", "slurm")
