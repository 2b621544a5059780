//! `bp info`: what an array is.

use super::options::OutputOptions;
use super::table::{Table, escape};
use super::{Host, Reply, Value};
use crate::array::{Array, Cast};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, shape_text};
use crate::plan::bytes_text;
use crate::source::Source;
use crate::source::path::{arrays_in, locate};
use base64::Engine as _;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// What `bp info` takes.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Array or container: vol.zarr, vol.zarr/s0, vol.n5, stack.tif, slices/*.tif, map.mrc, image.nii.gz
    #[arg(value_name = "SRC", value_hint = clap::ValueHint::AnyPath)]
    source: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

/// `bp info`.
pub fn info(args: &InfoArgs, host: &dyn Host) -> Result<Reply> {
    let source = match host.array(&args.source) {
        Some(array) => array,
        None => match locate(&args.source).and_then(|spec| spec.open()) {
            Ok(source) => source,
            Err(error) if error.kind == Kind::AmbiguousArray => {
                return container(&args.source, error).map(Reply::Value);
            }
            Err(error) => return Err(error),
        },
    };
    Ok(Reply::Value(array(&args.source, &source)))
}

fn array(name: &str, source: &Arc<dyn Source>) -> Value {
    let shape = source.shape();
    let bytes = shape.iter().product::<u64>() * source.dtype().size() as u64;
    let stored = source.stored_bytes();
    let metadata = source.metadata();
    let axes: Vec<&str> = metadata.axes.iter().map(|axis| axis.name.as_str()).collect();
    let size = |axis: &crate::source::Axis| {
        let unit = axis.unit.as_deref().unwrap_or_default();
        axis.scale.map_or("?".to_owned(), |scale| format!("{scale} {unit}").trim_end().to_owned())
    };
    let mut facts = vec![
        ("array", source.spec().map_or(name.to_owned(), |spec| spec.display())),
        ("shape", shape_text(shape)),
        ("dtype", source.dtype().name().to_owned()),
    ];
    facts.extend(source.chunks().map(|chunks| ("chunks", shape_text(&chunks))));
    facts.extend(source.shards().map(|shards| ("shards", shape_text(&shards))));
    facts.extend(source.codec().map(|codec| ("codec", codec)));
    if axes.iter().any(|name| !name.is_empty()) {
        facts.push(("axes", axes.join(",")));
    }
    if metadata.axes.iter().any(|axis| axis.scale.is_some()) {
        let sizes: Vec<String> = metadata.axes.iter().map(size).collect();
        facts.push(("voxel size", sizes.join(" x ")));
    }
    facts.push(("in memory", bytes_text(bytes)));
    let ratio = stored.filter(|stored| *stored > 0).map(|stored| bytes as f64 / stored as f64);
    if let Some(stored) = stored {
        let ratio = ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2} times smaller)"));
        facts.push(("on disk", format!("{}{ratio}", bytes_text(stored))));
    }
    let json = json!({
        "array": name,
        "spec": source.spec(),
        "shape": shape,
        "dtype": source.dtype(),
        "chunks": source.chunks(),
        "shards": source.shards(),
        "codec": source.codec(),
        "axes": metadata.axes,
        "voxel_size": metadata.voxel_size(),
        "bytes": bytes,
        "stored_bytes": stored,
        "ratio": ratio,
    });
    let text: Vec<String> = facts.iter().map(|(key, value)| format!("{key:<11}{value}")).collect();
    let rows: String = facts
        .iter()
        .map(|(key, value)| format!("<tr><th>{key}</th><td>{}</td></tr>", escape(value)))
        .collect();
    let picture = thumbnail(&**source).map_or(String::new(), |png| {
        let data = base64::engine::general_purpose::STANDARD.encode(png);
        format!("<img alt=\"middle slice\" src=\"data:image/png;base64,{data}\">")
    });
    let html = format!("<table>{rows}</table>{picture}");
    Value { text: text.join("\n"), html: Some(html), json }
}

