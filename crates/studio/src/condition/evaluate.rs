//! Condition -> value. A comparison is 1 where it holds and 0 elsewhere.

use super::{Expr, Function, Lookup, Operator};
use microgpt::Error;
use microgpt::op::Shape;
use microgpt::train::Step;

pub(super) struct Value {
    shape: Shape,
    pub(super) numbers: Vec<f64>,
}

impl Value {
    fn one(x: f64) -> Value {
        Value { shape: Shape::new(1, 1), numbers: vec![x] }
    }

    fn is_one(&self) -> bool {
        self.numbers.len() == 1
    }
}

/// None where a tensor is missing.
pub(super) fn evaluate(
    expr: &Expr,
    lookup: &mut Lookup<'_>,
    step: &Step,
    missing: &mut Option<String>,
) -> Result<Option<Value>, Error> {
    let mut of = |expr: &Expr| evaluate(expr, lookup, step, missing);
    Ok(Some(match expr {
        Expr::Number(x) => Value::one(*x),
        Expr::Step => Value::one(step.step as f64),
        Expr::Loss => Value::one(step.loss),
        Expr::Lr => Value::one(step.lr),
        Expr::Tensor { name, grad } => match lookup(name, *grad) {
            Some((shape, numbers)) => Value { shape, numbers },
            None => {
                *missing = Some(name.clone());
                return Ok(None);
            }
        },
        Expr::At(inner, row, col) => {
            let Some(Value { shape, numbers }) = of(inner)? else { return Ok(None) };
            if *row >= shape.rows || *col >= shape.cols {
                return Err(Error::config(format!("expected a place in {shape}, found [{row}, {col}]")));
            }
            Value::one(numbers[row * shape.cols + col])
        }
        Expr::Negative(inner) => match of(inner)? {
            Some(value) => each(value, |x| -x),
            None => return Ok(None),
        },
        Expr::Not(inner) => match of(inner)? {
            Some(value) => Value::one(truth(!value.numbers.iter().any(|&x| x != 0.0))),
            None => return Ok(None),
        },
        Expr::Call(function, inner) => match of(inner)? {
            Some(value) => call(*function, value),
            None => return Ok(None),
        },
        Expr::Two(operator, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
            two(*operator, a, b)?
        }
    }))
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn each(mut value: Value, f: impl Fn(f64) -> f64) -> Value {
    value.numbers.iter_mut().for_each(|x| *x = f(*x));
    value
}

fn call(function: Function, value: Value) -> Value {
    let xs = &value.numbers;
    Value::one(match function {
        Function::Abs => return each(value, f64::abs),
        Function::Sqrt => return each(value, f64::sqrt),
        Function::Exp => return each(value, f64::exp),
        Function::Ln => return each(value, f64::ln),
        Function::Max => xs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Function::Min => xs.iter().copied().fold(f64::INFINITY, f64::min),
        Function::Sum => xs.iter().sum(),
        Function::Mean => xs.iter().sum::<f64>() / xs.len() as f64,
        Function::Norm => xs.iter().map(|x| x * x).sum::<f64>().sqrt(),
        Function::Any => truth(xs.iter().any(|&x| x != 0.0)),
        Function::All => truth(xs.iter().all(|&x| x != 0.0)),
    })
}

fn two(operator: Operator, a: Value, b: Value) -> Result<Value, Error> {
    let any = |value: &Value| value.numbers.iter().any(|&x| x != 0.0);
    let f: fn(f64, f64) -> f64 = match operator {
        Operator::And => return Ok(Value::one(truth(any(&a) && any(&b)))),
        Operator::Or => return Ok(Value::one(truth(any(&a) || any(&b)))),
        Operator::Add => |a, b| a + b,
        Operator::Subtract => |a, b| a - b,
        Operator::Multiply => |a, b| a * b,
        Operator::Divide => |a, b| a / b,
        Operator::Power => f64::powf,
        Operator::Less => |a, b| truth(a < b),
        Operator::AtMost => |a, b| truth(a <= b),
        Operator::More => |a, b| truth(a > b),
        Operator::AtLeast => |a, b| truth(a >= b),
        Operator::Equal => |a, b| truth(a == b),
        Operator::Unequal => |a, b| truth(a != b),
    };
    if b.is_one() {
        let b = b.numbers[0];
        return Ok(each(a, |a| f(a, b)));
    }
    if a.is_one() {
        let a = a.numbers[0];
        return Ok(each(b, |b| f(a, b)));
    }
    if a.shape != b.shape {
        return Err(Error::config(format!(
            "expected tables of one shape, found {} and {}",
            a.shape, b.shape
        )));
    }
    let numbers = a.numbers.iter().zip(&b.numbers).map(|(&a, &b)| f(a, b)).collect();
    Ok(Value { shape: a.shape, numbers })
}
