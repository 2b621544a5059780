"""Sources that change another source while it is read: threshold, resize, pad, a function, ...

A wrapper is a source: it is sliced like an array, nests, and is an input wherever an array is one.
Nothing is computed before a region is read, and nothing is kept afterwards. Those that need no
Python function are read by the engine, a chain of them in one pass over the block.
"""

import json
import operator as _operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from bioimage_rs import _native
from bioimage_rs._dataset import NativeArray
from bioimage_rs.sources import Source, SourceLike, SourceSpec, as_source, from_spec
from bioimage_rs.sources._array import engine_array, is_native_dtype
from bioimage_rs.sources._base import register_opener
from bioimage_rs.transformation import (
    check_homogeneous,
    compute_affine_matrix,
    fill_text,
    matrix_text,
)

__all__ = [
    "AffineSource",
    "CastSource",
    "ChannelSource",
    "ExpandDimsSource",
    "MultiTransformationSource",
    "NormalizeSource",
    "PadSource",
    "ResizedSource",
    "RoiSource",
    "SimpleTransformationSource",
    "SimpleTransformationWithHaloSource",
    "ThresholdSource",
    "TransformationSource",
    "TransposeSource",
    "WindowSource",
    "WrapperSource",
    "register_wrapper",
    "wrapper_from_spec",
]

Roi = tuple[slice, ...]

_registry: dict[str, "type[WrapperSource]"] = {}
# Classes whose reading the engine does; a subclass of one may read otherwise.
_fused: "set[type[WrapperSource]]" = set()

W = TypeVar("W", bound="type[WrapperSource]")


def register_wrapper(cls: W) -> W:
    """Let `wrapper_from_spec` make wrappers of this class, by its name; a class decorator.

    Examples
    --------
    >>> from bioimage_rs.wrapper import WrapperSource, register_wrapper
    >>> @register_wrapper
    ... class InvertedSource(WrapperSource):
    ...     def _getitem(self, roi):
    ...         return 255 - self.source[roi]
    """
    _registry[cls.__name__] = cls
    return cls


def _engine_wrapper(cls: W) -> W:
    """A wrapper that the engine knows, too."""
    _fused.add(cls)
    return register_wrapper(cls)


def wrapper_from_spec(spec: SourceSpec) -> "WrapperSource":
    """Open the wrapper that a spec describes, and what it wraps.

    Raises
    ------
    ValueError
        For a class that was not registered.
    """
    params = dict(spec.params)
    name = params.pop("cls")
    cls = _registry.get(name)
    if cls is None:
        raise ValueError(
            f"Unknown wrapper class {name!r}; it must be registered with @register_wrapper."
        )
    wrapped: Any = spec.wrapped
    specs = wrapped if isinstance(wrapped, list | tuple) else [wrapped]
    return cls._from_wrapped([from_spec(one) for one in specs], params)


register_opener("wrapper", wrapper_from_spec)


class WrapperSource(Source):
    """A source that changes another one; shape, dtype and chunks are the other's by default.

    A wrapper of one's own needs `_getitem`, which reads from `self.source`, and `_params`, the
    arguments that make it again, if it has any.

    Parameters
    ----------
    source
        The source or array to wrap.
    """

    def __init__(self, source: SourceLike) -> None:
        self._source = as_source(source)
        self._reader: NativeArray | None = None

    @property
    def source(self) -> Source:
        """The wrapped source."""
        return self._source

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, slowest axis first."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype:
        """Data type of the voxels."""
        return self._source.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        return self._source.chunks

    @property
    def shards(self) -> tuple[int, ...] | None:
        """What is written at once, where that is more than a chunk."""
        return self._source.shards

    @property
    def writable(self) -> bool:
        """Whether regions can be written."""
        return False

    def _setitem(self, roi: Roi, value: np.ndarray) -> None:
        raise TypeError("Wrapper sources are read-only.")

    @property
    def _wrapped_sources(self) -> tuple[Source, ...]:
        return (self._source,)

    def _params(self) -> dict[str, Any]:
        """The arguments, besides sources, that make this wrapper again."""
        return {}

    @classmethod
    def _from_wrapped(cls, sources: Sequence[Source], params: dict[str, Any]) -> "WrapperSource":
        return cls(sources[0], **params)

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        specs = [source.to_spec() for source in self._wrapped_sources]
        wrapped: Any = specs[0] if len(specs) == 1 else specs
        params = {**self._params(), "cls": type(self).__name__}
        return SourceSpec("wrapper", params=params, wrapped=wrapped)

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        """What the engine does to the wrapped array, in order, where it can do it all."""
        return None

    def _open_native(self, writable: bool) -> "_native.Array | None":
        if type(self) not in _fused or not self.shape or (writable and not self.writable):
            return None
        return self._build(writable)

    def _build(self, writable: bool) -> "_native.Array | None":
        steps = self._engine_steps() if is_native_dtype(self._source.dtype) else None
        if steps is None or 0 in self._source.shape or 0 in self.shape:
            return None
        array = engine_array(self._source, writable=writable)
        for step in steps:
            array = _native.wrap(json.dumps(step), array)
        return array

    def _read_native(self, roi: Roi) -> np.ndarray | None:
        """The region through the engine, where it can."""
        if self._reader is None or self._reader.shape != self.shape:
            native = self._build(writable=False)
            self._reader = native and NativeArray(native)
        return None if self._reader is None else self._reader[roi]


