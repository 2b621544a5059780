//! OME-TIFF: XML in the first page's description says which page is which plane.

use super::series::{Extent, File, Series};
use crate::error::{Error, Kind, Result};
use crate::source::file::corrupt;
use crate::source::units;
use roxmltree::{Document, Node};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// The series of the first image; none if the description is something else.
pub(super) fn read(file: &mut File<'_, '_>, description: &str) -> Result<Option<Series>> {
    if !description.trim_end().ends_with("OME>") {
        return Ok(None);
    }
    let path = file.directory.file().path().to_owned();
    let Ok(document) = Document::parse(description) else {
        return Ok(None);
    };
    let root = document.root_element();
    if child(root, "BinaryOnly").is_some() {
        return Err(several_files(&path, "its metadata are in another file"));
    }
    let Some(pixels) = child(root, "Image").and_then(|image| child(image, "Pixels")) else {
        return Ok(None);
    };
    let damaged = |what: &str| corrupt(&path, format!("has OME metadata {what}"));
    let order = pixels.attribute("DimensionOrder").unwrap_or("XYZCT");
    let mut letters: Vec<char> = order.chars().skip(2).collect();
    letters.reverse();
    if !order.starts_with("XY")
        || letters.len() != 3
        || !"CTZ".chars().all(|c| letters.contains(&c))
    {
        return Err(damaged(&format!("with the order of axes '{order}'")));
    }
    let size = |letter: char| -> Result<u64> {
        number::<u64>(pixels, &format!("Size{letter}"))
            .filter(|size| *size > 0)
            .ok_or_else(|| damaged(&format!("without a size along {letter}")))
    };
    let format = file.first.format.clone();
    let samples = format.planes * format.samples;
    if (size('Y')?, size('X')?) != (format.height, format.width) {
        return Err(damaged(&format!(
            "of an image of {} x {}, but its pages are {}",
            size('Y')?,
            size('X')?,
            format.describe()
        )));
    }
    let mut extents = HashMap::new();
    for letter in ['T', 'C', 'Z'] {
        extents.insert(letter, size(letter)?);
    }
    // Samples of a pixel count as channels there.
    if samples > 1 && extents[&'C'] % samples == 0 {
        extents.insert('C', extents[&'C'] / samples);
    }
    let sizes: Vec<u64> = letters.iter().map(|letter| extents[letter]).collect();
    let planes = plane_numbers(pixels, &letters, &sizes, file.ifds.len(), &path)?;
    let pages =
        planes.into_iter().map(|number| file.page_like_first(number)).collect::<Result<_>>()?;

    let physical = |letter: char| {
        let key = format!("PhysicalSize{letter}");
        let unit = pixels.attribute(format!("{key}Unit").as_str()).unwrap_or("µm");
        let unit = units::ome_zarr(unit);
        let scale = number::<f64>(pixels, &key)
            .filter(|size| size.is_finite() && *size > 0.0 && unit.is_some());
        (scale, unit)
    };
    let increment = number::<f64>(pixels, "TimeIncrement").filter(|t| t.is_finite() && *t > 0.0);
    let increment_unit = units::ome_zarr(pixels.attribute("TimeIncrementUnit").unwrap_or("s"));
    let outer = letters.iter().zip(&sizes).map(|(letter, size)| {
        let axis = Extent::named(&letter.to_lowercase().to_string(), *size);
        match letter {
            'T' => axis.scaled(increment, increment_unit.clone()),
            'Z' => {
                let (scale, unit) = physical('Z');
                axis.scaled(scale, unit)
            }
            _ => axis,
        }
    });
    let mut image = file.image_axes();
    let outer = outer.collect();
    let ((y, y_unit), (x, x_unit)) = (physical('Y'), physical('X'));
    image.height = image.height.scaled(y, y_unit);
    image.width = image.width.scaled(x, x_unit);

    let mut attributes = serde_json::Map::new();
    let channels = pixels.children().filter(|node| node.tag_name().name() == "Channel");
    let names: Option<Vec<Value>> =
        channels.map(|channel| Some(channel.attribute("Name")?.into())).collect();
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        attributes.insert("channel_names".to_owned(), Value::Array(names));
    }
    Ok(Some(Series { pages, images_per_page: 1, axes: image.after(outer), attributes }))
}

/// The page of every plane, in C order of the leading axes.
fn plane_numbers(
    pixels: Node<'_, '_>,
    letters: &[char],
    sizes: &[u64],
    page_count: usize,
    path: &Path,
) -> Result<Vec<usize>> {
    let planes = sizes.iter().try_fold(1u64, |product, n| product.checked_mul(*n));
    let missing = |planes: u64| {
        corrupt(
            path,
            format!(
                "has OME metadata of {planes} planes, but not a page for each ({page_count} pages)"
            ),
        )
        .fix(
            "The recording may have been stopped early: write the planes that exist to a new file.",
        )
    };
    let planes = planes.unwrap_or(u64::MAX);
    // One name alone may be an old one, of a file that was renamed since.
    let uuids = pixels.descendants().filter(|node| node.tag_name().name() == "UUID");
    let names: BTreeSet<_> = uuids.filter_map(|node| node.attribute("FileName")).collect();
    if names.len() > 1 {
        return Err(several_files(path, "its planes are in several files"));
    }
    // A page stands for one plane, so this also bounds what is allocated.
    if planes > page_count as u64 {
        return Err(missing(planes));
    }
    let mut numbers: Vec<Option<usize>> = vec![None; planes as usize];
    let mut described = false;
    for data in pixels.children().filter(|node| node.tag_name().name() == "TiffData") {
        described = true;
        let first = number::<usize>(data, "IFD");
        let count = number::<usize>(data, "PlaneCount")
            .or_else(|| number(data, "NumPlanes"))
            .unwrap_or(if first.is_some() { 1 } else { page_count });
        let index = letters.iter().zip(sizes).try_fold(0u64, |index, (letter, size)| {
            let at = number::<u64>(data, &format!("First{letter}")).unwrap_or(0);
            (at < *size).then_some(index * size + at)
        });
        // Cropping in ImageJ leaves entries of planes that no longer exist.
        let Some(index) = index else { continue };
        let places = numbers.iter_mut().skip(index as usize).take(count);
        for (place, page) in places.zip(first.unwrap_or(0)..) {
            *place = Some(page);
        }
    }
    if !described {
        return Ok((0..planes as usize).collect());
    }
    numbers.into_iter().collect::<Option<_>>().ok_or_else(|| missing(planes))
}

fn several_files(path: &Path, why: &str) -> Error {
    Error::new(
        Kind::UnsupportedFormat,
        format!("'{}' is part of an OME-TIFF of several files: {why}", path.display()),
    )
    .fix("Write it as one file, for example with Fiji or bfconvert.")
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.tag_name().name() == name)
}

fn number<T: std::str::FromStr>(node: Node<'_, '_>, attribute: &str) -> Option<T> {
    node.attribute(attribute)?.trim().parse().ok()
}
