//! The form of an operation: its fields, what follows from what is typed into them, and the run.

use super::super::arrays::{Grain, describe, open};
use super::super::code::{of_line, opened, quoted};
use super::super::operate::Outlook;
use super::super::plan_text::Planned;
use super::super::table::escape;
use super::super::{Action, Command, Host, Silent, Verb, complete};
use super::cluster::{Asked, Behind, Verdict, behind};
use super::fields::{self, Access, Field, Kind as FieldKind, Section, slurm_key};
use super::shown_run::{Measured, ShownRun};
use super::typed::{self, Values, typed};
use super::{News, Panel, State, unknown};
use crate::config::slurm;
use crate::error::{Error, Kind, Result};
use crate::grid::shape_text;
use crate::run::cancel::CancelToken;
use crate::run::folder::Code;
use crate::run::live::RunView;
use crate::run::registry::Pace;
use crate::run::slurm::offers;
use crate::run::{Backend, RunState};
use crate::source::path::locate_output;
use crate::source::{Source, Spec};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The form of an operation.
pub struct OperationForm {
    operation: String,
    values: Values,
    /// What was typed for other operations: it is there again when they are.
    typed_before: Values,
    sections: Vec<Section>,
    begun: bool,
    shown: ShownRun,
    asked: Asked,
    verdict: Verdict,
    starting: Option<Starting>,
    /// The grain of the arrays of the latest plan, and which arrays these are.
    grain: Option<(Vec<Option<String>>, Grain)>,
    pace: Option<((String, Backend), Option<Pace>, Instant)>,
}

/// A run that is about to start.
struct Starting {
    request: Json,
    started: Receiver<Result<(RunView, Option<Measured>)>>,
    cancel: CancelToken,
    program: Option<PathBuf>,
}

/// Most runs are on their way within this time.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long the pace of earlier runs is taken for granted.
const FRESH: Duration = Duration::from_secs(10);

impl OperationForm {
    /// The form of an operation, filled with values by the names of its fields.
    ///
    /// # Errors
    /// `invalid-argument` for an operation or a field that there is not, with the nearest.
    pub fn new(operation: &str, values: Values) -> Result<OperationForm> {
        let sections = fields::of_operation(operation)?;
        let names: Vec<&str> = all(&sections).map(|field| field.name.as_str()).collect();
        if let Some(name) = values.keys().find(|name| !names.contains(&name.as_str())) {
            let fix = match crate::error::nearest(name, names.iter().copied()) {
                Some(near) => format!("Did you mean '{near}'?"),
                None => format!("The fields are {}.", names.join(", ")),
            };
            let message = format!("the form of {operation} has no field '{name}'");
            return Err(Error::argument(message).fix(fix));
        }
        Ok(OperationForm {
            operation: operation.to_owned(),
            values: values
                .into_iter()
                .map(|(name, value)| {
                    let field = all(&sections).find(|field| field.name == name);
                    let is_list = field.is_some_and(|field| field.kind == FieldKind::List);
                    (name, typed::as_typed(value, is_list))
                })
                .collect(),
            sections,
            typed_before: Values::new(),
            begun: false,
            shown: ShownRun::default(),
            asked: Asked::default(),
            verdict: Verdict::default(),
            starting: None,
            grain: None,
            pace: None,
        })
    }

    /// The form that the words of a line fill.
    ///
    /// # Errors
    /// `invalid-argument` for what is no line of an operation.
    pub fn of_words(words: &[String]) -> Result<OperationForm> {
        let (operation, values) = typed::values_of(words)?;
        OperationForm::new(&operation, values)
    }

    fn form(&self) -> Json {
        let about = fields::operations().find(|(name, _)| *name == self.operation);
        json!({
            "operation": self.operation,
            "help": about.map_or("", |(_, help)| help),
            "sections": self.sections,
        })
    }

    /// Goes over to another operation, or other values.
    fn change(&mut self, operation: &str, values: Values) -> Result<News> {
        let changed = OperationForm::new(operation, values)?;
        self.operation = changed.operation;
        self.values = changed.values;
        self.sections = changed.sections;
        let (form, values) = (self.form(), Json::from(self.values.clone()));
        let news = News::of(json!({ "type": "form", "form": form, "values": values }));
        Ok(news.with("form", form).with("values", values))
    }

