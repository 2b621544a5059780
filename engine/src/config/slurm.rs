//! The `[slurm]` table: which file holds it, what may stand in it, and what it says.
//!
//! It is that of bioimage-py, whose own file is read where ours has no such table.

use super::{at_home, config_home, parse_bytes, save, text_of, unknown, variable, wrong_file};
use crate::error::{Error, Result};
use crate::plan::TASKS_PER_WORKER;
use crate::run::slurm::{SlurmSettings, parse_memory, parse_time};
use std::path::{Path, PathBuf};
use toml::Value;

/// A key of the table.
#[derive(Clone, Copy, Debug)]
pub struct SlurmKey {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What its value is.
    pub holds: Holds,
}

/// What the value of a key is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holds {
    /// Any text.
    Text,
    /// A time as Slurm writes it.
    Time,
    /// Memory as Slurm writes it.
    Memory,
    /// Memory as this program writes it.
    Bytes,
    /// A whole number of at least so many.
    Count(i64),
    /// A number of seconds.
    Seconds,
    /// Texts, one a line.
    Lines,
}

const fn key(name: &'static str, holds: Holds, help: &'static str) -> SlurmKey {
    SlurmKey { name, help, holds }
}

/// The keys that the table may have: the fields of Python's `SlurmConfig`.
pub const SLURM_KEYS: [SlurmKey; 19] = [
    key("partition", Holds::Text, "partition"),
    key("time", Holds::Time, "time limit of a task, such as 90 (minutes), 1:30:00 or 2-12:00:00"),
    key("mem", Holds::Memory, "memory of a task, such as 8G"),
    key("cpus_per_task", Holds::Count(1), "processors of a task"),
    key("gpus", Holds::Count(0), "graphics processors of a task"),
    key("account", Holds::Text, "account"),
    key("qos", Holds::Text, "quality of service"),
    key("constraint", Holds::Text, "features that nodes must have"),
    key("options", Holds::Lines, "more options for #SBATCH lines, such as --exclusive"),
    key("shebang", Holds::Text, "first line of the job script, then lines that prepare it"),
    key("tmp_root", Holds::Text, "folder for run folders, which all nodes see"),
    key("tasks_per_worker", Holds::Count(1), "tasks for each one that runs at the same time"),
    key("max_array_size", Holds::Count(1), "most tasks of a job array; asked of the cluster"),
    key("poll_interval", Holds::Seconds, "seconds between questions to the scheduler"),
    key("latency_wait", Holds::Seconds, "seconds that files may take to be seen here"),
    key("retries", Holds::Count(0), "how often a failure that may pass is tried again"),
    key("memory", Holds::Bytes, "memory that a task may use where mem is not set"),
    key("python_executable", Holds::Text, "interpreter of tasks that need Python"),
    key("task_timeout", Holds::Seconds, "not for Slurm, which has time"),
];

/// What a `[slurm]` table says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlurmDefaults {
    /// What is asked of Slurm.
    pub settings: SlurmSettings,
    /// Tasks for each one that runs at the same time.
    pub tasks_per_worker: Option<u64>,
    /// How often a transient failure is tried again.
    pub retries: Option<u32>,
    /// Memory that a task may use where Slurm is asked for none.
    pub memory: Option<u64>,
}

/// A table as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The file that has it, or else the one that would.
    pub file: PathBuf,
    /// What is there under the name `slurm`.
    pub value: Option<Value>,
}

/// The file that the table is written to: the given one, that of `$BIOIMAGE_RS_CONFIG`, that of
/// `$BIOIMAGE_PY_CONFIG`, or ours.
pub fn file(given: Option<&Path>) -> PathBuf {
    let given = given.map(Path::to_owned);
    let named =
        given.or_else(|| variable("BIOIMAGE_RS_CONFIG")).or_else(|| variable("BIOIMAGE_PY_CONFIG"));
    named.map_or_else(|| config_home().join("bioimage-rs/config.toml"), |path| at_home(&path))
}

/// The file of bioimage-py.
fn other_file() -> PathBuf {
    variable("BIOIMAGE_PY_CONFIG")
        .map_or_else(|| config_home().join("bioimage-py/config.toml"), |path| at_home(&path))
}

