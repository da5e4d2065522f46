//! The model: from tokens to logits, written once for every engine.

pub mod linear;
pub mod norm;
pub mod branch;
pub mod attention;
pub mod mlp;
pub mod layer;
pub mod gpt;
