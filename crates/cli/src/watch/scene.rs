//! What the live view shows: plain data, which training fills and the view draws.

use microgpt::diagnosis::{Finding, History, diagnose};
use microgpt::measures::Measures;
use std::time::Duration;

/// A training, as far as it is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scene {
    /// The run: `runs/microgpt-1`.
    pub(crate) title: String,
    /// The model in a few words.
    pub(crate) model: String,
    /// What a token is called: `character`.
    pub(crate) unit: &'static str,
    /// The step that this session began after, and the last one made.
    pub(crate) first_step: usize,
    pub(crate) step: usize,
    pub(crate) lr: f64,
    /// Tokens learnt in this session.
    pub(crate) tokens: usize,
    /// Losses, looks at what is held back, what was measured last. Of many losses not all are kept.
    pub(crate) history: History,
    /// One of how many losses is kept.
    pub(crate) stride: usize,
    /// What the model wrote, and after which step; the newest last.
    pub(crate) samples: Vec<(usize, String)>,
    /// The time of this session, pauses excepted.
    pub(crate) elapsed: Duration,
    pub(crate) paused: bool,
    /// It ends with the step in hand.
    pub(crate) stopping: bool,
    pub(crate) help: bool,
}

/// So many losses are kept: more than a terminal has columns.
const LOSSES: usize = 4096;
/// So many samples are kept.
const SAMPLES: usize = 200;

impl Scene {
    /// After a step.
    pub(crate) fn push(&mut self, step: usize, loss: f64, lr: f64, tokens: usize) {
        (self.step, self.lr) = (step, lr);
        self.tokens += tokens;
        self.stride = self.stride.max(1);
        if !step.is_multiple_of(self.stride) && loss.is_finite() {
            return;
        }
        self.history.losses.push((step, loss));
        if self.history.losses.len() >= LOSSES {
            self.stride *= 2;
            let stride = self.stride;
            self.history.losses.retain(|(step, _)| step.is_multiple_of(stride));
        }
    }

    /// After a look at what is held back.
    pub(crate) fn look(&mut self, step: usize, loss: f64) {
        self.history.validations.push((step, loss));
    }

    /// After a step that was measured.
    pub(crate) fn measured(&mut self, measures: &Measures) {
        self.history.measures = Some(measures.clone());
    }

    /// What the model writes now.
    pub(crate) fn sketch(&mut self, step: usize, text: &str) {
        self.samples.push((step, text.to_string()));
        if self.samples.len() > SAMPLES {
            self.samples.remove(0);
        }
    }

    /// How much is done, of 1.
    pub(crate) fn done(&self) -> f64 {
        (self.step as f64 / self.history.steps.max(1) as f64).min(1.0)
    }

    pub(crate) fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How long it takes still, if it goes on like this.
    pub(crate) fn left(&self) -> Option<Duration> {
        let made = self.step.checked_sub(self.first_step).filter(|made| *made > 0)?;
        let steps = self.history.steps.saturating_sub(self.step);
        Duration::try_from_secs_f64(self.elapsed.as_secs_f64() / made as f64 * steps as f64).ok()
    }

    /// What is going on.
    pub(crate) fn says(&self) -> Finding {
        diagnose(&self.history)
    }

    /// Losses as points, and a mean that follows them.
    pub(crate) fn curves(&self) -> [Vec<(f64, f64)>; 2] {
        let losses = &self.history.losses;
        // A window of a fortieth of what is shown.
        let keep = 1.0 - (40.0 / losses.len().max(1) as f64).clamp(0.02, 0.5);
        let (mut sum, mut weight) = (0.0, 0.0);
        let mean = |&(step, loss): &(usize, f64)| {
            (sum, weight) = (sum * keep + loss, weight * keep + 1.0);
            (step as f64, sum / weight)
        };
        let finite: Vec<_> = losses.iter().filter(|(_, loss)| loss.is_finite()).copied().collect();
        let smooth = finite.iter().map(mean).collect();
        [thinned(finite.iter().map(|&(step, loss)| (step as f64, loss)), POINTS), smooth]
    }

