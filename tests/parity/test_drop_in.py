"""A script for the reference runs with nothing changed but its import."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Operations and what belongs to them are added with their own tests.
LATER = {
    "compute_edge_costs",
    "multicut_decomposition",
    "multicut_gaec",
    "multicut_kernighan_lin",
    "stitch_segmentation",
    "stitch_tiled_segmentation",
    "transform_probabilities_to_costs",
}
MODULES = [
    "",
    "evaluation",
    "filters",
    "morphology",
    "operations",
    "runner",
    "segmentation",
    "sources",
    "stats",
    "wrapper",
    "transformation",
    "util",
    "io",
    "io.files",
]


def public(module: str) -> list[str]:
    theirs = importlib.import_module(f"bioimage_py{'.' * bool(module)}{module}")
    names = getattr(theirs, "__all__", None) or [
        name
        for name, value in vars(theirs).items()
        if getattr(value, "__module__", "") == theirs.__name__
    ]
    return [name for name in names if name not in LATER and not name.startswith("_")]


CASES = [(module, name) for module in MODULES for name in public(module)]


def compare(ours: Any, theirs: Any, what: str) -> None:
    """Whatever theirs takes, ours takes in the same way."""
    mine = inspect.signature(ours).parameters
    for index, (name, parameter) in enumerate(inspect.signature(theirs).parameters.items()):
        assert name in mine, f"{what}: {name}"
        assert mine[name].kind == parameter.kind, f"{what}: {name}"
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert list(mine)[index] == name, what
        default, expected = mine[name].default, parameter.default
        assert default == expected or repr(default) == repr(expected), f"{what}: {name}"


@pytest.mark.parametrize(("module", "name"), CASES, ids=lambda part: part or "top")
def test_public_names_are_there_and_are_called_the_same_way(module: str, name: str) -> None:
    dot = "." * bool(module)
    theirs = getattr(importlib.import_module(f"bioimage_py{dot}{module}"), name)
    ours = getattr(importlib.import_module(f"bioimage_rs{dot}{module}"), name)
    if inspect.ismodule(theirs) or not callable(theirs):
        return
    if inspect.isclass(theirs):
        assert inspect.isclass(ours)
        for method, value in inspect.getmembers(theirs, callable):
            if method.startswith("_") and method != "__init__":
                continue
            if inspect.isfunction(value) or inspect.ismethod(value):
                compare(getattr(ours, method), value, f"{name}.{method}")
        for prop, _ in inspect.getmembers(theirs, lambda value: isinstance(value, property)):
            assert hasattr(ours, prop), f"{name}.{prop}"
        return
    if not hasattr(theirs, "__origin__") and inspect.isroutine(theirs):
        compare(ours, theirs, name)


SCRIPT = """
import sys
import numpy as np
import zarr
import LIBRARY as bp
from LIBRARY import runner, sources, transformation, util, wrapper
from LIBRARY.io import infer_format, is_writable_format, open_file, register_format

work = sys.argv[1]
data = (np.arange(24 * 20).reshape(24, 20) % 97).astype("uint8")
array = zarr.create_array(work + "/in.zarr", data=data, chunks=(8, 8))
out = zarr.create_array(work + "/out.zarr", shape=data.shape, dtype="float32", chunks=(8, 8))

# sources
source = bp.as_source(array)
print(source.shape, source.dtype, source.chunks, source.shards, source.ndim, source.writable)
print(source[3, 4:6].tolist(), int(source[-1, -1]), source[..., 2].shape)
spec = source.to_spec()
print(spec.kind, spec.internal_path, sources.from_spec(spec)[0, :3].tolist())
opened = bp.open_source(work + "/in.zarr", mode="r")
print(type(opened).__name__, opened.format, opened.writable, opened[:2, :2].tolist())
print(infer_format("x.h5"), is_writable_format("zarr"))
print(open_file(work + "/in.zarr")[0, :2].tolist())

class Stripes(sources.Source):
    shape = property(lambda self: (24, 20))
    dtype = property(lambda self: np.dtype("uint8"))
    def _getitem(self, roi):
        rows = np.arange(roi[0].start, roi[0].stop)[:, None]
        return np.broadcast_to(rows % 2, [r.stop - r.start for r in roi]).astype("uint8")
    def _setitem(self, roi, value):
        raise TypeError
    def to_spec(self):
        raise ValueError

