//! `bp config`: shows and sets defaults.

use super::options::{OutputOptions, cores};
use super::panel::SlurmForm;
use super::table::Table;
use super::{Host, Reply, Value};
use crate::config::slurm::{self, SLURM_KEYS, SlurmKey};
use crate::config::{Config, KEYS, Key, known};
use crate::error::Result;
use crate::plan::{TASKS_PER_WORKER, bytes_text};
use crate::run::slurm::SlurmSettings;
use crate::run::{Options, default_budget};
use serde_json::json;
use std::fmt::Write;

/// What `bp config` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = keys_help())]
pub struct ConfigArgs {
    /// key=value sets a default, key= removes it, key shows it; nothing shows all. Behind the word slurm: defaults for the cluster
    #[arg(value_name = "KEY[=VALUE]")]
    keys: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

/// The word that stands before keys of the table `[slurm]`.
pub const SLURM: &str = "slurm";

fn keys_help() -> String {
    let mut text = "Keys:\n".to_owned();
    for key in KEYS {
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {:<18} {}", key.name, key.help);
    }
    text += "\nKeys behind slurm, as in bp config slurm partition=cpu:\n";
    for key in SLURM_KEYS {
        let _ = writeln!(text, "  {:<18} {}", key.name, key.help);
    }
    text.trim_end().to_owned()
}

/// `bp config`.
pub fn config(args: &ConfigArgs, host: &dyn Host) -> Result<Reply> {
    match args.keys.split_first() {
        Some((first, [])) if first == SLURM && host.shows_panels() && !args.output.json => {
            Ok(Reply::Panel(Box::new(SlurmForm::new()?)))
        }
        Some((first, keys)) if first == SLURM => cluster(keys).map(Reply::Value),
        _ => general(&args.keys).map(Reply::Value),
    }
}

/// The assignments among the words, and the names of all keys in them.
fn parts(words: &[String]) -> (Vec<(&str, &str)>, Vec<&str>) {
    let set = words.iter().filter_map(|word| word.split_once('=')).collect();
    let names = words.iter().map(|word| word.split('=').next().unwrap_or_default());
    (set, names.collect())
}

fn general(words: &[String]) -> Result<Value> {
    let (set, names) = parts(words);
    if !set.is_empty() {
        Config::set(&set)?;
    }
    let keys: Vec<Key> = match names.len() {
        0 => KEYS.to_vec(),
        _ => names.into_iter().map(known).collect::<Result<_>>()?,
    };
    let config = Config::load()?;
    let rows = keys.iter().map(|key| {
        let (value, is_set) = effective(&config, key.name);
        row(key.name, value, if is_set { "set" } else { "default" }, key.help)
    });
    let rows = rows.collect();
    let file = Config::path();
    let json = json!({
        "file": file,
        "values": keys.iter().map(|key| (key.name.to_owned(), effective(&config, key.name).0.into()))
            .collect::<serde_json::Map<_, _>>(),
    });
    let mut note = format!("file: {}", file.display());
    if words.is_empty() {
        note += "\nbp config slurm shows the defaults for the cluster";
    }
    Ok(shown(rows, &note, json))
}

/// `bp config slurm`.
pub fn cluster(words: &[String]) -> Result<Value> {
    let (set, names) = parts(words);
    if !set.is_empty() {
        slurm::assign(&set)?;
    }
    let keys: Vec<SlurmKey> = match names.len() {
        0 => SLURM_KEYS.to_vec(),
        _ => names.into_iter().map(slurm::known).collect::<Result<_>>()?,
    };
    let stored = slurm::stored(None)?;
    let table = stored.checked()?;
    let defaults = serde_json::to_value(SlurmSettings::default()).unwrap_or_default();
    let value_of = |name: &str| -> (serde_json::Value, &str) {
        let set = table.get(name).map(|value| serde_json::to_value(value).unwrap_or_default());
        match (set, name) {
            (Some(value), _) => (value, "set"),
            (None, "tasks_per_worker") => (TASKS_PER_WORKER.into(), "default"),
            (None, _) => match defaults.get(name) {
                Some(value) => (value.clone(), "default"),
                None => (serde_json::Value::Null, "not set"),
            },
        }
    };
    let rows = keys.iter().map(|key| {
        let (value, from) = value_of(key.name);
        row(key.name, value_text(&value), from, key.help)
    });
    let rows = rows.collect();
    let values = keys.iter().map(|key| (key.name.to_owned(), value_of(key.name).0));
    let values: serde_json::Map<_, _> = values.collect();
    let json = json!({ "file": stored.file, "values": values });
    let mut note = format!("file: {}", stored.file.display());
    let written = slurm::file(None);
    if slurm::is_ignored() {
        note += " (not read, since BIOIMAGE_PY_NO_CONFIG is set)";
    } else if written != stored.file {
        note += &format!("; bp config slurm key=value writes to {}", written.display());
    }
    Ok(shown(rows, &note, json))
}

fn row(name: &str, value: String, from: &str, help: &str) -> Vec<String> {
    vec![name.to_owned(), value, from.to_owned(), help.to_owned()]
}

fn shown(rows: Vec<Vec<String>>, note: &str, json: serde_json::Value) -> Value {
    let table = Table { header: &["key", "value", "from", "meaning"], rows };
    let text = format!("{}\n{note}", table.text());
    Value { text, html: Some(table.html()), json }
}

/// A value on one line.
fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.replace('\n', "\\n"),
        serde_json::Value::Array(lines) => {
            lines.iter().map(value_text).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// The value that holds, and whether the user has set it.
fn effective(config: &Config, key: &str) -> (String, bool) {
    let defaults = Options::default();
    match key {
        "run_root" => (config.run_root().display().to_string(), config.run_root.is_some()),
        "workers" => (config.workers.unwrap_or_else(cores).to_string(), config.workers.is_some()),
        "memory" => {
            let bytes = config.memory.unwrap_or_else(default_budget);
            (bytes_text(bytes), config.memory.is_some())
        }
        "backend" => {
            let backend = config.backend.unwrap_or(defaults.backend);
            (backend.as_str().to_owned(), config.backend.is_some())
        }
        _ => (config.retries.unwrap_or(defaults.retries).to_string(), config.retries.is_some()),
    }
}
