//! The two precisions of definitions: a formula that is written once holds in both.

use std::ops::{Add, Mul, Sub};

/// f32 or f64.
pub trait Float: Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// What is nearer 0 than this fades to 0 in what an optimiser remembers, before it becomes a subnormal number, on
    /// which arithmetic is many times slower. Nothing does in f64.
    const TINY: Self;
    /// The nearest number of this precision.
    fn of(x: f64) -> Self;
    /// Its magnitude.
    fn abs(self) -> Self;
    /// Its root.
    fn sqrt(self) -> Self;
    /// 1 over it.
    fn recip(self) -> Self;

    /// `self`, or 0 where it is nearer 0 than [`Float::TINY`]. NaN stays.
    fn faded(self) -> Self {
        if self.abs() < Self::TINY { Self::ZERO } else { self }
    }

    /// 1, -1, or 0 for 0 and NaN.
    fn sign(self) -> Self {
        match self.partial_cmp(&Self::ZERO) {
            Some(std::cmp::Ordering::Greater) => Self::ONE,
            Some(std::cmp::Ordering::Less) => Self::ZERO - Self::ONE,
            _ => Self::ZERO,
        }
    }
}

macro_rules! float {
    ($($Type:ty, $tiny:expr);+) => {$(
        impl Float for $Type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const TINY: Self = $tiny;
            fn of(x: f64) -> Self {
                x as $Type
            }
            fn abs(self) -> Self {
                self.abs()
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn recip(self) -> Self {
                self.recip()
            }
        }
    )+};
}
float!(f32, 1e-30; f64, 0.0);
