//! Relabelling: by a given table, to consecutive labels, or without objects that are too small or too
//! large. The last two find the labels in a first pass and write in a second one.
//!
//! Halo: none. Memory: the block twice, and 32 bytes for each label of the whole image. Exact for labels
//! of all integer types.

use super::blockwise::write_block;
use super::kernel::mapping::Mapping;
use super::kernel::measure::unique::{Partial, Unique};
use super::parameters::{Input, ONE_INPUT, Parameters};
use super::reduce::{merged_all, of_block};
use super::table::Table;
use super::{ArrayShape, BlockIo, Operation, Product, Traffic, Writes};
use crate::array::{Array, Cast, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::error::{Error, Kind, Result};
use crate::run::partials::Partials;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Parameters of a relabelling by a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relabel {
    /// Old labels, each with its new one.
    pub pairs: Vec<(i128, i128)>,
}

impl Relabel {
    /// The operation's name.
    pub const NAME: &'static str = "relabel";
}

/// Parameters of a relabelling to consecutive labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct RelabelConsecutive {
    /// The first new label
    #[serde(default)]
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub start_label: u64,
    /// Count 0 as a label like all others; else 0 stays 0
    #[serde(default)]
    #[arg(long)]
    pub without_zeros: bool,
}

/// Parameters of a filter by size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct SizeFilter {
    /// Objects of fewer voxels become 0 [default: any size is large enough]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("unit" = "voxels"))]
    #[arg(long, value_name = "VOXELS")]
    pub min_size: Option<u64>,
    /// Objects of more voxels become 0 [default: no size is too large]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("unit" = "voxels"))]
    #[arg(long, value_name = "VOXELS")]
    pub max_size: Option<u64>,
    /// Leave the other objects their labels; else they become 1, 2, 3, ...
    #[serde(default)]
    #[arg(long)]
    pub keep_labels: bool,
}

impl Parameters for RelabelConsecutive {
    const NAME: &'static str = "relabel-consecutive";
    const INPUTS: &'static [Input] = ONE_INPUT;
    const PYTHON: Option<&'static str> = None;
}

impl Parameters for SizeFilter {
    const NAME: &'static str = "size-filter";
    const INPUTS: &'static [Input] = ONE_INPUT;
    const PYTHON: Option<&'static str> = None;
}

/// What labels become, as far as that follows from all labels and their sizes.
trait Renaming: Clone + Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// New labels of the old ones, which are sorted and come with their sizes.
    fn rename(&self, labels: &[i128], sizes: &[u64]) -> Vec<i128>;

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Renaming for RelabelConsecutive {
    fn name(&self) -> &'static str {
        <Self as Parameters>::NAME
    }

    fn rename(&self, labels: &[i128], _: &[u64]) -> Vec<i128> {
        let from = i128::from(self.start_label);
        let numbered = labels.iter().zip(from..);
        numbered
            .map(|(label, number)| if *label == 0 && !self.without_zeros { 0 } else { number })
            .collect()
    }
}

impl Renaming for SizeFilter {
    fn name(&self) -> &'static str {
        <Self as Parameters>::NAME
    }

    fn rename(&self, labels: &[i128], sizes: &[u64]) -> Vec<i128> {
        let stays = |label: i128, size: u64| {
            label != 0
                && self.min_size.is_none_or(|least| size >= least)
                && self.max_size.is_none_or(|most| size <= most)
        };
        let mut next = 0;
        let names = labels.iter().zip(sizes).map(|(&label, &size)| {
            if !stays(label, size) {
                return 0;
            }
            next += 1;
            if self.keep_labels { label } else { next }
        });
        names.collect()
    }

    fn check(&self) -> Result<()> {
        if self.min_size.is_some() || self.max_size.is_some() {
            return Ok(());
        }
        Err(Error::argument("size-filter requires at least one of min-size or max-size")
            .about("min_size")
            .fix("Give --min-size, --max-size or both."))
    }
}

fn check_labels(name: &str, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
    match inputs {
        [input] if input.dtype.is_integer() => Ok(vec![input.clone()]),
        [input] => Err(Error::new(
            Kind::DtypeMismatch,
            format!("{name} expects an integer label image, got dtype {}", input.dtype),
        )
        .fix("Give an image of labels.")),
        _ => Err(Error::argument(format!("{name} takes one input, not {}", inputs.len()))),
    }
}

