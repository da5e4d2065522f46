//! Slices in, slices out: the arithmetic of microgpt.
//!
//! Every kernel is written once, over the `Vector` of the machine, and stands beside its `naive`
//! definition in plain loops. Tests hold the one against the other at every [`level`].
//!
//! Letters: `T` rows (tokens), `I` inputs, `O` outputs, `C` channels, `H` heads, `D` head size, `V` vocabulary.
//! All matrices are row major; weights are `[O, I]`. No kernel allocates once its thread is warm
//! (with the feature `gemm`, wide products make one allocation of some 100 bytes inside that crate: [`matmul`]).

pub mod level;
#[macro_use]
mod vector;
pub mod activation;
pub mod formula;
pub mod adam;
pub mod attention;
pub mod buffer;
pub mod cross_entropy;
pub mod dropout;
pub mod dynamic_tanh;
pub mod exact;
pub mod feature;
pub mod float;
pub mod layer;
pub mod layernorm;
pub mod lent;
pub mod lion;
pub mod math;
pub mod matmul;
pub mod norm;
pub mod orthogonal;
pub mod peak;
pub mod recurrent;
pub mod rotary;
pub mod sample;
pub mod sgd;
pub mod slices;
#[cfg(test)]
mod test;
