//! Why a training has left the numbers: the first operation that gave none, in which document, and from which weight.
//!
//! A step that ends without a finite loss changes nothing ([`Trainer::step`]). So the weights are still those that it began
//! with, and the same batch gives the same numbers once more, this time without shortcuts: every number in between is
//! there. From the first that is infinite or none, the way back follows the operand that has the largest part in it, to a
//! weight.

use crate::batch::Batch;
use crate::engine::Precision;
use crate::inspect::{Why, why};
use crate::rng::mix;
use crate::tensor::{Engine, Id, Node, Op};
use crate::train::Trainer;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Autopsy {
    /// The step that could not be made, from 1.
    pub step: usize,
    /// The first operation without a number. None if all weights and everything without shortcuts are numbers: then only
    /// the engine's own kernels left them.
    pub first: Option<First>,
    /// From there to the weight: each number's tensor, value, and how it was computed.
    pub chain: Vec<Link>,
    /// The weight at the end of the chain.
    pub weight: Option<Weight>,
}

/// The first operation that gave no number.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    /// Which row of the batch.
    pub row: usize,
    /// Which document of the batch it belongs to, from 0.
    pub document: usize,
    /// Which place in it, from 0.
    pub position: usize,
}

/// A number on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The name of its tensor, or of the one it comes into: `logits`, `layer0.mlp_hidden`.
    pub tensor: String,
    /// How it was computed.
    pub formula: &'static str,
    /// What it is.
    pub value: f64,
}

/// A weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Its matrix.
    pub name: String,
    /// Where in it.
    pub row: usize,
    /// Where in it.
    pub col: usize,
    /// What it is.
    pub value: f64,
}

/// Looks for the first number that is none in the step that `batch` was for, which has ended in an error.
pub fn autopsy<R: Precision>(trainer: &Trainer<R>, batch: &Batch) -> Autopsy {
    let params = trainer.params().to_vec();
    let mut found = Autopsy { step: trainer.steps_done() + 1, first: None, chain: Vec::new(), weight: None };
    if let Some(bad) = params.iter().position(|x| !x.to_f64().is_finite()) {
        found.weight = weight(trainer, &params, bad);
        return found;
    }
    let mut engine = R::open_engine(params.clone());
    engine.begin(batch);
    engine.leave_to(mix(trainer.config.seed, trainer.steps_done() as u64));
    trainer.model.loss(&*engine, batch);
    let nodes = engine.nodes();
    let Some((node, row, col)) = first_without(&*engine, &nodes) else { return found };
    // Attention's weights have a row for each head of each token.
    let token = row * batch.rows() / node.shape.rows.max(1);
    let segment = batch.segments.iter().position(|s| (s.start..s.start + s.len).contains(&token));
    found.first = segment.map(|document| First {
        row: token,
        document,
        position: token - batch.segments[document].start,
    });
    let (mut id, mut row, mut col) = (node.id, row, col);
    // No operation comes before its operands: the way ends.
    loop {
        let Why { value, formula, operands, .. } = why(&*engine, batch, id, row, col);
        if let Op::Param { offset } = nodes[id.0 as usize].op {
            let at = offset + row * nodes[id.0 as usize].shape.cols + col;
            found.weight = weight(trainer, &params, at);
            return found;
        }
        found.chain.push(Link { tensor: name_of(&nodes, id), formula, value });
        // The largest part; of equal ones the first.
        let part = |value: f64, local: f64| (value * local).abs();
        let largest =
            operands.iter().fold(None, |best: Option<&crate::inspect::Operand>, operand| match best {
                Some(best) if part(best.value, best.local) >= part(operand.value, operand.local) => {
                    Some(best)
                }
                _ => Some(operand),
            });
        let Some(next) = largest else { return found };
        (id, row, col) = (next.tensor, next.row, next.col);
    }
}

/// The first number that is infinite or none, in the order of computation. What is hidden from attention is -inf, as it
/// should be.
fn first_without<'a>(engine: &dyn Engine, nodes: &'a [Node]) -> Option<(&'a Node, usize, usize)> {
    let mut hidden: Vec<Id> = Vec::new();
    for node in nodes {
        let hides = match node.op {
            Op::Scores { .. } | Op::Recede { .. } => true,
            Op::Affine { x, .. } | Op::Tanh(x) | Op::OffMax(x) => hidden.contains(&x),
            _ => false,
        };
        if hides {
            hidden.push(node.id);
        }
        let bad = |x: &f64| !(x.is_finite() || hides && *x == f64::NEG_INFINITY);
        if let Some(at) = engine.values(node.id).iter().position(bad) {
            return Some((node, at / node.shape.cols, at % node.shape.cols));
        }
    }
    None
}

