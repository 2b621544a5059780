"""Settings for Slurm: made, stored, loaded and refused. No cluster is needed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from bioimage_rs import errors, runner
from bioimage_rs.runner import RunnerConfig, SlurmConfig


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BIOIMAGE_RS_CONFIG", "BIOIMAGE_PY_CONFIG", "BIOIMAGE_PY_NO_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(text: str, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def test_the_file_is_named_by_hand_by_environment_or_by_its_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bp.config_file_path() == home / "config/bioimage-rs/config.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert bp.config_file_path() == home / "home/.config/bioimage-rs/config.toml"
    monkeypatch.setenv("BIOIMAGE_PY_CONFIG", "~/theirs.toml")
    assert bp.config_file_path() == home / "home/theirs.toml"
    monkeypatch.setenv("BIOIMAGE_RS_CONFIG", "/lab/ours.toml")
    assert bp.config_file_path() == Path("/lab/ours.toml")
    assert bp.config_file_path("~/mine.toml") == home / "home/mine.toml"


@pytest.mark.parametrize("variable", [None, "BIOIMAGE_RS_CONFIG", "BIOIMAGE_PY_CONFIG"])
@pytest.mark.parametrize("path", [None, "lab/slurm.toml"])
def test_what_is_written_is_loaded(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, path: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(home / "elsewhere/c.toml"))
    file = bp.write_slurm_config(path, partition="cpu", time="2-0", account=None)
    assert Path(file) == bp.config_file_path(path)
    bp.write_slurm_config(path, mem="8G", options=["--exclusive"], tmp_root=home)
    config = SlurmConfig.load(path, gpus=1, time="90")
    assert config == SlurmConfig(
        partition="cpu",
        time="90",
        mem="8G",
        gpus=1,
        options=["--exclusive"],
        tmp_root=str(home),
    )
    bp.write_slurm_config(path, replace=True, qos="high")
    assert SlurmConfig.load(path) == SlurmConfig(qos="high")


def test_the_rest_of_a_file_stays(home: Path) -> None:
    text = "# of the lab\nworkers = 2\n\n[slurm]\npartition = 'cpu' # for now\n\n[other]\na = 1\n"
    file = stored(text, home / "config/bioimage-rs/config.toml")
    bp.write_slurm_config(gpus=2)
    assert file.read_text() == text.replace("now\n", "now\ngpus = 2\n")


def test_every_setting_is_taken_by_the_file_and_by_commands(home: Path) -> None:
    every = SlurmConfig(
        poll_interval=2.5,
        tmp_root=str(home),
        python_executable="/opt/python",
        tasks_per_worker=3,
        task_timeout=60.0,
        partition="cpu",
        time="1:00:00",
        mem="1G",
        cpus_per_task=2,
        gpus=1,
        account="lab",
        qos="high",
        constraint="ib",
        shebang="#!/bin/bash\nmodule load bio",
        max_array_size=100,
        latency_wait=5.0,
        retries=1,
        memory="2GB",
        options=["--exclusive"],
    )
    bp.write_slurm_config(**vars(every))
    assert SlurmConfig.load() == every
    shown: Any = bp.command("config slurm --json")
    assert shown.data["values"]["shebang"] == every.shebang
    assert set(shown.data["values"]) == set(vars(every))


def test_a_file_of_bioimage_py_holds_where_ours_has_no_table(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("workers = 2", home / "config/bioimage-rs/config.toml")
    stored("[slurm]\npartition = 'theirs'\nqos = 'q'", home / "config/bioimage-py/config.toml")
    assert SlurmConfig.load() == SlurmConfig(partition="theirs", qos="q")
    bp.write_slurm_config(partition="ours")
    assert SlurmConfig.load() == SlurmConfig(partition="ours", qos="q")
    monkeypatch.setenv("BIOIMAGE_PY_CONFIG", str(home / "named.toml"))
    assert SlurmConfig.load() == SlurmConfig()
    stored("[slurm]\npartition = 'named'", home / "named.toml")
    assert SlurmConfig.load().partition == "named"
    monkeypatch.setenv("BIOIMAGE_RS_CONFIG", str(home / "config/bioimage-rs/config.toml"))
    assert SlurmConfig.load().partition == "ours"
    monkeypatch.setenv("BIOIMAGE_PY_NO_CONFIG", "1")
    assert SlurmConfig.load() == SlurmConfig()
    assert SlurmConfig.load(str(home / "named.toml")) == SlurmConfig()


def test_wrong_names_and_values_are_refused(home: Path) -> None:
    valid = sorted(vars(SlurmConfig()))
    misspelt: dict[str, Any] = {"partion": "cpu", "memm": 1}
    file = stored("[slurm]\npartion = 'cpu'\nmemm = 1", home / "config.toml")
    calls: list[tuple[Callable[[], Any], str]] = [
        (partial(SlurmConfig.load, **misspelt), "load() overrides"),
        (partial(SlurmConfig.load, str(file)), f"the [slurm] section of {file}"),
        (partial(bp.write_slurm_config, **misspelt), "write_slurm_config()"),
    ]
    for call, where in calls:
        with pytest.raises(ValueError, match="Unknown") as caught:
            call()
        assert str(caught.value) == (
            f"Unknown SlurmConfig option(s) ['memm', 'partion'] in {where}. "
            f"Valid options are {valid}."
        )
    for text, kind in [("slurm = 3", "int"), ("slurm = 'cpu'", "str"), ("slurm = []", "list")]:
        stored(text, file)
        with pytest.raises(ValueError, match="Expected") as caught:
            SlurmConfig.load(str(file))
        assert str(caught.value) == f"Expected a [slurm] table in {file}, got {kind}."
    stored("[slurm", file)
    with pytest.raises(ValueError, match=r"config\.toml"):
        SlurmConfig.load(str(file))
    wrong: dict[str, Any] = {"time": "soon", "mem": "much", "cpus_per_task": 0, "gpus": "2"}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=name):
            bp.write_slurm_config(**{name: value})
    assert not bp.config_file_path().exists()


def test_the_runner_takes_settings_for_slurm_only(home: Path) -> None:
    bp.write_slurm_config(partition="cpu")
    made = bp.get_runner("SLURM")
    assert isinstance(made, runner.SlurmRunner)
    assert made.config.partition == "cpu"
    assert runner.SlurmRunner(SlurmConfig()).config.partition is None
    with pytest.raises(TypeError) as caught:
        bp.get_runner("slurm", RunnerConfig())
    assert str(caught.value) == (
        "SlurmRunner requires a SlurmConfig, got RunnerConfig. Pass job_config=SlurmConfig(...) "
        "(it carries partition/account/time/etc.)."
    )
    with pytest.raises(ValueError, match="Unknown job_type") as unknown:
        bp.get_runner("foo")
    assert str(unknown.value) == (
        "Unknown job_type 'foo'; expected one of ['local', 'slurm', 'subprocess']."
    )


def test_without_a_shared_folder_nothing_is_begun(home: Path) -> None:
    data = zarr.create_array(home / "in.zarr", data=np.zeros((4, 4), "u1"), chunks=(2, 2))
    out = zarr.create_array(home / "out.zarr", shape=(4, 4), dtype="u1", chunks=(2, 2))
    message = r"^SlurmRunner requires config\.tmp_root to be set to a shared filesystem visible"
    with pytest.raises(ValueError, match=message):
        bp.get_runner("slurm").map(lambda item: item, 3)
    with pytest.raises(ValueError, match=message):
        bp.copy(data, out, job_type="slurm", job_config=SlurmConfig())
    with pytest.raises(ValueError, match="file-backed"):
        bp.copy(data, np.zeros((4, 4), "u1"), job_type="slurm")
    assert not (home / "state").exists()
    with pytest.raises(ValueError, match="job_config"):
        bp.copy("in.zarr", "new.zarr", job_type="slurm", job_config=SlurmConfig())
    assert not (home / "new.zarr").exists()


def test_values_that_slurm_does_not_understand_are_refused_before_a_run(home: Path) -> None:
    for config in (SlurmConfig(time="soon"), SlurmConfig(mem="much")):
        config.tmp_root = str(home / "runs")
        with pytest.raises(ValueError, match="for Slurm"):
            bp.get_runner("slurm", config).map(lambda item: item, 3)
    assert not (home / "runs").exists()


def test_the_engine_gets_what_is_set() -> None:
    given: dict[str, Any] = {"time": 60, "cpus_per_task": np.int64(2), "options": "--exclusive"}
    config = SlurmConfig(account="", tmp_root="/shared", **given)
    assert json.loads(config._to_native()) == {
        "time": "60",
        "tmp_root": "/shared",
        "cpus_per_task": 2,
        "gpus": 0,
        "latency_wait": 120.0,
        "poll_interval": 10.0,
        "options": ["--exclusive"],
    }


def pretend(home: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str) -> None:
    """Programs of Slurm, of which most have nothing to say."""
    programs = dict.fromkeys(("scontrol", "squeue", "sacct", "scancel", "sacctmgr"), "#!/bin/sh\n")
    programs["sinfo"] = "#!/bin/sh\necho 'cpu*|infinite|2|64000|64|(null)|(null)'\n"
    for name, text in {**programs, "sbatch": sbatch}.items():
        stored(text, home / "slurm" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'slurm'}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def refusing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that takes nothing."""
    pretend(home, monkeypatch, "#!/bin/sh\necho 'sbatch: error: not today' >&2\nexit 1\n")


