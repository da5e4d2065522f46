//! Step -> learning rate.

use std::f64::consts::PI;

choices! {
    /// How the learning rate changes from the first step to the last.
    pub enum Schedule: "schedule" {
        /// lr: the same all the way
        Constant = "constant",
        /// lr * (1 - s/N): down to zero (or lr_end) in a straight line
        Linear = "linear",
        /// lr/2 * (1 + cos(pi s/N)): slowly, quickly, slowly down (Loshchilov and Hutter, "SGDR", 2016)
        Cosine = "cosine",
        /// lr, and at last (wsd_decay) down in a straight line: warm-up, stable, decay (Hu et al., "MiniCPM", 2024)
        Wsd = "wsd",
        /// lr/25 up to lr within warmup steps (30 % of all, if 0), then down, both by a cosine (Smith and Topin, 2017)
        OneCycle = "one_cycle",
    }
}

/// The plain numbers of a schedule.
///
/// ```
/// use microgpt::schedule::{Course, Schedule};
/// let course = Course { lr: 0.01, steps: 1000, ..Course::default() };
/// assert_eq!(course.rate(Schedule::Linear, 250), 0.0075);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// The highest learning rate.
    pub lr: f64,
    /// N: how many steps there are.
    pub steps: usize,
    /// Steps at the beginning in which the rate rises: `lr (s + 1) / (warmup + 1)`.
    pub warmup: usize,
    /// Where it ends: this part of `lr`.
    pub lr_end: f64,
    /// The part of all steps in which `wsd` falls.
    pub wsd_decay: f64,
}

impl Default for Course {
    fn default() -> Course {
        Course { lr: 0.01, steps: 1, warmup: 0, lr_end: 0.0, wsd_decay: 0.2 }
    }
}

/// Where one cycle begins, as PyTorch's OneCycleLR does: lr over this. It ends at the 10,000th of that at most.
const CYCLE_BEGINS: f64 = 25.0;
const CYCLE_ENDS: f64 = 25e4;
/// The part of one cycle that rises, if no other is given.
const CYCLE_RISES: f64 = 0.3;

impl Course {
    /// The learning rate of step `step`, counted from 0.
    ///
    /// After the warm-up, the schedule has the steps that are left to itself. `lr_end` is where it would be one step
    /// after the last; `one_cycle` is there in the last.
    pub fn rate(&self, schedule: Schedule, step: usize) -> f64 {
        let &Course { lr, lr_end: end, .. } = self;
        if step < self.warmup && schedule != Schedule::OneCycle {
            return lr * ((step + 1) as f64 / (self.warmup + 1) as f64);
        }
        // A run that goes on beyond its last step stays where that would have been.
        let warmup = self.warmup.min(self.steps);
        let (s, n) = ((step.min(self.steps) - warmup.min(step)) as f64, (self.steps - warmup).max(1) as f64);
        // The operations and their order are microgpt.py's, so that the bits are; what goes down to zero stays as it is.
        let down_to = |falls: f64| falls + end * (lr - falls);
        match schedule {
            Schedule::Constant => lr,
            Schedule::Linear => down_to(lr * (1.0 - s / n)),
            Schedule::Cosine => down_to((lr * 0.5) * (1.0 + ((PI * s) / n).cos())),
            Schedule::Wsd => {
                let decay = (self.wsd_decay * self.steps as f64).min(n);
                down_to(lr * ((n - s) / decay).min(1.0))
            }
            Schedule::OneCycle => self.one_cycle(step),
        }
    }

    fn one_cycle(&self, step: usize) -> f64 {
        let last = self.steps.max(2) as f64 - 1.0;
        let top = if self.warmup > 0 { self.warmup as f64 } else { CYCLE_RISES * self.steps as f64 - 1.0 };
        let top = top.clamp(0.0, last);
        let s = (step as f64).min(last);
        let between =
            |from: f64, to: f64, part: f64| (to + (from - to) / 2.0 * (1.0 + (PI * part).cos())).min(self.lr);
        if s < top {
            return between(self.lr / CYCLE_BEGINS, self.lr, s / top);
        }
        let end = self.lr * self.lr_end.max(1.0 / CYCLE_ENDS);
        between(self.lr, end, if last > top { (s - top) / (last - top) } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Choice;

    fn rates(schedule: Schedule, course: Course) -> Vec<f64> {
        (0..course.steps).map(|s| course.rate(schedule, s)).collect()
    }

    const COURSE: Course = Course { lr: 0.02, steps: 10, warmup: 0, lr_end: 0.0, wsd_decay: 0.2 };

    #[test]
    fn every_schedule_rises_to_lr_at_most_and_then_falls() {
        for &schedule in Schedule::ALL {
            for (warmup, lr_end, steps) in
                [(0, 0.0, 10), (3, 0.0, 10), (0, 0.1, 10), (9, 0.5, 40), (2, 1.0, 7)]
            {
                let rates = rates(schedule, Course { warmup, lr_end, steps, ..COURSE });
                let top = (0..steps).max_by(|&a, &b| rates[a].total_cmp(&rates[b])).unwrap();
                assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= 0.02), "{schedule}: {rates:?}");
                assert!(rates[..=top].is_sorted(), "{schedule}: {rates:?}");
                assert!(rates[top..].is_sorted_by(|a, b| a >= b), "{schedule}: {rates:?}");
            }
            if schedule != Schedule::OneCycle {
                assert_eq!(COURSE.rate(schedule, 0), 0.02);
            }
        }
    }

    #[test]
    fn known_points() {
        let rate = |schedule, step, course: Course| course.rate(schedule, step);
        assert!((rate(Schedule::Cosine, 5, COURSE) - 0.01).abs() < 1e-17);
        let warm = Course { warmup: 4, steps: 24, lr_end: 0.1, ..COURSE };
        assert_eq!(rates(Schedule::Constant, warm)[..6], [0.004, 0.008, 0.012, 0.016, 0.02, 0.02]);
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            assert!((rate(schedule, 14, warm) - 0.02 * 0.55).abs() < 1e-17, "{schedule}");
            assert!((rate(schedule, 24, warm) - 0.002).abs() < 1e-17, "{schedule}");
            assert_eq!(rate(schedule, 99, warm), rate(schedule, 24, warm), "{schedule}");
        }
        assert_eq!(rates(Schedule::Wsd, COURSE), [[0.02; 9].as_slice(), &[0.01]].concat());
        let cycle = Course { steps: 101, warmup: 40, ..COURSE };
        assert!((rate(Schedule::OneCycle, 0, cycle) - 0.0008).abs() < 1e-15);
        assert_eq!(rate(Schedule::OneCycle, 40, cycle), 0.02);
        assert!((rate(Schedule::OneCycle, 100, cycle) - 8e-8).abs() < 1e-15);
    }

    #[test]
    fn no_shape_of_a_run_gives_what_is_no_number() {
        for &schedule in Schedule::ALL {
            for steps in 1..5 {
                for (warmup, step) in [(0, 0), (0, 9), (3, 2), (3, 3), (9, 1), (9, 50)] {
                    let course = Course { steps, warmup, wsd_decay: 1e-9, ..COURSE };
                    let rate = course.rate(schedule, step);
                    assert!((0.0..=0.02).contains(&rate), "{schedule}: {rate} in step {step} of {course:?}");
                }
            }
        }
    }
}
