//! Options that several verbs share, and how their values are written.

use crate::config::slurm::SlurmDefaults;
use crate::config::{Config, parse_bytes};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Region, shape_text};
use crate::run::Backend;
use crate::run::folder::RunFolder;
use crate::run::slurm::{SlurmSettings, parse_memory, parse_time};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::fmt;
use std::str::FromStr;

/// How a verb answers.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct OutputOptions {
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How and where a run is done.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct RunOptions {
    /// Extents of a block, or auto
    #[arg(long, value_name = "SHAPE", help_heading = "Run")]
    pub block_shape: Option<BlockShape>,
    /// Blocks worked on at the same time [default: from the config, else the number of cores]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub workers: Option<u64>,
    /// Where blocks are worked on [default: from the config, else local]
    #[arg(long, help_heading = "Run")]
    pub backend: Option<Backend>,
    /// Memory that the run may use, such as 8G [default: from the config, else most of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = "Run")]
    pub memory: Option<u64>,
    /// Only where this array is not zero; other voxels of the output stay as they are
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath, help_heading = "Run")]
    pub mask: Option<String>,
    /// Only this region, as start:end for each axis
    #[arg(
        long,
        value_name = "REGION",
        help_heading = "Run",
        long_help = "Only this region, as start:end for each axis, such as 0:64,:,128:\n\
            A missing output becomes an array of the region's shape. An existing output of that \
            shape is written whole; one of the input's shape only inside the region."
    )]
    pub roi: Option<Roi>,
    /// How often a failure that may pass is tried again [default: from the config, else 3]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub retries: Option<u32>,
    /// Show the plan and do nothing
    #[arg(long, help_heading = "Run")]
    pub dry_run: bool,
    /// Return at once; the run goes on by itself
    #[arg(long, help_heading = "Run")]
    pub detach: bool,
    /// Ask a compute node first whether it sees all paths of the run (on Slurm)
    #[arg(long, help_heading = "Run")]
    pub check_nodes: bool,
    /// Replace an output that exists
    #[arg(long, help_heading = "Run")]
    pub overwrite: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub slurm: SlurmOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

impl RunOptions {
    /// The options in which a run differs from another, as words of the language.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        push(&mut words, "--block-shape", self.block_shape.as_ref());
        push(&mut words, "--workers", self.workers.as_ref());
        push(&mut words, "--backend", self.backend.map(Backend::as_str).as_ref());
        push(&mut words, "--memory", self.memory.as_ref());
        push(&mut words, "--mask", self.mask.as_ref());
        push(&mut words, "--roi", self.roi.as_ref());
        push(&mut words, "--retries", self.retries.as_ref());
        if self.overwrite {
            words.push("--overwrite".into());
        }
        words.extend(self.slurm.words());
        words
    }
}

/// What is asked of Slurm; what is not given comes from the config, else from the cluster.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Slurm")]
pub struct SlurmOptions {
    /// Partition
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
    /// Time limit of a task, such as 90 (minutes), 1:30:00 or 2-12:00:00
    #[arg(long, value_name = "TIME", value_parser = slurm_time)]
    pub time: Option<String>,
    /// Memory of a task, such as 8G
    #[arg(long, value_name = "SIZE", value_parser = slurm_memory)]
    pub mem: Option<String>,
    /// Processors of a task
    #[arg(long, value_name = "N")]
    pub cpus: Option<u32>,
    /// Graphics processors of a task
    #[arg(long, value_name = "N")]
    pub gpus: Option<u32>,
    /// Account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Quality of service
    #[arg(long, value_name = "NAME")]
    pub qos: Option<String>,
    /// Features that nodes must have
    #[arg(long, value_name = "FEATURES")]
    pub constraint: Option<String>,
    /// Another option of sbatch, such as --sbatch=--exclusive; may be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
}

fn slurm_time(text: &str) -> Result<String> {
    parse_time(text).map(|_| text.to_owned())
}

fn slurm_memory(text: &str) -> Result<String> {
    parse_memory(text).map(|_| text.to_owned())
}

impl SlurmOptions {
    /// These options over other settings.
    pub fn over(&self, settings: &SlurmSettings) -> SlurmSettings {
        let first = |own: &Option<String>, other: &Option<String>| own.clone().or(other.clone());
        let mut options = settings.options.clone();
        options.extend(self.sbatch.clone());
        SlurmSettings {
            partition: first(&self.partition, &settings.partition),
            time: first(&self.time, &settings.time),
            mem: first(&self.mem, &settings.mem),
            cpus_per_task: self.cpus.unwrap_or(settings.cpus_per_task),
            gpus: self.gpus.unwrap_or(settings.gpus),
            account: first(&self.account, &settings.account),
            qos: first(&self.qos, &settings.qos),
            constraint: first(&self.constraint, &settings.constraint),
            options,
            ..settings.clone()
        }
    }

    /// These options over what a run had before, else over the config; none where nothing is asked.
    ///
    /// # Errors
    /// `run-damaged`, `invalid-argument` for a config that is not understood.
    pub fn changed(&self, folder: &RunFolder) -> Result<Option<SlurmSettings>> {
        if *self == SlurmOptions::default() {
            return Ok(None);
        }
        let latest = folder.latest_attempt();
        let before = if latest == 0 { None } else { folder.attempt(latest)?.slurm };
        let before = before.map_or_else(|| Ok(SlurmDefaults::load()?.settings), Ok)?;
        Ok(Some(self.over(&before)))
    }

