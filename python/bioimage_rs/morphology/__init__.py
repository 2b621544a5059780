"""Morphology: shapes of objects, maxima and distances."""

from bioimage_rs.morphology._distance import distance_transform
from bioimage_rs.morphology._maxima import find_local_maxima
from bioimage_rs.morphology._points import map_points_to_objects
from bioimage_rs.morphology._regionprops import regionprops
from bioimage_rs.morphology._table import morphology

__all__ = [
    "distance_transform",
    "find_local_maxima",
    "map_points_to_objects",
    "morphology",
    "regionprops",
]