fn block_bytes(voxels: u64, inputs: &[ArrayShape]) -> u64 {
    2 * voxels * inputs.iter().map(|input| input.dtype.size() as u64).sum::<u64>()
}

macro_rules! first_pass {
    ($type:ty) => {
        impl Operation for $type {
            fn name(&self) -> &str {
                Renaming::name(self)
            }

            fn stage(&self) -> &str {
                "find labels"
            }

            fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
                self.check()?;
                check_labels(Renaming::name(self), inputs)
            }

            fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
                // Where most voxels differ, counting takes 8 bytes for each.
                block_bytes(voxels, inputs) + 8 * voxels
            }

            fn run(&self, io: &BlockIo) -> Result<Product> {
                count(io)
            }

            fn gives_partials(&self) -> bool {
                true
            }

            fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
                rename_all(self, partials, merged)
            }

            fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
                let mapping = merged.map(read_mapping).transpose()?.unwrap_or_default();
                let name = Renaming::name(self);
                Ok(Some(Arc::new(Apply { name, stage: "write labels", mapping })))
            }

            fn may_run_in_place(&self) -> bool {
                true
            }

            fn writes(&self) -> Writes {
                Writes::Nothing
            }
        }
    };
}
first_pass!(RelabelConsecutive);
first_pass!(SizeFilter);

/// The labels of a block with their sizes.
fn count(io: &BlockIo) -> Result<Product> {
    of_block(io, Some(&io.block.inner), |blocks| Partial::of_block(&blocks[0], io.counted()?))
}

fn rename_all(renaming: &impl Renaming, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
    let whole = merged_all(partials, Partial::merge)?;
    let Some(Unique { values, counts }) = whole.map(Partial::finish).transpose()? else {
        return Table::default().write(merged);
    };
    let labels = integers(&values)?;
    let renamed = renaming.rename(&labels, &counts);
    let mut new = Array::zeros(values.dtype(), values.shape());
    dispatch!(values.dtype(), T => {
        let to = super::kernel::values_mut::<T>(&mut new)?;
        for (to, name) in to.iter_mut().zip(&renamed) {
            *to = T::saturate(Scalar::Integer(*name));
            if to.widen() != Scalar::Integer(*name) {
                return Err(Error::new(
                    Kind::ValueOutOfRange,
                    format!("label {name} does not fit into {}", values.dtype()),
                )
                .fix("Cast the image to a larger integer type first."));
            }
        }
    });
    let sizes = Array::from_values(values.shape(), &counts)?;
    Table::default().with("old", values).with("new", new).with("size", sizes).write(merged)
}

fn integers(values: &Array) -> Result<Vec<i128>> {
    dispatch!(values.dtype(), T => {
        let wide = values.values::<T>()?.iter().map(|value| match value.widen() {
            Scalar::Integer(value) => Ok(value),
            Scalar::Float(_) => Err(Error::internal("labels that are no integers")),
        });
        wide.collect()
    })
}

fn read_mapping(path: &Path) -> Result<Mapping> {
    let table = Table::read(path)?;
    let column = |name: &str| table.column(name).map(integers).transpose();
    let (old, new) = (column("old")?.unwrap_or_default(), column("new")?.unwrap_or_default());
    Ok(Mapping::new(old.into_iter().zip(new).collect()))
}

/// Writes the new labels.
struct Apply {
    name: &'static str,
    stage: &'static str,
    mapping: Mapping,
}

impl Apply {
    fn apply(io: &BlockIo, mapping: &Mapping) -> Result<Product> {
        let block = io.inputs[0].read(&io.block.inner)?;
        io.cancel.check()?;
        let named = mapping.apply(&block, io.counted()?)?;
        let read = block.byte_len() as u64;
        drop(block);
        io.cancel.check()?;
        let written = write_block(io, named, Cast::default())?;
        Ok(Traffic { read, written }.into())
    }
}

impl Operation for Apply {
    fn name(&self) -> &str {
        self.name
    }

    fn stage(&self) -> &str {
        self.stage
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        check_labels(self.name, inputs)
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        block_bytes(voxels, inputs)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        Apply::apply(io, &self.mapping)
    }

    fn may_run_in_place(&self) -> bool {
        true
    }
}

impl Relabel {
    /// The operation.
    pub fn operation(self) -> Arc<dyn Operation> {
        let mapping = Mapping::new(self.pairs);
        Arc::new(Apply { name: Relabel::NAME, stage: Relabel::NAME, mapping })
    }
}
