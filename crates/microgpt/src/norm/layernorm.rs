//! LayerNorm: gain * (x - mean) / sqrt(variance + 1e-5) + bias, with mean and variance of the row.
//!
//! Ba, Kiros and Hinton, "Layer Normalization" (2016).

use super::{Formula, Param};
use crate::tensor::{Op, Tensor};

/// What is added to the variance, so that a row of equal numbers stays finite: PyTorch's and GPT-2's.
const EPS: f64 = 1e-5;

pub(super) const FORMULA: Formula =
    Formula { params: &[Param::GAIN, Param::BIAS], apply: |x, param| layernorm(x, param(0), param(1)) };

fn layernorm<'e>(x: Tensor<'e>, gain: Tensor<'e>, bias: Tensor<'e>) -> Tensor<'e> {
    let op = Op::LayerNorm { x: x.id(), gain: gain.id(), bias: bias.id() };
    x.composite(op, x.shape(), || {
        let part = 1.0 / x.shape().cols as f64;
        let centred = x + x.sum().affine(-part, 0.0);
        let variance = centred.dot(centred).affine(part, EPS);
        centred * variance.pow(-0.5) * gain + bias
    })
}
