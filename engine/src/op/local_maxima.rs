//! Local maxima: voxels that none near them exceeds.
//!
//! In one pass where only an absolute threshold is given, else in two, of which the first finds the
//! extremes of the image. Halo: the distance. Memory: the block with its halo and a copy of it, 8 bytes
//! for each voxel of a top in a block, and for the merge 24 bytes for each row of such voxels. Exactly
//! the maxima of the whole image, whatever the blocks: those that are too near to others are left out
//! when all are known.

use super::kernel::measure::maxima::{Partial, Place};
use super::passes::Successive;
use super::table::{Table, axis_names, of_axis};
use super::{ArrayShape, BlockIo};
use crate::array::{Array, Scalar};
use crate::error::Result;
use crate::grid::{Block, Region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of local maxima.
///
/// The result has a row for each maximum, the highest first, equal ones in C order: its coordinates `z`,
/// `y` and `x`, and its `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct LocalMaxima {
    /// How far around a maximum no voxel is higher, and how near to the border none is looked for
    #[serde(default = "one")]
    #[schemars(extend("unit" = "voxels"))]
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_distance: u64,
    /// Maxima are above this [default: the least value]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub threshold_abs: Option<Scalar>,
    /// Maxima are above this share of the greatest value
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub threshold_rel: Option<Scalar>,
}

fn one() -> u64 {
    1
}

impl LocalMaxima {
    fn threshold(&self, of: &Partial) -> Option<Scalar> {
        let [absolute, relative] =
            [self.threshold_abs, self.threshold_rel].map(|one| one.map(Scalar::as_f64));
        of.threshold(absolute, relative)
    }

    /// Whether a block's maxima can be told without knowing the others.
    fn knows_threshold(&self) -> bool {
        self.threshold_abs.is_some() && self.threshold_rel.is_none()
    }
}

impl Successive for LocalMaxima {
    type Partial = Option<Partial>;
    /// What maxima exceed; none where there are none.
    type State = Option<Scalar>;

    const NAME: &'static str = "local-maxima";
    const PYTHON: Option<&'static str> = Some("bp.morphology.find_local_maxima");

    fn check(&self, _: &[ArrayShape]) -> Result<()> {
        Ok(())
    }

    fn passes(&self) -> usize {
        if self.knows_threshold() { 1 } else { 2 }
    }

