"""Segmentation: from images to labels, and from labels to better ones."""

from bioimage_rs.segmentation._label import label
from bioimage_rs.segmentation._relabel import (
    relabel,
    relabel_consecutive,
    segmentation_filter,
    size_filter,
)
from bioimage_rs.segmentation._watershed import watershed

__all__ = [
    "label",
    "relabel",
    "relabel_consecutive",
    "segmentation_filter",
    "size_filter",
    "watershed",
]
