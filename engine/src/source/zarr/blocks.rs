//! Regions of an array from and to its chunk files.

use super::ZarrArray;
use super::description::Layout;
use super::pipeline::Pipeline;
use super::shard::{Damage, Index, ShardFormat, ShardWriter};
use crate::array::{Array, copy_region, for_each_run};
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, ravel};
use crate::source::ReadEncoded;
use crate::source::cache::Wanted;
use crate::source::chunked::Cells;
use crate::source::store;
use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Memory that a thread keeps between chunks: mapping it anew for each would cost a good part of
/// the time that decoding takes.
#[derive(Default)]
struct Scratch {
    encoded: Vec<u8>,
    voxels: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A shard that is open for reading.
struct OpenShard {
    file: File,
    path: PathBuf,
    index: std::sync::Arc<Index>,
}

impl ZarrArray {
    /// Extents of what is decoded at once.
    pub(super) fn chunk_shape(&self) -> &[u64] {
        match &self.description.layout {
            Layout::Chunk(_) => &self.description.unit,
            Layout::Shard(shards) => &shards.chunk_shape,
        }
    }

    fn pipeline(&self) -> &Pipeline {
        match &self.description.layout {
            Layout::Chunk(pipeline) => pipeline,
            Layout::Shard(shards) => &shards.chunks,
        }
    }

    fn chunks(&self) -> Cells<'_> {
        Cells { array: &self.description.shape, cell: self.chunk_shape() }
    }

