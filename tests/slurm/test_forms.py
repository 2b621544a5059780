"""The forms beside a real cluster: what it offers, what it refuses, a run on it."""

from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from slurm.testbed import Cluster, wait_for

pytestmark = pytest.mark.usefixtures("home")


def test_a_form_offers_what_the_cluster_has() -> None:
    for form in (bp.OperationForm("copy"), bp.SlurmForm()):
        offers = form._answer({"type": "offers"})
        assert offers["note"] is None
        assert offers["cluster"] == "test"
        names = {
            name: [choice["value"] for choice in choices]
            for name, choices in offers["fields"].items()
        }
        assert names == {
            "partition": ["cpu", "short"],
            "account": ["lab", "root"],
            "qos": ["high", "low", "normal"],
            "constraint": ["fast", "slow"],
        }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("partition", "cpuu", "no partition 'cpuu'"),
        ("account", "nobody", "no account 'nobody'"),
        ("qos", "hihg", "no QOS 'hihg'"),
        ("constraint", "fats", "the feature 'fats'"),
        ("cpus", "400", "400 cpus"),
        ("mem", "900G", "of memory"),
        ("gpus", "9", "9 gpus"),
    ],
)
def test_what_the_cluster_refuses_is_told_at_its_field(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    zarr.create_array(tmp_path / "in.zarr", data=np.zeros((8, 8), "u1"), chunks=(4, 4))
    values = {"SRC": str(tmp_path / "in.zarr"), "output": str(tmp_path / "out.zarr")}
    form = bp.OperationForm("copy", {**values, "backend": "slurm", name: value})
    plan = form.plan
    # What the cluster thinks of it comes later, and is asked for behind the plan.
    assert plan["plan"]["backend"] == "slurm"

    def refusal() -> Any:
        return form.plan["refusal"]

    wait_for("the cluster has refused", lambda: refusal() is not None)
    assert words in refusal()["message"]
    assert refusal()["field"] == name
    key = "cpus_per_task" if name == "cpus" else name
    checked = bp.SlurmForm()._answer({"type": "check", "values": {key: value}})
    assert [problem["field"] for problem in checked["problems"]] == [key]


def test_a_run_on_the_cluster_is_started_from_the_form(tmp_path: Path, cluster: Cluster) -> None:
    voxels = np.arange(64, dtype="u1").reshape(8, 8)
    zarr.create_array(tmp_path / "in.zarr", data=voxels, chunks=(4, 4))
    values = {"SRC": str(tmp_path / "in.zarr"), "output": str(tmp_path / "out.zarr")}
    form = bp.OperationForm(
        "dilation", {**values, "radius": 1, "backend": "slurm", "partition": "cpu", "workers": 2}
    )
    assert form.start().id == form.shown_run.id  # type: ignore[union-attr]
    wait_for("the run has succeeded", lambda: form.status.get("state") == "succeeded")
    assert zarr.open_array(tmp_path / "out.zarr")[0, 0] == 9
    assert form.run["backend"] == "slurm"
    table = bp.RunsTable()
    assert [row["backend"] for row in table.runs] == ["slurm"]
    table.close()


def test_without_an_answer_of_the_cluster_the_form_goes_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "slurm.conf"
    text = cluster.config.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("SlurmctldPort")]
    settings.write_text("\n".join([*lines, "SlurmctldPort=1", "MessageTimeout=2"]))
    monkeypatch.setenv("SLURM_CONF", str(settings))
    form = bp.OperationForm("copy")
    answer = form._answer({"type": "complete", "name": "backend", "text": "s"})
    assert [found["text"] for found in answer["matches"]] == ["subprocess", "slurm"]
    offers = form._answer({"type": "offers"})
    assert offers["note"]
    checked = bp.SlurmForm()._answer({"type": "check", "values": {"partition": "cpu"}})
    assert checked["problems"] == []
    assert "does not answer" in checked["note"]
