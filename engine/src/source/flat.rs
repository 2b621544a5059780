//! Arrays that lie in a file as they lie in memory, behind a header.

use super::file::{OpenFile, corrupt};
use crate::array::{Array, byte_len, for_each_run, swap_bytes};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Region, shape_text};

/// So much is read at once where runs of voxels lie close together.
const SPAN: usize = 256 << 10;
/// Reading over a gap of this many bytes costs less than another call of the operating system.
const GAP: usize = 16 << 10;

/// The voxels of a file, in C order.
pub(super) struct Flat {
    pub(super) file: OpenFile,
    /// Where the voxels start.
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) dtype: DType,
    /// Whether the file's byte order is not this machine's.
    pub(super) swapped: bool,
}

/// A contiguous piece of a region: offsets in the voxels of the file and of the block, and bytes.
type Run = (usize, usize, usize);

impl Flat {
    /// Refuses a file that is too short for its voxels.
    pub(super) fn check(self) -> Result<Self> {
        let bytes = self
            .shape
            .iter()
            .try_fold(self.dtype.size() as u64, |bytes, &extent| bytes.checked_mul(extent));
        if bytes.is_some_and(|bytes| self.file.holds(self.offset, bytes)) {
            return Ok(self);
        }
        Err(corrupt(
            self.file.path(),
            format!(
                "has {} bytes, too few for {} voxels of {} from byte {} on",
                self.file.len(),
                shape_text(&self.shape),
                self.dtype,
                self.offset
            ),
        ))
    }

    /// Bytes of the voxels.
    pub(super) fn byte_len(&self) -> u64 {
        byte_len(self.dtype, &self.shape) as u64
    }

    pub(super) fn read(&self, region: &Region) -> Result<Array> {
        check_inside(region, &self.shape, &self.file)?;
        let mut block = Array::zeros(self.dtype, &region.shape);
        let size = self.dtype.size();
        let zero = vec![0; region.ndim()];
        let mut runs: Vec<Run> = Vec::new();
        let mut span = Vec::new();
        let mut outcome = Ok(());
        let out = block.bytes_mut();
        for_each_run(
            (&self.shape, &region.start),
            (&region.shape, &zero),
            &region.shape,
            size,
            |from, to, len| {
                let near = match (runs.first(), runs.last()) {
                    (Some(first), Some(last)) => {
                        from - (last.0 + last.2) <= GAP && from + len - first.0 <= SPAN
                    }
                    _ => true,
                };
                if !near && outcome.is_ok() {
                    outcome = self.read_runs(&runs, &mut span, out);
                    runs.clear();
                }
                runs.push((from, to, len));
            },
        )?;
        outcome?;
        self.read_runs(&runs, &mut span, out)?;
        if self.swapped {
            swap_bytes(block.bytes_mut(), size);
        }
        Ok(block)
    }

    /// Reads runs that lie close together, with what is between them.
    fn read_runs(&self, runs: &[Run], span: &mut Vec<u8>, out: &mut [u8]) -> Result<()> {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
        let offset = self.offset + first.0 as u64;
        if runs.len() == 1 {
            return self.file.read(offset, &mut out[first.1..][..first.2]);
        }
        span.resize(last.0 + last.2 - first.0, 0);
        self.file.read(offset, span)?;
        for &(from, to, len) in runs {
            out[to..][..len].copy_from_slice(&span[from - first.0..][..len]);
        }
        Ok(())
    }
}

/// Refuses a region that does not lie inside an array.
pub(super) fn check_inside(region: &Region, shape: &[u64], file: &OpenFile) -> Result<()> {
    if region.fits(shape) {
        return Ok(());
    }
    Err(Error::internal(format!(
        "region {region} lies outside '{}' of shape {}",
        file.path().display(),
        shape_text(shape)
    )))
}

/// Numbers in a header, in the file's byte order.
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) big_endian: bool,
}

macro_rules! number {
    ($name:ident, $type:ty) => {
        /// The number at an offset; 0 where the header ends before.
        pub(super) fn $name(&self, at: usize) -> $type {
            let Some(bytes) = self.bytes.get(at..).and_then(|bytes| bytes.first_chunk()) else {
                return <$type>::default();
            };
            if self.big_endian {
                <$type>::from_be_bytes(*bytes)
            } else {
                <$type>::from_le_bytes(*bytes)
            }
        }
    };
}

impl Fields<'_> {
    number!(i16, i16);
    number!(i32, i32);
    number!(i64, i64);
    number!(f32, f32);
    number!(f64, f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn stored(shape: &[u64], swapped: bool) -> (tempfile::NamedTempFile, Array) {
        let voxels: Vec<u16> = (0..shape.iter().product::<u64>()).map(|i| (i * 7) as u16).collect();
        let array = Array::from_values(shape, &voxels).unwrap();
        let mut bytes = array.bytes().to_vec();
        if swapped {
            swap_bytes(&mut bytes, 2);
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"header").unwrap();
        file.write_all(&bytes).unwrap();
        (file, array)
    }

    fn flat(file: &tempfile::NamedTempFile, shape: &[u64], swapped: bool) -> Result<Flat> {
        let file = OpenFile::open(file.path())?;
        Flat { file, offset: 6, shape: shape.to_vec(), dtype: DType::U16, swapped }.check()
    }

    proptest! {
        #[test]
        fn any_region_is_what_lies_there(
            (shape, start, extent) in prop::collection::vec(
                (1u64..6).prop_flat_map(|n| (Just(n), 0..n).prop_flat_map(|(n, s)| (Just(n), Just(s), 0..=n - s))),
                1..4,
            ).prop_map(|axes| {
                let mut parts = (Vec::new(), Vec::new(), Vec::new());
                for (n, start, extent) in axes {
                    parts.0.push(n);
                    parts.1.push(start);
                    parts.2.push(extent);
                }
                parts
            }),
            swapped: bool,
        ) {
            let (file, whole) = stored(&shape, swapped);
            let region = Region::new(start, extent);
            let block = flat(&file, &shape, swapped).unwrap().read(&region).unwrap();
            let mut expected = Array::zeros(DType::U16, &region.shape);
            expected.paste(&vec![0; shape.len()], &whole, &region).unwrap();
            prop_assert_eq!(block, expected);
        }
    }

    #[test]
    fn rows_far_apart_and_rows_that_make_more_than_one_span() {
        let shape = [40, 30_000];
        let (file, whole) = stored(&shape, false);
        let flat = flat(&file, &shape, false).unwrap();
        for region in
            [Region::new([0, 5], [40, 3]), Region::new([1, 1], [38, 29_000]), Region::whole(&shape)]
        {
            let mut expected = Array::zeros(DType::U16, &region.shape);
            expected.paste(&[0, 0], &whole, &region).unwrap();
            assert_eq!(flat.read(&region).unwrap(), expected, "{region}");
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_refused_when_it_is_opened() {
        let (file, _) = stored(&[4, 5], false);
        let error = flat(&file, &[4, 6], false).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::CorruptData);
        assert!(error.message.contains("46 bytes"), "{}", error.message);
        assert!(flat(&file, &[u64::MAX, 6], false).is_err());
    }
}
