"""The forms and the table of runs from code, without a browser."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import ipywidgets
import numpy as np
import pytest
import tifffile
import traitlets
import zarr
from bioimage_rs import errors
from bioimage_rs._widgets import PanelWidget

SHAPE = (20, 64, 64)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("BIOIMAGE_RS_CONFIG", "BIOIMAGE_PY_CONFIG", "BIOIMAGE_PY_NO_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    voxels = np.random.default_rng(3).integers(0, 200, SHAPE, "uint8")
    tifffile.imwrite(tmp_path / "in.tif", voxels, photometric="minisblack")
    return tmp_path


def wait_for(widget: PanelWidget, state: str) -> None:
    for _ in range(300):
        if widget.status.get("state") == state:
            return
        time.sleep(0.05)
    raise AssertionError(f"{state} did not come about: {widget.status}")


def test_a_form_stands_in_a_layout_and_its_values_are_observed_and_set() -> None:
    form = bp.OperationForm("copy")
    box = ipywidgets.VBox([ipywidgets.Label("what to copy"), form])
    assert box.children[1] is form
    seen: list[dict[str, Any]] = []
    form.observe(lambda change: seen.append(change["new"]), "values")
    form.values = {"SRC": "in.tif", "output": "out.zarr", "chunks": (10, 32, 32), "workers": 2}
    assert seen[-1]["chunks"] == "10,32,32"
    assert form.line == "%bp copy in.tif out.zarr --chunks 10,32,32 --workers 2"
    # What the widget says reaches the observers, too.
    form.set_state({"values": {**form.values, "workers": "1"}})
    assert seen[-1]["workers"] == "1"
    with pytest.raises(traitlets.TraitError, match="did you mean 'chunks'"):
        form.values = {"chunk": "8"}
    assert form.values == seen[-1]


def test_a_form_that_cannot_be_is_refused_and_nothing_more() -> None:
    script = """
import bioimage_rs as bp
for name, values in [("cpoy", {}), ("copy", {"chunk": "8"})]:
    try:
        bp.OperationForm(name, values)
    except bp.errors.InvalidInputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True)
    assert done.stdout.splitlines() == [
        "'cpoy' is no operation with a form",
        "the form of copy has no field 'chunk'",
    ]
    assert done.stderr == ""


def test_a_plan_tells_what_follows_and_a_refusal_how_to_mend_it(home: Path) -> None:
    form = bp.ui("copy", SRC="in.tif", output="out.zarr", chunks="10,32,32")
    plan = form.plan
    assert plan["refusal"] is None
    assert plan["plan"]["domain_shape"] == list(SHAPE)
    assert plan["plan"]["memory"]["per_worker"] <= plan["plan"]["memory"]["total"]
    assert plan["paths"]["SRC"]["text"].startswith("20,64,64 u8")
    form.values = {**form.values, "block_shape": "12,32,32"}
    refusal = form.plan["refusal"]
    assert (refusal["kind"], refusal["field"]) == ("unsafe-block-shape", "block_shape")
    change = refusal["change"]
    form.values = {**form.values, change["name"]: change["value"]}
    assert form.plan["refusal"] is None
    assert not (home / "out.zarr").exists()


def test_a_run_is_started_from_the_form_and_shown_below() -> None:
    form = bp.ui("gaussian", SRC="in.tif", output="out.zarr", sigma=1.5)
    run = form.start()
    wait_for(form, "succeeded")
    assert form.run["id"] == run.id
    assert zarr.open_array("out.zarr").shape == SHAPE
    assert "succeeded" in form.fallback()["text/plain"]
    assert form.fallback()["text/plain"].startswith("%bp gaussian in.tif out.zarr --sigma 1.5")
    with pytest.raises(errors.AlreadyExistsError):
        bp.ui("copy", SRC="in.tif", output="out.zarr", dtype="u8").start()


def test_a_measurement_tells_its_table() -> None:
    form = bp.ui("statistics", SRC="in.tif", table="out.csv")
    form.start()
    wait_for(form, "succeeded")
    for _ in range(100):
        if form.result is not None:
            break
        time.sleep(0.05)
    assert "<table>" in form.result["html"]
    assert Path("out.csv").read_text().startswith("count")


def test_a_table_that_cannot_be_written_is_told_and_the_run_is_done(home: Path) -> None:
    with pytest.raises(errors.NotFoundError, match="folder 'nowhere'"):
        bp.ui("statistics", SRC="in.tif", table="nowhere/out.csv").start()
    (home / "taken.csv").mkdir()
    form = bp.ui("statistics", SRC="in.tif", table="taken.csv", overwrite=True)
    said: list[dict[str, Any]] = []
    form.send = lambda content, buffers=None: said.append(content)
    form.start()
    wait_for(form, "succeeded")
    for _ in range(100):
        if any(content["type"] == "error" for content in said):
            break
        time.sleep(0.05)
    assert [one["kind"] for one in said if one["type"] == "error"] == ["write-failed"]
    assert form.result is None


