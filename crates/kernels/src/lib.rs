//! Slices in, slices out: the arithmetic of microgpt.
//!
//! Every kernel is written once, over the [`vector`] of the machine, and stands beside its `naive`
//! definition in plain loops. Tests hold the one against the other at every [`level`].
//!
//! Letters: `T` rows (tokens), `I` inputs, `O` outputs, `C` channels, `H` heads, `D` head size, `V` vocabulary.
//! All matrices are row major; weights are `[O, I]`. No kernel allocates once its thread is warm.

pub mod level;
#[macro_use]
#[allow(dead_code)]
mod vector;
pub mod exact;
pub mod math;
pub mod matmul;
#[cfg(test)]
mod test;
