//! The fields of a form, from the definition of the language and the schema of the parameters.

use super::super::Line;
use super::super::options::cores;
use super::typed::is_list;
use crate::config::Config;
use crate::config::slurm::{Holds, SLURM_KEYS, SlurmKey};
use crate::error::{Error, Result, nearest};
use crate::op::registry;
use crate::run::{Options, default_budget};
use clap::{Arg, Command, CommandFactory, ValueHint};
use serde::Serialize;
use serde_json::Value as Json;
use std::any::TypeId;

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// Its name, which widgets know.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Whether it is shown on demand only.
    pub folded: bool,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Field {
    /// Its name among the values.
    pub name: String,
    /// The option that it stands for; none for a place in the line.
    pub option: Option<String>,
    /// How it is called.
    pub label: String,
    /// What it means.
    pub help: String,
    /// What is typed into it.
    pub kind: Kind,
    /// What is done with the array of a path.
    pub access: Option<Access>,
    /// What may be chosen, or else is offered.
    pub choices: Vec<Choice>,
    /// What holds while it is empty.
    pub default: Option<String>,
    /// What stands there while it is empty.
    pub placeholder: String,
    /// Unit of a number.
    pub unit: Option<String>,
    /// The least number.
    pub minimum: Option<f64>,
    /// The greatest number.
    pub maximum: Option<f64>,
    /// Numbers must be above this.
    pub exclusive_minimum: Option<f64>,
    /// Whether the line needs it.
    pub required: bool,
}

/// What is typed into a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A path of an array or file.
    Path,
    /// Any text.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A number, or one for each axis.
    Numbers,
    /// One of the choices.
    Choice,
    /// Nothing: it is set or not.
    Flag,
    /// Whole numbers, one for each axis.
    Shape,
    /// One item a line.
    List,
}

/// What is done with the array of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It is read.
    Read,
    /// It is written.
    Write,
}

/// A value that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// What it means.
    pub help: String,
}

/// The operations that have a form, and what they do.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    registry::verbs().into_iter()
}

/// The verb of an operation.
///
/// # Errors
/// `invalid-argument` with the nearest, or all of them.
pub fn verb(name: &str) -> Result<Command> {
    let known = operations().any(|(known, _)| known == name);
    let verb = Line::command().find_subcommand(name).filter(|_| known).cloned();
    verb.ok_or_else(|| {
        let names: Vec<&str> = operations().map(|(name, _)| name).collect();
        let fix = match nearest(name, names.iter().copied()) {
            Some(near) => format!("Did you mean '{near}'?"),
            None => format!("The operations are {}.", names.join(", ")),
        };
        Error::argument(format!("'{name}' is no operation with a form")).fix(fix)
    })
}

/// Whether an argument belongs to a request and so has a field.
pub fn is_shown(argument: &Arg) -> bool {
    !matches!(argument.get_id().as_str(), "help" | "dry_run" | "quiet" | "json")
}

/// The section that an argument belongs to.
fn section_of(argument: &Arg) -> &'static str {
    match (argument.get_id().as_str(), argument.get_help_heading()) {
        ("table", _) => "arrays",
        ("overwrite", _) => "output",
        ("block_shape" | "workers" | "backend" | "memory", _) => "blocks",
        ("check_nodes", _) => "slurm",
        (_, None) if argument.is_positional() => "arrays",
        (_, None) => "parameters",
        (_, Some("Output")) => "output",
        (_, Some("Slurm")) => "slurm",
        _ => "advanced",
    }
}

