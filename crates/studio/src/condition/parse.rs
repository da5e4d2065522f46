//! Text -> condition.

use super::{Expr, FUNCTIONS, Operator};

/// Why a condition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What was expected, what was found.
    pub text: String,
    /// At which character, from 0.
    pub at: usize,
}

/// Deeper than this no condition is nested.
const DEEPEST: usize = 50;
/// A chain is as deep as it is long.
const MOST_OPERATORS: usize = 200;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64, String),
    Name(String),
    Sign(String),
    End,
}

struct Parser {
    /// Each with the character it begins at.
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    operators: usize,
}

pub(super) fn parse(text: &str) -> Result<Expr, Mistake> {
    let mut parser = Parser { tokens: tokens(text), at: 0, depth: 0, operators: 0 };
    let expr = parser.or()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.expected("an operator or the end")),
    }
}

fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let start = i;
        let c = chars[i];
        if c.is_whitespace() {
            i += 1;
        } else if c.is_ascii_digit() || (c == '.' && chars.get(i + 1).is_some_and(char::is_ascii_digit)) {
            while i < chars.len()
                && (chars[i].is_ascii_digit()
                    || chars[i] == '.'
                    || "eE".contains(chars[i])
                    || ("+-".contains(chars[i]) && "eE".contains(chars[i - 1])))
            {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            let token = word.parse().map_or(Token::Sign(word.clone()), |x| Token::Number(x, word));
            tokens.push((start, token));
        } else if c.is_ascii_alphabetic() || c == '_' {
            while i < chars.len() && (chars[i].is_ascii_alphanumeric() || "._".contains(chars[i])) {
                i += 1;
            }
            tokens.push((start, Token::Name(chars[start..i].iter().collect())));
        } else {
            let two: String = chars[i..chars.len().min(i + 2)].iter().collect();
            let sign =
                if ["<=", ">=", "==", "!=", "&&", "||"].contains(&&two[..]) { two } else { c.to_string() };
            i += sign.chars().count();
            tokens.push((start, Token::Sign(sign)));
        }
    }
    tokens.push((chars.len(), Token::End));
    tokens
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn expected(&self, what: &str) -> Mistake {
        self.mistake(format!("expected {what}, found {}", shown(self.peek())))
    }

    fn mistake(&self, text: String) -> Mistake {
        Mistake { text, at: self.tokens[self.at].0 }
    }

    /// Is this word or sign next? Then it is taken.
    fn takes(&mut self, words: &[&str]) -> Option<String> {
        let word = match self.peek() {
            Token::Name(word) | Token::Sign(word) => word.clone(),
            _ => return None,
        };
        words.contains(&&word[..]).then(|| {
            self.next();
            word
        })
    }

    fn must(&mut self, sign: &str, name: &str) -> Result<(), Mistake> {
        self.takes(&[sign]).map(|_| ()).ok_or_else(|| self.expected(name))
    }

    /// One level deeper.
    fn deeper(&mut self, parse: fn(&mut Parser) -> Result<Expr, Mistake>) -> Result<Expr, Mistake> {
        if self.depth == DEEPEST {
            return Err(self.mistake(format!("expected fewer than {DEEPEST} levels, found more")));
        }
        self.depth += 1;
        let expr = parse(self);
        self.depth -= 1;
        expr
    }

    /// Operators of one strength, from left to right.
    fn chain(
        &mut self,
        signs: &[(&str, Operator)],
        part: fn(&mut Parser) -> Result<Expr, Mistake>,
    ) -> Result<Expr, Mistake> {
        let words: Vec<&str> = signs.iter().map(|(sign, _)| *sign).collect();
        let mut left = part(self)?;
        while let Some(word) = self.takes(&words) {
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return Err(self.mistake(format!("expected at most {MOST_OPERATORS} operators, found more")));
            }
            let operator = signs.iter().find(|(sign, _)| *sign == word).map_or(Operator::Or, |(_, o)| *o);
            left = Expr::Two(operator, Box::new(left), Box::new(part(self)?));
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Expr, Mistake> {
        self.chain(&[("or", Operator::Or), ("||", Operator::Or)], Parser::and)
    }

    fn and(&mut self) -> Result<Expr, Mistake> {
        self.chain(&[("and", Operator::And), ("&&", Operator::And)], Parser::not)
    }

    fn not(&mut self) -> Result<Expr, Mistake> {
        if self.takes(&["not", "!"]).is_some() {
            return Ok(Expr::Not(Box::new(self.deeper(Parser::not)?)));
        }
        let left = self.sum()?;
        let signs = [
            ("<", Operator::Less),
            ("<=", Operator::AtMost),
            (">", Operator::More),
            (">=", Operator::AtLeast),
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
        ];
        let Some(word) = self.takes(&signs.map(|(sign, _)| sign)) else { return Ok(left) };
        let operator = signs.iter().find(|(sign, _)| *sign == word).map_or(Operator::Less, |(_, o)| *o);
        Ok(Expr::Two(operator, Box::new(left), Box::new(self.sum()?)))
    }

    fn sum(&mut self) -> Result<Expr, Mistake> {
        self.chain(&[("+", Operator::Add), ("-", Operator::Subtract)], Parser::product)
    }

    fn product(&mut self) -> Result<Expr, Mistake> {
        self.chain(&[("*", Operator::Multiply), ("/", Operator::Divide)], Parser::power)
    }

    fn power(&mut self) -> Result<Expr, Mistake> {
        if self.takes(&["-"]).is_some() {
            return Ok(Expr::Negative(Box::new(self.deeper(Parser::power)?)));
        }
        let base = self.atom()?;
        if self.takes(&["^"]).is_none() {
            return Ok(base);
        }
        Ok(Expr::Two(Operator::Power, Box::new(base), Box::new(self.deeper(Parser::power)?)))
    }

    fn atom(&mut self) -> Result<Expr, Mistake> {
        let expr = match self.peek().clone() {
            Token::Number(x, _) => {
                self.next();
                Expr::Number(x)
            }
            Token::Sign(sign) if sign == "(" => {
                self.next();
                let inner = self.deeper(Parser::or)?;
                self.must(")", ")")?;
                inner
            }
            Token::Name(name) => self.named(&name)?,
            _ => return Err(self.expected("a number, a name or (")),
        };
        self.indexed(expr)
    }

    fn named(&mut self, name: &str) -> Result<Expr, Mistake> {
        let calls = matches!(self.tokens.get(self.at + 1), Some((_, Token::Sign(sign))) if sign == "(");
        if !calls {
            self.next();
            return Ok(match name {
                "step" => Expr::Step,
                "loss" => Expr::Loss,
                "lr" => Expr::Lr,
                _ => Expr::Tensor { name: name.to_string(), grad: false },
            });
        }
        if name == "grad" {
            self.next();
            self.next();
            let Token::Name(of) = self.peek().clone() else {
                return Err(self.expected("the name of a tensor or matrix"));
            };
            self.next();
            let inner = self.indexed(Expr::Tensor { name: of, grad: true })?;
            self.must(")", ")")?;
            return Ok(inner);
        }
        let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).chain(["grad"]).collect();
            return Err(self.expected(&format!("one of {}", known.join(", "))));
        };
        self.next();
        self.next();
        let inner = self.deeper(Parser::or)?;
        self.must(")", ")")?;
        Ok(Expr::Call(*function, Box::new(inner)))
    }

    /// `[row, col]` behind it, if it is there.
    fn indexed(&mut self, expr: Expr) -> Result<Expr, Mistake> {
        if self.takes(&["["]).is_none() {
            return Ok(expr);
        }
        let row = self.index()?;
        self.must(",", "a comma")?;
        let col = self.index()?;
        self.must("]", "]")?;
        Ok(Expr::At(Box::new(expr), row, col))
    }

    fn index(&mut self) -> Result<usize, Mistake> {
        match self.peek() {
            Token::Number(_, word) if word.parse::<usize>().is_ok() => {
                let Token::Number(_, word) = self.next() else { unreachable!("it was a number") };
                Ok(word.parse().unwrap_or_default())
            }
            _ => Err(self.expected("a whole number")),
        }
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Number(_, word) | Token::Name(word) | Token::Sign(word) => word.clone(),
        Token::End => "the end".to_string(),
    }
}
