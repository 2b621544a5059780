"""Morphology: shapes of objects, and distances."""

from bioimage_rs.morphology._distance import distance_transform
from bioimage_rs.morphology._table import morphology

__all__ = ["distance_transform", "morphology"]
