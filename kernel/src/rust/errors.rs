//! The compiler's errors as a user reads them: the message, the lines of the cell, the help.

use evcxr::CompilationError;
use std::fmt::Write;

/// All errors as one text.
pub fn render(errors: &[CompilationError]) -> String {
    let mut text = String::new();
    for error in errors {
        if !text.is_empty() {
            text.push('\n');
        }
        render_one(error, &mut text);
    }
    text
}

/// The first error in one line.
pub fn headline(errors: &[CompilationError]) -> String {
    match errors.first() {
        Some(error) => error.message(),
        None => "the cell does not compile".to_owned(),
    }
}

fn render_one(error: &CompilationError, text: &mut String) {
    let code = error.code().map(|code| format!("[{code}]")).unwrap_or_default();
    // Writing to a string does not fail.
    let _ = writeln!(text, "error{code}: {}", error.message());
    for spanned in error.spanned_messages() {
        let Some(span) = &spanned.span else {
            if !spanned.label.is_empty() {
                let _ = writeln!(text, "  = {}", spanned.label);
            }
            continue;
        };
        for (index, line) in spanned.lines.iter().enumerate() {
            let number = span.start_line + index;
            let _ = writeln!(text, "{number:>4} | {line}");
            let first = if index == 0 { span.start_column.saturating_sub(1) } else { 0 };
            let end = if number == span.end_line {
                span.end_column.saturating_sub(1)
            } else {
                line.chars().count()
            };
            let mark = if spanned.is_primary { "^" } else { "-" };
            let marks = mark.repeat(end.saturating_sub(first).max(1));
            let label = if number == span.end_line { spanned.label.as_str() } else { "" };
            let _ = writeln!(text, "     | {}{marks} {label}", " ".repeat(first));
        }
    }
    for help in error.help() {
        let _ = writeln!(text, "  = help: {help}");
    }
    if let Some(hint) = error.evcxr_extra_hint() {
        let _ = writeln!(text, "  = note: {hint}");
    }
}
