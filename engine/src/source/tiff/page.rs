//! One page: how its voxels are stored, and where.

use super::decode::{Compression, Predictor};
use super::ifd::{Directory, Ifd, tag};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::source::file::corrupt;
use std::path::Path;
use std::sync::Arc;

/// How the voxels of a page are stored. Pages of one stack usually share it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PageFormat {
    pub dtype: DType,
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
    /// Planes that are stored one after the other: the samples of a pixel, if they are stored so.
    pub planes: u64,
    /// Samples that are stored next to each other.
    pub samples: u64,
    pub compression: Compression,
    pub predictor: Predictor,
    pub big_endian: bool,
    /// The bits of every stored byte are in reverse.
    pub reversed_bits: bool,
    pub tiled: bool,
    /// Rows of a strip or tile.
    pub segment_height: u64,
    /// Columns of a strip or tile.
    pub segment_width: u64,
    /// What the samples mean; it tells pages of different series from each other.
    pub meaning: (u64, Vec<u64>),
}

impl PageFormat {
    /// Strips or tiles above each other.
    pub fn down(&self) -> u64 {
        self.height.div_ceil(self.segment_height)
    }

    /// Strips or tiles beside each other.
    pub fn across(&self) -> u64 {
        self.width.div_ceil(self.segment_width)
    }

    /// Voxels of the page are stored as they are, up to the order of the bytes of each.
    pub fn is_raw(&self) -> bool {
        self.compression == Compression::None
            && self.predictor == Predictor::None
            && self.dtype != DType::Bool
            && !self.reversed_bits
    }

    /// The bytes of a stored number are in the other order than this machine's.
    pub fn is_swapped(&self) -> bool {
        self.big_endian != cfg!(target_endian = "big")
    }

    /// Rows that the strip or tile in that row of strips or tiles has.
    pub fn rows_at(&self, down: u64) -> u64 {
        if self.tiled {
            self.segment_height
        } else {
            self.segment_height.min(self.height - down * self.segment_height)
        }
    }

    /// Bytes of a strip or tile of so many rows, decoded.
    pub fn decoded_len(&self, rows: u64) -> u64 {
        rows * self.segment_width * self.samples * self.dtype.size() as u64
    }

    /// Bytes of a strip or tile of so many rows before it is compressed.
    pub fn packed_len(&self, rows: u64) -> u64 {
        if self.dtype == DType::Bool {
            rows * (self.segment_width * self.samples).div_ceil(8)
        } else {
            self.decoded_len(rows)
        }
    }

    /// Bytes of all voxels of a page.
    pub fn page_len(&self) -> u64 {
        self.planes * self.height * self.width * self.samples * self.dtype.size() as u64
    }

    /// Rows by columns and the samples, for messages.
    pub fn describe(&self) -> String {
        let samples = match self.planes * self.samples {
            1 => String::new(),
            n => format!(" with {n} samples a pixel"),
        };
        format!("{} x {} {}{samples}", self.height, self.width, self.dtype)
    }
}

/// Where the voxels of a page are stored.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// Number of its file in the stack.
    pub file: u32,
    /// Its number in the file, from 0.
    pub number: u32,
    pub format: Arc<PageFormat>,
    /// Offset and length of every strip or tile; length 0 where none is stored.
    pub segments: Box<[(u64, u64)]>,
}

impl Page {
    /// Where the page's voxels start, if they lie in one piece as they are.
    pub fn contiguous(&self) -> Option<u64> {
        let format = &self.format;
        let (first, _) = *self.segments.first()?;
        let in_order = format.is_raw()
            && first != 0
            && (!format.tiled
                || self.segments.len() == 1
                    && format.segment_width == format.width
                    && format.segment_height == format.height)
            && self.segments.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0);
        in_order.then_some(first)
    }

    /// Cuts strips of voxels that are stored as they are into pieces that are read at once: nothing
    /// but the writer's taste says how high such strips are. `file_len` bounds what is believed.
    pub fn cut_raw_strips(&mut self, file_len: u64) {
        const PIECE: u64 = 256 << 10;
        let format = &self.format;
        let Some(first) = self.contiguous().filter(|_| !format.tiled) else { return };
        if first.checked_add(format.page_len()).is_none_or(|end| end > file_len) {
            return;
        }
        let row = format.decoded_len(1);
        let most = (PIECE / row).clamp(1, format.height);
        // A power of two, so that the rows of blocks mostly start where pieces do.
        let segment_height = 1 << most.ilog2();
        let cut = PageFormat { segment_height, ..PageFormat::clone(format) };
        let down = cut.down();
        self.segments = (0..cut.planes * down)
            .map(|index| {
                let (plane, piece) = (index / down, index % down);
                let before = plane * cut.height + piece * segment_height;
                (first + before * row, cut.decoded_len(cut.rows_at(piece)))
            })
            .collect();
        self.format = Arc::new(cut);
    }
}

