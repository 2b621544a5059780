//! `bp copy`: every voxel as it is, into another grid, codec, data type or format.

use super::follow::{Show, follow};
use super::options::{BlockShape, RunOptions, Shape, asked_workers, cores, dtype_parser, push};
use super::table::duration_text;
use super::{Action, Command, Host, Reply, Value, Verb, detach};
use crate::array::Cast;
use crate::config::Config;
use crate::config::slurm::SlurmDefaults;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::{Region, shape_text};
use crate::op::copy::Copy;
use crate::plan::bytes_text;
use crate::run::folder::Code;
use crate::run::registry::{Pace, pace};
use crate::run::{Backend, Options, Output, Prepared, Setup};
use crate::source::path::{locate, locate_output};
use crate::source::wrap::RoiSource;
use crate::source::zarr::{Codec, NewArray};
use crate::source::{Metadata, Sink, Source, Spec};
use serde_json::json;
use std::sync::Arc;

/// What `bp copy` takes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct CopyArgs {
    /// Array to read: vol.zarr, vol.zarr/s0, vol.n5, stack.tif, slices/*.tif, map.mrc, image.nii.gz
    #[arg(value_name = "SRC", value_hint = clap::ValueHint::AnyPath)]
    pub source: String,
    /// Array to write: out.zarr, out.zarr/s0; made if it is missing
    #[arg(value_name = "DST", value_hint = clap::ValueHint::AnyPath)]
    pub target: String,
    /// Extents of a chunk of a new output [default: the input's, else about 64 voxels a side]
    #[arg(long, value_name = "SHAPE", help_heading = "Output")]
    pub chunks: Option<Shape>,
    /// Extents of a shard of a new output [default: no shards]
    #[arg(long, value_name = "SHAPE", help_heading = "Output")]
    pub shards: Option<Shape>,
    /// Compression of a new output: none, zstd:3, gzip:6, blosc-lz4:5, ... [default: the input's, else zstd:3]
    #[arg(long, value_name = "CODEC", help_heading = "Output")]
    pub codec: Option<Codec>,
    /// Data type of the output [default: the input's]
    #[arg(long, value_name = "DTYPE", value_parser = dtype_parser(), help_heading = "Output")]
    pub dtype: Option<DType>,
    /// What happens to values that the output's data type cannot hold [default: wrapping]
    #[arg(long, value_name = "HOW", help_heading = "Output")]
    pub cast: Option<Cast>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: RunOptions,
}

/// Does, shows or hands over the copy.
pub fn copy(args: CopyArgs, show: Show, host: &mut dyn Host) -> Result<Reply> {
    let config = Config::load()?;
    let (prepared, note) = prepare(&args, &config, host)?;
    if args.common.check_nodes {
        prepared.check_nodes(&host.cancel())?;
    }
    if args.common.dry_run {
        return Ok(Reply::Value(plan_value(&args, &config, &prepared, &note)));
    }
    if args.common.detach {
        if !prepared.is_reopenable() {
            return Err(Error::argument("a detached run cannot reach an array in this process")
                .fix("Use arrays in files, or leave --detach out."));
        }
        return detach::start(&args.detached_words(&prepared), show, &config, host);
    }
    if !show.quiet {
        host.text(&note);
    }
    follow(prepared.start()?, show, host)
}

/// Plans with as many workers as were asked for, or else with as many as the memory allows.
fn prepare(args: &CopyArgs, config: &Config, host: &dyn Host) -> Result<(Prepared, String)> {
    let arrays = Arrays::open(args, host)?;
    let asked = asked_workers(args.common.workers, config);
    let mut workers = asked.unwrap_or_else(cores);
    loop {
        let setup = arrays.setup(args, run_options(&args.common, config, workers, host)?);
        match setup.prepare() {
            Err(error) if error.kind == Kind::MemoryBudget && asked.is_none() && workers > 1 => {
                workers /= 2;
            }
            result => return Ok((result?, arrays.note)),
        }
    }
}

