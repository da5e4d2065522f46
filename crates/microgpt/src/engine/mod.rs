//! What computes: one model, several engines.

mod clock;
pub mod fast;
pub mod scalar;

use crate::real::Real;
use crate::tensor::Learner;

/// A precision that has an engine: f64 the scalar one, f32 the fast one.
pub trait Precision: Real {
    /// An engine with these parameters.
    fn engine(params: Vec<Self>) -> Box<dyn Learner<Self>>;

    /// One that takes no shortcuts, so that every number in between is there to be looked at.
    fn open_engine(params: Vec<Self>) -> Box<dyn Learner<Self>>;
}

impl Precision for f64 {
    fn engine(params: Vec<f64>) -> Box<dyn Learner<f64>> {
        Box::new(scalar::Scalar::new(params))
    }

    fn open_engine(params: Vec<f64>) -> Box<dyn Learner<f64>> {
        Box::new(scalar::Scalar::new(params))
    }
}

impl Precision for f32 {
    fn engine(params: Vec<f32>) -> Box<dyn Learner<f32>> {
        Box::new(fast::Fast::new(params))
    }

    fn open_engine(params: Vec<f32>) -> Box<dyn Learner<f32>> {
        Box::new(fast::Fast::without_shortcuts(params))
    }
}
