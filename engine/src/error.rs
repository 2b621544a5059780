//! The one error type of the engine: a stable kind, what happened and where, and the fix.

use std::fmt;
use std::path::Path;

/// What a caller would react to. The names are stable and only ever added to, since user code and
/// run folders hold them; [`Kind::as_str`] gives the name that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An argument or option has a value that is not allowed.
    InvalidArgument,
    /// Two arrays that must agree in shape do not.
    ShapeMismatch,
    /// An array has a data type that the operation or output does not take.
    DtypeMismatch,
    /// Two tasks would write one chunk or shard.
    UnsafeBlockShape,
    /// The projected memory is over the budget.
    MemoryBudget,
    /// A path, or an array in a container, does not exist.
    NotFound,
    /// A container holds several arrays and none was named.
    AmbiguousArray,
    /// The output exists with another shape, dtype or grid.
    AlreadyExists,
    /// The operating system refused access.
    PermissionDenied,
    /// The file is of no format that is read here.
    UnsupportedFormat,
    /// The file uses a compression or codec that is not read here.
    UnsupportedCodec,
    /// The bytes do not decode.
    CorruptData,
    /// Reading failed in the operating system.
    ReadFailed,
    /// Writing failed in the operating system.
    WriteFailed,
    /// No space, or no quota, is left where the output or the run folder lies.
    DiskFull,
    /// A value does not fit the output's data type in a checked cast.
    ValueOutOfRange,
    /// Another live run writes the same output.
    OutputLocked,
    /// No run has that name.
    RunNotFound,
    /// Several runs match that name.
    RunAmbiguous,
    /// The run folder was written by a newer version.
    RunFormatNewer,
    /// The run's request, input or engine changed since it was started.
    RunChanged,
    /// The run is being worked on by a live process.
    RunActive,
    /// The run folder is damaged.
    RunDamaged,
    /// Some blocks failed.
    BlocksFailed,
    /// A worker process ended without finishing its task.
    WorkerLost,
    /// A block took longer than allowed.
    TimedOut,
    /// Memory ran out while a block was worked on.
    OutOfMemory,
    /// A task ran over the time limit that a scheduler gave it.
    TimeLimit,
    /// A task was lost with the node that it ran on.
    NodeFailed,
    /// A task had to give way to a job that was more important.
    Preempted,
    /// A scheduler refused, or cannot be reached.
    SchedulerFailed,
    /// The run was cancelled or interrupted.
    Cancelled,
    /// A function or array that belongs to the host language raised.
    Foreign,
    /// A defect of this program.
    Internal,
}

