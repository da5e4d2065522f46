//! Norms: they bring the rows of the stream to one size, so that the maps behind them can work with it.
//!
//! A norm is a file with its formula and its line in the list below. Layout, checkpoints, flags and proofs follow.

use crate::op::Kind;
use crate::tensor::Tensor;

mod dynamic_tanh;
mod layernorm;
mod none;
mod rmsnorm;
mod rmsnorm_gain;

/// Makes the list: each line has a name and the file where its formula is.
macro_rules! norms {
    ($( #[doc = $help:literal] $Variant:ident = $name:literal, $file:ident; )+) => {
        choices! {
            /// What brings rows to one size.
            pub enum Norm: "norm" { $( #[doc = $help] $Variant = $name ),+ }
        }

        impl Norm {
            /// What it computes, and with which parameters.
            pub fn formula(self) -> &'static Formula {
                match self { $( Norm::$Variant => &$file::FORMULA ),+ }
            }
        }
    };
}

norms! {
    /// x / sqrt(mean(x^2) + 1e-5) (Zhang and Sennrich, 2019), without a gain
    RmsNorm = "rmsnorm", rmsnorm;
    /// The same, times a learnt gain for each channel: LLaMA's
    RmsNormGain = "rmsnorm_gain", rmsnorm_gain;
    /// (x - mean) / sqrt(variance + 1e-5), times a gain, plus a bias (Ba et al., 2016): GPT-2's
    LayerNorm = "layernorm", layernorm;
    /// gain * tanh(alpha * x) + bias: no sums at all (Zhu et al., 2025)
    DynamicTanh = "dynamic_tanh", dynamic_tanh;
    /// x as it is
    None = "none", none;
}

choices! {
    /// Where a half of a layer, f, is normed.
    pub enum NormPlace: "norm_place" {
        /// x + f(norm(x)): the stream itself stays as it is (GPT-2; Xiong et al., 2020)
        Pre = "pre",
        /// norm(x + f(x)): as the first transformer did (Vaswani et al., 2017)
        Post = "post",
        /// x + norm(f(norm(x))): what comes in and what is added (Ding et al., "CogView", 2021)
        Both = "both",
    }
}

/// One of a norm's parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Param {
    /// The end of its name in the layout: `layer0.attn_norm_gain`.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// One number for all channels, or one for each?
    pub shared: bool,
    /// What all of it begins with.
    pub begin: f64,
}

impl Param {
    /// A factor for each channel, 1 at first.
    pub const GAIN: Param = Param { name: "gain", kind: Kind::Gain, shared: false, begin: 1.0 };
    /// A term for each channel, 0 at first.
    pub const BIAS: Param = Param { name: "bias", kind: Kind::Bias, shared: false, begin: 0.0 };
}

/// What a norm computes of each row.
#[derive(Debug)]
pub struct Formula {
    /// Its parameters.
    pub params: &'static [Param],
    /// `[T, C]` to `[T, C]`. Parameter `i` of the list is `param(i)`: `[1, C]`, or `[1, 1]` if it is shared.
    pub apply: for<'e> fn(x: Tensor<'e>, param: &dyn Fn(usize) -> Tensor<'e>) -> Tensor<'e>,
}