# What is typed for each operation beside its arrays.
CALLS: dict[str, dict[str, Any]] = {
    "copy": {"chunks": "10,32,32", "dtype": "u16", "workers": 2},
    "distance": {"halo": 8},
    "downsample": {"scale_factor": "1,2,2", "roi": "0:10,:,:"},
    "pyramid": {"levels": 2, "output": "out.ome.zarr"},
    "gaussian": {"sigma": "1,2,2", "memory": "1G"},
    "gradient": {"sigma": 1},
    "laplace": {"sigma": 1},
    "hessian": {"sigma": 1, "return_channel": 0},
    "structure": {"sigma": 1, "outer_scale": 2},
    "difference-of-gaussians": {"sigma_low": 1, "sigma_high": 2},
    "median": {"radius": 1},
    "erosion": {"radius": 1},
    "dilation": {"radius": "0,1,1", "shape": "ball"},
    "opening": {"radius": 1},
    "closing": {"radius": 1},
    "white-tophat": {"radius": 1},
    "black-tophat": {"radius": 1},
    "threshold": {"threshold": 100, "backend": "subprocess"},
    "isin": {"values": "3,4"},
    "label": {"threshold": 100, "connectivity": 3},
    "watershed": {"SEEDS": "in.tif", "halo": 8},
    "relabel-consecutive": {"start_label": 5},
    "size-filter": {"min_size": 3},
    "statistics": {"workers": 2},
    "unique": {"workers": 2, "roi": "0:4,:,:"},
    "histogram": {"bins": 7, "range": "0,100"},
    "local-maxima": {"min_distance": 3, "threshold_abs": 150},
    "morphology": {"memory": "1G", "block_shape": "10,32,32"},
    "regionprops": {"workers": 2},
    "compare": {"workers": 2},
}


def test_every_operation_has_a_call() -> None:
    assert {operation["name"] for operation in bp.OperationForm().operations} == set(CALLS)


@pytest.mark.parametrize("operation", CALLS)
def test_the_python_call_does_what_the_line_does(operation: str, home: Path) -> None:
    form = bp.OperationForm(operation)
    fields = {field["name"]: field for part in form.form["sections"] for field in part["fields"]}
    arrays = form.form["sections"][0]["fields"]
    values = {field["name"]: "in.tif" for field in arrays if field["access"] == "read"}
    makes = "output" in fields
    form.values = {**values, **({"output": "out.zarr"} if makes else {}), **CALLS[operation]}
    plan = form.plan
    assert plan["refusal"] is None, plan["refusal"]
    line, call = form.line.removeprefix("%bp "), plan["code"]["python"]
    assert "num_workers=" in call or call.startswith("bp.command(")
    found = eval(call, {"bp": bp})
    if makes:
        output = form.values["output"]
        # Of a group, the first array.
        place = min(Path(output).glob("*/zarr.json"), default=Path(output) / "zarr.json").parent
        by_call = np.asarray(zarr.open_array(place)[:])
        Path(output).rename(f"call-{output}")
        bp.command(line)
        assert np.array_equal(zarr.open_array(place)[:], by_call)
    else:
        told = bp.command(line).data  # type: ignore[union-attr]
        assert told["rows"] > 0
        if call.startswith("bp.command("):
            assert found.data["table"] == told["table"]
        elif operation == "histogram":
            assert np.array_equal(found[0], told["table"]["count"])
        else:
            assert len(found) == told["rows"]


def test_the_python_call_takes_arrays_of_the_notebook() -> None:
    raw = np.random.default_rng(3).integers(0, 200, (8, 16, 16), "uint8")
    names: dict[str, Any] = {"bp": bp, "raw": raw}
    for operation, values in (("copy", {}), ("gaussian", {"sigma": 1}), ("median", {"radius": 1})):
        names["result"] = np.zeros(raw.shape, "float32" if operation == "gaussian" else "uint8")
        given = {"SRC": "raw", "output": "result", **values}
        call = bp.OperationForm(operation, given, variables=names).plan["code"]["python"]
        assert "raw" in call
        assert '"raw"' not in call
        eval(call, names)
        assert names["result"].any()
    given = {"SRC": "raw", "output": "result", "roi": "0:8,:,:"}
    names["result"] = np.zeros_like(raw)
    eval(bp.OperationForm("copy", given, variables=names).plan["code"]["python"], names)
    assert np.array_equal(names["result"], raw)
    histogram = bp.OperationForm("histogram", {"SRC": "raw"}, variables=names)
    counts, _ = eval(histogram.plan["code"]["python"], names)
    assert counts.sum() == raw.size
    statistics = bp.OperationForm("statistics", {"SRC": "raw"}, variables=names)
    found = eval(statistics.plan["code"]["python"], names)
    assert found.data["table"]["mean"] == [pytest.approx(raw.mean())]


