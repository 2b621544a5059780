//! MRC files of electron microscopy (MRC2014), read only.
//!
//! The rows of an MRC file run from the bottom to the top of the picture. They are turned around
//! here, so that y points down as it does in every other format: along axis 1 of a volume, and along
//! axis 0 of a picture or of a stack of volumes.

use super::file::{self, OpenFile, corrupt};
use super::flat::{Fields, Flat};
use super::path::absolute;
use super::{Axis, Metadata, Source, Spec};
use crate::array::{Array, byte_len};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::Region;
use std::path::{Path, PathBuf};

const HEADER: usize = 1024;

/// An MRC file: a picture, a volume or a stack of volumes.
pub struct MrcFile {
    path: PathBuf,
    flat: Flat,
    flipped: usize,
    metadata: Metadata,
}

impl MrcFile {
    /// Opens a file.
    ///
    /// # Errors
    /// `unsupported-format` for a mode that is not read; `corrupt-data` for a file that is too short.
    pub fn open(path: &Path) -> Result<Self> {
        let path = absolute(path);
        let file = OpenFile::open(&path)?;
        let mut header = [0; HEADER];
        file.read(0, &mut header)?;
        let header = Fields { bytes: &header, big_endian: is_big_endian(&header) };
        let shape = shape(&header)
            .ok_or_else(|| corrupt(&path, "has an MRC header with impossible extents".into()))?;
        let dtype = data_type(&path, header.i32(12))?;
        let extended = u64::try_from(header.i32(92))
            .map_err(|_| corrupt(&path, "has an extended header of negative length".into()))?;
        let metadata = metadata(&header, shape.len());
        let swapped = header.big_endian != cfg!(target_endian = "big");
        let flipped = usize::from(shape.len() == 3);
        let offset = HEADER as u64 + extended;
        let flat = Flat { file, offset, shape, dtype, swapped }.check()?;
        Ok(MrcFile { path, flat, flipped, metadata })
    }
}

/// The machine stamp says it. Files of old programs have none: there, the order in which the mode
/// makes sense counts.
fn is_big_endian(header: &[u8]) -> bool {
    match header[212..214] {
        [0x11, 0x11] => true,
        [0x44, 0x44 | 0x41] => false,
        _ => Fields { bytes: header, big_endian: false }.i32(12) > 0xffff,
    }
}

/// Extents, slowest axis first. Space groups from 401 on are stacks of volumes of `mz` sections; one
/// section of space group 0 is a picture.
fn shape(header: &Fields) -> Option<Vec<u64>> {
    let extent = |at| u64::try_from(header.i32(at)).ok();
    let (x, y, z, volume) = (extent(0)?, extent(4)?, extent(8)?, extent(36)?);
    match header.i32(88) {
        401..=630 if volume > 0 && z.is_multiple_of(volume) => Some(vec![z / volume, volume, y, x]),
        401..=630 => None,
        0 if z == 1 => Some(vec![y, x]),
        _ => Some(vec![z, y, x]),
    }
}

fn data_type(path: &Path, mode: i32) -> Result<DType> {
    let what = match mode {
        0 => return Ok(DType::I8),
        1 => return Ok(DType::I16),
        2 => return Ok(DType::F32),
        6 => return Ok(DType::U16),
        3 => " (complex 16-bit integers)",
        4 => " (complex floats)",
        12 => " (16-bit floats)",
        16 => " (RGB)",
        101 => " (4-bit integers)",
        _ => "",
    };
    Err(Error::new(
        Kind::UnsupportedFormat,
        format!("'{}' has MRC mode {mode}{what}, which is not read", path.display()),
    )
    .fix("Convert it to mode 0, 1, 2 or 6."))
}

/// The voxel size is the size of the cell, in ångström, divided by its number of samples.
fn metadata(header: &Fields, ndim: usize) -> Metadata {
    let size = |axis: usize| {
        let (cell, samples) = (header.f32(40 + 4 * axis), header.i32(28 + 4 * axis));
        let size = f64::from(cell) / f64::from(samples);
        (size.is_finite() && size > 0.0).then_some(size)
    };
    // Files whose rows do not run along x are rare, and their axes are not named.
    let order = [header.i32(64), header.i32(68), header.i32(72)];
    if order != [1, 2, 3] && order != [0, 0, 0] {
        return Metadata::default();
    }
    let axis = |back: usize| {
        let (Some(name), scale) = (["x", "y", "z"].get(back), size(back)) else {
            return Axis::default();
        };
        Axis { name: (*name).into(), scale, unit: scale.map(|_| "angstrom".into()) }
    };
    let axes = (0..ndim).rev().map(|back| if back < 3 { axis(back) } else { Axis::default() });
    Metadata { axes: axes.collect(), ..Metadata::default() }
}

impl Source for MrcFile {
    fn shape(&self) -> &[u64] {
        &self.flat.shape
    }

    fn dtype(&self) -> DType {
        self.flat.dtype
    }

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn codec(&self) -> Option<String> {
        Some("none".into())
    }

    fn spec(&self) -> Option<Spec> {
        Some(Spec::Mrc { path: self.path.clone() })
    }

    fn fingerprint(&self) -> Result<String> {
        file::state(&self.path)
    }

    fn stored_bytes(&self) -> Option<u64> {
        Some(self.flat.byte_len())
    }

    fn read(&self, region: &Region) -> Result<Array> {
        let axis = self.flipped;
        if !region.fits(&self.flat.shape) {
            return Err(Error::internal(format!("region {region} lies outside an MRC file")));
        }
        let mut mirrored = region.clone();
        mirrored.start[axis] = self.flat.shape[axis] - region.start[axis] - region.shape[axis];
        let mut block = self.flat.read(&mirrored)?;
        flip(&mut block, axis);
        Ok(block)
    }
}

/// Turns an axis around.
fn flip(block: &mut Array, axis: usize) {
    let shape = block.shape().to_vec();
    let row = byte_len(block.dtype(), &shape[axis + 1..]);
    let rows = shape[axis] as usize;
    if row * rows == 0 {
        return;
    }
    for slab in block.bytes_mut().chunks_exact_mut(row * rows) {
        for upper in 0..rows / 2 {
            let (above, below) = slab.split_at_mut((rows - 1 - upper) * row);
            above[upper * row..][..row].swap_with_slice(&mut below[..row]);
        }
    }
}