/// Whether no table is to be read, as for bioimage-py.
pub fn is_ignored() -> bool {
    variable("BIOIMAGE_PY_NO_CONFIG").is_some()
}

/// The table that holds; of a given file, or of the first of ours and bioimage-py's that has one.
///
/// # Errors
/// `invalid-argument` for a file that is not TOML, naming it.
pub fn stored(given: Option<&Path>) -> Result<Stored> {
    let first = file(given);
    if is_ignored() {
        return Ok(Stored { file: first, value: None });
    }
    found(first, given.is_none())
}

fn found(first: PathBuf, also_elsewhere: bool) -> Result<Stored> {
    let mut value = value_in(&first)?;
    if value.is_none() && also_elsewhere {
        let other = other_file();
        value = value_in(&other)?;
        if value.is_some() {
            return Ok(Stored { file: other, value });
        }
    }
    Ok(Stored { file: first, value })
}

fn value_in(path: &Path) -> Result<Option<Value>> {
    let table: toml::Table =
        toml::from_str(&text_of(path)?).map_err(|error| wrong_file(path, error.message()))?;
    Ok(table.get("slurm").map(plain))
}

/// Times of day, which TOML has without quotes, are texts here.
fn plain(value: &Value) -> Value {
    match value {
        Value::Datetime(time) => Value::String(time.to_string()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

impl Stored {
    /// The table, checked.
    ///
    /// # Errors
    /// `invalid-argument` for an unknown key or a value that is not allowed, naming file and key.
    pub fn checked(&self) -> Result<toml::Table> {
        let table = match &self.value {
            None => return Ok(toml::Table::new()),
            Some(Value::Table(table)) => table,
            Some(other) => {
                return Err(wrong_file(
                    &self.file,
                    &format!("'slurm' is a table, not of type {}", other.type_str()),
                ));
            }
        };
        let mut checked = toml::Table::new();
        for (name, value) in table {
            let value = known(name).and_then(|key| key.check(value)).map_err(|error| Error {
                message: format!("config '{}': {}", self.file.display(), error.message),
                ..error
            })?;
            if let Some(value) = value {
                checked.insert(name.clone(), value);
            }
        }
        Ok(checked)
    }
}

impl SlurmDefaults {
    /// What the table says that holds; without one nothing is set.
    ///
    /// # Errors
    /// `invalid-argument` for a file or a value that is not understood, naming file and key.
    pub fn load() -> Result<SlurmDefaults> {
        let stored = stored(None)?;
        SlurmDefaults::of(stored.checked()?)
            .map_err(|error| wrong_file(&stored.file, &error.message))
    }

    /// What a checked table says.
    ///
    /// # Errors
    /// `invalid-argument` for a value that is not understood.
    pub fn of(mut table: toml::Table) -> Result<SlurmDefaults> {
        let mut count = |name: &str| table.remove(name).and_then(|value| value.as_integer());
        let tasks_per_worker = count("tasks_per_worker").map(i64::cast_unsigned);
        let retries = count("retries").map(|retries| u32::try_from(retries).unwrap_or(u32::MAX));
        let memory = count("memory").map(i64::cast_unsigned);
        // Settings of Python's alone.
        for name in ["python_executable", "task_timeout"] {
            table.remove(name);
        }
        let settings =
            table.try_into().map_err(|error: toml::de::Error| Error::argument(error.message()))?;
        Ok(SlurmDefaults { settings, tasks_per_worker, retries, memory })
    }
}

impl SlurmKey {
    /// The value as the engine takes it; none for an empty text.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn check(&self, value: &Value) -> Result<Option<Value>> {
        let text = || match value {
            Value::String(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            _ => None,
        };
        let lines = || match value {
            Value::String(line) => Some(vec![Value::String(line.clone())]),
            Value::Array(lines) if lines.iter().all(Value::is_str) => Some(lines.clone()),
            _ => None,
        };
        let named = |error: Error| Error {
            message: format!("slurm.{}: {}", self.name, error.message),
            ..error
        };
        let checked = match self.holds {
            Holds::Text | Holds::Time | Holds::Memory => {
                let text = text();
                match (self.holds, text.as_deref()) {
                    (_, Some("")) => return Ok(None),
                    (Holds::Time, Some(text)) => parse_time(text).map(drop).map_err(named)?,
                    (Holds::Memory, Some(text)) => parse_memory(text).map(drop).map_err(named)?,
                    _ => {}
                }
                text.map(Value::String)
            }
            Holds::Bytes => {
                let bytes = text().map(|text| parse_bytes(&text)).transpose().map_err(named)?;
                bytes.map(|bytes| Value::Integer(bytes.cast_signed()))
            }
            Holds::Count(least) => value.as_integer().filter(|n| *n >= least).map(Value::Integer),
            Holds::Seconds => value
                .as_float()
                .or(value.as_integer().map(|number| number as f64))
                .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
                .map(Value::Float),
            Holds::Lines => lines().map(Value::Array),
        };
        checked.map(Some).ok_or_else(|| {
            let wanted = match self.holds {
                Holds::Text => "a text".to_owned(),
                Holds::Time => "a time limit, such as \"1:30:00\"".to_owned(),
                Holds::Memory | Holds::Bytes => "an amount of memory, such as \"8G\"".to_owned(),
                Holds::Count(least) => format!("a whole number of at least {least}"),
                Holds::Seconds => "a number of seconds".to_owned(),
                Holds::Lines => "a list of texts".to_owned(),
            };
            Error::argument(format!("slurm.{}: {value} is not {wanted}", self.name))
                .fix(format!("Give {wanted}."))
        })
    }

    /// A value as it is typed.
    pub fn typed_text(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(lines) => {
                lines.iter().map(SlurmKey::typed_text).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        }
    }

    /// The value that is meant by what is typed, such as behind `key=`.
    pub fn of_text(&self, text: &str) -> Value {
        let text_as_it_is = || Value::String(text.to_owned());
        match self.holds {
            Holds::Count(_) => text.parse().map_or_else(|_| text_as_it_is(), Value::Integer),
            Holds::Seconds => text.parse().map_or_else(|_| text_as_it_is(), Value::Float),
            Holds::Lines => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                Value::Array(lines.map(|line| Value::String(line.to_owned())).collect())
            }
            _ => text_as_it_is(),
        }
    }
}

/// Sets keys in the table as they are typed: `partition=cpu`. An empty value removes a key.
///
/// # Errors
/// As [`write`].
pub fn assign(assignments: &[(&str, &str)]) -> Result<PathBuf> {
    let typed = assignments.iter().map(|(name, text)| {
        let value = (!text.is_empty()).then(|| known(name).map(|key| key.of_text(text)));
        Ok(((*name).to_owned(), value.transpose()?))
    });
    write(None, false, &typed.collect::<Result<Vec<_>>>()?)
}

/// Sets keys in the table, or removes those without a value, and keeps the file's other content and
/// comments. The first time, what bioimage-py's file says is taken over. Returns the file.
///
/// # Errors
/// `invalid-argument` for an unknown key, a value that is not allowed, or a file that is not TOML,
/// before anything is written; `write-failed` and the like.
pub fn write(
    given: Option<&Path>,
    replace: bool,
    values: &[(String, Option<Value>)],
) -> Result<PathBuf> {
    for (name, value) in values {
        let key = known(name)?;
        value.as_ref().map_or(Ok(None), |value| key.check(value))?;
    }
    let path = file(given);
    let mut document: toml_edit::DocumentMut = text_of(&path)?
        .parse()
        .map_err(|error: toml_edit::TomlError| wrong_file(&path, error.message()))?;
    let mut taken_over = toml::Table::new();
    if replace {
        document.remove("slurm");
    } else if !document.contains_key("slurm")
        && let Some(Value::Table(table)) = found(path.clone(), given.is_none())?.value
    {
        taken_over = table;
    }
    let table = document
        .entry("slurm")
        .or_insert_with(toml_edit::table)
        .as_table_like_mut()
        .ok_or_else(|| wrong_file(&path, "'slurm' is not a table"))?;
    let taken_over = taken_over.into_iter().map(|(name, value)| (name, Some(value)));
    for (name, value) in taken_over.chain(values.iter().cloned()) {
        match value {
            None => drop(table.remove(&name)),
            Some(value) => {
                let value: toml_edit::Value = value
                    .to_string()
                    .parse()
                    .map_err(|error| Error::internal(format!("slurm.{name}: {error}")))?;
                table.insert(&name, toml_edit::value(value));
            }
        }
    }
    save(&path, &document.to_string())?;
    Ok(path)
}

/// What holds for a key that is not set, as it is typed; none where the cluster or the rest of the
/// config decides.
pub fn default_of(name: &str) -> Option<String> {
    if name == "tasks_per_worker" {
        return Some(TASKS_PER_WORKER.to_string());
    }
    let defaults = toml::Table::try_from(SlurmSettings::default()).unwrap_or_default();
    defaults.get(name).map(SlurmKey::typed_text)
}

/// The key of this name.
///
/// # Errors
/// `invalid-argument` with the nearest key, or all of them.
pub fn known(name: &str) -> Result<SlurmKey> {
    let names = SLURM_KEYS.map(|key| key.name);
    SLURM_KEYS
        .into_iter()
        .find(|key| key.name == name)
        .ok_or_else(|| unknown(&format!("slurm.{name}"), name, &names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<toml::Table> {
        let table: toml::Table = toml::from_str(text).unwrap();
        let value = table.get("slurm").map(plain);
        Stored { file: "config.toml".into(), value }.checked()
    }

    #[test]
    fn every_setting_has_its_key() {
        let all = SlurmSettings {
            partition: Some("cpu".into()),
            time: Some("1:00:00".into()),
            mem: Some("1G".into()),
            account: Some("lab".into()),
            qos: Some("high".into()),
            constraint: Some("ib".into()),
            shebang: Some("#!/bin/sh".into()),
            options: vec!["--exclusive".into()],
            max_array_size: Some(10),
            tmp_root: Some("/shared".into()),
            ..SlurmSettings::default()
        };
        let table = toml::Table::try_from(&all).unwrap();
        for name in table.keys() {
            assert!(known(name).is_ok(), "{name}");
        }
        let stored = Stored { file: "config.toml".into(), value: Some(Value::Table(table)) };
        assert_eq!(stored.checked().unwrap().try_into::<SlurmSettings>().unwrap(), all);
    }

    #[test]
    fn numbers_and_times_may_stand_where_texts_are_meant() {
        let table = checked("slurm = {time = 01:30:00, mem = 800, account = ''}").unwrap();
        assert_eq!(table["time"].as_str(), Some("01:30:00"));
        assert_eq!(table["mem"].as_str(), Some("800"));
        assert!(!table.contains_key("account"));
        let table = checked("slurm = {poll_interval = 2, options = '--exclusive'}").unwrap();
        assert_eq!(table["poll_interval"].as_float(), Some(2.0));
        assert_eq!(table["options"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_wrong_value_names_the_file_and_the_key() {
        for (text, key) in [
            ("time = 'soon'", "slurm.time"),
            ("mem = 'much'", "slurm.mem"),
            ("gpus = -1", "slurm.gpus"),
            ("cpus_per_task = '4'", "slurm.cpus_per_task"),
            ("latency_wait = -2", "slurm.latency_wait"),
            ("options = [1]", "slurm.options"),
            ("partition = true", "slurm.partition"),
        ] {
            let error = checked(&format!("[slurm]\n{text}")).unwrap_err();
            assert!(error.message.contains("config.toml"), "{}", error.message);
            assert!(error.message.contains(key), "{}", error.message);
            assert!(error.fix.is_some(), "{text}");
        }
        let error = checked("[slurm]\npartion = 'cpu'").unwrap_err();
        assert_eq!(error.fix.as_deref(), Some("Did you mean 'partition'?"));
        assert!(checked("slurm = 3").unwrap_err().message.contains("integer"));
    }
}
