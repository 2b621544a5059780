//! A block of voxels in memory: C order, any numeric type, viewed as `ndarray` where it is computed on.

pub use crate::cast::Scalar;
use crate::cast::cast_slice;
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::error::{Error, Kind, Result};
use crate::grid::Region;
use crate::pages::in_large_pages;
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// An n-dimensional array in C order whose data type is known at run time.
///
/// A buffer of its own is made of 64-bit words, so that a view of any numeric type is aligned.
#[derive(Clone, Debug)]
pub struct Array {
    dtype: DType,
    shape: Vec<u64>,
    buffer: Buffer,
}

#[derive(Clone, Debug)]
enum Buffer {
    Own(Vec<u64>),
    Lent(Lent),
}

/// Somebody else's memory, which is read and never written to.
#[derive(Clone, Debug)]
struct Lent {
    start: *const u8,
    len: usize,
    /// Keeps the memory alive.
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the memory is only read, and does not change while it is lent (see `Array::lent`).
unsafe impl Send for Lent {}
// SAFETY: as for `Send`.
unsafe impl Sync for Lent {}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

impl Array {
    /// An array of zeros.
    pub fn zeros(dtype: DType, shape: &[u64]) -> Self {
        let words = byte_len(dtype, shape).div_ceil(8);
        let buffer = Buffer::Own(in_large_pages(vec![0; words]));
        Array { dtype, shape: shape.to_vec(), buffer }
    }

    /// An array over memory of somebody else's, which is copied when the array is changed.
    ///
    /// # Safety
    /// `start` must point to the bytes of a C-order array of this shape and type, aligned for it, that
    /// stay valid, in place and unchanged as long as `owner` lives.
    pub unsafe fn lent(
        dtype: DType,
        shape: &[u64],
        start: *const u8,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        let lent = Lent { start, len: byte_len(dtype, shape), _owner: owner };
        Array { dtype, shape: shape.to_vec(), buffer: Buffer::Lent(lent) }
    }

    /// An array from its bytes in C order and this machine's byte order.
    ///
    /// # Errors
    /// `corrupt-data` if the number of bytes is not that of the shape.
    pub fn from_bytes(dtype: DType, shape: &[u64], bytes: &[u8]) -> Result<Self> {
        let mut array = Array::zeros(dtype, shape);
        if bytes.len() != array.byte_len() {
            return Err(Error::new(
                Kind::CorruptData,
                format!(
                    "a block of shape {shape:?} and dtype {dtype} has {} bytes instead of {}",
                    bytes.len(),
                    array.byte_len()
                ),
            ));
        }
        array.bytes_mut().copy_from_slice(bytes);
        Ok(array)
    }

    /// An array of a Rust type from its values in C order.
    ///
    /// # Errors
    /// `corrupt-data` if the number of values is not that of the shape.
    pub fn from_values<T: Element>(shape: &[u64], values: &[T]) -> Result<Self> {
        Array::from_bytes(T::DTYPE, shape, bytemuck::cast_slice(values))
    }

    /// The data type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents, slowest axis first.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of voxels.
    pub fn voxels(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Number of bytes.
    pub fn byte_len(&self) -> usize {
        byte_len(self.dtype, &self.shape)
    }

    /// The bytes, in C order and this machine's byte order.
    pub fn bytes(&self) -> &[u8] {
        match &self.buffer {
            Buffer::Own(words) => &bytemuck::cast_slice(words)[..self.byte_len()],
            // SAFETY: so many bytes are valid and unchanged while the owner lives.
            Buffer::Lent(lent) => unsafe { std::slice::from_raw_parts(lent.start, lent.len) },
        }
    }

    /// The bytes, to be written to. Bytes of a `bool` array must stay 0 or 1.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.byte_len();
        if let Buffer::Lent(_) = &self.buffer {
            let mut words = in_large_pages(vec![0; len.div_ceil(8)]);
            bytemuck::cast_slice_mut(&mut words)[..len].copy_from_slice(self.bytes());
            self.buffer = Buffer::Own(words);
        }
        match &mut self.buffer {
            Buffer::Own(words) => &mut bytemuck::cast_slice_mut(words)[..len],
            Buffer::Lent(_) => &mut [],
        }
    }

