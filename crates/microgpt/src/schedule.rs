//! Step -> learning rate.

use std::f64::consts::PI;

choices! {
    /// How the learning rate changes from the first step to the last.
    pub enum Schedule: "schedule" {
        /// lr: the same all the way
        Constant = "constant",
        /// lr * (1 - s/N): down to zero in a straight line
        Linear = "linear",
        /// lr/2 * (1 + cos(pi s/N)): slowly, quickly, slowly down to zero (Loshchilov and Hutter, "SGDR", 2016)
        Cosine = "cosine",
    }
}

impl Schedule {
    /// The learning rate of step `step` (from 0) of `steps`, where `lr` is the highest.
    ///
    /// ```
    /// use microgpt::schedule::Schedule;
    /// assert_eq!(Schedule::Linear.rate(0.01, 250, 1000), 0.0075);
    /// ```
    pub fn rate(self, lr: f64, step: usize, steps: usize) -> f64 {
        // A run that goes on beyond its last step stays where that would have been.
        let (s, n) = (step.min(steps) as f64, steps as f64);
        // The operations and their order are microgpt.py's, so that the bits are.
        match self {
            Schedule::Constant => lr,
            Schedule::Linear => lr * (1.0 - s / n),
            Schedule::Cosine => (lr * 0.5) * (1.0 + ((PI * s) / n).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Choice;

    #[test]
    fn every_schedule_starts_at_lr_and_never_rises() {
        for &schedule in Schedule::ALL {
            assert_eq!(schedule.rate(0.02, 0, 10), 0.02);
            let rates: Vec<f64> = (0..10).map(|s| schedule.rate(0.02, s, 10)).collect();
            assert!(
                rates.windows(2).all(|pair| pair[0] >= pair[1] && pair[1] > 0.0),
                "{schedule}: {rates:?}"
            );
        }
        assert!((Schedule::Cosine.rate(1.0, 5, 10) - 0.5).abs() < 1e-15);
    }
}
