//! What training is like inside: how strong the gradients are, how far weights move, which units are dead, where heads look.
//!
//! A [`Meter`] makes a step and measures it. What is measured of the step itself:
//!
//! ```text
//! gradient norm     |g| of each matrix, of the whole batch, before anything is clipped
//! update ratio      |w after - w before| / |w after| of each matrix; some 1e-3 is usual, above 0.1 is wild
//! bits per character  the loss of the batch, over the characters that its tokens are (a document's end counts as one)
//! ```
//!
//! What is measured inside the model, with the weights after the update, is always seen on the same documents, the
//! *probe*, so that two steps can be compared:
//!
//! ```text
//! dead units        units of an MLP that let no gradient through on any token of the probe: |f'(x)| <= 1e-6 everywhere
//! attention entropy -sum a ln a of a head's weights, the mean over the tokens; 0 looks at one token, ln(n) at n alike
//! ```
//!
//! The probe goes through an engine of its own that takes no shortcuts (the fast engine's kernels keep no number in
//! between), without dropout. So it costs a forward pass of some [`PROBE_ROWS`] tokens whenever it is measured, and
//! nothing where it is not: how often is the caller's choice. Nothing of it touches the training: its bits stay.

use crate::activation::Activation;
use crate::batch::Batch;
use crate::config::Config;
use crate::corpus::Corpus;
use crate::engine::Precision;
use crate::error::Error;
use crate::evaluate::bits;
use crate::real::EngineKind;
use crate::tensor::{Engine, Learner, Node, Op, Shape};
use crate::token::Tokenizer;
use crate::train::{Step, Trainer};

/// Tokens that the probe has at most, if one document is not longer.
pub const PROBE_ROWS: usize = 192;
/// A derivative smaller than this lets nothing through.
const NOTHING: f64 = 1e-6;

/// What was measured of one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measures {
    /// Its number, from 1.
    pub step: usize,
    /// Its loss, in nats per token.
    pub loss: f64,
    /// The same in bits per character.
    pub bits_per_character: f64,
    /// The learning rate of its update.
    pub lr: f64,
    /// The length of the whole gradient, all matrices as one vector.
    pub grad_norm: f64,
    /// How far all weights moved, as a part of their length.
    pub update_ratio: f64,
    /// Each matrix, in the order of the layout.
    pub matrices: Vec<OfMatrix>,
    /// Each layer; of a model without such layers (bigrams, RNN, GRU) none.
    pub layers: Vec<OfLayer>,
}

/// What was measured of one matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OfMatrix {
    /// `layer0.attn_wq`
    pub name: String,
    /// The Euclidean length of its gradient.
    pub grad_norm: f64,
    /// How far it moved, as a part of its length.
    pub update_ratio: f64,
}

/// What was seen in one layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OfLayer {
    /// How many units of its MLP are dead.
    pub dead: usize,
    /// Of how many.
    pub units: usize,
    /// Each head's entropy of attention, in nats.
    pub entropy: Vec<f64>,
    /// The most it can be: that of a head which looks at all it sees alike.
    pub entropy_most: f64,
}

impl OfLayer {
    /// The part of its units that are dead.
    pub fn dead_share(&self) -> f64 {
        if self.units == 0 { 0.0 } else { self.dead as f64 / self.units as f64 }
    }
}

/// Lines of metrics that a training of the fast engine has, unless another number is asked for.
const LINES: usize = 10_000;

/// Every how many steps there is a line of metrics: `metrics_every`, or as many as are worth it.
pub fn metrics_every(config: &Config) -> usize {
    match (config.metrics_every, config.engine) {
        (0, EngineKind::Scalar) => 1,
        (0, EngineKind::Fast) => config.steps.div_ceil(LINES).max(1),
        (every, _) => every,
    }
}

/// Every how many steps there are [`Measures`]: `measure_every`, or as often as metrics were asked for, or so that they
/// cost some hundredths of the time.
///
/// It follows from the settings alone, so that a run that is resumed has the same lines as one that was not stopped.
pub fn measure_every(config: &Config) -> usize {
    if config.measure_every > 0 || config.metrics_every > 0 {
        return if config.measure_every > 0 { config.measure_every } else { config.metrics_every };
    }
    // A row of the probe costs a third of one that is learnt. Without its shortcuts, the fast engine is slow at that,
    // and the more so the smaller the model.
    let times = match config.engine {
        EngineKind::Scalar => 1,
        EngineKind::Fast => 4 + 512 / config.n_embd,
    };
    let rows = config.batch_size.saturating_mul(config.block_size);
    (COST * times * PROBE_ROWS).div_ceil(rows)
}

/// One over the part of the time that measurements may take, and a third of it.
const COST: usize = 10;

/// Makes the steps of a trainer, and measures some of them.
pub struct Meter<R> {
    every: usize,
    probe: Batch,
    before: Vec<R>,
    open: Option<Box<dyn Learner<R>>>,
    measures: Measures,
}

impl<R: Precision> Meter<R> {
    /// One that measures each step whose number `every` divides (0: none), and probes with what the corpus begins with.
    ///
    /// Workers hear of it when the trainer is next shared: make the meter before.
    ///
    /// # Errors
    /// Tokens that cannot be read where they are kept.
    pub fn new(trainer: &mut Trainer<R>, corpus: &mut Corpus, every: usize) -> Result<Meter<R>, Error> {
        trainer.measure_gradients(every);
        let probe = if every > 0 { probe(corpus, &trainer.config)? } else { Batch::default() };
        Ok(Meter { every, probe, before: Vec::new(), open: None, measures: Measures::default() })
    }

