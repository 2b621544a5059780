"""Every operation that has a verb gives on a cluster what it gives here."""

import json

import numpy as np
import pytest
from shell import Bp, content, make_zarr
from slurm.testbed import Cluster

# What each verb is given besides its input and output.
OPERATIONS = {
    "black-tophat": ["--radius", "2"],
    "closing": ["--radius", "1,2,1"],
    "copy": ["--dtype", "u16"],
    "difference-of-gaussians": ["--sigma-low", "1", "--sigma-high", "2"],
    "dilation": ["--radius", "2", "--shape", "ball"],
    "distance": ["--halo", "6"],
    "downsample": ["-f", "2", "--order", "1", "--anti-aliasing"],
    "erosion": ["--radius", "1", "--shape", "cross"],
    "gaussian": ["--sigma", "1.5"],
    "gradient": ["--sigma", "1"],
    "hessian": ["--sigma", "1", "--return-channel", "0"],
    "isin": ["--values", "1,3"],
    "label": ["--connectivity", "3", "--multi-label"],
    "laplace": ["--sigma", "1,1,2"],
    "median": ["--radius", "1"],
    "opening": ["--radius", "1"],
    "relabel-consecutive": ["--start-label", "1"],
    "size-filter": ["--min-size", "20"],
    "structure": ["--sigma", "1", "--outer-scale", "1.5", "--return-channel", "1"],
    "threshold": ["--threshold", "1"],
    "white-tophat": ["--radius", "3"],
}
MEASUREMENTS: dict[str, list[str]] = {
    "compare": ["in.zarr"],
    "histogram": ["--bins", "5"],
    "local-maxima": ["--min-distance", "2"],
    "morphology": [],
    "regionprops": ["--resolution", "2,1,1", "--compute-surface"],
    "statistics": [],
    "unique": [],
}


@pytest.fixture(autouse=True)
def _image(bp: Bp) -> None:
    """Labels in some small blobs."""
    coarse = np.random.default_rng(1).integers(0, 5, (8, 8, 8)).astype("uint8")
    make_zarr(bp.home / "in.zarr", coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2), (8, 8, 8))


OTHERS = {
    "pyramid": "it makes several arrays",
    "watershed": "it takes seeds",
}


def test_no_operation_is_left_out(bp: Bp) -> None:
    assert bp.operations == {*OPERATIONS, *MEASUREMENTS, *OTHERS}


@pytest.mark.parametrize("verb", OPERATIONS)
def test_arrays_are_the_same(cluster: Cluster, bp: Bp, verb: str) -> None:
    how = ["--block-shape", "8,8,8", "--chunks", "8,8,8", "--workers", "2"]
    options = [*OPERATIONS[verb], *how]
    bp.ok(verb, "in.zarr", "here.zarr", *options)
    bp.ok(verb, "in.zarr", "there.zarr", *options, "--backend", "slurm")
    here, there = content(bp.home / "here.zarr"), content(bp.home / "there.zarr")
    assert here.any()
    assert here.dtype == there.dtype
    assert np.array_equal(here, there)


@pytest.mark.parametrize("verb", MEASUREMENTS)
def test_tables_are_the_same(cluster: Cluster, bp: Bp, verb: str) -> None:
    how = [*MEASUREMENTS[verb], "--block-shape", "8,8,8", "--workers", "2", "--json"]
    here = json.loads(bp.ok(verb, "in.zarr", *how))
    there = json.loads(bp.ok(verb, "in.zarr", *how, "--backend", "slurm"))
    assert here["table"] == there["table"]
    assert here["rows"] > 0


def test_all_levels_of_a_pyramid_are_the_same(cluster: Cluster, bp: Bp) -> None:
    how = ["--levels", "3", "--method", "mode", "--chunks", "8,8,8", "--workers", "2"]
    bp.ok("pyramid", "in.zarr", "here.ome.zarr", *how)
    bp.ok("pyramid", "in.zarr", "there.ome.zarr", *how, "--backend", "slurm")
    both = bp.home / "here.ome.zarr", bp.home / "there.ome.zarr"
    here, there = (sorted(file.parent.name for file in one.glob("*/zarr.json")) for one in both)
    assert here == there
    assert len(here) > 1
    for level in here:
        one, other = (
            content(bp.home / name / level) for name in ("here.ome.zarr", "there.ome.zarr")
        )
        assert np.array_equal(one, other)


def test_a_watershed_is_the_same(cluster: Cluster, bp: Bp) -> None:
    seeds = np.zeros((32, 32, 32), "uint32")
    seeds[4::8, 4::8, 4::8] = np.arange(1, 65).reshape(4, 4, 4)
    make_zarr(bp.home / "seeds.zarr", seeds, (8, 8, 8))
    how = ["--halo", "6", "--block-shape", "16,16,16", "--chunks", "8,8,8", "--workers", "2"]
    bp.ok("watershed", "in.zarr", "seeds.zarr", "here.zarr", *how)
    bp.ok("watershed", "in.zarr", "seeds.zarr", "there.zarr", *how, "--backend", "slurm")
    here = content(bp.home / "here.zarr")
    assert len(np.unique(here)) == 64
    assert np.array_equal(here, content(bp.home / "there.zarr"))
