//! NIfTI files, versions 1 and 2, `.nii` and `.nii.gz`, read only.
//!
//! NIfTI counts axes from the fastest one on (x, y, z, t). They are presented the other way round,
//! as in every other format: an image of 256 × 256 × 100 has shape (100, 256, 256).
//!
//! Where the header has a slope and intercept, the voxels are what they stand for, `float64`
//! `stored * slope + intercept`; otherwise they are what is stored.
//!
//! A `.nii.gz` file can only be read from its start. It is decoded once, and kept in memory, of
//! which [`Source::held_bytes`] tells.

use super::file::{self, OpenFile, corrupt};
use super::flat::{Fields, Flat, check_inside};
use super::path::absolute;
use super::{Axis, Held, Metadata, Source, Spec};
use crate::array::{Array, Cast, byte_len, swap_bytes};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, shape_text};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const HEADER_1: usize = 348;
const HEADER_2: usize = 540;
const MOST_AXES: i64 = 7;
/// Deflate makes nothing smaller than this.
const MOST_DEFLATED: u64 = 1032;

/// A NIfTI image.
pub struct NiftiFile {
    path: PathBuf,
    /// What is stored; of a compressed file only shape and type are meant.
    flat: Flat,
    /// The decoded voxels of a compressed file, once they were asked for.
    decoded: Option<Mutex<Option<Arc<Array>>>>,
    /// Slope and intercept.
    scaling: Option<(f64, f64)>,
    metadata: Metadata,
}

/// What a header says.
struct Header {
    shape: Vec<u64>,
    dtype: DType,
    big_endian: bool,
    offset: u64,
    scaling: Option<(f64, f64)>,
    metadata: Metadata,
}

impl NiftiFile {
    /// Opens a file.
    ///
    /// # Errors
    /// `unsupported-format` for what is no single NIfTI file or has a data type that is not read;
    /// `corrupt-data` for a damaged or short file.
    pub fn open(path: &Path) -> Result<Self> {
        let path = absolute(path);
        let file = OpenFile::open(&path)?;
        let packed = is_gzip(&file)?;
        let mut bytes = vec![0; HEADER_2];
        if packed {
            let mut decoder = decoder(&path)?;
            read_up_to(&mut decoder, &mut bytes).map_err(|error| broken(&path, &error))?;
        } else {
            bytes.truncate(file.len().min(HEADER_2 as u64) as usize);
            file.read(0, &mut bytes)?;
        }
        let header = Header::read(&path, &bytes)?;
        let flat = Flat {
            file,
            offset: header.offset,
            shape: header.shape,
            dtype: header.dtype,
            swapped: header.big_endian != cfg!(target_endian = "big"),
        };
        let (scaling, metadata) = (header.scaling, header.metadata);
        let flat = if packed { check_packed(flat)? } else { flat.check()? };
        Ok(NiftiFile { path, flat, decoded: packed.then(Mutex::default), scaling, metadata })
    }

    /// The voxels as they are stored.
    fn read_stored(&self, region: &Region) -> Result<Array> {
        let Some(decoded) = &self.decoded else { return self.flat.read(region) };
        check_inside(region, &self.flat.shape, &self.flat.file)?;
        let whole = {
            let mut decoded = decoded.lock().unwrap_or_else(PoisonError::into_inner);
            match &*decoded {
                Some(whole) => whole.clone(),
                None => decoded.insert(Arc::new(self.decode()?)).clone(),
            }
        };
        let mut block = Array::zeros(self.flat.dtype, &region.shape);
        block.paste(&vec![0; region.ndim()], &whole, region)?;
        Ok(block)
    }

    fn decode(&self) -> Result<Array> {
        let broken = |error: std::io::Error| broken(&self.path, &error);
        let mut decoder = decoder(&self.path)?;
        std::io::copy(&mut decoder.by_ref().take(self.flat.offset), &mut std::io::sink())
            .map_err(broken)?;
        let mut whole = Array::zeros(self.flat.dtype, &self.flat.shape);
        decoder.read_exact(whole.bytes_mut()).map_err(broken)?;
        if self.flat.swapped {
            swap_bytes(whole.bytes_mut(), self.flat.dtype.size());
        }
        Ok(whole)
    }
}

