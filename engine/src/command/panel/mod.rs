//! Panels: what a notebook shows and keeps current. The live view of a run, the form of an operation,
//! the table of runs and the form of Slurm's defaults are panels; a front end carries what they say to
//! a widget and back, and knows nothing of any of them. The messages are described in
//! `docs/design/live-view.md` and `docs/design/forms.md`.

mod cluster;
mod fields;
mod operation_form;
mod runs_table;
mod shown_run;
mod slurm_form;
mod typed;

pub use operation_form::OperationForm;
pub use runs_table::RunsTable;
pub use slurm_form::SlurmForm;

use super::Host;
use crate::error::{Error, Result};
use crate::run::live::{LiveView, Message, RunView, Tick};
use serde_json::{Map, Value as Json, json};

/// The state of a widget's model, or a part of it.
pub type State = Map<String, Json>;

/// What a panel has to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// What changed in the model.
    pub state: State,
    /// Messages to send after that.
    pub messages: Vec<Message>,
    /// Whether nothing more is to be expected until the widget asks for something.
    pub finished: bool,
}

impl News {
    /// The answer to a request: it repeats the request's number, and an error is an answer, too.
    fn answer(request: &Json, answer: Result<News>) -> News {
        let mut news = answer.unwrap_or_else(|error| News::of(refusal(&error)));
        for message in &mut news.messages {
            message.content["request"] = request.get("request").cloned().unwrap_or(Json::Null);
        }
        news
    }

    /// One message, after which nothing is to be expected.
    fn of(content: Json) -> News {
        let messages = vec![Message { content, buffers: Vec::new() }];
        News { messages, finished: true, ..News::default() }
    }

    fn with(mut self, key: &str, value: impl Into<Json>) -> News {
        self.state.insert(key.to_owned(), value.into());
        self
    }

    /// The same, where something is to be expected soon.
    fn going_on(self) -> News {
        News { finished: false, ..self }
    }
}

impl From<Tick> for News {
    fn from(tick: Tick) -> News {
        let states = [("run", tick.run), ("status", tick.status)];
        let state = states.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        News { state: state.collect(), messages: tick.messages, finished: tick.finished }
    }
}

/// An error as a widget shows it.
pub fn refusal(error: &Error) -> Json {
    json!({
        "type": "error", "kind": error.kind, "message": error.message, "fix": error.fix,
    })
}

/// What a widget asked for that its panel does not know.
fn unknown(request: &Json) -> Error {
    Error::argument(format!("a widget asked for {}", request["type"]))
        .fix("Use the widget and the engine of one version.")
}

/// Something that a notebook shows and keeps current.
pub trait Panel: Send {
    /// Which widget draws it.
    fn view(&self) -> &'static str;

    /// What changed since the last look; at first everything.
    ///
    /// # Errors
    /// `read-failed` and the like; a later look may succeed.
    fn poll(&mut self) -> Result<News>;

    /// Answers a message of the widget.
    fn receive(&mut self, request: &Json, host: &dyn Host) -> News;

    /// The run that it shows.
    fn run(&self) -> Option<RunView>;

    /// Whether it ends: a form and a table stay, a run's view is complete at some time.
    fn ends(&self) -> bool {
        false
    }

    /// What it shows, for front ends without pictures.
    fn text(&self) -> String;

    /// What it shows, for front ends without widgets and for saved notebooks.
    fn html(&self) -> String;
}

impl Panel for LiveView {
    fn view(&self) -> &'static str {
        "run-progress"
    }

    fn poll(&mut self) -> Result<News> {
        LiveView::poll(self).map(News::from)
    }

    fn receive(&mut self, request: &Json, _host: &dyn Host) -> News {
        let messages = LiveView::receive(self, request);
        // Only these set a run going. Others must not be taken for it: the end of a run is displayed
        // anew, and each new display asks for the cells.
        let acts = matches!(request["type"].as_str(), Some("cancel" | "retry" | "resume"));
        News { messages, finished: !acts, ..News::default() }
    }

    fn run(&self) -> Option<RunView> {
        Some(LiveView::view(self).clone())
    }

    fn ends(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        LiveView::text(self)
    }

    fn html(&self) -> String {
        LiveView::html(self)
    }
}

/// What `bp ui` takes.
#[derive(Debug, clap::Args)]
pub struct UiArgs {
    /// The operation; copy by default
    #[arg(value_name = "OPERATION", value_parser = operations())]
    operation: Option<String>,
    /// The rest of its line, which the form is filled with
    #[arg(value_name = "...", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// The names of the operations that have a form.
fn operations() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(fields::operations().map(|(name, _)| name))
}

/// The form that `bp ui` asks for.
///
/// # Errors
/// `invalid-argument` for a line that is not understood, and where nothing can be shown.
pub fn ui(args: UiArgs, host: &dyn Host) -> Result<Box<dyn Panel>> {
    if !host.shows_panels() {
        let fix = "In a notebook, install anywidget beside the kernel; elsewhere bp help and the \
                   verb explain the same, and --dry-run shows the plan.";
        return Err(Error::argument("bp ui needs a notebook that shows widgets").fix(fix));
    }
    let operation = args.operation.unwrap_or_else(|| "copy".to_owned());
    let words: Vec<String> = std::iter::once(operation).chain(args.rest).collect();
    Ok(Box::new(OperationForm::of_words(&words)?))
}
