//! The models that are measured, what they learn meanwhile, and how much arithmetic that is.

use microgpt::batch::Batch;
use microgpt::family::Family;
use microgpt::rng::nth_below;
use microgpt::sight::AttentionKind;
use microgpt::{Config, Error};
use microgpt_runs::settings::{Assignment, Settings};

/// A model and a batch size.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    preset: &'static str,
    /// What differs from the preset.
    settings: &'static [(&'static str, &'static str)],
    /// Does it take the scalar engine long?
    pub(crate) big: bool,
}

pub(crate) const SHAPES: [Shape; 4] = [
    Shape { name: "tiny", preset: "microgpt-final", settings: &[], big: false },
    Shape { name: "tiny-16", preset: "microgpt-final", settings: &[("batch_size", "16")], big: false },
    Shape { name: "shakespeare-char", preset: "shakespeare-char", settings: &[], big: true },
    Shape {
        name: "bigger",
        preset: "shakespeare-char",
        settings: &[
            ("n_layer", "6"),
            ("n_head", "6"),
            ("n_embd", "384"),
            ("block_size", "256"),
            ("batch_size", "16"),
        ],
        big: true,
    },
];

impl Shape {
    /// Its settings. Chance learns nothing, so the rate stays where it is and nothing is held back.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let more = [("preset", self.preset), ("steps", "1000000000"), ("val_fraction", "0")];
        let assignments: Vec<Assignment> = more
            .iter()
            .chain(self.settings)
            .map(|(name, value)| Assignment {
                place: format!("bench {}: {name}", self.name),
                name: name.to_string(),
                value: value.to_string(),
            })
            .collect();
        Settings::resolve(&assignments)
    }
}

/// A text of 65 characters, as many as there are in Shakespeare, by chance: its arithmetic is that of any text.
pub(crate) fn synthetic_text() -> String {
    let alphabet: Vec<char> = ('\n'..='\n').chain(' '..'`').collect();
    (0..100_000).map(|i| alphabet[nth_below(0, i, alphabet.len())]).collect()
}

/// Floating-point operations of a training step on this batch: a multiply-add is two; what is not a matrix product
/// (norms, activations, softmax, Adam) is not counted.
///
/// Forwards, a token takes 2 for each weight of the layers' matrices (12 C^2 each layer) and of lm_head (C V); and in each
/// layer 4 C for every token that it looks at, itself included: query by key, and weight by value. Backwards takes
/// twice as much: for the gradients of the inputs, and of the weights.
pub(crate) fn flops(config: &Config, vocab_size: usize, batch: &Batch) -> f64 {
    let (c, layers) = (config.n_embd as f64, config.n_layer as f64);
    let weights = layers * 12.0 * c * c + c * vocab_size as f64;
    let looks: f64 = batch.segments.iter().map(|s| (s.len * (s.len + 1) / 2) as f64).sum();
    3.0 * (2.0 * weights * batch.rows() as f64 + 4.0 * layers * c * looks)
}

/// The same of any settings, if they are those of a transformer whose layers have 12 C^2 weights.
pub(crate) fn flops_of(config: &Config, vocab_size: usize, batch: &Batch) -> Option<f64> {
    let plain = config.model == Family::Gpt
        && config.hidden() == 4 * config.n_embd
        && !config.activation.gated()
        && config.sight().kv_heads as usize == config.n_head
        && config.window == 0
        && config.attention == AttentionKind::Softmax;
    plain.then(|| flops(config, vocab_size, batch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_presets() {
        let config = |i: usize| SHAPES[i].settings().unwrap().config;
        assert_eq!((config(0).batch_size, config(1).batch_size, config(1).block_size), (1, 16, 16));
        assert_eq!((config(2).n_embd, config(3).n_embd, config(3).block_size), (128, 384, 256));
        let text = synthetic_text();
        assert_eq!(text.chars().collect::<std::collections::BTreeSet<_>>().len(), 65);
    }

    #[test]
    fn arithmetic_is_counted() {
        let config = Config { n_embd: 2, n_head: 1, n_layer: 3, ..Config::default() };
        let mut batch = Batch::default();
        batch.push_document(&[0, 1, 2, 0], 8);
        batch.push_document(&[0, 0], 8);
        // 4 rows; 3 + 2 + 1 + 1 looks; 3 x 48 weights in layers and 10 in the head.
        assert_eq!(flops(&config, 5, &batch), 3.0 * (2.0 * 154.0 * 4.0 + 4.0 * 3.0 * 2.0 * 7.0));
    }
}
