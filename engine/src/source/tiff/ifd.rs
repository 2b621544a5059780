//! The directory of a TIFF file: its header, and the tags of its pages. Classic and BigTIFF, either
//! byte order.

use crate::error::{Error, Kind, Result};
use crate::source::file::{OpenFile, corrupt};
use std::collections::HashSet;

/// Read at once where a directory lies: a page's tags and their values mostly lie together.
const WINDOW: u64 = 4096;

/// Numbers of the tags that are used here.
pub(super) mod tag {
    pub(in super::super) const IMAGE_WIDTH: u16 = 256;
    pub(in super::super) const IMAGE_LENGTH: u16 = 257;
    pub(in super::super) const BITS_PER_SAMPLE: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC: u16 = 262;
    pub(in super::super) const FILL_ORDER: u16 = 266;
    pub(in super::super) const IMAGE_DESCRIPTION: u16 = 270;
    pub(in super::super) const STRIP_OFFSETS: u16 = 273;
    pub(in super::super) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in super::super) const ROWS_PER_STRIP: u16 = 278;
    pub(in super::super) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(in super::super) const X_RESOLUTION: u16 = 282;
    pub(in super::super) const Y_RESOLUTION: u16 = 283;
    pub(in super::super) const PLANAR_CONFIGURATION: u16 = 284;
    pub(in super::super) const PREDICTOR: u16 = 317;
    pub(in super::super) const TILE_WIDTH: u16 = 322;
    pub(in super::super) const TILE_LENGTH: u16 = 323;
    pub(in super::super) const TILE_OFFSETS: u16 = 324;
    pub(in super::super) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const SAMPLE_FORMAT: u16 = 339;
    pub(in super::super) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(in super::super) const IMAGE_DEPTH: u16 = 32997;
    /// One entry for each plane of a MetaMorph stack.
    pub(in super::super) const METAMORPH_PLANES: u16 = 33629;
}

/// Reads the directory of one file.
pub(super) struct Directory<'a> {
    file: &'a OpenFile,
    big_endian: bool,
    /// BigTIFF: offsets of 64 bits.
    big: bool,
    window: Vec<u8>,
    window_start: u64,
}

/// The tags of one page.
pub(super) struct Ifd {
    entries: Vec<Entry>,
}

struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where the values are: in the entry itself if they fit there.
    offset: u64,
}

impl<'a> Directory<'a> {
    /// The tags of all pages, in the order of the file; not those of reduced copies that hang below
    /// a page (SubIFDs).
    pub(super) fn read(file: &'a OpenFile) -> Result<(Self, Vec<Ifd>)> {
        let not_tiff = || {
            Error::new(
                Kind::UnsupportedFormat,
                format!("'{}' is not a TIFF file", file.path().display()),
            )
            .fix("Check that the path names a TIFF file.")
        };
        let mut header = [0; 16];
        let len = header.len().min(file.len() as usize);
        file.read(0, &mut header[..len])?;
        let big_endian = match &header[..2] {
            b"II" => false,
            b"MM" => true,
            _ => return Err(not_tiff()),
        };
        let mut directory =
            Directory { file, big_endian, big: false, window: Vec::new(), window_start: 0 };
        let mut next = match directory.uint(&header[2..4]) {
            42 if len >= 8 => directory.uint(&header[4..8]),
            43 if len == 16
                && directory.uint(&header[4..8]) == if big_endian { 8 << 16 } else { 8 } =>
            {
                directory.big = true;
                directory.uint(&header[8..])
            }
            _ => return Err(not_tiff()),
        };
        let mut seen = HashSet::new();
        let mut ifds = Vec::new();
        while next != 0 {
            if !seen.insert(next) {
                return Err(corrupt(file.path(), "its list of pages leads back to itself".into()));
            }
            let (ifd, following) = directory.ifd(next)?;
            ifds.push(ifd);
            next = following;
        }
        Ok((directory, ifds))
    }

