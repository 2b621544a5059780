//! Which pages of a file are one array, and what its axes are.

use super::ifd::{Directory, Ifd, tag};
use super::page::{Page, PageFormat, read_page};
use super::{imagej, ome, shaped};
use crate::error::{Error, Kind, Result};
use crate::source::file::corrupt;
use crate::source::{Axis, Metadata};
use std::sync::Arc;

/// The images of one array, one after the other along its leading axes.
#[derive(Debug)]
pub(super) struct Series {
    pub pages: Vec<Page>,
    /// Images that every page stands for: more than one where the images after that of the page
    /// follow it in the file without pages of their own.
    pub images_per_page: u64,
    pub axes: Vec<Extent>,
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// An axis and how far the array extends along it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Extent {
    pub size: u64,
    pub axis: Axis,
}

impl Extent {
    /// An axis of which only the name is known.
    pub fn named(name: &str, size: u64) -> Self {
        Extent { size, axis: Axis { name: name.to_owned(), scale: None, unit: None } }
    }

    /// The same axis with the distance between neighbours.
    pub fn scaled(mut self, scale: Option<f64>, unit: Option<String>) -> Self {
        self.axis.unit = scale.and(unit);
        self.axis.scale = scale;
        self
    }
}

/// What the pages of a file hold, and what its first page says of them all.
pub(super) struct File<'a, 'f> {
    pub directory: &'a mut Directory<'f>,
    pub ifds: Vec<Ifd>,
    pub first: Page,
}

impl File<'_, '_> {
    /// The page with that number, which must hold the same kind of image as the first.
    pub fn page_like_first(&mut self, number: usize) -> Result<Page> {
        let format = self.first.format.clone();
        let path = self.directory.file().path().to_owned();
        let Some(ifd) = self.ifds.get(number) else {
            return Err(corrupt(
                &path,
                format!(
                    "has {} pages, but page {number} (from 0) is part of its series",
                    self.ifds.len()
                ),
            ));
        };
        let page = read_page(self.directory, ifd, number as u32, Some(&format))?;
        check_same(&format, &page.format).map_err(|difference| {
            corrupt(&path, format!("page {number} is {difference}, unlike the first page"))
        })?;
        Ok(page)
    }

    /// That many images from the first page on: pages of their own, or else what follows the first
    /// page's image in the file.
    pub fn images(&mut self, count: u64) -> Result<(Vec<Page>, u64)> {
        if count <= self.ifds.len() as u64 {
            let pages = (0..count as usize).map(|number| self.page_like_first(number));
            return Ok((pages.collect::<Result<_>>()?, 1));
        }
        let file = self.directory.file();
        let page_len = self.first.format.page_len();
        let follows = self.first.contiguous().is_some_and(|start| {
            count.checked_mul(page_len).is_some_and(|len| file.holds(start, len))
        });
        if !follows {
            return Err(corrupt(
                file.path(),
                format!("says that it holds {count} images, but has {}", self.ifds.len()),
            )
            .fix("The file may be cut short: copy or write it again."));
        }
        Ok((vec![self.first.clone()], count))
    }

    /// The axes of one image.
    pub fn image_axes(&self) -> ImageAxes {
        let format = &self.first.format;
        ImageAxes {
            planes: format.planes,
            height: Extent::named("y", format.height),
            width: Extent::named("x", format.width),
            samples: format.samples,
        }
    }
}

/// The axes of one image, with extents of 1 where there is nothing.
pub(super) struct ImageAxes {
    pub planes: u64,
    pub height: Extent,
    pub width: Extent,
    pub samples: u64,
}

impl ImageAxes {
    /// All axes of an array whose leading axes are `outer`; axes of extent 1 are dropped, besides
    /// rows and columns.
    pub fn after(self, outer: Vec<Extent>) -> Vec<Extent> {
        let mut axes: Vec<Extent> = outer.into_iter().filter(|extent| extent.size > 1).collect();
        // Samples are channels, unless the series has others.
        let name = if axes.iter().any(|extent| extent.axis.name == "c") { "s" } else { "c" };
        let samples = |size| Some(Extent::named(name, size)).filter(|extent| extent.size > 1);
        let planes = samples(self.planes);
        let samples = samples(self.samples);
        axes.extend(planes);
        axes.extend([self.height, self.width]);
        axes.extend(samples);
        axes
    }
}

/// Whether two pages hold images of one shape and data type; if not, what the second is.
pub(super) fn check_same(first: &PageFormat, other: &PageFormat) -> Result<(), String> {
    let key = |format: &PageFormat| {
        (format.dtype, format.height, format.width, format.planes, format.samples)
    };
    if key(first) == key(other) {
        return Ok(());
    }
    Err(format!("{} instead of {}", other.describe(), first.describe()))
}

/// The series of a file that its first page belongs to, as its metadata describe it. Where there
/// are none: the pages that are stored like the first one, without thumbnails and reduced copies.
pub(super) fn read_series(directory: &mut Directory<'_>, ifds: Vec<Ifd>) -> Result<Series> {
    let path = directory.file().path().to_owned();
    let Some(ifd) = ifds.first() else {
        return Err(corrupt(&path, "has no page".to_owned()));
    };
    let first = read_page(directory, ifd, 0, None)?;
    if directory.count(ifd, tag::METAMORPH_PLANES) > 1 {
        return Err(Error::new(
            Kind::UnsupportedFormat,
            format!("'{}' is a MetaMorph stack, which is not read here", path.display()),
        )
        .fix("Convert the file, for example with Fiji."));
    }
    let description = directory.text(ifd, tag::IMAGE_DESCRIPTION)?.unwrap_or_default();
    let mut file = File { directory, ifds, first };
    let mut series = match shaped::read(&mut file, &description)? {
        Some(series) => series,
        None => match ome::read(&mut file, &description)? {
            Some(series) => series,
            None => match imagej::read(&mut file, &description)? {
                Some(series) => series,
                None => plain(&mut file)?,
            },
        },
    };
    let file_len = file.directory.file().len();
    let mut shared: Option<Arc<PageFormat>> = None;
    for page in &mut series.pages {
        page.cut_raw_strips(file_len);
        match shared.as_ref().filter(|shared| **shared == page.format) {
            Some(shared) => page.format = shared.clone(),
            None => shared = Some(page.format.clone()),
        }
    }
    Ok(series)
}

/// The pages that are stored like the first one.
fn plain(file: &mut File<'_, '_>) -> Result<Series> {
    let mut pages = vec![file.first.clone()];
    let format: Arc<PageFormat> = file.first.format.clone();
    for (number, ifd) in file.ifds.iter().enumerate().skip(1) {
        match read_page(file.directory, ifd, number as u32, Some(&format)) {
            Ok(page) if page.format == format => pages.push(page),
            // A thumbnail or another series, in whatever format it is.
            Ok(_) => {}
            Err(error)
                if matches!(error.kind, Kind::UnsupportedFormat | Kind::UnsupportedCodec) => {}
            Err(error) => return Err(error),
        }
    }
    // A stack of which nothing is said is taken for slices, as a folder of files is.
    let outer = vec![Extent::named("z", pages.len() as u64)];
    Ok(Series {
        axes: file.image_axes().after(outer),
        pages,
        images_per_page: 1,
        attributes: serde_json::Map::new(),
    })
}

impl Series {
    /// Metadata of an array with these axes.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            axes: self.axes.iter().map(|extent| extent.axis.clone()).collect(),
            attributes: self.attributes.clone(),
        }
    }
}
