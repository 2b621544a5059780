//! Percentiles: exactly those of the whole image, interpolated linearly between voxels.
//!
//! In one pass over types of up to 16 bits, two over 32 bits, four over 64 bits: each counts the next 16
//! bits of those values that are still looked for. Halo: none. Memory: the block, and 512 kB for each
//! value that is looked for, of which there are two for a percentile.

use super::kernel::measure::percentiles::{Partial, Search, Step};
use super::passes::Successive;
use super::table::Table;
use super::{ArrayShape, BlockIo};
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of percentiles.
///
/// The result has a row for each percentage, in the order in which they were asked for: `percent` and
/// `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Percentiles {
    /// Percentages of voxels, from 0 to 100, such as 1,50,99
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', required = true)]
    pub percents: Vec<Scalar>,
    /// The image's data type, which the number of passes depends on
    #[arg(long)]
    pub dtype: DType,
}

impl Percentiles {
    fn search(&self) -> Result<Search> {
        let percents: Vec<f64> = self.percents.iter().map(|percent| percent.as_f64()).collect();
        Search::new(self.dtype, &percents)
    }
}

impl Successive for Percentiles {
    type Partial = Partial;
    type State = Search;

    const NAME: &'static str = "percentiles";

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        if let Some(input) = inputs.iter().find(|input| input.dtype != self.dtype) {
            let message = format!("the image has dtype {}, not {}", input.dtype, self.dtype);
            return Err(Error::new(Kind::DtypeMismatch, message));
        }
        self.search().map(|_| ())
    }

    fn passes(&self) -> usize {
        self.dtype.size().div_ceil(2)
    }

    fn stage(&self, pass: usize) -> &'static str {
        ["count first bits", "count second bits", "count third bits", "count last bits"]
            [pass.min(3)]
    }

    fn block_bytes(&self, _: u64) -> u64 {
        (2 * self.percents.len() as u64 + 1) << 19
    }

    fn of_block(&self, state: Option<&Search>, io: &BlockIo, blocks: &[Array]) -> Result<Partial> {
        match state {
            Some(search) => search.of_block(&blocks[0], io.counted()?),
            None => self.search()?.of_block(&blocks[0], io.counted()?),
        }
    }

    fn merge(&self, into: &mut Partial, other: Partial) {
        into.merge(other);
    }

    fn advance(&self, state: Option<&Search>, whole: Option<Partial>) -> Result<Search> {
        let search = state.map_or_else(|| self.search(), |search| Ok(search.clone()))?;
        let Some(whole) = whole else { return Ok(search) };
        match search.advance(whole)? {
            Step::Again(search) => Ok(search),
            Step::Done(_) => Err(Error::internal("percentiles were found before the last pass")),
        }
    }

    fn finish(&self, state: Option<&Search>, whole: Option<Partial>) -> Result<Table> {
        let Some(whole) = whole else { return Ok(Table::default()) };
        let search = state.map_or_else(|| self.search(), |search| Ok(search.clone()))?;
        let Step::Done(values) = search.advance(whole)? else {
            return Err(Error::internal("percentiles were not found in the last pass"));
        };
        let percents: Vec<f64> = self.percents.iter().map(|percent| percent.as_f64()).collect();
        let shape = [values.len() as u64];
        Ok(Table::default()
            .with("percent", Array::from_values(&shape, &percents)?)
            .with("value", Array::from_values(&shape, &values)?))
    }
}
