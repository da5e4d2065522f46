//! A formula of one or two numbers as a list of steps, for functions that have no kernel of their own.
//!
//! A step computes one number from the numbers of steps before it. Over slices, each step runs through a block of
//! numbers that stays in the nearest cache before the next step does: to choose a step costs little beside computing
//! it. sin and cos go number by number.

use crate::math;
use crate::vector::Vector;

/// One step; what it works on are numbers of earlier steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// x, the first argument.
    X,
    /// g, the second.
    G,
    /// A constant.
    Number(f64),
    /// a + b.
    Add(u8, u8),
    /// a - b.
    Sub(u8, u8),
    /// a b.
    Mul(u8, u8),
    /// a / b.
    Div(u8, u8),
    /// The larger; NaN if one is.
    Max(u8, u8),
    /// The smaller; NaN if one is.
    Min(u8, u8),
    /// -a.
    Neg(u8),
    /// e^a.
    Exp(u8),
    /// The natural logarithm.
    Ln(u8),
    /// The square root.
    Sqrt(u8),
    /// The hyperbolic tangent.
    Tanh(u8),
    /// 1 / (1 + e^-a).
    Sigmoid(u8),
    /// ln(1 + e^a).
    Softplus(u8),
    /// 2/sqrt(pi) times the integral of e^-t^2 from 0 to a.
    Erf(u8),
    /// The sine.
    Sin(u8),
    /// The cosine.
    Cos(u8),
    /// Without its sign.
    Abs(u8),
    /// 1 where a > 0, else 0.
    Positive(u8),
}

impl Step {
    /// The steps whose numbers it needs.
    pub fn operands(self) -> impl Iterator<Item = u8> {
        use Step::*;
        let (a, b) = match self {
            X | G | Number(_) => (None, None),
            Add(a, b) | Sub(a, b) | Mul(a, b) | Div(a, b) | Max(a, b) | Min(a, b) => (Some(a), Some(b)),
            Neg(a) | Exp(a) | Ln(a) | Sqrt(a) | Tanh(a) | Sigmoid(a) | Softplus(a) | Erf(a) | Sin(a)
            | Cos(a) | Abs(a) | Positive(a) => (Some(a), None),
        };
        a.into_iter().chain(b)
    }

    /// The same step on other operands.
    pub fn map(self, place: impl Fn(u8) -> u8) -> Step {
        use Step::*;
        match self {
            X | G | Number(_) => self,
            Add(a, b) => Add(place(a), place(b)),
            Sub(a, b) => Sub(place(a), place(b)),
            Mul(a, b) => Mul(place(a), place(b)),
            Div(a, b) => Div(place(a), place(b)),
            Max(a, b) => Max(place(a), place(b)),
            Min(a, b) => Min(place(a), place(b)),
            Neg(a) => Neg(place(a)),
            Exp(a) => Exp(place(a)),
            Ln(a) => Ln(place(a)),
            Sqrt(a) => Sqrt(place(a)),
            Tanh(a) => Tanh(place(a)),
            Sigmoid(a) => Sigmoid(place(a)),
            Softplus(a) => Softplus(place(a)),
            Erf(a) => Erf(place(a)),
            Sin(a) => Sin(place(a)),
            Cos(a) => Cos(place(a)),
            Abs(a) => Abs(place(a)),
            Positive(a) => Positive(place(a)),
        }
    }
}

/// At most so many steps.
pub const MOST_STEPS: usize = 128;

/// Steps, and which of their numbers are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    steps: Vec<Step>,
    outputs: Vec<u8>,
}

