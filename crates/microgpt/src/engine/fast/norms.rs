//! What has a row of parameters for all rows: norms with a gain, maps with a bias. And dropout.

use super::{Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::{dropout, dynamic_tanh, layernorm, matmul, slices};

impl Tape {
    /// Computes the numbers of `y`.
    pub(super) fn with_rows(&mut self, y: &Stored) {
        let (t, c) = (y.shape.rows, y.shape.cols);
        let (before, out, kept) = self.split(y);
        match y.op {
            Op::LinearBias { x, w, bias } => {
                slices::fill_rows(out, before.all(bias));
                matmul::linear(out, before.all(x), before.all(w), t, before.get(x).shape.cols, c, true);
            }
            Op::RmsNormGain { x, gain } => {
                layernorm::rmsnorm(out, &mut kept[..t], before.all(x), before.all(gain));
            }
            Op::LayerNorm { x, gain, bias } => {
                layernorm::layernorm(
                    out,
                    &mut kept[..2 * t],
                    before.all(x),
                    before.all(gain),
                    before.all(bias),
                );
            }
            Op::DynamicTanh { x, alpha, gain, bias } => {
                let [alpha, gain, bias] = [alpha, gain, bias].map(|id| before.all(id));
                dynamic_tanh::forward(out, &mut kept[..t * c], before.all(x), alpha[0], gain, bias);
            }
            op => unreachable!("{op:?} has no row of parameters"),
        }
    }

    /// Hands the gradient of `y` on.
    pub(super) fn with_rows_back(&mut self, y: &Stored) {
        let (t, c) = (y.shape.rows, y.shape.cols);
        let (x, params) = match y.op {
            Op::LinearBias { x, w, bias } => {
                let bias = self.get(bias).all();
                slices::sum_rows(self.param_grads.at(bias), &self.slopes[y.slopes()]);
                return self.linear_back(y, x, w);
            }
            Op::RmsNormGain { x, gain } => (x, [gain; 3]),
            Op::LayerNorm { x, gain, bias } => (x, [gain, bias, bias]),
            Op::DynamicTanh { x, alpha, gain, bias } => (x, [alpha, gain, bias]),
            op => unreachable!("{op:?} has no row of parameters"),
        };
        self.ready(x);
        let x = self.get(x);
        let places = params.map(|id| self.get(id).all());
        let [dx, dy] = self.slopes.each([x.slopes(), y.slopes()]);
        let (x, kept) = (&self.values[x.all()], &self.values[y.kept..]);
        let weights = |i: usize| &self.params[places[i].clone()];
        let grads = self.param_grads.with(places.clone());
        match y.op {
            Op::RmsNormGain { .. } => {
                let dgain = &mut grads[places[0].clone()];
                layernorm::rmsnorm_backward(dx, dgain, dy, x, &kept[..t], weights(0));
            }
            Op::LayerNorm { .. } => {
                let [gain, bias, _] = places.clone();
                let [dgain, dbias] = grads.get_disjoint_mut([gain, bias]).expect("two rows of parameters");
                layernorm::layernorm_backward(dx, dgain, dbias, dy, x, &kept[..2 * t], weights(0));
            }
            _ => {
                let dparams = grads.get_disjoint_mut(places.clone()).expect("three rows of parameters");
                dynamic_tanh::backward(dx, dparams, dy, x, &kept[..t * c], weights(0)[0], weights(1));
            }
        }
    }

    pub(super) fn dropout(&mut self, y: &Stored, x: Id, rate: f64, place: u32) {
        let (x, chance) = (self.get(x).all(), self.chance.expect("a step that is left to chance"));
        let (before, out) = self.values.split_at_mut(y.start);
        let rows = before[x].chunks_exact(y.shape.cols).zip(out.chunks_exact_mut(y.shape.cols));
        for ((x, out), key) in rows.zip(self.batch.row_keys(chance, place)) {
            dropout::forward(out, x, key, rate);
        }
    }

    pub(super) fn dropout_back(&mut self, y: &Stored, x: Id, rate: f64, place: u32) {
        self.ready(x);
        let (x, chance) = (self.get(x), self.chance.expect("a step that is left to chance"));
        let [dx, dy] = self.slopes.each([x.slopes(), y.slopes()]);
        let rows = dx.chunks_exact_mut(y.shape.cols).zip(dy.chunks_exact(y.shape.cols));
        for ((dx, dy), key) in rows.zip(self.batch.row_keys(chance, place)) {
            dropout::backward(dx, dy, key, rate);
        }
    }
}
