//! Dynamic tanh: gain * tanh(alpha * x) + bias. It squashes what is large, and needs nothing of the row's other numbers.
//!
//! Zhu, Chen, He, LeCun and Liu, "Transformers without Normalization" (2025).

use super::{Formula, Param};
use crate::op::Kind;
use crate::tensor::{Op, Tensor};

/// One number for all channels; the paper's first value.
const ALPHA: Param = Param { name: "alpha", kind: Kind::Gain, shared: true, begin: 0.5 };

pub(super) const FORMULA: Formula = Formula {
    params: &[ALPHA, Param::GAIN, Param::BIAS],
    apply: |x, param| dynamic_tanh(x, param(0), param(1), param(2)),
};

fn dynamic_tanh<'e>(x: Tensor<'e>, alpha: Tensor<'e>, gain: Tensor<'e>, bias: Tensor<'e>) -> Tensor<'e> {
    let op = Op::DynamicTanh { x: x.id(), alpha: alpha.id(), gain: gain.id(), bias: bias.id() };
    x.composite(op, x.shape(), || (x * alpha).tanh() * gain + bias)
}