def test_the_python_call_knows_the_config() -> None:
    bp.command("config workers=3 retries=7 backend=subprocess memory=2G")
    call = bp.ui("copy", SRC="in.tif", output="out.zarr").plan["code"]["python"]
    for part in ("num_workers=3", "retries=7", 'job_type="subprocess"', "memory=2147483648"):
        assert part in call
    call = bp.ui("copy", SRC="in.tif", output="out.zarr", backend="local").plan["code"]["python"]
    assert 'job_type="local"' in call


def test_a_start_can_be_stopped_while_a_cluster_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = home / "slurm"
    programs.mkdir()
    for name in ("sinfo", "sbatch", "squeue", "scancel", "scontrol"):
        (programs / name).write_text("#!/bin/sh\nsleep 1\necho 'cpu*|infinite|1|4096|4|(null)|x'\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    form = bp.ui("copy", SRC="in.tif", output="out.zarr", backend="slurm")
    said: list[dict[str, Any]] = []
    form.send = lambda content, buffers=None: said.append(content)
    form._receive(form, {"type": "start", "request": 1, "values": form.values}, [])
    assert form.starting
    form._receive(form, {"type": "start", "request": 2, "values": form.values}, [])
    assert said[-1]["message"] == "the run is being started already"
    form._receive(form, {"type": "stop-start", "request": 3}, [])
    for _ in range(100):
        if any(one["request"] == 1 for one in said):
            break
        time.sleep(0.05)
    assert next(one for one in said if one["request"] == 1)["kind"] == "cancelled"
    assert not form.starting
    assert not (home / "out.zarr").exists()
    assert bp.runs() == []


def test_an_observer_that_raises_loses_no_answer() -> None:
    form = bp.ui("copy", SRC="in.tif", output="out.zarr")

    def refuse(_change: Any) -> None:
        raise ZeroDivisionError

    said: list[dict[str, Any]] = []
    form.send = lambda content, buffers=None: said.append(content)
    form.observe(refuse, ["run", "status"])
    run = form.start()
    wait_for(form, "succeeded")
    assert form.run["id"] == run.id
    assert any(one["kind"] == "foreign" for one in said if one["type"] == "error")


def test_a_list_from_code_stands_in_lines() -> None:
    form = bp.ui("copy", SRC="in.tif", output="out.zarr", sbatch=["--exclusive", "--nice=5"])
    assert form.values["sbatch"] == "--exclusive\n--nice=5"
    assert form.line.endswith("'--sbatch=--exclusive' '--sbatch=--nice=5'")
    form.values = {**form.values, "sbatch": ["--exclusive"]}
    assert form.line.endswith("out.zarr '--sbatch=--exclusive'")
    assert form.fallback()["text/plain"] == form.line
    slurm = bp.SlurmForm()
    slurm.values = {"options": ["--exclusive", "--nice=5"], "gpus": 1}
    assert slurm.values == {"options": "--exclusive\n--nice=5", "gpus": "1"}


def test_arrays_of_the_notebook_stand_where_paths_may() -> None:
    raw = np.arange(8 * 8, dtype="uint16").reshape(8, 8)
    result = np.zeros_like(raw)
    values = {"SRC": "raw", "output": "result", "radius": 1}
    form = bp.OperationForm("dilation", values, variables={"raw": raw, "result": result})
    assert form.plan["paths"]["SRC"]["text"].startswith("8,8 u16")
    form.start()
    wait_for(form, "succeeded")
    assert result[0, 0] == raw[1, 1]


def test_a_line_fills_the_form_and_another_operation_keeps_what_both_have() -> None:
    form = bp.OperationForm("copy")
    form.read("%bp label cells.zarr labels.zarr --connectivity 3 --workers 2")
    assert form.operation == "label"
    assert form.values["connectivity"] == "3"
    form.operation = "median"
    assert form.values == {"SRC": "cells.zarr", "output": "labels.zarr", "workers": "2"}
    with pytest.raises(errors.InvalidInputError, match="needs"):
        _ = form.line
    with pytest.raises(errors.InvalidInputError, match="no operation"):
        form.operation = "cpoy"
    with pytest.raises(errors.InvalidInputError, match="no verb"):
        form.read("%bp nonsense")
    assert form.operation == "median"


def test_paths_are_completed(home: Path) -> None:
    (home / "folder").mkdir()
    form = bp.OperationForm("copy")
    answer = form._answer({"type": "complete", "name": "SRC", "text": "i"})
    assert [found["text"] for found in answer["matches"]] == ["in.tif"]
    answer = form._answer({"type": "complete", "name": "SRC", "text": "fo"})
    assert [found["text"] for found in answer["matches"]] == ["folder/"]


def test_the_table_follows_the_disk_and_acts_on_runs() -> None:
    table = bp.RunsTable()
    assert table.runs == []
    run = bp.ui("copy", SRC="in.tif", output="out.zarr").start()
    for _ in range(100):
        if table.runs and table.runs[0]["state"] == "succeeded":
            break
        time.sleep(0.05)
    row = table.runs[0]
    assert (row["id"], row["operation"], row["backend"]) == (run.id, "copy", "local")
    assert row["can"] == ["attach", "remove"]
    table._answer({"type": "attach", "run": run.id})
    wait_for(table, "succeeded")
    name = run.id
    answer = table._answer({"type": "remove", "runs": [name]})
    assert answer["removed"] == [name]
    assert not run.folder.exists()
    assert Path("out.zarr").exists()
    assert table.run == {}
    with pytest.raises(errors.RunNotFoundError):
        table._answer({"type": "attach", "run": name})
    # A run that is removed elsewhere while it is shown leaves the table working.
    other = bp.ui("copy", SRC="in.tif", output="other.zarr").start()
    name = other.id
    table._answer({"type": "attach", "run": name})
    wait_for(table, "succeeded")
    bp.command(f"runs remove {name}")
    table._answer({"type": "watch"})
    for _ in range(100):
        if not table.runs:
            break
        time.sleep(0.05)
    assert table.runs == []
    table.close()


def test_a_cancelled_run_is_continued_from_the_table_with_other_settings() -> None:
    voxels = np.random.default_rng(3).integers(0, 200, (64, 512, 512), "uint8")
    tifffile.imwrite("big.tif", voxels, photometric="minisblack")
    slow = {"codec": "zstd:19", "chunks": "4,64,64", "block_shape": "4,64,64", "workers": 1}
    form = bp.ui("copy", SRC="big.tif", output="out.zarr", **slow)
    run = form.start()
    table = bp.RunsTable()
    table._answer({"type": "stop", "run": run.id})
    wait_for(form, "cancelled")
    with pytest.raises(errors.InvalidInputError, match="number of workers"):
        table._answer({"type": "continue", "run": run.id, "workers": "many"})
    asked = {"workers": "2", "backend": "subprocess", "memory": "1G"}
    table._answer({"type": "continue", "run": run.id, **asked})
    wait_for(table, "succeeded")
    assert (table.run["backend"], table.run["workers"]) == ("subprocess", 2)
    assert np.array_equal(zarr.open_array("out.zarr")[:], voxels)
    table.close()


def test_slurm_defaults_are_checked_saved_and_read_back(home: Path) -> None:
    form = bp.SlurmForm()
    assert form.values == {}
    assert form.file == str(home / "config/bioimage-rs/config.toml")
    names = [field["name"] for section in form.sections for field in section["fields"]]
    assert {"partition", "time", "mem", "shebang", "latency_wait"} <= set(names)
    wrong = {"time": "soon", "partition": "cpu"}
    answer = form._answer({"type": "check", "values": wrong})
    assert [problem["field"] for problem in answer["problems"]] == ["time"]
    with pytest.raises(errors.InvalidInputError, match="time"):
        form._answer({"type": "save", "values": wrong})
    assert not Path(form.file).exists()
    shebang = "#!/bin/bash\nmodule load zstd"
    right = {"time": "1:30:00", "partition": "cpu", "options": "--exclusive\n--nice", "gpus": "1"}
    form._answer({"type": "save", "values": {**right, "shebang": shebang}})
    assert form.values == {**right, "shebang": shebang}
    assert form.read_from == form.file
    stored = bp.SlurmConfig.load()
    assert (stored.partition, stored.time, stored.gpus) == ("cpu", "1:30:00", 1)
    assert list(stored.options) == ["--exclusive", "--nice"]
    form._answer({"type": "save", "values": {"partition": "gpu"}})
    assert bp.SlurmForm().values == {"partition": "gpu"}
    saved = bp.ui("copy", partition="long", cpus=4)._answer({"type": "save"})
    assert saved["saved"] == ["partition", "cpus_per_task"]
    assert bp.SlurmForm().values == {"partition": "long", "cpus_per_task": "4"}


def test_code_gets_values_and_no_panels() -> None:
    for line in ("runs", "config slurm"):
        assert not isinstance(bp.command(line), PanelWidget)
    with pytest.raises(errors.InvalidInputError, match="notebook that shows widgets"):
        bp.command("ui copy")
    assert json.loads(json.dumps(bp.command("runs").data)) == {"runs": []}  # type: ignore[union-attr]
