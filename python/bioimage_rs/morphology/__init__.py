"""Morphology: shapes of objects, and distances."""

from bioimage_rs.morphology._distance import distance_transform

__all__ = ["distance_transform"]
