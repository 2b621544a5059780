//! Completion and inspection, for `bp` lines and for Rust.

use crate::rust::RustCells;
use crate::{cell, magics};
use jupyter_protocol::{
    CompleteReply, CompleteRequest, InspectReply, InspectRequest, Media, MediaType,
};
use serde_json::{Map, json};

/// One candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What is inserted.
    pub text: String,
    /// What it is: `function`, `option`, `path`, ...
    pub kind: String,
    /// A line about it; may be empty.
    pub help: String,
}

/// Candidates that replace the bytes `start..end` of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Where the replaced text starts.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What may stand there.
    pub matches: Vec<Match>,
}

/// Answers a request for completion.
pub fn complete(rust: &RustCells, request: &CompleteRequest) -> CompleteReply {
    let code = &request.code;
    let position = byte_offset(code, request.cursor_pos);
    let found = match cell::bp_line_at(code, position) {
        Some((offset, line)) => {
            let found = magics::complete(line, position - offset);
            Candidates { start: offset + found.start, end: offset + found.end, ..found }
        }
        None => rust.complete(&cell::only_rust(code), position),
    };
    let start = char_offset(code, found.start);
    let end = char_offset(code, found.end);
    let types = found.matches.iter().map(|found| {
        json!({ "start": start, "end": end, "text": found.text, "type": found.kind,
            "signature": found.help })
    });
    let mut metadata = Map::new();
    // The name under which JupyterLab looks for the kinds.
    metadata.insert("_jupyter_types_experimental".to_owned(), types.collect());
    CompleteReply {
        matches: found.matches.into_iter().map(|found| found.text).collect(),
        cursor_start: start,
        cursor_end: end,
        metadata,
        ..CompleteReply::default()
    }
}

/// Answers a request for documentation.
pub fn inspect(rust: &RustCells, request: &InspectRequest) -> InspectReply {
    let code = &request.code;
    let position = byte_offset(code, request.cursor_pos);
    let data = match cell::bp_line_at(code, position) {
        Some((offset, line)) => magics::help_at(line, position - offset)
            .map(|text| Media::new(vec![MediaType::Plain(text)])),
        None => rust.inspect(&cell::only_rust(code), end_of_word(code, position)),
    };
    match data {
        Some(data) => InspectReply { found: true, data, ..InspectReply::default() },
        None => InspectReply::default(),
    }
}

/// The byte at which character number `position` starts: the protocol counts code points.
fn byte_offset(text: &str, position: usize) -> usize {
    text.char_indices().nth(position).map_or(text.len(), |(offset, _)| offset)
}

fn char_offset(text: &str, offset: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < offset).count()
}

fn end_of_word(text: &str, position: usize) -> usize {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    position + text[position..].find(|c| !word(c)).unwrap_or(text.len() - position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_code_points() {
        let text = "é🦀x";
        assert_eq!(byte_offset(text, 2), 6);
        assert_eq!(byte_offset(text, 99), text.len());
        assert_eq!(char_offset(text, 6), 2);
        assert_eq!(char_offset(text, text.len()), 3);
    }

    #[test]
    fn a_cursor_within_a_word_means_the_word() {
        assert_eq!(end_of_word("foo_bar + 1", 2), 7);
        assert_eq!(end_of_word("ab", 2), 2);
    }
}