/// The parts of an operation's form.
///
/// # Errors
/// As [`verb`].
pub fn of_operation(name: &str) -> Result<Vec<Section>> {
    let verb = verb(name)?;
    let schema = registry::schema(name).unwrap_or_default();
    let config = Config::load().unwrap_or_default();
    let stored = stored_slurm();
    let field = |argument: &Arg| {
        let mut field = of_argument(argument, &schema);
        if field.kind == Kind::List {
            field.placeholder = "one a line".to_owned();
        } else if section_of(argument) == "slurm" && field.kind != Kind::Flag {
            field.placeholder = "the cluster's choice".to_owned();
        }
        if let Some(default) = configured(&config, &field.name) {
            field.default = Some(default);
        } else if let Some(key) = slurm_key(&field.name)
            && let Some(text) = stored.iter().find(|(name, _)| name == key)
        {
            field.default = Some(text.1.clone());
        }
        field
    };
    let sections = [
        ("arrays", "Arrays", false),
        ("parameters", "Parameters", false),
        ("output", "Output", true),
        ("blocks", "Blocks and workers", false),
        ("slurm", "Slurm", false),
        ("advanced", "Advanced", true),
    ];
    let section = |(name, title, folded)| {
        let arguments = verb.get_arguments().filter(|argument| is_shown(argument));
        let fields = arguments.filter(|argument| section_of(argument) == name).map(field);
        Section { name, title, folded, fields: fields.collect() }
    };
    Ok(sections.map(section).into_iter().filter(|section| !section.fields.is_empty()).collect())
}

/// What holds for an option of all operations by the config, else on this machine.
fn configured(config: &Config, name: &str) -> Option<String> {
    match name {
        "workers" => Some(config.workers.unwrap_or_else(cores).to_string()),
        // In whole megabytes, which are typed like that, too.
        "memory" => Some(format!("{}M", config.memory.unwrap_or_else(default_budget) >> 20)),
        "retries" => Some(config.retries.unwrap_or(Options::default().retries).to_string()),
        "backend" => Some(config.backend.unwrap_or_default().as_str().to_owned()),
        _ => None,
    }
}

/// The key of the config that is the default of a Slurm option.
pub fn slurm_key(option: &str) -> Option<&'static str> {
    let key = match option {
        "cpus" => "cpus_per_task",
        "sbatch" => "options",
        "retries" | "memory" => return None,
        other => other,
    };
    SLURM_KEYS.iter().find(|known| known.name == key).map(|known| known.name)
}

/// What the config says of Slurm, as it is typed; nothing of one that is not understood, which is told
/// where it is needed.
fn stored_slurm() -> Vec<(String, String)> {
    let table = crate::config::slurm::stored(None).and_then(|stored| stored.checked());
    let table = table.unwrap_or_default();
    table.iter().map(|(name, value)| (name.clone(), SlurmKey::typed_text(value))).collect()
}

fn of_argument(argument: &Arg, schema: &Json) -> Field {
    let name = argument.get_id().as_str();
    let property = &schema["properties"][name];
    let help = argument.get_help().map_or(String::new(), ToString::to_string);
    // The default of most options depends on something, and is told in words.
    let (help, default_in_words) = match help.split_once(" [default: ") {
        Some((help, words)) => (help.to_owned(), Some(words.trim_end_matches(']').to_owned())),
        None => (help, None),
    };
    let default: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let takes_value = argument.get_action().takes_values();
    let value_name = argument.get_value_names().and_then(|names| names.first());
    let value_name = value_name.map_or(String::new(), ToString::to_string);
    let kind = kind_of(argument, schema, &value_name);
    let is_path = kind == Kind::Path;
    let writes = matches!(name, "output" | "table");
    let mut choices: Vec<Choice> = argument
        .get_possible_values()
        .iter()
        .filter(|_| takes_value)
        .map(|value| Choice {
            value: value.get_name().to_owned(),
            help: value.get_help().map_or(String::new(), ToString::to_string),
        })
        .collect();
    if name == "block_shape" {
        let help = "chosen from the arrays' grids".to_owned();
        choices.push(Choice { value: "auto".to_owned(), help });
    }
    let limit = |key: &str| limit_in(property, schema, key);
    Field {
        name: name.to_owned(),
        option: argument.get_long().map(|long| format!("--{long}")),
        label: match argument.is_positional() {
            true => value_name.clone(),
            false => name.replace('_', " "),
        },
        help,
        kind,
        access: is_path.then_some(if writes { Access::Write } else { Access::Read }),
        choices,
        default: (takes_value && !default.is_empty()).then(|| default.join(",")),
        placeholder: default_in_words.unwrap_or(if takes_value {
            value_name
        } else {
            String::new()
        }),
        unit: property["unit"].as_str().map(str::to_owned),
        minimum: limit("minimum"),
        maximum: limit("maximum"),
        exclusive_minimum: limit("exclusiveMinimum"),
        required: argument.is_required_set(),
    }
}

