"""Volumes of CloudVolume."""

import threading
from typing import Any

import numpy as np

from bioimage_rs.io._packages import require
from bioimage_rs.sources._base import Source, SourceSpec, register_opener, register_source


class CloudVolumeSource(Source):
    """A volume of one channel, or a box of it, in the order z, y, x and from (0, 0, 0) on.

    CloudVolume is used by one thread at a time: several workers wait for each other while they read
    and write. Worker processes open the volume again, each for itself.

    Parameters
    ----------
    volume
        An opened `cloudvolume.CloudVolume`.
    offset, size
        Start and extents of the box in absolute voxels, in the order x, y, z; the whole volume by
        default.
    open_params
        How the volume was opened, for worker processes.

    Raises
    ------
    ValueError
        For a volume of several channels.
    """

    def __init__(
        self,
        volume: Any,
        offset: tuple[int, int, int] | None = None,
        size: tuple[int, int, int] | None = None,
        open_params: dict[str, Any] | None = None,
    ) -> None:
        channels = int(volume.shape[3])
        if channels != 1:
            raise ValueError(
                f"CloudVolumeSource supports single-channel volumes only, got {channels} channels."
            )
        self._volume = volume
        self._lock = threading.Lock()
        self._offset = tuple(int(at) for at in (volume.voxel_offset if offset is None else offset))
        self._size = tuple(int(n) for n in (volume.volume_size if size is None else size))
        self._open_params = dict(open_params or {})

    @property
    def volume(self) -> Any:
        """CloudVolume's own object."""
        return self._volume

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, in the order z, y, x."""
        return self._size[::-1]

    @property
    def dtype(self) -> np.dtype:
        """Data type of the voxels."""
        dtype: np.dtype = np.dtype(self._volume.dtype)
        return dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is stored in one file."""
        return tuple(int(extent) for extent in self._volume.chunk_size)[::-1]

    def _absolute(self, roi: tuple[slice, ...]) -> tuple[slice, ...]:
        return tuple(
            slice(origin + part.start, origin + part.stop)
            for origin, part in zip(self._offset, reversed(roi), strict=True)
        )

    def _getitem(self, roi: tuple[slice, ...]) -> np.ndarray:
        if any(part.start == part.stop for part in roi):
            return np.empty([part.stop - part.start for part in roi], self.dtype)
        with self._lock:
            block = np.asarray(self._volume[self._absolute(roi)])
        return block[..., 0].T

    def _setitem(self, roi: tuple[slice, ...], value: np.ndarray) -> None:
        shape = [part.stop - part.start for part in roi]
        block = np.broadcast_to(np.asarray(value, self.dtype), shape)
        with self._lock:
            self._volume[self._absolute(roi)] = block.T[..., np.newaxis]

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        params = {**self._open_params, "offset": list(self._offset), "size": list(self._size)}
        return SourceSpec("cloudvolume", str(self._volume.cloudpath), params=params)

    @staticmethod
    def reopen(spec: SourceSpec) -> "CloudVolumeSource":
        """Open the volume of a spec."""
        return open_cloudvolume(str(spec.path), **spec.params)


def open_cloudvolume(
    cloudpath: str,
    mip: int = 0,
    fill_missing: bool = False,
    bounded: bool = True,
    cache: bool = False,
    non_aligned_writes: bool = True,
    offset: tuple[int, int, int] | None = None,
    size: tuple[int, int, int] | None = None,
    **kwargs: Any,
) -> CloudVolumeSource:
    """Open a volume with CloudVolume, for reading and writing.

    Parameters
    ----------
    cloudpath
        Where it lies, such as `precomputed://gs://bucket/layer` or `file:///data/layer`.
    mip
        The resolution level, 0 the finest.
    fill_missing
        Whether chunks that are not stored are zeros, not errors. An output needs it where its
        extents are not multiples of the chunk's.
    bounded
        Whether regions outside the volume are errors.
    cache
        Whether CloudVolume keeps what it read on this machine's disk.
    non_aligned_writes
        Whether parts of chunks may be written.
    offset, size
        A box in absolute voxels, in the order x, y, z.
    kwargs
        Handed to `cloudvolume.CloudVolume`.

    Raises
    ------
    ImportError
        If cloud-volume is missing.
    ValueError
        For a volume of several channels.

    Examples
    --------
    >>> import bioimage_rs as bp
    >>> source = bp.open_cloudvolume("file:///data/layer", mip=1)  # doctest: +SKIP
    """
    cloudvolume = require("cloudvolume", "open this volume", "cloud-volume")
    params = {
        "mip": mip,
        "fill_missing": fill_missing,
        "bounded": bounded,
        "cache": cache,
        "non_aligned_writes": non_aligned_writes,
        **kwargs,
    }
    volume = cloudvolume.CloudVolume(cloudpath, **{"progress": False, **params})
    return CloudVolumeSource(volume, offset, size, params)


def _from_cloudvolume(volume: Any) -> Source:
    params = {
        "mip": int(volume.mip),
        "fill_missing": bool(volume.fill_missing),
        "bounded": bool(volume.bounded),
        "non_aligned_writes": bool(getattr(volume, "non_aligned_writes", False)),
        "cache": bool(getattr(getattr(volume, "cache", None), "enabled", False)),
    }
    return CloudVolumeSource(volume, open_params=params)


def _is_cloudvolume(obj: object) -> bool:
    return type(obj).__module__.partition(".")[0] == "cloudvolume" and hasattr(obj, "cloudpath")


register_source(_is_cloudvolume, _from_cloudvolume)
register_opener("cloudvolume", CloudVolumeSource.reopen)
