//! The two precisions: f64, bit for bit that of microgpt.py, and f32, fast. The model never sees which it is.

use std::fmt::Debug;

/// A number of the flat slices: parameters, gradients, what the optimiser remembers.
pub trait Real: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// Its name in files: `f64`.
    const NAME: &'static str;
    /// The nearest number of this precision.
    fn from_f64(x: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// One step of Adam over flat slices; see [`crate::optim`] for the formula.
    fn adam(step: &AdamStep, params: &mut [Self], grads: &[Self], m: &mut [Self], v: &mut [Self]);
}

/// The plain numbers of one step of Adam.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Learning rate of this step.
    pub lr: f64,
    /// How slowly m changes.
    pub beta1: f64,
    /// How slowly v changes.
    pub beta2: f64,
    /// What keeps it from dividing by zero.
    pub eps: f64,
    /// 1 - beta1^s: what m lacks because it began at zero.
    pub correction1: f64,
    /// 1 - beta2^s.
    pub correction2: f64,
}

impl Real for f64 {
    const NAME: &'static str = "f64";
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn adam(s: &AdamStep, params: &mut [f64], grads: &[f64], m: &mut [f64], v: &mut [f64]) {
        for i in 0..params.len() {
            m[i] = s.beta1 * m[i] + (1.0 - s.beta1) * grads[i];
            v[i] = s.beta2 * v[i] + (1.0 - s.beta2) * pow(grads[i], 2.0);
            let (m_hat, v_hat) = (m[i] / s.correction1, v[i] / s.correction2);
            params[i] -= (s.lr * m_hat) / (pow(v_hat, 0.5) + s.eps);
        }
    }
}

/// The C library's pow, whose bits microgpt.py has. Seen as a constant, an exponent of 2 would become x * x, -1 a
/// division and 0.5 a square root, which round differently now and then.
pub fn pow(x: f64, exponent: f64) -> f64 {
    x.powf(std::hint::black_box(exponent))
}
