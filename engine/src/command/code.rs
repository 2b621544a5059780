//! A request as code, in the languages of the front ends.

use super::measure::Measure;
use super::operate::Operate;
use super::options::{BlockShape, RunOptions, SlurmOptions, push};
use super::{Action, Command, Verb};
use crate::cast::Scalar;
use crate::op::parameters::Parameters;
use crate::run::Backend;
use crate::run::folder::Code;
use serde_json::Value as Json;
use std::any::TypeId;

impl<P: Parameters> Operate<P> {
    /// The command as words, with those options that differ from the defaults, always in one order.
    pub fn words(&self) -> Vec<String> {
        let (output, own) = split(given(&self.parameters));
        let mut words = vec![P::NAME.to_owned()];
        words.extend(self.places.inputs.paths.iter().cloned());
        words.push(self.places.output.clone());
        words.extend(own.iter().flat_map(Given::words));
        words.extend(self.new_array.words());
        words.extend(output.iter().flat_map(Given::words));
        words.extend(self.common.words());
        words
    }

    /// The command in the languages of the front ends.
    pub fn code(&self) -> Code {
        if self.common.slurm != SlurmOptions::default() {
            // Where the output is a path, Python's functions take what the config says of Slurm.
            return of_line(shell_words::join(self.words()));
        }
        in_all_languages::<P>(self.words(), self.arguments())
    }

    /// The arguments of the Python function.
    fn arguments(&self) -> Vec<String> {
        let (output, own) = split(given(&self.parameters));
        let (required, own): (Vec<_>, Vec<_>) = own.into_iter().partition(|one| one.required);
        let keyword = |one: &Given| format!("{}={}", one.name, one.python());
        let mut arguments: Vec<String> =
            self.places.inputs.paths.iter().map(|input| quoted(input)).collect();
        arguments.extend(required.iter().map(Given::python));
        arguments.push(quoted(&self.places.output));
        arguments.extend(own.iter().map(keyword));
        let new = &self.new_array;
        let mut push = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("{name}={value}")));
        };
        push("chunks", new.chunks.as_ref().map(|shape| tuple(&shape.0)));
        push("shards", new.shards.as_ref().map(|shape| tuple(&shape.0)));
        push("codec", new.codec.map(|codec| quoted(&codec.to_string())));
        push("dtype", new.dtype.map(|dtype| quoted(dtype.name())));
        arguments.extend(output.iter().map(keyword));
        arguments.extend(run_arguments(&self.common));
        arguments
    }
}

impl<P: Parameters> Measure<P> {
    /// As [`Operate::words`].
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![P::NAME.to_owned()];
        words.extend(self.inputs.paths.iter().cloned());
        words.extend(given(&self.parameters).iter().flat_map(Given::words));
        let table = self.table.as_ref().map(|path| path.display());
        push(&mut words, "--table", table.as_ref());
        words.extend(self.common.words());
        words
    }

    /// As [`Operate::code`].
    pub fn code(&self) -> Code {
        let run = &self.common;
        let has_more = run.memory.is_some()
            || run.mask.is_some()
            || run.roi.is_some()
            || run.retries.is_some()
            || run.overwrite
            || run.backend == Some(Backend::Slurm)
            || run.slurm != SlurmOptions::default()
            || self.table.is_some();
        if has_more {
            // The functions that measure have the reference's signatures, without these.
            return of_line(shell_words::join(self.words()));
        }
        // They take arrays, not paths.
        let mut arguments: Vec<String> =
            self.inputs.paths.iter().map(|input| opened(input)).collect();
        let (required, own): (Vec<_>, Vec<_>) =
            given(&self.parameters).into_iter().partition(|one| one.required);
        arguments.extend(required.iter().map(Given::python));
        arguments.extend(own.iter().map(|one| format!("{}={}", one.name, one.python())));
        arguments.extend(run_arguments(run));
        in_all_languages::<P>(self.words(), arguments)
    }
}

fn in_all_languages<P: Parameters>(words: Vec<String>, arguments: Vec<String>) -> Code {
    let code = of_line(shell_words::join(words));
    match P::PYTHON {
        Some(function) => Code { python: format!("{function}({})", arguments.join(", ")), ..code },
        None => code,
    }
}

/// A line in the languages of the front ends, which all take it as it is.
pub fn of_line(bp: String) -> Code {
    let silent = "bioimage_engine::command::Silent::default()";
    Code {
        python: format!("bp.command({})", quoted(&bp)),
        rust: format!("bioimage_engine::command::execute({bp:?}, &mut {silent})?"),
        bp,
    }
}

fn run_arguments(options: &RunOptions) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut push = |name: &str, value: Option<String>| {
        arguments.extend(value.map(|value| format!("{name}={value}")));
    };
    let block_shape = match &options.block_shape {
        Some(BlockShape::Given(shape)) => Some(tuple(&shape.0)),
        _ => None,
    };
    push("block_shape", block_shape);
    push("num_workers", options.workers.map(|workers| workers.to_string()));
    push("job_type", options.backend.map(|backend| quoted(backend.as_str())));
    push("memory", options.memory.map(|bytes| bytes.to_string()));
    push("mask", options.mask.as_deref().map(quoted));
    push("roi", options.roi.as_ref().map(|roi| quoted(&roi.to_string())));
    push("retries", options.retries.map(|retries| retries.to_string()));
    push("overwrite", options.overwrite.then(|| "True".to_owned()));
    arguments
}

/// A parameter that differs from its default.
struct Given {
    name: String,
    value: Json,
    /// Whether its texts are numbers, which may be too large or too exact for those of JSON.
    is_number: bool,
    required: bool,
    /// Whether it is about the output rather than about what is computed.
    of_output: bool,
}

