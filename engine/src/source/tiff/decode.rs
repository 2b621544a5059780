//! From the bytes of a strip or tile to voxels.

use super::page::PageFormat;
use crate::array::{Array, swap_bytes};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use bytemuck::Pod;
use libdeflater::{DecompressionError, Decompressor};
use num_traits::WrappingAdd;
use std::path::Path;

/// Compression of strips and tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Zstd,
}

/// What was done to the voxels before they were compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// A voxel is stored as its difference from the one to the left.
    Horizontal,
    /// As `Horizontal`, byte by byte, after the bytes of a row were sorted by significance.
    FloatingPoint,
}

impl Compression {
    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Lzw,
        Compression::Deflate,
        Compression::PackBits,
        Compression::Zstd,
    ];

    /// The compression that a page names.
    pub(super) fn from_tag(code: u64, path: &Path, page: u32) -> Result<Self> {
        let other = match code {
            1 => return Ok(Compression::None),
            5 => return Ok(Compression::Lzw),
            8 | 32946 => return Ok(Compression::Deflate),
            32773 => return Ok(Compression::PackBits),
            34926 | 50000 => return Ok(Compression::Zstd),
            2..=4 => "CCITT",
            6 | 7 | 33007 | 34892 => "JPEG",
            33003 | 33004 | 33005 | 34712 => "JPEG 2000",
            34887 => "LERC",
            34925 => "LZMA",
            34927 | 50001 => "WebP",
            22610 | 34934 => "JPEG XR",
            50002 | 52546 => "JPEG XL",
            _ => "unknown",
        };
        let names: Vec<_> = Compression::ALL.iter().map(|known| known.name()).collect();
        Err(Error::new(
            Kind::UnsupportedCodec,
            format!(
                "page {page} of '{}' has compression {code} ({other}); read are {}",
                path.display(),
                names.join(", ")
            ),
        )
        .fix("Write the file again with one of these, for example with tifffile."))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lzw => "lzw",
            Compression::Deflate => "deflate",
            Compression::PackBits => "packbits",
            Compression::Zstd => "zstd",
        }
    }

    pub(super) fn is_without_predictor(self) -> bool {
        matches!(self, Compression::None | Compression::PackBits)
    }

    /// The most bytes that so many compressed ones can stand for: what a file claims beyond that
    /// is not allocated.
    pub(super) fn longest_output(self, compressed: u64) -> u64 {
        let ratio = match self {
            Compression::None => 1,
            Compression::PackBits => 64,
            Compression::Deflate => 1032,
            // A code of at least 9 bits stands for at most the 4096 entries of the table.
            Compression::Lzw => 4096,
            // A block of 128 KiB can be 4 bytes long.
            Compression::Zstd => 32 * 1024,
        };
        compressed.saturating_mul(ratio)
    }

    /// Fills `out`; what is stored beyond it is ignored where the format allows to stop.
    fn decompress(self, stored: &[u8], out: &mut [u8]) -> Result<(), String> {
        let written = match self {
            Compression::None => {
                let len = stored.len().min(out.len());
                out[..len].copy_from_slice(&stored[..len]);
                len
            }
            Compression::Lzw => decompress_lzw(stored, out)?,
            Compression::Deflate => {
                Decompressor::new().zlib_decompress(stored, out).map_err(|error| match error {
                    DecompressionError::BadData => "its bytes are damaged".to_owned(),
                    DecompressionError::InsufficientSpace => {
                        format!("it holds more than {} bytes", out.len())
                    }
                })?
            }
            Compression::PackBits => decompress_packbits(stored, out),
            Compression::Zstd => {
                zstd::bulk::decompress_to_buffer(stored, out).map_err(|error| error.to_string())?
            }
        };
        if written < out.len() {
            return Err(format!("{written} bytes came out instead of {}", out.len()));
        }
        Ok(())
    }
}

