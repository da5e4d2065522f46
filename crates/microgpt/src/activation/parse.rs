//! From text to steps, by recursive descent.
//!
//! ```text
//! sum     = product  { (+ | -) product }
//! product = sign     { (* | /) sign }
//! sign    = (+ | -) sign  |  power
//! power   = atom     [ (^ | **) sign ]
//! atom    = number | x | g | pi | e | function ( sum [, sum] ) | ( sum )
//! ```

use super::Named;
use super::graph::Graph;
use crate::choices::{Choice, nearest};
use crate::error::Error;
use microgpt_kernels::formula::Step;

/// A function's name, what it is, and its step.
type Function = (&'static str, &'static str, fn(u8) -> Step);

/// The functions of one number.
pub const FUNCTIONS: [Function; 13] = [
    ("exp", "e to the x", Step::Exp),
    ("ln", "the natural logarithm", Step::Ln),
    ("log", "the same", Step::Ln),
    ("sqrt", "the square root", Step::Sqrt),
    ("tanh", "the hyperbolic tangent", Step::Tanh),
    ("sigmoid", "1 / (1 + exp(-x))", Step::Sigmoid),
    ("softplus", "ln(1 + exp(x))", Step::Softplus),
    ("erf", "the error function", Step::Erf),
    ("sin", "the sine", Step::Sin),
    ("cos", "the cosine", Step::Cos),
    ("abs", "without the sign", Step::Abs),
    ("positive", "1 above 0, else 0", Step::Positive),
    ("neg", "-x", Step::Neg),
];

/// Brackets within brackets.
const MOST_DEPTH: usize = 64;

/// Reads all of `text` into `graph`; the number of the last step.
pub(super) fn parse(text: &str, graph: &mut Graph) -> Result<u8, Error> {
    let x = graph.push(Step::X);
    let mut parser = Parser { text, place: 0, depth: 0, x, graph };
    let value = parser.sum()?;
    match parser.next() {
        None => Ok(value),
        Some(_) => Err(parser.expected("an operator or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    place: usize,
    depth: usize,
    /// What x stands for: the argument, where a formula of the list is used as a function.
    x: u8,
    graph: &'a mut Graph,
}

impl<'a> Parser<'a> {
    /// What is left, without leading spaces.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.place..];
        let trimmed = rest.trim_start();
        self.place += rest.len() - trimmed.len();
        trimmed
    }

    fn next(&mut self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes past `token`, if it stands here.
    fn take(&mut self, token: &str) -> bool {
        let here = self.rest().starts_with(token);
        if here {
            self.place += token.len();
        }
        here
    }

    /// The letters, digits and `_` from here on.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    }

    fn expected(&mut self, what: &str) -> Error {
        let found = match (self.word(), self.next()) {
            (_, None) => "the end".to_string(),
            ("", Some(c)) => format!("`{}`", c.escape_debug()),
            (word, _) => format!("`{word}`"),
        };
        self.error(&format!("expected {what}, found {found}"))
    }

    fn error(&self, what: &str) -> Error {
        let before = self.text[..self.place].chars().count();
        // A line break in the formula would tear the mark from its place.
        let text: String = self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Error::config(format!("{what}\n  {text}\n  {}^", " ".repeat(before)))
    }

    fn sum(&mut self) -> Result<u8, Error> {
        let mut left = self.product()?;
        loop {
            if self.take("+") {
                let right = self.product()?;
                left = self.graph.push(Step::Add(left, right));
            } else if self.take("-") {
                let right = self.product()?;
                left = self.graph.push(Step::Sub(left, right));
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<u8, Error> {
        let mut left = self.sign()?;
        loop {
            if self.take("*") {
                let right = self.sign()?;
                left = self.graph.push(Step::Mul(left, right));
            } else if self.take("/") {
                let right = self.sign()?;
                left = self.graph.push(Step::Div(left, right));
            } else {
                return Ok(left);
            }
        }
    }

    fn sign(&mut self) -> Result<u8, Error> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.error("expected fewer brackets and signs within each other"));
        }
        let value = if self.take("-") {
            let value = self.sign()?;
            self.graph.push(Step::Neg(value))
        } else if self.take("+") {
            self.sign()?
        } else {
            self.power()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn power(&mut self) -> Result<u8, Error> {
        let base = self.atom()?;
        if self.take("^") || self.take("**") {
            let exponent = self.sign()?;
            return Ok(self.graph.power(base, exponent));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<u8, Error> {
        if self.take("(") {
            let value = self.sum()?;
            return if self.take(")") { Ok(value) } else { Err(self.expected(") or an operator")) };
        }
        match self.next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() => self.name(),
            _ => Err(self.expected("a number, x, g, a function or (")),
        }
    }

    fn number(&mut self) -> Result<u8, Error> {
        let rest = self.rest();
        let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
        let mut end = digits(rest);
        // An exponent, if digits follow.
        if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let count = digits(&exponent[sign..]);
            if count > 0 {
                end += 1 + sign + count;
            }
        }
        match rest[..end].parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.place += end;
                Ok(self.graph.number(number))
            }
            _ => Err(self.error(&format!("expected a number, found `{}`", &rest[..end]))),
        }
    }

    fn name(&mut self) -> Result<u8, Error> {
        let (word, start) = (self.word(), self.place);
        self.place += word.len();
        let value = match word {
            "x" => self.x,
            "g" => self.graph.push(Step::G),
            "pi" => self.graph.number(std::f64::consts::PI),
            "e" => self.graph.number(std::f64::consts::E),
            "max" | "min" => {
                let (a, b) = self.two_arguments(word)?;
                self.graph.push(if word == "max" { Step::Max(a, b) } else { Step::Min(a, b) })
            }
            _ => {
                let function = FUNCTIONS.iter().find(|(name, ..)| *name == word);
                let listed = Named::ALL.iter().find(|named| named.name() == word);
                if function.is_none() && listed.is_none() {
                    self.place = start;
                    return Err(self.unknown(word));
                }
                if !self.take("(") {
                    return Err(self.expected(&format!("( and the argument of {word}")));
                }
                let argument = self.sum()?;
                if !self.take(")") {
                    return Err(self.expected(") or an operator"));
                }
                match (function, listed) {
                    (Some((_, _, step)), _) => self.graph.push(step(argument)),
                    (_, Some(named)) => {
                        let text = named.formula_text();
                        Parser { text, place: 0, depth: self.depth, x: argument, graph: self.graph }.sum()?
                    }
                    _ => unreachable!("{word} is one or the other"),
                }
            }
        };
        Ok(value)
    }

    fn two_arguments(&mut self, word: &str) -> Result<(u8, u8), Error> {
        if !self.take("(") {
            return Err(self.expected(&format!("( and the arguments of {word}")));
        }
        let a = self.sum()?;
        if !self.take(",") {
            return Err(self.expected(&format!(", and the second argument of {word}")));
        }
        let b = self.sum()?;
        if self.take(")") { Ok((a, b)) } else { Err(self.expected(") or an operator")) }
    }

    fn unknown(&mut self, word: &str) -> Error {
        let listed = Named::ALL.iter().map(|named| named.name());
        let names: Vec<&str> =
            FUNCTIONS.iter().map(|(name, ..)| *name).chain(["max", "min", "pi"]).chain(listed).collect();
        let hint = nearest(word, &names).map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
        let called = self.text[self.place + word.len()..].trim_start().starts_with('(');
        let what = if called { "a function" } else { "x, g, pi, e or a function" };
        self.error(&format!("expected {what}, found `{word}`{hint}"))
    }
}