    fn answer(&mut self, request: &Json, host: &dyn Host) -> Result<News> {
        let text = |key: &str| request[key].as_str().unwrap_or_default();
        if let Json::Object(values) = &request["values"] {
            self.values.clone_from(values);
        }
        match text("type") {
            "plan" => {
                let news = News::of(self.plan(host));
                Ok(if self.verdict.is_awaited() { news.going_on() } else { news })
            }
            "form" => {
                let sections = fields::of_operation(text("operation"))?;
                // What the form has now is as it is now, also where nothing is typed.
                self.typed_before
                    .retain(|name, _| all(&self.sections).all(|field| field.name != *name));
                self.typed_before.extend(self.values.clone());
                let mut values = self.typed_before.clone();
                values.retain(|name, _| all(&sections).any(|field| field.name == *name));
                self.change(text("operation"), values)
            }
            "read" => {
                let (operation, values) = typed::read(text("line"))?;
                self.typed_before.clear();
                self.change(&operation, values)
            }
            "complete" => {
                let matches = self.complete(text("name"), text("text"))?;
                Ok(News::of(json!({
                    "type": "complete", "name": text("name"), "matches": matches,
                })))
            }
            "offers" => Ok(self.asked.ask(request, || offers::ask().json())),
            "start" => self.start(request, host),
            "stop-start" => {
                self.starting.iter().for_each(|starting| starting.cancel.cancel());
                Ok(News::of(json!({ "type": "ok" })).going_on())
            }
            "save" => self.save(),
            _ => self.shown.receive(request).ok_or_else(|| unknown(request)),
        }
    }

    /// The line as the engine understands it, or the refusal of the form as it is.
    fn verb(&self) -> Result<Verb, Json> {
        let verb = fields::verb(&self.operation).map_err(|error| self.refusal(&error))?;
        let words = typed::words(&verb, &self.values).map_err(|name| {
            let label = all(&self.sections).find(|field| field.name == name);
            let label = label.map_or(&name, |field| &field.label);
            json!({
                "kind": "incomplete",
                "message": format!("{} needs {label}", self.operation),
                "fix": "Fill in the fields that are marked.",
                "field": name,
                "change": null,
            })
        })?;
        match Command::from_words(words).map_err(|error| self.refusal(&error))?.0 {
            Action::Verb(verb) => Ok(verb),
            Action::Help(_) => Err(self.refusal(&Error::internal("a form asks for help"))),
        }
    }

    fn outlook(&self, host: &dyn Host) -> Result<Outlook, Json> {
        match self.verb()? {
            Verb::Operation(verb) => Ok(verb.outlook(host)),
            Verb::Measurement(verb) => Ok(verb.outlook(host)),
            _ => Err(self.refusal(&Error::internal("a form of no operation"))),
        }
    }

    fn plan(&mut self, host: &dyn Host) -> Json {
        let (mut code, mut plan, mut grain) = (None, None, None);
        let refusal = match self.outlook(host) {
            Err(refusal) => Some(refusal),
            Ok(outlook) => {
                code = Some(outlook.code);
                grain = Some(outlook.grain);
                match outlook.planned {
                    Err(error) => Some(self.refusal(&error)),
                    Ok(planned) => {
                        let asked = planned.prepared.slurm();
                        let refused = asked.and_then(|asked| self.verdict.of(asked));
                        code = Some(planned.code.clone());
                        plan = Some(planned.json(self.pace(&planned)));
                        refused.map(|error| self.refusal(&error))
                    }
                }
            }
        };
        let grain = self.grain(grain, host);
        json!({
            "type": "plan",
            "code": code.map(|code| self.in_full(code, host)).map(|code| {
                Code { bp: format!("%bp {}", code.bp), ..code }
            }),
            "refusal": refusal,
            "paths": self.paths(plan.as_ref(), host),
            "presets": presets(&grain),
            "plan": plan,
        })
    }