@pytest.mark.usefixtures("refusing")
def test_a_refusal_of_the_scheduler_is_an_error_of_the_run(home: Path) -> None:
    config = SlurmConfig(tmp_root=str(home / "shared"), poll_interval=0.2)
    with pytest.raises(RuntimeError, match="not today"):
        bp.get_runner("slurm", config).map(lambda item: item, 3)
    # The run is on record, although its folder lies elsewhere.
    assert bp.attach("last").folder.parent == home / "shared"
    assert [run.state for run in bp.runs()] == ["failed"]
    bp.command("runs remove last")
    assert not bp.runs()
    assert not list((home / "shared").iterdir())


# Starts the tasks of an array at once, as processes of this machine.
SBATCH = """#!{python}
import os, re, subprocess, sys
script = next(word for word in sys.argv[1:] if os.path.isfile(word))
first, *rest = re.search("--array=([0-9-]+)", open(script).read()).group(1).split("-")
for task in range(int(first), int((rest or [first])[0]) + 1):
    log = open(script + ".log", "ab")
    subprocess.Popen(["sh", script], env={{**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}},
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
print(7)
"""


@pytest.fixture
def obliging(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that starts everything at once, and of which nobody hears again."""
    pretend(home, monkeypatch, SBATCH.format(python=sys.executable))


SUBMITTED = """
import signal

# Whoever started the tests may have told their processes to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
import os, sys, time
import bioimage_rs as bp

go = sys.argv[1] + "/go"

def wait_for_it(item):
    while not os.path.exists(go):
        time.sleep(0.05)
    return item + 1

config = bp.SlurmConfig(tmp_root=sys.argv[1] + "/shared", poll_interval=0.2)
bp.get_runner("slurm", config).map(wait_for_it, 4, num_workers=2)
"""


def submitted(home: Path) -> "subprocess.Popen[str]":
    """A process that waits for its run; the run has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUBMITTED, str(home)], stderr=subprocess.PIPE, text=True
    )
    while not (runs := bp.runs()) or not runs[0].counts["running"]:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.usefixtures("obliging")
