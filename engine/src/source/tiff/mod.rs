//! TIFF stacks: multi-page files of any kind, and folders of slices.
//!
//! The directory of every file is read once, when the stack is opened; after that each page is found
//! by its number. Whole rows that are stored as they are are read from where they lie. All else
//! is decoded strip by strip (or tile by tile), and held as long as blocks of the same
//! row are likely to need it: see [`TiffStack::held_bytes`].
//!
//! The directory is parsed here rather than by the `tiff` crate, whose decoder is a cursor over one
//! page at a time and cannot be shared by threads.

mod cache;
mod decode;
mod files;
mod ifd;
mod imagej;
mod ome;
mod page;
mod series;
mod shaped;
mod slices;
mod turns;

use super::file::{OpenFile, corrupt};
use super::{Held, Metadata, Source, Spec};
use crate::array::{Array, byte_len, copy_region, swap_bytes};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, shape_text};
use cache::Cache;
use files::Files;
use ifd::Directory;
use page::{Page, PageFormat};
use series::{Extent, Series, check_same, read_series};
use std::path::{Path, PathBuf};
use turns::Turns;

/// Held until somebody says how much: a few pages, so that single slices are read fast.
const HELD_BY_DEFAULT: u64 = 64 << 20;

/// A stack of TIFF pages: a file of any number of dimensions, or slices in files of their own.
pub struct TiffStack {
    path: PathBuf,
    files: Files,
    shape: Vec<u64>,
    dtype: DType,
    metadata: Metadata,
    pages: Vec<Page>,
    images_per_page: u64,
    layout: Layout,
    cache: Cache,
    turns: Turns,
}

/// Which axes of the array are those of one image. The others lead, and number the images.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    /// Number of leading axes.
    outer: usize,
    planes: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    samples: Option<usize>,
}

/// Part of one image: where it starts and how far it extends along planes, rows, columns, samples.
#[derive(Clone, Copy)]
struct Window {
    start: [u64; 4],
    shape: [u64; 4],
}

impl TiffStack {
    /// Opens a TIFF file, a folder of slices or a glob pattern of slices.
    ///
    /// # Errors
    /// `not-found`, `unsupported-format`, `unsupported-codec` and `corrupt-data`, naming the file and
    /// page; `shape-mismatch` and `dtype-mismatch` for a slice that is unlike the first.
    pub fn open(path: &Path) -> Result<Self> {
        let files = Files::new(slices::files_of(path)?);
        let mut series = open_file(&files, 0)?;
        let count = files.paths().len();
        if count > 1 {
            add_slices(&files, &mut series)?;
            // Slices of planes are a volume, and volumes are a movie.
            let free = |name: &&str| series.axes.iter().all(|extent| extent.axis.name != *name);
            let name = ["z", "t"].iter().find(|name| free(name)).unwrap_or(&"");
            series.axes.insert(0, Extent::named(name, count as u64));
        }
        let shape: Vec<u64> = series.axes.iter().map(|extent| extent.size).collect();
        let format = series
            .pages
            .first()
            .map(|page| page.format.clone())
            .ok_or_else(|| Error::internal("a series has no page"))?;
        let layout = Layout::new(&shape, &format);
        let images = series.pages.len() as u64 * series.images_per_page;
        if shape[..layout.outer].iter().product::<u64>() != images {
            return Err(corrupt(
                path,
                format!("holds {images} images, which do not make up {}", shape_text(&shape)),
            ));
        }
        Ok(TiffStack {
            path: super::path::absolute(path),
            files,
            dtype: format.dtype,
            metadata: series.metadata(),
            pages: series.pages,
            images_per_page: series.images_per_page,
            shape,
            layout,
            cache: Cache::new(HELD_BY_DEFAULT),
            turns: Turns::default(),
        })
    }

    /// How many strips and tiles were decoded since the stack was opened. More than there are in
    /// what was read means that too little was held between reads.
    pub fn decoded(&self) -> u64 {
        self.cache.decoded()
    }

