"""Expressions against numpy."""

from pathlib import Path
from typing import Any

import bioimage_rs as bp
import numpy as np
import pytest
import zarr

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
DTYPES += ["float32", "float64"]
BLOCKS: dict[str, Any] = {"block_shape": (5, 4), "num_workers": 2}


def array(dtype: str, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, 100, (13, 9)) / 3
    return np.asarray(drawn, dtype=dtype)


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_types_and_values_are_those_of_numpy(first: str, second: str) -> None:
    b, c = array(first), array(second, 1)
    for text in ("b + c", "b * c + 2", "b < c", "b / (c + 1.5)"):
        found = bp.expr(text, b=b, c=c)
        with np.errstate(all="ignore"):
            expected = eval(text)
        # There is no half precision here.
        dtype = np.dtype("float32") if expected.dtype == np.float16 else expected.dtype
        assert np.asarray(found).dtype == dtype, text
        assert np.allclose(found, expected, rtol=1e-3 if dtype != expected.dtype else 1e-12), text


def test_one_pass_over_blocks_gives_what_numpy_gives() -> None:
    b, c = array("float64"), array("float64", 1)
    expected = np.sqrt(b * b + c * c)
    for how in ({}, BLOCKS):
        assert np.array_equal(bp.expr("sqrt(b*b + c*c)", b=b, c=c, **how), expected)
    labels = array("uint16")
    found = bp.expr("where(x == old, 0, x)", x=labels, old=7, **BLOCKS)
    assert np.asarray(found).dtype == "uint16"
    assert np.array_equal(found, np.where(labels == 7, 0, labels))


def test_outputs_masks_and_blocks() -> None:
    b, mask = array("int32"), array("uint8", 3) > 15
    out = np.full(b.shape, -1.0)
    assert bp.expr("2 * b", out, b=b, mask=mask, **BLOCKS) is out
    assert np.array_equal(out, np.where(mask, 2 * b, -1))
    out[:] = -1
    bp.expr("b + k", out, b=b, k=0.5, block_ids=[0], **BLOCKS)
    assert np.array_equal(out[:5, :4], b[:5, :4] + 0.5)
    assert (out[5:] == -1).all()
    own = b.copy()
    bp.expr("b // 2", own, b=own, **BLOCKS)
    assert np.array_equal(own, b // 2)


def test_worker_processes_compute_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    b = array("float32")
    stored = zarr.create_array(tmp_path / "b.zarr", data=b, chunks=(5, 4))
    out = zarr.create_array(tmp_path / "o.zarr", shape=b.shape, chunks=(5, 4), dtype="float32")
    bp.expr("max(b, low) - low", out, b=stored, low=4, job_type="subprocess", num_workers=2)
    assert np.array_equal(out[...], np.maximum(b, 4) - 4)
    code = bp.attach("last").request["code"]["python"]
    assert code.startswith("bp.expr('max(b, low) - low', output=output, b=b, low=4")


def test_refusals() -> None:
    b, c = array("float32"), array("uint8")
    for text, given, what in (
        ("b +", {"b": b}, "position"),
        ("b + d", {"b": b}, "unknown name 'd'"),
        ("b + 1", {"b": b, "nun_workers": 3}, "'nun_workers' is not in the expression"),
        ("b + c", {"b": b, "c": c[1:]}, "has shape"),
        ("1 + k", {"k": 2}, "at least one array"),
    ):
        with pytest.raises(ValueError, match=what):
            bp.expr(text, **given)
    with pytest.raises(TypeError):
        bp.expr("~b", b=b)
    with pytest.raises(TypeError, match="Passing strings"):
        bp.expr("b + 1", "out.zarr", b=b)
