//! The fast engine against the scalar one, its definition: the same weights, the same batch.

use super::{CHANCE, Check, Proof, TOLERANCE, named};
use crate::engine::fast::Fast;
use crate::layout::Layout;
use crate::real::Real;
use crate::tensor::Learner;

/// Logits, loss, and the gradient of every parameter.
struct Outcome {
    logits: Vec<f64>,
    loss: f64,
    grads: Vec<f64>,
}

impl Proof<'_> {
    /// Logits and gradients as vectors, each matrix's for itself: |fast - scalar| at most 1e-5 of |scalar|, or of a
    /// hundredth of all gradients where that is more.
    pub(super) fn engines(&self) -> Vec<Check> {
        // Both get the weights that f32 can hold, so that only the arithmetic differs.
        let weights: Vec<f32> = self.params.iter().map(|&p| p as f32).collect();
        let mut scalar = self.engine();
        scalar.slices().0.iter_mut().zip(&weights).for_each(|(p, &w)| *p = f64::from(w));
        let exact = self.run(scalar);
        let layout = &self.model.layout;
        let mut checks = compare("fast engine", layout, &exact, &self.run(Fast::new(weights.clone())));
        let without = self.run(Fast::without_shortcuts(weights));
        checks.extend(compare("fast engine, no shortcuts", layout, &exact, &without));
        checks
    }

    fn run<R: Real>(&self, mut engine: impl Learner<R>) -> Outcome {
        engine.begin(&self.batch);
        engine.leave_to(CHANCE);
        let logits = self.model.forward(&engine, &self.batch);
        let loss = logits.cross_entropy().id();
        let (logits, loss_now) = (engine.values(logits.id()), engine.number(loss, 0, 0));
        engine.backward(loss);
        let grads = engine.slices().1.iter().map(|g| g.to_f64()).collect();
        Outcome { logits, loss: loss_now, grads }
    }
}

fn compare(engine: &str, layout: &Layout, exact: &Outcome, fast: &Outcome) -> Vec<Check> {
    let row = |name: &str, compared: usize| Check { compared, ..named(name) };
    let mut logits = row(&format!("{engine}: logits"), exact.logits.len());
    logits.hold(distance(&fast.logits, &exact.logits, 0.0), || "all of them".into());
    let mut loss = row(&format!("{engine}: loss"), 1);
    loss.hold((fast.loss - exact.loss).abs() / exact.loss.abs(), || {
        format!("{:.7}, scalar {:.7}", fast.loss, exact.loss)
    });
    let mut grads = row(&format!("{engine}: gradients"), exact.grads.len());
    let all = norm(&exact.grads);
    // With one channel rmsnorm is a sign: every gradient before it is the difference of two that are equal.
    let one_channel = layout.matrices()[0].shape.cols == 1;
    for matrix in layout.matrices() {
        let (found, expected) = (&fast.grads[matrix.range()], &exact.grads[matrix.range()]);
        // What is small beside the others is the difference of numbers of their size, and known no better than those are
        // in f32; what is zero (a lone token has nothing to attend to) is what rounding leaves of it.
        let floor = if one_channel { all } else { 1e-2 * all };
        let error = distance(found, expected, floor);
        grads.hold(error, || format!("of {}", matrix.name));
    }
    vec![logits, loss, grads]
}

impl Check {
    /// An error that must be at most [`TOLERANCE`].
    fn hold(&mut self, error: f64, place: impl Fn() -> String) {
        if self.place.is_empty() || error > self.worst || error.is_nan() {
            (self.worst, self.place) = (error, place());
        }
        self.passed &= error <= TOLERANCE;
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// |found - expected| / |expected|, or as a part of `floor` where that is larger.
fn distance(found: &[f64], expected: &[f64], floor: f64) -> f64 {
    let difference = found.iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    difference / norm(expected).max(floor).max(1e-30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn one_wrong_matrix_is_found_and_named() {
        let layout = Layout::new(&Config::default(), 5);
        let right = || Outcome {
            logits: vec![1.0, -2.0],
            loss: 1.5,
            grads: (0..layout.len()).map(|i| (i as f64).sin()).collect(),
        };
        assert!(
            compare("fast", &layout, &right(), &right())
                .iter()
                .all(|check| check.passed && check.worst == 0.0)
        );
        let mut wrong = right();
        let wv = layout.find("layer0.attn_wv").unwrap();
        wrong.grads[wv.offset + 3] += 1e-3;
        let checks = compare("fast", &layout, &right(), &wrong);
        let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
        assert_eq!((failed.len(), failed[0].place.as_str()), (1, "of layer0.attn_wv"));
        wrong.logits[1] = f64::NAN;
        assert!(!compare("fast", &layout, &right(), &wrong)[0].passed);
    }
}