def test_whoever_waits_leads_a_run_that_was_left(home: Path) -> None:
    slurm = runner.SlurmRunner(SlurmConfig(poll_interval=0.2))
    seen: list[str] = []
    waits: list[Callable[[bp.Run], Any]] = [
        lambda run: run.wait().result,
        lambda run: slurm.reattach(str(run.folder)),
        lambda run: slurm.reattach(run.id, pre_cleanup=seen.append),
    ]
    for wait in waits:
        left = submitted(home)
        left.kill()
        left.communicate()
        (home / "go").touch()
        run = bp.attach("last")
        assert wait(run) == [1, 2, 3, 4]
        assert run.state == "succeeded"
        (home / "go").unlink()
    assert seen == [str(run.folder)]
    # What has ended is only read.
    assert slurm.reattach(run.id) == [1, 2, 3, 4]


@pytest.mark.usefixtures("obliging")
def test_an_interrupt_leaves_the_jobs_alone(home: Path) -> None:
    process = submitted(home)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    run = bp.attach("last")
    assert process.returncode
    assert f"bp.attach('{run.id}').wait()" in said
    assert run.state == "running"
    (home / "go").touch()
    assert run.wait().result == [1, 2, 3, 4]


@pytest.mark.usefixtures("obliging")
def test_values_come_in_order_as_with_other_backends(home: Path) -> None:
    config = SlurmConfig(tmp_root=str(home / "shared"), poll_interval=0.2, tasks_per_worker=2)
    data = zarr.create_array(home / "in.zarr", data=np.arange(16).reshape(4, 4), chunks=(2, 2))
    out = zarr.create_array(home / "out.zarr", shape=(4, 4), dtype="i8", chunks=(2, 2))
    with bp.defaults(backend="slurm", job_config=config):
        assert bp.copy(data, out, num_workers=2) is out
    np.testing.assert_array_equal(np.asarray(out[...]), np.asarray(data[...]))
    slurm = bp.get_runner("slurm", config)
    assert slurm.map(lambda item: item**2, item_ids=[5, 3, 1]) == [25, 9, 1]
    run = slurm.start_map(lambda item: item, 2)
    assert run is not None
    assert sorted(run.stream()) == [(0, 0), (1, 1)]


def test_kinds_of_schedulers_have_their_exceptions() -> None:
    refused = errors.from_native("scheduler-failed", "sbatch failed", "Use another partition.")
    assert isinstance(refused, errors.SchedulerError)
    assert isinstance(refused, RuntimeError)
    for kind in ("time-limit", "node-failed", "preempted"):
        assert isinstance(errors.from_native(kind, "lost"), bp.RunnerError)
