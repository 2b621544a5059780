"""How well a segmentation agrees with a reference.

Every score is there twice: as a function of two label images, which counts their overlaps block by
block, and as one of a `ContingencyTable` (`..._scores`), for several scores from one pass.
"""

from bioimage_rs.evaluation._contingency import ContingencyTable, contingency_table
from bioimage_rs.evaluation._dice import best_dice_scores, dice_score, symmetric_best_dice_score
from bioimage_rs.evaluation._information import (
    cremi_score,
    cremi_scores,
    object_vi,
    object_vi_scores,
    rand_index,
    rand_scores,
    variation_of_information,
    vi_scores,
)
from bioimage_rs.evaluation._matching import (
    centroid_matching,
    coordinate_matching,
    matching,
    matching_scores,
    mean_segmentation_accuracy,
    mean_segmentation_accuracy_scores,
)

__all__ = [
    "ContingencyTable",
    "best_dice_scores",
    "centroid_matching",
    "contingency_table",
    "coordinate_matching",
    "cremi_score",
    "cremi_scores",
    "dice_score",
    "matching",
    "matching_scores",
    "mean_segmentation_accuracy",
    "mean_segmentation_accuracy_scores",
    "object_vi",
    "object_vi_scores",
    "rand_index",
    "rand_scores",
    "symmetric_best_dice_score",
    "variation_of_information",
    "vi_scores",
]
