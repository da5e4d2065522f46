//! RMSNorm: gain * x / sqrt(mean(x^2) + 1e-5).
//!
//! Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019).

use super::{Formula, Param};
use crate::tensor::{Op, Tensor};

pub(super) const FORMULA: Formula =
    Formula { params: &[Param::GAIN], apply: |x, param| rmsnorm_gain(x, param(0)) };

fn rmsnorm_gain<'e>(x: Tensor<'e>, gain: Tensor<'e>) -> Tensor<'e> {
    let op = Op::RmsNormGain { x: x.id(), gain: gain.id() };
    x.composite(op, x.shape(), || x.rmsnorm() * gain)
}