    fn format(&self) -> &PageFormat {
        // A stack is only made with a page.
        &self.pages[0].format
    }

    /// Reads part of an image into `out`, which is as large as that part.
    fn read_image(&self, image: u64, window: Window, out: &mut [u8]) -> Result<()> {
        let page = usize::try_from(image / self.images_per_page)
            .ok()
            .and_then(|number| self.pages.get(number))
            .ok_or_else(|| Error::internal("an image lies outside its stack"))?;
        let file = self.files.get(page.file)?;
        let reader = ImageReader {
            page,
            image,
            copy: image % self.images_per_page,
            file: &file,
            cache: &self.cache,
        };
        let plane_len = byte_len(self.dtype, &window.shape[1..]);
        for (plane, out) in (window.start[0]..).zip(out.chunks_exact_mut(plane_len)) {
            reader.read_plane(plane, window, out)?;
        }
        Ok(())
    }
}

/// Reads one file of a stack.
fn open_file(files: &Files, number: u32) -> Result<Series> {
    let file = files.get(number)?;
    let (mut directory, ifds) = Directory::read(&file)?;
    read_series(&mut directory, ifds)
}

/// Adds the pages of all files but the first, which must be like the first.
fn add_slices(files: &Files, series: &mut Series) -> Result<()> {
    for (number, path) in files.paths().iter().enumerate().skip(1) {
        let mut next = open_file(files, number as u32)?;
        let sizes = |series: &Series| -> Vec<u64> {
            series.axes.iter().map(|extent| extent.size).collect()
        };
        let unlike = |kind, what: String, other: String| {
            Error::new(
                kind,
                format!("slice '{}' has {what}, the slices before it {other}", path.display()),
            )
            .fix("Move files that are no slices of the stack elsewhere, or name the slices by a pattern.")
        };
        if let (Some(page), Some(first)) = (next.pages.first(), series.pages.first()) {
            let (dtype, other) = (page.format.dtype, first.format.dtype);
            if dtype != other {
                return Err(unlike(
                    Kind::DtypeMismatch,
                    format!("dtype {dtype}"),
                    other.to_string(),
                ));
            }
            if sizes(&next) != sizes(series)
                || next.images_per_page != series.images_per_page
                || check_same(&first.format, &page.format).is_err()
            {
                let shape = format!("shape {}", shape_text(&sizes(&next)));
                return Err(unlike(Kind::ShapeMismatch, shape, shape_text(&sizes(series))));
            }
        }
        for page in &mut next.pages {
            page.file = number as u32;
            // Slices mostly have one format: keep it once.
            if let Some(last) = series.pages.last().filter(|last| last.format == page.format) {
                page.format = last.format.clone();
            }
        }
        series.pages.append(&mut next.pages);
    }
    Ok(())
}

/// Reads parts of one image.
struct ImageReader<'a> {
    page: &'a Page,
    /// Number of the image in the stack.
    image: u64,
    /// Number of the image among those that the page stands for.
    copy: u64,
    file: &'a OpenFile,
    cache: &'a Cache,
}

