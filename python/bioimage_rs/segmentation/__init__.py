"""Segmentation: from images to labels, and from labels to better ones."""

from bioimage_rs.segmentation._label import label

__all__ = ["label"]
