//! Reads a cell's text: which lines are commands, and whether it is complete.

use jupyter_protocol::IsCompleteReplyStatus;

/// A part of a cell, run in the order in which it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Rust, and commands of evcxr. Blank lines stand for what precedes it, so that the compiler
    /// counts lines as the user does.
    Rust(String),
    /// A line of the `bp` language, without its `%bp`.
    Bp(String),
    /// `?name` or `%bp verb?`: help, shown in the pager.
    Help(Topic),
}

/// What help is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A Rust expression or path.
    Rust(String),
    /// A line of the `bp` language.
    Bp(String),
    /// The kernel itself.
    Kernel,
}

/// Splits a cell into its steps.
///
/// # Errors
/// A line starts with a magic that does not exist: says which.
pub fn steps(code: &str) -> Result<Vec<Step>, String> {
    if let Some(rest) = code.trim_start().strip_prefix("%%bp")
        && rest.chars().next().is_none_or(char::is_whitespace)
    {
        let lines = rest.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        return Ok(lines.map(bp).collect());
    }
    let scan = Scan::of(code);
    let mut steps = Vec::new();
    let mut rust = String::new();
    for (number, line) in code.split_inclusive('\n').enumerate() {
        let command = if scan.commands.contains(&number) { line.trim() } else { "" };
        let step = if let Some(rest) = magic(command) {
            bp(rest)
        } else if let Some(name) = command.strip_prefix('?') {
            let name = name.trim();
            Step::Help(match magic(name) {
                Some(line) => Topic::Bp(line.to_owned()),
                None if name.is_empty() => Topic::Kernel,
                None => Topic::Rust(name.to_owned()),
            })
        } else if command == ":help" {
            Step::Help(Topic::Kernel)
        } else if command.starts_with('%') {
            let name = command.split_whitespace().next().unwrap_or(command);
            return Err(format!("There is no magic {name} here: there are %bp and %%bp."));
        } else {
            rust.push_str(line);
            continue;
        };
        flush(&mut rust, &mut steps);
        steps.push(step);
        rust.extend(std::iter::repeat_n('\n', number + 1));
    }
    flush(&mut rust, &mut steps);
    Ok(steps)
}

fn flush(rust: &mut String, steps: &mut Vec<Step>) {
    let code = std::mem::take(rust);
    if !code.trim().is_empty() {
        steps.push(Step::Rust(code));
    }
}

fn bp(line: &str) -> Step {
    let line = line.trim();
    match line.strip_suffix('?') {
        Some(line) => Step::Help(Topic::Bp(line.trim_end().to_owned())),
        None => Step::Bp(line.to_owned()),
    }
}

/// The command behind `%bp`, if the line is one.
pub fn magic(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("%bp")?;
    rest.chars().next().is_none_or(char::is_whitespace).then_some(rest)
}

/// Whether the line with the byte `position` is a command, and where its `bp` text starts.
pub fn bp_line_at(code: &str, position: usize) -> Option<(usize, &str)> {
    let start = code[..position].rfind('\n').map_or(0, |newline| newline + 1);
    let end = code[position..].find('\n').map_or(code.len(), |newline| position + newline);
    let line = &code[start..end];
    if code.trim_start().starts_with("%%bp") && magic(&line.replacen("%%", "%", 1)).is_none() {
        return Some((start, line));
    }
    let text = magic(line).or_else(|| line.trim_start().strip_prefix("%%bp"))?;
    let offset = start + line.len() - text.len();
    // In `%b|p` there is no command yet.
    (position >= offset).then_some((offset, text))
}

/// The cell with its command lines blanked out, byte for byte, so that offsets stay.
pub fn only_rust(code: &str) -> String {
    let scan = Scan::of(code);
    let mut rust = String::with_capacity(code.len());
    for (number, line) in code.split_inclusive('\n').enumerate() {
        if scan.commands.contains(&number) && !line.trim_start().starts_with(':') {
            let text = line.trim_end_matches('\n');
            rust.extend(std::iter::repeat_n(' ', text.len()));
            rust.push_str(&line[text.len()..]);
        } else {
            rust.push_str(line);
        }
    }
    rust
}

/// Whether the text can be run as it stands, and how the next line would be indented.
pub fn completeness(code: &str) -> (IsCompleteReplyStatus, String) {
    if code.trim_start().starts_with("%%bp") {
        return (IsCompleteReplyStatus::Complete, String::new());
    }
    let scan = Scan::of(code);
    if scan.mismatch {
        return (IsCompleteReplyStatus::Invalid, String::new());
    }
    if scan.open.is_empty() && scan.mode == Mode::Code && !scan.expects_more {
        return (IsCompleteReplyStatus::Complete, String::new());
    }
    // Text that goes on inside a literal must not be shifted.
    let depth = if scan.mode == Mode::Code { scan.open.len() } else { 0 };
    (IsCompleteReplyStatus::Incomplete, "    ".repeat(depth))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Code,
    String,
    RawString { hashes: usize },
    BlockComment { depth: usize },
}