fn kind_of(argument: &Arg, schema: &Json, value_name: &str) -> Kind {
    if !argument.get_action().takes_values() {
        return Kind::Flag;
    }
    if matches!(argument.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath) {
        return Kind::Path;
    }
    if !argument.get_possible_values().is_empty() {
        return Kind::Choice;
    }
    if is_list(argument) {
        return Kind::List;
    }
    if value_name == "SHAPE" {
        return Kind::Shape;
    }
    let mut types = Vec::new();
    types_in(&schema["properties"][argument.get_id().as_str()], schema, &mut types);
    let has = |name: &str| types.iter().any(|one| one == name);
    let parser = argument.get_value_parser().type_id();
    match () {
        () if has("array") => Kind::Numbers,
        () if has("number") => Kind::Number,
        () if has("integer") => Kind::Integer,
        // The options that all operations have are no parameters, and have no schema.
        () if parser == TypeId::of::<u64>() && value_name == "N" => Kind::Integer,
        () if parser == TypeId::of::<u32>() => Kind::Integer,
        () => Kind::Text,
    }
}

/// What a schema refers to.
fn resolved<'a>(property: &'a Json, schema: &'a Json) -> &'a Json {
    let pointer = property["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| schema.pointer(pointer)).unwrap_or(property)
}

/// The types of JSON that a property may have.
fn types_in(property: &Json, schema: &Json, types: &mut Vec<String>) {
    let property = resolved(property, schema);
    match &property["type"] {
        // Numbers of any size are written as texts.
        Json::String(_) if property["format"] == "number" => types.push("number".to_owned()),
        Json::String(one) => types.push(one.clone()),
        Json::Array(several) => {
            types.extend(several.iter().filter_map(Json::as_str).map(str::to_owned));
        }
        _ => {}
    }
    for variants in ["anyOf", "oneOf"] {
        for variant in property[variants].as_array().into_iter().flatten() {
            types_in(variant, schema, types);
        }
    }
}

/// A limit of a property, or of what it may be.
fn limit_in(property: &Json, schema: &Json, key: &str) -> Option<f64> {
    if let Some(limit) = property[key].as_f64() {
        return Some(limit);
    }
    let property = resolved(property, schema);
    let variants = property["anyOf"].as_array().into_iter().flatten();
    property[key]
        .as_f64()
        .or_else(|| variants.filter_map(|variant| limit_in(variant, schema, key)).next())
}

/// The parts of the form of Slurm's defaults.
pub fn of_slurm() -> Vec<Section> {
    let sections = [
        ("resources", "What a task asks for", false),
        ("script", "Job script", false),
        ("run", "How runs go", false),
        ("advanced", "Advanced", true),
    ];
    let part = |key: &SlurmKey| match key.name {
        "options" | "shebang" => "script",
        "tmp_root" | "tasks_per_worker" | "retries" | "memory" => "run",
        "max_array_size" | "poll_interval" | "latency_wait" | "python_executable"
        | "task_timeout" => "advanced",
        _ => "resources",
    };
    let section = |(name, title, folded)| {
        let keys = SLURM_KEYS.iter().filter(|key| part(key) == name);
        Section { name, title, folded, fields: keys.map(of_key).collect() }
    };
    sections.map(section).to_vec()
}

fn of_key(key: &SlurmKey) -> Field {
    let (kind, minimum, unit) = match key.holds {
        // Several lines: the first of the script, and those that prepare the environment.
        Holds::Text if key.name == "shebang" => (Kind::List, None, None),
        Holds::Text if key.name == "tmp_root" => (Kind::Path, None, None),
        Holds::Text | Holds::Time | Holds::Memory | Holds::Bytes => (Kind::Text, None, None),
        Holds::Count(least) => (Kind::Integer, Some(least as f64), None),
        Holds::Seconds => (Kind::Number, Some(0.0), Some("seconds")),
        Holds::Lines => (Kind::List, None, None),
    };
    let default = crate::config::slurm::default_of(key.name);
    let otherwise = match key.name {
        "options" => "one a line",
        "shebang" => "#!/bin/bash",
        "tmp_root" => "the folder of all runs",
        "retries" => "as for other runs",
        "memory" => "that of mem",
        "python_executable" => "this one",
        "task_timeout" => "none",
        _ => "the cluster's choice",
    };
    Field {
        name: key.name.to_owned(),
        label: key.name.replace('_', " "),
        help: key.help.to_owned(),
        kind,
        access: (kind == Kind::Path).then_some(Access::Write),
        placeholder: default.clone().unwrap_or_else(|| otherwise.to_owned()),
        default,
        unit: unit.map(str::to_owned),
        minimum,
        ..Field::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(operation: &str, name: &str) -> Field {
        let sections = of_operation(operation).unwrap();
        let mut fields = sections.into_iter().flat_map(|section| section.fields);
        fields.find(|field| field.name == name).unwrap()
    }

    #[test]
    fn every_argument_of_every_operation_has_one_field() {
        for (name, help) in operations() {
            assert!(!help.is_empty(), "{name}");
            let fields: Vec<Field> = of_operation(name)
                .unwrap()
                .into_iter()
                .flat_map(|section| section.fields)
                .collect();
            let shown = verb(name).unwrap();
            let shown = shown.get_arguments().filter(|argument| is_shown(argument)).count();
            assert_eq!(fields.len(), shown, "{name}");
            for field in fields {
                assert!(!field.help.is_empty() && !field.label.is_empty(), "{name} {field:?}");
                assert!(!field.help.contains("[default"), "{name} {field:?}");
                let has_choices = !field.choices.is_empty();
                assert!(field.kind != Kind::Choice || has_choices, "{name} {field:?}");
            }
        }
    }

    #[test]
    fn kinds_limits_and_units_come_from_schema_and_language() {
        let sigma = field("gaussian", "sigma");
        assert_eq!((sigma.kind, sigma.unit.as_deref()), (Kind::Numbers, Some("voxels")));
        assert_eq!((sigma.required, sigma.exclusive_minimum), (true, Some(0.0)));
        let order = field("downsample", "order");
        assert_eq!((order.kind, order.default.as_deref()), (Kind::Integer, Some("0")));
        assert_eq!((order.minimum, order.maximum), (Some(0.0), Some(5.0)));
        assert_eq!(field("downsample", "method").kind, Kind::Choice);
        assert_eq!(field("downsample", "anti_aliasing").kind, Kind::Flag);
        assert_eq!(field("threshold", "threshold").kind, Kind::Number);
        assert_eq!(field("size-filter", "min_size").kind, Kind::Integer);
        assert_eq!(field("copy", "block_shape").kind, Kind::Shape);
        assert_eq!(field("copy", "workers").kind, Kind::Integer);
        assert_eq!(field("copy", "memory").kind, Kind::Text);
        assert_eq!(field("copy", "sbatch").kind, Kind::List);
        assert_eq!(field("copy", "output").access, Some(Access::Write));
        assert_eq!(field("copy", "mask").access, Some(Access::Read));
        let chunks = field("copy", "chunks");
        assert_eq!(chunks.placeholder, "the input's, else about 64 voxels a side");
    }

    #[test]
    fn every_key_of_slurm_has_one_field() {
        let count: usize = of_slurm().iter().map(|section| section.fields.len()).sum();
        assert_eq!(count, SLURM_KEYS.len());
    }

    #[test]
    fn an_unknown_operation_is_refused_with_the_nearest() {
        assert_eq!(verb("cpoy").unwrap_err().fix.as_deref(), Some("Did you mean 'copy'?"));
        assert!(verb("runs").unwrap_err().fix.unwrap().contains("gaussian"));
    }
}
