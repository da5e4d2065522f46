//! A power law through points: `y = floor + factor * x^-exponent`.
//!
//! For each exponent of a fine grid, floor and factor follow by least squares; the best exponent wins. What is sought is
//! the law of Hestness et al., "Deep Learning Scaling is Predictable, Empirically" (2017).

/// The law, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// What is left when x is without end.
    pub floor: f64,
    /// How much is above the floor at x = 1.
    pub factor: f64,
    /// How fast it falls.
    pub exponent: f64,
    /// The root of the mean square of what the law leaves over.
    pub rms: f64,
    /// Standard errors of floor and exponent: the law is fitted again without each of the points (the jackknife,
    /// Tukey, 1958).
    pub errors: Option<(f64, f64)>,
}

/// Exponents that are tried: `STEP` to `COUNT * STEP`.
const STEP: f64 = 0.005;
const COUNT: usize = 400;

impl PowerLaw {
    /// Fits the law to points `(x, y)` with x above 0; none if there are fewer than four, or it does not fall.
    ///
    /// ```
    /// use microgpt_runs::fit::PowerLaw;
    /// let points: Vec<(f64, f64)> = (0..8).map(|i| 10f64.powi(i)).map(|x| (x, 2.0 + 3.0 * x.powf(-0.25))).collect();
    /// let law = PowerLaw::fit(&points).unwrap();
    /// assert!((law.exponent - 0.25).abs() < 1e-9 && (law.floor - 2.0).abs() < 1e-9);
    /// ```
    pub fn fit(points: &[(f64, f64)]) -> Option<PowerLaw> {
        let law = plain(points)?;
        let n = points.len();
        let without = |i: usize| plain(&[&points[..i], &points[i + 1..]].concat());
        let others: Option<Vec<PowerLaw>> = (0..n).map(without).collect();
        let error = |of: fn(&PowerLaw) -> f64, laws: &[PowerLaw]| {
            let mean = laws.iter().map(of).sum::<f64>() / n as f64;
            let squares = laws.iter().map(|law| (of(law) - mean).powi(2)).sum::<f64>();
            (squares * (n - 1) as f64 / n as f64).sqrt()
        };
        let errors = others.map(|laws| (error(|law| law.floor, &laws), error(|law| law.exponent, &laws)));
        Some(PowerLaw { errors, ..law })
    }

    /// y at x.
    pub fn at(&self, x: f64) -> f64 {
        self.floor + self.factor * x.powf(-self.exponent)
    }
}

fn plain(points: &[(f64, f64)]) -> Option<PowerLaw> {
    if points.len() < 4 || points.iter().any(|&(x, y)| !(x > 0.0 && y.is_finite())) {
        return None;
    }
    // In units of the middle of x, so that large x do not drown in small powers.
    let middle = (points.iter().map(|(x, _)| x.ln()).sum::<f64>() / points.len() as f64).exp();
    let laws = (1..=COUNT).filter_map(|i| line(points, middle, i as f64 * STEP));
    laws.min_by(|a, b| a.rms.total_cmp(&b.rms))
}

/// Floor and factor by least squares, for this exponent.
fn line(points: &[(f64, f64)], middle: f64, exponent: f64) -> Option<PowerLaw> {
    let n = points.len() as f64;
    let (mut su, mut sy, mut suu, mut suy) = (0.0, 0.0, 0.0, 0.0);
    for &(x, y) in points {
        let u = (x / middle).powf(-exponent);
        (su, sy, suu, suy) = (su + u, sy + y, suu + u * u, suy + u * y);
    }
    let slope = (n * suy - su * sy) / (n * suu - su * su);
    let law = PowerLaw {
        floor: (sy - slope * su) / n,
        factor: slope * middle.powf(exponent),
        exponent,
        rms: 0.0,
        errors: None,
    };
    // A loss has no floor below zero.
    if !(slope > 0.0 && law.floor >= 0.0) {
        return None;
    }
    let squares: f64 = points.iter().map(|&(x, y)| (y - law.at(x)).powi(2)).sum();
    Some(PowerLaw { rms: (squares / n).sqrt(), ..law })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_is_found_again_under_noise_and_its_error_tells_how_well() {
        let mut rng = microgpt::rng::Rng::new(3);
        let mut inside = 0;
        for _ in 0..60 {
            let xs = (0..9).map(|i| 1e3 * 10f64.powf(i as f64 * 0.375));
            let points: Vec<_> = xs.map(|x| (x, 1.9 + 20.0 * x.powf(-0.5) + rng.gauss(0.003))).collect();
            let law = PowerLaw::fit(&points).unwrap();
            assert!((law.exponent - 0.5).abs() < 0.15 && (law.floor - 1.9).abs() < 0.02, "{law:?}");
            inside += usize::from((law.exponent - 0.5).abs() < 2.5 * law.errors.unwrap().1);
        }
        assert!(inside > 45, "{inside}");
        assert_eq!(PowerLaw::fit(&[(1.0, 2.0), (2.0, 1.0), (3.0, 0.5)]), None);
        assert_eq!(PowerLaw::fit(&[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0)]), None);
    }
}