/// Refuses a header that promises more than the file can hold: a damaged one must not ask for
/// terabytes.
fn check_packed(flat: Flat) -> Result<Flat> {
    let most = flat.file.len().saturating_mul(MOST_DEFLATED);
    let bytes = flat
        .shape
        .iter()
        .try_fold(flat.dtype.size() as u64, |bytes, &extent| bytes.checked_mul(extent))
        .and_then(|bytes| bytes.checked_add(flat.offset));
    if bytes.is_some_and(|bytes| bytes <= most) {
        return Ok(flat);
    }
    let (path, shape) = (flat.file.path(), shape_text(&flat.shape));
    Err(corrupt(path, format!("is too small for {shape} voxels of {}", flat.dtype)))
}

/// Whether the content is compressed, whatever the file's name says.
fn is_gzip(file: &OpenFile) -> Result<bool> {
    let mut magic = [0; 2];
    if file.len() < magic.len() as u64 {
        return Err(corrupt(file.path(), "is too short for a NIfTI file".into()));
    }
    file.read(0, &mut magic)?;
    Ok(magic == [0x1f, 0x8b])
}

fn decoder(path: &Path) -> Result<MultiGzDecoder<BufReader<File>>> {
    let file = File::open(path).map_err(|error| Error::read(path, &error))?;
    Ok(MultiGzDecoder::new(BufReader::with_capacity(256 << 10, file)))
}

/// Fills the buffer as far as the stream goes, and shortens it to that.
fn read_up_to(stream: &mut impl Read, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    let most = buffer.len() as u64;
    buffer.clear();
    stream.take(most).read_to_end(buffer).map(drop)
}

fn broken(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData
        | std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::UnexpectedEof => {
            corrupt(path, format!("does not decode (gzip): {error}"))
        }
        _ => Error::read(path, error),
    }
}

impl Header {
    fn read(path: &Path, bytes: &[u8]) -> Result<Header> {
        let size = |big_endian| Fields { bytes, big_endian }.i32(0);
        let big_endian = [HEADER_1, HEADER_2].iter().any(|&len| size(true) == len as i32);
        let fields = Fields { bytes, big_endian };
        let version_2 = fields.i32(0) == HEADER_2 as i32;
        let magic = bytes.get(if version_2 { 4..7 } else { 344..347 });
        match magic {
            Some(b"n+1" | b"n+2") => {}
            Some(b"ni1" | b"ni2") => {
                return Err(unsupported(path, "is one half of a NIfTI pair (.hdr and .img)")
                    .fix("Write it as a single .nii file."));
            }
            _ => {
                return Err(unsupported(path, "is no NIfTI file")
                    .fix("Name a .nii or .nii.gz file of version 1 or 2."));
            }
        }
        let damaged = |what: &str| corrupt(path, format!("has a NIfTI header with {what}"));
        let dim = |axis: usize| match version_2 {
            true => fields.i64(16 + 8 * axis),
            false => i64::from(fields.i16(40 + 2 * axis)),
        };
        if !(1..=MOST_AXES).contains(&dim(0)) {
            return Err(damaged("an impossible number of axes"));
        }
        let ndim = dim(0) as usize;
        let shape = (1..=ndim).rev().map(|axis| u64::try_from(dim(axis)).ok());
        let shape: Option<Vec<u64>> = shape.collect();
        let offset = match version_2 {
            true => u64::try_from(fields.i64(168)).ok(),
            false => Some(fields.f32(108)).filter(|at| *at >= 0.0).map(|at| at as u64),
        };
        let (slope, intercept) = match version_2 {
            true => (fields.f64(176), fields.f64(184)),
            false => (f64::from(fields.f32(112)), f64::from(fields.f32(116))),
        };
        let scaled = slope.is_finite() && slope != 0.0 && (slope, intercept) != (1.0, 0.0);
        if scaled && !intercept.is_finite() {
            return Err(damaged("a slope but no intercept"));
        }
        Ok(Header {
            shape: shape.ok_or_else(|| damaged("impossible extents"))?,
            dtype: data_type(path, fields.i16(if version_2 { 12 } else { 70 }))?,
            big_endian,
            offset: offset.ok_or_else(|| damaged("an impossible offset"))?,
            scaling: scaled.then_some((slope, intercept)),
            metadata: metadata(&fields, version_2, ndim),
        })
    }
}