/// How the run is done: the options, then the config, then the machine.
///
/// # Errors
/// `invalid-argument` for a config that is not understood.
pub fn run_options(
    options: &RunOptions,
    config: &Config,
    workers: u64,
    host: &dyn Host,
) -> Result<Options> {
    let default = Options::default();
    let backend = options.backend.or(config.backend).unwrap_or_default();
    // A table that is not understood stops only what is meant for Slurm.
    let stored = match backend {
        Backend::Slurm => SlurmDefaults::load()?,
        _ => SlurmDefaults::default(),
    };
    Ok(Options {
        backend,
        workers,
        budget: options.memory.or(stored.memory).or(config.memory),
        retries: options.retries.or(stored.retries).or(config.retries).unwrap_or(default.retries),
        run_root: config.run_root(),
        program: host.program(),
        tasks_per_worker: stored.tasks_per_worker.unwrap_or(default.tasks_per_worker),
        slurm: options.slurm.over(&stored.settings),
        ..default
    })
}

/// The arrays of a copy, opened and checked against each other.
struct Arrays {
    input: Arc<dyn Source>,
    output: Output,
    mask: Option<Arc<dyn Source>>,
    domain: Option<Region>,
    note: String,
}

impl Arrays {
    fn open(args: &CopyArgs, host: &dyn Host) -> Result<Arrays> {
        let open = |text: &str| match host.array(text) {
            Some(array) => Ok(array),
            None => locate(text)?.open(),
        };
        let whole = open(&args.source)?;
        let mask = args.common.mask.as_deref().map(open).transpose()?;
        let region = match &args.common.roi {
            Some(roi) => Some(roi.resolve(whole.shape())?),
            None => None,
        };
        let shape = region.as_ref().map_or(whole.shape(), |region| &region.shape).to_vec();
        let existing = existing_output(args, host)?;
        if let Some(sink) = &existing {
            args.check_existing(&**sink, &*whole, &shape)?;
        }
        let within = existing.as_ref().is_some_and(|sink| sink.shape() == whole.shape());
        let (input, mask, domain) = match region {
            Some(region) if !within => {
                let mask = match mask {
                    Some(mask) if mask.shape() == whole.shape() => {
                        Some(Arc::new(RoiSource::new(mask, region.clone())?) as Arc<dyn Source>)
                    }
                    other => other,
                };
                (Arc::new(RoiSource::new(whole, region)?) as Arc<dyn Source>, mask, None)
            }
            domain => (whole, mask, domain),
        };
        let (output, note) = match existing {
            Some(sink) => {
                let note = format!("{}: written to, {}", args.target, describe(&*sink));
                (Output::Existing(sink), note)
            }
            None => {
                let Spec::Zarr { path, array } = locate_output(&args.target)? else {
                    return Err(Error::internal("an output that is no Zarr array"));
                };
                let new = args.new_array(&*input)?;
                let note = format!(
                    "{}: new, {} {}, chunks {}{}, codec {}",
                    args.target,
                    shape_text(&new.shape),
                    new.dtype.short_name(),
                    shape_text(&new.chunks),
                    new.shards.as_ref().map_or(String::new(), |shards| {
                        format!(", shards {}", shape_text(shards))
                    }),
                    new.codec,
                );
                let overwrite = args.common.overwrite;
                (Output::New { path, array, new: Box::new(new), overwrite }, note)
            }
        };
        Ok(Arrays { input, output, mask, domain, note })
    }

    fn setup(&self, args: &CopyArgs, options: Options) -> Setup {
        let operation = Copy { cast: args.cast.unwrap_or_default() };
        Setup {
            spec: operation.spec(),
            operation: Arc::new(operation),
            payload: None,
            inputs: vec![self.input.clone()],
            outputs: vec![self.output.clone()],
            mask: self.mask.clone(),
            domain: self.domain.clone(),
            block_shape: match &args.common.block_shape {
                Some(BlockShape::Given(shape)) => Some(shape.0.clone()),
                _ => None,
            },
            block_ids: None,
            options,
            code: args.code(),
        }
    }
}

