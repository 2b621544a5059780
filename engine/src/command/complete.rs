//! Completion: verbs, options, their values, paths and runs, from the definition of the language.

use super::{Line, config};
use crate::config::slurm::SLURM_KEYS;
use crate::config::{Config, KEYS};
use crate::run::registry;
use crate::source::zarr::Codec;
use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use serde::Serialize;
use std::path::Path;

/// What may stand at a place in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Completion {
    /// First byte of the line that a match replaces.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What may stand there.
    pub matches: Vec<Match>,
}

/// One possibility.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Match {
    /// The text.
    pub text: String,
    /// `verb`, `option`, `value`, `path` or `run`.
    pub kind: &'static str,
    /// What it means; empty where there is nothing to say.
    pub help: String,
}

/// What may stand where the cursor is, which is a byte of the line.
pub fn complete(line: &str, cursor: usize) -> Completion {
    let before = line.get(..cursor).unwrap_or(line);
    let (words, mut start, mut typed) = words(before);
    let root = Line::command();
    let mut matches = Vec::new();
    let (scope, arguments) = scope(&root, &words);
    let wanted = words.last().filter(|_| !words.is_empty()).and_then(|word| value_of(scope, word));
    if let Some(argument) = wanted {
        values(argument, arguments, &typed, &mut matches);
    } else if typed.starts_with('-') {
        match typed.split_once('=') {
            Some((option, value)) => {
                start += option.len() + 1;
                if let Some(argument) = value_of(scope, option) {
                    values(argument, arguments, value, &mut matches);
                }
                typed = value.to_owned();
            }
            None => options(scope, &words, &mut matches),
        }
    } else {
        let taken = positionals_taken(scope, arguments);
        verbs(scope, &mut matches, taken);
        let mut positionals = scope.get_positionals();
        let last = scope.get_positionals().last();
        let repeated = last.filter(|argument| matches!(argument.get_action(), ArgAction::Append));
        if let Some(argument) = positionals.nth(taken).or(repeated) {
            values(argument, arguments, &typed, &mut matches);
        }
    }
    matches.retain(|found| found.text.starts_with(&typed));
    for found in matches.iter_mut().filter(|found| found.kind == "path") {
        found.text = quote(&found.text);
    }
    Completion { start, end: before.len(), matches }
}

/// What may be typed where a value of this argument is meant.
pub fn for_argument(argument: &Arg, typed: &str) -> Vec<Match> {
    let mut matches = Vec::new();
    values(argument, &[], typed, &mut matches);
    matches.retain(|found| found.text.starts_with(typed));
    matches
}

/// The whole words before the cursor, where the word at the cursor starts, and what it says so far.
fn words(before: &str) -> (Vec<String>, usize, String) {
    let mut words = Vec::new();
    let (mut start, mut word, mut in_word) = (0, String::new(), false);
    let mut quote = None;
    let mut letters = before.char_indices();
    while let Some((at, letter)) = letters.next() {
        if !in_word && !letter.is_whitespace() {
            (start, in_word) = (at, true);
        }
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None | Some('"'), '\\') => word.extend(letters.next().map(|(_, letter)| letter)),
            (None, _) if letter.is_whitespace() => {
                if std::mem::take(&mut in_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    if !in_word {
        start = before.len();
    }
    (words, start, word)
}

/// The verb that the words belong to, and the words after its name.
fn scope<'a, 'w>(root: &'a Command, words: &'w [String]) -> (&'a Command, &'w [String]) {
    let (mut scope, mut rest) = (root, words);
    while let Some((first, after)) = rest.split_first()
        && let Some(verb) = scope.find_subcommand(first)
    {
        (scope, rest) = (verb, after);
    }
    (scope, rest)
}

/// The option of this name, if it takes a value.
fn value_of<'a>(scope: &'a Command, option: &str) -> Option<&'a Arg> {
    let long = option.strip_prefix("--")?;
    scope
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long))
        .filter(|argument| argument.get_action().takes_values())
}

fn positionals_taken(scope: &Command, words: &[String]) -> usize {
    let mut taken = 0;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if value_of(scope, word).is_some() {
            words.next();
        } else if !word.starts_with('-') {
            taken += 1;
        }
    }
    taken
}

fn verbs(scope: &Command, matches: &mut Vec<Match>, taken: usize) {
    if taken == 0 {
        let verbs = scope.get_subcommands().filter(|verb| !verb.is_hide_set());
        matches.extend(verbs.map(|verb| Match {
            text: verb.get_name().to_owned(),
            kind: "verb",
            help: verb.get_about().map_or(String::new(), ToString::to_string),
        }));
    }
}

fn options(scope: &Command, words: &[String], matches: &mut Vec<Match>) {
    let longs = scope.get_arguments().filter_map(|argument| {
        let text = format!("--{}", argument.get_long()?);
        let help = argument.get_help().map_or(String::new(), ToString::to_string);
        Some(Match { text, kind: "option", help })
    });
    matches.extend(longs.filter(|option| !words.contains(&option.text)));
}

