//! A run that is shown in another panel.

use super::super::measure::tell;
use super::{News, Panel, State};
use crate::error::Result;
use crate::run::RunState;
use crate::run::live::{LiveView, RunView};
use crate::run::state_of;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// The run that a panel shows below itself, if any.
#[derive(Default)]
pub struct ShownRun(Option<Showing>);

struct Showing {
    live: LiveView,
    /// What the run measures is told when it is done.
    measured: Option<Measured>,
}

/// What becomes of a measurement's table.
pub struct Measured {
    /// The file that it is written to.
    pub table: Option<PathBuf>,
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

    /// What is new of it.
    ///
    /// # Errors
    /// As [`LiveView::poll`]; those of writing a table.
    pub fn poll(&mut self) -> Result<News> {
        let Some(showing) = &mut self.0 else {
            return Ok(News { finished: true, ..News::default() });
        };
        let mut news = News::from(showing.live.poll()?);
        // Of a run that goes on there is no result yet.
        if news.state.contains_key("run") {
            news = news.with("result", Json::Null);
        }
        let folder = &showing.live.view().folder;
        if news.finished
            && state_of(folder)? == RunState::Succeeded
            && let Some(measured) = showing.measured.take()
        {
            let value = tell(folder, measured.table.as_deref())?;
            news = news.with("result", json!({ "html": value.html, "text": value.text }));
        }
        Ok(news)
    }

    /// Answers a message of the widget that is about the run; none where there is no run.
    pub fn receive(&mut self, request: &Json) -> Option<News> {
        let showing = self.0.as_mut()?;
        // Nothing that is asked about a run needs the place where it was typed.
        Some(Panel::receive(&mut showing.live, request, &super::super::Silent::default()))
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