/// Its name, or that of the next that has one: what it is computed for.
fn name_of(nodes: &[Node], id: Id) -> String {
    let named = nodes[id.0 as usize..].iter().find_map(|node| node.label);
    named.map_or_else(|| "loss".to_string(), |label| label.to_string())
}

fn weight<R: Precision>(trainer: &Trainer<R>, params: &[R], at: usize) -> Option<Weight> {
    let (matrix, row, col) = trainer.model.layout.locate(at)?;
    Some(Weight { name: matrix.name.clone(), row, col, value: params[at].to_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::EngineKind;
    use crate::{Config, corpus::Corpus, documents::Documents, rng::Rng};

    fn trained<R: Precision>(config: &Config) -> (Trainer<R>, Batch) {
        let mut corpus = Corpus::new(Documents::from_lines("abc\nbca\n".into()).unwrap());
        let trainer = Trainer::new(config.clone(), corpus.tokenizer.vocab_size(), &mut Rng::new(1)).unwrap();
        let mut batch = Batch::default();
        corpus.fill(&mut batch, 0, 2, 8).unwrap();
        (trainer, batch)
    }

    /// A weight is planted that makes one logit too small for any probability.
    #[test]
    fn a_planted_weight_is_found() {
        let config = Config { zero_init: false, init_std: 0.3, ..Config::default() };
        let (mut trainer, batch) = trained::<f64>(&config);
        let lm_head = trainer.model.layout.find("lm_head").unwrap().range();
        trainer.step(&batch).unwrap();
        // The token c has a row of its own; a token's channels have both signs, so some of them make it -inf.
        trainer.engine.slices().0[lm_head][2 * 16 + 5] = 1e9;
        assert!(trainer.step(&batch).is_err());
        let found = autopsy(&trainer, &batch);
        assert_eq!(found.step, 2);
        let weight = found.weight.unwrap();
        assert_eq!((weight.name.as_str(), weight.row, weight.col, weight.value), ("lm_head", 2, 5, 1e9));
        let first = found.first.unwrap();
        assert_eq!(batch.segments[first.document].start + first.position, first.row);
        let names: Vec<&str> = found.chain.iter().map(|link| link.tensor.as_str()).collect();
        assert!(names[0] == "losses" && names.contains(&"logits"), "{names:?}");
        assert!(!found.chain[0].value.is_finite() && found.chain[1].value.is_finite());
    }

    #[test]
    fn a_weight_that_is_none_itself_is_named_at_once() {
        let (mut trainer, batch) = trained::<f32>(&Config { engine: EngineKind::Fast, ..Config::default() });
        trainer.engine.slices().0[7] = f32::NAN;
        assert!(trainer.step(&batch).is_err());
        let found = autopsy(&trainer, &batch);
        assert_eq!((found.first, found.chain.len()), (None, 0));
        let Weight { name, row, col, value } = found.weight.unwrap();
        assert!((name.as_str(), row, col) == ("wte", 0, 7) && value.is_nan());
    }

    #[test]
    fn where_all_are_numbers_nothing_is_found() {
        for window in [0, 2] {
            let config = Config { window, softcap: 5.0, dropout: 0.3, ..Config::default() };
            let (trainer, batch) = trained::<f64>(&config);
            let found = autopsy(&trainer, &batch);
            assert_eq!((found.first, found.weight, found.chain.len()), (None, None, 0));
        }
    }

    #[test]
    fn a_learning_rate_of_10_ends_in_a_weight() {
        let (mut trainer, batch) = trained::<f64>(&Config { lr: 10.0, ..Config::default() });
        let step = (1..100).find(|_| trainer.step(&batch).is_err()).expect("it diverges");
        let found = autopsy(&trainer, &batch);
        assert_eq!(found.step, step);
        assert!(found.weight.unwrap().value.abs() > 5.0 && found.first.is_some());
    }
}