    /// The options as words of the language.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        push(&mut words, "--partition", self.partition.as_ref());
        push(&mut words, "--time", self.time.as_ref());
        push(&mut words, "--mem", self.mem.as_ref());
        push(&mut words, "--cpus", self.cpus.as_ref());
        push(&mut words, "--gpus", self.gpus.as_ref());
        push(&mut words, "--account", self.account.as_ref());
        push(&mut words, "--qos", self.qos.as_ref());
        push(&mut words, "--constraint", self.constraint.as_ref());
        words.extend(self.sbatch.iter().map(|option| format!("--sbatch={option}")));
        words
    }
}

/// Appends an option and its value, where it has one.
pub fn push(words: &mut Vec<String>, option: &str, value: Option<&impl ToString>) {
    if let Some(value) = value {
        words.extend([option.to_owned(), value.to_string()]);
    }
}

/// The number of workers that is meant: the option, the config, or none, which leaves it to the
/// machine.
pub fn asked_workers(option: Option<u64>, config: &Config) -> Option<u64> {
    option.or(config.workers)
}

/// The number of cores.
pub fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Extents, one for each axis: `64,64,64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Vec<u64>);

impl FromStr for Shape {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let extents: Option<Vec<u64>> =
            text.split(',').map(|n| n.trim().parse().ok().filter(|n| *n > 0)).collect();
        extents.map(Shape).ok_or_else(|| {
            Error::argument(format!("'{text}' is not a shape"))
                .fix("Give one extent of at least 1 for each axis, as in 64,64,64.")
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shape_text(&self.0))
    }
}

impl Shape {
    /// The extents, of which there must be one for each axis.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn for_axes(&self, option: &str, ndim: usize) -> Result<Vec<u64>> {
        if self.0.len() == ndim {
            return Ok(self.0.clone());
        }
        let example = match self.0[..] {
            [n] => format!(" For example {option} {}.", shape_text(&vec![n; ndim])),
            _ => String::new(),
        };
        Err(Error::argument(format!(
            "{option} {self} has {} extent(s), the array has {ndim} axes",
            self.0.len()
        ))
        .about(option)
        .fix(format!("Give one extent for each axis.{example}")))
    }
}

/// Extents of a block, or the choice left to the planner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockShape {
    /// Chosen from the arrays' grids.
    Auto,
    /// As given.
    Given(Shape),
}

impl FromStr for BlockShape {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text == "auto" { Ok(BlockShape::Auto) } else { text.parse().map(BlockShape::Given) }
    }
}

impl fmt::Display for BlockShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockShape::Auto => f.write_str("auto"),
            BlockShape::Given(shape) => shape.fmt(f),
        }
    }
}

/// A region as it is typed: `10:20,:,5:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roi(Vec<(Option<u64>, Option<u64>)>);

impl FromStr for Roi {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bound = |text: &str| match text.trim() {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let range = |text: &str| {
            let (start, end) = text.split_once(':')?;
            Some((bound(start)?, bound(end)?))
        };
        text.split(',').map(range).collect::<Option<_>>().map(Roi).ok_or_else(|| {
            Error::argument(format!("'{text}' is not a region")).fix(
                "Give start:end for each axis, as in 0:64,:,128: (an open end is the array's).",
            )
        })
    }
}

impl fmt::Display for Roi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bound: &Option<u64>| bound.map_or(String::new(), |bound| bound.to_string());
        let ranges = self.0.iter().map(|(start, end)| format!("{}:{}", text(start), text(end)));
        f.write_str(&ranges.collect::<Vec<_>>().join(","))
    }
}

impl Roi {
    /// The region of an array of this shape.
    ///
    /// # Errors
    /// `invalid-argument` if it does not lie inside, or is empty.
    pub fn resolve(&self, shape: &[u64]) -> Result<Region> {
        let ends: Vec<(u64, u64)> = self
            .0
            .iter()
            .zip(shape)
            .map(|((start, end), n)| (start.unwrap_or(0), end.unwrap_or(*n)))
            .collect();
        let inside = ends.iter().zip(shape).all(|((start, end), n)| start < end && end <= n);
        if self.0.len() != shape.len() || !inside {
            return Err(Error::argument(format!(
                "--roi {self} does not lie inside the array of shape {}",
                shape_text(shape)
            ))
            .about("roi")
            .fix("Give start:end for each axis, with start < end <= extent."));
        }
        Ok(Region {
            start: ends.iter().map(|(start, _)| *start).collect(),
            shape: ends.iter().map(|(start, end)| end - start).collect(),
        })
    }
}

/// Reads the names of data types, and shows them in help and completion.
pub fn dtype_parser() -> impl TypedValueParser<Value = DType> {
    let names = DType::ALL.map(|dtype| {
        let value = PossibleValue::new(dtype.short_name());
        if dtype == DType::Bool { value } else { value.alias(dtype.name()) }
    });
    PossibleValuesParser::new(names).try_map(|name| DType::parse(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_may_be_open_at_its_ends() {
        let roi: Roi = "10:20,:,5:".parse().unwrap();
        assert_eq!(roi.resolve(&[30, 4, 9]).unwrap(), Region::new([10, 0, 5], [10, 4, 4]));
        assert_eq!(roi.to_string(), "10:20,:,5:");
        for shape in [&[30, 4][..], &[15, 4, 9], &[30, 4, 5]] {
            assert!(roi.resolve(shape).is_err(), "{shape:?}");
        }
        for bad in ["", "10", "1:2:3", "-1:2"] {
            assert!(bad.parse::<Roi>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shape_with_too_few_axes_shows_how_it_is_written() {
        let error = "64".parse::<Shape>().unwrap().for_axes("--chunks", 3).unwrap_err();
        assert!(error.fix.unwrap().contains("--chunks 64,64,64"));
        assert!("64,0".parse::<Shape>().is_err());
    }
}