    /// How fast comparable runs were, which is not looked up for each key that is pressed.
    fn pace(&mut self, planned: &Planned) -> Option<Pace> {
        let key = (planned.operation.to_owned(), planned.prepared.backend());
        if let Some((known, pace, when)) = &self.pace
            && *known == key
            && when.elapsed() < FRESH
        {
            return *pace;
        }
        let pace = planned.pace();
        self.pace = Some((key, pace, Instant::now()));
        pace
    }

    /// The grain that presets are made of: while the line cannot be read, that of the latest plan of
    /// the same arrays, else that of the input.
    fn grain(&mut self, planned: Option<Grain>, host: &dyn Host) -> Grain {
        let section = self.sections.iter().find(|section| section.name == "arrays");
        let fields = section.into_iter().flat_map(|section| &section.fields);
        let arrays: Vec<Option<String>> =
            fields.map(|field| typed(&self.values, &field.name)).collect();
        if let Some(grain) = planned.filter(|grain| grain.chunk.is_some()) {
            self.grain = Some((arrays, grain.clone()));
            return grain;
        }
        if let Some((known, grain)) = &self.grain
            && *known == arrays
        {
            return grain.clone();
        }
        let input = arrays.first().and_then(|path| open(path.as_deref()?, host).ok());
        input.map_or_else(Grain::default, |input| Grain {
            chunk: input.chunks(),
            shard: input.shards(),
        })
    }

    /// Code that says everything that the form says: how the run is to be started, which is no part of
    /// the run, and arrays of the notebook by their names.
    fn in_full(&self, code: Code, host: &dyn Host) -> Code {
        let options = [("check_nodes", "--check-nodes"), ("detach", "--detach")];
        let given = options.iter().filter(|(name, _)| self.values.get(*name) == Some(&json!(true)));
        let mut words = vec![code.bp.as_str()];
        words.extend(given.map(|(_, option)| *option));
        // No Python function has these options, and those of a new array go with a path only.
        let of_path = ["chunks", "shards", "codec", "dtype", "roi"];
        let output = typed(&self.values, "output").filter(|path| host.sink(path).is_some());
        let to_array = output.is_some()
            && (of_path.iter().any(|name| typed(&self.values, name).is_some())
                || self.values.get("overwrite") == Some(&json!(true)));
        let code = if words.len() > 1 || to_array { of_line(words.join(" ")) } else { code };
        let paths = all(&self.sections).filter(|field| field.kind == FieldKind::Path);
        let variables = paths
            .filter_map(|field| typed(&self.values, &field.name))
            .filter(|path| host.array(path).is_some());
        let mut variables: Vec<String> = variables.collect();
        variables.dedup();
        if variables.is_empty() {
            return code;
        }
        let python = match code.python.strip_prefix("bp.command(") {
            Some(call) => {
                let pairs: Vec<String> =
                    variables.iter().map(|name| format!("{}: {name}", quoted(name))).collect();
                format!("bp.command({}, {{{}}})", call.trim_end_matches(')'), pairs.join(", "))
            }
            None => variables.iter().fold(code.python.clone(), |call, name| {
                call.replace(&opened(name), name).replace(&quoted(name), name)
            }),
        };
        Code { python, ..code }
    }

    /// An error with the field that it is about.
    fn refusal(&self, error: &Error) -> Json {
        let field = error.argument.as_deref().and_then(|argument| {
            let fields = || all(&self.sections);
            let named = |field: &&Field| field.name == argument;
            let of_cluster = |field: &&Field| slurm_key(&field.name) == Some(argument);
            // The planner does not know how an operation calls its input.
            let read = |field: &&Field| argument == "input" && field.access == Some(Access::Read);
            fields()
                .find(named)
                .or_else(|| fields().find(of_cluster))
                .or_else(|| fields().find(read))
        });
        let name = field.map(|field| &field.name);
        let change = error.change.as_deref().zip(name);
        json!({
            "kind": error.kind,
            "message": error.message,
            "fix": error.fix,
            "field": name,
            "change": change.map(|(value, name)| json!({
                "name": name,
                "value": value,
                "label": format!("Use {value}"),
            })),
        })
    }