    fn units(&self) -> Cells<'_> {
        Cells { array: &self.description.shape, cell: &self.description.unit }
    }

    pub(super) fn units_of(&self, region: &Region) -> impl Iterator<Item = Vec<u64>> {
        self.units().touching(region)
    }

    /// The file of a unit.
    pub(super) fn unit_path(&self, position: &[u64]) -> PathBuf {
        self.folder.join(self.description.keys.chunk_key(position).as_str())
    }

    /// Drops the kept chunks of a region whose stored bytes change.
    pub(super) fn forget_cached(&self, region: &Region) {
        if self.cache.takes(1, true) {
            let chunks = self.chunks();
            chunks.touching(region).for_each(|at| self.cache.forget(chunks.number(&at)));
        }
    }

    fn check_inside(&self, region: &Region) -> Result<()> {
        if region.fits(&self.description.shape) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the region {region} lies outside the array of shape {:?}",
            self.description.shape
        )))
    }

    pub(super) fn read_region(&self, region: &Region) -> Result<Array> {
        self.check_inside(region)?;
        let mut block = Array::zeros(self.description.dtype, &region.shape);
        SCRATCH.with_borrow_mut(|scratch| -> Result<()> {
            for position in self.units().touching(region) {
                let path = self.unit_path(&position);
                match &self.description.layout {
                    Layout::Chunk(_) => self.read_chunk(
                        &position,
                        &path,
                        (region, &mut block),
                        scratch,
                        |encoded| store::read_whole(&path, encoded),
                    )?,
                    Layout::Shard(shards) => {
                        let shard = self.open_shard(shards, &position, path.clone())?;
                        let Some(part) = self
                            .units()
                            .region(&position)
                            .and_then(|unit| unit.intersection(region))
                        else {
                            continue;
                        };
                        for chunk in self.chunks().touching(&part) {
                            let number = shards.number_in_shard(&chunk);
                            self.read_chunk(
                                &chunk,
                                &path,
                                (region, &mut block),
                                scratch,
                                |encoded| match &shard {
                                    Some(shard) => shard.read(number, encoded),
                                    None => Ok(false),
                                },
                            )?;
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(block)
    }

    fn open_shard(
        &self,
        shards: &ShardFormat,
        position: &[u64],
        path: PathBuf,
    ) -> Result<Option<OpenShard>> {
        let Some(file) = store::open(&path)? else { return Ok(None) };
        match shards.read_index(self.units().number(position), &file, &path) {
            Ok(index) => Ok(Some(OpenShard { file, path, index })),
            Err(Damage::Torn(why)) => Err(self.torn(&path, &why)),
            Err(Damage::Failed(error)) => Err(error),
        }
    }

    /// Puts what a block wants of a chunk into it. `load` reads the stored bytes, if there are any.
    fn read_chunk(
        &self,
        position: &[u64],
        path: &Path,
        (region, block): (&Region, &mut Array),
        scratch: &mut Scratch,
        load: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<()> {
        let Some(inside) = self.chunks().region(position) else { return Ok(()) };
        let Some(part) = inside.intersection(region) else { return Ok(()) };
        let pipeline = self.pipeline();
        let to = part.relative_to(&region.start);
        let from = part.relative_to(&inside.start);
        let size = self.description.dtype.size();
        let bytes = pipeline.decoded_len() as u64;
        if self.cache.takes(bytes, part != inside) {
            let wanted = Wanted {
                chunk: self.chunks().number(position),
                bytes,
                voxels: inside.voxels(),
                now: part.voxels(),
            };
            let chunk = self.cache.get(&wanted, || {
                let mut chunk = Array::zeros(self.description.dtype, self.chunk_shape());
                if load(&mut scratch.encoded)? {
                    self.decode(path, &scratch.encoded, chunk.bytes_mut())?;
                } else {
                    self.fill(chunk.bytes_mut());
                }
                Ok(chunk)
            })?;
            return block.paste(&to.start, &chunk, &from);
        }
        if !load(&mut scratch.encoded)? {
            return self.fill_part(block, &to);
        }
        if part.shape == self.chunk_shape()
            && let Some(range) = contiguous(&to, block.shape(), size)
        {
            return self.decode(path, &scratch.encoded, &mut block.bytes_mut()[range]);
        }
        scratch.voxels.resize(pipeline.decoded_len(), 0);
        self.decode(path, &scratch.encoded, &mut scratch.voxels)?;
        let shape = block.shape().to_vec();
        copy_region(
            (&scratch.voxels, self.chunk_shape(), &from.start),
            (block.bytes_mut(), &shape, &to.start),
            &part.shape,
            size,
        )
    }

    fn decode(&self, path: &Path, encoded: &[u8], voxels: &mut [u8]) -> Result<()> {
        self.pipeline().decode(encoded, voxels).map_err(|why| self.torn(path, &why))
    }

    fn torn(&self, path: &Path, why: &str) -> Error {
        Error::new(
            Kind::CorruptData,
            format!("the chunk file '{}' does not decode: {why}", path.display()),
        )
        .fix("Restore the file, or remove it: what is not stored reads as the fill value.")
    }

    /// Fills memory of whole voxels with the fill value.
    fn fill(&self, voxels: &mut [u8]) {
        let value = &self.description.fill;
        if value.iter().all(|byte| *byte == 0) {
            voxels.fill(0);
        } else {
            voxels.chunks_exact_mut(value.len()).for_each(|voxel| voxel.copy_from_slice(value));
        }
    }

    /// Fills a region of a block of zeros.
    fn fill_part(&self, block: &mut Array, part: &Region) -> Result<()> {
        if self.description.fill.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let shape = block.shape().to_vec();
        let (size, bytes) = (self.description.dtype.size(), block.bytes_mut());
        let at = (shape.as_slice(), part.start.as_slice());
        for_each_run(at, at, &part.shape, size, |_, target, run| {
            self.fill(&mut bytes[target..target + run]);
        })
    }

    fn is_fill(&self, voxels: &[u8]) -> bool {
        let value = &self.description.fill;
        voxels.chunks_exact(value.len()).all(|voxel| voxel == value)
    }

    pub(super) fn write_region(&self, region: &Region, block: &Array) -> Result<u64> {
        self.check_inside(region)?;
        if block.shape() != region.shape || block.dtype() != self.description.dtype {
            return Err(Error::internal(format!(
                "a block of shape {:?} and dtype {} was to be written to {region} of dtype {}",
                block.shape(),
                block.dtype(),
                self.description.dtype
            )));
        }
        let mut written = 0;
        self.forget_cached(region);
        SCRATCH.with_borrow_mut(|scratch| -> Result<()> {
            for position in self.units().touching(region) {
                let path = self.unit_path(&position);
                written += match &self.description.layout {
                    Layout::Chunk(_) => {
                        self.write_chunk_file(&position, &path, (region, block), scratch)?
                    }
                    Layout::Shard(shards) => {
                        self.write_shard(shards, &position, &path, (region, block), scratch)?
                    }
                };
            }
            Ok(())
        })?;
        Ok(written)
    }

    fn write_chunk_file(
        &self,
        position: &[u64],
        path: &Path,
        block: (&Region, &Array),
        scratch: &mut Scratch,
    ) -> Result<u64> {
        let voxels = self.chunk_to_write(position, path, block, scratch, |encoded| {
            store::read_whole(path, encoded)
        })?;
        let Some(voxels) = voxels else { return Ok(0) };
        let bytes =
            self.pipeline().encode(voxels.of(block.1, &scratch.voxels), &mut scratch.encoded)?;
        store::replace(path, bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Writes a shard chunk by chunk, so that no more than one is in memory. Chunks that the block
    /// does not touch are carried over as they are stored.
    fn write_shard(
        &self,
        shards: &ShardFormat,
        position: &[u64],
        path: &Path,
        block: (&Region, &Array),
        scratch: &mut Scratch,
    ) -> Result<u64> {
        let Some(unit) = self.units().region(position) else { return Ok(0) };
        let covered = unit.intersection(block.0).as_ref() == Some(&unit);
        let old = if covered { None } else { self.open_shard(shards, position, path.to_owned())? };
        let mut shard = ShardWriter::begin(shards, path)?;
        for chunk in self.chunks().touching(&unit) {
            let number = shards.number_in_shard(&chunk);
            let load = |encoded: &mut Vec<u8>| match &old {
                Some(shard) => shard.read(number, encoded),
                None => Ok(false),
            };
            let bytes = match self.chunk_to_write(&chunk, path, block, scratch, load)? {
                Some(voxels) => {
                    let voxels = voxels.of(block.1, &scratch.voxels);
                    if self.is_fill(voxels) {
                        continue;
                    }
                    shards.chunks.encode(voxels, &mut scratch.encoded)?
                }
                None if load(&mut scratch.encoded)? => &scratch.encoded,
                None => continue,
            };
            shard.add(number, bytes)?;
        }
        shard.finish()
    }

    /// Reads the stored bytes of a chunk, from its file or its shard.
    pub(super) fn read_encoded_chunk(&self, chunk: &Region, bytes: &mut Vec<u8>) -> Result<bool> {
        let position = self.chunks().position(chunk)?;
        match &self.description.layout {
            Layout::Chunk(_) => store::read_whole(&self.unit_path(&position), bytes),
            Layout::Shard(shards) => {
                let unit: Vec<u64> =
                    position.iter().zip(&shards.chunks_per_axis).map(|(at, n)| at / n).collect();
                match self.open_shard(shards, &unit, self.unit_path(&unit))? {
                    Some(shard) => shard.read(shards.number_in_shard(&position), bytes),
                    None => Ok(false),
                }
            }
        }
    }

    /// Stores a unit of chunks that are encoded already.
    pub(super) fn write_encoded_unit(&self, unit: &Region, read: &mut ReadEncoded) -> Result<u64> {
        let path = self.unit_path(&self.units().position(unit)?);
        let mut bytes = Vec::new();
        match &self.description.layout {
            Layout::Chunk(_) if read(unit, &mut bytes)? => {
                store::replace(&path, &bytes)?;
                Ok(bytes.len() as u64)
            }
            Layout::Chunk(_) => store::remove(&path).map(|()| 0),
            Layout::Shard(shards) => {
                let mut shard = ShardWriter::begin(shards, &path)?;
                for position in self.chunks().touching(unit) {
                    let Some(chunk) = self.chunks().region(&position) else { continue };
                    if read(&chunk, &mut bytes)? {
                        shard.add(shards.number_in_shard(&position), &bytes)?;
                    }
                }
                shard.finish()
            }
        }
    }

    /// The voxels of a chunk after a block was written to it; none if the block does not touch it.
    /// `load` reads the stored bytes of the chunk, where the block covers it in part.
    fn chunk_to_write(
        &self,
        position: &[u64],
        path: &Path,
        (region, block): (&Region, &Array),
        scratch: &mut Scratch,
        load: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<Option<Voxels>> {
        let Some(inside) = self.chunks().region(position) else { return Ok(None) };
        let Some(part) = inside.intersection(region) else { return Ok(None) };
        let from = part.relative_to(&region.start);
        let size = self.description.dtype.size();
        let whole = part.shape == self.chunk_shape();
        if whole && let Some(range) = contiguous(&from, block.shape(), size) {
            return Ok(Some(Voxels::InBlock(range)));
        }
        scratch.voxels.resize(self.pipeline().decoded_len(), 0);
        if part != inside && load(&mut scratch.encoded)? {
            self.decode(path, &scratch.encoded, &mut scratch.voxels)?;
        } else if !whole {
            self.fill(&mut scratch.voxels);
        }
        let to = part.relative_to(&inside.start);
        copy_region(
            (block.bytes(), block.shape(), &from.start),
            (&mut scratch.voxels, self.chunk_shape(), &to.start),
            &part.shape,
            size,
        )?;
        Ok(Some(Voxels::InScratch))
    }

    pub(super) fn verify_region(&self, region: &Region, decode: bool) -> Result<bool> {
        self.check_inside(region)?;
        for position in self.units().touching(region) {
            let path = self.unit_path(&position);
            if !path.is_file() {
                return Ok(false);
            }
            if decode && !self.unit_decodes(&position, path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unit_decodes(&self, position: &[u64], path: PathBuf) -> Result<bool> {
        let pipeline = self.pipeline();
        SCRATCH.with_borrow_mut(|Scratch { encoded, voxels }| {
            voxels.resize(pipeline.decoded_len(), 0);
            let shards = match &self.description.layout {
                Layout::Chunk(_) => {
                    store::read_whole(&path, encoded)?;
                    return Ok(pipeline.decode(encoded, voxels).is_ok());
                }
                Layout::Shard(shards) => shards,
            };
            let shard = match self.open_shard(shards, position, path) {
                Ok(Some(shard)) => shard,
                Err(error) if error.kind != Kind::CorruptData => return Err(error),
                _ => return Ok(false),
            };
            for number in 0..shards.chunks_in_shard() {
                if shard.read(number, encoded)? && pipeline.decode(encoded, voxels).is_err() {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

/// Where the voxels of a chunk that is to be encoded are.
enum Voxels {
    /// In the block, one after the other.
    InBlock(Range<usize>),
    /// Gathered.
    InScratch,
}

impl Voxels {
    fn of<'a>(&self, block: &'a Array, scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Voxels::InBlock(range) => &block.bytes()[range.clone()],
            Voxels::InScratch => scratch,
        }
    }
}

impl OpenShard {
    fn read(&self, chunk: usize, buffer: &mut Vec<u8>) -> Result<bool> {
        self.index.read_chunk(chunk, &self.file, &self.path, buffer)
    }
}

impl ShardFormat {
    /// Number of a chunk of the array inside its shard.
    fn number_in_shard(&self, chunk: &[u64]) -> usize {
        let inside: Vec<u64> =
            chunk.iter().zip(&self.chunks_per_axis).map(|(i, n)| i % n).collect();
        ravel(&inside, &self.chunks_per_axis) as usize
    }
}

/// The bytes of a region of an array in C order, where they lie one after the other.
fn contiguous(region: &Region, array: &[u64], size: usize) -> Option<Range<usize>> {
    let outer = region.shape.iter().take_while(|&&n| n == 1).count();
    let whole = ((outer + 1)..array.len()).all(|axis| region.shape[axis] == array[axis]);
    let start = ravel(&region.start, array) as usize * size;
    whole.then(|| start..start + region.voxels() as usize * size)
}
