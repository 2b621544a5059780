"""Morphology: shapes of objects, maxima and distances."""

from bioimage_rs.morphology._distance import distance_transform
from bioimage_rs.morphology._maxima import find_local_maxima
from bioimage_rs.morphology._table import morphology

__all__ = ["distance_transform", "find_local_maxima", "morphology"]
