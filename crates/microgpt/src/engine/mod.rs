//! What computes: one model, several engines.

pub mod scalar;
