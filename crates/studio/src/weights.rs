//! A model's parameters at one step, as they were trained.

use std::sync::Arc;

/// Parameters, or what the optimiser remembers of them, in the order of the layout.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// Of the fast engine.
    F32(Arc<[f32]>),
    /// Of the scalar engine.
    F64(Arc<[f64]>),
}

/// A precision that weights are kept in.
pub trait Kept: Sized {
    /// As weights.
    fn keep(slice: &[Self]) -> Weights;
    /// Back again; empty if they are of the other precision.
    fn take(weights: &Weights) -> &[Self];
}

impl Kept for f32 {
    fn keep(slice: &[f32]) -> Weights {
        Weights::F32(slice.into())
    }
    fn take(weights: &Weights) -> &[f32] {
        if let Weights::F32(slice) = weights { slice } else { &[] }
    }
}

impl Kept for f64 {
    fn keep(slice: &[f64]) -> Weights {
        Weights::F64(slice.into())
    }
    fn take(weights: &Weights) -> &[f64] {
        if let Weights::F64(slice) = weights { slice } else { &[] }
    }
}

impl Weights {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Weights::F32(slice) => slice.len(),
            Weights::F64(slice) => slice.len(),
        }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        match self {
            Weights::F32(slice) => size_of_val(&slice[..]),
            Weights::F64(slice) => size_of_val(&slice[..]),
        }
    }

    /// Number `i`.
    pub fn get(&self, i: usize) -> f64 {
        match self {
            Weights::F32(slice) => slice[i].into(),
            Weights::F64(slice) => slice[i],
        }
    }

    /// All of them; f64 has a place for every f32.
    pub fn to_f64(&self) -> Vec<f64> {
        let mut numbers = vec![0.0; self.len()];
        self.write_to(&mut numbers);
        numbers
    }

    /// The same, into memory that is there.
    pub fn write_to(&self, to: &mut [f64]) {
        match self {
            Weights::F32(slice) => to.iter_mut().zip(&slice[..]).for_each(|(to, &x)| *to = x.into()),
            Weights::F64(slice) => to.copy_from_slice(slice),
        }
    }

    /// The first place where two differ, by their bits.
    pub fn parted(&self, other: &Weights) -> Option<usize> {
        let places = 0..self.len().min(other.len());
        match (self, other) {
            (Weights::F64(a), Weights::F64(b)) => {
                places.into_iter().find(|&i| a[i].to_bits() != b[i].to_bits())
            }
            (Weights::F32(a), Weights::F32(b)) => {
                places.into_iter().find(|&i| a[i].to_bits() != b[i].to_bits())
            }
            _ => places.into_iter().find(|&i| self.get(i) != other.get(i)),
        }
    }
}
