//! RMSNorm without a gain: x / sqrt(mean(x^2) + 1e-5).
//!
//! Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019).

use super::Formula;

pub(super) const FORMULA: Formula = Formula { params: &[], apply: |x, _| x.rmsnorm() };
