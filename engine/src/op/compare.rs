//! Compare: how well a segmentation agrees with a reference, by the voxels that each pair of their
//! labels shares.
//!
//! Halo: none. Memory: the blocks, and some 60 bytes for each different pair; for the merge 24 bytes for
//! each pair. Pairs are exact in 64 bits.

use super::kernel::measure::evaluation::{
    ContingencyTable, Criterion, Unit, best_dice_scores, cremi_scores, default_thresholds,
    matching_scores, mean_segmentation_accuracy, rand_scores,
};
use super::kernel::measure::overlaps::Partial;
use super::parameters::Input;
use super::reduce::Reduction;
use super::table::Table;
use super::{ArrayShape, BlockIo};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A segmentation and its reference.
pub const SEGMENTATION_AND_REFERENCE: &[Input] = &[
    Input { name: "SEG", help: "Segmentation: labels, of an integer data type" },
    Input { name: "GT", help: "Reference (ground truth), of the same shape" },
];

/// What is told of a comparison.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Report {
    /// One row of scores
    #[default]
    Scores,
    /// Pairs of labels with the voxels that they share
    Pairs,
}

/// Parameters of a comparison.
///
/// The result has one row of scores: variation of information in bits, adapted Rand error, Rand index,
/// CREMI score; and by objects, without label 0: precision, recall, segmentation accuracy and F1 at an
/// intersection over union of 0.5, mean segmentation accuracy and symmetric best Dice score. Or it
/// has the contingency table: `label_a`, `label_b`, `count`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Compare {
    /// What is told: scores, or the contingency table
    #[serde(default)]
    #[arg(long, value_name = "WHAT", default_value_t, value_enum)]
    pub report: Report,
    /// Labels of the segmentation whose voxels do not count, such as 0,17
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub ignore_seg: Vec<u64>,
    /// Labels of the reference whose voxels do not count, such as 0
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub ignore_gt: Vec<u64>,
}

/// Checks that two images have one shape.
///
/// # Errors
/// `shape-mismatch` otherwise.
pub fn check_shapes(inputs: &[ArrayShape]) -> Result<()> {
    match inputs {
        [a, b] if a.shape != b.shape => Err(Error::new(
            Kind::ShapeMismatch,
            format!("the segmentation has shape {:?}, the reference {:?}", a.shape, b.shape),
        )
        .fix("Compare images of one shape.")),
        _ => Ok(()),
    }
}

impl Reduction for Compare {
    type Partial = Partial;

    const NAME: &'static str = "compare";
    const INPUTS: &'static [Input] = SEGMENTATION_AND_REFERENCE;

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        for (input, (name, argument)) in inputs.iter().zip([("seg_a", "SEG"), ("seg_b", "GT")]) {
            if !input.dtype.is_integer() || input.dtype == DType::Bool {
                let dtype = input.dtype;
                return Err(Error::new(
                    Kind::DtypeMismatch,
                    format!(
                        "contingency_table expects integer label images, got dtype {dtype} for \
                         {name}."
                    ),
                )
                .about(argument)
                .fix("Convert the image to an integer type."));
            }
        }
        check_shapes(inputs)
    }

    fn block_bytes(&self, voxels: u64) -> u64 {
        // Pairs that have some voxels each.
        voxels * 8
    }

    fn of_block(&self, io: &BlockIo, blocks: &[Array]) -> Result<Partial> {
        Partial::of_block(&blocks[0], &blocks[1], io.counted()?)
    }

    fn merge(&self, into: &mut Partial, other: Partial) {
        into.merge(other);
    }

    fn finish(&self, whole: Option<Partial>) -> Result<Table> {
        let Some(whole) = whole else { return Ok(Table::default()) };
        let table = ContingencyTable::new(whole.finish());
        let table = table.drop_ignore(&self.ignore_seg, &self.ignore_gt);
        match self.report {
            Report::Pairs => pairs(&table),
            Report::Scores if table.n_points == 0 => Ok(Table::default()),
            Report::Scores => scores(&table),
        }
    }
}

fn pairs(table: &ContingencyTable) -> Result<Table> {
    let shape = [table.pairs.len() as u64];
    let side = |side: usize| table.pairs.iter().map(|pair| pair[side]).collect::<Vec<u64>>();
    Ok(Table::default()
        .with("label_a", Array::from_values(&shape, &side(0))?)
        .with("label_b", Array::from_values(&shape, &side(1))?)
        .with("count", Array::from_values(&shape, &table.counts)?))
}

fn scores(table: &ContingencyTable) -> Result<Table> {
    const BACKGROUND: Option<u64> = Some(0);
    let (split, merge, error, cremi) = cremi_scores(table, Unit::Bits);
    let (_, rand_index) = rand_scores(table);
    let matches = matching_scores(table, 0.5, Criterion::Iou, BACKGROUND);
    let (mean, _) = mean_segmentation_accuracy(table, &default_thresholds(), BACKGROUND);
    let scores = [
        ("vi_split", split),
        ("vi_merge", merge),
        ("adapted_rand_error", error),
        ("rand_index", rand_index),
        ("cremi_score", cremi),
        ("precision", matches.precision),
        ("recall", matches.recall),
        ("segmentation_accuracy", matches.segmentation_accuracy),
        ("f1", matches.f1),
        ("mean_segmentation_accuracy", mean),
        ("symmetric_best_dice", best_dice_scores(table, BACKGROUND)),
    ];
    scores.into_iter().try_fold(Table::default(), |table, (name, score)| {
        Ok(table.with(name, Array::from_values(&[1], &[score])?))
    })
}