/// The array that is to be written, if it is there and may stay.
fn existing_output(args: &CopyArgs, host: &dyn Host) -> Result<Option<Arc<dyn Sink>>> {
    if let Some(sink) = host.sink(&args.target) {
        return Ok(Some(sink));
    }
    let spec = locate_output(&args.target)?;
    let can_be_made = matches!(spec, Spec::Zarr { .. });
    if args.common.overwrite && !can_be_made {
        return Err(Error::argument(format!(
            "'{}' can be written to, but not be made anew: only Zarr arrays are",
            args.target
        ))
        .fix("Leave --overwrite out, or write to a Zarr array."));
    }
    if args.common.overwrite {
        return Ok(None);
    }
    match spec.open_sink() {
        Ok(sink) => Ok(Some(sink)),
        Err(error) if error.kind == Kind::NotFound && can_be_made => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(array: &dyn Source) -> String {
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

impl CopyArgs {
    /// An output that exists must be what the command describes.
    fn check_existing(
        &self,
        output: &dyn Source,
        input: &dyn Source,
        wanted_shape: &[u64],
    ) -> Result<()> {
        let dtype = self.dtype.unwrap_or_else(|| input.dtype());
        let shape = output.shape();
        let option = |shape: &Option<Shape>| shape.as_ref().map(Shape::to_string);
        let is = |shape: Option<Vec<u64>>| shape.map_or("none".to_owned(), |s| shape_text(&s));
        let differs = |what: &str, wanted: Option<String>, is: String| {
            wanted.filter(|wanted| *wanted != is).map(|wanted| format!("{what} {is}, not {wanted}"))
        };
        let wrong_shape = shape != wanted_shape && shape != input.shape();
        let difference =
            differs("shape", wrong_shape.then(|| shape_text(wanted_shape)), shape_text(shape))
                .or_else(|| differs("dtype", Some(dtype.to_string()), output.dtype().to_string()))
                .or_else(|| differs("chunks", option(&self.chunks), is(output.chunks())))
                .or_else(|| differs("shards", option(&self.shards), is(output.shards())))
                .or_else(|| {
                    differs(
                        "codec",
                        self.codec.map(|codec| codec.to_string()),
                        output.codec().unwrap_or("none".to_owned()),
                    )
                });
        match difference {
            None => Ok(()),
            Some(difference) => Err(Error::new(
                Kind::AlreadyExists,
                format!(
                    "the output '{}' exists with {difference} (from '{}' and the options)",
                    self.target, self.source
                ),
            )
            .fix("Give the output another name, or replace it with --overwrite.")),
        }
    }

    fn new_array(&self, input: &dyn Source) -> Result<NewArray> {
        let ndim = input.shape().len();
        let given = |option: &str, shape: &Option<Shape>| {
            shape.as_ref().map(|shape| shape.for_axes(option, ndim)).transpose()
        };
        let chunks = match given("--chunks", &self.chunks)? {
            Some(chunks) => chunks,
            None => default_chunks(input),
        };
        Ok(NewArray {
            shape: input.shape().to_vec(),
            dtype: self.dtype.unwrap_or_else(|| input.dtype()),
            shards: given("--shards", &self.shards)?,
            chunks,
            codec: self.codec.unwrap_or_else(|| default_codec(input)).to_string(),
            metadata: input.metadata(),
        })
    }

    /// The command as words, with those options that differ from the defaults, always in one order.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["copy".to_owned(), self.source.clone(), self.target.clone()];
        push(&mut words, "--chunks", self.chunks.as_ref());
        push(&mut words, "--shards", self.shards.as_ref());
        push(&mut words, "--codec", self.codec.as_ref());
        push(&mut words, "--dtype", self.dtype.map(DType::short_name).as_ref());
        push(&mut words, "--cast", self.cast.map(Cast::as_str).as_ref());
        words.extend(self.common.words());
        words
    }

    /// The command for a process that sees neither this one's arrays nor its config.
    fn detached_words(&self, prepared: &Prepared) -> Vec<String> {
        let mut args = self.clone();
        args.common.workers = Some(prepared.workers());
        args.words()
    }

    /// The command in the languages of the front ends.
    pub fn code(&self) -> Code {
        let bp = shell_words::join(self.words());
        let mut python = vec![quoted(&self.source), quoted(&self.target)];
        let mut keyword = |name: &str, value: Option<String>| {
            python.extend(value.map(|value| format!("{name}={value}")));
        };
        let tuple = |shape: &Shape| match shape.0[..] {
            [n] => format!("({n},)"),
            _ => format!("({})", shape_text(&shape.0).replace(',', ", ")),
        };
        let common = &self.common;
        keyword("chunks", self.chunks.as_ref().map(tuple));
        keyword("shards", self.shards.as_ref().map(tuple));
        keyword("codec", self.codec.map(|codec| quoted(&codec.to_string())));
        keyword("dtype", self.dtype.map(|dtype| quoted(dtype.name())));
        keyword("cast", self.cast.map(|cast| quoted(cast.as_str())));
        keyword(
            "block_shape",
            match &common.block_shape {
                Some(BlockShape::Given(shape)) => Some(tuple(shape)),
                _ => None,
            },
        );
        keyword("num_workers", common.workers.map(|workers| workers.to_string()));
        keyword("job_type", common.backend.map(|backend| quoted(backend.as_str())));
        keyword("memory", common.memory.map(|bytes| bytes.to_string()));
        keyword("mask", common.mask.as_deref().map(quoted));
        keyword("roi", common.roi.as_ref().map(|roi| quoted(&roi.to_string())));
        keyword("retries", common.retries.map(|retries| retries.to_string()));
        keyword("overwrite", common.overwrite.then(|| "True".to_owned()));
        Code {
            python: format!("bp.copy({})", python.join(", ")),
            rust: format!(
                "bioimage_engine::command::execute({bp:?}, &mut bioimage_engine::command::Silent::default())?"
            ),
            bp,
        }
    }
}

/// The code of a run with the paths that it has on record, which hold in every folder. Code that is not
/// a copy of ours stays as it is.
pub fn code_with_paths(code: &Code, source: Option<String>, target: Option<String>) -> Code {
    let parsed = Command::parse(&code.bp).ok().map(|command| command.0);
    let Some(Action::Verb(Verb::Copy(mut args))) = parsed else { return code.clone() };
    args.source = source.unwrap_or(args.source);
    args.target = target.unwrap_or(args.target);
    args.code()
}

/// A string literal of Python.
fn quoted(text: &str) -> String {
    // JSON's escapes are Python's, too.
    serde_json::Value::from(text).to_string()
}

/// Voxels of a chunk where the input suggests no shape: 64 x 64 x 64, or 512 x 512.
const CHUNK_VOXELS: u64 = 1 << 18;

/// The chunks of an array made from `input`: those of a chunked array, since its author chose them;
/// pages of a TIFF file and arrays in memory give way to cubes, squares and lines of [`CHUNK_VOXELS`].
fn default_chunks(input: &dyn Source) -> Vec<u64> {
    if has_own_grid(input)
        && let Some(chunks) = input.chunks()
    {
        return chunks;
    }
    cubic_chunks(input.shape(), &input.metadata())
}

/// The codec of a Zarr or N5 array where it can be written, so that chunks can be passed through.
fn default_codec(input: &dyn Source) -> Codec {
    let own = input.codec().filter(|_| has_own_grid(input));
    own.and_then(|codec| Codec::parse(&codec).ok()).unwrap_or_default()
}

/// Whether somebody chose the input's chunks and codec for arrays that are worked on in blocks.
fn has_own_grid(input: &dyn Source) -> bool {
    let spec = input.spec();
    matches!(spec.as_ref().map(Spec::whole), Some(Spec::Zarr { .. } | Spec::N5 { .. }))
}

fn cubic_chunks(shape: &[u64], metadata: &Metadata) -> Vec<u64> {
    let name = |axis: usize| metadata.axes.get(axis).map_or("", |axis| axis.name.as_str());
    let mut chunks = vec![1; shape.len()];
    // The last three axes are space where the file does not say which are.
    let is_space = |axis: &usize| match name(*axis) {
        "" => *axis + 3 >= shape.len(),
        name => !matches!(name, "t" | "c"),
    };
    let mut axes: Vec<usize> = (0..shape.len()).filter(is_space).collect();
    axes.sort_by_key(|&axis| shape[axis]);
    let mut voxels = CHUNK_VOXELS as f64;
    for (done, &axis) in axes.iter().enumerate() {
        let left = (axes.len() - done) as f64;
        // The greatest power of two within the even share; a short axis leaves more to the others.
        let side = 1u64 << (voxels.powf(1.0 / left) + 1e-6).log2().floor() as u32;
        chunks[axis] = side.min(shape[axis].max(1));
        voxels /= chunks[axis] as f64;
    }
    chunks
}

fn plan_value(args: &CopyArgs, config: &Config, prepared: &Prepared, note: &str) -> Value {
    let plan = &prepared.plan;
    let workers = prepared.workers();
    let voxels = plan.grid.domain.voxels();
    let backend = prepared.backend();
    let known = pace(&config.run_root(), Copy::NAME, backend);
    let seconds =
        known.map(|Pace { voxels_per_s, .. }| voxels as f64 / voxels_per_s / workers as f64);
    let code = args.code();
    let units = plan.ownership.groups(&plan.grid);
    let memory = plan.memory;
    let mut lines = vec![
        note.to_owned(),
        format!(
            "blocks   {} of {} ({} on {})",
            plan.grid.len(),
            shape_text(&plan.grid.block_shape),
            plan.grid.blocks_per_axis().iter().map(u64::to_string).collect::<Vec<_>>().join(" x "),
            plan.grid.domain
        ),
        format!("tasks    {} for {workers} worker(s), {}", plan.tasks.len(), backend.as_str()),
        format!("writes   {units} group(s) of blocks that share no chunk or shard"),
        format!(
            "memory   {} ({} a block), {}",
            bytes_text(memory.total),
            bytes_text(memory.per_block),
            match memory.budget {
                u64::MAX => "as much as the cluster gives a task".to_owned(),
                budget => format!("budget {}", bytes_text(budget)),
            }
        ),
        format!(
            "bytes    {} to read, {} to write before compression",
            bytes_text(plan.bytes_to_read),
            bytes_text(plan.bytes_to_write)
        ),
    ];
    lines.push(match (seconds, known) {
        (Some(seconds), Some(pace)) => {
            format!("time     about {} (from {} earlier run(s))", duration_text(seconds), pace.runs)
        }
        _ => "time     not known: no comparable run is on record".to_owned(),
    });
    lines.push(format!("Python   {}", code.python));
    Value {
        text: lines.join("\n"),
        html: None,
        json: json!({
            "output": prepared.outputs(),
            "note": note,
            "blocks": plan.grid.len(),
            "grid": plan.grid.blocks_per_axis(),
            "block_shape": plan.grid.block_shape,
            "domain": plan.grid.domain,
            "tasks": plan.tasks.len(),
            "workers": workers,
            "backend": backend,
            "write_groups": units,
            "memory": memory,
            "bytes_to_read": plan.bytes_to_read,
            "bytes_to_write": plan.bytes_to_write,
            "seconds": seconds,
            "code": code,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Axis;

    fn args(line: &str) -> CopyArgs {
        match Command::parse(line).unwrap().0 {
            Action::Verb(Verb::Copy(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_canonical_line_means_the_same_and_has_one_order() {
        let line = "copy 'my stack.tif' out.zarr --overwrite --roi 1:2,: --workers=3 --memory 1G \
                    --dtype uint8 --cast saturating --chunks 8,8 --codec none --backend subprocess";
        let typed = args(line);
        let code = typed.code();
        assert_eq!(args(&code.bp), typed);
        assert_eq!(args(&code.bp).code(), code);
        assert_eq!(
            code.bp,
            "copy 'my stack.tif' out.zarr --chunks 8,8 --codec none --dtype u8 --cast saturating \
             --workers 3 --backend subprocess --memory 1073741824 --roi 1:2,: --overwrite"
        );
        assert_eq!(
            code.python,
            "bp.copy(\"my stack.tif\", \"out.zarr\", chunks=(8, 8), codec=\"none\", \
             dtype=\"uint8\", cast=\"saturating\", num_workers=3, job_type=\"subprocess\", \
             memory=1073741824, roi=\"1:2,:\", overwrite=True)"
        );
    }

    #[test]
    fn what_only_shows_the_run_is_not_part_of_it() {
        assert_eq!(
            args("copy a b --dry-run --quiet --detach --json").code(),
            args("copy a b").code()
        );
    }

    #[test]
    fn new_chunks_are_cubes_of_space() {
        let axes = |names: &str| Metadata {
            axes: names.chars().map(|c| Axis { name: c.into(), ..Axis::default() }).collect(),
            ..Metadata::default()
        };
        assert_eq!(cubic_chunks(&[500, 2000, 2000], &axes("zyx")), [64, 64, 64]);
        assert_eq!(cubic_chunks(&[2000, 3000], &axes("yx")), [512, 512]);
        assert_eq!(cubic_chunks(&[5, 3, 100, 900, 900], &axes("tczyx")), [1, 1, 64, 64, 64]);
        assert_eq!(cubic_chunks(&[5, 3, 100, 900, 900], &Metadata::default()), [1, 1, 64, 64, 64]);
        assert_eq!(cubic_chunks(&[10, 2000, 2000], &axes("zyx")), [10, 128, 128]);
        assert_eq!(cubic_chunks(&[100, 2000, 2000], &axes("tyx")), [1, 512, 512]);
        assert_eq!(cubic_chunks(&[1 << 20], &axes("x")), [1 << 18]);
        assert_eq!(cubic_chunks(&[0, 7], &Metadata::default()), [1, 7]);
    }
}
