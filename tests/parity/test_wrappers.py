"""Wrappers read what bioimage_py's do, natively wherever they can, and survive worker processes."""

import inspect
import operator
from pathlib import Path
from typing import Any

import bioimage_py.wrapper as reference
import bioimage_rs as bp
import h5py
import numpy as np
import pytest
import zarr
from bioimage_rs import wrapper
from bioimage_rs.sources import from_spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INTEGERS = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float32", "float64"]
BEYOND = {"WindowSource", "CastSource", "ChannelSource", "TransposeSource"}
often = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    data = rng.integers(-100, 100, shape) if dtype[0] in "if" else rng.integers(0, 100, shape)
    return (data % 2 == 0) if dtype == "bool" else data.astype(dtype)


@st.composite
def regions(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[slice, ...]:
    parts = []
    for extent in shape:
        start = draw(st.integers(0, extent))
        parts.append(slice(start, draw(st.integers(start, extent))))
    return tuple(parts)


def same(ours: np.ndarray, theirs: np.ndarray, atol: float = 0.0) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if atol:
        np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=1e-6, atol=atol)
    else:
        np.testing.assert_array_equal(ours, theirs)


def same_facts(ours: Any, theirs: Any) -> None:
    for fact in ("shape", "dtype", "chunks", "shards", "ndim", "writable"):
        assert getattr(ours, fact) == getattr(theirs, fact), fact


