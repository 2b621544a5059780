"""Layers of WEBKNOSSOS datasets."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from bioimage_rs.io._packages import require
from bioimage_rs.sources._base import Source, SourceSpec, register_opener


class WebKnossosSource(Source):
    """A layer of one channel, or a box of it, in the order z, y, x; it can only be read.

    The shape is that of the magnification; `offset` and `size` are in voxels of the full
    resolution, as bounding boxes are in WEBKNOSSOS. The library is used by one thread at a time:
    several workers wait for each other while they read.

    Parameters
    ----------
    dataset_name_or_url
        A folder on this machine, the name or address of a dataset on a server, or the address of an
        annotation.
    organization_id
        The organisation that the dataset's name belongs to.
    layer_name
        The layer.
    mag
        The magnification, 1 the finest.
    offset, size
        A box in voxels of the full resolution, in the order x, y, z; the whole layer by default.

    Raises
    ------
    ImportError
        If webknossos is missing.
    IndexError
        For a layer that is not there.
    ValueError
        For a layer of several channels.
    """

    def __init__(
        self,
        dataset_name_or_url: str,
        organization_id: str | None = None,
        layer_name: str = "",
        mag: int = 1,
        offset: tuple[int, int, int] | None = None,
        size: tuple[int, int, int] | None = None,
    ) -> None:
        webknossos = require("webknossos", "open WEBKNOSSOS datasets")
        self._lock = threading.Lock()
        self._mag = int(mag)
        self._layer = _open_layer(
            webknossos, dataset_name_or_url, organization_id, layer_name, self._mag
        )
        channels = int(self._layer.layer.num_channels)
        if channels != 1:
            raise ValueError(
                f"WebKnossosSource supports single-channel layers only, got {channels} channels."
            )
        box, info = self._layer.bounding_box, self._layer.info
        self._offset = _xyz(box.topleft if offset is None else offset)
        self._size = _xyz(box.size if size is None else size)
        self._box = webknossos.BoundingBox
        read = self._box(topleft=self._offset, size=self._size).in_mag(webknossos.Mag(self._mag))
        self._shape = _xyz(read.size)[::-1]
        self._chunks = _xyz(info.chunk_shape)[::-1]
        self._dtype: np.dtype = np.dtype(info.voxel_type)
        self._dataset = {
            "dataset_name_or_url": dataset_name_or_url,
            "organization_id": organization_id,
            "layer_name": layer_name,
        }

    @property
    def layer(self) -> Any:
        """The library's own view of the magnification."""
        return self._layer

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents at the magnification, in the order z, y, x."""
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """Data type of the voxels."""
        return self._dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read at once."""
        return self._chunks

    @property
    def writable(self) -> bool:
        """Never."""
        return False

    def _getitem(self, roi: tuple[slice, ...]) -> np.ndarray:
        shape = tuple(part.stop - part.start for part in roi)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        starts = zip(self._offset, reversed(roi), strict=True)
        box = self._box(
            topleft=tuple(origin + part.start * self._mag for origin, part in starts),
            size=tuple(extent * self._mag for extent in reversed(shape)),
        )
        with self._lock:
            block: np.ndarray = np.asarray(self._layer.read(absolute_bounding_box=box))[0].T
        if block.shape != shape:
            raise RuntimeError(
                f"WebKnossos read returned ZYX shape {block.shape}, expected {shape} "
                f"(mag={self._mag}); the box does not fit the magnification."
            )
        return block

    def to_spec(self) -> SourceSpec:
        """See `Source.to_spec`."""
        box = {"mag": self._mag, "offset": list(self._offset), "size": list(self._size)}
        return SourceSpec("webknossos", params={**self._dataset, **box})

    @staticmethod
    def reopen(spec: SourceSpec) -> "WebKnossosSource":
        """Open the layer of a spec."""
        return WebKnossosSource(**spec.params)


def open_webknossos(
    dataset_name_or_url: str,
    organization_id: str | None = None,
    layer_name: str = "",
    mag: int = 1,
    offset: tuple[int, int, int] | None = None,
    size: tuple[int, int, int] | None = None,
) -> WebKnossosSource:
    """Open a layer of a WEBKNOSSOS dataset for reading.

    See `WebKnossosSource` for the arguments and the errors.
    """
    return WebKnossosSource(dataset_name_or_url, organization_id, layer_name, mag, offset, size)


def _open_layer(
    webknossos: Any, place: str, organization_id: str | None, layer_name: str, mag: int
) -> Any:
    if Path(place).is_dir():
        dataset = webknossos.Dataset.open(place)
    else:
        try:
            dataset = webknossos.Dataset.open_remote(
                dataset_name_or_url=place, organization_id=organization_id
            )
        except ValueError:
            # The address of an annotation, not of a dataset.
            dataset = webknossos.Annotation.download(place).get_remote_annotation_dataset()
    try:
        return dataset.get_layer(layer_name).get_mag(mag)
    except IndexError:
        raise IndexError(
            f"The layer '{layer_name}' is not available. Choose one of {dataset.layers}."
        ) from None


def _xyz(values: Any) -> tuple[int, ...]:
    return tuple(int(values[axis]) for axis in range(3))


register_opener("webknossos", WebKnossosSource.reopen)