fn unsupported(path: &Path, what: &str) -> Error {
    Error::new(Kind::UnsupportedFormat, format!("'{}' {what}", path.display()))
}

fn data_type(path: &Path, code: i16) -> Result<DType> {
    let what = match code {
        2 => return Ok(DType::U8),
        4 => return Ok(DType::I16),
        8 => return Ok(DType::I32),
        16 => return Ok(DType::F32),
        64 => return Ok(DType::F64),
        256 => return Ok(DType::I8),
        512 => return Ok(DType::U16),
        768 => return Ok(DType::U32),
        1024 => return Ok(DType::I64),
        1280 => return Ok(DType::U64),
        1 => " (bits)",
        32 | 1792 | 2048 => " (complex floats)",
        128 | 2304 => " (colours)",
        1536 => " (128-bit floats)",
        _ => "",
    };
    Err(unsupported(path, &format!("has NIfTI data type {code}{what}, which is not read"))
        .fix("Convert it to an integer or float type of at most 64 bits."))
}

/// Axis names, and the voxel size where it is given.
fn metadata(fields: &Fields, version_2: bool, ndim: usize) -> Metadata {
    const NAMES: [&str; 4] = ["x", "y", "z", "t"];
    let units = if version_2 { fields.i32(500) } else { i32::from(fields.bytes[123]) };
    let space = match units & 0x07 {
        1 => Some("meter"),
        2 => Some("millimeter"),
        3 => Some("micrometer"),
        _ => None,
    };
    let time = match units & 0x38 {
        8 => Some("second"),
        16 => Some("millisecond"),
        24 => Some("microsecond"),
        _ => None,
    };
    let axis = |number: usize| {
        let Some(name) = NAMES.get(number) else { return Axis::default() };
        let scale = match version_2 {
            true => fields.f64(112 + 8 * number),
            false => f64::from(fields.f32(80 + 4 * number)),
        };
        let scale = (scale.is_finite() && scale > 0.0).then_some(scale);
        let unit = if number < 3 { space } else { time };
        Axis { name: (*name).into(), scale, unit: unit.filter(|_| scale.is_some()).map(Into::into) }
    };
    Metadata { axes: (0..ndim).rev().map(axis).collect(), ..Metadata::default() }
}

impl Source for NiftiFile {
    fn shape(&self) -> &[u64] {
        &self.flat.shape
    }

    fn dtype(&self) -> DType {
        if self.scaling.is_some() { DType::F64 } else { self.flat.dtype }
    }

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn codec(&self) -> Option<String> {
        Some(if self.decoded.is_some() { "gzip" } else { "none" }.into())
    }

    fn spec(&self) -> Option<Spec> {
        Some(Spec::Nifti { path: self.path.clone() })
    }

    fn fingerprint(&self) -> Result<String> {
        file::state(&self.path)
    }

    fn held_bytes(&self, _block_shape: &[u64], _halo: &[u64]) -> Held {
        let whole = byte_len(self.flat.dtype, &self.flat.shape) as u64;
        self.decoded.as_ref().map_or(Held::default(), |_| Held::exactly(whole))
    }

    fn stored_bytes(&self) -> Option<u64> {
        Some(self.flat.file.len())
    }

    fn read(&self, region: &Region) -> Result<Array> {
        let stored = self.read_stored(region)?;
        let Some((slope, intercept)) = self.scaling else { return Ok(stored) };
        let mut scaled = stored.cast(DType::F64, Cast::Wrapping)?;
        scaled.view_mut::<f64>()?.mapv_inplace(|value| value * slope + intercept);
        Ok(scaled)
    }
}
