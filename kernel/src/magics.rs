//! `%bp`: hands a line to the engine's command language and shows what comes back.

use crate::comms::panel::{self, Shown};
use crate::completion::{Candidates, Match};
use crate::execute::Output;
use crate::rust::{Bundle, Failure};
use bioimage_engine::Error;
use bioimage_engine::command::{self, Command, Host, Reply, RunView, Value};
use bioimage_engine::run::cancel::CancelToken;
use jupyter_protocol::Stdio;
use serde_json::json;

/// Runs a line to its end.
///
/// # Errors
/// As the command says, with its fix.
pub fn run(line: &str, output: &mut Output<'_>) -> Result<Bundle, Failure> {
    let command = Command::parse(line).map_err(|error| failure(&error))?;
    let quiet = command.is_quiet();
    let mut cell = Cell { output, shown: Vec::new() };
    let result = command.run(&mut cell);
    if let Ok(Reply::Run(run)) = &result
        && cell.shown.is_empty()
        && !quiet
    {
        // A detached run: shown as well, and followed beyond the end of the cell.
        cell.run_started(run);
    }
    // The picture is complete before the cell ends.
    for shown in &cell.shown {
        shown.settle();
    }
    match result.map_err(|error| failure(&error))? {
        Reply::Nothing | Reply::Run(_) => Ok(Bundle::new()),
        Reply::Panel(shown) => {
            output.flush();
            let kernel = output.kernel();
            panel::show(&kernel.comms, &kernel.iopub, output.message(), shown)
                .map_err(|error| failure(&error))?;
            Ok(Bundle::new())
        }
        Reply::Text(text) => {
            output.print(Stdio::Stdout, &ended(text));
            Ok(Bundle::new())
        }
        Reply::Value(Value { text, html, .. }) => {
            let mut bundle = Bundle::from_iter([("text/plain".to_owned(), json!(text))]);
            bundle.extend(html.map(|html| ("text/html".to_owned(), json!(html))));
            Ok(bundle)
        }
    }
}

/// Completes a line at the byte `cursor`.
pub fn complete(line: &str, cursor: usize) -> Candidates {
    let found = command::complete(line, cursor);
    let matches = found.matches.into_iter().map(|found| Match {
        text: found.text,
        kind: found.kind.to_owned(),
        help: found.help,
    });
    Candidates { start: found.start, end: found.end, matches: matches.collect() }
}

/// Help on what stands at the byte `cursor` of a line.
pub fn help_at(line: &str, cursor: usize) -> Option<String> {
    command::help_at(line, cursor)
}

fn failure(error: &Error) -> Failure {
    let kind = error.kind.as_str();
    Failure::detailed(kind, error.message.clone(), &format!("{kind}: {}", error.report()))
}

fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The cell that a command runs in.
struct Cell<'a, 'b> {
    output: &'a mut Output<'b>,
    shown: Vec<Shown>,
}

impl Host for Cell<'_, '_> {
    fn text(&mut self, text: &str) {
        self.output.print(Stdio::Stdout, &ended(text.to_owned()));
    }

    fn run_started(&mut self, run: &RunView) {
        self.output.flush();
        let kernel = self.output.kernel();
        let message = self.output.message();
        match panel::show_run(&kernel.comms, &kernel.iopub, message, run.clone()) {
            Ok(shown) => self.shown.push(shown),
            // The run goes on without a picture.
            Err(error) => self.output.print(Stdio::Stderr, &ended(error.report())),
        }
    }

    fn cancel(&self) -> CancelToken {
        self.output.cancel()
    }

    fn shows_panels(&self) -> bool {
        true
    }
}