    /// The values as a flat slice.
    ///
    /// # Errors
    /// `dtype-mismatch` if `T` is not the array's type; `corrupt-data` if a `bool` is neither 0 nor 1.
    pub fn values<T: Element>(&self) -> Result<&[T]> {
        self.check_type::<T>()?;
        bytemuck::checked::try_cast_slice(self.bytes())
            .map_err(|error| cast_error(self.dtype, error))
    }

    /// The values as an n-dimensional view.
    ///
    /// # Errors
    /// As [`Array::values`].
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        ArrayViewD::from_shape(dims(&self.shape), self.values::<T>()?)
            .map_err(|error| Error::internal(format!("view of a block: {error}")))
    }

    /// The values as an n-dimensional view that can be written to.
    ///
    /// # Errors
    /// As [`Array::values`].
    pub fn view_mut<T: Element + bytemuck::NoUninit>(&mut self) -> Result<ArrayViewMutD<'_, T>> {
        self.check_type::<T>()?;
        let shape = dims(&self.shape);
        let dtype = self.dtype;
        let values = bytemuck::checked::try_cast_slice_mut(self.bytes_mut())
            .map_err(|error| cast_error(dtype, error))?;
        ArrayViewMutD::from_shape(shape, values)
            .map_err(|error| Error::internal(format!("view of a block: {error}")))
    }

    /// Copies `from` of `source` to where `to` starts in this array.
    ///
    /// # Errors
    /// `internal` if the types differ or a region lies outside its array.
    pub fn paste(&mut self, to: &[u64], source: &Array, from: &Region) -> Result<()> {
        if self.dtype != source.dtype {
            return Err(Error::internal("pasted blocks have different dtypes"));
        }
        let shape = self.shape.clone();
        let size = self.dtype.size();
        copy_region(
            (source.bytes(), &source.shape, &from.start),
            (self.bytes_mut(), &shape, to),
            &from.shape,
            size,
        )
    }

    fn check_type<T: Element>(&self) -> Result<()> {
        if T::DTYPE == self.dtype {
            return Ok(());
        }
        Err(Error::new(
            Kind::DtypeMismatch,
            format!("a block of dtype {} was asked for as {}", self.dtype, T::DTYPE),
        ))
    }
}

fn cast_error(dtype: DType, error: bytemuck::checked::CheckedCastError) -> Error {
    Error::new(Kind::CorruptData, format!("a block of dtype {dtype} has invalid values: {error}"))
}

fn dims(shape: &[u64]) -> IxDyn {
    IxDyn(&shape.iter().map(|&n| n as usize).collect::<Vec<_>>())
}

/// Number of bytes of an array.
pub fn byte_len(dtype: DType, shape: &[u64]) -> usize {
    shape.iter().product::<u64>() as usize * dtype.size()
}

/// Copies a region of one C-order buffer into another, in runs as long as both layouts allow.
///
/// Each side is its bytes, the shape of the whole array that they hold, and where the region starts.
///
/// # Errors
/// `internal` if the region lies outside either array.
pub fn copy_region(
    from: (&[u8], &[u64], &[u64]),
    to: (&mut [u8], &[u64], &[u64]),
    shape: &[u64],
    item_size: usize,
) -> Result<()> {
    for_each_run((from.1, from.2), (to.1, to.2), shape, item_size, |source, target, run| {
        to.0[target..target + run].copy_from_slice(&from.0[source..source + run]);
    })
}

