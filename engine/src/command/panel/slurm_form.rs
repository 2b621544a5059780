//! The form of the defaults for a cluster.

use super::super::{Host, config};
use super::cluster::Asked;
use super::fields::{self, Section};
use super::typed::{Values, typed};
use super::{News, Panel, unknown};
use crate::config::slurm::{self, SLURM_KEYS, SlurmDefaults, SlurmKey};
use crate::error::{Error, Kind, Result};
use crate::run::live::RunView;
use crate::run::slurm::{is_there, offers, validate};
use serde_json::{Value as Json, json};
use toml::Value;

/// The form of the defaults for a cluster.
pub struct SlurmForm {
    sections: Vec<Section>,
    begun: bool,
    asked: Asked,
}

/// What the form can say of where the values lie.
fn state() -> Result<News> {
    let stored = slurm::stored(None)?;
    let values: Values = stored
        .checked()?
        .iter()
        .map(|(name, value)| (name.clone(), Json::from(SlurmKey::typed_text(value))))
        .collect();
    let read_from = (!slurm::is_ignored() && stored.value.is_some()).then_some(stored.file);
    let news = News { finished: true, ..News::default() };
    let news = news.with("file", slurm::file(None).display().to_string());
    let news = news.with("read_from", json!(read_from));
    Ok(news.with("values", Json::from(values)))
}

/// The values as the config holds them; nothing for what is empty.
fn assignments(values: &Values) -> Vec<(&'static SlurmKey, Option<Value>)> {
    let value = |key: &SlurmKey| typed(values, key.name).map(|text| key.of_text(&text));
    SLURM_KEYS.iter().map(|key| (key, value(key))).collect()
}

impl SlurmForm {
    /// The form, filled with what the config says.
    ///
    /// # Errors
    /// `invalid-argument` for a config that is not understood, naming file and key.
    pub fn new() -> Result<SlurmForm> {
        state()?;
        Ok(SlurmForm { sections: fields::of_slurm(), begun: false, asked: Asked::default() })
    }

    fn answer(&mut self, request: &Json) -> Result<News> {
        let empty = Values::new();
        let values = request["values"].as_object().unwrap_or(&empty);
        match request["type"].as_str() {
            Some("offers") => Ok(self.asked.ask(request, || offers::ask().json())),
            Some("check") => {
                let values = values.clone();
                Ok(self.asked.ask(request, move || check(&values)))
            }
            Some("save") => save(values),
            _ => Err(unknown(request)),
        }
    }
}

fn problem(field: Option<&str>, error: &Error) -> Json {
    json!({ "field": field, "message": error.message, "fix": error.fix })
}

/// How the values are written, and whether the cluster knows them.
fn check(values: &Values) -> Json {
    let assignments = assignments(values);
    let problems: Vec<Json> = assignments
        .iter()
        .filter_map(|(key, value)| {
            let error = key.check(value.as_ref()?).err()?;
            Some(problem(Some(key.name), &error))
        })
        .collect();
    let told = |cluster: Option<String>, problems: Vec<Json>, note: Option<String>| json!({ "type": "checked", "cluster": cluster, "problems": problems, "note": note });
    if !is_there() {
        let note = "How the values are written was checked, not whether a cluster knows them.";
        return told(None, problems, Some(note.to_owned()));
    }
    if !problems.is_empty() {
        return told(None, problems, Some("The cluster is asked when all can be read.".to_owned()));
    }
    let table = assignments.into_iter().filter_map(|(key, value)| {
        let checked = key.check(&value?).ok()??;
        Some((key.name.to_owned(), checked))
    });
    match SlurmDefaults::of(table.collect()).and_then(|all| validate(&all.settings)) {
        Ok(()) => told(offers::cluster(), Vec::new(), None),
        Err(error) if error.kind == Kind::SchedulerFailed => {
            told(None, Vec::new(), Some(format!("The cluster does not answer: {}", error.message)))
        }
        Err(error) => {
            told(offers::cluster(), vec![problem(error.argument.as_deref(), &error)], None)
        }
    }
}

fn save(values: &Values) -> Result<News> {
    let assignments = assignments(values);
    let saved: Vec<&str> =
        assignments.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.name).collect();
    let named: Vec<(String, Option<Value>)> =
        assignments.iter().map(|(key, value)| (key.name.to_owned(), value.clone())).collect();
    let file = slurm::write(None, false, &named)?;
    let mut news = News::of(json!({ "type": "saved", "file": file, "saved": saved }));
    news.state = state()?.state;
    Ok(news)
}

impl Panel for SlurmForm {
    fn view(&self) -> &'static str {
        "slurm-form"
    }

    fn poll(&mut self) -> Result<News> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(self.asked.add_to(News { finished: true, ..News::default() }));
        }
        Ok(state()?.with("sections", json!(self.sections)))
    }

    fn receive(&mut self, request: &Json, _host: &dyn Host) -> News {
        let answer = self.answer(request);
        News::answer(request, answer)
    }

    fn run(&self) -> Option<RunView> {
        None
    }

    fn text(&self) -> String {
        config::cluster(&[]).map_or_else(|error| error.report(), |value| value.text)
    }

    fn html(&self) -> String {
        let value = config::cluster(&[]).unwrap_or_default();
        value.html.unwrap_or_default()
    }
}
