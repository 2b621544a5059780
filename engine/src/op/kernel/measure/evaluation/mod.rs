//! How well a segmentation agrees with a reference.
//!
//! All but the overlap of foregrounds and the distances of points rest on the contingency table of
//! the two, whose first labels are those of the segmentation and whose second are the reference's.

mod assignment;
mod dice;
mod information;
mod matching;
mod points;
mod rand;
mod table;

pub use dice::{DicePartial, best_dice_scores};
pub use information::{ObjectInformation, Unit, cremi_scores, object_vi_scores, vi_scores};
pub use matching::{
    Criterion, Matches, default_thresholds, matching_scores, mean_segmentation_accuracy,
};
pub use points::coordinate_matching;
pub use rand::rand_scores;
pub use table::ContingencyTable;
