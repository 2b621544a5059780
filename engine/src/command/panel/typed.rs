//! Between what is typed into the fields of a form and words of the language.

use super::super::{Line, parse};
use super::fields::is_shown;
use crate::error::{Error, Result};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::{Map, Value as Json};

/// What is typed into the fields, by their names.
pub type Values = Map<String, Json>;

/// What is typed into a field; none where nothing is.
pub fn typed(values: &Values, name: &str) -> Option<String> {
    let text = values.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A value as it is typed, in a field that takes one item a line or in any other. Code may give numbers
/// and lists.
pub fn as_typed(value: Json, is_list: bool) -> Json {
    let text = match value {
        Json::Null | Json::Object(_) => String::new(),
        Json::Number(number) => number.to_string(),
        Json::Array(items) => {
            let items = items.into_iter().map(|item| match as_typed(item, false) {
                Json::String(text) => text,
                other => other.to_string(),
            });
            items.collect::<Vec<_>>().join(if is_list { "\n" } else { "," })
        }
        typed @ (Json::Bool(_) | Json::String(_)) => return typed,
    };
    Json::String(text)
}

/// Whether a field takes one item a line.
pub fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append) && argument.get_value_delimiter().is_none()
}

/// The line that the values stand for, or the name of the field that lacks one.
pub fn words(verb: &Command, values: &Values) -> Result<Vec<String>, String> {
    let mut words = vec![verb.get_name().to_owned()];
    let shown = || verb.get_arguments().filter(|argument| is_shown(argument));
    let missing = |argument: &&Arg| {
        argument.is_required_set() && typed(values, argument.get_id().as_str()).is_none()
    };
    if let Some(argument) = shown().find(missing) {
        return Err(argument.get_id().to_string());
    }
    for argument in shown().filter(|argument| !argument.is_positional()) {
        let name = argument.get_id().as_str();
        let Some(long) = argument.get_long() else { continue };
        if !argument.get_action().takes_values() {
            words
                .extend((values.get(name) == Some(&Json::Bool(true))).then(|| format!("--{long}")));
            continue;
        }
        let Some(text) = typed(values, name) else { continue };
        let items: Vec<&str> = match is_list(argument) {
            true => text.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
            false => vec![&text],
        };
        // In one word, so that what begins with a minus sign is not taken for an option.
        words.extend(items.into_iter().map(|item| format!("--{long}={item}")));
    }
    words.push("--".to_owned());
    let places = shown().filter(|argument| argument.is_positional());
    words.extend(places.filter_map(|argument| typed(values, argument.get_id().as_str())));
    Ok(words)
}

/// The operation and the values of a line, as it may stand in a notebook or a shell; the line need not
/// be complete.
///
/// # Errors
/// `invalid-argument` for what is no line of an operation.
pub fn read(line: &str) -> Result<(String, Values)> {
    let line = line.trim();
    let line = line.strip_prefix('%').unwrap_or(line);
    if line.starts_with("bp.") {
        return Err(Error::argument("a call in Python is not read")
            .fix("Paste the line in the language of the commands, as %bp copy in.tif out.zarr."));
    }
    let mut words = parse::split(line)?;
    // A line that opens a form is filled in as the operation's own.
    for prefix in ["bp", "ui"] {
        if words.first().is_some_and(|word| word == prefix) {
            words.remove(0);
        }
    }
    values_of(&words)
}

/// As [`read`], of words.
///
/// # Errors
/// As [`read`].
pub fn values_of(words: &[String]) -> Result<(String, Values)> {
    let mut root = Line::command();
    let Some(name) = words.first() else {
        return Err(Error::argument("the line is empty").fix("Give it as copy in.tif out.zarr."));
    };
    if root.find_subcommand(name).is_some() {
        root = root.mut_subcommand(name, |verb| verb.mut_args(|argument| argument.required(false)));
    }
    let matches =
        root.try_get_matches_from(words).map_err(|error| parse::explain(&error, words))?;
    let verb = super::fields::verb(name)?;
    let Some((_, matches)) = matches.subcommand() else {
        return Err(Error::internal("a verb without a match"));
    };
    let mut values = Values::new();
    for argument in verb.get_arguments().filter(|argument| is_shown(argument)) {
        let name = argument.get_id().as_str();
        if matches.value_source(name) != Some(ValueSource::CommandLine) {
            continue;
        }
        let value = if argument.get_action().takes_values() {
            let items = matches.get_raw(name).into_iter().flatten();
            let items: Vec<String> =
                items.map(|item| item.to_string_lossy().into_owned()).collect();
            Json::from(items.join(if is_list(argument) { "\n" } else { "," }))
        } else {
            Json::Bool(true)
        };
        values.insert(name.to_owned(), value);
    }
    Ok((name.clone(), values))
}

#[cfg(test)]
mod tests {
    use super::super::super::Command as Bp;
    use super::super::fields;
    use super::*;
    use serde_json::json;

    fn line(name: &str, values: Json) -> Result<Vec<String>, String> {
        let Json::Object(values) = values else { panic!("no object") };
        words(&fields::verb(name).unwrap(), &values)
    }

    #[test]
    fn values_and_lines_are_the_same_request() {
        let line = "%bp threshold 'my stack.tif' -- -out.zarr";
        let (name, values) = read(&line.replace(
            " --",
            " --threshold=-3 --block-shape 8,8 --overwrite --sbatch=--exclusive --sbatch=--x --",
        ))
        .unwrap();
        assert_eq!(name, "threshold");
        assert_eq!(
            Json::from(values.clone()),
            json!({
                "SRC": "my stack.tif", "output": "-out.zarr", "threshold": "-3",
                "block_shape": "8,8", "overwrite": true, "sbatch": "--exclusive\n--x",
            })
        );
        let words = words(&fields::verb(&name).unwrap(), &values).unwrap();
        assert!(Bp::from_words(words.clone()).is_ok(), "{words:?}");
        assert_eq!(values_of(&words).unwrap().1, values);
    }

    #[test]
    fn a_line_need_not_be_complete_to_be_read() {
        let (_, values) = read("bp copy a.tif").unwrap();
        assert_eq!(Json::from(values), json!({ "SRC": "a.tif" }));
        assert_eq!(read("label").unwrap().1.len(), 0);
        assert_eq!(read("%bp ui label a.zarr").unwrap().0, "label");
        for bad in [
            "",
            "%bp",
            "bp.copy('a', 'b')",
            "runs",
            "cpoy a b",
            "copy a b --workers many",
            "copy 'a",
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.fix.is_some(), "{bad}: {error:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(line("copy", json!({ "SRC": "a", "output": " " })).unwrap_err(), "output");
        assert_eq!(line("gaussian", json!({ "SRC": "a", "output": "b" })).unwrap_err(), "sigma");
    }

    #[test]
    fn code_may_give_numbers_and_lists() {
        assert_eq!(as_typed(json!([1, 2.5]), false), "1,2.5");
        assert_eq!(as_typed(json!(["--exclusive", "--nice"]), true), "--exclusive\n--nice");
        assert_eq!(as_typed(json!(3), false), "3");
        assert_eq!(as_typed(json!(true), false), true);
        assert_eq!(as_typed(Json::Null, false), "");
        let values = json!({ "SRC": "a", "output": "b", "sigma": "1,2", "overwrite": false });
        let words = line("gaussian", values).unwrap();
        assert_eq!(words, ["gaussian", "--sigma=1,2", "--", "a", "b"]);
    }
}
