//! From text to a tree.

use crate::error::{Error, Result, nearest};

/// A number that is written in an expression, or stands for a name. As in numpy, it takes the type of
/// the arrays that it is computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Integer(i128),
    Float(f64),
}

/// What is done to one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Negate,
    Invert,
    Not,
    Abs,
    Sqrt,
    Exp,
    Log,
    Log2,
    Log10,
    Sin,
    Cos,
    Tan,
    Floor,
    Ceil,
    Round,
}

/// What is done to two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    Minimum,
    Maximum,
    BitAnd,
    BitOr,
    BitXor,
    And,
    Or,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

/// A part of an expression and where in the text it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub at: usize,
    /// How many parts are inside each other, itself included.
    pub depth: usize,
    pub kind: NodeKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeKind {
    Literal(Literal),
    /// A name, by its place among the names.
    Name(usize),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    Where(Box<[Node; 3]>),
}

const UNARY: [(&str, Unary); 12] = [
    ("abs", Unary::Abs),
    ("sqrt", Unary::Sqrt),
    ("exp", Unary::Exp),
    ("log", Unary::Log),
    ("log2", Unary::Log2),
    ("log10", Unary::Log10),
    ("sin", Unary::Sin),
    ("cos", Unary::Cos),
    ("tan", Unary::Tan),
    ("floor", Unary::Floor),
    ("ceil", Unary::Ceil),
    ("round", Unary::Round),
];

/// Functions of two values; of `min` and `max` also of more.
const BINARY: [(&str, Binary); 3] =
    [("min", Binary::Minimum), ("max", Binary::Maximum), ("pow", Binary::Power)];

const CONSTANTS: [(&str, Literal); 6] = [
    ("pi", Literal::Float(std::f64::consts::PI)),
    ("e", Literal::Float(std::f64::consts::E)),
    ("inf", Literal::Float(f64::INFINITY)),
    ("nan", Literal::Float(f64::NAN)),
    ("True", Literal::Bool(true)),
    ("False", Literal::Bool(false)),
];

/// Operators by how tightly they bind, the loosest first; within a level, a symbol before its own
/// beginning.
const LEVELS: [&[(&str, Binary)]; 8] = [
    &[("or", Binary::Or)],
    &[("and", Binary::And)],
    &[
        ("<=", Binary::LessEqual),
        (">=", Binary::GreaterEqual),
        ("==", Binary::Equal),
        ("!=", Binary::NotEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
    ],
    &[("|", Binary::BitOr)],
    &[("^", Binary::BitXor)],
    &[("&", Binary::BitAnd)],
    &[("+", Binary::Add), ("-", Binary::Subtract)],
    &[
        ("//", Binary::FloorDivide),
        ("*", Binary::Multiply),
        ("/", Binary::Divide),
        ("%", Binary::Remainder),
    ],
];

/// The level of comparisons, above which `not` binds.
const COMPARISON: usize = 2;
/// How deep parentheses and operations may nest, so that no text exhausts the stack.
const DEPTH: usize = 100;

/// The functions that an expression may call.
pub(super) fn functions() -> Vec<&'static str> {
    let unary = UNARY.iter().map(|(name, _)| *name);
    unary.chain(BINARY.iter().map(|(name, _)| *name)).chain(["where"]).collect()
}

/// The tree of a text, and the names in it in the order in which they first occur.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<String>)> {
    let mut parser = Parser { text, at: 0, names: Vec::new(), depth: 0 };
    let node = parser.operation(0)?;
    match parser.rest().chars().next() {
        None => Ok((node, parser.names)),
        Some(odd) => Err(parser.error(parser.at, format!("unexpected '{odd}'"))),
    }
}

