//! The user's defaults: a TOML file, read for every command and written by `bp config key=value`.

pub mod slurm;

use crate::error::{Error, Kind, Result, nearest};
use crate::run::{Backend, registry};
use serde::Deserialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Defaults that a user has set; what is not set is decided by the program.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Config {
    /// Folder that run folders are made in.
    pub run_root: Option<PathBuf>,
    /// How many work at the same time.
    pub workers: Option<u64>,
    /// Memory that a run may use.
    #[serde(default, deserialize_with = "bytes")]
    pub memory: Option<u64>,
    /// Where blocks are worked on.
    pub backend: Option<Backend>,
    /// How often a transient failure is tried again.
    pub retries: Option<u32>,
}

/// A key that the file may have.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// The keys that the file may have.
pub const KEYS: [Key; 5] = [
    Key { name: "run_root", help: "folder that run folders are made in" },
    Key { name: "workers", help: "how many blocks are worked on at the same time" },
    Key { name: "memory", help: "memory that a run may use, such as 8G" },
    Key { name: "backend", help: "where blocks are worked on: local, subprocess or slurm" },
    Key { name: "retries", help: "how often a failure that may pass is tried again" },
];

impl Config {
    /// Where the file is, whether or not it exists.
    pub fn path() -> PathBuf {
        variable("BIOIMAGE_RS_CONFIG")
            .map_or_else(|| config_home().join("bioimage-rs/config.toml"), |path| at_home(&path))
    }

    /// Reads the file; without one nothing is set. Its `[slurm]` table is read where Slurm is used:
    /// [`slurm::SlurmDefaults::load`].
    ///
    /// # Errors
    /// `invalid-argument` for an unknown key or a value of the wrong kind, naming the file.
    pub fn load() -> Result<Config> {
        let path = Config::path();
        Config::parse(&text_of(&path)?, &path)
    }

    fn parse(text: &str, path: &Path) -> Result<Config> {
        let wrong = |what: &str| wrong_file(path, what);
        let table: toml::Table = toml::from_str(text).map_err(|error| wrong(error.message()))?;
        let mut keys = table.keys().filter(|key| *key != "slurm");
        keys.try_for_each(|key| known(key).map(drop)).map_err(|error| Error {
            message: format!("config '{}': {}", path.display(), error.message),
            ..error
        })?;
        toml::from_str::<Config>(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            wrong(&format!("line {line}: {}", error.message()))
        })
    }

    /// Sets keys in the file, which keeps its other content and comments. An empty value removes a
    /// key.
    ///
    /// # Errors
    /// As [`Config::load`], before anything is written; `write-failed` and the like.
    pub fn set(assignments: &[(&str, &str)]) -> Result<()> {
        let path = Config::path();
        let mut document: toml_edit::DocumentMut = text_of(&path)?
            .parse()
            .map_err(|error: toml_edit::TomlError| wrong_file(&path, error.message()))?;
        for (key, value) in assignments {
            known(key)?;
            if value.is_empty() {
                document.remove(key);
            } else {
                document[key] = match value.parse::<i64>() {
                    Ok(number) => toml_edit::value(number),
                    Err(_) => toml_edit::value(*value),
                };
            }
        }
        let text = document.to_string();
        Config::parse(&text, &path)?;
        save(&path, &text)
    }

    /// Folder that run folders are made in.
    pub fn run_root(&self) -> PathBuf {
        self.run_root.clone().unwrap_or_else(registry::default_root)
    }
}

/// The key of this name.
///
/// # Errors
/// `invalid-argument` with the nearest key, or all of them.
pub fn known(name: &str) -> Result<Key> {
    let names = KEYS.map(|key| key.name);
    KEYS.into_iter().find(|key| key.name == name).ok_or_else(|| unknown(name, name, &names))
}

/// There is no key of this name; the nearest is meant, or one of all.
fn unknown(shown: &str, name: &str, names: &[&str]) -> Error {
    let fix = match nearest(name, names.iter().copied()) {
        Some(near) => format!("Did you mean '{near}'?"),
        None => format!("The keys are {}.", names.join(", ")),
    };
    Error::argument(format!("there is no key '{shown}'")).fix(fix)
}

fn wrong_file(path: &Path, what: &str) -> Error {
    Error::argument(format!("config '{}': {what}", path.display()))
        .fix("Correct the file, or set the key with bp config key=value.")
}

/// A path from the environment, where it is set and not empty.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn home() -> PathBuf {
    variable("HOME").unwrap_or_else(|| PathBuf::from("."))
}

fn config_home() -> PathBuf {
    variable("XDG_CONFIG_HOME").unwrap_or_else(|| home().join(".config"))
}

/// A path in which `~` is the home directory.
fn at_home(path: &Path) -> PathBuf {
    path.strip_prefix("~").map_or_else(|_| path.to_owned(), |rest| home().join(rest))
}

/// Writes a file whole, or not at all.
fn save(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let failed = |error: &std::io::Error| Error::write(path, error);
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Reads a number of bytes: `800000000`, `800M`, `8G`, `8GB`, `8GiB`. `G` alone is the binary unit, as
/// for schedulers.
///
/// # Errors
/// `invalid-argument` for anything else.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        "t" | "tib" => Some(1 << 40),
        "kb" => Some(1000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        _ => None,
    };
    let number: Option<f64> = number.parse().ok().filter(|number| *number > 0.0);
    number.zip(factor).map(|(number, factor)| (number * factor as f64) as u64).ok_or_else(|| {
        Error::argument(format!("'{text}' is not an amount of memory"))
            .fix("Write it as 8G or 800M.")
    })
}

fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Amount {
        Bytes(u64),
        Text(String),
    }
    match Amount::deserialize(deserializer)? {
        Amount::Bytes(bytes) => Ok(Some(bytes)),
        Amount::Text(text) => parse_bytes(&text).map(Some).map_err(serde::de::Error::custom),
    }
}

fn text_of(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::new(Kind::InvalidArgument, format!("config '{}': {error}", path.display()))
                .fix("The file must be TOML text."))
        }
        Err(error) => Err(Error::read(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, Path::new("config.toml"))
    }

    #[test]
    fn memory_is_a_number_or_a_text() {
        assert_eq!(parse("memory = '2G'").unwrap().memory, Some(2 << 30));
        assert_eq!(parse("memory = 1000").unwrap().memory, Some(1000));
        assert_eq!(parse_bytes("1.5GB").unwrap(), 1_500_000_000);
        for bad in ["", "G", "-1G", "0", "8 apples"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_misspelt_key_names_the_nearest_and_the_file() {
        let error = parse("# mine\nworker = 4").unwrap_err();
        assert!(error.message.contains("config.toml") && error.message.contains("'worker'"));
        assert_eq!(error.fix.as_deref(), Some("Did you mean 'workers'?"));
    }

    #[test]
    fn a_wrong_value_names_its_line() {
        let error = parse("retries = 2\nworkers = 'many'").unwrap_err();
        assert!(error.message.contains("line 2"), "{}", error.message);
        assert_eq!(parse("backend = 'subprocess'").unwrap().backend, Some(Backend::Subprocess));
    }
}
