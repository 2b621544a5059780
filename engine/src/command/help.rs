//! Help, from the definition of the language.

use super::{Line, Reply};
use crate::error::{Error, Result, nearest};
use clap::CommandFactory;

/// What `bp help` takes.
#[derive(Debug, clap::Args)]
pub struct HelpArgs {
    /// The verb
    #[arg(value_name = "VERB")]
    verb: Option<String>,
}

/// `bp help`.
pub fn help(args: &HelpArgs) -> Result<Reply> {
    let Some(verb) = &args.verb else { return Ok(Reply::Text(overview())) };
    let root = Line::command();
    match help_on(verb) {
        Some(text) => Ok(Reply::Text(text)),
        None => {
            let near = nearest(verb, root.get_subcommands().map(clap::Command::get_name));
            let near = near.map_or(String::new(), |near| format!("Did you mean '{near}'? "));
            Err(Error::argument(format!("there is no verb '{verb}'"))
                .fix(format!("{near}bp help lists the verbs.")))
        }
    }
}

/// Help on the whole language.
pub fn overview() -> String {
    Line::command().render_help().to_string().trim_end().to_owned()
}

fn help_on(verb: &str) -> Option<String> {
    let root = Line::command();
    let command = root.find_subcommand(verb)?;
    let mut command = command.clone().bin_name(format!("bp {verb}"));
    Some(command.render_long_help().to_string().trim_end().to_owned())
}

/// Help on what stands at a place in a line: the option that the cursor is on, else the verb. `copy?`
/// asks for the same as `copy`.
pub fn help_at(line: &str, cursor: usize) -> Option<String> {
    let line = line.trim_end().trim_end_matches('?');
    let before = line.get(..cursor.min(line.len())).unwrap_or(line);
    let Some(verb) = line.split_whitespace().next() else { return Some(overview()) };
    let root = Line::command();
    let command = root.find_subcommand(verb)?;
    let start = before.rfind(char::is_whitespace).map_or(0, |space| space + 1);
    let word = line[start..].split(|c: char| c.is_whitespace() || c == '=').next()?;
    let option = command.get_arguments().find(|argument| {
        let long = argument.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        long || argument.get_short().is_some_and(|short| word == format!("-{short}"))
    });
    let Some(option) = option else { return help_on(verb) };
    let text =
        option.get_long_help().or(option.get_help()).map_or(String::new(), ToString::to_string);
    let values: Vec<String> =
        option.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let mut help = format!("{word}\n{text}");
    if !values.is_empty() {
        help += &format!("\nOne of {}.", values.join(", "));
    }
    Some(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_asks_for_help_on_the_verb() {
        let help = help_at("copy?", 5).unwrap();
        assert!(help.contains("bp copy") && help.contains("--chunks"), "{help}");
        assert!(help_at("copy a b --dtype u8", 12).unwrap().starts_with("--dtype\nData type"));
        assert!(help_at("", 0).unwrap().contains("copy"));
        assert_eq!(help_at("nonsense", 3), None);
    }

    #[test]
    fn every_verb_and_option_is_explained() {
        for verb in Line::command().get_subcommands() {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for argument in verb.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
            }
        }
    }
}
