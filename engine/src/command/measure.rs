//! The verbs that measure, and what they have measured as a table.

use super::arrays::Arrays;
use super::follow::Show;
use super::operate::{Inputs, Outlook, Request, Start, carry_out, outlook, start};
use super::options::{OutputOptions, RunOptions};
use super::table::Table as Shown;
use super::{Host, Reply, Value};
use crate::array::Array;
use crate::config::Config;
use crate::dispatch;
use crate::error::{Error, Kind, Result};
use crate::op::parameters::Parameters;
use crate::op::registry::measurements;
use crate::op::table::Table;
use crate::run::folder::{Code, RunFolder};
use crate::run::registry;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the verb of a measurement takes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Measure<P: Parameters> {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub inputs: Inputs<P>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub parameters: P,
    /// File to write the table to: out.csv
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Output")]
    pub table: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: RunOptions,
}

/// What `bp result` takes.
#[derive(Debug, clap::Args)]
pub struct ResultArgs {
    /// Id of the run, a beginning of it, its folder, or last
    #[arg(value_name = "RUN")]
    run: String,
    /// File to write the table to: out.csv
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    table: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

macro_rules! verbs {
    ($($(#[$help:meta])* $verb:ident($parameters:ty),)*) => {
        /// The measurements that have a verb.
        #[derive(Debug, clap::Subcommand)]
        pub enum MeasurementVerb {
            $($(#[$help])* $verb(Box<Measure<$parameters>>),)*
        }

        impl MeasurementVerb {
            /// How and where the run is done.
            pub fn common(&self) -> &RunOptions {
                match self { $(MeasurementVerb::$verb(request) => &request.common,)* }
            }

            /// Does, shows or hands over the run.
            pub fn run(self, show: Show, host: &mut dyn Host) -> Result<Reply> {
                match self { $(MeasurementVerb::$verb(request) => measure(*request, show, host),)* }
            }

            /// What the request comes to; nothing is written.
            pub fn outlook(&self, host: &dyn Host) -> Outlook {
                match self { $(MeasurementVerb::$verb(request) => outlook(&**request, host),)* }
            }

            /// Plans the run; what comes back starts it.
            pub fn start(self, host: &dyn Host) -> Result<Start> {
                match self { $(MeasurementVerb::$verb(request) => start(*request, host),)* }
            }

            /// The file that the table is to be written to.
            pub fn table(&self) -> Option<&Path> {
                match self { $(MeasurementVerb::$verb(request) => request.table.as_deref(),)* }
            }

            /// The same request in the languages of the front ends.
            pub fn code(&self) -> Code {
                match self { $(MeasurementVerb::$verb(request) => request.code(),)* }
            }

            /// The same request with those of its arrays elsewhere that are known there.
            pub fn with_paths(mut self, inputs: &[Option<String>]) -> Self {
                match &mut self { $(MeasurementVerb::$verb(request) => request.inputs.set(inputs),)* }
                self
            }
        }
    };
}
measurements!(verbs);

impl<P: Parameters + 'static> Request for Measure<P> {
    type Parameters = P;

    fn parameters(&self) -> &P {
        &self.parameters
    }

    fn common(&self) -> &RunOptions {
        &self.common
    }

    fn common_mut(&mut self) -> &mut RunOptions {
        &mut self.common
    }

    fn open(&mut self, host: &dyn Host) -> Result<Arrays> {
        let arrays = Arrays::to_measure::<P>(&self.inputs.paths, &self.common, host)?;
        let checked = check_target(self.table.as_deref(), self.common.overwrite);
        checked.map(|()| arrays).map_err(|error| error.about("table"))
    }

    fn words(&self) -> Vec<String> {
        Measure::words(self)
    }

    fn code(&self) -> Code {
        Measure::code(self)
    }
}

fn measure<P: Parameters + 'static>(
    request: Measure<P>,
    show: Show,
    host: &mut dyn Host,
) -> Result<Reply> {
    let (table, detach) = (request.table.clone(), request.common.detach);
    let quiet = Show { json: false, ..show };
    match carry_out(request, quiet, host)? {
        Reply::Run(run) if !detach => tell(&run.folder, table.as_deref()).map(Reply::Value),
        reply => Ok(reply),
    }
}

/// `bp result`.
pub fn result(args: &ResultArgs) -> Result<Reply> {
    let folder = registry::find(&Config::load()?.run_root(), &args.run)?;
    check_target(args.table.as_deref(), args.overwrite)?;
    tell(&folder, args.table.as_deref()).map(Reply::Value)
}

/// A file that is there is not replaced unasked, which is told before anything is measured.
fn check_target(path: Option<&Path>, overwrite: bool) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    if path.extension().is_none_or(|extension| extension != "csv") {
        return Err(Error::argument(format!("'{}' is no table that is written", path.display()))
            .fix("Give a name that ends in .csv."));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let message = format!("the folder '{}' of the table does not exist", folder.display());
        return Err(Error::new(Kind::NotFound, message).fix("Make it, or name another place."));
    }
    if path.exists() && !overwrite {
        return Err(Error::new(
            Kind::AlreadyExists,
            format!("the table '{}' exists", path.display()),
        )
        .fix("Give it another name, or replace it with --overwrite."));
    }
    Ok(())
}

/// So many rows are shown; a file has all.
const ROWS: u64 = 20;

/// What a run has measured; the whole table is written to `path`.
pub fn tell(folder: &RunFolder, path: Option<&Path>) -> Result<Value> {
    let table = folder.table()?;
    if let Some(path) = path {
        write_csv(&table, path)?;
    }
    let names: Vec<&str> = table.columns().iter().map(|(name, _)| name.as_str()).collect();
    let rows = |count: u64| (0..count).map(|row| row_of(&table, row, text));
    let shown =
        Shown { header: &names, rows: rows(table.rows().min(ROWS)).collect::<Result<_>>()? };
    let (mut text, mut html) = (shown.text(), shown.html());
    if table.rows() > ROWS {
        let more = format!("... {} more rows", table.rows() - ROWS);
        text += &format!("\n{more}");
        html += &format!("<p>{more}</p>");
    }
    if table.rows() == 0 {
        text = "no voxel counts: there is nothing to measure".to_owned();
        html.clone_from(&text);
    }
    let columns: Vec<(String, Json)> = table
        .columns()
        .iter()
        .map(|(name, values)| Ok((name.clone(), json_of(values)?)))
        .collect::<Result<_>>()?;
    let json = json!({
        "run": folder.request()?.id,
        "rows": table.rows(),
        "table": columns.into_iter().collect::<serde_json::Map<_, _>>(),
    });
    Ok(Value { text, html: Some(html), json })
}

fn row_of(
    table: &Table,
    row: u64,
    text: fn(&Array, usize) -> Result<String>,
) -> Result<Vec<String>> {
    table.columns().iter().map(|(_, values)| text(values, row as usize)).collect()
}

/// A value as people write it.
fn text(values: &Array, row: usize) -> Result<String> {
    Ok(dispatch!(values.dtype(), T => values.values::<T>()?[row].to_string()))
}

fn json_of(values: &Array) -> Result<Json> {
    Ok(dispatch!(values.dtype(), T => {
        values.values::<T>()?.iter().map(|value| Json::from(*value)).collect()
    }))
}

/// Writes a table as comma-separated values; the file appears whole.
fn write_csv(table: &Table, path: &Path) -> Result<()> {
    let failed = |error: &std::io::Error| Error::write(path, error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
    let mut to = std::io::BufWriter::new(file.map_err(|error| failed(&error))?);
    let names: Vec<&str> = table.columns().iter().map(|(name, _)| name.as_str()).collect();
    writeln!(to, "{}", names.join(",")).map_err(|error| failed(&error))?;
    for row in 0..table.rows() {
        writeln!(to, "{}", row_of(table, row, text)?.join(",")).map_err(|error| failed(&error))?;
    }
    let file = to.into_inner().map_err(|error| failed(error.error()))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}