    pub(super) fn file(&self) -> &'a OpenFile {
        self.file
    }

    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    fn ifd(&mut self, offset: u64) -> Result<(Ifd, u64)> {
        let (count_len, entry_len, offset_len) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = {
            let bytes = self.bytes(offset, count_len)?.to_vec();
            self.uint(&bytes)
        };
        let body = count
            .checked_mul(entry_len)
            .and_then(|len| len.checked_add(offset_len))
            .ok_or_else(|| corrupt(self.file.path(), format!("a page has {count} tags")))?;
        let start = offset + count_len;
        let bytes = self.bytes(start, body)?.to_vec();
        let (entries, next) = bytes.split_at((count * entry_len) as usize);
        let inline = entry_len - offset_len;
        let entries = entries
            .chunks_exact(entry_len as usize)
            .zip(0u64..)
            .map(|(entry, index)| {
                let (kind, count) =
                    (self.uint(&entry[2..4]) as u16, self.uint(&entry[4..inline as usize]));
                let fits = size_of_kind(kind)
                    .and_then(|size| size.checked_mul(count))
                    .is_some_and(|len| len <= offset_len);
                let offset = if fits {
                    start + index * entry_len + inline
                } else {
                    self.uint(&entry[inline as usize..])
                };
                Entry { tag: self.uint(&entry[..2]) as u16, kind, count, offset }
            })
            .collect();
        Ok((Ifd { entries }, self.uint(next)))
    }

    /// An unsigned number of 2, 4 or 8 bytes.
    fn uint(&self, bytes: &[u8]) -> u64 {
        let append = |value, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian {
            bytes.iter().fold(0, append)
        } else {
            bytes.iter().rev().fold(0, append)
        }
    }

    fn bytes(&mut self, offset: u64, len: u64) -> Result<&[u8]> {
        let inside = offset >= self.window_start
            && offset
                .checked_add(len)
                .is_some_and(|end| end <= self.window_start + self.window.len() as u64);
        if !inside {
            self.window.clear();
            if !self.file.holds(offset, len) {
                return Err(corrupt(
                    self.file.path(),
                    format!("ends before the page list, which goes on at byte {offset}"),
                ));
            }
            let len = len.max(WINDOW).min(self.file.len() - offset);
            self.window.resize(len as usize, 0);
            self.window_start = offset;
            if let Err(error) = self.file.read(offset, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let start = (offset - self.window_start) as usize;
        Ok(&self.window[start..start + len as usize])
    }

    /// The bytes of a tag's values, and the size of one of them.
    fn raw(&mut self, ifd: &Ifd, tag: u16, kinds: &[u16]) -> Result<Option<(Vec<u8>, usize)>> {
        let Some(entry) = ifd.entries.iter().find(|entry| entry.tag == tag) else {
            return Ok(None);
        };
        let len = size_of_kind(entry.kind)
            .filter(|_| kinds.contains(&entry.kind))
            .and_then(|size| Some((size.checked_mul(entry.count)?, size)));
        let Some((len, size)) = len else {
            return Err(corrupt(
                self.file.path(),
                format!("tag {tag} has {} values of type {}", entry.count, entry.kind),
            ));
        };
        Ok(Some((self.bytes(entry.offset, len)?.to_vec(), size as usize)))
    }

    /// The values of a tag of unsigned numbers.
    pub(super) fn uints(&mut self, ifd: &Ifd, tag: u16) -> Result<Option<Vec<u64>>> {
        // byte, short, long, IFD, long8, IFD8
        let Some((bytes, size)) = self.raw(ifd, tag, &[1, 3, 4, 13, 16, 18])? else {
            return Ok(None);
        };
        Ok(Some(bytes.chunks_exact(size).map(|value| self.uint(value)).collect()))
    }

    /// The only, or first, value of a tag.
    pub(super) fn first(&mut self, ifd: &Ifd, tag: u16) -> Result<Option<u64>> {
        Ok(self.uints(ifd, tag)?.and_then(|values| values.first().copied()))
    }

    /// The value of a tag that holds a fraction.
    pub(super) fn ratio(&mut self, ifd: &Ifd, tag: u16) -> Result<Option<f64>> {
        let Some((bytes, _)) = self.raw(ifd, tag, &[5])? else {
            return Ok(None);
        };
        let part = |range| bytes.get(range).map(|part| self.uint(part) as f64);
        Ok(part(0..4)
            .zip(part(4..8))
            .map(|(above, below)| above / below)
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0))
    }

    /// The value of a tag that holds text.
    pub(super) fn text(&mut self, ifd: &Ifd, tag: u16) -> Result<Option<String>> {
        // byte, ascii, undefined
        let Some((bytes, _)) = self.raw(ifd, tag, &[1, 2, 7])? else {
            return Ok(None);
        };
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        // ImageJ on some systems writes its unit in Latin 1, whose codes are those of Unicode.
        Ok(Some(match std::str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) => text.iter().map(|byte| char::from(*byte)).collect(),
        }))
    }

    /// How many values a tag has, whatever they are.
    pub(super) fn count(&self, ifd: &Ifd, tag: u16) -> u64 {
        ifd.entries.iter().find(|entry| entry.tag == tag).map_or(0, |entry| entry.count)
    }
}

fn size_of_kind(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}