    /// What the paths hold.
    fn paths(&self, plan: Option<&Json>, host: &dyn Host) -> State {
        let note = |field: &Field| {
            let path = typed(&self.values, &field.name)?;
            let told = match (field.access?, field.name.as_str()) {
                (Access::Read, _) => match open(&path, host) {
                    Ok(source) => json!({ "text": in_words(&*source) }),
                    Err(error) => json!({ "error": error.report() }),
                },
                (Access::Write, "output") => {
                    let told = plan.and_then(|plan| plan["note"].as_str());
                    let told = told.and_then(|note| note.strip_prefix(&format!("{path}: ")));
                    match told {
                        Some(note) => json!({ "note": note }),
                        None => output_note(&path, host),
                    }
                }
                (Access::Write, _) => {
                    let there = Path::new(&path).exists();
                    json!({ "note": if there { "exists" } else { "will be made" } })
                }
            };
            Some((field.name.clone(), told))
        };
        all(&self.sections).filter_map(note).collect()
    }

    fn complete(&self, name: &str, text: &str) -> Result<Vec<Json>> {
        let verb = fields::verb(&self.operation)?;
        let argument = verb.get_arguments().find(|argument| argument.get_id() == name);
        let argument = argument.ok_or_else(|| {
            Error::argument(format!("the form of {} has no field '{name}'", self.operation))
        })?;
        Ok(complete::for_argument(argument, text).into_iter().map(in_json).collect())
    }

    /// Starts the run behind the form: a cluster that is asked first may take its time.
    fn start(&mut self, request: &Json, host: &dyn Host) -> Result<News> {
        if self.starting.is_some() {
            return Err(Error::argument("the run is being started already")
                .fix("Wait until it is shown, or stop it."));
        }
        let verb = self.verb().map_err(|refusal| {
            let text = |key: &str| refusal[key].as_str().unwrap_or_default().to_owned();
            Error::argument(text("message")).fix(text("fix"))
        })?;
        let (start, measures) = match verb {
            Verb::Operation(verb) => (verb.start(host)?, None),
            Verb::Measurement(verb) => {
                let table = verb.table().map(Path::to_owned);
                (verb.start(host)?, Some(table))
            }
            _ => return Err(Error::internal("a form of no operation")),
        };
        let (cancel, program) = (CancelToken::new(), host.program());
        let place = Behind { cancel: cancel.clone(), program: program.clone() };
        let started = behind(move || {
            let run = start(&place)?;
            let measured = measures.map(|table| Measured::of(&run, table));
            Ok((run, measured))
        });
        self.starting = Some(Starting { request: request.clone(), started, cancel, program });
        let news = self.started(AT_ONCE).unwrap_or_default();
        Ok(news.with("starting", self.starting.is_some()))
    }

    /// Shows the run if it has been started by now, or is before somebody has lost patience.
    fn started(&mut self, patience: Duration) -> Option<News> {
        let starting = self.starting.as_ref()?;
        let result = match starting.started.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => return Some(News::default()),
            Err(RecvTimeoutError::Disconnected) => Err(Error::internal("a start without an end")),
            Ok(result) => result,
        };
        let Starting { request, program, .. } = self.starting.take()?;
        let shown = result.and_then(|(run, measured)| {
            let id = run.folder.request()?.id;
            self.shown.show(run, measured, program)?;
            Ok(News::of(json!({ "type": "ok", "run": id })).going_on())
        });
        Some(News::answer(&request, shown).with("starting", false))
    }

    /// What is asked of Slurm becomes the default.
    fn save(&mut self) -> Result<News> {
        let asked = self.sections.iter().filter(|section| section.name == "slurm");
        let asked = asked
            .flat_map(|section| &section.fields)
            .filter_map(|field| Some((slurm_key(&field.name)?, typed(&self.values, &field.name)?)));
        let asked: Vec<(&str, String)> = asked.collect();
        if asked.is_empty() {
            return Err(Error::argument("no field of Slurm is filled in, so nothing is saved")
                .fix("Fill in what is to be the default."));
        }
        let values = asked.iter().map(|(key, text)| (*key, text.as_str()));
        let file = slurm::assign(&values.collect::<Vec<_>>())?;
        let saved: Vec<&str> = asked.iter().map(|(key, _)| *key).collect();
        let news = News::of(json!({ "type": "saved", "file": file, "saved": saved }));
        // What stands in grey is another now.
        self.sections = fields::of_operation(&self.operation)?;
        Ok(news.with("form", self.form()))
    }

    /// The line, as far as it is complete.
    fn line(&self) -> String {
        let words = fields::verb(&self.operation)
            .ok()
            .and_then(|verb| typed::words(&verb, &self.values).ok())
            .and_then(|words| Command::from_words(words).ok());
        let code = match words.map(|command| command.0) {
            Some(Action::Verb(Verb::Operation(verb))) => Some(verb.code()),
            Some(Action::Verb(Verb::Measurement(verb))) => Some(verb.code()),
            _ => None,
        };
        let line = code.map(|code| self.in_full(code, &Silent::default()).bp);
        format!("%bp {}", line.unwrap_or_else(|| format!("{} ...", self.operation)))
    }
}