impl Program {
    /// Those of `steps` that `outputs` need.
    ///
    /// # Panics
    /// If a step or an output needs the number of one that does not stand before it, or more than [`MOST_STEPS`] are
    /// needed.
    pub fn new(steps: &[Step], outputs: &[u8]) -> Program {
        let mut needed = vec![false; steps.len()];
        outputs.iter().for_each(|&i| needed[usize::from(i)] = true);
        for i in (0..steps.len()).rev() {
            for operand in steps[i].operands().map(usize::from) {
                assert!(operand < i, "formula: step {i} needs step {operand}");
                needed[operand] |= needed[i];
            }
        }
        let mut places = vec![0; steps.len()];
        let mut kept = Vec::new();
        for i in (0..steps.len()).filter(|&i| needed[i]) {
            places[i] = kept.len() as u8;
            kept.push(steps[i].map(|operand| places[usize::from(operand)]));
        }
        assert!(kept.len() <= MOST_STEPS, "formula: {} steps, at most {MOST_STEPS}", kept.len());
        Program { steps: kept, outputs: outputs.iter().map(|&i| places[usize::from(i)]).collect() }
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// The definition, one number at a time in f64.
pub mod naive {
    use super::{MOST_STEPS, Program, Step};

    /// One step, where `of` knows the numbers before it.
    pub fn step(step: Step, x: f64, g: f64, of: impl Fn(u8) -> f64) -> f64 {
        match step {
            Step::X => x,
            Step::G => g,
            Step::Number(number) => number,
            Step::Add(a, b) => of(a) + of(b),
            Step::Sub(a, b) => of(a) - of(b),
            Step::Mul(a, b) => of(a) * of(b),
            Step::Div(a, b) => of(a) / of(b),
            Step::Max(a, b) if of(b) > of(a) || of(b).is_nan() => of(b),
            Step::Min(a, b) if of(b) < of(a) || of(b).is_nan() => of(b),
            Step::Max(a, _) | Step::Min(a, _) => of(a),
            Step::Neg(a) => -of(a),
            Step::Exp(a) => of(a).exp(),
            Step::Ln(a) => of(a).ln(),
            Step::Sqrt(a) => of(a).sqrt(),
            Step::Tanh(a) => of(a).tanh(),
            Step::Sigmoid(a) => 1.0 / (1.0 + (-of(a)).exp()),
            Step::Softplus(a) => of(a).max(0.0) + (-of(a).abs()).exp().ln_1p(),
            Step::Erf(a) => erf(of(a)),
            Step::Sin(a) => of(a).sin(),
            Step::Cos(a) => of(a).cos(),
            Step::Abs(a) => of(a).abs(),
            Step::Positive(a) => f64::from(of(a) > 0.0),
        }
    }

    /// Output number `output` of the program.
    pub fn eval(program: &Program, output: usize, x: f64, g: f64) -> f64 {
        let mut numbers = [0.0; MOST_STEPS];
        for (i, &this) in program.steps.iter().enumerate() {
            numbers[i] = step(this, x, g, |operand| numbers[usize::from(operand)]);
        }
        numbers[usize::from(program.outputs[output])]
    }

    /// The error function, by its series without alternating signs: `2/sqrt(pi) e^-x^2 sum of 2^n x^(2n+1) / (2n+1)!!`.
    pub fn erf(x: f64) -> f64 {
        if x.is_nan() || x.abs() > 6.0 {
            return x.clamp(-1.0, 1.0);
        }
        let (mut term, mut sum, mut n) = (x, 0.0, 1.0);
        while sum + term != sum {
            sum += term;
            n += 2.0;
            term *= 2.0 * x * x / n;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
    }
}

/// `y[i] = f(x[i], g[i])`, f the program's first output. Without a second argument, g is empty.
///
/// # Panics
/// If the lengths differ.
pub fn forward(program: &Program, y: &mut [f32], x: &[f32], g: &[f32]) {
    assert!(y.len() == x.len() && (g.is_empty() || g.len() == x.len()), "formula: lengths differ");
    forward_simd(program, y, x, g)
}

/// `dx[i] += dy[i] f_x(x[i], g[i])` and `dg[i] += dy[i] f_g(x[i], g[i])`, where the program's outputs are f_x and f_g.
/// Without a second argument, g and dg are empty.
///
/// # Panics
/// If the lengths differ.
pub fn backward(program: &Program, dx: &mut [f32], dg: &mut [f32], dy: &[f32], x: &[f32], g: &[f32]) {
    assert!(dx.len() == x.len() && dy.len() == x.len(), "formula: lengths differ");
    assert!(dg.len() == g.len() && (g.is_empty() || g.len() == x.len()), "formula: lengths differ");
    backward_simd(program, dx, dg, dy, x, g)
}

/// Numbers that are worked on at a time, all steps together: half of the nearest cache.
const SCRATCH: usize = 4096;

/// How many numbers a block has: whole registers of every level.
fn width(program: &Program) -> usize {
    (SCRATCH / program.steps.len().max(1) / 16 * 16).min(256)
}

simd! { fn forward_simd(program: &Program, y: &mut [f32], x: &[f32], g: &[f32]) = forward_body; }
#[inline(always)]
fn forward_body<V: Vector>(program: &Program, y: &mut [f32], x: &[f32], g: &[f32]) {
    let (width, mut scratch) = (width(program), [0.0; SCRATCH]);
    for (i, y) in y.chunks_mut(width).enumerate() {
        let here = i * width..i * width + y.len();
        run::<V>(&program.steps, &mut scratch, width, &x[here.clone()], g.get(here).unwrap_or(&[]));
        y.copy_from_slice(&scratch[usize::from(program.outputs[0]) * width..][..y.len()]);
    }
}

simd! {
    fn backward_simd(program: &Program, dx: &mut [f32], dg: &mut [f32], dy: &[f32], x: &[f32], g: &[f32])
        = backward_body;
}
#[inline(always)]
fn backward_body<V: Vector>(
    program: &Program,
    dx: &mut [f32],
    dg: &mut [f32],
    dy: &[f32],
    x: &[f32],
    g: &[f32],
) {
    let (width, mut scratch) = (width(program), [0.0; SCRATCH]);
    for start in (0..x.len()).step_by(width) {
        let here = start..x.len().min(start + width);
        run::<V>(&program.steps, &mut scratch, width, &x[here.clone()], g.get(here.clone()).unwrap_or(&[]));
        let slope = |output: usize| &scratch[usize::from(program.outputs[output]) * width..][..here.len()];
        add_product::<V>(&mut dx[here.clone()], &dy[here.clone()], slope(0));
        if !g.is_empty() {
            add_product::<V>(&mut dg[here.clone()], &dy[here.clone()], slope(1));
        }
    }
}

/// y += a b.
#[inline(always)]
fn add_product<V: Vector>(y: &mut [f32], a: &[f32], b: &[f32]) {
    for ((y, a), b) in y.chunks_mut(V::LANES).zip(a.chunks(V::LANES)).zip(b.chunks(V::LANES)) {
        V::read(a).fma(V::read(b), V::read(y)).write(y);
    }
}

/// All steps over one block; the numbers of step i stand in `scratch[i * width..]`. Behind the end of x are zeros.
#[inline(always)]
fn run<V: Vector>(steps: &[Step], scratch: &mut [f32], width: usize, x: &[f32], g: &[f32]) {
    // A block at the end is often short: whole registers of it are enough.
    let len = x.len().next_multiple_of(V::LANES);
    for (i, &step) in steps.iter().enumerate() {
        let (before, to) = scratch.split_at_mut(i * width);
        let to = &mut to[..len];
        let of = |operand: u8| &before[usize::from(operand) * width..][..len];
        // Macros, for a long closure is not inlined, and loses the instructions of its level.
        macro_rules! one {
            ($a:expr, $x:ident => $f:expr) => {
                for (to, a) in to.chunks_exact_mut(V::LANES).zip(of($a).chunks_exact(V::LANES)) {
                    let $x = V::read(a);
                    $f.write(to);
                }
            };
        }
        macro_rules! two {
            ($a:expr, $b:expr, $x:ident, $y:ident => $f:expr) => {
                for ((to, a), b) in to
                    .chunks_exact_mut(V::LANES)
                    .zip(of($a).chunks_exact(V::LANES))
                    .zip(of($b).chunks_exact(V::LANES))
                {
                    let ($x, $y) = (V::read(a), V::read(b));
                    $f.write(to);
                }
            };
        }
        match step {
            Step::X => copy(to, x),
            Step::G => copy(to, g),
            Step::Number(number) => to.fill(number as f32),
            Step::Add(a, b) => two!(a, b, a, b => (a + b)),
            Step::Sub(a, b) => two!(a, b, a, b => (a - b)),
            Step::Mul(a, b) => two!(a, b, a, b => (a * b)),
            Step::Div(a, b) => two!(a, b, a, b => (a / b)),
            Step::Max(a, b) => two!(a, b, a, b => b.if_nan(b, V::if_gt(b, a, b, a))),
            Step::Min(a, b) => two!(a, b, a, b => b.if_nan(b, V::if_gt(a, b, b, a))),
            Step::Neg(a) => one!(a, a => (V::zero() - a)),
            Step::Exp(a) => one!(a, a => math::exp(a)),
            Step::Ln(a) => one!(a, a => math::ln(a)),
            Step::Sqrt(a) => one!(a, a => a.sqrt()),
            Step::Tanh(a) => one!(a, a => math::tanh(a)),
            Step::Sigmoid(a) => one!(a, a => math::sigmoid(a)),
            Step::Softplus(a) => one!(a, a => math::softplus(a)),
            Step::Erf(a) => one!(a, a => math::erf(a)),
            Step::Sin(a) => to.iter_mut().zip(of(a)).for_each(|(to, a)| *to = a.sin()),
            Step::Cos(a) => to.iter_mut().zip(of(a)).for_each(|(to, a)| *to = a.cos()),
            Step::Abs(a) => one!(a, a => a.abs()),
            Step::Positive(a) => one!(a, a => V::if_gt(a, V::zero(), V::splat(1.0), V::zero())),
        }
    }
}

fn copy(to: &mut [f32], from: &[f32]) {
    let (to, behind) = to.split_at_mut(from.len());
    to.copy_from_slice(from);
    behind.fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};
    use Step::*;

    /// Every step, each feeding on what keeps its argument where the function is defined.
    fn every_step() -> Vec<Step> {
        let ones =
            [Neg(0), Exp(0), Tanh(0), Sigmoid(0), Softplus(0), Erf(0), Sin(0), Cos(0), Abs(0), Positive(0)];
        let twos = [Add(0, 1), Sub(0, 1), Mul(0, 1), Max(0, 1), Min(0, 1)];
        let mut steps = vec![X, G, Number(0.25)];
        steps.extend(ones);
        steps.extend(twos);
        let positive = steps.len() as u8; // e^x + 0.25
        steps.extend([Add(4, 2), Ln(positive), Sqrt(positive), Div(0, positive)]);
        steps
    }

    #[test]
    fn every_step_is_its_definition_at_every_level_and_length() {
        let steps = every_step();
        at_each(|level| {
            for output in 0..steps.len() as u8 {
                let program = Program::new(&steps, &[output]);
                for n in [0, 1, 15, 16, 17, 255, 300, 1500] {
                    let (x, g) = (numbers(n, 1), numbers(n, 2));
                    let x: Vec<f32> = x.iter().map(|x| 4.0 * x).collect();
                    let mut y = vec![7.0; n];
                    forward(&program, &mut y, &x, &g);
                    let defined =
                        |i: usize| naive::eval(&program, 0, f64::from(x[i]), f64::from(g[i])) as f32;
                    let expected: Vec<f32> = (0..n).map(defined).collect();
                    assert_close(
                        &y,
                        &expected,
                        1e-6,
                        &format!("{:?} {level:?} {n}", steps[usize::from(output)]),
                    );
                }
            }
        });
    }

    #[test]
    fn the_way_back_adds_both_slopes() {
        // x g, whose slopes are g and x.
        let program = Program::new(&[X, G, Number(3.0)], &[1, 0]);
        assert_eq!(program.steps().len(), 2, "what is not needed is left out");
        at_each(|_| {
            let n = 333;
            let (x, g, dy) = (numbers(n, 1), numbers(n, 2), numbers(n, 3));
            let (mut dx, mut dg) = (vec![1.0; n], vec![2.0; n]);
            backward(&program, &mut dx, &mut dg, &dy, &x, &g);
            let expected =
                |first: f32, by: &[f32]| (0..n).map(|i| first + dy[i] * by[i]).collect::<Vec<f32>>();
            assert_close(&dx, &expected(1.0, &g), 1e-6, "dx");
            assert_close(&dg, &expected(2.0, &x), 1e-6, "dg");
        });
    }

    #[test]
    fn nothing_that_is_no_number_is_hidden() {
        at_each(|level| {
            for output in [Max(0, 1), Max(1, 0), Min(0, 1), Min(1, 0), Softplus(0), Erf(0), Tanh(0)] {
                let program = Program::new(&[X, Number(0.0), output], &[2]);
                let mut y = [0.0];
                forward(&program, &mut y, &[f32::NAN], &[]);
                assert!(y[0].is_nan(), "{output:?} {level:?}");
                assert!(naive::eval(&program, 0, f64::NAN, 0.0).is_nan(), "{output:?}");
            }
        });
    }

    #[test]
    fn erf_has_the_digits_of_the_tables() {
        // Abramowitz and Stegun, table 7.1.
        for (x, y) in [(0.0, 0.0), (0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650), (9.0, 1.0)]
        {
            assert!((naive::erf(x) - y).abs() < 1e-10 && naive::erf(-x) == -naive::erf(x), "{x}");
        }
    }
}
