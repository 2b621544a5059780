//! What the process that runs Rust cells tells the kernel, one JSON line each.

use serde::{Deserialize, Serialize};

/// Starts the lines of this protocol: a control character that text hardly ever holds.
pub const MARK: char = '\u{1e}';

/// Stands for a colon in the prompt of an input request, which evcxr would cut there.
pub const COLON: char = '\u{1f}';

/// Something that happened in a running cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Text printed to standard output.
    Stdout(String),
    /// Text printed to the error output.
    Stderr(String),
    /// Something to show, `image/png` in base64.
    Display { mime_type: String, data: String },
    /// Removes what the cell has shown; with `true` once there is something new.
    ClearOutput(bool),
    /// The cell panicked, with this message.
    Panicked(String),
    /// An error left the cell through `?`; its text was printed.
    Failed,
}

impl Event {
    /// The event as a line.
    pub fn line(&self) -> String {
        // Strings and booleans always have a JSON form.
        format!("{MARK}{}\n", serde_json::to_string(self).unwrap_or_default())
    }

    /// The event of a line; a line of any other kind is printed text.
    pub fn of_line(line: &str) -> Event {
        let json = line.strip_prefix(MARK).and_then(|json| serde_json::from_str(json).ok());
        json.unwrap_or_else(|| Event::Stdout(format!("{line}\n")))
    }
}