fn decompress_lzw(stored: &[u8], out: &mut [u8]) -> Result<usize, String> {
    use weezl::{BitOrder, LzwStatus, decode::Configuration};
    let mut decoder = Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
        .with_yield_on_full_buffer(true)
        .build();
    let (mut read, mut written) = (0, 0);
    while written < out.len() {
        let step = decoder.decode_bytes(&stored[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(written)
}

fn decompress_packbits(stored: &[u8], out: &mut [u8]) -> usize {
    let (mut read, mut written) = (0, 0);
    while let (Some(&header), true) = (stored.get(read), written < out.len()) {
        read += 1;
        let room = out.len() - written;
        match header {
            0..=127 => {
                let len = (usize::from(header) + 1).min(room).min(stored.len() - read);
                out[written..written + len].copy_from_slice(&stored[read..read + len]);
                read += len;
                written += len;
            }
            128 => {}
            129..=255 => {
                let Some(&value) = stored.get(read) else { break };
                let len = (257 - usize::from(header)).min(room);
                out[written..written + len].fill(value);
                read += 1;
                written += len;
            }
        }
    }
    written
}

/// The voxels of a strip or tile of so many rows: an array of rows, columns and samples.
///
/// # Errors
/// Why the bytes do not decode.
pub(super) fn decode(format: &PageFormat, mut stored: Vec<u8>, rows: u64) -> Result<Array, String> {
    if format.reversed_bits {
        for byte in &mut stored {
            *byte = byte.reverse_bits();
        }
    }
    let mut voxels = Array::zeros(format.dtype, &[rows, format.segment_width, format.samples]);
    if format.dtype == DType::Bool {
        let mut packed = vec![0; format.packed_len(rows) as usize];
        format.compression.decompress(&stored, &mut packed)?;
        unpack_bits(&packed, voxels.bytes_mut(), (format.segment_width * format.samples) as usize);
        return Ok(voxels);
    }
    format.compression.decompress(&stored, voxels.bytes_mut())?;
    let row = (format.segment_width * format.samples) as usize;
    let samples = format.samples as usize;
    let size = format.dtype.size();
    match format.predictor {
        Predictor::FloatingPoint => {
            undo_floating_point(voxels.bytes_mut(), row, samples, size);
            return Ok(voxels);
        }
        Predictor::Horizontal | Predictor::None => {
            if format.is_swapped() {
                swap_bytes(voxels.bytes_mut(), size);
            }
        }
    }
    if format.predictor == Predictor::Horizontal {
        let bytes = voxels.bytes_mut();
        match size {
            1 => undo_horizontal::<u8>(bytes, row, samples),
            2 => undo_horizontal::<u16>(bytes, row, samples),
            4 => undo_horizontal::<u32>(bytes, row, samples),
            _ => undo_horizontal::<u64>(bytes, row, samples),
        }
        .map_err(|error| error.to_string())?;
    }
    Ok(voxels)
}

/// One byte for each bit, rows starting at whole bytes.
fn unpack_bits(packed: &[u8], out: &mut [u8], row: usize) {
    for (packed, out) in packed.chunks_exact(row.div_ceil(8)).zip(out.chunks_exact_mut(row)) {
        for (column, out) in out.iter_mut().enumerate() {
            *out = packed[column / 8] >> (7 - column % 8) & 1;
        }
    }
}

fn undo_horizontal<T: Pod + WrappingAdd>(
    bytes: &mut [u8],
    row: usize,
    samples: usize,
) -> Result<(), bytemuck::PodCastError> {
    let values: &mut [T] = bytemuck::try_cast_slice_mut(bytes)?;
    for row in values.chunks_exact_mut(row) {
        if samples == 1 {
            let mut left = T::zeroed();
            for value in row {
                left = left.wrapping_add(value);
                *value = left;
            }
        } else {
            for at in samples..row.len() {
                row[at] = row[at].wrapping_add(&row[at - samples]);
            }
        }
    }
    Ok(())
}

/// The result is in this machine's byte order, whatever that of the file.
fn undo_floating_point(bytes: &mut [u8], row: usize, samples: usize, size: usize) {
    let mut sorted = vec![0; row * size];
    for bytes in bytes.chunks_exact_mut(row * size) {
        for at in samples..bytes.len() {
            bytes[at] = bytes[at].wrapping_add(bytes[at - samples]);
        }
        sorted.copy_from_slice(bytes);
        for (column, voxel) in bytes.chunks_exact_mut(size).enumerate() {
            for (significance, byte) in voxel.iter_mut().enumerate() {
                let plane = if cfg!(target_endian = "big") {
                    significance
                } else {
                    size - 1 - significance
                };
                *byte = sorted[plane * row + column];
            }
        }
    }
}
