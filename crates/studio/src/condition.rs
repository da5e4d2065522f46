//! Conditions to stop at, such as `abs(grad(layer0.attn_wq)) > 1`: read once, asked after every step or operation.
//!
//! ```text
//! or    := and ("or" and)*              a comparison of tensors holds if it does for any of their numbers
//! and   := not ("and" not)*             || && ! are the same as or, and, not
//! not   := "not" not | sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)?
//! sum   := product (("+" | "-") product)*
//! product := power (("*" | "/") power)*
//! power := "-" power | atom ("^" power)?
//! atom  := (number | step | loss | lr | name | grad(name) | function(or) | (or)) ("[" row "," col "]")?
//! ```

use microgpt::Error;
use microgpt::op::Shape;
use microgpt::train::Step;

mod evaluate;
mod parse;

pub use parse::Mistake;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    root: Expr,
}

/// Looks a tensor or matrix up by its name: its numbers, or their gradients.
pub type Lookup<'a> = dyn FnMut(&str, bool) -> Option<(Shape, Vec<f64>)> + 'a;

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Number(f64),
    Step,
    Loss,
    Lr,
    Tensor { name: String, grad: bool },
    At(Box<Expr>, usize, usize),
    Call(Function, Box<Expr>),
    Negative(Box<Expr>),
    Not(Box<Expr>),
    Two(Operator, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Abs,
    Sqrt,
    Exp,
    Ln,
    Max,
    Min,
    Sum,
    Mean,
    Norm,
    Any,
    All,
}

const FUNCTIONS: [(&str, Function); 11] = [
    ("abs", Function::Abs),
    ("sqrt", Function::Sqrt),
    ("exp", Function::Exp),
    ("ln", Function::Ln),
    ("max", Function::Max),
    ("min", Function::Min),
    ("sum", Function::Sum),
    ("mean", Function::Mean),
    ("norm", Function::Norm),
    ("any", Function::Any),
    ("all", Function::All),
];

impl Condition {
    /// What the text says.
    ///
    /// # Errors
    /// What was expected, what was found, and at which character.
    pub fn parse(text: &str) -> Result<Condition, Mistake> {
        Ok(Condition { root: parse::parse(text)? })
    }

    /// Does it hold now?
    ///
    /// # Errors
    /// A name that nothing has, or shapes that do not fit.
    pub fn holds(&self, lookup: &mut Lookup<'_>, step: &Step) -> Result<bool, Error> {
        let mut missing = None;
        let held = self.holds_so_far(lookup, step, &mut missing)?;
        match missing {
            Some(name) => Err(Error::config(format!("until: expected a tensor or matrix, found {name:?}"))),
            None => Ok(held),
        }
    }

    /// The same where some tensors are not there yet: then it does not hold, and `missing` has the name of one.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn holds_so_far(
        &self,
        lookup: &mut Lookup<'_>,
        step: &Step,
        missing: &mut Option<String>,
    ) -> Result<bool, Error> {
        let value = evaluate::evaluate(&self.root, lookup, step, missing)?;
        Ok(value.is_some_and(|value| value.numbers.iter().any(|&x| x != 0.0)))
    }

    /// The names that it asks for.
    pub fn names(&self) -> Vec<&str> {
        let (mut names, mut open) = (Vec::new(), vec![&self.root]);
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Tensor { name, .. } => names.push(&name[..]),
                Expr::At(a, ..) | Expr::Call(_, a) | Expr::Negative(a) | Expr::Not(a) => open.push(a),
                Expr::Two(_, a, b) => open.extend([&**a, &**b]),
                Expr::Number(_) | Expr::Step | Expr::Loss | Expr::Lr => {}
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Result<bool, String> {
        let mut lookup = |name: &str, grad: bool| match (name, grad) {
            ("layer0.attn_wq", false) => Some((Shape::new(2, 2), vec![1.0, -2.0, 3.0, 0.5])),
            ("layer0.attn_wq", true) => Some((Shape::new(2, 2), vec![0.1, -0.2, 0.0, f64::NAN])),
            ("wte", _) => Some((Shape::new(1, 3), vec![1.0, 2.0, 3.0])),
            _ => None,
        };
        let condition =
            Condition::parse(text).map_err(|mistake| format!("{}: {}", mistake.at, mistake.text))?;
        let step = Step { step: 7, loss: 2.5, lr: 0.01 };
        condition.holds(&mut lookup, &step).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_are_what_they_say() {
        for (text, held) in [
            ("abs(grad(layer0.attn_wq)) > 0.15", true),
            ("abs(grad(layer0.attn_wq)) > 1", false),
            ("layer0.attn_wq < -1.5", true),
            ("all(layer0.attn_wq > 0)", false),
            ("all(wte > 0) and any(wte == 2)", true),
            ("layer0.attn_wq[1, 0] == 3", true),
            ("grad(layer0.attn_wq)[0, 1] == -0.2", true),
            ("grad(layer0.attn_wq[0, 1]) == -0.2", true),
            ("max(wte) - min(wte) == 2 && mean(wte) == 2 && sum(wte) == 6", true),
            ("abs(norm(wte) - sqrt(14)) < 1e-12", true),
            ("step >= 7 and loss < 3 and lr == 1e-2", true),
            ("not (step == 7) || false_", false),
            ("!(step == 8)", true),
            ("2 ^ 3 ^ 2 == 512 and -2 ^ 2 == -4", true),
            ("1 + 2 * 3 == 7 and (1 + 2) * 3 == 9 and 8 / 4 / 2 == 1", true),
            ("exp(ln(2)) > 1.99", true),
            ("step", true),
            ("0", false),
            ("wte * 2 == wte + wte", true),
        ] {
            match (text.contains("false_"), holds(text)) {
                (true, found) => assert!(found.unwrap_err().contains("found \"false_\"")),
                (false, found) => assert_eq!(found, Ok(held), "{text}"),
            }
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, error) in [
            ("", "0: expected a number, a name or (, found the end"),
            ("abs(grad(wte)) >", "16: expected a number, a name or (, found the end"),
            ("abs(grad(wte) > 1", "17: expected ), found the end"),
            ("1 2", "2: expected an operator or the end, found 2"),
            ("wte[1]", "5: expected a comma, found ]"),
            (
                "foo(1)",
                "0: expected one of abs, sqrt, exp, ln, max, min, sum, mean, norm, any, all, grad, found foo",
            ),
            ("grad(1)", "5: expected the name of a tensor or matrix, found 1"),
            ("a § b", "2: expected an operator or the end, found §"),
        ] {
            assert_eq!(holds(text), Err(error.to_string()), "{text}");
        }
        let deep = "(".repeat(10_000) + "1";
        assert!(holds(&deep).unwrap_err().contains("fewer"), "no stack is that deep");
        assert!(holds(&"-".repeat(10_000)).is_err() && holds(&"!".repeat(10_000)).is_err());
        assert!(holds(&("1".to_string() + &"^1".repeat(10_000))).is_err());
        assert_eq!(
            holds("wte > layer0.attn_wq"),
            Err("expected tables of one shape, found [1, 3] and [2, 2]".into())
        );
        assert_eq!(holds("wte[5, 0] > 1"), Err("expected a place in [1, 3], found [5, 0]".into()));
    }
}
