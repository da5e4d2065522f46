//! Parameters, gradients -> parameters.

pub mod adam;

pub use adam::Adam;
