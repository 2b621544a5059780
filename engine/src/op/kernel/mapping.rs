//! What labels become: a sorted table, asked once for each run of equal labels.

use super::values_mut;
use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};

/// New labels for old ones, each 32 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    old: Vec<i128>,
    new: Vec<i128>,
}

/// Labels that were asked for lately, and what became of them.
const RECENT: usize = 1 << 12;

impl Mapping {
    /// Of pairs of an old and its new label, in any order; of several with one old label the last
    /// counts.
    ///
    /// ```
    /// use bioimage_engine::{array::Array, op::kernel::mapping::Mapping};
    /// let mapping = Mapping::new(vec![(7, 1), (0, 0)]);
    /// let labels = Array::from_values::<u16>(&[4], &[7, 7, 0, 7])?;
    /// assert_eq!(mapping.apply(&labels, None)?.values::<u16>()?, [1, 1, 0, 1]);
    /// # Ok::<(), bioimage_engine::Error>(())
    /// ```
    pub fn new(mut pairs: Vec<(i128, i128)>) -> Mapping {
        // A stable sort leaves the last of equals last.
        pairs.sort_by_key(|pair| pair.0);
        pairs.reverse();
        pairs.dedup_by_key(|pair| pair.0);
        pairs.reverse();
        let (old, new) = pairs.into_iter().unzip();
        Mapping { old, new }
    }

    fn of(&self, label: i128) -> Result<i128> {
        self.old.binary_search(&label).map(|at| self.new[at]).map_err(|_| {
            Error::new(Kind::ValueOutOfRange, format!("relabeling is missing key {label}"))
                .fix("Give every label that occurs a new one.")
        })
    }

    /// The labels of a block with their new names, in the same data type; 0 where the mask is not set.
    ///
    /// Takes as much as the block, and 200 kB.
    ///
    /// # Errors
    /// `value-out-of-range` for a label that has no new one, or one that its type cannot hold.
    pub fn apply(&self, labels: &Array, mask: Option<&[bool]>) -> Result<Array> {
        let mut named = Array::zeros(labels.dtype(), labels.shape());
        dispatch!(labels.dtype(), T => {
            let mut recent: Vec<Option<(T, T)>> = vec![None; RECENT];
            let mut last: Option<(T, T)> = None;
            let name = |label: T| -> Result<T> {
                let Scalar::Integer(old) = label.widen() else {
                    return Err(Error::internal("labels that are no integers"));
                };
                let slot = (old as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
                match recent[slot as usize] {
                    Some((known, name)) if known == label => Ok(name),
                    _ => {
                        let new = self.of(old)?;
                        let name = T::saturate(Scalar::Integer(new));
                        if name.widen() != Scalar::Integer(new) {
                            return Err(too_large(new, labels.dtype()));
                        }
                        recent[slot as usize] = Some((label, name));
                        Ok(name)
                    }
                }
            };
            let mut name = name;
            let to = values_mut::<T>(&mut named)?;
            for (at, (to, &label)) in to.iter_mut().zip(labels.values::<T>()?).enumerate() {
                if mask.is_some_and(|mask| !mask[at]) {
                    continue;
                }
                *to = match last {
                    Some((known, name)) if known == label => name,
                    _ => {
                        let new = name(label)?;
                        last = Some((label, new));
                        new
                    }
                };
            }
        });
        Ok(named)
    }
}

fn too_large(label: i128, dtype: DType) -> Error {
    Error::new(Kind::ValueOutOfRange, format!("label {label} does not fit into {dtype}"))
        .fix("Cast the image to a larger integer type first.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_label_gets_its_name(
            labels in prop::collection::vec(-40i64..40, 0..300),
            shift in 0i128..1000,
        ) {
            let mapping = Mapping::new((-40..40).map(|label| (label, label * 3 + shift)).collect());
            let block = Array::from_values(&[labels.len() as u64], &labels).unwrap();
            let expected: Vec<i64> = labels.iter().map(|label| label * 3 + shift as i64).collect();
            let named = mapping.apply(&block, None).unwrap();
            prop_assert_eq!(named.values::<i64>().unwrap(), expected);
        }
    }

    #[test]
    fn labels_without_a_name_and_names_that_do_not_fit_are_told() {
        let mapping = Mapping::new(vec![(1, 300), (2, 5), (2, 6)]);
        let block = |labels: &[u8]| Array::from_values(&[labels.len() as u64], labels).unwrap();
        assert_eq!(mapping.apply(&block(&[2, 2]), None).unwrap(), block(&[6, 6]));
        let message = |labels| mapping.apply(&block(labels), None).unwrap_err().message;
        assert_eq!(message(&[2, 3]), "relabeling is missing key 3");
        assert_eq!(message(&[1]), "label 300 does not fit into uint8");
        let masked = mapping.apply(&block(&[3, 2]), Some(&[false, true])).unwrap();
        assert_eq!(masked, block(&[0, 6]));
        let far = Array::from_values(&[1], &[u64::MAX]).unwrap();
        let to_far = Mapping::new(vec![(i128::from(u64::MAX), i128::from(u64::MAX) - 1)]);
        assert_eq!(to_far.apply(&far, None).unwrap().values::<u64>().unwrap(), [u64::MAX - 1]);
    }
}
