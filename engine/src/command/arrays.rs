//! The arrays of a request, opened or to be made, and checked against each other.

use super::Host;
use super::operate::Operate;
use super::options::{RunOptions, Shape};
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, same_shape, shape_text};
use crate::op::ArrayShape;
use crate::op::parameters::Parameters;
use crate::run::Output;
use crate::source::path::{locate, locate_output};
use crate::source::wrap::RoiSource;
use crate::source::zarr::{GroupDescription, NewArray, multiscales_in};
use crate::source::{Sink, Source, Spec};
use std::sync::Arc;

/// What a run reads and writes.
pub struct Arrays {
    /// What the operation reads: the inputs, or what is made of them while they are read.
    pub inputs: Vec<Arc<dyn Source>>,
    /// The outputs.
    pub outputs: Vec<Output>,
    /// The mask.
    pub mask: Option<Arc<dyn Source>>,
    /// The region that is worked on, where that is not all.
    pub domain: Option<Region>,
    /// The output in words.
    pub note: String,
}

/// What is written in one piece, or else read: extents on the blocks' axes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grain {
    /// A chunk.
    pub chunk: Option<Vec<u64>>,
    /// A shard.
    pub shard: Option<Vec<u64>>,
}

impl Arrays {
    /// The grain of the output, or of the input where nothing is written.
    pub fn grain(&self) -> Grain {
        let ndim = self.inputs.first().map_or(0, |input| input.shape().len());
        let (chunk, shard) = match (self.outputs.first(), self.inputs.first()) {
            (Some(Output::New { new, .. }), _) => (Some(new.chunks.clone()), new.shards.clone()),
            (Some(Output::Existing(sink)), _) => (sink.chunks(), sink.shards()),
            (None, Some(input)) => (input.chunks(), input.shards()),
            (None, None) => (None, None),
        };
        // Channels lie before the blocks' axes.
        let trailing = |shape: Vec<u64>| shape[shape.len().saturating_sub(ndim)..].to_vec();
        Grain { chunk: chunk.map(trailing), shard: shard.map(trailing) }
    }

    /// Names of the blocks' axes; empty where the file does not tell.
    pub fn axes(&self) -> Vec<String> {
        let Some(input) = self.inputs.first() else { return Vec::new() };
        let mut names: Vec<String> =
            input.metadata().axes.into_iter().map(|axis| axis.name).collect();
        names.resize(input.shape().len(), String::new());
        names
    }

    /// Opens the arrays; a missing output is described.
    ///
    /// # Errors
    /// Those of the formats; `already-exists` for an output that is not what the request describes.
    pub fn open<P: Parameters>(request: &Operate<P>, host: &dyn Host) -> Result<Arrays> {
        let operation = &request.parameters;
        let whole = open_inputs::<P>(&request.places.inputs.paths, host)?;
        let [first, ..] = &whole[..] else {
            return Err(Error::internal("a request without an input"));
        };
        let mask = open_mask(&request.common, host)?;
        let region = match &request.common.roi {
            Some(roi) => Some(roi.resolve(first.shape())?),
            None => None,
        };
        let of_output = |error: Error| error.about("output");
        let existing = existing_output(request, host).map_err(of_output)?;
        let mut domain = None;
        if let (Some(region), Some(sink)) = (&region, &existing) {
            let read = operation.over(whole.clone())?;
            if read[0].shape() == first.shape() && result(operation, &read)?.shape == sink.shape() {
                domain = Some(region.clone());
            }
        }
        let inputs = match &region {
            Some(region) if domain.is_none() => {
                whole.iter().map(|input| cropped(input, region)).collect::<Result<_>>()?
            }
            _ => whole.clone(),
        };
        let of_input = |error: Error| error.about("input");
        let read = operation.over(inputs.clone()).map_err(of_input)?;
        let mask = match (mask, &region) {
            (Some(mask), Some(region))
                if domain.is_none()
                    && mask.shape() == first.shape()
                    && read[0].shape() == inputs[0].shape() =>
            {
                Some(cropped(&mask, region)?)
            }
            (mask, _) => mask,
        };
        let result = result(operation, &read).map_err(of_input)?;
        let target = &request.places.output;
        let (output, note) = match existing {
            Some(sink) => {
                check_existing(request, &*sink, &result).map_err(of_output)?;
                let note = format!("{target}: written to, {}", describe(&*sink));
                (Output::Existing(sink), note)
            }
            None => {
                let Spec::Zarr { path, array } = locate_output(target).map_err(of_output)? else {
                    return Err(Error::internal("an output that is no Zarr array"));
                };
                let new = request.new_array.array(&result, &*inputs[0], &*read[0])?;
                let overwrite = request.common.overwrite;
                let note = format!(
                    "{target}: {}, {} {}, chunks {}{}, codec {}",
                    if overwrite && path.join(&array).exists() { "replaced" } else { "new" },
                    shape_text(&new.shape),
                    new.dtype.short_name(),
                    shape_text(&new.chunks),
                    new.shards.as_ref().map_or(String::new(), |shards| {
                        format!(", shards {}", shape_text(shards))
                    }),
                    new.codec,
                );
                let new = Box::new(new);
                (Output::New { path, array, new, overwrite, group: None }, note)
            }
        };
        Ok(Arrays { inputs: read, outputs: vec![output], mask, domain, note })
    }