/// Calls `visit` with the byte offsets on both sides and the byte length of every contiguous run of
/// a region that two C-order arrays (each: its shape, and where the region starts) share.
///
/// # Errors
/// `internal` if the region lies outside either array.
pub fn for_each_run(
    from: (&[u64], &[u64]),
    to: (&[u64], &[u64]),
    shape: &[u64],
    item_size: usize,
    mut visit: impl FnMut(usize, usize, usize),
) -> Result<()> {
    let ndim = shape.len();
    let outside = |(whole, start): (&[u64], &[u64])| {
        whole.len() != ndim
            || start.len() != ndim
            || (0..ndim).any(|axis| start[axis] + shape[axis] > whole[axis])
    };
    if outside(from) || outside(to) {
        return Err(Error::internal("a copied region lies outside its array"));
    }
    if shape.contains(&0) {
        return Ok(());
    }
    // Trailing axes that are whole on both sides are one run of memory.
    let mut run_axis = ndim;
    let mut run = item_size as u64;
    while run_axis > 0 {
        run_axis -= 1;
        run *= shape[run_axis];
        if shape[run_axis] != from.0[run_axis] || shape[run_axis] != to.0[run_axis] {
            break;
        }
    }
    let bytes_at = |whole: &[u64], start: &[u64]| {
        let strides: Vec<u64> = strides(whole).iter().map(|n| n * item_size as u64).collect();
        let first: u64 = start.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        (first, strides)
    };
    let (mut source, from_strides) = bytes_at(from.0, from.1);
    let (mut target, to_strides) = bytes_at(to.0, to.1);
    let mut index = vec![0u64; run_axis];
    loop {
        visit(source as usize, target as usize, run as usize);
        let mut axis = run_axis;
        loop {
            if axis == 0 {
                return Ok(());
            }
            axis -= 1;
            if index[axis] + 1 < shape[axis] {
                index[axis] += 1;
                source += from_strides[axis];
                target += to_strides[axis];
                break;
            }
            source -= index[axis] * from_strides[axis];
            target -= index[axis] * to_strides[axis];
            index[axis] = 0;
        }
    }
}

/// Turns the byte order of every voxel around.
pub fn swap_bytes(bytes: &mut [u8], size: usize) {
    match size {
        2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|voxel| voxel.reverse()),
        4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|voxel| voxel.reverse()),
        8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|voxel| voxel.reverse()),
        _ => {}
    }
}

/// Steps between neighbours along each axis of a C-order array, in items.
pub fn strides(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// How a voxel's value is carried over to another data type.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cast {
    /// As numpy's assignment does: integers wrap, floats are truncated towards zero.
    #[default]
    Wrapping,
    /// Values outside the range become its nearest end; NaN becomes zero.
    Saturating,
    /// A value that the new type cannot hold exactly in its integer part is an error.
    Checked,
}

impl Cast {
    /// The name that commands and run folders use.
    pub fn as_str(self) -> &'static str {
        match self {
            Cast::Wrapping => "wrapping",
            Cast::Saturating => "saturating",
            Cast::Checked => "checked",
        }
    }
}

impl Array {
    /// The same values in another data type.
    ///
    /// # Errors
    /// `value-out-of-range` from [`Cast::Checked`], naming the value.
    pub fn cast(&self, dtype: DType, cast: Cast) -> Result<Array> {
        if dtype == self.dtype {
            return Ok(self.clone());
        }
        let mut out = Array::zeros(dtype, &self.shape);
        dispatch!(self.dtype, S => {
            let source = self.values::<S>()?;
            dispatch!(dtype, T => {
                let mut view = out.view_mut::<T>()?;
                let target = view
                    .as_slice_mut()
                    .ok_or_else(|| Error::internal("a block is not contiguous"))?;
                cast_slice::<S, T>(source, target, cast)?;
            });
        });
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_region_lands_where_it_is_asked_for() {
        let source = Array::from_values::<u16>(&[3, 4], &(0..12).collect::<Vec<_>>()).unwrap();
        let mut target = Array::zeros(DType::U16, &[2, 5]);
        target.paste(&[0, 1], &source, &Region::new([1, 1], [2, 3])).unwrap();
        assert_eq!(target.values::<u16>().unwrap(), [0, 5, 6, 7, 0, 0, 9, 10, 11, 0]);
    }

    #[test]
    fn whole_trailing_axes_are_copied_at_once_and_right() {
        let values: Vec<u8> = (0..2 * 3 * 4).collect();
        let source = Array::from_values::<u8>(&[2, 3, 4], &values).unwrap();
        let mut target = Array::zeros(DType::U8, &[3, 3, 4]);
        target.paste(&[1, 0, 0], &source, &Region::new([0, 0, 0], [2, 3, 4])).unwrap();
        assert_eq!(&target.values::<u8>().unwrap()[12..], values);
    }

    #[test]
    fn a_region_outside_is_refused() {
        let source = Array::zeros(DType::U8, &[4]);
        let mut target = Array::zeros(DType::U8, &[4]);
        assert!(target.paste(&[2], &source, &Region::new([0], [3])).is_err());
    }
}