impl ImageReader<'_> {
    fn read_plane(&self, plane: u64, window: Window, out: &mut [u8]) -> Result<()> {
        let format = &*self.page.format;
        let wanted = Region::new(&window.start[1..], &window.shape[1..]);
        let end = wanted.end();
        let (height, width) = (format.segment_height, format.segment_width);
        let (down, across) = (format.down(), format.across());
        for row in wanted.start[0] / height..end[0].div_ceil(height) {
            for column in wanted.start[1] / width..end[1].div_ceil(width) {
                let rows = format.rows_at(row);
                let segment =
                    Region::new([row * height, column * width, 0], [rows, width, format.samples]);
                let Some(part) = segment.intersection(&wanted) else { continue };
                let index = (plane * down + row) * across + column;
                let (offset, len) = *self
                    .page
                    .segments
                    .get(index as usize)
                    .ok_or_else(|| Error::internal("a strip lies outside its page"))?;
                if len == 0 {
                    // Not stored: zeros.
                    continue;
                }
                let from = part.relative_to(&segment.start);
                let to = part.relative_to(&wanted.start);
                let offset = offset + self.copy * format.page_len();
                let whole_rows = [part.shape[1], wanted.shape[1]] == [width; 2]
                    && part.shape[2] == format.samples;
                if format.is_raw() && whole_rows {
                    // These lie in one piece on both sides.
                    let size = format.dtype.size();
                    let at = |rows: u64| (rows * width * format.samples) as usize * size;
                    let out = &mut out[at(to.start[0])..at(to.end()[0])];
                    let first = offset + at(from.start[0]) as u64;
                    self.file.read(first, out).map_err(|error| self.locate(index, error))?;
                    if format.is_swapped() {
                        swap_bytes(out, size);
                    }
                } else {
                    let key = (self.image, index as u32);
                    let voxels = self.cache.get(key, format.decoded_len(rows), || {
                        self.decode(offset, len, rows).map_err(|error| self.locate(index, error))
                    })?;
                    copy_region(
                        (voxels.bytes(), voxels.shape(), &from.start),
                        (out, &wanted.shape, &to.start),
                        &from.shape,
                        format.dtype.size(),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn decode(&self, offset: u64, len: u64, rows: u64) -> Result<Array> {
        let format = &*self.page.format;
        let damaged = |what: String| corrupt(self.file.path(), what);
        if !self.file.holds(offset, len) {
            return Err(damaged(format!(
                "has {len} bytes at {offset}, but ends at {}",
                self.file.len()
            )));
        }
        if format.packed_len(rows) > format.compression.longest_output(len) {
            return Err(damaged(format!(
                "has {len} bytes, which cannot hold {rows} x {} voxels",
                format.segment_width
            )));
        }
        let mut stored = vec![0; len as usize];
        self.file.read(offset, &mut stored)?;
        decode::decode(format, stored, rows).map_err(|why| {
            damaged(format!("does not decode ({}): {why}", format.compression.name()))
        })
    }

    /// Says which strip or tile of which page an error is about.
    fn locate(&self, index: u64, mut error: Error) -> Error {
        if error.kind == Kind::CorruptData {
            let what = if self.page.format.tiled { "tile" } else { "strip" };
            error.message =
                format!("page {}, {what} {index} (from 0): {}", self.page.number, error.message);
        }
        error
    }
}

impl Layout {
    /// Finds the axes of an image among the last ones of the array. Those of extent 1 may be
    /// missing in the array.
    fn new(shape: &[u64], format: &PageFormat) -> Self {
        let mut outer = shape.len();
        let mut last = |extent: u64| {
            let axis = outer.checked_sub(1).filter(|axis| shape[*axis] == extent)?;
            outer = axis;
            Some(axis)
        };
        let samples = last(format.samples);
        let width = last(format.width);
        let height = last(format.height);
        let planes = last(format.planes);
        Layout { outer, planes, height, width, samples }
    }

    fn window(&self, region: &Region) -> Window {
        let axes = [self.planes, self.height, self.width, self.samples];
        Window {
            start: axes.map(|axis| axis.map_or(0, |axis| region.start[axis])),
            shape: axes.map(|axis| axis.map_or(1, |axis| region.shape[axis])),
        }
    }
}

impl Source for TiffStack {
    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        let format = self.format();
        let mut chunks = vec![1; self.shape.len()];
        let extents = [
            (self.layout.height, format.segment_height.min(format.height)),
            (self.layout.width, format.segment_width.min(format.width)),
            (self.layout.samples, format.samples),
        ];
        for (axis, extent) in extents {
            if let Some(axis) = axis {
                chunks[axis] = extent;
            }
        }
        Some(chunks)
    }

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn codec(&self) -> Option<String> {
        Some(self.format().compression.name().to_owned())
    }

    fn spec(&self) -> Option<Spec> {
        Some(Spec::Tiff { path: self.path.clone() })
    }

    fn fingerprint(&self) -> Result<String> {
        Ok(format!("{} {} {}", self.files.state()?, shape_text(&self.shape), self.dtype))
    }

    /// The decoded strips or tiles that two rows of blocks touch.
    ///
    /// Blocks that lie beside each other need the same strips, and so do those of the next row if
    /// the strips are higher than a block: a whole band of pages, if each is one strip. All of these
    /// must be held until the last block of the row is read. By then other threads read blocks of
    /// the next row, hence two. More than that is let go, the least recently used first. Each thread
    /// may hold on to one strip besides, the one that it copies from or decodes.
    ///
    /// Nothing is held where no two blocks need the same strip. Strips of voxels that are stored as
    /// they are are cut into low pieces, so that little is held of them, and whole rows are read from
    /// where they lie: parts of rows would take a call of the operating system each.
    fn held_bytes(&self, block_shape: &[u64], _halo: &[u64]) -> Held {
        let format = self.format();
        if block_shape.len() != self.shape.len() {
            return Held::default();
        }
        let extent =
            |axis: Option<usize>| axis.map_or(1, |axis| block_shape[axis].min(self.shape[axis]));
        let undivided = |extent: u64, segment: u64, whole: u64| {
            extent == whole || extent.is_multiple_of(segment)
        };
        let (rows, columns) = (extent(self.layout.height), extent(self.layout.width));
        if (undivided(rows, format.segment_height, format.height) || format.is_raw())
            && undivided(columns, format.segment_width, format.width)
            && extent(self.layout.samples) == format.samples
        {
            return Held::default();
        }
        let segment = format.segment_height;
        let touched = if rows.is_multiple_of(segment) || segment.is_multiple_of(rows) {
            rows.div_ceil(segment)
        } else {
            // Where blocks and strips do not divide each other, a block may touch one more.
            (rows + segment - 2) / segment + 1
        };
        let images: u64 =
            (0..self.layout.outer).map(|axis| block_shape[axis].min(self.shape[axis])).product();
        let row = format.decoded_len(segment) * format.across();
        let band = images * extent(self.layout.planes) * touched.min(format.down()) * row;
        let all_images = self.pages.len() as u64 * self.images_per_page;
        let all = all_images * format.planes * format.down() * row;
        Held::exactly(band.saturating_mul(2).min(all))
    }

    fn hold_at_most(&self, bytes: u64, _again: bool) {
        self.cache.set_limit(bytes);
    }

    fn stored_bytes(&self) -> Option<u64> {
        let lengths = self.pages.iter().flat_map(|page| page.segments.iter().map(|(_, len)| len));
        Some(lengths.sum::<u64>() * self.images_per_page)
    }

    fn read(&self, region: &Region) -> Result<Array> {
        if !region.fits(&self.shape) {
            return Err(Error::internal(format!(
                "region {region} lies outside '{}' of shape {}",
                self.path.display(),
                shape_text(&self.shape)
            )));
        }
        let mut block = Array::zeros(self.dtype, &region.shape);
        let window = self.layout.window(region);
        let image_len = byte_len(self.dtype, &window.shape);
        if block.byte_len() == 0 {
            return Ok(block);
        }
        let outer = self.layout.outer;
        let turn = self.turns.take();
        let bytes = block.bytes_mut();
        for number in turn.order(bytes.len() / image_len) {
            let out = &mut bytes[number * image_len..][..image_len];
            // The position in the region as an index along each leading axis, the last fastest.
            let (mut image, mut step, mut rest) = (0, 1, number as u64);
            for axis in (0..outer).rev() {
                image += (region.start[axis] + rest % region.shape[axis]) * step;
                rest /= region.shape[axis];
                step *= self.shape[axis];
            }
            self.read_image(image, window, out)?;
        }
        Ok(block)
    }
}