/// Reads what a page says of itself. `before` is the page before it: an equal format is shared.
pub(super) fn read_page(
    directory: &mut Directory<'_>,
    ifd: &Ifd,
    number: u32,
    before: Option<&Arc<PageFormat>>,
) -> Result<Page> {
    let format = read_format(directory, ifd, number)?;
    let format = match before {
        Some(before) if **before == format => before.clone(),
        _ => Arc::new(format),
    };
    let segments = read_segments(directory, ifd, number, &format)?;
    Ok(Page { file: 0, number, format, segments })
}

fn read_format(directory: &mut Directory<'_>, ifd: &Ifd, number: u32) -> Result<PageFormat> {
    let path = directory.file().path().to_owned();
    let unreadable = |what: String| {
        Error::new(
            Kind::UnsupportedFormat,
            format!("page {number} of '{}' has {what}, which is not read here", path.display()),
        )
        .fix("Convert the file, for example with tifffile or Fiji.")
    };
    let damaged = |what: String| corrupt(&path, format!("page {number} {what}"));

    let mut first =
        |tag, otherwise| -> Result<u64> { Ok(directory.first(ifd, tag)?.unwrap_or(otherwise)) };
    let width = first(tag::IMAGE_WIDTH, 0)?;
    let height = first(tag::IMAGE_LENGTH, 0)?;
    let samples = first(tag::SAMPLES_PER_PIXEL, 1)?;
    if width == 0 || height == 0 || samples == 0 {
        return Err(damaged(format!("is {height} x {width} with {samples} samples a pixel")));
    }
    if first(tag::IMAGE_DEPTH, 1)? > 1 {
        return Err(unreadable("a depth".to_owned()));
    }
    let photometric = first(tag::PHOTOMETRIC, 1)?;
    let compression = Compression::from_tag(first(tag::COMPRESSION, 1)?, &path, number)?;
    let reversed_bits = first(tag::FILL_ORDER, 1)? == 2;
    let separate = first(tag::PLANAR_CONFIGURATION, 1)? == 2 && samples > 1;
    let predictor = first(tag::PREDICTOR, 1)?;
    let rows_per_strip = first(tag::ROWS_PER_STRIP, u64::MAX)?;
    let tile = (first(tag::TILE_LENGTH, 0)?, first(tag::TILE_WIDTH, 0)?);

    let all = |values: Option<Vec<u64>>, otherwise: u64| -> Option<u64> {
        let values = values.filter(|values| !values.is_empty()).unwrap_or(vec![otherwise]);
        values.iter().all(|value| *value == values[0]).then_some(values[0])
    };
    let bits = all(directory.uints(ifd, tag::BITS_PER_SAMPLE)?, 1);
    let kind = all(directory.uints(ifd, tag::SAMPLE_FORMAT)?, 1);
    let dtype = match (kind, bits) {
        (Some(1), Some(1)) => DType::Bool,
        (Some(1 | 4), Some(8)) => DType::U8,
        (Some(1 | 4), Some(16)) => DType::U16,
        (Some(1 | 4), Some(32)) => DType::U32,
        (Some(1 | 4), Some(64)) => DType::U64,
        (Some(2), Some(8)) => DType::I8,
        (Some(2), Some(16)) => DType::I16,
        (Some(2), Some(32)) => DType::I32,
        (Some(2), Some(64)) => DType::I64,
        (Some(3), Some(32)) => DType::F32,
        (Some(3), Some(64)) => DType::F64,
        (None, _) | (_, None) => {
            return Err(unreadable("samples of different types in a pixel".to_owned()));
        }
        (Some(kind), Some(bits)) => {
            let kind = match kind {
                1 | 4 => "unsigned",
                2 => "signed",
                3 => "float",
                5 | 6 => "complex",
                _ => "unknown",
            };
            return Err(unreadable(format!("samples of {bits} bits ({kind})")));
        }
    };
    const YCBCR: u64 = 6;
    if photometric == YCBCR {
        let subsampling = directory.uints(ifd, tag::YCBCR_SUBSAMPLING)?.unwrap_or(vec![2, 2]);
        if subsampling != [1, 1] {
            return Err(unreadable("colours of lower resolution than the brightness".to_owned()));
        }
    }
    let predictor = match predictor {
        1 => Predictor::None,
        // Some writers leave the tag in files whose compression has no predictor.
        2 | 3 if compression.is_without_predictor() => Predictor::None,
        2 if dtype != DType::Bool => Predictor::Horizontal,
        3 if matches!(dtype, DType::F32 | DType::F64) => Predictor::FloatingPoint,
        other => return Err(unreadable(format!("predictor {other} for {dtype}"))),
    };
    let tiled = tile.0 > 0 && tile.1 > 0;
    let (segment_height, segment_width) =
        if tiled { tile } else { (rows_per_strip.clamp(1, height), width) };
    let format = PageFormat {
        dtype,
        height,
        width,
        planes: if separate { samples } else { 1 },
        samples: if separate { 1 } else { samples },
        compression,
        predictor,
        big_endian: directory.big_endian(),
        reversed_bits,
        tiled,
        segment_height,
        segment_width,
        meaning: (photometric, directory.uints(ifd, tag::EXTRA_SAMPLES)?.unwrap_or_default()),
    };
    // So that no later product of extents overflows.
    let extents =
        [height.max(segment_height), width.max(segment_width), samples, dtype.size() as u64];
    extents
        .into_iter()
        .try_fold(1u64, u64::checked_mul)
        .filter(|bytes| *bytes < 1 << 56)
        .ok_or_else(|| damaged(format!("claims to be {}", format.describe())))?;
    Ok(format)
}