impl Panel for OperationForm {
    fn view(&self) -> &'static str {
        "operation-form"
    }

    fn poll(&mut self) -> Result<News> {
        let begun = self.started(Duration::ZERO);
        let mut news = self.asked.add_to(self.shown.poll());
        if let Some(begun) = begun {
            news.messages.splice(0..0, begun.messages);
            news.state.extend(begun.state);
            news.finished &= begun.finished;
        }
        let state = news.state.get("status").map(|status| status["state"].clone());
        let state = state.and_then(|state| serde_json::from_value::<RunState>(state).ok());
        let has_ended = state.is_some_and(RunState::is_final);
        if has_ended {
            // It has made its output, and tells how fast such runs are.
            self.pace = None;
        }
        if self.verdict.has_changed() || has_ended {
            news.messages.extend(News::of(json!({ "type": "replan" })).messages);
        }
        news.finished &= !self.verdict.is_awaited();
        if std::mem::replace(&mut self.begun, true) {
            return Ok(news);
        }
        let operations: Vec<Json> = fields::operations()
            .map(|(name, help)| json!({ "name": name, "help": help }))
            .collect();
        let values = Json::from(self.values.clone());
        let first = news.with("operations", operations).with("form", self.form());
        let first = first.with("values", values).with("starting", false);
        Ok(first.with("run", json!({})).with("status", json!({})).with("result", Json::Null))
    }

    fn receive(&mut self, request: &Json, host: &dyn Host) -> News {
        let answer = self.answer(request, host);
        News::answer(request, answer)
    }

    fn run(&self) -> Option<RunView> {
        self.shown.run()
    }

    fn text(&self) -> String {
        format!("{}{}", self.line(), self.shown.text())
    }

    fn html(&self) -> String {
        format!("<pre>{}</pre>{}", escape(&self.line()), self.shown.html())
    }
}

fn all(sections: &[Section]) -> impl Iterator<Item = &Field> {
    sections.iter().flat_map(|section| &section.fields)
}

/// A completion as a widget takes it.
fn in_json(found: complete::Match) -> Json {
    json!({ "text": found.text, "help": found.help })
}

/// An array in a line below its path.
fn in_words(source: &dyn Source) -> String {
    let mut text = describe(source);
    let metadata = source.metadata();
    let axes: Vec<&str> = metadata.axes.iter().map(|axis| axis.name.as_str()).collect();
    if axes.iter().any(|name| !name.is_empty()) {
        text += &format!(", axes {}", axes.join(","));
    }
    let scale = |axis: &crate::source::Axis| {
        let unit = axis.unit.as_deref().unwrap_or_default();
        axis.scale.map(|scale| format!("{scale} {unit}").trim_end().to_owned())
    };
    let scales: Option<Vec<String>> = metadata.axes.iter().map(scale).collect();
    match scales.filter(|scales| !scales.is_empty()) {
        Some(scales) => text + &format!(", voxels of {}", scales.join(" x ")),
        None => text,
    }
}

/// What an output is where no plan tells it.
fn output_note(path: &str, host: &dyn Host) -> Json {
    if let Some(sink) = host.sink(path) {
        return json!({ "text": describe(&*sink) });
    }
    let there = locate_output(path).and_then(|spec| match spec.open() {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind == Kind::NotFound && matches!(spec, Spec::Zarr { .. }) => Ok(None),
        Err(error) => Err(error),
    });
    match there {
        Ok(Some(source)) => json!({ "text": format!("exists: {}", describe(&*source)) }),
        Ok(None) => json!({ "note": "will be made" }),
        Err(error) => json!({ "error": error.report() }),
    }
}

