//! From a line to words, and from the parser's complaints to errors that name the fix.

use super::Line;
use crate::error::{Error, Result, nearest};
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;

/// Splits a line into words as a POSIX shell does.
pub fn split(line: &str) -> Result<Vec<String>> {
    shell_words::split(line).map_err(|_| {
        Error::argument(format!("a quote is not closed in: {}", line.trim()))
            .fix("Close it, or write \\' for the character itself.")
    })
}

/// What the parser complains about, as an error of this program.
pub fn explain(error: &clap::Error, words: &[String]) -> Error {
    let root = Line::command();
    let verb = words.first().and_then(|word| root.find_subcommand(word));
    let told = complaint(error, &root, verb);
    let known = verb.filter(|_| error.kind() != ErrorKind::UnknownArgument);
    match known.and_then(|verb| argument_of(error, verb)) {
        Some(argument) => told.about(argument),
        None => told,
    }
}

/// The argument that the parser complains about: it calls it `--workers <N>`, or `<SRC>`.
fn argument_of<'a>(error: &clap::Error, verb: &'a clap::Command) -> Option<&'a str> {
    let called = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(one)) => one,
        Some(ContextValue::Strings(all)) if all.len() == 1 => &all[0],
        _ => return None,
    };
    let (name, _) = called.split_once(' ').unwrap_or((called, ""));
    let place = name.trim_start_matches('<').trim_end_matches('>');
    let found = verb.get_arguments().find(|argument| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_value_names().is_some_and(|names| names[0] == place),
    });
    found.map(|argument| argument.get_id().as_str())
}

fn complaint(error: &clap::Error, root: &clap::Command, verb: Option<&clap::Command>) -> Error {
    let name = verb.map_or("bp", |verb| verb.get_name());
    let see = match verb {
        Some(verb) => format!("bp help {} says what it takes.", verb.get_name()),
        None => "bp help lists the verbs.".to_owned(),
    };
    let one = |kind| text_of(error.get(kind));
    match error.kind() {
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => {
            let typed = one(ContextKind::InvalidSubcommand);
            let scope = verb.unwrap_or(root);
            let names = scope.get_subcommands().map(clap::Command::get_name);
            let what = if verb.is_some() { format!(" of {name}") } else { String::new() };
            Error::argument(format!("there is no verb '{typed}'{what}"))
                .fix(did_you_mean(nearest(&typed, names), &see))
        }
        ErrorKind::UnknownArgument => {
            let typed = one(ContextKind::InvalidArg);
            if verb.is_none() {
                return Error::argument(format!("there is no option '{typed}'")).fix(see);
            }
            if !typed.starts_with('-') {
                return Error::argument(format!("{name} does not take '{typed}'")).fix(usage(verb));
            }
            let longs: Vec<String> = verb
                .into_iter()
                .flat_map(clap::Command::get_arguments)
                .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
                .collect();
            let near = nearest(&typed, longs.iter().map(String::as_str));
            Error::argument(format!("{name} has no option '{typed}'")).fix(did_you_mean(near, &see))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let option = one(ContextKind::InvalidArg);
            let option = option.split(' ').next().unwrap_or_default();
            let value = one(ContextKind::InvalidValue);
            let own = error.source().and_then(|source| source.downcast_ref::<Error>());
            if let Some(own) = own {
                return Error {
                    message: format!("{name} {option}: {}", own.message),
                    ..own.clone()
                };
            }
            if value.is_empty() {
                return Error::argument(format!("{name} {option} needs a value")).fix(see);
            }
            let allowed = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) => values.clone(),
                _ => Vec::new(),
            };
            let complaint = Error::argument(format!("{name} {option} cannot be '{value}'"));
            if allowed.is_empty() {
                let why = error.source().map_or(see, |why| match why.to_string().as_str() {
                    digit if digit.contains("digit") => {
                        "Give a whole number, not below 0.".to_owned()
                    }
                    float if float.contains("float") => "Give a number.".to_owned(),
                    why => format!("{why}."),
                });
                return complaint.fix(capital(&why));
            }
            let list = format!("Use one of {}.", allowed.join(", "));
            let near = nearest(&value, allowed.iter().map(String::as_str));
            complaint.fix(did_you_mean(near, &list))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = text_of(error.get(ContextKind::InvalidArg));
            Error::argument(format!("{name} needs {missing}")).fix(usage(verb))
        }
        ErrorKind::ArgumentConflict => Error::argument(format!(
            "{name}: {} does not go together with {}",
            one(ContextKind::InvalidArg),
            one(ContextKind::PriorArg)
        ))
        .fix(see),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Error::argument(format!("{name}: {first}")).fix(see)
        }
    }
}

fn text_of(value: Option<&ContextValue>) -> String {
    match value {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" and "),
        _ => String::new(),
    }
}

fn did_you_mean(near: Option<&str>, otherwise: &str) -> String {
    match near {
        Some(near) => format!("Did you mean '{near}'? {otherwise}"),
        None => otherwise.to_owned(),
    }
}

fn usage(verb: Option<&clap::Command>) -> String {
    let Some(verb) = verb else { return "Usage: bp VERB".into() };
    let mut verb = verb.clone().bin_name(format!("bp {}", verb.get_name()));
    let usage = verb.render_usage().to_string();
    format!("{}.", usage.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use crate::error::{Error, Kind};

    fn refused(line: &str) -> Error {
        let error = Command::parse(line).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidArgument);
        assert!(!error.message.contains('\n') && error.fix.is_some(), "{error:?}");
        error
    }

    #[test]
    fn a_misspelt_verb_names_the_nearest() {
        let error = refused("cpoy a b");
        assert_eq!(error.message, "there is no verb 'cpoy'");
        assert!(error.fix.unwrap().starts_with("Did you mean 'copy'?"));
    }

    #[test]
    fn a_misspelt_option_names_the_nearest() {
        let error = refused("copy a b --chunk 64,64");
        assert_eq!(error.message, "copy has no option '--chunk'");
        assert!(error.fix.unwrap().starts_with("Did you mean '--chunks'?"));
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_is_allowed() {
        let error = refused("copy a b --dtype uint9");
        assert_eq!(error.message, "copy --dtype cannot be 'uint9'");
        assert!(error.fix.unwrap().contains("u8, u16"));
        let error = refused("copy a b --backend subproces");
        assert!(error.fix.unwrap().starts_with("Did you mean 'subprocess'?"));
        let error = refused("copy a b --chunks 64,none");
        assert_eq!(error.message, "copy --chunks: '64,none' is not a shape");
        let error = refused("copy a b --workers many");
        assert_eq!(error.message, "copy --workers cannot be 'many'");
        assert_eq!(refused("copy a b --workers").message, "copy --workers needs a value");
    }

    #[test]
    fn what_is_missing_or_too_much_is_named_with_the_usage() {
        let error = refused("copy a");
        assert_eq!(error.message, "copy needs <DST>");
        assert!(error.fix.unwrap().starts_with("Usage: bp copy"));
        assert_eq!(refused("copy a b c").message, "copy does not take 'c'");
        assert!(refused("copy 'a b").message.contains("quote is not closed"));
    }

    #[test]
    fn both_names_of_a_data_type_are_read() {
        for name in ["u16", "uint16"] {
            assert!(Command::parse(&format!("copy a b --dtype {name}")).is_ok());
        }
    }
}
