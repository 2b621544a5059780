//! `bp config`: shows and sets defaults.

use super::options::{OutputOptions, cores};
use super::table::Table;
use super::{Reply, Value};
use crate::config::{Config, KEYS, Key, known};
use crate::error::Result;
use crate::plan::bytes_text;
use crate::run::{Options, default_budget};
use serde_json::json;

/// What `bp config` takes.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// key=value sets a default, key= removes it, key shows it; nothing shows all
    #[arg(value_name = "KEY[=VALUE]")]
    keys: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

/// `bp config`.
pub fn config(args: &ConfigArgs) -> Result<Reply> {
    let set: Vec<(&str, &str)> = args.keys.iter().filter_map(|key| key.split_once('=')).collect();
    if !set.is_empty() {
        Config::set(&set)?;
    }
    let shown: Vec<Key> = match args.keys.len() {
        0 => KEYS.to_vec(),
        _ => {
            let names = args.keys.iter().map(|key| key.split('=').next().unwrap_or_default());
            names.map(known).collect::<Result<_>>()?
        }
    };
    let config = Config::load()?;
    let rows = shown.iter().map(|key| {
        let (value, is_set) = effective(&config, key.name);
        vec![
            key.name.to_owned(),
            value,
            if is_set { "set" } else { "default" }.into(),
            key.help.into(),
        ]
    });
    let table = Table { header: &["key", "value", "from", "meaning"], rows: rows.collect() };
    let file = Config::path();
    let json = json!({
        "file": file,
        "values": shown.iter().map(|key| (key.name.to_owned(), effective(&config, key.name).0.into()))
            .collect::<serde_json::Map<_, _>>(),
    });
    let text = format!("{}\nfile: {}", table.text(), file.display());
    Ok(Reply::Value(Value { text, html: Some(table.html()), json }))
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
