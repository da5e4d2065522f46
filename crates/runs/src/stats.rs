//! A few numbers of one kind: their mean, how far they lie apart, and how well the mean is known.

/// What there is to say of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub n: usize,
    /// Their mean; not a number, if there are none.
    pub mean: f64,
    /// Their standard deviation (n - 1 below the fraction); 0 of one.
    pub sd: f64,
}

impl Summary {
    /// Of these numbers.
    ///
    /// ```
    /// let summary = microgpt_runs::stats::Summary::of(&[1.0, 2.0, 3.0]);
    /// assert_eq!((summary.n, summary.mean, summary.sd), (3, 2.0, 1.0));
    /// ```
    pub fn of(numbers: &[f64]) -> Summary {
        let n = numbers.len();
        let mean = numbers.iter().sum::<f64>() / n as f64;
        let squares = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        let sd = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { 0.0 };
        Summary { n, mean, sd }
    }

    /// Half of the 95 % confidence interval of the mean: `t sd / sqrt(n)`, with Student's t. None of fewer than two
    /// numbers.
    pub fn interval(&self) -> Option<f64> {
        (self.n > 1).then(|| student(self.n - 1) * self.sd / (self.n as f64).sqrt())
    }
}

/// Student's t that is passed with a probability of 2.5 %, by degrees of freedom (Student, 1908).
fn student(freedom: usize) -> f64 {
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
        2.045, 2.042,
    ];
    // Beyond the table, the next term of its expansion in 1 / freedom.
    T.get(freedom - 1).copied().unwrap_or(1.96 + 2.42 / freedom as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_mean_as_often_as_it_says() {
        let mut rng = microgpt::rng::Rng::new(1);
        for n in [2, 5, 40] {
            let inside = (0..4000)
                .filter(|_| {
                    let numbers: Vec<f64> = (0..n).map(|_| 3.0 + rng.gauss(2.0)).collect();
                    let summary = Summary::of(&numbers);
                    (summary.mean - 3.0).abs() < summary.interval().unwrap()
                })
                .count() as f64
                / 4000.0;
            assert!((inside - 0.95).abs() < 0.012, "{n}: {inside}");
        }
        assert_eq!(Summary::of(&[1.0]).interval(), None);
        assert!(Summary::of(&[]).mean.is_nan());
    }
}