/// A container of several arrays: what they are.
fn container(name: &str, error: Error) -> Result<Value> {
    let (path, inner) = name.split_once("::").unwrap_or((name, ""));
    let mut specs = arrays_in(Path::new(path)).unwrap_or_default();
    specs.retain(|(array, _)| array.starts_with(inner));
    if specs.is_empty() {
        return Err(error);
    }
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (array, spec) in specs {
        let source = spec.open()?;
        let chunks = source.chunks().map_or(String::new(), |chunks| shape_text(&chunks));
        values.push(json!({
            "array": array,
            "shape": source.shape(),
            "dtype": source.dtype(),
            "chunks": source.chunks(),
            "shards": source.shards(),
            "codec": source.codec(),
        }));
        rows.push(vec![
            array,
            shape_text(source.shape()),
            source.dtype().name().to_owned(),
            chunks,
            source.codec().unwrap_or_default(),
        ]);
    }
    let table = Table { header: &["array", "shape", "dtype", "chunks", "codec"], rows };
    let json = json!({ "container": path, "arrays": values });
    Ok(Value { text: table.text(), html: Some(table.html()), json })
}

/// Longest side of a thumbnail.
const SIDE: u64 = 256;
/// So many bytes may be decoded for a thumbnail; of larger slices the middle is shown.
const DECODED: u64 = 64 << 20;

/// The middle slice as a PNG file, with its contrast stretched; none for arrays without a plane.
fn thumbnail(source: &dyn Source) -> Option<Vec<u8>> {
    let shape = source.shape();
    let axes = source.metadata().axes;
    let named = |name: &str| axes.iter().position(|axis| axis.name == name);
    let (y, x) = match (named("y"), named("x")) {
        (Some(y), Some(x)) if y < x => (y, x),
        _ => (shape.len().checked_sub(2)?, shape.len() - 1),
    };
    if shape.contains(&0) {
        return None;
    }
    let depth: u64 = source.chunks().map_or(1, |chunks| {
        let across = (0..chunks.len()).filter(|axis| *axis != y && *axis != x);
        across.map(|axis| chunks[axis].min(shape[axis])).product()
    });
    let pixels = (DECODED / (depth * source.dtype().size() as u64)).max(SIDE * SIDE);
    let most = pixels.isqrt();
    let mut region = Region { start: vec![0; shape.len()], shape: vec![1; shape.len()] };
    for axis in 0..shape.len() {
        let name = axes.get(axis).map_or("", |axis| axis.name.as_str());
        if axis == y || axis == x {
            region.shape[axis] = shape[axis].min(most);
            region.start[axis] = (shape[axis] - region.shape[axis]) / 2;
        } else if !matches!(name, "c" | "t") {
            region.start[axis] = shape[axis] / 2;
        }
    }
    let slice: Array = source.read(&region).ok()?.cast(DType::F64, Cast::Wrapping).ok()?;
    let values = slice.values::<f64>().ok()?;
    let (height, width) = (region.shape[y], region.shape[x]);
    let step = height.max(width).div_ceil(SIDE);
    let rows = (0..height).step_by(step as usize);
    let kept: Vec<f64> = rows
        .flat_map(|row| (0..width).step_by(step as usize).map(move |col| row * width + col))
        .filter_map(|index| values.get(index as usize).copied())
        .collect();
    let mut sorted: Vec<f64> = kept.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: f64| sorted.get(((sorted.len().max(1) - 1) as f64 * share) as usize);
    let (low, high) = (*quantile(0.005)?, *quantile(0.995)?);
    let range = if high > low { high - low } else { 1.0 };
    let grey: Vec<u8> =
        kept.iter().map(|value| ((value - low) / range * 255.0).clamp(0.0, 255.0) as u8).collect();
    encode_png(width.div_ceil(step) as u32, height.div_ceil(step) as u32, &grey)
}

fn encode_png(width: u32, height: u32, grey: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(grey).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemoryArray;

    #[test]
    fn the_middle_slice_becomes_a_picture_of_bounded_size() {
        let values: Vec<u16> = (0..3 * 300 * 520).map(|i| (i % 520) as u16).collect();
        let array = Array::from_values(&[3, 300, 520], &values).unwrap();
        let png = thumbnail(&MemoryArray::from_array(&array).unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let (width, height) = reader.info().size();
        assert_eq!((width, height), (174, 100));
        assert_eq!((pixels[0], pixels[173]), (0, 255));
    }

    #[test]
    fn a_line_has_no_picture() {
        let array = Array::from_values::<u8>(&[5], &[1, 2, 3, 4, 5]).unwrap();
        assert_eq!(thumbnail(&MemoryArray::from_array(&array).unwrap()), None);
    }
}