/// Block shapes to choose from.
fn presets(grain: &Grain) -> Vec<Json> {
    let preset = |name: &str, value: String| json!({ "name": name, "value": value });
    let mut presets = vec![preset("auto", "auto".to_owned())];
    if let Some(chunk) = &grain.chunk {
        let times = |factor: u64| {
            shape_text(&chunk.iter().map(|extent| extent * factor).collect::<Vec<_>>())
        };
        presets.extend([preset("chunk", times(1)), preset("2x", times(2)), preset("4x", times(4))]);
    }
    presets.extend(grain.shard.as_ref().map(|shard| preset("shard", shape_text(shard))));
    presets
}

#[cfg(test)]
mod tests {
    use super::super::super::Silent;
    use super::*;
    use crate::array::Array;

    /// Arrays by their names.
    struct Notebook([(&'static str, Array); 3]);

    impl Host for Notebook {
        fn text(&mut self, _: &str) {}
        fn run_started(&mut self, _: &RunView) {}
        fn cancel(&self) -> crate::run::cancel::CancelToken {
            crate::run::cancel::CancelToken::new()
        }
        fn array(&self, name: &str) -> Option<std::sync::Arc<dyn Source>> {
            let (_, array) = self.0.iter().find(|(known, _)| *known == name)?;
            let array = crate::source::memory::MemoryArray::from_array(array).unwrap();
            Some(std::sync::Arc::new(array))
        }
    }

    fn notebook() -> Notebook {
        let values: Vec<u8> = (0..64 * 64 * 64).map(|i| (i % 251) as u8).collect();
        Notebook([
            ("raw", Array::from_values(&[64, 64, 64], &values).unwrap()),
            ("small", Array::from_values(&[8, 8, 8], &values[..512]).unwrap()),
            ("floats", Array::from_values(&[64, 64, 64], &vec![0.5f32; 64 * 64 * 64]).unwrap()),
        ])
    }

    fn form(line: &str) -> OperationForm {
        OperationForm::of_words(&crate::command::parse::split(line).unwrap()).unwrap()
    }

    fn ask(form: &mut OperationForm, request: Json, host: &dyn Host) -> Json {
        form.receive(&request, host).messages[0].content.clone()
    }

    #[test]
    fn a_plan_follows_from_what_is_typed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.zarr");
        let line = format!("gaussian raw {} --sigma 2 --chunks 32,32,32", output.display());
        let mut form = form(&line);
        let asked = json!({ "type": "plan", "request": 7, "values": form.values });
        let answer = ask(&mut form, asked, &notebook());
        assert_eq!(answer["request"], 7);
        assert_eq!(answer["refusal"], Json::Null, "{answer}");
        assert_eq!(answer["paths"]["SRC"]["text"], "64,64,64 u8");
        assert!(answer["paths"]["output"]["note"].as_str().unwrap().starts_with("new, 64,64,64"));
        assert!(answer["code"]["bp"].as_str().unwrap().starts_with("%bp gaussian raw"));
        let names: Vec<&str> = answer["presets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|preset| preset["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["auto", "chunk", "2x", "4x"]);
        assert_eq!(answer["presets"][2]["value"], "64,64,64");
        let mut values = form.values.clone();
        values.insert("block_shape".into(), "32,32,32".into());
        let answer = ask(&mut form, json!({ "type": "plan", "values": values }), &notebook());
        assert_eq!(answer["plan"]["grid"], json!([2, 2, 2]));
        // 6 voxels of halo on one side: 38 for 32 along each axis.
        let overhead = answer["plan"]["halo_overhead"].as_f64().unwrap();
        assert_eq!(answer["plan"]["bytes_to_read"], 8 * 38u64.pow(3));
        assert!((overhead - ((38.0f64 / 32.0).powi(3) - 1.0)).abs() < 1e-9, "{overhead}");
        assert!(!output.exists(), "a plan writes nothing");
    }

    #[test]
    fn an_unsafe_shape_is_refused_and_mended_by_the_change() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.zarr");
        let line =
            format!("copy raw {} --chunks 32,32,32 --block-shape 40,32,32", output.display());
        let mut form = form(&line);
        let answer = ask(&mut form, json!({ "type": "plan" }), &notebook());
        let refusal = &answer["refusal"];
        assert_eq!(
            (&refusal["kind"], &refusal["field"]),
            (&json!("unsafe-block-shape"), &json!("block_shape"))
        );
        assert_eq!(answer["plan"], Json::Null);
        let mut values = form.values.clone();
        let change = &refusal["change"];
        values.insert(change["name"].as_str().unwrap().to_owned(), change["value"].clone());
        let answer = ask(&mut form, json!({ "type": "plan", "values": values }), &notebook());
        assert_eq!(answer["refusal"], Json::Null, "{answer}");
    }

    #[test]
    fn a_refusal_names_its_field() {
        for (line, field) in [
            ("copy nowhere.tif out.zarr", "SRC"),
            ("copy raw", "output"),
            ("gaussian raw out.zarr", "sigma"),
            ("gaussian raw out.zarr --sigma 1,2", "sigma"),
            ("copy raw out.zarr --chunks 8,8", "chunks"),
            ("copy raw out.zarr --roi 0:99,:,:", "roi"),
            ("copy raw out.zarr --block-shape 8", "block_shape"),
            ("copy raw out.zarr --workers 0", "workers"),
            ("copy raw out.zarr --memory 1", "memory"),
            ("gaussian raw out.zarr --sigma=-1", "sigma"),
            ("gaussian raw out.zarr --sigma nan", "sigma"),
            ("gaussian raw s3://bucket/out.zarr --sigma 1", "output"),
            ("copy ~/nowhere.tif out.zarr", "SRC"),
            ("copy nowhere.zarr/s0 out.zarr", "SRC"),
            ("copy raw out.png", "output"),
            ("copy raw raw", "output"),
            ("copy raw out.zarr --mask nowhere.zarr", "mask"),
            ("copy raw out.zarr --backend subprocess", "backend"),
            ("difference-of-gaussians raw out.zarr --sigma-low 1 --sigma-high=-2", "sigma_high"),
            ("hessian raw out.zarr --sigma 1 --return-channel 9", "return_channel"),
            ("downsample raw out.zarr --scale-factor 2,2", "scale_factor"),
            ("pyramid raw out.zarr --scale-factor 0", "scale_factor"),
            ("label raw out.zarr --connectivity 7", "connectivity"),
            ("size-filter raw out.zarr", "min_size"),
            ("distance raw out.zarr --halo 8 --sampling 0", "sampling"),
            ("histogram raw --bins 0", "bins"),
            ("histogram raw --range 1", "range"),
            ("statistics raw --table out.png", "table"),
            ("compare raw nowhere.tif", "GT"),
            ("compare raw small", "GT"),
            ("watershed raw small out.zarr --halo 4", "SEEDS"),
            ("size-filter floats out.zarr --min-size 4", "SRC"),
            ("regionprops floats", "SRC"),
            ("compare raw floats", "GT"),
        ] {
            let mut form = form(line);
            let answer = ask(&mut form, json!({ "type": "plan" }), &notebook());
            assert_eq!(answer["refusal"]["field"], field, "{line}: {}", answer["refusal"]);
        }
        // What no line that is read can hold may be typed.
        for (name, text) in [
            ("workers", "many"),
            ("codec", "zip"),
            ("chunks", "8 8"),
            ("roi", "all"),
            ("mem", "much"),
        ] {
            let mut form = form("copy raw out.zarr");
            let mut values = form.values.clone();
            values.insert(name.to_owned(), text.into());
            let answer = ask(&mut form, json!({ "type": "plan", "values": values }), &notebook());
            assert_eq!(answer["refusal"]["field"], name, "{}", answer["refusal"]);
        }
    }

    #[test]
    fn the_code_says_how_the_run_is_started() {
        let python = |line: &str| {
            let mut form = form(line);
            let answer = ask(&mut form, json!({ "type": "plan" }), &notebook());
            assert_eq!(answer["code"]["bp"], form.text(), "{answer}");
            answer["code"]["python"].as_str().unwrap().to_owned()
        };
        let call = "bp.command(\"copy raw out.zarr --workers 3 --detach\", {\"raw\": raw})";
        assert_eq!(python("copy raw out.zarr --detach --workers 3"), call);
        let blocks = "--workers 3 --block-shape 8,64,64";
        let call = "bp.copy(raw, \"out.zarr\", chunks=(8, 64, 64), block_shape=(8, 64, 64), num_workers=3)";
        assert_eq!(python(&format!("copy raw out.zarr --chunks 8,64,64 {blocks}")), call);
        let call = "bp.stats.histogram(raw, bins=5, block_shape=(8, 64, 64), num_workers=3)";
        assert_eq!(python(&format!("histogram raw --bins 5 {blocks}")), call);
        // What a Python function does not take, its line takes.
        let call = "bp.command(\"histogram raw --block-shape 8,64,64 --workers 3 --memory 1073741824\", {\"raw\": raw})";
        assert_eq!(python(&format!("histogram raw --memory 1G {blocks}")), call);
    }

    #[test]
    fn another_operation_keeps_what_both_have() {
        let mut form = form("gaussian a.tif b.zarr --sigma 2 --workers 3");
        let news =
            form.receive(&json!({ "type": "form", "operation": "median" }), &Silent::default());
        assert_eq!(news.state["form"]["operation"], "median");
        let kept = json!({ "SRC": "a.tif", "output": "b.zarr", "workers": "3" });
        assert_eq!(news.state["values"], kept);
        form.receive(&json!({ "type": "form", "operation": "unique" }), &Silent::default());
        let news =
            form.receive(&json!({ "type": "form", "operation": "laplace" }), &Silent::default());
        let back = json!({ "SRC": "a.tif", "output": "b.zarr", "workers": "3", "sigma": "2" });
        assert_eq!(news.state["values"], back, "as before the operations without such fields");
        let read = json!({ "type": "read", "line": "%bp label x.zarr y.zarr --connectivity 3" });
        let news = form.receive(&read, &Silent::default());
        assert_eq!(news.state["form"]["operation"], "label");
        assert_eq!(news.messages[0].content["values"]["connectivity"], "3");
        let news = form.receive(&json!({ "type": "read", "line": "runs" }), &Silent::default());
        assert_eq!(news.messages[0].content["type"], "error");
        assert_eq!(form.operation, "label");
    }

    #[test]
    fn a_measurement_is_started_followed_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("table.csv");
        let mut form = form(&format!("statistics raw --table {}", table.display()));
        let first = form.poll().unwrap();
        assert!(first.finished && first.state["operations"].as_array().unwrap().len() > 20);
        let news = form.receive(&json!({ "type": "start", "request": 1 }), &notebook());
        assert!(!news.finished);
        let mut state = State::new();
        let mut messages = news.messages;
        loop {
            let news = form.poll().unwrap();
            state.extend(news.state);
            messages.extend(news.messages);
            if news.finished {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let answer = messages.iter().find(|message| message.content["request"] == 1).unwrap();
        assert_eq!(answer.content["type"], "ok", "{messages:?}");
        assert_eq!(state["status"]["state"], "succeeded", "{state:?}");
        assert!(state["result"]["html"].as_str().unwrap().contains("<table>"));
        assert!(std::fs::read_to_string(&table).unwrap().starts_with("count"));
        let ready = form.receive(&json!({ "type": "ready", "request": 2 }), &Silent::default());
        assert_eq!(ready.messages[0].content["type"], "cells");
        assert!(form.text().contains("succeeded"));
    }

    #[test]
    fn what_cannot_be_asked_is_answered_with_an_error() {
        let mut form = form("copy");
        for request in [json!({ "type": "cancel" }), json!({ "type": "nonsense" }), json!(3)] {
            let answer = ask(&mut form, request, &Silent::default());
            assert_eq!(answer["type"], "error", "{answer}");
        }
        let mut values = Values::new();
        values.insert("sigm".into(), "2".into());
        let error = OperationForm::new("gaussian", values).err().unwrap();
        assert_eq!(error.fix.as_deref(), Some("Did you mean 'sigma'?"));
    }
}
