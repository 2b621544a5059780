//! ImageJ's hyperstacks, which are described by `key=value` lines.

use super::ifd::tag;
use super::series::{Extent, File, Series};
use crate::error::Result;
use crate::source::units;

/// The series that such a description names; none if it is something else, or makes no sense.
pub(super) fn read(file: &mut File<'_, '_>, description: &str) -> Result<Option<Series>> {
    if !description.starts_with("ImageJ=") && !description.starts_with("SCIFIO=") {
        return Ok(None);
    }
    let field = |key: &str| {
        let mut lines = description.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    };
    let count = |key: &str| match field(key) {
        Some(text) => text.parse().ok().filter(|n: &u64| *n > 0),
        None => Some(1),
    };
    let (Some(frames), Some(slices), Some(mut channels), Some(stated)) =
        (count("frames"), count("slices"), count("channels"), count("images"))
    else {
        return Ok(None);
    };
    let image = file.image_axes();
    // Bio-Formats counts the samples of a pixel as channels.
    let samples_next_to_each_other =
        image.samples == channels && frames.checked_mul(slices) == Some(stated);
    if channels > 1 && (image.planes == channels || samples_next_to_each_other) {
        channels = 1;
    }
    let product = [frames, slices, channels].into_iter().try_fold(1, u64::checked_mul);
    let Some(mut images) = product else {
        return Ok(None);
    };
    let mut rest = 1;
    if images == 1 {
        let pages = file.ifds.len() as u64;
        rest = if pages > 1 { pages } else { stated };
        images = rest;
    }
    // Other programs carry the description over to files with other pages.
    if file.ifds.len() > 1 && images > file.ifds.len() as u64 {
        return Ok(None);
    }
    let (pages, images_per_page) = file.images(images)?;

    let unit = field("unit").and_then(units::ome_zarr);
    let distance = |pixels_per_unit: Option<f64>| {
        pixels_per_unit.filter(|_| unit.is_some()).map(|pixels| 1.0 / pixels)
    };
    let ifd = &file.ifds[0];
    let x = distance(file.directory.ratio(ifd, tag::X_RESOLUTION)?);
    let y = distance(file.directory.ratio(ifd, tag::Y_RESOLUTION)?);
    let number = |key| field(key).and_then(|text| text.parse::<f64>().ok());
    let positive = |value: &f64| value.is_finite() && *value > 0.0;
    // ImageJ flips the sign of the spacing in some versions.
    let z = number("spacing").map(f64::abs).filter(positive).filter(|_| unit.is_some());
    let t = number("finterval").filter(positive);
    let t_unit = field("tunit").and_then(units::ome_zarr).or(Some("second".to_owned()));

    let leading = |letter: char| match letter {
        't' => Extent::named("t", frames).scaled(t, t_unit.clone()),
        'z' => Extent::named("z", slices).scaled(z, unit.clone()),
        _ => Extent::named("c", channels),
    };
    // The order names the fastest axis first.
    let order = field("order").map(str::to_lowercase);
    let order = order.filter(|order| "czt".chars().all(|letter| order.contains(letter)));
    let order = order.filter(|order| order.len() == 3).unwrap_or_else(|| "czt".to_owned());
    let mut outer = vec![Extent::named("z", rest).scaled(z, unit.clone())];
    outer.extend(order.chars().rev().map(leading));
    let mut image = image;
    image.height = image.height.scaled(y, unit.clone());
    image.width = image.width.scaled(x, unit.clone());
    Ok(Some(Series {
        axes: image.after(outer),
        pages,
        images_per_page,
        attributes: serde_json::Map::new(),
    }))
}