def _callable(transformation: Callable[..., Any]) -> Callable[..., Any]:
    if not callable(transformation):
        raise ValueError("Expect the transformation to be callable.")
    return transformation


def _is_empty(roi: Roi) -> bool:
    return any(part.start == part.stop for part in roi)


def _extents(roi: Roi) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in roi)


@register_wrapper
class SimpleTransformationSource(WrapperSource):
    """A function of the values of each block that is read.

    Parameters
    ----------
    source
        The source or array to wrap.
    transformation
        `transformation(block)` gives the changed block, of the same shape (without the channels).
    with_channels
        Whether the first axis holds channels: it is no axis of this source, and all of it is in the
        blocks that the function gets.
    dtype
        Data type of the result; by default the source's.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import SimpleTransformationSource
    >>> SimpleTransformationSource(np.arange(4), np.square)[1:3]
    array([1, 4])
    """

    def __init__(
        self,
        source: SourceLike,
        transformation: Callable[..., Any],
        *,
        with_channels: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(source)
        self._transformation = _callable(transformation)
        self._with_channels = bool(with_channels)
        self._dtype = None if dtype is None else np.dtype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, without the channels."""
        return self._source.shape[1:] if self._with_channels else self._source.shape

    @property
    def dtype(self) -> np.dtype:
        """Data type of the result."""
        return self._source.dtype if self._dtype is None else self._dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        return self._without_channels(self._source.chunks)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """What is written at once, where that is more than a chunk."""
        return self._without_channels(self._source.shards)

    def _without_channels(self, grid: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return grid[1:] if grid is not None and self._with_channels else grid

    def _getitem(self, roi: Roi) -> np.ndarray:
        index = (slice(None), *roi) if self._with_channels else roi
        return cast("np.ndarray", self._transformation(self._source[index]))

    def _params(self) -> dict[str, Any]:
        return {
            "transformation": self._transformation,
            "with_channels": self._with_channels,
            "dtype": self._dtype,
        }


@register_wrapper
class SimpleTransformationWithHaloSource(SimpleTransformationSource):
    """A function of the values of each block and of its surroundings.

    Parameters
    ----------
    source, transformation, with_channels, dtype
        As for `SimpleTransformationSource`.
    halo
        How many voxels more the function gets on both sides of each axis, as far as the array goes;
        the result is cut back.
    """

    def __init__(
        self,
        source: SourceLike,
        transformation: Callable[..., Any],
        halo: Sequence[int],
        *,
        with_channels: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(source, transformation, with_channels=with_channels, dtype=dtype)
        self._halo = tuple(int(extent) for extent in halo)
        if len(self._halo) != self.ndim:
            raise ValueError(f"Expect halo of length {self.ndim}, got {len(self._halo)}.")

    def _getitem(self, roi: Roi) -> np.ndarray:
        wider, inner = [], []
        for part, halo, extent in zip(roi, self._halo, self.shape, strict=True):
            start, stop = max(part.start - halo, 0), min(part.stop + halo, extent)
            wider.append(slice(start, stop))
            inner.append(slice(part.start - start, part.stop - start))
        if self._with_channels:
            wider.insert(0, slice(None))
            inner.insert(0, slice(None))
        changed = self._transformation(self._source[tuple(wider)])
        return cast("np.ndarray", changed[tuple(inner)])

    def _params(self) -> dict[str, Any]:
        return {**super()._params(), "halo": self._halo}


@register_wrapper
class TransformationSource(WrapperSource):
    """A function of the values of each block and of where it lies.

    Parameters
    ----------
    source
        The source or array to wrap.
    transformation
        `transformation(block, roi)` gives the changed block; `roi` is the tuple of slices.
    dtype
        Data type of the result; by default the source's.
    """

    def __init__(
        self, source: SourceLike, transformation: Callable[..., Any], *, dtype: Any = None
    ) -> None:
        super().__init__(source)
        self._transformation = _callable(transformation)
        self._dtype = None if dtype is None else np.dtype(dtype)

    @property
    def dtype(self) -> np.dtype:
        """Data type of the result."""
        return self._source.dtype if self._dtype is None else self._dtype

    def _getitem(self, roi: Roi) -> np.ndarray:
        return cast("np.ndarray", self._transformation(self._source[roi], roi))

    def _params(self) -> dict[str, Any]:
        return {"transformation": self._transformation, "dtype": self._dtype}


@register_wrapper
class MultiTransformationSource(WrapperSource):
    """A function of the values of several sources of one shape.

    Parameters
    ----------
    transformation
        `transformation(*blocks)` gives the combined block.
    sources
        The sources or arrays to wrap; the first one's chunks are this source's.
    apply_to_list
        Whether the function gets the blocks as one list.
    dtype
        Data type of the result; by default the first source's.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import MultiTransformationSource
    >>> MultiTransformationSource(np.add, np.arange(4), np.ones(4, int))[:2]
    array([1, 2])
    """

    def __init__(
        self,
        transformation: Callable[..., Any],
        *sources: SourceLike,
        apply_to_list: bool = False,
        dtype: Any = None,
    ) -> None:
        self._transformation = _callable(transformation)
        if not sources:
            raise ValueError("Expect at least one source.")
        self._sources = [as_source(source) for source in sources]
        super().__init__(self._sources[0])
        if any(source.shape != self._source.shape for source in self._sources):
            raise ValueError("All sources must have the same shape.")
        self._apply_to_list = bool(apply_to_list)
        self._dtype = None if dtype is None else np.dtype(dtype)

    @property
    def dtype(self) -> np.dtype:
        """Data type of the result."""
        return self._source.dtype if self._dtype is None else self._dtype

    @property
    def _wrapped_sources(self) -> tuple[Source, ...]:
        return tuple(self._sources)

    def _getitem(self, roi: Roi) -> np.ndarray:
        blocks = [source[roi] for source in self._sources]
        if self._apply_to_list:
            return cast("np.ndarray", self._transformation(blocks))
        return cast("np.ndarray", self._transformation(*blocks))

    def _params(self) -> dict[str, Any]:
        return {
            "transformation": self._transformation,
            "apply_to_list": self._apply_to_list,
            "dtype": self._dtype,
        }

    @classmethod
    def _from_wrapped(cls, sources: Sequence[Source], params: dict[str, Any]) -> "WrapperSource":
        return cls(params.pop("transformation"), *sources, **params)


_COMPARISONS: list[tuple[Callable[..., Any], str]] = [
    (np.greater, "greater"), (_operator.gt, "greater"),
    (np.greater_equal, "greater_equal"), (_operator.ge, "greater_equal"),
    (np.less, "less"), (_operator.lt, "less"),
    (np.less_equal, "less_equal"), (_operator.le, "less_equal"),
    (np.equal, "equal"), (_operator.eq, "equal"),
    (np.not_equal, "not_equal"), (_operator.ne, "not_equal"),
]  # fmt: skip


@_engine_wrapper
class ThresholdSource(SimpleTransformationSource):
    """Each voxel compared with a number, as `bool`.

    Parameters
    ----------
    source
        The source or array to wrap.
    threshold
        The number, compared as numpy compares an array with a Python float.
    operator
        One of numpy's comparisons, or a function `operator(block, threshold)`, which is then called
        for each block.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import ThresholdSource
    >>> ThresholdSource(np.arange(4), 1.5)[:]
    array([False, False,  True,  True])
    """

    def __init__(
        self, source: SourceLike, threshold: float, operator: Callable[..., Any] = np.greater
    ) -> None:
        self._threshold = float(threshold)
        self._operator = operator
        super().__init__(source, self._compare, dtype=np.dtype(bool))

    @property
    def threshold(self) -> float:
        """The number that voxels are compared with."""
        return self._threshold

    def _compare(self, block: np.ndarray) -> Any:
        return self._operator(block, self._threshold)

    def _getitem(self, roi: Roi) -> np.ndarray:
        block = self._read_native(roi)
        return super()._getitem(roi) if block is None else block

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        for known, name in _COMPARISONS:
            if self._operator is known:
                return [
                    {"wrapper": "threshold", "threshold": repr(self._threshold), "operator": name}
                ]
        return None

    def _params(self) -> dict[str, Any]:
        return {"threshold": self._threshold, "operator": self._operator}


@_engine_wrapper
class NormalizeSource(SimpleTransformationSource):
    """Each block that is read scaled to [0, 1] by its own minimum and maximum.

    What is read depends on the blocks: a whole array is scaled by its whole range, a block by the
    block's.

    Parameters
    ----------
    source
        The source or array to wrap.
    dtype
        Data type of the result, a float type.
    with_channels
        Whether the first axis holds channels, which are scaled together and stay in the blocks.
    """

    eps = 1.0e-6

    def __init__(
        self, source: SourceLike, dtype: str = "float32", with_channels: bool = False
    ) -> None:
        super().__init__(
            source, self._normalize, dtype=np.dtype(dtype), with_channels=with_channels
        )

    def _normalize(self, block: np.ndarray) -> np.ndarray:
        block = block.astype(self.dtype)
        block -= block.min()
        block /= block.max() + self.eps
        return block

    def _getitem(self, roi: Roi) -> np.ndarray:
        block = None if _is_empty(roi) else self._read_native(roi)
        return super()._getitem(roi) if block is None else block

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        if self._with_channels or self.dtype not in ("float32", "float64") or self.eps != 1e-6:
            return None
        return [{"wrapper": "normalize", "dtype": self.dtype.name}]

    def _params(self) -> dict[str, Any]:
        return {"dtype": str(self.dtype), "with_channels": self._with_channels}


@_engine_wrapper
class RoiSource(WrapperSource):
    """A region of a source, which can be written where the source can.

    Parameters
    ----------
    source
        The source or array to wrap.
    roi
        Integers and slices without a step, for the first axes; further axes are whole. Negative
        positions count from the end.
    squeeze
        Whether axes that an integer selects are left out; otherwise they have extent 1.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import RoiSource
    >>> data = np.zeros((4, 5), "uint8")
    >>> RoiSource(data, (2, slice(1, 4)), squeeze=True)[:] = 7
    >>> data[2].tolist()
    [0, 7, 7, 7, 0]
    """

    def __init__(
        self, source: SourceLike, roi: Sequence[int | slice], squeeze: bool = False
    ) -> None:
        super().__init__(source)
        self._given = tuple(roi)
        self._squeeze = bool(squeeze)
        shape = self._source.shape
        if len(self._given) > len(shape):
            raise ValueError(
                f"roi has more entries ({len(self._given)}) than source dimensions ({len(shape)})."
            )
        self._roi: list[slice] = []
        selected = []
        for axis, extent in enumerate(shape):
            entry = self._given[axis] if axis < len(self._given) else slice(None)
            if isinstance(entry, slice):
                start, stop, step = entry.indices(extent)
                if step != 1:
                    raise ValueError("RoiSource does not support strided slices.")
                self._roi.append(slice(start, max(start, stop)))
                continue
            if not isinstance(entry, int | np.integer):
                raise TypeError(f"roi entries must be ints or slices, got {type(entry)!r}.")
            position = int(entry) + (extent if entry < 0 else 0)
            if not 0 <= position < extent:
                raise IndexError(
                    f"index {entry} is out of bounds for axis {axis} with size {extent}."
                )
            self._roi.append(slice(position, position + 1))
            selected.append(axis)
        self._dropped = tuple(selected) if self._squeeze else ()
        self._kept = [axis for axis in range(len(shape)) if axis not in self._dropped]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the region."""
        whole = _extents(tuple(self._roi))
        return tuple(whole[axis] for axis in self._kept)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once: the source's chunk, not larger than the region."""
        chunks = self._source.chunks
        if chunks is None:
            return None
        return tuple(
            min(chunks[axis], extent) for axis, extent in zip(self._kept, self.shape, strict=True)
        )

    @property
    def shards(self) -> tuple[int, ...] | None:
        """None: the region need not fall on the source's shards."""
        return None

    @property
    def writable(self) -> bool:
        """Whether the source can be written."""
        return self._source.writable

    def _inwards(self, roi: Roi) -> Roi:
        inner = list(self._roi)
        for axis, part in zip(self._kept, roi, strict=True):
            start = self._roi[axis].start
            inner[axis] = slice(start + part.start, start + part.stop)
        return tuple(inner)

    def _getitem(self, roi: Roi) -> np.ndarray:
        return self._source[self._inwards(roi)].squeeze(self._dropped)

    def _setitem(self, roi: Roi, value: np.ndarray) -> None:
        block = np.broadcast_to(value, _extents(roi))
        self._source[self._inwards(roi)] = np.expand_dims(block, self._dropped)

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        region = {
            "start": [part.start for part in self._roi],
            "shape": list(_extents(tuple(self._roi))),
        }
        steps: list[dict[str, Any]] = [{"wrapper": "roi", "roi": region}]
        if self._dropped:
            steps.append({"wrapper": "axes", "axes": self._kept})
        return steps

    def _params(self) -> dict[str, Any]:
        return {"roi": self._given, "squeeze": self._squeeze}


@_engine_wrapper
class ChannelSource(RoiSource):
    """One channel of a source, without the channel axis.

    Parameters
    ----------
    source
        The source or array to wrap.
    channel
        Position along the axis; negative ones count from the end.
    axis
        The axis of the channels.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import ChannelSource
    >>> ChannelSource(np.zeros((3, 8, 9)), 1).shape
    (8, 9)
    """

    def __init__(self, source: SourceLike, channel: int, axis: int = 0) -> None:
        wrapped = as_source(source)
        if not -wrapped.ndim <= axis < wrapped.ndim:
            raise ValueError(f"axis {axis} is out of bounds for a source of ndim {wrapped.ndim}.")
        before = (slice(None),) * (axis % wrapped.ndim)
        super().__init__(wrapped, (*before, _operator.index(channel)), squeeze=True)
        self._channel, self._axis = int(channel), int(axis)

    def _params(self) -> dict[str, Any]:
        return {"channel": self._channel, "axis": self._axis}


# Modes whose voxels are voxels of the array, or zero; numpy has others.
_PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@_engine_wrapper
class PadSource(WrapperSource):
    """A source continued behind the end of each axis.

    Parameters
    ----------
    source
        The source or array to wrap.
    pad_width
        For each axis, how many voxels follow.
    mode
        As for `numpy.pad`. `constant`, `edge`, `reflect`, `symmetric` and `wrap` continue the whole
        array, whatever is read; other modes continue the part that is read, of which at least
        one voxel must lie in the array.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import PadSource
    >>> PadSource(np.arange(3), (4,), mode="reflect")[:]
    array([0, 1, 2, 1, 0, 1, 2])
    """

    def __init__(
        self, source: SourceLike, pad_width: Sequence[int], mode: str = "constant"
    ) -> None:
        super().__init__(source)
        if len(pad_width) != self._source.ndim:
            raise ValueError(
                f"Expect pad_width of length {self._source.ndim}, got {len(pad_width)}."
            )
        self._pad_width = tuple(int(width) for width in pad_width)
        self._mode = mode

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents with the padding."""
        pairs = zip(self._source.shape, self._pad_width, strict=True)
        return tuple(extent + width for extent, width in pairs)

    def _getitem(self, roi: Roi) -> np.ndarray:
        block = self._read_native(roi)
        if block is not None:
            return block
        extents = self._source.shape
        if any(part.start > extent for part, extent in zip(roi, extents, strict=True)):
            raise NotImplementedError("PadSource only supports right-padding.")
        inside = zip(roi, extents, strict=True)
        block = self._source[tuple(slice(p.start, min(p.stop, extent)) for p, extent in inside)]
        missing = [(0, n - m) for n, m in zip(_extents(roi), block.shape, strict=True)]
        if not any(width for _, width in missing):
            return block
        return np.pad(block, missing, mode=cast("Any", self._mode))

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        if self._mode not in _PAD_MODES or any(width < 0 for width in self._pad_width):
            return None
        return [{"wrapper": "pad", "right": self._pad_width, "mode": self._mode}]

    def _params(self) -> dict[str, Any]:
        return {"pad_width": self._pad_width, "mode": self._mode}


class _AxesSource(WrapperSource):
    """Axes of a source in another order, some of them new."""

    # For each axis, the source's axis, or none for a new one of extent 1.
    _axes: tuple[int | None, ...]

    def _outwards(self, grid: Sequence[int]) -> tuple[int, ...]:
        return tuple(1 if axis is None else grid[axis] for axis in self._axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, slowest axis first."""
        return self._outwards(self._source.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        chunks = self._source.chunks
        return None if chunks is None else self._outwards(chunks)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """The source's shards where no axis is new."""
        shards = self._source.shards
        return None if shards is None or None in self._axes else self._outwards(shards)

    def _getitem(self, roi: Roi) -> np.ndarray:
        if _is_empty(roi):
            return np.empty(_extents(roi), self.dtype)
        kept = [axis for axis in self._axes if axis is not None]
        inner = dict(zip(self._axes, roi, strict=True))
        block = self._source[tuple(inner[axis] for axis in range(self._source.ndim))]
        return block.transpose(kept).reshape(_extents(roi))

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        return [{"wrapper": "axes", "axes": self._axes}]


@_engine_wrapper
class ExpandDimsSource(_AxesSource):
    """A source with new axes of extent 1.

    Parameters
    ----------
    source
        The source or array to wrap.
    axis
        Where the new axes are in the result, one or several; negative ones count from the end.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import ExpandDimsSource
    >>> ExpandDimsSource(np.zeros((4, 5)), (0, -1)).shape
    (1, 4, 5, 1)
    """

    def __init__(self, source: SourceLike, axis: int | Sequence[int] = 0) -> None:
        super().__init__(source)
        self._axis = axis
        axes = [axis] if isinstance(axis, int | np.integer) else [int(one) for one in axis]
        ndim = self._source.ndim + len(axes)
        if not all(-ndim <= one < ndim for one in axes):
            raise ValueError(f"axis {axis} is out of bounds for expanded ndim {ndim}.")
        new = {int(one) % ndim for one in axes}
        if len(new) != len(axes):
            raise ValueError(f"repeated axis in {axis}.")
        old = iter(range(self._source.ndim))
        self._axes = tuple(None if one in new else next(old) for one in range(ndim))

    def _params(self) -> dict[str, Any]:
        return {"axis": self._axis}


@_engine_wrapper
class TransposeSource(_AxesSource):
    """A source with its axes in another order.

    Parameters
    ----------
    source
        The source or array to wrap.
    axes
        For each axis of the result, which axis of the source it is; negative ones count from the
        end.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import TransposeSource
    >>> TransposeSource(np.zeros((4, 5, 6)), (2, 0, 1)).shape
    (6, 4, 5)
    """

    def __init__(self, source: SourceLike, axes: Sequence[int]) -> None:
        super().__init__(source)
        ndim = self._source.ndim
        given = tuple(int(axis) for axis in axes)
        self._order = tuple(axis + ndim if axis < 0 else axis for axis in given)
        if sorted(self._order) != list(range(ndim)):
            raise ValueError(f"axes {given} are not the {ndim} axes of the source in some order.")
        self._axes = self._order

    def _params(self) -> dict[str, Any]:
        return {"axes": self._order}


@_engine_wrapper
class CastSource(WrapperSource):
    """A source in another data type.

    Parameters
    ----------
    source
        The source or array to wrap.
    dtype
        The data type.
    cast
        What happens to values that it cannot hold: `wrapping` as numpy's assignment does,
        `saturating`, or `checked` (an error that names the value).

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import CastSource
    >>> CastSource(np.array([-3, 300]), "uint8", cast="saturating")[:]
    array([  0, 255], dtype=uint8)
    """

    def __init__(self, source: SourceLike, dtype: Any, cast: str = "wrapping") -> None:
        super().__init__(source)
        self._dtype: np.dtype = np.dtype(dtype).newbyteorder("=")
        if cast not in ("wrapping", "saturating", "checked"):
            raise ValueError(f"cast must be wrapping, saturating or checked, got {cast!r}.")
        if not is_native_dtype(self._dtype):
            raise TypeError(f"A source cannot be cast to dtype {self._dtype}.")
        self._cast = cast

    @property
    def dtype(self) -> np.dtype:
        """Data type of the result."""
        return self._dtype

    def _getitem(self, roi: Roi) -> np.ndarray:
        if _is_empty(roi):
            return np.empty(_extents(roi), self._dtype)
        block = self._read_native(roi)
        if block is None:
            raise TypeError(f"A source of dtype {self._source.dtype} cannot be cast.")
        return block

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        return [{"wrapper": "cast", "dtype": self._dtype.name, "cast": self._cast}]

    def _params(self) -> dict[str, Any]:
        return {"dtype": self._dtype.name, "cast": self._cast}


class _SampledSource(WrapperSource):
    """A source whose voxels lie between those of another."""

    def _set_sampling(self, order: int, anti_aliasing: bool, fill_value: Any) -> None:
        ndim = self._source.ndim
        if ndim not in (2, 3):
            raise ValueError(f"{type(self).__name__} supports 2d or 3d data, got {ndim}d.")
        if not 0 <= int(order) <= 5:
            raise ValueError(f"order must be in [0, 5], got {order}.")
        self._order = int(order)
        self._anti_aliasing = bool(anti_aliasing)
        self._fill_value = fill_value

    @property
    def shards(self) -> tuple[int, ...] | None:
        """None: the grids differ."""
        return None

    def _getitem(self, roi: Roi) -> np.ndarray:
        if _is_empty(roi):
            return np.empty(_extents(roi), self.dtype)
        block = self._read_native(roi)
        if block is None:
            raise TypeError(f"A source of dtype {self.dtype} cannot be sampled between its voxels.")
        return block


@_engine_wrapper
class AffineSource(_SampledSource):
    """A source seen through an affine matrix: rotated, scaled, sheared, moved.

    Each voxel has the value at the source's coordinate `matrix @ position`, in voxels. Reading a
    block reads the box that it spans in the source, with a margin for interpolation and smoothing.

    Parameters
    ----------
    source
        The source or array to wrap, 2D or 3D.
    shape
        Shape of the result; by default the source's.
    affine_matrix
        The matrix from output to input coordinates, (ndim + 1, ndim + 1); or instead of it:
    scale, rotation, shear, translation
        What `bioimage_rs.transformation.compute_affine_matrix` takes; angles in degrees.
    order
        0 takes the nearest voxel (for labels), 1 is linear, 3 is Keys' cubic; 2, 4 and 5 are
        B-splines without a prefilter, which smooth.
    fill_value
        Value of what lies outside the source.
    anti_aliasing
        Whether the source is smoothed as far as voxels are left out; not for labels.
    """

    def __init__(
        self,
        source: SourceLike,
        shape: tuple[int, ...] | None = None,
        *,
        affine_matrix: np.ndarray | None = None,
        scale: list[float] | None = None,
        rotation: list[float] | None = None,
        shear: list[float] | None = None,
        translation: list[float] | None = None,
        order: int = 0,
        fill_value: Any = 0,
        anti_aliasing: bool = False,
    ) -> None:
        super().__init__(source)
        self._set_sampling(order, anti_aliasing, fill_value)
        parameters = (scale, rotation, shear, translation)
        if (affine_matrix is None) == all(one is None for one in parameters):
            raise ValueError(
                "Pass exactly one of affine_matrix or the scale/rotation/shear/translation "
                "parameters."
            )
        if affine_matrix is None:
            self._matrix = compute_affine_matrix(scale, rotation, shear, translation)
        else:
            self._matrix = np.asarray(affine_matrix, dtype="float64")
        expected = (self._source.ndim + 1,) * 2
        if self._matrix.shape != expected:
            raise ValueError(
                f"Invalid affine matrix shape {self._matrix.shape}, expected {expected}."
            )
        given = self._source.shape if shape is None else shape
        self._shape = tuple(int(extent) for extent in given)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the result."""
        return self._shape

    @property
    def matrix(self) -> np.ndarray:
        """The matrix from output to input coordinates."""
        return self._matrix

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        check_homogeneous(self._matrix)
        return [
            {
                "wrapper": "affine",
                "shape": self._shape,
                "matrix": matrix_text(self._matrix[:-1]),
                "order": self._order,
                "fill": fill_text(self._fill_value, self.dtype),
                "smoothing": "anti-aliasing" if self._anti_aliasing else "none",
            }
        ]

    def _params(self) -> dict[str, Any]:
        return {
            "shape": self._shape,
            "affine_matrix": self._matrix.tolist(),
            "order": self._order,
            "fill_value": self._fill_value,
            "anti_aliasing": self._anti_aliasing,
        }


@_engine_wrapper
class ResizedSource(_SampledSource):
    """A source on a finer or coarser grid.

    Parameters
    ----------
    source
        The source or array to wrap, 2D or 3D.
    shape
        Shape of the result.
    order
        As for `AffineSource`.
    anti_aliasing
        Whether axes that become coarser are smoothed before; not for labels.
    fill_value
        What orders above 1 take from beyond the source, with `align="corner"`.
    align
        `corner`: the centres of the first voxels lie on each other, and the image is shifted by up
        to half a voxel. `center`: the faces of the arrays do, and nothing is shifted.

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import ResizedSource
    >>> ResizedSource(np.array([[0.0, 8.0]]), (1, 4), order=1, align="center")[:]
    array([[0., 2., 6., 8.]])
    """

    def __init__(
        self,
        source: SourceLike,
        shape: tuple[int, ...],
        *,
        order: int = 0,
        anti_aliasing: bool = False,
        fill_value: float = 0,
        align: str = "corner",
    ) -> None:
        super().__init__(source)
        extents = self._source.shape
        if len(shape) != len(extents):
            raise ValueError(
                f"shape {tuple(shape)} must match the wrapped source dimensionality {len(extents)}."
            )
        self._set_sampling(order, anti_aliasing, fill_value)
        if align not in ("corner", "center"):
            raise ValueError(f"align must be corner or center, got {align!r}.")
        self._shape = tuple(int(extent) for extent in shape)
        self._align = align
        pairs = zip(extents, self._shape, strict=True)
        if any((extent == 0) != (out == 0) for extent, out in zip(extents, shape, strict=True)):
            raise ValueError(f"shape {tuple(shape)} cannot be made from shape {extents}.")
        self._scale = tuple(extent / float(out) if out else 1.0 for extent, out in pairs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the result."""
        return self._shape

    @property
    def scale(self) -> tuple[float, ...]:
        """Voxels of the source for each voxel of the result, for each axis."""
        return self._scale

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What the source's chunks are on the new grid."""
        chunks = self._source.chunks
        if chunks is None:
            return None
        sizes = zip(chunks, self._source.shape, self._shape, strict=True)
        return tuple(
            max(1, int(np.ceil(chunk * out / max(extent, 1)))) for chunk, extent, out in sizes
        )

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        return [
            {
                "wrapper": "resize",
                "shape": self._shape,
                "order": self._order,
                "fill": fill_text(self._fill_value, self.dtype),
                "anti_aliasing": self._anti_aliasing,
                "align": self._align,
            }
        ]

    def _params(self) -> dict[str, Any]:
        return {
            "shape": self._shape,
            "order": self._order,
            "anti_aliasing": self._anti_aliasing,
            "fill_value": self._fill_value,
            "align": self._align,
        }


@_engine_wrapper
class WindowSource(WrapperSource):
    """A source on a coarser grid, of which each voxel stands for a window of voxels.

    Parameters
    ----------
    source
        The source or array to wrap.
    factors
        Extents of a window: one number or one for each axis, at least 1. Windows at the end are
        clipped.
    method
        What becomes of a window: `mean` (of integers rounded, halves away from zero), `median`,
        `max`, `min`, `mode` (the most frequent value, the smallest of several; for labels) or
        `sparse-mode` (the same without 0, which is left only where there is nothing else).

    Examples
    --------
    >>> import numpy as np
    >>> from bioimage_rs.wrapper import WindowSource
    >>> WindowSource(np.array([[1, 1, 9], [5, 1, 9]]), 2, method="mode")[:]
    array([[1, 9]])
    """

    def __init__(
        self, source: SourceLike, factors: int | Sequence[int], *, method: str = "mean"
    ) -> None:
        super().__init__(source)
        ndim = self._source.ndim
        given = [factors] * ndim if isinstance(factors, int | np.integer) else factors
        self._factors = tuple(int(factor) for factor in given)
        if len(self._factors) != ndim:
            raise ValueError(
                f"factors {self._factors} must match the wrapped source dimensionality {ndim}."
            )
        if min(self._factors, default=1) < 1:
            raise ValueError(f"factors must be at least 1, got {self._factors}.")
        if method not in _WINDOW_METHODS:
            raise ValueError(f"method must be one of {_WINDOW_METHODS}, got {method!r}.")
        self._method = method

    def _coarser(self, extents: tuple[int, ...]) -> tuple[int, ...]:
        pairs = zip(extents, self._factors, strict=True)
        return tuple(-(-extent // factor) for extent, factor in pairs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the result."""
        return self._coarser(self._source.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What the source's chunks are on the new grid."""
        chunks = self._source.chunks
        return None if chunks is None else self._coarser(chunks)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """None: the grids differ."""
        return None

    def _getitem(self, roi: Roi) -> np.ndarray:
        if _is_empty(roi):
            return np.empty(_extents(roi), self.dtype)
        block = self._read_native(roi)
        if block is None:
            raise TypeError(f"Windows of a source of dtype {self.dtype} cannot be made one voxel.")
        return block

    def _engine_steps(self) -> list[dict[str, Any]] | None:
        return [{"wrapper": "window", "factors": self._factors, "method": self._method}]

    def _params(self) -> dict[str, Any]:
        return {"factors": self._factors, "method": self._method}


_WINDOW_METHODS = ("max", "mean", "median", "min", "mode", "sparse-mode")
