//! What was entered in this session.

use jupyter_protocol::{HistoryEntry, HistoryReply, HistoryRequest};

/// The only session there is: nothing is kept beyond the process.
const SESSION: usize = 1;

struct Entry {
    line: usize,
    input: String,
    output: String,
}

/// The cells that were run and stored, oldest first.
#[derive(Default)]
pub struct History(Vec<Entry>);

impl History {
    /// Adds a cell that was run as number `line`.
    pub fn push(&mut self, line: usize, input: String, output: String) {
        self.0.push(Entry { line, input, output });
    }

    /// Answers a request.
    pub fn reply(&self, request: &HistoryRequest) -> HistoryReply {
        let (entries, with_output): (Vec<&Entry>, bool) = match request {
            HistoryRequest::Tail { n, output, .. } => (last(self.0.iter().collect(), *n), *output),
            HistoryRequest::Range { session, start, stop, output, .. } => {
                (self.range(session.unwrap_or(0), *start, *stop), *output)
            }
            HistoryRequest::Search { pattern, unique, output, n, .. } => {
                (last(self.search(pattern, *unique), *n), *output)
            }
        };
        let entry = |entry: &Entry| {
            if with_output {
                let pair = (entry.input.clone(), entry.output.clone());
                HistoryEntry::InputOutput(SESSION, entry.line, pair)
            } else {
                HistoryEntry::Input(SESSION, entry.line, entry.input.clone())
            }
        };
        HistoryReply::new(entries.into_iter().map(entry).collect())
    }

    fn range(&self, session: i32, start: i32, stop: i32) -> Vec<&Entry> {
        // 0 is the current session, -1 the one before it, which is not kept.
        if session != 0 && usize::try_from(session) != Ok(SESSION) {
            return Vec::new();
        }
        let bound = |bound: i32| usize::try_from(bound).unwrap_or(0);
        let lines = bound(start)..bound(stop);
        self.0.iter().filter(|entry| lines.contains(&entry.line)).collect()
    }

    fn search(&self, pattern: &str, unique: bool) -> Vec<&Entry> {
        let pattern: Vec<char> = pattern.chars().collect();
        let mut found: Vec<&Entry> = Vec::new();
        for entry in &self.0 {
            if glob(&pattern, &entry.input.chars().collect::<Vec<_>>()) {
                if unique {
                    found.retain(|earlier| earlier.input != entry.input);
                }
                found.push(entry);
            }
        }
        found
    }
}

fn last(mut entries: Vec<&Entry>, n: i32) -> Vec<&Entry> {
    let n = usize::try_from(n).unwrap_or(0);
    entries.drain(..entries.len().saturating_sub(n));
    entries
}

/// Whether `text` as a whole matches `pattern`, where `*` is any run and `?` any one character.
fn glob(pattern: &[char], text: &[char]) -> bool {
    // Greedy with one point to go back to: linear for patterns as people type them.
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(reply: HistoryReply) -> Vec<(usize, String)> {
        let entry = |entry| match entry {
            HistoryEntry::Input(_, line, input) => (line, input),
            HistoryEntry::InputOutput(_, line, (input, output)) => {
                (line, format!("{input} -> {output}"))
            }
        };
        reply.history.into_iter().map(entry).collect()
    }

    fn history() -> History {
        let mut history = History::default();
        for (index, input) in ["let a = 1;", "a", "a", "let b = a;"].into_iter().enumerate() {
            history.push(index + 1, input.to_owned(), "1".to_owned());
        }
        history
    }

    #[test]
    fn tail_gives_the_last_ones_in_order() {
        let reply = history().reply(&HistoryRequest::Tail { n: 2, output: true, raw: true });
        assert_eq!(inputs(reply), [(3, "a -> 1".to_owned()), (4, "let b = a; -> 1".to_owned())]);
    }

    #[test]
    fn range_excludes_its_end_and_other_sessions() {
        let range = |session| HistoryRequest::Range {
            session: Some(session),
            start: 1,
            stop: 3,
            output: false,
            raw: true,
        };
        let own = [(1, "let a = 1;".to_owned()), (2, "a".to_owned())];
        assert_eq!(inputs(history().reply(&range(0))), own);
        assert_eq!(inputs(history().reply(&range(1))), own);
        assert!(history().reply(&range(-1)).history.is_empty());
    }

    #[test]
    fn search_is_a_glob_over_the_whole_input() {
        let search = |pattern: &str, unique, n| HistoryRequest::Search {
            pattern: pattern.to_owned(),
            unique,
            output: false,
            raw: true,
            n,
        };
        let lines = |request| {
            inputs(history().reply(&request)).into_iter().map(|(line, _)| line).collect::<Vec<_>>()
        };
        assert_eq!(lines(search("let*", false, 10)), [1, 4]);
        assert_eq!(lines(search("*a*", false, 2)), [3, 4]);
        assert_eq!(lines(search("?", true, 10)), [3]);
        assert!(lines(search("et", false, 10)).is_empty());
    }
}
