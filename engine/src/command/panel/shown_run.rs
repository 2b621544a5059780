//! A run that is shown in another panel.

use super::super::Value;
use super::super::measure::tell;
use super::cluster::behind;
use super::{News, Panel, State, refusal};
use crate::error::Result;
use crate::run::RunState;
use crate::run::live::{LiveView, RunView};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError};

/// The run that a panel shows below itself, if any.
#[derive(Default)]
pub struct ShownRun(Option<Showing>);

struct Showing {
    live: LiveView,
    measured: Option<Measured>,
}

/// What a run measures, once it is done.
pub struct Measured {
    table: Option<PathBuf>,
    told: Option<Receiver<Option<Result<Value>>>>,
}

impl Measured {
    /// Waits for the end of a measurement, and writes its table, whatever is shown then.
    pub fn of(run: &RunView, table: Option<PathBuf>) -> Measured {
        let (run, path) = (run.clone(), table.clone());
        let told = behind(move || match run.run() {
            Some(led) => {
                let succeeded = led.wait().state == RunState::Succeeded;
                succeeded.then(|| tell(&run.folder, path.as_deref()))
            }
            // Another process leads it, and writes the table.
            None => None,
        });
        Measured { table, told: Some(told) }
    }
}

impl ShownRun {
    /// Shows a run from now on.
    ///
    /// # Errors
    /// As [`LiveView::open`].
    pub fn show(
        &mut self,
        run: RunView,
        measured: Option<Measured>,
        program: Option<PathBuf>,
    ) -> Result<()> {
        self.0 = Some(Showing { live: LiveView::open(run, program)?, measured });
        Ok(())
    }

    /// Shows no run any more.
    pub fn hide(&mut self) -> State {
        self.0 = None;
        State::from_iter([
            ("run".to_owned(), json!({})),
            ("status".to_owned(), json!({})),
            ("result".to_owned(), Json::Null),
        ])
    }

    /// The run.
    pub fn run(&self) -> Option<RunView> {
        self.0.as_ref().map(|showing| showing.live.view().clone())
    }

    /// What is new of it. A run that cannot be read any more, for its folder is gone, is not shown any
    /// more: the panel that shows it goes on.
    pub fn poll(&mut self) -> News {
        let Some(showing) = &mut self.0 else {
            return News { finished: true, ..News::default() };
        };
        let mut news = match showing.live.poll() {
            Ok(tick) => News::from(tick),
            Err(error) => {
                let news = News::of(refusal(&error));
                // What cannot be read now may be read later, unless it is gone.
                return match showing.live.view().folder.path().exists() {
                    true => news,
                    false => News { state: self.hide(), ..news },
                };
            }
        };
        // Of a run that goes on there is no result yet.
        if news.state.contains_key("run") {
            news = news.with("result", Json::Null);
        }
        if news.finished
            && let Some(measured) = &mut showing.measured
            && let Some(told) = &measured.told
        {
            match told.try_recv() {
                Ok(Some(Ok(value))) => {
                    news = news.with("result", json!({ "html": value.html, "text": value.text }));
                }
                Ok(Some(Err(error))) => news.messages.extend(News::of(refusal(&error)).messages),
                Ok(None) | Err(TryRecvError::Disconnected) => {
                    let folder = &showing.live.view().folder;
                    // Of a process of its own, or there is none.
                    if let Ok(value) = tell(folder, None) {
                        let value = json!({ "html": value.html, "text": value.text });
                        news = news.with("result", value);
                    }
                }
                Err(TryRecvError::Empty) => return news.going_on(),
            }
            measured.told = None;
        }
        news
    }

    /// Answers a message of the widget that is about the run; none where there is no run.
    pub fn receive(&mut self, request: &Json) -> Option<News> {
        let showing = self.0.as_mut()?;
        // Nothing that is asked about a run needs the place where it was typed.
        let news = Panel::receive(&mut showing.live, request, &super::super::Silent::default());
        let goes_on = matches!(request["type"].as_str(), Some("retry" | "resume"));
        if goes_on && let Some(measured) = showing.measured.take() {
            // The table is that of the run which goes on.
            showing.measured = Some(Measured::of(showing.live.view(), measured.table));
        }
        Some(news)
    }

    /// The run in a few words.
    pub fn text(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |showing| format!("\n{}", showing.live.text()))
    }

    /// The run as a picture.
    pub fn html(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |showing| showing.live.html())
    }
}