    /// Opens the image that becomes a group of arrays, and describes those. What the request leaves to
    /// the image is decided in it.
    ///
    /// # Errors
    /// Those of the formats; `already-exists` for arrays that are there; `invalid-argument`.
    pub fn of_group<P: Parameters>(request: &mut Operate<P>, host: &dyn Host) -> Result<Arrays> {
        if request.common.mask.is_some() {
            return Err(Error::argument(format!("{} takes no mask", P::NAME))
                .about("mask")
                .fix("Leave --mask out, or copy the image under the mask first."));
        }
        let [image] = &open_inputs::<P>(&request.places.inputs.paths, host)?[..] else {
            return Err(Error::internal("a group is made of one image"));
        };
        let mut image = image.clone();
        if let Some(roi) = &request.common.roi {
            image = cropped(&image, &roi.resolve(image.shape())?)?;
        }
        let of_input = |error: Error| error.about("input");
        let group = request.parameters.group(&*image).map_err(of_input)?;
        let target = &request.places.output;
        let of_output = |error: Error| error.about("output");
        let Spec::Zarr { path, array: inside } = locate_output(target).map_err(of_output)? else {
            return Err(Error::new(
                Kind::UnsupportedFormat,
                format!("the output '{target}' names no Zarr store"),
            )
            .about("output")
            .fix("Give the output a name that ends in .zarr, for example out.ome.zarr."));
        };
        let shape = ArrayShape { shape: image.shape().to_vec(), dtype: image.dtype() };
        let first = request.new_array.array(&shape, &*image, &*image)?;
        let overwrite = request.common.overwrite;
        let folder = path.join(&inside);
        let mut replaced = multiscales_in(&folder)?;
        if !overwrite && let Some(old) = replaced.first() {
            let old = folder.join(old);
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("'{}' already exists, as a level of an image", old.display()),
            )
            .about("output")
            .fix("Overwrite it (--overwrite), or write elsewhere."));
        }
        replaced.retain(|old| group.arrays.iter().all(|array| array.name != *old));
        for old in &replaced {
            let array = format!("{inside}/{old}").trim_start_matches('/').to_owned();
            let spec = Spec::Zarr { path: path.clone(), array };
            if image.spec().is_some_and(|image| image.may_overlap(&spec)) {
                return Err(Error::argument(format!(
                    "'{}' is read, and would be removed with the image that '{target}' holds",
                    spec.display()
                ))
                .about("output")
                .fix("Write to another store."));
            }
        }
        let mut description = Some(GroupDescription {
            attributes: group.attributes,
            version: group.version,
            replaced,
        });
        let mut outputs = Vec::new();
        for (result, one) in request.parameters.outputs(&[shape])?.into_iter().zip(group.arrays) {
            let array = format!("{inside}/{}", one.name).trim_start_matches('/').to_owned();
            if !overwrite && path.join(&array).exists() {
                return Err(Error::new(
                    Kind::AlreadyExists,
                    format!("'{}' already exists", path.join(&array).display()),
                )
                .about("output")
                .fix("Overwrite it (--overwrite), or write elsewhere."));
            }
            let new = NewArray {
                shape: result.shape,
                metadata: one.metadata,
                version: group.version,
                ..first.clone()
            };
            outputs.push(Output::New {
                path: path.clone(),
                array,
                new: Box::new(new),
                overwrite,
                group: description.take(),
            });
        }
        let note = format!(
            "{target}: new, {} arrays, the first {} {}, chunks {}, codec {}",
            outputs.len(),
            shape_text(&first.shape),
            first.dtype.short_name(),
            shape_text(&first.chunks),
            first.codec
        );
        Ok(Arrays { inputs: vec![image], outputs, mask: None, domain: None, note })
    }

    /// Opens what a measurement reads.
    ///
    /// # Errors
    /// Those of the formats; `shape-mismatch` for a region that does not lie inside.
    pub fn to_measure<P: Parameters>(
        inputs: &[String],
        options: &RunOptions,
        host: &dyn Host,
    ) -> Result<Arrays> {
        let inputs = open_inputs::<P>(inputs, host)?;
        let mask = open_mask(options, host)?;
        let domain = match (&options.roi, inputs.first()) {
            (Some(roi), Some(first)) => Some(roi.resolve(first.shape())?),
            _ => None,
        };
        let note = inputs.iter().map(|input| describe(&**input)).collect::<Vec<_>>().join("; ");
        Ok(Arrays { inputs, outputs: Vec::new(), mask, domain, note })
    }
}