/// What a failure is worth trying again for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryClass {
    /// May pass by itself: tried again with back-off.
    Transient,
    /// Needs more memory or time: tried once more with the double where the backend can.
    Resource,
    /// Would fail the same way again: never tried again by itself.
    Deterministic,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Kind; 34] = [
        Kind::InvalidArgument,
        Kind::ShapeMismatch,
        Kind::DtypeMismatch,
        Kind::UnsafeBlockShape,
        Kind::MemoryBudget,
        Kind::NotFound,
        Kind::AmbiguousArray,
        Kind::AlreadyExists,
        Kind::PermissionDenied,
        Kind::UnsupportedFormat,
        Kind::UnsupportedCodec,
        Kind::CorruptData,
        Kind::ReadFailed,
        Kind::WriteFailed,
        Kind::DiskFull,
        Kind::ValueOutOfRange,
        Kind::OutputLocked,
        Kind::RunNotFound,
        Kind::RunAmbiguous,
        Kind::RunFormatNewer,
        Kind::RunChanged,
        Kind::RunActive,
        Kind::RunDamaged,
        Kind::BlocksFailed,
        Kind::WorkerLost,
        Kind::TimedOut,
        Kind::OutOfMemory,
        Kind::TimeLimit,
        Kind::NodeFailed,
        Kind::Preempted,
        Kind::SchedulerFailed,
        Kind::Cancelled,
        Kind::Foreign,
        Kind::Internal,
    ];

    /// The stable name, in kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::InvalidArgument => "invalid-argument",
            Kind::ShapeMismatch => "shape-mismatch",
            Kind::DtypeMismatch => "dtype-mismatch",
            Kind::UnsafeBlockShape => "unsafe-block-shape",
            Kind::MemoryBudget => "memory-budget",
            Kind::NotFound => "not-found",
            Kind::AmbiguousArray => "ambiguous-array",
            Kind::AlreadyExists => "already-exists",
            Kind::PermissionDenied => "permission-denied",
            Kind::UnsupportedFormat => "unsupported-format",
            Kind::UnsupportedCodec => "unsupported-codec",
            Kind::CorruptData => "corrupt-data",
            Kind::ReadFailed => "read-failed",
            Kind::WriteFailed => "write-failed",
            Kind::DiskFull => "disk-full",
            Kind::ValueOutOfRange => "value-out-of-range",
            Kind::OutputLocked => "output-locked",
            Kind::RunNotFound => "run-not-found",
            Kind::RunAmbiguous => "run-ambiguous",
            Kind::RunFormatNewer => "run-format-newer",
            Kind::RunChanged => "run-changed",
            Kind::RunActive => "run-active",
            Kind::RunDamaged => "run-damaged",
            Kind::BlocksFailed => "blocks-failed",
            Kind::WorkerLost => "worker-lost",
            Kind::TimedOut => "timed-out",
            Kind::OutOfMemory => "out-of-memory",
            Kind::TimeLimit => "time-limit",
            Kind::NodeFailed => "node-failed",
            Kind::Preempted => "preempted",
            Kind::SchedulerFailed => "scheduler-failed",
            Kind::Cancelled => "cancelled",
            Kind::Foreign => "foreign",
            Kind::Internal => "internal",
        }
    }

    /// Whether, and how, a failure of this kind is worth another attempt.
    pub fn retry_class(self) -> RetryClass {
        match self {
            Kind::ReadFailed
            | Kind::WriteFailed
            | Kind::WorkerLost
            | Kind::TimedOut
            | Kind::NodeFailed
            | Kind::Preempted => RetryClass::Transient,
            Kind::OutOfMemory | Kind::TimeLimit => RetryClass::Resource,
            _ => RetryClass::Deterministic,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure: its kind, what happened and where, and what the user can do about it.
///
/// `Display` gives the message alone; the fix is the second line of [`Error::report`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{message}")]
pub struct Error {
    /// The stable kind.
    pub kind: Kind,
    /// What happened, naming the file, block or argument and the allowed values.
    pub message: String,
    /// What to do, as one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// The host language's traceback, where one exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
    /// The argument that it is about, where there is exactly one: a parameter, an option of the
    /// command line with underscores, a key of the config, or an array, as `input` or `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<Box<str>>,
    /// The value of that argument, as it is typed, with which the request is not refused for the
    /// same reason, where the fix speaks of exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Box<str>>,
}

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            fix: None,
            traceback: None,
            argument: None,
            change: None,
        }
    }

    /// Adds the sentence that says what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Names the argument that it is about, or the option of the command line, unless whoever made
    /// the error did.
    #[must_use]
    pub fn about(mut self, argument: &str) -> Self {
        let name = || argument.trim_start_matches('-').replace('-', "_").into();
        self.argument.get_or_insert_with(name);
        self
    }

    /// Adds the value of that argument that the fix speaks of.
    #[must_use]
    pub fn change(mut self, value: &str) -> Self {
        self.change = Some(value.into());
        self
    }

    /// An argument whose value is not allowed.
    pub fn argument(message: impl Into<String>) -> Self {
        Error::new(Kind::InvalidArgument, message)
    }

    /// A defect of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, message)
            .fix("This is a defect: please report it with the run folder.")
    }

    /// The operating system's error while reading `path`.
    pub fn read(path: &Path, error: &std::io::Error) -> Self {
        Error::from_io(Kind::ReadFailed, "read", path, error)
    }

    /// The operating system's error while writing `path`.
    pub fn write(path: &Path, error: &std::io::Error) -> Self {
        Error::from_io(Kind::WriteFailed, "write", path, error)
    }

    fn from_io(otherwise: Kind, verb: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let (kind, fix) = match error.kind() {
            Io::NotFound => (Kind::NotFound, "Check the path."),
            Io::PermissionDenied | Io::ReadOnlyFilesystem => {
                (Kind::PermissionDenied, "Check the owner and mode of the path and its folder.")
            }
            Io::StorageFull | Io::QuotaExceeded => {
                (Kind::DiskFull, "Free some space, then resume the run.")
            }
            Io::NotADirectory | Io::AlreadyExists | Io::InvalidFilename => {
                (otherwise, "Give another path: a part of this one is a file, or too long.")
            }
            Io::OutOfMemory => (Kind::OutOfMemory, "Use a smaller block shape or fewer workers."),
            _ => (otherwise, "If the storage is back, resume the run."),
        };
        Error::new(kind, format!("cannot {verb} '{}': {error}", path.display())).fix(fix)
    }

    /// The message and, on a second line, the fix.
    pub fn report(&self) -> String {
        match &self.fix {
            Some(fix) => format!("{}\n{fix}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The name that the user probably meant, if one is near.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_name_of_every_kind_is_the_serialised_one() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_failed_write() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::write(Path::new("a"), &full).kind, Kind::DiskFull);
        let broken = std::io::Error::from_raw_os_error(5);
        assert_eq!(Error::write(Path::new("a"), &broken).kind, Kind::WriteFailed);
    }
}