/// An error at a place of an expression.
pub(super) fn error_at(text: &str, at: usize, what: impl std::fmt::Display) -> Error {
    let column = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
    Error::argument(format!("{what} at position {column} of expression '{text}'"))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    names: Vec<String>,
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, at: usize, what: impl std::fmt::Display) -> Error {
        error_at(self.text, at, what)
    }

    /// What has not been read yet, from the next symbol on.
    fn rest(&mut self) -> &str {
        let rest = &self.text[self.at..];
        self.at = self.text.len() - rest.trim_start().len();
        &self.text[self.at..]
    }

    /// Takes a symbol; a word only as a whole.
    fn take(&mut self, symbol: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(symbol) else { return false };
        if is_word(symbol) && after.starts_with(is_name_part) {
            return false;
        }
        self.at += symbol.len();
        true
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.take(symbol) {
            return Ok(());
        }
        let found = match self.rest().chars().next() {
            Some(odd) => format!("'{odd}'"),
            None => "the end".to_string(),
        };
        Err(self.error(self.at, format!("expected '{symbol}' but found {found}")))
    }

    /// The operator that comes next, with its level and symbol.
    fn operator(&mut self) -> Option<(usize, &'static str, Binary)> {
        let rest = self.rest();
        // `**` binds more tightly than anything and is taken there.
        if rest.starts_with("**") {
            return None;
        }
        let all = LEVELS.iter().enumerate().flat_map(|(level, operators)| {
            operators.iter().map(move |(symbol, operator)| (level, *symbol, *operator))
        });
        let is_next = |(_, symbol, _): &(usize, &str, Binary)| {
            let after = rest.strip_prefix(symbol);
            after.is_some_and(|after| !is_word(symbol) || !after.starts_with(is_name_part))
        };
        all.into_iter().find(is_next)
    }

    /// A value with the operators behind it that bind at least as tightly as those of a level.
    fn operation(&mut self, lowest: usize) -> Result<Node> {
        self.rest();
        let at = self.at;
        let mut node = if lowest <= COMPARISON && self.take("not") {
            let node = self.nested(|parser| parser.operation(COMPARISON))?;
            self.node(at, NodeKind::Unary(Unary::Not, Box::new(node)))?
        } else {
            self.unary()?
        };
        let mut compared = false;
        while let Some((level, symbol, operator)) = self.operator()
            && level >= lowest
        {
            let at = self.at;
            if level == COMPARISON && compared {
                return Err(self
                    .error(at, "a second comparison")
                    .fix("Join comparisons with 'and', as in 'a < b and b < c'."));
            }
            compared = level == COMPARISON;
            self.at += symbol.len();
            let other = self.nested(|parser| parser.operation(level + 1))?;
            node = self.node(at, NodeKind::Binary(operator, Box::new(node), Box::new(other)))?;
        }
        Ok(node)
    }

    /// Joins parts to a larger one.
    fn node(&self, at: usize, kind: NodeKind) -> Result<Node> {
        let depth = 1 + match &kind {
            NodeKind::Literal(_) | NodeKind::Name(_) => 0,
            NodeKind::Unary(_, of) => of.depth,
            NodeKind::Binary(_, a, b) => a.depth.max(b.depth),
            NodeKind::Where(parts) => parts.iter().map(|part| part.depth).max().unwrap_or(0),
        };
        if depth > DEPTH {
            return Err(self.too_deep(at));
        }
        Ok(Node { at, depth, kind })
    }

    fn too_deep(&self, at: usize) -> Error {
        self.error(at, format!("more than {DEPTH} operations inside each other"))
            .fix("Compute parts of the expression first.")
    }

    fn unary(&mut self) -> Result<Node> {
        self.rest();
        let at = self.at;
        if self.take("+") {
            return self.nested(Self::unary);
        }
        for (symbol, operator) in [("-", Unary::Negate), ("~", Unary::Invert)] {
            if self.take(symbol) {
                let node = self.nested(Self::unary)?;
                return self.node(at, NodeKind::Unary(operator, Box::new(node)));
            }
        }
        let base = self.primary()?;
        self.rest();
        let at = self.at;
        if !self.take("**") {
            return Ok(base);
        }
        let exponent = self.nested(Self::unary)?;
        self.node(at, NodeKind::Binary(Binary::Power, Box::new(base), Box::new(exponent)))
    }

    fn nested(&mut self, read: impl Fn(&mut Self) -> Result<Node>) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.too_deep(self.at));
        }
        let node = read(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node> {
        let first = self.rest().chars().next();
        let at = self.at;
        match first {
            Some('(') => {
                self.at += 1;
                let node = self.nested(|parser| parser.operation(0))?;
                self.expect(")")?;
                Ok(node)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => {
                let number = self.number()?;
                self.node(at, NodeKind::Literal(number))
            }
            Some(c) if is_name_part(c) => self.word(),
            Some(odd) => Err(self.error(at, format!("expected a value but found '{odd}'"))),
            None => Err(self.error(at, "expected a value but found the end")),
        }
    }

    fn number(&mut self) -> Result<Literal> {
        let rest = &self.text[self.at..];
        let mut len = 0;
        for (place, c) in rest.char_indices() {
            let signs_exponent = matches!(c, '+' | '-') && rest[..place].ends_with(['e', 'E']);
            if !(c.is_ascii_alphanumeric() || c == '.' || signs_exponent) {
                break;
            }
            len = place + c.len_utf8();
        }
        let digits = &rest[..len];
        let integer = digits.parse().map(Literal::Integer).ok();
        let number = integer.or_else(|| digits.parse().map(Literal::Float).ok());
        let number =
            number.ok_or_else(|| self.error(self.at, format!("'{digits}' is not a number")))?;
        self.at += len;
        Ok(number)
    }

    /// A name, a constant or a call.
    fn word(&mut self) -> Result<Node> {
        let at = self.at;
        let rest = &self.text[at..];
        let word = &rest[..rest.find(|c| !is_name_part(c)).unwrap_or(rest.len())];
        self.at += word.len();
        if self.take("(") {
            return self.call(word, at);
        }
        if ["and", "or", "not"].contains(&word) {
            return Err(self.error(at, format!("expected a value but found '{word}'")));
        }
        if functions().contains(&word) {
            return Err(self.error(at, format!("function '{word}' without arguments")));
        }
        if let Some((_, literal)) = CONSTANTS.iter().find(|(name, _)| *name == word) {
            return self.node(at, NodeKind::Literal(*literal));
        }
        let known = self.names.iter().position(|name| name == word);
        let name = known.unwrap_or_else(|| {
            self.names.push(word.to_string());
            self.names.len() - 1
        });
        self.node(at, NodeKind::Name(name))
    }

    fn call(&mut self, name: &str, at: usize) -> Result<Node> {
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.nested(|parser| parser.operation(0))?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let count = arguments.len();
        let wrong = |expected: &str| {
            let what = format!("function '{name}' takes {expected}, not {count},");
            Err(self.error(at, what))
        };
        if let Some((_, operator)) = UNARY.iter().find(|(known, _)| *known == name) {
            return match <[Node; 1]>::try_from(arguments) {
                Ok([node]) => self.node(at, NodeKind::Unary(*operator, Box::new(node))),
                Err(_) => wrong("1 argument"),
            };
        }
        if let Some((_, operator)) = BINARY.iter().find(|(known, _)| *known == name) {
            if count < 2 || count > 2 && *operator == Binary::Power {
                return wrong(if *operator == Binary::Power { "2 arguments" } else { "2 or more" });
            }
            let mut arguments = arguments.into_iter();
            let first = arguments.next().ok_or_else(|| Error::internal("a call of nothing"))?;
            return arguments.try_fold(first, |a, b| {
                self.node(at, NodeKind::Binary(*operator, Box::new(a), Box::new(b)))
            });
        }
        if name == "where" {
            return match <[Node; 3]>::try_from(arguments) {
                Ok(nodes) => self.node(at, NodeKind::Where(Box::new(nodes))),
                Err(_) => wrong("3 arguments"),
            };
        }
        let known = functions();
        let meant = nearest(name, known.iter().copied())
            .map_or(String::new(), |meant| format!("Did you mean '{meant}'? "));
        Err(self
            .error(at, format!("unknown function '{name}'"))
            .fix(format!("{meant}Functions are {}.", known.join(", "))))
    }
}

fn is_word(symbol: &str) -> bool {
    symbol.starts_with(is_name_part)
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