/// Opens an array that a line names.
pub fn open(text: &str, host: &dyn Host) -> Result<Arc<dyn Source>> {
    match host.array(text) {
        Some(array) => Ok(array),
        None => locate(text)?.open(),
    }
}

/// Opens the inputs of an operation, by whose names errors call them.
fn open_inputs<P: Parameters>(paths: &[String], host: &dyn Host) -> Result<Vec<Arc<dyn Source>>> {
    let mut opened: Vec<Arc<dyn Source>> = Vec::new();
    for (path, input) in paths.iter().zip(P::INPUTS) {
        let about = |error: Error| error.about(input.name);
        let source = open(path, host).map_err(about)?;
        if let Some(first) = opened.first() {
            same_shape(input.name, source.shape(), P::INPUTS[0].name, first.shape())
                .map_err(about)?;
        }
        opened.push(source);
    }
    Ok(opened)
}

fn open_mask(options: &RunOptions, host: &dyn Host) -> Result<Option<Arc<dyn Source>>> {
    let mask = options.mask.as_deref().map(|mask| open(mask, host));
    mask.transpose().map_err(|error| error.about("mask"))
}

fn cropped(source: &Arc<dyn Source>, region: &Region) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(RoiSource::new(source.clone(), region.clone())?))
}

/// What the operation makes of the arrays.
fn result<P: Parameters>(operation: &P, read: &[Arc<dyn Source>]) -> Result<ArrayShape> {
    let shapes: Vec<ArrayShape> = read
        .iter()
        .map(|source| ArrayShape { shape: source.shape().to_vec(), dtype: source.dtype() })
        .collect();
    let results = operation.outputs(&shapes)?.into_iter();
    results.last().ok_or_else(|| Error::internal(format!("{} has no output", P::NAME)))
}

/// The array that is to be written, if it is there and may stay.
fn existing_output<P: Parameters>(
    request: &Operate<P>,
    host: &dyn Host,
) -> Result<Option<Arc<dyn Sink>>> {
    let target = &request.places.output;
    let overwrite = request.common.overwrite;
    if let Some(sink) = host.sink(target) {
        return Ok(Some(sink));
    }
    let spec = locate_output(target)?;
    let can_be_made = matches!(spec, Spec::Zarr { .. });
    if overwrite && !can_be_made {
        return Err(Error::argument(format!(
            "'{target}' can be written to, but not be made anew: only Zarr arrays are"
        ))
        .fix("Leave --overwrite out, or write to a Zarr array."));
    }
    if overwrite {
        return Ok(None);
    }
    match spec.open_sink() {
        Ok(sink) => Ok(Some(sink)),
        Err(error) if error.kind == Kind::NotFound && can_be_made => Ok(None),
        Err(error) => Err(error),
    }
}

/// An output that exists must be what the request describes.
fn check_existing<P: Parameters>(
    request: &Operate<P>,
    output: &dyn Source,
    result: &ArrayShape,
) -> Result<()> {
    let asked = &request.new_array;
    let dtype = asked.dtype.unwrap_or(result.dtype);
    let option = |shape: &Option<Shape>| shape.as_ref().map(Shape::to_string);
    let is = |shape: Option<Vec<u64>>| shape.map_or("none".to_owned(), |s| shape_text(&s));
    let differs = |what: &str, wanted: Option<String>, is: String| {
        wanted.filter(|wanted| *wanted != is).map(|wanted| format!("{what} {is}, not {wanted}"))
    };
    let codec = asked.codec.map(|codec| codec.to_string());
    let difference = differs("shape", Some(shape_text(&result.shape)), shape_text(output.shape()))
        .or_else(|| differs("dtype", Some(dtype.to_string()), output.dtype().to_string()))
        .or_else(|| differs("chunks", option(&asked.chunks), is(output.chunks())))
        .or_else(|| differs("shards", option(&asked.shards), is(output.shards())))
        .or_else(|| differs("codec", codec, output.codec().unwrap_or("none".to_owned())));
    match difference {
        None => Ok(()),
        Some(difference) => Err(Error::new(
            Kind::AlreadyExists,
            format!(
                "the output '{}' exists with {difference} (from '{}' and the options)",
                request.places.output,
                request.places.inputs.paths.join("', '"),
            ),
        )
        .fix("Give the output another name, or replace it with --overwrite.")),
    }
}

/// An array in a few words.
pub fn describe(array: &dyn Source) -> String {
    let mut text = format!("{} {}", shape_text(array.shape()), array.dtype().short_name());
    if let Some(chunks) = array.chunks() {
        text += &format!(", chunks {}", shape_text(&chunks));
    }
    if let Some(shards) = array.shards() {
        text += &format!(", shards {}", shape_text(&shards));
    }
    if let Some(codec) = array.codec() {
        text += &format!(", codec {codec}");
    }
    text
}