/// What a pass over the text finds. Not a parser: just enough of Rust's tokens to know what is
/// open at the end, and which lines stand outside everything.
struct Scan {
    mode: Mode,
    open: Vec<u8>,
    mismatch: bool,
    /// The text ends with an operator that needs a right side.
    expects_more: bool,
    /// Lines (from 0) that are commands: outside all brackets and literals, starting with `%`,
    /// `:` or `?`.
    commands: Vec<usize>,
}

impl Scan {
    fn of(code: &str) -> Scan {
        let mut scan = Scan {
            mode: Mode::Code,
            open: Vec::new(),
            mismatch: false,
            expects_more: false,
            commands: Vec::new(),
        };
        let text = code.as_bytes();
        let (mut at, mut line, mut line_start) = (0, 0, true);
        let mut last: [u8; 2] = [b';'; 2];
        while at < text.len() {
            if line_start && scan.mode == Mode::Code && scan.open.is_empty() {
                let rest = code[at..].lines().next().unwrap_or_default();
                let first = rest.trim_start();
                let command = first.starts_with(['%', '?'])
                    || (first.starts_with(':') && !first.starts_with("::"));
                if command {
                    scan.commands.push(line);
                    last = [b';'; 2];
                    at += rest.len();
                }
            }
            line_start = false;
            let Some(&byte) = text.get(at) else { break };
            if byte == b'\n' {
                line += 1;
                line_start = true;
            }
            let comment = text[at..].starts_with(b"//") || text[at..].starts_with(b"/*");
            if scan.mode == Mode::Code && !byte.is_ascii_whitespace() && !comment {
                last = [last[1], byte];
            }
            let skipped = scan.step(text, at);
            // A string's newlines count as well.
            let newlines = text[at + 1..(at + skipped).min(text.len())].iter();
            line += newlines.filter(|&&byte| byte == b'\n').count();
            at += skipped;
        }
        scan.expects_more = match last {
            [b'.', b'.'] => false,
            [_, byte] => b"=+-*/|^&,.<".contains(&byte),
        };
        scan
    }

    /// Reads the token at `at`; says how many bytes it took.
    fn step(&mut self, text: &[u8], at: usize) -> usize {
        let rest = &text[at..];
        match self.mode {
            Mode::String => match rest {
                [b'\\', _, ..] => 2,
                [b'"', ..] => self.enter(Mode::Code, 1),
                _ => 1,
            },
            Mode::RawString { hashes } => {
                let closing = rest[0] == b'"'
                    && rest.len() > hashes
                    && rest[1..=hashes].iter().all(|&byte| byte == b'#');
                if closing { self.enter(Mode::Code, 1 + hashes) } else { 1 }
            }
            Mode::BlockComment { depth } => match rest {
                [b'*', b'/', ..] if depth == 1 => self.enter(Mode::Code, 2),
                [b'*', b'/', ..] => self.enter(Mode::BlockComment { depth: depth - 1 }, 2),
                [b'/', b'*', ..] => self.enter(Mode::BlockComment { depth: depth + 1 }, 2),
                _ => 1,
            },
            Mode::Code => self.code(text, at),
        }
    }

    fn code(&mut self, text: &[u8], at: usize) -> usize {
        let rest = &text[at..];
        match rest {
            [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => self.enter(Mode::BlockComment { depth: 1 }, 2),
            [b'"', ..] => self.enter(Mode::String, 1),
            [b'r', ..]
                if !at.checked_sub(1).is_some_and(|before| is_word_before_raw(text, before)) =>
            {
                let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
                if rest.get(1 + hashes) == Some(&b'"') {
                    self.enter(Mode::RawString { hashes }, 2 + hashes)
                } else {
                    1
                }
            }
            [b'\'', b'\\', ..] => {
                // An escape such as '\'' or '\u{1F600}'.
                let end = rest.iter().skip(3).position(|&byte| byte == b'\'' || byte == b'\n');
                end.map_or(rest.len(), |end| end + 4)
            }
            [b'\'', first, ..] => {
                let width = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    0xc0.. => 2,
                    _ => 1,
                };
                // Without the closing quote it is a lifetime.
                if rest.get(1 + width) == Some(&b'\'') { 2 + width } else { 1 }
            }
            [open @ (b'(' | b'[' | b'{'), ..] => {
                self.open.push(*open);
                1
            }
            [close @ (b')' | b']' | b'}'), ..] => {
                let expected = match close {
                    b')' => b'(',
                    b']' => b'[',
                    _ => b'{',
                };
                self.mismatch |= self.open.pop() != Some(expected);
                1
            }
            _ => 1,
        }
    }

