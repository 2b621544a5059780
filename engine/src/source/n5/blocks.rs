//! Regions of an array from and to its block files.

use super::N5Array;
use crate::array::{Array, byte_len, swap_bytes};
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, shape_text};
use crate::source::cache::Wanted;
use crate::source::chunked::Cells;
use crate::source::store;
use std::path::{Path, PathBuf};

/// A block of the array's type, which has its extents in the header.
const DEFAULT_MODE: u16 = 0;
/// One that tells its number of voxels besides.
const VARIABLE_MODE: u16 = 1;

impl N5Array {
    fn cells(&self) -> Cells<'_> {
        Cells { array: &self.attributes.shape, cell: &self.attributes.chunks }
    }

    pub(super) fn chunks_of(&self, region: &Region) -> impl Iterator<Item = Vec<u64>> {
        self.cells().touching(region)
    }

    /// The file of a block: a folder for each axis but the last, the fastest axis first.
    pub(super) fn chunk_path(&self, position: &[u64]) -> PathBuf {
        let mut path = self.folder.clone();
        path.extend(position.iter().rev().map(u64::to_string));
        path
    }

    fn check_inside(&self, region: &Region) -> Result<()> {
        if region.fits(&self.attributes.shape) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the region {region} lies outside the array of shape {:?}",
            self.attributes.shape
        )))
    }

    pub(super) fn read_region(&self, region: &Region) -> Result<Array> {
        self.check_inside(region)?;
        let mut block = Array::zeros(self.attributes.dtype, &region.shape);
        let cells = self.cells();
        for position in cells.touching(region) {
            let Some(inside) = cells.region(&position) else { continue };
            let Some(part) = inside.intersection(region) else { continue };
            let bytes = byte_len(self.attributes.dtype, &inside.shape) as u64;
            let to = part.relative_to(&region.start);
            let from = part.relative_to(&inside.start);
            if self.cache.takes(bytes, part != inside) {
                let (chunk, voxels, now) =
                    (cells.number(&position), inside.voxels(), part.voxels());
                let chunk = self.cache.get(&Wanted { chunk, bytes, voxels, now }, || {
                    Ok(self
                        .load(&position, &inside.shape)?
                        .unwrap_or_else(|| Array::zeros(self.attributes.dtype, &inside.shape)))
                })?;
                block.paste(&to.start, &chunk, &from)?;
            } else if let Some(chunk) = self.load(&position, &inside.shape)? {
                block.paste(&to.start, &chunk, &from)?;
            }
        }
        Ok(block)
    }

    /// The voxels of a block, of `shape` however large it is stored; none if it is not stored.
    fn load(&self, position: &[u64], shape: &[u64]) -> Result<Option<Array>> {
        let path = self.chunk_path(position);
        let mut file = Vec::new();
        if !store::read_whole(&path, &mut file)? {
            return Ok(None);
        }
        let stored = self.decode(&file).map_err(|why| torn(&path, &why))?;
        if stored.shape() == shape {
            return Ok(Some(stored));
        }
        // Stored whole although the array ends within it, or less than the array has by now.
        let mut chunk = Array::zeros(self.attributes.dtype, shape);
        if let Some(part) = Region::whole(shape).intersection(&Region::whole(stored.shape())) {
            chunk.paste(&vec![0; shape.len()], &stored, &part)?;
        }
        Ok(Some(chunk))
    }

    fn decode(&self, file: &[u8]) -> Result<Array, String> {
        let attributes = &self.attributes;
        let (shape, payload) = split_header(file, attributes.chunks.len())?;
        // A damaged header must not ask for gigabytes.
        if shape.iter().zip(&attributes.chunks).any(|(stored, chunk)| stored > chunk) {
            return Err(format!(
                "its header says {}, but blocks have {}",
                shape_text(&shape),
                shape_text(&attributes.chunks)
            ));
        }
        let mut voxels = Array::zeros(attributes.dtype, &shape);
        attributes.codec.decode(payload, voxels.bytes_mut())?;
        if cfg!(target_endian = "little") {
            swap_bytes(voxels.bytes_mut(), attributes.dtype.size());
        }
        Ok(voxels)
    }

    pub(super) fn write_region(&self, region: &Region, block: &Array) -> Result<u64> {
        self.check_inside(region)?;
        if block.shape() != region.shape || block.dtype() != self.attributes.dtype {
            return Err(Error::internal(format!(
                "a block of shape {:?} and dtype {} was to be written to {region} of dtype {}",
                block.shape(),
                block.dtype(),
                self.attributes.dtype
            )));
        }
        let cells = self.cells();
        let mut file = Vec::new();
        let mut written = 0;
        for position in cells.touching(region) {
            let Some(inside) = cells.region(&position) else { continue };
            let Some(part) = inside.intersection(region) else { continue };
            let kept = if part == inside { None } else { self.load(&position, &inside.shape)? };
            let mut chunk =
                kept.unwrap_or_else(|| Array::zeros(self.attributes.dtype, &inside.shape));
            let to = part.relative_to(&inside.start);
            chunk.paste(&to.start, block, &part.relative_to(&region.start))?;
            self.encode(&mut chunk, &mut file)?;
            self.cache.forget(cells.number(&position));
            store::replace(&self.chunk_path(&position), &file)?;
            written += file.len() as u64;
        }
        Ok(written)
    }

    /// The file of a block; turns its bytes around.
    fn encode(&self, chunk: &mut Array, file: &mut Vec<u8>) -> Result<()> {
        let too_large = || Error::internal("an N5 block has more than 2³² voxels along an axis");
        file.clear();
        file.extend_from_slice(&DEFAULT_MODE.to_be_bytes());
        let ndim = u16::try_from(chunk.shape().len()).map_err(|_| too_large())?;
        file.extend_from_slice(&ndim.to_be_bytes());
        for &extent in chunk.shape().iter().rev() {
            let extent = u32::try_from(extent).map_err(|_| too_large())?;
            file.extend_from_slice(&extent.to_be_bytes());
        }
        if cfg!(target_endian = "little") {
            swap_bytes(chunk.bytes_mut(), self.attributes.dtype.size());
        }
        self.attributes.codec.encode(chunk.bytes(), file)
    }

    pub(super) fn verify_region(&self, region: &Region, decode: bool) -> Result<bool> {
        self.check_inside(region)?;
        let mut file = Vec::new();
        for position in self.chunks_of(region) {
            let path = self.chunk_path(&position);
            if !path.is_file() {
                return Ok(false);
            }
            if decode {
                store::read_whole(&path, &mut file)?;
                if self.decode(&file).is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The extents of a block, slowest axis first, and its payload.
fn split_header(file: &[u8], ndim: usize) -> Result<(Vec<u64>, &[u8]), String> {
    let mut rest = file;
    let short = "it is too short for its header";
    let (mode, following) = rest.split_first_chunk().ok_or(short)?;
    let mode = u16::from_be_bytes(*mode);
    let (axes, following) = following.split_first_chunk().ok_or(short)?;
    let axes = usize::from(u16::from_be_bytes(*axes));
    rest = following;
    if axes != ndim {
        return Err(format!("its header has {axes} axes instead of {ndim}"));
    }
    let mut next = || -> Result<u64, String> {
        let (number, following) = rest.split_first_chunk().ok_or(short)?;
        rest = following;
        Ok(u64::from(u32::from_be_bytes(*number)))
    };
    let mut shape = (0..ndim).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
    shape.reverse();
    match mode {
        DEFAULT_MODE => {}
        VARIABLE_MODE if next()? == shape.iter().product::<u64>() => {}
        VARIABLE_MODE => return Err("it holds something else than one value a voxel".into()),
        _ => return Err(format!("its mode {mode} is not known")),
    }
    Ok((shape, rest))
}

fn torn(path: &Path, why: &str) -> Error {
    Error::new(Kind::CorruptData, format!("the block '{}' does not decode: {why}", path.display()))
        .fix("Remove the file, so that it counts as zeros, or write the array again.")
}
