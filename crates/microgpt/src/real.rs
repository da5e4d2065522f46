//! The two precisions: f64, bit for bit that of microgpt.py, and f32, fast. The model never sees which it is.

use microgpt_kernels::{adam, exact, slices};
use std::fmt::Debug;

choices! {
    /// What computes, and with it the precision.
    pub enum EngineKind: "engine" {
        /// One number at a time in f64: microgpt.py's numbers, to the last bit
        Scalar = "scalar",
        /// Whole rows at a time in f32, by the widest instructions that the machine has
        Fast = "fast",
    }
}

/// A number of the flat slices: parameters, gradients, what the optimiser remembers.
pub trait Real: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// Its name in files: `f64`.
    const NAME: &'static str;
    /// The nearest number of this precision.
    fn from_f64(x: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// y\[i] += x\[i].
    ///
    /// # Panics
    /// If the lengths differ.
    fn add_into(y: &mut [Self], x: &[Self]);
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
    fn add_into(y: &mut [f64], x: &[f64]) {
        assert_eq!(y.len(), x.len(), "add_into");
        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
    }
    fn adam(s: &AdamStep, params: &mut [f64], grads: &[f64], m: &mut [f64], v: &mut [f64]) {
        let &AdamStep { lr, beta1: b1, beta2: b2, eps, correction1: c1, correction2: c2 } = s;
        exact::adam_f64(params, m, v, grads, exact::Adam { lr, b1, b2, c1, c2, eps });
    }
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn add_into(y: &mut [f32], x: &[f32]) {
        slices::add_into(y, x);
    }
    fn adam(s: &AdamStep, params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32]) {
        let [lr, b1, b2, eps] = [s.lr, s.beta1, s.beta2, s.eps].map(|x| x as f32);
        let [c1, c2] = [s.correction1, s.correction2].map(|x| x as f32);
        adam::adam(params, m, v, grads, adam::Adam { lr, b1, b2, c1, c2, eps, decay: 0.0, grad_scale: 1.0 });
    }
}

/// The C library's pow, whose bits microgpt.py has. Seen as a constant, an exponent of 2 would become x * x, -1 a
/// division and 0.5 a square root, which round differently now and then.
#[inline]
pub fn pow(x: f64, exponent: f64) -> f64 {
    if exponent == 2.0 { exact::square(x) } else { x.powf(std::hint::black_box(exponent)) }
}