/// What an argument may be, behind these words of its verb.
fn values(argument: &Arg, before: &[String], typed: &str, matches: &mut Vec<Match>) {
    let value = |text: &str, help: &str| Match {
        text: text.to_owned(),
        kind: "value",
        help: help.to_owned(),
    };
    for possible in argument.get_possible_values() {
        let help = possible.get_help().map_or(String::new(), ToString::to_string);
        matches.push(value(possible.get_name(), &help));
    }
    match (argument.get_id().as_str(), argument.get_value_hint()) {
        (_, ValueHint::AnyPath | ValueHint::FilePath) => paths(typed, matches),
        ("run", _) => {
            let root = Config::load().unwrap_or_default().run_root();
            let run = |text| Match { text, kind: "run", help: String::new() };
            matches.extend(registry::names(&root).into_iter().map(run));
            matches.push(Match { help: "the latest run".into(), ..run("last".into()) });
        }
        ("codec", _) => matches.extend(Codec::CHOICES.iter().map(|codec| value(codec, ""))),
        ("block_shape", _) => matches.push(value("auto", "chosen from the arrays' grids")),
        ("keys", _) => {
            let key = |name: &str, help| value(&format!("{name}="), help);
            match before.first() {
                Some(first) if first == config::SLURM => {
                    matches.extend(SLURM_KEYS.iter().map(|one| key(one.name, one.help)));
                }
                first => {
                    matches.extend(KEYS.iter().map(|one| key(one.name, one.help)));
                    if first.is_none() {
                        matches.push(value(config::SLURM, "defaults for the cluster"));
                    }
                }
            }
        }
        ("verb", _) => verbs(&Line::command(), matches, 0),
        _ => {}
    }
}

fn paths(typed: &str, matches: &mut Vec<Match>) {
    let (folder, _) = typed
        .rsplit_once('/')
        .map_or(("", typed), |_| typed.split_at(typed.rfind('/').map_or(0, |slash| slash + 1)));
    let place = match (folder.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ if folder.is_empty() => Path::new(".").to_owned(),
        _ => Path::new(folder).to_owned(),
    };
    let Ok(entries) = place.read_dir() else { return };
    let mut found: Vec<Match> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            if name.starts_with('.') && !typed.ends_with('.') {
                return None;
            }
            let slash = if entry.path().is_dir() { "/" } else { "" };
            let text = format!("{folder}{name}{slash}");
            Some(Match { text, kind: "path", help: String::new() })
        })
        .collect();
    found.sort_by(|a, b| a.text.cmp(&b.text));
    matches.extend(found);
}

/// Quotes a path where a shell would need it; `~` must stay outside the quotes.
fn quote(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some("") | None => shell_words::quote(path).into_owned(),
        Some(rest) => format!("~/{}", shell_words::quote(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        complete(line, line.len()).matches.into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn verbs_options_and_values_are_offered_where_they_may_stand() {
        assert_eq!(texts("co"), ["copy", "compare", "config"]);
        assert_eq!(texts("copy a b --chu"), ["--chunks"]);
        assert_eq!(texts("copy a b --backend s"), ["subprocess", "slurm"]);
        assert_eq!(texts("copy a b --backend=sl"), ["slurm"]);
        assert_eq!(texts("runs g"), ["gc"]);
        assert_eq!(texts("config wo"), ["workers="]);
        assert_eq!(texts("config sl"), ["slurm"]);
        assert_eq!(texts("config slurm par"), ["partition="]);
        assert_eq!(texts("config slurm gpus=1 me"), ["mem=", "memory="]);
        assert!(texts("copy a b --chunks ").is_empty());
        assert!(texts("copy a b ").is_empty());
        assert!(!texts("copy a b --quiet --").contains(&"--quiet".to_owned()));
        assert!(texts("").contains(&"help".to_owned()));
    }

    #[test]
    fn a_match_replaces_the_word_up_to_the_cursor() {
        let line = "copy a b --backend=loc --quiet";
        let found = complete(line, 22);
        assert_eq!(&line[found.start..found.end], "loc");
        assert_eq!(found.matches[0].text, "local");
    }

    #[test]
    fn paths_are_quoted_and_folders_end_in_a_slash() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("my data.zarr")).unwrap();
        std::fs::write(folder.path().join("mist.tif"), b"").unwrap();
        let base = folder.path().display();
        assert_eq!(
            texts(&format!("info {base}/m")),
            [format!("{base}/mist.tif"), format!("'{base}/my data.zarr/'")]
        );
        let line = format!("copy x '{base}/my d");
        let found = complete(&line, line.len());
        assert_eq!((found.start, found.matches.len()), (7, 1));
    }
}