    /// Looks at what is held back, as points.
    pub(crate) fn looks(&self) -> Vec<(f64, f64)> {
        let looks = self.history.validations.iter().filter(|(_, loss)| loss.is_finite());
        thinned(looks.map(|&(step, loss)| (step as f64, loss)), LOOKS)
    }
}

/// More would hide the lines.
const POINTS: usize = 250;
const LOOKS: usize = 24;

/// At most so many of these, evenly, the last among them.
fn thinned(points: impl Iterator<Item = (f64, f64)>, most: usize) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.collect();
    let step = points.len().div_ceil(most).max(1);
    let mut kept: Vec<_> = points.iter().rev().step_by(step).copied().collect();
    kept.reverse();
    kept
}

/// A scene for tests of what is drawn.
#[cfg(test)]
pub(crate) fn example() -> Scene {
    use microgpt::measures::{OfLayer, OfMatrix};
    let mut scene = Scene {
        title: "runs/microgpt-1".into(),
        model: "4,064 parameters, scalar engine".into(),
        unit: "character",
        history: History::new(27, 1000),
        elapsed: Duration::from_secs(10),
        ..Scene::default()
    };
    for step in 1..=500 {
        let noise = f64::from((step * 7919 % 100) as u32) / 200.0 - 0.25;
        scene.push(step, 2.3 + (-(step as f64) / 80.0).exp() + noise, 0.005, 7);
    }
    scene.look(250, 2.45);
    scene.look(500, 2.38);
    let matrix =
        |name: &str, grad_norm, update_ratio| OfMatrix { name: name.into(), grad_norm, update_ratio };
    let layer = OfLayer { dead: 3, units: 64, entropy: vec![0.9, 1.1, 0.2, 1.0], entropy_most: 1.2 };
    scene.measured(&Measures {
        step: 480,
        grad_norm: 0.5,
        update_ratio: 2e-3,
        matrices: vec![
            matrix("wte", 0.3, 1e-3),
            matrix("lm_head", 0.4, 2e-3),
            matrix("layer0.attn_wq", 0.03, 4e-3),
            matrix("layer0.mlp_fc1", 0.04, 3e-3),
        ],
        layers: vec![layer],
        ..Measures::default()
    });
    [(1, "xqzzv"), (200, "anema"), (490, "marika")].iter().for_each(|(step, text)| scene.sketch(*step, text));
    scene
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_losses_evenly_spread_ones_are_kept() {
        let mut scene = Scene::default();
        (1..=100_000).for_each(|step| scene.push(step, 2.0, 0.1, 3));
        let losses = &scene.history.losses;
        assert!(losses.len() > LOSSES / 3 && losses.len() < LOSSES, "{}", losses.len());
        let gaps: Vec<usize> = losses.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.iter().all(|gap| *gap == gaps[0]));
        assert_eq!((scene.step, scene.tokens), (100_000, 300_000));
        // What is no number is never left out.
        scene.push(100_001, f64::NAN, 0.1, 3);
        assert!(scene.history.losses.last().unwrap().1.is_nan() && scene.says().rule.is_warning());
    }

    #[test]
    fn what_is_drawn_is_not_too_much_and_ends_with_the_newest() {
        assert_eq!(
            thinned((0..10).map(|i| (f64::from(i), 0.0)), 4),
            [(0.0, 0.0), (3.0, 0.0), (6.0, 0.0), (9.0, 0.0)]
        );
        assert_eq!(thinned(std::iter::once((1.0, 2.0)), 4), [(1.0, 2.0)]);
        assert_eq!(thinned(std::iter::empty(), 4), []);
    }

    #[test]
    fn the_time_that_is_left_follows_from_the_time_that_was() {
        let scene = example();
        assert_eq!((scene.done(), scene.tokens_per_second()), (0.5, 350.0));
        assert_eq!(scene.left(), Some(Duration::from_secs(10)));
        assert_eq!(Scene { first_step: 500, ..scene }.left(), None);
    }
}