print(bp.copy(Stripes(), np.zeros((24, 20), "uint8"), block_shape=(8, 8), num_workers=2).sum())
sources.register_source(lambda x: isinstance(x, range), lambda x: Stripes())

# wrappers
chain = wrapper.ThresholdSource(wrapper.RoiSource(array, np.s_[2:20, 4:]), 40)
print(chain.shape, chain.dtype, chain.chunks, int(chain[...].sum()))
print(wrapper.NormalizeSource(array)[:4, :4].round(4).tolist())
print(wrapper.PadSource(array, (2, 3))[20:, 18:].tolist(), wrapper.ExpandDimsSource(array, 1).shape)
small = wrapper.ResizedSource(array, (12, 10), order=0)
print(small.scale, small.chunks, small[:3, :3].tolist())
moved = wrapper.AffineSource(array, translation=[1, 2])
print(moved.matrix.tolist(), moved[5:8, 5:8].tolist())
twice = wrapper.SimpleTransformationSource(array, lambda x: 2 * x, dtype=np.dtype("uint8"))
print(twice[:2, :2].tolist())
both = wrapper.MultiTransformationSource(np.maximum, array, twice)
print(both[5:7, 5:7].tolist(), wrapper.wrapper_from_spec(small.to_spec()).shape)
print(transformation.compute_affine_matrix(scale=[2, 2], translation=[1, 0]).tolist())

# runners
def blur(block, inputs, outputs, mask):
    block_data = inputs[0][bp.to_roi(block.outer_block)].astype("float32")
    local = bp.to_roi(block.inner_block_local)
    outputs[0][bp.to_roi(block.inner_block)] = np.cumsum(block_data, 1)[local]
    return block.inner_block.begin

for job in ("local", "subprocess"):
    values = bp.get_runner(job, runner.RunnerConfig(tasks_per_worker=2)).run(
        blur, [array], [out], halo=[2, 2], num_workers=2, has_return_val=True,
        roi=np.s_[0:16, 0:20],
    )
    print(values, float(out[...].sum()))
    print(bp.get_runner(job).map(lambda item: item ** 2, 5, num_workers=2))
blocking = util.get_blocking((24, 20), (8, 8))
print(runner.run_block(lambda b, i, o, m: b.end, blocking, 3, [source], [], None, None))
try:
    bp.get_runner("local").run(lambda b, i, o, m: 1 // 0, [array], name="bad", block_ids=[2, 4])
except runner.RunnerError as error:
    print(error, error.failed_block_ids, error.tmp_folder)
copied = bp.copy(array, np.zeros_like(data), num_workers=2, mask=data > 50)
print(int(copied.sum()))

# settings for a cluster
file = bp.write_slurm_config(partition="cpu", time="1:00:00")
print(file == str(bp.config_file_path()), bp.config_file_path("~/lab.toml"))
bp.write_slurm_config(mem="8G", qos=None)
config = bp.SlurmConfig.load(gpus=1)
print(config.partition, config.time, config.mem, config.qos, config.gpus, config.latency_wait)
bp.write_slurm_config(replace=True, account="lab")
print(bp.SlurmConfig.load().partition, bp.SlurmConfig.load().account)
config = bp.SlurmConfig(5, "/shared", None, 2, None, "gpu", "60")
print(config.poll_interval, config.tmp_root, config.tasks_per_worker, config.partition, config.time)
print(bp.SlurmConfig.load(work + "/nothing.toml") == bp.SlurmConfig())
print(type(bp.get_runner("Slurm")).__name__, bp.get_runner("slurm").config.account)
for refused in (
    lambda: bp.get_runner("slurm", runner.RunnerConfig()),
    lambda: bp.get_runner("slurm").map(lambda item: item, 2),
    lambda: bp.get_runner("foo"),
):
    try:
        refused()
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)
"""


def test_a_script_prints_the_same(tmp_path: Path) -> None:
    printed = []
    for library in ("bioimage_py", "bioimage_rs"):
        folder = tmp_path / library
        folder.mkdir()
        script = folder / "script.py"
        script.write_text(SCRIPT.replace("LIBRARY", library))
        done = subprocess.run(
            [sys.executable, script, folder],
            env={
                **os.environ,
                "XDG_STATE_HOME": str(tmp_path),
                "XDG_CONFIG_HOME": str(folder / "config"),
            },
            text=True,
            capture_output=True,
        )
        assert not done.returncode, done.stderr
        printed.append(done.stdout.splitlines())
    assert printed[1] == printed[0]
