//! The description that tifffile writes: JSON with the array's shape, and sometimes its axes.

use super::series::{Extent, File, Series};
use crate::error::Result;
use serde_json::Value;

/// The series that such a description names; none if it is something else, or does not fit.
pub(super) fn read(file: &mut File<'_, '_>, description: &str) -> Result<Option<Series>> {
    if !description.starts_with("{\"shape\":") {
        return Ok(None);
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_str(description) else {
        return Ok(None);
    };
    let Some(shape) = fields.remove("shape").and_then(|value| {
        value.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>()
    }) else {
        return Ok(None);
    };
    fields.remove("truncated");
    let names: Vec<String> = match fields.remove("axes") {
        Some(Value::String(names)) if names.chars().count() == shape.len() => {
            names.chars().map(known_name).collect()
        }
        _ => names_by_position(file, &shape),
    };
    let format = &file.first.format;
    let image = format.planes * format.height * format.width * format.samples;
    let voxels = shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n));
    let Some(count) = voxels.filter(|n| *n > 0 && n % image == 0).map(|n| n / image) else {
        return Ok(None);
    };
    let (pages, images_per_page) = file.images(count)?;
    let axes = shape.iter().zip(&names).map(|(size, name)| Extent::named(name, *size)).collect();
    Ok(Some(Series { pages, images_per_page, axes, attributes: fields }))
}

/// The name of an axis that tifffile writes as a letter: `I`, `Q` and the like are no names.
fn known_name(letter: char) -> String {
    match letter {
        'T' | 'C' | 'Z' | 'Y' | 'X' | 'S' => letter.to_ascii_lowercase().to_string(),
        _ => String::new(),
    }
}

/// Names of the axes that the page has, from the last; one leading axis more is taken for slices.
fn names_by_position(file: &File<'_, '_>, shape: &[u64]) -> Vec<String> {
    let image = file.image_axes();
    let page = [
        ("c", image.samples),
        ("x", image.width.size),
        ("y", image.height.size),
        ("c", image.planes),
    ];
    let mut page = page.iter().peekable();
    let mut names: Vec<String> = shape
        .iter()
        .rev()
        .map(|size| {
            while page.next_if(|(_, extent)| *extent == 1 && *size != 1).is_some() {}
            let name = page.next_if(|(_, extent)| extent == size);
            name.map_or(String::new(), |(name, extent)| {
                if *name == "c" && *extent == 1 { String::new() } else { (*name).to_owned() }
            })
        })
        .collect();
    names.reverse();
    let unnamed = names.iter().filter(|name| name.is_empty()).count();
    if unnamed == 1 && names[0].is_empty() && names.len() > 2 {
        names[0] = "z".to_owned();
    }
    names
}
