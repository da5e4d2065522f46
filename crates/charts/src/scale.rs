//! Numbers -> places, and where ticks stand.

/// An axis: which numbers it goes from and to, and where these are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The number at the beginning.
    pub min: f64,
    /// The number at the end.
    pub max: f64,
    /// By the logarithm?
    pub log: bool,
    /// Where the beginning is.
    pub start: f64,
    /// Where the end is; before the beginning, if the axis runs up the page.
    pub end: f64,
}

impl Scale {
    /// A scale that has room for all of these numbers, from place `start` to `end`.
    pub fn over(numbers: impl Iterator<Item = f64>, log: bool, start: f64, end: f64) -> Scale {
        let usable = numbers.filter(|x| x.is_finite() && (!log || *x > 0.0));
        let (min, max) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let (min, max) = if min > max { (1.0, 2.0) } else { (min, max) };
        let (min, max) = if log {
            let room = ((max / min).ln() * 0.04).max(0.05).exp();
            (min / room, max * room)
        } else {
            let room = if max > min { (max - min) * 0.04 } else { (max.abs() * 0.1).max(1e-6) };
            // What begins at zero does not begin below.
            (if min >= 0.0 && min < room { 0.0 } else { min - room }, max + room)
        };
        Scale { min, max, log, start, end }
    }

    /// Where a number is.
    pub fn place(&self, x: f64) -> f64 {
        let part = if self.log {
            (x.max(f64::MIN_POSITIVE) / self.min).ln() / (self.max / self.min).ln()
        } else {
            (x - self.min) / (self.max - self.min)
        };
        self.start + part * (self.end - self.start)
    }

    /// Is the number on it?
    pub fn has(&self, x: f64) -> bool {
        x >= self.min && x <= self.max
    }

    /// About so many numbers that are easy to read, and how they are written.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        if self.log {
            let (low, high) = (self.min.log10(), self.max.log10());
            // Tenfold steps, or in between if there are few of these.
            for factors in [&[1.0][..], &[1.0, 3.0], &[1.0, 2.0, 5.0]] {
                let decades = low.floor() as i32..=high.ceil() as i32;
                let all = decades.flat_map(|d| factors.iter().map(move |f| f * 10f64.powi(d)));
                let mut ticks: Vec<f64> = all.filter(|x| self.has(*x)).collect();
                if ticks.len() >= wanted.min(3) {
                    let skip = ticks.len().div_ceil(wanted + 2);
                    ticks = ticks.into_iter().step_by(skip).collect();
                    return ticks.into_iter().map(|x| (x, short(x))).collect();
                }
            }
        }
        let span = self.max - self.min;
        let rough = span / wanted.max(1) as f64;
        let unit = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|f| f * unit).into_iter().find(|s| *s >= rough).unwrap_or(unit);
        // As many digits as the step has.
        let whole = |d: &i32| {
            let x = step * 10f64.powi(*d);
            (x - x.round()).abs() < 1e-6 * x
        };
        let digits = (0..12).find(whole).unwrap_or(12) as usize;
        let first = (self.min / step).ceil() as i64;
        let all = (first..).map(|i| i as f64 * step).take_while(|x| *x <= self.max);
        all.map(|x| (x, if x.abs() >= 1e4 { short(x) } else { format!("{:.digits$}", x + 0.0) })).collect()
    }
}

/// A number in few letters: `20k`, `1.5M`, `0.003`, `1e-5`.
pub fn short(x: f64) -> String {
    let size = x.abs();
    let digits = |x: f64| {
        let text = format!("{x:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    match size {
        0.0 => "0".to_string(),
        _ if !(1e-4..1e15).contains(&size) => format!("{x:e}"),
        _ if size >= 1e12 => digits(x / 1e12) + "T",
        _ if size >= 1e9 => digits(x / 1e9) + "G",
        _ if size >= 1e6 => digits(x / 1e6) + "M",
        _ if size >= 1e4 => digits(x / 1e3) + "k",
        _ => {
            let text = format!("{x:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale, wanted: usize) -> Vec<String> {
        scale.ticks(wanted).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_easy_to_read() {
        let linear = |min, max| Scale { min, max, log: false, start: 0.0, end: 1.0 };
        assert_eq!(texts(&linear(0.0, 500.0), 5), ["0", "100", "200", "300", "400", "500"]);
        assert_eq!(texts(&linear(1.98, 3.3), 5), ["2.0", "2.5", "3.0"]);
        assert_eq!(texts(&linear(-0.012, 0.031), 4), ["0.00", "0.02"]);
        assert_eq!(texts(&linear(2.0999, 2.1011), 3), ["2.1000", "2.1005", "2.1010"]);
        assert_eq!(texts(&linear(0.0, 40_000.0), 4), ["0", "10k", "20k", "30k", "40k"]);
        let log = |min, max| Scale { min, max, log: true, start: 0.0, end: 1.0 };
        assert_eq!(texts(&log(900.0, 1.1e6), 5), ["1000", "10k", "100k", "1M"]);
        assert_eq!(texts(&log(9e-4, 0.011), 5), ["0.001", "0.003", "0.01"]);
        assert_eq!(short(2.5e-5), "2.5e-5");
    }

    #[test]
    fn every_number_has_its_place() {
        let scale = Scale::over([1.0, 100.0].into_iter(), true, 0.0, 10.0);
        assert!(
            (scale.place(10.0) - 5.0).abs() < 1e-12 && scale.place(1.0) > 0.0 && scale.place(100.0) < 10.0
        );
        let up = Scale::over([0.0, 4.0, f64::NAN].into_iter(), false, 100.0, 0.0);
        assert!(up.place(0.0) == 100.0 && up.place(4.0) < 5.0);
        // One number, or none, is no reason to divide by zero.
        for numbers in [vec![], vec![3.0], vec![0.0]] {
            let scale = Scale::over(numbers.into_iter(), false, 0.0, 1.0);
            assert!(scale.place(3.0).is_finite() && !scale.ticks(4).is_empty());
        }
    }
}