fn read_segments(
    directory: &mut Directory<'_>,
    ifd: &Ifd,
    number: u32,
    format: &PageFormat,
) -> Result<Box<[(u64, u64)]>> {
    let path: &Path = directory.file().path();
    let damaged = |what: String| corrupt(path, format!("page {number} {what}"));
    let file_len = directory.file().len();
    let (mut offsets, mut counts) = (None, None);
    if format.tiled {
        offsets = directory.uints(ifd, tag::TILE_OFFSETS)?;
        counts = directory.uints(ifd, tag::TILE_BYTE_COUNTS)?;
    }
    if offsets.is_none() {
        offsets = directory.uints(ifd, tag::STRIP_OFFSETS)?;
        counts = directory.uints(ifd, tag::STRIP_BYTE_COUNTS)?;
    }
    let offsets = offsets.unwrap_or_default();
    let rows_of_segments = format.down();
    let needed = format.planes * rows_of_segments * format.across();
    if (offsets.len() as u64) < needed {
        return Err(damaged(format!("has {} strips or tiles instead of {needed}", offsets.len())));
    }
    let needed = needed as usize;
    let counts = match counts {
        Some(counts) if counts.len() >= needed => counts,
        _ if format.compression == Compression::None => vec![1; needed],
        // The length may be left out where there is only one strip.
        _ if needed == 1 => vec![file_len.saturating_sub(offsets[0])],
        _ => return Err(damaged("does not say how long its strips or tiles are".to_owned())),
    };
    let across = format.across();
    Ok((0u64..)
        .zip(offsets.into_iter().zip(counts))
        .take(needed)
        .map(|(index, (offset, count))| {
            if offset == 0 || count == 0 {
                return (0, 0);
            }
            // The length of what is not compressed follows from the extents, whatever is written.
            let len = match format.compression {
                Compression::None => {
                    format.packed_len(format.rows_at(index / across % rows_of_segments))
                }
                _ => count,
            };
            (offset, len)
        })
        .collect())
}