    /// Makes the next step. Returns with it what was measured, if it is one of those that are.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step(
        &mut self,
        trainer: &mut Trainer<R>,
        batch: &Batch,
        tokenizer: &Tokenizer,
    ) -> Result<(Step, Option<&Measures>), Error> {
        if self.every == 0 || !(trainer.steps_done() + 1).is_multiple_of(self.every) {
            return Ok((trainer.step(batch)?, None));
        }
        self.before.clear();
        self.before.extend_from_slice(&trainer.params());
        let step = trainer.step(batch)?;
        self.measure(trainer, batch, tokenizer, &step);
        Ok((step, Some(&self.measures)))
    }

    fn measure(&mut self, trainer: &Trainer<R>, batch: &Batch, tokenizer: &Tokenizer, step: &Step) {
        let characters = tokenizer.characters(&batch.targets);
        let after = trainer.params();
        R::axpy(&mut self.before, -1.0, &after);
        let moved = &self.before;
        let mut squares = [0.0; 3];
        let matrices = trainer.model.layout.matrices().iter().zip(trainer.gradient_norms());
        let matrices = matrices.map(|(matrix, &grad_norm)| {
            let [moved, long] = [moved, &after[..]].map(|slice| R::sum_squares(&slice[matrix.range()]));
            [grad_norm * grad_norm, moved, long].iter().zip(&mut squares).for_each(|(x, sum)| *sum += x);
            OfMatrix { name: matrix.name.clone(), grad_norm, update_ratio: ratio(moved, long) }
        });
        self.measures = Measures {
            step: step.step,
            loss: step.loss,
            bits_per_character: bits(step.loss) * batch.rows() as f64 / characters.max(1) as f64,
            lr: step.lr,
            matrices: matrices.collect(),
            grad_norm: squares[0].sqrt(),
            update_ratio: ratio(squares[1], squares[2]),
            layers: Vec::new(),
        };
        let open = self.open.get_or_insert_with(|| R::open_engine(after.to_vec()));
        open.slices().0.copy_from_slice(&after);
        open.begin(&self.probe);
        trainer.model.forward(&**open, &self.probe);
        self.measures.layers = layers(&**open, &trainer.config, &self.probe);
    }
}

/// The first documents or windows of what is learnt, as many as [`PROBE_ROWS`] has room for.
fn probe(corpus: &mut Corpus, config: &Config) -> Result<Batch, Error> {
    let (mut probe, mut one) = (Batch::default(), Batch::default());
    let longest = config.block_size.min(PROBE_ROWS);
    for i in 0..corpus.len() - corpus.held_back() {
        corpus.fill(&mut one, i, 1, longest)?;
        if probe.rows() + one.rows() > PROBE_ROWS {
            break;
        }
        probe.push_segment(&one.tokens, 0, 0);
        probe.targets.extend_from_slice(&one.targets);
        probe.loss_rows += one.rows();
    }
    Ok(probe)
}

fn ratio(moved: f64, long: f64) -> f64 {
    if moved == 0.0 { 0.0 } else { (moved / long).sqrt() }
}

/// What there is to see in each layer of a model that has just computed `probe`, without shortcuts.
pub fn layers(engine: &dyn Engine, config: &Config, probe: &Batch) -> Vec<OfLayer> {
    let nodes = engine.nodes();
    let named = |layer: usize, name: &str| {
        let is = |node: &&Node| node.label.is_some_and(|l| l.layer == Some(layer) && l.name == name);
        nodes.iter().find(is)
    };
    let layer = |layer: usize| {
        let (active, weights) = (named(layer, "mlp_active"), named(layer, "attn_weights"));
        let (dead, units) = active.map_or((0, 0), |node| dead(engine, node));
        let (entropy, entropy_most) =
            weights.map_or_else(Default::default, |node| entropy(engine, config, probe, node));
        let seen = active.is_some() || weights.is_some();
        seen.then_some(OfLayer { dead, units, entropy, entropy_most })
    };
    (0..config.n_layer).map_while(layer).collect()
}

/// How many units of f(x), or f(x, g), let no gradient through in any row; and how many there are.
fn dead(engine: &dyn Engine, active: &Node) -> (usize, usize) {
    let Shape { rows, cols } = active.shape;
    let lives: Box<dyn Fn(usize) -> bool> = match active.op {
        Op::Activate { x, f } => {
            let x = engine.values(x);
            Box::new(move |at| f.derivative(x[at]).abs() > NOTHING)
        }
        Op::Gate { x, g, f } => {
            let (x, g) = (engine.values(x), engine.values(g));
            Box::new(move |at| gate_lives(f, x[at], g[at]))
        }
        _ => return (0, cols),
    };
    let dead = (0..cols).filter(|col| !(0..rows).any(|row| lives(row * cols + col)));
    (dead.count(), cols)
}

fn gate_lives(f: Activation, x: f64, g: f64) -> bool {
    let f = f.formula();
    f.slope(x, g).abs() > NOTHING || f.gate_slope(x, g).abs() > NOTHING
}

/// The mean over all rows of -sum a ln a, for each head; and of the ln of how many tokens each row sees.
fn entropy(engine: &dyn Engine, config: &Config, probe: &Batch, weights: &Node) -> (Vec<f64>, f64) {
    let (heads, rows, sight) = (config.n_head, probe.rows(), config.sight());
    let mut sums = vec![0.0; heads];
    for (i, row) in engine.values(weights.id).chunks(weights.shape.cols).enumerate() {
        let entropy = row.iter().filter(|&&a| a != 0.0).map(|&a| -a * a.ln()).sum::<f64>();
        sums[i % heads] += entropy;
    }
    let most = probe.positions.iter().map(|&p| (sight.keys(p as usize).len() as f64).ln()).sum::<f64>();
    (sums.into_iter().map(|sum| sum / rows as f64).collect(), most / rows as f64)
}

#[cfg(test)]
mod tests;
