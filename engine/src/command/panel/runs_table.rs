//! The table of the runs on record.

use super::super::table::escape;
use super::super::{Host, runs};
use super::shown_run::ShownRun;
use super::{News, Panel, unknown};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::live::RunView;
use crate::run::registry::{self, RunSummary};
use crate::run::{Resume, Run, RunState};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The folders of runs are looked at so often, or less often where that takes long.
const LOOK: Duration = Duration::from_millis(500);
/// A table that nobody has looked at for so long is not kept current; a widget says that it is looked at.
const PATIENCE: Duration = Duration::from_secs(60);
/// So small a share of the time is spent on looking.
const LOOKING: u32 = 20;

/// The table of the runs on record.
pub struct RunsTable {
    root: PathBuf,
    shown: ShownRun,
    rows: Json,
    begun: bool,
    next_look: Instant,
    watched: Instant,
    /// Runs of a cluster that nobody led before somebody acted on them here.
    led: Vec<RunView>,
}

impl RunsTable {
    /// The table of the runs in the root that the config names.
    ///
    /// # Errors
    /// Those of reading the config.
    pub fn new() -> Result<RunsTable> {
        Ok(RunsTable {
            root: Config::load()?.run_root(),
            shown: ShownRun::default(),
            rows: Json::Null,
            begun: false,
            next_look: Instant::now(),
            watched: Instant::now(),
            led: Vec::new(),
        })
    }

    /// The rows, if they changed.
    fn look(&mut self) -> Option<Json> {
        let begun = Instant::now();
        if begun < self.next_look {
            return None;
        }
        let rows: Vec<Json> = registry::list(&self.root).iter().map(row).collect();
        self.next_look = Instant::now() + LOOK.max(begun.elapsed() * LOOKING);
        let rows = Json::from(rows);
        (rows != self.rows).then(|| {
            self.rows.clone_from(&rows);
            rows
        })
    }

    fn answer(&mut self, request: &Json, host: &dyn Host) -> Result<News> {
        let ok = || News::of(json!({ "type": "ok" })).going_on();
        self.watched = Instant::now();
        let named = || request["run"].as_str().unwrap_or_default();
        match request["type"].as_str() {
            Some("watch") => Ok(ok()),
            Some("attach") => {
                let view = self.view(named())?;
                self.shown.show(view, None, host.program())?;
                Ok(ok())
            }
            Some("detach") => {
                let mut news = ok();
                news.state = self.shown.hide();
                Ok(news)
            }
            Some("stop") => {
                let view = self.view(named())?;
                view.cancel()?;
                self.led.push(view);
                self.next_look = Instant::now();
                Ok(ok())
            }
            Some("continue") => {
                let view = self.view(named())?;
                view.resume(&Resume::asked_for(request, host.program())?)?;
                self.shown.show(view, None, host.program())?;
                self.next_look = Instant::now();
                Ok(ok())
            }
            Some("remove") => {
                let names = request["runs"].as_array().into_iter().flatten();
                let names: Vec<&str> = names.filter_map(Json::as_str).collect();
                let shown = self.shown.run();
                runs::remove(&self.root, &names)?;
                self.next_look = Instant::now();
                let mut news = News::of(json!({ "type": "removed", "removed": names }));
                if shown.is_some_and(|run| !run.folder.path().exists()) {
                    news.state = self.shown.hide();
                }
                Ok(news.going_on())
            }
            _ => self.shown.receive(request).ok_or_else(|| unknown(request)),
        }
    }

    /// A run by its name; one of a cluster that nobody leads is led from here.
    fn view(&self, name: &str) -> Result<RunView> {
        if name.is_empty() {
            return Err(Error::argument("no run is named"));
        }
        let folder = registry::find(&self.root, name)?;
        let known = self.led.iter().cloned().chain(self.shown.run());
        let known = known.into_iter().find(|view| view.folder.path() == folder.path());
        if let Some(view) = known {
            return Ok(view);
        }
        Ok(match Run::adopt(&folder)? {
            Some(run) => RunView::of(run),
            None => RunView::attached(folder),
        })
    }
}

fn row(run: &RunSummary) -> Json {
    let ended = run.state.is_final();
    let action = match run.state {
        RunState::Succeeded => None,
        _ if ended => Some("resume"),
        RunState::Cancelling => None,
        _ => Some("cancel"),
    };
    let mut can = vec!["attach"];
    can.extend(action);
    can.extend(ended.then_some("remove"));
    let mut row = serde_json::to_value(run).unwrap_or_default();
    row["ended"] = json!(ended);
    row["can"] = json!(can);
    row
}

/// Seconds since a run was made.
fn age(created: &str) -> Option<i64> {
    let created: jiff::Timestamp = created.parse().ok()?;
    Some(jiff::Timestamp::now().as_second() - created.as_second())
}

impl Panel for RunsTable {
    fn view(&self) -> &'static str {
        "runs-table"
    }

    fn poll(&mut self) -> Result<News> {
        let mut news = self.shown.poll();
        if !std::mem::replace(&mut self.begun, true) {
            news = news.with("run", json!({})).with("status", json!({}));
        }
        if let Some(Json::Array(mut rows)) = self.look() {
            for row in &mut rows {
                row["age_s"] = json!(row["created"].as_str().and_then(age));
            }
            news = news.with("runs", rows);
        }
        news.finished &= self.watched.elapsed() > PATIENCE;
        Ok(news)
    }

    fn receive(&mut self, request: &Json, host: &dyn Host) -> News {
        let answer = self.answer(request, host);
        News::answer(request, answer)
    }

    fn run(&self) -> Option<RunView> {
        self.shown.run()
    }

    fn text(&self) -> String {
        format!("{}{}", runs::list(&registry::list(&self.root)).text, self.shown.text())
    }

    fn html(&self) -> String {
        let list = runs::list(&registry::list(&self.root));
        let table = list.html.unwrap_or_else(|| escape(&list.text));
        format!("{table}{}", self.shown.html())
    }
}
