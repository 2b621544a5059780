"""`bp.operations` does what `bioimage_py.operations` and numpy do, and says what they say."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import bioimage_py
import bioimage_rs as bp
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

DTYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32",
    "float64",
]  # fmt: skip
HELPERS = [
    "add", "subtract", "multiply", "divide", "greater", "greater_equal", "less", "less_equal",
    "minimum", "maximum",
]  # fmt: skip
QUIET = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(function: Any, *arguments: Any) -> Any:
    """What a call gives, or the type of what it raises."""
    with np.errstate(all="ignore"):
        try:
            return function(*arguments)
        except (TypeError, OverflowError) as error:
            return type(error).__name__


def contents(dtype: str) -> st.SearchStrategy[np.ndarray]:
    # The extremes of a type come often, and NaN and infinities.
    return arrays(dtype, (3, 4))


NUMBERS = (
    st.integers(-300, 300)
    | st.integers(-(2**66), 2**66)
    | st.floats()
    | st.booleans()
    | st.sampled_from([np.float32(0.1), np.float64(0.1), np.int16(-3), np.uint64(2**64 - 1)])
)


@QUIET
@given(data=st.data(), name=st.sampled_from(HELPERS), dtype=st.sampled_from(DTYPES))
def test_two_operands_give_what_numpy_gives(data: st.DataObject, name: str, dtype: str) -> None:
    x = data.draw(contents(dtype))
    y = data.draw(NUMBERS | st.sampled_from(DTYPES).flatmap(contents))
    expected = outcome(getattr(np, name), x, y)
    ours = outcome(getattr(bp.operations, name), x, y)
    if isinstance(expected, str):
        assert ours == expected
        return
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(ours, expected)


@QUIET
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_membership_is_numpy_s(data: st.DataObject, dtype: str) -> None:
    x = data.draw(contents(dtype))
    some = st.sampled_from(x.ravel().tolist())
    values = data.draw(st.lists(some | st.integers(-300, 300) | st.floats(width=16), max_size=5))
    # numpy compares integers beyond 2**53 as floats where both kinds are mixed.
    if any(isinstance(one, float) for one in values) and np.abs(x.astype(float)).max() > 2**53:
        return
    ours = bp.operations.isin(x, values)
    assert ours.dtype == bool
    np.testing.assert_array_equal(ours, np.isin(x, values))


@pytest.mark.parametrize("operation", ["subtract", "hypot", np.arctan2, "greater"])
@pytest.mark.parametrize("second", ["number", "array", "broadcast"])
@pytest.mark.parametrize("masked", [False, True])
def test_every_way_to_work_gives_the_reference_s_voxels(
    home: Path, operation: Any, second: str, masked: bool
) -> None:
    rng = np.random.default_rng(0)
    content = (rng.random((20, 18)) * 200).astype("float32")
    others = {
        "number": 2.5,
        "array": rng.random((20, 18)).astype("float32"),
        "broadcast": rng.random((1, 18)).astype("float32"),
    }
    x = zarr.create_array(home / "x.zarr", data=content, chunks=(8, 8))
    y: Any = others[second]
    if second == "array":
        y = zarr.create_array(home / "y.zarr", data=y, chunks=(8, 8))
    mask = None
    if masked:
        mask = zarr.create_array(home / "mask.zarr", data=rng.random((20, 18)) < 0.5, chunks=(8, 8))
    for number, (job_type, workers) in enumerate([("local", 1), ("local", 2), ("subprocess", 2)]):
        results = []
        for module in (bioimage_py, bp):
            if module is bioimage_py and job_type != "local":
                continue
            out = zarr.create_array(
                home / f"{number}-{module.__name__}.zarr",
                data=np.full((20, 18), 7, "float32"),
                chunks=(8, 8),
            )
            options: dict[str, Any] = {"job_type": job_type, "num_workers": workers, "mask": mask}
            if second == "broadcast" and masked:
                with pytest.raises(NotImplementedError, match="Combining a broadcast operand"):
                    module.operations.apply_operation(x, y, operation, out, **options)
                continue
            given = module.operations.apply_operation(x, y, operation, out, **options)
            assert given is out
            results.append(np.asarray(out[...]))
        if results:
            whole = bioimage_py.operations.apply_operation(content, others[second], operation)
            inside = np.ones((20, 18), bool) if mask is None else np.asarray(mask[...])
            for result in results:
                np.testing.assert_array_equal(result, np.where(inside, whole, 7))


def test_the_output_may_be_the_input(home: Path) -> None:
    content = np.arange(64, dtype="uint8").reshape(8, 8)
    x = zarr.create_array(home / "x.zarr", data=content, chunks=(4, 4))
    assert bp.operations.add(x, 250, x, num_workers=2) is x
    np.testing.assert_array_equal(np.asarray(x[...]), content + np.uint8(250))
    own = content.copy()
    bp.operations.greater(own, 30, own, block_shape=(3, 8))
    np.testing.assert_array_equal(own, content > 30)
    bp.operations.isin(own, [1], own, block_shape=(3, 8), mask=content > 31)
    np.testing.assert_array_equal(own, content > 30)
    (run, *_) = bp.runs()
    assert run.request["retries"] == 0


def test_data_types_that_only_numpy_knows() -> None:
    content = np.array([[1 + 2j, 3]])
    np.testing.assert_array_equal(bp.operations.multiply(content, 2), content * 2)
    np.testing.assert_array_equal(bp.operations.add(np.array([1.0]), 1j), [1 + 1j])
    assert bp.operations.add(np.array([1]), Fraction(1, 2))[0] == Fraction(3, 2)
    found = bp.operations.isin(content, [3], block_shape=(1, 1), num_workers=2)
    np.testing.assert_array_equal(found, [[False, True]])


def refusal(module: Any, name: str, *arguments: Any, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the point is to compare
        getattr(module.operations, name)(*arguments, **options)
    return caught.value


def test_refusals_are_the_reference_s(home: Path) -> None:
    content = np.ones((4, 4), "uint8")
    stored = zarr.create_array(home / "x.zarr", data=content, chunks=(2, 2))
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("apply_operation", (content, 1, "foo"), {}),
        ("add", (content, np.ones(4)), {}),
        ("add", (content, np.ones((3, 1))), {}),
        ("add", (content, np.ones((1, 4))), {"mask": content}),
        ("add", (content, 300), {}),
        ("subtract", (content > 0, content > 0), {}),
        ("add", (content, 1), {"num_workers": 2}),
        ("add", (content, 1), {"job_type": "subprocess"}),
        ("apply_operation", (content, 1, np.hypot), {"job_type": "subprocess"}),
        ("add", (content, 1), {"resume_from": "x"}),
        ("apply_operation", (content, 1, np.hypot), {"resume_from": "x", "block_ids": [0]}),
        ("add", ("x.zarr", 1), {}),
        ("add", (stored, 1, np.zeros((4, 5))), {"num_workers": 2}),
        ("isin", ("x.zarr", [1]), {}),
        ("isin", (content, [1]), {"num_workers": 2}),
        ("isin", (content, [1]), {"job_type": "subprocess"}),
    ]
    for name, arguments, options in cases:
        theirs, ours = (refusal(one, name, *arguments, **options) for one in (bioimage_py, bp))
        assert isinstance(ours, type(theirs)), (name, options, ours, theirs)
        assert str(ours)[:50] == str(theirs)[:50], (ours, theirs)


def test_failed_blocks_and_arguments_of_the_engine_are_told(home: Path) -> None:
    content = np.arange(16.0).reshape(4, 4)

    def picky(block: np.ndarray, number: float) -> np.ndarray:
        if block.max() > 10:
            raise ValueError("too much")
        return block

    with pytest.raises(bp.RunnerError, match=r"2 block\(s\) failed in 'apply_operation'") as caught:
        bp.operations.apply_operation(content, 1, picky, block_shape=(1, 4))
    assert caught.value.failed_block_ids == [2, 3]
    out = np.zeros((4, 4), "uint8")
    with pytest.raises(bp.RunnerError, match=r"4 block\(s\) failed in 'add'"):
        bp.operations.add(content, 300, out, block_shape=(1, 4), cast="checked")
    with pytest.raises(TypeError, match="cast is for operations of the engine"):
        bp.operations.apply_operation(content, 1, picky, cast="checked")


def test_paths_are_taken_where_there_is_a_verb(home: Path) -> None:
    content = np.arange(16).reshape(4, 4)
    zarr.create_array(home / "x.zarr", data=content, chunks=(2, 2))
    found = bp.operations.isin("x.zarr", [3, 5, -1], "out.zarr", num_workers=2)
    np.testing.assert_array_equal(found[...], np.isin(content, [3, 5]))
    with pytest.raises(TypeError, match="Open the file"):
        bp.operations.add(content, 1, "sum.zarr")
