//! The steps of a formula, each there once, made simpler as they come; and their derivatives.

use microgpt_kernels::formula::{Program, Step, naive};
use std::f64::consts::FRAC_2_SQRT_PI;

/// Steps; one is known by its number.
#[derive(Debug, Default)]
pub(super) struct Graph {
    steps: Vec<Step>,
    full: bool,
}

impl Graph {
    /// The number of this step, which is made if there is none like it. Constants are computed, and what changes
    /// nothing is left out.
    pub(super) fn push(&mut self, step: Step) -> u8 {
        use Step::*;
        let constant = |a: u8| match self.steps[usize::from(a)] {
            Number(number) => Some(number),
            _ => None,
        };
        let known = step.operands().all(|a| constant(a).is_some()) && step.operands().next().is_some();
        if known {
            return self.number(naive::step(step, 0.0, 0.0, |a| constant(a).unwrap_or(f64::NAN)));
        }
        match step {
            Add(a, b) if constant(a) == Some(0.0) => return b,
            Add(a, b) | Sub(a, b) if constant(b) == Some(0.0) => return a,
            Sub(a, b) if constant(a) == Some(0.0) => return self.push(Neg(b)),
            Mul(a, b) | Mul(b, a) if constant(a) == Some(1.0) => return b,
            Mul(a, b) | Mul(b, a) if constant(a) == Some(-1.0) => return self.push(Neg(b)),
            Mul(a, _) | Mul(_, a) | Div(a, _) if constant(a) == Some(0.0) => return self.number(0.0),
            Div(a, b) if constant(b) == Some(1.0) => return a,
            // Constants come first, and together.
            Mul(a, b) if constant(b).is_some() => return self.push(Mul(b, a)),
            Mul(a, b) if constant(a).is_some() => {
                if let (Mul(inner, c), Some(outer)) = (self.steps[usize::from(b)], constant(a))
                    && let Some(inner) = constant(inner)
                {
                    let factor = self.number(inner * outer);
                    return self.push(Mul(factor, c));
                }
            }
            Div(a, b) if constant(b).is_some() => {
                let factor = self.number(1.0 / constant(b).unwrap_or(f64::NAN));
                return self.push(Mul(factor, a));
            }
            Add(a, b) => {
                if let Neg(b) = self.steps[usize::from(b)] {
                    return self.push(Sub(a, b));
                }
                if a == b {
                    let two = self.number(2.0);
                    return self.push(Mul(two, a));
                }
            }
            Neg(a) => {
                if let Neg(inner) = self.steps[usize::from(a)] {
                    return inner;
                }
            }
            _ => {}
        }
        self.keep(step)
    }

    fn keep(&mut self, step: Step) -> u8 {
        let found = self.steps.iter().position(|&other| other == step);
        let place = found.unwrap_or_else(|| {
            self.full |= self.steps.len() >= usize::from(u8::MAX);
            if self.full {
                return 0;
            }
            self.steps.push(step);
            self.steps.len() - 1
        });
        place as u8
    }

    /// A constant.
    pub(super) fn number(&mut self, number: f64) -> u8 {
        self.keep(Step::Number(number))
    }

    /// a to the power of b.
    pub(super) fn power(&mut self, a: u8, b: u8) -> u8 {
        use Step::*;
        let Number(exponent) = self.steps[usize::from(b)] else {
            let ln = self.push(Ln(a));
            let product = self.push(Mul(b, ln));
            return self.push(Exp(product));
        };
        if exponent == 0.5 {
            return self.push(Sqrt(a));
        }
        if exponent.fract() != 0.0 || exponent.abs() > 64.0 {
            let ln = self.push(Ln(a));
            let product = self.push(Mul(b, ln));
            return self.push(Exp(product));
        }
        // By squares.
        let (mut result, mut square, mut left) = (self.number(1.0), a, exponent.abs() as u32);
        while left > 0 {
            if left % 2 == 1 {
                result = self.push(Mul(result, square));
            }
            left /= 2;
            if left > 0 {
                square = self.push(Mul(square, square));
            }
        }
        if exponent < 0.0 {
            let one = self.number(1.0);
            return self.push(Div(one, result));
        }
        result
    }

    /// The derivative of step `of` by x or g.
    pub(super) fn derivative(&mut self, of: u8, by: Step) -> u8 {
        use Step::*;
        let (zero, one) = (self.number(0.0), self.number(1.0));
        let mut slopes: Vec<u8> = Vec::new();
        for i in 0..=of {
            let step = self.steps[usize::from(i)];
            let d = |a: u8| slopes[usize::from(a)];
            let slope = match step {
                _ if step == by => one,
                X | G | Number(_) | Positive(_) => zero,
                Add(a, b) => self.push(Add(d(a), d(b))),
                Sub(a, b) => self.push(Sub(d(a), d(b))),
                Mul(a, b) => {
                    let (left, right) = (self.push(Mul(d(a), b)), self.push(Mul(a, d(b))));
                    self.push(Add(left, right))
                }
                Div(a, b) => {
                    // (a' - (a/b) b') / b
                    let part = self.push(Mul(i, d(b)));
                    let top = self.push(Sub(d(a), part));
                    self.push(Div(top, b))
                }
                Max(a, b) => self.choose(a, b, d(a), d(b)),
                Min(a, b) => self.choose(b, a, d(a), d(b)),
                _ => {
                    let Some(a) = step.operands().next() else { unreachable!("{step:?} has an operand") };
                    if d(a) == zero {
                        zero
                    } else {
                        let inner = d(a);
                        let outer = self.slope(step, i, a);
                        self.push(Mul(outer, inner))
                    }
                }
            };
            slopes.push(slope);
        }
        slopes[usize::from(of)]
    }