impl Given {
    /// The value as Python writes it.
    fn python(&self) -> String {
        let number = |value: &Json| value.as_str().map_or_else(|| python(value), str::to_owned);
        match &self.value {
            Json::String(_) if self.is_number => number(&self.value),
            Json::Array(values) if self.is_number => {
                let end = if values.len() == 1 { "," } else { "" };
                let values: Vec<String> = values.iter().map(number).collect();
                format!("({}{end})", values.join(", "))
            }
            other => python(other),
        }
    }

    fn words(&self) -> Vec<String> {
        let option = format!("--{}", self.name.replace('_', "-"));
        match typed(&self.value) {
            // What begins with a minus sign would be taken for an option.
            Some(value) if value.starts_with('-') => vec![format!("{option}={value}")],
            Some(value) => vec![option, value],
            None => vec![option],
        }
    }
}

/// The parameters that differ from their defaults, in the order in which they are declared.
fn given<P: Parameters>(parameters: &P) -> Vec<Given> {
    let values = serde_json::to_value(parameters).unwrap_or_default();
    let verb = P::augment_args(clap::Command::new(P::NAME));
    let differs = |argument: &clap::Arg| {
        let value = values.get(argument.get_id().as_str())?;
        let default: Vec<_> =
            argument.get_default_values().iter().map(|text| text.to_string_lossy()).collect();
        let is_default = match typed(value) {
            Some(text) => text == default.join(","),
            None => *value != Json::Bool(true),
        };
        (!is_default).then(|| Given {
            name: argument.get_id().to_string(),
            value: value.clone(),
            is_number: argument.get_value_parser().type_id() == TypeId::of::<Scalar>(),
            required: argument.is_required_set(),
            of_output: argument.get_help_heading().is_some(),
        })
    };
    verb.get_arguments().filter_map(differs).collect()
}

fn split(given: Vec<Given>) -> (Vec<Given>, Vec<Given>) {
    given.into_iter().partition(|one| one.of_output)
}

/// A value as it is typed in a line; nothing for a flag and for what is not given.
fn typed(value: &Json) -> Option<String> {
    match value {
        Json::Null | Json::Bool(_) | Json::Object(_) => None,
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => match number.as_f64() {
            // As Rust shows floats, and so the defaults: 2 for 2.0.
            Some(value) if number.is_f64() => Some(value.to_string()),
            _ => Some(number.to_string()),
        },
        Json::Array(values) => Some(values.iter().filter_map(typed).collect::<Vec<_>>().join(",")),
    }
}

/// A value as Python writes it.
fn python(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Array(values) if values.len() == 1 => format!("({},)", python(&values[0])),
        Json::Array(values) => {
            format!("({})", values.iter().map(python).collect::<Vec<_>>().join(", "))
        }
        // JSON's other literals are Python's, too, and so are the escapes in its strings.
        other => other.to_string(),
    }
}

fn tuple(shape: &[u64]) -> String {
    python(&Json::from(shape))
}

/// An array in a file, as Python opens it.
pub fn opened(path: &str) -> String {
    format!("bp.open_source({})", quoted(path))
}

/// A text as Python writes it.
pub fn quoted(text: &str) -> String {
    python(&Json::from(text))
}

/// The code of a run with the paths that it has on record, which hold in every folder. Code that is no
/// command of ours stays as it is.
pub fn code_with_paths(code: &Code, inputs: &[Option<String>], output: Option<String>) -> Code {
    let parsed = Command::parse(&code.bp).ok().map(|command| command.0);
    match parsed {
        Some(Action::Verb(Verb::Operation(verb))) => verb.with_paths(inputs, output).code(),
        Some(Action::Verb(Verb::Measurement(verb))) => verb.with_paths(inputs).code(),
        _ => code.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::operate::OperationVerb;
    use super::*;
    use crate::op::copy::Copy;

    fn args(line: &str) -> Operate<Copy> {
        match Command::parse(line).unwrap().0 {
            Action::Verb(Verb::Operation(OperationVerb::Copy(args))) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_canonical_line_means_the_same_and_has_one_order() {
        let line = "copy 'my stack.tif' out.zarr --overwrite --roi 1:2,: --workers=3 --memory 1G \
                    --dtype uint8 --cast saturating --chunks 8,8 --codec none --backend subprocess";
        let typed = args(line);
        let code = typed.code();
        assert_eq!(args(&code.bp), typed);
        assert_eq!(args(&code.bp).code(), code);
        assert_eq!(
            code.bp,
            "copy 'my stack.tif' out.zarr --chunks 8,8 --codec none --dtype u8 --cast saturating \
             --workers 3 --backend subprocess --memory 1073741824 --roi 1:2,: --overwrite"
        );
        assert_eq!(
            code.python,
            "bp.copy(\"my stack.tif\", \"out.zarr\", chunks=(8, 8), codec=\"none\", \
             dtype=\"uint8\", cast=\"saturating\", num_workers=3, job_type=\"subprocess\", \
             memory=1073741824, roi=\"1:2,:\", overwrite=True)"
        );
    }

    #[test]
    fn what_is_asked_of_slurm_is_part_of_the_code() {
        let slurm = "--backend slurm --partition cpu --cpus 4 '--sbatch=--exclusive'";
        let python = args(&format!("copy a b {slurm}")).code().python;
        assert_eq!(python, format!("bp.command(\"copy a b {slurm}\")"));
    }

    #[test]
    fn what_only_shows_the_run_is_not_part_of_it() {
        assert_eq!(
            args("copy a b --dry-run --quiet --detach --json").code(),
            args("copy a b").code()
        );
    }
}