def outcome(call: Any) -> Any:
    """What a call gives, or the type and text of its error."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__.replace("_UFuncOutputCastingError", "UFuncTypeError"), str(
            error
        )


def test_every_name_is_there() -> None:
    assert set(reference.__all__) | BEYOND == set(wrapper.__all__)
    assert bp.wrapper is wrapper


@pytest.mark.parametrize("name", reference.__all__)
def test_arguments_are_the_same_but_for_further_keywords(name: str) -> None:
    ours = list(inspect.signature(getattr(wrapper, name)).parameters.values())
    theirs = list(inspect.signature(getattr(reference, name)).parameters.values())
    further = ours[len(theirs) :]
    assert [(one.name, one.kind) for one in ours[: len(theirs)]] == [
        (one.name, one.kind) for one in theirs
    ]
    for one, other in zip(ours, theirs, strict=False):
        assert one.default is other.default or one.default == other.default
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in further)


@pytest.mark.parametrize("name", [n for n in reference.__all__ if n.endswith("Source")])
def test_public_members_are_there(name: str) -> None:
    theirs = {one for one in dir(getattr(reference, name)) if not one.startswith("_")}
    assert theirs <= set(dir(getattr(wrapper, name)))


LIMITS = [
    0,
    0.5,
    -3,
    7,
    6.5,
    7 - 1e-12,
    50.5,
    2**53,
    float("nan"),
    float("inf"),
    1e300,
    -1e300,
    0.1,
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["greater", "greater_equal", "less", "less_equal", "equal", "not_equal"]
)
def test_threshold(dtype: str, name: str) -> None:
    data = values((5, 6), dtype)
    if dtype != "bool":
        data %= 9
        data[-1] -= 3 * (dtype[0] in "if")
    if dtype.startswith("float"):
        data[0, :3] = np.nan, np.inf, 0.1
    if dtype.endswith("64"):
        data[1, :2] = 2**53, 2**53 + 1
    for threshold in LIMITS:
        ours = wrapper.ThresholdSource(data, threshold, getattr(np, name))
        theirs = reference.ThresholdSource(data, threshold, getattr(np, name))
        same_facts(ours, theirs)
        with np.errstate(over="ignore"):
            same(ours[:], theirs[:])
            same(ours[1:4, 2:], theirs[1:4, 2:])
        assert ours.threshold == theirs.threshold or np.isnan(threshold)


def test_threshold_with_a_function_or_an_unusual_dtype() -> None:
    data = values((5, 6), "int16")
    for compare in (operator.gt, lambda block, limit: np.abs(block) > limit):
        same(
            wrapper.ThresholdSource(data, 20, compare)[1:3],
            reference.ThresholdSource(data, 20, compare)[1:3],
        )
    half = data.astype("float16")
    same(wrapper.ThresholdSource(half, 20)[:], reference.ThresholdSource(half, 20)[:])


@often
@given(
    dtype=st.sampled_from(DTYPES),
    to=st.sampled_from(["float32", "float64", "float16"]),
    channels=st.booleans(),
    seed=st.integers(0, 99),
)
def test_normalize(dtype: str, to: str, channels: bool, seed: int) -> None:
    data = values((4, 5, 6), dtype, seed)
    ours = wrapper.NormalizeSource(data, to, channels)
    theirs = reference.NormalizeSource(data, to, channels)
    same_facts(ours, theirs)
    roi = (slice(1, 3), slice(2, 5)) if channels else (slice(1, 3), slice(None), slice(2, 5))
    same(ours[roi], theirs[roi])


def test_a_nan_makes_the_normalised_block_nan() -> None:
    data = np.array([[1.0, np.nan], [0.0, 2.0]])
    same(wrapper.NormalizeSource(data)[:], reference.NormalizeSource(data)[:])
    same(wrapper.NormalizeSource(data)[1:], reference.NormalizeSource(data)[1:])


@often
@given(data=st.data(), dtype=st.sampled_from(DTYPES), squeeze=st.booleans())
def test_roi(data: st.DataObject, dtype: str, squeeze: bool) -> None:
    shape = (5, 6, 7)
    entries: list[int | slice] = []
    for extent in shape[: data.draw(st.integers(0, 3))]:
        if data.draw(st.booleans()):
            entries.append(data.draw(st.integers(-extent, extent - 1)))
        else:
            start = data.draw(st.integers(-extent, extent - 1)) % extent
            entries.append(slice(start, data.draw(st.integers(start + 1, extent + 2))))
    ours_data, theirs_data = values(shape, dtype), values(shape, dtype)
    ours = wrapper.RoiSource(ours_data, entries, squeeze)
    theirs = reference.RoiSource(theirs_data, entries, squeeze)
    same_facts(ours, theirs)
    roi = data.draw(regions(ours.shape))
    same(ours[roi], theirs[roi])
    block = values(tuple(part.stop - part.start for part in roi), dtype, seed=9)
    ours[roi], theirs[roi] = block, block
    same(ours_data, theirs_data)


@often
@given(
    data=st.data(),
    mode=st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap", "maximum"]),
    dtype=st.sampled_from(DTYPES),
)
def test_pad(data: st.DataObject, mode: str, dtype: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    width = tuple(data.draw(st.integers(0, 12)) for _ in shape)
    array = values(shape, dtype)
    ours, theirs = (
        wrapper.PadSource(array, width, mode),
        reference.PadSource(array, width, mode),
    )
    same_facts(ours, theirs)
    whole = theirs[...]
    same(ours[...], whole)
    if mode != "maximum":
        roi = data.draw(regions(ours.shape))
        same(ours[roi], whole[roi])


@often
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_expand_dims(data: st.DataObject, dtype: str) -> None:
    count = data.draw(st.integers(1, 3))
    axes = tuple(data.draw(st.permutations(range(-2 - count, 2 + count)))[:count])
    array = values((4, 5), dtype)
    outcomes = (
        outcome(lambda: wrapper.ExpandDimsSource(array, axes).shape),
        outcome(lambda: reference.ExpandDimsSource(array, axes).shape),
    )
    assert outcomes[0] == outcomes[1]
    if isinstance(outcomes[0][0], str):
        return
    ours = wrapper.ExpandDimsSource(array, axes)
    theirs = reference.ExpandDimsSource(array, axes)
    same_facts(ours, theirs)
    roi = data.draw(regions(ours.shape))
    same(ours[roi], np.expand_dims(array, axes)[roi])


def test_transpose_channel_and_cast() -> None:
    array = values((3, 4, 5), "int16")
    same(
        wrapper.TransposeSource(array, (2, 0, -2))[1:3, :, 2:],
        array.transpose(2, 0, 1)[1:3, :, 2:],
    )
    for axis in range(-3, 3):
        same(wrapper.ChannelSource(array, -1, axis)[1:], array.take(-1, axis)[1:])
    same(wrapper.CastSource(array, "uint8")[:], array.astype("uint8"))
    same(wrapper.CastSource(array, "uint8", "saturating")[:], array.clip(0, 255).astype("uint8"))
    with pytest.raises(ValueError, match="does not fit into dtype uint8"):
        wrapper.CastSource(array, "uint8", "checked")[:]
    wrapper.ChannelSource(array, 1, 2)[0, :2] = 7
    assert array[0, :, 1].tolist()[:2] == [7, 7]


@often
@given(data=st.data(), dtype=st.sampled_from(DTYPES), order=st.integers(0, 5))
def test_a_resized_source_shows_what_the_reference_shows(
    data: st.DataObject, dtype: str, order: int
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 14), min_size=2, max_size=3)))
    out = tuple(data.draw(st.integers(1, 2 * extent)) for extent in shape)
    array = values(shape, dtype)
    fill = 1 if dtype == "bool" else 3
    ours = wrapper.ResizedSource(array, out, order=order, fill_value=fill)
    theirs = reference.ResizedSource(array, out, order=order, fill_value=fill)
    same_facts(ours, theirs)
    assert ours.scale == theirs.scale
    whole, expected = ours[:], theirs[:]
    assert whole.dtype == expected.dtype
    # The reference has no value where a coordinate lies behind the last voxel, and goes either
    # way where one lies right between two voxels.
    shown = np.ones(out, bool)
    for axis, (extent, n) in enumerate(zip(shape, out, strict=True)):
        exact = [(extent * position) / n for position in range(n)]
        clear = [c <= extent - 1 - 1e-9 or c == extent - 1 for position, c in enumerate(exact)]
        if order == 0:
            clear = [good and abs(c % 1 - 0.5) > 1e-9 for good, c in zip(clear, exact, strict=True)]
        where = [1] * len(shape)
        where[axis] = n
        shown &= np.reshape(clear, where)
    if order == 0 or dtype in INTEGERS:
        # Sums that end right between two integers may be rounded either way.
        limit = 0 if order == 0 else 1
        difference = np.abs(whole[shown].astype(float) - expected[shown].astype(float))
        assert difference.max(initial=0) <= limit
        assert (difference > 0).mean() < 0.2 if difference.size > 20 else True
    else:
        same(whole[shown], expected[shown], atol=1e-4)
    roi = data.draw(regions(out))
    same(ours[roi], whole[roi])


@often
@given(data=st.data(), order=st.integers(0, 5), seed=st.integers(0, 999))
def test_an_affine_source_shows_what_the_reference_shows(
    data: st.DataObject, order: int, seed: int
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(2, 12), min_size=2, max_size=3)))
    ndim = len(shape)
    rng = np.random.default_rng(seed)
    matrix = np.eye(ndim + 1)
    linear = np.diag(rng.uniform(-2, 2, ndim)) if seed % 2 else rng.normal(size=(ndim, ndim))
    matrix[:ndim] = np.column_stack([linear, rng.uniform(-3, 12, ndim)])
    array = values(shape, "float64", seed)
    options: dict[str, Any] = {"affine_matrix": matrix, "order": order, "fill_value": -2.5}
    ours, theirs = (
        wrapper.AffineSource(array, **options),
        reference.AffineSource(array, **options),
    )
    same_facts(ours, theirs)
    np.testing.assert_array_equal(ours.matrix, theirs.matrix)
    whole = ours[...]
    same(whole, theirs[...], atol=0.0 if order == 0 else 1e-4)
    roi = data.draw(regions(shape))
    same(ours[roi], whole[roi], atol=0.0 if order == 0 else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16"])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_anti_aliasing(dtype: str, order: int) -> None:
    array = values((20, 31), dtype)
    for shape in [(7, 31), (9, 11), (20, 5)]:
        options: dict[str, Any] = {"order": order, "anti_aliasing": True}
        ours = wrapper.ResizedSource(array, shape, **options)[:]
        theirs = reference.ResizedSource(array, shape, **options)[:]
        # The reference drops the fraction of smoothed integers.
        same(ours, theirs, atol=2.0 if dtype.startswith("u") else 1e-4)
    matrix = np.array([[2.1234, 0.3217, 1.013], [-0.4311, 1.8123, 3.0147], [0, 0, 1]])
    options = {"affine_matrix": matrix, "order": order, "anti_aliasing": True}
    affine = wrapper.AffineSource(array, (9, 14), **options)
    theirs = reference.AffineSource(array, (9, 14), **options)
    same(affine[:], theirs[:], atol=2.0 if dtype.startswith("u") else 1e-4)
    same(affine[2:5, 3:9], affine[:][2:5, 3:9])


def test_a_constant_stays_constant_when_it_is_smoothed() -> None:
    for value in range(1, 256, 5):
        array = np.full((12, 12), value, "uint8")
        for extent in range(2, 12):
            source = wrapper.ResizedSource(array, (extent, extent), order=1, anti_aliasing=True)
            assert (source[:] == value).all()


def test_enlarging_leaves_no_border() -> None:
    array = values((4, 5), "uint8") + 1
    for align in ("corner", "center"):
        for order in range(2):
            assert wrapper.ResizedSource(array, (9, 11), order=order, align=align)[:].min() > 0
    edge = wrapper.ResizedSource(array, (8, 10))[:]
    np.testing.assert_array_equal(edge[-1], edge[-2])


def test_centred_grids_shift_nothing() -> None:
    ramp = np.arange(64, dtype="float64")[None].repeat(4, 0)
    for n in (16, 32, 128):
        centred = wrapper.ResizedSource(ramp, (4, n), order=1, align="center")[:]
        assert abs(centred.mean() - ramp.mean()) < 0.05


def test_labels_beyond_double_precision_are_kept() -> None:
    labels = np.array([[2**53 + 1, 2**64 - 1]], "uint64")
    assert set(wrapper.ResizedSource(labels, (1, 4))[:].ravel().tolist()) == set(labels[0].tolist())


BAD_CALLS = [
    lambda m, a: m.ResizedSource(a, (2, 2, 2)),
    lambda m, a: m.ResizedSource(a, (2, 2), order=6),
    lambda m, a: m.ResizedSource(a[0], (2,)),
    lambda m, a: m.ResizedSource(a, (2, 2), fill_value=300)[:],
    lambda m, a: m.AffineSource(a),
    lambda m, a: m.AffineSource(a, affine_matrix=np.eye(3), scale=[1, 1]),
    lambda m, a: m.AffineSource(a, affine_matrix=np.eye(4)),
    lambda m, a: m.AffineSource(a, affine_matrix=np.ones((3, 3)))[:],
    lambda m, a: m.AffineSource(a[0], affine_matrix=np.eye(2)),
    lambda m, a: m.AffineSource(a, affine_matrix=np.eye(3), order=-1),
    lambda m, a: m.PadSource(a, (1,)),
    lambda m, a: m.PadSource(a, (1, 2), mode="foo")[:],
    lambda m, a: m.PadSource(a, (5, 0), mode="maximum")[4:5][5:],
    lambda m, a: m.PadSource(a, (5, 0), mode="maximum")[5:],
    lambda m, a: m.RoiSource(a, (1, 2, 3)),
    lambda m, a: m.RoiSource(a, (4,)),
    lambda m, a: m.RoiSource(a, (slice(0, 4, 2),)),
    lambda m, a: m.RoiSource(a, ("a",)),
    lambda m, a: m.RoiSource(a, 5),
    lambda m, a: m.ExpandDimsSource(a, 5),
    lambda m, a: m.ExpandDimsSource(a, (0, 0)),
    lambda m, a: m.ThresholdSource(a, "a"),
    lambda m, a: m.ThresholdSource(a, 0, operator=3)[:],
    lambda m, a: m.ThresholdSource(a, 0).__setitem__(slice(0, 1), 1),
    lambda m, a: m.PadSource(a, (1, 1)).__setitem__(slice(0, 1), 1),
    lambda m, a: m.NormalizeSource(a, "int32")[:],
    lambda m, a: m.SimpleTransformationSource(a, 3),
    lambda m, a: m.TransformationSource(a, 3),
    lambda m, a: m.MultiTransformationSource(3, a),
    lambda m, a: m.MultiTransformationSource(np.add),
    lambda m, a: m.MultiTransformationSource(np.add, a, a[1:]),
    lambda m, a: m.SimpleTransformationWithHaloSource(a, np.square, (1, 1, 1)),
    lambda m, a: m.WrapperSource([1, 2]),
]


@pytest.mark.parametrize("number", range(len(BAD_CALLS)))
def test_bad_arguments_are_refused_in_the_same_words(number: int) -> None:
    array = values((4, 4), "uint8")
    ours = outcome(lambda: BAD_CALLS[number](wrapper, array))
    theirs = outcome(lambda: BAD_CALLS[number](reference, array))
    assert isinstance(theirs, tuple), "the reference refuses it"
    assert ours == theirs


def test_a_wrapper_that_is_not_known_is_refused() -> None:
    spec = bp.sources.SourceSpec("wrapper", params={"cls": "X"})
    with pytest.raises(ValueError, match="Unknown wrapper class 'X'; it must be registered"):
        wrapper.wrapper_from_spec(spec)


def test_they_read_what_the_reference_reads() -> None:
    array = values((6, 7, 8), "int32")

    def around(block: np.ndarray) -> Any:
        return block - block.mean(axis=tuple(range(block.ndim - 2)), keepdims=True).astype(int)

    roi = (slice(1, 4), slice(0, 5), slice(3, 8))
    whole: list[Any] = [
        lambda m: m.SimpleTransformationSource(array, np.square, dtype="int64"),
        lambda m: m.SimpleTransformationWithHaloSource(array, around, (1, 2, 3)),
        lambda m: m.TransformationSource(array, lambda b, r: b + r[0].start),
        lambda m: m.MultiTransformationSource(np.add, array, array[::-1].copy()),
        lambda m: m.MultiTransformationSource(
            lambda blocks: blocks[0] * len(blocks), array, array, apply_to_list=True
        ),
    ]
    for make in whole:
        ours, theirs = make(wrapper), make(reference)
        same_facts(ours, theirs)
        same(ours[roi], theirs[roi])
    for make in (
        lambda m: m.SimpleTransformationSource(array, lambda b: b.sum(0), with_channels=True),
        lambda m: m.SimpleTransformationWithHaloSource(
            array, lambda b: b * 2, (1, 2), with_channels=True
        ),
    ):
        ours, theirs = make(wrapper), make(reference)
        same_facts(ours, theirs)
        same(ours[2:4, 1:], theirs[2:4, 1:])


def test_they_are_copied_block_by_block() -> None:
    array = values((9, 10), "int32")
    source = wrapper.SimpleTransformationSource(array, np.square)
    out = bp.copy(source, np.zeros((9, 10), "int32"), block_shape=(4, 4), num_workers=3)
    np.testing.assert_array_equal(out, array**2)


def chain(source: Any) -> tuple[Any, np.ndarray]:
    """Wrappers in wrappers, and what they show."""
    data = source[...]
    nested: Any = wrapper.RoiSource(source, (slice(2, 22), 3, slice(4, 30)), squeeze=True)
    data = data[2:22, 3, 4:30]
    nested = wrapper.TransposeSource(nested, (1, 0))
    nested = wrapper.PadSource(nested, (3, 20), mode="reflect")
    data = np.pad(data.T, ((0, 3), (0, 20)), mode="reflect")
    nested = wrapper.ResizedSource(nested, (58, 80))
    nested = wrapper.CastSource(nested, "float32")
    nested = wrapper.ThresholdSource(nested, 10.5)
    nested = wrapper.ExpandDimsSource(nested, 0)
    # A position halfway between two voxels takes the second.
    rows = np.minimum((np.arange(58) + 1) // 2, 28)
    columns = np.minimum((np.arange(80) + 1) // 2, 39)
    data = data[rows][:, columns]
    return nested, (data.astype("float32") > 10.5)[None]


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    array: Any = zarr.create_array(
        tmp_path / "in.zarr", shape=(30, 5, 33), chunks=(7, 2, 9), dtype="int16"
    )
    array[...] = values((30, 5, 33), "int16")
    return array


def test_a_chain_of_native_wrappers_is_native(stored: Any) -> None:
    source, expected = chain(bp.as_source(stored))
    native = source._open_native(False)
    assert native.kind == "zarr"
    assert tuple(native.shape) == source.shape
    assert tuple(native.chunks) == source.chunks
    spec = native.spec
    assert spec.count('"wrapper"') == 7
    assert '"roi"' in spec
    same(source[...], expected)


def test_a_chain_over_foreign_arrays_works(tmp_path: Path) -> None:
    data = values((30, 5, 33), "int16")
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["data"] = data
        for array in (data, data[::-1][::-1], file["data"]):
            source, expected = chain(bp.as_source(array))
            same(source[...], expected)
            copied = bp.copy(source, np.zeros(source.shape, bool), block_shape=(1, 16, 16))
            same(np.asarray(copied), expected)


@pytest.mark.parametrize(
    "backend",
    [
        {"num_workers": 1},
        {"num_workers": 3},
        {"num_workers": 2, "job_type": "subprocess"},
    ],
)
def test_a_chain_is_copied_by_every_backend(
    stored: Any, tmp_path: Path, backend: dict[str, Any]
) -> None:
    source, expected = chain(bp.as_source(stored))
    out: Any = zarr.create_array(
        tmp_path / "out.zarr", shape=source.shape, chunks=(1, 16, 16), dtype="bool"
    )
    bp.copy(source, out, block_shape=(1, 16, 32), **backend)
    same(out[...], expected)


def test_specs_open_the_same_wrapper_again(stored: Any) -> None:
    matrix = np.array([[1, 0.1, 0, 0], [0, 0.9, 0, 1 / 3], [0, 0, 1, -1], [0, 0, 0, 1]])
    inner = bp.as_source(stored)
    sources = [
        chain(inner)[0],
        wrapper.NormalizeSource(inner, "float64"),
        wrapper.ThresholdSource(inner, 3, np.less),
        wrapper.ChannelSource(inner, 1, 1),
        wrapper.AffineSource(inner, affine_matrix=matrix, order=1, anti_aliasing=True),
        wrapper.ResizedSource(inner, (10, 4, 20), order=3, fill_value=2, align="center"),
        wrapper.SimpleTransformationSource(inner, np.square, dtype="int64"),
        wrapper.SimpleTransformationWithHaloSource(inner, np.square, (1, 1, 1)),
        wrapper.TransformationSource(inner, lambda block, roi: block),
        wrapper.MultiTransformationSource(np.subtract, inner, inner),
    ]
    for source in sources:
        opened = from_spec(source.to_spec())
        assert type(opened) is type(source)
        same_facts(opened, source)
        same(opened[...], source[...])


def test_an_array_in_memory_has_no_spec() -> None:
    with pytest.raises(ValueError, match="Cannot serialize an in-memory numpy array"):
        wrapper.ThresholdSource(np.zeros((3, 3)), 1).to_spec()


def test_a_subclass_is_read_by_its_own_method(stored: Any) -> None:
    class Inverted(wrapper.ThresholdSource):
        def _getitem(self, roi: Any) -> np.ndarray:
            return ~super()._getitem(roi)

    source = Inverted(stored, 0)
    assert source._open_native(False) is None
    out = bp.copy(source, np.zeros(source.shape, bool), block_shape=(8, 5, 33))
    same(np.asarray(out), stored[...] <= 0)


@pytest.mark.parametrize("shards", [None, (16, 16)])
@pytest.mark.parametrize(
    "backend", [{"num_workers": 4}, {"num_workers": 3, "job_type": "subprocess"}]
)
@pytest.mark.parametrize("start", [(3, 5), (8, 3), (8, 16), (16, 16), (0, 0)])
def test_unaligned_regions_are_written_whole(
    tmp_path: Path,
    shards: tuple[int, int] | None,
    backend: dict[str, Any],
    start: tuple[int, int],
) -> None:
    whole: Any = zarr.create_array(
        tmp_path / "out.zarr", shape=(64, 70), chunks=(8, 8), shards=shards, dtype="uint16"
    )
    whole[...] = 9
    data = values((37, 42), "uint16") + 20
    source: Any = zarr.create_array(
        tmp_path / "in.zarr", shape=data.shape, chunks=(8, 8), dtype="uint16"
    )
    source[...] = data
    end = (start[0] + 37, start[1] + 42)
    target = wrapper.RoiSource(whole, (slice(start[0], end[0]), slice(start[1], end[1])))
    bp.copy(source, target, block_shape=(8, 8), **backend)
    expected = np.full((64, 70), 9, "uint16")
    expected[start[0] : end[0], start[1] : end[1]] = data
    same(whole[...], expected)


def test_a_plane_of_a_volume_is_written(tmp_path: Path) -> None:
    whole: Any = zarr.create_array(
        tmp_path / "out.zarr", shape=(4, 30, 30), chunks=(2, 8, 8), dtype="uint8"
    )
    data = values((30, 30), "uint8")
    bp.copy(data, wrapper.RoiSource(whole, (1,), squeeze=True), block_shape=(8, 8), num_workers=3)
    same(whole[1], data)
    assert not whole[0].any()
    assert not whole[2:].any()


def test_one_region_of_an_array_is_copied_to_another_but_not_onto_itself(tmp_path: Path) -> None:
    whole: Any = zarr.create_array(tmp_path / "a.zarr", shape=(40, 8), chunks=(8, 8), dtype="uint8")
    data = values((40, 8), "uint8")
    whole[...] = data
    left, right = (wrapper.RoiSource(whole, (slice(s, s + 16),)) for s in (0, 16))
    bp.copy(left, right, block_shape=(8, 8))
    same(whole[16:32], data[:16])
    overlapping = wrapper.RoiSource(whole, (slice(8, 24),))
    with pytest.raises(ValueError, match="is both read and written"):
        bp.copy(left, overlapping, block_shape=(8, 8))
