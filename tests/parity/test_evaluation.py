"""Scores of segmentations against the reference and scikit-image."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from bioimage_py import evaluation as theirs
from bioimage_rs import evaluation as ours
from pandas.testing import assert_frame_equal
from scipy import ndimage
from skimage.metrics import adapted_rand_error, variation_of_information


def segmentation(seed: int, shape: tuple[int, ...] = (60, 70), dtype: str = "uint32") -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(ndimage.label(ndimage.gaussian_filter(noise, 1.5) > 0.02)[0], dtype=dtype)


def pair(seed: int = 0, shape: tuple[int, ...] = (60, 70)) -> tuple[np.ndarray, np.ndarray]:
    """A segmentation and one with objects moved, lost and merged."""
    a = segmentation(seed, shape)
    b = np.roll(a, 1, axis=-1)
    b[b % 5 == 0] = 0
    b[b % 7 == 0] = 7
    return a, b


def same_tables(found: ours.ContingencyTable, expected: theirs.ContingencyTable) -> None:
    for field in fields(expected):
        mine, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(other, np.ndarray):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape), field.name
        assert np.array_equal(mine, other), field.name
    assert type(found.n_points) is int


BLOCKS: dict[str, Any] = {"block_shape": (17, 33), "num_workers": 2}


@pytest.mark.parametrize("how", [{}, BLOCKS])
@pytest.mark.parametrize("dtypes", [("uint8", "int64"), ("uint64", "uint16"), ("int16", "int32")])
def test_tables_are_those_of_the_reference(how: dict[str, Any], dtypes: tuple[str, str]) -> None:
    a, b = (side.astype(dtype) for side, dtype in zip(pair(), dtypes, strict=True))
    found, expected = ours.contingency_table(a, b, **how), theirs.contingency_table(a, b, **how)
    same_tables(found, expected)
    assert found.as_dicts() == expected.as_dicts()
    ignoring: list[tuple[Any, Any]] = [([0], [0, 3]), (None, [0]), ([], None), (range(999), None)]
    for ignored in ignoring:
        same_tables(found.drop_ignore(*ignored), expected.drop_ignore(*ignored))
    assert found.drop_ignore() is found
    with pytest.raises(FrozenInstanceError):
        found.n_points = 3  # type: ignore[misc]


def test_masks_blocks_and_dimensions() -> None:
    a, b = pair()
    mask = np.random.default_rng(5).random(a.shape) > 0.5
    for given in ({"mask": mask}, {"block_ids": [0, 2]}, {"mask": np.zeros_like(mask)}):
        call: dict[str, Any] = {**BLOCKS, **given}
        same_tables(ours.contingency_table(a, b, **call), theirs.contingency_table(a, b, **call))
    for shape in [(50,), (12, 13, 14), (4, 5, 6, 7)]:
        a, b = pair(1, shape)
        same_tables(ours.contingency_table(a, b), theirs.contingency_table(a, b))
    empty = np.zeros((0, 3), int)
    same_tables(ours.contingency_table(empty, empty), theirs.contingency_table(empty, empty))


def test_labels_beyond_doubles_are_exact() -> None:
    a = np.array([2**53, 2**53 + 1, 2**64 - 1, 2**64 - 2], "uint64")
    b = np.array([2**63, 2**63, 2**63 + 1, 2**63 + 1], "uint64")
    table = ours.contingency_table(a, b, block_shape=(1,), num_workers=2)
    same_tables(table, theirs.contingency_table(a, b))
    assert len(table.drop_ignore([2**53]).pairs) == 3


TABLE_SCORES: list[tuple[str, dict[str, Any]]] = [
    ("vi_scores", {}),
    ("vi_scores", {"use_log2": False}),
    ("rand_scores", {}),
    ("cremi_scores", {}),
    ("cremi_scores", {"use_log2": False}),
    *[
        ("matching_scores", {"threshold": threshold, "criterion": criterion})
        for threshold in (0.0, 0.3, 0.5, 0.8, 1.0)
        for criterion in ("iou", "iot", "iop")
    ],
    ("matching_scores", {"ignore_label": None}),
    ("matching_scores", {"ignore_label": 3}),
    ("matching_scores", {"ignore_label": -1}),
    ("mean_segmentation_accuracy_scores", {}),
    ("mean_segmentation_accuracy_scores", {"thresholds": [0.2, 0.9]}),
    ("mean_segmentation_accuracy_scores", {"thresholds": [], "ignore_label": None}),
    ("best_dice_scores", {}),
    ("best_dice_scores", {"ignore_label": None}),
]


def flat(score: Any) -> list[float]:
    if isinstance(score, dict):
        return [score[name] for name in ("precision", "recall", "segmentation_accuracy", "f1")]
    return list(score) if isinstance(score, tuple) else [score]


@pytest.mark.parametrize(("name", "options"), TABLE_SCORES)
def test_scores_of_tables_are_those_of_the_reference(name: str, options: dict[str, Any]) -> None:
    same = segmentation(3)
    for a, b in (pair(0), pair(1), pair(2, (12, 13, 14)), (same, same), (0 * same, same)):
        score = getattr(ours, name)(ours.contingency_table(a, b), **options)
        expected = getattr(theirs, name)(theirs.contingency_table(a, b), **options)
        assert type(score) is type(expected)
        assert np.allclose(flat(score), flat(expected), rtol=1e-9, atol=1e-12)


def test_scores_of_no_voxels() -> None:
    nothing = np.zeros((0, 2), int)
    mine, other = (
        ours.contingency_table(nothing, nothing),
        theirs.contingency_table(nothing, nothing),
    )
    for name in ("vi_scores", "rand_scores", "cremi_scores", "best_dice_scores"):
        assert flat(getattr(ours, name)(mine)) == flat(getattr(theirs, name)(other))
    assert ours.matching_scores(mine) == theirs.matching_scores(other)
    assert_frame_equal(ours.object_vi_scores(mine), theirs.object_vi_scores(other))


def test_accuracies_at_each_threshold() -> None:
    a, b = pair()
    found: Any = ours.mean_segmentation_accuracy(a, b, return_accuracies=True)
    expected = theirs.mean_segmentation_accuracy(a, b, return_accuracies=True)
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])


IGNORING: dict[str, Any] = {"ignore_seg": [0], "ignore_gt": [0, 7]}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("variation_of_information", IGNORING),
        ("variation_of_information", {"use_log2": False}),
        ("rand_index", IGNORING),
        ("cremi_score", IGNORING),
        ("matching", {"threshold": 0.4, "criterion": "iop"}),
        ("mean_segmentation_accuracy", {}),
        ("symmetric_best_dice_score", {}),
        ("dice_score", {}),
        ("dice_score", {"threshold_seg": 5, "threshold_gt": None}),
        ("centroid_matching", {"distance_threshold": 1.5}),
        ("centroid_matching", {"distance_threshold": 3, "resolution": (2, 1), "ignore_label": 3}),
    ],
)
def test_scores_of_images_are_those_of_the_reference(name: str, options: dict[str, Any]) -> None:
    a, b = pair(4)
    mask = np.random.default_rng(5).random(a.shape) > 0.3
    for how in ({}, BLOCKS, {**BLOCKS, "mask": mask}, {**BLOCKS, "mask": np.zeros_like(mask)}):
        score = getattr(ours, name)(a, b, **options, **how)
        expected = getattr(theirs, name)(a, b, **options, **how)
        assert np.allclose(flat(score), flat(expected), rtol=1e-9, atol=1e-12), how


def test_object_vi() -> None:
    a, b = pair(4)
    for options in ({}, IGNORING, {"use_log2": False}):
        found, expected = ours.object_vi(a, b, **options), theirs.object_vi(a, b, **options)
        assert_frame_equal(found, expected)


def test_scores_are_those_of_scikit_image() -> None:
    a, b = pair(6)
    assert np.allclose(ours.variation_of_information(a, b), variation_of_information(b, a))
    error, _, _ = adapted_rand_error(b, a, ignore_labels=[])
    # That of scikit-image does not count pairs of a voxel with itself.
    assert abs(ours.rand_index(a, b)[0] - error) < 1e-2


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32", "float64"])
def test_dice_of_every_type(dtype: str) -> None:
    drawn = np.random.default_rng(7).random((2, 30, 40)) * (1 if dtype[0] == "f" else 3)
    a, b = drawn.astype(dtype)
    for thresholds in ((0, 0), (0.3, 1), (None, None), (None, 0.1)):
        call: dict[str, Any] = {"threshold_seg": thresholds[0], "threshold_gt": thresholds[1]}
        expected = theirs.dice_score(a, b, **call)
        hows: list[dict[str, Any]] = [{}, {"block_shape": (7, 40), "num_workers": 2}]
        for how in hows:
            assert ours.dice_score(a, b, **call, **how) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 5.0, float("inf")])
def test_points_are_paired_as_by_the_reference(ndim: int, threshold: float) -> None:
    rng = np.random.default_rng(ndim)
    a, b = rng.random((60, ndim)), rng.random((50, ndim))
    b[:20] = a[:20]
    for resolution in (None, np.linspace(1, 3, ndim)):
        call: dict[str, Any] = {"distance_threshold": threshold, "resolution": resolution}
        assert ours.coordinate_matching(a, b, **call) == theirs.coordinate_matching(a, b, **call)
    empty: list[tuple[Any, Any]] = [([], b), (a, []), ([], [])]
    for sides in empty:
        found = ours.coordinate_matching(*sides, distance_threshold=threshold)
        assert found == theirs.coordinate_matching(*sides, distance_threshold=threshold)


def test_worker_processes_count_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    a, b = pair()
    stored = [
        zarr.create_array(tmp_path / name, data=side, chunks=(32, 32))
        for name, side in (("a.zarr", a), ("b.zarr", b))
    ]
    how: dict[str, Any] = {"job_type": "subprocess", "num_workers": 2}
    folders: list[str] = []
    found = ours.contingency_table(stored[0], stored[1], pre_cleanup=folders.append, **how)
    same_tables(found, theirs.contingency_table(a, b))
    assert len(folders) == 1
    assert ours.dice_score(stored[0], stored[1], **how) == ours.dice_score(a, b)


def test_a_hundred_thousand_objects_need_no_matrix() -> None:
    a = np.arange(1, 100_001, dtype="uint32").repeat(4)
    b = np.where(np.arange(len(a)) % 4 == 3, 0, a)
    table = ours.contingency_table(a, b)
    assert ours.matching_scores(table, threshold=0.7)["recall"] == 1.0
    assert ours.matching_scores(table, threshold=0.8)["recall"] == 0.0


def refused(call: Callable[[Any], Any]) -> tuple[str, ...]:
    """What the reference and we say."""
    said = []
    for library in (ours, theirs):
        with pytest.raises(ValueError, match=r".+") as caught:
            call(library)
        said.append(str(caught.value))
    return tuple(said)


def test_refusals_have_the_words_of_the_reference() -> None:
    a, b = pair()
    calls: list[Callable[[Any], Any]] = [
        lambda library: library.contingency_table(a.astype("float32"), b),
        lambda library: library.contingency_table(a, b > 0),
        lambda library: library.contingency_table(a, b, mask=b),
        lambda library: library.contingency_table(a, b, block_ids=[1], resume_from="x"),
        lambda library: library.contingency_table(a, b[:5], block_shape=(3, 3)),
        lambda library: library.coordinate_matching([1, 2], [[1]], distance_threshold=1),
        lambda library: library.coordinate_matching([[1, 2]], [[1]], distance_threshold=1),
        lambda library: library.coordinate_matching(
            [[1, 2]], [[1, 3]], distance_threshold=1, resolution=[1, 2, 3]
        ),
        lambda library: library.centroid_matching(a > 0, b, distance_threshold=1),
    ]
    for call in calls:
        found, expected = refused(call)
        assert found == expected
    found, expected = refused(lambda library: library.matching(a, b, criterion="foo"))
    assert found.startswith(expected)
    for call in (
        lambda library: library.contingency_table(a, b[:5]),
        lambda library: library.contingency_table(a.astype("int64") - 1, b),
        lambda library: library.coordinate_matching(
            [[np.nan], [1.0]], [[1.0]], distance_threshold=1
        ),
    ):
        refused(call)