    /// `da` where a > b, else `db`.
    fn choose(&mut self, a: u8, b: u8, da: u8, db: u8) -> u8 {
        use Step::*;
        let difference = self.push(Sub(a, b));
        let is = self.push(Positive(difference));
        let change = self.push(Sub(da, db));
        let change = self.push(Mul(is, change));
        self.push(Add(change, db))
    }

    /// The derivative of a function of one number, step `i` of operand `a`, by that number.
    fn slope(&mut self, step: Step, i: u8, a: u8) -> u8 {
        use Step::*;
        let one = self.number(1.0);
        match step {
            Neg(_) => self.number(-1.0),
            Exp(_) => i,
            Ln(_) => self.push(Div(one, a)),
            Sqrt(_) => {
                let half = self.number(0.5);
                self.push(Div(half, i))
            }
            Tanh(_) => {
                let square = self.push(Mul(i, i));
                self.push(Sub(one, square))
            }
            Sigmoid(_) => {
                let rest = self.push(Sub(one, i));
                self.push(Mul(i, rest))
            }
            Softplus(_) => self.push(Sigmoid(a)),
            Erf(_) => {
                let square = self.push(Mul(a, a));
                let negative = self.push(Neg(square));
                let (factor, bell) = (self.number(FRAC_2_SQRT_PI), self.push(Exp(negative)));
                self.push(Mul(factor, bell))
            }
            Sin(_) => self.push(Cos(a)),
            Cos(_) => {
                let sine = self.push(Sin(a));
                self.push(Neg(sine))
            }
            // 1 above zero, -1 below, 0 at zero.
            Abs(_) => {
                let negative = self.push(Neg(a));
                let (above, below) = (self.push(Positive(a)), self.push(Positive(negative)));
                self.push(Sub(above, below))
            }
            _ => unreachable!("{step:?} is no function of one number"),
        }
    }

    /// Were there more steps than can be counted?
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    fn needed(&self, outputs: &[u8]) -> Vec<bool> {
        let mut needed = vec![false; self.steps.len()];
        outputs.iter().for_each(|&i| needed[usize::from(i)] = true);
        for i in (0..self.steps.len()).rev() {
            if needed[i] {
                self.steps[i].operands().for_each(|a| needed[usize::from(a)] = true);
            }
        }
        needed
    }

    /// How many steps those take.
    pub(super) fn size(&self, outputs: &[u8]) -> usize {
        self.needed(outputs).into_iter().filter(|&needed| needed).count()
    }

    /// Does `of` depend on that argument?
    pub(super) fn reaches(&self, of: u8, argument: Step) -> bool {
        self.needed(&[of]).into_iter().zip(&self.steps).any(|(needed, &step)| needed && step == argument)
    }

    /// For the engines.
    pub(super) fn program(&self, outputs: &[u8]) -> Program {
        Program::new(&self.steps, outputs)
    }

    /// A step as a formula.
    pub(super) fn text(&self, of: u8) -> String {
        self.write(of).0
    }

    /// That, and how strongly it holds together: 1 a sum, 2 a product, 3 a sign, 4 a power, 5 anything else.
    fn write(&self, of: u8) -> (String, u8) {
        use Step::*;
        let at_least = |a: u8, strength: u8| match self.write(a) {
            (text, found) if found < strength => format!("({text})"),
            (text, _) => text,
        };
        let call = |name: &str, a: u8| (format!("{name}({})", self.text(a)), 5);
        match self.steps[usize::from(of)] {
            X => ("x".into(), 5),
            G => ("g".into(), 5),
            Number(number) => (number.to_string(), if number < 0.0 { 3 } else { 5 }),
            Add(a, b) => (format!("{} + {}", at_least(a, 1), at_least(b, 2)), 1),
            Sub(a, b) => (format!("{} - {}", at_least(a, 1), at_least(b, 2)), 1),
            Mul(a, b) if a == b => (format!("{}^2", at_least(a, 5)), 4),
            Mul(a, b) => (format!("{} * {}", at_least(a, 2), at_least(b, 3)), 2),
            Div(a, b) => (format!("{} / {}", at_least(a, 2), at_least(b, 3)), 2),
            Neg(a) => (format!("-{}", at_least(a, 3)), 3),
            Max(a, b) => (format!("max({}, {})", self.text(a), self.text(b)), 5),
            Min(a, b) => (format!("min({}, {})", self.text(a), self.text(b)), 5),
            Exp(a) => call("exp", a),
            Ln(a) => call("ln", a),
            Sqrt(a) => call("sqrt", a),
            Tanh(a) => call("tanh", a),
            Sigmoid(a) => call("sigmoid", a),
            Softplus(a) => call("softplus", a),
            Erf(a) => call("erf", a),
            Sin(a) => call("sin", a),
            Cos(a) => call("cos", a),
            Abs(a) => call("abs", a),
            Positive(a) => call("positive", a),
        }
    }
}