    fn enter(&mut self, mode: Mode, length: usize) -> usize {
        self.mode = mode;
        length
    }
}

/// Whether the `r` after the byte at `before` is the end of a name rather than a raw string;
/// `br"` and `cr"` are raw strings as well.
fn is_word_before_raw(text: &[u8], before: usize) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match text[before] {
        b'b' | b'c' => before.checked_sub(1).is_some_and(|earlier| word(text[earlier])),
        byte => word(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IsCompleteReplyStatus::{Complete, Incomplete, Invalid};

    fn rust(code: &str) -> Step {
        Step::Rust(code.to_owned())
    }

    fn bp(line: &str) -> Step {
        Step::Bp(line.to_owned())
    }

    #[test]
    fn commands_and_rust_keep_their_order_and_lines() {
        let code = "let a = 1;\n%bp info x.zarr\na + 1\n%bp runs";
        let expected = [rust("let a = 1;\n"), bp("info x.zarr"), rust("\n\na + 1\n"), bp("runs")];
        assert_eq!(steps(code).unwrap(), expected);
    }

    #[test]
    fn text_inside_literals_and_brackets_is_rust() {
        for code in [
            "let s = \"\n%bp runs\n\";",
            "let s = r#\"\n%bp runs \"\n\"#;",
            "/* \n%bp runs\n*/ 1",
            "let n = (5\n%bp);",
        ] {
            assert_eq!(steps(code).unwrap(), [rust(code)], "{code}");
        }
    }

    #[test]
    fn a_bp_cell_is_commands_only() {
        let code = "%%bp\n# look first\ninfo a.tif\n\ncopy a.tif \"b c.zarr\"\n";
        assert_eq!(steps(code).unwrap(), [bp("info a.tif"), bp("copy a.tif \"b c.zarr\"")]);
    }

    #[test]
    fn quotes_in_commands_open_nothing() {
        let code = "%bp info it's.tif\nlet a = 1;";
        assert_eq!(steps(code).unwrap(), [bp("info it's.tif"), rust("\nlet a = 1;")]);
    }

    #[test]
    fn help_has_three_forms_and_a_failing_operator_is_not_one() {
        assert_eq!(steps("%bp copy?").unwrap(), [Step::Help(Topic::Bp("copy".into()))]);
        assert_eq!(steps("?Vec::push").unwrap(), [Step::Help(Topic::Rust("Vec::push".into()))]);
        assert_eq!(steps(":help").unwrap(), [Step::Help(Topic::Kernel)]);
        assert_eq!(steps("read()?").unwrap(), [rust("read()?")]);
    }

    #[test]
    fn an_unknown_magic_is_named() {
        assert!(steps("%timeit 1").unwrap_err().contains("%timeit"));
        assert!(steps("%bpx").unwrap_err().contains("%bpx"));
    }

    #[test]
    fn complete_incomplete_and_invalid() {
        for code in [
            "",
            "1",
            "let a = 'x';",
            "let s = \"a { b\";",
            "fn f<'a>(x: &'a str) -> &'a str { x }",
            "// just a note (",
            "%bp copy a b",
            "%%bp\ncopy (",
            ":dep x = { version = \"1\" }",
            "let q = '\\'';",
            "let r = r#\"a \" b\"#;",
            "let b = br\"\\\";",
            "&v[1..]",
            "'é'",
            "/* a /* b */ c */",
            "let n = 1; // and =",
            "let c = '+'",
        ] {
            assert_eq!(completeness(code).0, Complete, "{code}");
        }
        for (code, indent) in [
            ("fn f() {", "    "),
            ("vec![(1,", "        "),
            ("let s = \"abc", ""),
            ("let s = r#\"abc\"", ""),
            ("/* open", ""),
            ("let a =", ""),
            ("a +", ""),
        ] {
            assert_eq!(completeness(code), (Incomplete, indent.to_owned()), "{code}");
        }
        for code in ["fn f() )", "(]", "}"] {
            assert_eq!(completeness(code).0, Invalid, "{code}");
        }
    }

    #[test]
    fn blanking_commands_keeps_offsets() {
        let code = "let é = 1;\n%bp info é.tif\né";
        let blank = only_rust(code);
        assert_eq!(blank.len(), code.len());
        assert!(blank.starts_with("let é = 1;\n   ") && blank.ends_with("\né"));
    }

    #[test]
    fn the_command_at_a_position_is_found() {
        let code = "a;\n%bp copy x";
        assert_eq!(bp_line_at(code, code.len()), Some((6, " copy x")));
        assert_eq!(bp_line_at(code, 1), None);
        assert_eq!(bp_line_at("%%bp\nrun", 8), Some((5, "run")));
    }
}