    fn stage(&self, pass: usize) -> &'static str {
        if pass + 1 == self.passes() { "find maxima" } else { "find extremes" }
    }

    fn halo(&self, pass: usize, ndim: usize) -> Vec<u64> {
        vec![if pass + 1 == self.passes() { self.min_distance } else { 0 }; ndim]
    }

    fn region(&self, state: Option<&Option<Scalar>>, block: &Block) -> Option<Region> {
        (state != Some(&None)).then(|| block.outer.clone())
    }

    fn block_bytes(&self, voxels: u64) -> u64 {
        voxels * 16
    }

    fn of_block(
        &self,
        state: Option<&Option<Scalar>>,
        io: &BlockIo,
        blocks: &[Array],
    ) -> Result<Option<Partial>> {
        let Some(block) = blocks.first() else { return Ok(None) };
        let image = io.inputs[0].shape();
        if state.is_none() && !self.knows_threshold() {
            return Partial::extremes_of(block, io.counted()?, image).map(Some);
        }
        let found = Partial::extremes_of(block, None, image)?;
        let Some(threshold) = state.map_or_else(|| self.threshold(&found), |known| *known) else {
            return Ok(Some(found));
        };
        let place = Place { inner: &io.block.inner_in_outer(), start: &io.block.outer.start };
        found.with_candidates(block, io.counted()?, place, self.min_distance, threshold).map(Some)
    }

    fn merge(&self, into: &mut Option<Partial>, other: Option<Partial>) {
        match (into, other) {
            (Some(into), Some(other)) => into.merge(other),
            (into, Some(other)) => *into = Some(other),
            (_, None) => {}
        }
    }

    fn advance(
        &self,
        _: Option<&Option<Scalar>>,
        whole: Option<Option<Partial>>,
    ) -> Result<Option<Scalar>> {
        Ok(whole.flatten().and_then(|whole| self.threshold(&whole)))
    }

    fn finish(&self, _: Option<&Option<Scalar>>, whole: Option<Option<Partial>>) -> Result<Table> {
        let Some(whole) = whole.flatten() else { return Ok(Table::default()) };
        let ndim = whole.ndim();
        let found = whole.finish(self.min_distance)?;
        let shape = found.values.shape().to_vec();
        let mut table = Table::default();
        for (axis, name) in axis_names(ndim).iter().enumerate() {
            let column = of_axis(&found.places, axis, ndim);
            table = table.with(name, Array::from_values(&shape, &column)?);
        }
        Ok(table.with("value", found.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{ravel, unravel};
    use crate::op::parameters::Parameters;
    use crate::op::passes::Passes;
    use crate::run::folder::Code;
    use crate::run::{Options, RunState, Setup};
    use crate::source::memory::MemoryArray;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// The table of an image, in blocks of a shape.
    fn found(maxima: &LocalMaxima, image: &Array, mask: Option<&Array>, block: &[u64]) -> Table {
        let memory = |array: &Array| Arc::new(MemoryArray::from_array(array).unwrap());
        let operation = Passes { measure: maxima.clone() };
        let setup = Setup {
            spec: operation.spec(),
            operation: Arc::new(operation),
            payload: None,
            inputs: vec![memory(image)],
            outputs: vec![],
            mask: mask.map(|mask| memory(mask) as _),
            domain: None,
            block_shape: Some(block.to_vec()),
            block_ids: None,
            options: Options { workers: 2, ..Options::default() },
            code: Code::default(),
        };
        let run = setup.prepare().unwrap().start().unwrap();
        let outcome = run.wait();
        assert_eq!(outcome.state, RunState::Succeeded, "{:?}", outcome.error);
        run.folder().table().unwrap()
    }

    fn maxima(min_distance: u64, absolute: Option<f64>, relative: Option<f64>) -> LocalMaxima {
        let [threshold_abs, threshold_rel] = [absolute, relative].map(|x| x.map(Scalar::Float));
        LocalMaxima { min_distance, threshold_abs, threshold_rel }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn maxima_are_the_same_in_any_blocks(
            values in prop_oneof![
                prop::collection::vec(0u8..3, 17 * 13),
                prop::collection::vec(any::<u8>(), 17 * 13),
            ],
            distance in 0u64..5,
            absolute in prop::option::of(-1.0f64..3.0),
            relative in prop::option::of(0.0f64..1.0),
            block in [1u64..18, 1u64..14],
        ) {
            let image = Array::from_values(&[17, 13], &values).unwrap();
            let maxima = maxima(distance, absolute, relative);
            let whole = found(&maxima, &image, None, &[17, 13]);
            prop_assert_eq!(found(&maxima, &image, None, &block), whole);
        }
    }

    #[test]
    fn a_long_top_keeps_its_maxima_apart_through_all_blocks() {
        // Of a ridge one voxel in three remains, counted from its beginning on.
        let values: Vec<u8> = (0..40 * 9).map(|i| u8::from(i / 40 == 4)).collect();
        let image = Array::from_values(&[9, 40], &values).unwrap();
        let table = found(&maxima(3, None, None), &image, None, &[2, 7]);
        let expected: Vec<i64> = (3..37).step_by(3).collect();
        assert_eq!(table.column("x").unwrap().values::<i64>().unwrap(), expected);
        assert_eq!(table.column("value").unwrap().dtype(), image.dtype());
    }

    #[test]
    fn shares_are_of_the_highest_voxel_of_all_and_masks_leave_out() {
        let mut values = vec![0u16; 400];
        let place = |at: [u64; 2]| ravel(&at, &[20, 20]) as usize;
        for (at, value) in [([3, 3], 100), ([12, 12], 40), ([5, 16], 60)] {
            values[place(at)] = value;
        }
        let image = Array::from_values(&[20, 20], &values).unwrap();
        let places = |maxima: &LocalMaxima, mask: Option<&Array>| {
            found(maxima, &image, mask, &[8, 8])
                .column("y")
                .unwrap()
                .values::<i64>()
                .unwrap()
                .to_vec()
        };
        assert_eq!(places(&maxima(1, None, None), None), [3, 5, 12]);
        assert_eq!(places(&maxima(1, None, Some(0.5)), None), [3, 5]);
        assert_eq!(places(&maxima(1, Some(39.0), None), None), [3, 5, 12]);
        let counts: Vec<bool> = (0..400).map(|voxel| unravel(voxel, &[20, 20])[0] > 4).collect();
        let mask = Array::from_values(&[20, 20], &counts).unwrap();
        assert_eq!(places(&maxima(1, None, Some(0.65)), Some(&mask)), [5, 12]);
    }

    #[test]
    fn a_level_image_has_no_maxima() {
        let image = Array::from_values(&[9, 9], &[7u8; 81]).unwrap();
        for absolute in [None, Some(1.0)] {
            assert_eq!(found(&maxima(1, absolute, None), &image, None, &[4, 4]).rows(), 0);
        }
        assert_eq!(found(&maxima(0, Some(1.0), None), &image, None, &[4, 4]).rows(), 81);
    }
}
