//! The two precisions: f64, bit for bit that of microgpt.py, and f32, fast. The model never sees which it is.

use microgpt_kernels::{adam, exact, lion, orthogonal, sgd, slices};
use microgpt_kernels::{lion::Lion, sgd::Sgd};
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
    /// y\[i] *= a.
    fn scale(y: &mut [Self], a: f64);
    /// y\[i] += a x\[i].
    ///
    /// # Panics
    /// If the lengths differ.
    fn axpy(y: &mut [Self], a: f64, x: &[Self]);
    /// y\[i] = keep y\[i] + (1 - keep) x\[i].
    ///
    /// # Panics
    /// If the lengths differ.
    fn mix(y: &mut [Self], keep: f64, x: &[Self]);
    /// The sum of x\[i]^2.
    fn sum_squares(x: &[Self]) -> f64;
    /// Makes of a matrix the nearest orthogonal one, roughly; see [`orthogonal`]. `spare` grows to what it needs.
    ///
    /// # Panics
    /// If there are not `rows` times `cols` numbers.
    fn orthogonalize(x: &mut [Self], rows: usize, cols: usize, spare: &mut Vec<Self>);
    /// One step of SGD over flat slices; see [`crate::optim`] for this formula, and those of the others.
    fn sgd(step: Sgd<f64>, params: &mut [Self], grads: &[Self], m: &mut [Self]);
    /// One step of Lion over flat slices.
    fn lion(step: Lion<f64>, params: &mut [Self], grads: &[Self], m: &mut [Self]);
    /// One step of Adam over flat slices.
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
    /// AdamW: the weights also shrink by lr times this.
    pub decay: f64,
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
    fn scale(y: &mut [f64], a: f64) {
        y.iter_mut().for_each(|y| *y *= a);
    }
    fn axpy(y: &mut [f64], a: f64, x: &[f64]) {
        assert_eq!(y.len(), x.len(), "axpy");
        y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
    }
    fn mix(y: &mut [f64], keep: f64, x: &[f64]) {
        assert_eq!(y.len(), x.len(), "mix");
        y.iter_mut().zip(x).for_each(|(y, x)| *y += (1.0 - keep) * (x - *y));
    }
    fn sum_squares(x: &[f64]) -> f64 {
        x.iter().fold(0.0, |sum, x| sum + x * x)
    }
    fn orthogonalize(x: &mut [f64], rows: usize, cols: usize, _spare: &mut Vec<f64>) {
        orthogonal::naive(x, rows, cols);
    }
    fn sgd(step: Sgd<f64>, params: &mut [f64], grads: &[f64], m: &mut [f64]) {
        sgd::naive(params, m, grads, step);
    }
    fn lion(step: Lion<f64>, params: &mut [f64], grads: &[f64], m: &mut [f64]) {
        lion::naive(params, m, grads, step);
    }
    fn adam(s: &AdamStep, params: &mut [f64], grads: &[f64], m: &mut [f64], v: &mut [f64]) {
        let &AdamStep { lr, beta1: b1, beta2: b2, eps, correction1: c1, correction2: c2, decay } = s;
        if decay > 0.0 {
            f64::scale(params, 1.0 - lr * decay);
        }
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
    fn scale(y: &mut [f32], a: f64) {
        slices::scale(y, a as f32);
    }
    fn axpy(y: &mut [f32], a: f64, x: &[f32]) {
        slices::axpy(y, a as f32, x);
    }
    fn mix(y: &mut [f32], keep: f64, x: &[f32]) {
        slices::mix(y, keep as f32, x);
    }
    fn sum_squares(x: &[f32]) -> f64 {
        // Sums of many small numbers lose what a f32 cannot hold: they are short, and added up in f64.
        x.chunks(1024).map(|part| f64::from(slices::sum_squares(part))).sum()
    }
    fn orthogonalize(x: &mut [f32], rows: usize, cols: usize, spare: &mut Vec<f32>) {
        spare.resize(orthogonal::spare_len(rows, cols).max(spare.len()), 0.0);
        orthogonal::orthogonalize(x, rows, cols, &mut spare[..orthogonal::spare_len(rows, cols)]);
    }
    fn sgd(Sgd { lr, momentum, nesterov }: Sgd<f64>, params: &mut [f32], grads: &[f32], m: &mut [f32]) {
        let step = Sgd { lr: lr as f32, momentum: momentum as f32, nesterov };
        sgd::sgd(params, m, grads, step);
    }
    fn lion(step: Lion<f64>, params: &mut [f32], grads: &[f32], m: &mut [f32]) {
        let [lr, b1, b2, decay] = [step.lr, step.b1, step.b2, step.decay].map(|x| x as f32);
        lion::lion(params, m, grads, Lion { lr, b1, b2, decay });
    }
    fn adam(s: &AdamStep, params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32]) {
        let [lr, b1, b2, eps, decay] = [s.lr, s.beta1, s.beta2, s.eps, s.decay].map(|x| x as f32);
        let [c1, c2] = [s.correction1, s.correction2].map(|x| x as f32);
        adam::adam(params, m, v, grads, adam::Adam { lr, b1, b2, c1, c2, eps, decay, grad_scale: 1.0 });
    }
}

/// The C library's pow, whose bits microgpt.py has. Seen as a constant, an exponent of 2 would become x * x, -1 a
/// division and 0.5 a square root, which round differently now and then.
#[inline]
pub fn pow(x: f64, exponent: f64) -> f64 {
    if exponent == 2.0 { exact::square(x) } else { x.powf(std::hint::black_box(exponent)) }
}
